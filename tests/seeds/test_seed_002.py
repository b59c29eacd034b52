"""Seed 002, mock-llm-server: OpenAI's, Anthropic's and Google's SDKs, tools, streams, delays.

Its limits, failures and page are tested where they are built.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import aiohttp
import jsonschema
import pytest

import sockets
from control.calling import call, refused, told
from llmproxy.control.aliases.dashboard_config import FAILURES, STRATEGIES, Changes, settings_of
from llmproxy.metrics.dashboard import COLUMNS, ENDPOINTS
from llmproxy.service import Service
from llmproxy.settings import Settings
from llmproxy.synthesis.pool import REPLIES
from seeds.asking import (
    CHAT,
    WEATHER,
    anthropic_client,
    asked,
    body_of,
    chat,
    chunks,
    count,
    curl,
    events,
    gemini_client,
    offsets,
    openai_client,
    pieces,
    replies_to,
    reply_to,
    spoken,
    user,
)
from serve import mocking

pytestmark = [
    pytest.mark.filterwarnings("ignore:The model:DeprecationWarning"),  # the seed's models are old
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
CLAUDE = "claude-3-5-sonnet-20241022"
FLASH = "gemini-2.0-flash"
GENERATE = f"/v1beta/models/{FLASH}:generateContent"
STREAM = f"/v1beta/models/{FLASH}:streamGenerateContent?alt=sse"
ASKED = "What's the weather?"
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
FLAT_TOOL = {"type": "function", "name": "get_weather", "parameters": WEATHER}
CLAUDE_TOOL = {"name": "get_weather", "input_schema": WEATHER}
GEMINI_TOOL = {"functionDeclarations": [{"name": "get_weather", "parameters": WEATHER}]}
ALWAYS: dict[str, Any] = {"mock__tool_calls": 1.0, "mock__text_before_calls": 0.0}
TENS: dict[str, Any] = {"pace__chunk_unit": "char", "pace__chunk_size": 10}
LATIN = "Lorem ipsum dolor sit amet"


def message(text: str = "Hello!", **more: Any) -> dict[str, Any]:
    return {"model": CLAUDE, "max_tokens": 1024, "messages": user(text), **more}


def contents(text: str = "Hello!", **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


# --- endpoints and protocol ---


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"messages": user("Hello!")}, "model", "model is required"),
        ({"model": "gpt-4o"}, "messages", "messages is required and must be non-empty"),
        ({"model": "gpt-4o", "messages": []}, "messages", "messages is required and must be"),
    ],
)
async def test_002_1_a_chat_without_model_or_messages_is_refused(
    body: Any, param: str, words: str
) -> None:
    answer = await asked(CHAT, body)
    error = json.loads(answer.body)["error"]
    assert answer.status == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert words in error["message"]


async def test_002_2_a_chat_stream_is_role_pieces_stop_usage_done() -> None:
    body = chat(model="gpt-4o", stream=True, stream_options={"include_usage": True})
    reply = await reply_to(CHAT, body, pace__ttft=0.3, mock__text=LATIN, **TENS)
    first, *middle, stop, usage = chunks(body_of(reply))
    assert first["choices"][0]["delta"]["content"] == ""
    assert [chunk["choices"][0]["delta"]["content"] for chunk in middle] == [
        "Lorem ipsu", "m dolor si", "t amet",
    ]  # fmt: skip
    assert {chunk["choices"][0]["logprobs"] for chunk in middle} == {None}
    assert (stop["choices"][0]["delta"], stop["choices"][0]["finish_reason"]) == ({}, "stop")
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == count(LATIN, "o200k_base")
    assert all(chunk["usage"] is None for chunk in (first, *middle, stop))
    assert all(chunk["system_fingerprint"].startswith("fp_") for chunk in (first, *middle, stop))
    assert reply.head_at == offsets(reply)[0] == pytest.approx(0.3)


async def test_002_2_there_is_no_usage_chunk_unless_asked_for() -> None:
    found = chunks((await asked(CHAT, chat(stream=True))).body)
    assert all("usage" not in chunk and chunk["choices"] for chunk in found)


async def test_002_3_ids_of_chats_and_calls_have_the_providers_shape() -> None:
    found = json.loads((await asked(CHAT, chat(ASKED, tools=[TOOL]), **ALWAYS)).body)
    assert re.fullmatch(r"chatcmpl-[A-Za-z0-9]{29}", found["id"])
    (call,) = found["choices"][0]["message"]["tool_calls"]
    assert re.fullmatch(r"call_[A-Za-z0-9]{24}", call["id"])


@pytest.mark.parametrize(
    "given",
    [
        "What is 2+2?",
        [{"type": "message", "role": "user", "content": "Hello"}],
        [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
    ],
)
async def test_002_4_a_response_to_a_text_or_to_items(given: Any) -> None:
    async with openai_client(mock__text="Four.") as client:
        found = await client.responses.create(model="gpt-4o", input=given, metadata={"run": "7"})
    assert found.output_text == "Four."
    assert (found.output[0].type, found.output[0].role) == ("message", "assistant")
    assert (found.status, found.metadata) == ("completed", {"run": "7"})
    assert found.usage.output_tokens == count("Four.", "o200k_base")
    assert found.usage.total_tokens == found.usage.input_tokens + found.usage.output_tokens
    assert re.fullmatch(r"resp_[0-9a-f]+", found.id)


async def test_002_4_a_response_may_be_a_function_call() -> None:
    async with openai_client(**ALWAYS) as client:
        found = await client.responses.create(model="gpt-4o", input=ASKED, tools=[FLAT_TOOL])
    (item,) = found.output
    assert (item.type, item.name) == ("function_call", "get_weather")
    jsonschema.validate(json.loads(item.arguments), WEATHER)


async def test_002_5_the_events_of_a_response_that_says_something() -> None:
    body = {"model": "gpt-4o", "input": "Hello", "stream": True}
    answer = await asked(RESPONSES, body, mock__text=LATIN, **TENS)
    named = re.findall(r"^event: (\S+)$", answer.body.decode(), re.MULTILINE)
    assert named == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 3,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert named == [event["type"] for event in events(answer.body)]


async def test_002_5_the_events_of_a_response_that_calls_a_function() -> None:
    body = {"model": "gpt-4o", "input": ASKED, "stream": True, "tools": [FLAT_TOOL]}
    told = events((await asked(RESPONSES, body, **ALWAYS)).body)
    deltas = [each["delta"] for each in told if each["type"].endswith("arguments.delta")]
    (done,) = [each for each in told if each["type"] == "response.function_call_arguments.done"]
    assert len(deltas) > 1
    assert "".join(deltas) == done["arguments"]
    assert told[-1]["response"]["output"][0]["arguments"] == done["arguments"]


@pytest.mark.parametrize("missing", ["model", "messages", "max_tokens"])
async def test_002_6_a_message_without_what_it_needs_is_refused(missing: str) -> None:
    body = message()
    del body[missing]
    answer = await asked(MESSAGES, body)
    found = json.loads(answer.body)
    assert (answer.status, found["type"]) == (400, "error")
    assert found["error"] == {
        "type": "invalid_request_error",
        "message": f"{missing}: Field required",
    }


async def test_002_6_max_tokens_must_be_a_number() -> None:
    answer = await asked(MESSAGES, message(max_tokens="many"))
    assert answer.status == 400
    assert "max_tokens" in json.loads(answer.body)["error"]["message"]


async def test_002_6_ids_of_messages_and_uses_have_the_providers_shape() -> None:
    found = json.loads((await asked(MESSAGES, message(tools=[CLAUDE_TOOL]), **ALWAYS)).body)
    assert re.fullmatch(r"msg_01[A-Za-z0-9]{22}", found["id"])
    (block,) = found["content"]
    assert re.fullmatch(r"toolu_01[A-Za-z0-9]{22}", block["id"])


async def test_002_7_a_message_streams_its_events_in_the_documented_order() -> None:
    changes: dict[str, Any] = {**ALWAYS, "mock__text_before_calls": 1.0}
    answer = await asked(MESSAGES, message(ASKED, tools=[CLAUDE_TOOL], stream=True), **changes)
    told = [event for event in events(answer.body) if event["type"] != "ping"]
    spelled = "".join(_letter(event) for event in told)
    assert re.fullmatch("M0t+.1j+.D!", spelled), spelled
    start = next(each for each in told if each.get("index") == 1)
    assert (start["content_block"]["type"], start["content_block"]["input"]) == ("tool_use", {})
    assert told[-2]["delta"]["stop_reason"] == "tool_use"
    assert told[-2]["usage"]["output_tokens"] > 0


def _letter(event: dict[str, Any]) -> str:
    """An event as a letter; a block that starts is its number."""
    if event["type"] == "content_block_start":
        return str(event["index"])
    if event["type"] == "content_block_delta":
        return {"text_delta": "t", "input_json_delta": "j"}[event["delta"]["type"]]
    others = {
        "message_start": "M",
        "content_block_stop": ".",
        "message_delta": "D",
        "message_stop": "!",
    }
    return others[event["type"]]


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_002_8_gemini_answers_under_both_versions(version: str) -> None:
    path = f"/{version}/models/{FLASH}:generateContent"
    found = json.loads((await asked(path, contents(), mock__text=LATIN)).body)
    (candidate,) = found["candidates"]
    assert candidate["content"] == {"parts": [{"text": LATIN}], "role": "model"}
    assert candidate["finishReason"] == "STOP"
    used = found["usageMetadata"]
    assert used["candidatesTokenCount"] == count(LATIN, "o200k_base")
    assert used["totalTokenCount"] == used["promptTokenCount"] + used["candidatesTokenCount"]
    assert found["modelVersion"] == FLASH
    assert re.fullmatch(r"[\w-]{22}", found["responseId"])


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_002_8_gemini_streams_data_lines_with_usage_on_each_and_no_done(version: str) -> None:
    path = f"/{version}/models/{FLASH}:streamGenerateContent?alt=sse"
    answer = await asked(path, contents(), mock__text=LATIN, **TENS)
    assert b"[DONE]" not in answer.body
    assert b"event:" not in answer.body
    told = events(answer.body)
    assert "".join(each["candidates"][0]["content"]["parts"][0]["text"] for each in told) == LATIN
    assert all(each["usageMetadata"]["totalTokenCount"] for each in told)
    reasons = [each["candidates"][0].get("finishReason") for each in told]
    assert reasons == [None] * (len(told) - 1) + ["STOP"]


@pytest.mark.parametrize("body", [{}, {"contents": []}])
async def test_002_8_gemini_refuses_a_request_without_contents(body: Any) -> None:
    for path in (GENERATE, STREAM):
        answer = await asked(path, body)
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["status"]) == (400, "INVALID_ARGUMENT")
        assert "contents" in error["message"]


async def test_002_9_the_models_are_listed() -> None:
    async with openai_client() as client:
        owners = {model.id: model.owned_by for model in (await client.models.list()).data}
    listed = ("gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-3.5-turbo")
    assert {owners.get(name) for name in listed} == {"mock-server"}


async def test_002_11_the_openai_sdk_works_unmodified() -> None:
    async with openai_client(mock__text=LATIN) as client:
        whole = await client.chat.completions.create(model="gpt-4o", messages=user("Hello!"))
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=user("Hello!"), stream=True
        )
        said = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert whole.choices[0].message.content == "".join(said) == LATIN


async def test_002_11_the_anthropic_sdk_works_unmodified() -> None:
    async with anthropic_client(mock__text=LATIN) as client:
        whole = await client.messages.create(model=CLAUDE, max_tokens=1024, messages=user("Hello!"))
        async with client.messages.stream(
            model=CLAUDE, max_tokens=1024, messages=user("Hello!")
        ) as stream:
            said = [text async for text in stream.text_stream]
            final = await stream.get_final_message()
    assert whole.content[0].text == "".join(said) == final.content[0].text == LATIN
    assert final.usage.output_tokens == whole.usage.output_tokens == count(LATIN, "o200k_base")


async def test_002_11_the_google_sdk_works_unmodified() -> None:
    async with gemini_client(mock__text=LATIN) as client:
        whole = await client.models.generate_content(model=FLASH, contents="Hello!")
        stream = await client.models.generate_content_stream(model=FLASH, contents="Hello!")
        said = [chunk.text async for chunk in stream]
    assert whole.text == "".join(said) == LATIN


async def test_002_11_any_key_or_none_will_do() -> None:
    async with mocking() as service:
        for header in ("Authorization: Bearer x", "x-api-key: y", "Accept: */*"):
            assert (await curl(service, CHAT, chat(), header)).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat(stream=True)),
        (RESPONSES, {"model": "gpt-4o", "input": "Hello", "stream": True}),
        (MESSAGES, message(stream=True)),
        (STREAM, contents()),
    ],
)
async def test_002_12_streams_are_open_event_streams_that_nobody_buffers(
    path: str, body: Any
) -> None:
    async with mocking() as service, sockets.Client(service.url) as client:
        for _ in range(2):  # the connection is kept
            answer = await client.ask(path, json.dumps(body).encode())
            assert (answer.header("content-type") or "").startswith("text/event-stream")
            assert answer.header("cache-control") == "no-cache"
            assert answer.header("x-accel-buffering") == "no"


async def test_002_13_tokens_are_counted_everywhere() -> None:
    """tiktoken's, where the seed divides letters by four."""
    told = [json.loads((await asked(path, body, mock__text=LATIN)).body) for path, body in (
        (CHAT, chat(model="gpt-4o")), (RESPONSES, {"model": "gpt-4o", "input": "Hello!"}),
        (MESSAGES, message()), (GENERATE, contents()),
    )]  # fmt: skip
    counted = [
        told[0]["usage"]["completion_tokens"],
        told[1]["usage"]["output_tokens"],
        told[2]["usage"]["output_tokens"],
        told[3]["usageMetadata"]["candidatesTokenCount"],
    ]
    assert counted == [count(LATIN, "o200k_base")] * 4
    entered = [
        told[0]["usage"]["prompt_tokens"],
        told[1]["usage"]["input_tokens"],
        told[2]["usage"]["input_tokens"],
        told[3]["usageMetadata"]["promptTokenCount"],
    ]
    assert len(set(entered)) == 1


