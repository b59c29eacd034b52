"""Limits: how far each client is from each of them, and beginning their counts anew."""

from __future__ import annotations

import math
from typing import Any

from llmproxy.control.route import MAP, WHOLE, Call, Parameter, Route, list_of, shape
from llmproxy.control.served import Served
from llmproxy.limits.meters import State

MOST = 1_000


async def _read(served: Served, call: Call) -> dict[str, Any]:
    now = served.now().timestamp()
    states = served.meters.states(now) if served.meters else []
    limits = [
        {"place": each.limit.place, "strategy": each.limit.strategy}
        for each in served.live.configuration.limits
    ]
    newest = states[::-1][: call.query["limit"]]
    return {"limits": limits, "states": [_told(state) for state in newest]}


def _told(state: State) -> dict[str, Any]:
    counts = {
        measure: {
            "limit": standing.limit,
            "remaining": standing.remaining,
            "reset_seconds": round(standing.reset, 3) if math.isfinite(standing.reset) else None,
        }
        for measure, standing in state.standings
    }
    client = state.key if isinstance(state.key, tuple) else (state.key,)
    return {
        "limit": state.limit.place,
        "strategy": state.limit.strategy,
        "client": [str(each) for each in client],
        "counts": counts,
        "running": state.running,
    }


async def _reset(served: Served, _call: Call) -> dict[str, Any]:
    return {"reset": served.meters.reset() if served.meters else 0}


ROUTES = (
    Route(
        "GET",
        "/_llmproxy/limits",
        _read,
        "The limits, and how their counts stand, the one used last first",
        shape(limits=list_of(MAP), states=list_of(MAP)),
        query=(Parameter("limit", "how many counts at most", 100, 1, MOST),),
    ),
    Route(
        "POST",
        "/_llmproxy/limits/reset",
        _reset,
        "Begin all counts anew",
        shape(reset=WHOLE),
    ),
)
