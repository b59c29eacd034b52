"""What Gemini's operations have in common: how they refuse, what a content and a model are.

Strategy: requests are read by their camelCase names, each of which may also stand in
snake_case, as in Google's own JSON; messages name fields in snake_case, as Google's do. Where
Google takes one object for a list of one, so does this. Facts are from ``google-genai`` 3.4 and
Google's API reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from llmproxy.answer import ToolCall
from llmproxy.dialects.operation import Call, Refused
from llmproxy.dialects.reading import Fields, Wording, dotted
from llmproxy.interaction import Problem
from llmproxy.prompt import Message

_MODEL = r"(?:^|/)(?P<kind>models|tunedModels|endpoints)/(?P<model>[^/]+?)"
_TYPES = {
    "a string": "TYPE_STRING",
    "a number": "TYPE_FLOAT",
    "an integer": "TYPE_INT32",
    "a boolean": "TYPE_BOOL",
    "an object": "TYPE_MESSAGE",
    "an array": "repeated field",
}
_INDEX = re.compile(r"\[\d+\]$")
_OTHER_PARTS = (
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
    "thought",
    "thoughtSignature",
)


def verb(name: str) -> re.Pattern[str]:
    """The path of a verb on a model: Vertex AI has projects, locations and endpoints before it."""
    return re.compile(rf"{_MODEL}(?::|%3[Aa]){name}/?$")


@cache
def snake(name: str) -> str:
    """``topP`` as ``top_p``."""
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


@cache
def _spellings(name: str) -> tuple[str, ...]:
    other = snake(name)
    return () if other == name else (other,)


def _join(place: str, part: str | int) -> str:
    return dotted(place, snake(part) if isinstance(part, str) else part)


def _wrong(place: str, expected: str, got: str) -> Problem:
    type_ = _TYPES.get(expected, "TYPE_MESSAGE")
    message = f"Invalid value at '{place}' ({type_}), expected {expected} but got {got}"
    return Problem(400, message, param=place)


def wording(request: str) -> Wording:
    """How Google words what is wrong with a message of that name.

    Only a wrong type has a ``param``: Google adds field violations to nothing else.
    """

    def missing(place: str) -> Problem:
        return said(place, "is not specified")

    def said(place: str, why: str) -> Problem:
        leaf = _INDEX.sub("", place.rpartition(".")[2])
        return Problem(400, f"* {request}.{place}: {leaf} {why}\n")

    return Wording(missing, _wrong, said, _join, _spellings)


def body_fields(call: Call, words: Wording) -> Fields:
    """The fields of the body; no body is an empty one, so that what is missing is named."""
    return Fields.of_body({} if call.body is None else call.body, words)


def model_of(call: Call) -> str:
    """The model of the path, as replies and settings name it: ``gemini-2.5-pro``."""
    model = call.variables.get("model", "")
    return f"tunedModels/{model}" if call.variables.get("kind") == "tunedModels" else model


def many(fields: Fields, name: str) -> Iterator[Fields]:
    """A list of objects, for which one object alone may stand."""
    group = fields.get(name)
    if isinstance(group, dict):
        yield Fields(group, fields.wording, fields.wording.join(fields.at(name), 0))
    else:
        yield from fields.groups(name)


def read_contents(fields: Fields, *, lenient: bool) -> Iterator[Message]:
    """The messages of ``contents``; each function response is a message of its own.

    Function responses stand after the text that came with them: the client then still waits
    for what the model makes of them.
    """
    contents = tuple(many(fields, "contents"))
    if not contents:
        fields.refuse_missing("contents")
    turns = _Turns()
    for content in contents:
        role = content.text("role") or "user"
        if role not in ("user", "model", "function"):
            why = "Please use a valid role: user, model."
            content.refuse("role", f"{role[:40]!r} is unknown. {why}")
        message, results = _read_content(content, role, lenient=lenient)
        if not lenient:
            turns.check(content, message, len(results))
        if message.text or message.calls or message.media or not results:
            yield message
        yield from results
    if not lenient and not turns.modelled:
        turns.settle(contents[-1])


class _Turns:
    """Follows whether each turn of calls gets its responses; their number must be equal."""

    __slots__ = ("calls", "modelled", "responses")

    def __init__(self) -> None:
        self.calls = 0
        self.responses = 0
        self.modelled = False

    def check(self, content: Fields, message: Message, responses: int) -> None:
        """Take note of a content.

        Raises:
            Refused: a response to no call, or another number of responses than of calls.
        """
        modelled = message.role == "assistant"
        if responses and not self.calls:
            content.refuse("parts", "must come after a function call turn to respond to it")
        self.responses += responses
        settled = not responses and not (modelled and self.modelled)
        if settled or self.responses > self.calls:
            self.settle(content)
        if modelled:
            before = self.calls if self.modelled else 0
            self.calls, self.responses = before + len(message.calls), 0
        elif settled:
            self.calls = self.responses = 0
        self.modelled = modelled

    def settle(self, content: Fields) -> None:
        """No more responses come: refuse if some are missing; the model's turn may be the last."""
        if self.responses != self.calls:
            why = (
                f"must have as many function response parts ({self.responses}) as there are"
                f" function call parts in the function call turn ({self.calls})"
            )
            content.refuse("parts", why)


