"""Large numbers told without delaying streams: made and encoded in a thread, in small steps.

After an hour the numbers over time are some megabytes. A thread that works on them gives way
between steps, so no step may be long: encoding all of it at once would hold the interpreter for
a tenth of a second. What is counted meanwhile may change under the thread's hands; then it
begins again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

from llmproxy.metrics import Metrics

Make = Callable[[Metrics, float], Any]

SLICE = 50
"""Members of a list that are encoded in one step."""
_TRIES = 5


async def encoded(make: Make, metrics: Metrics, now: float) -> str:
    """The JSON of what ``make`` tells of the metrics at a moment."""
    for _ in range(_TRIES):
        try:
            return await asyncio.to_thread(_encode, make, metrics, now)
        except RuntimeError:  # something was counted while it was looked at
            continue
    return _encode(make, metrics, now)


def _encode(make: Make, metrics: Metrics, now: float) -> str:
    return "".join(_parts(make(metrics, now)))


def _parts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for number, (name, member) in enumerate(value.items()):
            yield f"{', ' if number else '{'}{json.dumps(name)}: "
            yield from _parts(member)
        yield "}" if value else "{}"
    elif isinstance(value, list):
        for start in range(0, len(value), SLICE):
            part = json.dumps(value[start : start + SLICE])
            yield f"{', ' if start else '['}{part[1:-1]}"
        yield "]" if value else "[]"
    else:
        yield json.dumps(value)
