"""Changes a reply that is there already: when its chunks leave, and where it breaks off.

Whoever gave it: what is played is made of values. What a reply shall be from the start, a maker
of replies knows better than this.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from llmproxy import rhythm, sse
from llmproxy.interaction import Chunk, Headers, Reply
from llmproxy.rhythm import PaceSettings

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE_END = re.compile(rb"\n")
_LONGEST = 100_000
"""Tokens of a whole reply that are reckoned with."""


def is_stream(reply: Reply) -> bool:
    """Whether it is a stream of events or of JSON lines."""
    kind = _content_type(reply)
    return sse.is_event_stream(kind) or sse.is_ndjson(kind)


def retimed(
    reply: Reply,
    chunks: Sequence[Chunk],
    pace: PaceSettings,
    tokens: int,
    load: float,
    rng: Random,
) -> Reply:
    """The reply at other moments: an event of a stream takes the time of a token.

    Args:
        reply: one that is there already.
        chunks: its chunks.
        pace: what sets the moments.
        tokens: of a reply that is no stream, which takes as long as its stream would have.
        load: requests in flight, for ``degradation``.
        rng: for jitter.
    """
    if is_stream(reply):
        ends = _ends(reply)
        frames = [(max(len(ends.findall(each.data)), 1), len(each.data)) for each in chunks]
        moments = rhythm.offsets(pace, frames, 0, load, rng)
        head_at, offsets, ended_at = moments.head_at, moments.offsets, moments.ended_at
    else:
        head_at = ended_at = rhythm.whole(pace, [(1, 4)] * min(tokens, _LONGEST), 0, load, rng)
        offsets = (ended_at,) * len(chunks)
    timed = zip(offsets, chunks, strict=True)
    return replace(
        reply,
        head=b"",
        head_at=head_at,
        chunks=tuple(Chunk(offset, chunk.data, chunk.tokens) for offset, chunk in timed),
        ended_at=ended_at,
    )


def broken_off(reply: Reply, chunks: Sequence[Chunk], after: int, error: bytes) -> Reply:
    """A stream that ends with ``error`` after ``after`` events, at the latest before its last."""
    ends = [match.end() for match in _ends(reply).finditer(b"".join(c.data for c in chunks))]
    left = ends[min(after, len(ends) - 1) - 1] if after and len(ends) > 1 else 0
    kept = []
    at = chunks[0].offset if chunks else reply.head_at
    for chunk in chunks:
        if left <= 0:
            break
        at = chunk.offset
        kept.append(Chunk(at, chunk.data[:left]))
        left -= len(chunk.data)
    headers = tuple(line for line in reply.headers if line[0].lower() != "content-length")
    return replace(
        reply,
        head=b"",
        headers=headers,
        chunks=(*kept, Chunk(at, error)),
        ended_at=at,
        end="eof",
    )


def later(reply: Reply, seconds: float) -> Reply:
    """The reply, ``seconds`` later, with the rhythm that it had."""
    assert isinstance(reply.chunks, tuple)
    return replace(
        reply,
        head_at=reply.head_at + seconds,
        chunks=tuple(Chunk(c.offset + seconds, c.data, c.tokens) for c in reply.chunks),
        ended_at=None if reply.ended_at is None else reply.ended_at + seconds,
    )


def labelled(reply: Reply, labels: Headers, **changes: object) -> Reply:
    """The reply with further label lines."""
    return replace(reply, labels=(*reply.labels, *labels), head=b"", **changes)  # type: ignore[arg-type]  # by field name


def with_lines(reply: Reply, lines: Headers) -> Reply:
    """The reply with these header lines in place of those of the same names."""
    if not lines:
        return reply
    names = {name.lower() for name, _ in lines}
    kept = tuple(line for line in reply.headers if line[0].lower() not in names)
    return replace(reply, headers=(*kept, *lines), head=b"")


def _ends(reply: Reply) -> re.Pattern[bytes]:
    return _LINE_END if sse.is_ndjson(_content_type(reply)) else _EVENT_END


def _content_type(reply: Reply) -> str:
    return next((v for name, v in reply.headers if name.lower() == "content-type"), "")
