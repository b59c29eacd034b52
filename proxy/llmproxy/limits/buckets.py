"""Strategies that let a burst through and then an even flow: token bucket and leaky bucket.

Both are meters, as providers use them: what does not fit is refused, nothing is held back. They
decide alike; one counts what may still come, the other what came and is not worked off.
"""

from __future__ import annotations

import math
from typing import ClassVar

from llmproxy.limits.strategy import GRAIN, Plan, Standing, Verdict, verdict


class TokenBucket:
    """A bucket of so many tokens, filled up evenly; a call takes out as many as it costs.

    In any time of T seconds at most its capacity and what flows in within T passes.
    """

    __slots__ = ("_at", "_capacity", "_level", "_rate", "_slack")
    members: ClassVar[tuple[str, ...]] = ("requests", "tokens", "burst")
    _level: float
    _at: float
    """The latest moment seen."""

    def __init__(self, plan: Plan) -> None:
        self._capacity = plan.capacity
        self._rate = plan.limit / plan.per
        self._slack = min(0.5, GRAIN * self._rate + 1e-9)
        """What may lack of a whole token: what flows in within a grain, and what floats lose."""
        self.reset()

    def take(self, now: float, cost: int = 1) -> Verdict:
        self._fill(now)
        lacking = (cost or 1) - self._level
        if lacking <= self._slack:
            self._level -= cost
            return verdict(self._standing(now), None)
        wait = math.inf if cost > self._capacity else self._after(now, lacking)
        return verdict(self._standing(now), wait)

    def peek(self, now: float) -> Standing:
        self._fill(now)
        return self._standing(now)

    def give(self, now: float, cost: int) -> None:
        self._fill(now)
        self._level = min(self._capacity, self._level + cost)

    def reset(self) -> None:
        self._level = self._capacity
        self._at = -math.inf

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
            self._at = now

    def _after(self, now: float, lacking: float) -> float:
        """Seconds until so many more have flowed in."""
        return self._at - now + lacking / self._rate

    def _standing(self, now: float) -> Standing:
        left = max(0, math.floor(self._level + self._slack))
        return Standing(self._capacity, left, self._after(now, self._capacity - self._level))


class LeakyBucket:
    """A bucket that calls pour into and that drips evenly, one whole at a time.

    What would run over is refused. It drips from when it was last empty on.
    """

    __slots__ = ("_capacity", "_held", "_rate", "_since")
    members: ClassVar[tuple[str, ...]] = ("requests", "tokens", "burst")
    _held: int
    _since: float
    """When the last drop fell, or the latest moment at which it was empty."""

    def __init__(self, plan: Plan) -> None:
        self._capacity = plan.capacity
        self._rate = plan.limit / plan.per
        self.reset()

    def take(self, now: float, cost: int = 1) -> Verdict:
        self._drip(now)
        over = self._held + (cost or 1) - self._capacity
        if over <= 0:
            self._held += cost
            return verdict(self._standing(now), None)
        wait = math.inf if cost > self._capacity else self._after(now, over)
        return verdict(self._standing(now), wait)

    def peek(self, now: float) -> Standing:
        self._drip(now)
        return self._standing(now)

    def give(self, now: float, cost: int) -> None:
        self._drip(now)
        self._held = max(0, self._held - cost)

    def reset(self) -> None:
        self._held = 0
        self._since = -math.inf

    def _drip(self, now: float) -> None:
        if self._held:
            drops = math.floor((now - self._since + GRAIN) * self._rate)
            drops = min(max(drops, 0), self._held)
            self._held -= drops
            self._since += drops / self._rate
        if not self._held and now > self._since:
            self._since = now

    def _after(self, now: float, drops: int) -> float:
        """Seconds until so many drops have fallen."""
        return self._since - now + drops / self._rate

    def _standing(self, now: float) -> Standing:
        left = max(0, self._capacity - self._held)
        return Standing(self._capacity, left, self._after(now, self._held))
