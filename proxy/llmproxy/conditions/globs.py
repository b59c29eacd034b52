"""Globs: ``*`` is any characters, ``?`` is one, nothing else is special.

Strategy: the pattern is cut at its stars; what stands between two of them is looked for from
the left and never taken back, so that time is linear in the text. Only parts with ``?`` need
``re``, and those have a fixed length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Part:
    """What stands between stars; ``pattern`` only where it has a ``?``."""

    text: str
    pattern: re.Pattern[str] | None

    def is_all_of(self, text: str) -> bool:
        if self.pattern is None:
            return text == self.text
        return self.pattern.fullmatch(text) is not None

    def find(self, text: str, start: int, end: int) -> int:
        """Where its first place in ``text[start:end]`` ends; -1: there is none."""
        if self.pattern is None:
            at = text.find(self.text, start, end)
            return at + len(self.text) if at >= 0 else -1
        match = self.pattern.search(text, start, end)
        return match.end() if match else -1


@dataclass(frozen=True, slots=True)
class Glob:
    """A parsed glob; ``tail`` is None where there is no star."""

    pattern: str
    head: _Part
    middle: tuple[_Part, ...]
    tail: _Part | None

    def fits(self, text: str) -> bool:
        """Whether the whole text is of this form; case matters."""
        head, tail = self.head, self.tail
        if tail is None:
            return head.is_all_of(text)
        at, end = len(head.text), len(text) - len(tail.text)
        if at > end or not head.is_all_of(text[:at]) or not tail.is_all_of(text[end:]):
            return False
        for part in self.middle:
            at = part.find(text, at, end)
            if at < 0:
                return False
        return True


def parse_glob(pattern: str) -> Glob:
    """Every text is a glob."""
    head, *rest = map(_part, pattern.split("*"))
    middle = tuple(part for part in rest[:-1] if part.text)
    return Glob(pattern, head, middle, rest[-1] if rest else None)


def is_literal(pattern: str) -> bool:
    """Whether only one text fits: the pattern itself."""
    return "*" not in pattern and "?" not in pattern


def _part(text: str) -> _Part:
    if "?" not in text:
        return _Part(text, None)
    letters = ("." if letter == "?" else re.escape(letter) for letter in text)
    return _Part(text, re.compile("".join(letters), re.DOTALL))
