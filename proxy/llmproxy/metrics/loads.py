"""The load of an endpoint over time: how many at once, how many a second, how long they took.

Counts of the running second become a point when a later second begins; seconds in which nothing
happened have no point until somebody reads. All of it is bounded: an hour of points, the last
thousand latencies and moments, a hundred kinds of errors.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor

MOST_POINTS = 3_600
MOST_RECENT = 1_000
MOST_IN_A_SECOND = 256
"""Latencies of one second from which its percentiles are made: the last ones."""
MOST_ERRORS = 100
OTHER = "other"

LATENCY_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds in seconds, exclusive, of the buckets of latencies; the tenth has none."""


@dataclass(frozen=True, slots=True)
class Point:
    """One second: ``second`` is a whole reading of the clock, latencies are in seconds.

    ``active`` are the requests in flight at its end, ``connections`` all that came since the
    start.
    """

    second: int
    active: int = 0
    connections: int = 0
    started: int = 0
    completed: int = 0
    failed: int = 0
    limited: int = 0
    average: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


@dataclass(slots=True)
class Failures:
    """Errors of one kind; ``last`` is a reading of the clock."""

    count: int = 0
    last: float = 0.0


@dataclass(slots=True)
class Peak:
    """The most of something, and the reading of the clock when it was so."""

    most: float = 0.0
    at: float | None = None


class Load:
    """What one endpoint had to do.

    Args:
        now: a reading of ``time.monotonic``.
        active: requests that it is answering already.
    """

    __slots__ = (
        "_latencies", "_latency_sum", "_next", "_origin", "_previous", "_second_completed", "_second_failed",
        "_second_limited", "_second_started", "active", "at_once", "began", "completed",
        "errors", "failed", "fastest", "histogram", "latencies", "limited", "moments", "points",
        "slowest", "started", "streamed",
    )  # fmt: skip

    def __init__(self, now: float, active: int = 0) -> None:
        self.began = now
        self.active = active
        self.started = self.completed = self.failed = self.limited = self.streamed = 0
        self.at_once = Peak(active, now if active else None)
        self.fastest = Peak()
        self.slowest = Peak()
        self.latencies: deque[float] = deque(maxlen=MOST_RECENT)
        self.moments: deque[float] = deque(maxlen=MOST_RECENT)
        self.histogram = [0] * (len(LATENCY_BOUNDS) + 1)
        self.errors: dict[str, Failures] = {}
        self.points: deque[Point] = deque(maxlen=MOST_POINTS)
        self._origin = Point(floor(now) - 1, active)
        self._previous = 0
        self._next = floor(now) + 1
        self._clear()

    def begin(self, now: float) -> None:
        """A request has come."""
        if now >= self._next:
            self._roll(now)
        self.started += 1
        self._second_started += 1
        self.moments.append(now)
        self.active += 1
        if self.active > self.at_once.most:
            self.at_once.most, self.at_once.at = self.active, now

    def end(self, now: float, latency: float, failed: str, limited: bool, streamed: bool) -> None:
        """A request has ended; ``failed`` is the kind of its error."""
        if now >= self._next:
            self._roll(now)
        self.active -= 1
        self.completed += 1
        latencies = self._latencies
        if len(latencies) < MOST_IN_A_SECOND:
            latencies.append(latency)
        else:
            latencies[self._second_completed % MOST_IN_A_SECOND] = latency
        self._second_completed += 1
        self._latency_sum += latency
        self.latencies.append(latency)
        self.histogram[bisect_right(LATENCY_BOUNDS, latency)] += 1
        if latency > self.slowest.most:
            self.slowest.most, self.slowest.at = latency, now
        if streamed:
            self.streamed += 1
        if limited:
            self.limited += 1
            self._second_limited += 1
        elif failed:
            self._fail(now, failed)

    def _fail(self, now: float, kind: str) -> None:
        self.failed += 1
        self._second_failed += 1
        if kind not in self.errors and len(self.errors) >= MOST_ERRORS - 1:
            kind = OTHER
        failures = self.errors.setdefault(kind, Failures())
        failures.count += 1
        failures.last = now

    def rate(self, now: float) -> float:
        """Requests in the last second, as far as two counted seconds tell."""
        second = floor(now)
        running = self._next - 1
        if second == running:
            return self._previous * (running + 1 - now) + self._second_started
        return self._second_started * (second + 1 - now) if second == running + 1 else 0.0

    def percentile(self, share: float) -> float:
        """The latency that ``share`` of the last ones did not exceed, in seconds."""
        return percentile(sorted(self.latencies), share)

    def peak_rate(self) -> Peak:
        """The most requests in a second, the running one included."""
        running = self._second_started
        if running > self.fastest.most:
            return Peak(running, float(self._next - 1))
        return self.fastest

    def timeline(self, now: float) -> Iterator[Point]:
        """A point for each second from the start up to ``now``, at most an hour of them."""
        last = self._origin
        earliest = floor(now) - MOST_POINTS + 1
        for point in (*self.points, self._point()):
            yield from _idle(last, max(last.second + 1, earliest), point.second)
            if point.second >= earliest:
                yield point
            last = point
        yield from _idle(last, max(last.second + 1, earliest), floor(now) + 1)

    def _roll(self, now: float) -> None:
        """The running second has ended; the one of ``now`` begins."""
        self.fastest = self.peak_rate()
        if self._second_started or self._second_completed:
            self.points.append(self._point())
        self._previous = self._second_started if floor(now) == self._next else 0
        self._next = floor(now) + 1
        self._clear()

    def _clear(self) -> None:
        self._second_started = self._second_completed = 0
        self._second_failed = self._second_limited = 0
        self._latency_sum = 0.0
        self._latencies: list[float] = []

    def _point(self) -> Point:
        found = sorted(self._latencies)
        completed = self._second_completed
        return Point(
            second=self._next - 1,
            active=self.active,
            connections=self.started,
            started=self._second_started,
            completed=completed,
            failed=self._second_failed,
            limited=self._second_limited,
            average=self._latency_sum / completed if completed else 0.0,
            p50=percentile(found, 0.5),
            p95=percentile(found, 0.95),
            p99=percentile(found, 0.99),
        )


def percentile(ascending: Sequence[float], share: float) -> float:
    """The nearest rank: the smallest value that ``share`` of all do not exceed; 0 of none."""
    if not ascending:
        return 0.0
    return ascending[max(0, ceil(share * len(ascending)) - 1)]


def _idle(last: Point, first: int, end: int) -> Iterator[Point]:
    """The seconds in which nothing began or ended."""
    quiet = Point(last.second, last.active, last.connections)
    for second in range(first, end):
        yield replace(quiet, second=second)
