"""All of the real traffic end to end: recorded and replayed, it is what the provider answers.

The upstream is the tape provider beside the checkout: real replies in an uneven rhythm. What
it answers when asked directly is the measure. It keeps state from request to request, so
these tests run in one worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest

import program
from llmproxy.cassette import Cassette
from llmproxy.interaction import Interaction
from serve import recording, replaying
from sockets import Answer, ask

pytestmark = pytest.mark.xdist_group("tape")

AT_ONCE = 32
REDACTED = "<redacted>"
OF_ONE_CONNECTION = frozenset({"connection", "date", "transfer-encoding"})
"""Header lines that may differ between two answers to one request."""


@dataclass(frozen=True)
class Ask:
    """A request that the tape can answer."""

    id: str
    method: str
    path: str
    body: bytes
    stream: bool
    status: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What the tape takes for equal: several replies to equal requests are a sequence."""
        with contextlib.suppress(ValueError):
            return self.method, self.path, json.dumps(json.loads(self.body), sort_keys=True)
        return self.method, self.path, repr(self.body)

    async def of(self, url: str, *headers: str) -> Answer:
        kind = ["Content-Type: application/json"] if self.body else []
        if self.body.startswith(b"--"):
            boundary = self.body.split(b"\r\n")[0][2:].decode()
            kind = [f"Content-Type: multipart/form-data; boundary={boundary}"]
        return await ask(url, self.path, self.body, *kind, *headers, method=self.method)


@dataclass(frozen=True)
class Written:
    """What the tape wrote for one request: pieces as (seconds, bytes)."""

    id: str
    pieces: tuple[tuple[float, int], ...]


class Tape:
    """The tape provider: its requests, and what it tells of itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asks = [
            Ask(e["id"], e["method"], e["path"], e["body"].encode(), e["stream"], e["status"])
            for e in self._json("/__tape__/requests")
        ]

    def _json(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(self.url + path, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as response:
            return json.load(response)

    def forget(self) -> None:
        """Start all sequences over."""
        self._json("/__tape__/written", "DELETE")

    def written(self) -> list[Written]:
        return [
            Written(entry["id"], tuple((offset, size) for offset, size in entry["chunks"]))
            for entry in self._json("/__tape__/written")
        ]


async def one_at_a_time(asks: Sequence[Ask], url: str) -> list[Answer]:
    return [await each.of(url) for each in asks]


async def at_once(asks: Sequence[Ask], url: str) -> list[Answer]:
    """Up to 32 in flight, in no order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(each: Ask) -> Answer:
        async with gate:
            return await each.of(url)

    return await asyncio.gather(*map(one, asks))


async def in_sequences(asks: Sequence[Ask], url: str) -> list[Answer]:
    """At once, but equal requests one after the other, so that each gets its own reply."""
    gate = asyncio.Semaphore(AT_ONCE)
    sequences: dict[tuple[str, str, str], list[Ask]] = defaultdict(list)
    for each in asks:
        sequences[each.key].append(each)

    async def walk(sequence: list[Ask]) -> list[tuple[str, Answer]]:
        async with gate:
            return [(each.id, await each.of(url)) for each in sequence]

    walked = await asyncio.gather(*map(walk, sequences.values()))
    answers = dict(pair for pairs in walked for pair in pairs)
    return [answers[each.id] for each in asks]


def essence(answer: Answer) -> tuple[int, str | None, bytes, bool]:
    return answer.status, answer.header("content-type"), answer.body, answer.broken


def lines(answer: Answer) -> list[tuple[str, str]]:
    """The header lines that are the provider's."""
    return [
        (name, value)
        for name, value in answer.headers
        if name.lower() not in OF_ONE_CONNECTION and not name.startswith("x-llmproxy-")
    ]


def by_request(asks: Sequence[Ask], answers: Sequence[Answer]) -> dict[object, list[object]]:
    """What equal requests got, in no order."""
    found: dict[object, list[object]] = defaultdict(list)
    for each, answer in zip(asks, answers, strict=True):
        found[each.key].append(essence(answer))
    return {key: sorted(several, key=repr) for key, several in found.items()}


