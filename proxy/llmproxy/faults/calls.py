"""Which calls of a session are meant: ``first 2``, ``every 5th``, ``2-4``, ``[1, 3]``.

Calls count from 1. One parser, as in ``units``; what is counted is not known here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from llmproxy.units import quote

MOST = 1_000_000_000
"""The largest number of a call."""
MOST_LISTED = 1_000
"""Members of a list of calls."""

_NUMBER = "[0-9]{1,10}"
SPAN_PATTERN = rf"\s*({_NUMBER})(?:\s*-\s*({_NUMBER}))?\s*"
"""``3`` or ``3-7``, for ``re.fullmatch`` and for JSON Schema."""
_FIRST = rf"\s*first\s+({_NUMBER})\s*"
_EVERY = rf"\s*every\s+({_NUMBER})(?:st|nd|rd|th)?\s*"
CALLS_PATTERN = f"{_FIRST}|{_EVERY}|{SPAN_PATTERN}"
"""A written plan of calls that is no list."""

_LONGEST_TEXT = 60
_MEND = "write first 2, every 5th, 2-4 or [1, 3]"


@dataclass(frozen=True, slots=True)
class Calls:
    """Some of the calls of a session.

    Attributes:
        every: each call whose number it divides; 0: those of the spans.
        starts, ends: first and last calls of spans that do not touch, in their order.
    """

    every: int = 0
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    def holds(self, number: int) -> bool:
        """Whether the call of this number, from 1, is one of them."""
        if self.every:
            return number % self.every == 0
        at = bisect_right(self.starts, number) - 1
        return at >= 0 and number <= self.ends[at]


def parse_calls(value: object) -> Calls:
    """The calls that a text, a number or a list of both means.

    Raises:
        ValueError: it means none; the message quotes it and says what to write.
    """
    if isinstance(value, list):
        if not 1 <= len(value) <= MOST_LISTED:
            raise ValueError(f"the list has {len(value):,} members; write 1 to {MOST_LISTED:,}")
        return _joined([parse_span(each, _MEND) for each in value])
    text = value if isinstance(value, str) and len(value) <= _LONGEST_TEXT else ""
    if first := re.fullmatch(_FIRST, text):
        return _joined([(1, _checked(int(first[1]), value))])
    if every := re.fullmatch(_EVERY, text):
        return Calls(every=_checked(int(every[1]), value))
    return _joined([parse_span(value, _MEND)])


def parse_span(value: object, mend: str, most: int = MOST) -> tuple[int, int]:
    """First and last of ``3-7``, or a number twice, from 1 to ``most``.

    Raises:
        ValueError: it is neither, out of bounds or the wrong way round; ``mend`` says what to
            write.
    """
    if type(value) is int:
        return _checked(value, value, most), value
    text = value if isinstance(value, str) and len(value) <= _LONGEST_TEXT else ""
    match = re.fullmatch(SPAN_PATTERN, text)
    if match is None:
        raise ValueError(f"{quote(value)} cannot be read; {mend}")
    first = _checked(int(match[1]), value, most)
    last = _checked(int(match[2] or match[1]), value, most)
    if first > last:
        raise ValueError(f"{quote(value)} is the wrong way round; write {last}-{first}")
    return first, last


def _checked(number: int, value: object, most: int = MOST) -> int:
    if 1 <= number <= most:
        return number
    raise ValueError(f"{quote(value)} is out of bounds; they count from 1 to {most:,}")


def _joined(spans: list[tuple[int, int]]) -> Calls:
    """Spans that touch become one, so that a call can be looked up by bisection."""
    starts: list[int] = []
    ends: list[int] = []
    for first, last in sorted(spans):
        if ends and first <= ends[-1] + 1:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return Calls(starts=tuple(starts), ends=tuple(ends))
