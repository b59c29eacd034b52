"""The journal: what it keeps, whom it tells, and what entries say of requests over a socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import make
import sockets
from llmproxy import dialects
from llmproxy.entry import Entry, members
from llmproxy.interaction import Facts, Headers
from llmproxy.journal import FILTERS, KEPT, Event, Journal
from llmproxy.noting import TELLING, Noting
from llmproxy.service import Service
from serve import mocking, recording, replaying
from sockets import ask, chunk, head, reply, upstream

CHAT = "/v1/chat/completions"


@pytest.fixture
async def journal() -> AsyncIterator[Journal]:
    made = Journal()
    yield made
    made.flush()


def went_by(journal: Journal, **told: Any) -> Entry:
    """An entry that was opened, begun and closed."""
    entry = journal.open("POST")
    for name, value in told.items():
        setattr(entry, name, value)
    journal.begin(entry)
    journal.close(entry)
    return entry


async def test_entries_are_numbered_and_told_from_the_oldest_on(journal: Journal) -> None:
    for status in (200, 404, 429):
        went_by(journal, status=status, session="a")
    assert [each["status"] for each in journal.entries()] == [200, 404, 429]
    assert [each["number"] for each in journal.entries(after=1)] == [2, 3]
    assert [each["number"] for each in journal.entries(limit=2)] == [1, 2]
    assert journal.entries(after=3) == journal.entries(limit=0) == []
    assert journal.entries(limit=-1) == []
    assert journal.number == 3


async def test_only_the_last_entries_are_kept_and_the_numbers_go_on(journal: Journal) -> None:
    for _ in range(KEPT + 5):
        went_by(journal, status=200)
    kept = journal.entries(limit=2 * KEPT)
    assert [kept[0]["number"], kept[-1]["number"], len(kept)] == [6, KEPT + 5, KEPT]
    assert journal.entries(after=KEPT + 4)[0]["number"] == KEPT + 5
    assert len(journal.entries(after=3, limit=2 * KEPT)) == KEPT


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({"session": "b"}, [2]),
        ({"status": 200}, [1, 2]),
        ({"status": "200", "model": "m"}, [1]),
        ({"source": "error"}, [3]),
        ({"endpoint": "openai_chat"}, [1, 3]),
        ({"session": ""}, [1, 3]),
        ({"model": "x"}, []),
    ],
)
async def test_entries_are_picked_by_equal_members(
    journal: Journal, filters: dict[str, Any], numbers: list[int]
) -> None:
    went_by(journal, status=200, endpoint="openai_chat", facts=Facts("m"))
    went_by(journal, status=200, session="b")
    went_by(journal, status=400, source="error", endpoint="openai_chat")
    assert [each["number"] for each in journal.entries(**filters)] == numbers


async def test_a_filter_that_is_none_is_named(journal: Journal) -> None:
    with pytest.raises(ValueError, match="stauts is no filter; there are session, source"):
        journal.entries(stauts=1)
    full = Entry("POST", "1", session="s", source="x", endpoint="e", dialect="d", facts=Facts("m"))
    assert set(FILTERS) <= set(members(full))


async def test_long_texts_of_strangers_are_cut(journal: Journal) -> None:
    went_by(journal, path="/" + "x" * 60_000, method="M" * 60_000)
    told = journal.entries()[0]
    assert (len(told["path"]), len(told["method"])) == (2_001, 2_001)


async def test_subscribers_hear_of_each_entry_until_they_leave(journal: Journal) -> None:
    heard: list[tuple[Event, int, str]] = []

    def hear(event: Event, entry: Entry) -> None:
        heard.append((event, entry.number, entry.endpoint))

    leave = journal.subscribe(hear)
    went_by(journal, endpoint="openai_chat")
    leave()
    leave()
    went_by(journal)
    assert heard == [("opened", 0, "openai_chat"), ("closed", 1, "openai_chat")]


async def test_what_is_refused_early_is_opened_before_it_is_closed(journal: Journal) -> None:
    heard: list[Event] = []
    journal.subscribe(lambda event, _entry: heard.append(event))
    journal.close(journal.open("GET"))
    assert heard == ["opened", "closed"]
    assert not journal.metrics.open


async def test_a_subscriber_may_leave_while_it_is_told(journal: Journal) -> None:
    heard: list[str] = []

    def first(_event: Event, _entry: Entry) -> None:
        heard.append("first")
        leave()

    leave = journal.subscribe(first)
    journal.subscribe(lambda _event, _entry: heard.append("second"))
    went_by(journal)
    assert heard == ["first", "second", "second"]


async def test_entries_are_logged_together_after_a_moment(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "llmproxy.requests"):
        went_by(journal, status=200, path="/a")
        went_by(journal, status=201, path="/b")
        assert not caplog.records
        journal.flush()
        journal.flush()
    lines = [record.getMessage().splitlines() for record in caplog.records]
    assert [[line.partition(" ·")[0] for line in each] for each in lines] == [
        ["200 POST /a", "201 POST /b"]
    ]


async def test_many_lines_are_logged_in_parts_and_none_is_lost(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that is due between two parts need not wait for all of them."""
    with caplog.at_level(logging.INFO, "llmproxy.requests"):
        for number in range(100):
            went_by(journal, status=200, path=f"/{number}")
        async with asyncio.timeout(10):
            while sum(map(len, _paths(caplog))) < 100:  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.005)
    parts = _paths(caplog)
    assert max(map(len, parts)) == 16
    assert [path for part in parts for path in part] == [f"/{number}" for number in range(100)]


