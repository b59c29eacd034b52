"""Seed 003, mock-openai-server: the request says what is streamed, and how fast, by tokens."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest

import sockets
from llmproxy.interaction import Reply
from seeds.asking import (
    CHAT,
    asked,
    body_of,
    chunks,
    count,
    curl,
    offsets,
    openai_client,
    pieces,
    reply_to,
    spoken,
    user,
)
from serve import mocking

COMPLETIONS = "/v1/completions"
CURL = "This is streamed by GPT-4 tiktoken tokens ✅. Newline:\nDone."
PYTHON = "Hello — this will stream as GPT-4 tokens via tiktoken.\nAnd respects TTFT + TPS."
ECHO: dict[str, Any] = {"mock__style": "echo"}


def scripted(text: str = CURL, **more: Any) -> dict[str, Any]:
    """The request of the document's curl, at full speed unless ``more`` says otherwise."""
    return {
        "model": "mock-gpt4",
        "stream": True,
        "messages": user("ignored"),
        "mock_response": text,
        "tokenizer_model": "gpt-4",
        "tokens_per_chunk": 1,
        **more,
    }


def gaps(reply: Reply) -> list[float]:
    return [later - earlier for (earlier, _), (later, _) in pairwise(spoken(reply))]


async def test_003_1_chat_completions_and_models_are_served() -> None:
    async with mocking() as service:
        chatted = await curl(service, CHAT, scripted(stream=False))
        completed = await curl(service, COMPLETIONS, {"model": "mock-gpt4", "prompt": "Once"})
        listed = await curl(service, "/v1/models")
    assert json.loads(chatted.body)["object"] == "chat.completion"
    assert json.loads(completed.body)["object"] == "text_completion"
    (model,) = [row for row in json.loads(listed.body)["data"] if row["id"] == "mock-gpt4"]
    assert (model["created"], model["owned_by"], model["object"]) == (0, "mock", "model")


@pytest.mark.parametrize("name", ["mock_response", "text", "response"])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_003_2_the_request_carries_the_reply(path: str, name: str) -> None:
    body = {"model": "mock-gpt4", "messages": user("ignored"), "prompt": "ignored", name: CURL}
    choice = json.loads((await asked(path, body)).body)["choices"][0]
    assert (choice["message"]["content"] if path == CHAT else choice["text"]) == CURL


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([*user("one"), {"role": "assistant", "content": "two"}, *user("three")], "three"),
        ([*user("one"), {"role": "assistant", "content": "two"}], "one"),
        ([{"role": "system", "content": "Be brief."}], "Be brief."),
        ([{"role": "user", "content": [{"type": "text", "text": "part"}]}], "part"),
    ],
)
async def test_003_2_else_the_last_user_is_echoed_or_the_last_message(
    messages: Any, said: str
) -> None:
    answer = await asked(CHAT, {"model": "mock-gpt4", "messages": messages}, **ECHO)
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == said


async def test_003_2_a_completion_echoes_its_prompt() -> None:
    answer = await asked(COMPLETIONS, {"model": "mock-gpt4", "prompt": "Once upon"}, **ECHO)
    assert json.loads(answer.body)["choices"][0]["text"] == "Once upon"


@pytest.mark.parametrize("name", ["tokens_per_second", "tps"])
async def test_003_3_the_request_says_how_many_tokens_a_second(name: str) -> None:
    rate: dict[str, Any] = {name: 12}
    reply = await reply_to(CHAT, scripted("one two three four", **rate))
    assert gaps(reply) == pytest.approx([1 / 12] * 3)


async def test_003_3_fifteen_a_second_may_be_set_and_0_in_a_request_is_no_delay() -> None:
    changes: dict[str, Any] = {"pace__tokens_per_second": 15.0}
    assert gaps(await reply_to(CHAT, scripted("a b"), **changes)) == pytest.approx([1 / 15])
    reply = await reply_to(CHAT, scripted("a b c d", tokens_per_second=0), **changes)
    assert set(offsets(reply)) == {0.0}


async def test_003_3_the_tokens_come_at_that_rate() -> None:
    answer = await asked(CHAT, scripted("a b c d e", tokens_per_second=50))
    moments = [at for at, data in answer.chunks for _ in re.findall(rb'"content":"[ a-e]', data)]
    assert len(moments) == 5
    assert moments[-1] >= 4 / 50 - 0.005


@pytest.mark.parametrize("name", ["time_to_first_token", "ttft"])
async def test_003_4_the_request_says_when_the_role_comes(name: str) -> None:
    wait: dict[str, Any] = {name: 0.8}
    reply = await reply_to(CHAT, scripted(**wait))
    assert offsets(reply)[0] == pytest.approx(0.8)
    assert b'"role":"assistant"' in body_of(reply).partition(b"\n\n")[0]
    assert reply.head_at == pytest.approx(0.8)


async def test_003_4_a_fifth_of_a_second_may_be_set() -> None:
    assert offsets(await reply_to(CHAT, scripted(), pace__ttft=0.2))[0] == pytest.approx(0.2)


