"""Seed 002's bad days: its environment, its limits, its failures; by our file and by its routes.

Where no time may pass, the limiter is handed a clock.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import program
import sockets
from control.calling import call, refused, told, until
from llmproxy.service import Service
from seeds.asking import CHAT, anthropic_client, chat, curl, events, openai_client, user
from serve import mocking
from sockets import Answer

pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")

MESSAGES = "/v1/messages"
GENERATE = "/v1beta/models/gemini-2.0-flash:generateContent"
STREAM = "/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse"
GLOBAL = "/api/config/global"
LOCAL = "Host: localhost"
CLAUDE: dict[str, Any] = {
    "model": "claude-3-5-sonnet-20241022",
    "max_tokens": 64,
    "messages": user("Hello!"),
}
RESPONSE = {"model": "gpt-4o", "input": "Hello!"}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Hello!"}]}]}
FAMILIES = {
    "openai-chat": (CHAT, chat()),
    "openai-responses": ("/v1/responses", RESPONSE),
    "anthropic-messages": (MESSAGES, CLAUDE),
    "gemini-generate": (GENERATE, CONTENTS),
}
"""A request to each endpoint, by 002's name of it."""
WAYS = pytest.mark.parametrize("way", ["file", "route"])
"""The same is said in ``proxy.yml`` and by a change of 002's configuration object."""


class Clock:
    """A clock that stands until it is moved; it begins with a minute."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def changed(way: str, weather: str, change: Any, **more: Any) -> AsyncIterator[Service]:
    """A server with the weather of a file, or with a change by 002's route that means the same."""
    async with mocking(weather=weather if way == "file" else "", **more) as service:
        if way == "route":
            await told(service, "PATCH", GLOBAL, change)
        yield service


@contextlib.asynccontextmanager
async def limited(way: str, limit: str, **change: Any) -> AsyncIterator[tuple[Service, Clock]]:
    """A server with a limit, by our file or 002's route, and the clock that it goes by."""
    said = {"rateLimit": {"enabled": True, **change}}
    async with changed(way, f"limits: [{limit}]", said) as service:
        clock = service.dresser.limiter.clock = Clock()
        yield service, clock


async def ask(service: Service, path: str = CHAT, body: Any = None) -> Answer:
    return await curl(service, path, chat() if body is None else body)


async def statuses(service: Service, count: int) -> list[int]:
    """Those of so many chats, one after another."""
    return [(await ask(service)).status for _ in range(count)]


def standing(answer: Answer) -> tuple[str | None, str | None]:
    """Limit and what remains, as OpenAI's lines tell."""
    lines = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")
    return answer.header(lines[0]), answer.header(lines[1])


def wait(answer: Answer) -> tuple[str | None, str | None]:
    return answer.header("retry-after"), answer.header("retry-after-ms")


def told_of_limits(answer: Answer) -> list[str]:
    """The lines about limits that there are."""
    return [name for name, _ in answer.headers if "ratelimit" in name or "retry" in name]


# --- the environment ---


@contextlib.contextmanager
def started(**variables: str) -> Iterator[str]:
    """The URL of a mock that has its port from the environment, and no flag."""
    with subprocess.Popen(
        [sys.executable, "-m", "llmproxy", "mock"],
        stdout=subprocess.PIPE,
        text=True,
        env=program.environment(**variables),
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)


def test_002_30_the_port_is_that_of_the_environment_or_of_a_flag() -> None:
    """PORT is LLMPROXY_PORT here, or --port, which wins."""
    port = sockets.free_port()
    with started(LLMPROXY_PORT=str(port)) as url:
        assert url == f"http://127.0.0.1:{port}"
        assert asyncio.run(sockets.ask(url, CHAT, sockets.CHAT)).status == 200
        with program.serve("mock", LLMPROXY_PORT=str(port)) as server:  # it says --port 0
            assert server.url != url


def test_002_30_requests_are_logged_in_full_where_that_is_asked_for() -> None:
    """VERBOSE is --log-prompts here; what is told without it is tested with the logs."""
    with program.serve("mock", "--log-prompts") as server:
        body = json.dumps(chat("my diary")).encode()
        asyncio.run(sockets.ask(server.url, CHAT, body, "Content-Type: application/json"))
        _, _, err = server.stop()
    assert "my diary" in err
    assert CHAT in err


