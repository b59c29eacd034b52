"""Legacy Completions: prompts, choices, chunks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types import Completion

from dialects.clients import sse_objects, typed
from llmproxy.answer import Answer, Choice, Reasoning, Text, Usage
from llmproxy.dialects.openai.completions import COMPLETIONS, read_prompt, write_body, write_stream
from llmproxy.dialects.operation import Call, Frame, encode, find
from llmproxy.prompt import Prompt
from means import NOW, make_call, make_means

TARGET = "/v1/completions"


def asked(**members: Any) -> Call:
    return make_call(TARGET, {"model": "gpt-3.5-turbo-instruct", "prompt": "Once", **members})


def answered(prompt: Prompt, *texts: str) -> Answer:
    return Answer(tuple(Choice((Text(text),)) for text in texts), Usage(3, 5))


def written(call: Call, *texts: str) -> Any:
    prompt = read_prompt(call)
    return json.loads(encode(write_body(prompt, answered(prompt, *texts), make_means(call))))


def streamed(call: Call, *texts: str) -> tuple[list[dict[str, Any]], list[Frame]]:
    prompt = read_prompt(call)
    frames = list(write_stream(prompt, answered(prompt, *texts), make_means(call)))
    return sse_objects(b"".join(frame.data for frame in frames)), frames


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/completions", "m"),
        ("/completions", "m"),
        ("/openai/deployments/mine/completions", "m"),
        ("/v1/engines/davinci/completions", "davinci"),
    ],
)
def test_every_mount_is_found(path: str, model: str) -> None:
    found = find(COMPLETIONS, "POST", path)
    assert found is not None
    call = make_call(path, {"model": "m", "prompt": "x"}, variables=found[1])
    assert read_prompt(call).model == model


def test_a_deployment_names_the_model_where_the_body_does_not() -> None:
    found = find(COMPLETIONS, "POST", "/openai/deployments/mine/completions")
    assert found is not None
    call = make_call("/x", {"prompt": "x"}, variables=found[1])
    assert read_prompt(call).model == "mine"


def test_chat_is_not_ours() -> None:
    assert find(COMPLETIONS, "POST", "/v1/chat/completions") is None


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("Once", ["Once"]),
        ("", [""]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], ["[1, 2]"]),
        ([[1], [2, 3]], ["[1]", "[2, 3]"]),
    ],
)
def test_a_prompt_is_a_text_or_tokens_or_several(prompt: Any, texts: list[str]) -> None:
    read = read_prompt(asked(prompt=prompt))
    assert [message.text for message in read.messages] == texts
    assert {message.role for message in read.messages} == {"user"}
    assert read.count == len(texts)


def test_several_prompts_and_n_multiply() -> None:
    read = read_prompt(asked(prompt=["a", "b", "c"], n=2))
    assert read.count == 6


def test_there_is_no_bound_unless_one_is_given() -> None:
    assert read_prompt(asked()).max_tokens is None
    assert read_prompt(asked(max_tokens=16)).max_tokens == 16


def test_lenient_takes_neither_model_nor_prompt() -> None:
    read = read_prompt(make_call(TARGET, {}, lenient=True))
    assert (read.model, read.last_user_text) == ("gpt-3.5-turbo", "")


def test_003_10_a_reply_has_the_shape_of_the_provider() -> None:
    body = written(asked(), "upon a time")
    typed(Completion, body)
    assert body["id"].startswith("cmpl-")
    assert len(body["id"]) == 34
    assert body["object"] == "text_completion"
    assert body["created"] == int(NOW)
    assert body["choices"] == [
        {"text": "upon a time", "index": 0, "logprobs": None, "finish_reason": "stop"}
    ]
    assert body["usage"]["total_tokens"] == 8


def test_003_11_chunks_are_text_completions_and_the_last_says_why_it_ended() -> None:
    rows, _ = streamed(asked(stream=True), "upon a time")
    assert {row["object"] for row in rows} == {"text_completion"}
    choices = [row["choices"][0] for row in rows]
    assert "".join(choice["text"] for choice in choices) == "upon a time"
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]
    assert not any("usage" in row for row in rows)


def test_usage_comes_in_a_chunk_of_its_own_where_it_is_asked() -> None:
    rows, _ = streamed(asked(stream=True, stream_options={"include_usage": True}), "upon")
    assert [row["usage"] for row in rows[:-1]] == [None] * (len(rows) - 1)
    assert rows[-1]["choices"] == []
    assert rows[-1]["usage"]["completion_tokens"] == 5


def test_004_18_usage_can_come_with_the_finish_reason() -> None:
    prompt = read_prompt(asked(stream=True))
    means = make_means(asked(), usage_in_final_chunk=True)
    frames = list(write_stream(prompt, answered(prompt, "upon"), means))
    rows = sse_objects(b"".join(frame.data for frame in frames))
    assert rows[-1]["choices"][0]["finish_reason"] == "stop"
    assert rows[-1]["usage"]["total_tokens"] == 8
    assert "usage" not in rows[0]


def test_choices_first_appear_in_the_order_of_their_index() -> None:
    rows, _ = streamed(asked(prompt=["a", "b"], stream=True), "one two", "three")
    seen = [row["choices"][0]["index"] for row in rows]
    assert seen[:2] == [0, 1]
    assert sorted(set(seen)) == [0, 1]


def test_echo_repeats_each_choices_own_prompt() -> None:
    call = asked(prompt=["a ", "b "], n=2, echo=True)
    texts = [choice["text"] for choice in written(call, "1", "2", "3", "4")["choices"]]
    assert texts == ["a 1", "a 2", "b 3", "b 4"]
    rows, frames = streamed(asked(echo=True, stream=True), " upon")
    assert "".join(row["choices"][0]["text"] for row in rows) == "Once upon"
    assert sum(frame.tokens for frame in frames) == 1


def test_logprobs_are_lists_of_one_length_and_the_same_in_a_stream() -> None:
    whole = written(asked(logprobs=2, echo=True), " upon a time")["choices"][0]["logprobs"]
    assert whole["tokens"] == [" upon", " a", " time"]
    assert whole["text_offset"] == [4, 9, 11]
    assert all(number <= 0 for number in whole["token_logprobs"])
    assert [len(tops) for tops in whole["top_logprobs"]] == [2, 2, 2]
    rows, _ = streamed(asked(logprobs=2, echo=True, stream=True), " upon a time")
    parts = [row["choices"][0]["logprobs"] for row in rows]
    for name in whole:
        assert [item for part in parts if part for item in part[name]] == whole[name]


def test_reasoning_takes_its_time_and_is_not_shown() -> None:
    call = asked(stream=True)
    answer = Answer((Choice((Reasoning("Let me see."), Text("Yes"))),), Usage(1, 5, 4))
    frames = list(write_stream(read_prompt(call), answer, make_means(call)))
    assert frames[0] == Frame(b"", 4, 11)
    assert b"see" not in b"".join(frame.data for frame in frames)
