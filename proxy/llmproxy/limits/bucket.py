"""The counts of limits for a client: what comes in, what was used, what runs at the same time.

Strategy: a request is taken by every count that concerns it, one after another; where one of
them refuses, the others give it back, so that a refused request costs nothing. Waiting for a
turn is not done here, only how many run is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from llmproxy.limits.limit import Admission, Limit, Measure, Reading
from llmproxy.limits.strategies import NONE, STRATEGIES
from llmproxy.limits.strategy import Standing, Strategy, Verdict

MOST_TOKENS = 10**12
"""Tokens that one request is counted for at most, whatever it says of itself."""
TURN = 1.0
"""Seconds after which one is told to come back who found too many running."""


class Meter:
    """One count of a limit for one client: its strategy, and what a request costs there."""

    __slots__ = ("_strategy", "limit", "measure")

    def __init__(self, limit: Limit, measure: Measure) -> None:
        self.limit = limit
        self.measure = measure
        self._strategy: Strategy = STRATEGIES[limit.strategy](limit.plan(measure))

    def take(self, now: float, entering: int, max_tokens: int | None) -> Reading:
        cost = self._admission(entering, max_tokens)
        return Reading(self.limit, self.measure, self._strategy.take(now, cost), cost)

    def undo(self, now: float, reading: Reading) -> Reading:
        """Give back what a reading took; how it stands then."""
        self._strategy.give(now, reading.cost)
        found = self._strategy.peek(now)
        standing = Verdict(True, found.limit, found.remaining, found.reset, None)
        return replace(reading, verdict=standing)

    def settle(self, now: float, entering: int, leaving: int) -> None:
        if self.measure != "requests" and self.limit.charge == "settled":
            self._strategy.give(now, -self._tokens(entering, leaving))

    def standing(self, now: float) -> Standing:
        return self._strategy.peek(now)

    def reset(self) -> None:
        self._strategy.reset()

    def _admission(self, entering: int, max_tokens: int | None) -> int:
        if self.measure == "requests":
            return 1
        return 0 if self.limit.charge == "settled" else self._tokens(entering, max_tokens or 0)

    def _tokens(self, entering: int, leaving: int) -> int:
        entering = min(max(entering, 0), MOST_TOKENS)
        leaving = min(max(leaving, 0), MOST_TOKENS)
        if self.measure == "total":
            return entering + leaving
        return entering if self.measure == "input" else leaving


class Bucket:
    """All counts of one limit for one client."""

    __slots__ = ("limit", "meters", "running")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.meters = tuple(Meter(limit, measure) for measure in measures(limit))
        self.running = 0
        """Requests that have begun and not ended."""

    def admit(self, now: float, entering_tokens: int, max_tokens: int | None) -> Admission:
        """Count a request of so many tokens, if it may come in; see ``admit``."""
        return admit((self,), now, entering_tokens, max_tokens)

    def settle(self, now: float, input_tokens: int, output_tokens: int) -> None:
        """Count the tokens that an admitted request used, where they are counted after it."""
        for meter in self.meters:
            meter.settle(now, input_tokens, output_tokens)

    def begin(self) -> Reading:
        """Count a request that begins to run, if so many may run at the same time."""
        most = self.limit.concurrency
        allowed = most is None or self.running < most
        self.running += allowed
        left = 0 if most is None else max(0, most - self.running)
        said = Verdict(allowed, most, left, 0.0, None if allowed else TURN)
        return Reading(self.limit, "concurrency", said)

    def end(self) -> None:
        """A request that had begun has ended."""
        self.running = max(0, self.running - 1)

    def standings(self, now: float) -> tuple[tuple[Measure, Standing], ...]:
        """How each count stands."""
        return tuple((meter.measure, meter.standing(now)) for meter in self.meters)

    def rename(self, limit: Limit) -> None:
        """The same limit was read again, perhaps from another place of its file."""
        self.limit = limit
        for meter in self.meters:
            meter.limit = limit

    def reset(self) -> None:
        """Begin all counts anew, except of what still runs."""
        for meter in self.meters:
            meter.reset()


def measures(limit: Limit) -> tuple[Measure, ...]:
    """What a limit counts by its strategy."""
    if limit.strategy == NONE:
        return ()
    if "requests" not in STRATEGIES[limit.strategy].members:
        return ("requests",)
    return (*(("requests",) if limit.requests else ()), *limit.tokens)


def admit(
    buckets: Iterable[Bucket], now: float, entering_tokens: int, max_tokens: int | None
) -> Admission:
    """Count a request in all of these, if each of them lets it through; else in none.

    Args:
        buckets: those of all limits that the request is subject to.
        now: seconds.
        entering_tokens: those of the prompt.
        max_tokens: how many the reply may have at most; None where the request does not say.
    """
    meters = [meter for bucket in buckets for meter in bucket.meters]
    readings = [meter.take(now, entering_tokens, max_tokens) for meter in meters]
    refused = None
    for reading in readings:
        wait = reading.verdict.retry_after
        if wait is not None and (refused is None or wait > (refused.verdict.retry_after or 0)):
            refused = reading
    if refused is not None:
        readings = _undone(meters, readings, now)
    return Admission(tuple(readings), refused)


def _undone(meters: Sequence[Meter], readings: Sequence[Reading], now: float) -> list[Reading]:
    return [
        meter.undo(now, reading) if reading.verdict.allowed else reading
        for meter, reading in zip(meters, readings, strict=True)
    ]
