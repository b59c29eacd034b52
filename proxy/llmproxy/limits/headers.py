"""The header lines that say how far a client is from its limits, as each provider writes them.

Strategy: of all limits that a request is subject to, a provider shows the one that gives out
first. OpenAI's lines are ``x-ratelimit-*`` with durations as Go writes them (``20ms``, ``1s``,
``6m0s``); Anthropic's are ``anthropic-ratelimit-*`` with moments by RFC 3339, where ``tokens``
without a limit of its own are the sum of input and output. Gemini and Ollama say nothing. The
lines of a refusal itself, ``retry-after`` and ``retry-after-ms``, are written with the error.
Facts are from both providers' API references.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from llmproxy.interaction import Headers
from llmproxy.limits.limit import Measure, Reading
from llmproxy.limits.strategies import RANDOM

_LAST_MOMENT = 253_402_300_799
"""The end of the year 9999 as seconds of the epoch."""

_Left = tuple[int, int, float]
"""Remaining, limit, and seconds until it is whole again: the order of who gives out first."""
_Group = Mapping[str, _Left]


def limit_headers(dialect_name: str, readings: Iterable[Reading], today: float) -> Headers:
    """The lines of a reply, refused or not.

    Args:
        dialect_name: whose lines.
        readings: of all limits that the request is subject to.
        today: seconds of the epoch.
    """
    write = _WRITERS.get(dialect_name)
    if write is None:
        return ()
    strictest: dict[Measure, _Left] = {}
    probability = 0.0
    for reading in readings:
        found, measure = reading.verdict, reading.measure
        if found.limit is not None:
            left = (found.remaining, found.limit, found.reset)
            strictest[measure] = min(left, strictest.get(measure, left), key=_urgency)
        elif reading.limit.strategy == RANDOM:
            probability = max(probability, reading.limit.probability)
    lines = write(_groups(strictest), today)
    return (*lines, ("x-ratelimit-probability", f"{probability:g}")) if probability else lines


def _urgency(left: _Left) -> tuple[int, float]:
    remaining, _, reset = left
    return remaining, -reset


def _groups(strictest: Mapping[Measure, _Left]) -> dict[str, _Left]:
    groups: dict[str, _Left] = {}
    if "requests" in strictest:
        groups["requests"] = strictest["requests"]
    entering, leaving = strictest.get("input"), strictest.get("output")
    if "total" in strictest:
        groups["tokens"] = strictest["total"]
    elif entering and leaving:
        reset = max(entering[2], leaving[2])
        groups["tokens"] = (entering[0] + leaving[0], entering[1] + leaving[1], reset)
    elif only := entering or leaving:
        groups["tokens"] = only
    if entering:
        groups["input-tokens"] = entering
    if leaving:
        groups["output-tokens"] = leaving
    return groups


def _openai(groups: _Group, _today: float) -> Headers:
    shown = [(name, groups[name]) for name in ("requests", "tokens") if name in groups]
    return (
        *((f"x-ratelimit-limit-{name}", str(left[1])) for name, left in shown),
        *((f"x-ratelimit-remaining-{name}", str(left[0])) for name, left in shown),
        *((f"x-ratelimit-reset-{name}", duration(left[2])) for name, left in shown),
    )


def _anthropic(groups: _Group, today: float) -> Headers:
    lines: list[tuple[str, str]] = []
    for name, (remaining, limit, reset) in groups.items():
        start = f"anthropic-ratelimit-{name}"
        lines += (
            (f"{start}-limit", str(limit)),
            (f"{start}-remaining", str(remaining)),
            (f"{start}-reset", moment(today + max(reset, 0.0))),
        )
    return tuple(lines)


_WRITERS: Mapping[str, Callable[[_Group, float], Headers]] = {
    "openai": _openai,
    "anthropic": _anthropic,
}


def duration(seconds: float) -> str:
    """``20ms``, ``1s``, ``6m0s``, ``1h0m0.5s``: at least so long, in whole milliseconds."""
    thousandths = max(0, math.ceil(round(seconds * 1000, 3)))
    if 0 < thousandths < 1000:
        return f"{thousandths}ms"
    minutes, thousandths = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, part = divmod(thousandths, 1000)
    text = f"{whole}.{part:03}".rstrip("0") if part else str(whole)
    if hours:
        return f"{hours}h{minutes}m{text}s"
    return f"{minutes}m{text}s" if minutes else f"{text}s"


def moment(epoch: float) -> str:
    """``2026-01-31T12:00:00Z``: at least that moment, in whole seconds."""
    return _moment(min(math.ceil(round(epoch, 3)), _LAST_MOMENT))


@lru_cache(maxsize=64)
def _moment(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
