"""Strategies that count within a time: the clock's own windows, and one that rolls along.

A window is open at its end: what was counted at its start is gone when it is over.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import ClassVar

from llmproxy.limits.strategy import GRAIN, Plan, Standing, Verdict, verdict

STAMPS = 256
"""Moments that a rolling window tells apart at least."""


class FixedWindow:
    """So much in each window of the clock: the windows begin at the multiples of their length.

    Twice the limit may pass around the end of a window. A debt ends with its window.
    """

    __slots__ = ("_limit", "_per", "_used", "_window")
    members: ClassVar[tuple[str, ...]] = ("requests", "tokens")
    _window: float
    _used: int

    def __init__(self, plan: Plan) -> None:
        self._limit = plan.limit
        self._per = plan.per
        self.reset()

    def take(self, now: float, cost: int = 1) -> Verdict:
        self._turn(now)
        if self._used + (cost or 1) <= self._limit:
            self._used += cost
            return verdict(self._standing(now), None)
        wait = math.inf if cost > self._limit else self._end() - now
        return verdict(self._standing(now), wait)

    def peek(self, now: float) -> Standing:
        self._turn(now)
        return self._standing(now)

    def give(self, now: float, cost: int) -> None:
        self._turn(now)
        self._used = max(0, self._used - cost)

    def reset(self) -> None:
        self._window = -math.inf
        self._used = 0

    def _turn(self, now: float) -> None:
        """Begin the window of ``now``, unless a later one was begun."""
        window = (now + GRAIN) // self._per
        if window > self._window:
            self._window = window
            self._used = 0

    def _end(self) -> float:
        return (self._window + 1) * self._per

    def _standing(self, now: float) -> Standing:
        return Standing(self._limit, max(0, self._limit - self._used), self._end() - now)


class SlidingWindow:
    """So much in any time as long as the window: a log of what was counted when.

    A log and not a counter weighted by how much of the last window is still seen: that one is
    only right where requests come evenly, and a test wants to know which request is refused.
    The log is kept as running totals, so that a wait is looked up and not added up. It is
    bounded: above ``STAMPS`` moments, those within one part in ``STAMPS`` of a window become
    the last of them, so that never more than the limit passes, at times a little less.
    """

    __slots__ = ("_at", "_done", "_first", "_limit", "_merging", "_now", "_per", "_totals")
    members: ClassVar[tuple[str, ...]] = ("requests", "tokens")
    _now: float
    """The latest moment seen."""
    _at: list[float]
    _totals: list[int]
    _first: int
    """Index of the oldest moment that still counts."""
    _done: int
    """The total up to that one."""
    _merging: float
    """When the last moment began, where later ones may join it."""

    def __init__(self, plan: Plan) -> None:
        self._limit = plan.limit
        self._per = plan.per
        self.reset()

    def take(self, now: float, cost: int = 1) -> Verdict:
        self._expire(now)
        over = self._used() + (cost or 1) - self._limit
        if over <= 0:
            self._count(cost)
            return verdict(self._standing(now), None)
        wait = math.inf if cost > self._limit else self._wait(now, over)
        return verdict(self._standing(now), wait)

    def peek(self, now: float) -> Standing:
        self._expire(now)
        return self._standing(now)

    def give(self, now: float, cost: int) -> None:
        self._expire(now)
        if cost < 0:
            self._count(-cost)
        else:
            self._forget_last(cost)

    def reset(self) -> None:
        self._at, self._totals = [], []
        self._first = self._done = 0
        self._now = self._merging = -math.inf

    def _used(self) -> int:
        return self._totals[-1] - self._done if self._totals else 0

    def _expire(self, now: float) -> None:
        self._now = max(now, self._now)
        gone = self._now - self._per + GRAIN
        at, first = self._at, self._first
        while first < len(at) and at[first] <= gone:
            first += 1
        if first > self._first:
            self._done = self._totals[first - 1]
            self._first = first
        if first > STAMPS or first == len(at):
            del at[:first], self._totals[:first]
            self._first = 0
            if not at:
                self._done = 0

    def _count(self, cost: int) -> None:
        if cost == 0:
            return
        at, totals, now = self._at, self._totals, self._now
        total = cost + (totals[-1] if totals else self._done)
        if at and len(at) - self._first >= STAMPS and now - self._merging < self._per / STAMPS:
            at[-1], totals[-1] = now, total
        elif at and at[-1] == now:
            totals[-1] = total
        else:
            at.append(now)
            totals.append(total)
            self._merging = now

    def _forget_last(self, cost: int) -> None:
        at, totals = self._at, self._totals
        left = max(self._done, self._done + self._used() - cost)
        while len(at) > self._first and (totals[-2] if len(at) > 1 else self._done) >= left:
            at.pop()
            totals.pop()
            self._merging = -math.inf
        if len(at) > self._first:
            totals[-1] = left

    def _wait(self, now: float, over: int) -> float:
        """Seconds until so much of what counts is gone."""
        index = bisect_left(self._totals, self._done + over, lo=self._first)
        return self._at[index] + self._per - now

    def _standing(self, now: float) -> Standing:
        used = self._used()
        reset = self._at[-1] + self._per - now if used else 0.0
        return Standing(self._limit, max(0, self._limit - used), reset)
