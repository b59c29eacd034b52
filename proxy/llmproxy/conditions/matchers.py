"""Matchers: whether what stands at a place of a request is what a rule asks for.

A test looks at one value; a matcher looks at all the values of a place: none where nothing is
there, several where a header has several lines or a prompt several messages. A test holds
where it passes for any of them; tests of one mapping must pass for the same value; ``not``
holds where nothing inside it does, so that ``tools: {not: search}`` is "search is not
offered". All of them are made once, when rules are read, and know nothing of requests.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from llmproxy.conditions import regexes
from llmproxy.conditions.globs import Glob
from llmproxy.units import quote

REGEX_COST = 4
"""What a regex adds to the cost of a condition."""


class Test(Protocol):
    """What one value is asked; ``rate`` is the seconds that a regex has for each character.

    ``phrase`` says in words that it passes, or that it does not.
    """

    @property
    def cost(self) -> int: ...
    def passes(self, value: Any, rate: float, /) -> bool:
        """Raises TimeoutError."""
        ...

    def phrase(self, *, passes: bool) -> str: ...


class Matcher(Protocol):
    """What all the values of a place are asked."""

    @property
    def cost(self) -> int: ...
    def fits(self, values: Sequence[Any], rate: float, /) -> bool:
        """Raises TimeoutError."""
        ...


@dataclass(frozen=True, slots=True)
class Verb:
    """A comparison, and its words with and without ``not``."""

    name: str
    compare: Callable[[Any, Any], bool] = field(compare=False, repr=False)
    yes: str
    no: str


TEXT_VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("equals", operator.eq, "is", "is not"),
        Verb("contains", operator.contains, "contains", "does not contain"),
        Verb("starts_with", str.startswith, "starts with", "does not start with"),
        Verb("ends_with", str.endswith, "ends with", "does not end with"),
    )
}
NUMBER_VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("equals", operator.eq, "is", "is not"),
        Verb("lt", operator.lt, "is below", "is not below"),
        Verb("le", operator.le, "is at most", "is not at most"),
        Verb("gt", operator.gt, "is above", "is not above"),
        Verb("ge", operator.ge, "is at least", "is not at least"),
    )
}


@dataclass(frozen=True, slots=True)
class TextTest:
    """A comparison with a text; with ``fold``, ``text`` is casefolded and so is the value."""

    verb: Verb
    text: str
    fold: bool = False
    written: str = field(default="", compare=False)
    cost: ClassVar[int] = 0

    def passes(self, value: Any, _rate: float) -> bool:
        if not isinstance(value, str):
            return False
        return self.verb.compare(value.casefold() if self.fold else value, self.text)

    def phrase(self, *, passes: bool) -> str:
        return f"{self.verb.yes if passes else self.verb.no} {quote(self.written or self.text)}"


@dataclass(frozen=True, slots=True)
class GlobTest:
    """Whether a text has the form of a glob; ``fold`` as in ``TextTest``."""

    glob: Glob
    fold: bool = False
    written: str = field(default="", compare=False)
    cost: ClassVar[int] = 0

    def passes(self, value: Any, _rate: float) -> bool:
        if not isinstance(value, str):
            return False
        return self.glob.fits(value.casefold() if self.fold else value)

    def phrase(self, *, passes: bool) -> str:
        return f"{'fits' if passes else 'does not fit'} {bare(self.written)}"


@dataclass(frozen=True, slots=True)
class RegexTest:
    """Whether a regex is found in a text."""

    pattern: regexes.Pattern = field(compare=False)
    text: str
    fold: bool = False
    cost: ClassVar[int] = REGEX_COST

    def passes(self, value: Any, rate: float) -> bool:
        if not isinstance(value, str):
            return False
        return regexes.search(self.pattern, value, rate * weight(value))

    def phrase(self, *, passes: bool) -> str:
        verb = "matches" if passes else "does not match"
        return f"{verb} the regex {bare(self.text)}"


@dataclass(frozen=True, slots=True)
class NumberTest:
    """A comparison with a number; nothing else is one, not even true."""

    verb: Verb
    number: float
    cost: ClassVar[int] = 0

    def passes(self, value: Any, _rate: float) -> bool:
        return is_number(value) and self.verb.compare(value, self.number)

    def phrase(self, *, passes: bool) -> str:
        return f"{self.verb.yes if passes else self.verb.no} {quote(self.number)}"


@dataclass(frozen=True, slots=True)
class JsonTest:
    """Whether a JSON value is this one; ``text`` is its JSON with keys in order."""

    value: Any = field(compare=False)
    text: str
    cost: ClassVar[int] = 0

    def passes(self, value: Any, _rate: float) -> bool:
        return same_json(self.value, value)

    def phrase(self, *, passes: bool) -> str:
        text = self.text if len(self.text) <= 60 else self.text[:59] + "…"
        return f"{'is' if passes else 'is not'} {text}"


@dataclass(frozen=True, slots=True)
class One:
    """One test, which any value may pass."""

    test: Test

    @property
    def cost(self) -> int:
        return self.test.cost

    def fits(self, values: Sequence[Any], rate: float) -> bool:
        for value in values:  # noqa: SIM110 - any() takes twice as long, and this is the path
            if self.test.passes(value, rate):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Every:
    """What stands in one mapping: tests that pick values, and what holds of those picked."""

    tests: tuple[Test, ...]
    rest: tuple[Matcher, ...]

    @property
    def cost(self) -> int:
        costs = [test.cost for test in self.tests]
        return max([*costs, *(matcher.cost for matcher in self.rest)])

    def fits(self, values: Sequence[Any], rate: float) -> bool:
        for test in self.tests:
            values = [value for value in values if test.passes(value, rate)]
            if not values:
                return False
        return all(matcher.fits(values, rate) for matcher in self.rest)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Alternatives."""

    parts: tuple[Matcher, ...]

    @property
    def cost(self) -> int:
        return max(part.cost for part in self.parts)

    def fits(self, values: Sequence[Any], rate: float) -> bool:
        return any(part.fits(values, rate) for part in self.parts)


@dataclass(frozen=True, slots=True)
class NoneOf:
    """What must not hold."""

    part: Matcher

    @property
    def cost(self) -> int:
        return self.part.cost

    def fits(self, values: Sequence[Any], rate: float) -> bool:
        return not self.part.fits(values, rate)


@dataclass(frozen=True, slots=True)
class Present:
    """Whether anything is there at all."""

    there: bool
    cost: ClassVar[int] = 0

    def fits(self, values: Sequence[Any], _rate: float) -> bool:
        return bool(values) is self.there


def is_number(value: object) -> bool:
    """Whether it is a number of JSON; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same_json(asked: object, given: object) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, true is not 1, order of keys is nothing.

    Without recursion, in time linear in ``asked``.
    """
    pairs = [(asked, given)]
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, dict):
            if not isinstance(other, dict) or one.keys() != other.keys():
                return False
            pairs.extend((value, other[key]) for key, value in one.items())
        elif isinstance(one, list):
            if not isinstance(other, list) or len(one) != len(other):
                return False
            pairs.extend(zip(one, other, strict=True))
        elif isinstance(one, bool) or isinstance(other, bool):
            if one is not other:
                return False
        elif one != other:
            return False
    return True


def weight(value: object) -> int:
    """How large a share of the time for regexes a value gets: short texts get some, too."""
    return len(value) + 100 if isinstance(value, str) else 0


def bare(text: str) -> str:
    """A text without quotes where that is clear, cut to 60 characters."""
    plain = text and len(text) <= 60 and text.isprintable() and " " not in text and '"' not in text
    return text if plain else quote(text)
