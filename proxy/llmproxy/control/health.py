"""Whether the server lives, for whoever waits for its start."""

from __future__ import annotations

from typing import Any

from llmproxy import __version__
from llmproxy.control.route import TEXT, Call, Route, shape
from llmproxy.control.served import Served


async def read(served: Served, _call: Call) -> dict[str, Any]:
    return {"status": "ok", "mode": served.mode, "version": __version__}


ROUTES = (
    Route(
        "GET",
        "/_llmproxy/health",
        read,
        "Whether the server lives, and what it does",
        shape(status=TEXT, mode=TEXT, version=TEXT),
        open=True,
    ),
)
