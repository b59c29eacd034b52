"""Made-up replies over a socket: refused how, repeatable how, bounded how, sent by whom."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import make
from llmproxy import compression, redacted
from llmproxy.service import Service
from llmproxy.sse import EventReader
from serve import mocking, replaying
from sockets import Answer, Client, ask

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hi"}]
JSON = "Content-Type: application/json"


def body(**members: Any) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": MESSAGES, **members}).encode()


async def chat(service: Service, *headers: str, **members: Any) -> Answer:
    return await ask(service.url, CHAT, body(**members), JSON, *headers)


async def until(reached: Callable[[], bool]) -> None:
    """Give the loop its turns until something is so; the test's timeout bounds it."""
    while not reached():  # noqa: ASYNC110  # there is no event to wait for
        await asyncio.sleep(0.001)


def said(answer: Answer) -> str:
    """The text of a chat reply, whole or streamed."""
    if not (answer.header("content-type") or "").startswith("text/event-stream"):
        return str(json.loads(answer.body)["choices"][0]["message"]["content"])
    reader = EventReader()
    events = [*reader.feed(answer.body), *reader.finish()]
    records = [json.loads(event.data) for event in events if event.data != "[DONE]"]
    deltas = [choice["delta"] for record in records for choice in record["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


# What it says of itself


async def test_a_made_up_reply_is_labelled_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "llmproxy")
    async with mocking() as service:
        answer = await chat(service)
        assert answer.header("x-llmproxy-source") == "synthesized"
        assert service.summary() == "llmproxy: 1 reply was made up"
        await chat(service)
        assert service.summary() == "llmproxy: 2 replies were made up"
    assert "200 POST /v1/chat/completions · synthesized" in caplog.text
    assert "Hi" not in caplog.text


async def test_a_replay_makes_up_what_matches_nothing_and_says_why(tmp_path: Path) -> None:
    path = make.write(tmp_path / "run.db", make.interaction(make.request(body(temperature=1))))
    async with replaying(path, replay__on_miss="synthesize", state_folder=tmp_path) as service:
        answer = await chat(service)
        assert (answer.status, answer.header("x-llmproxy-source")) == (200, "synthesized")
        assert "temperature" in (answer.header("x-llmproxy-miss") or "")
        assert service.summary() == "llmproxy: 0 replayed, 1 missed, 1 reply was made up"


async def test_on_a_miss_no_tool_is_called_that_the_request_does_not_force(tmp_path: Path) -> None:
    path = make.write(tmp_path / "run.db")
    tools = [{"type": "function", "function": {"name": "rm", "parameters": {"type": "object"}}}]
    async with replaying(path, replay__on_miss="synthesize", mock__tool_calls=1.0) as service:
        for number in range(10):
            asked = [{"role": "user", "content": f"{number}"}]
            choice = json.loads((await chat(service, tools=tools, messages=asked)).body)["choices"][
                0
            ]
            assert (choice["finish_reason"], choice["message"].get("tool_calls")) == ("stop", None)
        forced = json.loads((await chat(service, tools=tools, tool_choice="required")).body)
        assert forced["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "rm"


async def test_on_a_miss_what_no_dialect_answers_is_refused(tmp_path: Path) -> None:
    path = make.write(tmp_path / "run.db")
    async with replaying(path, replay__on_miss="synthesize") as service:
        answer = await ask(service.url, "/v1/files", b"{}", JSON)
        assert (answer.status, answer.header("x-llmproxy-source")) == (400, "error")
        assert json.loads(answer.body)["error"]["code"] == "llmproxy_miss"


async def test_an_unknown_response_may_be_a_recorded_one_on_replay_only(tmp_path: Path) -> None:
    path = make.write(tmp_path / "run.db")
    asked = json.dumps(
        {"model": "gpt-4o", "input": "Hi", "previous_response_id": "resp_x"}
    ).encode()
    async with replaying(path, replay__on_miss="synthesize") as service:
        assert (await ask(service.url, "/v1/responses", asked, JSON)).status == 200
    async with mocking() as service:
        assert (await ask(service.url, "/v1/responses", asked, JSON)).status == 400


# Repeatable


async def test_the_same_request_gets_the_same_text_whole_and_streamed_and_ids_of_its_own() -> None:
    async with mocking() as service:
        first, second, stream = [
            await chat(service), await chat(service), await chat(service, stream=True)
        ]  # fmt: skip
        assert said(first) == said(second) == said(stream)
        assert json.loads(first.body)["id"] != json.loads(second.body)["id"]
        again = [await chat(service) for _ in range(2)]
        assert len({json.loads(answer.body)["id"] for answer in [first, second, *again]}) == 4


async def test_an_equal_run_gets_equal_ids_and_another_seed_another_text() -> None:
    async with mocking() as one, mocking() as two:
        ids = [json.loads((await chat(service)).body)["id"] for service in (one, two)]
        assert ids[0] == ids[1]
        await ask(one.url, "/_llmproxy/sessions/reset", b"")
        assert json.loads((await chat(one)).body)["id"] == ids[0]
    texts = set()
    for seed in (0, 1, 2, 3):
        async with mocking(mock__seed=seed) as service:
            texts.add(said(await chat(service)))
    assert len(texts) > 1


async def test_a_random_seed_says_something_else_each_time() -> None:
    async with mocking(mock__seed=None) as service:
        assert len({said(await chat(service)) for _ in range(6)}) > 1


async def test_an_error_is_told_as_often_as_it_says_in_each_session() -> None:
    error = {"error": {"status": 503, "times": 2, "headers": {"retry-after-ms": "5"}}}
    async with mocking() as service:
        for session in ("a", "b"):
            header = f"x-llmproxy-session: {session}"
            answers = [await chat(service, header, mock_response=error) for _ in range(3)]
            assert [answer.status for answer in answers] == [503, 503, 200]
            assert answers[0].header("retry-after-ms") == "5"


async def test_a_request_that_goes_on_from_what_was_stored_is_read_anew_each_time() -> None:
    """An equal request after the stored response was deleted is refused, not remembered."""
    async with mocking() as service:
        first = await ask(service.url, "/v1/responses", b'{"input": "Hi"}', JSON)
        id = json.loads(first.body)["id"]
        asked = json.dumps({"input": "And?", "previous_response_id": id}).encode()
        answers = [await ask(service.url, "/v1/responses", asked, JSON) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 200]
        await ask(service.url, f"/v1/responses/{id}", b"", method="DELETE")
        gone = await ask(service.url, "/v1/responses", asked, JSON)
        assert (gone.status, json.loads(gone.body)["error"]["code"]) == (
            400, "previous_response_not_found",
        )  # fmt: skip
        other = await ask(service.url, "/s/other/v1/responses", asked, JSON)
        assert other.status == 400


# Refused


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "body must be a JSON object"),
        (b"{", "could not be parsed: Expecting property name"),
        (b'{"a": 1} x', "could not be parsed: Extra data at line 1 column 10"),
        (b"[1]", "must be a JSON object, but it is an array"),
        (b"7", "must be a JSON object, but it is a number"),
        (b'{"temperature": NaN}', "NaN is not JSON"),
        (b"\xff\xfe\x00", "could not be parsed: it is not UTF"),
        (b'{"model": "\xff"}', "could not be parsed: it is not UTF-8 at byte 11"),
        (b'{"n": ' + b"9" * 5000 + b"}", "it holds a number with too many digits"),
        (b"[" * 100_000, "could not be parsed"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "nested deeper than 200 levels"),
        (b"[" * 900 + b"]" * 900, "nested deeper than 200 levels"),
    ],
)
async def test_a_body_that_is_no_json_is_refused_in_the_providers_shape(
    content: bytes, says: str
) -> None:
    async with mocking() as service:
        generate = "/v1beta/models/gemini-2.5-flash:generateContent"
        for path in (CHAT, "/v1/messages", *([generate] if content else ())):
            answer = await ask(service.url, path, content, JSON)
            assert answer.status == 400
            assert answer.header("x-llmproxy-source") == "synthesized"
            assert says in json.loads(answer.body)["error"]["message"]


