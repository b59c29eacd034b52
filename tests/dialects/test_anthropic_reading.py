"""What Anthropic's operations read of a request, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.examples.anthropic.written_anthropic import (
    BODY,
    REFUSED,
    RESULT,
    TOOLS,
    USE,
    asked,
    said,
)
from dialects.examples.anthropic.written_anthropic import tools as with_tools
from dialects.written import RefusedRequest
from llmproxy.answer import ToolCall
from llmproxy.dialects import operation
from llmproxy.dialects.anthropic import ANTHROPIC
from llmproxy.dialects.operation import Refused
from llmproxy.interaction import Problem
from llmproxy.prompt import Format, Message, Prompt, ToolChoice
from means import call_of, make_means

OLD = (("anthropic-version", "2023-06-01"),)
NEW = (("anthropic-version", "2026-10-21"),)


def read(body: Any, headers: Any = NEW, **more: Any) -> Prompt:
    found, call = call_of(ANTHROPIC.operations, "/v1/messages", body, headers=headers, **more)
    assert isinstance(found, operation.Text)
    return found.read_prompt(call)


def problem_of(target: str, body: Any, **more: Any) -> Problem | None:
    """Why a request is refused; None: it is not."""
    try:
        found, call = call_of(ANTHROPIC.operations, target, body, **more)
        if isinstance(found, operation.Text):
            assert isinstance(found.read_prompt(call), Prompt)
        else:
            assert found.answer(call, make_means(call)).status == 200
    except Refused as refused:
        return refused.problem
    return None


@pytest.mark.parametrize("request_", REFUSED, ids=lambda each: f"{each.method} {each.field}")
def test_a_refusal_names_the_field(request_: RefusedRequest) -> None:
    asked_with = {"method": request_.method, "headers": request_.headers}
    problem = problem_of(request_.target, request_.body, **asked_with)
    assert problem is not None
    assert problem.status == request_.status
    assert request_.field in problem.message
    status, _, body = ANTHROPIC.write_error(problem)
    assert status == request_.status
    assert json.loads(body)["error"]["message"] == problem.message


def test_row_002_6_max_tokens_must_be_named() -> None:
    body = {key: value for key, value in BODY.items() if key != "max_tokens"}
    problem = problem_of("/v1/messages", body)
    assert problem is not None
    error = json.loads(ANTHROPIC.write_error(problem)[2])
    assert error["type"] == "error"
    assert error["error"] == {
        "type": "invalid_request_error",
        "message": "max_tokens: Field required",
    }


def test_row_001_2_a_lenient_call_needs_neither_model_nor_max_tokens() -> None:
    prompt = read({"messages": BODY["messages"], "temperature": 1.0}, lenient=True)
    assert prompt.max_tokens == 1024
    assert prompt.model


def test_sampling_is_refused_by_its_api_version_alone() -> None:
    body = asked(temperature=0.5, top_p=0.9, top_k=3)
    for headers in (OLD, (), (("anthropic-version", "newest"),)):
        assert read(body, headers).max_tokens == 1000
    assert read(body, lenient=True).max_tokens == 1000
    with pytest.raises(Refused, match="temperature: .*2026-10-21"):
        read(body)


def test_a_prompt_holds_system_text_turns_calls_and_results() -> None:
    prompt = read(
        with_tools(
            {"type": "web_search_20260318", "name": "web_search"},
            system=[{"type": "text", "text": "be "}, {"type": "text", "text": "brief"}],
            messages=[
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": [{"type": "text", "text": "hm"}, USE]},
                {
                    "role": "user",
                    "content": [
                        {**RESULT, "content": [{"type": "text", "text": "done"}, IMAGE]},
                        {"type": "text", "text": "go on"},
                        IMAGE,
                    ],
                },
            ],
        )
    )
    assert prompt.messages == (
        Message("system", "be brief"),
        Message("user", "hello"),
        Message("assistant", "hm", calls=(ToolCall("f", '{"a":"x"}', "toolu_1"),)),
        Message("user", "go on", media=1),
        Message("tool", "done", answers="toolu_1", media=1),
    )
    assert [tool.name for tool in prompt.tools] == ["f"]
    assert prompt.tools[0].schema == TOOLS[0]["input_schema"]
    assert prompt.has_tool_result
    assert prompt.last_user_text == "go on"


IMAGE = {"type": "image", "source": {"type": "url", "url": "http://x"}}


def test_what_the_providers_own_tools_left_is_taken_and_says_nothing() -> None:
    foreign = [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "mcp_tool_use", "id": "m", "name": "x", "server_name": "s", "input": {}},
        {"type": "redacted_thinking", "data": "eA=="},
        {"type": "thinking", "thinking": "hm", "signature": "eA=="},
        {"type": "text", "text": "found"},
    ]
    assert read(said(*foreign, role="assistant")).messages == (Message("assistant", "found"),)


def turns(*contents: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": each} for n, each in enumerate(contents)]
    return asked(messages=messages)


def test_a_result_answers_a_use_of_the_turn_before() -> None:
    other = {**USE, "id": "toolu_2"}
    with pytest.raises(Refused, match=r"messages\.1: .*immediately after: toolu_2\."):
        read(turns("x", [USE, other], [RESULT]))
    with pytest.raises(Refused, match=r"messages\.1: .*immediately after: toolu_1\."):
        read(turns("x", [USE], "never mind", "hm", [RESULT]))
    with pytest.raises(Refused, match=r"messages\.2\.content\.1: unexpected .*toolu_2\."):
        read(turns("x", [USE], [RESULT, {**RESULT, "tool_use_id": "toolu_2"}]))
    read(turns("x", [USE, other], "never mind"), lenient=True)
    assert (
        len(
            read(
                turns("x", [USE], [RESULT], [{**USE, "id": "b"}], [{**RESULT, "tool_use_id": "b"}])
            ).messages
        )
        == 5
    )


def test_messages_of_one_role_in_a_row_are_one_turn() -> None:
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [USE]},
        {"role": "assistant", "content": [{**USE, "id": "toolu_2"}]},
        {"role": "system", "content": "mind the gap"},
        {"role": "user", "content": [RESULT]},
        {"role": "user", "content": [{**RESULT, "tool_use_id": "toolu_2"}]},
    ]
    assert read(asked(messages=messages)).has_tool_result


def test_an_assistant_may_speak_first() -> None:
    assert read(turns_from_assistant("hm", "hello")).messages[0].role == "assistant"


def turns_from_assistant(first: str, second: str) -> dict[str, Any]:
    messages = [{"role": "assistant", "content": first}, {"role": "user", "content": second}]
    return asked(messages=messages)


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        (None, ToolChoice(), True),
        ({"type": "auto"}, ToolChoice(), True),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice(), False),
        ({"type": "any"}, ToolChoice("required"), True),
        ({"type": "none"}, ToolChoice("none"), True),
        ({"type": "tool", "name": "f"}, ToolChoice("required", ("f",)), True),
        ({"type": "tool", "name": "bash"}, ToolChoice(), True),
    ],
)
def test_a_tool_choice_is_read(choice: Any, expected: ToolChoice, parallel: bool) -> None:
    prompt = read(with_tools({"type": "bash_20250124", "name": "bash"}, tool_choice=choice))
    assert (prompt.choice, prompt.parallel) == (expected, parallel)


def test_a_tool_that_is_provided_is_never_called() -> None:
    provided = [
        {"type": "computer_20251124", "name": "computer", "display_width_px": 1},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        {"type": "mcp_toolset", "mcp_server_name": "s"},
    ]
    prompt = read(asked(tools=provided, tool_choice={"type": "any"}, mcp_servers=[{"name": "s"}]))
    assert (prompt.tools, prompt.choice) == ((), ToolChoice())


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, True),
        ({"type": "adaptive", "display": "omitted"}, True),
        ({"type": "disabled"}, False),
        ({"type": "between_tools"}, False),
        (None, False),
    ],
)
def test_thinking_is_read(thinking: Any, expected: bool) -> None:
    assert read(asked(max_tokens=2000, thinking=thinking)).reasoning is expected


def test_a_budget_may_exceed_max_tokens_only_where_thinking_is_interleaved() -> None:
    body = asked(thinking={"type": "enabled", "budget_tokens": 5000})
    with pytest.raises(Refused, match="max_tokens: must be greater than"):
        read(body)
    beta = (("anthropic-beta", "x,interleaved-thinking-2025-05-14"),)
    assert read(body, beta).reasoning
    assert problem_of("/v1/messages/count_tokens", body) is None


def test_a_format_is_read_under_both_names() -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    for more in ({"output_config": {"effort": "low", "format": wanted}}, {"output_format": wanted}):
        assert read(asked(**more)).format == Format({"type": "object"})
    assert read(asked(output_config={"effort": "max"})).format is None


def test_stop_sequences_and_stream_are_read() -> None:
    prompt = read(asked(stop_sequences=["END", "\n#"], stream=True, container="c", max_tokens=0))
    assert (prompt.stop, prompt.stream, prompt.max_tokens) == (("END", "\n#"), True, 0)


def test_nested_results_end_in_a_refusal() -> None:
    block: Any = RESULT
    for _ in range(5000):
        block = {**RESULT, "content": [block]}
    with pytest.raises(Refused, match=r"messages\.0\.content\.0\.content\.0\.type"):
        read(said(block), lenient=True)


def test_input_nested_too_deeply_is_refused() -> None:
    given: Any = {}
    for _ in range(100_000):
        given = {"a": given}
    with pytest.raises(Refused, match=r"messages\.0\.content\.0\.input"):
        read(said({**USE, "input": given}, role="assistant"))
    while given:
        given = given.pop("a")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["user", "text", "tool_use", "tool_result", "auto", "enabled", "custom"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "name", "id", "source", "input"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FULL = with_tools(
    {"type": "bash_20250124", "name": "bash"},
    system=[{"type": "text", "text": "be brief"}],
    tool_choice={"type": "tool", "name": "f"},
    thinking={"type": "disabled"},
    output_config={"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    metadata={"user_id": "u"},
    stop_sequences=["END"],
    service_tier="auto",
    messages=[
        {"role": "user", "content": [IMAGE, {"type": "text", "text": "x"}]},
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [{**RESULT, "content": [{"type": "text", "text": "x"}]}]},
    ],
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    return [at, *(place for key, inner in members for place in places(inner, (*at, key)))]


def replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = replaced(value[place[0]], place[1:], new)
    return copy


@settings(deadline=None, max_examples=150)
@given(value=JSON, place=st.sampled_from(places(FULL)), lenient=st.booleans())
def test_any_value_anywhere_gives_a_prompt_or_a_refusal(
    value: Any, place: tuple[Any, ...], lenient: bool
) -> None:
    body = replaced(FULL, place, value)
    for target in ("/v1/messages", "/v1/messages/count_tokens"):
        problem = problem_of(target, body, headers=OLD, lenient=lenient)
        assert problem is None or problem.status == 400


@settings(deadline=None, max_examples=100)
@given(members=st.dictionaries(st.sampled_from([*FULL, "temperature", "stream"]), JSON))
def test_any_object_gives_a_prompt_or_a_refusal(members: Mapping[str, Any]) -> None:
    for body in (members, {**BODY, **members}):
        problem = problem_of("/v1/messages", body, headers=NEW)
        assert problem is None or problem.status == 400


TRAFFIC = Path(__file__).parent.parent.parent.parent / "shared" / "traffic" / "anthropic"


@pytest.mark.skipif(
    not TRAFFIC.is_dir(), reason="no folder of recorded traffic beside the checkout"
)
def test_requests_that_the_provider_took_are_taken() -> None:
    taken = 0
    for file in sorted(TRAFFIC.glob("*.yaml")):
        for interaction in yaml.load(file.read_bytes(), yaml.CSafeLoader)["interactions"]:
            request = interaction["request"]
            body = request.get("parsed_body")
            if (
                "/v1/messages" not in request["uri"]
                or interaction["response"]["status"]["code"] != 200
            ):
                continue
            headers = tuple((name, values[0]) for name, values in request["headers"].items())
            found, call = call_of(ANTHROPIC.operations, request["uri"], body, headers=headers)
            if isinstance(found, operation.Text):
                taken += bool(found.read_prompt(call).messages)
    assert taken > 10
