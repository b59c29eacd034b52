"""Faults: which are in force; others in their place until the next start; none."""

from __future__ import annotations

from typing import Any

from llmproxy.control import config
from llmproxy.control.route import MAP, Call, Refused, Route, list_of, shape
from llmproxy.control.served import Served


def _in_force(served: Served) -> dict[str, Any]:
    configuration = served.live.configuration
    told = [{"name": each.name, "place": each.place} for each in configuration.faults]
    return {"faults": told, "written": list(configuration.settings.faults)}


async def _read(served: Served, _call: Call) -> dict[str, Any]:
    return _in_force(served)


async def _put(served: Served, call: Call) -> dict[str, Any]:
    body = call.body
    faults = body.get("faults") if isinstance(body, dict) and set(body) == {"faults"} else body
    if not isinstance(faults, list):
        raise Refused(400, "the request body is no list of faults; write [{...}] as in proxy.yml")
    await config.change(served, {"faults": faults})
    return _in_force(served)


async def _delete(served: Served, _call: Call) -> dict[str, Any]:
    await config.change(served, {"faults": []})
    return _in_force(served)


_FAULTS = shape(faults=list_of(MAP), written=list_of(MAP))
_BODY = {
    "anyOf": [list_of(MAP), shape(faults=list_of(MAP))],
    "description": "Faults as in proxy.yml; llmproxy schema describes them.",
}

_BASE = "/_llmproxy/faults"
ROUTES = (
    Route("GET", _BASE, _read, "The faults in force", _FAULTS),
    Route(
        "PUT", _BASE, _put, "Put other faults in their place until the next start", _FAULTS, _BODY
    ),
    Route("DELETE", _BASE, _delete, "Have no faults until the next start", _FAULTS),
)
