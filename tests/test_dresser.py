"""Limits and faults over a socket: on replies of every source alike, and nothing of them is kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import openai
import pytest

import make
from llmproxy.cassette import Cassette
from llmproxy.interaction import Interaction
from llmproxy.service import Plan, Service, serving
from serve import configuration, mocking, recording, replaying
from sockets import Answer, Client, Seen, ask, upstream
from test_synthesizer import JSON, body, chat, said

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = [b"data: %d\n\n" % number for number in range(6)]


async def provider(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Six events, a moment apart."""
    writer.write(HEAD)
    for event in EVENTS:
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()
        await asyncio.sleep(0.01)
    writer.write(b"0\r\n\r\n")


def kept(path: Path) -> list[Interaction]:
    with contextlib.closing(Cassette(path)) as cassette:
        return list(cassette.interactions())


@contextlib.asynccontextmanager
async def every_source(source: str, tmp_path: Path, weather: str) -> Any:
    """A server whose reply to a chat comes from that source; and the file that it records to."""
    path = tmp_path / "run.db"
    if source == "recorded":
        async with upstream(provider) as there:
            async with recording(there.url, path, weather=weather) as service:
                yield service
        return
    chunks = [(0.0, event) for event in EVENTS]
    headers = (("Content-Type", "text/event-stream"),)
    answered = make.response(chunks, headers=headers)
    make.write(path, make.interaction(make.request(body(stream=True)), answered))
    if source == "replayed":
        async with replaying(path, weather=weather) as service:
            yield service
    elif source == "rule":
        rules = "rules: [{reply: {text: one two three four five six}}]"
        async with mocking(rules=rules, weather=weather) as service:
            yield service
    else:
        async with mocking(mock__text="one two three four five six", weather=weather) as service:
            yield service


SOURCES = ["recorded", "replayed", "rule", "synthesized"]


async def streamed(service: Service, *headers: str) -> Answer:
    return await chat(service, *headers, stream=True)


# Faults


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("fault", "events", "broken"),
    [
        ("cut: {before_chunk: 3}", 2, True),
        ("drop: {chunk: 2}", 5, False),
        ("duplicate: {chunk: 2}", 7, False),
        ("lump: true", 6, False),
        ("split: 1", 6, False),
        ("error_event: {status: 500, message: gone, after_chunk: 3}", 4, False),
    ],
)
async def test_a_fault_in_the_body_strikes_replies_of_every_source(
    source: str, fault: str, events: int, broken: bool, tmp_path: Path
) -> None:
    async with every_source(source, tmp_path, f"faults: [{{{fault}}}]") as service:
        answer = await streamed(service)
    if source in ("recorded", "replayed"):
        assert answer.body.count(b"\n\n") == events
    assert answer.broken is broken
    assert (b"gone" in answer.body) is ("gone" in fault)


async def test_what_is_kept_is_what_the_upstream_sent(tmp_path: Path) -> None:
    faults = """
faults:
  - {for: {session: cut}, cut: {before_chunk: 2}}
  - {for: {session: stall}, stall: {after_chunk: 1, time: 300ms}}
  - {for: {session: slow}, slow: 300ms}
  - {for: {session: garble}, garble: {chunk: 1}}
"""
    async with every_source("recorded", tmp_path, faults) as service:
        for session in ("cut", "stall", "slow", "garble"):
            await streamed(service, f"x-llmproxy-session: {session}")
    interactions = kept(tmp_path / "run.db")
    assert [each.session for each in interactions] == ["cut", "stall", "slow", "garble"]
    for each in interactions:
        assert each.response.body == b"".join(EVENTS)
        assert each.response.end == "eof"
        assert each.response.ended_at < 0.25


@pytest.mark.parametrize("source", SOURCES)
async def test_an_error_is_the_providers_own_and_nobody_is_asked(
    source: str, tmp_path: Path
) -> None:
    faults = "faults: [{name: busy, calls: first 1, error: {status: 503, message: away}}]"
    async with every_source(source, tmp_path, faults) as service:
        first, second = [await streamed(service) for _ in range(2)]
    assert (first.status, second.status) == (503, 200)
    assert json.loads(first.body)["error"]["message"] == "away"
    if source == "recorded":
        assert len(kept(tmp_path / "run.db")) == 1


@pytest.mark.parametrize("source", SOURCES)
async def test_a_reset_comes_before_anything_else(source: str, tmp_path: Path) -> None:
    async with every_source(source, tmp_path, "faults: [{reset: true}]") as service:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await streamed(service)


