"""A rate as people write it: ``60 per minute``, ``60/min``, ``10 per 500ms``.

One parser and one writer, as in ``units``. What the rate counts is not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from llmproxy.units import format_duration, parse_duration, quote

MOST = 1_000_000_000
"""The largest limit."""
SHORTEST = 0.001
"""Seconds of the shortest time that a limit is for."""
LONGEST = 366 * 86_400.0
"""Seconds of the longest time that a limit is for."""
EXAMPLE = "60 per minute"

_SECONDS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), Decimal("0.001")),
    **dict.fromkeys(("s", "sec", "second", "seconds"), Decimal(1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), Decimal(60)),
    **dict.fromkeys(("h", "hour", "hours"), Decimal(3600)),
    **dict.fromkeys(("d", "day", "days"), Decimal(86_400)),
}
_WORDS = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86_400.0: "day"}
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_TIME = rf"(?:({_NUMBER})\s*)?({'|'.join(sorted(_SECONDS, key=len, reverse=True))})"
_LONGEST_TEXT = 60

RATE_PATTERN = rf"\s*([0-9]{{1,12}})\s*(?:per\s|/)\s*{_TIME}\s*"
"""A written rate, for ``re.fullmatch`` and for JSON Schema."""
PER_PATTERN = rf"\s*{_TIME}\s*"
"""A written time that a limit is for: ``minute``, ``500ms``, ``2 hours``."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``limit`` in ``per`` seconds."""

    limit: int
    per: float

    def __str__(self) -> str:
        return format_rate(self)


def parse_rate(value: object) -> Rate:
    """The rate that a text writes.

    Raises:
        ValueError: it is no rate; the message quotes it and says what to write.
    """
    text = value if isinstance(value, str) and len(value) <= _LONGEST_TEXT else ""
    match = re.fullmatch(RATE_PATTERN, text)
    if match is None:
        raise ValueError(f"{quote(value)} is not a rate; write 60 per minute or 10 per 500ms")
    return Rate(check_limit(int(match[1])), _check_per(_seconds(match[2], match[3]), value))


def parse_per(value: object) -> float:
    """The seconds of ``minute``, ``500ms``, ``2 hours`` or a number of seconds.

    Raises:
        ValueError: it is no time, or too short or too long for a limit.
    """
    text = value if isinstance(value, str) and len(value) <= _LONGEST_TEXT else ""
    match = re.fullmatch(PER_PATTERN, text)
    if match is not None:
        return _check_per(_seconds(match[1], match[2]), value)
    try:
        return _check_per(parse_duration(value), value)
    except ValueError as error:
        if isinstance(value, str) or "is not a duration" not in str(error):
            raise
        raise ValueError(f"{quote(value)} is not a duration; write minute, 500ms or 2s") from None


def check_limit(limit: object) -> int:
    """The limit, if it is one.

    Raises:
        ValueError: it is no whole number or out of bounds.
    """
    if limit == 0 and type(limit) is int:
        raise ValueError("a limit of 0 lets nothing through; write strategy: always for that")
    if type(limit) is not int or not 1 <= limit <= MOST:
        raise ValueError(f"{quote(limit)} is not a whole number from 1 to {MOST:,}")
    return limit


def format_rate(rate: Rate) -> str:
    """``60 per minute``, ``10 per 500ms``."""
    return f"{rate.limit} per {_WORDS.get(rate.per) or format_duration(rate.per)}"


def rate_schema() -> dict[str, object]:
    """JSON Schema of a rate: a text, or ``{limit: 60, per: 1m}``."""
    limit = {"type": "integer", "minimum": 1, "maximum": MOST}
    per = {"anyOf": [{"type": "string", "pattern": f"^{PER_PATTERN}$"}, {"type": "number"}]}
    mapping = {
        "type": "object",
        "required": ["limit", "per"],
        "additionalProperties": False,
        "properties": {"limit": limit, "per": per},
    }
    return {"anyOf": [{"type": "string", "pattern": f"^{RATE_PATTERN}$"}, mapping]}


def _seconds(number: str | None, unit: str) -> float:
    return float(Decimal(number or 1) * _SECONDS[unit])


def _check_per(seconds: float, value: object) -> float:
    if SHORTEST <= seconds <= LONGEST:
        return seconds
    raise ValueError(f"{quote(value)} is for a time that is not between 1ms and 366 days")