# --- tool calls ---


def calls(path: str, body: bytes) -> list[tuple[str, Any]]:
    """The calls of a whole reply of any of the providers, by name and arguments."""
    told = json.loads(body)
    if path == CHAT:
        found = told["choices"][0]["message"].get("tool_calls") or []
        return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in found]
    if path == RESPONSES:
        items = [item for item in told["output"] if item["type"] == "function_call"]
        return [(item["name"], json.loads(item["arguments"])) for item in items]
    if path == MESSAGES:
        blocks = [block for block in told["content"] if block["type"] == "tool_use"]
        return [(block["name"], block["input"]) for block in blocks]
    parts = told["candidates"][0]["content"]["parts"]
    return [
        (p["functionCall"]["name"], p["functionCall"]["args"]) for p in parts if "functionCall" in p
    ]


def tooled(path: str, text: str = ASKED, schema: Any = WEATHER, **more: Any) -> dict[str, Any]:
    """A request with two tools, in the words of the provider whose path it is."""
    names = ("get_weather", "get_time")
    if path == CHAT:
        tools: list[Any] = [
            {"type": "function", "function": {"name": name, "parameters": schema}} for name in names
        ]
        return chat(text, model="gpt-4o", tools=tools, **more)
    if path == RESPONSES:
        tools = [{"type": "function", "name": name, "parameters": schema} for name in names]
        return {"model": "gpt-4o", "input": text, "tools": tools, **more}
    if path == MESSAGES:
        tools = [{"name": name, "input_schema": schema} for name in names]
        return message(text, tools=tools, **more)
    declared = [{"name": name, "parameters": schema} for name in names]
    return contents(text, tools=[{"functionDeclarations": declared}], **more)


