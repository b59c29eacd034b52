"""Functions through Google's SDK: calls, modes, responses, and the SDK's own loop, which ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, get_type_hints

import pytest
from google.genai import types
from jsonschema import Draft202012Validator

from conformance import gemini_clients
from conformance.driving import TOOLS, Kind, Mocking, done, items
from conformance.gemini_clients import (
    MODEL,
    QUIET,
    Client,
    calling,
    calls,
    chunks,
    config,
    count,
    finish,
    parts,
    reply,
    said,
    tools,
)
from llmproxy.service import Service

pytestmark = QUIET

ANY = calling("ANY")
BY_HAND: dict[str, Any] = {"automatic_function_calling": {"disable": True}}
TWO: dict[str, Any] = {
    "text": "Let me look.",
    "tool_calls": [
        {"name": "get_weather", "arguments": {"city": "Århus 🌦", "unit": "celsius"}},
        {"name": "tick", "arguments": {}},
    ],
}


@pytest.fixture
async def client(mock: Service, kind: Kind, session: dict[str, str]) -> AsyncIterator[Client]:
    """Google's client, without retries, at the default server."""
    async with gemini_clients.client(mock.url, kind, session) as made:
        yield made


def named(found: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(call.name, call.args) for call in found]


def check(call: Any) -> None:
    """The arguments of a call fit its schema."""
    Draft202012Validator(TOOLS[call.name]).validate(call.args)


@pytest.mark.parametrize("name", TOOLS)
async def test_a_function_that_is_allowed_alone_is_called(client: Client, name: str) -> None:
    more: dict[str, Any] = {"tools": tools(), "tool_config": calling("ANY", name)}
    whole = await reply(client, **more)
    (call,) = calls(whole)
    assert (call.name, finish(whole)) == (name, "STOP")
    check(call)
    rows = await chunks(client, **more)
    assert named(calls(*rows)) == named([call])
    assert finish(rows[-1]) == "STOP"
    assert rows[-1].usage_metadata == whole.usage_metadata


async def test_only_functions_that_are_allowed_are_called(client: Client) -> None:
    for number in range(6):
        whole = await reply(
            client,
            contents=f"Go {number}",
            tools=tools(),
            tool_config=calling("ANY", "plant", "tick"),
        )
        (call,) = calls(whole)
        assert call.name in ("plant", "tick")
        check(call)


async def test_no_function_is_called_in_mode_none(client: Client) -> None:
    for number in range(8):
        whole = await reply(
            client, contents=f"Go {number}", tools=tools(), tool_config=calling("NONE")
        )
        assert not calls(whole)
        assert whole.text


@pytest.mark.parametrize("mode", ["AUTO", "VALIDATED", None])
async def test_functions_are_called_sometimes_where_they_may_be(
    client: Client, mode: str | None
) -> None:
    more: dict[str, Any] = {"tool_config": calling(mode)} if mode else {}
    replies = [await reply(client, contents=f"Go {n}", tools=tools(), **more) for n in range(24)]
    assert {bool(calls(each)) for each in replies} == {True, False}
    for each in replies:
        assert finish(each) == "STOP"
        assert calls(each) or each.text
        for call in calls(each):
            check(call)


async def test_functions_are_called_in_parallel(kind: Kind, mocking: Mocking) -> None:
    service = mocking(mock__parallel_calls=3)
    async with gemini_clients.client(service.url, kind) as client:
        whole = await reply(client, tools=tools(), tool_config=ANY)
        rows = await chunks(client, tools=tools(), tool_config=ANY)
    assert {call.name for call in calls(whole)} == set(TOOLS)
    for call in calls(whole):
        check(call)
    assert named(calls(*rows)) == named(calls(whole))


async def test_text_before_calls_is_a_part_before_them(kind: Kind, mocking: Mocking) -> None:
    service = mocking(mock__text_before_calls=1.0, mock__tool_calls=1.0)
    async with gemini_clients.client(service.url, kind) as client:
        whole = await reply(client, tools=tools())
        rows = await chunks(client, tools=tools())
    text, call = parts([whole])
    assert text.text
    assert call.function_call
    assert said(*rows) == said(whole)
    assert parts(rows)[-1].function_call.args == call.function_call.args


async def test_scripted_calls_are_read_whole_and_streamed(client: Client) -> None:
    whole = await reply(client, TWO)
    rows = await chunks(client, TWO)
    expected = [(call["name"], call["arguments"]) for call in TWO["tool_calls"]]
    for told in ([whole], rows):
        assert named(calls(*told)) == expected
        assert said(*told) == "Let me look."
        assert finish(told[-1]) == "STOP"
    assert [call.name for call in whole.function_calls] == ["get_weather", "tick"]
    cost = count("Let me look.") + count("get_weather") + count("tick") + count("{}")
    cost += count('{"city": "Århus 🌦", "unit": "celsius"}')
    assert whole.usage_metadata.candidates_token_count == cost
    assert rows[-1].usage_metadata == whole.usage_metadata


