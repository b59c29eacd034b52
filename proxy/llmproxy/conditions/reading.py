"""Reads ``when``: the conditions of a rule, and what ``for`` of limits and faults is made of.

``places`` lists what can be looked at, ``matcher_kinds`` what it can be compared with, ``logic``
is what comes of it. Everything wrong in a ``when`` is found at once; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmproxy.conditions.condition import Condition
from llmproxy.conditions.implications import implies
from llmproxy.conditions.logic import Leaf, Not, all_of, any_of, describe
from llmproxy.conditions.matcher_kinds import DEEPEST, KINDS, MOST_MEMBERS
from llmproxy.conditions.matcher_reading import check_list, kind_schema, read_matcher
from llmproxy.conditions.places import ROWS, Place, Row
from llmproxy.findings import Finding, Path
from llmproxy.members import NO_VALUE, note, note_unknown
from llmproxy.units import quote

__all__ = ["describe", "implies", "read_when", "when_schema"]

MOST_REGEXES = 50
"""Regexes of one ``when``: each may take its time."""

_EXAMPLE = "{text: hello}"
_JOINING = {
    "all": "All of these conditions hold.",
    "any": "One of these conditions holds.",
    "not": "This condition does not hold.",
}
_NAMES = (*ROWS, *_JOINING)


def read_when(data: object, path: Path, found: list[Finding]) -> Condition | None:
    """The condition that a ``when`` means; None only where findings were added.

    Args:
        data: what stands at ``when:``; an empty mapping always holds.
        path: where that is.
        found: everything wrong is added here.
    """
    before = len(found)
    if (regexes := _count_regexes(data)) > MOST_REGEXES:
        said = f"has {regexes:,} regexes; at most {MOST_REGEXES}, a|b makes one of two"
        note(found, path, said)
        return None
    condition = _read(data, path, found, 0)
    return condition if len(found) == before else None


def _read(data: object, path: Path, found: list[Finding], depth: int) -> Condition | None:
    if depth > DEEPEST:
        note(found, path, f"is more than {DEEPEST} conditions deep")
    elif data is None:
        note(found, path, NO_VALUE)
    elif isinstance(data, list):
        note(found, path, "is a list; write all: or any: before it")
    elif not isinstance(data, Mapping):
        note(found, path, f"{quote(data)} is no condition; write {_EXAMPLE}")
    else:
        parts: list[Condition] = []
        for key, value in data.items():
            parts += _read_member(key, value, (*path, key), found, depth)
        return all_of(parts)
    return None


def _read_member(
    key: str, value: object, path: Path, found: list[Finding], depth: int
) -> list[Condition]:
    """The conditions that one key of a ``when`` means; none where it is wrong."""
    if row := ROWS.get(key):
        return _read_row(row, value, path, found)
    if key == "not":
        inner = _read(value, path, found, depth + 1)
        return [Not(inner)] if inner else []
    if key not in _JOINING:
        note_unknown(found, path, _NAMES, "no such condition")
        return []
    if not check_list(value, path, found, f"[{_EXAMPLE}]"):
        return []
    assert isinstance(value, list)
    read = [_read(one, (*path, n), found, depth + 1) for n, one in enumerate(value)]
    parts = [part for part in read if part]
    if not parts:
        return []
    return [any_of(parts) if key == "any" else all_of(parts)]


def _read_row(row: Row, data: object, path: Path, found: list[Finding]) -> list[Condition]:
    if row.bind is None:
        assert row.look is not None
        leaf = _read_leaf(row, None, Place(row.look, row.cost), data, path, found)
        return [leaf] if leaf else []
    if not isinstance(data, Mapping) or not data:
        note(found, path, NO_VALUE if data is None else f"takes names; write {row.example}")
        return []
    parts = []
    for name, value in data.items():
        try:
            place = row.bind(name)
        except ValueError as error:
            note(found, (*path, name), str(error), key=True)
            continue
        if leaf := _read_leaf(row, name, place, value, (*path, name), found):
            parts.append(leaf)
    return parts


def _read_leaf(
    row: Row, key: str | None, place: Place, data: object, path: Path, found: list[Finding]
) -> Condition | None:
    matcher = read_matcher(row.kind, data, path, found)
    if matcher is None:
        return None
    return Leaf(
        row.name,
        key,
        matcher,
        place.cost + matcher.cost,
        place.look,
        of_prompt=row.of_prompt,
        single=row.single,
        hidden=place.hidden,
        has_regex=matcher.cost > 0,
        written=data,
    )


def when_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON Schema of a ``when``: a node that refers to the second part, its ``$defs``."""
    itself = {"$ref": "#/$defs/when"}
    listed = {"type": "array", "items": itself, "minItems": 1, "maxItems": MOST_MEMBERS}
    joining = {
        name: {**(itself if name == "not" else listed), "description": about}
        for name, about in _JOINING.items()
    }
    rows = {row.name: {**_row_schema(row), "description": row.about} for row in ROWS.values()}
    when = {"type": "object", "properties": {**rows, **joining}, "additionalProperties": False}
    kinds = {f"when_{kind.name}": kind_schema(kind) for kind in KINDS}
    return itself, {"when": when, **kinds}


def _row_schema(row: Row) -> dict[str, Any]:
    kind = {"$ref": f"#/$defs/when_{row.kind.name}"}
    if row.bind is None:
        return kind
    return {"type": "object", "additionalProperties": kind, "minProperties": 1}


def _count_regexes(data: object) -> int:
    count, level = 0, [data]
    while level:
        each = level.pop()
        if isinstance(each, Mapping):
            count += "regex" in each
            level.extend(each.values())
        elif isinstance(each, list):
            level.extend(each)
    return count
