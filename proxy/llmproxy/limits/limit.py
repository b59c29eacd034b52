"""What a limit is: an entry of a file, without whom it is for; and what it says to a request.

Values only. ``reading`` makes limits, ``bucket`` counts for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from llmproxy.limits.rate import Rate
from llmproxy.limits.strategies import NONE
from llmproxy.limits.strategy import Plan, Verdict

Measure = Literal["requests", "total", "input", "output", "concurrency"]
"""What is counted: requests, tokens of three kinds, or requests at the same time."""

TokenMeasure = Literal["total", "input", "output"]

Charge = Literal["admission", "settled"]
"""When tokens are counted: before, by the prompt and ``max_tokens``; or after, by what was used."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of a file.

    Attributes:
        strategy: a name of ``STRATEGIES``.
        requests: how many; None where they are not limited, or by no rate.
        tokens: how many of each kind.
        charge: when ``tokens`` are counted.
        burst: capacity of the bucket of requests; None: as many as the rate's limit.
        token_burst: the same for each bucket of tokens.
        n: the requests that ``after-n`` lets through.
        probability: with which ``random`` refuses a request.
        seed: what ``random`` begins with, for each client.
        concurrency: requests at the same time; None where they are not limited.
        queue: how many more wait for their turn instead of being refused.
        place: where it stands, such as ``limits[0]``; its name in messages.
        key: equal for a limit that is read again unchanged; unique among those of a file.
    """

    strategy: str = NONE
    requests: Rate | None = None
    tokens: Mapping[TokenMeasure, Rate] = field(default_factory=dict)
    charge: Charge = "admission"
    burst: int | None = None
    token_burst: int | None = None
    n: int = 5
    probability: float = 0.3
    seed: int = 0
    concurrency: int | None = None
    queue: int = 0
    place: str = ""
    key: str = ""

    def rate(self, measure: Measure) -> Rate | None:
        """The rate of what is counted, if it has one."""
        if measure == "requests":
            return self.requests
        return None if measure == "concurrency" else self.tokens.get(measure)

    def plan(self, measure: Measure) -> Plan:
        """What a strategy is made of that counts this."""
        rate = self.rate(measure)
        if rate is None:
            return Plan(n=self.n, probability=self.probability, seed=self.seed)
        burst = self.burst if measure == "requests" else self.token_burst
        return Plan(rate.limit, rate.per, burst or rate.limit)


@dataclass(slots=True, unsafe_hash=True)  # frozen takes three times as long; requests make some
class Reading:
    """What one of a limit's counts says to a request that costs it ``cost``. A value."""

    limit: Limit
    measure: Measure
    verdict: Verdict
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Admission:
    """What all counts say to a request; it is allowed if all of them allow it.

    ``refused`` is the reading that refuses it for longest. In the other readings of a refused
    request nothing of it is counted any more.
    """

    readings: tuple[Reading, ...] = ()
    refused: Reading | None = None

    @property
    def allowed(self) -> bool:
        return self.refused is None
