"""The table of what faults do to a body, and how that is applied to a reply that is there whole.

A machine is fed the chunks of a reply one by one, recorded, made up or live, and gives those that
leave. It never waits: a later offset means a later moment. How to add one:

1. Write it: what happens at one chunk is a function for ``strokes.AtChunk``; anything else is a
   class with ``feed``, ``end`` and ``ended`` in ``machines``.
2. Put a row into ``KINDS``, and its name into ``KEEPS_LENGTH`` if it neither ends a reply nor
   changes how many bytes it has.
3. Say in ``effects`` and in ``schema`` how it is written, a row each.
4. Put a row into the tables of ``test_fault_bodies.py`` and ``test_fault_reading.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from types import MappingProxyType
from typing import Protocol

from llmproxy.faults.fault import InBody
from llmproxy.faults.machines import CutAtByte, Lump, Split
from llmproxy.faults.strokes import AtChunk, Junk, Late
from llmproxy.interaction import Chunk, End, Headers


class Machine(Protocol):
    """Changes one reply's chunks on their way; of no use for another reply.

    Attributes:
        ended: how the machine has ended the reply before its own end; then nothing more comes
            of it. None: it has not.
    """

    ended: End | None

    def feed(self, chunk: Chunk, /) -> Iterable[Chunk]:
        """What leaves now that this chunk has come, in its order; a chunk may be held back."""
        ...

    def end(self, at: float, /) -> Iterable[Chunk]:
        """What was held back, as the reply ends ``at`` this moment."""
        ...


Maker = Callable[[InBody, Random, bytes], Machine]
"""Makes a machine; what is drawn comes from the generator, the bytes are the error to end with."""


def _cut(effect: InBody, rng: Random, _error: bytes) -> Machine:
    if effect.at_byte is not None:
        return CutAtByte(effect.at_byte)
    return AtChunk(_number(effect, rng), lambda _: (), "reset")


def _stall(effect: InBody, rng: Random, _error: bytes) -> Machine:
    late = Late(effect.time)
    return AtChunk(_number(effect, rng), late.strike, passing=late.passing)


def _garble(effect: InBody, rng: Random, _error: bytes) -> Machine:
    number, junk = _number(effect, rng), Junk(rng)
    return AtChunk(number, junk.strike, passing=junk.passing)


def _drop(effect: InBody, rng: Random, _error: bytes) -> Machine:
    return AtChunk(_number(effect, rng), lambda _: ())


def _duplicate(effect: InBody, rng: Random, _error: bytes) -> Machine:
    return AtChunk(_number(effect, rng), lambda chunk: (chunk, chunk))


def _error_event(effect: InBody, rng: Random, error: bytes) -> Machine:
    return AtChunk(_number(effect, rng), lambda chunk: (Chunk(chunk.offset, error),), "eof")


def _number(effect: InBody, rng: Random) -> int:
    return rng.randint(*effect.chunk)


KINDS: Mapping[str, Maker] = MappingProxyType(
    {
        "cut": _cut,
        "stall": _stall,
        "garble": _garble,
        "drop": _drop,
        "duplicate": _duplicate,
        "split": lambda effect, _rng, _error: Split(effect.size),
        "lump": lambda _effect, _rng, _error: Lump(),
        "error_event": _error_event,
    }
)
"""Every machine by the name of its fault."""

KEEPS_LENGTH = frozenset({"stall", "garble", "split", "lump"})
"""Those after which a reply has as many bytes as before and ends as it would have."""


def machine(effect: InBody, rng: Random, error_frame: bytes) -> Machine:
    """A machine for one reply.

    Args:
        effect: what shall be done.
        rng: what is drawn comes from it.
        error_frame: ``effect.failure`` as the provider writes it into a stream.
    """
    return KINDS[effect.kind](effect, rng, error_frame)


def dress(
    reply_chunks: tuple[Chunk, ...], ended_at: float, end: End, machine: Machine
) -> tuple[tuple[Chunk, ...], float, End]:
    """Chunks, end and kind of end of a reply that is there whole, after a machine."""
    out: list[Chunk] = []
    at = ended_at
    for chunk in reply_chunks:
        at = chunk.offset
        out += machine.feed(chunk)
        if machine.ended:
            return tuple(out), at, machine.ended
    out += machine.end(ended_at)
    left = out[-1].offset if out else 0.0
    if machine.ended:
        return tuple(out), max(at, left), machine.ended
    return tuple(out), max(ended_at, left), end


def unmeasured(headers: Headers, effect: InBody) -> Headers:
    """The headers without ``content-length`` where it may no longer be true."""
    if effect.kind in KEEPS_LENGTH:
        return headers
    return tuple(line for line in headers if line[0].lower() != "content-length")