def _read_content(content: Fields, role: str, *, lenient: bool) -> tuple[Message, list[Message]]:
    parts = tuple(many(content, "parts"))
    if not parts and not lenient:
        content.refuse("parts", "must not be empty")
    texts: list[str] = []
    calls: list[ToolCall] = []
    results: list[Message] = []
    media = 0
    for part in parts:
        if called := part.group("functionCall"):
            calls.append(_read_call(called))
        elif answered := part.group("functionResponse"):
            results.append(_read_response(answered))
        elif _is_media(part):
            media += 1
        else:
            texts.append(_read_text(part))
    speaker: Any = "assistant" if role == "model" else "user"
    return Message(speaker, "".join(texts), "", tuple(calls), media=media), results


def _read_text(part: Fields) -> str:
    """The text of a part; empty for thoughts and for code that Google ran."""
    text = part.text("text")
    thought = part.flag("thought")
    if text is None and all(part.get(name) is None for name in _OTHER_PARTS):
        part.refuse("data", "is a required oneof field that must have one initialized field")
    return "" if thought or text is None else text


def _is_media(part: Fields) -> bool:
    if blob := part.group("inlineData"):
        blob.required_text("mimeType")
        if blob.text("data") is None:
            blob.refuse_missing("data")
        return True
    if file := part.group("fileData"):
        file.required_text("fileUri")
        return True
    return False


def _read_call(called: Fields) -> ToolCall:
    name = called.required_text("name")
    return ToolCall(name, _json_text(called, "args"), called.text("id") or "")


def _read_response(answered: Fields) -> Message:
    name = answered.required_text("name")
    text = _json_text(answered, "response")
    return Message("tool", text, name, answers=answered.text("id") or name)


def _json_text(fields: Fields, name: str) -> str:
    group = fields.group(name)
    try:
        return json.dumps(group.members if group else {}, ensure_ascii=False)
    except RecursionError:
        fields.refuse(name, "is nested too deeply")


def read_text(fields: Fields, name: str) -> str | None:
    """The texts of a content, a line break between its parts; None where it is absent."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    content = fields.group(name)
    assert content is not None
    return "\n".join(part.text("text") or "" for part in many(content, "parts"))


def not_found(call: Call, name: str, method: str) -> Refused:
    """The 404 for a model that is not there."""
    version = next((part for part in call.path.split("/") if re.match(r"v\d", part)), "v1")
    message = (
        f"{name} is not found for API version {version}, or is not supported for {method}."
        " ListModels tells the models that there are."
    )
    return Refused(Problem(404, message, kind="not_found_error"))
