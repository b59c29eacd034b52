"""Gemini's generateContent and streamGenerateContent, and countTokens over the same request.

Strategy: a stream is one template of a response with its parts and its running usage put in,
because all responses of a stream are otherwise alike. Each carries one candidate's new part;
the finish reason comes with a candidate's last part, so a part is held back until the next is
known. With ``alt=sse`` a response is an event, else an element of one JSON array.

Gemini has no field for a refusal: one that says something is text that ends with ``STOP``; one
that says nothing, and what a filter ended, ends with ``SAFETY``. A function call is an object, so
one whose arguments were cut is left out. Facts are from ``google-genai`` 3.4 and Google's API
reference.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from llmproxy.answer import Answer, Choice, Reasoning, Text, ToolCall, Usage
from llmproxy.dialects import failures
from llmproxy.dialects.gemini import errors, request, words
from llmproxy.dialects.gemini.request import read_prompt
from llmproxy.dialects.operation import Call, Frame, Means, Plain, PlainReply, encode
from llmproxy.dialects.operation import Text as TextOperation
from llmproxy.interaction import Problem
from llmproxy.prompt import Prompt

_EVENT = b"data: "
_EVENT_END = b"\r\n\r\n"
_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_BEFORE_3 = re.compile(r"gemini-[12](?!\d)")
_SIGNING = re.compile(r"gemini-(?:2\.5|[3-9]|\d\d)")
"""Models that sign the first call of a reply, so that it can be told when it comes back."""
_CALL = b'{"functionCall":'
_CALLED = "The reply ends with a function call."
_FINISH = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "refusal": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}


def write_body(prompt: Prompt, answer: Answer, means: Means) -> dict[str, Any]:
    """A ``GenerateContentResponse``."""
    answer = _bare_enum(prompt, answer, means)
    return {
        "candidates": [
            _candidate(prompt, choice, index, means) for index, choice in enumerate(answer.choices)
        ],
        "usageMetadata": _usage(answer.usage),
        **_identity(prompt, means),
    }


def _candidate(prompt: Prompt, choice: Choice, index: int, means: Means) -> dict[str, Any]:
    parts = [part for part in (_part(prompt, each, means) for each in choice.parts) if part]
    signed = next((part for part in parts if "functionCall" in part), None)
    if signed is None and parts and "thought" not in parts[-1] and _signs_text(prompt):
        signed = parts[-1]
    if signed is not None and _SIGNING.match(prompt.model):
        signed["thoughtSignature"] = _signature(choice)
    finish = _finish(choice)
    candidate: dict[str, Any] = {"finishReason": finish, "index": index}
    if not parts and finish == "STOP":
        parts = [{"text": ""}]
    if parts:
        if "functionCall" in parts[-1] and finish == "STOP":
            candidate["finishMessage"] = _CALLED
        return {"content": {"parts": parts, "role": "model"}, **candidate}
    return candidate if finish == "SAFETY" else {"content": {"role": "model"}, **candidate}


def _signs_text(prompt: Prompt) -> bool:
    """Whether text is signed that comes without a call: it is since Gemini 3."""
    return _SIGNING.match(prompt.model) is not None and not _BEFORE_3.match(prompt.model)


def _signature(choice: Choice) -> str:
    """Made up from what is said, so that a stream has the same; no provider would accept it.

    Its letters are the same in both alphabets of base64.
    """
    said = repr([(part.name, part.arguments) for part in choice.calls]) + choice.text
    digest = hashlib.sha512(said.encode("utf-8", "surrogatepass")).hexdigest()
    return b64encode(digest[:126].encode()).decode()


def _part(prompt: Prompt, part: Any, means: Means) -> dict[str, Any] | None:
    if isinstance(part, ToolCall):
        return _function_call(prompt, part, means)
    if not part.text:
        return None
    if isinstance(part, Reasoning):
        shown = request.shows_thoughts(prompt)
        return {"text": part.text, "thought": True} if shown else None
    return {"text": part.text}


def _function_call(prompt: Prompt, call: ToolCall, means: Means) -> dict[str, Any] | None:
    """Ids are given since Gemini 3."""
    args = _arguments(call)
    if args is None:
        return None
    body: dict[str, Any] = {"name": call.name, "args": args}
    if call.id or not _BEFORE_3.match(prompt.model):
        body["id"] = call.id or means.new_id("", 8, _LOWER)
    return {"functionCall": body}


def _arguments(call: ToolCall) -> dict[str, Any] | None:
    """The object that the arguments are; None where they are none."""
    if not call.arguments.strip():
        return {}
    value = failures.parse(call.arguments)
    return value if isinstance(value, dict) else None


def _finish(choice: Choice) -> str:
    if choice.refusal == "" and not choice.text:
        return "SAFETY"
    if choice.finish != "length" and any(_arguments(call) is None for call in choice.calls):
        return "MALFORMED_FUNCTION_CALL"
    return _FINISH[choice.finish]


def _usage(usage: Usage) -> dict[str, Any]:
    """Thoughts are counted beside the candidates."""
    used = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "totalTokenCount": usage.total,
        "promptTokensDetails": _details(usage.input),
    }
    return {**used, "thoughtsTokenCount": usage.reasoning} if usage.reasoning else used


def _details(tokens: int) -> list[dict[str, Any]]:
    return [{"modality": "TEXT", "tokenCount": tokens}]


def _identity(prompt: Prompt, means: Means) -> dict[str, Any]:
    return {"modelVersion": prompt.model, "responseId": means.new_id("", 22)}


def _bare_enum(prompt: Prompt, answer: Answer, means: Means) -> Answer:
    """For ``text/x.enum`` the answer without its quotes, which cost no tokens then."""
    if not request.wants_enum(prompt):
        return answer
    choices = [
        replace(choice, parts=tuple(_unquoted(part) for part in choice.parts))
        for choice in answer.choices
    ]
    spared = sum(means.count(choice.text) for choice in answer.choices)
    spared -= sum(means.count(choice.text) for choice in choices)
    output = max(answer.usage.reasoning, answer.usage.output - spared)
    return Answer(tuple(choices), replace(answer.usage, output=output))


def _unquoted(part: Any) -> Any:
    if not isinstance(part, Text) or not part.text.startswith('"'):
        return part
    value = failures.parse(part.text)
    return Text(value if isinstance(value, str) else part.text.strip('"'))


_Part = tuple[bytes, int, int, bool]
"""A part as JSON, empty where it is not shown; its tokens and characters; if it is a thought.