async def test_lines_that_come_faster_than_parts_do_not_pile_up(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "llmproxy.requests"):
        for _ in range(200):
            for _ in range(50):
                went_by(journal, status=200)
            journal._log_some()
    assert len(journal._gathered) < 500


def _paths(caplog: pytest.LogCaptureFixture) -> list[list[str]]:
    lines = [record.getMessage().splitlines() for record in caplog.records]
    return [[line.split(" ")[2] for line in each] for each in lines]


# over a socket


async def last(service: Service) -> dict[str, Any]:
    """The entry of the request that was answered last, once it is closed."""
    async with asyncio.timeout(10):
        while service.journal.in_flight:  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.005)
    return service.journal.entries(limit=1_000)[-1]


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    stream = make.response([(0.0, b"data: 1\n\n"), (0.001, b"data: 22\n\n")], headers=())
    return make.write(tmp_path / "a.db", make.interaction(make.request(sockets.CHAT), stream))


async def test_an_entry_says_whose_a_replayed_request_is_and_how_much_went_by(
    cassette: Path,
) -> None:
    async with replaying(cassette, replay__pace=1.0) as service:
        answer = await ask(service.url, CHAT, sockets.CHAT)
        told = await last(service)
    assert (told["dialect"], told["endpoint"]) == ("openai", "openai_chat")
    assert (told["source"], told["match"], told["interaction"]) == ("replayed", "exact", "#1")
    assert told["received_bytes"] == len(sockets.CHAT)
    assert told["sent_bytes"] == len(answer.body) == 19
    assert 0 <= told["late_ms"] < 1_000
    assert 0 < told["first_byte_ms"] <= told["duration_ms"]


async def test_a_reply_of_one_chunk_is_counted_too() -> None:
    async with mocking() as service:
        answer = await ask(service.url, CHAT, sockets.CHAT)
        told = await last(service)
    assert told["sent_bytes"] == len(answer.body) > 0
    assert told["late_ms"] >= 0
    assert told["model"] == "m"
    assert told["input_tokens"] > 0


async def test_a_head_is_counted_as_no_bytes(cassette: Path) -> None:
    async with replaying(cassette) as service:
        await ask(service.url, CHAT, b"", method="HEAD")
        told = await last(service)
    assert told["sent_bytes"] == 0
    assert "late_ms" not in told


async def test_what_a_client_that_leaves_did_not_get_is_not_counted(tmp_path: Path) -> None:
    stream = make.response([(0.0, b"data: 1\n\n"), (3600.0, b"data: 2\n\n")], headers=())
    path = make.write(tmp_path / "a.db", make.interaction(make.request(sockets.CHAT), stream))
    async with replaying(path, replay__pace=1.0, shutdown_time=0.0) as service:
        client = await sockets.Client(service.url).__aenter__()
        client.send(CHAT, sockets.CHAT)
        await client.reader.readuntil(b"data: 1\n\n")
        journal = service.journal
    client.writer.close()
    told = journal.entries()[0]
    assert (told["sent_bytes"], told["note"]) == (9, "cut off by shutdown")


async def test_a_forwarded_request_says_its_model_and_that_it_streams(tmp_path: Path) -> None:
    async def stream(_seen: sockets.Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + chunk(b"data: 1\n\n") + chunk(b""))

    body = b'{"model":"gpt-test","stream":true,"messages":[]}'
    large = body.replace(b"[]", b'["' + b"x" * 100_000 + b'"]')
    async with upstream(stream) as up:
        async with recording(f"up={up.url}", tmp_path / "a.db") as service:
            for each in (body, large):
                await ask(service.url, CHAT, each)
                told = await last(service)
                assert (told["model"], told["stream"]) == ("gpt-test", True)
                assert (told["received_bytes"], told["sent_bytes"]) == (len(each), 9)
                assert "late_ms" not in told


