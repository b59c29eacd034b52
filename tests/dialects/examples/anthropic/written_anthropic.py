"""What the contract test must know of Anthropic's Messages; its readers are the official SDK."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import anthropic
import httpx2
from anthropic.types import Message, RawMessageStreamEvent

from dialects.written import RefusedRequest, Seen, SeenCall, SeenChoice, Written

VERSION = (("anthropic-version", "2026-10-21"),)
SAID = [{"role": "user", "content": "hello"}]
BODY = {"model": "claude-sonnet-5", "max_tokens": 1000, "messages": SAID}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOLS = [{"name": "f", "description": "a tool", "input_schema": SCHEMA}]
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "x"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}


def client(body: bytes, content_type: str) -> anthropic.Anthropic:
    """The official client, strict, whatever it asks answered by ``body``."""

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    return anthropic.Anthropic(
        api_key="made" + "-up",
        base_url="http://provider.test",
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        max_retries=0,
        _strict_response_validation=True,
    )


def ask(body: bytes) -> Message:
    """What ``messages.create`` makes of a whole reply."""
    with client(body, "application/json") as asking:
        return asking.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}]
        )


def events(body: bytes) -> list[RawMessageStreamEvent]:
    """What ``messages.create(stream=True)`` makes of a stream; pings are not among it."""
    with client(body, "text/event-stream; charset=utf-8") as asking:
        stream = asking.messages.create(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}], stream=True
        )
        return list(stream)


def accumulate(body: bytes) -> Message:
    """What ``messages.stream`` makes of a stream."""
    with client(body, "text/event-stream; charset=utf-8") as asking:
        with asking.messages.stream(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}]
        ) as stream:
            return stream.get_final_message()


def read(body: bytes) -> Seen:
    message = ask(body)
    arguments = (block.input for block in message.content if block.type == "tool_use")
    return _seen(message, arguments)


def read_stream(body: bytes) -> Seen:
    return _seen(accumulate(body), map(_parsed, partial_json(body)))


def partial_json(body: bytes) -> list[str]:
    """The arguments of each tool call, joined, in the order of the blocks."""
    joined: dict[int, str] = {}
    for event in events(body):
        if event.type == "content_block_start" and event.content_block.type == "tool_use":
            joined[event.index] = ""
        if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            joined[event.index] += event.delta.partial_json
    return list(joined.values())


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _seen(message: Message, arguments: Iterable[Any]) -> Seen:
    blocks = message.content
    names = [block.name for block in blocks if block.type == "tool_use"]
    choice = SeenChoice(
        text="".join(block.text for block in blocks if block.type == "text"),
        reasoning="".join(block.thinking for block in blocks if block.type == "thinking"),
        calls=tuple(map(SeenCall, names, arguments)),
        finish=message.stop_reason or "",
    )
    return Seen((choice,), message.usage.input_tokens, message.usage.output_tokens)


WRITTEN = (
    Written(
        operation="anthropic_messages",
        target="/v1/messages",
        body=BODY,
        stream_body={"stream": True},
        read=read,
        read_stream=read_stream,
        finishes={
            "stop": "end_turn",
            "stop_sequence": "stop_sequence",
            "length": "max_tokens",
            "tool_calls": "tool_use",
            "refusal": "refusal",
            "content_filter": "refusal",
        },
        headers=VERSION,
        tools={"tools": TOOLS},
        refusal_is_text=True,
    ),
)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in BODY.items() if key != name}


def asked(**changes: Any) -> dict[str, Any]:
    return {**BODY, **changes}


def said(*content: Any, role: str = "user") -> dict[str, Any]:
    return asked(messages=[{"role": role, "content": list(content)}])


def tools(*added: Any, **changes: Any) -> dict[str, Any]:
    return asked(tools=[*TOOLS, *added], **changes)


def thinking(**members: Any) -> dict[str, Any]:
    return asked(thinking=members)


BODIES: tuple[tuple[str, Any], ...] = (
    ("body", []),
    ("body", None),
    ("body", "text"),
    ("model", without("model")),
    ("model", asked(model=7)),
    ("model", asked(model="")),
    ("max_tokens: Field required", without("max_tokens")),
    ("max_tokens", asked(max_tokens="many")),
    ("max_tokens", asked(max_tokens=True)),
    ("max_tokens", asked(max_tokens=-1)),
    ("max_tokens", asked(max_tokens=1.5)),
    ("messages: Field required", without("messages")),
    ("messages: at least one message is required", asked(messages=[])),
    ("messages: Input should be a valid list", asked(messages="hello")),
    ("messages.0: Input should be a valid dictionary", asked(messages=["hello"])),
    ("messages.0.role: Field required", asked(messages=[{"content": "x"}])),
    ("messages.0.role", asked(messages=[{"role": "tool", "content": "x"}])),
    ("messages.0.role", asked(messages=[{"role": ["user"], "content": "x"}])),
    ("messages.0.content: Field required", asked(messages=[{"role": "user"}])),
    ("messages.0.content", asked(messages=[{"role": "user", "content": 7}])),
    ("messages.0.content", asked(messages=[{"role": "user", "content": ""}])),
    ("messages.0.content", asked(messages=[{"role": "user", "content": []}])),
    ("messages.0.content.0", said("hello")),
    ("messages.0.content.0.type: Field required", said({"text": "hello"})),
    ("messages.0.content.0.type", said({"type": "input_text", "text": "hello"})),
    ("messages.0.content.0.text: Field required", said({"type": "text"})),
    ("messages.0.content.0.text", said({"type": "text", "text": 7})),
    ("messages.0.content.0.text", said({"type": "text", "text": ""})),
    ("messages.0.content.0.source", said({"type": "image"})),
    ("messages.0.content.0.source.type", said({"type": "image", "source": {}})),
    ("messages.0.content.0.source.type", said({"type": "image", "source": {"type": "ftp"}})),
    (
        "messages.0.content.0.source.media_type",
        said({"type": "image", "source": {"type": "base64", "data": "eA=="}}),
    ),
    ("messages.0.content.0.source.url", said({"type": "document", "source": {"type": "url"}})),
    ("messages.0.content.0.title", said({"type": "search_result", "source": "x"})),
    ("messages.0.content.0.type", said(USE)),
    ("messages.0.content.0.id", said({**USE, "id": None}, role="assistant")),
    ("messages.0.content.0.name", said({**USE, "name": 7}, role="assistant")),
    ("messages.0.content.0.input", said({**USE, "input": "{}"}, role="assistant")),
    ("messages.0: `tool_use` ids were found", said(USE, role="assistant")),
    ("messages.0.content.0: unexpected `tool_use_id`", said(RESULT)),
    ("messages.0.content.0.tool_use_id", said({"type": "tool_result"})),
    ("messages.0.content.0.content", said({**RESULT, "content": 7})),
    ("messages.0.content.0.content.0.type", said({**RESULT, "content": [RESULT]})),
    ("messages.0.content.0.is_error", said({**RESULT, "is_error": "yes"})),
    (
        "messages.0.content.0.signature",
        said({"type": "thinking", "thinking": ""}, role="assistant"),
    ),
    ("messages.0.content.0.data", said({"type": "redacted_thinking"}, role="assistant")),
    ("messages.0.content.0.file_id", said({"type": "container_upload"})),
    ("system", asked(system=7)),
    ("system.0.type", asked(system=[{"type": "image", "source": {"type": "url", "url": "u"}}])),
    ("system.0.text", asked(system=[{"type": "text"}])),
    ("temperature", asked(temperature=1.5)),
    ("temperature", asked(temperature="warm")),
    ("temperature: Extra inputs are not permitted", asked(temperature=0.5)),
    ("top_p: Extra inputs are not permitted", asked(top_p=0.5)),
    ("top_k: Extra inputs are not permitted", asked(top_k=5)),
    ("stop_sequences", asked(stop_sequences="END")),
    ("stop_sequences.1", asked(stop_sequences=["END", 7])),
    ("stop_sequences", asked(stop_sequences=[" "])),
    ("stream", asked(stream="yes")),
    ("metadata", asked(metadata=[])),
    ("metadata.user_id", asked(metadata={"user_id": 7})),
    ("service_tier", asked(service_tier="fast")),
    ("tools", asked(tools={"f": 1})),
    ("tools.1", tools("f")),
    ("tools: Tool names must be unique", tools(TOOLS[0])),
    ("tools.1.type", tools({"type": "function", "function": {"name": "g"}})),
    ("tools.1.name", tools({"input_schema": SCHEMA})),
    ("tools.1.name", tools({"name": "not a name", "input_schema": SCHEMA})),
    ("tools.1.description", tools({"name": "g", "description": 7, "input_schema": SCHEMA})),
    ("tools.1.input_schema: Field required", tools({"name": "g"})),
    ("tools.1.input_schema.type: Field required", tools({"name": "g", "input_schema": {}})),
    ("tools.1.input_schema.type", tools({"name": "g", "input_schema": {"type": "array"}})),
    ("tool_choice", tools(tool_choice="auto")),
    ("tool_choice.type: Field required", tools(tool_choice={})),
    ("tool_choice.type", tools(tool_choice={"type": "required"})),
    ("tool_choice.name: Field required", tools(tool_choice={"type": "tool"})),
    ("tool_choice.name", tools(tool_choice={"type": "tool", "name": "g"})),
    ("tool_choice", asked(tool_choice={"type": "any"})),
    (
        "tool_choice.disable_parallel_tool_use",
        tools(tool_choice={"type": "auto", "disable_parallel_tool_use": 1}),
    ),
    ("thinking", asked(thinking="on")),
    ("thinking.type: Field required", thinking()),
    ("thinking.type", thinking(type="sometimes")),
    ("thinking.budget_tokens: Field required", thinking(type="enabled")),
    ("thinking.budget_tokens", thinking(type="enabled", budget_tokens=1023)),
    ("thinking.budget_tokens", thinking(type="enabled", budget_tokens=2000)),
    ("thinking.display", thinking(type="adaptive", display="loud")),
    ("tool_choice", tools(thinking={"type": "adaptive"}, tool_choice={"type": "any"})),
    ("output_config", asked(output_config=[])),
    ("output_config.effort", asked(output_config={"effort": "none"})),
    ("effort", asked(model="claude-opus-4-6", output_config={"effort": "xhigh"})),
    ("output_config.format.type", asked(output_config={"format": {"schema": {}}})),
    ("output_config.format.type", asked(output_config={"format": {"type": "text"}})),
    ("output_config.format.schema", asked(output_config={"format": {"type": "json_schema"}})),
    ("output_format.schema", asked(output_format={"type": "json_schema", "schema": "x"})),
)

REFUSED = (
    *(RefusedRequest("/v1/messages", body, field, headers=VERSION) for field, body in BODIES),
    RefusedRequest("/v1/messages/count_tokens", without("model"), "model"),
    RefusedRequest("/v1/messages/count_tokens", without("messages"), "messages"),
    RefusedRequest("/v1/messages", None, "/v1/messages", 405, "GET"),
    RefusedRequest("/v1/models", {}, "/v1/models", 405, "POST", VERSION),
    RefusedRequest("/v1/models?limit=0", None, "limit", method="GET", headers=VERSION),
    RefusedRequest("/v1/models?limit=ten", None, "limit", method="GET", headers=VERSION),
    RefusedRequest("/v1/models?after_id=gone", None, "after_id", method="GET", headers=VERSION),
    RefusedRequest("/v1/models?before_id=gone", None, "before_id", method="GET", headers=VERSION),
    RefusedRequest("/v1/models/gone", None, "model: gone", 404, "GET", VERSION),
)
