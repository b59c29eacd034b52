"""The listening socket, and aiohttp's HTTP under the server.

What cannot be read as HTTP at all never reaches ``server.py``. It is answered here, without a
word of what came: such a request may hold a key, and neither a log nor a reply repeats it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from time import monotonic

from aiohttp import web

from llmproxy.errors import SettingsError
from llmproxy.forward import MAX_LINE
from llmproxy.server import Proxy

log = logging.getLogger("llmproxy")

MOST_HEADERS = 1000
LAST_MOMENT = 0.05
"""Seconds that aiohttp gets to close what did not end in time."""


class _Connection(web.RequestHandler):
    """One connection; only what it says of unreadable requests is ours."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # quotes what came
    ) -> web.StreamResponse:
        """Answer in the shape that most clients understand; whose it is cannot be known."""
        log.warning("a request could not be read as HTTP: %d %s", status, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the response had begun")
        text = "llmproxy: the request cannot be read as HTTP, or a line of it is too long"
        error = {"message": text, "type": "invalid_request_error", "param": None, "code": None}
        response = web.Response(
            status=status,
            body=json.dumps({"error": error}).encode(),
            content_type="application/json",
        )
        response.force_close()
        return response


class _Http(web.Server):
    """aiohttp's low-level server, with connections of our own kind."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


@dataclass(slots=True)
class Listener:
    """A socket that listens; ``close`` finishes what is in flight."""

    host: str
    port: int
    proxy: Proxy
    sockets: asyncio.Server
    http: web.Server

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def close(self, timeout: float) -> None:
        """Listen no more, give what is in flight ``timeout`` seconds, break off the rest."""
        self.sockets.close()
        self.http.pre_shutdown()
        deadline = monotonic() + timeout
        while self.proxy.journal.in_flight and monotonic() < deadline:  # noqa: ASYNC110  # once
            await asyncio.sleep(0.01)  # once, at the end
        await self.http.shutdown(LAST_MOMENT)


async def listen(proxy: Proxy, host: str, port: int) -> Listener:
    """Bind and serve; port 0 picks a free one.

    Raises:
        SettingsError: the address cannot be bound.
    """
    http = _Http(
        proxy.handle,
        access_log=None,
        auto_decompress=False,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        max_headers=MOST_HEADERS,
        read_bufsize=2**18,
        lingering_time=2.0,
    )
    loop = asyncio.get_running_loop()
    try:
        sockets = await loop.create_server(http, host, port, backlog=1024)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "another program has it: stop that, or take another with --port (0 picks a free one)",
        ) from error
    return Listener(host, sockets.sockets[0].getsockname()[1], proxy, sockets, http)
