"""What Gemini's operations read, refuse and write."""

from __future__ import annotations

import contextlib
import json
import math
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.examples.gemini.written_gemini import (
    HELLO,
    MODEL,
    REFUSED,
    SHOWN,
    TOOLS,
    WRITTEN,
    read,
    read_array,
    read_events,
    seen,
)
from dialects.written import Written
from llmproxy.answer import Answer, Choice, Finish, Part, Reasoning, Refusal, Text, ToolCall, Usage
from llmproxy.dialects.gemini import GEMINI
from llmproxy.dialects.operation import (
    Call,
    Frame,
    Operation,
    Plain,
    Refused,
    encode,
    find,
)
from llmproxy.dialects.operation import Text as TextOperation
from llmproxy.interaction import Problem
from llmproxy.models import Catalogue, Model
from llmproxy.prompt import Format, Message, Prompt, Tool, ToolChoice
from means import call_of, make_means, tokenizer

STREAM = f"{MODEL}:streamGenerateContent?alt=sse"
ARRAY = f"{MODEL}:streamGenerateContent"
GENERATE = f"{MODEL}:generateContent"
BEFORE_3 = "/v1beta/models/gemini-2.5-flash:generateContent"
SSE = "streamGenerateContent?alt=sse"
CALL = ToolCall("f", '{"a":"x"}')


def text_call(target: str, body: Any, **more: Any) -> tuple[TextOperation, Call]:
    operation, call = call_of(GEMINI.operations, target, body, **more)
    assert isinstance(operation, TextOperation)
    return operation, call


def prompt_of(body: Any, target: str = GENERATE, **more: Any) -> Prompt:
    operation, call = text_call(target, body, **more)
    return operation.read_prompt(call)


def refusal_of(target: str, body: Any, **more: Any) -> Problem:
    operation, call = call_of(GEMINI.operations, target, body, **more)
    with pytest.raises(Refused) as caught:
        ask(operation, call)
    return caught.value.problem


def ask(operation: Operation, call: Call, **more: Any) -> Any:
    if isinstance(operation, Plain):
        body = operation.answer(call, make_means(call, **more)).body
        return json.loads(body) if isinstance(body, bytes) else body
    return operation.read_prompt(call)


def plain(target: str, body: Any = None, models: Catalogue | None = None, **more: Any) -> Any:
    operation, call = call_of(GEMINI.operations, target, body, **more)
    return ask(operation, call, models=models)


def answer_of(*parts: Part, finish: Finish = "stop", count: int = 1) -> Answer:
    """An answer whose usage is what its parts count."""
    counted = tokenizer().count
    reasoning = sum(counted(part.text) for part in parts if isinstance(part, Reasoning))
    said = sum(
        counted(part.name) + counted(part.arguments)
        if isinstance(part, ToolCall)
        else counted(part.text)
        for part in parts
    )
    usage = Usage(9, count * said, count * reasoning)
    return Answer((Choice(parts, finish),) * count, usage)


def written_body(answer: Answer, body: Any = None, target: str = GENERATE) -> Any:
    operation, call = text_call(target, body or {"contents": HELLO})
    return operation.write_body(operation.read_prompt(call), answer, make_means(call))


def frames_of(answer: Answer, body: Any = None, target: str = STREAM) -> list[Frame]:
    operation, call = text_call(target, body or {"contents": HELLO})
    frames = operation.write_stream(operation.read_prompt(call), answer, make_means(call))
    return list(frames)


def chunks_of(answer: Answer, body: Any = None, target: str = STREAM) -> list[Any]:
    shown = [frame.data for frame in frames_of(answer, body, target) if frame.data]
    return [json.loads(data.removeprefix(b"data: ").removesuffix(b"\r\n\r\n")) for data in shown]


# Where


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/v1/models/m:generateContent", "gemini_generate"),
        ("POST", "/v1beta/models/m:generateContent", "gemini_generate"),
        ("POST", "/models/m:generateContent", "gemini_generate"),
        ("POST", "models/m:generateContent/", "gemini_generate"),
        ("POST", "/s/team/v1beta/models/m%3AgenerateContent", "gemini_generate"),
        ("POST", "/v1beta/tunedModels/m:generateContent", "gemini_generate"),
        (
            "POST",
            "/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
            "gemini_generate",
        ),
        ("POST", "/v1/projects/p/locations/l/endpoints/7:streamGenerateContent", "gemini_stream"),
        ("POST", "/v1beta/models/m:streamGenerateContent", "gemini_stream"),
        ("POST", "/v1beta/models/m:countTokens", "gemini_count_tokens"),
        ("POST", "/v1/models/m:embedContent", "gemini_embed"),
        ("POST", "/v1/models/m:batchEmbedContents", "gemini_batch_embed"),
        ("GET", "/v1beta/models", "gemini_models"),
        ("HEAD", "/models/", "gemini_models"),
        ("GET", "/v1beta/tunedModels", "gemini_models"),
        ("GET", "/v1/models/m", "gemini_model"),
    ],
)
def test_every_path_finds_its_operation(method: str, path: str, name: str) -> None:
    found = find(GEMINI.operations, method, path)
    assert found is not None
    assert found[0].name == name
    if "{" not in path and "models" not in name:
        assert found[1]["model"] in ("m", "7")