def kept(path: Path) -> list[Interaction]:
    with contextlib.closing(Cassette(path)) as cassette:
        return list(cassette.interactions())


@dataclass(frozen=True)
class Recorded:
    """All of the tape recorded once, one request at a time."""

    tape: Tape
    direct: list[Answer]
    live: list[Answer]
    written: list[Written]
    cassette: Path
    interactions: list[Interaction]

    def streams(self) -> Iterator[tuple[Ask, Written, Interaction]]:
        together = zip(self.tape.asks, self.written, self.interactions, strict=True)
        return (each for each in together if each[0].stream)


@pytest.fixture(scope="module")
def _no_proxy() -> Iterator[None]:
    """What ``_clean_environment`` does, for what lives longer than one test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def recorded(tape: str, _no_proxy: None, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    provider = Tape(tape)
    path = tmp_path_factory.mktemp("traffic") / "all.db"

    async def record() -> list[Answer]:
        plan = recording(f"tape={tape}", path, record__keep_transient=True)
        async with plan as service:
            return await one_at_a_time(provider.asks, service.url)

    provider.forget()
    direct = asyncio.run(in_sequences(provider.asks, tape))
    provider.forget()
    live = asyncio.run(record())
    return Recorded(provider, direct, live, provider.written(), path, kept(path))


# all 194


def test_the_tape_holds_what_these_tests_speak_of(recorded: Recorded) -> None:
    asks = recorded.tape.asks
    assert len(asks) == 194
    assert sum(each.stream for each in asks) == 55
    assert [answer.status for answer in recorded.direct] == [each.status for each in asks]


def test_while_recording_every_client_gets_what_the_provider_answers(recorded: Recorded) -> None:
    for each, live, direct in zip(recorded.tape.asks, recorded.live, recorded.direct, strict=True):
        assert essence(live) == essence(direct), each.id
        assert lines(live) == lines(direct), each.id


def test_the_program_replays_every_interaction_as_the_provider_answered(
    recorded: Recorded,
) -> None:
    with program.serve("replay", str(recorded.cassette), "--pace", "instant") as served:
        played = asyncio.run(one_at_a_time(recorded.tape.asks, served.url))
        status, out, _ = served.stop()
    assert (status, "194 replayed, 0 missed" in out) == (0, True)
    for each, answer, direct in zip(recorded.tape.asks, played, recorded.direct, strict=True):
        assert essence(answer) == essence(direct), each.id
        assert answer.header("x-llmproxy-match") == "exact", each.id
        assert answer.header("x-llmproxy-turn") is None, each.id


def test_replayed_header_lines_are_the_recorded_ones_but_for_what_is_redacted(
    recorded: Recorded,
) -> None:
    async def replay() -> list[Answer]:
        async with replaying(recorded.cassette) as service:
            return await one_at_a_time(recorded.tape.asks, service.url)

    redacted = set()
    for each, answer, live in zip(
        recorded.tape.asks, asyncio.run(replay()), recorded.live, strict=True
    ):
        played = lines(answer)
        assert [name for name, _ in played] == [name for name, _ in lines(live)], each.id
        differ = [now for now, was in zip(played, lines(live), strict=True) if now != was]
        assert {value for _, value in differ} <= {REDACTED}, each.id
        redacted |= {name.lower() for name, _ in differ}
    assert redacted <= {
        "anthropic-organization-id",
        "apim-request-id",
        "cf-ray",
        "openai-organization",
        "openai-project",
        "request-id",
        "x-request-id",
    }


FAULTS = """
faults:
  - {rate: 0.3, seed: 1, cut: {before_chunk: [1, 4]}}
  - {rate: 0.3, seed: 2, garble: {chunk: [1, 4]}}
  - {rate: 0.2, seed: 3, stall: {after_chunk: 1, time: 20ms}}
  - {rate: 0.2, seed: 4, drop: {chunk: 2}}
  - {rate: 0.2, seed: 5, slow: 1-20ms}
  - {rate: 0.2, seed: 6, lump: true}
  - {rate: 0.2, seed: 7, error_event: {status: 500, after_chunk: 2}}
