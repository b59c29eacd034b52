"""One response on the wire, written as given: nothing added, nothing reordered.

aiohttp adds Server, Date and Content-Type of its own and keeps the head back until the
first body byte. A replay must not differ from what was recorded, so this class hands
aiohttp a head that is bytes already. It is the only place that touches private
attributes of aiohttp; all else here is its public ``StreamResponse``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter

from llmproxy.interaction import Headers

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that speak of one connection only (RFC 9110, 7.6.1)."""

_ONE_LINE = re.compile(r"[^\r\n\0]*").fullmatch


def encode_head(status: int, reason: str, headers: Headers) -> bytes:
    """Status line and header lines, without the empty line that ends them.

    Raises:
        ValueError: a line break or NUL in the reason or a header.
    """
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers), ""]
    if not all(map(_ONE_LINE, lines)):
        raise ValueError("a line break or NUL in the reason or a header")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def has_no_body(method: str, status: int) -> bool:
    """Whether HTTP forbids a body here: HEAD, 1xx, 204, 304."""
    return method == "HEAD" or status in (204, 304) or 100 <= status < 200


class Wire(web.StreamResponse):
    """A response whose head is ``head`` as ``encode_head`` makes it.

    Args:
        head: may be put together from parts; content-length is in it or ``chunked`` is set.
        chunked: frame the body in chunks (HTTP/1.1); the header line is added here.
        keep_alive: whether the connection may serve another request afterwards.
    """

    def __init__(self, head: bytes, *, status: int, chunked: bool, keep_alive: bool) -> None:
        super().__init__(status=status)
        self._keep_alive = keep_alive
        self._chunked_body = chunked
        framing = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        closing = b"" if keep_alive else b"Connection: close\r\n"
        self._head = head + framing + closing + b"\r\n"
        self._transport: asyncio.WriteTransport | None = None

    async def _start(self, request: web.BaseRequest) -> AbstractStreamWriter:
        self._req = request
        self._transport = request.transport
        writer = self._payload_writer = request._payload_writer  # noqa: SLF001  # see the head of this file
        if self._chunked_body:
            writer.enable_chunking()
        writer._headers_buf = self._head  # type: ignore[attr-defined]  # noqa: SLF001
        writer._headers_written = False  # type: ignore[attr-defined]  # noqa: SLF001
        return writer

    def send_head(self) -> None:
        """Send the head now, without waiting for a body byte."""
        if self._payload_writer is not None:
            self._payload_writer.send_headers()

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._transport is None or self._transport.is_closing()

    @property
    def buffered(self) -> int:
        """Bytes written that the client has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write_chunks(self, chunks: Sequence[bytes], *, closes: bool = False) -> None:
        """Write in one go: the head where it is not out yet, chunks, and the body's end.

        Look at ``gone`` before. ``closes``: the body ends here; ``write_eof`` then adds nothing.
        """
        writer = cast("StreamWriter", self._payload_writer)
        data = [] if writer._headers_written else [self._head]  # noqa: SLF001
        writer._headers_written = True  # noqa: SLF001
        if self._chunked_body:
            # a chunk of nothing would end the body
            data += [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk]
            if closes:
                data.append(b"0\r\n\r\n")
                writer.chunked = False
        else:
            data += chunks
        if data and self._transport is not None:
            written = data[0] if len(data) == 1 else b"".join(data)
            writer.output_size += len(written)
            self._transport.write(written)

    async def write_eof(self, data: bytes = b"") -> None:
        """End the body, after ``data``; returns when a slow client has taken most of it."""
        if self._payload_writer is not None:
            await self._payload_writer.drain()
        await super().write_eof(data)

    def abort_before(self, request: web.BaseRequest) -> None:
        """Break the connection before anything has left."""
        self._transport = request.transport
        self.abort()

    def abort(self) -> None:
        """Break the connection as the recorded one broke: what was written leaves first."""
        self._eof_sent = True
        self._keep_alive = False
        self._req = None
        self._payload_writer = None
        if self._transport is not None:
            self._transport.close()