async def test_what_no_provider_serves_is_unknown() -> None:
    async with mocking() as service:
        unknown = await ask(service.url, "/v1/telepathy", b"{}", JSON)
        assert (unknown.status, json.loads(unknown.body)["error"]["code"]) == (404, "unknown_url")
        files = await ask(service.url, "/v1/files", b"{}", JSON)
        assert (files.status, json.loads(files.body)["error"]["code"]) == (404, "unknown_url")
        assert files.header("x-request-id")
        batches = await ask(service.url, "/v1/messages/batches", b"{}", JSON)
        assert json.loads(batches.body)["error"]["type"] == "not_found_error"
        wrong = await ask(service.url, CHAT, b"", method="GET")
        assert wrong.status == 405
        assert "use POST" in json.loads(wrong.body)["error"]["message"]


async def test_a_body_that_is_too_large_is_413_in_the_providers_shape() -> None:
    async with mocking(max_request=1000) as service:
        answer = await chat(service, padding="x" * 2000)
        assert answer.status == 413
        assert json.loads(answer.body)["error"]["code"] == "llmproxy_request_too_large"


async def test_a_compressed_body_is_read_and_a_bomb_or_a_broken_one_refused() -> None:
    async with mocking(max_request=100_000) as service:
        small = gzip.compress(body(mock_response="from gzip"))
        answer = await ask(service.url, CHAT, small, JSON, "Content-Encoding: gzip")
        assert said(answer) == "from gzip"
        for content in (gzip.compress(b" " * 10_000_000), small[:-9], b"plain"):
            answer = await ask(service.url, CHAT, content, JSON, "Content-Encoding: gzip")
            assert answer.status == 400
            assert "content-encoding" in json.loads(answer.body)["error"]["message"]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"mock_response": 7}, "mock_response"),
        ({"mock_response": {"error": {"status": 99}}}, "mock_response.error.status"),
        ({"response_length": "epic"}, "response_length"),
        ({"duration_seconds": -1}, "duration_seconds"),
        ({"tokens_per_second": -1}, "tokens_per_second"),
        ({"tps": "fast"}, "tps"),
        ({"ttft": float(10**9)}, "ttft"),
        ({"tokens_per_chunk": 0}, "tokens_per_chunk"),
    ],
)
async def test_a_wish_that_cannot_be_is_a_400_that_names_its_field(
    members: dict[str, Any], field: str
) -> None:
    async with mocking() as service:
        answer = await chat(service, **members)
        assert answer.status == 400
        assert json.loads(answer.body)["error"]["param"].startswith(field)