A tuple, because one is made for each token.
"""


def write_stream(prompt: Prompt, answer: Answer, means: Means) -> Iterator[Frame]:
    """Responses with one new part each; candidates take turns. The last has the whole usage."""
    answer = _bare_enum(prompt, answer, means)
    streams = [
        _candidates(prompt, choice, index, means) for index, choice in enumerate(answer.choices)
    ]
    turns = streams[0] if len(streams) == 1 else _in_turns(streams)
    frames = _frames(turns, _Template.of(prompt, answer.usage, means))
    return frames if _is_event_stream(means.call) else _as_array(frames)


def _parts(prompt: Prompt, choice: Choice, means: Means) -> Iterator[_Part]:
    shown = request.shows_thoughts(prompt)
    unsigned = _SIGNING.match(prompt.model) is not None
    for part in choice.parts:
        if isinstance(part, ToolCall):
            body = _function_call(prompt, part, means)
            if body and unsigned:
                body["thoughtSignature"], unsigned = _signature(choice), False
            tokens = means.count(part.name) + means.count(part.arguments)
            size = len(part.name) + len(part.arguments)
            yield encode(body) if body else b"", tokens, size, False
        elif isinstance(part, Reasoning) and not shown:
            yield b"", means.count(part.text), len(part.text), True
        else:
            thought = isinstance(part, Reasoning)
            form = b'{"text":%b,"thought":true}' if thought else b'{"text":%b}'
            for piece in means.cut(part.text):
                yield form % encode(piece.text), piece.tokens, len(piece.text), thought


def _candidates(prompt: Prompt, choice: Choice, index: int, means: Means) -> Iterator[_Part]:
    """Each part in a candidate of its own; the last with the finish reason, alone if need be.

    Since Gemini 3 it is alone behind a function call, and a text's last part is signed.
    """
    finish = _finish(choice)
    form = b'{"content":{"parts":[%%b],"role":"model"},"index":%d}' % index
    end = b'"finishReason":"%b","index":%d}' % (finish.encode(), index)
    held: _Part | None = None
    for part in _parts(prompt, choice, means):
        if held is not None:
            yield form % held[0] if held[0] else b"", *held[1:]
        held = part
    called = held is not None and held[0].startswith(_CALL)
    if held is not None and held[0] and not (called and _signs_text(prompt)):
        last = held[0]
        calls = any(_arguments(call) is not None for call in choice.calls)
        if not (calls or held[3]) and _signs_text(prompt):
            last = b'%b,"thoughtSignature":"%b"}' % (last[:-1], _signature(choice).encode())
        yield b'{"content":{"parts":[%b],"role":"model"},%b' % (last, end), *held[1:]
        return
    if held is not None:
        yield form % held[0] if held[0] else b"", *held[1:]
    empty = {"STOP": b'{"content":{"parts":[{"text":""}],"role":"model"},', "SAFETY": b"{"}
    yield empty.get(finish, b'{"content":{"role":"model"},') + end, 0, 0, False


def _in_turns(streams: list[Iterator[_Part]]) -> Iterator[_Part]:
    for parts in itertools.zip_longest(*streams):
        yield from (part for part in parts if part is not None)


def _frames(candidates: Iterable[_Part], template: _Template) -> Iterator[Frame]:
    """An event a candidate, with the usage so far; one is held back until it is not the last."""
    said = thought = 0
    held: _Part | None = None
    for part in candidates:
        if held is not None:
            yield Frame(template.fill(held[0], said, thought), held[1], held[2])
        candidate, tokens, characters, is_thought = held = part
        if is_thought:
            thought += tokens
        else:
            said += tokens
        if not candidate:
            yield Frame(b"", tokens, characters)
            held = None
    if held is not None:
        yield Frame(template.final(held[0]), held[1], held[2])


def _as_array(events: Iterable[Frame]) -> Iterator[Frame]:
    """Events as the elements of one JSON array, the brackets with the first and the last."""
    before = b"["
    held: Frame | None = None
    for event in events:
        if held is not None:
            yield held
            held = None
        if not event.data:
            yield event
            continue
        held = replace(event, data=before + event.data[len(_EVENT) : -len(_EVENT_END)])
        before = b",\r\n"
    if held is not None:
        yield replace(held, data=held.data + b"]")


@dataclass(frozen=True, slots=True)
class _Template:
    """What all events of a stream share; ``whole`` is the usage of the last."""

    usage: Usage
    prompt: bytes
    details: bytes
    whole: bytes
    identity: bytes

    @classmethod
    def of(cls, prompt: Prompt, usage: Usage, means: Means) -> _Template:
        return cls(
            usage=usage,
            prompt=b'"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":' % usage.input,
            details=b',"promptTokensDetails":%b' % encode(_details(usage.input)),
            whole=encode({"usageMetadata": _usage(usage)})[1:-1],
            identity=b",%b%b" % (encode(_identity(prompt, means))[1:], _EVENT_END),
        )

    def fill(self, candidate: bytes, said: int, thought: int) -> bytes:
        """An event with the usage so far, never above that of the whole reply."""
        usage = self.usage
        thought = min(thought, usage.reasoning)
        said = min(said, usage.output - usage.reasoning)
        return b'data: {"candidates":[%b],%b%d,"totalTokenCount":%d%b%b}%b' % (
            candidate, self.prompt, said, usage.input + said + thought,
            self.details, b',"thoughtsTokenCount":%d' % thought if thought else b"", self.identity,
        )  # fmt: skip

    def final(self, candidate: bytes) -> bytes:
        """The last event."""
        return b'%b{"candidates":[%b],%b%b' % (_EVENT, candidate, self.whole, self.identity)


def _is_event_stream(call: Call) -> bool:
    return (call.query.get("alt") or call.query.get("$alt")) == "sse"


def _stream_type(call: Call) -> str:
    return "text/event-stream" if _is_event_stream(call) else "application/json; charset=UTF-8"


def fail_stream(problem: Problem, frames: tuple[Frame, ...], means: Means) -> bytes:
    """The error as an event, or as the last element of the array."""
    error = errors.envelope(problem)
    if _is_event_stream(means.call):
        return b"data: %b\r\n\r\n" % failures.encode(error)
    begun = any(frame.data for frame in frames)
    return b"%b%b]" % (b",\r\n" if begun else b"[", failures.encode(error))


def count_tokens(call: Call, means: Means) -> PlainReply:
    """The tokens of ``contents``, or of a whole ``generateContentRequest``."""
    fields = words.body_fields(call, words.wording("CountTokensRequest"))
    inner = fields.group("generateContentRequest")
    if inner and fields.get("contents") is not None:
        fields.refuse("generateContentRequest", "must not be set together with contents")
    tokens = means.count_prompt(request.read(call, inner or fields))
    return PlainReply({"totalTokens": tokens, "promptTokensDetails": _details(tokens)})


def _text_operation(name: str, verb: str) -> TextOperation:
    return TextOperation(
        name=name,
        path=words.verb(verb),
        read_prompt=read_prompt,
        write_body=write_body,
        write_stream=write_stream,
        stream_type=_stream_type,
        fail_stream=fail_stream,
    )


GENERATE = _text_operation("gemini_generate", "generateContent")
STREAM = _text_operation("gemini_stream", "streamGenerateContent")
COUNT_TOKENS = Plain(
    name="gemini_count_tokens",
    method="POST",
    path=words.verb("countTokens"),
    answer=count_tokens,
    counts=True,
    model_of=words.model_of,
)
