"""Spoils replies that are live: what comes is read at once, what leaves is changed.

A task reads the upstream as fast as it sends, so that a recording keeps the true moments and is
whole, however late or little of it the client gets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from time import monotonic

from llmproxy.errors import StreamBroken
from llmproxy.faults.bodies import Machine
from llmproxy.interaction import Chunk, Reply

MOST_HELD = 64 * 2**20
"""Bytes that were read and wait to leave; above it the upstream waits."""

BROKEN_OFF = "broken off by a fault"


class Spoiled:
    """All live replies that are being spoiled; ``close`` ends what still reads."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def later(self, reply: Reply, seconds: float) -> Reply:
        """The live reply, its head held back; what comes meanwhile is read."""
        assert not isinstance(reply.chunks, tuple)
        pump = self._pump(reply.chunks)
        return replace(
            reply,
            head_at=reply.head_at + seconds,
            chunks=pump.chunks(),
            client_left=partial(_left, pump, reply.client_left),
        )

    def by(self, machine: Machine, reply: Reply, received_at: float) -> Reply:
        """The live reply, changed by ``machine``; ``received_at`` is the request's."""
        assert not isinstance(reply.chunks, tuple)
        pump = self._pump(reply.chunks)
        return replace(reply, chunks=_spoil(machine, pump, reply, received_at))

    async def close(self, seconds: float) -> None:
        """Read what still comes to its end, for so long, and stop."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pump(self, chunks: AsyncIterable[Chunk]) -> _Pump:
        pump = _Pump(chunks)
        task = asyncio.create_task(pump.run(), name="llmproxy-pump")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return pump


def _left(pump: _Pump, client_left: Callable[[], None] | None) -> None:
    pump.leave()
    if client_left is not None:
        client_left()


class _Pump:
    """Reads a live reply to its end, whether or not somebody takes what was read."""

    def __init__(self, chunks: AsyncIterable[Chunk]) -> None:
        self._source = chunks
        self._held: asyncio.Queue[Chunk | StreamBroken | None] = asyncio.Queue()
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self.unwanted = False
        """Nobody takes what comes."""

    async def run(self) -> None:
        end: StreamBroken | None = None
        try:
            async for chunk in self._source:
                if self.unwanted:
                    continue
                self._bytes += len(chunk.data)
                self._held.put_nowait(chunk)
                if self._bytes > MOST_HELD:
                    self._room.clear()
                    await self._room.wait()
        except StreamBroken as error:
            end = error
        finally:
            self._held.put_nowait(end)

    async def chunks(self) -> AsyncIterator[Chunk]:
        """What was read, as soon as it is there.

        Raises:
            StreamBroken: as the source does.
        """
        while (found := await self._held.get()) is not None:
            if isinstance(found, StreamBroken):
                raise found
            self._bytes -= len(found.data)
            self._room.set()
            yield found

    def leave(self) -> None:
        """Nobody will take anything more."""
        self.unwanted = True
        self._room.set()


async def _spoil(
    machine: Machine, pump: _Pump, reply: Reply, received_at: float
) -> AsyncIterator[Chunk]:
    at = reply.head_at
    broken: StreamBroken | None = None
    try:
        try:
            async for chunk in pump.chunks():
                at = chunk.offset
                for each in machine.feed(chunk):
                    await _until(received_at + each.offset)
                    yield each
                if machine.ended:
                    break
        except StreamBroken as error:
            broken = error
        if not machine.ended:
            for each in machine.end(at):
                await _until(received_at + each.offset)
                yield each
    finally:
        pump.leave()
    if machine.ended and reply.client_left is not None:
        reply.client_left()
    if machine.ended == "reset":
        raise StreamBroken(BROKEN_OFF)
    if broken is not None:
        raise broken


async def _until(moment: float) -> None:
    """Return at a moment that a machine has put off; others have come already."""
    if (wait := moment - monotonic()) > 0:
        await asyncio.sleep(wait)
