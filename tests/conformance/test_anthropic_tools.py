"""Tools through Anthropic's SDK: calls, choices, results, and loops that end."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from anthropic import beta_async_tool, beta_tool
from jsonschema import Draft202012Validator

from conformance import anthropic_clients
from conformance.anthropic_clients import (
    MODEL,
    Client,
    asked,
    count,
    events,
    helped,
    joined,
    message,
    needs_new,
    said,
    shown,
    texts,
    tools,
)
from conformance.driving import TOOLS, Kind, Mocking, done, entered, items, user
from llmproxy.service import Service

ANY = {"type": "any"}
TWO: dict[str, Any] = {
    "text": "Let me look.",
    "tool_calls": [
        {"name": "get_weather", "arguments": {"city": "Århus 🌦", "unit": "celsius"}},
        {"name": "tick", "arguments": {}},
    ],
}


@pytest.fixture
async def client(mock: Service, kind: Kind, session: dict[str, str]) -> AsyncIterator[Client]:
    """Anthropic's client, in its strict mode and without retries, at the default server."""
    async with anthropic_clients.client(mock.url, kind, default_headers=session) as made:
        yield made


def calls(reply: Any) -> list[Any]:
    return [block for block in reply.content if block.type == "tool_use"]


def check(call: Any) -> None:
    """A call has an id of Anthropic's, and its input fits its schema."""
    assert re.fullmatch(r"toolu_01[A-Za-z0-9]{22}", call.id)
    Draft202012Validator(TOOLS[call.name]).validate(call.input)


def answered(reply: Any) -> list[dict[str, Any]]:
    """The turn of ``reply``, and one with a result for each of its calls."""
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": "4 degrees, rain"}
        for call in calls(reply)
    ]
    return [
        {"role": "assistant", "content": reply.content},
        {"role": "user", "content": results},
    ]


@pytest.mark.parametrize("name", TOOLS)
async def test_a_tool_that_is_named_is_called(client: Client, name: str) -> None:
    more = {"tools": tools(), "tool_choice": {"type": "tool", "name": name}}
    whole = await message(client, **more)
    (call,) = calls(whole)
    assert call.name == name
    assert whole.stop_reason == "tool_use"
    check(call)
    _, gathered = await helped(client, **more)
    assert shown(gathered) == shown(whole)


async def test_any_tool_is_called_where_one_must_be(client: Client) -> None:
    for number in range(5):
        whole = await message(client, messages=user(f"Go {number}"), tools=tools(), tool_choice=ANY)
        (call,) = calls(whole)
        check(call)


async def test_no_tool_is_called_where_none_may_be(client: Client) -> None:
    for number in range(8):
        whole = await message(
            client, messages=user(f"Go {number}"), tools=tools(), tool_choice={"type": "none"}
        )
        assert (calls(whole), whole.stop_reason) == ([], "end_turn")


async def test_tools_are_called_sometimes_where_they_may_be(client: Client) -> None:
    asked_for = [await message(client, messages=user(f"Go {n}"), tools=tools()) for n in range(24)]
    reasons = {reply.stop_reason for reply in asked_for}
    assert reasons == {"tool_use", "end_turn"}
    for reply in asked_for:
        assert bool(calls(reply)) == (reply.stop_reason == "tool_use")
        for call in calls(reply):
            check(call)


async def test_a_setting_says_how_often_tools_are_called(kind: Kind, mocking: Mocking) -> None:
    for often, reason in ((1.0, "tool_use"), (0.0, "end_turn")):
        service = mocking(mock__tool_calls=often)
        async with anthropic_clients.client(service.url, kind) as client:
            replies = [
                await message(client, messages=user(f"Go {n}"), tools=tools()) for n in range(5)
            ]
        assert {reply.stop_reason for reply in replies} == {reason}


async def test_several_tools_are_called_in_parallel_where_that_is_allowed(
    kind: Kind, mocking: Mocking
) -> None:
    service = mocking(mock__parallel_calls=3)
    one = {**ANY, "disable_parallel_tool_use": True}
    async with anthropic_clients.client(service.url, kind) as client:
        whole = await message(client, tools=tools(), tool_choice=ANY)
        _, gathered = await helped(client, tools=tools(), tool_choice=ANY)
        single = await message(client, tools=tools(), tool_choice=one)
    assert {call.name for call in calls(whole)} == set(TOOLS)
    assert len({call.id for call in calls(whole)}) == 3
    for call in calls(whole):
        check(call)
    assert shown(gathered) == shown(whole)
    assert len(calls(single)) == 1