async def test_calls_have_ids_since_gemini_3(client: Client) -> None:
    old = await reply(client, TWO)
    assert [call.id for call in calls(old)] == [None, None]
    new = await reply(client, TWO, model="gemini-3-pro-preview")
    ids = {call.id for call in calls(new)}
    assert len(ids) == 2
    assert None not in ids
    script = {"tool_calls": [{"name": "tick", "arguments": {}, "id": "mine"}]}
    assert calls(await reply(client, script))[0].id == "mine"


async def test_a_call_that_is_cut_is_left_out(client: Client) -> None:
    script = {"tool_calls": TWO["tool_calls"][:1]}
    whole = await reply(client, script, max_output_tokens=count("get_weather") + 4)
    assert (finish(whole), calls(whole)) == ("MAX_TOKENS", [])
    rows = await chunks(client, script, max_output_tokens=count("get_weather") + 4)
    assert (finish(rows[-1]), calls(*rows)) == ("MAX_TOKENS", [])


async def test_a_call_that_is_no_json_is_malformed(client: Client) -> None:
    script = {"tool_calls": [{"name": "tick", "arguments": "{oh"}]}
    whole = await reply(client, script)
    assert finish(whole) == "MALFORMED_FUNCTION_CALL"
    assert finish((await chunks(client, script))[-1]) == "MALFORMED_FUNCTION_CALL"


# loops


@pytest.mark.parametrize("model", [MODEL, "gemini-3-pro-preview"])
async def test_a_loop_of_an_agent_ends(client: Client, model: str) -> None:
    asking = types.Content(role="user", parts=[types.Part(text="What is the weather?")])
    first = await reply(client, contents=[asking], model=model, tools=tools(), tool_config=ANY)
    (call,) = calls(first)
    answer = types.Part(
        function_response=types.FunctionResponse(
            id=call.id, name=call.name, response={"result": "4 degrees"}
        )
    )
    turns = [asking, first.candidates[0].content, types.Content(role="user", parts=[answer])]
    second = await reply(client, contents=turns, model=model, tools=tools())
    assert not calls(second)
    assert (bool(second.text), finish(second)) == (True, "STOP")


def weather_function(kind: Kind, told: list[str]) -> Any:
    def get_weather(city: str, days: int = 1) -> str:
        """What the weather is."""
        told.append(city)
        return f"4 degrees in {city} for {days}"

    async def waiting(city: str, days: int = 1) -> str:
        """What the weather is."""
        return get_weather(city, days)

    waiting.__name__ = "get_weather"
    function: Any = get_weather if kind == "sync" else waiting
    # the older SDK cannot call a function whose annotations are texts
    function.__annotations__ = get_type_hints(function)
    return function


async def test_automatic_calling_comes_to_its_end(kind: Kind, mocking: Mocking) -> None:
    told: list[str] = []
    service = mocking(mock__tool_calls=1.0)
    async with gemini_clients.client(service.url, kind) as client:
        whole = await reply(client, tools=[weather_function(kind, told)])
    assert len(told) == 1
    assert not calls(whole)
    assert whole.text
    asked, called, answered = whole.automatic_function_calling_history
    assert (asked.role, called.role, answered.role) == ("user", "model", "user")
    result = answered.parts[0].function_response
    assert (result.name, result.response["result"][:9]) == ("get_weather", "4 degrees")


async def test_automatic_calling_in_a_stream_comes_to_its_end(kind: Kind, mocking: Mocking) -> None:
    told: list[str] = []
    service = mocking(mock__tool_calls=1.0)
    async with gemini_clients.client(service.url, kind) as client:
        rows = await chunks(client, tools=[weather_function(kind, told)])
    assert len(told) == 1
    assert said(*rows)
    assert finish(rows[-1]) == "STOP"


async def test_a_chat_calls_by_itself_and_remembers_it(kind: Kind, mocking: Mocking) -> None:
    told: list[str] = []
    service = mocking(mock__tool_calls=1.0)
    async with gemini_clients.client(service.url, kind) as client:
        chat = client.chats.create(model=MODEL, config={"tools": [weather_function(kind, told)]})
        first = await done(chat.send_message("What is the weather?"))
        rows = await items(chat.send_message_stream("Thanks.", config=config("You are welcome.")))
    assert (len(told), bool(first.text)) == (1, True)
    assert said(*rows) == "You are welcome."
    roles = [content.role for content in chat.get_history()]
    assert roles[:4] == ["user", "model", "user", "model"]


async def test_calls_by_hand_are_left_to_the_program(kind: Kind, mocking: Mocking) -> None:
    told: list[str] = []
    service = mocking(mock__tool_calls=1.0)
    async with gemini_clients.client(service.url, kind) as client:
        whole = await reply(client, tools=[weather_function(kind, told)], **BY_HAND)
    assert (told, calls(whole)[0].name) == ([], "get_weather")


async def test_googles_own_tools_are_let_pass(client: Client) -> None:
    whole = await reply(client, tools=[{"google_search": {}}, {"code_execution": {}}])
    assert whole.text
    assert not calls(whole)
