"""Seed 000, llm-proxy: a chat endpoint that talks like a code assistant, word by word."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

import sockets
from llmproxy.configuration import Configuration
from llmproxy.service import Plan, serving
from llmproxy.settings import load
from llmproxy.synthesis.pool import ASSISTANT
from seeds.asking import (
    CHAT,
    asked,
    body_of,
    chat,
    chunks,
    count,
    curl,
    openai_client,
    pieces,
    replies_to,
    reply_to,
    spoken,
    user,
)
from serve import mocking
from sockets import free_port

LIKE_000: dict[str, Any] = {
    "mock__style": "assistant",
    "pace__chunk_unit": "word",
    "pace__chunk_delay": 0.1,
}


@pytest.mark.parametrize("stream", [False, True])
async def test_000_1_the_readmes_curl_gets_a_completion_or_a_stream(stream: bool) -> None:
    answer = await asked(CHAT, chat(stream=True) if stream else chat(), mock__text="Hi there.")
    assert answer.status == 200
    if stream:
        assert "".join(pieces(answer.body)) == "Hi there."
    else:
        assert json.loads(answer.body)["choices"][0]["message"]["content"] == "Hi there."


async def test_000_2_host_and_port_come_from_the_environment() -> None:
    port = free_port()
    variables = {"LLMPROXY_HOST": "0.0.0.0", "LLMPROXY_PORT": str(port)}
    settings = load(None, variables, {}, Path.cwd()).settings
    async with serving(Plan("mock", Configuration(settings))):
        answer = await sockets.ask(f"http://127.0.0.1:{port}", CHAT, json.dumps(chat()).encode())
    assert answer.status == 200


async def test_000_3_one_of_seven_sentences_of_a_code_assistant_at_random() -> None:
    assert len(ASSISTANT) == 7
    replies = await replies_to(CHAT, [chat()] * 40, mock__style="assistant", mock__seed=None)
    said = {json.loads(body_of(reply))["choices"][0]["message"]["content"] for reply in replies}
    assert said <= set(ASSISTANT)
    assert len(said) > 1


async def test_000_4_the_id_is_a_chat_completions() -> None:
    found = json.loads((await asked(CHAT, chat())).body)
    assert re.fullmatch(r"chatcmpl-[A-Za-z0-9]{29}", found["id"])


async def test_000_5_the_body_has_the_documented_members() -> None:
    async with openai_client(mock__style="assistant") as client:
        found = await client.chat.completions.create(
            model="gpt-3.5-turbo", messages=[{"role": "user", "content": "Hello!"}]
        )
    (choice,) = found.choices
    assert (found.object, found.model) == ("chat.completion", "gpt-3.5-turbo")
    assert (choice.index, choice.finish_reason, choice.message.role) == (0, "stop", "assistant")
    assert choice.message.content in ASSISTANT
    assert found.usage is not None
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert found.created > 1_738_125_758


async def test_000_5_a_lenient_server_takes_gpt_3_5_turbo_where_no_model_is_named() -> None:
    body = {"messages": user("Hello!")}
    found = json.loads((await asked(CHAT, body, mock__validation="lenient")).body)
    assert found["model"] == "gpt-3.5-turbo"
    assert (await asked(CHAT, body)).status == 400


async def test_000_6_a_role_then_a_chunk_a_word_then_stop_and_done() -> None:
    reply = await reply_to(CHAT, chat(stream=True), **LIKE_000)
    first, *words, last = chunks(body_of(reply))
    assert first["choices"][0]["delta"]["role"] == "assistant"
    texts = [chunk["choices"][0]["delta"]["content"] for chunk in words]
    said = "".join(texts)
    assert said in ASSISTANT
    assert [text.removesuffix(" ") for text in texts] == said.split(" ")
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")


async def test_000_7_every_chunk_has_one_id_and_none_but_the_last_a_finish_reason() -> None:
    found = chunks((await asked(CHAT, chat(stream=True))).body)
    assert len(found) > 3
    assert len({chunk["id"] for chunk in found}) == 1
    assert {chunk["model"] for chunk in found} == {"gpt-3.5-turbo"}
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in found]
    assert reasons == [None] * (len(found) - 1) + ["stop"]


async def test_000_8_a_word_every_tenth_of_a_second() -> None:
    moments = [at for at, _ in spoken(await reply_to(CHAT, chat(stream=True), **LIKE_000))]
    assert len(moments) > 5
    assert moments == pytest.approx([0.1 * number for number in range(len(moments))])


async def test_000_8_the_words_come_one_by_one() -> None:
    like = {**LIKE_000, "pace__chunk_delay": 0.02, "mock__text": "one two three four"}
    answer = await asked(CHAT, chat(stream=True), **like)
    arrived = [at for at, data in answer.chunks for _ in re.findall(rb'"content":"\w', data)]
    assert len(arrived) == 4
    assert arrived == sorted(arrived)
    assert arrived[-1] >= 0.055


async def test_000_9_usage_grows_with_the_real_messages() -> None:
    short, long = [
        json.loads(body_of(reply))
        for reply in await replies_to(CHAT, [chat("Hi"), chat("Hi " * 500)], **LIKE_000)
    ]
    said = short["choices"][0]["message"]["content"]
    assert short["usage"]["completion_tokens"] == count(said)
    added = count("Hi " * 500) - count("Hi")
    assert long["usage"]["prompt_tokens"] - short["usage"]["prompt_tokens"] == added


async def test_000_10_every_request_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "llmproxy.requests"):
        async with mocking() as service:
            await curl(service, CHAT, chat())
            await curl(service, CHAT, chat(stream=True))
    lines = "\n".join(record.getMessage() for record in caplog.records).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"200 POST {CHAT} · synthesized") for line in lines)


async def test_000_11_continue_dev_is_served_with_its_configuration() -> None:
    """``apiBase`` with /v1, any key, no legacy endpoint; it streams, and sends content parts."""
    body = {
        "model": "gpt-3.5-turbo",
        "max_tokens": 2048,
        "temperature": 0.5,
        "stream": True,
        "stop": ["\n\n```"],
        "messages": [
            {"role": "system", "content": "You are an agent in an editor."},
            {"role": "user", "content": [{"type": "text", "text": "Explain this."}]},
        ],
    }
    async with mocking(mock__style="assistant") as service:
        answer = await curl(service, CHAT, body, "Authorization: Bearer dummy-key")
    assert "".join(pieces(answer.body)) in ASSISTANT


async def test_000_12_a_stream_is_an_event_stream() -> None:
    answer = await asked(CHAT, chat(stream=True))
    assert (answer.header("content-type") or "").partition(";")[0] == "text/event-stream"
