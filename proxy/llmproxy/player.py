"""The player: the only place that waits and that writes to the client.

Whoever gave a reply, it is sent here: each chunk at ``received_at + offset``, deadlines
from the one moment when the request had been read whole, so nothing drifts. Live replies go
out as they come. A reply that ended in a broken connection ends in one again.
"""

from __future__ import annotations

import asyncio
import contextlib
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

LOOK_EVERY = 0.5
"""Seconds between two looks for a client whose reply has not begun."""

MOST_AT_ONCE = 256
"""Chunks written before others have their turn."""


async def play(
    reply: Reply, web_request: web.BaseRequest, received_at: float, entry: Entry, wheel: Wheel
) -> web.StreamResponse:
    """Send ``reply``; returns aiohttp's response object when the last byte is out.

    A client that leaves is no error: a live reply is then read on as its source wishes.
    """
    entry.status = reply.status
    bodiless = has_no_body(web_request.method, reply.status)
    wire = _wire(reply, web_request, bodiless)
    stayed = await _until_head(reply, web_request, received_at, wheel)
    if not stayed or not reply.status:
        entry.note = entry.note or ("" if stayed else "client left")
        wire.abort_before(web_request)
        await _read_on(reply)
        return wire
    await wire.prepare(web_request)
    entry.first_byte = monotonic()
    try:
        if bodiless and not isinstance(reply.chunks, tuple):
            await _read_to_its_end(reply.chunks)
            await wire.write_eof()
        elif not isinstance(reply.chunks, tuple):
            await _play_live(reply, reply.chunks, wire, entry)
        elif bodiless:
            await wire.write_eof()
        else:
            await _play_kept(reply, reply.chunks, wire, received_at, wheel, entry)
    except ConnectionError:
        entry.note = "client left"
        wire.abort()
    except asyncio.CancelledError:
        entry.note = "cut off by shutdown"
        wire.abort()
        raise
    return wire


async def _read_on(reply: Reply) -> None:
    """Read a live reply that nobody waits for any more, as far as its source wishes."""
    if not isinstance(reply.chunks, tuple):
        if reply.client_left is not None:
            reply.client_left()
        await _read_to_its_end(reply.chunks)


async def _read_to_its_end(chunks: AsyncIterable[Chunk]) -> None:
    with contextlib.suppress(StreamBroken):
        async for _ in chunks:
            pass


async def _until_head(
    reply: Reply, web_request: web.BaseRequest, received_at: float, wheel: Wheel
) -> bool:
    """Wait for the moment of the head; False where the client has left meanwhile."""
    moment = received_at + reply.head_at
    while (now := monotonic()) + LOOK_EVERY < moment:
        await wheel.until(now + LOOK_EVERY)
        if web_request.transport is None or web_request.transport.is_closing():
            return False
    await wheel.until(moment)
    return True


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
    reply: Reply,
    chunks: tuple[Chunk, ...],
    wire: Wire,
    received_at: float,
    wheel: Wheel,
    entry: Entry,
) -> None:
    """The chunks by the wheel; where the end comes with the last chunk, it is written with it."""
    ended_at = reply.ended_at if reply.ended_at is not None else reply.head_at
    first = chunks[0].offset if chunks else ended_at
    closes = bool(chunks) and reply.end == "eof" and ended_at - chunks[-1].offset <= SLACK
    if first - reply.head_at > SLACK:
        wire.send_head()
    if chunks:
        await wheel.until(received_at + first)
        if closes and len(chunks) == 1:
            entry.late = max(0.0, monotonic() - received_at - first)
            entry.sent = len(chunks[0].data)
            await wire.write_eof(chunks[0].data)
            return
        stream = _Stream(chunks, wire, received_at, wheel, closes=closes)
        try:
            await stream.played
        finally:
            entry.late, entry.sent = stream.late, stream.sent
    if not closes:
        await wheel.until(received_at + ended_at)
    if reply.end == "reset":
        wire.send_head()
        wire.abort()
    else:
        await wire.write_eof()


class _Stream:
    """The chunks of one reply on the wheel; ``played`` is done when all are written.

    ``closes``: the body ends with the last chunk; ``late`` is the most seconds that one left after
    its moment. Raises (in ``played``):
        ConnectionResetError: the client has left.
    """

    __slots__ = (
        "_chunks",
        "_closes",
        "_next",
        "_received_at",
        "_wheel",
        "_wire",
        "late",
        "played",
    )

    def __init__(
        self,
        chunks: Sequence[Chunk],
        wire: Wire,
        received_at: float,
        wheel: Wheel,
        *,
        closes: bool,
    ) -> None:
        self._chunks = chunks
        self._received_at = received_at
        self._next = 0
        self._wire = wire
        self._wheel = wheel
        self._closes = closes
        self.late = 0.0
        self.played: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._step()

    @property
    def sent(self) -> int:
        """Bytes of the chunks that were written."""
        return sum(len(chunk.data) for chunk in self._chunks[: self._next])

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
        chunks, at = self._chunks, self._next
        most = min(len(chunks), at + MOST_AT_ONCE)
        due = now + SLACK - self._received_at
        if (late := due - SLACK - chunks[at].offset) > self.late:
            self.late = late
        data = []
        while at < most and chunks[at].offset <= due:
            data.append(chunks[at].data)
            at += 1
        self._next = at
        ended = at == len(chunks)
        self._wire.write_chunks(data, closes=self._closes and ended)
        if ended:
            self.played.set_result(None)
        else:
            self._wheel.call_at(self._received_at + chunks[at].offset, self._step)


async def _play_live(reply: Reply, chunks: AsyncIterable[Chunk], wire: Wire, entry: Entry) -> None:
    wire.send_head()
    gone = False
    try:
        async for chunk in chunks:
            if gone:
                continue
            try:
                await wire.write(chunk.data)
                entry.sent += len(chunk.data)
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