async def test_a_schema_that_nothing_fits_is_refused_and_not_searched_for_ever() -> None:
    schema = {"type": "array", "minItems": 10**9, "items": {"type": "string"}}
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    async with mocking() as service:
        answer = await chat(service, response_format=wanted)
        assert answer.status == 400
        assert "schema" in json.loads(answer.body)["error"]["message"]


async def test_models_that_are_not_known_are_404_where_models_are_strict() -> None:
    async with mocking(models__strict=True) as service:
        answer = await chat(service, model="gpt-99")
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["code"]) == (404, "model_not_found")
        assert error["message"] == "Model 'gpt-99' does not exist"
        assert (await chat(service)).status == 200
        assert (await chat(service, model="llama3.2:latest")).status == 200


async def test_errors_carry_the_providers_own_headers() -> None:
    async with mocking() as service:
        assert (await chat(service, messages=[])).header("x-request-id")
        answer = await ask(service.url, "/v1/messages", b"{}", JSON)
        assert json.loads(answer.body)["request_id"] == answer.header("request-id")


# Sent by the one player


async def test_a_stream_leaves_at_its_pace_and_a_whole_reply_takes_as_long() -> None:
    async with mocking(pace__ttft=0.05, pace__tokens_per_second=100.0) as service:
        stream = await chat(service, stream=True, mock_response="one two three four five six")
        data = [
            chunk
            for chunk in stream.chunks
            if b'"content":"' in chunk[1] and b"role" not in chunk[1]
        ]
        assert len(data) == 6
        assert stream.head_at >= 0.045
        assert data[5][0] - data[0][0] >= 0.045
        whole = await chat(service, mock_response="one two three four five six")
        assert whole.head_at >= 0.095


async def test_a_client_that_leaves_in_mid_stream_stops_the_stream() -> None:
    async with mocking(pace__tokens_per_second=50.0) as service:
        async with Client(service.url) as client:
            client.send(CHAT, body(stream=True, response_length="very_long"), JSON)
            await client.reader.readuntil(b"data:")
        await until(lambda: not service.journal.in_flight)
        assert service.journal.sources["synthesized"] == 1