def test_002_31_limits_of_a_program_stand_in_its_file_and_are_changed_as_it_runs(
    tmp_path: Path,
) -> None:
    """RATE_LIMIT_* stand in ``limits:`` of proxy.yml, or go to 002's route."""
    config = tmp_path / "limits.yml"  # no proxy.yml, which the other program would read
    config.write_text("limits: [{strategy: after-n, n: 3}]\n")
    with program.serve("mock", "--config", str(config)) as server:

        async def chats(count: int) -> list[int]:
            asked = [await sockets.ask(server.url, CHAT, sockets.CHAT) for _ in range(count)]
            return [answer.status for answer in asked]

        async def change(**limit: Any) -> None:
            data = json.dumps({"rateLimit": {"enabled": True, **limit}}).encode()
            answer = await sockets.ask(server.url, GLOBAL, data, LOCAL, method="PATCH")
            assert answer.status == 200

        async def scenario() -> None:
            assert await chats(5) == [200, 200, 200, 429, 429]
            await sockets.ask(
                server.url, "/_llmproxy/config", b'{"limits": []}', LOCAL, method="PATCH"
            )
            assert await chats(4) == [200] * 4

        asyncio.run(scenario())
    with program.serve("mock") as server:

        async def modes() -> None:
            assert await chats(12) == [200] * 12  # RATE_LIMIT_ENABLED is false
            await change(strategy="after-n")  # RATE_LIMIT_AFTER_N is 5
            assert await chats(6) == [200] * 5 + [429]
            await change(strategy="always")
            assert await chats(2) == [429] * 2
            await change(strategy="random", failProbability=1)
            assert await chats(2) == [429] * 2
            await change(strategy="random", failProbability=0)
            assert await chats(2) == [200] * 2
            await change(strategy="sliding-window", maxRequests=10, windowMs=60000)
            assert await chats(11) == [200] * 10 + [429]

        asyncio.run(modes())


# --- limits ---


async def test_002_40_nothing_is_limited_until_a_limit_is_enabled() -> None:
    async with mocking() as service:
        assert told_of_limits(await ask(service)) == []
        await told(service, "PATCH", GLOBAL, {"rateLimit": {"maxRequests": 1}})
        assert await statuses(service, 2) == [200, 200]
        await told(service, "PATCH", GLOBAL, {"rateLimit": {"enabled": True}})
        assert await statuses(service, 2) == [200, 429]


@pytest.mark.parametrize(
    ("strategy", "limit"),
    [
        ("fixed-window", "100"), ("sliding-window", "100"), ("token-bucket", "10"),
        ("leaky-bucket", "10"), ("after-n", "5"), ("random", None), ("always", "0"),
    ],
)  # fmt: skip
async def test_002_40_a_limit_that_is_only_enabled_has_the_defaults(
    strategy: str, limit: str | None
) -> None:
    async with limited("route", "", strategy=strategy) as (service, _):
        answer = await ask(service)
    assert answer.header("x-ratelimit-limit-requests") == limit
    assert (answer.header("x-ratelimit-probability") == "0.3") is (strategy == "random")


@pytest.mark.parametrize(
    ("weather", "change"),
    [
        ("limits: []", {}),
        ("limits: [{strategy: none}]", {"enabled": True, "strategy": "none"}),
        ("", {"enabled": False, "strategy": "always"}),
    ],
)
@WAYS
async def test_002_41_without_a_limit_everything_passes_and_no_line_tells_of_one(
    way: str, weather: str, change: Any
) -> None:
    async with changed(way, weather, {"rateLimit": change}) as service:
        for path, body in FAMILIES.values():
            answer = await curl(service, path, body)
            assert (answer.status, told_of_limits(answer)) == (200, [])


