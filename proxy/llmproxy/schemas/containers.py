"""What an object or array of a flat schema is to hold, before any of it is made.

Which properties, in which order and by which schema; how many items, and which of them
are held to ``contains``. Makes no values: that is ``values``.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from llmproxy.schemas.bounds import MAX_ITEMS, Dead
from llmproxy.schemas.merging import Flat, both
from llmproxy.schemas.normalising import Schema
from llmproxy.schemas.pattern_texts import Patterns

ALL, SOME, NEEDED = range(3)
"""Which optional properties are filled: every one, about half of them, none."""
_USUAL_ITEMS = 3


def property_schema(flat: Flat, name: str, patterns: Patterns) -> Schema:
    """What holds for the property of this name."""
    known: dict[str, Schema] = flat.get("properties", {})
    said = name in known
    schema: Schema = known[name] if said else True
    for pattern, other in flat.get("patternProperties", {}).items():
        if patterns.found(pattern, name):
            schema, said = both(schema, other), True
    if said:
        return schema
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        if keyword in flat:
            schema = flat[keyword]
            break
    return schema


def property_names(flat: Flat, fill: int, rng: random.Random) -> tuple[list[str], set[str]]:
    """The properties to make, in order, and which of them the object needs.

    Raises:
        Dead: it needs more than ``maxProperties``.
    """
    known, dependent = flat.get("properties", {}), flat.get("dependentRequired", {})
    needed = _with_needs(flat.get("required", ()), dependent)
    ordered = flat.get("propertyOrdering", ())
    if ordered and isinstance(ordered, list | tuple):
        listed = [name for name in ordered if isinstance(name, str) and name in known]
        known = dict.fromkeys([*listed, *known])
    wanted = [
        name
        for name in known
        if name in needed or fill == ALL or (fill == SOME and rng.random() < 0.5)
    ]
    wanted = list(_with_needs([*wanted, *needed], dependent))
    spare = flat.get("maxProperties", len(wanted)) - len(needed)
    if spare < 0:
        raise Dead(f"more properties are needed than {flat['maxProperties']}, the most allowed")
    if len(wanted) > len(needed) + spare:
        chosen = {*needed, *[name for name in wanted if name not in needed][:spare]}
        wanted = [name for name in wanted if name in chosen]
    return wanted, set(needed)


def _with_needs(names: Iterable[str], dependent: dict[str, list[str]]) -> dict[str, None]:
    """The names, and in their order what they need, and what that needs."""
    found = dict.fromkeys(names)
    if dependent:
        queue = list(found)
        for name in queue:
            for other in dependent.get(name, ()):
                if other not in found:
                    found[other] = None
                    queue.append(other)
    return found


def drop_dependent(made: dict[str, Any], flat: Flat, needed: set[str]) -> None:
    """Take out what depends on a property that could not be made.

    Raises:
        Dead: the object needs what would be taken out.
    """
    dependents: dict[str, list[str]] = {}
    for name, others in flat.get("dependentRequired", {}).items():
        for other in others:
            dependents.setdefault(other, []).append(name)
    lost = [other for other in dependents if other not in made]
    for other in lost:
        for name in dependents.get(other, ()):
            if name in made:
                if name in needed:
                    raise Dead(f"what {name[:80]!r} depends on cannot be made")
                del made[name]
                lost.append(name)


def usual_others(flat: Flat, rng: random.Random, variety: int) -> int:
    """How many properties that the schema does not name an object should have."""
    rest = flat.get("additionalProperties")
    if isinstance(rest, dict) or "patternProperties" in flat or "propertyNames" in flat:
        return rng.randint(1, 2) + len(flat.get("required", ()))
    return int(variety > 1)


def item_schemas(
    flat: Flat, rng: random.Random, *, sparse: bool, shuffled: bool
) -> tuple[list[Schema], int]:
    """A schema for each item, and how many items there must be for ``contains``.

    Raises:
        Dead: no array is long enough and short enough.
    """
    prefix = flat.get("prefixItems", [])
    rest = flat.get("items", flat.get("unevaluatedItems", True))
    low, high = flat.get("minItems", 0), min(flat.get("maxItems", MAX_ITEMS), MAX_ITEMS)
    if rest is False:
        high = min(high, len(prefix))
    if low > high:
        raise Dead(f"no array has at least {low} and at most {high} items")
    parts = [part for part in (flat, *flat.get("allOf", ())) if "contains" in part]
    wanted = sum(min(part.get("minContains", 1), MAX_ITEMS) for part in parts)
    count = _item_count(low, high, max(len(prefix), wanted), rng, sparse=sparse)
    if wanted and wanted + len(prefix) > count:
        count = min(high, wanted + len(prefix))
    schemas = [*prefix[:count], *[rest] * (count - len(prefix))]
    free = [*range(len(prefix), count), *range(min(len(prefix), count))]
    together = False
    if shuffled:
        rng.shuffle(free)
        together = rng.random() < 0.5
    return schemas, _place_contained(schemas, parts, free, together=together)


def _item_count(low: int, high: int, wished: int, rng: random.Random, *, sparse: bool) -> int:
    if sparse:
        return max(low, min(wished, high))
    least = max(low, wished, 1)
    return min(high, rng.randint(least, max(least, _USUAL_ITEMS)))


def _place_contained(
    schemas: list[Schema], parts: list[Flat], free: list[int], *, together: bool
) -> int:
    """Hold some items to ``contains``, in place, at the indexes ``free`` in their order.

    ``together``: the same items are held to each ``contains``, where there are several.
    """
    placed = turn = 0
    for part in parts:
        wanted = min(part.get("minContains", 1), MAX_ITEMS)
        if wanted > len(free):
            raise Dead(f"{wanted} items are to be contained in {len(free)}")
        chosen = {free[(turn + step) % len(free)] for step in range(wanted)}
        turn += 0 if together else wanted
        for index, schema in enumerate(schemas):
            if index in chosen:
                schemas[index] = both(schema, part["contains"])
            elif "maxContains" in part:
                schemas[index] = both(schema, {"not": part["contains"]})
        placed = max([placed, *(index + 1 for index in chosen)])
    return placed
