"""Made-up values that validate against a JSON Schema: tool arguments, structured output.

Strategy: flatten the schema (``branches``), make a value for the flat schema, check it
against the schema as written (``checking``), and try another way where that fails. All
optional properties are filled, unless that keeps the value from validating, makes it
recursive, or makes it very large. Everything pays into one budget. The same schema and the
same random numbers give the same value. Knows no provider, no request and no tool.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmproxy.schemas import plausible
from llmproxy.schemas.bounds import MAX_DEPTH, MAX_ITEMS, STEPS, Budget, Dead, Impossible
from llmproxy.schemas.branches import Choices, Flattener
from llmproxy.schemas.checking import Checker, identity
from llmproxy.schemas.containers import (
    ALL,
    NEEDED,
    SOME,
    drop_dependent,
    item_schemas,
    property_names,
    property_schema,
    usual_others,
)
from llmproxy.schemas.merging import IN_PLACE, Flat, both
from llmproxy.schemas.normalising import (
    TYPES,
    Schema,
    copy_value,
    is_text,
    normalise,
)
from llmproxy.schemas.pattern_texts import Patterns
from llmproxy.schemas.references import References
from llmproxy.schemas.scalars import make_integer, make_number, make_text

__all__ = ["Impossible", "make", "normalise"]


def make(
    schema: Mapping[str, Any] | bool | None,
    rng: random.Random,
    *,
    hint: str = "",
    steps: int = STEPS,
) -> Any:
    """A JSON value that validates against ``schema``.

    Args:
        schema: a JSON Schema of any draft, an OpenAPI or a Gemini schema; None, as for a
            tool without parameters, gives ``{}``. It is not changed.
        rng: what is random comes from here and from nowhere else.
        hint: what the value is for, such as the name of a property: ``city``.
        steps: how much work it may be.

    Returns:
        Plain dicts, lists, texts, finite numbers, booleans and None, shared with nothing.

    Raises:
        Impossible: no value was found, or ``schema`` is no schema. The message says where.
    """
    if schema is None:
        return {}
    lean = schema
    if isinstance(schema, Mapping):
        lean = {name: schema[name] for name in schema if name not in _DEFINITIONS}
    return _Maker(schema, rng, steps).make(normalise(lean), hint)


_DEFINITIONS = ("$defs", "definitions")  # read when a reference names them
_CHECKED = IN_PLACE | {"contains", "patternProperties", "propertyNames", "unevaluatedProperties"}
_CHECKED |= {"unevaluatedItems"}
_ANNOTATED = frozenset({"$ref", "title", "description", "deprecated", "readOnly", "writeOnly"})
_PHASES = (
    # (which optional properties are filled, whether the branches not chosen are excluded)
    (ALL, False),
    (NEEDED, False),
    (ALL, True),
    (SOME, True),
    (NEEDED, True),
)
_FEW_TRIES, _MANY_TRIES = 6, 96
_MOST_WAYS = 2_000
_ENOUGH_NODES = 500
_SHOWN = 40
_RECURSIONS = {ALL: 2, SOME: 3, NEEDED: 5}
_SMALL_RANGE = 60
_IMPLIED: dict[str, tuple[str, ...]] = {
    "object": (
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "dependentRequired",
        "unevaluatedProperties",
    ),
    "array": (
        "items",
        "prefixItems",
        "contains",
        "minItems",
        "maxItems",
        "uniqueItems",
        "unevaluatedItems",
    ),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


class _Maker:
    """Makes one value; holds how far it may go and where it is."""

    def __init__(self, root: Any, rng: random.Random, steps: int) -> None:
        self._rng = rng
        self._budget = Budget(steps)
        self._patterns = Patterns(self._budget)
        self._checker = Checker(References(root), self._patterns, self._budget)
        self._open: dict[str, int] = {}
        self._fill = ALL
        self._variety = 0
        self._nodes = 0
        self._tries = 0
        self._recursions = 0
        self._hopeless: dict[tuple[int, int], Schema] = {}
        self._place: list[str] = []

    def make(self, schema: Schema, hint: str) -> Any:
        try:
            return self._tried(schema, hint, 0)
        except Dead as dead:
            raise Impossible(f"${dead.place[:200]}: {dead}") from None
        except Impossible as impossible:
            raise Impossible(f"${''.join(self._place)[:200]}: {impossible}") from None
        except (ArithmeticError, RecursionError) as error:  # no schema may end in anything else
            raise Impossible(f"$: {type(error).__name__}: {error}") from error

    # --- any schema ---

    def _value(self, schema: Schema, hint: str, depth: int) -> Any:
        """A value for ``schema``; not yet checked where the schema says nothing intricate."""
        self._budget.spend()
        self._nodes += 1
        if schema is False:
            raise self._dead("the schema false takes no value")
        if depth > MAX_DEPTH:
            self._recursions += 1
            raise self._dead(f"values nest deeper than {MAX_DEPTH}")
        if schema is True:
            return plausible.text_for(hint, self._rng)
        if _CHECKED.isdisjoint(schema):
            return self._plain(schema, hint, depth)
        if "$ref" in schema and _ANNOTATED.issuperset(schema):
            return self._referred(schema["$ref"], hint, depth)
        return self._tried(schema, hint, depth)

    def _referred(self, ref: str, hint: str, depth: int) -> Any:
        """A value for a schema that is no more than a reference: that of its target."""
        target = self._checker.references.find(ref)
        if isinstance(target, bool) or "$ref" in target:
            return self._tried({"$ref": ref}, hint, depth)
        self._open[ref] = self._open.get(ref, 0) + 1
        try:
            self._refuse_recursion([ref])
            return self._value(target, hint, depth)
        finally:
            self._open[ref] -= 1

    def _refuse_recursion(self, opened: Iterable[str]) -> None:
        if any(self._open[ref] > _RECURSIONS[self._fill] for ref in opened):
            self._recursions += 1
            raise self._dead("the schema contains itself without end")

    def _dead(self, problem: str) -> Dead:
        dead = Dead(problem)
        dead.place = "".join(self._place)
        return dead

    def _tried(self, schema: Schema, hint: str, depth: int) -> Any:
        """A value that was checked: ways through the branches and fillings, one by one."""
        if (id(schema), self._fill) in self._hopeless:
            raise self._dead("no value validates")
        fill, variety, recursions = self._fill, self._variety, self._recursions
        start = self._rng.getrandbits(16)
        problem = Dead("no value validates")
        try:
            for phase in dict.fromkeys((max(fill, wish), strict) for wish, strict in _PHASES):
                self._fill = phase[0]
                tries = self._tries
                for outcome in self._phase(schema, hint, depth, start, strict=phase[1]):
                    if not isinstance(outcome, Dead):
                        return outcome[0]
                    problem = outcome
                if tries == self._tries:  # no way leads to a flat schema, whatever is filled
                    break
        finally:
            self._fill, self._variety = fill, variety
        if recursions == self._recursions:
            self._hopeless[id(schema), fill] = schema  # kept, so that its id stays its own
        raise problem

    def _phase(
        self, schema: Schema, hint: str, depth: int, start: int, *, strict: bool
    ) -> Iterator[Dead | tuple[Any]]:
        """The outcomes of some tries: a value in a tuple, or why there is none."""
        tries = most = 0
        for number in range(_MOST_WAYS):
            choices = Choices(number, start, strict=strict)
            flattener = Flattener(self._checker, choices)
            try:
                flat = flattener.flatten(schema)
            except Dead as dead:
                yield self._dead(str(dead))
                most = max(most, choices.ways)
                if number >= 4 * most:
                    return
                continue
            self._tries += 1
            most = max(most, choices.ways)
            yield self._outcome(schema, flat, flattener.entered, hint, depth)
            self._variety += 1
            tries += 1
            if tries >= min(_MANY_TRIES, max(_FEW_TRIES, 2 * most)):
                return

    def _outcome(
        self, schema: Schema, flat: Flat, entered: list[str], hint: str, depth: int
    ) -> Dead | tuple[Any]:
        try:
            value = self._within(entered, flat, hint, depth)
            if self._checker.valid(value, schema):
                return (value,)
        except Dead as dead:
            return dead
        return self._dead("the values that were tried do not validate")

    def _within(self, entered: list[str], flat: Flat, hint: str, depth: int) -> Any:
        """A value for ``flat``, with the references that led to it held open."""
        opened = dict.fromkeys(entered)
        for ref in opened:
            self._open[ref] = self._open.get(ref, 0) + 1
        try:
            self._refuse_recursion(opened)
            return self._plain(flat, hint, depth)
        finally:
            for ref in opened:
                self._open[ref] -= 1

    # --- flat schemas ---

    def _plain(self, flat: Flat, hint: str, depth: int) -> Any:
        if "const" in flat:
            return self._listed(flat, [flat["const"]])
        if "enum" in flat:
            return self._listed(flat, flat["enum"])
        if not self._variety and ("examples" in flat or flat.get("default")):
            suggested = self._suggested(flat)
            if suggested:
                return suggested[0]
        problem = Dead("no type is left")
        for kind in self._types(flat, depth):
            try:
                return self._typed(kind, flat, hint, depth)
            except Dead as dead:
                problem = dead
        raise problem if problem.place else self._dead(str(problem))

    def _listed(self, flat: Flat, values: list[Any]) -> Any:
        """One of the values that a schema lists, null last, that the rest of it takes, too."""
        rest = {name: flat[name] for name in flat if name not in ("enum", "const")}
        turn = self._rng.randrange(len(values)) if len(values) > 1 else 0
        for value in _turned(values, turn):
            self._budget.spend()
            if self._takes(rest, value):
                return copy_value(value, self._budget)
        raise self._dead("no value that the schema lists validates")

    def _takes(self, schema: Flat, value: Any) -> bool:
        try:
            copy_value(value, self._budget)
            return self._checker.valid(value, schema)
        except Dead:
            return False

    def _suggested(self, flat: Flat) -> list[Any]:
        """The first of the schema's own examples, or its default, that it takes, in a list."""
        examples = flat.get("examples", [])
        turn = self._rng.randrange(len(examples)) if len(examples) > 1 else 0
        default = [flat["default"]] if flat.get("default") else []
        for value in [*examples[turn:], *examples[:turn], *default]:
            self._budget.spend()
            if value is not None and self._takes(flat, value):
                return [copy_value(value, self._budget)]
        return []

    def _types(self, flat: Flat, depth: int) -> list[str]:
        """The types to try: what the schema says, else what its keywords speak of first."""
        types = flat.get("type")
        if isinstance(types, str):
            return [types]
        if types is None:
            implied = [
                kind
                for kind, keywords in _IMPLIED.items()
                if any(keyword in flat for keyword in keywords)
            ]
            first = "string" if depth else "object"
            return list(dict.fromkeys([*implied, first, "string", "integer", "boolean", *TYPES]))
        turn = self._rng.randrange(len(types)) if len(types) > 1 else 0
        return sorted([*types[turn:], *types[:turn]], key=lambda kind: kind == "null")

    def _typed(self, kind: str, flat: Flat, hint: str, depth: int) -> Any:
        match kind:
            case "string":
                return make_text(flat, hint, self._rng, self._patterns, self._budget, self._variety)
            case "object":
                return self._object(flat, depth)
            case "array":
                return self._array(flat, hint, depth)
            case "integer":
                return self._integer(flat, hint)
            case "number":
                return make_number(flat, hint, self._rng, self._variety)
            case "boolean" if "not" in flat:
                return self._listed(flat, [True, False])
            case "boolean":
                return self._rng.random() < 0.5
        return None

    def _integer(self, flat: Flat, hint: str) -> int:
        low, high = flat.get("minimum"), flat.get("maximum")
        if "not" in flat and low is not None and high is not None and high - low < _SMALL_RANGE:
            found: int = self._listed(flat, list(range(int(low), int(high) + 1)))
            return found
        return make_integer(flat, hint, self._rng, self._variety)

    # --- objects ---

    def _object(self, flat: Flat, depth: int) -> dict[str, Any]:
        fill = NEEDED if self._nodes > _ENOUGH_NODES else self._fill
        names, needed = property_names(flat, fill, self._rng)
        made: dict[str, Any] = {}
        for name in names:
            try:
                made[name] = self._property(flat, name, depth)
            except Dead:
                if name in needed:
                    raise
        drop_dependent(made, flat, needed)
        self._add_others(made, flat, depth)
        return made

    def _property(self, flat: Flat, name: str, depth: int) -> Any:
        self._budget.spend_text(len(name))
        self._place.append(f".{name[:_SHOWN]}")
        try:
            if not name.isascii() and not is_text(name):
                raise self._dead("a name holds half of a surrogate pair")
            if "propertyNames" in flat and not self._checker.valid(name, flat["propertyNames"]):
                raise self._dead("propertyNames does not take this name")
            return self._value(property_schema(flat, name, self._patterns), name, depth + 1)
        finally:
            self._place.pop()

    def _add_others(self, made: dict[str, Any], flat: Flat, depth: int) -> None:
        """Properties that the schema does not name: as many as it wants, one or two of a map."""
        least = flat.get("minProperties", 0)
        if least > MAX_ITEMS:
            raise self._dead(f"more than {MAX_ITEMS} properties are asked for")
        goal = least
        if self._fill == ALL and not flat.get("properties") and self._nodes <= _ENOUGH_NODES:
            goal = max(least, usual_others(flat, self._rng, self._variety))
        goal = min(goal, flat.get("maxProperties", MAX_ITEMS))
        for name in self._other_names(flat, goal):
            if len(made) >= goal:
                return
            self._budget.spend()
            if name in made or name in flat.get("dependentRequired", ()):
                continue
            try:
                made[name] = self._property(flat, name, depth)
            except Dead:
                continue
        if len(made) < least:
            raise self._dead(f"no {least} properties were found")

    def _other_names(self, flat: Flat, goal: int) -> Iterator[str]:
        if not goal:
            return
        yield from flat.get("properties", ())
        patterns = list(flat.get("patternProperties", ()))
        names = flat.get("propertyNames")
        for attempt in range(3 * goal + 12):
            try:
                if names is not None:
                    self._variety += attempt > 1
                    yield self._value(both({"type": "string"}, names), "key", MAX_DEPTH - 1)
                if patterns:
                    pattern = patterns[attempt % len(patterns)]
                    yield self._patterns.write(pattern, self._rng, attempt // 2, 0, 40)
            except Dead:
                pass
            word = self._rng.choice(plausible.WORDS)
            yield word if attempt < 6 else f"{word}_{self._rng.randrange(10_000)}"

    # --- arrays ---

    def _array(self, flat: Flat, hint: str, depth: int) -> list[Any]:
        low = flat.get("minItems", 0)
        sparse = self._nodes > _ENOUGH_NODES or self._fill == NEEDED
        schemas, placed = item_schemas(flat, self._rng, sparse=sparse, shuffled=self._variety > 1)
        singular = hint.removesuffix("s")
        unique = flat.get("uniqueItems", False)
        items: list[Any] = []
        for index, schema in enumerate(schemas):
            self._place.append(f"[{index}]")
            try:
                items.append(self._item(schema, singular, depth + 1, items if unique else None))
            except Dead:
                if index < max(low, placed):
                    raise
                break
            finally:
                self._place.pop()
        return items

    def _item(self, schema: Schema, hint: str, depth: int, others: list[Any] | None) -> Any:
        """An item; one that is not among ``others``, where they are given."""
        if others is None:
            return self._value(schema, hint, depth)
        seen = set(map(identity, others))
        variety = self._variety
        self._budget.spend(1 + len(others) // 10)
        try:
            for _ in range(4):
                value = self._value(schema, hint, depth)
                if identity(value) not in seen:
                    return value
                self._variety += 1
            return self._value(both(schema, {"not": {"enum": others}}), hint, depth)
        finally:
            self._variety = variety


def _turned(values: list[Any], turn: int) -> Iterator[Any]:
    """The values in a circle from index ``turn`` on, null last."""
    nulls = 0
    for step in range(len(values)):
        value = values[(turn + step) % len(values)]
        if value is None:
            nulls += 1
        else:
            yield value
    if nulls:
        yield None
