"""Why a matcher does not fit, in words for a person: ``"gpt-5" does not fit gpt-4*``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from llmproxy.conditions.matchers import AnyOf, Every, Matcher, NoneOf, One, Present
from llmproxy.units import quote

_MOST_NAMED = 3


def explain(matcher: Matcher, values: Sequence[Any], rate: float) -> str:
    """Why it does not fit these values, all of which are quoted; asked only where it does not.

    Raises:
        TimeoutError: a regex took too long.
    """
    if isinstance(matcher, Every):
        return _explain_mapping(matcher, values, rate)
    if isinstance(matcher, AnyOf) and len(matcher.parts) == 1:
        return explain(matcher.parts[0], values, rate)
    if isinstance(matcher, Present):
        return "is there" if values else "is not there"
    if not values:
        return "is not there"
    if len(values) == 1:
        return f"{quote(values[0])} {phrase(matcher, holds=False)}"
    if isinstance(matcher, NoneOf):
        culprits = (value for value in values if matcher.part.fits((value,), rate))
        culprit = next(culprits, values[0])
        return f"{quote(culprit)} {phrase(matcher.part, holds=True)}"
    return f"none of {len(values)} {phrase(matcher, holds=True)}"


def _explain_mapping(matcher: Every, values: Sequence[Any], rate: float) -> str:
    for test in matcher.tests:
        picked = [value for value in values if test.passes(value, rate)]
        if not picked:
            return explain(One(test), values, rate)
        values = picked
    wrong = next(part for part in matcher.rest if not part.fits(values, rate))
    return explain(wrong, values, rate)


def phrase(matcher: Matcher, *, holds: bool) -> str:
    """A matcher as the words behind a value: ``is "a" or is "b"``, ``is not "a" and …``."""
    if isinstance(matcher, One):
        return matcher.test.phrase(passes=holds)
    if isinstance(matcher, NoneOf):
        return phrase(matcher.part, holds=not holds)
    if isinstance(matcher, AnyOf):
        parts = (phrase(part, holds=holds) for part in matcher.parts)
        return _joined(parts, len(matcher.parts), "or" if holds else "and")
    if isinstance(matcher, Every):
        tests = (test.phrase(passes=holds) for test in matcher.tests)
        rest = (phrase(part, holds=holds) for part in matcher.rest)
        count = len(matcher.tests) + len(matcher.rest)
        return _joined((*tests, *rest), count, "and" if holds else "or")
    assert isinstance(matcher, Present)
    return "is there" if matcher.there is holds else "is not there"


def _joined(parts: Iterable[str], count: int, word: str) -> str:
    text = f" {word} ".join(islice(parts, _MOST_NAMED))
    more = count - _MOST_NAMED
    return f"{text} {word} {more} more" if more > 0 else text
