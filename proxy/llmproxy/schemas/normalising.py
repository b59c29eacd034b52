"""Schemas as users write them, made one dialect: JSON Schema 2020-12.

Older drafts (``items`` as a list, boolean ``exclusiveMinimum``, ``dependencies``), Gemini's
and OpenAPI's habits (upper-case types, ``nullable``, counts as text) are rewritten; wrong
shapes are refused with their place. The result is a fresh tree of plain dicts and lists:
what comes after trusts its shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from llmproxy.schemas.bounds import Budget, Dead, Impossible

Schema = dict[str, Any] | bool
"""A schema after ``normalise``."""

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_MAX_NESTING = 64
MAX_NODES = 40_000
"""Nodes of one schema that are looked at."""
_MAX_NUMBER = 1.7e308
_SHOWN = 40


def normalise(schema: Any) -> Any:
    """A schema of any draft or habit as one of JSON Schema 2020-12; idempotent.

    Args:
        schema: a mapping or bool, as it came out of a request. It is not changed.

    Raises:
        Impossible: it is no schema; the message names the place (``#/properties/city``).
    """
    return _Normaliser().schema(schema, "#", 0)


def copy_value(value: Any, budget: Budget, nesting: int = 0) -> Any:
    """A copy of a JSON value that a schema quotes, paid for.

    Raises:
        Dead: it is not JSON, or nested too deeply.
        Impossible: the budget is spent.
    """
    if isinstance(value, str):
        budget.spend_text(len(value))
        if not value.isascii() and not is_text(value):
            raise Dead("a text holds half of a surrogate pair")
        return str(value)
    budget.spend()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if nesting >= _MAX_NESTING:
        raise Dead("a value in the schema is nested too deeply")
    if isinstance(value, Mapping):
        copy = {}
        for name, child in value.items():
            if not isinstance(name, str):
                raise Dead("a name in an object is not a text")
            copy[copy_value(name, budget)] = copy_value(child, budget, nesting + 1)
        return copy
    if isinstance(value, list | tuple):
        return [copy_value(child, budget, nesting + 1) for child in value]
    raise Dead(f"{type(value).__name__} is not JSON")


def is_text(value: str) -> bool:
    """Whether a text can be sent as UTF-8: no half of a surrogate pair in it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Normaliser:
    """Reads one schema; counts its nodes."""

    def __init__(self) -> None:
        self._nodes = MAX_NODES

    def schema(self, schema: Any, place: str, nesting: int) -> Schema:
        if schema is True or schema is False:
            return bool(schema)
        if type(schema) is not dict and not isinstance(schema, Mapping):
            raise Impossible(f"{place}: a schema is an object or a boolean, not {_kind(schema)}")
        if nesting > _MAX_NESTING:
            raise Impossible(f"{place[:200]}: the schema is nested deeper than {_MAX_NESTING}")
        self._pay(place)
        plain: dict[str, Any] = {}
        for keyword, value in schema.items():
            read = _READERS.get(keyword)
            if read is None:
                if not isinstance(keyword, str):
                    raise Impossible(f"{place}: a keyword is a text, not {_kind(keyword)}")
                plain[keyword] = value
            elif value is not None:
                said = read(self, value, f"{place}/{keyword}", nesting + 1)
                if said is not None:
                    plain[keyword] = said
            elif keyword == "const":
                plain["const"] = None
        if _HABITS.isdisjoint(plain) and type(plain.get("items")) is not list:
            return plain
        return _rewrite_nullable(_rewrite_drafts(plain))

    def _pay(self, place: str) -> None:
        self._nodes -= 1
        if self._nodes < 0:
            raise Impossible(f"{place[:200]}: the schema has more than {MAX_NODES} nodes")

    def schemas(self, value: Any, place: str, nesting: int) -> list[Schema]:
        return [
            self.schema(child, f"{place}/{index}", nesting)
            for index, child in enumerate(_list(value, place))
        ]

    def items(self, value: Any, place: str, nesting: int) -> Schema | list[Schema]:
        read = self.schemas if isinstance(value, list | tuple) else self.schema
        return read(value, place, nesting)

    def schema_map(self, value: Any, place: str, nesting: int) -> dict[str, Schema]:
        return {
            name: self.schema(child, f"{place}/{name[:_SHOWN]}", nesting)
            for name, child in _map(value, place).items()
        }

    def dependencies(self, value: Any, place: str, nesting: int) -> dict[str, Any]:
        return {
            name: self.names(child, f"{place}/{name[:_SHOWN]}", nesting)
            if isinstance(child, list | tuple)
            else self.schema(child, f"{place}/{name[:_SHOWN]}", nesting)
            for name, child in _map(value, place).items()
        }

    def names_map(self, value: Any, place: str, nesting: int) -> dict[str, list[str]]:
        return {
            name: self.names(child, f"{place}/{name[:_SHOWN]}", nesting)
            for name, child in _map(value, place).items()
        }

    def names(self, value: Any, place: str, _nesting: int) -> list[str]:
        if isinstance(value, bool):  # draft 3, and a habit: in the property itself
            return []
        names = _list(value, place)
        if not all(isinstance(name, str) for name in names):
            raise Impossible(f"{place}: names are texts")
        self._nodes -= len(names)
        self._pay(place)
        return list(dict.fromkeys(names))

    def values(self, value: Any, place: str, nesting: int) -> list[Any]:
        values = _list(value, place)
        self._nodes -= len(values)
        self._pay(place)
        return [self.value(child, place, nesting) for child in values]

    def examples(self, value: Any, place: str, nesting: int) -> list[Any]:
        listed = value if isinstance(value, list | tuple) else [value]
        return self.values(listed, place, nesting)

    def value(self, value: Any, place: str, nesting: int) -> Any:
        if value is None or isinstance(value, str | int | float):
            return value
        if nesting > _MAX_NESTING:
            raise Impossible(f"{place[:200]}: a value is nested deeper than {_MAX_NESTING}")
        self._pay(place)
        if isinstance(value, Mapping):
            return {name: self.value(child, place, nesting + 1) for name, child in value.items()}
        return [self.value(child, place, nesting + 1) for child in _list(value, place)]

    def type(self, value: Any, place: str, _nesting: int) -> str | list[str] | None:
        if isinstance(value, str):
            return value if value in TYPES else _type(value, place)
        types = [_type(name, place) for name in _list(value, place)]
        return None if None in types else [name for name in dict.fromkeys(types) if name]

    def number(self, value: Any, place: str, _nesting: int) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Impossible(f"{place}: must be a number, not {_kind(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise Impossible(f"{place}: must be a finite number")
        if abs(value) > _MAX_NUMBER:
            raise Impossible(f"{place}: is beyond what a double holds")
        return value

    def limit(self, value: Any, place: str, nesting: int) -> int | float | bool:
        """``exclusiveMinimum`` and its like: a number, or the boolean of draft 4."""
        return value if isinstance(value, bool) else self.number(value, place, nesting)

    def step(self, value: Any, place: str, nesting: int) -> int | float:
        number = self.number(value, place, nesting)
        if number <= 0:
            raise Impossible(f"{place}: must be above 0")
        return number

    def count(self, value: Any, place: str, _nesting: int) -> int:
        """A count; Gemini writes 64-bit numbers as text."""
        if isinstance(value, str) and value.isascii() and value.isdecimal():
            return int(value[:18])
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Impossible(f"{place}: must be a count of 0 or more")
        return value

    def text(self, value: Any, place: str, _nesting: int) -> str:
        if not isinstance(value, str):
            raise Impossible(f"{place}: must be a text, not {_kind(value)}")
        return value

    def flag(self, value: Any, place: str, _nesting: int) -> bool:
        if not isinstance(value, bool):
            raise Impossible(f"{place}: must be true or false")
        return value


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _list(value: Any, place: str) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise Impossible(f"{place}: must be a list, not {_kind(value)}")
    return value


def _map(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Impossible(f"{place}: must be an object, not {_kind(value)}")
    if not all(isinstance(name, str) for name in value):
        raise Impossible(f"{place}: its names must be texts")
    return value


def _type(name: Any, place: str) -> str | None:
    """A type of JSON Schema; None for Gemini's ``TYPE_UNSPECIFIED``, which takes any."""
    if name in TYPES:
        return str(name)
    lowered = name.lower() if isinstance(name, str) else ""
    if lowered in TYPES:
        return lowered
    if lowered == "type_unspecified":
        return None
    raise Impossible(f"{place}: {str(name)[:40]!r} is no type; the types are {', '.join(TYPES)}")


_HABITS = frozenset({"nullable", "dependencies", "additionalItems", "example"})
_HABITS |= {"exclusiveMinimum", "exclusiveMaximum"}


def _rewrite_drafts(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("items"), list):
        schema["prefixItems"] = schema.pop("items")
        if "additionalItems" in schema:
            schema["items"] = schema["additionalItems"]
    schema.pop("additionalItems", None)
    for exclusive, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and plain in schema:
            schema[exclusive] = schema.pop(plain)
    for name, needed in schema.pop("dependencies", {}).items():
        keyword = "dependentRequired" if isinstance(needed, list) else "dependentSchemas"
        schema.setdefault(keyword, {})[name] = needed
    if "example" in schema:
        example = schema.pop("example")
        schema.setdefault("examples", [example])
    return schema


def _rewrite_nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI's ``nullable: true``: null is taken, too, whatever the rest says."""
    if not schema.pop("nullable", False):
        return schema
    if _COMBINING.isdisjoint(schema) and "type" in schema:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        schema["type"] = types if "null" in types else [*types, "null"]
        if "enum" in schema and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
        return schema
    outer: Any = {name: schema.pop(name) for name in ("$defs", "definitions") if name in schema}
    return {"anyOf": [schema, {"type": "null"}], **outer}


_COMBINING = frozenset({"$ref", "allOf", "anyOf", "oneOf", "not", "if", "const"})

_READERS: dict[str, Callable[[_Normaliser, Any, str, int], Any]] = {
    "$ref": _Normaliser.text,
    "$dynamicRef": _Normaliser.text,
    "type": _Normaliser.type,
    "nullable": _Normaliser.flag,
    "enum": _Normaliser.values,
    "const": _Normaliser.value,
    "default": _Normaliser.value,
    "example": _Normaliser.value,
    "examples": _Normaliser.examples,
    "properties": _Normaliser.schema_map,
    "patternProperties": _Normaliser.schema_map,
    "$defs": _Normaliser.schema_map,
    "definitions": _Normaliser.schema_map,
    "dependentSchemas": _Normaliser.schema_map,
    "dependencies": _Normaliser.dependencies,
    "dependentRequired": _Normaliser.names_map,
    "required": _Normaliser.names,
    "items": _Normaliser.items,
    "prefixItems": _Normaliser.schemas,
    "allOf": _Normaliser.schemas,
    "anyOf": _Normaliser.schemas,
    "oneOf": _Normaliser.schemas,
    **dict.fromkeys(
        (
            "additionalProperties",
            "additionalItems",
            "unevaluatedProperties",
            "unevaluatedItems",
            "propertyNames",
            "contains",
            "not",
            "if",
            "then",
            "else",
        ),
        _Normaliser.schema,
    ),
    **dict.fromkeys(("minimum", "maximum"), _Normaliser.number),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), _Normaliser.limit),
    "multipleOf": _Normaliser.step,
    **dict.fromkeys(
        (
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
            "minContains",
            "maxContains",
        ),
        _Normaliser.count,
    ),
    **dict.fromkeys(("pattern", "format"), _Normaliser.text),
    "uniqueItems": _Normaliser.flag,
}