async def test_003_5_the_tokenizer_is_of_the_model_that_the_request_names() -> None:
    text = "Ein Überraschungsmoment für Größenvergleiche, наконец-то"
    used = {}
    for model in ("gpt-4", "gpt-4o", "no-such-model"):
        reply = await reply_to(CHAT, scripted(text, tokenizer_model=model, stream=False))
        used[model] = json.loads(body_of(reply))["usage"]["completion_tokens"]
    assert used["gpt-4"] == count(text, "cl100k_base")
    assert used["gpt-4o"] == count(text, "o200k_base") < used["gpt-4"]
    assert used["no-such-model"] == used["gpt-4"]


async def test_003_5_an_unknown_tokenizer_model_leaves_the_encoding_name() -> None:
    text = "наконец-то"
    body = scripted(text, tokenizer_model="none", encoding_name="o200k_base", stream=False)
    used = json.loads(body_of(await reply_to(CHAT, body)))["usage"]["completion_tokens"]
    assert used == count(text, "o200k_base") != count(text)


async def test_003_6_so_many_tokens_are_in_a_chunk_and_1_by_default() -> None:
    text = "one two three four five"
    three = await reply_to(CHAT, scripted(text, tokens_per_chunk=3))
    assert pieces(body_of(three)) == ["one two three", " four five"]
    body = scripted(text)
    del body["tokens_per_chunk"]
    assert pieces(body_of(await reply_to(CHAT, body))) == [
        "one",
        " two",
        " three",
        " four",
        " five",
    ]
    assert (await reply_to(CHAT, scripted(tokens_per_chunk=0))).status == 400


async def test_003_7_pieces_end_where_tokens_end() -> None:
    found = pieces(body_of(await reply_to(CHAT, scripted(PYTHON))))
    assert "".join(found) == PYTHON
    assert len(found) == count(PYTHON)
    assert [count(piece) for piece in found] == [1] * len(found)


async def test_003_7_what_looks_like_a_special_token_is_text() -> None:
    text = "before <|endoftext|> after"
    assert "".join(pieces(body_of(await reply_to(CHAT, scripted(text))))) == text


async def test_003_8_the_documented_extra_body_works_in_the_openai_client() -> None:
    async with openai_client() as client:
        stream = await client.chat.completions.create(
            model="mock-gpt4",
            messages=user("ignored"),
            stream=True,
            extra_body={
                "mock_response": PYTHON,
                "tokens_per_second": 1200,
                "time_to_first_token": 0.01,
                "tokenizer_model": "gpt-4",
                "tokens_per_chunk": 1,
            },
        )
        said = [event.choices[0].delta.content or "" async for event in stream]
        whole = await client.chat.completions.create(
            model="mock-gpt4",
            messages=user("ignored"),
            extra_body={"mock_response": "Non-stream response.", "tokenizer_model": "gpt-4"},
        )
    assert "".join(said) == PYTHON
    assert whole.choices[0].message.content == "Non-stream response."


async def test_003_9_usage_counts_the_messages_and_the_reply() -> None:
    """A message costs three tokens and its role more than its text; the reply's start three."""
    messages = [{"role": "system", "content": "Be brief."}, *user("What is streaming?")]
    body = scripted("Non-stream response.", messages=messages, stream=False)
    used = json.loads((await asked(CHAT, body)).body)["usage"]
    said = count("Be brief.") + count("What is streaming?")
    assert used["prompt_tokens"] == said + 2 * (3 + 1) + 3
    assert used["completion_tokens"] == count("Non-stream response.") == 4
    assert used["total_tokens"] == used["prompt_tokens"] + used["completion_tokens"]


@pytest.mark.parametrize(("path", "prefix"), [(CHAT, "chatcmpl-"), (COMPLETIONS, "cmpl-")])
async def test_003_10_a_stream_has_one_id_and_one_created(path: str, prefix: str) -> None:
    found = chunks((await asked(path, scripted(prompt="ignored"))).body)
    ((id, created),) = {(chunk["id"], chunk["created"]) for chunk in found}
    assert re.fullmatch(prefix + "[A-Za-z0-9]{24,29}", id)
    assert created > 0


async def test_003_11_chunks_are_utf_8_and_not_escaped() -> None:
    answer = await asked(CHAT, scripted())
    assert "✅".encode() in answer.body
    assert b"\\u" not in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_003_11_a_completion_streams_texts_without_a_role() -> None:
    *texts, last = chunks((await asked(COMPLETIONS, scripted(prompt="ignored"))).body)
    assert {chunk["object"] for chunk in (*texts, last)} == {"text_completion"}
    rows = [chunk["choices"][0] for chunk in texts]
    assert "".join(row["text"] for row in rows) == CURL
    assert all(set(row) >= {"index", "text", "finish_reason"} for row in rows)
    assert {row["finish_reason"] for row in rows} == {None}
    assert last["choices"][0]["finish_reason"] == "stop"


async def test_003_12_a_page_of_any_origin_may_read_with_any_authorization() -> None:
    async with mocking() as service:
        for authorization in ("Authorization: Bearer test", "Authorization: Basic eDp5"):
            answer = await curl(service, CHAT, scripted(), authorization, "Origin: http://app.test")
            assert answer.status == 200
            assert answer.header("access-control-allow-origin") == "*"


async def test_003_12_the_preflight_of_a_page_is_answered() -> None:
    async with mocking() as service:
        answer = await sockets.ask(
            service.url, CHAT, b"",
            "Origin: http://app.test", "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: authorization,content-type", method="OPTIONS",
        )  # fmt: skip
    assert answer.status == 204
    assert answer.header("access-control-allow-headers") == "authorization,content-type"