async def test_text_before_calls_is_a_block_before_them(kind: Kind, mocking: Mocking) -> None:
    service = mocking(mock__text_before_calls=1.0, mock__tool_calls=1.0)
    async with anthropic_clients.client(service.url, kind) as client:
        whole = await message(client, tools=tools())
        _, gathered = await helped(client, tools=tools())
    assert [block.type for block in whole.content] == ["text", "tool_use"]
    assert shown(gathered) == shown(whole)


async def test_scripted_calls_are_read_whole_and_streamed(client: Client) -> None:
    whole = await message(client, TWO)
    rows, gathered = await helped(client, TWO)
    for reply in (whole, gathered):
        assert said(reply) == "Let me look."
        assert [(call.name, call.input) for call in calls(reply)] == [
            (call["name"], call["arguments"]) for call in TWO["tool_calls"]
        ]
        assert reply.stop_reason == "tool_use"
    pieces = [row for row in rows if row.type == "input_json"]
    assert pieces[-1].snapshot == {}
    assert "Århus 🌦" in [row.snapshot.get("city") for row in pieces]
    assert whole.usage == gathered.usage


async def test_the_arguments_of_a_call_are_streamed_in_pieces(client: Client) -> None:
    rows = await events(client, {"tool_calls": TWO["tool_calls"][:1]})
    pieces = texts(rows, "partial_json")
    assert pieces[0] == ""
    assert len(pieces) > 5
    assert joined(rows, "partial_json") == '{"city": "Århus 🌦", "unit": "celsius"}'
    said_in_call = count("get_weather") + count(joined(rows, "partial_json"))
    assert rows[-2].usage.output_tokens == said_in_call


async def test_a_call_that_is_cut_ends_with_max_tokens(client: Client) -> None:
    script = {"tool_calls": TWO["tool_calls"][:1]}
    whole = await message(client, script, max_tokens=count("get_weather") + 4)
    assert whole.stop_reason == "max_tokens"
    assert calls(whole)[0].input == {}
    rows = await events(client, script, max_tokens=count("get_weather") + 4)
    assert '{"city": "Århus'.startswith(joined(rows, "partial_json").rstrip())
    assert rows[-2].delta.stop_reason == "max_tokens"


async def test_a_script_may_give_a_call_its_id(client: Client) -> None:
    script = {"tool_calls": [{"name": "tick", "arguments": {}, "id": "toolu_mine"}]}
    assert calls(await message(client, script))[0].id == "toolu_mine"
    _, gathered = await helped(client, script)
    assert calls(gathered)[0].id == "toolu_mine"


async def test_a_loop_of_an_agent_ends(client: Client) -> None:
    turns = user("What is the weather?")
    more: dict[str, Any] = {"tools": tools(), "tool_choice": ANY}
    reply = await message(client, messages=turns, **more)
    turns += answered(reply)
    more.pop("tool_choice")
    reply = await message(client, messages=turns, **more)
    assert (calls(reply), reply.stop_reason) == ([], "end_turn")
    assert said(reply)


async def test_results_of_every_kind_are_taken(client: Client) -> None:
    reply = await message(client, {"tool_calls": [{"name": "tick"}, {"name": "tick"}]})
    picture = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    one, two = (call.id for call in calls(reply))
    results = [
        {"type": "tool_result", "tool_use_id": two, "is_error": True, "content": "broken"},
        {
            "type": "tool_result",
            "tool_use_id": one,
            "content": [{"type": "text", "text": "ok"}, {"type": "image", "source": picture}],
        },
        {"type": "text", "text": "Go on."},
    ]
    turns = [
        *user("Go"),
        {"role": "assistant", "content": reply.content},
        {"role": "user", "content": results},
    ]
    assert said(await message(client, messages=turns, tools=tools()))


# the SDK's own loop: the newer one lets the server hold the conversation


