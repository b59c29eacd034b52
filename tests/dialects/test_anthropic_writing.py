"""What Anthropic's operations write, as the official SDK sees it."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from anthropic._models import validate_type
from anthropic.types import MessageTokensCount, ModelInfo
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.examples.anthropic.written_anthropic import (
    BODY,
    TOOLS,
    VERSION,
    accumulate,
    ask,
    asked,
    events,
    partial_json,
)
from llmproxy.answer import Answer, Choice, Reasoning, Refusal, Text, ToolCall, Usage
from llmproxy.dialects import operation
from llmproxy.dialects.anthropic import ANTHROPIC
from llmproxy.dialects.anthropic.models import display_name
from llmproxy.dialects.operation import Refused
from llmproxy.interaction import Problem
from llmproxy.models import Catalogue, Model
from means import call_of, make_means

USED = Usage(9, 11)


def plain(target: str, body: Any = None, models: Catalogue | None = None, **more: Any) -> Any:
    found, call = call_of(ANTHROPIC.operations, target, body, **more)
    assert isinstance(found, operation.Plain)
    return found.answer(call, make_means(call, models)).body


def both(answer: Answer, body: Any = BODY) -> tuple[bytes, bytes]:
    """A whole reply and a stream, with ids of equal numbers."""
    found, call = call_of(ANTHROPIC.operations, "/v1/messages", body, headers=VERSION)
    assert isinstance(found, operation.Text)
    prompt = found.read_prompt(call)
    whole = operation.encode(found.write_body(prompt, answer, make_means(call)))
    frames = found.write_stream(prompt, answer, make_means(call))
    return whole, b"".join(frame.data for frame in frames)


def answer(*parts: Any, finish: Any = "stop", usage: Usage = USED, **more: Any) -> Answer:
    return Answer((Choice(parts, finish, **more),), usage)


TEXT = st.text(max_size=30)
CALL = st.builds(
    ToolCall,
    st.sampled_from(["f", "get_weather"]),
    st.dictionaries(TEXT, st.none() | TEXT | st.integers(-9, 9), max_size=2).map(json.dumps),
)
PARTS = st.lists(st.builds(Text, TEXT) | st.builds(Reasoning, TEXT) | CALL, max_size=5)


@settings(deadline=None, max_examples=40)
@given(parts=PARTS, finish=st.sampled_from(["stop", "length", "tool_calls"]))
def test_the_sdk_makes_of_a_stream_what_it_makes_of_the_whole(parts: Any, finish: Any) -> None:
    whole, stream = both(answer(*parts, finish=finish, usage=Usage(9, 11, 3)))
    assert accumulate(stream).model_dump() == ask(whole).model_dump()


def test_row_001_9_a_whole_reply() -> None:
    whole, _ = both(answer(Text("Hi")))
    assert json.loads(whole) == {
        "model": "claude-sonnet-5",
        "id": "msg_01" + "1".zfill(22),
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 9,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 11,
            "output_tokens_details": {"thinking_tokens": 0},
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "service_tier": "standard",
            "inference_geo": "not_available",
        },
    }


def records(stream: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Each event's name and data; every block has just these two lines."""
    found = []
    assert stream.endswith(b"\n\n")
    for block in stream[:-2].split(b"\n\n"):
        name, data = block.split(b"\n")
        found.append((name.decode().removeprefix("event: "), json.loads(data[6:])))
    return found


def test_row_002_7_the_order_of_a_streams_events() -> None:
    calls = ToolCall("f", '{"a":"x"}'), ToolCall("f", "{}")
    parts = Reasoning("hm"), Text("one two"), *calls
    _, stream = both(answer(*parts, finish="tool_calls", usage=Usage(9, 11, 1)))
    told = records(stream)
    assert all(name == data["type"] for name, data in told)
    names: list[str] = []
    for name, data in told:
        kind = data.get("delta", {}).get("type") or data.get("content_block", {}).get("type")
        mark = f"{name}:{data['index']}:{kind}" if "index" in data else name
        if not names or names[-1] != mark:
            names.append(mark)
    assert names == [
        "message_start",
        "content_block_start:0:thinking",
        "ping",
        "content_block_delta:0:thinking_delta",
        "content_block_delta:0:signature_delta",
        "content_block_stop:0:None",
        "content_block_start:1:text",
        "content_block_delta:1:text_delta",
        "content_block_stop:1:None",
        "content_block_start:2:tool_use",
        "content_block_delta:2:input_json_delta",
        "content_block_stop:2:None",
        "content_block_start:3:tool_use",
        "content_block_delta:3:input_json_delta",
        "content_block_stop:3:None",
        "message_delta",
        "message_stop",
    ]


