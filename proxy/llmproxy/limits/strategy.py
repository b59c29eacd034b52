"""What a strategy is: it counts for one limit and one client, and says what fits.

Strategies differ in how they count and in nothing else: each is one small class in one of the
modules beside this one, with one line in ``strategies``. Time is handed in and is in seconds
from any start, as long as it is the same for all calls. It may stand still, and where it goes
back a little, no more passes than would have passed without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

GRAIN = 1e-6
"""Seconds that count as none: readings of the epoch as floats are not finer."""
HOPELESS = 60.0
"""Seconds after which a client is told to come back where no wait helps for sure."""


@dataclass(slots=True, unsafe_hash=True)  # frozen takes three times as long; each call makes one
class Standing:
    """How a strategy stands. A value: nobody changes one.

    Attributes:
        limit: how much it lets through at most; None where it does not count.
        remaining: how much it would let through now, 0 or more.
        reset: seconds until it is as if unused; for a window those until the next one.
    """

    limit: int | None
    remaining: int
    reset: float


@dataclass(slots=True, unsafe_hash=True)  # as above
class Verdict:
    """What a strategy says to a call, and how it stands after it. A value.

    ``retry_after`` is None where the call is allowed, else the seconds after which it would
    be if nobody else came; ``inf`` where it costs more than the limit, so that no wait helps.
    """

    allowed: bool
    limit: int | None
    remaining: int
    reset: float
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What strategies are made of; each takes its part.

    ``limit`` in ``per`` seconds, ``capacity`` at once, the first ``n``, refused with
    ``probability`` by a generator begun with ``seed``.
    """

    limit: int = 0
    per: float = 1.0
    capacity: int = 0
    n: int = 5
    probability: float = 0.3
    seed: int = 0


class Strategy(Protocol):
    """A way of counting; its instance is the count of one limit for one client."""

    members: ClassVar[tuple[str, ...]]
    """What a file says of it, of requests, tokens, burst, n, probability and seed."""

    def __init__(self, plan: Plan) -> None: ...

    def take(self, now: float, cost: int = 1) -> Verdict:
        """Count ``cost`` if it fits as a whole.

        A cost of 0 counts nothing, and fits while at least 1 would.
        """
        ...

    def peek(self, now: float) -> Standing:
        """How it stands; counts nothing."""
        ...

    def give(self, now: float, cost: int) -> None:
        """Take back what was counted just now.

        A negative cost is counted whether it fits or not; what is above the limit then is a
        debt, and nothing passes until it is worked off.
        """
        ...

    def reset(self) -> None:
        """Begin anew."""
        ...


def verdict(standing: Standing, wait: float | None) -> Verdict:
    """The verdict of one who stands like this and refuses for ``wait`` seconds, or allows."""
    if wait is not None:
        wait = max(round(wait, 6), GRAIN)  # floats of large moments differ in the last digits
    return Verdict(wait is None, standing.limit, standing.remaining, standing.reset, wait)
