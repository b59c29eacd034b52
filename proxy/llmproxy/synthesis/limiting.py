"""Where an answer ends: at a stop sequence, at the tokens asked for, when its time is up.

What was said before stands; the finish says why no more came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from llmproxy.answer import Choice, Part, Text, ToolCall

Count = Callable[[str], int]
Head = Callable[[str, int], str]
"""The beginning of a text that has at most so many tokens."""


def part_tokens(part: Part, count: Count) -> int:
    """What a part costs; a call costs its name and its arguments."""
    if isinstance(part, ToolCall):
        return count(part.name) + count(part.arguments)
    return count(part.text)


def stop_at(choice: Choice, stops: Sequence[str]) -> Choice:
    """The choice up to the stop sequence that comes first in a text, which is not part of it."""
    kept: list[Part] = []
    for part in choice.parts if stops else ():
        if isinstance(part, Text):
            found = min(
                ((at, stop) for stop in stops if (at := part.text.find(stop)) >= 0), default=None
            )
            if found is not None:
                cut = Text(part.text[: found[0]])
                return Choice((*kept, cut), "stop_sequence", found[1])
        kept.append(part)
    return choice


def limit(choice: Choice, most: int, count: Count, head: Head, ending: str = "") -> Choice:
    """The choice up to ``most`` tokens, in the order of its parts; ``ending`` follows a cut.

    A call whose name no longer fits is left out; one whose arguments do not is cut in them.
    """
    kept: list[Part] = []
    left = most
    for part in choice.parts:
        cost = part_tokens(part, count)
        if cost <= left:
            kept.append(part)
            left -= cost
            continue
        kept += _cut(part, left, count, head)
        if ending:
            kept = _said(kept, ending)
        return Choice(tuple(kept), "length")
    return choice


def _cut(part: Part, left: int, count: Count, head: Head) -> Iterable[Part]:
    if isinstance(part, ToolCall):
        rest = left - count(part.name)
        return (replace(part, arguments=head(part.arguments, rest)),) if rest > 0 else ()
    return (replace(part, text=head(part.text, left)),) if left > 0 else ()


def _said(parts: list[Part], ending: str) -> list[Part]:
    """The parts, and the ending as the last thing said."""
    last = parts[-1] if parts else None
    if isinstance(last, Text):
        return [*parts[:-1], Text(last.text + ending)]
    return [*parts, Text(ending)]
