"""From a schema to a flat one: references followed, ``allOf`` merged, branches chosen.

A schema with branches (``anyOf``, ``oneOf``, ``if``, ``not``) stands for many flat ones.
``Choices`` numbers them: the number's digits, in the mixed radix of the branches met on the
way, say which branch to take, so that counting up visits them all.
"""

from __future__ import annotations

from typing import Any

from llmproxy.schemas.bounds import Dead
from llmproxy.schemas.checking import Checker
from llmproxy.schemas.merging import IN_PLACE, Flat, merge, negations
from llmproxy.schemas.normalising import Schema

_MAX_NESTING = 60
_MOST_EXCLUDED = 12


class Choices:
    """One way through the branches.

    Args:
        number: counts the ways up from 0.
        start: turns each choice, so that not everybody takes the first branch first.
        strict: what a ``oneOf`` does not choose is excluded, as far as that is simple.
    """

    __slots__ = ("_left", "_start", "strict", "ways")

    def __init__(self, number: int, start: int, *, strict: bool) -> None:
        self._left = number
        self._start = start
        self.strict = strict
        self.ways = 1

    def pick(self, count: int, last: int = 0) -> int:
        """An index below ``count``; the ``last`` highest are picked after all others."""
        if count < 2:
            return 0
        self._left, digit = divmod(self._left, count)
        self.ways *= count
        usual = count - last
        return (digit + self._start) % usual if digit < usual else digit

    def pick_branch(self, branches: list[Schema]) -> int:
        """The index of one of several branches; null is the last resort."""
        order = sorted(range(len(branches)), key=lambda index: _is_null(branches[index]))
        nulls = sum(map(_is_null, branches))
        return order[self.pick(len(branches), nulls if nulls < len(branches) else 0)]


def _is_null(schema: Schema) -> bool:
    if not isinstance(schema, dict):
        return schema is False
    if "const" in schema:
        return schema["const"] is None
    return schema.get("type") == "null"


class Flattener:
    """Flattens one schema in one way; ``entered`` gathers the references followed."""

    def __init__(self, checker: Checker, choices: Choices) -> None:
        self._checker = checker
        self._choices = choices
        self.entered: list[str] = []

    def flatten(self, schema: Schema, trail: tuple[str, ...] = (), nesting: int = 0) -> Flat:
        """The flat schema of this way; what it shares with ``schema`` must not be changed.

        Raises:
            Dead: this way leads nowhere.
            Impossible: the budget is spent.
        """
        self._checker.budget.spend()
        if isinstance(schema, bool):
            if not schema:
                raise Dead("the schema false takes no value")
            return {}
        if IN_PLACE.isdisjoint(schema):
            return schema
        if nesting > _MAX_NESTING:
            raise Dead("the schema refers to itself, or nests, without end")
        flat: Flat = {name: schema[name] for name in schema if name not in IN_PLACE}
        for branch, path in self._branches(schema, trail):
            flat = self._merge(flat, self.flatten(branch, path, nesting + 1))
        if "not" in schema:
            flat = self._merge(flat, {"not": schema["not"]})
            flat = self._exclude(flat, schema["not"], trail, nesting)
        if "if" in schema:
            flat = self._conditional(flat, schema, trail, nesting)
        if "oneOf" in schema:
            flat = self._one_of(flat, schema["oneOf"], trail, nesting)
        if "dependentSchemas" in schema:
            flat = self._dependent(flat, schema["dependentSchemas"], trail, nesting)
        return flat

    def _merge(self, first: Flat, second: Flat) -> Flat:
        self._checker.budget.spend(1 + (len(first) + len(second)) // 8)
        for keyword in ("properties", "enum", "required"):
            self._checker.budget.spend(len(second.get(keyword, ())) // 4)
        return merge(first, second, self._checker.is_additional)

    def _branches(
        self, schema: dict[str, Any], trail: tuple[str, ...]
    ) -> list[tuple[Schema, tuple[str, ...]]]:
        """What holds besides the schema's own keywords: targets, parts, one of ``anyOf``."""
        refs = [schema[keyword] for keyword in ("$ref", "$dynamicRef") if keyword in schema]
        found = [self._target(ref, trail) for ref in refs]
        found += [(part, trail) for part in schema.get("allOf", ())]
        if "anyOf" in schema:
            branches = schema["anyOf"]
            if not branches:
                raise Dead("anyOf has no branch")
            self._checker.budget.spend(len(branches) // 8)
            found.append((branches[self._choices.pick_branch(branches)], trail))
        return found

    def _target(self, ref: str, trail: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        if ref in trail:
            raise Dead(f"$ref {ref[:200]!r} refers to itself")
        self.entered.append(ref)
        return self._checker.references.find(ref), (*trail, ref)

    def _one_of(
        self, flat: Flat, branches: list[Schema], trail: tuple[str, ...], nesting: int
    ) -> Flat:
        if not branches:
            raise Dead("oneOf has no branch")
        self._checker.budget.spend(len(branches) // 8)
        chosen = self._choices.pick_branch(branches)
        flat = self._merge(flat, self.flatten(branches[chosen], trail, nesting + 1))
        if self._choices.strict:
            others = [each for index, each in enumerate(branches) if index != chosen]
            for other in others[:_MOST_EXCLUDED]:
                flat = self._exclude(flat, other, trail, nesting)
        return flat

    def _conditional(
        self, flat: Flat, schema: dict[str, Any], trail: tuple[str, ...], nesting: int
    ) -> Flat:
        if self._choices.pick(2) == 0:
            flat = self._merge(flat, self.flatten(schema["if"], trail, nesting + 1))
            return self._merge(flat, self.flatten(schema.get("then", True), trail, nesting + 1))
        flat = self._exclude(flat, schema["if"], trail, nesting)
        return self._merge(flat, self.flatten(schema.get("else", True), trail, nesting + 1))

    def _dependent(
        self, flat: Flat, schemas: dict[str, Schema], trail: tuple[str, ...], nesting: int
    ) -> Flat:
        """What depends on a property holds, or the property is left out."""
        for name, schema in schemas.items():
            if name not in flat.get("properties", ()) and name not in flat.get("required", ()):
                continue
            if name in flat.get("required", ()) or self._choices.pick(2, 1) == 0:
                flat = self._merge(flat, self.flatten(schema, trail, nesting + 1))
            else:
                flat = self._merge(flat, {"properties": {name: False}})
        return flat

    def _exclude(self, flat: Flat, schema: Schema, trail: tuple[str, ...], nesting: int) -> Flat:
        """``flat`` without what ``schema`` takes by one of its negations, or left to the check."""
        while isinstance(schema, dict) and len(schema) == 1 and "$ref" in schema:
            schema, trail = self._target(schema["$ref"], trail)
        ways = negations(schema)
        if not ways:
            return flat
        way = [*ways, True][self._choices.pick(len(ways) + 1, 1)]
        return self._merge(flat, self.flatten(way, trail, nesting + 1))
