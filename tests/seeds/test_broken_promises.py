"""What the seeds promise and do not keep: each is kept here."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest

from llmproxy.tokens import Vocabularies
from made_up_secrets import OPENAI_KEY
from seeds.asking import (
    CHAT,
    WEATHER,
    anthropic_client,
    asked,
    body_of,
    chat,
    chunks,
    count,
    curl,
    offsets,
    openai_client,
    pieces,
    replies_to,
    reply_to,
    spoken,
    user,
)
from serve import mocking

SKY = "The sky is blue during a clear day due to a phenomenon called Rayleigh scattering."
README_003 = "This is streamed by GPT-4 tiktoken tokens ✅. Newline:\nDone."
MESSAGES = "/v1/messages"
WITH_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


async def test_promise_1_usage_is_counted_and_a_stream_has_the_model_and_one_id() -> None:
    texts = ["Hi", "Tell me all about streams, please."]
    bodies = [chat(text, model="my-model", stream=False) for text in texts]
    bodies += [chat(text, model="my-model", **WITH_USAGE) for text in texts]
    *whole, short, long = await replies_to(CHAT, bodies, mock__style="echo")
    for text, reply in zip(texts, whole, strict=True):
        used = json.loads(body_of(reply))["usage"]
        assert used["completion_tokens"] == count(text, "o200k_base")
        assert used["prompt_tokens"] == count(text, "o200k_base") + 7
    for text, reply in zip(texts, (short, long), strict=True):
        told = chunks(body_of(reply))
        assert told[-1]["usage"]["completion_tokens"] == count(text, "o200k_base")
        assert {chunk["model"] for chunk in told} == {"my-model"}
        assert len({chunk["id"] for chunk in told}) == 1


async def test_promise_2_the_log_has_no_key_in_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with mocking() as service:
            await curl(service, CHAT, chat("my diary"), f"Authorization: Bearer {OPENAI_KEY}")
            await curl(service, f"{CHAT}?key={OPENAI_KEY}", chat("my diary"))
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "POST /v1/chat/completions" in said
    assert OPENAI_KEY not in said
    assert "diary" not in said


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"model": "mock-llm"}),
        (CHAT, {"model": "mock-llm", "messages": []}),
        (CHAT, {"model": 5, "messages": user("hi")}),
        (CHAT, [1, 2]),
        (MESSAGES, {"model": "claude-2", "max_tokens": 9}),
        (MESSAGES, {"model": "claude-2", "max_tokens": 9, "messages": []}),
        ("/v1/responses", {"model": "gpt-4o", "input": 5}),
        ("/v1beta/models/gemini-2.0-flash:generateContent", {"contents": "hi"}),
    ],
)
async def test_promise_3_an_invalid_request_is_a_400_and_no_server_error(
    path: str, body: Any
) -> None:
    answer = await asked(path, body)
    error = json.loads(answer.body)["error"]
    assert answer.status == 400
    assert error["message"]
    assert "Internal server error" not in error["message"]


async def test_promise_4_a_stream_says_the_configured_text_too() -> None:
    streamed = await reply_to(CHAT, chat(stream=True), mock__text=SKY, pace__chunk_unit="char")
    assert pieces(body_of(streamed)) == list(SKY)
    scripted = await reply_to(CHAT, chat(stream=True, mock_response=SKY))
    assert "".join(pieces(body_of(scripted))) == SKY


async def test_promise_5_the_anthropic_sdk_reads_the_stream() -> None:
    async with anthropic_client(mock__text=SKY, pace__chunk_unit="char") as client:
        async with client.messages.stream(
            model="claude-opus-5", max_tokens=1024, messages=user("what colour is the sky?")
        ) as stream:
            said = [text async for text in stream.text_stream]
            final = await stream.get_final_message()
    assert said == list(SKY)
    assert (final.content[0].text, final.stop_reason) == (SKY, "end_turn")
    assert final.usage.output_tokens == count(SKY, "o200k_base")


def test_promise_6_tokens_are_counted_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    counted = Vocabularies().load("cl100k_base").count(SKY)
    assert counted == 17
    assert counted != len(SKY.split())


async def test_promise_7_a_completed_response_holds_what_was_streamed_and_its_usage() -> None:
    async with openai_client() as client:
        stream = await client.responses.create(model="gpt-4o", input="Hello", stream=True)
        told = [event async for event in stream]
    said = "".join(e.delta for e in told if e.type == "response.output_text.delta")
    response = told[-1].response
    assert told[-1].type == "response.completed"
    assert response.output[0].content[0].text == said != ""
    assert response.usage.output_tokens == count(said, "o200k_base")


async def test_promise_7_the_flat_tools_of_responses_are_called() -> None:
    tools = [{"type": "function", "name": "get_weather", "parameters": WEATHER}]
    async with openai_client(mock__tool_calls=1.0, mock__text_before_calls=0.0) as client:
        found = await client.responses.create(model="gpt-4o", input="Weather?", tools=tools)
    assert [(item.type, item.name) for item in found.output] == [("function_call", "get_weather")]


async def test_promise_8_the_pieces_join_to_the_text_and_no_character_is_in_two() -> None:
    for text in (README_003, "👩‍👩‍👧‍👦 日本語 ✅✅ ñ ü", "🏳️‍🌈"):
        body = chat(stream=True, mock_response=text, tokenizer_model="gpt-4", tokens_per_chunk=1)
        found = pieces(body_of(await reply_to(CHAT, body)))
        assert "".join(found) == text
        assert "\ufffd" not in "".join(found)


@pytest.mark.parametrize("size", [1, 2, 5, 7])
async def test_promise_9_the_rate_holds_for_chunks_of_several_tokens_and_never_drifts(
    size: int,
) -> None:
    text = "word" + " word" * 699
    body = chat(stream=True, mock_response=text, tokens_per_second=100, tokens_per_chunk=size)
    told = spoken(await reply_to(CHAT, body))
    come = [count(piece) for _, piece in told]
    assert come == [size] * (700 // size)
    expected = [(number * size) / 100 for number in range(len(told))]
    assert [at for at, _ in told] == pytest.approx(expected, abs=1e-9)


async def test_promise_10_what_is_streamed_is_what_is_not_streamed() -> None:
    for unit, size in (("token", 3), ("word", 2), ("char", 10)):
        changes: dict[str, Any] = {
            "pace__chunk_unit": unit,
            "pace__chunk_size": size,
            "pace__tokens_per_second": 60.0,
        }
        body = chat("Tell me a story.", response_length="medium")
        whole = json.loads(body_of(await reply_to(CHAT, body, **changes)))
        streamed = await reply_to(CHAT, {**body, "stream": True}, **changes)
        assert "".join(pieces(body_of(streamed))) == whole["choices"][0]["message"]["content"]


async def test_promise_10_the_time_limit_of_the_settings_reaches_the_stream() -> None:
    body = chat("Tell me a story.", response_length="long", stream=True)
    reply = await reply_to(CHAT, body, pace__tokens_per_second=50.0, pace__max_stream_time=2.0)
    assert max(offsets(reply)) <= 2.0
    assert chunks(body_of(reply))[-1]["choices"][0]["finish_reason"] == "length"
