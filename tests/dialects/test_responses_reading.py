"""OpenAI's Responses: what is read and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.examples.openai.written_responses import (
    CALL,
    PARAMETERS,
    REFUSED,
    RESULT,
    TARGET,
    read,
    read_stream,
)
from dialects.responses_asking import (
    FULL,
    SCHEMA,
    TOOLS,
    VALID,
    answer,
    ask,
    plain,
)
from dialects.written import RefusedRequest
from llmproxy.answer import Text, ToolCall
from llmproxy.dialects.openai.responses import RESPONSES, write_body
from llmproxy.dialects.openai.responses_stream import write_stream
from llmproxy.dialects.operation import Plain, Refused, encode, find
from llmproxy.prompt import Format, Message, Tool, ToolChoice
from means import call_of, make_means

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
