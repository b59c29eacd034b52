"""A reply in neutral words, as a rule writes it: a text, or the members of a script.

What the members mean is read where a request's own ``mock_response`` is read; here its errors
find their place, and what a person easily gets wrong is said with the mend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from llmproxy.findings import Finding, Path
from llmproxy.members import NO_VALUE, check_members, note
from llmproxy.rules import templates
from llmproxy.rules.rule import Said
from llmproxy.rules.templates import Template, TemplateError
from llmproxy.schemas.values import Impossible, make
from llmproxy.synthesis.scripted import Script, ScriptError, read_script
from llmproxy.units import quote

MEMBERS = (
    "text", "template", "reasoning", "refusal", "tool_calls", "finish", "usage", "error",
    "stream_error", "after_chunks", "echo", "json_schema",
)  # fmt: skip
USAGE = ("input_tokens", "output_tokens")
CALL = ("name", "arguments", "id", "custom")
ERROR = ("status", "message", "type", "code", "param", "headers", "retry_after", "times")
STREAM_ERROR = (*ERROR, "after_chunks")

_MEMBERS_OF: Mapping[str, tuple[str, ...]] = {
    "usage": USAGE,
    "error": ERROR,
    "stream_error": STREAM_ERROR,
}
BESIDE_TEMPLATE = ("text", "echo", "json_schema")
"""Who else would say the text."""


def read_said(data: Mapping[str, object], path: Path, found: list[Finding]) -> Said | None:
    """A reply of neutral members; None and findings where it cannot be.

    Its text stands as it is written, whatever the request says of lengths and stops.
    """
    before = len(found)
    template = None
    if "template" in data:
        for name in BESIDE_TEMPLATE:
            if name in data:
                note(found, (*path, name), "stands beside template; leave one of the two", key=True)
        template = read_template(data["template"], (*path, "template"), found)
    script = read_members({key: data[key] for key in data if key != "template"}, path, found)
    if script is None or len(found) > before:
        return None
    return Said(replace(script, uncut=True), template)


def read_members(data: Mapping[str, object], path: Path, found: list[Finding]) -> Script | None:
    """The script of neutral members; None and findings where it cannot be."""
    before = len(found)
    for name, value in data.items():
        _check(name, value, (*path, name), found)
    if "after_chunks" in data and "stream_error" not in data:
        said = "says where stream_error comes; write stream_error: beside it"
        note(found, (*path, "after_chunks"), said, key=True)
    if len(found) > before:
        return None
    try:
        return read_script(data)
    except ScriptError as error:
        place, value, said = _locate(str(error), data)
        if said == "must be a text" and isinstance(value, bool | int | float):
            said = f"{quote(value)} is not text; put it in quotes"
        note(found, (*path, *place), said)
        return None


def read_template(data: object, path: Path, found: list[Finding]) -> Template | None:
    """A template; None and a finding where it cannot be."""
    if data is None:
        note(found, path, NO_VALUE)
    elif not isinstance(data, str):
        note(found, path, f"{quote(data)} is not text; put it in quotes")
    else:
        try:
            return templates.parse(data)
        except TemplateError as error:
            note(found, path, str(error))
    return None


def check_headers(data: object, path: Path, found: list[Finding]) -> None:
    """Find values that YAML reads as numbers, which headers are most often."""
    for name, value in data.items() if isinstance(data, Mapping) else ():
        if value is None:
            note(found, (*path, name), NO_VALUE)
        elif isinstance(value, bool | int | float):
            note(found, (*path, name), f"{quote(value)} is not text; put it in quotes")


def _check(name: str, value: object, path: Path, found: list[Finding]) -> None:
    """Find unknown names inside a member, and names without a value."""
    if value is None:
        note(found, path, NO_VALUE)
    elif name == "json_schema" and isinstance(value, Mapping):
        _check_schema(value, path, found)
    elif isinstance(value, Mapping) and name in _MEMBERS_OF:
        check_members(value, path, _MEMBERS_OF[name], found)
        if name != "usage":
            check_headers(value.get("headers"), (*path, "headers"), found)
    elif name == "tool_calls" and isinstance(value, list):
        for number, call in enumerate(value):
            if isinstance(call, Mapping):
                check_members(call, (*path, number), CALL, found)


def _check_schema(schema: Mapping[str, object], path: Path, found: list[Finding]) -> None:
    """Find a schema that no made-up value fits."""
    try:
        make(schema, Random(0))  # noqa: S311  # any value will do
    except Impossible as error:
        note(found, path, f"no value can be made for it: {error}")


def _locate(message: str, data: object) -> tuple[Path, object, str]:
    """The place, value and sentence of ``error.headers.x: sentence``.

    The way is followed in the data itself: a key may hold dots, brackets and colons.
    """
    place: Path = ()
    rest = message
    while True:
        step = _step(rest, data)
        if step is None:
            return place, data, rest.partition(": ")[2] or rest
        key, data, rest = step
        place = (*place, key)


def _step(rest: str, data: object) -> tuple[str | int, object, str] | None:
    if isinstance(data, Mapping):
        rest = rest.removeprefix(".")
        for key in sorted(data, key=len, reverse=True):
            if rest.startswith(key) and rest[len(key) : len(key) + 1] in (".", "[", ":"):
                return key, data[key], rest[len(key) :]
    elif isinstance(data, list) and rest.startswith("["):
        number, _, after = rest[1:].partition("]")
        if number.isdecimal() and int(number) < len(data):
            return int(number), data[int(number)], after
    return None
