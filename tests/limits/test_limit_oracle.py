"""The library ``limits`` decides the same, where it counts in the same way."""

from __future__ import annotations

from itertools import accumulate
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.limits.strategies import STRATEGIES
from llmproxy.limits.strategy import Plan

oracle = pytest.importorskip("limits", reason="the library limits is not installed")
memory = pytest.importorskip("limits.storage.memory")
theirs = pytest.importorskip("limits.strategies")

GAPS = st.lists(st.sampled_from((0.0, 0.07, 0.14, 0.35, 0.63, 1.19)), max_size=80)
"""Their sums are no whole window: just when it is over, the library still counts a request."""


class Oracle:
    """A limiter of the library whose clock we hold."""

    def __init__(self, limiter: str, limit: int, seconds: int) -> None:
        self.now = 0.0
        storage = memory.MemoryStorage()
        storage.timer.cancel()
        storage.timer = SimpleNamespace(is_alive=lambda: True)  # no thread tidies up meanwhile
        self._limiter: Any = getattr(theirs, limiter)(storage)
        self._item = oracle.RateLimitItemPerSecond(limit, seconds)

    def hit(self, now: float, cost: int = 1) -> bool:
        with patch.object(memory, "time", SimpleNamespace(time=lambda: now)):
            return bool(self._limiter.hit(self._item, "client", cost=cost))

    def remaining(self, now: float) -> int:
        with patch.object(memory, "time", SimpleNamespace(time=lambda: now)):
            return int(self._limiter.get_window_stats(self._item, "client").remaining)


@given(st.integers(1, 12), st.integers(1, 4), GAPS, st.data())
def test_a_sliding_window_decides_as_the_library_does(
    limit: int, seconds: int, gaps: list[float], data: st.DataObject
) -> None:
    expected = Oracle("MovingWindowRateLimiter", limit, seconds)
    ours = STRATEGIES["sliding-window"](Plan(limit, seconds, limit))
    for now in accumulate(gaps, initial=1000.0):
        cost = data.draw(st.integers(1, 3))
        assert ours.take(now, cost).allowed == expected.hit(now, cost)
        assert ours.peek(now).remaining == expected.remaining(now)


@given(st.integers(1, 12), st.integers(1, 4), GAPS)
def test_a_fixed_window_decides_as_the_library_does(
    limit: int, seconds: int, gaps: list[float]
) -> None:
    """The library begins a window with a request; one comes at each beginning of ours."""
    expected = Oracle("FixedWindowRateLimiter", limit, seconds)
    ours = STRATEGIES["fixed-window"](Plan(limit, seconds, limit))
    start = 1200.0
    moments = [round(now, 6) for now in accumulate(gaps, initial=start)]
    begins = range(int(start), int(moments[-1]) + 1, seconds)
    for now in sorted({*map(float, begins)} | {*moments}):
        assert ours.take(now).allowed == expected.hit(now)
