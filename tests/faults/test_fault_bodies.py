"""What each machine makes of a reply, and what holds for every reply."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy import sse
from llmproxy.faults import machines, strokes
from llmproxy.faults.bodies import KEEPS_LENGTH, KINDS, dress, machine, unmeasured
from llmproxy.faults.effects import READERS
from llmproxy.faults.fault import InBody
from llmproxy.interaction import Chunk, End

ERROR = b"data: {error}\n\n"

Rows = list[tuple[float, bytes]]

ABCD: Rows = [(0.1, b"aa"), (0.2, b"bb"), (0.3, b"cc"), (0.9, b"dd")]
ONE: Rows = [(0.5, b"whole")]
ENDED = 1.0


def chunks(rows: Rows) -> tuple[Chunk, ...]:
    return tuple(Chunk(offset, data) for offset, data in rows)


def dressed(effect: InBody, rows: Rows, end: End = "eof") -> tuple[Rows, float, End]:
    made = machine(effect, Random(1), ERROR)
    out, ended_at, ended = dress(chunks(rows), ENDED, end, made)
    return [(chunk.offset, chunk.data) for chunk in out], ended_at, ended


TABLE: list[tuple[InBody, Rows, Rows, float, End]] = [
    # cut before a chunk: at its moment
    (InBody("cut", (3, 3)), ABCD, ABCD[:2], 0.3, "reset"),
    (InBody("cut", (1, 1)), ABCD, [], 0.1, "reset"),
    (InBody("cut", (4, 4)), ABCD, ABCD[:3], 0.9, "reset"),
    (InBody("cut", (9, 9)), ABCD, ABCD[:3], 0.9, "reset"),
    (InBody("cut", (2, 2)), ONE, [], 0.5, "reset"),
    (InBody("cut", (2, 2)), [], [], ENDED, "reset"),
    # cut at a byte
    (InBody("cut", at_byte=3), ABCD, [(0.1, b"aa"), (0.2, b"b")], 0.2, "reset"),
    (InBody("cut", at_byte=4), ABCD, ABCD[:2], 0.3, "reset"),
    (InBody("cut", at_byte=0), ABCD, [], 0.1, "reset"),
    (InBody("cut", at_byte=8), ABCD, [*ABCD[:3], (0.9, b"d")], 0.9, "reset"),
    (InBody("cut", at_byte=99), ABCD, [*ABCD[:3], (0.9, b"d")], 0.9, "reset"),
    (InBody("cut", at_byte=99), [(0.1, b"a")], [], 0.1, "reset"),
    (InBody("cut", at_byte=5), [], [], ENDED, "reset"),
    # stall: what would have come meanwhile comes with the late chunk
    (InBody("stall", (2, 2), time=0.3), ABCD,
     [(0.1, b"aa"), (0.5, b"bb"), (0.5, b"cc"), (0.9, b"dd")], ENDED, "eof"),
    (InBody("stall", (1, 1), time=2), ABCD, [(2.1, data) for _, data in ABCD], 2.1, "eof"),
    (InBody("stall", (9, 9), time=2), ABCD, [*ABCD[:3], (2.9, b"dd")], 2.9, "eof"),
    (InBody("stall", (2, 2), time=2), ONE, [(2.5, b"whole")], 2.5, "eof"),
    (InBody("stall", (2, 2), time=2), [], [], ENDED, "eof"),
    # drop and duplicate
    (InBody("drop", (2, 2)), ABCD, [ABCD[0], *ABCD[2:]], ENDED, "eof"),
    (InBody("drop", (7, 7)), ABCD, ABCD[:3], ENDED, "eof"),
    (InBody("drop", (7, 7)), ONE, [], ENDED, "eof"),
    (InBody("duplicate", (2, 2)), ABCD, [*ABCD[:2], *ABCD[1:]], ENDED, "eof"),
    (InBody("duplicate", (7, 7)), ABCD, [*ABCD, ABCD[3]], ENDED, "eof"),
    (InBody("duplicate", (7, 7)), [], [], ENDED, "eof"),
    # garble, as the generator has it
    (InBody("garble", (2, 2)), ABCD, [ABCD[0], (0.2, b"%%"), *ABCD[2:]], ENDED, "eof"),
    (InBody("garble", (9, 9)), ONE, [(0.5, b"~*??&")], ENDED, "eof"),
    # split and lump
    (InBody("split", size=1), ABCD[:2], [(0.1, b"a"), (0.1, b"a"), (0.2, b"b"), (0.2, b"b")],
     ENDED, "eof"),
    (InBody("split", size=2), ONE, [(0.5, b"wh"), (0.5, b"ol"), (0.5, b"e")], ENDED, "eof"),
    (InBody("split", size=5), ONE, ONE, ENDED, "eof"),
    (InBody("lump"), ABCD, [(0.9, b"aabbccdd")], ENDED, "eof"),
    (InBody("lump"), [], [], ENDED, "eof"),
    # an error event: in the place of the chunk that follows, at the latest of the last
    (InBody("error_event", (3, 3)), ABCD, [*ABCD[:2], (0.3, ERROR)], 0.3, "eof"),
    (InBody("error_event", (1, 1)), ABCD, [(0.1, ERROR)], 0.1, "eof"),
    (InBody("error_event", (9, 9)), ABCD, [*ABCD[:3], (0.9, ERROR)], 0.9, "eof"),
    (InBody("error_event", (2, 2)), [], [(ENDED, ERROR)], ENDED, "eof"),
]  # fmt: skip


@pytest.mark.parametrize(("effect", "came", "leaves", "ended_at", "end"), TABLE)
def test_a_machine_makes_of_a_reply_what_it_should(
    effect: InBody, came: Rows, leaves: Rows, ended_at: float, end: End
) -> None:
    out, at, how = dressed(effect, came)
    assert out == leaves
    assert at == pytest.approx(ended_at)
    assert how == end


def test_every_machine_stands_in_the_table_and_can_be_written() -> None:
    assert {row[0].kind for row in TABLE} == set(KINDS)
    assert set(KINDS) <= set(READERS)
    assert set(KINDS) >= KEEPS_LENGTH


@pytest.mark.parametrize("kind", ["stall", "garble", "drop", "duplicate", "split", "lump"])
def test_a_reply_that_broke_off_still_does(kind: str) -> None:
    assert dressed(InBody(kind, (2, 2)), ABCD, "reset")[2] == "reset"


def test_an_error_event_ends_a_reply_that_broke_off_cleanly() -> None:
    assert dressed(InBody("error_event", (2, 2)), ABCD, "reset")[2] == "eof"


def test_of_several_chunks_one_is_drawn_evenly() -> None:
    cut_before = [
        len(dress(chunks([(0.0, b"x")] * 9), 1.0, "eof", made)[0]) + 1
        for made in (machine(InBody("cut", (3, 7)), Random(seed), b"") for seed in range(500))
    ]
    counts = [cut_before.count(number) for number in range(10)]
    assert sum(counts[3:8]) == 500
    assert min(counts[3:8]) > 70


def test_nothing_is_held_back_once_the_chunk_has_been_struck() -> None:
    for effect in (InBody("garble", (1, 1)), InBody("duplicate", (1, 1)), InBody("stall", (1, 1))):
        made = machine(effect, Random(1), b"")
        for chunk in chunks(ABCD):
            assert list(made.feed(chunk))
        assert list(made.end(1.0)) == []


def test_before_that_one_chunk_waits_for_the_next() -> None:
    made = machine(InBody("drop", (4, 4)), Random(1), b"")
    assert [len(tuple(made.feed(chunk))) for chunk in chunks(ABCD)] == [0, 1, 1, 1]


def test_a_machine_that_has_ended_a_reply_gives_nothing_more() -> None:
    for effect in (InBody("cut", (1, 1)), InBody("cut", at_byte=1), InBody("error_event", (1, 1))):
        made = machine(effect, Random(1), ERROR)
        list(made.feed(Chunk(0.0, b"abc")))
        assert made.ended
        assert list(made.feed(Chunk(1.0, b"def"))) == list(made.end(2.0)) == []


def test_chunks_without_bytes_do_not_count() -> None:
    rows = [(0.1, b"a"), (0.2, b""), (0.3, b"b"), (0.4, b"c")]
    assert dressed(InBody("cut", (3, 3)), rows)[0] == [(0.1, b"a"), (0.3, b"b")]


# bounds


def test_a_lump_that_grows_too_large_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "MOST_LUMPED", 5)
    assert dressed(InBody("lump"), ABCD)[0] == [(0.3, b"aabbcc"), (0.9, b"dd")]


def test_a_lump_holds_no_more_chunks_than_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "MOST_LUMPED", 2)
    made = machine(InBody("lump"), Random(1), b"")
    given = [list(made.feed(Chunk(0.0, data))) for data in (b"", b"", b"", b"x")]
    assert given == [[], [], [], [Chunk(0.0, b"x")]]


def test_a_reply_is_split_into_a_bounded_number_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "MOST_PIECES", 3)
    rows: Rows = [(0.0, b"ab"), (1.0, b"cdef"), (2.0, b"gh")]
    out, _, _ = dressed(InBody("split", size=1), rows)
    assert out == [(0.0, b"a"), (0.0, b"b"), (1.0, b"cdef"), (2.0, b"gh")]


# what holds for every reply

EVENTS = (
    b'event: delta\ndata: {"a":1}\n\nid: 7\n: ping\ndata:[1,\r\ndata: 2]\r\n\r\ndata: [DONE]\n\n'
)
effects = st.builds(
    InBody,
    st.sampled_from(sorted(KINDS)),
    st.tuples(st.integers(1, 5), st.integers(0, 3)).map(lambda pair: (pair[0], sum(pair))),
    at_byte=st.none() | st.integers(0, 40),
    time=st.floats(0.001, 5),
    size=st.integers(1, 7),
)
bodies = st.lists(
    st.tuples(
        st.floats(0, 3), st.sampled_from([b"", b"\n", b"data: {}\n\n"]) | st.binary(max_size=12)
    ),
    max_size=8,
).map(lambda rows: sorted(rows, key=lambda row: row[0]))


def cut_up(data: bytes, at: list[int]) -> Rows:
    """The data in chunks that end at these places."""
    ends = sorted({min(each, len(data)) for each in at} | {len(data)})
    starts = [0, *ends[:-1]]
    return [(n / 10, data[a:b]) for n, (a, b) in enumerate(zip(starts, ends, strict=True))]


@given(effects, bodies, st.integers(0, 99), st.sampled_from(["eof", "reset"]))
def test_dressing_equals_feeding_one_by_one(
    effect: InBody, rows: Rows, seed: int, end: End
) -> None:
    whole = dress(chunks(rows), 3.0, end, machine(effect, Random(seed), ERROR))
    made = machine(effect, Random(seed), ERROR)
    fed = [out for chunk in chunks(rows) for out in made.feed(chunk)]
    fed += made.end(3.0)
    assert whole[0] == tuple(fed)
    assert whole[2] == (made.ended or end)


@given(effects, bodies, st.integers(0, 99))
def test_moments_never_go_back_and_the_end_comes_last(
    effect: InBody, rows: Rows, seed: int
) -> None:
    out, ended_at, _ = dress(chunks(rows), 3.0, "eof", machine(effect, Random(seed), ERROR))
    offsets = [chunk.offset for chunk in out]
    assert offsets == sorted(offsets)
    assert not offsets or ended_at >= offsets[-1]


@given(effects, bodies, st.integers(0, 99))
def test_what_keeps_the_length_keeps_it(effect: InBody, rows: Rows, seed: int) -> None:
    out, _, end = dress(chunks(rows), 3.0, "eof", machine(effect, Random(seed), ERROR))
    if effect.kind in KEEPS_LENGTH:
        assert sum(len(chunk.data) for chunk in out) == sum(len(data) for _, data in rows)
        assert end == "eof"


@given(bodies, st.integers(1, 9))
def test_split_chunks_join_to_the_same_bytes_at_the_same_moments(rows: Rows, size: int) -> None:
    out, _, _ = dressed(InBody("split", size=size), rows)
    assert b"".join(data for _, data in out) == b"".join(data for _, data in rows)
    assert all(len(data) <= size for _, data in out)
    joined: dict[float, bytes] = {}
    expected: dict[float, bytes] = {}
    for offset, data in out:
        joined[offset] = joined.get(offset, b"") + data
    for offset, data in rows:
        expected[offset] = expected.get(offset, b"") + data
    assert joined == expected


@given(bodies)
def test_a_lump_has_all_bytes_at_the_moment_of_the_last(rows: Rows) -> None:
    out, _, _ = dressed(InBody("lump"), rows)
    body = b"".join(data for _, data in rows)
    assert out == ([(rows[-1][0], body)] if body else [])


@given(bodies, st.integers(1, 9))
def test_what_is_dropped_is_what_is_duplicated(rows: Rows, number: int) -> None:
    came = [data for _, data in rows if data]
    dropped = [data for _, data in dressed(InBody("drop", (number, number)), rows)[0]]
    doubled = [data for _, data in dressed(InBody("duplicate", (number, number)), rows)[0]]
    at = min(number, len(came)) - 1
    if came:
        assert dropped == came[:at] + came[at + 1 :]
        assert doubled == came[: at + 1] + came[at:]


@given(st.lists(st.integers(0, len(EVENTS)), max_size=6), st.integers(0, len(EVENTS) + 5))
def test_a_cut_at_a_byte_is_the_same_however_the_reply_is_cut(at: list[int], byte: int) -> None:
    out, _, end = dressed(InBody("cut", at_byte=byte), cut_up(EVENTS, at))
    assert b"".join(data for _, data in out) == EVENTS[: min(byte, len(EVENTS) - 1)]
    assert end == "reset"


@given(st.lists(st.integers(0, len(EVENTS)), max_size=6), st.integers(1, 5), st.integers(0, 99))
def test_garbling_keeps_the_framing_however_the_reply_is_cut(
    at: list[int], number: int, seed: int
) -> None:
    rows = cut_up(EVENTS, at)
    made = machine(InBody("garble", (number, number)), Random(seed), b"")
    out, _, _ = dress(chunks(rows), 3.0, "eof", made)
    assert [len(chunk.data) for chunk in out] == [len(data) for _, data in rows if data]
    before, after = sse.read_events(EVENTS), sse.read_events(b"".join(c.data for c in out))
    assert [(each.event, each.id) for each in after] == [(each.event, each.id) for each in before]
    assert [len(each.data) for each in after] == [len(each.data) for each in before]


@given(st.integers(0, 99), st.binary(min_size=1))
def test_every_byte_of_a_payload_changes(seed: int, payload: bytes) -> None:
    payload = b"{" + payload.replace(b"\r", b"").replace(b"\n", b"")
    made = machine(InBody("garble"), Random(seed), b"")
    (out,) = made.feed(Chunk(0.0, b"data: " + payload + b"\n\n"))
    assert out.data.startswith(b"data: ")
    assert out.data.endswith(b"\n\n")
    junk = out.data[6:-2]
    assert all(new != old for new, old in zip(junk, payload, strict=True))


def test_beyond_a_bound_garbling_keeps_only_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strokes, "MOST_FRAMED", 10)
    ((_, out),) = dressed(InBody("garble"), [(0.1, b"data: {}\n\ndata: {}\r\n")])[0]
    assert (out[:6], out[8:10], out[-2:]) == (b"data: ", b"\n\n", b"\r\n")
    assert set(out[10:-2]) <= set(b"#%&*?@^~")


def test_a_client_finds_no_json_in_a_garbled_event() -> None:
    data = b'event: delta\ndata: {"text":"caf\xc3\xa9"}\n\n'
    ((_, out),) = dressed(InBody("garble"), [(0.1, data)])[0]
    (event,) = sse.read_events(out)
    assert event.event == "delta"
    with pytest.raises(json.JSONDecodeError):
        json.loads(event.data)


def test_tokens_stay_with_what_carries_them() -> None:
    came = (Chunk(0.0, b"abcd", 3), Chunk(1.0, b"ef", 2))
    for effect in (InBody("split", size=1), InBody("lump"), InBody("garble"), InBody("stall")):
        out, _, _ = dress(came, 1.0, "eof", machine(effect, Random(1), b""))
        assert sum(chunk.tokens for chunk in out) == 5


def test_a_length_that_may_be_wrong_is_taken_away() -> None:
    headers = (("Content-Length", "5"), ("x-a", "b"))
    for kind in KINDS:
        kept = unmeasured(headers, InBody(kind))
        assert kept == (headers if kind in KEEPS_LENGTH else headers[1:])
