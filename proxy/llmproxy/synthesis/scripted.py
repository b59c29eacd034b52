"""A reply as somebody wrote it: in a request's ``mock_response``, neutral for every dialect.

Strategy: a text is a reply; an object says more: text, reasoning, refusal, tool calls, why it
ends, what it costs, or the error that it is. What cannot be is refused with the name of the
member. Nothing here knows a wire format or where the script came from.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from llmproxy.answer import Finish, Part, Reasoning, Refusal, Text, ToolCall, size_of
from llmproxy.interaction import Headers, Problem
from llmproxy.synthesis.problems import problem_of

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\t\x20-\x7e]{0,1000}")
_MEMBERS = (
    "text", "reasoning", "refusal", "tool_calls", "finish", "usage", "error", "stream_error",
    "after_chunks", "echo", "json_schema",
)  # fmt: skip
_OURS = re.compile(
    "(?:host|content-length|content-encoding|transfer-encoding|connection|keep-alive|upgrade"
    "|te|trailer|x-llmproxy-.*)",
    re.IGNORECASE,
)
"""Headers that are HTTP's between two hosts, and those that say where a reply is from."""


class ScriptError(ValueError):
    """The script says what cannot be; the message names the member, such as ``error.status``."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that a script asks for.

    ``times`` is how many equal requests it answers; None: all. ``headers`` are added.
    """

    problem: Problem
    headers: Headers = ()
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """What a reply shall be.

    Attributes:
        parts: in order; empty where nothing is said of them.
        finish: None: by the parts.
        input_tokens, output_tokens: what usage shall say; None: what is counted.
        echo: say what the user said.
        schema: say JSON that fits it, or the one that the request asks for.
        uncut: stands as it is written, whatever the request says of its length and its end.
        error: answer with it instead.
        stream_error: break a stream with it after ``after_chunks`` chunks with content.
    """

    parts: tuple[Part, ...] = ()
    finish: Finish | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    echo: bool = False
    schema: Mapping[str, Any] | Literal["request"] | None = None
    uncut: bool = False
    error: Failure | None = None
    stream_error: Failure | None = None
    after_chunks: int = 0

    @property
    def size(self) -> int:
        """The characters of what it says."""
        return size_of(self.parts)


def read_script(value: object) -> Script:
    """A script from a text or an object.

    Raises:
        ScriptError: it is neither, or a member is wrong.
    """
    if isinstance(value, str):
        return Script((Text(value),))
    if not isinstance(value, Mapping):
        raise ScriptError("must be a text or an object")
    for name in value:
        if name not in _MEMBERS:
            raise ScriptError(f"{name}: no such member; there are {', '.join(_MEMBERS)}")
    usage = _mapping(value, "usage")
    return Script(
        parts=tuple(_parts(value)),
        finish=_finish(value.get("finish")),
        input_tokens=_whole(usage, "usage.input_tokens"),
        output_tokens=_whole(usage, "usage.output_tokens"),
        echo=_flag(value, "echo"),
        schema=_schema(value.get("json_schema")),
        error=_failure(value, "error"),
        stream_error=_failure(value, "stream_error"),
        after_chunks=_after_chunks(value),
    )


def _parts(value: Mapping[str, Any]) -> list[Part]:
    parts: list[Part] = []
    if (reasoning := _text(value, "reasoning")) is not None:
        parts.append(Reasoning(reasoning))
    if (text := _text(value, "text")) is not None:
        parts.append(Text(text))
    if (refusal := _text(value, "refusal")) is not None:
        parts.append(Refusal(refusal))
    calls = value.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        raise ScriptError("tool_calls: must be a list")
    parts += [_call(call, f"tool_calls[{number}]") for number, call in enumerate(calls or ())]
    return parts


def _call(value: object, place: str) -> ToolCall:
    """``arguments`` that are a text stand as they are, so that broken ones can be told too."""
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ScriptError(f"{place}: must be an object with name and arguments")
    unknown = sorted(set(value) - {"name", "arguments", "id", "custom"})
    if unknown:
        raise ScriptError(f"{place}.{unknown[0]}: no such member; there are name, arguments, id")
    arguments = value.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    id = value.get("id", "")
    if not isinstance(id, str):
        raise ScriptError(f"{place}.id: must be a text")
    return ToolCall(value["name"], arguments, id, value.get("custom") is True)


