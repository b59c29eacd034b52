"""Whether a value validates against a normalised schema.

Our own, so that the check pays into the same budget as the making, and follows no pattern
into exponential time. It says yes or no, not why. Means what the ``jsonschema`` package
means, with formats asserted; the tests hold the two against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sized
from fractions import Fraction
from typing import Any

from llmproxy.schemas.bounds import Budget, Dead
from llmproxy.schemas.formats import has_format
from llmproxy.schemas.normalising import Schema
from llmproxy.schemas.pattern_texts import Patterns
from llmproxy.schemas.references import References

_MAX_NESTING = 100
_TYPES: dict[type, tuple[str, ...]] = {
    dict: ("object",),
    list: ("array",),
    str: ("string",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    type(None): ("null",),
}


def types_of(value: Any) -> tuple[str, ...]:
    """The JSON Schema types that a JSON value is of; 1.0 is an integer, too."""
    if type(value) is float and value.is_integer():
        return ("number", "integer")
    return _TYPES[type(value)]


def identity(value: Any) -> Any:
    """A hashable thing that is equal for equal JSON values: 1 and 1.0 are, 1 and true are not."""
    kind = type(value)
    if kind is bool:
        return (bool, value)
    if kind is list:
        return (list, tuple(map(identity, value)))
    if kind is dict:
        return (dict, frozenset((name, identity(child)) for name, child in value.items()))
    return value


def is_multiple(value: float, step: float) -> bool:
    """Whether ``value`` is a multiple, in doubles where either is one, as validators do it."""
    if isinstance(step, int):
        return value % step == 0
    try:
        quotient = value / step
    except OverflowError:
        quotient = math.inf
    if math.isinf(quotient):
        return (Fraction(value) / Fraction(step)).denominator == 1
    return quotient.is_integer()


class Checker:
    """Checks values against the schemas of one document."""

    def __init__(self, references: References, patterns: Patterns, budget: Budget) -> None:
        self.references = references
        self.patterns = patterns
        self.budget = budget
        self._nesting = 0

    def valid(self, value: Any, schema: Schema) -> bool:
        """Whether ``value``, plain JSON, validates.

        Raises:
            Dead: a pattern or a reference in the schema cannot be read.
            Impossible: the budget is spent.
        """
        if schema is True or schema is False:
            return schema
        self.budget.spend()
        if self._nesting >= _MAX_NESTING:
            raise Dead("the schema refers to itself without end")
        self._nesting += 1
        try:
            for keyword, argument in schema.items():
                check = _CHECKS.get(keyword)
                if check is not None and not check(self, value, argument, schema):
                    return False
            return True
        finally:
            self._nesting -= 1

    # --- in place ---

    def ref(self, value: Any, ref: str, _schema: dict[str, Any]) -> bool:
        return self.valid(value, self.references.find(ref))

    def all_of(self, value: Any, schemas: list[Schema], _schema: dict[str, Any]) -> bool:
        return all(self.valid(value, each) for each in schemas)

    def any_of(self, value: Any, schemas: list[Schema], _schema: dict[str, Any]) -> bool:
        return any(self.valid(value, each) for each in schemas)

    def one_of(self, value: Any, schemas: list[Schema], _schema: dict[str, Any]) -> bool:
        return sum(self.valid(value, each) for each in schemas) == 1

    def not_(self, value: Any, schema: Schema, _schema: dict[str, Any]) -> bool:
        return not self.valid(value, schema)

    def if_(self, value: Any, schema: Schema, whole: dict[str, Any]) -> bool:
        branch = "then" if self.valid(value, schema) else "else"
        return self.valid(value, whole.get(branch, True))

    # --- any value ---

    def type(self, value: Any, types: str | list[str], _schema: dict[str, Any]) -> bool:
        found = types_of(value)
        if type(types) is str:
            return types in found
        return any(name in found for name in types)

    def enum(self, value: Any, values: list[Any], _schema: dict[str, Any]) -> bool:
        if type(value) is str:
            self.budget.spend(1 + len(values) // 200)
            return value in values
        self.budget.spend(1 + len(values) // 20)
        wanted = identity(value)
        return any(identity(each) == wanted for each in values)

    def const(self, value: Any, const: Any, _schema: dict[str, Any]) -> bool:
        return bool(identity(value) == identity(const))

    # --- objects ---

    def properties(self, value: Any, schemas: dict[str, Schema], _schema: dict[str, Any]) -> bool:
        if type(value) is dict:
            for name, schema in schemas.items():
                if name in value and not self.valid(value[name], schema):
                    return False
        return True

    def required(self, value: Any, names: list[str], _schema: dict[str, Any]) -> bool:
        return type(value) is not dict or all(name in value for name in names)

    def pattern_properties(
        self, value: Any, schemas: dict[str, Schema], _schema: dict[str, Any]
    ) -> bool:
        if type(value) is not dict:
            return True
        return all(
            self.valid(child, schema)
            for pattern, schema in schemas.items()
            for name, child in value.items()
            if self.patterns.found(pattern, name)
        )

    def is_additional(self, name: str, schema: dict[str, Any]) -> bool:
        """Whether neither ``properties`` nor ``patternProperties`` speaks of a name."""
        if name in schema.get("properties", ()):
            return False
        return not any(
            self.patterns.found(pattern, name) for pattern in schema.get("patternProperties", ())
        )

    def additional_properties(self, value: Any, schema: Schema, whole: dict[str, Any]) -> bool:
        if type(value) is not dict or schema is True:
            return True
        return all(
            self.valid(child, schema)
            for name, child in value.items()
            if self.is_additional(name, whole)
        )

    def property_names(self, value: Any, schema: Schema, _schema: dict[str, Any]) -> bool:
        return type(value) is not dict or all(self.valid(name, schema) for name in value)

    def dependent_required(
        self, value: Any, needed: dict[str, list[str]], _schema: dict[str, Any]
    ) -> bool:
        if type(value) is not dict:
            return True
        return all(
            other in value for name, others in needed.items() if name in value for other in others
        )

    def dependent_schemas(
        self, value: Any, schemas: dict[str, Schema], _schema: dict[str, Any]
    ) -> bool:
        if type(value) is not dict:
            return True
        return all(self.valid(value, schema) for name, schema in schemas.items() if name in value)

    def unevaluated_properties(self, value: Any, schema: Schema, whole: dict[str, Any]) -> bool:
        if type(value) is not dict or schema is True:
            return True
        seen = self._evaluated(value, whole, _seen_names, "unevaluatedProperties")
        return all(self.valid(child, schema) for name, child in value.items() if name not in seen)

    # --- arrays ---

    def prefix_items(self, value: Any, schemas: list[Schema], _schema: dict[str, Any]) -> bool:
        if type(value) is not list:
            return True
        return all(self.valid(child, schema) for child, schema in zip(value, schemas, strict=False))

    def items(self, value: Any, schema: Schema, whole: dict[str, Any]) -> bool:
        if type(value) is not list or schema is True:
            return True
        rest = value[len(whole.get("prefixItems", ())) :]
        return all(self.valid(child, schema) for child in rest)

    def contains(self, value: Any, schema: Schema, whole: dict[str, Any]) -> bool:
        if type(value) is not list:
            return True
        count = sum(self.valid(child, schema) for child in value)
        most = whole.get("maxContains")
        return bool(count >= whole.get("minContains", 1) and (most is None or count <= most))

    def unique_items(self, value: Any, unique: bool, _schema: dict[str, Any]) -> bool:
        if type(value) is not list or not unique:
            return True
        return len(set(map(identity, value))) == len(value)

    def unevaluated_items(self, value: Any, schema: Schema, whole: dict[str, Any]) -> bool:
        if type(value) is not list or schema is True:
            return True
        seen = self._evaluated(value, whole, _seen_indexes, "unevaluatedItems")
        return all(
            self.valid(child, schema) for index, child in enumerate(value) if index not in seen
        )

    def _evaluated(
        self,
        value: Any,
        schema: Schema,
        see: Callable[[Checker, Any, dict[str, Any]], set[Any]],
        unevaluated: str,
        nesting: int = 0,
    ) -> set[Any]:
        """Names or indexes of ``value`` that a schema and the subschemas it passes speak of."""
        self.budget.spend()
        if not isinstance(schema, dict):
            return set()
        if nesting >= _MAX_NESTING:
            raise Dead("the schema refers to itself without end")
        seen = see(self, value, schema)
        for branch in self._passed(value, schema):
            seen |= self._evaluated(value, branch, see, unevaluated, nesting + 1)
            if isinstance(branch, dict) and unevaluated in branch:
                seen |= set(value) if type(value) is dict else set(range(len(value)))
        return seen

    def _passed(self, value: Any, schema: dict[str, Any]) -> list[Schema]:
        passed: list[Schema] = list(schema.get("allOf", ()))
        passed += [self.references.find(schema[name]) for name in _REFS if name in schema]
        for keyword in ("anyOf", "oneOf"):
            passed += [each for each in schema.get(keyword, ()) if self.valid(value, each)]
        if "if" in schema:
            met = self.valid(value, schema["if"])
            passed += (
                [schema["if"], schema.get("then", True)] if met else [schema.get("else", True)]
            )
        if type(value) is dict:
            dependent = schema.get("dependentSchemas", {})
            passed += [each for name, each in dependent.items() if name in value]
        return passed


_REFS = ("$ref", "$dynamicRef")


def _seen_names(checker: Checker, value: dict[str, Any], schema: dict[str, Any]) -> set[Any]:
    if "additionalProperties" in schema:
        return set(value)
    return {name for name in value if not checker.is_additional(name, schema)}


def _seen_indexes(checker: Checker, value: list[Any], schema: dict[str, Any]) -> set[Any]:
    if "items" in schema:
        return set(range(len(value)))
    seen = set(range(len(schema.get("prefixItems", ()))))
    if "contains" in schema:
        seen |= {at for at, child in enumerate(value) if checker.valid(child, schema["contains"])}
    return seen


# --- numbers, texts and sizes ---

_Check = Callable[[Checker, Any, Any, dict[str, Any]], bool]


def _number(test: Callable[[Any, Any], bool]) -> _Check:
    return lambda _, value, bound, __: type(value) not in (int, float) or test(value, bound)


def _size(kind: type[Sized], test: Callable[[int, int], bool]) -> _Check:
    return lambda _, value, bound, __: type(value) is not kind or test(len(value), bound)


def _pattern(checker: Checker, value: Any, pattern: str, _schema: dict[str, Any]) -> bool:
    return type(value) is not str or checker.patterns.found(pattern, value)


def _format(_: Checker, value: Any, format: str, _schema: dict[str, Any]) -> bool:
    return type(value) is not str or has_format(format, value)


_CHECKS: dict[str, _Check] = {
    "type": Checker.type,
    "enum": Checker.enum,
    "const": Checker.const,
    "$ref": Checker.ref,
    "$dynamicRef": Checker.ref,
    "allOf": Checker.all_of,
    "anyOf": Checker.any_of,
    "oneOf": Checker.one_of,
    "not": Checker.not_,
    "if": Checker.if_,
    "properties": Checker.properties,
    "required": Checker.required,
    "patternProperties": Checker.pattern_properties,
    "additionalProperties": Checker.additional_properties,
    "propertyNames": Checker.property_names,
    "dependentRequired": Checker.dependent_required,
    "dependentSchemas": Checker.dependent_schemas,
    "unevaluatedProperties": Checker.unevaluated_properties,
    "prefixItems": Checker.prefix_items,
    "items": Checker.items,
    "contains": Checker.contains,
    "uniqueItems": Checker.unique_items,
    "unevaluatedItems": Checker.unevaluated_items,
    "minimum": _number(lambda value, bound: value >= bound),
    "maximum": _number(lambda value, bound: value <= bound),
    "exclusiveMinimum": _number(lambda value, bound: value > bound),
    "exclusiveMaximum": _number(lambda value, bound: value < bound),
    "multipleOf": _number(is_multiple),
    "minLength": _size(str, lambda length, bound: length >= bound),
    "maxLength": _size(str, lambda length, bound: length <= bound),
    "minItems": _size(list, lambda length, bound: length >= bound),
    "maxItems": _size(list, lambda length, bound: length <= bound),
    "minProperties": _size(dict, lambda length, bound: length >= bound),
    "maxProperties": _size(dict, lambda length, bound: length <= bound),
    "pattern": _pattern,
    "format": _format,
}
