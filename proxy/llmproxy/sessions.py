"""Sessions: one test or one run of an app each, and all that counts up for it.

Equal requests are one sequence, first in, first out; each session walks it from the start
and no session moves another's place. Bounded: the session unused for longest is forgotten
when there are too many.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Repeat = Literal["last", "cycle", "miss"]

DEFAULT = "default"
MOST_SESSIONS = 10_000

Place = tuple[int, int]
"""An interaction among several cassettes: which cassette, which id."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The member of a sequence whose turn it is; ``number`` above ``of`` is a repeat."""

    place: Place
    number: int
    of: int


@dataclass(slots=True)
class Session:
    """What one session has used so far."""

    asked: Counter[Hashable] = field(default_factory=Counter)
    used: set[Place] = field(default_factory=set)
    next: dict[Hashable, int] = field(default_factory=dict)

    def take(self, key: Hashable, sequence: Sequence[Place], repeat: Repeat) -> Turn | None:
        """Whose turn it is in ``sequence``, which is asked for under ``key``; None when used up.

        A member that was used under another key is passed over: one interaction
        answers once before anything is repeated.
        """
        asked = self.asked[key] = self.asked[key] + 1
        at = self.next.get(key, 0)
        while at < len(sequence) and sequence[at] in self.used:
            at += 1
        self.next[key] = at + 1
        if at < len(sequence):
            self.used.add(sequence[at])
            return Turn(sequence[at], min(asked, len(sequence)), len(sequence))
        number = max(asked, len(sequence) + 1)
        if repeat == "miss":
            return None
        place = sequence[-1] if repeat == "last" else sequence[(number - 1) % len(sequence)]
        return Turn(place, number, len(sequence))


class Sessions:
    """All sessions of a running server, by name."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __getitem__(self, name: str) -> Session:
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = Session()
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(name)
        return session

    def reset(self, name: str | None = None) -> int:
        """Start one session over, or all; says how many there were to start over."""
        if name is None:
            count = len(self._sessions)
            self._sessions.clear()
            return count
        return 1 if self._sessions.pop(name, None) is not None else 0
