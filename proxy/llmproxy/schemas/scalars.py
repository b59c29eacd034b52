"""Texts and numbers for a flat schema: what its bounds, pattern and format allow.

Each maker proposes, the plausible first, and checks every proposal against the flat
schema's own keywords. Knows nothing of objects, arrays and branches.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from llmproxy.schemas import formats, plausible
from llmproxy.schemas.bounds import MAX_TEXT, Budget, Dead
from llmproxy.schemas.checking import is_multiple
from llmproxy.schemas.merging import Flat
from llmproxy.schemas.pattern_texts import Patterns

_PATTERN_ATTEMPTS = 24
_FORMAT_ATTEMPTS = 3
_SPREAD = 100
_WIDEST = 6
_EXACT = 2**52
_LARGEST = 1.7e308


def make_text(
    flat: Flat, name: str, rng: random.Random, patterns: Patterns, budget: Budget, variety: int
) -> str:
    """A text; the higher ``variety``, from 0, the less it is what everybody would say.

    Raises:
        Dead: none was found.
        Impossible: the budget is spent.
    """
    low, high = flat.get("minLength", 0), flat.get("maxLength", MAX_TEXT)
    if low > min(high, MAX_TEXT):
        raise Dead(f"no text has at least {low} and at most {min(high, MAX_TEXT)} characters")
    required = _said("pattern", flat)
    kinds = _said("format", flat)
    if not (required or kinds):
        budget.spend_text(low)
        return _fitted(_worded(name, rng, variety), low, high, rng)
    for text in _proposals(flat, name, rng, patterns, budget, variety):
        if (
            low <= len(text) <= high
            and all(patterns.found(pattern, text) for pattern in required)
            and all(formats.has_format(kind, text) for kind in kinds)
        ):
            return text
    raise Dead(f"no text was found for {' and '.join([*kinds, *required])[:200]}")


def _said(keyword: str, flat: Flat) -> list[str]:
    """What a flat schema says by a keyword, also what merging kept apart."""
    said = [flat[keyword]] if keyword in flat else []
    if "allOf" in flat:
        said += [part[keyword] for part in flat["allOf"] if keyword in part]
    return said


def _proposals(
    flat: Flat, name: str, rng: random.Random, patterns: Patterns, budget: Budget, variety: int
) -> Iterator[str]:
    low, high = flat.get("minLength", 0), min(flat.get("maxLength", MAX_TEXT), MAX_TEXT)
    kinds = _said("format", flat)
    known = [kind for kind in kinds if formats.is_known(kind)]
    for kind in known:
        for _ in range(_FORMAT_ATTEMPTS):
            yield formats.write_format(kind, rng, low, high, budget)
    required = _said("pattern", flat)
    if not variety and not known:
        yield _fitted(plausible.text_for(name, rng), low, high, rng)
    if not required and not known:
        yield _fitted(_worded(name, rng, variety), low, high, rng)
    for attempt in range(_PATTERN_ATTEMPTS):
        for pattern in required:
            yield patterns.write(pattern, rng, attempt, low, high)


def _worded(name: str, rng: random.Random, variety: int) -> str:
    text = plausible.text_for(name, rng)
    return f"{text} {rng.randrange(10 ** min(variety, 6))}" if variety > 2 else text


def _fitted(text: str, low: int, high: int, rng: random.Random) -> str:
    """The text, made longer by words or cut so that its length is allowed."""
    if low <= len(text) <= high:
        return text
    parts, length = [text], len(text)
    while length < low:
        word = rng.choice(plausible.WORDS)
        parts.append(word)
        length += 1 + len(word)
    text = " ".join(parts)[: max(low, min(high, length))]
    return text[:-1] + "a" if text.endswith(" ") else text


def make_integer(flat: Flat, name: str, rng: random.Random, variety: int) -> int:
    """An integer, small where the schema leaves it open.

    Raises:
        Dead: none was found.
    """
    low, high = _bounds(flat)
    first = -math.inf if low is None else math.ceil(low)
    last = math.inf if high is None else math.floor(high)
    if first == flat.get("exclusiveMinimum"):
        first += 1
    if last == flat.get("exclusiveMaximum"):
        last -= 1
    step = flat.get("multipleOf", 1)
    whole = _whole(step)
    first, last = _preferred(first, last, name, variety, whole)
    return _stepped(int(first), int(last), whole, step, rng)


def _whole(step: float) -> int:
    """The least integer that is a multiple of ``step``, read as a decimal."""
    return step if isinstance(step, int) else Fraction(str(step)).numerator


def _stepped(first: int, last: int, whole: int, step: float, rng: random.Random) -> int:
    """A multiple of ``whole`` from ``first`` to ``last``, if it is one of ``step``."""
    least, most = -(-first // whole), last // whole
    if least > most:
        raise Dead(f"no integer from {_short(first)} to {_short(last)} is a multiple of {step}")
    for _ in range(8):
        value = rng.randint(least, most) * whole
        if isinstance(step, int) or is_multiple(value, step):
            return value
    raise Dead(f"no integer was found that is a multiple of {step}")


def _short(number: float) -> str:
    return str(number) if abs(number) < 10**20 else f"{float(number):g}"


def _bounds(flat: Flat) -> tuple[float | None, float | None]:
    lows = [flat[name] for name in ("minimum", "exclusiveMinimum") if name in flat]
    highs = [flat[name] for name in ("maximum", "exclusiveMaximum") if name in flat]
    return max(lows, default=None), min(highs, default=None)


def _preferred(
    low: float, high: float, name: str, variety: int, step: float = 0
) -> tuple[float, float]:
    """The part of ``low`` to ``high`` that suits the name, else that lies near its ends."""
    if low > high:
        raise Dead(f"no number is from {_short(low)} to {_short(high)}")
    usual = plausible.amount_for(name)
    spread = _SPREAD ** max(1, min(variety, _WIDEST))
    for first, last in (usual, (0, spread)):
        start, end = max(low, first), min(high, last)
        if start + step <= end and (variety < 2 or last == spread):
            return start, end
    reach = max(spread, 2 * step)
    if low == -math.inf:
        return (min(0, high) - reach, high) if high != math.inf else (-reach, reach)
    return low, min(high, low + reach)


def make_number(flat: Flat, name: str, rng: random.Random, variety: int) -> float:
    """A number of two decimals where the schema leaves it open; an int for a whole step.

    Raises:
        Dead: none was found.
    """
    low, high = _bounds(flat)
    start = -_LARGEST if low is None else low
    end = _LARGEST if high is None else high
    for value in _numbers(flat, *_preferred(start, end, name, variety), rng):
        if _suits(value, flat):
            return value
    raise Dead(f"no number was found from {_short(start)} to {_short(end)}")


def _suits(value: float, flat: Flat) -> bool:
    return (
        ("minimum" not in flat or value >= flat["minimum"])
        and ("maximum" not in flat or value <= flat["maximum"])
        and ("exclusiveMinimum" not in flat or value > flat["exclusiveMinimum"])
        and ("exclusiveMaximum" not in flat or value < flat["exclusiveMaximum"])
        and ("multipleOf" not in flat or is_multiple(value, flat["multipleOf"]))
        and -_LARGEST <= value <= _LARGEST
    )


def _numbers(flat: Flat, start: float, end: float, rng: random.Random) -> Iterator[float]:
    if "multipleOf" in flat:
        yield from _multiples(flat, start, end, rng)
    for decimals in (2, 2, 4, 8, 17):
        yield round(start + (end - start) * rng.random(), decimals) + 0.0  # never -0.0
    low, high = _bounds(flat)
    for edge in (start, end, low, high):
        if edge is not None:
            yield from (edge, math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf))
            yield from (float(math.floor(edge) + 1), float(math.ceil(edge) - 1))


def _multiples(flat: Flat, start: float, end: float, rng: random.Random) -> Iterator[float]:
    step: Any = flat["multipleOf"]
    low, high = _bounds(flat)
    ranges = ((start, end), (start if low is None else low, end if high is None else high))
    for first, last in ranges:
        if max(abs(first), abs(last)) / step > _EXACT:
            continue
        least, most = math.ceil(first / step), math.floor(last / step)
        if least <= most:
            counts = [rng.randint(least, most) for _ in range(20)]
            for count in (*counts, least, most, least + 1, most - 1):
                yield _times(count, step)
    edges = [round(edge / step) for edge in (low, high) if edge and abs(edge) / step < _EXACT]
    for count in edges or [0]:
        yield from (_times(count + near, step) for near in (0, 1, -1))


def _times(count: int, step: float) -> float:
    """A multiple, without the tail that a product of doubles leaves: 0.30000000000000004."""
    value = count * step
    return round(value, 12) if isinstance(value, float) and 1e-6 < abs(value) < _EXACT else value