@WAYS
async def test_002_42_a_fixed_window_is_one_of_the_clock(way: str) -> None:
    change: dict[str, Any] = {"strategy": "fixed-window", "maxRequests": 2, "windowMs": 60000}
    limit = "{strategy: fixed-window, requests: 2 per minute}"
    async with limited(way, limit, **change) as (service, clock):
        clock.now += 50
        answers = [await ask(service) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [standing(answer) for answer in answers] == [("2", "1"), ("2", "0"), ("2", "0")]
        assert wait(answers[2]) == ("10", "10000")
        clock.now += 9.5
        assert await statuses(service, 1) == [429]
        clock.now += 0.5  # the next window, 10 s after the first request
        assert await statuses(service, 3) == [200, 200, 429]


@WAYS
async def test_002_42_a_sliding_window_rolls_along(way: str) -> None:
    change: dict[str, Any] = {"strategy": "sliding-window", "maxRequests": 2, "windowMs": 60000}
    limit = "{strategy: sliding-window, requests: 2 per minute}"
    async with limited(way, limit, **change) as (service, clock):
        clock.now += 50
        assert await statuses(service, 1) == [200]
        clock.now += 20  # another window of the clock, the same rolling one
        assert await statuses(service, 1) == [200]
        over = await ask(service)
        assert (over.status, standing(over), wait(over)) == (429, ("2", "0"), ("40", "40000"))
        clock.now += 40
        assert await statuses(service, 2) == [200, 429]


async def test_002_42_how_far_a_window_is_used_is_told() -> None:
    """The row's windowStartMs was found in no code; ours tells the time that is left."""
    limit = {"strategy": "sliding-window", "maxRequests": 3, "windowMs": 60000}
    async with mocking() as service:
        await told(service, "PATCH", GLOBAL, {"rateLimit": {"enabled": True, **limit}})
        await statuses(service, 2)
        state = (await told(service, "GET", "/api/config/endpoints"))["openai-chat"]
    found = state["rateLimiterState"]
    assert (found["currentCount"], found["maxCount"], found["remaining"]) == (2, 3, 1)
    assert 0 < found["resetMs"] <= 60000


@WAYS
async def test_002_43_a_token_bucket_has_a_capacity_and_is_refilled_continuously(way: str) -> None:
    change: dict[str, Any] = {"strategy": "token-bucket", "bucketCapacity": 3, "refillRate": 0.5}
    limit = "{strategy: token-bucket, requests: 30 per minute, burst: 3}"
    async with limited(way, limit, **change) as (service, clock):
        answers = [await ask(service) for _ in range(4)]
        assert [standing(answer) for answer in answers] == [
            ("3", "2"), ("3", "1"), ("3", "0"), ("3", "0"),
        ]  # fmt: skip
        assert (answers[3].status, wait(answers[3])) == (429, ("2", "2000"))  # (1 - 0) / 0.5
        clock.now += 0.5
        over = await ask(service)
        assert (over.status, wait(over)) == (429, ("2", "1500"))  # (1 - 0.25) / 0.5, in s upward
        clock.now += 4.5  # 2.5 tokens
        answers = [await ask(service) for _ in range(3)]
        assert [standing(answer)[1] for answer in answers] == ["1", "0", "0"]
        assert [answer.status for answer in answers] == [200, 200, 429]


@WAYS
async def test_002_44_a_leaky_bucket_leaks_a_whole_request_at_a_time(way: str) -> None:
    """The seed always says 1 / refillRate; ours says the time to the next drop, at most that."""
    change: dict[str, Any] = {"strategy": "leaky-bucket", "bucketCapacity": 2, "refillRate": 0.5}
    limit = "{strategy: leaky-bucket, requests: 30 per minute, burst: 2}"
    async with limited(way, limit, **change) as (service, clock):
        answers = [await ask(service) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [standing(answer)[1] for answer in answers] == ["1", "0", "0"]
        assert wait(answers[2]) == ("2", "2000")
        clock.now += 1.5  # not a whole one
        over = await ask(service)
        assert (over.status, wait(over)) == (429, ("1", "500"))
        clock.now += 0.5
        assert await statuses(service, 2) == [200, 429]


@WAYS
async def test_002_45_the_first_n_pass_and_all_others_are_refused(way: str) -> None:
    limit = "{strategy: after-n, n: 3}"
    async with limited(way, limit, strategy="after-n", failAfterN=3) as (service, clock):
        answers = [await ask(service) for _ in range(3)]
        assert [standing(answer) for answer in answers] == [("3", "2"), ("3", "1"), ("3", "0")]
        for _ in range(2):
            over = await ask(service)
            assert (over.status, standing(over)) == (429, ("3", "0"))
            assert wait(over) == ("60", "60000")
            clock.now += 10_000
        reset = "/api/rate-limit/reset" if way == "route" else "/_llmproxy/limits/reset"
        await told(service, "POST", reset)
        assert await statuses(service, 4) == [200, 200, 200, 429]


@WAYS
async def test_002_46_a_random_limit_tells_its_probability(way: str) -> None:
    limit = "{strategy: random, probability: 0.3}"
    async with limited(way, limit, strategy="random", failProbability=0.3) as (service, _):
        answers = [await ask(service) for _ in range(200)]
    over = [answer for answer in answers if answer.status == 429]
    assert 30 <= len(over) <= 90
    assert {answer.header("x-ratelimit-probability") for answer in answers} == {"0.3"}
    assert {wait(answer) for answer in over} == {("1", "1000")}
    assert {answer.status for answer in answers} == {200, 429}


@WAYS
async def test_002_47_everything_may_be_refused(way: str) -> None:
    async with limited(way, "{strategy: always}", strategy="always") as (service, _):
        answer = await ask(service)
    assert (answer.status, standing(answer), wait(answer)) == (429, ("0", "0"), ("60", "60000"))


@WAYS
@pytest.mark.parametrize("endpoint", FAMILIES)
async def test_002_48_how_far_a_client_is_stands_on_every_answer(way: str, endpoint: str) -> None:
    """Anthropic's lines have names of their own, and Gemini has none: the providers' shape wins."""
    path, body = FAMILIES[endpoint]
    names = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")
    if endpoint == "anthropic-messages":
        names = ("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining")
    change: dict[str, Any] = {"strategy": "after-n", "failAfterN": 1}
    async with limited(way, "{strategy: after-n, n: 1}", **change) as (service, _):
        answers = [await curl(service, path, body) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    for answer in answers:
        found = tuple(answer.header(name) for name in names)
        assert found == ((None, None) if endpoint.startswith("gemini") else ("1", "0"))
    assert [wait(answer) for answer in answers] == [(None, None), ("60", "60000")]


@WAYS
async def test_002_48_a_stream_has_them_too(way: str) -> None:
    change: dict[str, Any] = {"strategy": "after-n", "failAfterN": 2}
    async with limited(way, "{strategy: after-n, n: 2}", **change) as (service, _):
        answer = await ask(service, CHAT, chat(stream=True))
    assert (answer.header("content-type") or "").startswith("text/event-stream")
    assert standing(answer) == ("2", "1")


@WAYS
async def test_002_49_a_refusal_has_the_body_of_its_provider(way: str) -> None:
    """OpenAI's real ``type`` says what is counted (``requests``, ``tokens``): it wins."""
    async with limited(way, "{strategy: always}", strategy="always") as (service, _):
        found = {name: await curl(service, *request) for name, request in FAMILIES.items()}
    assert {answer.status for answer in found.values()} == {429}
    bodies = {name: json.loads(answer.body) for name, answer in found.items()}
    for name in ("openai-chat", "openai-responses"):
        assert set(bodies[name]["error"]) == {"message", "type", "param", "code"}
        assert bodies[name]["error"]["type"] == "requests"
        assert bodies[name]["error"]["code"] == "rate_limit_exceeded"
    claude, gemini = bodies["anthropic-messages"], bodies["gemini-generate"]
    assert (claude["type"], claude["error"]["type"]) == ("error", "rate_limit_error")
    assert (gemini["error"]["code"], gemini["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    delays = [each.get("retryDelay") for each in gemini["error"]["details"]]
    assert "60s" in delays


async def test_002_49_the_sdks_know_a_refusal() -> None:
    async with openai_client(weather="limits: [{strategy: always}]") as client:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(**chat())
    async with anthropic_client(weather="limits: [{strategy: always}]") as client:
        with pytest.raises(anthropic.RateLimitError):
            await client.messages.create(**CLAUDE)


# --- failures ---

KINDS = {
    "server_error": 500, "bad_request": 400, "authentication_error": 401, "permission_denied": 403,
}  # fmt: skip
BROKEN = (ConnectionError, asyncio.IncompleteReadError)


@WAYS
async def test_002_50_some_requests_fail_and_each_type_is_drawn_as_often(way: str) -> None:
    weather = f"faults: [{{rate: 0.8, error: [{', '.join(KINDS)}]}}]"
    change = {"errorRate": 0.8, "errorTypes": list(KINDS)}
    async with changed(way, weather, change) as service:
        found = collections.Counter(await statuses(service, 300))
    assert set(found) == {200, *KINDS.values()}
    assert all(35 <= count <= 90 for count in found.values())  # 60 are expected of each


@pytest.mark.parametrize(("rate", "status"), [(0, 200), (1, 500)])
async def test_002_50_a_server_error_is_the_type_where_none_is_said(rate: int, status: int) -> None:
    async with changed("route", "", {"errorRate": rate}) as service:
        assert set(await statuses(service, 5)) == {status}


@WAYS
async def test_002_50_a_limit_comes_before_a_failure_and_that_before_validation(way: str) -> None:
    weather = "limits: [{strategy: after-n, n: 1}]\nfaults: [{error: server_error}]"
    limit = {"enabled": True, "strategy": "after-n", "failAfterN": 1}
    async with changed(way, weather, {"rateLimit": limit, "errorRate": 1}) as service:
        invalid = {"model": "gpt-4o"}
        found = [(await ask(service, CHAT, invalid)).status for _ in range(2)]
    assert found == [500, 429]  # what fails is counted
    weather = "limits: [{strategy: after-n, n: 1}]"
    async with changed(way, weather, {"rateLimit": limit}) as service:
        found = [(await ask(service, CHAT, invalid)).status for _ in range(2)]
    assert found == [400, 429]


async def test_002_50_a_disabled_endpoint_says_so_before_anything_else() -> None:
    change = {
        "enabled": False, "errorRate": 1, "rateLimit": {"enabled": True, "strategy": "always"},
    }  # fmt: skip
    async with changed("route", "", change) as service:
        assert (await ask(service, CHAT, {"model": "gpt-4o"})).status == 503
        await told(service, "PATCH", GLOBAL, {"enabled": True})
        assert (await ask(service)).status == 429


@WAYS
@pytest.mark.parametrize("kind", KINDS)
async def test_002_51_an_error_has_the_status_of_its_type(way: str, kind: str) -> None:
    change = {"errorRate": 1, "errorTypes": [kind]}
    async with changed(way, f"faults: [{{error: {kind}}}]", change) as service:
        assert await statuses(service, 1) == [KINDS[kind]]
        streamed = await ask(service, CHAT, chat(stream=True))
    assert streamed.status == KINDS[kind]
    assert json.loads(streamed.body)["error"]["message"]


@WAYS
async def test_002_51_a_timeout_hangs_until_the_client_leaves(way: str) -> None:
    change = {"errorRate": 1, "errorTypes": ["timeout"]}
    async with changed(way, "faults: [{hang: true}]", change) as service:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(service), 0.15)
        await until(lambda: service.journal.in_flight == 0)


async def test_002_51_a_slow_response_comes_5_to_10_seconds_later() -> None:
    """Nobody waits for it here: what 002's word means is read back, and that it waits at all."""
    change = {"errorRate": 1, "errorTypes": ["slow_response"]}
    async with changed("route", "", change) as service:
        (fault, *_) = (await told(service, "GET", "/_llmproxy/config"))["settings"]["faults"]
        assert fault["slow"] == "5-10s"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(service), 0.15)


async def test_002_51_a_slow_response_is_a_normal_one_within_its_span() -> None:
    async with mocking(weather="faults: [{slow: 100-200ms}]", mock__text="Late.") as service:
        began = time.monotonic()
        answers = await asyncio.gather(*(ask(service) for _ in range(8)))
        took = time.monotonic() - began
    assert all(answer.status == 200 and b"Late." in answer.body for answer in answers)
    assert min(answer.head_at for answer in answers) > 0.09
    assert 0.1 <= took < 5


@WAYS
async def test_002_51_a_connection_is_reset_before_the_answer(way: str) -> None:
    change = {"errorRate": 1, "errorTypes": ["connection_reset"]}
    async with changed(way, "faults: [{reset: true}]", change) as service:
        for body in (chat(), chat(stream=True)):
            with pytest.raises(BROKEN):
                await ask(service, CHAT, body)


@WAYS
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat(stream=True)),
        ("/v1/responses", {**RESPONSE, "stream": True}),
        (MESSAGES, {**CLAUDE, "stream": True}),
        (STREAM, CONTENTS),
    ],
)
async def test_002_52_a_stream_is_cut_at_one_of_its_third_to_seventh_writes(
    way: str, path: str, body: Any
) -> None:
    """A write is an event here; the seed writes an Anthropic or Responses event in two."""
    weather = "faults: [{for: {stream: true}, cut: {before_chunk: 3-7}}]"
    change = {"streamInterruptRate": 1}
    async with changed(way, weather, change, mock__text="word " * 50) as service:
        answers = [await curl(service, path, body) for _ in range(40)]
    assert {(answer.status, answer.broken) for answer in answers} == {(200, True)}
    assert {len(events(answer.body)) for answer in answers} == {2, 3, 4, 5, 6}


