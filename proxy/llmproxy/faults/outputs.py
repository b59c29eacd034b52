"""What a made-up reply says wrongly: empty text, broken or fenced JSON, odd tool calls.

Each is a function from what would be said to what is said; where there is nothing that it could
spoil, the very same choice comes back. A new one is a function and a row in ``OUTPUTS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from types import MappingProxyType
from typing import Any

from llmproxy.answer import Choice, Part, Reasoning, Text, ToolCall

_LONGEST_NAME = 50
"""Characters kept of a tool's name: providers allow 64, and nine are added."""


def _empty(choice: Choice, _rng: Random) -> Choice:
    """An empty text and no call; reasoning stays, as models that reason are known to do."""
    reasoning = tuple(part for part in choice.parts if isinstance(part, Reasoning))
    finish = "stop" if choice.finish in ("tool_calls", "refusal") else choice.finish
    return replace(choice, parts=(*reasoning, Text("")), finish=finish)


def _truncated_json(choice: Choice, _rng: Random) -> Choice:
    """JSON texts and arguments end in their middle, and nothing else says so."""

    def truncated(part: Part) -> Part:
        if isinstance(part, Text) and _is_json(part.text):
            return Text(_half(part.text))
        if isinstance(part, ToolCall) and _is_json(part.arguments):
            return replace(part, arguments=_half(part.arguments))
        return part

    return _changed(choice, truncated)


def _fenced_json(choice: Choice, _rng: Random) -> Choice:
    """JSON texts stand between the marks of a block of code in Markdown."""

    def fenced(part: Part) -> Part:
        if isinstance(part, Text) and _is_json(part.text):
            return Text(f"```json\n{part.text}\n```")
        return part

    return _changed(choice, fenced)


def _wrong_types(choice: Choice, rng: Random) -> Choice:
    """Each argument of a call has another type than before."""

    def wrong(part: Part) -> Part:
        if not isinstance(part, ToolCall):
            return part
        arguments = _parsed(part.arguments)
        if not isinstance(arguments, dict) or not arguments:
            return part
        others = {name: _other_type(value, rng) for name, value in arguments.items()}
        return replace(part, arguments=json.dumps(others, ensure_ascii=False))

    return _changed(choice, wrong)


def _unknown_tool(choice: Choice, rng: Random) -> Choice:
    """The first call is of a tool that nobody offered; without calls, one is added."""
    added = f"_{rng.getrandbits(32):08x}"
    parts = list(choice.parts)
    at = next((n for n, part in enumerate(parts) if isinstance(part, ToolCall)), None)
    if at is None:
        parts.append(ToolCall(f"unknown_tool{added}", "{}"))
    else:
        call = parts[at]
        assert isinstance(call, ToolCall)
        parts[at] = replace(call, name=call.name[:_LONGEST_NAME] + added)
    return replace(choice, parts=tuple(parts), finish="tool_calls", stopped_by="")


OUTPUTS: Mapping[str, Callable[[Choice, Random], Choice]] = MappingProxyType(
    {
        "empty": _empty,
        "truncated_json": _truncated_json,
        "fenced_json": _fenced_json,
        "wrong_types": _wrong_types,
        "unknown_tool": _unknown_tool,
    }
)
"""What spoils a choice, by name."""


def _changed(choice: Choice, change: Callable[[Part], Part]) -> Choice:
    parts = tuple(map(change, choice.parts))
    same = all(new is old for new, old in zip(parts, choice.parts, strict=True))
    return choice if same else replace(choice, parts=parts)


def _parsed(text: str) -> Any:
    """A JSON value; None where the text is none, or one too deep to be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_json(text: str) -> bool:
    """Whether it is an object or an array, of which no beginning is JSON as well."""
    return text.lstrip()[:1] in ("{", "[") and isinstance(_parsed(text), dict | list)


def _half(text: str) -> str:
    """The first half, with the opening bracket and without the closing one."""
    whole = text.strip()
    return whole[: len(whole) // 2]


def _other_type(value: object, rng: Random) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, list):
        return len(value)
    return rng.randrange(1_000)  # text or null


def twist(kind: str, rng: Random) -> Callable[[Choice], Choice]:
    """What a row of ``OUTPUTS`` does to each choice of a reply."""
    return lambda choice: OUTPUTS[kind](choice, rng)
