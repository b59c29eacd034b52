"""Ollama's chat and generate, read line by line as its clients do."""

from __future__ import annotations

import json
from typing import Any

from dialects.written import RefusedRequest, Seen, SeenCall, SeenChoice, Written
from llmproxy.answer import Finish

CHAT = "/api/chat"
GENERATE = "/api/generate"
HELLO = [{"role": "user", "content": "Hello"}]
CHAT_BODY: dict[str, Any] = {"model": "llama3.2", "messages": HELLO, "stream": False}
GENERATE_BODY: dict[str, Any] = {"model": "llama3.2", "prompt": "Hello", "stream": False}
FUNCTION = {
    "name": "f",
    "description": "Does it.",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
}
TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def read(body: bytes) -> Seen:
    return _seen([json.loads(body)])


def read_stream(body: bytes) -> Seen:
    assert body.endswith(b"\n")
    return _seen([json.loads(line) for line in body.splitlines()])


def _seen(rows: list[dict[str, Any]]) -> Seen:
    said = [row.get("message", row) for row in rows]
    *others, last = rows
    assert not any(row["done"] for row in others)
    assert last["done"]
    assert all(type(last[name]) is int and last[name] > 0 for name in TIMES)
    calls = [call["function"] for each in said for call in each.get("tool_calls", [])]
    assert [call["index"] for call in calls] == list(range(len(calls)))
    choice = SeenChoice(
        text="".join(each["content"] if "content" in each else each["response"] for each in said),
        reasoning="".join(each.get("thinking", "") for each in said),
        calls=tuple(SeenCall(call["name"], call["arguments"]) for call in calls),
        finish=last["done_reason"],
    )
    return Seen((choice,), last["prompt_eval_count"], last["eval_count"])


FINISHES: dict[Finish, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "stop",
    "refusal": "stop",
    "content_filter": "stop",
}

WRITTEN = (
    Written(
        operation="ollama_chat",
        target=CHAT,
        body=CHAT_BODY,
        stream_body={"stream": True},
        read=read,
        read_stream=read_stream,
        finishes=FINISHES,
        tools={"tools": [{"type": "function", "function": FUNCTION}]},
        refusal_is_text=True,
    ),
    Written(
        operation="ollama_generate",
        target=GENERATE,
        body=GENERATE_BODY,
        stream_body={"stream": None},
        read=read,
        read_stream=read_stream,
        finishes=FINISHES,
        refusal_is_text=True,
    ),
)


def _chat(field: str, **changes: Any) -> RefusedRequest:
    return RefusedRequest(CHAT, {**CHAT_BODY, **changes}, field)


def _generate(field: str, **changes: Any) -> RefusedRequest:
    return RefusedRequest(GENERATE, {**GENERATE_BODY, **changes}, field)


REFUSED = (
    RefusedRequest(CHAT, None, "body"),
    RefusedRequest(CHAT, {"messages": HELLO}, "model"),
    RefusedRequest(GENERATE, {}, "model"),
    RefusedRequest("/api/tags", {}, "POST", 405),
    _chat("model", model=7),
    _chat("messages", messages="Hello"),
    _chat("messages[0]", messages=["Hello"]),
    _chat("messages[0].role", messages=[{"content": "x"}]),
    _chat("messages[0].role", messages=[{"role": "king"}]),
    _chat("messages[0].content", messages=[{"role": "user", "content": [{"type": "text"}]}]),
    _chat("messages[0].images[0]", messages=[{"role": "user", "images": [1]}]),
    _chat(
        "messages[0].tool_calls[0].function.arguments",
        messages=[
            {
                "role": "assistant",
                "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
            }
        ],
    ),
    _chat("tools[0].function", tools=[{"type": "function"}]),
    _chat("tools[0].function.name", tools=[{"type": "function", "function": {}}]),
    _chat("format", format="xml"),
    _chat("format", format=7),
    _chat("think", think="a lot"),
    _chat("stream", stream="no"),
    _chat("options", options=[]),
    _chat("options.temperature", options={"temperature": "hot"}),
    _chat("options.num_predict", options={"num_predict": 1.5}),
    _chat("options.stop", options={"stop": "a"}),
    _chat("options.stop[0]", options={"stop": [1]}),
    _chat("options.seed", options={"seed": "x"}),
    _generate("prompt", prompt=["x"]),
    _generate("suffix", suffix=1),
    _generate("system", system=1),
    _generate("template", template=1),
    _generate("images[0]", images=[1]),
    _generate("context", context="x"),
    _generate("raw", raw="yes"),
    RefusedRequest("/api/embed", {"input": "x"}, "model"),
    RefusedRequest("/api/embed", {"model": "e", "input": 7}, "input"),
    RefusedRequest("/api/embed", {"model": "e", "input": ["x", 7]}, "input[1]"),
    RefusedRequest("/api/embed", {"model": "e", "input": "x", "dimensions": 0}, "dimensions"),
    RefusedRequest("/api/embeddings", {"model": "e", "prompt": 7}, "prompt"),
    RefusedRequest("/api/show", {}, "model"),
)
