"""What strikes one chunk of a body: it is cut off, delayed, garbled, dropped, sent twice.

``AtChunk`` finds the chunk, a stroke says what becomes of it. A reply that has fewer chunks is
struck at its last one. Whether a chunk is the last shows only when another follows or the reply
ends; so each chunk before the struck one waits for the next, one at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from llmproxy.interaction import Chunk, End

Chunks = tuple[Chunk, ...]

_JUNK = b"#%&*?@^~"
"""Neither JSON nor framing begins with one of these."""
_LINE = re.compile(rb"[^\r\n]+")
_FIELD = re.compile(rb"(data: ?)|(?:event|id|retry)?:")
_FIELDS = (b"data: ", b"event:", b"id:", b"retry:")
_LOOKED_AT = 8
"""Bytes at the beginning of a line that show which field of an event it is."""
MOST_FRAMED = 2**18
"""Bytes of a chunk in which fields are looked for; beyond them only line ends stay."""


class AtChunk:
    """The machine of all that happens at one chunk.

    Args:
        number: of the chunk that is struck, from 1.
        strike: what comes in its place.
        ends: how the reply ends with it; None: it goes on.
        passing: what comes in the place of any other chunk.
    """

    __slots__ = ("_ends", "_held", "_left", "_passing", "_strike", "ended")

    def __init__(
        self,
        number: int,
        strike: Callable[[Chunk], Chunks],
        ends: End | None = None,
        passing: Callable[[Chunk], Chunk] | None = None,
    ) -> None:
        self._left = number
        self._strike = strike
        self._ends = ends
        self._passing = passing
        self._held: Chunk | None = None
        self.ended: End | None = None

    def feed(self, chunk: Chunk) -> Chunks:
        if self.ended or not chunk.data:
            return ()
        if not self._left:
            return self._passed(chunk)
        before = self._passed(self._held)
        self._left -= 1
        self._held = chunk if self._left else None
        return before if self._left else before + self._struck(chunk)

    def end(self, at: float) -> Chunks:
        if self.ended or not self._left:
            return ()
        last, self._held, self._left = self._held, None, 0
        return self._struck(last or Chunk(at, b""))

    def _passed(self, chunk: Chunk | None) -> Chunks:
        if chunk is None:
            return ()
        return (chunk if self._passing is None else self._passing(chunk),)

    def _struck(self, chunk: Chunk) -> Chunks:
        self.ended = self._ends
        return tuple(each for each in self._strike(chunk) if each.data)


class Late:
    """A chunk comes ``time`` seconds later; what would have come meanwhile comes with it."""

    __slots__ = ("_time", "_until")

    def __init__(self, time: float) -> None:
        self._time = time
        self._until = 0.0

    def strike(self, chunk: Chunk) -> Chunks:
        self._until = chunk.offset + self._time
        return (self.passing(chunk),)

    def passing(self, chunk: Chunk) -> Chunk:
        return Chunk(max(chunk.offset, self._until), chunk.data, chunk.tokens)


class Junk:
    """The payload of a chunk becomes junk of the same length.

    Line ends stay, and so do the names of the fields of server-sent events and all fields but
    ``data``: a client still reads the event and finds no JSON in it. For that, the beginning of
    the line in which a chunk begins is remembered.
    """

    __slots__ = ("_line", "_table")

    def __init__(self, rng: Random) -> None:
        letters = rng.choices(range(len(_JUNK)), k=256)
        self._table = bytes(_other(byte, at) for byte, at in enumerate(letters))
        self._line = b""

    def strike(self, chunk: Chunk) -> Chunks:
        data = chunk.data
        last = len(data)

        def garbled(match: re.Match[bytes]) -> bytes:
            before = b"" if match.start() else self._line
            kept = _kept(before, match[0], unfinished=match.end() == last)
            return match[0][:kept] + match[0][kept:].translate(self._table)

        framed, rest = data[:MOST_FRAMED], data[MOST_FRAMED:]
        junk = _LINE.sub(garbled, framed) + rest.translate(self._table)
        return (Chunk(chunk.offset, junk, chunk.tokens),)

    def passing(self, chunk: Chunk) -> Chunk:
        data = chunk.data
        begins = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        before = b"" if begins else self._line
        self._line = (before + data[begins : begins + _LOOKED_AT])[:_LOOKED_AT]
        return chunk


def _other(byte: int, at: int) -> int:
    """A letter of junk, another than the byte; a line end stays one."""
    if byte in b"\r\n":
        return byte
    return _JUNK[at] if _JUNK[at] != byte else _JUNK[at - 1]


def _kept(before: bytes, line: bytes, *, unfinished: bool) -> int:
    """How many bytes of a line are no payload; ``before`` is what of it came earlier."""
    begins = before + line[:_LOOKED_AT]
    if unfinished and any(name.startswith(begins) for name in _FIELDS):
        return len(line)
    field = _FIELD.match(begins)
    if field is None:
        return 0
    return max(field.end() - len(before), 0) if field[1] else len(line)
