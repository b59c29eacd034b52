"""Strategies of schemas: any, and those that a known value validates against."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

FORMATS = ("email", "uri", "date-time", "date", "time", "uuid", "ipv4", "ipv6", "hostname")
CHECKED_FORMATS = ("email", "date", "uuid", "ipv4", "ipv6")
PATTERNS = (
    "^[a-z]+$",
    "a",
    "^x-",
    r"\d{2,4}$",
    "^(foo|bar)[0-9]*$",
    r"^\w+( \w+)*$",
    "^$",
    "[^a-m]",
)
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
NAMES = st.sampled_from(["a", "b", "city", "x-id", "count", "naïve"])
TEXTS = st.one_of(st.sampled_from(["", "a", "foo", "bar12", "ab cd", "2024"]), st.text(max_size=6))
NUMBERS = st.one_of(
    st.integers(-20, 20),
    st.integers(-1000, 1000).map(lambda number: number / 4),
    st.sampled_from([0.1, 1e-9, 1e15, 2**53 + 1, -1e300]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
SIZES = st.integers(0, 4)


def is_valid(value: Any, schema: Any) -> bool:
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(schema, format_checker=checker).is_valid(value)


def _keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(NAMES, inner, max_size=3)
    names = st.lists(NAMES, max_size=2, unique=True)
    schemas: dict[str, st.SearchStrategy[Any]] = {
        "type": st.one_of(
            st.sampled_from(TYPES), st.lists(st.sampled_from(TYPES), min_size=1, unique=True)
        ),
        "enum": st.lists(VALUES, min_size=1, max_size=4),
        "const": VALUES,
        "default": VALUES,
        "examples": st.lists(VALUES, max_size=2),
        "format": st.sampled_from([*CHECKED_FORMATS, "int32", "unheard-of"]),
        "pattern": st.sampled_from(PATTERNS),
        "minimum": NUMBERS,
        "maximum": NUMBERS,
        "exclusiveMinimum": NUMBERS,
        "exclusiveMaximum": NUMBERS,
        "multipleOf": st.sampled_from([1, 2, 3, 7, 0.5, 0.01, 0.1, 2.5, 1e-300, 1e305]),
        "minLength": SIZES,
        "maxLength": st.integers(0, 30),
        "minItems": SIZES,
        "maxItems": SIZES,
        "uniqueItems": st.booleans(),
        "items": inner,
        "prefixItems": several,
        "contains": inner,
        "minContains": st.integers(0, 2),
        "maxContains": st.integers(0, 3),
        "unevaluatedItems": inner,
        "properties": named,
        "required": names,
        "additionalProperties": inner,
        "patternProperties": st.dictionaries(st.sampled_from(PATTERNS), inner, max_size=2),
        "propertyNames": inner,
        "minProperties": SIZES,
        "maxProperties": SIZES,
        "dependentRequired": st.dictionaries(NAMES, names, max_size=2),
        "dependentSchemas": named,
        "unevaluatedProperties": inner,
        "allOf": several,
        "anyOf": several,
        "oneOf": several,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "$ref": st.sampled_from(["#/$defs/one", "#/$defs/two"]),
    }

    @st.composite
    def some(draw: st.DrawFn) -> dict[str, Any]:
        chosen = draw(st.lists(st.sampled_from(sorted(schemas)), max_size=4, unique=True))
        return {keyword: draw(schemas[keyword]) for keyword in chosen}

    return some()


_LEAVES = st.one_of(
    st.booleans(), st.sampled_from([{"type": name} for name in TYPES]), _keywords(st.booleans())
)
SUBSCHEMAS = st.recursive(_LEAVES, _keywords, max_leaves=6)


@st.composite
def any_schemas(draw: st.DrawFn) -> Any:
    """Schemas over all keywords, satisfiable or not; references only lead to leaves."""
    schema = draw(SUBSCHEMAS)
    if isinstance(schema, dict):
        leaves = _LEAVES.filter(lambda leaf: "$ref" not in str(leaf))
        return {**schema, "$defs": {"one": draw(leaves), "two": draw(leaves)}}
    return schema


# --- schemas around a value ---


@st.composite
def around(draw: st.DrawFn, value: Any, depth: int = 2) -> Any:
    """A schema that ``value`` validates against."""
    kind = draw(st.integers(0, 9))
    if not depth or kind < 3:
        return draw(_plain(value, depth))
    inner = around(value, depth - 1)
    if kind == 3:
        return {"allOf": draw(st.lists(inner, min_size=1, max_size=2))}
    if kind == 4:
        return {"anyOf": draw(st.permutations([draw(inner), draw(SUBSCHEMAS_CLOSED)]))}
    other = draw(SUBSCHEMAS_CLOSED)
    met = is_valid(value, other)
    if kind == 5:
        return {"oneOf": draw(st.permutations([draw(inner), False if met else other]))}
    if kind == 6:
        return draw(inner) if met else {"allOf": [draw(inner)], "not": other}
    if kind == 7:
        return {"if": other, "then" if met else "else": draw(inner)}
    return draw(_plain(value, depth))


SUBSCHEMAS_CLOSED = st.recursive(
    _LEAVES.filter(lambda leaf: "$ref" not in str(leaf)), _keywords, max_leaves=3
).filter(lambda schema: "$ref" not in str(schema))


@st.composite
def _plain(draw: st.DrawFn, value: Any, depth: int) -> Any:
    if draw(st.integers(0, 5)) == 0:
        others = draw(st.lists(VALUES, max_size=2))
        return draw(st.sampled_from([{"const": value}, {"enum": [*others, value]}]))
    if isinstance(value, bool) or value is None:
        return {"type": "null" if value is None else "boolean"}
    if isinstance(value, str):
        return draw(_around_text(value))
    if isinstance(value, list):
        return draw(_around_list(value, depth))
    if isinstance(value, dict):
        return draw(_around_object(value, depth))
    return draw(_around_number(value))


def _some_of(draw: st.DrawFn, keywords: dict[str, Any]) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(sorted(keywords)), unique=True, max_size=4))
    return {keyword: keywords[keyword] for keyword in chosen}


@st.composite
def _around_text(draw: st.DrawFn, value: str) -> Any:
    keywords: dict[str, Any] = {
        "minLength": draw(st.integers(0, len(value))),
        "maxLength": len(value) + draw(st.integers(0, 5)),
    }
    patterns = [pattern for pattern in PATTERNS if re.search(pattern, value)]
    if patterns:
        keywords["pattern"] = draw(st.sampled_from(patterns))
    return {"type": "string", **_some_of(draw, keywords)}


@st.composite
def _around_number(draw: st.DrawFn, value: float) -> Any:
    keywords: dict[str, Any] = {
        "minimum": value - draw(st.sampled_from([0, 1, 30])),
        "maximum": value + draw(st.sampled_from([0, 1, 30])),
    }
    if abs(value) < 2**50:
        keywords["exclusiveMinimum"] = value - draw(st.sampled_from([0.5, 1, 30]))
        keywords["exclusiveMaximum"] = value + draw(st.sampled_from([0.5, 1, 30]))
    steps = [step for step in (1, 2, 3, 7, 0.5, 2.5) if value % step == 0]
    if steps:
        keywords["multipleOf"] = draw(st.sampled_from(steps))
    kinds = ["number", "integer"] if isinstance(value, int) else ["number"]
    return {"type": draw(st.sampled_from(kinds)), **_some_of(draw, keywords)}


@st.composite
def _around_list(draw: st.DrawFn, value: list[Any], depth: int) -> Any:
    inner = [draw(around(child, max(depth - 1, 0))) for child in value]
    cut = draw(st.integers(0, len(value)))
    keywords: dict[str, Any] = {
        "minItems": draw(st.integers(0, len(value))),
        "maxItems": len(value) + draw(st.integers(0, 2)),
        "items": {"anyOf": inner} if inner else draw(st.booleans()),
    }
    if cut:
        keywords["prefixItems"] = inner[:cut]
        keywords["items"] = {"anyOf": inner[cut:]} if cut < len(inner) else draw(st.booleans())
    if inner:
        keywords["contains"] = draw(st.sampled_from(inner))
    schema = _some_of(draw, keywords)
    if "prefixItems" in keywords and "items" in schema:
        schema["prefixItems"] = keywords["prefixItems"]
    if is_valid(value, {"uniqueItems": True}) and draw(st.booleans()):
        schema["uniqueItems"] = True
    return {"type": "array", **schema}


@st.composite
def _around_object(draw: st.DrawFn, value: dict[str, Any], depth: int) -> Any:
    inner = {name: draw(around(child, max(depth - 1, 0))) for name, child in value.items()}
    keywords: dict[str, Any] = {
        "properties": inner,
        "minProperties": draw(st.integers(0, len(value))),
        "maxProperties": len(value) + draw(st.integers(0, 2)),
        "propertyNames": {"maxLength": 8},
    }
    if value:
        names = st.lists(st.sampled_from(sorted(value)), unique=True)
        keywords["required"] = draw(names)
        keywords["dependentRequired"] = {draw(st.sampled_from(sorted(value))): draw(names)}
    schema = _some_of(draw, keywords)
    if "properties" in schema and draw(st.booleans()):
        schema["additionalProperties"] = False
    return {"type": "object", **schema}


@st.composite
def satisfiable(draw: st.DrawFn) -> Any:
    """A schema that some value validates against, sometimes behind a reference."""
    schema = draw(around(draw(VALUES), 3))
    if draw(st.booleans()):
        return {"$ref": "#/$defs/it", "$defs": {"it": schema}}
    return schema
