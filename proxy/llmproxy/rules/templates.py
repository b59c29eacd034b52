"""Templates: a text with places that are filled in from the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llmproxy.rules.subject import Subject


@dataclass(frozen=True, slots=True)
class Given:
    """What a template may use beside the request.

    ``counter`` is which answer of the rule in its session this is, from 1; ``now`` is seconds
    since the epoch; ``uuid`` makes another one at each call.
    """

    counter: int
    now: float
    uuid: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    text: str

    def render(self, subject: Subject, given: Given) -> str:
        """The text with its places filled in."""
        return self.text