async def test_a_hanging_request_ends_with_its_bound_in_a_reset() -> None:
    async with mocking(weather="faults: [{hang: 200ms}]") as service:
        began = time.monotonic()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await chat(service)
        assert time.monotonic() - began >= 0.2


async def test_a_hanging_request_ends_when_its_client_leaves() -> None:
    async with mocking(weather="faults: [{hang: 10m}]") as service:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chat(service), 0.1)
        deadline = time.monotonic() + 5
        while service.journal.in_flight:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("source", SOURCES)
async def test_a_slow_reply_is_the_same_one_later(source: str, tmp_path: Path) -> None:
    faults = "faults: [{for: {session: slow}, slow: 200ms}]"
    async with every_source(source, tmp_path, faults) as service:
        began = time.monotonic()
        slow = await streamed(service, "x-llmproxy-session: slow")
        assert time.monotonic() - began >= 0.2
        fast = await streamed(service)
    assert slow.body.count(b"data:") == fast.body.count(b"data:")
    assert slow.status == fast.status == 200


async def test_the_sdk_gets_over_the_errors_of_the_first_calls() -> None:
    faults = "faults: [{calls: first 2, error: [{status: 500}, {status: 529}]}]"
    async with mocking(weather=faults, mock__text="at last") as service:
        async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="k") as client:
            found = await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "Hi"}]
            )
        assert found.choices[0].message.content == "at last"
        assert service.journal.requests == 3


async def test_calls_are_counted_for_each_session_and_start_over_with_it() -> None:
    async with mocking(weather="faults: [{calls: first 1, error: {status: 500}}]") as service:

        async def statuses(session: str) -> list[int]:
            at = f"x-llmproxy-session: {session}"
            return [(await chat(service, at)).status for _ in range(2)]

        assert await statuses("a") == [500, 200]
        assert await statuses("b") == [500, 200]
        await ask(service.url, "/_llmproxy/sessions/a/reset", b"")
        assert await statuses("a") == [500, 200]
        assert await statuses("b") == [200, 200]


