"""Tools of Chat Completions through OpenAI's SDK: who is called, with what, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from pydantic import BaseModel

from conformance import openai_clients
from conformance.driving import (
    MODELS,
    TONGUES,
    TOOLS,
    WEATHER,
    Colour,
    Kind,
    Mocking,
    functions,
    user,
    valid,
)
from conformance.openai_clients import (
    Client,
    chat,
    chunks,
    count,
    helped,
    joined,
    parsed,
)

PARIS = {"city": "Paris", "unit": "celsius"}
OSLO = {"city": "Oslo, Ås, 漢字", "unit": "fahrenheit", "days": 3}
TWO = [{"name": "get_weather", "arguments": PARIS}, {"name": "get_weather", "arguments": OSLO}]


class Paint(BaseModel):
    """Paints a wall."""

    colour: Colour
    walls: list[int]


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [named(name) for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def read(calls: Any) -> list[tuple[str, Any]]:
    """Names and arguments of tool calls."""
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


def cost(calls: Any) -> int:
    return sum(count(call.function.name) + count(call.function.arguments) for call in calls)


# who is called


async def test_a_required_tool_is_called_with_valid_arguments(openai_client: Client) -> None:
    completion = await chat(openai_client, tools=functions(), tool_choice="required")
    (choice,) = completion.choices
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert (choice.message.content, choice.message.refusal) == (None, None)
    assert call.type == "function"
    assert call.id.startswith("call_")
    valid(TOOLS[call.function.name], call.function.arguments)
    assert completion.usage.completion_tokens == cost([call])


@pytest.mark.parametrize("name", TOOLS)
async def test_a_tool_that_is_named_is_called_and_ends_with_stop(
    openai_client: Client, name: str
) -> None:
    asked: dict[str, Any] = {"tools": functions(), "tool_choice": named(name)}
    completion = await chat(openai_client, **asked)
    (choice,) = completion.choices
    (call,) = choice.message.tool_calls
    assert call.function.name == name
    assert choice.finish_reason == "stop"
    valid(TOOLS[name], call.function.arguments)
    _, gathered = await helped(openai_client, **asked)
    assert read(gathered.choices[0].message.tool_calls) == read([call])


@pytest.mark.parametrize("number", range(4))
async def test_only_allowed_tools_are_called(openai_client: Client, number: int) -> None:
    completion = await chat(
        openai_client,
        messages=user(f"Try number {number}"),
        tools=functions(),
        tool_choice=allowed("required", "plant", "tick"),
    )
    (call,) = completion.choices[0].message.tool_calls
    assert call.function.name in ("plant", "tick")


async def test_no_tool_is_called_where_none_may_be(openai_client: Client) -> None:
    for number in range(4):
        completion = await chat(
            openai_client, messages=user(f"{number}"), tools=functions(), tool_choice="none"
        )
        assert completion.choices[0].message.tool_calls is None
        assert completion.choices[0].message.content


async def test_a_tool_may_be_called_as_often_as_settings_say(kind: Kind, mocking: Mocking) -> None:
    for often in (0.0, 1.0):
        service = mocking(mock__tool_calls=often)
        async with openai_clients.client(service.url, kind) as client:
            for number in range(4):
                asked = {"messages": user(f"{number}"), "tools": functions()}
                completion = await chat(client, **asked)
                called = completion.choices[0].message.tool_calls
                assert bool(called) == (often == 1.0)


async def test_a_reply_may_call_several_tools(kind: Kind, mocking: Mocking) -> None:
    asked: dict[str, Any] = {"tools": functions(), "tool_choice": "required"}
    service = mocking(mock__parallel_calls=3)
    async with openai_clients.client(service.url, kind) as client:
        whole = (await chat(client, **asked)).choices[0].message.tool_calls
        _, gathered = await helped(client, **asked)
        alone = await chat(client, **asked, parallel_tool_calls=False)
    assert {call.function.name for call in whole} == set(TOOLS)
    assert len({call.id for call in whole}) == 3
    for call in whole:
        valid(TOOLS[call.function.name], call.function.arguments)
    assert read(gathered.choices[0].message.tool_calls) == read(whole)
    assert len(alone.choices[0].message.tool_calls) == 1


async def test_something_may_be_said_before_a_call_that_is_not_forced(
    kind: Kind, mocking: Mocking
) -> None:
    service = mocking(mock__tool_calls=1.0, mock__text_before_calls=1.0)
    async with openai_clients.client(service.url, kind) as client:
        chosen = await chat(client, tools=functions())
        forced = await chat(client, tools=functions(), tool_choice="required")
    message = chosen.choices[0].message
    assert message.content
    assert message.tool_calls
    assert chosen.usage.completion_tokens == count(message.content) + cost(message.tool_calls)
    assert forced.choices[0].message.content is None
    assert forced.choices[0].message.tool_calls


async def test_scripted_calls_come_as_they_were_scripted(openai_client: Client) -> None:
    script = {"text": "Let me look. ", "tool_calls": TWO}
    completion = await chat(openai_client, script, tools=functions())
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Let me look. "
    assert read(choice.message.tool_calls) == [("get_weather", PARIS), ("get_weather", OSLO)]
    used = completion.usage.completion_tokens
    assert used == cost(choice.message.tool_calls) + count("Let me look. ")


async def test_without_text_the_content_of_a_call_is_null(openai_client: Client) -> None:
    script = {"tool_calls": TWO[:1]}
    completion = await chat(openai_client, script, tools=functions())
    assert completion.choices[0].message.content is None
    rows = await chunks(openai_client, script, tools=functions())
    assert rows[0].choices[0].delta.content is None
    assert "content" in rows[0].choices[0].delta.model_fields_set


# streamed


async def test_a_streamed_call_says_its_id_type_and_name_once(openai_client: Client) -> None:
    script = {"text": "Let me look. ", "tool_calls": TWO}
    rows = await chunks(
        openai_client, script, tools=functions(), stream_options={"include_usage": True}
    )
    assert joined(rows) == "Let me look. "
    deltas = [d for r in rows for c in r.choices for d in c.delta.tool_calls or ()]
    openers = [delta for delta in deltas if delta.id]
    assert [(each.index, each.function.name) for each in openers] == [
        (0, "get_weather"),
        (1, "get_weather"),
    ]
    assert all(each.type == "function" and each.function.arguments == "" for each in openers)
    rest = [delta for delta in deltas if not delta.id]
    assert all(each.type is None and each.function.name is None for each in rest)
    assert len(rest) > 10
    for index, wanted in enumerate((PARIS, OSLO)):
        pieces = [each.function.arguments for each in rest if each.index == index]
        assert json.loads("".join(pieces)) == wanted
    assert [delta.index for delta in deltas] == sorted(delta.index for delta in deltas)
    whole = await chat(openai_client, script, tools=functions())
    assert rows[-1].usage == whole.usage
    assert rows[-2].choices[0].finish_reason == "tool_calls"


async def test_the_accumulator_gathers_the_calls_of_a_stream(openai_client: Client) -> None:
    tools: Any = functions()
    state: Any = ChatCompletionStreamState(input_tools=tools)
    for row in await chunks(openai_client, {"tool_calls": TWO}, tools=tools):
        state.handle_chunk(row)
    (choice,) = state.get_final_completion().choices
    assert read(choice.message.tool_calls) == [("get_weather", PARIS), ("get_weather", OSLO)]
    assert choice.message.content is None
    assert choice.finish_reason == "tool_calls"


async def test_the_stream_helper_tells_of_arguments(openai_client: Client) -> None:
    events, _ = await helped(openai_client, {"tool_calls": TWO}, tools=functions())
    ends = [e for e in events if e.type == "tool_calls.function.arguments.done"]
    assert [(each.index, json.loads(each.arguments)) for each in ends] == [(0, PARIS), (1, OSLO)]
    deltas = [e for e in events if e.type == "tool_calls.function.arguments.delta"]
    said = "".join(each.arguments_delta for each in deltas if each.index == 1)
    assert json.loads(said) == OSLO


async def test_no_character_of_an_argument_is_cut_in_two(openai_client: Client) -> None:
    script = {"tool_calls": [{"name": "tick", "arguments": {"note": TONGUES}}]}
    rows = await chunks(openai_client, script, tools=functions())
    deltas = [d for r in rows for d in r.choices[0].delta.tool_calls or ()]
    pieces = [delta.function.arguments for delta in deltas]
    assert not [piece for piece in pieces if "\N{REPLACEMENT CHARACTER}" in piece]
    assert json.loads("".join(pieces)) == {"note": TONGUES}


async def test_tokens_cut_the_arguments_of_a_call(openai_client: Client) -> None:
    completion = await chat(openai_client, {"tool_calls": TWO}, tools=functions(), max_tokens=8)
    (choice,) = completion.choices
    assert choice.finish_reason == "length"
    (call,) = choice.message.tool_calls
    assert completion.usage.completion_tokens == 8 == cost([call])
    with pytest.raises(json.JSONDecodeError):
        json.loads(call.function.arguments)


# parsed


@pytest.mark.parametrize("model", [Paint, *MODELS], ids=lambda model: model.__name__)
async def test_the_arguments_of_a_pydantic_tool_are_parsed(
    openai_client: Client, model: type[BaseModel]
) -> None:
    asked: dict[str, Any] = {
        "tools": [openai.pydantic_function_tool(model)],
        "tool_choice": "required",
    }
    completion = await parsed(openai_client, **asked)
    (call,) = completion.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, model)
    events, gathered = await helped(openai_client, **asked)
    (same,) = gathered.choices[0].message.tool_calls
    assert same.function.parsed_arguments == call.function.parsed_arguments
    (end,) = [e for e in events if e.type == "tool_calls.function.arguments.done"]
    assert end.parsed_arguments == call.function.parsed_arguments


# other kinds


CUSTOM: list[dict[str, Any]] = [
    {"type": "custom", "custom": {"name": "shell", "description": "Runs a line"}}
]


async def test_a_custom_tool_is_called_with_a_text(openai_client: Client) -> None:
    completion = await chat(openai_client, tools=CUSTOM, tool_choice="required")
    (call,) = completion.choices[0].message.tool_calls
    assert (call.type, call.custom.name) == ("custom", "shell")
    assert call.custom.input
    script = {"tool_calls": [{"name": "shell", "arguments": "ls -l 'a b'", "custom": True}]}
    completion = await chat(openai_client, script, tools=CUSTOM)
    assert completion.choices[0].message.tool_calls[0].custom.input == "ls -l 'a b'"


async def test_a_custom_tool_is_streamed(kind: Kind, mocking: Mocking) -> None:
    """The types of both generations know only functions in a stream, so this is not strict."""
    script = {"tool_calls": [{"name": "shell", "arguments": "ls -l 'a b'", "custom": True}]}
    service = mocking()
    loose = openai_clients.client(service.url, kind, _strict_response_validation=False)
    async with loose as client:
        rows = await chunks(client, script, tools=CUSTOM)
    deltas = [d for r in rows for d in r.choices[0].delta.tool_calls or ()]
    assert (deltas[0].type, deltas[0].custom["name"]) == ("custom", "shell")
    assert "".join(delta.custom["input"] for delta in deltas) == "ls -l 'a b'"


async def test_legacy_functions_are_called(openai_client: Client) -> None:
    described = [{"name": "get_weather", "parameters": WEATHER}]
    asked: dict[str, Any] = {"functions": described, "function_call": {"name": "get_weather"}}
    completion = await chat(openai_client, **asked)
    (choice,) = completion.choices
    assert choice.finish_reason == "function_call"
    assert choice.message.tool_calls is None
    assert choice.message.function_call.name == "get_weather"
    valid(WEATHER, choice.message.function_call.arguments)
    rows = await chunks(openai_client, **asked)
    deltas = [r.choices[0].delta.function_call for r in rows if r.choices[0].delta.function_call]
    assert [each.name for each in deltas if each.name] == ["get_weather"]
    said = "".join(each.arguments or "" for each in deltas)
    assert said == choice.message.function_call.arguments
    assert rows[-1].choices[0].finish_reason == "function_call"


async def test_the_result_of_a_legacy_function_is_taken(openai_client: Client) -> None:
    described = [{"name": "get_weather", "parameters": WEATHER}]
    completion = await chat(
        openai_client, functions=described, function_call={"name": "get_weather"}
    )
    messages = [
        *user("How is the weather?"),
        completion.choices[0].message,
        {"role": "function", "name": "get_weather", "content": "Rain"},
    ]
    answer = await chat(openai_client, messages=messages, functions=described)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


# agents


@pytest.mark.parametrize("often", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_loop_of_an_agent_ends(
    kind: Kind, mocking: Mocking, often: float, streamed: bool
) -> None:
    """Messages go back as the SDK made them; three questions, each asked until there is text."""
    turns = 0
    service = mocking(mock__tool_calls=often, mock__parallel_calls=2, mock__text="It is warm.")
    async with openai_clients.client(service.url, kind) as client:
        messages: list[Any] = []
        for number in range(3):
            messages += user(f"Question {number}: what now?")
            while True:
                turns += 1
                assert turns <= 6
                asked: dict[str, Any] = {"messages": messages, "tools": functions()}
                if streamed:
                    _, completion = await helped(client, **asked)
                else:
                    completion = await chat(client, **asked)
                message = completion.choices[0].message
                messages.append(message)
                if not message.tool_calls:
                    break
                messages += [
                    {"role": "tool", "tool_call_id": call.id, "content": "It is 7 degrees."}
                    for call in message.tool_calls
                ]
            assert message.content == "It is warm."
    assert turns == {0.0: 3, 1.0: 6}.get(often, turns)
