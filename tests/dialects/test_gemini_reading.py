"""What Gemini's operations read and refuse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.examples.gemini.written_gemini import (
    HELLO,
    MODEL,
    REFUSED,
    TOOLS,
)
from dialects.gemini_asking import (
    GENERATE,
    STREAM,
    ask,
    prompt_of,
    refusal_of,
)
from llmproxy.answer import ToolCall
from llmproxy.dialects.gemini import GEMINI
from llmproxy.dialects.operation import (
    Refused,
    find,
)
from llmproxy.prompt import Format, Message, Prompt, Tool, ToolChoice
from means import call_of

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
