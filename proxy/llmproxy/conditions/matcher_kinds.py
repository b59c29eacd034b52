"""The kinds of matchers, and what may stand in each: texts, names, numbers, words, JSON values.

Each kind is one row of ``KINDS``: reader and JSON Schema are made from it. A maker of a test
raises ``Wrong`` with the sentence for the person who wrote the value.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llmproxy.conditions.globs import is_literal, parse_glob
from llmproxy.conditions.matchers import (
    NUMBER_VERBS,
    TEXT_VERBS,
    GlobTest,
    JsonTest,
    NumberTest,
    RegexTest,
    Test,
    TextTest,
    is_number,
)
from llmproxy.conditions.regexes import compile_regex
from llmproxy.dialects import DIALECTS
from llmproxy.findings import nearest
from llmproxy.members import NO_VALUE
from llmproxy.units import quote

MOST_MEMBERS = 1_000
"""Members of one list."""
DEEPEST = 20
"""Conditions, or matchers, inside each other."""
_LONGEST_GLOB = 2_000
_DEEPEST_VALUE = 64
_MOST_WORDS = 6


class Wrong(Exception):
    """A value that cannot be; ``say`` gives the sentence when it is shown."""

    def __init__(self, say: str | Callable[[], str]) -> None:
        super().__init__()
        self.say = functools.partial(str, say) if isinstance(say, str) else say


Maker = Callable[["Kind", object, bool], Test]
"""Makes a test of a written value; the bool says that case does not matter. Raises Wrong."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of matcher.

    Attributes:
        name: its schema is ``when_<name>``.
        takes: what a plain value is, in words.
        plain: makes the test of a plain value.
        keys: what may stand in a mapping; without any, neither mapping nor list is read.
        schema: of a plain value.
        words: the only values that there are, and the noun for one.
        fold: case never matters.
    """

    name: str
    takes: str
    plain: Maker
    keys: tuple[str, ...]
    schema: Mapping[str, Any]
    words: tuple[str, ...] = ()
    noun: str = ""
    fold: bool = False


def _text(value: object) -> str:
    """A text, or a whole number as the text that was written."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None:
        raise Wrong(NO_VALUE)
    raise Wrong(f"{quote(value)} is no text; put it in quotes")


def _make_text(verb: str, _kind: Kind, value: object, fold: bool) -> Test:
    text = _text(value)
    return TextTest(TEXT_VERBS[verb], text.casefold() if fold else text, fold, text)


_make_exact = functools.partial(_make_text, "equals")


def _make_equal(kind: Kind, value: object, fold: bool) -> Test:
    """``equals`` for any kind: what a plain value means, but never a glob."""
    if kind.plain is not _make_glob:
        return kind.plain(kind, value, fold)
    return (_make_word if kind.words else _make_exact)(kind, value, fold)


def _make_glob(kind: Kind, value: object, fold: bool) -> Test:
    text = _text(value)
    if is_literal(text):
        return _make_equal(kind, text, fold)
    if len(text) > _LONGEST_GLOB:
        raise Wrong(f"the glob has {len(text):,} characters; at most {_LONGEST_GLOB:,}")
    return GlobTest(parse_glob(text.casefold() if fold else text), fold, text)


def _make_regex(_kind: Kind, value: object, fold: bool) -> Test:
    text = _text(value)
    try:
        return RegexTest(compile_regex(text, ignore_case=fold), text, fold)
    except ValueError as error:
        raise Wrong(str(error)) from None


def _make_number(verb: str, _kind: Kind, value: object, _fold: bool) -> Test:
    if value is None:
        raise Wrong(NO_VALUE)
    if not is_number(value) or (isinstance(value, float) and math.isnan(value)):
        raise Wrong(f"{quote(value)} is no number; write it as 2 or 0.5, without quotes")
    assert isinstance(value, int | float)
    return NumberTest(NUMBER_VERBS[verb], value)


def _make_json(kind: Kind, value: object, fold: bool) -> Test:
    if isinstance(value, str):
        return _make_exact(kind, value, fold)
    if is_number(value):
        return _make_number("equals", kind, value, fold)
    _check_json(value)
    write = functools.partial(json.dumps, value, sort_keys=True, separators=(",", ":"))
    text = write(ensure_ascii=False)
    return JsonTest(value, text if text.isprintable() else write())


