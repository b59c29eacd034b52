"""Reads what stands behind a condition's name into a matcher, and describes it to editors.

A plain value, a list of alternatives, or a mapping of tests that must all hold. Everything
wrong is found, not raised; nesting and lists are bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmproxy.conditions.matcher_kinds import DEEPEST, JSON, MAKERS, MOST_MEMBERS, Kind, Wrong
from llmproxy.conditions.matchers import AnyOf, Every, Matcher, NoneOf, One, Present, Test
from llmproxy.conditions.regexes import LONGEST_PATTERN
from llmproxy.findings import Finding, Path
from llmproxy.members import NO_VALUE, note, note_unknown


def read_matcher(kind: Kind, data: object, path: Path, found: list[Finding]) -> Matcher | None:
    """The matcher that ``data`` means; None only where findings were added."""
    before = len(found)
    matcher = _Reader(kind, found).any(data, path, kind.fold, 0)
    return matcher if len(found) == before else None


@dataclass(frozen=True, slots=True)
class _Reader:
    kind: Kind
    found: list[Finding]

    def any(self, data: object, path: Path, fold: bool, depth: int) -> Matcher | None:
        if depth > DEEPEST:
            note(self.found, path, f"is more than {DEEPEST} matchers deep")
        elif isinstance(data, Mapping) and self.kind.keys:
            return self.mapping(data, path, fold, depth)
        elif isinstance(data, list) and self.kind.keys:
            return self.alternatives(data, path, fold, depth)
        elif isinstance(data, Mapping | list):
            note(self.found, path, f"takes {self.kind.takes}")
        elif test := self.test(self.kind.plain, data, path, fold):
            return One(test)
        return None

    def test(self, make: Any, data: object, path: Path, fold: bool) -> Test | None:
        try:
            test: Test = make(self.kind, data, fold)
        except Wrong as wrong:
            self.found.append(Finding(path, key=False, say=wrong.say))
            return None
        return test

    def alternatives(self, data: object, path: Path, fold: bool, depth: int) -> Matcher | None:
        if not check_list(data, path, self.found, "[this, that]"):
            return None
        assert isinstance(data, list)
        parts = [self.any(one, (*path, n), fold, depth + 1) for n, one in enumerate(data)]
        return AnyOf(tuple(part for part in parts if part))

    def mapping(
        self, data: Mapping[str, object], path: Path, fold: bool, depth: int
    ) -> Matcher | None:
        """What the members of a mapping mean together; None where one is wrong."""
        before = len(self.found)
        fold = self.flag(data, path, "ignore_case", fold)
        tests: list[Test | None] = []
        rest: list[Matcher | None] = []
        for key, value in data.items():
            where = (*path, key)
            if key not in self.kind.keys:
                self.unknown(where)
            elif key == "any_of":
                rest.append(self.alternatives(value, where, fold, depth))
            elif key == "not":
                inner = self.any(value, where, fold, depth + 1)
                rest.append(NoneOf(inner) if inner else None)
            elif key == "present":
                rest.append(Present(self.flag(data, path, "present", False)))
            elif key != "ignore_case":
                tests.append(self.test(MAKERS[key], value, where, fold))
        if len(self.found) == before:
            self.check_sense(data, path, tests)
        if len(self.found) > before:
            return None
        return _joined([test for test in tests if test], [part for part in rest if part])

    def flag(self, data: Mapping[str, object], path: Path, key: str, default: bool) -> bool:
        value = data.get(key, default) if key in self.kind.keys else default
        if isinstance(value, bool):
            return value
        note(self.found, (*path, key), "takes true or false" if value is not None else NO_VALUE)
        return default

    def unknown(self, path: Path) -> None:
        said = f"no such test of {self.kind.takes}"
        if self.kind is JSON:
            said += " (write equals: for a whole object)"
        note_unknown(self.found, path, self.kind.keys, said)

    def check_sense(self, data: Mapping[str, object], path: Path, tests: list[Any]) -> None:
        """Find mappings that say nothing, and those that nothing can fit."""
        if not data or list(data) == ["ignore_case"]:
            note(self.found, path, f"says nothing to compare with; write {self.kind.takes}")
        elif data.get("present") is False and (tests or "any_of" in data):
            note(self.found, (*path, "present"), "false leaves nothing that could fit the others")


def _joined(tests: list[Test], rest: list[Matcher]) -> Matcher:
    if len(tests) == 1 and not rest:
        return One(tests[0])
    if not tests and len(rest) == 1:
        return rest[0]
    tests.sort(key=lambda test: test.cost)
    rest.sort(key=lambda part: part.cost)
    return Every(tuple(tests), tuple(rest))


def check_list(data: object, path: Path, found: list[Finding], example: str) -> bool:
    """Whether it is a list with 1 to 1,000 members; else a finding."""
    if data is None:
        note(found, path, NO_VALUE)
    elif not isinstance(data, list):
        note(found, path, f"takes a list; write {example}")
    elif not data:
        note(found, path, f"is an empty list, which nothing fits; write {example}")
    elif len(data) > MOST_MEMBERS:
        note(found, path, f"has {len(data):,} members; at most {MOST_MEMBERS:,}")
    else:
        return True
    return False


def kind_schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema of a kind, which refers to itself as ``#/$defs/when_<name>``."""
    if not kind.keys:
        return dict(kind.schema)
    itself = {"$ref": f"#/$defs/when_{kind.name}"}
    members = {key: _member_schema(kind, key) for key in kind.keys}
    mapping = {
        "type": "object",
        "properties": members,
        "additionalProperties": False,
        "minProperties": 1,
        "not": {"required": ["ignore_case"], "maxProperties": 1},
    }
    return {"anyOf": [dict(kind.schema), _listed(itself), mapping]}


def _member_schema(kind: Kind, key: str) -> dict[str, Any]:
    itself = {"$ref": f"#/$defs/when_{kind.name}"}
    if key in ("present", "ignore_case"):
        return {"type": "boolean"}
    if key == "any_of":
        return _listed(itself)
    if key == "not":
        return itself
    if key == "equals":
        return {} if kind is JSON else dict(kind.schema)
    if key == "regex":
        return {"type": "string", "maxLength": LONGEST_PATTERN}
    return {"type": "number" if key in ("lt", "le", "gt", "ge") else ["string", "integer"]}


def _listed(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": 1, "maxItems": MOST_MEMBERS}
