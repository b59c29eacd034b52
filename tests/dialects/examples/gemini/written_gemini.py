"""Gemini's text operations for the contract test, read as google-genai reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from google.genai import types

from dialects.written import RefusedRequest, Seen, SeenCall, SeenChoice, Written

MODEL = "/v1beta/models/gemini-3-flash"
HELLO = [{"role": "user", "parts": [{"text": "hi"}]}]
SHOWN = {"thinkingConfig": {"includeThoughts": True}}
TOOLS = {
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "Does it.",
                    "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
                }
            ]
        }
    ]
}


def read(body: bytes) -> Seen:
    return seen([json.loads(body)])


def read_events(body: bytes) -> Seen:
    """Events as the SDK takes them: ``data:`` and a space, an empty line after each."""
    blocks = body.split(b"\r\n\r\n")
    assert blocks.pop() == b""
    assert all(block.startswith(b"data: ") and b"\n" not in block for block in blocks)
    return seen(json.loads(block.removeprefix(b"data: ")) for block in blocks)


def read_array(body: bytes) -> Seen:
    chunks = json.loads(body)
    assert isinstance(chunks, list)
    return seen(chunks)


def seen(chunks: Iterable[Any]) -> Seen:
    """The chunks put together; the SDK's type forbids members that it does not know."""
    choices: dict[int, SeenChoice] = {}
    usage = None
    ids = set()
    for chunk in chunks:
        response = types.GenerateContentResponse.model_validate(chunk)
        for candidate in response.candidates or []:
            assert candidate.index is not None
            choice = choices.get(candidate.index, SeenChoice())
            choices[candidate.index] = with_candidate(choice, candidate)
        usage = response.usage_metadata
        ids.add((response.response_id, response.model_version))
    assert len(ids) == 1
    assert usage is not None
    output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    assert usage.total_token_count == (usage.prompt_token_count or 0) + output
    ordered = tuple(choices[index] for index in sorted(choices))
    return Seen(ordered, usage.prompt_token_count, output)


def with_candidate(choice: SeenChoice, candidate: types.Candidate) -> SeenChoice:
    assert not choice.finish, "a candidate went on after its finish reason"
    text, reasoning, calls = choice.text, choice.reasoning, list(choice.calls)
    content = candidate.content or types.Content()
    for part in content.parts or []:
        if part.function_call:
            calls.append(SeenCall(part.function_call.name or "", part.function_call.args))
        elif part.thought:
            reasoning += part.text or ""
        else:
            text += part.text or ""
    finish = candidate.finish_reason.value if candidate.finish_reason else ""
    return SeenChoice(text, reasoning, None, tuple(calls), finish)


FINISHES: Any = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "refusal": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}

WRITTEN = (
    Written(
        operation="gemini_generate",
        target=f"{MODEL}:generateContent",
        stream_target=f"{MODEL}:streamGenerateContent?alt=sse",
        body={"contents": HELLO},
        read=read,
        read_stream=read_events,
        finishes=FINISHES,
        shows_reasoning=False,
        tools=TOOLS,
        several={"generationConfig": {"candidateCount": 2}},
        refusal_is_text=True,
    ),
    Written(
        operation="gemini_stream",
        target=f"{MODEL}:generateContent",
        stream_target=f"{MODEL}:streamGenerateContent",
        body={"contents": HELLO, "generationConfig": SHOWN},
        read=read,
        read_stream=read_array,
        finishes=FINISHES,
        tools=TOOLS,
        several={"generationConfig": {"candidateCount": 2, **SHOWN}},
        refusal_is_text=True,
    ),
)


def _config(**members: object) -> dict[str, object]:
    return {"contents": HELLO, "generationConfig": members}


def _parts(*parts: object, role: str = "user") -> dict[str, object]:
    return {"contents": [{"role": role, "parts": list(parts)}]}


def _declared(*functions: object, **more: object) -> dict[str, object]:
    return {"contents": HELLO, "tools": [{"functionDeclarations": list(functions)}], **more}


def _choosing(**config: object) -> dict[str, object]:
    return {"contents": HELLO, **TOOLS, "toolConfig": {"functionCallingConfig": config}}


_CALL = {"functionCall": {"name": "f", "args": {}}}
_RESULT = {"functionResponse": {"name": "f", "response": {"result": 1}}}

