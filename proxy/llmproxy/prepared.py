"""Recorded responses made ready to be played: once for each that is asked for again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from llmproxy.addressing import leads_to, rewrite_origin
from llmproxy.asked import Asked
from llmproxy.forward import POINTS_BACK
from llmproxy.interaction import Chunk, Facts, Headers, Level, RecordedResponse, Reply
from llmproxy.pacing import Pace
from llmproxy.redaction import is_credential_header
from llmproxy.upstreams import Upstream
from llmproxy.wire import HOP_BY_HOP, has_no_body

K = TypeVar("K", bound=Hashable)

PREPARED_BYTES = 16 * 2**20
"""How much of prepared replies stays in memory, in bytes."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A reply made ready once; ``heads`` are its heads as bytes, by level of the match.

    ``points_back`` says that a header leads to the upstream and has to lead here.
    """

    reply: Reply
    points_back: bool
    heads: dict[Level, bytes] = field(default_factory=dict)


class PreparedReplies(Generic[K]):
    """Those that were asked for; all are forgotten when they become too much."""

    def __init__(self) -> None:
        self._prepared: dict[K, Prepared] = {}
        self._bytes = 0

    def get(self, key: K) -> Prepared | None:
        return self._prepared.get(key)

    def put(self, key: K, prepared: Prepared) -> Prepared:
        chunks = prepared.reply.chunks
        size = sum(len(c.data) for c in chunks) if isinstance(chunks, tuple) else 0
        if size < PREPARED_BYTES // 4:
            self._bytes += size + 2000
            if self._bytes > PREPARED_BYTES:
                self._prepared.clear()
                self._bytes = size + 2000
            self._prepared[key] = prepared
        return prepared


def prepare(method: str, response: RecordedResponse, facts: Facts, pace: Pace) -> Prepared:
    """The reply that plays ``response``, which a request by ``method`` got, at ``pace``."""
    chunks, head_at, ended_at = response.chunks, response.head_at, response.ended_at
    if not pace.as_recorded:
        moments = pace.retime([head_at, *(chunk.offset for chunk in chunks), ended_at])
        head_at, *offsets, ended_at = moments
        chunks = tuple(
            Chunk(offset, chunk.data) for offset, chunk in zip(offsets, chunks, strict=True)
        )
    headers = _replayed(method, response)
    reply = Reply(
        source="replayed",
        status=response.status,
        reason=response.reason,
        headers=headers,
        head_at=head_at,
        chunks=chunks,
        ended_at=ended_at,
        end=response.end,
        facts=facts,
    )
    return Prepared(reply, any(name.lower() in POINTS_BACK for name, _ in headers))


def pointing_back(headers: Headers, asked: Asked, upstreams: Sequence[Upstream]) -> Headers:
    """The headers with those that lead to the upstream leading through us."""
    to = asked.address(upstreams)
    ours = leads_to(asked.ours, to, upstreams)
    return tuple(
        (n, rewrite_origin(v, to.upstream, ours) if n.lower() in POINTS_BACK else v)
        for n, v in headers
    )


def _replayed(method: str, response: RecordedResponse) -> Headers:
    """The recorded header lines that are sent: none of one connection, none that is secret.

    A content-length is made true again where redaction or decoding changed the body; where
    the response broke off it stays, since the client saw fewer bytes than announced.
    """
    size = sum(len(chunk.data) for chunk in response.chunks)
    headers = []
    for name, value in response.headers:
        low = name.lower()
        if low in HOP_BY_HOP or is_credential_header(low):
            continue
        if low == "content-length" and not has_no_body(method, response.status):
            announced = int(value) if value.isdecimal() and len(value) < 20 else 0
            if response.end == "reset" and announced > size:
                headers.append((name, value))
            elif response.end == "eof":
                headers.append((name, str(size)))
        else:
            headers.append((name, value))
    return tuple(headers)
