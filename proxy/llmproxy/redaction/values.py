r"""Secrets by value: where known literals stand in bytes, however they are escaped there.

Strategy: a literal is looked for as it is, which costs one search. Only where the bytes hold
escapes that could hide one (``\u0073``, ``\/``, ``%73``) are those undone once, with a map
back to the bytes as they stand. An escape is taken whole or not at all, so JSON stays JSON.

Which strings are secrets is not decided here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from llmproxy.redaction.credentials import SHORTEST
from llmproxy.redaction.edits import Edit, overlaps_placeholder
from llmproxy.redaction.jsonspans import backslashes_before, strings

_BACKSLASH = rb'(\\)\\(?=(?:\\\\){0,8}\\(?:u00|["/]))'  # one, with an escape behind it
_IN_JSON = (
    rb'\\{1,8}+(?:u00([0-9a-fA-F]{2})|(["/]))'  # also of JSON inside a JSON string
    rb"|(\\)\\"
)
_IN_JSON_EXACTLY = (  # a quote behind an even number of backslashes ends its string
    rb'(?:\\{1,8}+(?=u00|/)|(?:\\\\){0,3}+\\(?="))(?:u00([0-9a-fA-F]{2})|(["/]))'
    rb"|(\\)\\"
)
_IN_URL = rb"%([0-9a-fA-F]{2})"
_NEVER = rb"(?!)()"
_JSON_ESCAPES = re.compile(b"|".join((_NEVER, _IN_JSON, _NEVER)))
_EXACT_ESCAPES = re.compile(b"|".join((_BACKSLASH, _IN_JSON_EXACTLY, _NEVER)))
_URL_ESCAPES = re.compile(b"|".join((_NEVER * 4, _IN_URL)))
_ALL_ESCAPES = re.compile(b"|".join((_NEVER, _IN_JSON, _IN_URL)))
_PERCENT = re.compile(rb"%[2-9a-fA-F][0-9a-fA-F]")
_SYNTAX = re.compile(rb'[\s"\\,:\[\]{}]')
_ESCAPE_LETTERS = b'bfnrtu"\\/'


@dataclass(frozen=True, slots=True)
class Literals:
    """Secrets as they stand in bytes; ``escapable``: JSON writers may put a backslash in one."""

    texts: tuple[bytes, ...]
    escapable: bool

    @staticmethod
    def of(secrets: Iterable[str]) -> Literals:
        """Those that are long enough to be looked for, each once."""
        texts = tuple(
            secret.encode("utf-8", "surrogateescape")
            for secret in dict.fromkeys(secrets)
            if len(secret) >= SHORTEST
        )
        return Literals(texts, any(b"/" in text or _SYNTAX.search(text) for text in texts))


def find_values(data: bytes, literals: Literals, *, in_json: bool) -> list[Edit]:
    """Where the literals stand in ``data``, as they are, JSON-escaped or percent-encoded.

    Args:
        data: any bytes.
        literals: what to look for.
        in_json: ``data`` is JSON, perhaps broken off: no syntax outside strings is covered.
    """
    spans: list[tuple[int, int]] = []
    for text in literals.texts:
        if text in data and not (in_json and (b"\\" in text or b'"' in text)):
            spans += _occurrences(data, text, in_json=in_json)
    for escapes in _ways_to_hide(data, literals):
        loose = escapes.sub(_unescape, data)
        if hidden := [text for text in literals.texts if text in loose]:
            spans += _hidden(data, loose, hidden, escapes)
    if spans and in_json:
        spans = _inside_strings(data, spans)
    return [Edit(*span) for span in spans if not overlaps_placeholder(data, *span)]


def _occurrences(data: bytes, text: bytes, *, in_json: bool) -> Iterator[tuple[int, int]]:
    at = data.find(text)
    while at >= 0:
        end = at + len(text)
        if not (in_json and _in_escape(data, at)):
            yield at, end
        at = data.find(text, end)


def _in_escape(data: bytes, at: int) -> bool:
    """Whether the byte is the letter of an escape: the n of a line break is no key's n."""
    return data[at] in _ESCAPE_LETTERS and backslashes_before(data, at) % 2 == 1


def _ways_to_hide(data: bytes, literals: Literals) -> Iterator[re.Pattern[bytes]]:
    """The kinds of escapes in which a literal could hide here; most bodies have none."""
    if not literals.texts:
        return
    in_json = b"\\" in data and (literals.escapable or b"\\u00" in data)
    in_url = b"%" in data and _PERCENT.search(data) is not None
    if in_json:
        yield _JSON_ESCAPES
        if any(b"\\" in text for text in literals.texts):
            yield _EXACT_ESCAPES
    if in_url:
        yield _URL_ESCAPES
    if in_json and in_url:
        yield _ALL_ESCAPES


def _unescape(match: re.Match[bytes]) -> bytes:
    backslash, letter, character, other_backslash, byte = match.groups()
    if letter:
        return chr(int(letter, 16)).encode()
    if byte:
        return bytes([int(byte, 16)])
    return bytes(backslash or character or other_backslash)


class _Unit(NamedTuple):
    """An escape at ``start`` to ``end``, and where its bytes stand in the loose text."""

    loose: int
    loose_end: int
    start: int
    end: int


def _hidden(
    data: bytes, loose: bytes, texts: list[bytes], escapes: re.Pattern[bytes]
) -> list[tuple[int, int]]:
    """The spans of ``data`` whose text, escapes undone as in ``loose``, is one of the texts."""
    units: list[_Unit] = []
    shrunk = 0
    for match in escapes.finditer(data):
        start = match.start() - shrunk
        end = start + len(_unescape(match))
        units.append(_Unit(start, end, *match.span()))
        shrunk = match.end() - end
    starts = [unit.loose for unit in units]
    return [
        (_place(units, starts, start)[0], _place(units, starts, end - 1)[1])
        for text in texts
        for start, end in _occurrences(loose, text, in_json=False)
    ]


def _place(units: list[_Unit], starts: list[int], loose: int) -> tuple[int, int]:
    """The span in the raw bytes of the byte at ``loose``: one byte, or a whole escape."""
    index = bisect_right(starts, loose) - 1
    if index < 0:
        return loose, loose + 1
    unit = units[index]
    if loose < unit.loose_end:
        return unit.start, unit.end
    raw = unit.end + loose - unit.loose_end
    return raw, raw + 1


def _inside_strings(data: bytes, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those spans that cover no JSON syntax: where a literal has a bracket or a quote."""
    doubtful = {span for span in spans if _SYNTAX.search(data, *span)}
    if not doubtful:
        return spans
    inside = list(strings(data))
    starts = [string.start for string in inside]

    def covers_syntax(span: tuple[int, int]) -> bool:
        index = bisect_right(starts, span[0]) - 1
        return index < 0 or span[1] > inside[index].end

    return [span for span in spans if span not in doubtful or not covers_syntax(span)]
