"""The player: the only place that waits and that writes to the client.

Whoever gave a reply, it is sent here: each chunk at ``received_at + offset``, deadlines
from the one moment when the request had been read whole, so nothing drifts. Live replies go
out as they come. A reply that ended in a broken connection ends in one again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Sequence
from time import monotonic

from aiohttp import web

from llmproxy.errors import StreamBroken
from llmproxy.interaction import Chunk, Reply
from llmproxy.journal import Entry
from llmproxy.wheel import SLACK, Wheel
from llmproxy.wire import Wire, encode_head, has_no_body

MOST_BUFFERED = 2**20
"""Bytes that may wait for a slow client before its stream waits too."""

SLOW_CLIENT = 0.02
"""Seconds until the next look at a client that does not read."""


async def play(
    reply: Reply, web_request: web.BaseRequest, received_at: float, entry: Entry, wheel: Wheel
) -> web.StreamResponse:
    """Send ``reply``; returns aiohttp's response object when the last byte is out.

    A client that leaves is no error: a live reply is then read on as its source wishes.
    """
    entry.status = reply.status
    bodiless = has_no_body(web_request.method, reply.status)
    wire = _wire(reply, web_request, bodiless)
    await wheel.until(received_at + reply.head_at)
    await wire.prepare(web_request)
    entry.first_byte = monotonic()
    try:
        if not isinstance(reply.chunks, tuple):
            await _play_live(reply, reply.chunks, wire, entry)
        elif bodiless:
            await wire.write_eof()
        else:
            await _play_kept(reply, reply.chunks, wire, received_at, wheel)
    except ConnectionError:
        entry.note = "client left"
        wire.abort()
    except asyncio.CancelledError:
        entry.note = "cut off by shutdown"
        wire.abort()
        raise
    return wire


def _wire(reply: Reply, web_request: web.BaseRequest, bodiless: bool) -> Wire:
    head = reply.head or encode_head(reply.status, reply.reason, reply.headers + reply.labels)
    measured = b"\r\ncontent-length:" in head.lower()
    chunked = not measured and not bodiless and web_request.version >= (1, 1)
    return Wire(
        head,
        status=reply.status,
        chunked=chunked,
        keep_alive=web_request.keep_alive and (measured or chunked or bodiless),
    )


async def _play_kept(
    reply: Reply, chunks: tuple[Chunk, ...], wire: Wire, received_at: float, wheel: Wheel
) -> None:
    """All but the last chunk by the wheel; the last one with the end, where they came together."""
    ended_at = reply.ended_at if reply.ended_at is not None else reply.head_at
    first = chunks[0].offset if chunks else ended_at
    if first - reply.head_at > SLACK:
        wire.send_head()
    last = b""
    if chunks and reply.end == "eof" and ended_at - chunks[-1].offset <= SLACK:
        ended_at, last = chunks[-1].offset, chunks[-1].data
        chunks = chunks[:-1]
    if chunks:
        await wheel.until(received_at + chunks[0].offset)
        wire.send_head()
        await _Stream(chunks, wire, received_at, wheel).played
    await wheel.until(received_at + ended_at)
    if reply.end == "reset":
        wire.send_head()
        wire.abort()
    else:
        await wire.write_eof(last)


class _Stream:
    """The chunks of one reply on the wheel; ``played`` is done when all are written.

    Raises (in ``played``):
        ConnectionResetError: the client has left.
    """

    def __init__(
        self, chunks: Sequence[Chunk], wire: Wire, received_at: float, wheel: Wheel
    ) -> None:
        self._due = [received_at + chunk.offset for chunk in chunks]
        self._frames = [wire.frame(chunk.data) for chunk in chunks]
        self._next = 0
        self._wire = wire
        self._wheel = wheel
        self.played: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._step()

    def _step(self) -> None:
        """Write what is due in one go, and come again for the next."""
        if self.played.done():
            return
        if self._wire.gone:
            self.played.set_exception(ConnectionResetError())
            return
        now = monotonic()
        if self._wire.buffered > MOST_BUFFERED:
            self._wheel.call_at(now + SLOW_CLIENT, self._step)
            return
        start, due = self._next, self._due
        while self._next < len(due) and due[self._next] <= now + SLACK:
            self._next += 1
            if self._next % 256 == 0:
                break
        self._wire.write_frames(self._frames[start : self._next])
        if self._next < len(due):
            self._wheel.call_at(due[self._next], self._step)
        else:
            self.played.set_result(None)


async def _play_live(reply: Reply, chunks: AsyncIterable[Chunk], wire: Wire, entry: Entry) -> None:
    wire.send_head()
    gone = False
    try:
        async for chunk in chunks:
            if gone:
                continue
            try:
                await wire.write(chunk.data)
            except ConnectionError:
                gone = True
                if reply.client_left is not None:
                    reply.client_left()
    except StreamBroken as error:
        entry.note = error.message
        wire.abort()
        return
    if gone:
        raise ConnectionResetError
    await wire.write_eof()
