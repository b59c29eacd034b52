"""What a model answers, in neutral words: the same for every provider.

Synthesis and rules make an ``Answer``; a dialect writes it as a body or as a stream. Values
only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Finish = Literal["stop", "stop_sequence", "length", "tool_calls", "refusal", "content_filter"]
"""Why an answer ended; ``stop_sequence`` is ``stop`` where a provider does not tell them apart."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model says that it will not; ``text`` is what it says."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call; ``arguments`` is JSON text (a custom tool's: any text).

    ``id`` is empty in an answer: each dialect gives ids of its provider's shape.
    """

    name: str
    arguments: str
    id: str = ""
    custom: bool = False


Part = Text | Reasoning | Refusal | ToolCall


def size_of(parts: Iterable[Part]) -> int:
    """The characters of all that is said."""
    return sum(len(p.arguments if isinstance(p, ToolCall) else p.text) for p in parts)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers asked for; ``stopped_by`` is the stop sequence that ended it."""

    parts: tuple[Part, ...]
    finish: Finish = "stop"
    stopped_by: str = ""

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def reasoning(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Reasoning))

    @property
    def refusal(self) -> str | None:
        """What a refusal says; None where nothing is refused."""
        said = [part.text for part in self.parts if isinstance(part, Refusal)]
        return "".join(said) if said else None

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens; ``output`` includes ``reasoning``."""

    input: int
    output: int
    reasoning: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Answer:
    """All choices of one reply, in the order of their index, and what they cost."""

    choices: tuple[Choice, ...]
    usage: Usage

    @property
    def first(self) -> Choice:
        return self.choices[0]
