"""Server-sent events: the WHATWG's rules, any split, and the end of a body."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmproxy.sse import (
    Event,
    EventReader,
    is_event_stream,
    is_ndjson,
    last_blocks,
    last_events,
    last_lines,
    last_records,
    read_events,
)

FRAGMENTS = [
    *(b"data", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\xff", b"\xef\xbb\xbf"),
    *(b"event: x", b"id: 7", b"id: a\0b", b"data: one", b"data:two", b"retry: 1", "ü€".encode()),
]
PIECES = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join)


def feed(body: bytes, cuts: list[int]) -> list[Event]:
    reader = EventReader()
    events: list[Event] = []
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in pairwise(edges):
        events += reader.feed(body[start:end])
    return events + reader.finish()


@settings(deadline=None)
@given(PIECES, st.lists(st.integers(min_value=0, max_value=400), max_size=8))
def test_any_split_of_the_bytes_reads_the_same(body: bytes, cuts: list[int]) -> None:
    assert feed(body, cuts) == read_events(body)


@settings(deadline=None)
@given(PIECES)
def test_byte_by_byte_reads_the_same(body: bytes) -> None:
    assert feed(body, list(range(len(body)))) == read_events(body)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_end_counts(end: bytes) -> None:
    body = end.join([b"event: e", b"id: 1", b"data: a", b"data: b", b"", b"data: c", b"", b""])
    assert read_events(body) == [Event("e", "a\nb", "1"), Event("", "c", "1")]


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b"data\n\n", [""]),
        (b"data:\n\n", [""]),
        (b"data: \n\n", [""]),
        (b"data\ndata\n\n", ["\n"]),
        (b"data:x\n\n", ["x"]),
        (b"data:  x\n\n", [" x"]),
        (b"data: a:b\n\n", ["a:b"]),
        (b"data: a\n\n\n\ndata: b\n\n", ["a", "b"]),
        (b"\xef\xbb\xbfdata: bom\n\n", ["bom"]),
        (b"\n\xef\xbb\xbfdata: not at the start\n\n", []),
        (b": comment\n\n", []),
        (b": comment\ndata: x\n: another\n\n", ["x"]),
        (b"event: only a name\n\n", []),
        (b"Data: names are case sensitive\n\n", []),
        (b" data: a leading space is part of the name\n\n", []),
        (b"retry: 100\ndata: x\n\n", ["x"]),
        (b"data: \xff\n\n", ["\N{REPLACEMENT CHARACTER}"]),
        (b"data: a\xc2\x85b\x0cc\xe2\x80\xa8d\n\n", ["a\x85b\x0cc\N{LINE SEPARATOR}d"]),
    ],
)
def test_fields_are_read_by_the_standard(body: bytes, data: list[str]) -> None:
    assert [event.data for event in read_events(body)] == data


def test_a_name_holds_for_one_event_and_an_id_until_the_next() -> None:
    body = b"event: a\nid: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\nid: 2\0\ndata: w\n\n"
    assert read_events(body) == [
        Event("a", "x", "1"),
        Event("", "y", "1"),
        Event("", "z", ""),
        Event("", "w", ""),
    ]


def test_an_event_without_data_forgets_its_name() -> None:
    assert read_events(b"event: a\n\ndata: x\n\n") == [Event("", "x")]


def test_an_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    reader = EventReader()
    assert reader.feed(b"data: x\r\n") == []
    assert reader.feed(b"\r") == [Event("", "x")]
    assert reader.feed(b"\ndata: y\n\n") == [Event("", "y")]
    assert reader.finish() == []


@pytest.mark.parametrize(
    ("body", "last"), [(b"data: cut", "cut"), (b"data: x\n", "x"), (b"data: x\r", "x")]
)
def test_a_broken_off_event_is_given_at_the_end(body: bytes, last: str) -> None:
    reader = EventReader()
    assert reader.feed(body) == []
    assert reader.finish() == [Event("", last)]
    assert reader.finish() == []


@pytest.mark.parametrize(
    "body", [b"data: " + b"x" * 100, b": " + b"x" * 100, b"data\n" * 100, b"data: xxxx\n" * 20]
)
def test_an_event_or_line_above_the_limit_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="larger than 64 bytes"):
        EventReader(limit=64).feed(body)


def test_the_limit_is_for_one_event_not_for_the_stream() -> None:
    assert len(EventReader(limit=64).feed(b"data: 0123456789\n\n" * 1000)) == 1000


def test_reading_byte_by_byte_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        reader = EventReader()
        start = time.perf_counter()
        for _ in range(size):
            reader.feed(b"x")
        return time.perf_counter() - start

    assert min(seconds(80_000) for _ in range(3)) < 40 * min(seconds(8_000) for _ in range(3))


@pytest.mark.parametrize(
    ("content_type", "stream", "ndjson"),
    [
        ("text/event-stream", True, False),
        ("Text/Event-Stream ; charset=utf-8", True, False),
        ("application/x-ndjson", False, True),
        ("application/jsonl; charset=utf-8", False, True),
        ("application/json", False, False),
        ("text/event-streams", False, False),
        ("", False, False),
    ],
)
def test_the_content_type_says_what_a_body_is(
    content_type: str, stream: bool, ndjson: bool
) -> None:
    assert (is_event_stream(content_type), is_ndjson(content_type)) == (stream, ndjson)


@settings(deadline=None)
@given(PIECES, st.integers(min_value=1, max_value=6), st.integers(min_value=1, max_value=64))
def test_the_last_events_are_those_of_the_whole_body(body: bytes, count: int, window: int) -> None:
    expected = [(event.event, event.data) for event in read_events(body)]
    found = [(event.event, event.data) for event in last_events(body, count)]
    assert found == expected[-count:]
    through_a_window = [(event.event, event.data) for event in last_events(body, count, window)]
    assert through_a_window == expected[-count:][len(expected[-count:]) - len(through_a_window) :]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_only_the_end_of_a_long_body_is_read(end: bytes) -> None:
    body = b"".join(b"data: %d" % number + end * 2 for number in range(100_000))
    assert [event.data for event in last_events(body, 3)] == ["99997", "99998", "99999"]
    assert len(list(last_blocks(body, 8192))) <= 8192 // 8


def test_blocks_come_once_each_though_the_window_grows() -> None:
    body = b"".join(b"data: %d\n\n" % number for number in range(3000)) + b"\n\r\n: tail\r\n"
    given = [block.strip() for block in last_blocks(body)]
    assert given == [b": tail", *(b"data: %d" % number for number in reversed(range(3000)))]


def test_a_last_event_larger_than_the_window_is_found() -> None:
    body = b"data: first\n\n" + b"data: " + b"x" * 300_000 + b"\n\n"
    assert len(last_events(body, 1)[0].data) == 300_000


def test_a_body_that_is_one_endless_event_is_not_read_whole() -> None:
    assert last_events(b"data: a\n\ndata: " + b"x" * (5 * 2**20)) == []


def test_a_byte_order_mark_inside_a_body_is_not_one() -> None:
    body = b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n"
    assert [event.data for event in last_events(body, 2)] == ["a", "c"]
    assert last_events(b"\xef\xbb\xbfdata: a\n\n") == [Event("", "a")]


def test_records_are_events_or_lines() -> None:
    assert last_records("text/event-stream", b"data: 1\n\ndata: 2\n\n", 1) == [Event("", "2")]
    lines = b'{"a":1}\r\n\n{"b":2}\n{"c":3}'
    assert [record.data for record in last_records("application/x-ndjson", lines, 2)] == [
        '{"b":2}',
        '{"c":3}',
    ]
    assert last_records("application/json", b"{}") == []
    long = b"".join(b"%d\n" % number for number in range(100_000)) + b"y" * 100_000 + b"\n"
    assert list(last_lines(long)) == [b"y" * 100_000, *_numbers(long)]


def _numbers(body: bytes) -> list[bytes]:
    """The lines that lie whole in the window that the long last line made necessary."""
    inside = body[-8 * 65536 :].splitlines()
    return inside[-2:0:-1]