def test_an_unknown_verb_is_no_path_of_ours() -> None:
    assert find(GEMINI.operations, "POST", "/v1/models/m:predictLongRunning") is None
    assert find(GEMINI.operations, "POST", "/v1/models/m%3Apredict") is None


def test_a_verb_asked_with_get_is_another_method() -> None:
    with pytest.raises(Refused) as caught:
        find(GEMINI.operations, "GET", "/v1/models/m:generateContent")
    assert caught.value.problem.status == 405


@pytest.mark.parametrize(
    ("target", "model"),
    [
        (GENERATE, "gemini-3-flash"),
        ("/v1/tunedModels/mine:generateContent", "tunedModels/mine"),
        ("/v1/models/llama3:8b:generateContent", "llama3:8b"),
    ],
)
def test_the_model_is_the_paths(target: str, model: str) -> None:
    assert prompt_of({"contents": HELLO}, target).model == model


# Reading


def test_the_verb_says_whether_to_stream() -> None:
    assert prompt_of({"contents": HELLO}, STREAM).stream
    assert not prompt_of({"contents": HELLO}, GENERATE).stream


def test_a_conversation_becomes_messages_and_each_response_one_of_its_own() -> None:
    called = {"functionCall": {"id": "7", "name": "f", "args": {"a": 1}}}
    other = {"functionCall": {"name": "g"}, "thoughtSignature": "AA=="}
    results = [
        {"functionResponse": {"id": "7", "name": "f", "response": {"result": "yes"}}},
        {"text": "and"},
        {"functionResponse": {"name": "g", "response": {}}},
    ]
    prompt = prompt_of(
        {
            "systemInstruction": {"parts": [{"text": "Be"}, {"text": "brief."}]},
            "contents": [
                {"parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": ""}}]},
                {"role": "model", "parts": [{"text": "hm", "thought": True}, called, other]},
                {"role": "user", "parts": results},
            ],
        }
    )
    assert prompt.messages == (
        Message("system", "Be\nbrief."),
        Message("user", "a", media=1),
        Message("assistant", calls=(ToolCall("f", '{"a": 1}', "7"), ToolCall("g", "{}"))),
        Message("user", "and"),
        Message("tool", '{"result": "yes"}', "f", answers="7"),
        Message("tool", "{}", "g", answers="g"),
    )
    assert prompt.last_user_text == "and"
    assert prompt.has_tool_result


def test_a_turn_of_results_alone_is_no_users_message() -> None:
    contents = [
        *HELLO,
        {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
        {"role": "function", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
    ]
    prompt = prompt_of({"contents": contents})
    assert [message.role for message in prompt.messages] == ["user", "assistant", "tool"]
    assert prompt.last_user_text == "hi"


def test_calls_and_responses_may_be_spread_over_contents() -> None:
    call = {"functionCall": {"name": "f"}}
    result = {"functionResponse": {"name": "f", "response": {}}}
    contents = [
        *HELLO,
        {"role": "model", "parts": [call]},
        {"role": "model", "parts": [call]},
        {"role": "user", "parts": [result]},
        {"role": "user", "parts": [result]},
        {"role": "model", "parts": [{"text": "So."}]},
        *HELLO,
        {"role": "model", "parts": [call]},
    ]
    assert len(prompt_of({"contents": contents}).messages) == 8


def test_lenient_takes_an_unanswered_call_and_a_content_without_parts() -> None:
    body = {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f"}}]}, *HELLO, {}]}
    assert len(prompt_of(body, lenient=True).messages) == 3
    assert refusal_of(GENERATE, {"contents": []}, lenient=True).status == 400


def test_snake_case_says_the_same_as_camel_case() -> None:
    camel = {
        "contents": HELLO,
        "systemInstruction": "Be brief.",
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"x": 1}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "maxOutputTokens": 5,
            "stopSequences": ["END", ""],
            "candidateCount": 2,
            "topK": 40.0,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT"},
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": -1},
        },
    }
    snake = {
        "contents": HELLO,
        "system_instruction": {"parts": {"text": "Be brief."}},
        "tools": {"function_declarations": {"name": "f", "parameters_json_schema": {"x": 1}}},
        "tool_config": {
            "function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}
        },
        "generation_config": {
            "max_output_tokens": 5,
            "stop_sequences": ["END"],
            "candidate_count": 2,
            "response_mime_type": "application/json",
            "response_schema": {"type": "OBJECT"},
            "thinking_config": {"include_thoughts": True, "thinking_budget": -1},
        },
    }
    for body in (camel, snake):
        prompt = prompt_of(body)
        assert prompt.system == "Be brief."
        assert prompt.tools == (Tool("f", schema={"x": 1}),)
        assert prompt.choice == ToolChoice("required", ("f",))
        assert (prompt.max_tokens, prompt.stop, prompt.count) == (5, ("END",), 2)
        assert prompt.format == Format({"type": "OBJECT"})
        assert prompt.reasoning
        assert prompt.body is body


def test_one_object_may_stand_for_a_list_of_one() -> None:
    body = {"contents": {"parts": {"text": "hi"}}}
    assert prompt_of(body).messages == (Message("user", "hi"),)


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({}, ToolChoice()),
        ({"mode": "AUTO"}, ToolChoice()),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("required", ("f",))),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ToolChoice("auto", ("f",))),
    ],
)
def test_the_mode_and_the_allowed_names_bind_the_choice(config: Any, choice: ToolChoice) -> None:
    body = {"contents": HELLO, **TOOLS, "toolConfig": {"functionCallingConfig": config}}
    assert prompt_of(body).choice == choice


