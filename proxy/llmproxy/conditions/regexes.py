"""Regexes of rules: neither compiling nor searching one may take a server down.

Strategy: ``regex`` has a time limit for a search, but none for compiling. It writes counted
repeats out, so that ``(a{1000}){1000}`` is a million nodes; how large a pattern grows is
reckoned before it is compiled, on the safe side. Recursion is refused because its memory grows
by a gigabyte a second until time is up, verbose patterns because comments hide counts.
"""

from __future__ import annotations

import re
from typing import Protocol

import regex  # type: ignore[import-untyped] # Pattern says what we use of it

LONGEST_PATTERN = 2_000
"""Characters of a pattern."""
LONGEST_TEXT = 1_000_000
"""Characters of a text: large sets of characters take some 100 ms for each 100,000 of them
between two looks at the clock."""
SHORT = 0.01
"""Seconds up to which a search keeps the interpreter: to get it back may take longer than that."""
_LARGEST = 20_000
"""Nodes of a pattern with its repeats written out; each takes up to a kilobyte."""

_COUNT = re.compile(r"\{([0-9]+)[,}]")
_REPEATS_A_GROUP = frozenset(")}?*+")
_RECURSION = re.compile(r"\(\?(?:R|[+-]?[0-9]|&|P>)")
_VERBOSE = re.compile(r"\(\?[a-zA-Z0-9-]*x")


class Pattern(Protocol):
    """What we use of a compiled pattern of ``regex``, which has no types of its own."""

    def search(self, text: str, /, *, timeout: float, concurrent: bool) -> object | None: ...


def compile_regex(text: str, *, ignore_case: bool = False) -> Pattern:
    """Compile a pattern in the syntax of ``regex``, version 0, which is that of ``re`` and more.

    Raises:
        ValueError: it does not compile, or is too large; a sentence that says where and why.
    """
    _check(text)
    flags = regex.V0 | (regex.I if ignore_case else 0)
    try:
        pattern: Pattern = regex.compile(text, flags, cache_pattern=False)
    except regex.error as error:
        at = "" if error.pos is None else f" at position {error.pos}"
        raise ValueError(f"the regex does not compile: {error.msg}{at}") from None
    except RecursionError:
        raise ValueError("the regex does not compile: its groups are nested too deep") from None
    except Exception as error:  # noqa: BLE001 - odd patterns raise what its parser stumbles over
        why = str(error)[:100] or type(error).__name__
        raise ValueError(f"the regex does not compile: {why}") from None
    return pattern


def search(pattern: Pattern, text: str, limit: float) -> bool:
    """Whether the pattern is found in the text.

    Raises:
        TimeoutError: it took longer than ``limit`` seconds, or the text is too long to try.
    """
    if len(text) > LONGEST_TEXT:
        raise TimeoutError
    try:
        # A negative limit would be none at all.
        concurrent = limit > SHORT
        return pattern.search(text, timeout=max(limit, 0.0), concurrent=concurrent) is not None
    except MemoryError:
        raise TimeoutError from None


def _check(text: str) -> None:
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"the regex has {len(text):,} characters; at most {LONGEST_PATTERN:,}")
    if _RECURSION.search(text):
        raise ValueError("the regex calls itself or a group; recursion is not supported")
    if _VERBOSE.search(text):
        raise ValueError("the regex has the flag x; write it without white space and comments")
    if _written_out(text) > _LARGEST:
        raise ValueError(f"the regex grows too large: its repeats make over {_LARGEST:,} parts")


def _written_out(text: str) -> int:
    """How many nodes the pattern has at most when counted repeats are written out.

    A count behind a group may multiply everything, any other count only one character.
    """
    nodes, factor = len(text), 1
    for match in _COUNT.finditer(text):
        count = int(match[1][:9])
        if text[match.start() - 1] in _REPEATS_A_GROUP:
            factor *= max(count, 1)
        else:
            nodes += count
        if nodes * factor > _LARGEST:
            break
    return nodes * factor
