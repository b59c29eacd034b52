"""Examples of OpenAI's Responses for the contract test, read as the official SDK reads them."""

from __future__ import annotations

import json
from typing import Any

from openai import omit
from openai._models import construct_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent

from dialects.written import RefusedRequest, Seen, SeenCall, SeenChoice, Written

STARTED, STOPPED, SAID, ANSWERED = (
    "response.output_item.added",
    ("response.completed", "response.incomplete"),
    {
        "response.output_text.delta": "text",
        "response.refusal.delta": "refusal",
        "response.reasoning_summary_text.delta": "reasoning",
    },
    ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"),
)


def events(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each is named after its type and has the next number."""
    found = []
    for number, block in enumerate(data.decode().removesuffix("\n\n").split("\n\n")):
        name, _, text = block.partition("\n")
        event = json.loads(text.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        found.append(event)
    return found


def sdk_event(value: dict[str, Any]) -> Any:
    """An event as the SDK makes it of the JSON that it received."""
    return construct_type(type_=ResponseStreamEvent, value=value)


def read(data: bytes) -> Seen:
    """A whole reply."""
    return _seen(json.loads(data))


def read_stream(data: bytes) -> Seen:
    """A stream's pieces, joined; the SDK's helper and the last event must agree with them."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    said = {"text": "", "refusal": "", "reasoning": ""}
    calls: dict[int, list[str]] = {}
    told = events(data)
    for event in told:
        state.handle_event(sdk_event(event))
        kind = event["type"]
        if kind == STARTED and "call_id" in event["item"]:
            calls[event["output_index"]] = [event["item"]["name"]]
        elif kind in SAID:
            said[SAID[kind]] += event["delta"]
        elif kind in ANSWERED:
            calls[event["output_index"]].append(event["delta"])
    assert told[-1]["type"] in STOPPED
    seen = _seen(told[-1]["response"])
    choice = seen.choices[0]
    assert (said["text"], said["refusal"], said["reasoning"]) == (
        choice.text,
        choice.refusal or "",
        choice.reasoning,
    )
    joined = tuple(SeenCall(name, _parsed("".join(rest))) for name, *rest in calls.values())
    assert joined == choice.calls
    return seen


def _seen(value: dict[str, Any]) -> Seen:
    response = construct_type(type_=Response, value=value)
    assert isinstance(response, Response)
    reasoning, refusals, calls = "", [], []
    for item in response.output:
        if item.type == "message":
            refusals += [part.refusal for part in item.content if part.type == "refusal"]
        elif item.type == "reasoning":
            reasoning += "".join(part.text for part in item.summary)
        elif item.type == "function_call":
            calls.append(SeenCall(item.name, _parsed(item.arguments)))
        elif item.type == "custom_tool_call":
            calls.append(SeenCall(item.name, _parsed(item.input)))
    details, usage = response.incomplete_details, response.usage
    assert usage is not None
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    choice = SeenChoice(
        text=response.output_text,
        reasoning=reasoning,
        refusal="".join(refusals) if refusals else None,
        calls=tuple(calls),
        finish=(details and details.reason) or response.status or "",
    )
    return Seen((choice,), usage.input_tokens, usage.output_tokens)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


PARAMETERS = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TARGET = "/v1/responses"

WRITTEN: tuple[Written, ...] = (
    Written(
        operation="openai_responses",
        target=TARGET,
        body={"model": "gpt-4o-mini", "input": "Say hi", "reasoning": {"summary": "auto"}},
        stream_body={"stream": True},
        read=read,
        read_stream=read_stream,
        finishes={
            "stop": "completed",
            "stop_sequence": "completed",
            "tool_calls": "completed",
            "refusal": "completed",
            "length": "max_output_tokens",
            "content_filter": "content_filter",
        },
        tools={"tools": [{"type": "function", "name": "f", "parameters": PARAMETERS}]},
    ),
)


def _asked(**members: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "input": "Say hi", **members}


def _items(*items: Any) -> dict[str, Any]:
    return _asked(input=list(items))


CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "4"}
_THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}