@pytest.mark.parametrize(
    ("thinking", "thinks"),
    [
        (None, False),
        ({}, False),
        ({"includeThoughts": True}, True),
        ({"includeThoughts": True, "thinkingBudget": 0}, False),
        ({"thinkingBudget": 512}, True),
        ({"thinkingBudget": -1}, True),
        ({"thinkingLevel": "HIGH"}, True),
        ({"thinkingLevel": "MINIMAL"}, False),
    ],
)
def test_a_model_thinks_where_the_request_asks_for_it(thinking: Any, thinks: bool) -> None:
    body = {"contents": HELLO, "generationConfig": {"thinkingConfig": thinking}}
    assert prompt_of(body).reasoning is thinks


def test_tools_that_google_runs_and_new_members_are_let_pass() -> None:
    tools = [{"googleSearch": {}}, {"codeExecution": {}}, {"urlContext": {}}, {"somethingNew": []}]
    body = {
        "contents": HELLO,
        "tools": tools,
        "cachedContent": "cachedContents/1",
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "labels": {},
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
    }
    prompt = prompt_of(body)
    assert prompt.tools == ()
    assert prompt.choice.mode == "auto"


@pytest.mark.parametrize(
    "part",
    [
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
        {"thought": True, "thoughtSignature": "AA=="},
        {"thoughtSignature": "AA=="},
        {"text": ""},
    ],
)
def test_a_models_part_without_text_comes_back_as_an_empty_message(part: Any) -> None:
    prompt = prompt_of({"contents": [*HELLO, {"role": "model", "parts": [part]}, *HELLO]})
    assert prompt.messages[1] == Message("assistant")


@pytest.mark.parametrize("request_", REFUSED, ids=lambda request: request.field)
def test_what_google_refuses_is_refused_by_the_fields_name(request_: Any) -> None:
    problem = refusal_of(request_.target, request_.body)
    assert problem.status == request_.status
    assert request_.field in problem.message


