"""The table of all control routes, and how one is found in it.

To add a route: write its handler and its row in the module of its group, or in one of its own
that is listed here. Dispatch, 404, 405 and the OpenAPI document follow from the row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from llmproxy.control import (
    config,
    entries,
    faults,
    health,
    interactions,
    limits,
    metrics,
    misses,
    sessions,
)
from llmproxy.control.route import Refused, Route

PREFIX = "/_llmproxy/"
EVENTS = "/_llmproxy/events"
"""The WebSocket; it is no row of the table."""

OURS: tuple[Route, ...] = (
    *health.ROUTES,
    *config.ROUTES,
    *entries.ROUTES,
    *misses.ROUTES,
    *interactions.ROUTES,
    *sessions.ROUTES,
    *limits.ROUTES,
    *faults.ROUTES,
    *metrics.ROUTES,
)

_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Found:
    """The route of a call, and the variables of its path."""

    route: Route
    variables: Mapping[str, str]


class Table:
    """Finds routes by method and path; a plain path comes before one with variables."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: dict[re.Pattern[str], dict[str, Route]] = {}
        for route in self.routes:
            if "{" in route.path:
                pattern = _pattern(route.path)
                self._patterns.setdefault(pattern, {})[route.method] = route
            else:
                self._plain.setdefault(route.path, {})[route.method] = route

    def find(self, method: str, path: str) -> Found | None:
        """The route of exactly this method and path; that of GET serves HEAD too."""
        method = "GET" if method == "HEAD" else method
        by_method, variables = self._at(path)
        route = by_method.get(method)
        return Found(route, variables) if route else None

    def knows(self, path: str) -> bool:
        """Whether there is any route at this path."""
        return bool(self._at(path)[0])

    def refuse(self, method: str, path: str) -> Refused:
        """Why nothing is found: 405 with the methods that there are, else 404 with all routes."""
        by_method, _ = self._at(path)
        if by_method:
            allowed = ", ".join(sorted({*by_method, *(["HEAD"] if "GET" in by_method else [])}))
            message = f"{method[:20]} is not what this route takes; it takes {allowed}"
            return Refused(405, message, headers=(("Allow", allowed),))
        routes = [f"{route.method} {route.path}" for route in self.routes]
        return Refused(
            404,
            f"no such route: {path if path.startswith(PREFIX) else path + '/'}"[:200],
            {"routes": routes},
        )

    def _at(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]]:
        if plain := self._plain.get(path):
            return plain, {}
        for pattern, by_method in self._patterns.items():
            if match := pattern.fullmatch(path):
                return by_method, {
                    name: unquote(value) for name, value in match.groupdict().items()
                }
        return {}, {}


def _pattern(path: str) -> re.Pattern[str]:
    """A path with variables, each of them one segment, as a regex."""
    parts = _VARIABLE.split(path)
    texts = [f"(?P<{p}>[^/]+)" if n % 2 else re.escape(p) for n, p in enumerate(parts)]
    return re.compile("".join(texts))