@pytest.mark.parametrize(
    ("kind", "text"),
    [("empty", ""), ("truncated_json", '{"a": '), ("fenced_json", '```json\n{"a": [1, 2]}\n```')],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_made_up_reply_says_can_be_spoiled(kind: str, text: str, stream: bool) -> None:
    faults = f"faults: [{{output: {kind}}}]"
    async with mocking(weather=faults, mock__text='{"a": [1, 2]}') as service:
        found = [said(await chat(service, stream=stream)) for _ in range(2)]
    assert found == [text, text]


@pytest.mark.parametrize(
    ("header", "status"),
    [("529", 529), ('{"error": {"status": 418}}', 418), ("server_error", 500), ("nonsense", 400)],
)
async def test_a_request_may_ask_for_its_own_fault(header: str, status: int) -> None:
    async with mocking() as service:
        answer = await chat(service, f"x-llmproxy-fault: {header}")
        assert answer.status == status
        if header == "nonsense":
            assert b"x-llmproxy-fault" in answer.body
        assert (await chat(service)).status == 200


async def test_a_whole_reply_is_cut_with_nothing_of_its_body(tmp_path: Path) -> None:
    async with mocking(weather="faults: [{cut: {before_chunk: 1}}]") as service:
        answer = await chat(service)
    assert (answer.status, answer.body, answer.broken) == (200, b"", True)


async def test_a_rule_has_a_fault_of_its_own(tmp_path: Path) -> None:
    rules = """
rules:
  - {when: {session: cut}, reply: one two three, fault: {cut: {before_chunk: 3}}}
  - {when: {session: taped}, reply: {recorded: true}, fault: {drop: {chunk: 1}}}
  - {when: {session: fenced}, reply: '{"a": 1}', fault: {output: fenced_json}}
  - {when: {session: away}, reply: never, fault: {error: 503}}
"""
    answered = make.response(
        [(0.0, event) for event in EVENTS], headers=(("Content-Type", "text/event-stream"),)
    )
    path = make.write(
        tmp_path / "run.db", make.interaction(make.request(body(stream=True)), answered)
    )
    async with replaying(path, rules=rules) as service:
        cut = await streamed(service, "x-llmproxy-session: cut")
        assert (cut.broken, len(cut.chunks)) == (True, 2)
        taped = await streamed(service, "x-llmproxy-session: taped")
        assert taped.body == b"".join(EVENTS[1:])
        assert said(await streamed(service, "x-llmproxy-session: fenced")).startswith("```json")
        assert (await streamed(service, "x-llmproxy-session: away")).status == 503


# Limits


async def test_openai_says_how_far_a_client_is_and_the_sdk_waits_as_told() -> None:
    limits = "limits: [{for: {key: any}, strategy: token-bucket, requests: 2 per 300ms, burst: 2}]"
    async with mocking(weather=limits) as service:
        answers = [await chat(service, "Authorization: Bearer one") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        left = [answer.header("x-ratelimit-remaining-requests") for answer in answers]
        assert left == ["1", "0", "0"]
        assert answers[0].header("x-ratelimit-limit-requests") == "2"
        assert answers[2].header("retry-after-ms") is not None
        assert json.loads(answers[2].body)["error"]["code"] == "rate_limit_exceeded"
        assert (await chat(service, "Authorization: Bearer two")).status == 200
        async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="one") as client:
            for _ in range(3):
                await client.chat.completions.create(
                    model="gpt-4o", messages=[{"role": "user", "content": "Hi"}]
                )


@pytest.mark.parametrize("source", SOURCES)
async def test_limits_hold_for_replies_of_every_source(source: str, tmp_path: Path) -> None:
    limits = "limits: [{strategy: after-n, n: 1}]"
    async with every_source(source, tmp_path, limits) as service:
        answers = [await streamed(service) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert answers[1].header("retry-after") == "60"


async def test_real_tokens_are_counted_before_and_after() -> None:
    rules = "rules: [{reply: {text: a, usage: {input_tokens: 10, output_tokens: 90}}}]"
    limits = "limits: [{strategy: fixed-window, tokens: {total: 100 per 1h, charge: settled}}]"
    async with mocking(rules=rules, weather=limits) as service:
        answers = [await chat(service) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 429]
        assert answers[0].header("x-ratelimit-remaining-tokens") == "100"
    limits = "limits: [{strategy: fixed-window, tokens: {total: 100 per 1h}}]"
    async with mocking(rules=rules, weather=limits) as service:
        answers = [await chat(service, max_tokens=60) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 429]


async def test_what_runs_at_the_same_time_waits_its_turn_or_is_refused() -> None:
    limits = "limits: [{concurrency: 1, queue: 2}]"
    async with mocking(weather=limits, pace__ttft=0.1) as service:
        began = time.monotonic()
        answers = await asyncio.gather(*(chat(service) for _ in range(4)))
        took = time.monotonic() - began
        assert sorted(answer.status for answer in answers) == [200, 200, 200, 429]
        assert 0.3 <= took < 5
        assert [state.running for state in service.dresser.limiter.meters.states(0.0)] == [0]


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    limits = "limits: [{concurrency: 1}]"
    async with mocking(weather=limits, pace__ttft=30.0) as service:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chat(service), 0.1)
        deadline = time.monotonic() + 5
        while service.journal.in_flight:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):  # let in: it waits for its reply
            await asyncio.wait_for(chat(service), 0.2)


async def test_the_limits_of_another_endpoint_or_model_are_none_of_ours() -> None:
    limits = """
limits:
  - {for: {endpoint: anthropic-messages}, strategy: always}
  - {for: {model: "claude-*"}, strategy: always}
"""
    async with mocking(weather=limits) as service:
        answer = await chat(service)
        assert answer.status == 200
        assert answer.header("x-ratelimit-limit-requests") is None
        message = {
            "model": "claude-x",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "a"}],
        }
        refused = await ask(service.url, "/v1/messages", json.dumps(message).encode(), JSON)
        assert (refused.status, json.loads(refused.body)["error"]["type"]) == (
            429,
            "rate_limit_error",
        )


# What an attacker found


async def measured(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    """A whole reply that tells what it used."""
    content = b'{"model": "m", "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % len(content) + content)


async def test_what_a_forwarded_reply_used_is_counted_when_it_has_come(tmp_path: Path) -> None:
    limits = "limits: [{strategy: fixed-window, tokens: {total: 3000 per 1h, charge: settled}}]"
    async with upstream(measured) as there:
        async with recording(there.url, tmp_path / "run.db", weather=limits) as service:
            statuses = [(await chat(service, n=number)).status for number in range(1, 4)]
            assert statuses == [200, 200, 429]
            (first, *_) = service.journal.entries()
    assert (first["input_tokens"], first["output_tokens"]) == (1000, 500)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204)])
