"""A timing wheel: one timer for all streams, absolute deadlines, nothing that drifts.

A timer of its own for each chunk costs a task switch and, on uvloop, fires early and spins.
Here a single tick of a millisecond serves every deadline that has come; it runs only while
somebody waits, and sleeps through a long pause. While few wait, the last bit before a deadline
is passed in turns of the loop instead: a tick would be the largest part of the error. The clock is ``time.monotonic``, not the
loop's: uvloop counts whole milliseconds only.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from time import monotonic

TICK = 0.001
"""Seconds between two looks at the deadlines."""

SLACK = TICK / 2
"""A deadline this near counts as reached: half a tick early or late, never a whole one."""

AHEAD = 0.003
"""So long before a deadline, in seconds, the ticking begins: timers are not exact."""

FEW = 4
NEAR = 0.0015
EXACT = 0.0001
"""While no more than ``FEW`` wait: from ``NEAR`` seconds before a deadline the loop turns
without sleeping, and within ``EXACT`` seconds it counts as reached."""


class Wheel:
    """Calls back at readings of ``time.monotonic``. Belongs to one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.Handle | None = None
        self._next_look = 0.0

    def call_at(self, deadline: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` at ``deadline``, not before the next turn of the loop."""
        heapq.heappush(self._waiting, (deadline, next(self._numbers), callback))
        if self._timer is None:
            self._arm(monotonic())
        elif deadline < self._next_look - TICK:
            self._timer.cancel()
            self._arm(monotonic())

    async def until(self, deadline: float) -> None:
        """Return at ``deadline``; at once if it has come."""
        if deadline - monotonic() <= EXACT:
            return
        reached = self._loop.create_future()
        self.call_at(deadline, lambda: None if reached.done() else reached.set_result(None))
        await reached

    def _arm(self, now: float) -> None:
        left = self._waiting[0][0] - now
        if left <= NEAR and len(self._waiting) <= FEW:
            self._next_look = now
            self._timer = self._loop.call_soon(self._look)
            return
        wait = max(TICK, left - AHEAD)
        self._next_look = now + wait
        self._timer = self._loop.call_later(wait, self._look)

    def _look(self) -> None:
        self._timer = None
        waiting = self._waiting
        due = monotonic() + (EXACT if len(waiting) <= FEW else SLACK)
        while waiting and waiting[0][0] <= due:
            heapq.heappop(waiting)[2]()
        if waiting and self._timer is None:
            self._arm(monotonic())
