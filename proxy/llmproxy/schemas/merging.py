"""Two schemas as one: what holds where both hold, and what holds where one does not.

``merge`` works on flat schemas (no references, no branches). What has no common spelling
(two patterns, two ``contains``) is kept under ``allOf``, for the maker to mind and the
checker to check. ``negations`` gives schemas that exclude a schema, where that is simple.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from llmproxy.schemas.bounds import Dead
from llmproxy.schemas.checking import identity
from llmproxy.schemas.normalising import TYPES, Schema

Flat = dict[str, Any]
"""A schema object without ``$ref``, ``anyOf``, ``oneOf``, ``if`` and ``dependentSchemas``."""
IsAdditional = Callable[[str, Flat], bool]
"""Whether neither ``properties`` nor ``patternProperties`` of a schema speaks of a name."""

IN_PLACE = frozenset(
    {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "then", "else", "not"}
    | {"dependentSchemas"}
)
"""Keywords that apply further schemas to the same value."""


def both(first: Schema, second: Schema) -> Schema:
    """A schema for what validates against both; merged later if it is not simple."""
    if first is True or first == second:
        return second
    if second is True:
        return first
    if first is False or second is False:
        return False
    if _is_simple(first) and _is_simple(second):
        try:
            return merge(first, second, _never_additional)
        except Dead:
            return False
    return {"allOf": [first, second]}


def _is_simple(schema: Flat) -> bool:
    return _STRUCTURE.isdisjoint(schema)


_STRUCTURE = IN_PLACE | {"properties", "patternProperties", "items", "prefixItems", "contains"}


def _never_additional(_name: str, _schema: Flat) -> bool:
    return False


def merge(first: Flat, second: Flat, is_additional: IsAdditional) -> Flat:
    """One flat schema for what validates against both.

    Raises:
        Dead: nothing can: their types, or the values that they list, have none in common.
    """
    if not first:
        return second
    merged = dict(first)
    for keyword, argument in second.items():
        if keyword not in merged:
            merged[keyword] = argument
        elif keyword in _JOINED:
            merged[keyword] = _JOINED[keyword](merged[keyword], argument)
        elif keyword in _KEPT_APART and merged[keyword] != argument:
            apart = {name: second[name] for name in _KEPT_APART[keyword] if name in second}
            merged["allOf"] = [*merged.get("allOf", ()), apart]
    for keyword in ("minContains", "maxContains"):
        if "contains" in first and keyword in second and keyword not in first:
            del merged[keyword]
    _merge_values(merged, first, second)
    _merge_objects(merged, first, second, is_additional)
    _merge_arrays(merged, first, second)
    return merged


def _merge_values(merged: Flat, first: Flat, second: Flat) -> None:
    """``enum`` and ``const`` of both: the values in common."""
    listed = [values for schema in (first, second) if (values := _listed(schema)) is not None]
    if len(listed) < 2:
        return
    known = set(map(identity, listed[1]))
    merged.pop("const", None)
    merged["enum"] = [value for value in listed[0] if identity(value) in known]
    if not merged["enum"]:
        raise Dead("the values that two schemas list have none in common")


def _listed(schema: Flat) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _merge_objects(merged: Flat, first: Flat, second: Flat, is_additional: IsAdditional) -> None:
    """Properties of both; what one calls additional is held to its ``additionalProperties``."""
    if "properties" not in merged and "patternProperties" not in merged:
        if "additionalProperties" in first and "additionalProperties" in second:
            merged["additionalProperties"] = both(
                first["additionalProperties"], second["additionalProperties"]
            )
        return
    properties = {}
    for name in {**first.get("properties", {}), **second.get("properties", {})}:
        properties[name] = both(
            _said_of(name, first, is_additional), _said_of(name, second, is_additional)
        )
        if properties[name] is False and name in merged.get("required", ()):
            raise Dead(f"nothing validates as the property {name[:80]!r}")
    if properties:
        merged["properties"] = properties
    patterns = dict(first.get("patternProperties", {}))
    for pattern, schema in second.get("patternProperties", {}).items():
        patterns[pattern] = both(patterns.get(pattern, True), schema)
    if patterns:
        merged["patternProperties"] = patterns
    if "additionalProperties" in merged:
        merged["additionalProperties"] = both(
            first.get("additionalProperties", True), second.get("additionalProperties", True)
        )


def _said_of(name: str, schema: Flat, is_additional: IsAdditional) -> Schema:
    if name in schema.get("properties", ()):
        known: Schema = schema["properties"][name]
        return known
    if "additionalProperties" in schema and is_additional(name, schema):
        rest: Schema = schema["additionalProperties"]
        return rest
    return True


def _merge_arrays(merged: Flat, first: Flat, second: Flat) -> None:
    if "prefixItems" in merged:
        prefixes = first.get("prefixItems", ()), second.get("prefixItems", ())
        rests = first.get("items", True), second.get("items", True)
        merged["prefixItems"] = [
            both(
                prefixes[0][index] if index < len(prefixes[0]) else rests[0],
                prefixes[1][index] if index < len(prefixes[1]) else rests[1],
            )
            for index in range(max(map(len, prefixes)))
        ]
    if "items" in first and "items" in second:
        merged["items"] = both(first["items"], second["items"])


def _join_types(first: str | list[str], second: str | list[str]) -> str | list[str]:
    firsts = [first] if isinstance(first, str) else first
    seconds = [second] if isinstance(second, str) else second
    types = [name for name in firsts if name in seconds]
    if "integer" not in types and (
        ("integer" in firsts and "number" in seconds)
        or ("number" in firsts and "integer" in seconds)
    ):
        types.append("integer")
    if not types:
        raise Dead(f"no value is of type {' or '.join(firsts)} and {' or '.join(seconds)}")
    return types[0] if len(types) == 1 else types


_LARGEST = 10**308


def _join_steps(first: float, second: float) -> float:
    """The least common multiple, exact in decimals."""
    one, two = Fraction(str(first)), Fraction(str(second))
    step = Fraction(
        math.lcm(one.numerator, two.numerator), math.gcd(one.denominator, two.denominator)
    )
    if step > _LARGEST:
        raise Dead(f"no number but 0 is a multiple of {first} and {second}")
    return step.numerator if step.denominator == 1 else float(step)


def _join_names(first: list[str], second: list[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


def _join_needs(first: dict[str, list[str]], second: dict[str, list[str]]) -> Flat:
    joined = dict(first)
    for name, needed in second.items():
        joined[name] = _join_names(joined.get(name, []), needed)
    return joined


_JOINED: dict[str, Callable[[Any, Any], Any]] = {
    "type": _join_types,
    "multipleOf": _join_steps,
    "required": _join_names,
    "dependentRequired": _join_needs,
    "propertyNames": both,
    "unevaluatedProperties": both,
    "unevaluatedItems": both,
    "not": lambda first, second: {"anyOf": [first, second]},
    "allOf": lambda first, second: [*first, *second],
    "uniqueItems": lambda first, second: first or second,
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
_KEPT_APART: dict[str, tuple[str, ...]] = {
    "pattern": ("pattern",),
    "format": ("format",),
    "contains": ("contains", "minContains", "maxContains"),
}


def negations(schema: Schema) -> list[Schema]:
    """Schemas each of which excludes ``schema``; together they need not cover its opposite."""
    if isinstance(schema, bool):
        return [not schema]
    if not schema:
        return [False]
    return [other for keyword in schema for other in _negated(keyword, schema)]


_MOST_PREFIXES = 8


def _negated(keyword: str, schema: Flat) -> Iterator[Schema]:
    argument = schema[keyword]
    match keyword:
        case "type":
            yield {"type": _other_types(argument)}
        case "required":
            for name in argument:
                yield {"type": "object", "properties": {name: False}}
        case "properties":
            for name, child in argument.items():
                yield {"type": "object", "required": [name], "properties": {name: {"not": child}}}
        case "prefixItems":
            for index, child in enumerate(argument[:_MOST_PREFIXES]):
                places = [*[True] * index, {"not": child}]
                yield {"type": "array", "minItems": index + 1, "prefixItems": places}
        case "dependentRequired":
            for name, others in argument.items():
                forbidden = dict.fromkeys(others, False)
                yield {"type": "object", "required": [name], "properties": forbidden}
        case "not":
            yield argument
        case "anyOf":
            yield {"allOf": [{"not": each} for each in argument]}
        case "allOf":
            yield from ({"not": each} for each in argument)
        case "const" | "enum" | "pattern" | "format" | "$ref" | "oneOf" if len(schema) > 1:
            yield {"not": {keyword: argument}}
        case "items" if "prefixItems" not in schema:
            yield {"type": "array", "contains": {"not": argument}}
        case "contains" if "minContains" not in schema:
            yield {"type": "array", "items": {"not": argument}}
        case _ if keyword in _OPPOSITES:
            kind, opposite, by = _OPPOSITES[keyword]
            if argument + by >= 0 or kind == "number":
                yield {"type": kind, opposite: argument + by}


def _other_types(types: str | list[str]) -> list[str]:
    taken = [types] if isinstance(types, str) else types
    return [
        name
        for name in TYPES
        if name not in taken and not (name == "integer" and "number" in taken)
    ]


_OPPOSITES = {
    # keyword: (the type that it speaks of, its opposite, by how much it differs)
    "minimum": ("number", "exclusiveMaximum", 0),
    "maximum": ("number", "exclusiveMinimum", 0),
    "exclusiveMinimum": ("number", "maximum", 0),
    "exclusiveMaximum": ("number", "minimum", 0),
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}