async def test_an_error_in_mid_stream_ends_it_after_the_chunks_asked_for() -> None:
    broken = {"text": "one two three four", "stream_error": {"status": 529}, "after_chunks": 2}
    async with mocking() as service:
        answer = await chat(service, stream=True, mock_response=broken)
        assert (answer.status, answer.broken) == (200, False)
        reader = EventReader()
        *sent, failed = [json.loads(event.data) for event in reader.feed(answer.body)]
        assert "".join(r["choices"][0]["delta"].get("content") or "" for r in sent) == "one two"
        assert failed["error"]["code"] == "overloaded"
        whole = await chat(service, mock_response=broken)
        assert whole.status == 529


async def test_a_large_request_does_not_hold_up_streams() -> None:
    """Its work is done in the thread: the loop answers in between."""
    async with mocking() as service:
        large = asyncio.create_task(
            chat(service, messages=[{"role": "user", "content": "word " * 400_000}])
        )
        await until(lambda: service.journal.in_flight > 0)
        answers = [await chat(service) for _ in range(3)]
        assert {answer.status for answer in answers} == {200}
        assert (await large).status == 200


@pytest.mark.parametrize(
    "members",
    [
        {"response_length": 32_000, "logprobs": True, "top_logprobs": 20},
        {"response_length": 32_000, "n": 100},
    ],
)
async def test_a_small_request_for_a_large_reply_does_not_hold_up_others(
    members: dict[str, Any],
) -> None:
    async with mocking() as service:
        large = asyncio.create_task(chat(service, **members))
        await until(lambda: service.journal.in_flight > 0)
        assert (await chat(service)).status == 200
        assert not large.done()
        assert (await large).status == 200


async def test_a_compressed_body_is_undone_in_the_thread_for_a_small_one_may_be_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def watched(*arguments: Any) -> tuple[bytes, bool]:
        threads.append(threading.current_thread().name)
        return compression.decode_as_far(*arguments)

    monkeypatch.setattr(redacted, "decode_as_far", watched)
    path = make.write(tmp_path / "run.db")
    async with replaying(path, state_folder=tmp_path) as service:
        packed = gzip.compress(body())
        answer = await ask(service.url, CHAT, packed, JSON, "Content-Encoding: gzip")
        assert answer.status == 400
    assert {name.rpartition("_")[0] for name in threads} == {"llmproxy-aside"}


async def test_a_vocabulary_that_another_model_needs_is_loaded_when_it_is_asked_for() -> None:
    async with mocking() as service:
        answer = await chat(service, model="gpt-3.5-turbo", mock_response="tiktoken is great!")
        assert json.loads(answer.body)["usage"]["completion_tokens"] == 6


async def test_a_stream_tells_its_bytes_not_to_be_kept_back() -> None:
    async with mocking() as service:
        answer = await chat(service, stream=True)
        assert answer.header("cache-control") == "no-cache"
        assert answer.header("x-accel-buffering") == "no"


async def test_head_and_options_do_what_http_says() -> None:
    async with mocking() as service:
        head = await ask(service.url, "/v1/models", b"", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        preflight = await ask(
            service.url, CHAT, b"", "Origin: http://a.example",
            "Access-Control-Request-Method: POST", method="OPTIONS",
        )  # fmt: skip
        assert preflight.status == 204


# The rhythm of a cassette


async def test_a_made_up_stream_follows_the_rhythm_of_a_cassette(tmp_path: Path) -> None:
    def event(text: str) -> bytes:
        record = {"choices": [{"index": 0, "delta": {"content": text}}]}
        return b"data: " + json.dumps(record).encode() + b"\n\n"

    chunks = [
        (0.02, event("one")),
        (0.03, event(" two")),
        (0.2, event(" three")),
        (0.21, event(" four")),
    ]
    recorded = make.response(
        [*chunks, (0.21, b"data: [DONE]\n\n")], headers=(("Content-Type", "text/event-stream"),)
    )
    path = make.write(
        tmp_path / "run.db", make.interaction(make.request(body(stream=True)), recorded)
    )
    async with mocking(pace__like=str(path)) as service:
        answer = await chat(service, stream=True, mock_response="one two three four")
        data = [
            at for at, chunk in answer.chunks if b'"content":"' in chunk and b"role" not in chunk
        ]
        assert len(data) == 4
        assert data[2] - data[1] >= 0.15