limits:
  - {concurrency: 16, queue: 1000}
"""


def test_recorded_under_faults_every_interaction_is_whole_and_true(
    recorded: Recorded, tmp_path: Path
) -> None:
    """Clients get spoiled replies; the cassette has those of the provider, one and all."""
    path, tape = tmp_path / "faults.db", recorded.tape

    async def record() -> list[Answer]:
        plan = recording(f"tape={tape.url}", path, weather=FAULTS, record__keep_transient=True)
        async with plan as service:
            return await in_sequences(tape.asks, service.url)

    tape.forget()
    answers = asyncio.run(record())
    pairs = zip(answers, recorded.direct, strict=True)
    assert sum(essence(answer) != essence(direct) for answer, direct in pairs) > 50
    assert sorted(map(_content, kept(path))) == sorted(map(_content, recorded.interactions))


def _content(interaction: Interaction) -> tuple[str, bytes, int, bytes, str]:
    request, response = interaction.request, interaction.response
    return request.path, request.body, response.status, response.body, response.end


async def test_32_requests_at_once_are_recorded_and_replayed_as_the_provider_answers(
    recorded: Recorded, tmp_path: Path
) -> None:
    asks, tape = recorded.tape.asks, recorded.tape
    tape.forget()
    path = tmp_path / "at-once.db"
    async with recording(f"tape={tape.url}", path, record__keep_transient=True) as service:
        live = await at_once(asks, service.url)
    async with replaying(path) as service:
        played = await at_once(asks, service.url)
    assert "194 replayed, 0 missed" in service.summary()
    measure = by_request(asks, recorded.direct)
    assert by_request(asks, live) == measure
    assert by_request(asks, played) == measure


async def test_a_recording_made_in_turn_is_replayed_at_once(recorded: Recorded) -> None:
    asks = recorded.tape.asks
    async with replaying(recorded.cassette) as service:
        played = await at_once(asks, service.url)
    assert by_request(asks, played) == by_request(asks, recorded.direct)


def test_redaction_changes_no_body_of_the_traffic(recorded: Recorded) -> None:
    changed = []
    for each, direct, interaction in zip(
        recorded.tape.asks, recorded.direct, recorded.interactions, strict=True
    ):
        assert interaction.response.body == direct.body, each.id
        if interaction.request.body != each.body:
            changed.append((each, interaction.request.body))
    # one request tells who its user is, and nothing but that is taken out
    assert len(changed) == 1
    asked, now = changed[0]
    was = json.loads(asked.body)
    was["metadata"]["user_id"] = REDACTED
    assert json.loads(now) == was


# the time line


def test_a_json_reply_is_one_chunk(recorded: Recorded) -> None:
    for each, interaction in zip(recorded.tape.asks, recorded.interactions, strict=True):
        if not each.stream:
            assert len(interaction.response.chunks) == (interaction.response.body != b""), each.id


def test_recorded_chunks_are_the_pieces_that_were_written_or_joins_of_them(
    recorded: Recorded,
) -> None:
    pieces = chunks = 0
    for each, written, interaction in recorded.streams():
        assert written.id == each.id
        bounds = set(accumulate(size for _, size in written.pieces))
        cuts = list(accumulate(len(chunk.data) for chunk in interaction.response.chunks))
        assert set(cuts) <= bounds, each.id
        assert cuts[-1] == max(bounds), each.id
        pieces += len(written.pieces)
        chunks += len(cuts)
    assert chunks > pieces / 2, "pieces that left 2 ms apart came together more often than not"


def test_recorded_moments_stand_in_the_proportion_of_the_written_ones(recorded: Recorded) -> None:
    """A median over thousands of moments, so that a busy machine may be late now and then."""
    ratios = []
    for each, written, interaction in recorded.streams():
        response = interaction.response
        offsets = [chunk.offset for chunk in response.chunks]
        assert 0 <= response.head_at <= offsets[0], each.id
        assert offsets == sorted(offsets), each.id
        assert offsets[-1] <= response.ended_at, each.id
        ratios += proportions(written, interaction)
    assert len(ratios) > 300
    assert 0.9 < statistics.median(ratios) < 1.1
    low, *_, high = statistics.quantiles(ratios, n=10)
    assert low > 0.5
    assert high < 2


def proportions(written: Written, interaction: Interaction) -> list[float]:
    """How long after the first chunk each came, in parts of when it had been written."""
    moments = dict(
        zip(
            accumulate(size for _, size in written.pieces),
            (offset for offset, _ in written.pieces),
            strict=True,
        )
    )
    chunks = interaction.response.chunks
    ends = accumulate(len(chunk.data) for chunk in chunks)
    pairs = [(chunk.offset, moments[end]) for chunk, end in zip(chunks, ends, strict=True)]
    came, left = pairs[0]
    return [(now - came) / (was - left) for now, was in pairs if was - left > 0.02]


async def test_streams_leave_at_the_recorded_pace_in_the_recorded_chunks(
    recorded: Recorded,
) -> None:
    """All streams at once; no chunk ever leaves before its moment."""
    asked = [(each, interaction.response) for each, _, interaction in recorded.streams()]
    async with replaying(recorded.cassette, replay__pace=1.0) as service:
        answers = await asyncio.gather(*(each.of(service.url) for each, _ in asked))
    for (each, response), answer in zip(asked, answers, strict=True):
        assert [data for _, data in answer.chunks] == [c.data for c in response.chunks], each.id
        early = [
            chunk.offset - at for (at, _), chunk in zip(answer.chunks, response.chunks, strict=True)
        ]
        assert max(early) < 0.001, each.id


async def test_a_stream_takes_as_long_as_the_recorded_one(recorded: Recorded) -> None:
    """The longest five, one at a time, by the median of how much longer they take."""
    longest = sorted(recorded.streams(), key=lambda each: each[2].response.ended_at)[-5:]
    ratios = []
    async with replaying(recorded.cassette, replay__pace=1.0) as service:
        for each, _, interaction in longest:
            answer = await each.of(service.url)
            ratios.append(answer.chunks[-1][0] / interaction.response.chunks[-1].offset)
    assert 0.99 < statistics.median(ratios) < 1.5


# faults


@pytest.fixture
def provider(recorded: Recorded) -> Iterator[Tape]:
    recorded.tape.forget()
    yield recorded.tape
    recorded.tape.forget()


def pick(tape: Tape, wanted: Callable[[Ask], bool], number: int = 0) -> Ask:
    """An interaction whose request has one reply only, with a body that is worth cutting."""
    keys = [each.key for each in tape.asks]
    single = (e for e in tape.asks if keys.count(e.key) == 1 and e.status == 200 and wanted(e))
    return list(single)[number]


def a_stream(tape: Tape) -> Ask:
    return pick(tape, lambda each: each.stream and each.id.startswith("anthropic/"))


def a_document(tape: Tape, number: int = 0) -> Ask:
    return pick(tape, lambda e: not e.stream and e.path == "/v1/chat/completions", number)


Kind = Callable[[Tape], Ask]
either = pytest.mark.parametrize("kind", [a_stream, a_document])


@dataclass(frozen=True)
class Exchange:
    """One faulty answer: what the client got, what was kept, what is replayed."""

    live: Answer
    kept: Interaction
    played: Answer


async def exchange(tape: Tape, path: Path, each: Ask, fault: str) -> Exchange:
    header = f"x-tape-fault: {fault}"
    async with recording(f"tape={tape.url}", path, record__keep_transient=True) as service:
        live = await each.of(service.url, header)
    async with replaying(path) as service:
        return Exchange(live, kept(path)[0], await each.of(service.url))


@either
async def test_gzip_is_passed_on_to_the_byte_and_replayed_undone(
    provider: Tape, tmp_path: Path, kind: Kind
) -> None:
    each = kind(provider)
    direct = await each.of(provider.url, "x-tape-fault: gzip")
    plain = await each.of(provider.url)
    seen = await exchange(provider, tmp_path / "a.db", each, "gzip")
    assert direct.header("content-encoding") == "gzip"
    assert essence(seen.live) == essence(direct)
    assert lines(seen.live) == lines(direct)
    assert seen.kept.response.body == plain.body
    assert essence(seen.played) == essence(plain)
    assert seen.played.header("content-encoding") is None


async def test_gzip_in_pieces_keeps_the_boundaries_of_the_pieces(
    provider: Tape, tmp_path: Path
) -> None:
    each = a_stream(provider)
    await each.of(provider.url)
    plain = provider.written()[-1]
    seen = await exchange(provider, tmp_path / "a.db", each, "gzip")
    cuts = set(accumulate(len(chunk.data) for chunk in seen.kept.response.chunks))
    assert cuts <= set(accumulate(size for _, size in plain.pieces))
    assert len(cuts) > 1


@pytest.mark.parametrize(
    ("kind", "fault"), [(a_stream, "cut=3"), (a_document, "cut"), (a_document, "short")]
)
async def test_an_answer_that_breaks_off_breaks_off_again_at_the_same_byte(
    provider: Tape, tmp_path: Path, kind: Kind, fault: str
) -> None:
    each = kind(provider)
    whole = await each.of(provider.url)
    seen = await exchange(provider, tmp_path / "a.db", each, fault)
    assert seen.live.broken
    assert whole.body.startswith(seen.live.body)
    assert seen.kept.response.end == "reset"
    assert seen.kept.response.body == seen.live.body
    assert essence(seen.played) == essence(seen.live)
    assert seen.played.header("content-length") == seen.live.header("content-length")


@either
async def test_a_reset_before_the_answer_is_a_502_and_leaves_nothing(
    provider: Tape, tmp_path: Path, kind: Kind
) -> None:
    path = tmp_path / "a.db"
    plan = recording(f"tape={provider.url}", path, record__keep_transient=True)
    async with plan as service:
        answer = await kind(provider).of(service.url, "x-tape-fault: reset")
    assert (answer.status, answer.header("x-llmproxy-source")) == (502, "error")
    assert "tape" in answer.body.decode()
    assert kept(path) == []


async def test_a_stall_stands_in_the_time_line_where_it_was(provider: Tape, tmp_path: Path) -> None:
    each = a_stream(provider)
    seen = await exchange(provider, tmp_path / "a.db", each, "stall=0.4")
    pieces = next(w.pieces for w in provider.written() if w.id == each.id)
    ends = accumulate(size for _, size in pieces[: len(pieces) // 2])
    before = list(ends)[-1]
    at = 0
    gaps = []
    for chunk, after in pairwise(seen.kept.response.chunks):
        at += len(chunk.data)
        gaps.append((after.offset - chunk.offset, at))
    longest, place = max(gaps)
    assert place == before
    assert longest > 0.35
    assert essence(seen.live) == essence(seen.played) == essence(await each.of(provider.url))


@pytest.mark.parametrize(("keep", "replies"), [(True, [429, 200, 200]), (False, [200, 200, 200])])
async def test_a_429_is_passed_on_and_kept_only_when_asked(
    provider: Tape, tmp_path: Path, keep: bool, replies: list[int]
) -> None:
    each = a_document(provider, 3 + keep)  # the tape refuses each once in its life
    path = tmp_path / "a.db"
    plan = recording(f"tape={provider.url}", path, record__keep_transient=keep)
    async with plan as service:
        live = [await each.of(service.url, "x-tape-fault: 429") for _ in range(2)]
    async with replaying(path) as service:
        played = [await each.of(service.url) for _ in range(3)]
    assert [answer.status for answer in live] == [429, 200]
    assert live[0].header("retry-after") == "0.2"
    assert [answer.status for answer in played] == replies
    if keep:
        assert [essence(answer) for answer in played[:2]] == [essence(a) for a in live]
        assert lines(played[0]) == lines(live[0])
