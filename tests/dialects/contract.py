"""What the contract tests share: cases to answer, and how a request is asked and answered."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from typing import Any

from dialects.written import RefusedRequest, Seen, SeenCall, SeenChoice, Written
from llmproxy import dialects
from llmproxy.answer import Answer, Choice, Finish, Part, Reasoning, Refusal, Text, ToolCall, Usage
from llmproxy.dialects import Dialect
from llmproxy.dialects.operation import Call, Frame, Means, Plain, find
from llmproxy.dialects.operation import Text as TextOperation
from llmproxy.prompt import Prompt
from llmproxy.sse import Event, EventReader, is_event_stream, is_ndjson
from means import make_call, make_means, tokenizer

CUTS = {"token": ("token", 1), "characters": ("char", 3)}
CALL = ToolCall("f", '{"a":"x"}')
OTHER_CALL = ToolCall("f", '{"a":"caf\\u00e9 \\"quoted\\" 日本"}')


@dataclass(frozen=True)
class Case:
    """What is answered; ``needs`` is what an operation must be able to say."""

    parts: tuple[Part, ...]
    finish: Finish = "stop"
    stopped_by: str = ""
    choices: int = 1

    @property
    def has_calls(self) -> bool:
        return any(isinstance(part, ToolCall) for part in self.parts)


CASES = {
    "text": Case((Text("Hello, world. How are you today?"),)),
    "reasoning": Case((Reasoning("Let me think about it."), Text("It is 4."))),
    "call": Case((CALL,), "tool_calls"),
    "calls": Case((CALL, OTHER_CALL), "tool_calls"),
    "text_then_call": Case((Text("I will look."), CALL), "tool_calls"),
    "reasoning_then_call": Case((Reasoning("Hm."), CALL), "tool_calls"),
    "refusal": Case((Refusal("I cannot help with that."),), "refusal"),
    "length": Case((Text("This is cut"),), "length"),
    "stop_sequence": Case((Text("one two "),), "stop_sequence", "three"),
    "content_filter": Case((Text("This is"),), "content_filter"),
    "two": Case((Text("One of two."),), choices=2),
    "lines": Case((Text("a\n\nb\r\nc\rdata: x\n\n: d\u2028e\u0085f\x00\t"),)),
    "characters": Case((Text("naïve 👩‍👩‍👧 日本語のテキスト 🎉 ✅ e\u0301"),)),
    "surrogate": Case((Text("cut \ud83d here"),)),
    "empty": Case((Text(""),)),
    "nothing": Case(()),
}


def by_operation(written: Written) -> str:
    return written.operation + ("" if "?" not in written.target else "?")


def able(written: Written, case: Case) -> bool:
    return (
        case.finish in written.finishes
        and (written.tools is not None or not case.has_calls)
        and (written.several is not None or case.choices == 1)
    )


@dataclass(frozen=True)
class Asked:
    """A request that has found its operation."""

    dialect: Dialect
    operation: TextOperation | Plain
    call: Call

    @property
    def text(self) -> TextOperation:
        assert isinstance(self.operation, TextOperation)
        return self.operation


def ask(request: Written | RefusedRequest, target: str, body: Any, **more: Any) -> Asked:
    method = request.method if isinstance(request, RefusedRequest) else "POST"
    path, _, query = target.partition("?")
    dialect = dialects.of(method, path, request.headers, query)
    assert dialect is not None, f"nobody claims {method} {target}"
    found = find(dialect.operations, method, path)
    assert found is not None, f"{dialect.name} has no operation for {target}"
    call = make_call(
        target, body, method=method, headers=request.headers, variables=found[1], **more
    )
    return Asked(dialect, found[0], call)


def ask_written(written: Written, case: Case, *, stream: bool) -> Asked:
    body = dict(written.body)
    if case.has_calls:
        body |= written.tools or {}
    if case.choices > 1:
        body = merge(body, written.several or {})
    if stream:
        body = merge(body, written.stream_body)
    return ask(written, streamed(written) if stream else written.target, body)


def streamed(written: Written) -> str:
    return written.stream_target or written.target


def merge(body: dict[str, Any], more: Any) -> dict[str, Any]:
    """``more`` wins; objects of both are merged."""
    merged = {**body, **more}
    for name in body.keys() & more.keys():
        if isinstance(body[name], dict) and isinstance(more[name], dict):
            merged[name] = merge(body[name], more[name])
    return merged


def means_of(call: Call, cut: str = "token") -> Means:
    unit, size = CUTS[cut]
    return replace(
        make_means(call, took=1.5),
        cut=lambda text: tokenizer().cut(text, unit, size),  # type: ignore[arg-type]  # a Literal
    )


def answer_of(case: Case, prompt: Prompt, means: Means) -> Answer:
    """The case's choices with the usage that counting their parts gives."""
    choices = tuple(Choice(case.parts, case.finish, case.stopped_by) for _ in range(case.choices))
    reasoning = sum(means.count(choice.reasoning) for choice in choices)
    output = sum(tokens_of(part, means) for choice in choices for part in choice.parts)
    return Answer(choices, Usage(means.count_prompt(prompt), output, reasoning))


