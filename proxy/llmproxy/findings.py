"""What is wrong at a place of a file that a person wrote, and the name that was meant.

Whoever reads such data gathers findings, so that all of them are told at once; whoever has the
file puts line and column before each. Knows no file and no setting.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from llmproxy.units import quote

Path = tuple[str | int, ...]
"""The way to a value: names and indexes."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_LONGEST_NAME = 60
"""Characters of a wrong name for which a right one is looked up: looking takes its time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with the value at ``path``, or with the key before it."""

    path: Path
    key: bool
    say: Callable[[], str]
    """Its sentence; asked only for what is shown, because looking for names takes time."""

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.say()}"


def dotted(path: Path) -> str:
    """``match.patterns[0].regex``; a key that is no plain name is quoted and cut."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if _PLAIN_KEY.fullmatch(part) else quote(part))
    return text


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that a wrong one probably means."""
    if len(name) > _LONGEST_NAME:
        return None
    alike = name.replace("-", "_")
    return next(iter(difflib.get_close_matches(alike, names, 1)), None)
