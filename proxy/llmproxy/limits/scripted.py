"""Strategies that refuse by a plan and know no rate, so that a test can say which call fails."""

from __future__ import annotations

import random
from typing import ClassVar

from llmproxy.limits.strategy import HOPELESS, Plan, Standing, Verdict, verdict


class Unlimited:
    """Lets everything through and counts nothing."""

    __slots__ = ()
    members: ClassVar[tuple[str, ...]] = ("requests", "tokens", "burst", "n", "probability", "seed")

    def __init__(self, plan: Plan) -> None:
        pass

    def take(self, now: float, cost: int = 1) -> Verdict:  # noqa: ARG002  # as the contract names them
        return verdict(self.peek(now), None)

    def peek(self, now: float) -> Standing:  # noqa: ARG002  # as above
        return Standing(None, 0, 0.0)

    def give(self, now: float, cost: int) -> None:
        pass

    def reset(self) -> None:
        pass


class AfterN:
    """The first ``n`` pass, all others are refused until the count is reset."""

    __slots__ = ("_n", "_used")
    members: ClassVar[tuple[str, ...]] = ("n",)
    _used: int

    def __init__(self, plan: Plan) -> None:
        self._n = plan.n
        self.reset()

    def take(self, now: float, cost: int = 1) -> Verdict:
        if self._used + (cost or 1) > self._n:
            return verdict(self.peek(now), HOPELESS)
        self._used += cost
        return verdict(self.peek(now), None)

    def peek(self, now: float) -> Standing:  # noqa: ARG002  # as the contract names it
        return Standing(self._n, max(0, self._n - self._used), HOPELESS if self._used else 0.0)

    def give(self, now: float, cost: int) -> None:  # noqa: ARG002  # as above
        self._used = max(0, self._used - cost)

    def reset(self) -> None:
        self._used = 0


class Random:
    """Each call is refused with the same probability, in an order that the seed decides."""

    __slots__ = ("_draw", "_probability", "_seed")
    members: ClassVar[tuple[str, ...]] = ("probability", "seed")
    WAIT = 1.0
    """Seconds that a refused client is told to wait; the next call may be refused as well."""

    def __init__(self, plan: Plan) -> None:
        self._probability = plan.probability
        self._seed = plan.seed
        self.reset()

    def take(self, now: float, cost: int = 1) -> Verdict:  # noqa: ARG002  # as the contract names them
        refused = self._draw() < self._probability
        return verdict(self.peek(now), self.WAIT if refused else None)

    def peek(self, now: float) -> Standing:  # noqa: ARG002  # as above
        return Standing(None, 0, 0.0)

    def give(self, now: float, cost: int) -> None:
        pass

    def reset(self) -> None:
        self._draw = random.Random(self._seed).random  # noqa: S311  # to be repeatable is the point


class Always:
    """Every call is refused: its limit is 0."""

    __slots__ = ()
    members: ClassVar[tuple[str, ...]] = ()

    def __init__(self, plan: Plan) -> None:
        pass

    def take(self, now: float, cost: int = 1) -> Verdict:  # noqa: ARG002  # as the contract names them
        return verdict(self.peek(now), HOPELESS)

    def peek(self, now: float) -> Standing:  # noqa: ARG002  # as above
        return Standing(0, 0, HOPELESS)

    def give(self, now: float, cost: int) -> None:
        pass

    def reset(self) -> None:
        pass