@pytest.mark.parametrize("name", ["X-Request-Id", "x-client-request-id"])
async def test_the_id_of_a_client_is_taken_and_echoed(cassette: Path, name: str) -> None:
    async with replaying(cassette) as service:
        answer = await ask(service.url, CHAT, sockets.CHAT, f"{name}: build 7/a")
        told = await last(service)
    assert told["id"] == answer.header("x-llmproxy-request-id") == "build 7/a"
    assert answer.header("x-llmproxy-source") == "replayed"
    assert answer.body == b"data: 1\n\ndata: 22\n\n"


@pytest.mark.parametrize("given", ["x" * 129, "caf\xe9", "k3y-of-a-client-0123456789", ""])
async def test_an_id_that_is_long_or_odd_or_the_key_is_not_taken(
    cassette: Path, given: str
) -> None:
    lines = (f"x-request-id: {given}", "Authorization: Bearer k3y-of-a-client-0123456789")
    async with replaying(cassette) as service:
        answer = await ask(service.url, CHAT, sockets.CHAT, *lines)
        told = await last(service)
    assert given not in told["id"] or not given
    assert answer.header("x-llmproxy-request-id") is None


async def test_our_ids_differ_and_are_short() -> None:
    async with mocking() as service:
        for _ in range(2):
            await ask(service.url, CHAT, sockets.CHAT)
            await last(service)
        first, second = service.journal.entries()
    assert first["id"] != second["id"]
    assert len(first["id"]) < 12


async def test_an_upstream_gets_the_id_and_our_label_stays_ours(tmp_path: Path) -> None:
    async def answer(_seen: sockets.Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"{}", "200 OK", "Content-Type: application/json", "x-request-id: up"))

    async with upstream(answer) as up:
        async with recording(f"up={up.url}", tmp_path / "a.db") as service:
            got = await ask(service.url, CHAT, sockets.CHAT, "x-request-id: mine")
        assert up.seen[0].header("x-request-id") == "mine"
    assert got.header("x-request-id") == "up"
    assert got.header("x-llmproxy-request-id") == "mine"


async def test_a_key_in_the_place_of_the_model_is_not_shown() -> None:
    key = "k3y-of-a-client-0123456789"
    body = sockets.CHAT.replace(b'"m"', f'"{key}"'.encode())
    async with mocking() as service:
        await ask(service.url, CHAT, body, f"Authorization: Bearer {key}")
        told = await last(service)
    assert key not in str(told)
    assert told["model"]


# whose a request is


PATHS = (
    "/v1/chat/completions", "/v1/models", "/v1/messages", "/v1/models/m", "/models/m",
    "/v1beta/models/g:generateContent", "/v1/models/g:streamGenerateContent?alt=sse",
    "/v1/models?key=x", "/api/chat", "/chat/completions", "/messages", "/nowhere",
)  # fmt: skip
MORE: tuple[Headers, ...] = (
    (),
    (("Anthropic-Version", "2023-06-01"),),
    (("X-Goog-Api-Key", "k"),),
    (("anthropic-version", "2023-06-01"), ("x-goog-api-key", "k")),
)


@pytest.mark.parametrize("target", PATHS)
def test_requests_that_are_remembered_as_alike_are_alike(target: str) -> None:
    """The memory knows by which headers a dialect claims a request."""
    noting = Noting()
    path, _, query = target.partition("?")
    for _ in range(2):
        for headers in MORE:
            for method in ("GET", "POST"):
                given = {name.lower(): value for name, value in headers}
                all_headers = (*headers, ("User-Agent", "a"), ("Authorization", "Bearer b"))
                dialect = dialects.of(method, path, all_headers, query)
                found = noting.endpoint(method, target, given, all_headers)
                assert found[0] == (dialect.name if dialect else "")


@pytest.mark.parametrize("dialect", dialects.DIALECTS, ids=lambda each: each.name)
def test_dialects_look_at_no_other_headers(dialect: dialects.Dialect) -> None:
    looked: set[str] = set()
    names = ("authorization", "user-agent", "x-api-key", "anthropic-beta", "openai-organization")
    plain = {target: dialect.claims("GET", target.partition("?")[0], (), "") for target in PATHS}
    for name in (*names, *TELLING):
        for target, claimed in plain.items():
            path = target.partition("?")[0]
            if dialect.claims("GET", path, ((name, "x"),), "") != claimed:
                looked.add(name)
    assert looked <= set(TELLING)


def test_the_memory_of_endpoints_is_bounded() -> None:
    noting = Noting()
    for number in range(3_000):
        noting.endpoint("POST", f"/v1/{number}", {}, ())
    noting.endpoint("POST", "/v1/" + "x" * 60_000, {}, ())
    assert len(noting._endpoints) <= 1_024
    assert max(len(target) for _, target, *_ in noting._endpoints) < 512


def test_an_entry_that_knows_little_tells_little() -> None:
    assert members(Entry("GET", "a1", path="/x", status=404)) == {
        "id": "a1", "method": "GET", "path": "/x", "status": 404,
        "received_bytes": 0, "sent_bytes": 0,
    }  # fmt: skip
