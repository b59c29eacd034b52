"""Seed 001, mockllm: OpenAI's and Anthropic's chats, letter by letter, with a lag.

Its ``responses.yml``, its log and its command line are tested where they are built.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest

from seeds.asking import (
    CHAT,
    anthropic_client,
    asked,
    body_of,
    chunks,
    count,
    curl,
    events,
    offsets,
    openai_client,
    reply_to,
    spoken,
    user,
)
from serve import mocking

SKY = "The sky is blue during a clear day due to a phenomenon called Rayleigh scattering."
OPENAI = {"model": "mock-llm", "messages": user("what colour is the sky?")}
ANTHROPIC = {"model": "claude-3-sonnet-20240229", "messages": user("what colour is the sky?")}
MESSAGES = "/v1/messages"
LETTERS: dict[str, Any] = {"pace__chunk_unit": "char", "mock__text": SKY}


async def test_001_1_the_documented_openai_request_is_answered() -> None:
    body = {**OPENAI, "temperature": 0.7, "max_tokens": 150, "stream": False}
    found = json.loads((await asked(CHAT, body, mock__text=SKY)).body)
    assert (found["object"], found["model"]) == ("chat.completion", "mock-llm")
    assert found["choices"][0]["message"]["content"] == SKY
    assert found["choices"][0]["finish_reason"] == "stop"
    assert set(found["usage"]) >= {"prompt_tokens", "completion_tokens", "total_tokens"}


async def test_001_1_max_tokens_holds() -> None:
    found = json.loads((await asked(CHAT, {**OPENAI, "max_tokens": 5}, mock__text=SKY)).body)
    assert found["choices"][0]["message"]["content"] == "The sky is blue during"
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("stream", [False, True])
async def test_001_2_a_lenient_server_needs_no_max_tokens_for_a_message(stream: bool) -> None:
    body = {**ANTHROPIC, "stream": stream}
    answer = await asked(MESSAGES, body, mock__text=SKY, mock__validation="lenient")
    assert answer.status == 200
    if stream:
        deltas = [each["delta"] for each in events(answer.body) if "delta" in each]
        assert "".join(delta.get("text", "") for delta in deltas) == SKY
    else:
        assert json.loads(answer.body)["content"][0]["text"] == SKY
    assert (await asked(MESSAGES, body)).status == 400


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")  # the seed's model is old
async def test_001_2_the_documented_anthropic_request_is_answered() -> None:
    async with anthropic_client(mock__text=SKY) as client:
        found = await client.messages.create(
            model="claude-3-sonnet-20240229",
            max_tokens=1024,
            messages=[{"role": "user", "content": "what colour is the sky?"}],
        )
    (block,) = found.content
    assert block.type == "text"
    assert block.text == SKY


async def test_001_2_a_temperature_is_taken_as_its_version_of_the_api_has_it() -> None:
    body = {**ANTHROPIC, "max_tokens": 1024, "temperature": 1.0}
    async with mocking() as service:
        answer = await curl(service, MESSAGES, body, "anthropic-version: 2023-06-01")
    assert answer.status == 200


async def test_001_6_a_stream_has_an_event_for_each_character() -> None:
    reply = await reply_to(CHAT, {**OPENAI, "stream": True}, **LETTERS)
    assert [text for _, text in spoken(reply)] == list(SKY)
    body = {**ANTHROPIC, "max_tokens": 1024, "stream": True}
    told = events(body_of(await reply_to(MESSAGES, body, **LETTERS)))
    deltas = [event["delta"]["text"] for event in told if event["type"] == "content_block_delta"]
    assert deltas == list(SKY)


async def test_001_7_the_openai_stream_is_role_letters_stop_done() -> None:
    reply = await reply_to(CHAT, {**OPENAI, "stream": True}, **LETTERS)
    first, *letters, last = [chunk["choices"][0] for chunk in chunks(body_of(reply))]
    assert first["delta"]["role"] == "assistant"
    assert [set(letter["delta"]) for letter in letters] == [{"content"}] * len(SKY)
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")


async def test_001_8_the_anthropic_stream_is_the_wire_format_and_not_the_documented_one() -> None:
    """The shape that the document shows is one that no SDK reads."""
    body = {**ANTHROPIC, "max_tokens": 1024, "stream": True}
    answer = await asked(MESSAGES, body, **LETTERS)
    named = re.findall(r"^event: (\w+)$", answer.body.decode(), re.MULTILINE)
    told = events(answer.body)
    assert named == [event["type"] for event in told]
    assert named[0] == "message_start"
    assert named[-2:] == ["message_delta", "message_stop"]


async def test_001_9_the_message_has_the_documented_members() -> None:
    found = json.loads((await asked(MESSAGES, {**ANTHROPIC, "max_tokens": 1024}, **LETTERS)).body)
    assert (found["type"], found["role"]) == ("message", "assistant")
    assert found["model"] == "claude-3-sonnet-20240229"
    assert found["content"] == [{"type": "text", "text": SKY}]
    assert (found["stop_reason"], found["stop_sequence"]) == ("end_turn", None)
    assert re.fullmatch(r"msg_01[A-Za-z0-9]{22}", found["id"])
    assert found["usage"]["output_tokens"] == count(SKY, "o200k_base")
    assert found["usage"]["input_tokens"] > 0


def lag(factor: float) -> dict[str, Any]:
    """What ``lag_factor`` says: ten letters a second for each, give or take half."""
    return {**LETTERS, "pace__characters_per_second": factor * 10, "pace__jitter": 0.5}


@pytest.mark.parametrize("factor", [1, 10])
async def test_001_10_a_lagging_letter_takes_a_tenth_of_the_factor_give_or_take_half(
    factor: int,
) -> None:
    moments = [
        at for at, _ in spoken(await reply_to(CHAT, {**OPENAI, "stream": True}, **lag(factor)))
    ]
    mean = 1 / (factor * 10)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert len(gaps) == len(SKY) - 1
    assert all(0.5 * mean <= gap <= 1.5 * mean for gap in gaps)
    assert max(gaps) - min(gaps) > 0.5 * mean


async def test_001_10_a_whole_reply_lags_as_long_as_its_letters() -> None:
    whole = await reply_to(CHAT, OPENAI, **{**lag(10), "pace__jitter": 0.0})
    (moment,) = offsets(whole)
    assert moment == pytest.approx((len(SKY) - 1) / 100)
    assert whole.head_at == moment


async def test_001_11_tokens_are_tiktokens_by_the_models_name() -> None:
    """Not its 82 letters by four, nor its 15 words."""
    bodies = [{**OPENAI, "model": model} for model in ("gpt-3.5-turbo", "gpt-4", "gpt-4o")]
    answers = [await asked(CHAT, body, mock__text=SKY) for body in bodies]
    used = [json.loads(answer.body)["usage"] for answer in answers]
    assert [usage["completion_tokens"] for usage in used] == [17, 17, 17]
    assert [usage["prompt_tokens"] for usage in used] == [13, 13, 13]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (CHAT, {"model": "mock-llm"}, 400, "messages is required"),
        (CHAT, {"model": "mock-llm", "messages": []}, 400, "messages is required"),
        (CHAT, {"model": "mock-llm", "messages": "hi"}, 400, "messages"),
        (CHAT, {"model": "mock-llm", "messages": [{"role": "user"}]}, 400, "content"),
        (CHAT, {"model": "mock-llm", "messages": [{"role": "king", "content": ""}]}, 400, "role"),
        (CHAT, {**OPENAI, "temperature": "hot"}, 400, "temperature"),
        (CHAT, {**OPENAI, "stream": "yes"}, 400, "stream"),
        (MESSAGES, {**ANTHROPIC}, 400, "max_tokens: Field required"),
        (MESSAGES, {**ANTHROPIC, "max_tokens": "x"}, 400, "max_tokens"),
        (MESSAGES, {"model": "claude-2", "max_tokens": 5}, 400, "messages"),
    ],
)
async def test_001_12_an_invalid_request_is_a_400_that_names_the_member(
    path: str, body: Any, status: int, words: str
) -> None:
    answer = await asked(path, body)
    assert answer.status == status
    assert words in json.loads(answer.body)["error"]["message"]


async def test_001_12_broken_json_is_a_400_that_says_where() -> None:
    import sockets

    async with mocking() as service:
        for path in (CHAT, MESSAGES):
            answer = await sockets.ask(service.url, path, b'{"model": "x", }')
            assert answer.status == 400
            assert "line 1 column" in json.loads(answer.body)["error"]["message"]


async def test_001_15_a_path_of_two_providers_is_answered_in_the_shape_of_the_one_who_is_asked() -> (
    None
):
    async with mocking() as service:
        one = await curl(service, "/v1/models")
        two = await curl(service, "/v1/models", None, "anthropic-version: 2023-06-01")
    assert json.loads(one.body)["object"] == "list"
    assert {model["type"] for model in json.loads(two.body)["data"]} == {"model"}


async def test_001_15_any_model_name_is_served() -> None:
    async with openai_client(mock__text="Yes.") as client:
        found = await client.chat.completions.create(
            model="example-custom/any-1", messages=[{"role": "user", "content": "?"}]
        )
    assert found.model == "example-custom/any-1"
