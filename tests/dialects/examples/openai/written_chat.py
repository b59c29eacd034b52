"""Chat Completions as ``openai`` reads it: its types, its accumulator for streams."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from dialects.clients import arguments, sse_objects, typed
from dialects.written import RefusedRequest, Seen, SeenCall, SeenChoice, Written

TARGET = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]
BODY: dict[str, Any] = {"model": "gpt-4o", "messages": HELLO}
FUNCTION = {
    "name": "f",
    "description": "Does it.",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
}
TOOLS = {"tools": [{"type": "function", "function": FUNCTION}]}


def read(body: bytes) -> Seen:
    completion = typed(ChatCompletion, json.loads(body))
    return _seen(completion.choices, completion.usage)


def read_stream(body: bytes) -> Seen:
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for row in sse_objects(body):
        for _ in state.handle_chunk(typed(ChatCompletionChunk, row)):
            pass
    completion = state.current_completion_snapshot
    return _seen(completion.choices, completion.usage)


def _seen(choices: Sequence[Any], usage: CompletionUsage | None) -> Seen:
    assert [choice.index for choice in choices] == list(range(len(choices)))
    return Seen(
        choices=tuple(map(_choice, choices)),
        input_tokens=usage.prompt_tokens if usage else None,
        output_tokens=usage.completion_tokens if usage else None,
    )


def _choice(choice: Any) -> SeenChoice:
    message = choice.message
    calls = message.tool_calls or []
    assert message.role == "assistant"
    assert len({call.id for call in calls}) == len(calls)
    return SeenChoice(
        text=message.content or "",
        refusal=message.refusal,
        calls=tuple(
            SeenCall(call.function.name, arguments(call.function.arguments)) for call in calls
        ),
        finish=choice.finish_reason,
    )


def _refused(field: str, **changes: Any) -> RefusedRequest:
    members = {**BODY, **changes}
    body = {name: value for name, value in members.items() if value is not ...}
    return RefusedRequest(TARGET, body, field)


def _message(**members: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "x", **members}]


CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f"}}],
}

WRITTEN = (
    Written(
        operation="openai_chat",
        target=TARGET,
        body=BODY,
        stream_body={"stream": True, "stream_options": {"include_usage": True}},
        read=read,
        read_stream=read_stream,
        finishes={
            "stop": "stop",
            "stop_sequence": "stop",
            "length": "length",
            "tool_calls": "tool_calls",
            "refusal": "stop",
            "content_filter": "content_filter",
        },
        shows_reasoning=False,
        tools=TOOLS,
        several={"n": 2},
    ),
)

REFUSED = (
    RefusedRequest(TARGET, None, "body"),
    RefusedRequest(TARGET, [1], "body"),
    RefusedRequest("/v1/chat/completions/", BODY, "GET", 405, method="GET"),
    _refused("model", model=...),
    _refused("model", model=7),
    _refused("model", model=""),
    _refused("messages", messages=...),
    _refused("messages", messages=[]),
    _refused("messages", messages="Hello"),
    _refused("messages[0]", messages=["Hello"]),
    _refused("messages[0].role", messages=_message(role="king")),
    _refused("messages[0].role", messages=_message(role=None)),
    _refused("messages[0].content", messages=_message(content=7)),
    _refused("messages[0].content", messages=_message(content=None)),
    _refused("messages[0].content[0].type", messages=_message(content=[{"type": "smell"}])),
    _refused("messages[0].content[0].text", messages=_message(content=[{"type": "text"}])),
    _refused("messages[0].tool_call_id", messages=_message(role="tool")),
    _refused("messages[0].role", messages=_message(role="tool", tool_call_id="call_1")),
    _refused("messages", messages=[*HELLO, CALLED]),
    _refused("messages[2]", messages=[*HELLO, CALLED, *HELLO]),
    _refused("temperature", temperature=2.5),
    _refused("temperature", temperature="hot"),
    _refused("top_p", top_p=-1),
    _refused("presence_penalty", presence_penalty=3),
    _refused("frequency_penalty", frequency_penalty=-3),
    _refused("seed", seed="x"),
    _refused("n", n=0),
    _refused("n", n=129),
    _refused("max_tokens", max_tokens=0),
    _refused("max_completion_tokens", max_completion_tokens=1.5),
    _refused("stop", stop=["a", "b", "c", "d", "e"]),
    _refused("stop", stop=7),
    _refused("stream", stream="yes"),
    _refused("stream_options", stream_options={"include_usage": True}),
    _refused("stream_options.include_usage", stream=True, stream_options={"include_usage": 1}),
    _refused("logprobs", logprobs=1),
    _refused("top_logprobs", top_logprobs=21),
    _refused("logit_bias", logit_bias=[]),
    _refused("metadata", metadata="x"),
    _refused("tools", tools={}),
    _refused("tools[0].type", tools=[{"function": FUNCTION}]),
    _refused("tools[0].function", tools=[{"type": "function"}]),
    _refused("tools[0].function.name", tools=[{"type": "function", "function": {}}]),
    _refused(
        "tools[0].function.name", tools=[{"type": "function", "function": {"name": "no spaces"}}]
    ),
    _refused("tool_choice", tool_choice="required"),
    _refused("tool_choice", tool_choice="always", **TOOLS),
    _refused(
        "tool_choice.function.name",
        tool_choice={"type": "function", "function": {"name": "g"}},
        **TOOLS,
    ),
    _refused("function_call.name", function_call={"name": "g"}, functions=[FUNCTION]),
    _refused("function_call", function_call="always", functions=[FUNCTION]),
    _refused("functions[0].name", functions=[{}]),
    _refused("parallel_tool_calls", parallel_tool_calls="no", **TOOLS),
    _refused("response_format.type", response_format={}),
    _refused("response_format.type", response_format={"type": "xml"}),
    _refused("response_format.json_schema", response_format={"type": "json_schema"}),
    _refused(
        "response_format.json_schema.name",
        response_format={"type": "json_schema", "json_schema": {"schema": {}}},
    ),
    _refused(
        "response_format.json_schema.schema",
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": 1}},
    ),
    _refused("reasoning_effort", reasoning_effort=1),
)
