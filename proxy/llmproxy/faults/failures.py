"""Reads the errors of a fault: a status, a word, or the members that errors of rules have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from llmproxy.findings import Finding, Path
from llmproxy.members import NO_VALUE, note, note_unknown, read_whole, read_word
from llmproxy.rules import scripts
from llmproxy.synthesis.problems import problem_of
from llmproxy.synthesis.scripted import Failure
from llmproxy.units import quote

WORDS: Mapping[str, int] = MappingProxyType(
    {
        "server_error": 500,
        "bad_request": 400,
        "authentication_error": 401,
        "permission_denied": 403,
        "rate_limit": 429,
        "overloaded": 529,
    }
)
"""Errors by name and their status."""
STATUSES = (400, 599)
ERROR = ("status", "message", "type", "code", "param", "headers", "retry_after")
"""All that may stand in an error before the head."""
EVENT = ("status", "message", "type", "code", "param", "retry_after")
"""All that may stand in an error inside a stream."""
MOST = 100
"""Errors of which one is drawn."""

_SAID = {
    "times": "is for rules; write calls: first 2 beside the effect",
    "headers": "have left before a stream's error; leave them out",
}
"""What is said of members that stand elsewhere."""


def read_failures(data: object, path: Path, found: list[Finding]) -> tuple[Failure, ...]:
    """One error or a list of them; findings for those that cannot be."""
    if not isinstance(data, list):
        one = read_failure(data, path, ERROR, found)
        return () if one is None else (one,)
    if not 1 <= len(data) <= MOST:
        count = f"has {len(data):,}" if data else "is empty"
        note(found, path, f"{count}; write 1 to {MOST} errors")
        return ()
    each = (read_failure(one, (*path, n), ERROR, found) for n, one in enumerate(data))
    return tuple(one for one in each if one is not None)


def read_failure(
    data: object, path: Path, names: Sequence[str], found: list[Finding]
) -> Failure | None:
    """An error; None and findings where it cannot be. ``names`` are the members it may have."""
    if data is None:
        note(found, path, NO_VALUE)
    elif isinstance(data, str):
        word = read_word(data, path, tuple(WORDS), found)
        return None if word is None else Failure(problem_of(WORDS[word]))
    elif type(data) is int:
        status = read_whole(data, path, *STATUSES, found)
        return None if status is None else Failure(problem_of(status))
    elif isinstance(data, Mapping):
        return _read_members(data, path, names, found)
    else:
        note(found, path, f"{quote(data)} is no error; write 500, overloaded or {{status: 500}}")
    return None


def _read_members(
    data: Mapping[str, object], path: Path, names: Sequence[str], found: list[Finding]
) -> Failure | None:
    before = len(found)
    for name in data:
        if name not in names and name in _SAID:
            note(found, (*path, name), _SAID[name], key=True)
        elif name not in names:
            note_unknown(found, (*path, name), names, "no such member")
    inside: list[Finding] = []
    known = {name: value for name, value in data.items() if name in names}
    script = scripts.read_members({"error": known}, (), inside)
    found += [replace(each, path=(*path, *each.path[1:])) for each in inside]
    return script.error if script is not None and len(found) == before else None