def _failure(value: Mapping[str, Any], name: str) -> Failure | None:
    said = value.get(name)
    if said is None:
        return None
    if isinstance(said, int):
        said = {"status": said}
    if isinstance(said, str):
        said = {"message": said}
    if not isinstance(said, Mapping):
        raise ScriptError(f"{name}: must be an object with status and message")
    known = ["status", "message", "type", "code", "param", "headers", "retry_after", "times"]
    if name == "stream_error":
        known.append("after_chunks")
    for member in said:
        if member not in known:
            raise ScriptError(f"{name}.{member}: no such member; there are {', '.join(known)}")
    status = said.get("status", 500)
    if type(status) is not int or not 400 <= status <= 599:
        raise ScriptError(f"{name}.status: must be a number from 400 to 599")
    problem = problem_of(
        status,
        _text(said, f"{name}.message"),
        _text(said, f"{name}.type"),
        _text(said, f"{name}.code"),
        _text(said, f"{name}.param"),
        _seconds(said, f"{name}.retry_after"),
    )
    return Failure(problem, read_headers(said, f"{name}.headers"), _whole(said, f"{name}.times"))


def _after_chunks(value: Mapping[str, Any]) -> int:
    """In ``stream_error``, or beside it."""
    beside, failing = _whole(value, "after_chunks"), value.get("stream_error")
    if beside is None and isinstance(failing, Mapping):
        return _whole(failing, "stream_error.after_chunks") or 0
    return beside or 0


def read_headers(value: Mapping[str, Any], place: str) -> Headers:
    """The header lines in the last member of ``place``, each of which a reply may set.

    Raises:
        ScriptError: one cannot be set.
    """
    lines = _mapping(value, place)
    for name, text in lines.items():
        if not _HEADER.fullmatch(name) or _OURS.fullmatch(name):
            raise ScriptError(f"{place}: {name[:40]!r} cannot be set")
        if not isinstance(text, str) or not _VALUE.fullmatch(text):
            raise ScriptError(f"{place}.{name}: must be one line of printable ASCII")
    return tuple(lines.items())


def _schema(value: object) -> Mapping[str, Any] | Literal["request"] | None:
    if value is None or value == "request" or isinstance(value, Mapping):
        return value
    raise ScriptError("json_schema: must be a JSON Schema, or the word request")


def _finish(value: object) -> Finish | None:
    if value is None:
        return None
    if value not in get_args(Finish):
        raise ScriptError(f"finish: must be one of {', '.join(get_args(Finish))}")
    return value  # type: ignore[return-value]  # it is one of them


def _mapping(value: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    found = value.get(place.rpartition(".")[2])
    if found is not None and not isinstance(found, Mapping):
        raise ScriptError(f"{place}: must be an object")
    return found or {}


def _text(value: Mapping[str, Any], place: str) -> str | None:
    found = value.get(place.rpartition(".")[2])
    if found is not None and not isinstance(found, str):
        raise ScriptError(f"{place}: must be a text")
    return found


def _flag(value: Mapping[str, Any], place: str) -> bool:
    found = value.get(place, False)
    if not isinstance(found, bool):
        raise ScriptError(f"{place}: must be true or false")
    return found


def _whole(value: Mapping[str, Any], place: str) -> int | None:
    found = value.get(place.rpartition(".")[2])
    if found is not None and (type(found) is not int or not 0 <= found < 2**53):
        raise ScriptError(f"{place}: must be a whole number")
    return found


def _seconds(value: Mapping[str, Any], place: str) -> float | None:
    found = value.get(place.rpartition(".")[2])
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ScriptError(f"{place}: must be a number of seconds")
    if not math.isfinite(found) or not 0 <= found < 10**9:
        raise ScriptError(f"{place}: must be a number of seconds")
    return float(found)