@WAYS
async def test_002_52_only_streams_are_cut_and_as_many_as_said(way: str) -> None:
    weather = "faults: [{for: {stream: true}, rate: 0.5, cut: {before_chunk: 3-7}}]"
    change = {"streamInterruptRate": 0.5}
    async with changed(way, weather, change, mock__text="word " * 20) as service:
        streams = [await ask(service, CHAT, chat(stream=True)) for _ in range(100)]
        whole = [await ask(service) for _ in range(20)]
    assert 25 <= sum(answer.broken for answer in streams) <= 75
    assert all(answer.broken or answer.body.endswith(b"[DONE]\n\n") for answer in streams)
    assert not any(answer.broken for answer in whole)


def native(status: int, body: Any) -> tuple[str, str]:
    """Which provider's envelope this is, and what it says."""
    error = body["error"]
    if "code" in error and "status" in error:
        assert error["code"] == status
        return "gemini", error["message"]
    if body.get("type") == "error":
        assert error["type"]
        return "anthropic", error["message"]
    assert set(error) == {"message", "type", "param", "code"}
    return "openai", error["message"]


@WAYS
@pytest.mark.parametrize("endpoint", FAMILIES)
async def test_002_54_a_disabled_endpoint_answers_503_in_its_providers_shape(
    way: str, endpoint: str
) -> None:
    names = {"gemini-generate": "gemini_generate"}
    whom = names.get(endpoint, endpoint.replace("-", "_"))
    weather = f"faults: [{{for: {{endpoint: {whom}}}, disabled: true}}]" if way == "file" else ""
    async with mocking(weather=weather) as service:
        if way == "route":
            await told(service, "PATCH", f"/api/config/endpoints/{endpoint}", {"enabled": False})
        found = {name: await curl(service, *request) for name, request in FAMILIES.items()}
    disabled = found.pop(endpoint)
    assert disabled.status == 503
    said = native(503, json.loads(disabled.body))
    assert said == (endpoint.partition("-")[0], "This endpoint is currently disabled")
    assert {answer.status for answer in found.values()} == {200}


