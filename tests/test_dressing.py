"""What is changed of a reply that is there already: its moments, and where it breaks off."""

from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.dressing import broken_off, is_stream, retimed
from llmproxy.interaction import Chunk, Reply
from llmproxy.rhythm import PaceSettings

EVENTS = [b"data: %d\n\n" % number for number in range(5)]
LINES = [b'{"n":%d}\n' % number for number in range(5)]
ERROR = b"event: error\n\n"


def stream(*data: bytes, kind: str = "text/event-stream") -> tuple[Reply, tuple[Chunk, ...]]:
    chunks = tuple(Chunk(0.1 * number, each) for number, each in enumerate(data))
    headers = (("Content-Type", kind),)
    reply = Reply("replayed", 200, "OK", headers, 0.05, chunks, 0.1 * len(data), head=b"old")
    return reply, chunks


def data_of(reply: Reply) -> bytes:
    assert isinstance(reply.chunks, tuple)
    return b"".join(chunk.data for chunk in reply.chunks)


@pytest.mark.parametrize(
    ("kind", "yes"),
    [
        ("text/event-stream; charset=utf-8", True),
        ("application/x-ndjson", True),
        ("application/json", False),
    ],
)
def test_a_stream_is_known_by_its_type(kind: str, yes: bool) -> None:
    assert is_stream(stream(kind=kind)[0]) is yes


@pytest.mark.parametrize(
    ("kind", "parts"), [("text/event-stream", EVENTS), ("application/x-ndjson", LINES)]
)
@pytest.mark.parametrize("after", range(5))
def test_a_stream_breaks_off_after_so_many_whole_events(
    kind: str, parts: list[bytes], after: int
) -> None:
    broken = broken_off(*stream(*parts, kind=kind), after, ERROR)
    assert data_of(broken) == b"".join(parts[:after]) + ERROR
    assert broken.head == b""
    assert broken.end == "eof"


def test_a_stream_breaks_off_before_its_last_event_at_the_latest() -> None:
    assert data_of(broken_off(*stream(*EVENTS), 99, ERROR)) == b"".join(EVENTS[:4]) + ERROR


@pytest.mark.parametrize("parts", [[], [b"data: 1\n\n"], [b"no end"]])
def test_a_stream_without_two_events_is_the_error_alone(parts: list[bytes]) -> None:
    assert data_of(broken_off(*stream(*parts), 3, ERROR)) == ERROR


def test_a_stream_that_was_measured_is_so_no_longer() -> None:
    reply, chunks = stream(*EVENTS)
    measured = replace(reply, headers=(*reply.headers, ("Content-Length", "55")))
    assert broken_off(measured, chunks, 2, ERROR).headers == reply.headers


def test_the_error_comes_with_the_last_chunk_that_was_kept() -> None:
    broken = broken_off(*stream(*EVENTS), 2, ERROR)
    assert isinstance(broken.chunks, tuple)
    assert [chunk.offset for chunk in broken.chunks] == pytest.approx([0.0, 0.1, 0.1])
    assert broken.ended_at == pytest.approx(0.1)


@given(st.lists(st.integers(1, 12), max_size=8), st.integers(0, 7))
def test_where_chunks_are_cut_does_not_matter(sizes: list[int], after: int) -> None:
    whole, rest = b"".join(EVENTS), list(itertools.accumulate(sizes))
    cuts = [0, *[at for at in rest if at < len(whole)], len(whole)]
    parts = [whole[a:b] for a, b in itertools.pairwise(cuts)]
    assert data_of(broken_off(*stream(*parts), after, ERROR)) == data_of(
        broken_off(*stream(*EVENTS), after, ERROR)
    )


def test_an_event_takes_the_time_of_a_token() -> None:
    reply, chunks = stream(EVENTS[0], EVENTS[1] + EVENTS[2], EVENTS[3])
    pace = PaceSettings(ttft=1.0, tokens_per_second=10)
    slower = retimed(reply, chunks, pace, 0, 0, Random(0))
    assert isinstance(slower.chunks, tuple)
    assert slower.head_at == pytest.approx(1.0)
    assert [chunk.offset for chunk in slower.chunks] == pytest.approx([1.0, 1.2, 1.3])
    assert [chunk.data for chunk in slower.chunks] == [chunk.data for chunk in chunks]


def test_a_whole_reply_takes_as_long_as_its_tokens_would() -> None:
    reply, chunks = stream(b'{"a":1}', kind="application/json")
    slower = retimed(reply, chunks, PaceSettings(ttft=1.0, tokens_per_second=10), 11, 0, Random(0))
    assert (slower.head_at, slower.ended_at) == pytest.approx((2.0, 2.0))


def test_no_pace_at_all_is_at_once() -> None:
    at_once = retimed(*stream(*EVENTS), PaceSettings(), 0, 0, Random(0))
    assert isinstance(at_once.chunks, tuple)
    assert {chunk.offset for chunk in at_once.chunks} == {0.0}
