"""The journal: what became of the last requests, and of those that come from now on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

from llmproxy.control.route import MAP, WHOLE, Call, Parameter, Route, list_of, shape
from llmproxy.control.served import Served
from llmproxy.interaction import Chunk, Reply

MOST = 1_000
HEARTBEAT = 15.0
"""Seconds after which a reader gets an empty line, so that one who left is noticed."""
FILTERS = ("session", "source", "status", "endpoint")

_END = object()


async def _read(served: Served, call: Call) -> dict[str, Any] | Reply:
    filters = {name: call.query[name] for name in FILTERS if call.query[name] is not None}
    after, limit = call.query["after"], call.query["limit"]
    if call.query["follow"] == 1:
        return _following(served, after, filters)
    found = served.journal.entries(after=after, limit=limit, **filters)
    return {"entries": found, "last": served.journal.number}


def _following(served: Served, after: int, filters: dict[str, Any]) -> Reply:
    follower = Follower(served, after, filters)
    return Reply(
        source="control",
        status=200,
        reason="OK",
        headers=(("content-type", "application/x-ndjson"), ("cache-control", "no-store")),
        head_at=0.0,
        chunks=follower.chunks(),
        client_left=follower.end,
    )


class Follower:
    """Entries as lines of JSON: those kept already, then each as it is closed."""

    def __init__(self, served: Served, after: int, filters: dict[str, Any]) -> None:
        self._served = served
        self._after = after
        self._filters = filters
        self._news: asyncio.Queue[object] = asyncio.Queue()
        self._ended = False

    def end(self) -> None:
        """Nobody reads any more, or the server ends."""
        self._ended = True
        if self._news.empty():
            self._news.put_nowait(_END)

    async def chunks(self) -> AsyncIterator[Chunk]:
        journal = self._served.journal
        unsubscribe = journal.subscribe(self._hear)
        self._served.followers.add(self)
        try:
            while not self._ended:
                found = journal.entries(after=self._after, limit=MOST, **self._filters)
                self._after = found[-1]["number"] if len(found) == MOST else journal.number
                if found:
                    lines = "".join(json.dumps(entry) + "\n" for entry in found)
                    yield Chunk(monotonic(), lines.encode())
                if journal.number == self._after and not await self._news_came():
                    yield Chunk(monotonic(), b"\n")
        finally:
            self._served.followers.discard(self)
            unsubscribe()

    def _hear(self, event: str, _entry: object) -> None:
        if event == "closed" and self._news.empty():
            self._news.put_nowait(event)

    async def _news_came(self) -> bool:
        try:
            await asyncio.wait_for(self._news.get(), HEARTBEAT)
        except TimeoutError:
            return False
        return True


ROUTES = (
    Route(
        "GET",
        "/_llmproxy/journal",
        _read,
        "What became of the last requests, the oldest first; or of all from now on",
        shape(entries=list_of(MAP), last=WHOLE),
        query=(
            Parameter("session", "only of this session"),
            Parameter("source", "only with this x-llmproxy-source"),
            Parameter("status", "only with this status", None, 0, 999),
            Parameter("endpoint", "only of this endpoint, such as openai_chat"),
            Parameter("after", "only what came after the entry with this number", 0, 0, 10**15),
            Parameter("limit", "how many at most", 100, 1, MOST),
            Parameter("follow", "1: as NDJSON, and every one that comes", 0, 0, 1),
        ),
    ),
)