def _check_json(value: object) -> None:
    """Refuse what is no JSON value, or one so deep that writing it would end in an error."""
    level = [value]
    for _ in range(_DEEPEST_VALUE):
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                if not all(isinstance(key, str) for key in each):
                    raise Wrong("the keys of a JSON object are texts; put them in quotes")
                inner.extend(each.values())
            elif isinstance(each, list):
                inner.extend(each)
            elif not isinstance(each, str | int | float | None):
                raise Wrong(f"{type(each).__name__} is no JSON value")
        level = inner
        if not level:
            return
    raise Wrong(f"is more than {_DEEPEST_VALUE} lists and mappings deep")


def _make_flag(_kind: Kind, value: object, _fold: bool) -> Test:
    if isinstance(value, bool):
        return JsonTest(value, "true" if value else "false")
    raise Wrong(NO_VALUE if value is None else f"{quote(value)} is neither true nor false")


def _make_word(kind: Kind, value: object, fold: bool) -> Test:
    text = _text(value)
    if (text.casefold() if fold else text) not in kind.words:
        raise Wrong(functools.partial(_no_such_word, kind, text))
    return _make_exact(kind, text, fold)


def _no_such_word(kind: Kind, text: str) -> str:
    if close := nearest(text.lower(), kind.words):
        return f"{quote(text)} is no {kind.noun}; did you mean {close}?"
    more = ["…"] if len(kind.words) > _MOST_WORDS else []
    shown = ", ".join([*kind.words[:_MOST_WORDS], *more])
    return f"{quote(text)} is no {kind.noun}; there are {shown}"


MAKERS: Mapping[str, Maker] = {
    "equals": _make_equal,
    "glob": _make_glob,
    "regex": _make_regex,
    **{
        name: functools.partial(_make_text, name)
        for name in ("contains", "starts_with", "ends_with")
    },
    **{name: functools.partial(_make_number, name) for name in ("lt", "le", "gt", "ge")},
}
"""What makes the test of each key of a mapping that is one."""

_JOINING = ("any_of", "not")
_OF_TEXT = ("contains", "starts_with", "ends_with", "regex", "glob", "ignore_case")
_OF_NUMBER = ("lt", "le", "gt", "ge")
_TEXT_KEYS = ("equals", *_OF_TEXT, *_JOINING)
_TEXT_SCHEMA = {"type": ["string", "integer"]}
_DIALECTS = tuple(dialect.name for dialect in DIALECTS)
_OPERATIONS = tuple(each.name for dialect in DIALECTS for each in dialect.operations)
_DIALECT_SCHEMA = {
    "anyOf": [{"enum": [*_DIALECTS, *_OPERATIONS]}, {"type": "string", "pattern": "[*?]"}]
}


def _words(name: str, noun: str, *words: str) -> Kind:
    schema = {"enum": list(words)}
    takes = f"one of {', '.join(words)}"
    return Kind(name, takes, _make_word, ("equals", *_JOINING), schema, words, noun)


TEXT = Kind("text", "a text", _make_exact, _TEXT_KEYS, _TEXT_SCHEMA)
VALUE = Kind("value", "a text", _make_exact, (*_TEXT_KEYS, "present"), _TEXT_SCHEMA)
NAME = Kind("name", "a name, in which * is any characters", _make_glob, _TEXT_KEYS, _TEXT_SCHEMA)
METHOD = Kind("method", "a method", _make_glob, _TEXT_KEYS, _TEXT_SCHEMA, fold=True)
DIALECT = Kind(
    "dialect",
    "a dialect or an operation",
    _make_glob,
    _TEXT_KEYS,
    _DIALECT_SCHEMA,
    (*_DIALECTS, *_OPERATIONS),
    "dialect or operation",
)
NUMBER = Kind(
    "number",
    "a number",
    functools.partial(_make_number, "equals"),
    ("equals", *_OF_NUMBER, *_JOINING),
    {"type": "number"},
)
COUNT = Kind("count", "a number", NUMBER.plain, (*NUMBER.keys, "present"), {"type": "number"})
FLAG = Kind("flag", "true or false", _make_flag, (), {"type": "boolean"})
JSON = Kind(
    "json",
    "a JSON value",
    _make_json,
    (*_TEXT_KEYS, *_OF_NUMBER, "present"),
    {"type": ["string", "number", "boolean", "null"]},
)
FORMAT = _words("format", "format", "text", "json", "json_schema")
TOOL_CHOICE = _words("tool_choice", "tool choice", "auto", "none", "required")
KINDS = (TEXT, VALUE, NAME, METHOD, DIALECT, NUMBER, COUNT, FLAG, JSON, FORMAT, TOOL_CHOICE)