def test_a_stream_starts_with_an_empty_message_and_ends_with_its_usage() -> None:
    _, stream = both(answer(Text("Hi"), usage=Usage(9, 11, 4)))
    told = dict(records(stream))
    message = told["message_start"]["message"]
    assert (message["content"], message["stop_reason"]) == ([], None)
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (9, 1)
    assert "output_tokens_details" not in message["usage"]
    assert told["message_delta"] == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None},
        "usage": {
            "input_tokens": 9,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 11,
            "output_tokens_details": {"thinking_tokens": 4},
        },
    }
    assert told["message_stop"] == {"type": "message_stop"}


def test_a_tool_calls_first_piece_is_empty_and_its_input_an_object() -> None:
    whole, stream = both(answer(ToolCall("f", '{"a":"x"}'), finish="tool_calls"))
    pieces = [d["delta"]["partial_json"] for n, d in records(stream) if n == "content_block_delta"]
    assert pieces[0] == ""
    assert len(pieces) > 2
    assert partial_json(stream) == ['{"a":"x"}']
    [block] = json.loads(whole)["content"]
    assert block["input"] == {"a": "x"}
    assert len(block["id"]) == len("toolu_01") + 22


def test_a_call_is_the_models_own_and_not_that_of_code_which_it_runs() -> None:
    whole, stream = both(answer(ToolCall("f", "{}"), finish="tool_calls"))
    [block] = json.loads(whole)["content"]
    started = dict(records(stream))["content_block_start"]["content_block"]
    assert block["caller"] == started["caller"] == {"type": "direct"}


def test_a_call_that_was_cut_off_has_no_input_and_streams_what_there_is() -> None:
    whole, stream = both(answer(ToolCall("f", '{"a":"x'), finish="length"))
    assert json.loads(whole)["content"][0]["input"] == {}
    assert json.loads(whole)["stop_reason"] == "max_tokens"
    assert partial_json(stream) == ['{"a":"x']


def test_a_signature_comes_once_and_is_base64() -> None:
    _, stream = both(answer(Reasoning("one two three"), Text("Hi")))
    kinds = [
        data["delta"]["type"]
        for name, data in records(stream)
        if name.endswith("_delta") and "index" in data
    ]
    assert kinds.count("signature_delta") == 1
    block = accumulate(stream).content[0]
    assert block.type == "thinking"
    assert len(block.signature) == 256


def test_omitted_thinking_has_a_signature_and_costs_what_it_costs() -> None:
    body = asked(thinking={"type": "adaptive", "display": "omitted"})
    said_nothing = answer(Reasoning("one two"), Text("Hi"), usage=Usage(1, 3, 2))
    whole, stream = both(said_nothing, body)
    block = ask(whole).content[0]
    assert block.type == "thinking"
    assert (block.thinking, len(block.signature)) == ("", 256)
    assert accumulate(stream).content[0] == block
    found, call = call_of(ANTHROPIC.operations, "/v1/messages", body)
    assert isinstance(found, operation.Text)
    frames = list(found.write_stream(found.read_prompt(call), said_nothing, make_means(call)))
    assert [frame.characters for frame in frames if frame.tokens] == [7, 2]


def test_a_refusal_is_text_with_details() -> None:
    refused = answer(Refusal("I will not."), finish="refusal")
    whole, stream = both(refused)
    for message in (ask(whole), accumulate(stream)):
        assert message.stop_reason == "refusal"
        assert message.stop_details is not None
        assert message.stop_details.explanation == "I will not."
        assert [block.model_dump()["text"] for block in message.content] == ["I will not."]
    filtered = ask(both(answer(finish="content_filter"))[0])
    assert (filtered.stop_reason, filtered.content) == ("refusal", [])


def test_a_stop_sequence_is_told() -> None:
    whole, stream = both(answer(Text("Hi"), finish="stop_sequence", stopped_by="END"))
    for message in (ask(whole), accumulate(stream)):
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


def test_only_the_first_of_several_answers_is_written() -> None:
    two = Answer((Choice((Text("one"),)), Choice((Text("two"),))), Usage(1, 2))
    whole, stream = both(two)
    assert b"two" not in whole + stream


