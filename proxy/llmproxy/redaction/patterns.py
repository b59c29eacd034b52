"""Secrets by the user's own patterns: the regexes of ``redact.patterns``.

Strategy: a pattern is searched in the bytes as they stand, whole bodies of any size; the time
that takes is the user's own. A pattern with groups gives up only what its groups match. In
JSON, a number that a pattern finds becomes a string, so that the body stays JSON.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from llmproxy.errors import SettingsError
from llmproxy.redaction.edits import PLACEHOLDER, Edit
from llmproxy.redaction.jsonspans import scalars

Patterns = tuple[re.Pattern[bytes], ...]


def read_patterns(texts: tuple[str, ...]) -> Patterns:
    """Compile the patterns; character classes mean ASCII.

    Raises:
        SettingsError: one is no regular expression; says which and why.
    """
    patterns: list[re.Pattern[bytes]] = []
    for index, text in enumerate(texts):
        try:
            patterns.append(re.compile(text.encode()))
        except re.error as error:
            raise SettingsError(
                f"redact.patterns[{index}] is no regular expression: {error}",
                "a literal such as a+b is written a\\+b",
            ) from error
    return tuple(patterns)


def find_patterns(data: bytes, patterns: Patterns, *, in_json: bool) -> list[Edit]:
    """The edits for all that the patterns match in ``data``."""
    edits = [
        Edit(match.start(group), _whole_end(data, match.end(group)))
        for pattern in patterns
        for match in pattern.finditer(data)
        for group in range(1 if pattern.groups else 0, pattern.groups + 1)
        if match.start(group) < match.end(group) and not _inside(data, match.start(group))
    ]
    return _as_strings(data, edits) if edits and in_json else edits


def _inside(data: bytes, start: int) -> bool:
    """Whether a placeholder has begun before ``start`` and not ended."""
    reach = len(PLACEHOLDER) - 1
    return data.find(PLACEHOLDER, max(0, start - reach), start + reach) >= 0


def _whole_end(data: bytes, end: int) -> int:
    """The end of the placeholder that ``end`` would cut in two, or ``end`` itself."""
    reach = len(PLACEHOLDER) - 1
    cut = data.rfind(PLACEHOLDER, max(0, end - reach), end + reach)
    return end if cut < 0 else cut + len(PLACEHOLDER)


def _as_strings(data: bytes, edits: list[Edit]) -> list[Edit]:
    """The same edits, those inside a number or a bare word widened to it and quoted."""
    bare = list(scalars(data))
    starts = [span.start for span in bare]
    widened: list[Edit] = []
    for edit in edits:
        index = bisect_right(starts, edit.start) - 1
        if index >= 0 and edit.end <= bare[index].end:
            widened.append(Edit(*bare[index], b'"%b"' % PLACEHOLDER))
        else:
            widened.append(edit)
    return widened