PATHS = [CHAT, RESPONSES, MESSAGES, GENERATE]


@pytest.mark.parametrize("path", PATHS)
async def test_002_20_three_of_four_requests_with_tools_get_a_call(path: str) -> None:
    bodies = [tooled(path, f"{ASKED} {number}") for number in range(200)]
    replies = await replies_to(path, bodies, mock__text="No.")
    called = sum(bool(calls(path, body_of(reply))) for reply in replies)
    assert 130 <= called <= 170  # of a fixed seed; 0.75 of 200 is 150


def gemini_mode(mode: str, *names: str) -> dict[str, Any]:
    config = {"mode": mode, **({"allowedFunctionNames": names} if names else {})}
    return {"toolConfig": {"functionCallingConfig": config}}


@pytest.mark.parametrize(
    ("path", "choice", "chance", "expected"),
    [
        (CHAT, {"tool_choice": "none"}, 1.0, set()),
        (CHAT, {"tool_choice": "required"}, 0.0, {"get_weather", "get_time"}),
        (
            CHAT,
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            0.0,
            {"get_time"},
        ),
        (RESPONSES, {"tool_choice": "none"}, 1.0, set()),
        (RESPONSES, {"tool_choice": "required"}, 0.0, {"get_weather", "get_time"}),
        (MESSAGES, {"tool_choice": {"type": "none"}}, 1.0, set()),
        (MESSAGES, {"tool_choice": {"type": "any"}}, 0.0, {"get_weather", "get_time"}),
        (MESSAGES, {"tool_choice": {"type": "tool", "name": "get_time"}}, 0.0, {"get_time"}),
        (GENERATE, gemini_mode("NONE"), 1.0, set()),
        (GENERATE, gemini_mode("ANY"), 0.0, {"get_weather", "get_time"}),
        (GENERATE, gemini_mode("ANY", "get_time"), 0.0, {"get_time"}),
    ],
)
async def test_002_20_the_tool_choice_counts_more_than_the_chance(
    path: str, choice: dict[str, Any], chance: float, expected: set[str]
) -> None:
    bodies = [tooled(path, f"{ASKED} {number}", **choice) for number in range(12)]
    replies = await replies_to(path, bodies, mock__tool_calls=chance)
    named = [[name for name, _ in calls(path, body_of(reply))] for reply in replies]
    assert {len(names) for names in named} == {bool(expected)}
    assert {name for names in named for name in names} == expected


