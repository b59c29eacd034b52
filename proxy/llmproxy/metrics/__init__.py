"""Counts and times of all requests, in bounded memory, whatever comes.

``Metrics`` hears of each entry at its beginning and its end, and keeps two things: ``Tally``
(``tallies.py``), the counters and histograms that ``exposition.py`` writes for Prometheus, and
``Load`` (``loads.py``), for each endpoint and all together, what a dashboard draws: percentiles,
peaks, a time line. Time is that of the entries; no clock is read here. A counter of
prometheus_client costs more than all of this together, so counting is our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llmproxy.entry import Entry
from llmproxy.metrics.loads import Load
from llmproxy.metrics.tallies import Tallies

__all__ = ["Load", "Metrics", "Queue"]


@dataclass(frozen=True, slots=True)
class Queue:
    """The recorder's: bytes that wait for the disk, exchanges that were kept, and lost ones."""

    waiting: int
    kept: int
    lost: int


class Metrics:
    """What was counted since the start or the last reset.

    Args:
        began: a reading of ``time.monotonic``.
        at: the same moment in seconds of the epoch.

    Attributes:
        tallies: counters and histograms.
        total: the load of all endpoints together.
        loads: that of each endpoint; those that nobody claims are the endpoint ``""``.
        open: the requests that are being answered.
        queue: the recorder's, where there is one.
    """

    def __init__(self, began: float, at: float) -> None:
        self._epoch = at - began
        self.queue: Callable[[], Queue] | None = None
        self.open: set[Entry] = set()
        self.reset(began)

    def reset(self, now: float) -> None:
        """Forget all but the requests that are being answered."""
        self.began = now
        self.tallies = Tallies()
        self.total = Load(now, len(self.open))
        self.loads: dict[str, Load] = {}
        for entry in self.open:
            self._load(entry.endpoint, now).active += 1

    def begin(self, entry: Entry) -> None:
        """A request, of which it is known whose it is."""
        self.open.add(entry)
        began = entry.began
        self.total.begin(began)
        load = self.loads.get(entry.endpoint) or self._load(entry.endpoint, self.began)
        load.begin(began)

    def end(self, entry: Entry) -> None:
        """A request that has ended."""
        self.open.discard(entry)
        self.tallies.count(entry)
        ended, latency = entry.ended, entry.ended - entry.began
        failed = "" if 200 <= entry.status < 400 and not entry.note else failure(entry)
        limited, streamed = bool(entry.limited), entry.facts.stream
        self.total.end(ended, latency, failed, limited, streamed)
        load = self.loads.get(entry.endpoint) or self._load(entry.endpoint, self.began)
        load.end(ended, latency, failed, limited, streamed)

    def streams(self, endpoint: str | None = None) -> int:
        """How many streams are open, at one endpoint or at all."""
        return sum(
            entry.facts.stream
            for entry in self.open
            if endpoint is None or entry.endpoint == endpoint
        )

    def at(self, moment: float) -> float:
        """Seconds of the epoch at a reading of ``time.monotonic``."""
        return moment + self._epoch

    def _load(self, endpoint: str, now: float) -> Load:
        return self.loads.setdefault(endpoint, Load(now))


def failure(entry: Entry) -> str:
    """The kind of an entry's failure, of which there are few; empty where it is none.

    A client that leaves is no failure, and what a limit refuses is counted by itself.
    """
    if entry.limited:
        return ""
    if entry.miss and entry.status >= 400:
        return "miss"
    if entry.fault and (entry.status >= 400 or not entry.status):
        return entry.fault
    if entry.status >= 400:
        return f"status {entry.status}"
    if entry.note in ("", "client left", "cut off by shutdown"):
        return ""
    return entry.note
