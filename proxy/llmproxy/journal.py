"""The journal: one entry a request, the last of them, and the sums that the summary tells.

Errors and refusals are entries too. Log lines are gathered for a moment and logged together: to
log each by itself would cost more than to answer it. Whoever wants to hear of entries as they
come subscribes; where nobody does, that costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from time import monotonic, time
from typing import Any, Literal

from llmproxy.entry import MOST_TEXT, Entry, line, members
from llmproxy.metrics import Metrics

__all__ = ["Entry", "Event", "Gathered", "Journal", "Subscriber"]

log = logging.getLogger("llmproxy.requests")

GATHERED_FOR = 0.05
"""Seconds until gathered lines are logged."""

AT_ONCE = 16
"""Lines that are written before others have their turn, since a stream may wait for it; where far
more have gathered, an eighth of them, so that they do not become ever more."""

KEPT = 1_000
"""Entries of the past that can be looked at."""

FILTERS = ("session", "source", "status", "endpoint", "dialect", "model", "method", "id")
"""What entries can be picked by."""

Event = Literal["opened", "closed"]
Subscriber = Callable[[Event, Entry], None]
"""Is told of each entry on the loop, when it is known whose request it is and at its end; it
changes nothing in the entry, and does not raise."""


class Gathered:
    """Entries that are logged together; a formatter may write each as it likes."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries

    def __str__(self) -> str:
        return "\n".join(map(line, self.entries))


def _metrics() -> Metrics:
    return Metrics(monotonic(), time())


@dataclass(slots=True)
class Journal:
    """Counts entries, keeps the last ones and logs each.

    ``prompts`` says whether what was asked shall be logged.
    """

    requests: int = 0
    in_flight: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    missed: int = 0
    ruled: int = 0
    prompts: bool = False
    metrics: Metrics = field(default_factory=_metrics)
    number: int = 0
    """That of the entry that was closed last."""
    _run: str = field(default_factory=lambda: os.urandom(3).hex())
    _kept: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT))
    _gathered: list[Entry] = field(default_factory=list)
    _subscribers: tuple[Subscriber, ...] = ()

    def open(self, method: str) -> Entry:
        """A request has come."""
        self.requests += 1
        self.in_flight += 1
        return Entry(method=method, id=f"{self._run}-{self.requests}", began=monotonic())

    def begin(self, entry: Entry) -> None:
        """It is known whose request it is: ``endpoint``, ``path`` and ``session`` are set."""
        entry.begun = True
        self.metrics.begin(entry)
        if self._subscribers:
            self._tell("opened", entry)

    def close(self, entry: Entry) -> None:
        """An entry is complete."""
        entry.ended = monotonic()
        entry.time = time()
        self.in_flight -= 1
        self.sources[entry.source] += 1
        self.repeated += entry.repeated
        self.missed += bool(entry.miss)
        self.ruled += bool(entry.rule)
        if len(entry.path) + len(entry.method) > MOST_TEXT:
            entry.method, entry.path = _cut(entry.method), _cut(entry.path)
        if not entry.begun:  # refused before it was known whose it is
            self.begin(entry)
        self.number += 1
        entry.number = self.number
        self._kept.append(entry)
        self.metrics.end(entry)
        if self._subscribers:
            self._tell("closed", entry)
        if log.isEnabledFor(logging.INFO):
            if not self._gathered:
                asyncio.get_running_loop().call_later(GATHERED_FOR, self._log_some)
            self._gathered.append(entry)

    def flush(self) -> None:
        """Log all that has gathered."""
        entries, self._gathered = self._gathered, []
        _log(entries)

    def _log_some(self) -> None:
        """Log a part, and the rest in later turns of the loop."""
        some = max(AT_ONCE, len(self._gathered) // 8)
        entries, self._gathered = self._gathered[:some], self._gathered[some:]
        _log(entries)
        if self._gathered:
            asyncio.get_running_loop().call_soon(self._log_some)

    def entries(self, after: int = 0, limit: int = 100, **filters: object) -> list[dict[str, Any]]:
        """Kept entries, oldest first, as ``members`` tells them.

        Args:
            after: the number of the last one that is known already.
            limit: how many at most.
            filters: values of members, such as ``status=429``; each has to be equal.

        Raises:
            ValueError: a filter is none of ``FILTERS``.
        """
        if unknown := sorted(set(filters) - set(FILTERS)):
            raise ValueError(f"{unknown[0]} is no filter; there are {', '.join(FILTERS)}")
        wanted = {name: str(value) for name, value in filters.items()}
        return list(islice(_picked(self._newer(after), wanted), max(0, limit)))

    def _newer(self, after: int) -> Iterable[Entry]:
        """Entries have consecutive numbers: those behind ``after`` are the last ones."""
        known = len(self._kept) - (self.number - after)
        return list(islice(self._kept, max(0, known), None))

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Tell of entries from now on; what is returned ends that."""
        self._subscribers += (subscriber,)

        def unsubscribe() -> None:
            self._subscribers = tuple(each for each in self._subscribers if each is not subscriber)

        return unsubscribe

    def _tell(self, event: Event, entry: Entry) -> None:
        for subscriber in self._subscribers:
            subscriber(event, entry)


def _log(entries: list[Entry]) -> None:
    if entries:
        # an entry that is kept holds no prompt; what is logged may be written later than now
        log.info("%s", Gathered([replace(each) if each.prompt else each for each in entries]))
        for entry in entries:
            entry.prompt = ()


def _picked(entries: Iterable[Entry], wanted: dict[str, str]) -> Iterable[dict[str, Any]]:
    for entry in entries:
        told = members(entry)
        if all(str(told.get(name, "")) == value for name, value in wanted.items()):
            yield told


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"