def test_frames_say_how_much_text_they_carry() -> None:
    parts = Text("one two three"), ToolCall("f", '{"a":"x"}')
    found, call = call_of(ANTHROPIC.operations, "/v1/messages", BODY)
    assert isinstance(found, operation.Text)
    means = make_means(call)
    frames = list(found.write_stream(found.read_prompt(call), answer(*parts), means))
    texts = ["one two three", "f", '{"a":"x"}']
    assert sum(frame.characters for frame in frames) == sum(map(len, texts))
    assert sum(frame.tokens for frame in frames) == sum(map(means.count, texts))
    silent = [frame for frame in frames if not frame.tokens]
    assert not any(b"text_delta" in frame.data for frame in silent)


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters() | st.characters(categories=["Cs"]), min_size=1, max_size=20))
def test_lone_surrogates_pass_through_json(text: str) -> None:
    whole, stream = both(answer(Text(text)))
    pieces = [d["delta"]["text"] for n, d in records(stream) if n == "content_block_delta"]
    assert json.loads(whole)["content"][0]["text"] == text
    assert "".join(pieces).encode("utf-16", "surrogatepass") == text.encode(
        "utf-16", "surrogatepass"
    )


def test_an_error_ends_a_stream_for_the_sdk() -> None:
    _, stream = both(answer(Text("one two three")))
    cut = stream[: stream.index(b"event: message_delta")]
    broken = cut + ANTHROPIC.write_stream_error(Problem(529, "Overloaded"))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded") as caught:
        events(broken)
    assert caught.value.type == "overloaded_error"


def test_tokens_are_counted_without_max_tokens() -> None:
    body = {"model": "claude-sonnet-5", "messages": BODY["messages"], "tools": TOOLS}
    counted = plain("/v1/messages/count_tokens", body)
    validate_type(type_=MessageTokensCount, value=counted)
    less = plain("/messages/count_tokens/", {**body, "tools": []})
    assert counted["input_tokens"] > less["input_tokens"] > 0


MODELS = Catalogue(
    (
        Model("claude-a-1", "anthropic", created=1_700_000_000, context=200_000, longest=64_000),
        Model("gpt-4o", "openai"),
        Model("claude-opus-b-2", "anthropic"),
        Model("claude-sonnet-4-5-20250929", "anthropic", created=10**12),
    )
)
IDS = [model.id for model in MODELS.of("anthropic")]


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ("", IDS, False),
        ("?limit=1000", IDS, False),
        ("?limit=2", IDS[:2], True),
        (f"?limit=1&after_id={IDS[0]}", IDS[1:2], True),
        (f"?after_id={IDS[1]}", IDS[2:], False),
        (f"?after_id={IDS[2]}", [], False),
        (f"?limit=1&before_id={IDS[2]}", IDS[1:2], True),
        (f"?before_id={IDS[1]}", IDS[:1], False),
        (f"?before_id={IDS[0]}", [], False),
    ],
)
def test_models_are_listed_in_pages(query: str, ids: list[str], more: bool) -> None:
    page = plain(f"/v1/models{query}", models=MODELS, method="GET")
    assert [model["id"] for model in page["data"]] == ids
    assert page["has_more"] is more
    ends = (ids[0], ids[-1]) if ids else (None, None)
    assert (page["first_id"], page["last_id"]) == ends
    for model in page["data"]:
        validate_type(type_=ModelInfo, value=model)


def test_a_model_is_told() -> None:
    assert plain("/v1/models/claude-a-1", models=MODELS, method="GET") == {
        "type": "model",
        "id": "claude-a-1",
        "display_name": "Claude A 1",
        "created_at": "2023-11-14T22:13:20Z",
        "lifecycle": "active",
        "line": None,
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    }
    for id in ("gpt-4o", "claude%2Fa"):
        with pytest.raises(Refused) as caught:
            plain(f"/v1/models/{id}", models=MODELS, method="GET")
        body = ANTHROPIC.write_error(caught.value.problem)[2]
        assert json.loads(body)["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5"),
        ("claude-3-5-haiku-latest", "Claude 3.5 Haiku"),
        ("claude-opus-5", "Claude Opus 5"),
        ("mock", "Mock"),
        ("", ""),
    ],
)
def test_a_display_name_is_made_of_the_id(id: str, name: str) -> None:
    assert display_name(id) == name


@pytest.mark.parametrize("path", ["/v1/messages", "/messages", "/api/anthropic/v1/messages/"])
def test_every_prefix_finds_the_operation(path: str) -> None:
    found = operation.find(ANTHROPIC.operations, "POST", path)
    assert found is not None
    assert found[0].name == "anthropic_messages"


def test_batches_are_nowhere() -> None:
    assert operation.find(ANTHROPIC.operations, "POST", "/v1/messages/batches") is None


def test_headers_have_a_request_id_and_an_organization() -> None:
    _, call = call_of(ANTHROPIC.operations, "/v1/messages", BODY)
    headers = dict(ANTHROPIC.write_headers(make_means(call).new_id, 0.1))
    assert headers["request-id"].startswith("req_01")
    assert len(headers["request-id"]) == 28
    assert len(headers["anthropic-organization-id"]) == 36
