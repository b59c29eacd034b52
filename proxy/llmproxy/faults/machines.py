"""What changes a whole body on its way: cut at a byte, split into small chunks, lumped together.

Each is right however the reply is cut into chunks, and holds a bounded number of bytes back.
"""

from __future__ import annotations

from llmproxy.interaction import Chunk, End

Chunks = tuple[Chunk, ...]

MOST_LUMPED = 16 * 2**20
"""Bytes that are held back; where there are more, they are let go."""
MOST_PIECES = 65_536
"""Chunks that a reply is split into; what follows stays as it is."""


class CutAtByte:
    """The connection is reset after ``at`` bytes, in a shorter reply before its last byte.

    A chunk waits for the next one, because the last byte may be in it.
    """

    __slots__ = ("_held", "_left", "ended")

    def __init__(self, at: int) -> None:
        self._left = at
        self._held: Chunk | None = None
        self.ended: End | None = None

    def feed(self, chunk: Chunk) -> Chunks:
        if self.ended or not chunk.data:
            return ()
        before = () if self._held is None else (self._held,)
        self._held = None
        if len(chunk.data) <= self._left:
            self._left -= len(chunk.data)
            self._held = chunk
            return before
        self.ended = "reset"
        return before + _part(chunk, self._left)

    def end(self, at: float) -> Chunks:  # noqa: ARG002  # as the contract names it
        if self.ended:
            return ()
        self.ended = "reset"
        held, self._held = self._held, None
        return () if held is None else _part(held, len(held.data) - 1)


class Split:
    """Each chunk becomes several of at most ``size`` bytes, all at its moment."""

    __slots__ = ("_left", "_size", "ended")

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = MOST_PIECES
        self.ended: End | None = None

    def feed(self, chunk: Chunk) -> Chunks:
        data, size, offset = chunk.data, self._size, chunk.offset
        pieces = min(-(-len(data) // size), self._left)
        if pieces < 2:
            return (chunk,)
        self._left -= pieces
        last = (pieces - 1) * size
        middle = (Chunk(offset, data[at : at + size]) for at in range(size, last, size))
        return Chunk(offset, data[:size], chunk.tokens), *middle, Chunk(offset, data[last:])

    def end(self, at: float) -> Chunks:  # noqa: ARG002  # as the contract names it
        return ()


class Lump:
    """All of the body comes at once, at the moment of its last chunk."""

    __slots__ = ("_held", "_left", "ended")

    def __init__(self) -> None:
        self._held: list[Chunk] = []
        self._left = MOST_LUMPED
        self.ended: End | None = None

    def feed(self, chunk: Chunk) -> Chunks:
        if self._left < 0:
            return (chunk,)
        self._held.append(chunk)
        self._left -= max(len(chunk.data), 1)  # chunks without bytes take memory too
        return self._let_go() if self._left < 0 else ()

    def end(self, at: float) -> Chunks:  # noqa: ARG002  # as the contract names it
        return self._let_go()

    def _let_go(self) -> Chunks:
        held, self._held = self._held, []
        data = b"".join(chunk.data for chunk in held)
        if not data:
            return ()
        return (Chunk(held[-1].offset, data, sum(chunk.tokens for chunk in held)),)


def _part(chunk: Chunk, size: int) -> Chunks:
    """The beginning of a chunk; nothing where that has no bytes."""
    return (Chunk(chunk.offset, chunk.data[:size], chunk.tokens),) if size else ()
