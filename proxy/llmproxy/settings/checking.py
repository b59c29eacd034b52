"""Checks what a source says against the settings and tells every problem in plain words.

Strategy: pydantic finds the problems, this module has the words: none of pydantic's own
reaches a person. Values that may be secret are not quoted. pydantic is imported inside the
functions. This module knows no files, variables or flags and no setting by its name.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmproxy.findings import Finding, Path, dotted, nearest
from llmproxy.kinds import Kind
from llmproxy.settings.catalogue import names_beside
from llmproxy.units import quote

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

_SENTENCES = {
    "bool_type": "{} is neither true nor false",
    "bool_parsing": "{} is neither true nor false",
    "string_type": "{} is not text; put it in quotes",
    "tuple_type": "{} is not a list; write [a, b]",
    "dict_type": "{} is not a mapping; write name: value, indented below it",
    "dataclass_type": "{} is not a group; write its settings indented below it",
}
"""What pydantic's error types mean; ``{}`` stands for the value."""


@dataclass(frozen=True, slots=True)
class Checker:
    """What data is checked against.

    Args:
        model: the dataclass of all settings.
        names: dotted names of all settings.
        kinds: kinds of texts by dotted name without indexes, where ``model`` names none.
        unquoted: groups whose values may be secrets.
    """

    model: Any
    names: Collection[str]
    kinds: Mapping[str, Kind]
    unquoted: Collection[str]

    def check(self, data: Mapping[str, object]) -> tuple[Any, list[Finding]]:
        """An instance of the model, or None and all that is wrong."""
        from pydantic import ValidationError  # noqa: PLC0415 - help texts need no pydantic

        findings = list(self._check_kinds(data, ()))
        try:
            checked = adapter(self.model).validate_python(data)
        except ValidationError as error:
            findings.extend(map(self._translate, error.errors(include_url=False)))
            return None, findings
        return (None if findings else checked), findings

    def _check_kinds(self, data: object, path: Path) -> Iterator[Finding]:
        if isinstance(data, Mapping | list):
            pairs = data.items() if isinstance(data, Mapping) else enumerate(data)
            for key, value in pairs:
                yield from self._check_kinds(value, (*path, key))
        elif isinstance(data, str):
            kind = self.kinds.get(_without_indexes(path))
            try:
                if kind and any(isinstance(part, int) for part in path):
                    kind.read(data)
            except ValueError as error:
                yield Finding(path, key=False, say=functools.partial(str, error))

    def _translate(self, details: ErrorDetails) -> Finding:
        path, type_ = details["loc"], details["type"]
        if type_ == "unexpected_keyword_argument":
            return Finding(path, key=True, say=functools.partial(self._unknown, path))
        say = functools.partial(self._sentence, path, type_, details)
        if path[-1:] == ("[key]",):
            return Finding(path[:-1], key=True, say=say)
        return Finding(path, key=False, say=say)

    def _sentence(self, path: Path, type_: str, details: ErrorDetails) -> str:
        if type_ == "missing":
            return "is missing"
        if details["input"] is None:
            return "has no value; write one or remove the line"
        if type_ == "value_error":
            return str(details["ctx"]["error"])
        value = "the value" if path[0] in self.unquoted else quote(details["input"])
        if type_ == "literal_error":
            return f"{value} is none of {_choices(details)}"
        if type_ == "dataclass_type" and isinstance(path[-1], int):
            names = names_beside(self.model, path)
            return f"{value} is not a group of {' and '.join(names)}"
        return _SENTENCES.get(type_, "{} does not fit").format(value)

    def _unknown(self, path: Path) -> str:
        """The nearest name in the same group, else the same name in another."""
        key = str(path[-1])
        if key in self.names:
            return f"no such setting; write it in steps: {key.replace('.', ': ')}: ..."
        if close := nearest(key, names_beside(self.model, path[:-1])):
            return f"no such setting; did you mean {dotted((*path[:-1], close))}?"
        elsewhere = {name.rpartition(".")[2]: name for name in self.names}
        if close := nearest(key, elsewhere):
            return f"no such setting; did you mean {elsewhere[close]}?"
        return "no such setting"


@functools.cache
def adapter(model: Any) -> TypeAdapter[Any]:
    """What pydantic makes of a dataclass, built once."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - help texts need no pydantic

    return TypeAdapter(model)


def _choices(details: ErrorDetails) -> str:
    choices = re.findall("'([^']*)'", details["ctx"]["expected"])
    value = details["input"]
    close = nearest(value, choices) if isinstance(value, str) else None
    return ", ".join(choices) + (f"; did you mean {close}?" if close else "")


def _without_indexes(path: Path) -> str:
    return ".".join(part for part in path if isinstance(part, str))
