"""Replies that leave whole and at one moment, whoever gives them."""

from __future__ import annotations

from http import HTTPStatus

from llmproxy.interaction import NO_FACTS, Chunk, Facts, Headers, Reply, Source

_REASONS = {status.value: status.phrase for status in HTTPStatus}


def whole(
    source: Source,
    status: int,
    headers: Headers,
    body: bytes,
    *,
    labels: Headers = (),
    at: float = 0.0,
    miss: str = "",
    facts: Facts = NO_FACTS,
) -> Reply:
    """A reply of one chunk, ``at`` seconds after the request; its content-length is added."""
    return Reply(
        source=source,
        status=status,
        reason=_REASONS.get(status, ""),
        headers=(*headers, ("content-length", str(len(body)))),
        head_at=at,
        chunks=(Chunk(at, body),),
        ended_at=at,
        labels=labels,
        miss=miss,
        facts=facts,
    )