def tokens_of(part: Part, means: Means) -> int:
    if isinstance(part, ToolCall):
        return means.count(part.name) + means.count(part.arguments)
    return means.count(part.text)


def write(asked: Asked, case: Case, cut: str = "token") -> tuple[Answer, Any]:
    """The answer and the JSON value of the whole reply."""
    prompt, means = asked.text.read_prompt(asked.call), means_of(asked.call, cut)
    assert not prompt.stream
    answer = answer_of(case, prompt, means)
    return answer, asked.text.write_body(prompt, answer, means)


def stream(asked: Asked, case: Case, cut: str = "token") -> tuple[Answer, list[Frame]]:
    """The answer and the frames of the streamed reply."""
    prompt, means = asked.text.read_prompt(asked.call), means_of(asked.call, cut)
    assert prompt.stream
    answer = answer_of(case, prompt, means)
    return answer, list(asked.text.write_stream(prompt, answer, means))


def expected(written: Written, case: Case, answer: Answer) -> Seen:
    return Seen(
        choices=tuple(expected_choice(written, case, choice) for choice in answer.choices),
        input_tokens=answer.usage.input,
        output_tokens=answer.usage.output,
    )


def expected_choice(written: Written, case: Case, choice: Choice) -> SeenChoice:
    refusal = choice.refusal
    text = choice.text + (refusal or "" if written.refusal_is_text else "")
    return SeenChoice(
        text=text,
        reasoning=choice.reasoning if written.shows_reasoning else "",
        refusal=None if written.refusal_is_text else refusal,
        calls=tuple(SeenCall(call.name, json.loads(call.arguments)) for call in choice.calls),
        finish=written.finishes[case.finish],
    )


def joined(frames: list[Frame]) -> bytes:
    return b"".join(frame.data for frame in frames)


def stream_type(asked: Asked) -> str:
    return asked.text.stream_type(asked.call)


def records(asked: Asked, body: bytes) -> list[Any]:
    """The JSON values of a stream, whichever way it is framed."""
    if is_event_stream(stream_type(asked)):
        return [json.loads(event.data) for event in events(body) if event.data != "[DONE]"]
    if is_ndjson(stream_type(asked)):
        return [json.loads(line) for line in body.splitlines()]
    rows = json.loads(body)
    assert isinstance(rows, list)
    return rows


def events(body: bytes, splits: tuple[int, ...] = ()) -> list[Event]:
    """The events of a body that is fed in pieces; none may be left over at its end."""
    reader = EventReader()
    edges = (0, *splits, len(body))
    found = [event for a, b in itertools.pairwise(edges) for event in reader.feed(body[a:b])]
    assert reader.finish() == []
    return found
