"""A YAML file as a person means it: plain data, and the line of every key and value.

Strategy: PyYAML scans and parses into events; the data is built here, so that nothing of
YAML 1.1 surprises. Numbers are those of JSON, ``true``, ``false`` and ``null`` are what they
say, everything else is text: ``on``, ``no``, ``12:30``, ``1_000``, ``010`` and dates stay as
written, and keys are always text. Refused: duplicate keys, anchors, aliases, tags, several
documents, and files too large, too deep or too full, so that no file exhausts memory or the
stack. This module knows nothing of settings or rules.
"""

from __future__ import annotations

import errno
import math
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from llmproxy.errors import SettingsError
from llmproxy.units import quote

YamlPath = tuple[str | int, ...]
"""The way to a value: keys of mappings and indexes of lists, ``("upstreams", "gw")``."""
Mark = tuple[int, int]
"""Line and column, both from 1."""

LARGEST_FILE = 1_000_000
"""Bytes of a file."""
DEEPEST = 64
"""Lists and mappings inside each other."""
MOST_VALUES = 100_000
"""Values in a file: each costs some hundred bytes for its mark."""
LONGEST_NUMBER = 18
"""Digits of a whole number: what fits into 64 bits."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTANTS: Mapping[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_UNREADABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")

_PLAIN_WORDS = (
    ("escape", "an escape that YAML does not know", "use single quotes: they keep backslashes"),
    ("scanning an alias", "a value begins with *", "put it in quotes"),
    ("scanning an anchor", "a value begins with &", "put it in quotes"),
    ("cannot start any token", "a value begins with a sign of YAML", "put it in quotes"),
    ("node content", "a sign of YAML where a value should be", "put the value in quotes"),
    ("sequence entries are not", "a list in the line of its key", "begin it in the next line"),
    ("document start", "a second document begins here", "leave one"),
    ("block mapping", "the line does not fit the lines above", "indent keys of one group alike"),
    ("block collection", "the line does not fit the list above", "indent its items alike"),
)
"""Part of PyYAML's or libyaml's words, what it means to a person, and the mend."""
_UNCLOSED = (
    ("could not find expected ':'", "a key without a colon", "write key: value, with the space"),
    ("scanning a quoted scalar", "a quote is opened here and never closed", "close it"),
    (
        "parsing a flow sequence",
        "a list [ is not closed or lacks a comma",
        "quote values with [ or {",
    ),
    (
        "parsing a flow mapping",
        "a mapping { is not closed or lacks a comma",
        "quote values with { or [",
    ),
)
"""The same for what went wrong where it was opened."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's data and where each part of it stands.

    ``data`` is made of dict, list, str, int, float, bool and None; ``marks`` holds the place
    of each value by its path, ``key_marks`` that of the key before it.
    """

    name: str
    data: object
    marks: Mapping[YamlPath, Mark]
    key_marks: Mapping[YamlPath, Mark]

    def mark(self, path: YamlPath, *, key: bool = False) -> Mark:
        """Where a value or its key stands, or the nearest thing around it."""
        if key and path in self.key_marks:
            return self.key_marks[path]
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, (1, 1))


def read(path: Path, name: str) -> Document:
    """Read and parse a file; errors call it ``name``.

    Raises:
        SettingsError: the file cannot be read, is too large, is not UTF-8 or is refused by
            ``parse``.
    """
    try:
        with open(path, "rb", opener=_open_regular) as file:  # Path.open has no opener
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"{name}: cannot be read: {reason}") from error
    if len(content) > LARGEST_FILE:
        raise SettingsError(f"{name}: is larger than 1 MB")
    try:
        return parse(content.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        before = content[: error.start]
        mark = (before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        _refuse(name, mark, "is not UTF-8 from here on", "save the file as UTF-8")


def _open_regular(path: str, flags: int) -> int:
    """Open a file that will not have us wait: a pipe without a writer would, for ever."""
    opened = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.EINVAL, "it is no regular file")
    return opened


def parse(text: str, name: str) -> Document:
    """Parse YAML; errors call it ``name``.

    Raises:
        SettingsError: ``name:line:column: what is wrong``, with a hint. The first error
            ends the reading.
    """
    return _parse(text, name, _LOADER)


def _parse(text: str, name: str, loader: Any) -> Document:
    if len(text) > LARGEST_FILE:
        raise SettingsError(f"{name}: is larger than 1 MB")
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        sign = f"the character U+{ord(unreadable.group()):04X} is not allowed"
        _refuse(name, _mark_at(text, unreadable.start()), sign, "remove it")
    builder = _Builder(name, yaml.parse(text, loader))
    try:
        data = builder.document()
    except yaml.MarkedYAMLError as error:
        _refuse_syntax(name, text, error)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The pure-Python parser lets a ValueError of its own through for "\U99999999".
        reason = " ".join(str(error).split())
        raise SettingsError(f"{name}: is not YAML: {reason[:100]}") from error
    return Document(name, data, builder.marks, builder.key_marks)


@dataclass(slots=True)
class _Builder:
    """Takes events one by one and makes data and marks of them."""

    name: str
    events: Iterator[Any]
    marks: dict[YamlPath, Mark] = field(default_factory=dict)
    key_marks: dict[YamlPath, Mark] = field(default_factory=dict)

    def document(self) -> object:
        data = None
        seen = False
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if seen:
                    self.refuse(event, "a second document begins here", "leave one")
                seen = True
                data = self.value((), next(self.events))
        return data

    def value(self, path: YamlPath, event: Any) -> object:
        self.check(event)
        self.marks[path] = _mark(event.start_mark)
        if len(self.marks) > MOST_VALUES:
            self.refuse(event, f"more than {MOST_VALUES:,} values", "divide the file")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if len(path) >= DEEPEST:
            self.refuse(event, f"more than {DEEPEST} levels inside each other", "nest less")
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        return self.mapping(path)

    def sequence(self, path: YamlPath) -> object:
        items: list[object] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.value((*path, len(items)), event))
        return items

    def mapping(self, path: YamlPath) -> object:
        mapping: dict[str, object] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            self.check(event)
            if not isinstance(event, yaml.ScalarEvent):
                self.refuse(
                    event, "a list or mapping stands as a key", "put a value with { or [ in quotes"
                )
            key = str(self.text(event))
            inside = (*path, key)
            if key in mapping:
                first = self.key_marks[inside][0]
                said = f"the key {quote(key)} stands already in line {first}"
                self.refuse(event, said, "leave one of the two")
            self.key_marks[inside] = _mark(event.start_mark)
            mapping[key] = self.value(inside, next(self.events))
        return mapping

    def check(self, event: Any) -> None:
        """Refuse what makes YAML more than data."""
        if isinstance(event, yaml.AliasEvent):
            self.refuse(
                event, "aliases (*) are not accepted", "write the value out, or put it in quotes"
            )
        if event.anchor is not None:
            self.refuse(
                event, "anchors (&) are not accepted", "write the value out, or put it in quotes"
            )
        if event.tag is not None:
            self.refuse(
                event, "tags (!) are not accepted", "leave it out, or put the value in quotes"
            )

    def scalar(self, event: Any) -> object:
        text = self.text(event)
        if event.style or not event.implicit[0]:
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        number = _NUMBER.fullmatch(text)
        if number is None:
            return text
        whole = not (number[1] or number[2])
        if not math.isfinite(float(text)) or (whole and len(text.lstrip("-")) > LONGEST_NUMBER):
            self.refuse(event, "a number too large", "put it in quotes to mean the digits")
        return int(text) if whole else float(text)

    def text(self, event: Any) -> str:
        text: str = event.value
        if not text.isascii() and _SURROGATE.search(text):
            self.refuse(event, "half of a surrogate pair", "write the character itself")
        return text

    def refuse(self, event: Any, said: str, hint: str) -> NoReturn:
        _refuse(self.name, _mark(event.start_mark), said, hint)


def _refuse_syntax(name: str, text: str, error: yaml.MarkedYAMLError) -> NoReturn:
    """Put the parser's complaint in plain words; a tab is named before anything else."""
    at = error.problem_mark or error.context_mark
    mark = _mark(at) if at else (1, 1)
    line = "".join(text.splitlines()[mark[0] - 1 : mark[0]])
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        tab = (mark[0], indent.index("\t") + 1)
        _refuse(name, tab, "a tab in the indentation", "write spaces")
    complaint = f"{error.context}: {error.problem}"
    if "mapping values are not allowed" in complaint:
        if ": " in line[: mark[1] - 1]:
            _refuse(name, mark, "a second colon in one line", "put the value in quotes")
        _refuse(
            name,
            (mark[0], len(indent) + 1),
            "this line continues the one above",
            "write key: value above, with the space, and indent both alike",
        )
    for part, said, hint in _PLAIN_WORDS:
        if part in complaint:
            _refuse(name, mark, said, hint)
    for part, said, hint in _UNCLOSED:
        if part in complaint and error.context_mark:
            _refuse(name, _mark(error.context_mark), said, hint)
    _refuse(name, mark, f"is not YAML: {error.problem}", "")


def _refuse(name: str, mark: Mark, said: str, hint: str) -> NoReturn:
    raise SettingsError(f"{place(name, mark)}: {said}", hint)


def place(name: str, mark: Mark) -> str:
    """``name:line:column``, as editors and terminals link it."""
    return f"{name}:{mark[0]}:{mark[1]}"


def _mark(mark: Any) -> Mark:
    return mark.line + 1, mark.column + 1


def _mark_at(text: str, index: int) -> Mark:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
