"""Chat Completions as third parties speak them: what their clients send is taken."""

from __future__ import annotations

from typing import Any

import pytest

from llmproxy.dialects.openai import OPENAI
from llmproxy.dialects.operation import Refused, Text
from llmproxy.prompt import Message, Prompt
from means import call_of


@pytest.mark.parametrize(
    ("part", "media"),
    [
        ({"type": "document_url", "document_url": "https://example.com/a.pdf"}, 1),
        ({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, 0),
        ({"type": "reference", "reference_ids": [1]}, 0),
    ],
)
def test_parts_of_mistrals_are_taken_and_thinking_says_nothing(
    part: dict[str, Any], media: int
) -> None:
    content = [part, {"type": "text", "text": "So."}]
    body = {"model": "mistral-small", "messages": [{"role": "assistant", "content": content}]}
    operation, call = call_of(OPENAI.operations, "/v1/chat/completions", body)
    assert isinstance(operation, Text)
    assert operation.read_prompt(call).messages == (Message("assistant", "So.", media=media),)


def read(**members: Any) -> Prompt:
    body = {"model": "mistral-small", "messages": [{"role": "user", "content": "Hi"}], **members}
    operation, call = call_of(OPENAI.operations, "/v1/chat/completions", body)
    assert isinstance(operation, Text)
    return operation.read_prompt(call)


FUNCTION = {"function": {"name": "f", "parameters": {"type": "object"}}}


def test_a_tool_needs_no_type_but_for_openais_models() -> None:
    assert [tool.name for tool in read(tools=[FUNCTION]).tools] == ["f"]
    for model in ("gpt-4o", "o3", "openai/gpt-4o", "ft:gpt-4o:org::1"):
        with pytest.raises(Refused) as caught:
            read(model=model, tools=[FUNCTION])
        assert caught.value.problem.param == "tools[0].type"


def test_any_tool_is_what_openai_calls_required() -> None:
    assert read(tools=[FUNCTION], tool_choice="any").choice.mode == "required"
    with pytest.raises(Refused):
        read(model="gpt-4o", tools=[{"type": "function", **FUNCTION}], tool_choice="any")


def test_tools_that_openrouter_runs_itself_are_passed_over() -> None:
    assert read(tools=[{"type": "openrouter:web_search"}]).tools == ()


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_first_reasoning_models_take_no_system_message(role: str) -> None:
    messages = [{"role": role, "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    with pytest.raises(Refused) as caught:
        read(model="o1-mini", messages=messages)
    problem = caught.value.problem
    assert (problem.code, problem.param) == ("unsupported_value", "messages[0].role")
    assert read(model="o1", messages=messages).system == "Be brief."
