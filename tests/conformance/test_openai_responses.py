"""The Responses API through OpenAI's SDK: created, streamed, parsed, continued, kept."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from conformance import openai_clients
from conformance.driving import (
    MODELS,
    TONGUES,
    TOOLS,
    Flat,
    Kind,
    Mocking,
    Nested,
    done,
    entered,
    gather,
    items,
    raw,
    valid,
)
from conformance.openai_clients import MODEL, Client, count, needs_new
from llmproxy.service import Service

TEXT = "One two three, four five six."
PARIS = {"city": "Paris", "unit": "celsius"}
OSLO = {"city": "Oslo, Ås, 漢字", "unit": "fahrenheit", "days": 3}
TWO = [{"name": "get_weather", "arguments": PARIS}, {"name": "get_weather", "arguments": OSLO}]
ENDS = {"response.completed", "response.incomplete", "response.failed"}


def asked(mock: Any, more: dict[str, Any]) -> dict[str, Any]:
    whole = {"model": MODEL, "input": "Tell me something.", **more}
    return whole if mock is None else {**whole, "extra_body": {"mock_response": mock}}


async def create(client: Client, mock: Any = None, **more: Any) -> Any:
    return await done(client.responses.create(**asked(mock, more)))


async def streamed(client: Client, mock: Any = None, **more: Any) -> list[Any]:
    return await items(client.responses.create(**asked(mock, more), stream=True))


async def helped(client: Client, mock: Any = None, **more: Any) -> tuple[list[Any], Any]:
    async with entered(client.responses.stream(**asked(mock, more))) as stream:
        events = await items(stream)
        return events, await done(stream.get_final_response())


async def parsed(client: Client, mock: Any = None, **more: Any) -> Any:
    return await done(client.responses.parse(**asked(mock, more)))


def functions(*names: str) -> list[dict[str, Any]]:
    """Tools of Responses; without names, all that there are."""
    return [
        {"type": "function", "name": name, "parameters": TOOLS[name], "strict": False}
        for name in names or TOOLS
    ]


def calls(response: Any) -> list[Any]:
    return [item for item in response.output if item.type == "function_call"]


def read(response: Any) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in calls(response)]


# what is said


async def test_a_response_has_all_that_its_type_requires(openai_client: Client) -> None:
    response = await create(
        openai_client, instructions="Be brief.", metadata={"run": "1"}, temperature=0.5
    )
    assert response.id.startswith("resp_")
    assert (response.object, response.status, response.model) == ("response", "completed", MODEL)
    assert response.error is None
    assert response.incomplete_details is None
    assert (response.instructions, response.temperature) == ("Be brief.", 0.5)
    assert response.metadata == {"run": "1"}
    (message,) = response.output
    assert message.id.startswith("msg_")
    assert (message.type, message.role, message.status) == ("message", "assistant", "completed")
    (part,) = message.content
    assert (part.type, part.annotations) == ("output_text", [])
    assert response.output_text == part.text != ""
    assert response.usage.output_tokens == count(part.text)
    used = response.usage
    assert used.total_tokens == used.input_tokens + used.output_tokens
    told = [("system", "Be brief."), ("user", "Tell me something.")]
    assert used.input_tokens == sum(3 + count(r) + count(t) for r, t in told) + 3


async def test_chat_and_responses_say_the_same(openai_client: Client) -> None:
    completion = await openai_clients.chat(openai_client)
    response = await create(openai_client)
    assert response.output_text == completion.choices[0].message.content


async def test_whole_streamed_and_gathered_say_the_same(openai_client: Client) -> None:
    whole = await create(openai_client, TONGUES)
    events = await streamed(openai_client, TONGUES)
    _, gathered = await helped(openai_client, TONGUES)
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert whole.output_text == gathered.output_text == "".join(deltas) == TONGUES
    assert len(deltas) > 20
    assert not [delta for delta in deltas if "\N{REPLACEMENT CHARACTER}" in delta]
    assert whole.usage == gathered.usage == events[-1].response.usage
    assert whole.usage.output_tokens == count(TONGUES)


async def test_nothing_is_required(mock: Service) -> None:
    reply = raw(mock.url, "POST", "/v1/responses", {})
    assert reply.status == 200
    Response.model_validate(reply.json)


async def test_input_is_taken_as_text_and_as_items(openai_client: Client) -> None:
    pictured = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
        {"type": "input_file", "file_id": "file-1"},
    ]
    said: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": pictured},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "A cat."}],
        },
        {"role": "user", "content": "Sure?"},
    ]
    assert (await create(openai_client, input=said)).output_text


# streams


async def test_events_come_in_order_and_are_numbered(openai_client: Client) -> None:
    events = await streamed(openai_client, TEXT)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert list(dict.fromkeys(kinds)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    first, last = events[0].response, events[-1].response
    assert (first.status, first.output, first.usage) == ("in_progress", [], None)
    assert first.id == last.id
    (text_done,) = [event for event in events if event.type == "response.output_text.done"]
    assert text_done.text == TEXT == last.output_text
    item = next(event.item for event in events if event.type == "response.output_item.added")
    assert (item.id, item.status, item.content) == (last.output[0].id, "in_progress", [])


async def test_deltas_are_padded_where_the_request_wants_it(openai_client: Client) -> None:
    events = await streamed(openai_client, TONGUES, stream_options={"include_obfuscation": True})
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(event.delta for event in deltas) == TONGUES
    assert all((len(each.delta) + len(each.obfuscation)) % 16 == 0 for each in deltas)


async def test_the_stream_helper_gathers_the_response(openai_client: Client) -> None:
    events, gathered = await helped(openai_client, TEXT)
    snapshots = [e.snapshot for e in events if e.type == "response.output_text.delta"]
    assert snapshots[-1] == TEXT
    assert gathered.status == "completed"
    assert gathered.output_text == TEXT


async def test_headers_name_the_request(openai_client: Client) -> None:
    reply = await done(openai_client.responses.with_raw_response.create(model=MODEL, input="Hi"))
    response = await done(reply.parse())
    assert response._request_id == reply.headers["x-request-id"]
    assert reply.headers["openai-processing-ms"].isdigit()
    assert reply.headers["x-llmproxy-source"] == "synthesized"


# structured output


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_parse_gives_an_instance_of_the_model(
    openai_client: Client, model: type[BaseModel]
) -> None:
    response = await parsed(openai_client, text_format=model)
    assert isinstance(response.output_parsed, model)
    assert response.output_parsed == model.model_validate_json(response.output_text)
    _, gathered = await helped(openai_client, text_format=model)
    assert gathered.output_parsed == response.output_parsed


@pytest.mark.parametrize("strict", [True, False])
async def test_a_schema_is_followed_strict_or_not(openai_client: Client, strict: bool) -> None:
    schema = Nested.model_json_schema()
    wanted = {"type": "json_schema", "name": "nested", "schema": schema, "strict": strict}
    response = await create(openai_client, text={"format": wanted})
    Nested.model_validate_json(response.output_text)


async def test_an_object_without_a_schema_is_json(openai_client: Client) -> None:
    response = await create(openai_client, text={"format": {"type": "json_object"}})
    assert isinstance(json.loads(response.output_text), dict)


async def test_a_refusal_is_a_part_of_its_own(openai_client: Client) -> None:
    script = {"refusal": "I cannot help with that."}
    response = await parsed(openai_client, script, text_format=Flat)
    (part,) = response.output[0].content
    assert (part.type, part.refusal) == ("refusal", "I cannot help with that.")
    assert response.output_parsed is None
    events = await streamed(openai_client, script)
    deltas = [event.delta for event in events if event.type == "response.refusal.delta"]
    assert "".join(deltas) == "I cannot help with that."


# where it ends


async def test_a_response_cut_by_its_bound_is_incomplete(openai_client: Client) -> None:
    text = TEXT * 5
    response = await create(openai_client, text, max_output_tokens=16)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert text.startswith(response.output_text)
    assert response.output[0].status == "incomplete"
    assert response.usage.output_tokens == count(response.output_text) == 16
    events = await streamed(openai_client, text, max_output_tokens=16)
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.output_text == response.output_text
    with pytest.raises(RuntimeError, match=r"response\.completed"):
        await helped(openai_client, text, max_output_tokens=16)


async def test_filtered_content_is_incomplete(openai_client: Client) -> None:
    response = await create(openai_client, {"text": "Some", "finish": "content_filter"})
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "content_filter"


async def test_reasoning_is_an_item_before_the_message(openai_client: Client) -> None:
    script = {"reasoning": "Hm, two and two.", "text": "Four."}
    asked_for = {"model": "o4-mini", "reasoning": {"effort": "low", "summary": "auto"}}
    response = await create(openai_client, script, **asked_for)
    thought, message = response.output
    assert (thought.type, thought.summary[0].text) == ("reasoning", "Hm, two and two.")
    assert message.content[0].text == "Four."
    reasoned = count("Hm, two and two.")
    assert response.usage.output_tokens_details.reasoning_tokens == reasoned
    assert response.usage.output_tokens == reasoned + count("Four.")
    events, gathered = await helped(openai_client, script, **asked_for)
    deltas = [e.delta for e in events if e.type == "response.reasoning_summary_text.delta"]
    assert "".join(deltas) == "Hm, two and two."
    assert [item.type for item in gathered.output] == ["reasoning", "message"]
    silent = await create(openai_client, script, model="o4-mini", reasoning={"effort": "low"})
    assert silent.output[0].summary == []
    assert silent.usage == response.usage


# tools


@pytest.mark.parametrize("name", TOOLS)
async def test_a_tool_that_is_named_is_called_with_valid_arguments(
    openai_client: Client, name: str
) -> None:
    choice = {"type": "function", "name": name}
    response = await create(openai_client, tools=functions(), tool_choice=choice)
    (call,) = calls(response)
    assert call.name == name
    assert call.call_id.startswith("call_")
    assert call.id.startswith("fc_")
    assert response.status == call.status == "completed"
    valid(TOOLS[name], call.arguments)
    _, gathered = await helped(openai_client, tools=functions(), tool_choice=choice)
    assert read(gathered) == read(response)


async def test_only_allowed_tools_are_called(openai_client: Client) -> None:
    names = ("plant", "tick")
    tools = [{"type": "function", "name": name} for name in names]
    choice = {"type": "allowed_tools", "mode": "required", "tools": tools}
    for number in range(4):
        response = await create(
            openai_client, input=f"Try {number}", tools=functions(), tool_choice=choice
        )
        assert [call.name in names for call in calls(response)] == [True]


async def test_no_tool_is_called_where_none_may_be(openai_client: Client) -> None:
    for number in range(4):
        response = await create(
            openai_client, input=f"{number}", tools=functions(), tool_choice="none"
        )
        assert calls(response) == []
        assert response.output_text


async def test_text_and_several_calls_are_items_each(openai_client: Client) -> None:
    script = {"text": "Let me look.", "tool_calls": TWO}
    response = await create(openai_client, script, tools=functions())
    assert [item.type for item in response.output] == ["message", "function_call", "function_call"]
    assert read(response) == [("get_weather", PARIS), ("get_weather", OSLO)]
    cost = sum(count(call.name) + count(call.arguments) for call in calls(response))
    assert response.usage.output_tokens == count("Let me look.") + cost
    events, gathered = await helped(openai_client, script, tools=functions())
    assert read(gathered) == read(response)
    assert gathered.usage == response.usage
    for index, wanted in ((1, PARIS), (2, OSLO)):
        pieces = [
            event.delta
            for event in events
            if event.type == "response.function_call_arguments.delta"
            and event.output_index == index
        ]
        assert json.loads("".join(pieces)) == wanted
        assert len(pieces) > 3


async def test_a_custom_tool_is_called_with_a_text(openai_client: Client) -> None:
    script = {"tool_calls": [{"name": "shell", "arguments": "ls -l 'a b'", "custom": True}]}
    tools = [{"type": "custom", "name": "shell"}]
    response = await create(openai_client, script, tools=tools)
    (call,) = response.output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "shell", "ls -l 'a b'")
    events = await streamed(openai_client, script, tools=tools)
    deltas = [e.delta for e in events if e.type == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == "ls -l 'a b'"
    forced = await create(openai_client, tools=tools, tool_choice="required")
    assert forced.output[-1].input


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_the_arguments_of_a_pydantic_tool_are_parsed(
    openai_client: Client, model: type[BaseModel]
) -> None:
    tool: Any = openai.pydantic_function_tool(model)["function"]
    tools = [{"type": "function", **tool}]
    response = await parsed(openai_client, tools=tools, tool_choice="required")
    (call,) = calls(response)
    assert model.model_validate_json(call.arguments)


async def test_tools_that_the_provider_runs_are_taken(openai_client: Client) -> None:
    response = await create(openai_client, tools=[{"type": "web_search_preview"}])
    assert response.output_text
    assert response.tools[0].type == "web_search_preview"


@pytest.mark.parametrize("often", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("chained", [False, True])
async def test_the_loop_of_an_agent_ends(
    kind: Kind, session: dict[str, str], mocking: Mocking, often: float, chained: bool
) -> None:
    """Items go back as the SDK made them, or by the id of the response before."""
    service = mocking(mock__tool_calls=often, mock__parallel_calls=2, mock__text=TEXT)
    async with openai_clients.client(service.url, kind, default_headers=session) as client:
        said: list[Any] = [{"role": "user", "content": "What now?"}]
        previous: dict[str, Any] = {}
        for turns in range(1, 4):  # noqa: B007  # how many there were is asserted below
            response = await create(client, input=said, tools=functions(), **previous)
            if not calls(response):
                break
            results = [
                {"type": "function_call_output", "call_id": call.call_id, "output": "7 degrees"}
                for call in calls(response)
            ]
            if chained:
                said, previous = results, {"previous_response_id": response.id}
            else:
                said = [*said, *response.output, *results]
    assert response.output_text == TEXT
    assert turns == {0.0: 1, 1.0: 2}.get(often, turns)


# what is kept


async def test_a_response_continues_the_one_before(openai_client: Client) -> None:
    first = await create(openai_client, "My name is Proxy.", input="Who are you?")
    second = await create(openai_client, input="And then?", previous_response_id=first.id)
    alone = await create(openai_client, input="And then?")
    assert second.previous_response_id == first.id
    before = [("user", "Who are you?"), ("assistant", "My name is Proxy.")]
    more = sum(3 + count(role) + count(text) for role, text in before)
    assert second.usage.input_tokens == alone.usage.input_tokens + more


async def test_an_unknown_previous_response_is_refused(openai_client: Client) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await create(openai_client, previous_response_id="resp_nobody")
    assert raised.value.code == "previous_response_not_found"
    assert raised.value.param == "previous_response_id"


@pytest.mark.parametrize("through_a_stream", [False, True])
async def test_a_response_can_be_retrieved_and_deleted(
    openai_client: Client, through_a_stream: bool
) -> None:
    if through_a_stream:
        _, response = await helped(openai_client, TEXT)
    else:
        response = await create(openai_client, TEXT)
    again = await done(openai_client.responses.retrieve(response.id))
    assert again.id == response.id
    assert again.output_text == TEXT
    assert again.usage == response.usage
    await done(openai_client.responses.delete(response.id))
    for lost in (openai_client.responses.retrieve, openai_client.responses.delete):
        with pytest.raises(openai.NotFoundError):
            await done(lost(response.id))


async def test_what_shall_not_be_stored_is_not(openai_client: Client) -> None:
    response = await create(openai_client, store=False)
    with pytest.raises(openai.NotFoundError):
        await done(openai_client.responses.retrieve(response.id))


async def test_the_items_of_a_request_can_be_listed(openai_client: Client) -> None:
    said = [{"role": "user", "content": f"Number {number}"} for number in range(5)]
    response = await create(openai_client, input=said)
    listed = openai_client.responses.input_items.list(response.id, limit=2, order="asc")
    assert (await done(listed)).has_more
    every = await items(openai_client.responses.input_items.list(response.id, order="asc", limit=2))
    assert [each.content[0].text for each in every] == [f"Number {number}" for number in range(5)]
    backward = await items(openai_client.responses.input_items.list(response.id))
    assert [each.id for each in backward] == [each.id for each in reversed(every)]


@needs_new("responses.input_tokens")
async def test_input_tokens_are_counted_as_usage_counts_them(openai_client: Client) -> None:
    told: dict[str, Any] = {"model": MODEL, "input": "Hello 漢字", "instructions": "Be brief."}
    counted = await done(openai_client.responses.input_tokens.count(**told))
    assert counted.object == "response.input_tokens"
    response = await done(openai_client.responses.create(**told))
    assert counted.input_tokens == response.usage.input_tokens


async def test_a_response_in_the_background_can_be_streamed_again(openai_client: Client) -> None:
    events = await streamed(openai_client, TEXT, background=True)
    id = events[0].response.id
    again = await items(openai_client.responses.retrieve(id, stream=True, starting_after=3))
    assert [event.sequence_number for event in again] == list(range(4, len(events)))
    assert again[-1].response.output_text == TEXT
    cancelled = await done(openai_client.responses.cancel(id))
    assert cancelled.status == "completed"


async def test_sessions_do_not_see_what_others_stored(mock: Service, kind: Kind) -> None:
    one = openai_clients.client(mock.url, kind, prefix=f"/s/one-{kind}/v1")
    two = openai_clients.client(mock.url, kind, prefix=f"/s/two-{kind}/v1")
    async with one as first, two as second:
        response = await create(first)
        with pytest.raises(openai.NotFoundError):
            await done(second.responses.retrieve(response.id))
        assert (await done(first.responses.retrieve(response.id))).id == response.id


# errors


@pytest.mark.parametrize(
    ("status", "raises"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
async def test_each_status_raises_its_class_before_a_stream_begins(
    openai_client: Client, status: int, raises: type[openai.APIStatusError]
) -> None:
    for ask in (create, streamed, helped):
        with pytest.raises(raises) as raised:
            await ask(openai_client, {"error": status})
        assert raised.value.request_id is not None
        assert isinstance(raised.value.body, dict)
        assert set(raised.value.body) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("after", [0, 3])
async def test_an_error_in_mid_stream_raises(openai_client: Client, after: int) -> None:
    error = {"status": 503, "message": "Gone.", "type": "server_error", "code": "overloaded"}
    script = {"text": TEXT, "stream_error": error, "after_chunks": after}
    stream = await done(openai_client.responses.create(**asked(script, {}), stream=True))
    events: list[Any] = []
    with pytest.raises(openai.APIError) as raised:
        await gather(stream, events)
    assert (raised.value.message, raised.value.code) == ("Gone.", "overloaded")
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) == after
    assert TEXT.startswith("".join(deltas))
    assert not ENDS & {event.type for event in events}
    failed = await done(openai_client.responses.retrieve(events[0].response.id))
    assert (failed.status, failed.error.message) == ("failed", "Gone.")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a model that is a number": ({"model": 7}, "model"),
    "input that is a number": ({"input": 7}, "input"),
    "empty input": ({"input": []}, "input"),
    "an item that is a text": ({"input": ["Hi"]}, "input[0]"),
    "an unknown role": ({"input": [{"role": "king", "content": ""}]}, "input[0].role"),
    "a message without content": ({"input": [{"role": "user"}]}, "input[0].content"),
    "a part of chat": (
        {"input": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
        "input[0].content[0].type",
    ),
    "a result without a call": (
        {"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]},
        "input",
    ),
    "a temperature that is a text": ({"temperature": "hot"}, "temperature"),
    "a bound that is too low": ({"max_output_tokens": 1}, "max_output_tokens"),
    "stream options without a stream": (
        {"stream_options": {"include_obfuscation": True}},
        "stream_options",
    ),
    "a tool without a type": ({"tools": [{"name": "f"}]}, "tools[0].type"),
    "a tool without a name": ({"tools": [{"type": "function"}]}, "tools[0].name"),
    "a choice without tools": ({"tool_choice": "required"}, "tool_choice"),
    "a format without a name": (
        {"text": {"format": {"type": "json_schema", "schema": {}}}},
        "text.format.name",
    ),
    "a format without a schema": (
        {"text": {"format": {"type": "json_schema", "name": "x"}}},
        "text.format.schema",
    ),
    "a format of an unknown type": ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    "too much metadata": ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
    "a script of a wrong type": ({"mock_response": 7}, "mock_response"),
}


@pytest.mark.parametrize(("changes", "param"), REFUSED.values(), ids=REFUSED)
async def test_what_the_provider_would_refuse_is_a_bad_request(
    openai_client: Client, changes: dict[str, Any], param: str
) -> None:
    body = {"model": MODEL, "input": "Hi", **changes}
    with pytest.raises(openai.BadRequestError) as raised:
        await done(openai_client.post("/responses", body=body, cast_to=Response))
    assert raised.value.type == "invalid_request_error"
    assert raised.value.param == param


def test_a_wrong_method_is_refused(mock: Service) -> None:
    for method, path in (("PUT", "/v1/responses"), ("POST", "/v1/responses/resp_1")):
        reply = raw(mock.url, method, path, {})
        assert reply.status == 405
        assert reply.json["error"]["type"] == "invalid_request_error"
