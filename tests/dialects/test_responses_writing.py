"""OpenAI's Responses: what is written, whole, as a stream, and when it fails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import APIError, OpenAI, omit
from openai._models import validate_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import (
    Response,
)

from dialects.examples.openai.written_responses import (
    TARGET,
    events,
    read,
    read_stream,
    sdk_event,
)
from dialects.responses_asking import (
    EVENT,
    FULL,
    TOOLS,
    VALID,
    answer,
    ask,
    kinds,
    plain,
    reply,
    stream,
    told,
)
from llmproxy.answer import Finish, Reasoning, Refusal, Text, ToolCall
from llmproxy.dialects.openai.responses_stream import fail_stream, write_stream
from llmproxy.dialects.operation import Means, encode
from llmproxy.interaction import Problem
from means import tokenizer

# ---- a whole reply


def test_a_reply_has_all_that_the_strict_sdk_asks_for() -> None:
    body = {**VALID, "stream": False, "stream_options": None}
    whole = reply(body, *FULL)
    response = validate_type(type_=Response, value=whole)
    assert response.output_text == "It is four, I think."
    assert [item.type for item in response.output] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
    ]
    assert response.usage is not None
    assert response.usage.input_tokens_details.cache_write_tokens == 0
    assert response.usage.output_tokens_details.reasoning_tokens == 4


def test_a_reply_echoes_the_request() -> None:
    body = {**VALID, "stream": False, "stream_options": None}
    whole = reply(body, Text("x"))
    same = {"instructions", "text", "tool_choice", "metadata", "max_output_tokens", "truncation"}
    same |= {"reasoning", "parallel_tool_calls", "temperature", "user", "service_tier", "model"}
    assert {name: whole[name] for name in same} == {name: VALID[name] for name in same}
    assert whole["conversation"] == {"id": "conv_1"}
    assert whole["tools"][0] == TOOLS[0] | {"strict": True}


def test_whole_numbers_are_echoed_as_such() -> None:
    whole = encode(reply({"max_tool_calls": 3.0, "top_logprobs": 2.0, "max_output_tokens": 20.0}))
    assert b'"max_tool_calls":3,' in whole
    assert b'"top_logprobs":2,' in whole
    assert b'"max_output_tokens":20,' in whole


def test_credentials_of_a_tool_are_not_echoed() -> None:
    shown = reply({"tools": TOOLS}, Text("x"))["tools"][3]
    assert shown == {"type": "mcp", "server_label": "s", "headers": {"X-A": "<redacted>"}}


def test_ids_have_the_providers_prefixes_and_a_call_has_two() -> None:
    whole = reply({"reasoning": {"summary": "auto"}}, *FULL)
    ids = [whole["id"], *(item["id"] for item in whole["output"])]
    assert [id.partition("_")[0] for id in ids] == ["resp", "rs", "msg", "fc", "ctc"]
    assert len(set(ids)) == len(ids)
    assert [item["call_id"][:5] for item in whole["output"][2:]] == ["call_", "call_"]


def test_texts_that_follow_each_other_are_one_message() -> None:
    whole = reply({}, Text("a"), Text("b"), ToolCall("f", "{}"), Text("c"))
    assert [item["type"] for item in whole["output"]] == ["message", "function_call", "message"]
    assert [part["text"] for part in whole["output"][0]["content"]] == ["a", "b"]


def test_an_answer_without_parts_is_an_empty_message() -> None:
    assert read(encode(reply({}))).choices[0].text == ""


def test_a_refusal_is_a_part_of_a_completed_message() -> None:
    whole = reply({}, Refusal("No."), finish="refusal")
    assert whole["status"] == "completed"
    assert whole["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_what_was_cut_off_is_incomplete(finish: Finish, reason: str) -> None:
    whole = reply({}, Text("a"), ToolCall("f", '{"a'), finish=finish)
    assert whole["status"] == "incomplete"
    assert whole["incomplete_details"] == {"reason": reason}
    assert [item["status"] for item in whole["output"]] == ["completed", "incomplete"]
    assert whole["completed_at"] is None


def test_reasoning_is_shown_and_encrypted_only_where_that_is_asked_for() -> None:
    hidden = reply({}, Reasoning("hm"), Text("x"))["output"][0]
    assert hidden["summary"] == []
    assert "encrypted_content" not in hidden
    body = {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    shown = reply(body, Reasoning("hm"), Text("x"))["output"][0]
    assert shown["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert len(shown["encrypted_content"]) > 100


def test_a_reply_in_the_background_is_complete_at_once() -> None:
    whole = reply({"background": True}, Text("x"))
    assert (whole["status"], whole["background"]) == ("completed", True)


# ---- a stream


def test_the_events_of_a_full_stream_come_in_order() -> None:
    frames = stream({"stream": True, "reasoning": {"summary": "auto"}}, *FULL)
    item = "output_item.added", "output_item.done"
    assert kinds(frames) == [
        "created",
        "in_progress",
        *(item[0], "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", item[1]),
        *(item[0], "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", item[1]),
        *(item[0], "function_call_arguments.delta", "function_call_arguments.done", item[1]),
        *(item[0], "custom_tool_call_input.delta", "custom_tool_call_input.done", item[1]),
        "completed",
    ]
    assert b"[DONE]" not in frames[-1].data


def test_seed_002_5_the_events_of_a_text_are_those_that_it_promises() -> None:
    assert kinds(stream({"stream": True}, Text("Hello there"))) == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.done", "content_part.done"),
        *("output_item.done", "completed"),
    ]


def test_a_refusal_has_events_of_its_own() -> None:
    frames = stream({"stream": True}, Refusal("I will not."), finish="refusal")
    assert kinds(frames)[3:6] == ["content_part.added", "refusal.delta", "refusal.done"]
    assert told(frames)[-1]["type"] == "response.completed"


def test_each_event_satisfies_the_strict_sdk() -> None:
    body = {**VALID, "store": True, "reasoning": {"summary": "auto"}, "background": True}
    parts = (*FULL, Refusal("No."))
    for event in told(stream(body, *parts)):
        validate_type(type_=EVENT, value=event)


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
def test_a_stream_ends_with_the_response_that_a_whole_reply_would_be(finish: Finish) -> None:
    body = {"input": "hi", "reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}  # fmt: skip
    last = told(stream({**body, "stream": True}, *FULL, finish=finish))[-1]
    assert last["response"] == reply(body, *FULL, finish=finish)
    assert last["type"] == f"response.{last['response']['status']}"
    assert len(last["response"]["output"]) == 4


def test_the_sdks_helper_reads_a_stream_to_its_end() -> None:
    state: ResponseStreamState[Any] = ResponseStreamState(
        input_tools=TOOLS,  # type: ignore[arg-type]  # a list of plain objects will do
        text_format=omit,
    )
    for event in told(stream({"stream": True, "tools": TOOLS}, *FULL)):
        state.handle_event(sdk_event(event))
    final = state._completed_response
    assert final is not None
    assert final.output_text == "It is four, I think."
    assert final.usage is not None
    assert final.usage.output_tokens == 11


def test_the_first_events_show_a_response_that_has_said_nothing() -> None:
    for event in told(stream({"stream": True}, Text("x")))[:2]:
        response = event["response"]
        assert (response["status"], response["output"], response["usage"]) == (
            "in_progress",
            [],
            None,
        )


def test_items_open_empty_and_close_whole() -> None:
    found = told(stream({"stream": True, "reasoning": {"summary": "auto"}}, *FULL))
    added = [each["item"] for each in found if each["type"] == "response.output_item.added"]
    done = [each["item"] for each in found if each["type"] == "response.output_item.done"]
    assert [each.get("status") for each in added[1:]] == ["in_progress"] * 3
    assert added[0]["summary"] == added[1]["content"] == []
    assert added[2]["arguments"] == added[3]["input"] == ""
    assert done == found[-1]["response"]["output"]


def test_frames_say_how_much_text_they_carry() -> None:
    count = tokenizer().count
    texts = ["Let me see.", "It is four, I think.", "f", '{"a":"so"}', "g", "any text"]
    for body in ({"stream": True}, {"stream": True, "reasoning": {"summary": "auto"}}):
        frames = stream(body, *FULL)
        assert sum(frame.tokens for frame in frames) == sum(map(count, texts))
        assert sum(frame.characters for frame in frames) == sum(map(len, texts))
        assert frames[0].tokens == frames[-1].tokens == 0


def test_reasoning_that_is_not_shown_takes_its_time_before_its_item_is_done() -> None:
    frames = stream({"stream": True}, Reasoning("Let me see."), Text("x"))
    assert [frame.tokens for frame in frames[:4]] == [0, 0, 0, tokenizer().count("Let me see.")]
    assert b"Let me" not in b"".join(frame.data for frame in frames)


def test_deltas_are_padded_only_where_that_is_asked_for() -> None:
    text = Text("A text of more than one word")
    deltas = [each for each in told(stream({"stream": True}, text)) if "delta" in each]
    assert not any("obfuscation" in each for each in deltas)
    body = {"stream": True, "stream_options": {"include_obfuscation": True}}
    deltas = [each for each in told(stream(body, text)) if "delta" in each]
    assert {(len(each["delta"]) + len(each["obfuscation"])) % 16 for each in deltas} == {0}


def test_a_stream_in_the_background_is_queued_first() -> None:
    found = told(stream({"stream": True, "background": True}, Text("x")))
    assert [each["response"]["status"] for each in found[:3]] == ["queued", "queued", "in_progress"]
    assert [each["type"] for each in found[:2]] == ["response.created", "response.queued"]


@settings(max_examples=50)
@given(st.text(max_size=40), st.text(max_size=20))
def test_any_text_arrives_as_it_is(text: str, arguments: str) -> None:
    frames = stream({"stream": True}, Text(text), ToolCall("g", arguments, custom=True))
    seen = read_stream(b"".join(frame.data for frame in frames)).choices[0]
    assert seen.text == text
    found = told(frames)[-1]["response"]["output"][1]["input"]
    assert found == arguments


def test_half_a_surrogate_pair_does_not_break_a_stream() -> None:
    frames = stream({"stream": True}, Text("cut \ud83d here"))
    assert told(frames)[-1]["response"]["output"][0]["content"][0]["text"] == "cut \ud83d here"


# ---- a stream that fails


def failing(count: int, **changes: Any) -> tuple[bytes, bytes, Means]:
    prompt, means = ask({"stream": True, "input": "hi", **changes})
    frames = tuple(write_stream(prompt, answer(Text("One two three"), ToolCall("f", "{}")), means))
    sent = frames[:count]
    problem = Problem(503, "Overloaded.", code="overloaded")
    return b"".join(frame.data for frame in sent), fail_stream(problem, sent, means), means


def test_a_failing_stream_goes_on_counting_and_ends_with_the_failed_response() -> None:
    sent, end, means = failing(6)
    *_, error, failed = events(sent + end)
    assert error == {
        "type": "error",
        "sequence_number": 6,
        "error": {
            "type": "server_error",
            "code": "overloaded",
            "message": "Overloaded.",
            "param": None,
        },
    }
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {"code": "server_error", "message": "Overloaded."}
    validate_type(type_=EVENT, value=failed)
    stored = plain("GET", f"{TARGET}/{failed['response']['id']}", dict(means.call.stored))
    assert stored.body["status"] == "failed"


def test_the_failed_response_holds_the_items_that_were_done() -> None:
    sent, _, _ = failing(100)
    whole = [each["type"] for each in events(sent)]
    done = whole.index("response.output_item.done") + 1
    sent, end, _ = failing(done + 1)
    assert [item["type"] for item in events(sent + end)[-1]["response"]["output"]] == ["message"]


def test_the_failure_of_a_stream_that_said_nothing_is_only_an_error() -> None:
    _, end, _ = failing(0)
    assert [each["type"] for each in events(end)] == ["error"]


def test_the_sdk_raises_on_a_failing_stream() -> None:
    httpx = pytest.importorskip("httpx2")
    sent, end, _ = failing(6)
    transport = httpx.MockTransport(
        lambda _request: httpx.Response(
            200, headers={"content-type": "text/event-stream"}, content=sent + end
        )
    )
    with (
        httpx.Client(transport=transport) as http,
        OpenAI(api_key="made-up", base_url="http://test", http_client=http) as client,
        pytest.raises(APIError, match="Overloaded"),
    ):
        for _ in client.responses.create(input="hi", model="gpt-4o", stream=True):
            pass
