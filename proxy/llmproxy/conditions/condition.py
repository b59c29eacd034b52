"""What a condition is, and what it raises when it takes too long."""

from __future__ import annotations

from typing import Protocol

from llmproxy.conditions.subject import Subject


class Condition(Protocol):
    """What must hold for a rule to answer.

    ``cost`` orders conditions that must all hold, the cheap ones first.
    """

    @property
    def cost(self) -> int: ...

    def holds(self, subject: Subject, patience: float) -> bool:
        """Whether it holds.

        Raises:
            Slow: a regex took longer than ``patience`` seconds.
        """
        ...

    def why_not(self, subject: Subject) -> str:
        """Why it does not hold, for a person, in one line; empty where it holds."""
        ...


class Slow(Exception):
    """A regex of a rule took too long; the message names it."""
