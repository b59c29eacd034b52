"""Reads Anthropic's messages: turns, their blocks, and which result answers which call.

Strategy: one reader for each kind of block, in a table by the block's ``type``; a user's turn
falls apart into the tool results in it and what the user says. Nothing is decoded or fetched.
Facts are from ``anthropic`` 2.11, Anthropic's API reference and reports of what the API
refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from llmproxy.answer import ToolCall
from llmproxy.dialects.anthropic.words import needed, refuse
from llmproxy.dialects.operation import Call, encode
from llmproxy.dialects.reading import Fields
from llmproxy.prompt import Message

_FOREIGN = re.compile(r"[a-z_]+_tool_(?:use|result)")

_Role = Literal["user", "assistant", "system", "result"]
_ROLES: Mapping[str, _Role] = {"user": "user", "assistant": "assistant", "system": "system"}


@dataclass(slots=True)
class _Turn:
    """What the blocks of one message, or of one tool result, add up to as they are read.

    ``strict`` refuses what is only out of place; ``results`` have their places beside them.
    """

    role: _Role
    place: str
    strict: bool
    texts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    results: list[tuple[str, Message]] = field(default_factory=list)
    media: int = 0

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def messages(self) -> Iterator[Message]:
        """The turn in neutral words.

        What a user says beside tool results comes before them: agents add reminders to
        results, and a prompt whose last turn holds a result must end with one.
        """
        if self.role == "assistant":
            yield Message("assistant", self.text, calls=tuple(self.calls), media=self.media)
        elif self.role == "system":
            yield Message("system", self.text)
        elif self.texts or self.media or not self.results:
            yield Message("user", self.text, media=self.media)
        for _, result in self.results:
            yield result


def read_messages(call: Call, fields: Fields) -> tuple[Message, ...]:
    """The system prompt and all turns, in order.

    Raises:
        Refused: as Anthropic does; a lenient call may leave tool uses unanswered and texts
            empty.
    """
    if fields.get("messages") is None:
        fields.refuse_missing("messages")
    system = _Turn("system", "system", not call.lenient)
    _read_content(fields, "system", system)
    turns = [_read_turn(each, call) for each in fields.groups("messages")]
    if not turns:
        fields.refuse("messages", "at least one message is required")
    if not call.lenient:
        _check_results(turns)
    first = system.messages() if system.texts else ()
    return (*first, *(message for turn in turns for message in turn.messages()))


def _read_turn(fields: Fields, call: Call) -> _Turn:
    named = needed(fields, "role")
    role = _ROLES.get(named)
    if role is None:
        fields.refuse("role", f"Input should be one of {', '.join(map(repr, _ROLES))}")
    content = fields.get("content")
    if content is None:
        fields.refuse_missing("content")
    turn = _Turn(role, fields.place, not call.lenient)
    if turn.strict and role == "user" and content in ("", []):
        refuse(fields.at("content"), "user messages must have non-empty content")
    _read_content(fields, "content", turn)
    return turn


def _read_content(fields: Fields, name: str, turn: _Turn) -> None:
    """A string or a list of blocks."""
    value = fields.get(name)
    if isinstance(value, str):
        turn.texts.append(value)
    elif isinstance(value, list):
        for block in fields.groups(name):
            _read_block(block, turn)
    elif value is not None:
        fields.refuse_type(name, "a string or a list of blocks", value)


def _read_block(block: Fields, turn: _Turn) -> None:
    kind = block.required_text("type")
    if kind not in _BLOCKS:
        if turn.role in ("system", "result") or not _FOREIGN.fullmatch(kind):
            expected = ", ".join(map(repr, _BLOCKS))
            block.refuse("type", f"Input tag {kind[:80]!r} does not match any of {expected}")
        return
    roles, read = _BLOCKS[kind]
    if turn.role not in roles and (turn.strict or turn.role in ("system", "result")):
        block.refuse("type", f"`{kind}` blocks can only be in {_in_words(roles)}")
    read(block, turn)


def _in_words(roles: tuple[_Role, ...]) -> str:
    places = ("tool results" if role == "result" else f"`{role}` messages" for role in roles)
    return " or ".join(places)


def _read_text(block: Fields, turn: _Turn) -> None:
    text = needed(block, "text")
    if turn.strict and not text and turn.role != "result":
        block.refuse("text", "text content blocks must be non-empty")
    turn.texts.append(text)


def _read_media(block: Fields, turn: _Turn) -> None:
    source = block.group("source")
    if source is None:
        block.refuse_missing("source")
    kind = source.required_text("type")
    if kind not in _SOURCES:
        source.refuse("type", f"Input should be one of {', '.join(map(repr, _SOURCES))}")
    for name in _SOURCES[kind]:
        if source.get(name) is None:
            source.refuse_missing(name)
    turn.media += 1


def _read_search_result(block: Fields, turn: _Turn) -> None:
    needed(block, "source")
    needed(block, "title")
    block.items("content")
    turn.media += 1


def _read_use(block: Fields, turn: _Turn) -> None:
    id = block.required_text("id")
    name = block.required_text("name")
    given = block.group("input")
    if given is None:
        block.refuse_missing("input")
    try:
        arguments = encode(given.members).decode()
    except RecursionError:
        block.refuse("input", "it is nested too deeply")
    turn.calls.append(ToolCall(name, arguments, id))


def _read_result(block: Fields, turn: _Turn) -> None:
    id = block.required_text("tool_use_id")
    block.flag("is_error")
    inner = _Turn("result", block.place, turn.strict)
    _read_content(block, "content", inner)
    result = Message("tool", inner.text, answers=id, media=inner.media)
    turn.results.append((block.place, result))


def _read_thinking(block: Fields, _turn: _Turn) -> None:
    needed(block, "thinking")
    needed(block, "signature")


def _read_redacted(block: Fields, _turn: _Turn) -> None:
    needed(block, "data")


def _read_upload(block: Fields, turn: _Turn) -> None:
    block.required_text("file_id")
    turn.media += 1


def _pass(_block: Fields, _turn: _Turn) -> None:
    """What the provider's own machinery left in the history says nothing here."""


