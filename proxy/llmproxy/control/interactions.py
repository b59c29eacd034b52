"""The interactions of the cassettes that are replayed, a page at a time.

Each page opens the cassette anew, in a thread: an open one is not for two threads, and the
server's own answers requests meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from llmproxy.cassette import Cassette
from llmproxy.control.route import MAP, Call, Parameter, Refused, Route, list_of, shape
from llmproxy.control.served import Served
from llmproxy.errors import CassetteError

MOST = 1_000
_TOLD = (
    "id", "run", "session", "recorded_at", "upstream", "method", "path", "model", "stream",
    "status", "duration_ms",
)  # fmt: skip


def _page(paths: Sequence[Path], after: int, limit: int) -> list[dict[str, Any]]:
    return list(islice(_all(paths), after, after + limit))


def _all(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        with contextlib.closing(Cassette(path)) as cassette:
            for entry in cassette.entries():
                told = asdict(entry)
                row = {name: told[name] for name in _TOLD}
                yield {"cassette": str(path), **row, "stream": bool(entry.stream)}


async def _read(served: Served, call: Call) -> dict[str, Any]:
    after, limit = call.query["after"], call.query["limit"]
    try:
        found = await asyncio.to_thread(_page, served.cassettes, after, limit)
    except CassetteError as error:
        raise Refused(500, error.message) from error
    following = after + len(found) if len(found) == limit else None
    return {"interactions": found, "next": following}


ROUTES = (
    Route(
        "GET",
        "/_llmproxy/interactions",
        _read,
        "The interactions of the cassettes that are replayed",
        shape(interactions=list_of(MAP), next={"type": ["integer", "null"]}),
        query=(
            Parameter("after", "how many to pass over; next of the page before", 0, 0, 10**9),
            Parameter("limit", "how many at most", 100, 1, MOST),
        ),
    ),
)
