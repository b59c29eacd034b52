"""Reads ``for``: whom a fault is for. It is a ``when`` of rules in which ``endpoint`` may stand.

``endpoint`` is another word for ``dialect``, whose operations may be written with hyphens
(``anthropic-messages``). It is translated before conditions are read, and what is wrong is told
where it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmproxy.conditions.condition import Condition
from llmproxy.conditions.matcher_kinds import DEEPEST, DIALECT
from llmproxy.conditions.places import ROWS
from llmproxy.conditions.reading import read_when, when_schema
from llmproxy.findings import Finding, Path
from llmproxy.members import note, note_unknown

ENDPOINT = "endpoint"
_MEANT = "dialect"
_JOINING = ("all", "any", "not")
NAMES = (*ROWS, ENDPOINT, *_JOINING)
"""All that may stand in a ``for``."""


def read_for(data: object, path: Path, found: list[Finding]) -> Condition | None:
    """The condition that a ``for`` means; None only where findings were added.

    Args:
        data: what stands at ``for:``; an empty mapping always holds.
        path: where that is.
        found: everything wrong is added here.
    """
    before = len(found)
    translated = _translated(data, path, found, 0)
    inside: list[Finding] = []
    condition = read_when(translated, path, inside)
    found += [replace(each, path=_as_written(each.path, len(path), data)) for each in inside]
    return condition if len(found) == before else None


def _translated(data: object, path: Path, found: list[Finding], depth: int) -> object:
    """The ``when`` of the same meaning, without keys that are no conditions."""
    if not isinstance(data, Mapping) or depth > DEEPEST:
        return data
    when: dict[str, object] = {}
    for key, value in data.items():
        inside = (*path, key)
        if key not in NAMES:
            note_unknown(found, inside, NAMES, "no such condition")
        elif key == ENDPOINT and _MEANT in data:
            note(found, inside, f"stands beside {_MEANT}; leave one of the two", key=True)
        elif key == ENDPOINT:
            when[_MEANT] = _underscored(value, 0)
        elif key in _JOINING and isinstance(value, list):
            listed = enumerate(value)
            when[key] = [_translated(one, (*inside, n), found, depth + 1) for n, one in listed]
        elif key in _JOINING:
            when[key] = _translated(value, inside, found, depth + 1)
        else:
            when[key] = value
    return when


def _underscored(data: object, depth: int) -> object:
    """Names of operations as they are known; a regex may have hyphens of its own."""
    if isinstance(data, str):
        return data.replace("-", "_")
    if depth > DEEPEST:
        return data
    if isinstance(data, list):
        return [_underscored(each, depth + 1) for each in data]
    if isinstance(data, Mapping):
        return {
            key: value if key == "regex" else _underscored(value, depth + 1)
            for key, value in data.items()
        }
    return data


def _as_written(path: Path, start: int, data: object) -> Path:
    """The path with ``endpoint`` where that is what stands in the data."""
    steps: list[str | int] = []
    for step in path[start:]:
        steps.append(step)
        if isinstance(data, Mapping):
            if step == _MEANT and step not in data:
                steps[-1] = ENDPOINT
            data = data.get(steps[-1])
        elif isinstance(data, list) and isinstance(step, int):
            data = data[step]
    return (*path[:start], *steps)


def for_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON Schema of a ``for``: a node that refers to the second part, its ``$defs``."""
    node, definitions = when_schema()
    itself = {"$ref": "#/$defs/for"}
    when = definitions.pop("when")
    properties = {
        name: _retargeted(each, node, itself) for name, each in when["properties"].items()
    }
    endpoint = {"$ref": "#/$defs/for_endpoint"}
    properties[ENDPOINT] = {**endpoint, "description": "Which operation it is, also with hyphens."}
    hyphened = [name.replace("_", "-") for name in DIALECT.words if "_" in name]
    known = {"$ref": f"#/$defs/when_{DIALECT.name}"}
    listed = {"type": "array", "items": endpoint, "minItems": 1}
    words = {"anyOf": [{"enum": hyphened}, known, listed, {"type": "object"}]}
    return itself, {**definitions, "for": {**when, "properties": properties}, "for_endpoint": words}


def _retargeted(schema: Any, old: dict[str, Any], new: dict[str, Any]) -> Any:
    """The schema with another reference in the place of one, whatever stands beside it."""
    if isinstance(schema, dict):
        if schema.get("$ref") == old["$ref"]:
            return {**schema, **new}
        return {name: _retargeted(each, old, new) for name, each in schema.items()}
    return [_retargeted(each, old, new) for each in schema] if isinstance(schema, list) else schema
