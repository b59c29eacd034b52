"""What control routes may look at and change: the parts of one running server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Protocol

from llmproxy.journal import Journal
from llmproxy.limits.meters import Meters
from llmproxy.live import Live
from llmproxy.sessions import Sessions


class Following(Protocol):
    """Somebody who reads until told that there will be no more."""

    def end(self) -> None: ...


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Served:
    """The parts of one running server.

    Attributes:
        mode: ``record``, ``replay`` or ``mock``.
        cassettes: paths of those that are replayed.
        state_folder: where missed requests are remembered.
        meters: the counts of limits; None where there are none.
        now: the time, with its zone; ``clock`` is ``time.monotonic``.
        sockets: how many WebSockets are open.
        followers: those who read as long as the server runs.
    """

    mode: str
    live: Live
    sessions: Sessions
    journal: Journal
    cassettes: tuple[Path, ...] = ()
    state_folder: Path = Path(".llmproxy")
    meters: Meters | None = None
    now: Callable[[], datetime] = field(default=_now)
    clock: Callable[[], float] = monotonic
    sockets: int = 0
    followers: set[Following] = field(default_factory=set)