RICH: dict[str, Any] = {
    "type": "object",
    "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
    "properties": {
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "kind": {"const": "forecast"},
        "language": {"type": "string", "default": "en"},
        "email": {"type": "string", "format": "email"},
        "link": {"type": "string", "format": "uri"},
        "moment": {"type": "string", "format": "date-time"},
        "id": {"type": "string", "format": "uuid"},
        "address": {"type": "string", "format": "ipv4"},
        "host": {"type": "string", "format": "hostname"},
        "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
        "days": {"type": "integer", "minimum": 2, "maximum": 14, "multipleOf": 2},
        "limit": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "name": {"type": "string", "minLength": 3, "maxLength": 8},
        "tags": {"type": "array", "items": {"enum": ["a", "b", "c", "d"]}, "minItems": 2, "maxItems": 3, "uniqueItems": True},
        "days_of_week": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 6}},
        "where": {"$ref": "#/$defs/place"},
        "one": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        "any": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "all": {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "string"}}}]},
        "sample": {"type": "string", "examples": ["Lisbon", "Paris"]},
    },
    "required": ["unit", "days"],
    "additionalProperties": False,
}  # fmt: skip


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
async def test_002_21_arguments_are_valid_for_whatever_the_schema_says(path: str) -> None:
    check = jsonschema.Draft202012Validator(
        RICH, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    bodies = [tooled(path, f"{ASKED} {number}", RICH) for number in range(25)]
    for reply in await replies_to(path, bodies, **ALWAYS):
        ((_, arguments),) = calls(path, body_of(reply))
        check.validate(arguments)
        assert set(arguments) == set(RICH["properties"])  # optional ones too
        assert 1 <= len(arguments["days_of_week"]) <= 3


async def test_002_21_geminis_uppercase_types_are_understood() -> None:
    upper = {
        "type": "OBJECT",
        "properties": {
            "unit": {"type": "STRING", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "INTEGER", "minimum": 1, "maximum": 3},
            "exact": {"type": "BOOLEAN"},
            "cities": {"type": "ARRAY", "items": {"type": "STRING"}},
        },
        "required": ["unit", "days"],
    }
    bodies = [tooled(GENERATE, f"{ASKED} {number}", upper) for number in range(12)]
    lower = json.loads(re.sub(r'(?<="type": )"\w+"', lambda m: m[0].lower(), json.dumps(upper)))
    for reply in await replies_to(GENERATE, bodies, **ALWAYS):
        ((_, arguments),) = calls(GENERATE, body_of(reply))
        jsonschema.validate(arguments, lower)


IMPOSSIBLE = {"type": "object", "properties": {"a": False}, "required": ["a"]}


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_002_21_a_forced_tool_whose_schema_nothing_fits_gets_empty_arguments(
    path: str,
) -> None:
    forced: Any = "required" if path == CHAT else {"type": "any"}
    reply = await reply_to(path, tooled(path, schema=IMPOSSIBLE, tool_choice=forced))
    assert [arguments for _, arguments in calls(path, body_of(reply))] == [{}]


async def test_002_21_the_same_request_gets_the_same_arguments() -> None:
    replies = await replies_to(CHAT, [tooled(CHAT)] * 2, **ALWAYS)
    one, two = [calls(CHAT, body_of(reply)) for reply in replies]
    assert one == two


@pytest.mark.parametrize("path", PATHS)
async def test_002_22_one_tool_a_reply_and_not_always_the_same(path: str) -> None:
    bodies = [tooled(path, f"{ASKED} {number}") for number in range(20)]
    named = [
        [name for name, _ in calls(path, body_of(reply))]
        for reply in await replies_to(path, bodies, **ALWAYS)
    ]
    assert {len(names) for names in named} == {1}
    assert {names[0] for names in named} == {"get_weather", "get_time"}


async def test_002_22_a_tool_that_cannot_be_called_leaves_a_text() -> None:
    reply = await reply_to(CHAT, tooled(CHAT, schema=IMPOSSIBLE), mock__text="Well.", **ALWAYS)
    found = json.loads(body_of(reply))["choices"][0]
    assert (found["message"]["content"], found["finish_reason"]) == ("Well.", "stop")


async def test_002_23_a_call_streams_as_header_and_pieces() -> None:
    reply = await reply_to(CHAT, chat(ASKED, tools=[TOOL], stream=True), **ALWAYS, **TENS)
    first, header, *rest, last = [chunk["choices"][0] for chunk in chunks(body_of(reply))]
    assert first["delta"]["role"] == "assistant"
    (opened,) = header["delta"]["tool_calls"]
    assert (opened["type"], opened["function"]) == (
        "function",
        {"name": "get_weather", "arguments": ""},
    )
    assert opened["id"].startswith("call_")
    parts = [choice["delta"]["tool_calls"][0]["function"]["arguments"] for choice in rest]
    assert [len(part) for part in parts[:-1]] == [10] * (len(parts) - 1)
    jsonschema.validate(json.loads("".join(parts)), WEATHER)
    assert (last["delta"], last["finish_reason"]) == ({}, "tool_calls")


async def test_002_23_gemini_streams_a_call_in_one_chunk() -> None:
    reply = await reply_to(STREAM, contents(ASKED, tools=[GEMINI_TOOL]), **ALWAYS, **TENS)
    (only,) = events(body_of(reply))
    (part,) = only["candidates"][0]["content"]["parts"]
    jsonschema.validate(part["functionCall"]["args"], WEATHER)


async def test_002_23_the_documented_tool_calls_reach_the_sdks() -> None:
    async with openai_client(**ALWAYS) as client:
        chatted = await client.chat.completions.create(
            model="gpt-4o", messages=user(ASKED), tools=[TOOL]
        )
    call = chatted.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"
    jsonschema.validate(json.loads(call.function.arguments), WEATHER)
    async with anthropic_client(**ALWAYS) as client:
        told = await client.messages.create(
            model=CLAUDE, max_tokens=1024, messages=user(ASKED), tools=[CLAUDE_TOOL]
        )
    (block,) = [block for block in told.content if block.type == "tool_use"]
    jsonschema.validate(block.input, WEATHER)
    declared = copy.deepcopy(GEMINI_TOOL)
    async with gemini_client(**ALWAYS) as client:
        made = await client.models.generate_content(
            model=FLASH, contents=ASKED, config={"tools": [declared]}
        )
    assert made.function_calls[0].name == "get_weather"
    jsonschema.validate(made.function_calls[0].args, WEATHER)


# --- its variables, as settings ---

DELAYS: dict[str, Any] = {
    "pace__ttft": 0.3,
    "pace__chunk_delay": 0.05,
    "pace__chunk_jitter": 0.03,
    "mock__text": LATIN * 8,
    **TENS,
}
"""STREAM_INITIAL_DELAY_MS, STREAM_DELAY_MS, STREAM_JITTER_MS and STREAM_CHUNK_SIZE by default."""


async def test_002_32_chunks_of_ten_letters_come_after_a_delay_and_some_jitter() -> None:
    reply = await reply_to(CHAT, chat(stream=True), **DELAYS)
    told = spoken(reply)
    assert {len(text) for _, text in told[:-1]} == {10}
    moments = [at for at, _ in told]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert moments[0] == pytest.approx(0.3)
    assert all(0.05 <= gap <= 0.08 for gap in gaps)
    assert max(gaps) - min(gaps) > 0.015


async def test_002_32_the_delays_are_kept_on_the_wire() -> None:
    changes: dict[str, Any] = {
        **DELAYS,
        "pace__ttft": 0.03,
        "pace__chunk_delay": 0.01,
        "mock__text": LATIN,
    }
    answer = await asked(MESSAGES, message(stream=True), **changes)
    moments = [at for at, data in answer.chunks if b"text_delta" in data]
    assert moments[0] >= 0.025
    assert moments[-1] >= 0.045


@pytest.mark.parametrize(("chance", "called"), [(0.0, 0), (1.0, 20)])
async def test_002_33_the_chance_of_a_call_is_a_setting(chance: float, called: int) -> None:
    bodies = [tooled(CHAT, f"{ASKED} {number}") for number in range(20)]
    replies = await replies_to(CHAT, bodies, mock__tool_calls=chance)
    assert sum(bool(calls(CHAT, body_of(reply))) for reply in replies) == called


async def test_002_34_one_text_may_be_set() -> None:
    replies = await replies_to(CHAT, [chat("a"), chat("b")], mock__text="Always this.")
    said = [json.loads(body_of(reply))["choices"][0]["message"]["content"] for reply in replies]
    assert said == ["Always this."] * 2


async def test_002_34_else_it_is_one_of_a_pool_or_lorem_ipsum_half_and_half() -> None:
    assert len(REPLIES) >= 25
    bodies = [chat(f"Hello {number}!") for number in range(200)]
    replies = await replies_to(CHAT, bodies)
    said = [json.loads(body_of(reply))["choices"][0]["message"]["content"] for reply in replies]
    latin = [text for text in said if text.startswith(LATIN)]
    assert 80 <= len(latin) <= 120
    assert all(text in REPLIES for text in said if text not in latin)
    assert {2, 5} >= {min(map(_paragraphs, latin)), max(map(_paragraphs, latin))}


def _paragraphs(text: str) -> int:
    return text.count("\n\n") + 1


@pytest.mark.parametrize(("load", "factor"), [(0, 1.0), (1, 1.1), (5, 1.5), (10, 2.0), (40, 2.0)])
async def test_002_53_replies_slow_down_under_load(load: int, factor: float) -> None:
    changes: dict[str, Any] = {
        **DELAYS, "pace__chunk_jitter": 0.0, "pace__degradation": 2.0, "mock__text": LATIN,
    }  # fmt: skip
    reply = await reply_to(CHAT, chat(stream=True), load=load, **changes)
    expected = [0.3, 0.35, 0.4]
    assert [at for at, _ in spoken(reply)] == pytest.approx([factor * at for at in expected])


async def test_002_the_chunk_size_is_what_a_request_may_ask_for_too() -> None:
    reply = await reply_to(CHAT, chat(stream=True, chunk_size=5), mock__text=LATIN, **TENS)
    assert pieces(body_of(reply))[:2] == ["Lorem", " ipsu"]
    refused = await reply_to(CHAT, chat(chunk_size=0))
    assert refused.status == 400


# --- the dashboard's routes ---


async def asks(service: Service, path: str = CHAT, body: Any = None) -> int:
    """The status of a chat, or of another request."""
    return (await call(service, "POST", path, body or chat())).status


async def test_002_10_health_is_told() -> None:
    async with mocking() as service:
        plain = await told(service, "GET", "/health")
        full = await told(service, "GET", "/api/health")
    assert (plain["status"], set(plain)) == ("ok", {"status", "timestamp"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", plain["timestamp"])
    assert (full["status"], full["wsClients"]) == ("ok", 0)


async def test_002_60_the_configuration_is_told() -> None:
    async with mocking(pace__ttft=0.3, mock__tool_calls=0.5) as service:
        found = await told(service, "GET", "/api/config")
    assert (set(found), found["endpoints"]) == ({"global", "endpoints"}, {})
    assert found["global"]["streamInitialDelayMs"] == 300
    assert found["global"]["toolCallProbability"] == 0.5
    assert found["global"]["rateLimit"] == {
        "enabled": False, "strategy": "fixed-window", "maxRequests": 100, "windowMs": 60000,
        "bucketCapacity": 10, "refillRate": 1, "failAfterN": 5, "failProbability": 0.3,
    }  # fmt: skip


async def test_002_61_a_change_is_merged_and_in_force() -> None:
    async with mocking() as service:
        limit = {"enabled": True, "strategy": "after-n", "failAfterN": 1}
        await told(service, "PATCH", "/api/config/global", {"rateLimit": limit})
        found = await told(service, "PATCH", "/api/config/global", {"defaultResponse": "Static."})
        assert found["global"]["rateLimit"]["maxRequests"] == 100
        assert found["global"]["rateLimit"]["failAfterN"] == 1
        answer = await call(service, "POST", CHAT, chat())
        assert b"Static." in answer.body
        assert await asks(service) == 429
        assert await asks(service, MESSAGES, message()) == 200
        await told(service, "PATCH", "/api/config/global", {"rateLimit": {"failAfterN": 9}})
        assert await asks(service) == 200


async def test_002_61_names_of_prototypes_are_dropped() -> None:
    body = {"__proto__": {"a": 1}, "constructor": 2, "rateLimit": {"prototype": 3}}
    async with mocking() as service:
        found = await told(service, "PATCH", "/api/config/global", body)
    assert not {"__proto__", "constructor"} & set(found["global"])
    assert "prototype" not in found["global"]["rateLimit"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ([], "Request body must be an object"),
        (None, "Request body must be an object"),
        ({"errorRate": 2}, "errorRate: 2 is not a number from 0 to 1"),
        ({"errorRate": True}, "errorRate: true is not a number from 0 to 1"),
        ({"errorRates": 1}, "errorRates: no such field; did you mean errorRate?"),
        ({"enabled": "yes"}, 'enabled: "yes" is not true or false'),
        ({"rateLimit": 1}, "rateLimit: must be an object"),
        ({"rateLimit": {"windowMs": 0}}, "rateLimit.windowMs: 0 is not a whole number from 1 to 86400000"),
        ({"rateLimit": {"maxRequest": 1}}, "rateLimit.maxRequest: no such field; did you mean rateLimit.maxRequests?"),
        ({"errorTypes": ["nope"]}, f"errorTypes: this list is not a list of {', '.join(FAILURES)}"),
    ],
)  # fmt: skip
async def test_002_61_a_bad_change_names_its_field(body: Any, problem: str) -> None:
    async with mocking() as service:
        status, answer = await refused(service, "PATCH", "/api/config/global", body)
        assert (await told(service, "GET", "/_llmproxy/config"))["changed"] == []
    assert (status, answer["error"]) == (400, problem)


async def test_002_62_endpoints_are_told_with_their_limiter() -> None:
    async with mocking() as service:
        limit = {"enabled": True, "strategy": "fixed-window", "maxRequests": 3}
        await told(service, "PATCH", "/api/config/endpoints/openai-chat", {"rateLimit": limit})
        await asks(service)
        found = await told(service, "GET", "/api/config/endpoints")
    assert tuple(found) == ENDPOINTS
    assert all(set(each) == {"label", "config", "rateLimiterState"} for each in found.values())
    state = found["openai-chat"]["rateLimiterState"]
    assert (state["strategy"], state["currentCount"], state["maxCount"]) == ("fixed-window", 1, 3)
    assert found["anthropic-messages"]["rateLimiterState"] is None


async def test_002_63_an_endpoint_has_a_configuration_of_its_own() -> None:
    async with mocking() as service:
        path = "/api/config/endpoints/anthropic-messages"
        found = await told(service, "PATCH", path, {"enabled": False, "streamDelayMs": 5})
        assert (found["endpoint"], found["config"]["enabled"]) == ("anthropic-messages", False)
        assert found["config"]["streamDelayMs"] == 5
        assert (await asks(service), await asks(service, MESSAGES, message())) == (200, 503)
        config = await told(service, "GET", "/api/config")
        assert config["endpoints"] == {"anthropic-messages": {"enabled": False, "streamDelayMs": 5}}
        settings = (await told(service, "GET", "/_llmproxy/config"))["settings"]
        assert settings["endpoints"]["anthropic-messages"] == {"pace": {"chunk_delay": 0.005}}
        status, answer = await refused(service, "PATCH", "/api/config/endpoints/x", {})
    assert (status, answer["error"]) == (400, "Unknown endpoint: x")


async def test_002_63_versions_of_gemini_are_endpoints_of_their_own() -> None:
    stable = GENERATE.replace("v1beta", "v1")
    async with mocking() as service:
        path = "/api/config/endpoints/gemini-generate-v1"
        await told(service, "PATCH", path, {"enabled": False})
        assert await asks(service, stable, contents()) == 503
        assert await asks(service, GENERATE, contents()) == 200


async def test_002_64_an_endpoints_own_configuration_is_cleared() -> None:
    async with mocking() as service:
        path = "/api/config/endpoints/openai-chat"
        await told(service, "PATCH", path, {"enabled": False})
        assert await asks(service) == 503
        found = await told(service, "DELETE", path)
        assert (found["endpoint"], found["config"]["enabled"]) == ("openai-chat", True)
        assert "message" in found
        assert await asks(service) == 200


async def test_002_65_everything_is_as_at_the_start() -> None:
    async with mocking(mock__text="Start.") as service:
        await told(service, "PATCH", "/api/config/global", {"defaultResponse": "Changed."})
        found = await told(service, "POST", "/api/config/reset")
        assert set(found) == {"status", "message", "config"}
        assert found["config"]["global"]["defaultResponse"] == "Start."
        assert b"Start." in (await call(service, "POST", CHAT, chat())).body


async def test_002_66_what_is_going_on_is_told() -> None:
    async with mocking() as service:
        await asks(service)
        found = await told(service, "GET", "/api/metrics")
    assert set(found) == {"timestamp", "endpoints", "global"}
    one = found["endpoints"]["openai-chat"]
    assert (one["totalRequests"], len(one["latencies"]), one["activeConnections"]) == (1, 1, 0)
    assert set(found["global"]) == {
        "totalActiveConnections", "totalRequestsPerSecond", "uptimeSeconds",
    }  # fmt: skip


async def test_002_67_percentiles_of_an_endpoint() -> None:
    async with mocking() as service:
        await asks(service)
        found = await told(service, "GET", "/api/metrics/latency/openai-chat")
        status, _ = await refused(service, "GET", "/api/metrics/latency/x")
    assert (found["endpoint"], status) == ("openai-chat", 400)
    assert 0 < found["p50"] <= found["p90"] <= found["p99"]


@pytest.mark.parametrize("path", ["/api/metrics/reset", "/api/detailed-metrics/reset"])
async def test_002_68_numbers_begin_anew(path: str) -> None:
    async with mocking() as service:
        await asks(service)
        assert set(await told(service, "POST", path)) == {"status", "message"}
        found = await told(service, "GET", "/api/metrics")
    assert found["endpoints"]["openai-chat"]["totalRequests"] == 0


async def test_002_69_limits_begin_anew() -> None:
    async with mocking() as service:
        limit = {"enabled": True, "strategy": "after-n", "failAfterN": 1}
        await told(service, "PATCH", "/api/config/global", {"rateLimit": limit})
        statuses = [await asks(service), await asks(service)]
        await told(service, "POST", "/api/rate-limit/reset/anthropic-messages")
        statuses.append(await asks(service))
        await told(service, "POST", "/api/rate-limit/reset/openai-chat")
        statuses.append(await asks(service))
        found = await told(service, "POST", "/api/rate-limit/reset")
        statuses.append(await asks(service))
        assert (await refused(service, "POST", "/api/rate-limit/reset/x"))[0] == 400
    assert statuses == [200, 429, 429, 200, 200]
    assert set(found) == {"status", "message"}


async def test_002_70_strategies_are_listed() -> None:
    async with mocking() as service:
        found = await told(service, "GET", "/api/rate-limit/strategies")
    assert [each["id"] for each in found] == list(STRATEGIES) == [
        "none", "fixed-window", "sliding-window", "token-bucket", "leaky-bucket", "after-n",
        "random", "always",
    ]  # fmt: skip
    assert all(each["description"] for each in found)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_002_70_each_strategy_is_in_force(strategy: str) -> None:
    limit = {
        "enabled": True, "strategy": strategy, "maxRequests": 1, "bucketCapacity": 1,
        "refillRate": 0.001, "failAfterN": 1, "failProbability": 1,
    }  # fmt: skip
    async with mocking() as service:
        await told(service, "PATCH", "/api/config/global", {"rateLimit": limit})
        statuses = [await asks(service), await asks(service)]
    expected = {"none": [200, 200], "random": [429, 429], "always": [429, 429]}
    assert statuses == expected.get(strategy, [200, 429])


async def test_002_71_numbers_over_time() -> None:
    async with mocking() as service:
        await asks(service)
        found = await told(service, "GET", "/api/detailed-metrics")
    one = found["endpoints"]["openai-chat"]
    assert {
        "timeSeries", "peaks", "latencyHistogram", "errors", "currentRPS", "currentConnections",
        "totalStreaming", "totalNonStreaming", "testDurationSeconds",
    } <= set(one)  # fmt: skip
    assert len(one["latencyHistogram"]) == 10
    assert found["global"]["totalNonStreaming"] == 1


async def test_002_72_numbers_are_exported() -> None:
    async with mocking() as service:
        await asks(service)
        table = await call(service, "GET", "/api/detailed-metrics/export/csv")
        tree = await call(service, "GET", "/api/detailed-metrics/export/json")
    assert (table.header("content-disposition") or "").startswith("attachment;")
    assert (tree.header("content-disposition") or "").startswith("attachment;")
    assert table.body.decode().splitlines()[0].split(",") == list(COLUMNS)
    assert json.loads(tree.body)["global"]["peaks"]["totalRequests"] == 1


async def test_002_73_failure_modes_are_listed() -> None:
    async with mocking() as service:
        found = await told(service, "GET", "/api/failure-modes")
    assert {each["id"] for each in found} >= {
        "timeout", "server_error", "bad_request", "slow_response", "connection_reset",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("server_error", 500), ("bad_request", 400), ("authentication_error", 401),
        ("permission_denied", 403),
    ],
)  # fmt: skip
async def test_002_73_a_failure_mode_is_in_force(kind: str, status: int) -> None:
    async with mocking() as service:
        body = {"errorRate": 1, "errorTypes": [kind]}
        await told(service, "PATCH", "/api/config/endpoints/openai-chat", body)
        assert (await asks(service), await asks(service, MESSAGES, message())) == (status, 200)


def test_002_73_each_type_of_error_is_drawn_as_often() -> None:
    types = ["server_error", "timeout", "connection_reset", "slow_response"]
    changes = Changes({"errorRate": 0.8, "errorTypes": types})
    faults = settings_of(changes, Settings())["faults"]
    left, shares = 1.0, []
    for fault in faults:
        if fault["for"] == {"endpoint": "openai-chat"}:
            shares.append(left * fault["rate"])
            left -= shares[-1]
    assert shares == pytest.approx([0.2] * 4)


async def test_002_73_streams_are_interrupted() -> None:
    async with mocking(mock__text="word " * 50) as service:
        await told(service, "PATCH", "/api/config/global", {"streamInterruptRate": 1})
        broken = await call(service, "POST", CHAT, chat(stream=True))
        whole = await call(service, "POST", CHAT, chat())
    assert (broken.broken, whole.broken) == (True, False)
    assert 2 <= len(events(broken.body)) <= 7


# --- the dashboard's WebSocket ---


class Talk:
    """One end of ``/ws``; numbers, which come by themselves, are passed over where not waited for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def hear(self, kind: str) -> Any:
        while (message := await self._socket.receive_json(timeout=5))["type"] != kind:
            assert message["type"] in ("metrics", "detailed_metrics", "config", "event")
        return message["data"]

    async def say(self, kind: str, **more: Any) -> None:
        await self._socket.send_json({"type": kind, **more})

    async def error_of(self, text: str) -> Any:
        await self._socket.send_str(text)
        return await self.hear("error")


@contextlib.asynccontextmanager
async def talking(**changes: Any) -> AsyncIterator[tuple[Service, Talk]]:
    async with mocking(**changes) as service, aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{service.url}/ws") as socket:
            yield service, Talk(socket)


async def test_002_80_numbers_and_configuration_are_told_at_once_and_again() -> None:
    async with mocking() as service, aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{service.url}/ws") as socket:
            first = [await socket.receive_json(timeout=5) for _ in range(3)]
            assert [each["type"] for each in first] == ["metrics", "detailed_metrics", "config"]
            talk = Talk(socket)
            found = [await talk.hear("metrics") for _ in range(2)]
            assert 50 <= found[1]["timestamp"] - found[0]["timestamp"] <= 1000
            await told(service, "PATCH", "/api/config/global", {"defaultResponse": "x"})
            assert (await talk.hear("config"))["global"]["defaultResponse"] == "x"
            assert (await told(service, "GET", "/api/health"))["wsClients"] == 1


async def test_002_81_events_are_told() -> None:
    async with talking() as (service, talk):
        await asks(service)
        found = [await talk.hear("event") for _ in range(4)]
        assert [each["type"] for each in found] == [
            "connection_open", "request_start", "request_end", "connection_close",
        ]  # fmt: skip
        assert {each["endpoint"] for each in found} == {"openai-chat"}
        assert len({each["requestId"] for each in found}) == 1
        assert found[-1]["latencyMs"] > 0
        limit = {"enabled": True, "strategy": "always"}
        await told(service, "PATCH", "/api/config/global", {"rateLimit": limit})
        await asks(service)
        assert "rate_limited" in [(await talk.hear("event"))["type"] for _ in range(5)]


async def test_002_82_a_client_asks_and_changes() -> None:
    async with talking(mock__text="Start.") as (service, talk):
        for kind in ("metrics", "config", "detailed_metrics"):
            await talk.hear(kind)
        await talk.say("get_metrics")
        await talk.hear("metrics")
        await talk.say("get_config")
        await talk.hear("config")
        await talk.say("get_detailed_metrics")
        await talk.hear("detailed_metrics")
        await talk.say("update_global_config", data={"defaultResponse": "Changed."})
        assert (await talk.hear("config"))["global"]["defaultResponse"] == "Changed."
        given = {"endpoint": "openai-chat", "config": {"enabled": False}}
        await talk.say("update_endpoint_config", data=given)
        assert (await talk.hear("config"))["endpoints"] == {"openai-chat": {"enabled": False}}
        assert await asks(service) == 503
        await talk.say("reset_config")
        assert (await talk.hear("config"))["global"]["defaultResponse"] == "Start."
        for kind in ("reset_metrics", "reset_rate_limiters", "reset_detailed_metrics"):
            await talk.say(kind)
        await talk.say("get_metrics")
        found = await told(service, "GET", "/api/metrics")
    assert found["endpoints"]["openai-chat"]["totalRequests"] == 0


async def test_002_82_what_cannot_be_understood_is_said() -> None:
    async with talking() as (_, talk):
        assert await talk.error_of('{"type": "x"}') == "Unknown message type: x"
        for text in ("{", "[]", "{}", '{"type": 1}', ""):
            assert await talk.error_of(text) == "Invalid message format"
        bad = '{"type": "update_global_config", "data": {"errorRate": 9}}'
        assert await talk.error_of(bad) == "errorRate: 9 is not a number from 0 to 1"
        none = '{"type": "update_endpoint_config", "data": {"endpoint": "x", "config": {}}}'
        assert await talk.error_of(none) == "Unknown endpoint: x"


async def test_002_metrics_at_the_root_are_prometheus_or_json_by_accept() -> None:
    async with mocking() as service:
        text = await call(service, "GET", "/metrics")
        tree = await call(service, "GET", "/metrics", None, "Accept: application/json")
    assert (text.header("content-type") or "").startswith("text/plain")
    assert "endpoints" in json.loads(tree.body)