async def test_a_reply_without_a_body_gets_none_from_a_fault(
    method: str, status: int, tmp_path: Path
) -> None:
    async def bodiless(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %d OK\r\nContent-Type: text/event-stream\r\n\r\n" % status)
        writer.close()

    fault = 'x-llmproxy-fault: {"error_event": {"status": 500, "after_chunk": 0}}'
    async with upstream(bodiless) as there:
        async with recording(there.url, tmp_path / "run.db") as service:
            async with Client(service.url) as client:
                first = await client.ask("/v1/x", b"", fault, method=method)
                assert (first.status, first.body) == (status, b"")
                second = await client.ask("/v1/_llmproxy/health", b"", method="GET")
                assert second.status == 404


@pytest.mark.parametrize(
    "path",
    ["/v1/_llmproxy/sessions/reset", "/s/a/_llmproxy/config", "//_llmproxy/x", "/v1/%5Fllmproxy"],
)
async def test_a_control_route_under_a_prefix_reaches_no_provider(
    path: str, tmp_path: Path
) -> None:
    async with upstream(measured) as there:
        async with recording(there.url, tmp_path / "run.db") as service:
            answer = await ask(service.url, path, b"{}", "Authorization: Bearer the-token")
            assert answer.status == 404
            assert b"own routes stand at" in answer.body
        assert not there.seen


async def test_who_left_the_queue_has_no_place_in_it_and_is_not_sent_on(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await measured(seen, writer)

    async with upstream(slow) as there:
        limits = "limits: [{concurrency: 1, queue: 1}]"
        async with recording(there.url, tmp_path / "run.db", weather=limits) as service:
            first = asyncio.create_task(chat(service))
            while not there.seen:  # noqa: ASYNC110  # there is no event to wait for
                await asyncio.sleep(0.001)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(chat(service, n=2), 0.05)
            while service.journal.in_flight > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            waiting = asyncio.create_task(chat(service, n=3))
            while service.journal.in_flight < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            go.set()
            assert [(await each).status for each in (first, waiting)] == [200, 200]
        assert len(there.seen) == 2


async def test_what_a_limit_or_fault_puts_in_a_place_says_that_it_is_an_error() -> None:
    async with mocking(weather="limits: [{for: {session: b}, strategy: always}]") as service:
        faulty = await chat(service, "x-llmproxy-fault: 503")
        limited = await chat(service, "x-llmproxy-session: b")
        labels = [answer.header("x-llmproxy-source") for answer in (faulty, limited)]
        assert labels == ["error", "error"]
        assert [entry["source"] for entry in service.journal.entries()] == labels


async def test_no_key_is_kept_for_a_client_of_a_limit() -> None:
    key = "sk-" + "proj" * 10
    limits = "limits: [{for: {model: any, path: any}, requests: 100 per minute}]"
    async with mocking(weather=limits) as service:
        await chat(service, f"Authorization: Bearer {key}", model=key)
        shown = await ask(service.url, "/_llmproxy/limits", b"", method="GET")
    assert shown.status == 200
    assert key not in shown.body.decode()


async def test_many_slow_regexes_take_no_longer_than_one_may(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = "  - {for: {text: {regex: '^(a|aa)+$'}}, error: 500}\n"
    evil = [{"role": "user", "content": "a" * 60 + "!"}]
    async with mocking(weather="faults:\n" + bad * 200) as service:
        began = time.monotonic()
        assert (await chat(service, messages=evil)).status == 200
        assert time.monotonic() - began < 5
    assert "a limit or fault was passed over" in caplog.text


async def test_a_slow_reply_that_nobody_waits_for_is_recorded_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    async with upstream(measured) as there:
        async with recording(there.url, path, weather="faults: [{slow: 30s}]") as service:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(chat(service), 0.2)
            while service.journal.in_flight:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert len(kept(path)) == 1


async def test_a_disabled_endpoint_has_no_limits() -> None:
    weather = "limits: [{strategy: always}]\nfaults: [{for: {session: off}, disabled: true}]"
    async with mocking(weather=weather) as service:
        assert (await chat(service, "x-llmproxy-session: off")).status == 503
        assert (await chat(service)).status == 429


async def test_a_rule_whose_fault_takes_its_place_asks_no_provider(tmp_path: Path) -> None:
    async with upstream(measured) as there:
        rules = "rules: [{reply: {forward: gw}, fault: {error: 503}}]"
        settings = configuration(rules, upstreams={"gw": there.url})
        async with serving(Plan("mock", settings)) as service:
            answer = await chat(service)
        assert (answer.status, answer.header("x-llmproxy-source")) == (503, "error")
        assert not there.seen