def weather_tool(kind: Kind, told: list[str]) -> Any:
    def weather(city: str, unit: str = "celsius") -> str:
        """What the weather is.

        Args:
            city: where
            unit: celsius or fahrenheit
        """
        told.append(city)
        return f"4 degrees {unit} in {city}"

    async def waiting(city: str, unit: str = "celsius") -> str:
        return weather(city, unit)

    if kind == "sync":
        return beta_tool(weather)
    return beta_async_tool(waiting, name="weather", description=inspect.getdoc(weather))


async def test_the_tool_runner_comes_to_its_end(kind: Kind, mocking: Mocking) -> None:
    told: list[str] = []
    service = mocking(mock__tool_calls=1.0)
    own = {"x-llmproxy-session": f"runner-{kind}"}
    async with anthropic_clients.client(service.url, kind, default_headers=own) as client:
        runner = client.beta.messages.tool_runner(
            **asked(None, {"tools": [weather_tool(kind, told)]}), max_iterations=5
        )
        replies = await items(runner)
    assert [reply.stop_reason for reply in replies] == ["tool_use", "end_turn"]
    assert told == [calls(replies[0])[0].input["city"]]


async def test_the_streaming_tool_runner_comes_to_its_end(kind: Kind, mocking: Mocking) -> None:
    told: list[str] = []
    service = mocking(mock__tool_calls=1.0)
    own = {"x-llmproxy-session": f"streaming-{kind}"}
    reasons = []
    async with anthropic_clients.client(service.url, kind, default_headers=own) as client:
        runner = client.beta.messages.tool_runner(
            **asked(None, {"tools": [weather_tool(kind, told)]}), max_iterations=5, stream=True
        )
        if kind == "sync":
            reasons = [stream.get_final_message().stop_reason for stream in runner]
        else:
            async for stream in runner:
                reasons.append((await stream.get_final_message()).stop_reason)
    assert reasons == ["tool_use", "end_turn"]
    assert len(told) == 1


@needs_new("message threads")
async def test_a_thread_remembers_what_was_said(client: Client) -> None:
    thread = client.beta.messages.thread(
        model=MODEL,
        max_tokens=1000,
        system="Be brief.",
        extra_body={"mock_response": {"echo": True}},
    )
    first = await done(thread.send(user("One")[0]))
    async with entered(thread.stream(user("Two")[0])) as stream:
        second = await done(stream.get_final_message())
    third = await done(thread.send(user("Three")[0]))
    assert (said(first), said(second), said(third)) == ("One", "Two", "Three")
    assert thread.previous_message_id == third.id
    whole = await done(
        client.messages.count_tokens(
            model=MODEL, system="Be brief.", messages=list(thread.messages)[:-1]
        )
    )
    assert third.usage.input_tokens == whole.input_tokens


@needs_new("message threads")
async def test_a_thread_says_what_the_whole_conversation_would(client: Client) -> None:
    held = {"system": "Be brief.", "tools": tools(), "tool_choice": {"type": "none"}}
    thread = client.beta.messages.thread(model=MODEL, max_tokens=1000, **held)
    replies = [await done(thread.send(user(text)[0])) for text in ("One", "Two")]
    turns = [
        *user("One"),
        {"role": "assistant", "content": replies[0].content},
        *user("Two"),
    ]
    whole = await message(client, messages=turns, **held)
    assert shown(replies[1]) == shown(whole)


@needs_new("message threads")
async def test_a_thread_that_is_not_held_is_not_found(client: Client) -> None:
    more = {"thread": {"type": "continue", "previous_message_id": "msg_01gone"}}
    with pytest.raises(anthropic.NotFoundError) as raised:
        await done(client.beta.messages.create(**asked(None, {"extra_body": more})))
    assert raised.value.body["error"]["details"] == {"error_code": "thread_not_found"}  # type: ignore[index]


@needs_new("message threads")
async def test_a_thread_that_was_lost_is_told_again(kind: Kind, mocking: Mocking) -> None:
    """The SDK sends the whole conversation when the server does not hold it."""
    names = {"x-llmproxy-session": f"before-{kind}"}
    async with anthropic_clients.client(mocking().url, kind, default_headers=names) as client:
        thread = client.beta.messages.thread(model=MODEL, max_tokens=1000)
        await done(thread.send(user("One")[0]))
        other = {"x-llmproxy-session": f"after-{kind}"}
        second = await done(thread.send(user("Two")[0], extra_headers=other))
    assert said(second)
    assert len(thread.messages) == 4
