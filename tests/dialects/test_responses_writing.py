"""OpenAI's Responses: what is read, what is written, whole and as a stream, what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import APIError, OpenAI, omit
from openai._models import validate_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.pagination import SyncCursorPage
from openai.types.responses import (
    InputTokenCountResponse,
    Response,
    ResponseItem,
    ResponseStreamEvent,
)

from dialects.examples.openai.written_responses import (
    CALL,
    PARAMETERS,
    REFUSED,
    RESULT,
    TARGET,
    events,
    read,
    read_stream,
    sdk_event,
)
from dialects.written import RefusedRequest
from llmproxy.answer import Answer, Choice, Finish, Part, Reasoning, Refusal, Text, ToolCall, Usage
from llmproxy.dialects.openai.responses import RESPONSES, read_prompt, write_body
from llmproxy.dialects.openai.responses_stream import fail_stream, write_stream
from llmproxy.dialects.operation import Call, Frame, Means, Plain, Refused, encode, find
from llmproxy.interaction import Problem
from llmproxy.prompt import Format, Message, Prompt, Tool, ToolChoice
from means import call_of, make_call, make_means, tokenizer

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "f", "parameters": PARAMETERS, "description": "Finds."},
    {"type": "custom", "name": "g"},
    {"type": "web_search"},
    {"type": "mcp", "server_label": "s", "authorization": "made-up", "headers": {"X-A": "made-up"}},
]
FULL = (
    Reasoning("Let me see."),
    Text("It is four, I think."),
    ToolCall("f", '{"a":"so"}'),
    ToolCall("g", "any text", custom=True),
)
EVENT: Any = ResponseStreamEvent
PAGE: Any = SyncCursorPage[ResponseItem]
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}


def ask(body: Any = None, **changes: Any) -> tuple[Prompt, Means]:
    call = make_call(TARGET, {} if body is None else body, **changes)
    return read_prompt(call), make_means(call)


def answer(*parts: Part, finish: Finish = "stop", usage: Usage | None = None) -> Answer:
    return Answer((Choice(parts, finish),), usage or Usage(9, 11, 4))


def reply(body: Any, *parts: Part, finish: Finish = "stop", **changes: Any) -> dict[str, Any]:
    prompt, means = ask(body, **changes)
    return write_body(prompt, answer(*parts, finish=finish), means)


def stream(body: Any, *parts: Part, finish: Finish = "stop", **changes: Any) -> list[Frame]:
    prompt, means = ask(body, **changes)
    return list(write_stream(prompt, answer(*parts, finish=finish), means))


def told(frames: Iterable[Frame]) -> list[dict[str, Any]]:
    return events(b"".join(frame.data for frame in frames))


def kinds(frames: Iterable[Frame]) -> list[str]:
    """The types of the events, a run of equal ones once."""
    found: list[str] = []
    for event in told(frames):
        kind = event["type"].removeprefix("response.")
        if found[-1:] != [kind]:
            found.append(kind)
    return found


def plain(method: str, target: str, stored: dict[str, bytes], body: Any = None, **more: Any) -> Any:
    operation, call = call_of(RESPONSES, target, body, method=method, stored=stored, **more)
    assert isinstance(operation, Plain)
    return operation.answer(call, make_means(call))


def refused(method: str, target: str, stored: dict[str, bytes], body: Any = None) -> Problem:
    with pytest.raises(Refused) as caught:
        plain(method, target, stored, body)
    return caught.value.problem


# ---- reading


def test_a_string_and_an_item_without_a_type_say_the_same() -> None:
    one, _ = ask({"input": "hi"})
    other, _ = ask({"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]})
    assert one.messages == other.messages == (Message("user", "hi"),)


def test_an_empty_body_is_a_request_to_the_default_model() -> None:
    prompt, means = ask({})
    assert prompt.model == "gpt-4o"
    assert prompt.messages == ()
    assert write_body(prompt, answer(Text("x")), means)["model"] == "gpt-4o"


def test_instructions_come_first_as_a_system_message() -> None:
    body = {"instructions": "Be brief.", "input": [{"role": "developer", "content": "In verse."}]}
    prompt, _ = ask(body)
    assert prompt.system == "Be brief.\nIn verse."


def test_calls_and_results_are_read_as_chat_completions_has_them() -> None:
    items = [
        {"role": "user", "content": "2+2?"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "id": "msg_1",
            "role": "assistant",
            "type": "message",
            "content": [{"type": "output_text", "text": "So"}],
        },
        CALL,
        {"type": "custom_tool_call", "call_id": "call_2", "name": "g", "input": "x"},
        RESULT,
        {
            "type": "custom_tool_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "y"}, {"type": "input_file", "file_id": "1"}],
        },
    ]
    prompt, _ = ask({"input": items})
    calls = (ToolCall("f", "{}", "call_1"), ToolCall("g", "x", "call_2", custom=True))
    assert prompt.messages == (
        Message("user", "2+2?"),
        Message("assistant", "So", calls=calls),
        Message("tool", "4", answers="call_1"),
        Message("tool", "y", answers="call_2", media=1),
    )
    assert prompt.has_tool_result


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "mcp_approval_response", "approve": True, "approval_request_id": "x"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
        {"type": "telepathy_call", "waves": [1, 2]},
    ],
)
def test_items_of_tools_that_the_provider_runs_say_nothing(item: dict[str, Any]) -> None:
    prompt, _ = ask({"input": [item, {"role": "user", "content": "hi"}]})
    assert prompt.messages == (Message("user", "hi"),)


@pytest.mark.parametrize(
    ("model", "effort", "thinks"),
    [
        ("gpt-5-mini", "medium", True),
        ("o4-mini", "medium", True),
        ("gpt-5.4", "none", False),
        ("gpt-5.2-pro", "medium", True),
        ("gpt-5.6", "medium", True),
        ("gpt-4.1", None, False),
    ],
)
def test_a_model_that_is_told_no_effort_has_one_of_its_own(
    model: str, effort: str | None, thinks: bool
) -> None:
    prompt, means = ask({"model": model, "input": "hi"})
    assert prompt.reasoning is thinks
    body = write_body(prompt, answer(Text("x")), means)
    assert body["reasoning"] == {"effort": effort, "summary": None}
    asked, means = ask({"model": model, "input": "hi", "reasoning": {"effort": "high"}})
    assert asked.reasoning
    assert write_body(asked, answer(Text("x")), means)["reasoning"]["effort"] == "high"


@pytest.mark.parametrize(
    "after",
    [
        {"role": "assistant", "id": "msg_1", "type": "message", "content": "So"},
        CALL,
        {"type": "reasoning", "summary": []},
    ],
)
def test_reasoning_goes_with_what_it_led_to(after: dict[str, Any]) -> None:
    items = [{"type": "reasoning", "id": "rs_1", "summary": []}, after]
    ask({"input": [*items, *([RESULT] if after is CALL else [])]})
    without_id = [{"type": "reasoning", "summary": []}, {"role": "user", "content": "x"}]
    ask({"input": without_id})


def test_images_and_files_are_counted() -> None:
    content = [
        {"type": "input_text", "text": "see "},
        {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_text", "text": "these"},
    ]
    prompt, _ = ask({"input": [{"role": "user", "content": content}]})
    assert prompt.messages == (Message("user", "see these", media=2),)


def test_tools_are_flat_and_those_of_the_provider_are_not_called() -> None:
    prompt, _ = ask({"tools": TOOLS})
    assert prompt.tools == (Tool("f", "Finds.", PARAMETERS), Tool("g", custom=True))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice()),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("required", ("f",))),
        ({"type": "custom", "name": "g"}, ToolChoice("required", ("g",))),
        ({"type": "web_search"}, ToolChoice()),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
            },
            ToolChoice("required", ("f",)),
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
            ToolChoice("none"),
        ),
    ],
)
def test_a_tool_choice_is_read(choice: Any, expected: ToolChoice) -> None:
    prompt, _ = ask({"tools": TOOLS, "tool_choice": choice})
    assert prompt.choice == expected


def test_nobody_can_be_made_to_call_a_tool_that_the_provider_runs() -> None:
    prompt, _ = ask({"tools": [{"type": "web_search"}], "tool_choice": "required"})
    assert prompt.choice == ToolChoice()


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, Format()),
        ({"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}, Format(SCHEMA)),
    ],
)
def test_a_format_is_read(format: Any, expected: Format | None) -> None:
    prompt, _ = ask({"text": {"format": format}})
    assert prompt.format == expected


def test_a_lenient_reading_takes_small_bounds_open_calls_and_parts_of_chat() -> None:
    items = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, CALL]
    prompt, _ = ask({"input": items, "max_output_tokens": 1}, lenient=True)
    assert prompt.max_tokens == 1
    assert prompt.last_user_text == "hi"


@pytest.mark.parametrize("request_", REFUSED, ids=lambda each: f"{each.method}-{each.field}")
def test_what_the_provider_would_refuse_is_refused_and_named(request_: RefusedRequest) -> None:
    with pytest.raises(Refused) as caught:
        _answer(request_)
    assert caught.value.problem.status == request_.status
    assert request_.field in caught.value.problem.message


def _answer(request: RefusedRequest) -> None:
    operation, call = call_of(RESPONSES, request.target, request.body, method=request.method)
    if isinstance(operation, Plain):
        operation.answer(call, make_means(call))
    else:
        operation.read_prompt(call)


def test_a_broken_chain_has_the_providers_code() -> None:
    with pytest.raises(Refused) as caught:
        ask({"previous_response_id": "resp_x"})
    problem = caught.value.problem
    assert (problem.status, problem.code) == (400, "previous_response_not_found")
    assert problem.param == "previous_response_id"


def test_the_deployment_of_a_path_is_the_model() -> None:
    target = "/openai/deployments/mine/responses?api-version=1"
    operation, call = call_of(RESPONSES, target, {"input": "hi"})
    assert not isinstance(operation, Plain)
    assert operation.read_prompt(call).model == "mine"


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/v1/responses", "openai_responses"),
        ("POST", "/responses/", "openai_responses"),
        ("POST", "/groq/openai/v1/responses", "openai_responses"),
        ("POST", "/v1/responses/input_tokens", "openai_responses_input_tokens"),
        ("POST", "/v1/responses/compact", "openai_responses_compact"),
        ("GET", "/v1/responses/resp_1", "openai_responses_retrieve"),
        ("DELETE", "/responses/resp_1", "openai_responses_delete"),
        ("POST", "/v1/responses/resp_1/cancel", "openai_responses_cancel"),
        ("GET", "/v1/responses/resp_1/input_items", "openai_responses_input_items"),
    ],
)
def test_each_path_has_its_operation(method: str, path: str, name: str) -> None:
    found = find(RESPONSES, method, path)
    assert found is not None
    assert found[0].name == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
VALID: dict[str, Any] = {
    "model": "gpt-5",
    "input": [{"role": "user", "content": "hi"}, CALL, RESULT],
    "instructions": "Be brief.",
    "tools": TOOLS,
    "tool_choice": {"type": "function", "name": "f"},
    "parallel_tool_calls": False,
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "max_output_tokens": 100,
    "max_tool_calls": 3,
    "conversation": {"id": "conv_1"},
    "include": ["reasoning.encrypted_content"],
    "store": True,
    "background": False,
    "truncation": "auto",
    "metadata": {"a": "b"},
    "stream": True,
    "stream_options": {"include_obfuscation": True},
    "temperature": 0,
    "top_p": 1,
    "top_logprobs": 2,
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
    "service_tier": "flex",
}


# An echoed tool of a type that nobody knows is nothing that the SDK's types foresee.
strange = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


@strange
@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from([*VALID, "prompt"]) | st.text(max_size=5), JSON, max_size=5))
def test_any_object_is_answered_or_refused(body: dict[str, Any]) -> None:
    _answered_or_refused(body)


@strange
@given(st.data())
def test_a_valid_body_with_anything_in_one_place_is_answered_or_refused(
    data: st.DataObject,
) -> None:
    value = data.draw(JSON)
    body = json.loads(json.dumps(VALID))
    place: Any = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    _answered_or_refused(body)


def _answered_or_refused(body: dict[str, Any]) -> None:
    stored: dict[str, bytes] = {}
    try:
        prompt, means = ask(body, stored=stored)
    except Refused as error:
        problem = error.problem
        assert 400 <= problem.status < 500
        return
    whole = write_body(prompt, answer(*FULL), means)
    assert read(encode(whole)).choices[0].text == "It is four, I think."
    read_stream(b"".join(frame.data for frame in write_stream(prompt, answer(*FULL), means)))
    if stored:
        items = plain("GET", f"{TARGET}/{whole['id']}/input_items", stored).body["data"]
        assert all(item["id"] for item in items)
        ask({"previous_response_id": whole["id"]}, stored=stored, lenient=True)


def test_requests_of_real_programs_are_read(traffic: Path) -> None:
    seen = 0
    for file in sorted((traffic / "openai").glob("*openai_responses*.yaml")):
        for each in yaml.load(file.read_text(), yaml.CSafeLoader)["interactions"]:
            asked = each["request"]
            if asked["method"] != "POST" or each["response"]["status"]["code"] != 200:
                continue
            ask(asked["parsed_body"], trusting=True)
            seen += 1
    assert seen


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


# ---- what is stored


def test_a_stored_response_is_retrieved_as_it_was_said() -> None:
    stored: dict[str, bytes] = {}
    whole = reply({"input": "hi"}, Text("x"), stored=stored)
    assert plain("GET", f"{TARGET}/{whole['id']}", stored).body == whole
    streamed = told(stream({"input": "hi", "stream": True}, Text("x"), stored=stored))[-1][
        "response"
    ]
    assert plain("GET", f"{TARGET}/{streamed['id']}?stream=false", stored).body == streamed


def test_a_response_is_stored_before_its_last_event_leaves() -> None:
    stored: dict[str, bytes] = {}
    prompt, means = ask({"stream": True}, stored=stored)
    frames = write_stream(prompt, answer(Text("x")), means)
    for frame in frames:
        if b"response.completed" in frame.data:
            break
        assert not stored
    assert stored


def test_nothing_is_stored_where_the_request_says_so() -> None:
    stored: dict[str, bytes] = {}
    reply({"store": False}, Text("x"), stored=stored)
    stream({"store": False, "stream": True}, Text("x"), stored=stored)
    assert stored == {}


def test_a_chain_of_responses_is_one_conversation() -> None:
    stored: dict[str, bytes] = {}
    one = reply({"input": "2+2?", "instructions": "Be brief."}, Text("4"), stored=stored)
    _rename(stored, one["id"], "resp_first")
    two = reply(
        {"input": [{"role": "user", "content": "3+3?"}], "previous_response_id": "resp_first"},
        Reasoning("hm"),
        ToolCall("f", '{"a":"b"}'),
        stored=stored,
    )
    call_id = two["output"][1]["call_id"]
    prompt, _ = ask(
        {
            "input": [{"type": "function_call_output", "call_id": call_id, "output": "6"}],
            "previous_response_id": two["id"],
        },
        stored=stored,
    )
    assert prompt.messages == (
        Message("user", "2+2?"),
        Message("assistant", "4"),
        Message("user", "3+3?"),
        Message("assistant", calls=(ToolCall("f", '{"a":"b"}', call_id),)),
        Message("tool", "6", answers=call_id),
    )


def _rename(stored: dict[str, bytes], before: str, after: str) -> None:
    """Ids of a test are counted anew in each request, so the first response gets another."""
    stored[after] = stored.pop(before).replace(before.encode(), after.encode())


def test_a_call_of_the_chain_that_got_no_result_is_refused() -> None:
    stored: dict[str, bytes] = {}
    one = reply({"input": "2+2?"}, ToolCall("f", "{}"), stored=stored)
    with pytest.raises(Refused, match="No tool output found for function call call_"):
        ask({"input": "and now?", "previous_response_id": one["id"]}, stored=stored)


def test_where_replies_were_recorded_an_unknown_id_is_trusted() -> None:
    prompt, _ = ask({"input": [RESULT], "previous_response_id": "resp_recorded"}, trusting=True)
    assert prompt.messages == (Message("tool", "4", answers="call_1"),)
    prompt, _ = ask({"input": [{"type": "item_reference", "id": "msg_r"}, RESULT], "conversation": "c"}, trusting=True)  # fmt: skip
    assert prompt.has_tool_result


def test_a_chain_that_names_itself_ends() -> None:
    record = {
        "response": {"id": "resp_a", "output": [], "previous_response_id": "resp_a"},
        "input": "x",
    }
    prompt, _ = ask({"previous_response_id": "resp_a"}, stored={"resp_a": encode(record)})
    assert prompt.messages == (Message("user", "x"),)


def test_a_reference_stands_for_the_item_of_an_earlier_response() -> None:
    stored: dict[str, bytes] = {}
    one = reply({"input": "hi"}, Text("four"), ToolCall("f", "{}"), stored=stored)
    message, call = one["output"]
    items = [
        {"role": "user", "content": "hi"},
        {"type": "item_reference", "id": message["id"]},
        {"id": call["id"]},
        {**RESULT, "call_id": call["call_id"]},
    ]
    prompt, _ = ask({"input": items}, stored=stored)
    assert prompt.messages[1].text == "four"
    assert prompt.messages[1].calls[0].name == "f"


def test_a_deleted_response_is_gone_with_all_that_belongs_to_it() -> None:
    stored: dict[str, bytes] = {}
    body = {"background": True, "stream": True}
    response = told(stream(body, *FULL, stored=stored))[-1]["response"]
    gone = plain("DELETE", f"{TARGET}/{response['id']}", stored)
    assert gone.body == {"id": response["id"], "object": "response", "deleted": True}
    assert stored == {}
    assert refused("GET", f"{TARGET}/{response['id']}", stored).status == 404


def test_an_item_is_no_response() -> None:
    stored: dict[str, bytes] = {}
    item = reply({}, Text("x"), stored=stored)["output"][0]
    assert refused("GET", f"{TARGET}/{item['id']}", stored).status == 404


def test_only_a_response_in_the_background_can_be_cancelled() -> None:
    stored: dict[str, bytes] = {}
    id = reply({}, Text("x"), stored=stored)["id"]
    assert refused("POST", f"{TARGET}/{id}/cancel", stored).status == 400
    whole = reply({"background": True}, Text("x"), stored=stored)
    assert plain("POST", f"{TARGET}/{whole['id']}/cancel", stored).body == whole


def test_the_stream_of_a_background_response_is_told_again_from_any_event() -> None:
    stored: dict[str, bytes] = {}
    frames = stream({"background": True, "stream": True}, Text("One two three"), stored=stored)
    target = f"{TARGET}/{told(frames)[-1]['response']['id']}?stream=true"
    again = plain("GET", target, stored)
    assert again.content_type.startswith("text/event-stream")
    assert again.body == b"".join(frame.data for frame in frames)
    later = plain("GET", f"{target}&starting_after=4", stored)
    assert later.body == b"".join(frame.data for frame in frames[5:])
    assert plain("GET", f"{target}&starting_after=999", stored).body == b""
    assert refused("GET", f"{target}&starting_after=x", stored).param == "starting_after"


def test_a_response_that_was_not_in_the_background_cannot_be_streamed_again() -> None:
    stored: dict[str, bytes] = {}
    id = told(stream({"stream": True}, Text("x"), stored=stored))[-1]["response"]["id"]
    problem = refused("GET", f"{TARGET}/{id}?stream=true", stored)
    assert (problem.status, problem.param) == (400, "stream")


ITEMS = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/x"}]},
    CALL,
    RESULT,
]


def listing(query: str = "", items: Any = ITEMS) -> dict[str, Any]:
    stored: dict[str, bytes] = {}
    id = reply({"input": items}, Text("x"), stored=stored)["id"]
    body: dict[str, Any] = plain("GET", f"{TARGET}/{id}/input_items?{query}", stored).body
    return body


def test_input_items_are_listed_last_first_each_as_the_strict_sdk_wants_it() -> None:
    page = listing()
    validate_type(type_=PAGE, value=page)
    assert [item["type"] for item in page["data"]] == [
        *("function_call_output", "function_call", "message", "message", "message")
    ]
    assert page["data"][-1]["content"] == [{"type": "input_text", "text": "a"}]
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
    assert page["has_more"] is False


def test_input_items_come_in_pages() -> None:
    whole = listing("order=asc")["data"]
    one = listing("order=asc&limit=2")
    two = listing(f"order=asc&limit=3&after={one['last_id']}")
    assert one["data"] + two["data"] == whole
    assert (one["has_more"], two["has_more"]) == (True, False)


def test_a_string_is_listed_as_one_message_and_no_input_as_an_empty_page() -> None:
    assert listing(items="hi")["data"][0]["content"] == [{"type": "input_text", "text": "hi"}]
    empty: dict[str, Any] = {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert listing(items=None) == empty


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=msg_x"])
def test_a_page_that_cannot_be_is_refused(query: str) -> None:
    with pytest.raises(Refused) as caught:
        listing(query)
    assert caught.value.problem.param == query.partition("=")[0]


def test_input_tokens_are_those_of_the_prompt_with_its_history() -> None:
    stored: dict[str, bytes] = {}
    id = reply({"input": "A longer text to count"}, Text("x"), stored=stored)["id"]
    target = f"{TARGET}/input_tokens"
    alone = plain("POST", target, stored, {"input": "hi"}).body
    with_history = plain("POST", target, stored, {"input": "hi", "previous_response_id": id}).body
    validate_type(type_=InputTokenCountResponse, value=alone)
    assert 0 < alone["input_tokens"] < with_history["input_tokens"]


def test_a_compacted_conversation_keeps_what_the_user_said() -> None:
    items = [*ITEMS[:2], {"role": "user", "content": "c"}]
    body = {"model": "gpt-4o", "input": items}
    made = plain("POST", f"{TARGET}/compact", {}, body).body
    assert made["object"] == "response.compaction"
    assert [item["type"] for item in made["output"]] == ["message", "message", "compaction"]
    assert made["usage"]["input_tokens"] > made["usage"]["output_tokens"] > 0
    prompt, _ = ask({"input": [*made["output"], {"role": "user", "content": "d"}]})
    assert [message.text for message in prompt.messages] == ["a", "c", "d"]


def test_operations_have_names_of_their_own() -> None:
    assert len({operation.name for operation in RESPONSES}) == len(RESPONSES)


def test_the_call_is_not_changed_by_its_answer() -> None:
    body = json.loads(json.dumps(VALID))
    call: Call = make_call(TARGET, body)
    prompt = read_prompt(call)
    write_body(prompt, answer(*FULL), make_means(call))
    list(write_stream(prompt, answer(*FULL), make_means(call)))
    assert body == VALID
