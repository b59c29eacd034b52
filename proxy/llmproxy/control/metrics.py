"""Numbers: for Prometheus, as JSON and as CSV."""

from __future__ import annotations

import asyncio
from typing import Any

from llmproxy.control.numbers import Make, encoded
from llmproxy.control.route import JSON, MAP, NUMBER, TEXT, Call, Route, shape, text_reply
from llmproxy.control.served import Served
from llmproxy.interaction import Reply
from llmproxy.metrics import dashboard
from llmproxy.metrics.exposition import CONTENT_TYPE, exposition

CSV = "text/csv; charset=utf-8"


async def prometheus(served: Served, _call: Call) -> Reply:
    return text_reply(CONTENT_TYPE, exposition(served.journal.metrics))


async def numbers(served: Served, _call: Call) -> Reply:
    return text_reply(JSON, await told(served, dashboard.detailed))


async def told(served: Served, make: Make) -> str:
    """The JSON of what ``make`` tells of the numbers now."""
    return await encoded(make, served.journal.metrics, served.clock())


async def table(served: Served, _call: Call) -> Reply:
    text = await asyncio.to_thread(dashboard.as_csv, served.journal.metrics, served.clock())
    return text_reply(CSV, text)


def forget(served: Served) -> None:
    """Begin all numbers anew."""
    served.journal.metrics.reset(served.clock())


async def _reset(served: Served, _call: Call) -> dict[str, Any]:
    forget(served)
    return {"reset": True}


_BASE = "/_llmproxy/metrics"
ROUTES = (
    Route(
        "GET", _BASE, prometheus, "All numbers for Prometheus", TEXT, open=True, media="text/plain"
    ),
    Route(
        "GET",
        f"{_BASE}.json",
        numbers,
        "Percentiles, peaks and a time line of each endpoint and of all",
        shape(**{"timestamp": NUMBER, "endpoints": MAP, "global": MAP}),
        open=True,
    ),
    Route(
        "GET",
        f"{_BASE}.csv",
        table,
        "The time line, a line a second",
        TEXT,
        open=True,
        media="text/csv",
    ),
    Route(
        "POST",
        f"{_BASE}/reset",
        _reset,
        "Begin all numbers anew",
        shape(reset={"type": "boolean"}),
    ),
)