_REFUSED_CONTENTS: list[tuple[object, str]] = [
    (None, "contents is not specified"),
    ({}, "contents is not specified"),
    ({"contents": []}, "contents is not specified"),
    ([], "JSON object"),
    ({"contents": 5}, "'contents' (repeated field)"),
    ({"contents": "hi"}, "'contents' (repeated field)"),
    ({"contents": ["hi"]}, "'contents[0]' (TYPE_MESSAGE)"),
    ({"contents": [{"role": "bot", "parts": [{"text": "x"}]}]}, "contents[0].role"),
    ({"contents": [{"role": 5, "parts": [{"text": "x"}]}]}, "'contents[0].role' (TYPE_STRING)"),
    ({"contents": [{"role": "user"}]}, "contents[0].parts: parts must not be empty"),
    ({"contents": [{"role": "user", "parts": []}]}, "contents[0].parts"),
    (_parts({}), "contents[0].parts[0].data"),
    (_parts({"text": 5}), "'contents[0].parts[0].text' (TYPE_STRING)"),
    (_parts({"text": "x", "thought": 1}), "parts[0].thought"),
    (_parts({"inlineData": {"data": "AA=="}}), "inline_data.mime_type"),
    (_parts({"inlineData": {"mimeType": "image/png"}}), "inline_data.data"),
    (_parts({"fileData": {"mimeType": "image/png"}}), "file_data.file_uri"),
    (_parts({"functionCall": {}}, role="model"), "function_call.name"),
    (_parts({"functionCall": {"name": "f", "args": []}}, role="model"), "function_call.args"),
    (_parts({"functionResponse": {"response": {}}}), "function_response.name"),
    (_parts(_RESULT), "contents[0].parts"),
    (
        {"contents": [*HELLO, {"role": "model", "parts": [_CALL, _CALL]}, {"parts": [_RESULT]}]},
        "contents[2].parts",
    ),
    (
        {"contents": [*HELLO, {"role": "model", "parts": [_CALL]}, *HELLO]},
        "contents[2].parts",
    ),
    (
        {"contents": [*HELLO, {"role": "model", "parts": [_CALL]}, {"parts": [_RESULT, _RESULT]}]},
        "contents[2].parts",
    ),
    ({"contents": HELLO, "systemInstruction": 5}, "system_instruction"),
    ({"contents": HELLO, "safetySettings": {}}, "safety_settings"),
    ({"contents": HELLO, "cachedContent": 1}, "cached_content"),
]

_REFUSED_TOOLS: list[tuple[object, str]] = [
    ({"contents": HELLO, "tools": 5}, "tools"),
    ({"contents": HELLO, "tools": [5]}, "tools[0]"),
    (_declared({}), "tools[0].function_declarations[0].name"),
    (_declared({"name": "1f"}), "tools[0].function_declarations[0].name"),
    (_declared({"name": "f"}, {"name": "f"}), "function_declarations[1].name"),
    (_declared({"name": "f", "description": 1}), "description"),
    (_declared({"name": "f", "parameters": []}), "parameters"),
    (
        _declared({"name": "f", "parameters": {}, "parametersJsonSchema": {}}),
        "parameters_json_schema",
    ),
    (_choosing(mode="SOMETIMES"), "tool_config.function_calling_config.mode"),
    (_choosing(mode="AUTO", allowedFunctionNames=["f"]), "allowed_function_names"),
    (_choosing(allowedFunctionNames=["f"]), "allowed_function_names"),
    (_choosing(mode="ANY", allowedFunctionNames=["g"]), "'g'"),
    (_choosing(mode="ANY", allowedFunctionNames="f"), "allowed_function_names"),
    (
        {"contents": HELLO, "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        "function_declarations",
    ),
]

_REFUSED_CONFIG: list[tuple[object, str]] = [
    ({"contents": HELLO, "generationConfig": []}, "'generation_config' (TYPE_MESSAGE)"),
    (_config(temperature="hot"), "Invalid value at 'generation_config.temperature' (TYPE_FLOAT)"),
    (_config(temperature=2.1), "generation_config.temperature"),
    (_config(temperature=-1), "generation_config.temperature"),
    (_config(topP=1.5), "generation_config.top_p"),
    (_config(topK=0), "generation_config.top_k"),
    (_config(topK=1.5), "'generation_config.top_k' (TYPE_INT32)"),
    (_config(seed="x"), "generation_config.seed"),
    (_config(presencePenalty=3), "generation_config.presence_penalty"),
    (_config(frequencyPenalty=-3), "generation_config.frequency_penalty"),
    (_config(candidateCount=0), "generation_config.candidate_count"),
    (_config(candidateCount=9), "generation_config.candidate_count"),
    (_config(maxOutputTokens=0), "generation_config.max_output_tokens"),
    (_config(max_output_tokens=True), "generation_config.max_output_tokens"),
    (_config(stopSequences=["a", "b", "c", "d", "e", "f"]), "generation_config.stop_sequences"),
    (_config(stopSequences="a"), "generation_config.stop_sequences"),
    (_config(stopSequences=[1]), "generation_config.stop_sequences[0]"),
    (_config(responseMimeType="text/html"), "generation_config.response_mime_type"),
    (_config(responseSchema={"type": "OBJECT"}), "generation_config.response_schema"),
    (_config(responseJsonSchema=True), "generation_config.response_json_schema"),
    (
        _config(responseMimeType="application/json", responseJsonSchema=[]),
        "generation_config.response_json_schema",
    ),
    (
        _config(responseMimeType="application/json", responseSchema={}, responseJsonSchema={}),
        "generation_config.response_json_schema",
    ),
    (_config(responseLogprobs=1), "generation_config.response_logprobs"),
    (_config(logprobs=21), "generation_config.logprobs"),
    (_config(thinkingConfig=5), "generation_config.thinking_config"),
    (_config(thinkingConfig={"thinkingBudget": -2}), "thinking_config.thinking_budget"),
    (_config(thinkingConfig={"thinkingLevel": "DEEP"}), "thinking_config.thinking_level"),
    (_config(thinkingConfig={"includeThoughts": "yes"}), "thinking_config.include_thoughts"),
    (
        _config(thinkingConfig={"thinkingBudget": 5, "thinkingLevel": "LOW"}),
        "thinking_config.thinking_level",
    ),
]

REFUSED = tuple(
    RefusedRequest(target=f"{MODEL}:{verb}", body=body, field=field)
    for body, field in (*_REFUSED_CONTENTS, *_REFUSED_TOOLS, *_REFUSED_CONFIG)
    for verb in ("generateContent", "streamGenerateContent?alt=sse")
)
