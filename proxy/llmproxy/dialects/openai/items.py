"""The items of OpenAI's Responses: what a conversation is made of there.

Strategy: each type of item that says something to the model has a function that reads it into a
message. Items of the provider's own tools and of reasoning say nothing here and are passed over,
whatever their type, because new ones come with every release. Calls join the assistant's
message that they follow, as they stand in Chat Completions, so that a rule sees both alike. Facts
are from ``openai`` 3.52 and OpenAI's API reference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from llmproxy.answer import ToolCall
from llmproxy.dialects.openai import words
from llmproxy.dialects.operation import Refused
from llmproxy.dialects.reading import Fields
from llmproxy.interaction import Problem
from llmproxy.prompt import Message, Role

ID_LENGTH = 50
"""Hexadecimal digits of an id behind its prefix, as observed."""

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
_SPOKEN = ("output_text", "refusal")
_MEDIA = {
    "input_image": ("image_url", "file_id"),
    "input_file": ("file_data", "file_url", "file_id"),
    "input_audio": (),
    "computer_screenshot": ("image_url", "file_id"),
}
"""Parts that are no text, and the members of which they need one."""
_HEARD = ("input_text", *_MEDIA)
_RESULTS = ("function_call_output", "custom_tool_call_output")
_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
}


def read_messages(items: Iterable[Fields], *, lenient: bool = False) -> tuple[Message, ...]:
    """What the items say, in order; ``lenient`` takes the parts of Chat Completions too.

    Raises:
        Refused: an item is not what its type says.
    """
    turns: list[tuple[Message, list[ToolCall]]] = []
    for item in items:
        read = _READERS.get(type_of(item))
        message = read(item, lenient) if read else None
        if message is None:
            continue
        if message.calls and turns and turns[-1][0].role == "assistant":
            turns[-1][1].extend(message.calls)
        else:
            turns.append((message, list(message.calls)))
    return tuple(
        replace(message, calls=tuple(calls)) if calls else message for message, calls in turns
    )


def type_of(item: Fields) -> str:
    """The item's type; it may be left out of messages and of references."""
    named = item.text("type")
    if named:
        return named
    return "item_reference" if item.get("role") is None and item.get("id") else "message"


def check_results(messages: Iterable[Message]) -> None:
    """Each result must have its call before it, each call its result.

    Raises:
        Refused: one has not.
    """
    known: set[str] = set()
    waiting: dict[str, None] = {}
    for message in messages:
        for call in message.calls:
            known.add(call.id)
            waiting[call.id] = None
        if message.role == "tool":
            if message.answers not in known:
                said = (
                    f"No tool call found for function call output with call_id {message.answers}."
                )
                raise Refused(Problem(400, said, param="input"))
            waiting.pop(message.answers, None)
    for id in waiting:
        raise Refused(Problem(400, f"No tool output found for function call {id}.", param="input"))


def check_reasoning(items: Iterable[Fields]) -> None:
    """Reasoning that has an id comes back with what the model made of it, under its own id.

    Those who speak OpenAI's format with ids of another shape do not ask for that.

    Raises:
        Refused: it stands last, or before what somebody else said or wrote.
    """
    waiting = ""
    for item in items:
        kind = type_of(item)
        if kind == "reasoning":
            id = item.text("id") or ""
            waiting = id if id.startswith(_PREFIXES[kind]) else ""
        elif waiting and (kind in _RESULTS or (kind == "message" and not item.text("id"))):
            break
        else:
            waiting = ""
    if waiting:
        said = (
            f"Item '{waiting}' of type 'reasoning' was sent without the item that it led to,"
            " which must follow it under its own id."
        )
        raise Refused(Problem(400, said, param="input"))


def _read_message(item: Fields, lenient: bool) -> Message:
    role = item.required_text("role")
    if role not in _ROLES:
        item.refuse("role", f"must be one of {', '.join(map(repr, _ROLES))}")
    allowed = _SPOKEN if role == "assistant" else _HEARD
    text, media = _read_content(item, "content", allowed, lenient)
    return Message(_ROLES[role], text, media=media)


def _read_content(
    item: Fields, name: str, allowed: tuple[str, ...], lenient: bool
) -> tuple[str, int]:
    """The text, and how many images and files there are."""
    value = item.get(name)
    if value is None:
        item.refuse_missing(name)
    if isinstance(value, str):
        return value, 0
    if not isinstance(value, list):
        item.refuse_type(name, "a string or an array", value)
    if lenient:
        return words.read_content(item, name)
    texts, media = [], 0
    for part in item.groups(name):
        kind = part.required_text("type")
        if kind not in allowed:
            part.refuse("type", f"must be one of {', '.join(map(repr, allowed))}")
        if kind in _MEDIA:
            _check_source(part, _MEDIA[kind])
            media += 1
        else:
            texts.append(_given(part, "refusal" if kind == "refusal" else "text"))
    return "".join(texts), media


def _check_source(part: Fields, names: tuple[str, ...]) -> None:
    """One of the members that say where a file is must be there, as a text."""
    if names and not [name for name in names if part.text(name) is not None]:
        part.refuse_missing(names[0])


def _given(fields: Fields, name: str) -> str:
    """A text that must be there and may be empty."""
    text = fields.text(name)
    if text is None:
        fields.refuse_missing(name)
    return text


def _read_function_call(item: Fields, _lenient: bool) -> Message:
    return _call(item, _given(item, "arguments"), custom=False)


def _read_custom_call(item: Fields, _lenient: bool) -> Message:
    return _call(item, _given(item, "input"), custom=True)


def _call(item: Fields, arguments: str, *, custom: bool) -> Message:
    name, id = item.required_text("name"), item.required_text("call_id")
    return Message("assistant", calls=(ToolCall(name, arguments, id, custom),))


def _read_result(item: Fields, lenient: bool) -> Message:
    id = item.required_text("call_id")
    text, media = _read_content(item, "output", _HEARD, lenient)
    return Message("tool", text, answers=id, media=media)


def _read_reasoning(item: Fields, _lenient: bool) -> None:
    for part in item.groups("summary"):
        _given(part, "text")


_READERS: Mapping[str, Callable[[Fields, bool], Message | None]] = {
    "message": _read_message,
    "function_call": _read_function_call,
    "function_call_output": _read_result,
    "custom_tool_call": _read_custom_call,
    "custom_tool_call_output": _read_result,
    "reasoning": _read_reasoning,
}


def listed(item: Mapping[str, Any], owner: str, number: int) -> dict[str, Any]:
    """The item as it is shown: with an id and a status, its content in parts.

    An id that the request gave stays; a missing one follows from the response that owns the
    item and the item's number in it.
    """
    kind = item.get("type") or "message"
    shown: dict[str, Any] = {"id": None, **item, "type": kind}
    if not shown["id"]:
        digest = hashlib.sha256(f"{owner} {number}".encode("utf-8", "replace")).hexdigest()
        shown["id"] = _PREFIXES.get(kind, "item_") + digest[:ID_LENGTH]
    if kind in _PREFIXES and kind != "reasoning":
        shown["status"] = item.get("status") or "completed"
    if kind == "message":
        shown["content"] = _parts(item)
    return shown


def _parts(message: Mapping[str, Any]) -> list[Any]:
    content = message.get("content")
    if not isinstance(content, str):
        return [
            {"detail": "auto", **part} if part.get("type") == "input_image" else part
            for part in content or ()
        ]
    if message.get("role") == "assistant":
        return [{"type": "output_text", "text": content, "annotations": []}]
    return [{"type": "input_text", "text": content}]
