"""The rhythm of one made-up reply: its moments, and where its time is up.

Every question gets a generator of the same seed, so the answers speak of the same moments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from random import Random

from llmproxy import rhythm
from llmproxy.answer import Choice, ToolCall
from llmproxy.rhythm import PaceSettings
from llmproxy.synthesis.limiting import limit
from llmproxy.timelines import Timeline
from llmproxy.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class Timing:
    """The pace of a reply, and what it depends on; ``entering`` is the prompt's tokens."""

    pace: PaceSettings
    entering: int
    load: float
    timeline: Timeline | None
    pacer: Callable[[], Random]

    @property
    def instant(self) -> bool:
        return self.timeline is None and self.pace.instant

    def offsets(self, frames: Sequence[rhythm.Carried]) -> rhythm.Moments:
        return rhythm.offsets(
            self.pace, frames, self.entering, self.load, self.pacer(), self.timeline
        )

    def took(self, choices: tuple[Choice, ...], tokenizer: Tokenizer) -> float:
        """The seconds until the last of the choices has been said."""
        if self.instant:
            return 0.0
        return self.offsets(pieces_of(choices, tokenizer, self.pace)).ended_at

    def in_time(self, choices: tuple[Choice, ...], tokenizer: Tokenizer) -> tuple[Choice, ...]:
        """The choices, cut where their time is up."""
        if self.pace.max_stream_time is None or self.instant:
            return choices
        pieces = pieces_of(choices, tokenizer, self.pace)
        fit = rhythm.fitting(
            self.pace, pieces, self.entering, self.load, self.pacer(), self.timeline
        )
        if fit >= len(pieces):
            return choices
        most = sum(tokens for tokens, _ in pieces[:fit]) // len(choices)
        ending = self.pace.truncation_message
        return tuple(
            limit(choice, most, tokenizer.count, tokenizer.head, ending) for choice in choices
        )


def pieces_of(
    choices: Iterable[Choice], tokenizer: Tokenizer, pace: PaceSettings
) -> list[rhythm.Carried]:
    """What the stream of these choices will be cut into; they take turns."""
    streams = [_choice_pieces(choice, tokenizer, pace) for choice in choices]
    turns = chain.from_iterable(zip_longest(*streams))
    return streams[0] if len(streams) == 1 else [piece for piece in turns if piece is not None]


def _choice_pieces(
    choice: Choice, tokenizer: Tokenizer, pace: PaceSettings
) -> list[rhythm.Carried]:
    pieces: list[rhythm.Carried] = []
    for part in choice.parts:
        if isinstance(part, ToolCall):
            pieces.append((tokenizer.count(part.name), len(part.name)))
        text = part.arguments if isinstance(part, ToolCall) else part.text
        cut = tokenizer.cut(text, pace.chunk_unit, pace.chunk_size)
        pieces += [(piece.tokens, len(piece.text)) for piece in cut]
    return pieces
