"""Conditions as objects: one that looks at a place, and ``all``, ``any`` and ``not`` of others.

They are made once when rules are read; deciding is a few calls without parsing. ``all`` and
``any`` try what is cheap first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from llmproxy.conditions.condition import Condition, Slow
from llmproxy.conditions.matchers import Matcher, weight
from llmproxy.conditions.places import Look
from llmproxy.conditions.subject import Subject
from llmproxy.conditions.wording import explain
from llmproxy.units import quote

BRIEFLY = 0.1
"""Seconds that a regex may take when somebody asks why a rule does not answer."""
_LONGEST_LINE = 300
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./*-]{0,59}|…")
_CONSTANTS = ("true", "false", "null")
_HIDDEN = "its value does not fit; it may be a credential and is not shown"


@dataclass(frozen=True, slots=True)
class Always:
    """An empty ``when``."""

    cost: ClassVar[int] = 0

    def holds(self, _subject: Subject, _patience: float) -> bool:
        return True

    def why_not(self, _subject: Subject) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A condition on one place of a request.

    Attributes:
        row: the name of the row of ``places``, with ``key`` below it where it has names.
        look: the values there, of the prompt where ``of_prompt``, else of the subject.
        single: there is always exactly one value.
        hidden: the values are credentials.
        written: what stands behind the name in the file.
    """

    row: str
    key: str | None
    matcher: Matcher
    cost: int
    look: Look = field(compare=False, repr=False)
    of_prompt: bool
    single: bool
    hidden: bool
    has_regex: bool
    written: object = field(compare=False)

    @property
    def name(self) -> str:
        """``text``, ``headers.x-team``, ``json.$.temperature``."""
        if self.key is None:
            return self.row
        plain = self.key.isprintable() and len(self.key) <= 60
        return f"{self.row}.{self.key if plain else quote(self.key)}"

    def holds(self, subject: Subject, patience: float) -> bool:
        source = subject.prompt if self.of_prompt else subject
        if source is None:
            return False
        values = self.look(source)
        if not self.has_regex:
            return self.matcher.fits(values, 0.0)
        try:
            return self.matcher.fits(values, _rate(values, patience))
        except TimeoutError:
            raise Slow(self._too_slow()) from None

    def why_not(self, subject: Subject) -> str:
        source = subject.prompt if self.of_prompt else subject
        if source is None:
            refused = f"is refused: {quote(subject.refused)}" if subject.refused else ""
            return f"{self.name}: the request {refused or 'asks for no text'}"
        values = self.look(source)
        rate = _rate(values, BRIEFLY)
        try:
            if self.matcher.fits(values, rate):
                return ""
            why = _HIDDEN if self.hidden and values else explain(self.matcher, values, rate)
        except TimeoutError:
            return self._too_slow()
        return _cut(f"{self.name}: {why}")

    def _too_slow(self) -> str:
        return f"{self.name}: the regex took too long"


@dataclass(frozen=True, slots=True)
class All:
    """Conditions that must all hold, the cheap ones first."""

    parts: tuple[Condition, ...]

    @property
    def cost(self) -> int:
        return max(part.cost for part in self.parts)

    def holds(self, subject: Subject, patience: float) -> bool:
        for part in self.parts:  # noqa: SIM110 - all() takes twice as long, and this is the path
            if not part.holds(subject, patience):
                return False
        return True

    def why_not(self, subject: Subject) -> str:
        return next(filter(None, (part.why_not(subject) for part in self.parts)), "")


@dataclass(frozen=True, slots=True)
class AnyHolds:
    """Conditions of which one must hold."""

    parts: tuple[Condition, ...]

    @property
    def cost(self) -> int:
        return max(part.cost for part in self.parts)

    def holds(self, subject: Subject, patience: float) -> bool:
        return any(part.holds(subject, patience) for part in self.parts)

    def why_not(self, subject: Subject) -> str:
        reasons: list[str] = []
        for part in self.parts:
            try:
                if part.holds(subject, BRIEFLY):
                    return ""
            except Slow as slow:
                return str(slow)
            if not reasons:
                reasons.append(part.why_not(subject))
        count = len(self.parts)
        return _cut(reasons[0] if count == 1 else f"none of {count} holds: {reasons[0]}")


@dataclass(frozen=True, slots=True)
class Not:
    """A condition that must not hold."""

    part: Condition

    @property
    def cost(self) -> int:
        return self.part.cost

    def holds(self, subject: Subject, patience: float) -> bool:
        return not self.part.holds(subject, patience)

    def why_not(self, subject: Subject) -> str:
        try:
            holds = self.part.holds(subject, BRIEFLY)
        except Slow as slow:
            return str(slow)
        return f"not: {describe(self.part)} holds" if holds else ""


def all_of(parts: Sequence[Condition]) -> Condition:
    """One condition that holds where all parts do."""
    if not parts:
        return Always()
    return parts[0] if len(parts) == 1 else All(tuple(sorted(parts, key=_cost)))


def any_of(parts: Sequence[Condition]) -> Condition:
    """One condition that holds where one of the parts does; ``parts`` is not empty."""
    return AnyHolds(tuple(sorted(parts, key=_cost)))


def describe(condition: Condition) -> str:
    """A condition in the words of a rules file, in one line: ``{model: gpt-4*, turn: 1}``."""
    return _cut(_flow(_written(condition)))


def _written(condition: Condition) -> dict[str, Any]:
    """A ``when`` that means this condition; credentials are left out."""
    if isinstance(condition, Leaf):
        value = "…" if condition.hidden else condition.written
        return {condition.row: value if condition.key is None else {condition.key: value}}
    if isinstance(condition, All):
        parts = [_written(part) for part in condition.parts]
        names = [name for part in parts for name in part]
        if len(set(names)) == len(names):
            return {name: value for part in parts for name, value in part.items()}
        return {"all": parts}
    if isinstance(condition, AnyHolds):
        return {"any": [_written(part) for part in condition.parts]}
    return {"not": _written(condition.part)} if isinstance(condition, Not) else {}


def _flow(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_plain(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _plain(value) if isinstance(value, str) else quote(value)


def _plain(text: str) -> str:
    """A text as YAML takes it without quotes, else in quotes."""
    return text if _PLAIN.fullmatch(text) and text not in _CONSTANTS else quote(text)


def _cost(condition: Condition) -> int:
    return condition.cost


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"


def _rate(values: Sequence[Any], patience: float) -> float:
    """Seconds for each character, so that all values together get ``patience``."""
    return patience / max(sum(map(weight, values)), 1)
