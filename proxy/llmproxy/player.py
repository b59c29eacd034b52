"""The player: the only place that sleeps and that writes to the client.

Whoever gave a reply, it is sent here: each chunk at ``received_at + offset``, deadlines
from the one moment when the request had been read whole, so nothing drifts. Live replies go
out as they come. A reply that ended in a broken connection ends in one again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable

from aiohttp import web

from llmproxy.errors import StreamBroken
from llmproxy.interaction import Chunk, Reply
from llmproxy.journal import Entry
from llmproxy.wire import Wire, encode_head, has_no_body

TOGETHER = 0.0005
"""Moments closer than this, in seconds, leave in one write."""

EARLY = 0.0002
"""A deadline this near, in seconds, counts as reached: no timer is as exact."""

AT_ONCE = 64
"""So many chunks may leave without a pause before others get their turn."""


async def play(
    reply: Reply, web_request: web.BaseRequest, received_at: float, entry: Entry
) -> web.StreamResponse:
    """Send ``reply``; returns aiohttp's response object when the last byte is out.

    A client that leaves is no error: a live reply is then read on as its source wishes.
    """
    loop = asyncio.get_running_loop()
    entry.status = reply.status
    bodiless = has_no_body(web_request.method, reply.status)
    wire = _wire(reply, web_request, bodiless)
    await until(received_at + reply.head_at, loop)
    await wire.prepare(web_request)
    entry.first_byte = loop.time()
    try:
        if not isinstance(reply.chunks, tuple):
            await _play_live(reply, reply.chunks, wire, entry)
        elif bodiless:
            await wire.write_eof()
        else:
            await _play_kept(reply, reply.chunks, wire, received_at, loop)
    except ConnectionError:
        entry.note = "client left"
        wire.abort()
    except asyncio.CancelledError:
        entry.note = "cut off by shutdown"
        wire.abort()
        raise
    return wire


async def until(deadline: float, loop: asyncio.AbstractEventLoop) -> None:
    """Return at ``deadline``, a reading of the loop's clock; at once if it has passed."""
    while (left := deadline - loop.time()) > EARLY:  # noqa: ASYNC110  # a timer may fire early
        await asyncio.sleep(left)


def _wire(reply: Reply, web_request: web.BaseRequest, bodiless: bool) -> Wire:
    headers = reply.headers + reply.labels
    measured = any(name.lower() == "content-length" for name, _ in headers)
    chunked = not measured and not bodiless and web_request.version >= (1, 1)
    return Wire(
        encode_head(reply.status, reply.reason, headers),
        status=reply.status,
        chunked=chunked,
        keep_alive=web_request.keep_alive and (measured or chunked or bodiless),
    )


async def _play_kept(
    reply: Reply,
    chunks: tuple[Chunk, ...],
    wire: Wire,
    received_at: float,
    loop: asyncio.AbstractEventLoop,
) -> None:
    ended_at = reply.ended_at if reply.ended_at is not None else reply.head_at
    first = chunks[0].offset if chunks else ended_at
    if first - reply.head_at > TOGETHER:
        wire.send_head()
    last = None
    if chunks and reply.end == "eof" and ended_at - chunks[-1].offset <= TOGETHER:
        chunks, last = chunks[:-1], chunks[-1]
    for number, chunk in enumerate(chunks, 1):
        await until(received_at + chunk.offset, loop)
        if chunk.data:
            await wire.write(chunk.data)
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    await until(received_at + (last.offset if last else ended_at), loop)
    if reply.end == "reset":
        wire.send_head()
        wire.abort()
    else:
        await wire.write_eof(last.data if last else b"")


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
