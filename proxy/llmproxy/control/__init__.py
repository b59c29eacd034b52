"""Our own routes, under ``/_llmproxy/``: never forwarded, never kept, no traffic that is counted.

``routes`` is their table, one module for each group of them; ``guard`` says who may use them.
``aliases`` are the routes of other mock servers, exact methods and paths, translated to the same
changes of the same settings; they stand where no provider is recorded.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from llmproxy.control import openapi, sockets
from llmproxy.control.aliases import aliases
from llmproxy.control.guard import Guard
from llmproxy.control.reading import LARGEST_BODY, read_json, read_query
from llmproxy.control.route import Call, Refused, Route, json_reply, refusal
from llmproxy.control.routes import EVENTS, OURS, PREFIX, Found, Table
from llmproxy.control.served import Served
from llmproxy.errors import BadRequest
from llmproxy.interaction import Headers, Reply, Request

__all__ = ["PREFIX", "Control", "Served"]

log = logging.getLogger("llmproxy")

_SHARED = ("/responses",)
"""Paths of aliases at which providers have other methods; their preflights are the providers'."""

ReadBody = Callable[[int], Awaitable[bytes]]
"""Reads a request's body, of at most so many bytes; raises ``BadRequest``."""


class Control:
    """Answers the control routes of one server.

    Args:
        served: what they are about.
        guard: who may use them.
    """

    def __init__(self, served: Served, guard: Guard) -> None:
        self.served = served
        self.guard = guard
        self._table = Table((*OURS, _describing()))
        others = aliases() if served.mode != "record" else None
        self._aliases = Table(others.routes if others else ())
        self._sockets = {EVENTS: sockets.events, **(others.sockets if others else {})}
        paths = [route.path for route in self._aliases.routes] + list(self._sockets)
        self._firsts = frozenset(path.split("/", 2)[1] for path in paths)

    def owns(self, method: str, path: str) -> bool:
        """Whether this is one of our routes; ``path`` has no query."""
        first = path[1:].partition("/")[0]
        if first not in self._firsts:
            return False
        if first == "_llmproxy" or path in self._sockets:
            return True
        if method == "OPTIONS" and path not in _SHARED:
            return self._aliases.knows(path)
        return self._aliases.find(method, path) is not None

    def is_socket(self, path: str) -> bool:
        """Whether it is the path of a WebSocket."""
        return path in self._sockets

    async def answer(self, request: Request, read_body: ReadBody) -> Reply:
        """The reply to a request that is ours; its body is read only if it may come in."""
        try:
            return await self._answer(request, read_body)
        except Refused as refused:
            return refusal(refused)
        except BadRequest as error:
            return json_reply(error.status, {"error": error.message})
        except Exception as error:  # noqa: BLE001  # a fault of ours is told, and ends nothing
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
            log.error("llmproxy has a fault: %s", what)  # noqa: TRY400  # a message may quote a body
            return json_reply(500, {"error": f"this is a fault of llmproxy: {what}"})

    async def _answer(self, request: Request, read_body: ReadBody) -> Reply:
        ours = f"{request.path}/".startswith(PREFIX)
        table = self._table if ours else self._aliases
        found = table.find(request.method, request.path)
        self.guard.check(request.headers, open=found is not None and found.route.open)
        if self.is_socket(request.path):
            upgrade = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
            raise Refused(426, "this is a WebSocket: connect to it with ws://", headers=upgrade)
        if found is None:
            raise table.refuse(request.method, request.path)
        body = await read_body(LARGEST_BODY)
        said = await found.route.handler(self.served, _call(found, request, body))
        reply = said if isinstance(said, Reply) else json_reply(200, said)
        whole = request.method != "HEAD" or isinstance(reply.chunks, tuple)
        return reply if whole else replace(reply, chunks=())

    async def socket(self, web_request: web.BaseRequest, path: str) -> web.StreamResponse | Reply:
        """Speak with a WebSocket until its end; a reply where it may not come in."""
        try:
            self.guard.check(tuple(web_request.headers.items()), open=False)
        except Refused as refused:
            return refusal(refused)
        return await sockets.speak(self.served, web_request, self._sockets[path])

    def close(self) -> None:
        """End those who read as long as the server runs."""
        for follower in list(self.served.followers):
            follower.end()


def _call(found: Found, request: Request, body: bytes) -> Call:
    route = found.route
    return Call(
        variables=found.variables,
        query=read_query(request.query, route.query, strict=route.strict),
        body=read_json(body) if route.body is not None else None,
        accept=_accept(request.headers),
    )


def _accept(headers: Headers) -> str:
    return ", ".join(value for name, value in headers if name.lower() == "accept")


def _describing() -> Route:
    async def describe(_served: Served, _call: Call) -> object:
        return openapi.document((*OURS, route))

    route = Route(
        "GET",
        f"{PREFIX}openapi.json",
        describe,
        "This document",
        {"type": "object", "required": ["openapi", "paths"]},
    )
    return route