_WRONG_BODIES: tuple[tuple[Any, str], ...] = (
    ([], "JSON object"),
    (_asked(model=5), "model"),
    (_asked(input=5), "input"),
    (_asked(input=[]), "input"),
    (_items("hi"), "input[0]"),
    (_items({"role": "robot", "content": "x"}), "input[0].role"),
    (_items({"content": "x"}), "input[0].role"),
    (_items({"role": "user"}), "input[0].content"),
    (_items({"role": "user", "content": 5}), "input[0].content"),
    (_items({"role": "user", "content": [{"text": "x"}]}), "input[0].content[0].type"),
    (_items({"role": "user", "content": [{"type": "text"}]}), "input[0].content[0].type"),
    (_items({"role": "user", "content": [{"type": "input_text"}]}), "input[0].content[0].text"),
    (
        _items({"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}),
        "input[0].content[0].type",
    ),
    (
        _items({"role": "user", "content": [{"type": "input_image"}]}),
        "input[0].content[0].image_url",
    ),
    (
        _items({"role": "user", "content": [{"type": "input_image", "image_url": {"url": "x"}}]}),
        "input[0].content[0].image_url",
    ),
    (_items({"type": 5}), "input[0].type"),
    (_items({**CALL, "name": ""}), "input[0].name"),
    (_items({**CALL, "call_id": None}), "input[0].call_id"),
    (_items({**CALL, "arguments": {}}), "input[0].arguments"),
    (_items(CALL, {**RESULT, "output": None}), "input[1].output"),
    (_items(CALL), "call_1"),
    (_items(RESULT), "call_1"),
    (_items(RESULT, CALL), "call_1"),
    (_items({"type": "custom_tool_call", "call_id": "c", "name": "f"}), "input[0].input"),
    (_items({"type": "reasoning", "summary": "x"}), "input[0].summary"),
    (_items(_THOUGHT), "rs_1"),
    (_items(_THOUGHT, {"role": "user", "content": "x"}), "rs_1"),
    (_items(_THOUGHT, {"role": "assistant", "content": "x"}), "rs_1"),
    (_items(CALL, _THOUGHT, RESULT), "rs_1"),
    (_asked(prompt_cache_retention=24), "prompt_cache_retention"),
    (_asked(instructions=5), "instructions"),
    (_asked(previous_response_id="resp_unknown"), "resp_unknown"),
    (_asked(previous_response_id="resp_1", conversation="conv_1"), "previous_response_id"),
    (_asked(conversation=5), "conversation"),
    (_asked(conversation={}), "conversation.id"),
    (_asked(tools={}), "tools"),
    (_asked(tools=[{"name": "f"}]), "tools[0].type"),
    (_asked(tools=[{"type": "function"}]), "tools[0].name"),
    (_asked(tools=[{"type": "function", "function": {"name": "f"}}]), "tools[0].name"),
    (_asked(tools=[{"type": "function", "name": "f g"}]), "tools[0].name"),
    (_asked(tools=[{"type": "function", "name": "f", "parameters": 5}]), "tools[0].parameters"),
    (_asked(tools=[{"type": "function", "name": "f", "strict": 5}]), "tools[0].strict"),
    (_asked(tools=[{"type": "custom", "name": "f"}] * 129), "tools"),
    (_asked(tool_choice="required"), "tool_choice"),
    (_asked(tool_choice="any", tools=[{"type": "custom", "name": "f"}]), "tool_choice"),
    (
        _asked(
            tool_choice={"type": "function", "name": "g"}, tools=[{"type": "custom", "name": "f"}]
        ),
        "tool_choice.name",
    ),
    (_asked(parallel_tool_calls=1), "parallel_tool_calls"),
    (_asked(text="x"), "text"),
    (_asked(text={"verbosity": "loud"}), "text.verbosity"),
    (_asked(text={"format": {}}), "text.format.type"),
    (_asked(text={"format": {"type": "yaml"}}), "text.format.type"),
    (_asked(text={"format": {"type": "json_schema", "schema": {}}}), "text.format.name"),
    (_asked(text={"format": {"type": "json_schema", "name": "x"}}), "text.format.schema"),
    (_asked(reasoning="high"), "reasoning"),
    (_asked(reasoning={"effort": 5}), "reasoning.effort"),
    (_asked(reasoning={"summary": "long"}), "reasoning.summary"),
    (_asked(max_output_tokens=15), "max_output_tokens"),
    (_asked(max_output_tokens="many"), "max_output_tokens"),
    (_asked(max_tool_calls=0), "max_tool_calls"),
    (_asked(temperature=2.5), "temperature"),
    (_asked(top_p="x"), "top_p"),
    (_asked(stream="yes"), "stream"),
    (_asked(stream_options=5), "stream_options"),
    (_asked(stream_options={"include_obfuscation": True}), "stream_options"),
    (_asked(store="yes"), "store"),
    (_asked(store=False, background=True), "background"),
    (_asked(truncation="always"), "truncation"),
    (_asked(metadata={"a": 1}), "metadata.a"),
    (_asked(metadata={str(n): "x" for n in range(17)}), "metadata"),
    (_asked(include="usage"), "include"),
    (_asked(include=[5]), "include[0]"),
    (_asked(user=5), "user"),
)

REFUSED: tuple[RefusedRequest, ...] = (
    *(RefusedRequest(TARGET, body, field) for body, field in _WRONG_BODIES),
    RefusedRequest(TARGET, _items({"type": "item_reference", "id": "msg_x"}), "msg_x", 404),
    RefusedRequest(TARGET, None, "GET", 405, "GET"),
    RefusedRequest("/v1/responses/resp_x", None, "resp_x", 404, "GET"),
    RefusedRequest("/v1/responses/resp_x", None, "resp_x", 404, "DELETE"),
    RefusedRequest("/v1/responses/resp_x/cancel", None, "resp_x", 404),
    RefusedRequest("/v1/responses/resp_x/input_items", None, "resp_x", 404, "GET"),
    RefusedRequest("/v1/responses/input_tokens", {"input": 5}, "input"),
    RefusedRequest("/v1/responses/compact", {"input": "x"}, "model"),
)
