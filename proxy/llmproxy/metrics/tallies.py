"""Counters and histograms: what is asked for at each scrape, as plain numbers.

A request moves one ``Tally``: that of its endpoint, model, source and status. All other counts are
sums over tallies, made when somebody reads. Names that a stranger chooses, such as models,
are bounded: what comes after the first hundred is ``other``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from llmproxy.entry import Entry

MOST_MODELS = 100
MOST_NAMES = 100
"""Limits and faults that are told apart."""
MOST_TALLIES = 5_000
OTHER = "other"

LATENESS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
FIRST_BYTE = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
DURATION = (*FIRST_BYTE[1:], 120.0, 300.0, 600.0)
"""Upper bounds of buckets, in seconds."""

Key = tuple[str, str, str, int]
"""Endpoint, model, source, status."""


class Histogram:
    """How often a number of seconds fell up to each bound; the last bucket has none."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0


class Times:
    """The times of one endpoint and source; ``late`` of those whose chunks had a moment."""

    __slots__ = ("duration", "first_byte", "late")

    def __init__(self) -> None:
        self.late = Histogram(LATENESS)
        self.first_byte = Histogram(FIRST_BYTE)
        self.duration = Histogram(DURATION)

    def observe(self, entry: Entry) -> None:
        """Count the times of an entry; one call for all, since each request pays for it."""
        began, first_byte, late = entry.began, entry.first_byte, entry.late
        if first_byte is not None:
            seconds = first_byte - began
            self.first_byte.buckets[bisect_left(FIRST_BYTE, seconds)] += 1
            self.first_byte.sum += seconds
        if late is not None:
            self.late.buckets[bisect_left(LATENESS, late)] += 1
            self.late.sum += late
        seconds = entry.ended - began
        self.duration.buckets[bisect_left(DURATION, seconds)] += 1
        self.duration.sum += seconds


class Tally:
    """The counts of one key; ``times`` are shared by those of one endpoint and source."""

    __slots__ = ("input_tokens", "misses", "output_tokens", "received", "requests", "sent", "times")

    def __init__(self, times: Times) -> None:
        self.requests = 0
        self.misses = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.received = 0
        self.sent = 0
        self.times = times


class Tallies:
    """All that was counted."""

    def __init__(self) -> None:
        self.by_key: dict[Key, Tally] = {}
        self.times: dict[tuple[str, str], Times] = {}
        self.limited: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._models: set[str] = set()
        self._known: dict[Key, Tally] = {}

    def count(self, entry: Entry) -> None:
        """Count an entry that has ended."""
        facts = entry.facts
        key = (entry.endpoint, facts.model, entry.source, entry.status)
        tally = self._known.get(key) or self._tally(key)
        tally.requests += 1
        tally.received += entry.received
        tally.sent += entry.sent
        if facts.input_tokens:
            tally.input_tokens += facts.input_tokens
        if facts.output_tokens:
            tally.output_tokens += facts.output_tokens
        tally.times.observe(entry)
        if entry.miss:
            tally.misses += 1
        if entry.limited:
            self.limited[bounded(self.limited, entry.limited)] += 1
        if entry.fault:
            for name in entry.fault.split(", "):
                self.faults[bounded(self.faults, name)] += 1

    def _tally(self, key: Key) -> Tally:
        """The tally that ``key`` moves: its own, or that of the others where there are too many."""
        endpoint, model, source, status = key
        kept = key
        if model and model not in self._models:
            if len(self._models) < MOST_MODELS:
                self._models.add(model)
            else:
                kept = (endpoint, OTHER, source, status)
        if kept not in self.by_key and len(self.by_key) >= MOST_TALLIES:
            kept = (endpoint, OTHER, source, status // 100 * 100)
        tally = self.by_key.get(kept)
        if tally is None:
            times = self.times.setdefault((endpoint, source), Times())
            tally = self.by_key[kept] = Tally(times)
        if kept == key:
            self._known[key] = tally
        return tally


def bounded(names: Counter[str], name: str) -> str:
    """The name, or ``other`` where it would be one too many."""
    return name if name in names or len(names) < MOST_NAMES else OTHER
