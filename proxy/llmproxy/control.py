"""Our own routes, under ``/_llmproxy/``: never forwarded, never kept."""

from __future__ import annotations

import json
import re

from llmproxy import __version__
from llmproxy.interaction import Reply, Source
from llmproxy.journal import Journal
from llmproxy.replies import whole
from llmproxy.sessions import Sessions

PREFIX = "/_llmproxy/"
_RESET = re.compile(r"sessions/(?:(?P<name>[A-Za-z0-9._-]{1,100})/)?reset")


class Control:
    """Answers the control routes of one server."""

    def __init__(self, mode: str, sessions: Sessions, journal: Journal) -> None:
        self._mode = mode
        self._sessions = sessions
        self._journal = journal

    def answer(self, method: str, path: str) -> Reply:
        """The reply to a path under ``PREFIX``."""
        route = path.partition("?")[0].removeprefix(PREFIX.rstrip("/")).removeprefix("/")
        if route == "health":
            if method not in ("GET", "HEAD"):
                return _json(405, {"error": "GET reads the health"})
            return _json(200, {"status": "ok", "mode": self._mode, "version": __version__})
        if reset := _RESET.fullmatch(route):
            if method != "POST":
                return _json(405, {"error": "POST resets"})
            name = reset["name"]
            return _json(200, {"session": name, "reset": self._sessions.reset(name)})
        return _json(
            404,
            {
                "error": f"no such route: {PREFIX}{route}"[:200],
                "routes": [
                    f"GET {PREFIX}health",
                    f"POST {PREFIX}sessions/reset",
                    f"POST {PREFIX}sessions/NAME/reset",
                ],
            },
        )


def _json(status: int, content: object) -> Reply:
    body = json.dumps(content).encode() + b"\n"
    source: Source = "error" if status >= 400 else "control"
    return whole(source, status, (("content-type", "application/json"),), body)
