"""How tests ask Gemini's operations, and see what they write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dialects.examples.gemini.written_gemini import (
    HELLO,
    MODEL,
)
from llmproxy.answer import Answer, Choice, Finish, Part, Reasoning, ToolCall, Usage
from llmproxy.dialects.gemini import GEMINI
from llmproxy.dialects.operation import (
    Call,
    Frame,
    Operation,
    Plain,
    Refused,
)
from llmproxy.dialects.operation import Text as TextOperation
from llmproxy.interaction import Problem
from llmproxy.models import Catalogue
from llmproxy.prompt import Prompt
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
