"""Why a request missed: the recorded requests nearest to it, told to a person.

Strategy: every kept request is weighed by what it shares with the live one, on a sample of
bounded size and without parsing; only the best few are compared node by node. Knows nothing
of cassettes, HTTP or the clock. Compares what is redacted already.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice

from llmproxy.interaction import RecordedRequest
from llmproxy.matching.accepting import accept
from llmproxy.matching.canonical import Canonicaliser
from llmproxy.matching.differences import (
    MOST_BYTES,
    SIDE,
    Change,
    Difference,
    Form,
    compare,
    difference,
    form,
    likeness,
    printable,
)

Kept = tuple[int, str, RecordedRequest, date]
"""An interaction's id, the name of its cassette, its request and the day it was recorded."""


SHOWN = 8
"""Differences of one candidate that are told; the rest is counted."""


_MOST_KEPT = 2000
_MOST_KEPT_BYTES = 256_000_000
_SHORTLIST = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recorded request near to a live one.

    ``score`` is 1 for equal and 0 for nothing in common; ``more`` counts differences that
    are not told (counting ends at 200 in all); ``accept`` is YAML for ``proxy.yml``, or empty where only recording anew
    helps.
    """

    interaction: int
    cassette: str
    score: float
    differences: tuple[Difference, ...]
    accept: str
    more: int = 0


def rank(
    live: RecordedRequest,
    kept: Iterable[Kept],
    canonicaliser: Canonicaliser,
    now: date,
    limit: int = 3,
) -> tuple[Candidate, ...]:
    """The kept requests nearest to ``live``, nearest first.

    Looks at the first 2,000 or 256 MB at most, so the likely ones should come first. ``now``
    is today.
    """
    weighed = (
        (likeness(live.body, each[2].body) * _nearness(live, each[2]), -number, each)
        for number, each in enumerate(_bounded(kept))
    )
    shortlist = heapq.nlargest(max(limit, _SHORTLIST), weighed, key=lambda entry: entry[:2])
    ours = form(live, now, canonicaliser)
    found: list[tuple[float, int, int, str, Form, list[Change]]] = []
    spent = 0
    for _, order, (number, cassette, request, day) in shortlist:
        if found and spent > MOST_BYTES:
            break
        spent += len(request.body) + len(live.body)
        theirs = form(request, day, canonicaliser)
        changes = compare(theirs, ours, canonicaliser)
        score = likeness(ours.text, theirs.text) * _nearness(live, request)
        score -= len(changes) / 1000
        found.append((max(0.0, score), order, number, cassette, theirs, changes))
    found.sort(key=lambda entry: entry[:2], reverse=True)
    return tuple(
        Candidate(
            interaction=number,
            cassette=cassette,
            score=round(score, 3),
            differences=tuple(difference(change) for change in changes[:SHOWN]),
            accept=accept(theirs, ours, canonicaliser, changes),
            more=max(0, len(changes) - SHOWN),
        )
        for score, _, number, cassette, theirs, changes in found[:limit]
    )


def _bounded(kept: Iterable[Kept]) -> Iterator[Kept]:
    size = 0
    for each in islice(kept, _MOST_KEPT):
        yield each
        size += len(each[2].body)
        if size > _MOST_KEPT_BYTES:
            return


def _nearness(live: RecordedRequest, kept: RecordedRequest) -> float:
    places = (
        (live.method, kept.method),
        (live.path, kept.path),
        (live.upstream, kept.upstream),
    )
    return float(0.7 ** sum(ours != theirs for ours, theirs in places))


# --- telling ---


def describe(candidates: Sequence[Candidate]) -> str:
    """The candidates for a person: each difference on a line, then what would accept it."""
    return "\n".join(line for candidate in candidates for line in _describe(candidate))


def _describe(candidate: Candidate) -> Iterator[str]:
    most = 99 if candidate.differences else 100
    percent = min(most, round(100 * candidate.score))
    yield f"#{candidate.interaction} in {printable(candidate.cassette)} ({percent} % alike):"
    for each in candidate.differences:
        yield f"  {_describe_difference(each)}"
    if not candidate.differences:
        yield "  equal in canonical form"
    if candidate.more:
        yield f"  and {candidate.more} more"
    if candidate.accept:
        yield "  to accept it, in proxy.yml:"
        for line in candidate.accept.split("\n"):
            yield f"    {line}"


def _describe_difference(each: Difference) -> str:
    note = f" ({each.note})" if each.note else ""
    match each.kind:
        case "changed":
            return f"{each.path}: {each.recorded} → {each.live}{note}"
        case "reordered":
            return f"{each.path}{note}: in another order"
        case "missing":
            return f"{each.path}{note}: only recorded"
        case "added":
            return f"{each.path}{note}: only live"


def summary_line(candidates: Sequence[Candidate]) -> str:
    """The nearest candidate and where it differs: ASCII, one line, at most 300 characters.

    Paths only, no content; empty without candidates. For a response header and the log.
    """
    if not candidates:
        return ""
    nearest = candidates[0]
    paths = [each.path[:SIDE] for each in nearest.differences]
    more = nearest.more
    while True:
        where = ", ".join(paths) or "nothing that counts"
        line = f"nearest is #{nearest.interaction} in {nearest.cassette[-60:]}, differs in {where}"
        line += f" and {more} more" if more else ""
        line = ascii(line)[1:-1] if not (line.isascii() and line.isprintable()) else line
        if len(line) <= 300 or not paths:
            return line[:300]
        paths.pop()
        more += 1