def test_refusals_are_worded_as_googles_are() -> None:
    missing = refusal_of(GENERATE, {})
    expected = "* GenerateContentRequest.contents: contents is not specified\n"
    assert (missing.message, missing.param) == (expected, None)
    wrong = refusal_of(GENERATE, {"contents": HELLO, "generation_config": {"temperature": "x"}})
    assert wrong.param == "generation_config.temperature"
    role = refusal_of(GENERATE, {"contents": [{"role": "bot", "parts": [{"text": "x"}]}]})
    assert "Please use a valid role: user, model." in role.message


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = (
    "contents parts role text systemInstruction tools functionDeclarations name toolConfig "
    "functionCallingConfig mode allowedFunctionNames generationConfig stopSequences content "
    "requests generateContentRequest outputDimensionality inlineData functionResponse"
)
LIKELY = st.recursive(
    JSONS,
    lambda inner: st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=4),
    max_leaves=8,
)
FULL: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"text": "x"}, {"fileData": {"fileUri": "gs://a"}}]},
        {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 1}}}]},
    ],
    "systemInstruction": {"parts": [{"text": "x"}]},
    **TOOLS,
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "safetySettings": [{"category": "a", "threshold": "b"}],
    "cachedContent": "c",
    "generationConfig": {
        "temperature": 1,
        "topP": 1,
        "topK": 1,
        "seed": 1,
        "candidateCount": 1,
        "maxOutputTokens": 1,
        "stopSequences": ["a"],
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT"},
        "responseLogprobs": True,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1},
    },
}
EMBED: dict[str, Any] = {
    "requests": [{"model": "m", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3}]
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


def reads_or_refuses(target: str, body: Any) -> None:
    operation, call = call_of(GEMINI.operations, target, body)
    with contextlib.suppress(Refused):
        assert isinstance(ask(operation, call), Prompt | dict)


@settings(deadline=None, max_examples=60)
@given(body=LIKELY)
def test_any_json_is_read_or_refused(body: Any) -> None:
    for verb in ("generateContent", "countTokens", "embedContent", "batchEmbedContents"):
        reads_or_refuses(f"{MODEL}:{verb}", body)


@settings(deadline=None, max_examples=150)
@given(
    path=st.sampled_from(list(places(FULL))),
    new=JSONS | LIKELY,
)
def test_a_valid_body_with_any_member_replaced_is_read_or_refused(path: Any, new: Any) -> None:
    body = changed(FULL, path, new)
    reads_or_refuses(GENERATE, body)
    reads_or_refuses(f"{MODEL}:countTokens", {"generateContentRequest": body})


@settings(deadline=None, max_examples=60)
@given(path=st.sampled_from(list(places(EMBED))), new=JSONS | LIKELY)
def test_a_valid_batch_with_any_member_replaced_is_read_or_refused(path: Any, new: Any) -> None:
    reads_or_refuses(f"{MODEL}:batchEmbedContents", changed(EMBED, path, new))


def test_a_result_nested_without_end_is_refused() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    part = {"functionResponse": {"name": "f", "response": deep}}
    assert "nested" in refusal_of(GENERATE, {"contents": [{"parts": [part]}]}).message


# Writing


def test_a_whole_reply_in_full() -> None:
    body = written_body(answer_of(Text("Hello there.")), target=BEFORE_3)
    assert body == {
        "candidates": [
            {
                "content": {"parts": [{"text": "Hello there."}], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 3,
            "totalTokenCount": 12,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": body["responseId"],
    }
    assert len(body["responseId"]) == 22
    assert set(body["responseId"]) <= set(string.ascii_letters + string.digits)


def test_a_streams_chunks_in_full() -> None:
    chunks = chunks_of(answer_of(Text("Hello there.")))
    texts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks]
    assert texts == ["Hello", " there", "."]
    used = [chunk["usageMetadata"]["candidatesTokenCount"] for chunk in chunks]
    assert used == [1, 2, 3]
    assert [chunk["usageMetadata"]["totalTokenCount"] for chunk in chunks] == [10, 11, 12]
    finishes = [chunk["candidates"][0].get("finishReason") for chunk in chunks]
    assert finishes == [None, None, "STOP"]
    assert len({chunk["responseId"] for chunk in chunks}) == 1
    assert (
        chunks[-1]["usageMetadata"]
        == written_body(answer_of(Text("Hello there.")))["usageMetadata"]
    )
    for chunk in chunks:
        types.GenerateContentResponse.model_validate(chunk)


def test_events_end_with_carriage_returns_and_have_no_name_comment_or_done() -> None:
    frames = frames_of(answer_of(Text("line\r\n\r\nline")))
    for frame in frames:
        assert frame.data.startswith(b"data: {")
        assert frame.data.endswith(b"}\r\n\r\n")
        assert frame.data.count(b"\n") == 2
    assert b"[DONE]" not in b"".join(frame.data for frame in frames)


def test_without_alt_sse_the_stream_is_one_json_array_an_element_a_frame() -> None:
    answer = answer_of(Text("Hello there."))
    frames = frames_of(answer, target=ARRAY)
    events = chunks_of(answer)
    assert json.loads(b"".join(frame.data for frame in frames)) == events
    assert [json.loads(frame.data.strip(b"[,\r\n]")) for frame in frames] == events
    assert [frame.data[:1] for frame in frames] == [b"[", b",", b","]
    single = frames_of(answer_of(Text("x")), target=ARRAY)
    assert len(json.loads(single[0].data)) == len(single) == 1


@pytest.mark.parametrize(
    ("target", "type_"),
    [
        (STREAM, "text/event-stream"),
        (f"{ARRAY}?%24alt=sse", "text/event-stream"),
        (ARRAY, "application/json; charset=UTF-8"),
        (f"{ARRAY}?alt=json", "application/json; charset=UTF-8"),
    ],
)
def test_the_query_decides_on_the_streams_type(target: str, type_: str) -> None:
    operation, call = text_call(target, {"contents": HELLO})
    assert operation.stream_type(call) == type_


def test_thoughts_come_first_and_only_where_they_are_asked_for() -> None:
    answer = answer_of(Reasoning("Let me see."), Text("Yes."))
    asked = {"contents": HELLO, "generationConfig": SHOWN}
    shown = written_body(answer, asked)
    thought, text = shown["candidates"][0]["content"]["parts"]
    assert thought == {"text": "Let me see.", "thought": True}
    assert (text["text"], "thought" in text) == ("Yes.", False)
    hidden = written_body(answer, {"contents": HELLO})
    assert hidden["candidates"][0]["content"]["parts"] == [text]
    for body in (shown, hidden):
        assert body["usageMetadata"]["thoughtsTokenCount"] == 4
        assert body["usageMetadata"]["candidatesTokenCount"] == 2
        assert body["usageMetadata"]["totalTokenCount"] == 15


def test_hidden_thoughts_take_their_time_in_a_stream_and_are_counted() -> None:
    answer = answer_of(Reasoning("Let me see."), Text("Yes."))
    frames = frames_of(answer)
    assert frames[0] == Frame(b"", 4, len("Let me see."))
    first = chunks_of(answer)[0]["usageMetadata"]
    assert (first["thoughtsTokenCount"], first["candidatesTokenCount"]) == (4, 1)
    shown = chunks_of(answer, {"contents": HELLO, "generationConfig": SHOWN})
    thoughts = [chunk["candidates"][0]["content"]["parts"][0].get("thought") for chunk in shown]
    assert thoughts == [True] * 4 + [None] * 2
    assert [chunk["usageMetadata"].get("thoughtsTokenCount") for chunk in shown] == [
        1,
        2,
        3,
        4,
        4,
        4,
    ]


def test_calls_are_whole_in_one_part_and_one_chunk_each() -> None:
    answer = answer_of(Text("Look:"), CALL, ToolCall("g", ""), finish="tool_calls")
    parts = written_body(answer)["candidates"][0]["content"]["parts"]
    assert [part.get("functionCall", {}).get("name") for part in parts] == [None, "f", "g"]
    assert [part["functionCall"]["args"] for part in parts[1:]] == [{"a": "x"}, {}]
    chunks = chunks_of(answer)
    assert all(len(chunk["candidates"][0]["content"]["parts"]) == 1 for chunk in chunks)
    assert chunks[-2]["candidates"][0]["content"]["parts"][0]["functionCall"]["name"] == "g"
    tokens = tokenizer().count
    assert frames_of(answer)[-3].tokens == tokens("f") + tokens('{"a":"x"}')


def test_since_gemini_3_a_streams_finish_reason_comes_alone_behind_a_call() -> None:
    before, last = (chunk["candidates"][0] for chunk in chunks_of(answer_of(CALL)))
    assert "finishReason" not in before
    assert last == {
        "content": {"parts": [{"text": ""}], "role": "model"},
        "finishReason": "STOP",
        "index": 0,
    }
    (only,) = chunks_of(answer_of(CALL), target=f"{BEFORE_3.partition(':')[0]}:{SSE}")
    assert "functionCall" in only["candidates"][0]["content"]["parts"][0]
    assert only["candidates"][0]["finishReason"] == "STOP"


def test_a_whole_reply_that_ends_with_a_call_says_so_in_words() -> None:
    (called,) = written_body(answer_of(Text("Look:"), CALL))["candidates"]
    assert called["finishMessage"]
    types.Candidate.model_validate(called)
    (spoken,) = written_body(answer_of(Text("Look:")))["candidates"]
    assert "finishMessage" not in spoken


SIGNED = [
    # model, parts that are signed where the reply calls twice, and where it only speaks
    ("gemini-3-flash", [False, True, False], [True]),
    ("gemini-2.5-pro", [False, True, False], [False]),
    ("gemini-2.0-flash", [False, False, False], [False]),
]


@pytest.mark.parametrize(("model", "called", "spoken"), SIGNED)
def test_the_first_call_is_signed_or_since_gemini_3_the_text(
    model: str, called: list[bool], spoken: list[bool]
) -> None:
    path = f"/v1/models/{model}"
    for parts, signed in (
        ((Text("Look"), CALL, ToolCall("g", "")), called),
        ((Text("Look"),), spoken),
    ):
        answer = answer_of(*parts)
        whole = written_body(answer, target=f"{path}:generateContent")
        shown = whole["candidates"][0]["content"]["parts"]
        assert ["thoughtSignature" in part for part in shown] == signed
        for part in shown:
            types.Part.model_validate(part)
        chunks = chunks_of(answer, target=f"{path}:{SSE}")
        told = [chunk["candidates"][0]["content"]["parts"][0] for chunk in chunks]
        marks = [part["thoughtSignature"] for part in told if "thoughtSignature" in part]
        assert marks == [part["thoughtSignature"] for part in shown if "thoughtSignature" in part]


@pytest.mark.parametrize(
    ("model", "has_id"),
    [("gemini-3-flash", True), ("gemini-2.5-pro", False), ("gemini-1.5-flash", False)],
)
def test_calls_have_ids_since_gemini_3(model: str, has_id: bool) -> None:
    body = written_body(answer_of(CALL), target=f"/v1/models/{model}:generateContent")
    (part,) = body["candidates"][0]["content"]["parts"]
    assert ("id" in part["functionCall"]) is has_id


@pytest.mark.parametrize(
    ("finish", "word"), [("length", "MAX_TOKENS"), ("tool_calls", "MALFORMED_FUNCTION_CALL")]
)
def test_a_call_whose_arguments_are_cut_is_left_out(finish: Finish, word: str) -> None:
    answer = answer_of(ToolCall("f", '{"a":'), finish=finish)
    expected = {"content": {"role": "model"}, "finishReason": word, "index": 0}
    assert written_body(answer)["candidates"] == [expected]
    assert [chunk["candidates"] for chunk in chunks_of(answer)] == [[expected]]


def test_a_filter_leaves_a_candidate_without_content() -> None:
    expected = [{"finishReason": "SAFETY", "index": 0}]
    for answer in (answer_of(finish="content_filter"), answer_of(Refusal(""), finish="refusal")):
        assert written_body(answer)["candidates"] == expected
        assert [chunk["candidates"] for chunk in chunks_of(answer)] == [expected]
    spoken = written_body(answer_of(Refusal("I will not."), finish="refusal"))["candidates"][0]
    assert [part["text"] for part in spoken["content"]["parts"]] == ["I will not."]
    assert spoken["finishReason"] == "STOP"


def test_an_empty_reply_still_has_a_part() -> None:
    expected = [
        {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0}
    ]
    assert written_body(answer_of(Text("")))["candidates"] == expected
    assert [chunk["candidates"] for chunk in chunks_of(answer_of(Text("")))] == [expected]


def test_thoughts_that_took_all_tokens_leave_a_finish_reason() -> None:
    answer = answer_of(Reasoning("Let me"), finish="length")
    assert frames_of(answer)[0].data == b""
    (chunk,) = chunks_of(answer)
    assert chunk["candidates"] == written_body(answer)["candidates"]
    assert chunk["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_candidates_take_turns_and_each_ends_once() -> None:
    one = Choice((Text("Hello there."),))
    two = Choice((Text("Hi"),), "length")
    chunks = chunks_of(Answer((one, two), Usage(9, 4)))
    assert [chunk["candidates"][0]["index"] for chunk in chunks] == [0, 1, 0, 0]
    finishes = [chunk["candidates"][0].get("finishReason") for chunk in chunks]
    assert finishes == [None, "MAX_TOKENS", None, "STOP"]
    assert chunks[-1]["usageMetadata"]["candidatesTokenCount"] == 4


def test_an_enum_is_said_without_quotes_and_costs_only_its_own_tokens() -> None:
    config = {"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["red"]}}
    body = {"contents": HELLO, "generationConfig": config}
    whole = written_body(answer_of(Text('"red"')), body)
    assert [part["text"] for part in whole["candidates"][0]["content"]["parts"]] == ["red"]
    assert whole["usageMetadata"]["candidatesTokenCount"] == tokenizer().count("red")
    assert chunks_of(answer_of(Text('"red"')), body)[-1]["usageMetadata"] == whole["usageMetadata"]


PARTS = st.lists(
    st.one_of(
        st.builds(Reasoning, st.text(max_size=12)),
        st.builds(Text, st.text(max_size=30) | st.just("cut \ud83d\r\n\r\ndata: x")),
        st.builds(Refusal, st.text(min_size=1, max_size=12)),
        st.builds(
            ToolCall,
            st.sampled_from("fg"),
            st.sampled_from(["", "{}", '{"a":"é"}', '{"a":', "7", "NaN"]),
        ),
    ),
    max_size=4,
).map(tuple)
FINISHES = st.sampled_from(sorted(WRITTEN[0].finishes))


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.operation)
@settings(deadline=None, max_examples=60)
@given(parts=PARTS, finish=FINISHES, count=st.integers(1, 3))
def test_a_stream_tells_the_same_as_the_whole_reply(
    written: Written, parts: tuple[Part, ...], finish: Finish, count: int
) -> None:
    answer = answer_of(*parts, finish=finish, count=count)
    whole = written.read(encode(written_body(answer, written.body, written.target)))
    frames = frames_of(answer, written.body, written.stream_target)
    streamed = written.read_stream(b"".join(frame.data for frame in frames))
    assert streamed == whole
    assert whole.output_tokens == answer.usage.output
    assert len(whole.choices) == count
    said = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
    assert whole.choices[0].text == said
    thought = answer.first.reasoning if written.shows_reasoning else ""
    assert whole.choices[0].reasoning == thought


def test_an_error_ends_a_stream_in_the_form_that_it_has() -> None:
    answer = answer_of(Text("Hello there."))
    problem = Problem(503, "gone")
    error = {"error": {"code": 503, "message": "gone", "status": "UNAVAILABLE"}}
    for target, sent in ((ARRAY, 2), (ARRAY, 0)):
        operation, call = text_call(target, {"contents": HELLO})
        frames = tuple(frames_of(answer, target=target)[:sent])
        assert operation.fail_stream is not None
        end = operation.fail_stream(problem, frames, make_means(call))
        whole = b"".join(frame.data for frame in frames) + end
        assert json.loads(whole)[sent:] == [error]
        assert GEMINI.stream_failed("application/json", whole)
    operation, call = text_call(STREAM, {"contents": HELLO})
    assert operation.fail_stream is not None
    end = operation.fail_stream(problem, (), make_means(call))
    assert end == GEMINI.write_stream_error(problem)


def test_hidden_thoughts_before_the_error_do_not_open_the_array_twice() -> None:
    operation, call = text_call(ARRAY, {"contents": HELLO})
    assert operation.fail_stream is not None
    silence = (Frame(b"", 4, 11),)
    end = operation.fail_stream(Problem(500, "x"), silence, make_means(call))
    assert len(json.loads(end)) == 1


# Counting


def test_count_tokens_counts_contents_or_a_whole_request() -> None:
    plainly = plain(f"{MODEL}:countTokens", {"contents": HELLO})
    total = plainly["totalTokens"]
    assert plainly["promptTokensDetails"] == [{"modality": "TEXT", "tokenCount": total}]
    assert total == plain(f"{MODEL}:countTokens", {"contents": HELLO})["totalTokens"] > 0
    inner = {"contents": HELLO, "systemInstruction": {"parts": [{"text": "Be brief."}]}}
    whole = plain(f"{MODEL}:countTokens", {"generateContentRequest": inner})
    assert whole["totalTokens"] > total


def test_count_tokens_names_its_own_request() -> None:
    assert refusal_of(f"{MODEL}:countTokens", {}).message.startswith(
        "* CountTokensRequest.contents"
    )
    both = {"contents": HELLO, "generateContentRequest": {"contents": HELLO}}
    assert "generate_content_request" in refusal_of(f"{MODEL}:countTokens", both).message
    inner = refusal_of(f"{MODEL}:countTokens", {"generateContentRequest": {}})
    assert "generate_content_request.contents" in inner.message


# Embeddings


def content(text: str) -> dict[str, Any]:
    return {"content": {"parts": [{"text": text}]}}


def test_an_embedding_is_a_unit_vector_and_the_same_for_the_same_text() -> None:
    values = plain(f"{MODEL}:embedContent", content("hello"))["embedding"]["values"]
    assert len(values) == 3072
    assert math.hypot(*values) == pytest.approx(1, abs=1e-6)
    batch = {"requests": [content("hello"), {**content("other"), "taskType": "CLUSTERING"}]}
    embeddings = plain(f"{MODEL}:batchEmbedContents", batch)["embeddings"]
    assert embeddings[0]["values"] == values
    assert embeddings[1]["values"] != values
    types.EmbedContentResponse.model_validate({"embeddings": embeddings})


def test_the_dimensions_are_those_asked_for_else_the_models() -> None:
    asked = {**content("x"), "outputDimensionality": 5}
    target = "/v1/models/text-embedding-004:embedContent"
    models = Catalogue((Model("text-embedding-004", "gemini", dimensions=768),))
    assert len(plain(target, asked, models)["embedding"]["values"]) == 5
    assert len(plain(target, content("x"), models)["embedding"]["values"]) == 768


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("embedContent", {}, "EmbedContentRequest.content: content is not specified"),
        ("embedContent", {"content": "x"}, "content"),
        ("embedContent", {"content": {"parts": []}}, "content must not be empty"),
        ("embedContent", content(""), "content must not be empty"),
        ("embedContent", {**content("x"), "outputDimensionality": 0}, "output_dimensionality"),
        ("embedContent", {**content("x"), "outputDimensionality": 3073}, "output_dimensionality"),
        ("embedContent", {**content("x"), "taskType": "GUESS"}, "task_type"),
        ("embedContent", {**content("x"), "title": 5}, "title"),
        ("batchEmbedContents", {}, "requests"),
        ("batchEmbedContents", {"requests": [{}]}, "requests[0].content"),
        ("batchEmbedContents", {"requests": [content("x")] * 101}, "at most 100"),
    ],
)
def test_an_embedding_that_google_refuses_is_refused(verb: str, body: Any, field: str) -> None:
    problem = refusal_of(f"{MODEL}:{verb}", body)
    assert problem.status == 400
    assert field in problem.message


# Models

KNOWN = Catalogue(
    (
        Model("gpt-4o"),
        Model("gemini-2.5-pro", "gemini", context=1_048_576, longest=65_536, description="Big."),
        Model("gemini-embedding-001", "gemini", dimensions=3072),
        Model("tunedModels/mine", "gemini"),
    )
)


def test_models_are_listed_as_google_lists_them() -> None:
    body = plain("/v1beta/models", None, KNOWN, method="GET")
    first, second = body["models"]
    assert first == {
        "name": "models/gemini-2.5-pro",
        "version": "001",
        "displayName": "Gemini 2.5 Pro",
        "description": "Big.",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
    }
    assert "embedContent" in second["supportedGenerationMethods"]
    assert "nextPageToken" not in body
    assert plain("/v1/models/gemini-2.5-pro", None, KNOWN, method="GET") == first
    tuned = plain("/v1beta/tunedModels", None, KNOWN, method="GET")
    assert [each["name"] for each in tuned["tunedModels"]] == ["tunedModels/mine"]


def test_pages_of_models_join_to_the_list() -> None:
    first = plain("/v1/models?pageSize=1", None, KNOWN, method="GET")
    token = first["nextPageToken"]
    rest = plain(f"/v1/models?page_size=1&page_token={token}", None, KNOWN, method="GET")
    names = [each["name"] for each in (*first["models"], *rest["models"])]
    assert names == ["models/gemini-2.5-pro", "models/gemini-embedding-001"]
    assert "nextPageToken" not in rest


@pytest.mark.parametrize("query", ["pageSize=x", "pageSize=-1", "pageToken=x", "pageSize=1e9"])
def test_a_page_that_is_no_number_is_refused(query: str) -> None:
    problem = refusal_of(f"/v1/models?{query}", None, method="GET")
    assert problem.status == 400
    assert "page_" in problem.message


@pytest.mark.parametrize("name", ["models/gpt-4o", "models/none", "tunedModels/none"])
def test_an_unknown_model_is_not_found(name: str) -> None:
    operation, call = call_of(GEMINI.operations, f"/v1beta/{name}", method="GET")
    with pytest.raises(Refused) as caught:
        ask(operation, call, models=KNOWN)
    assert caught.value.problem.status == 404
    assert f"{name} is not found for API version v1beta" in caught.value.problem.message


# Errors and headers


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (402, "FAILED_PRECONDITION"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (405, "UNIMPLEMENTED"),
        (408, "DEADLINE_EXCEEDED"),
        (409, "ABORTED"),
        (413, "INVALID_ARGUMENT"),
        (422, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (529, "UNAVAILABLE"),
    ],
)
def test_every_status_has_a_word(status: int, word: str) -> None:
    answered, _, body = GEMINI.write_error(Problem(status, "x"))
    assert answered == status
    assert json.loads(body)["error"] == {"code": status, "message": "x", "status": word}


def details_of(problem: Problem) -> tuple[int, dict[str, Any]]:
    status, _, body = GEMINI.write_error(problem)
    error = json.loads(body)["error"]
    assert error["code"] == status
    prefix = "type.googleapis.com/google.rpc."
    return status, {each.pop("@type").removeprefix(prefix): each for each in error["details"]}


def test_a_wrong_key_is_a_bad_request_with_its_reason() -> None:
    status, details = details_of(Problem(401, "API key not valid.", code="invalid_api_key"))
    assert status == 400
    assert details == {
        "ErrorInfo": {
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        },
        "LocalizedMessage": {"locale": "en-US", "message": "API key not valid."},
    }


def test_a_used_up_quota_is_named_with_the_wait() -> None:
    problem = Problem(429, "slow", "rate_limit_error", "rate_limit_exceeded", retry_after=7)
    _, details = details_of(problem)
    assert sorted(details) == ["QuotaFailure", "RetryInfo"]
    assert details["RetryInfo"] == {"retryDelay": "7s"}
    (violation,) = details["QuotaFailure"]["violations"]
    assert violation["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel"
    _, details = details_of(Problem(429, "slow", "tokens", "rate_limit_exceeded"))
    (violation,) = details["QuotaFailure"]["violations"]
    assert "token_count" in violation["quotaMetric"]


def test_a_wrong_type_is_a_field_violation() -> None:
    problem = refusal_of(GENERATE, {"contents": HELLO, "generationConfig": {"topP": "x"}})
    _, details = details_of(problem)
    violation = {"field": "generation_config.top_p", "description": problem.message}
    assert details == {"BadRequest": {"fieldViolations": [violation]}}


def test_headers_tell_the_time_it_took() -> None:
    call = Call("POST", "/")
    headers = GEMINI.write_headers(make_means(call).new_id, 0.1234)
    assert ("server-timing", "gfet4t7; dur=123") in headers
    assert [value for name, value in headers if name == "vary"] == ["Origin", "X-Origin", "Referer"]


def test_the_readers_of_this_test_agree() -> None:
    answer = answer_of(Text("x"))
    assert read(encode(written_body(answer))) == seen([written_body(answer)])
    assert read_events(b"".join(frame.data for frame in frames_of(answer))) == read_array(
        b"".join(frame.data for frame in frames_of(answer, target=ARRAY))
    )


TRAFFIC = Path(__file__).parents[3] / "shared" / "traffic" / "gemini"


def recorded() -> Iterator[tuple[str, Any]]:
    """Real requests that Google answered."""
    for file in sorted(TRAFFIC.glob("*.yaml")):
        for each in yaml.safe_load(file.read_text())["interactions"]:
            request, path = each["request"], urlsplit(each["request"]["uri"]).path
            if each["response"]["status"]["code"] == 200 and "/models/" in path:
                yield path, request.get("parsed_body")


@pytest.mark.skipif(not TRAFFIC.is_dir(), reason="no recorded traffic beside the checkout")
def test_what_google_took_is_taken() -> None:
    taken = 0
    for path, body in recorded():
        operation, call = call_of(GEMINI.operations, path, body)
        assert ask(operation, call)
        taken += 1
    assert taken > 20