_ANYWHERE: tuple[_Role, ...] = ("user", "assistant", "result")
_TALK: tuple[_Role, ...] = ("user", "assistant")
_BLOCKS: Mapping[str, tuple[tuple[_Role, ...], Callable[[Fields, _Turn], None]]] = {
    "text": (("user", "assistant", "system", "result"), _read_text),
    "image": (_ANYWHERE, _read_media),
    "document": (_ANYWHERE, _read_media),
    "search_result": (_ANYWHERE, _read_search_result),
    "tool_use": (("assistant",), _read_use),
    "tool_result": (("user",), _read_result),
    "thinking": (("assistant",), _read_thinking),
    "redacted_thinking": (("assistant",), _read_redacted),
    "container_upload": (_TALK, _read_upload),
    "tool_reference": (("result",), _pass),
    "browser_state": (("result",), _pass),
    "compaction": (_TALK, _pass),
    "fallback": (_TALK, _pass),
    "mcp_tool_listing": (_TALK, _pass),
    "tool_addition": (_TALK, _pass),
    "tool_removal": (_TALK, _pass),
}
_SOURCES = {
    "base64": ("media_type", "data"),
    "url": ("url",),
    "file": ("file_id",),
    "text": ("data",),
    "content": ("content",),
}


def _check_results(turns: Iterable[_Turn]) -> None:
    """Each tool use has its result in the user's next turn, and each result its use.

    Messages of one role in a row are one turn; those of the system come between unnoticed.
    """
    uses: dict[str, str] = {}
    answered: set[str] = set()
    last = ""
    for turn in turns:
        if turn.role == "assistant":
            if last == "user":
                _check_answered(uses, answered)
                uses, answered = {}, set()
            uses |= dict.fromkeys((call.id for call in turn.calls), turn.place)
        for place, result in turn.results:
            if result.answers not in uses:
                why = (
                    f"unexpected `tool_use_id` found in `tool_result` blocks: {result.answers}."
                    " The message before has no such `tool_use`"
                )
                refuse(place, why)
            answered.add(result.answers)
        if turn.role != "system":
            last = turn.role
    _check_answered(uses, answered)


def _check_answered(uses: Mapping[str, str], answered: set[str]) -> None:
    waiting = [id for id in uses if id not in answered]
    if waiting:
        why = (
            "`tool_use` ids were found without `tool_result` blocks immediately after:"
            f" {', '.join(waiting)}. Each needs its `tool_result` in the next message"
        )
        refuse(uses[waiting[0]], why)
