"""How tests ask OpenAI's Responses, and see what is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from openai.pagination import SyncCursorPage
from openai.types.responses import (
    ResponseItem,
    ResponseStreamEvent,
)

from dialects.examples.openai.written_responses import (
    CALL,
    PARAMETERS,
    RESULT,
    TARGET,
    events,
)
from llmproxy.answer import Answer, Choice, Finish, Part, Reasoning, Text, ToolCall, Usage
from llmproxy.dialects.openai.responses import RESPONSES, read_prompt, write_body
from llmproxy.dialects.openai.responses_stream import write_stream
from llmproxy.dialects.operation import Frame, Means, Plain, Refused
from llmproxy.interaction import Problem
from llmproxy.prompt import Prompt
from means import call_of, make_call, make_means

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
