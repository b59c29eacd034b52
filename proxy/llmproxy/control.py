"""Our own routes, under ``/_llmproxy/``: never forwarded, never kept."""

from __future__ import annotations

import json
import re
from typing import Any

from llmproxy import __version__
from llmproxy.interaction import Reply, Source
from llmproxy.journal import Journal
from llmproxy.live import Live
from llmproxy.replies import whole
from llmproxy.sessions import Sessions

PREFIX = "/_llmproxy/"
_RESET = re.compile(r"sessions/(?:(?P<name>[A-Za-z0-9._-]{1,100})/)?reset")


class Control:
    """Answers the control routes of one server; ``live`` is what it follows."""

    def __init__(
        self, mode: str, sessions: Sessions, journal: Journal, live: Live | None = None
    ) -> None:
        self._mode = mode
        self._sessions = sessions
        self._journal = journal
        self._live = live

    def answer(self, method: str, path: str) -> Reply:
        """The reply to a path under ``PREFIX``."""
        route = path.partition("?")[0].removeprefix(PREFIX.rstrip("/")).removeprefix("/")
        if route == "health":
            if method not in ("GET", "HEAD"):
                return _json(405, {"error": "GET reads the health"})
            return _json(200, {"status": "ok", "mode": self._mode, "version": __version__})
        if route == "config" and self._live is not None:
            if method not in ("GET", "HEAD"):
                return _json(405, {"error": "GET reads the configuration"})
            return _json(200, _configuration(self._live))
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
                    f"GET {PREFIX}config",
                    f"POST {PREFIX}sessions/reset",
                    f"POST {PREFIX}sessions/NAME/reset",
                ],
            },
        )


def _configuration(live: Live) -> dict[str, Any]:
    """What is in force, and what is wrong with what was read last."""
    lines = live.problem.split("\n") if live.problem else []
    since = live.loaded_at.isoformat(timespec="seconds")
    message = f"{lines[0]} (what was read at {since} stays)" if lines else ""
    return {
        "version": live.version,
        "loaded_at": since,
        "files": [str(file) for file in live.configuration.files],
        "rules": [
            {"name": rule.name, "place": rule.place}
            | ({} if rule.times is None else {"times": rule.times})
            for rule in live.configuration.rules
        ],
        "problem": {"message": message, "lines": lines} if lines else None,
        "ignored": list(live.ignored),
    }


def _json(status: int, content: object) -> Reply:
    body = json.dumps(content).encode() + b"\n"
    source: Source = "error" if status >= 400 else "control"
    return whole(source, status, (("content-type", "application/json"),), body)
