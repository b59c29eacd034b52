"""What a fault is: whom it strikes, which of the calls, and what it then does.

Values only; ``reading`` makes them. Whether a call is struck, and whatever else is drawn, comes
from the fault's seed, its key and the number of the call, and is equal in every process.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from llmproxy.conditions.condition import Condition
from llmproxy.faults.calls import Calls
from llmproxy.synthesis.scripted import Failure
from llmproxy.synthesis.seeds import seed_of

MOST_FAULTS = 1_000
"""Faults of one list."""
LONGEST_NAME = 200
HANG = 600.0
"""Seconds after which a hanging request is given up where nothing is said."""
SLOW = (5.0, 10.0)
"""Seconds of a slow reply where nothing is said."""

_DRAWS = 2**64


@dataclass(frozen=True, slots=True)
class Refuse:
    """An error instead of the reply: one of ``failures``, drawn evenly.

    ``closed`` says that there is no endpoint to be limited: it comes before limits.
    """

    failures: tuple[Failure, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the client leaves; after ``at_most`` seconds the connection is reset."""

    at_most: float = HANG


@dataclass(frozen=True, slots=True)
class Slow:
    """The reply comes later by ``least`` to ``most`` seconds, drawn evenly."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset before the head."""


@dataclass(frozen=True, slots=True)
class InBody:
    """A machine of ``bodies`` changes the body on its way.

    Attributes:
        kind: which machine.
        chunk: first and last of the numbers, from 1, of which the chunk that is struck has one,
            drawn evenly; what is said to come after chunk 3 strikes the fourth.
        at_byte: where a cut is, counted in bytes before it; None: by chunk.
        time: seconds of a stall.
        size: bytes of a chunk after a split.
        failure: the error that the stream ends with.
    """

    kind: str
    chunk: tuple[int, int] = (1, 1)
    at_byte: int | None = None
    time: float = 0.0
    size: int = 1
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A made-up reply says something wrong: ``kind`` is a row of ``outputs``."""

    kind: str


Effect = Refuse | Hang | Slow | Reset | InBody | Output

INSTEAD = (Refuse, Hang, Reset)
"""Effects that take the place of a reply: none need be made."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which of the calls are struck: those of ``calls`` (None: all), each by the odds of ``rate``."""

    rate: float = 1.0
    seed: int = 0
    calls: Calls | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a file.

    Attributes:
        name: as written, else ``fault N``, counted from 1.
        when: whom it is for.
        place: where it stands, such as ``proxy.yml:12``.
        key: equal for a fault that is read again unchanged; unique among those of a file.
    """

    name: str
    when: Condition
    plan: Plan
    effect: Effect
    place: str = ""
    key: str = ""


def strikes(plan: Plan, number: int, key: str) -> bool:
    """Whether a call is struck.

    Args:
        plan: of the fault.
        number: which call of this fault in its session it is, from 1.
        key: the fault's: faults with equal seeds draw apart.
    """
    if plan.calls is not None and not plan.calls.holds(number):
        return False
    return plan.rate >= 1 or seed_of(plan.seed, key, number) < plan.rate * _DRAWS


def chance(key: str, number: int, seed: int = 0) -> Random:
    """What else is drawn for a call that is struck: which error, which chunk, how slow."""
    return Random(seed_of("chance", seed, key, number))  # noqa: S311  # to be repeatable is the point
