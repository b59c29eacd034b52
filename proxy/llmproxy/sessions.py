"""Sessions: one test or one run of an app each, and all that counts up for it.

Equal requests are one sequence, first in, first out; each session walks it from the start
and no session moves another's place. What a session stored through a provider's API is its own
too. Bounded: the session unused for longest is forgotten when there are too many, what was
stored first is forgotten when it is too much.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

from llmproxy.rules.deciding import reply_number
from llmproxy.rules.rule import Rule

Repeat = Literal["last", "cycle", "miss"]

DEFAULT = "default"
MOST_SESSIONS = 10_000

MOST_COUNTED = 20_000
"""Different requests of one session of which it is known how often they came."""

MOST_STORED = 64 * 2**20
"""Bytes that all sessions together may store."""

MOST_RULES = 20_000
"""Rules of which one session knows how often they answered, those changed meanwhile included."""

Place = tuple[int, int]
"""An interaction among several cassettes: which cassette, which id."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The member of a sequence whose turn it is; ``number`` above ``of`` is a repeat."""

    place: Place
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class RuleTurn:
    """Which reply of a rule comes next; ``counter`` says that of all its answers, from 1."""

    reply: int
    counter: int


@dataclass(slots=True)
class Session:
    """What one session has used so far."""

    asked: Counter[Hashable] = field(default_factory=Counter)
    used: set[Place] = field(default_factory=set)
    next: dict[Hashable, int] = field(default_factory=dict)
    _counts: Counter[Hashable] = field(default_factory=Counter)
    _answered: Counter[str] = field(default_factory=Counter)
    _ruled: int = 0

    def count(self, key: Hashable) -> int:
        """How often ``key`` was counted before; counts it."""
        return _count(self._counts, key, MOST_COUNTED)

    def rule_turn(self, rule: Rule, alike: Hashable) -> RuleTurn | None:
        """The turn of a rule, counted; None where it is used up.

        ``alike`` is what equal prompts share.
        """
        answered = self._answered[rule.key]
        if rule.times is not None and answered >= rule.times:
            return None
        prompt = (rule.key, alike)
        before = {"rule": answered, "prompt": self._counts[prompt], "session": self._ruled}
        reply = reply_number(rule, before[rule.count])
        if reply is None:
            return None
        _count(self._answered, rule.key, MOST_RULES)
        if rule.count == "prompt":
            _count(self._counts, prompt, MOST_COUNTED)
        self._ruled += rule.count == "session"
        return RuleTurn(reply, answered + 1)

    def rule_left(self, rule: Rule, alike: Hashable) -> None:
        """A rule whose turn it was had nothing to say: as if it had not been asked."""
        self._answered[rule.key] -= 1
        if rule.count == "prompt":
            self._counts[rule.key, alike] -= 1
        self._ruled -= rule.count == "session"

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


def _count(counts: Counter[Any], key: Hashable, most: int) -> int:
    """How often ``key`` was counted before; counts it, and forgets what was counted first."""
    before = counts[key]
    if not before and len(counts) >= most:
        del counts[next(iter(counts))]
    counts[key] = before + 1
    return before


class Sessions:
    """All sessions of a running server, by name."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._stored = _Store()

    def stored(self, name: str) -> Stored:
        """What the session of that name stored, by id."""
        return Stored(self._stored, name)

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
        self._stored.forget(name)
        if name is None:
            count = len(self._sessions)
            self._sessions.clear()
            return count
        return 1 if self._sessions.pop(name, None) is not None else 0


class _Store:
    """Bytes by session and id, the oldest forgotten first; large requests use it from a thread."""

    def __init__(self) -> None:
        self.items: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def put(self, key: tuple[str, str], value: bytes) -> None:
        self.drop(key)
        with self._lock:
            self.items[key] = value
            self._size += len(value)
            while self._size > MOST_STORED:
                self._size -= len(self.items.popitem(last=False)[1])

    def drop(self, key: tuple[str, str]) -> bool:
        with self._lock:
            value = self.items.pop(key, None)
            self._size -= len(value or b"")
        return value is not None

    def forget(self, session: str | None) -> None:
        for key in self.keys_of(session):
            self.drop(key)

    def keys_of(self, session: str | None) -> list[tuple[str, str]]:
        with self._lock:
            return [key for key in self.items if session in (None, key[0])]


class Stored(MutableMapping[str, bytes]):
    """What one session stored; ``looked`` says that something was looked for."""

    def __init__(self, store: _Store, session: str) -> None:
        self._store = store
        self._session = session
        self.looked = False

    def __getitem__(self, id: str) -> bytes:
        self.looked = True
        return self._store.items[self._session, id]

    def __setitem__(self, id: str, value: bytes) -> None:
        self._store.put((self._session, id), value)

    def __delitem__(self, id: str) -> None:
        if not self._store.drop((self._session, id)):
            raise KeyError(id)

    def __iter__(self) -> Iterator[str]:
        self.looked = True
        return iter([id for _, id in self._store.keys_of(self._session)])

    def __len__(self) -> int:
        return len(self._store.keys_of(self._session))