async def test_002_54_all_may_be_disabled_and_enabled_again() -> None:
    async with changed("route", "", {"enabled": False}) as service:
        for path, body in FAMILIES.values():
            assert (await call(service, "POST", path, body)).status == 503
        assert (await refused(service, "POST", CHAT, chat(stream=True)))[0] == 503
        await told(service, "PATCH", GLOBAL, {"enabled": True})
        for path, body in FAMILIES.values():
            assert (await call(service, "POST", path, body)).status == 200


async def failures(way: str, kind: str) -> dict[str, tuple[int, Any]]:
    """Status and body of a failure of each endpoint."""
    change = {"errorRate": 1, "errorTypes": [kind]}
    async with changed(way, f"faults: [{{error: {kind}}}]", change) as service:
        found = {name: await curl(service, *request) for name, request in FAMILIES.items()}
    return {name: (answer.status, json.loads(answer.body)) for name, answer in found.items()}


@WAYS
async def test_002_55_a_wrong_key_is_refused_as_each_provider_does(way: str) -> None:
    """Gemini answers a wrong key with 400 and API_KEY_INVALID in fact: the provider wins."""
    found = await failures(way, "authentication_error")
    for name in ("openai-chat", "openai-responses"):
        status, body = found[name]
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    status, body = found["anthropic-messages"]
    assert (status, body["type"], body["error"]["type"]) == (401, "error", "authentication_error")
    status, body = found["gemini-generate"]
    assert (status, body["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert body["error"]["details"][0]["reason"] == "API_KEY_INVALID"


@WAYS
async def test_002_55_a_missing_permission_is_told_as_each_provider_does(way: str) -> None:
    """``insufficient_quota`` is a 429 at OpenAI; its 403 says ``insufficient_permissions``."""
    found = await failures(way, "permission_denied")
    assert {status for status, _ in found.values()} == {403}
    assert {native(403, body)[1] for _, body in found.values()} == {
        "You don't have access to this resource."
    }
    assert found["openai-chat"][1]["error"]["code"] == "insufficient_permissions"
    assert found["anthropic-messages"][1]["error"]["type"] == "permission_error"
    assert found["gemini-generate"][1]["error"]["status"] == "PERMISSION_DENIED"


async def test_002_55_the_seeds_own_code_is_there_for_who_writes_it() -> None:
    error = "{status: 403, code: insufficient_quota, type: insufficient_quota}"
    async with mocking(weather=f"faults: [{{error: {error}}}]") as service:
        answer = await ask(service)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (403, "insufficient_quota")
