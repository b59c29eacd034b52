"""Ollama's native API: what it reads, how its lines look, and what it lists."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from llmproxy.answer import Answer, Choice, Reasoning, Text, ToolCall, Usage
from llmproxy.dialects.ollama import OLLAMA
from llmproxy.dialects.operation import Frame, Plain, Refused, encode
from llmproxy.dialects.operation import Text as TextOperation
from llmproxy.models import Catalogue
from llmproxy.prompt import Format, Message, Prompt, Tool
from means import call_of, make_means, tokenizer

HELLO = [{"role": "user", "content": "Hello"}]
FUNCTION = {"name": "f", "description": "Does it.", "parameters": {"type": "object"}}
MOMENT = "2025-11-20T00:53:20.500000Z"


def read(target: str = "/api/chat", **members: Any) -> Prompt:
    operation, call = call_of(OLLAMA.operations, target, {"model": "llama3.2", **members})
    assert isinstance(operation, TextOperation)
    return operation.read_prompt(call)


def write(target: str, body: dict[str, Any], choice: Choice) -> Any:
    operation, call = call_of(OLLAMA.operations, target, {"model": "llama3.2", **body})
    assert isinstance(operation, TextOperation)
    answer = Answer((choice,), Usage(7, 5))
    means = make_means(call, took=2.0)
    return json.loads(encode(operation.write_body(operation.read_prompt(call), answer, means)))


def stream(target: str, body: dict[str, Any], choice: Choice) -> list[Frame]:
    operation, call = call_of(OLLAMA.operations, target, {"model": "llama3.2", **body})
    assert isinstance(operation, TextOperation)
    assert operation.stream_type(call) == "application/x-ndjson"
    answer = Answer((choice,), Usage(7, 5))
    prompt = operation.read_prompt(call)
    return list(operation.write_stream(prompt, answer, make_means(call, took=2.0)))


def rows(frames: list[Frame]) -> list[Any]:
    return [json.loads(frame.data) for frame in frames]


def plain(target: str, body: Any = None, models: Catalogue | None = None, **more: Any) -> Any:
    operation, call = call_of(OLLAMA.operations, target, body, **more)
    assert isinstance(operation, Plain)
    made = operation.answer(call, make_means(call, models, took=1.0))
    return json.loads(made.body if isinstance(made.body, bytes) else encode(made.body))


# What is read


def test_a_stream_is_the_default() -> None:
    assert read(messages=HELLO).stream
    assert not read(messages=HELLO, stream=False).stream
    assert read("/api/generate", prompt="Hello").stream


def test_a_chat_is_read_into_messages() -> None:
    prompt = read(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Look", "images": ["aGk=", "aGk="]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": "f", "arguments": {"a": "é"}}}],
            },
            {"role": "tool", "content": "42", "tool_name": "f"},
        ],
        tools=[{"type": "function", "function": FUNCTION}],
    )
    assert prompt.messages == (
        Message("system", "Be brief."),
        Message("user", "Look", media=2),
        Message("assistant", calls=(ToolCall("f", '{"a":"é"}'),)),
        Message("tool", "42", name="f", answers="f"),
    )
    assert prompt.tools == (Tool("f", "Does it.", {"type": "object"}),)
    assert prompt.has_tool_result


def test_generate_reads_system_and_prompt_and_tolerates_the_rest() -> None:
    prompt = read(
        "/api/generate",
        prompt="def f(",
        suffix="return 1",
        system="Code.",
        template="{{ .Prompt }}",
        context=[1, 2],
        raw=True,
        images=["aGk="],
        keep_alive="5m",
        whatever=1,
    )
    assert prompt.messages == (Message("system", "Code."), Message("user", "def f(", media=1))


def test_options_bound_and_stop_the_reply() -> None:
    options = {"num_predict": 9, "stop": ["\n", ""], "temperature": 0, "seed": 1, "mirostat": 2}
    prompt = read(messages=HELLO, options=options)
    assert (prompt.max_tokens, prompt.stop) == (9, ("\n",))
    for endless in (-1, -2, 0, None):
        assert read(messages=HELLO, options={"num_predict": endless}).max_tokens is None


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (None, None),
        ("", None),
        ("json", Format()),
        ({"type": "object"}, Format({"type": "object"})),
    ],
)
def test_a_format_is_json_or_a_schema(format: Any, expected: Format | None) -> None:
    assert read(messages=HELLO, format=format).format == expected


@pytest.mark.parametrize(
    ("model", "think", "reasons"),
    [
        ("llama3.2", None, False),
        ("llama3.2", True, True),
        ("llama3.2", "high", True),
        ("deepseek-r1:8b", None, True),
        ("qwen3:8b", False, False),
        ("gpt-oss:20b", "low", True),
    ],
)
def test_think_or_the_model_decides_on_reasoning(model: str, think: Any, reasons: bool) -> None:
    assert read(model=model, messages=HELLO, think=think).reasoning is reasons


def test_lenient_names_a_model() -> None:
    operation, call = call_of(OLLAMA.operations, "/api/chat", {"messages": HELLO}, lenient=True)
    assert isinstance(operation, TextOperation)
    assert operation.read_prompt(call).model == "llama3.2"


# What is written


def test_a_chat_answers_with_a_message_and_its_costs() -> None:
    body = write("/api/chat", {"messages": HELLO}, Choice((Reasoning("Hm."), Text("Hi!"))))
    assert body == {
        "model": "llama3.2",
        "created_at": MOMENT,
        "message": {"role": "assistant", "content": "Hi!", "thinking": "Hm."},
        "done": True,
        "done_reason": "stop",
        "total_duration": 2_000_000_000,
        "load_duration": 20_000_000,
        "prompt_eval_count": 7,
        "prompt_eval_duration": 200_000_000,
        "eval_count": 5,
        "eval_duration": 1_780_000_000,
    }


def test_generate_answers_with_a_response_and_a_context() -> None:
    body = write("/api/generate", {"prompt": "x"}, Choice((Text("Hi!"),), "length"))
    assert (body["response"], body["done_reason"]) == ("Hi!", "length")
    assert all(type(number) is int for number in body["context"])
    raw = write("/api/generate", {"prompt": "x", "raw": True}, Choice((Text("Hi!"),)))
    assert "context" not in raw


def test_a_stream_is_lines_of_pieces_and_a_last_one_with_the_costs() -> None:
    choice = Choice((Reasoning("Hm."), Text("Hi there")))
    frames = stream("/api/chat", {"messages": HELLO}, choice)
    lines = rows(frames)
    thought = [line["message"].get("thinking") for line in lines]
    said = [line["message"]["content"] for line in lines]
    assert "".join(filter(None, thought)) == "Hm."
    assert said[-3:] == ["Hi", " there", ""]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert "done_reason" not in lines[0]
    assert frames[-1].tokens == 0
    assert all(frame.data.endswith(b"}\n") for frame in frames)
    generated = rows(stream("/api/generate", {"prompt": "x"}, choice))
    assert [line["response"] for line in generated][-3:] == ["Hi", " there", ""]


def test_a_call_is_one_line_with_an_object() -> None:
    tools = [{"type": "function", "function": FUNCTION}]
    choice = Choice((ToolCall("f", '{"a":1}'), ToolCall("g", "{}")), "tool_calls")
    frames = stream("/api/chat", {"messages": HELLO, "tools": tools}, choice)
    first, second, last = rows(frames)
    (call,) = first["message"]["tool_calls"]
    assert call["function"] == {"index": 0, "name": "f", "arguments": {"a": 1}}
    assert call["id"] != second["message"]["tool_calls"][0]["id"]
    assert second["message"]["tool_calls"][0]["function"]["index"] == 1
    assert last["done_reason"] == "stop"
    assert frames[0].tokens == tokenizer().count("f") + tokenizer().count('{"a":1}')


def test_a_call_that_was_cut_off_costs_its_tokens_and_is_not_shown() -> None:
    choice = Choice((ToolCall("f", '{"a":"un'),), "length")
    frames = stream("/api/chat", {"messages": HELLO}, choice)
    assert frames[0].data == b""
    assert frames[0].tokens > 0
    (last,) = rows(frames[1:])
    assert "tool_calls" not in last["message"]
    assert last["done_reason"] == "length"


@pytest.mark.parametrize(("keep", "reason"), [(None, "load"), (0, "unload"), ("5m", "load")])
@pytest.mark.parametrize(
    ("target", "body", "said"),
    [
        ("/api/chat", {"messages": []}, {"message": {"role": "assistant", "content": ""}}),
        ("/api/generate", {}, {"response": ""}),
    ],
)
def test_a_request_without_messages_loads_the_model(
    target: str, body: dict[str, Any], said: dict[str, Any], keep: Any, reason: str
) -> None:
    choice = Choice((Text("never said"),))
    expected = {"model": "llama3.2", "created_at": MOMENT, **said, "done": True}
    expected["done_reason"] = reason
    assert write(target, {**body, "keep_alive": keep}, choice) == expected
    assert rows(stream(target, {**body, "keep_alive": keep}, choice)) == [expected]


def test_a_model_named_like_our_mark_does_not_confuse_a_stream() -> None:
    frames = stream("/api/chat", {"model": "\0", "messages": HELLO}, Choice((Text("Hi"),)))
    assert rows(frames)[0]["model"] == "\0"
    assert rows(frames)[0]["message"]["content"] == "Hi"


# What is answered at once


def test_embed_answers_each_input_with_a_unit_vector() -> None:
    body = plain("/api/embed", {"model": "nomic-embed-text", "input": ["a", "b b"]})
    assert [len(vector) for vector in body["embeddings"]] == [768, 768]
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-5) for vector in body["embeddings"])
    assert body["prompt_eval_count"] == tokenizer().count("a") + tokenizer().count("b b")
    assert body["total_duration"] == 1_000_000_000
    one = plain("/api/embed", {"model": "nomic-embed-text", "input": "a"})
    assert one["embeddings"] == body["embeddings"][:1]
    assert plain("/api/embed", {"model": "e"})["embeddings"] == []
    short = plain("/api/embed", {"model": "e", "input": "a", "dimensions": 8})
    assert len(short["embeddings"][0]) == 8


def test_embeddings_is_the_older_one() -> None:
    old = plain("/api/embeddings", {"model": "nomic-embed-text", "prompt": "a"})
    new = plain("/api/embed", {"model": "nomic-embed-text", "input": "a"})
    assert old == {"embedding": new["embeddings"][0]}
    assert plain("/api/embeddings", {"model": "e", "prompt": ""}) == {"embedding": []}


def test_tags_and_ps_list_ollamas_models() -> None:
    tags = plain("/api/tags", method="GET")["models"]
    loaded = plain("/api/ps/", method="GET")["models"]
    assert [row["name"] for row in tags] == [row["model"] for row in loaded]
    first = next(row for row in tags if row["name"] == "llama3.2:latest")
    assert first["modified_at"] == "2024-09-25T00:00:00.000000Z"
    assert first["details"]["parameter_size"] == "3.2B"
    assert first["details"]["family"] == "llama"
    assert first["size"] > 1e9
    assert len(first["digest"]) == 64
    assert loaded[0]["expires_at"] == "2025-11-20T00:58:20.500000Z"


def test_show_tells_what_a_model_can() -> None:
    shown = plain("/api/show", {"model": "deepseek-r1:8b"})
    assert shown["capabilities"] == ["completion", "tools", "thinking"]
    assert shown["model_info"]["deepseek.context_length"] == 131_072
    assert plain("/api/show", {"name": "nomic-embed-text"})["capabilities"] == ["embedding"]
    assert plain("/api/show", {"model": "mine:7b"})["details"]["parameter_size"] == "7B"


def test_show_refuses_a_model_that_does_not_exist_where_names_are_strict() -> None:
    operation, call = call_of(OLLAMA.operations, "/api/show", {"model": "mine"})
    assert isinstance(operation, Plain)
    with pytest.raises(Refused, match="model 'mine' not found") as caught:
        operation.answer(call, make_means(call, Catalogue(strict=True)))
    assert caught.value.problem.status == 404


def test_a_version_is_told() -> None:
    assert plain("/api/version", method="GET")["version"].count(".") == 2
