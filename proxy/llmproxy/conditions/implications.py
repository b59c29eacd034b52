"""Whether one condition holds wherever another does, as far as that is certain.

``check`` finds with it the rules that an earlier rule leaves nothing to. Strategy: conditions
are taken apart into places and tests; two tests of the same place are compared. A text, number
or name that stands there literally is simply tried. Whatever is not certain is answered with
no, and so is everything after a bounded number of steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmproxy.conditions.condition import Condition
from llmproxy.conditions.logic import All, Always, AnyHolds, Leaf, Not
from llmproxy.conditions.matchers import (
    AnyOf,
    Every,
    GlobTest,
    JsonTest,
    Matcher,
    NoneOf,
    NumberTest,
    One,
    Present,
    Test,
    TextTest,
    weight,
)

_MOST_STEPS = 2_000
_BRIEFLY = 0.02
"""Seconds for a regex that is tried on a literal."""


def implies(narrow: Condition, wide: Condition) -> bool:
    """Whether ``wide`` certainly holds for every request for which ``narrow`` does."""
    return _Proof().conditions(narrow, wide)


@dataclass(slots=True)
class _Proof:
    """Counts its steps, so that large conditions take no longer than small ones."""

    steps: int = 0

    def spent(self) -> bool:
        self.steps += 1
        return self.steps > _MOST_STEPS

    def conditions(self, narrow: Condition, wide: Condition) -> bool:
        if self.spent():
            return False
        if isinstance(wide, Always) or narrow == wide:
            return True
        if isinstance(wide, All):
            return all(self.conditions(narrow, part) for part in wide.parts)
        if isinstance(narrow, AnyHolds):
            return all(self.conditions(part, wide) for part in narrow.parts)
        if isinstance(narrow, Leaf) and isinstance(wide, Leaf):
            same = _place(narrow) == _place(wide)
            return same and self.matchers(narrow.matcher, wide.matcher, single=wide.single)
        if isinstance(narrow, Not) and isinstance(wide, Not):
            return self.conditions(wide.part, narrow.part)
        if isinstance(narrow, All) and any(self.conditions(part, wide) for part in narrow.parts):
            return True
        return isinstance(wide, AnyHolds) and any(
            self.conditions(narrow, part) for part in wide.parts
        )

    def matchers(self, narrow: Matcher, wide: Matcher, *, single: bool) -> bool:
        """Whether ``wide`` fits whatever values of one place ``narrow`` fits."""
        if self.spent():
            return False
        if narrow == wide:
            return True
        if isinstance(narrow, AnyOf):
            return all(self.matchers(part, wide, single=single) for part in narrow.parts)
        if isinstance(narrow, NoneOf) and isinstance(wide, NoneOf):
            return self.matchers(wide.part, narrow.part, single=single)
        if isinstance(narrow, Present) or isinstance(wide, Present):
            return _presence(narrow, wide)
        tests = _tests(narrow)
        if any(self.literal_fits(test, wide, single=single) for test in tests):
            return True
        if isinstance(wide, AnyOf):
            return any(self.matchers(narrow, part, single=single) for part in wide.parts)
        asked = () if isinstance(wide, Every) and wide.rest else _tests(wide)
        return bool(asked) and all(any(_stronger(one, test) for one in tests) for test in asked)

    def literal_fits(self, test: Test, wide: Matcher, *, single: bool) -> bool:
        """Whether the only value that passes the test is one that ``wide`` fits.

        Other values may stand beside it unless the place has a single one; then only matchers
        that nothing more can spoil are tried.
        """
        literal = _literal(test)
        if literal is None or not (single or _grows(wide)):
            return False
        try:
            return wide.fits(literal, _BRIEFLY / max(weight(literal[0]), 1))
        except TimeoutError:
            self.steps = _MOST_STEPS
            return False


def _place(leaf: Leaf) -> tuple[str, str | None]:
    folded = leaf.row == "headers" and leaf.key is not None
    return leaf.row, leaf.key.lower() if folded and leaf.key else leaf.key


def _presence(narrow: Matcher, wide: Matcher) -> bool:
    """What follows from something's being there, or from a test that something passes."""
    return wide == Present(there=True) and bool(_tests(narrow))


def _tests(matcher: Matcher) -> tuple[Test, ...]:
    """What one value must pass, the same for all."""
    if isinstance(matcher, One):
        return (matcher.test,)
    return matcher.tests if isinstance(matcher, Every) else ()


def _literal(test: Test) -> tuple[Any] | None:
    if isinstance(test, TextTest) and test.verb.name == "equals" and not test.fold:
        return (test.text,)
    if isinstance(test, NumberTest) and test.verb.name == "equals":
        return (test.number,)
    return (test.value,) if isinstance(test, JsonTest) else None


def _grows(matcher: Matcher) -> bool:
    """Whether it goes on fitting when values are added."""
    if isinstance(matcher, Every):
        return all(map(_grows, matcher.rest))
    if isinstance(matcher, AnyOf):
        return all(map(_grows, matcher.parts))
    return isinstance(matcher, One) or matcher == Present(there=True)


def _stronger(narrow: Test, wide: Test) -> bool:
    """Whether every value that passes ``narrow`` passes ``wide``."""
    if narrow == wide:
        return True
    if isinstance(narrow, NumberTest) and isinstance(wide, NumberTest):
        return _reaches(narrow, wide)
    if isinstance(narrow, TextTest | GlobTest) and isinstance(wide, TextTest | GlobTest):
        return (wide.fold or not narrow.fold) and _includes(narrow, wide)
    return False


def _reaches(narrow: NumberTest, wide: NumberTest) -> bool:
    """``lt 1`` is stronger than ``lt 2`` and ``le 1``."""
    below, above = ("lt", "le"), ("gt", "ge")
    for side in (below, above):
        if narrow.verb.name in side and wide.verb.name in side:
            if narrow.number == wide.number:
                return narrow.verb.name == side[0] or wide.verb.name == side[1]
            return (narrow.number < wide.number) is (side is below)
    return False


def _includes(narrow: TextTest | GlobTest, wide: TextTest | GlobTest) -> bool:
    """``starts_with abc`` is stronger than ``contains b``; ``gpt-4o*`` than ``gpt-4*``."""
    if isinstance(narrow, GlobTest):
        pattern = narrow.glob.pattern.casefold() if wide.fold else narrow.glob.pattern
        return (
            isinstance(wide, GlobTest) and "?" not in wide.glob.pattern and wide.glob.fits(pattern)
        )
    if isinstance(wide, GlobTest):
        return False
    text = narrow.text.casefold() if wide.fold else narrow.text
    if wide.verb.name not in (narrow.verb.name, "contains") and narrow.verb.name != "equals":
        return False
    return wide.verb.compare(text, wide.text)
