"""Sessions: which the journal knows of, and starting them over."""

from __future__ import annotations

import re
from typing import Any

from llmproxy.control.route import TEXT, WHOLE, Call, Refused, Route, list_of, shape
from llmproxy.control.served import Served

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_ALL = 1_000_000


async def _read(served: Served, _call: Call) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for entry in served.journal.entries(limit=_ALL):
        name = entry.get("session", "")
        told = found.pop(name, {"name": name, "requests": 0, "misses": 0, "last": ""})
        told["requests"] += 1
        told["misses"] += "miss" in entry
        told["last"] = entry.get("time", "")
        found[name] = told
    return {"sessions": list(found.values())}


async def _reset_all(served: Served, _call: Call) -> dict[str, Any]:
    return {"session": None, "reset": served.sessions.reset()}


async def _reset(served: Served, call: Call) -> dict[str, Any]:
    name = call.variables["name"]
    if not _NAME.fullmatch(name):
        raise Refused(400, "a session's name is 1 to 100 letters, digits, dots, - and _")
    return {"session": name, "reset": served.sessions.reset(name)}


_RESET = shape(session={"type": ["string", "null"]}, reset=WHOLE)
_SESSION = shape(name=TEXT, requests=WHOLE, misses=WHOLE, last=TEXT)

ROUTES = (
    Route(
        "GET",
        "/_llmproxy/sessions",
        _read,
        "The sessions of the requests that the journal keeps, the one used last at the end",
        shape(sessions=list_of(_SESSION)),
    ),
    Route("POST", "/_llmproxy/sessions/reset", _reset_all, "Start all sessions over", _RESET),
    Route("POST", "/_llmproxy/sessions/{name}/reset", _reset, "Start one session over", _RESET),
)
