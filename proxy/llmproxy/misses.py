"""Why nothing matched: the nearest recorded requests and how each differs.

Comparing takes milliseconds, so it happens in one thread of its own with its own view of
the cassettes; streams go on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from llmproxy import misslog
from llmproxy.asked import Asked
from llmproxy.cassette import Cassette
from llmproxy.cassette_rows import recorded_day
from llmproxy.interaction import RecordedRequest
from llmproxy.matching.canonical import Canonicaliser
from llmproxy.matching.ranking import Candidate, describe, rank, summary_line
from llmproxy.upstreams import Upstream

COMPARED = 300
"""How many recorded requests of a cassette a missed one is compared with, at most."""

NEAREST = 3
NEAR = 0.5
"""A candidate less alike than this helps nobody, unless there is no other."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A miss in the forms it is told: for a person, for a header, for a program."""

    text: str
    line: str
    detail: dict[str, object]


class Misses:
    """Explains missed requests of a running server.

    Args:
        shelves: path and upstreams of each cassette.
        canonicaliser: as matching uses it.
        folder: where misses are remembered.
    """

    def __init__(
        self,
        shelves: Sequence[tuple[Path, tuple[Upstream, ...]]],
        canonicaliser: Canonicaliser,
        folder: Path,
    ) -> None:
        self._shelves = tuple(shelves)
        self._canonicaliser = canonicaliser
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "llmproxy-miss")
        self._cassettes: list[Cassette] | None = None

    def close(self) -> None:
        self._thread.shutdown()
        for cassette in self._cassettes or ():
            cassette.close()

    async def explain(self, asked: Asked) -> Miss:
        """The reason of a miss; remembered for ``llmproxy explain --last``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._explain, asked)

    def _explain(self, asked: Asked) -> Miss:
        if self._cassettes is None:
            self._cassettes = [Cassette(path) for path, _ in self._shelves]
        lives = [asked.at(upstreams) for _, upstreams in self._shelves]
        candidates = nearest(lives, self._cassettes, self._canonicaliser)
        miss = tell(lives[0], candidates, self._cassettes, asked.why, asked.rules)
        missed = misslog.Missed(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            session=asked.request.session,
            cassettes=tuple(str(path) for path, _ in self._shelves),
            request=lives[0],
            text=miss.text,
            asked=asked.redacted.path,
        )
        misslog.remember(self._folder, missed)
        return miss


def nearest(
    lives: Sequence[RecordedRequest], cassettes: Sequence[Cassette], canonicaliser: Canonicaliser
) -> tuple[Candidate, ...]:
    """The recorded requests most like a live one, which each cassette may see addressed its own way."""
    today = datetime.now(UTC).date()
    found: list[Candidate] = []
    for live, cassette in zip(lives, cassettes, strict=True):
        kept = (
            (each.id, cassette.path.name, each.request, recorded_day(each))
            for each in cassette.like(live.path, len(live.body), COMPARED)
        )
        found += rank(live, kept, canonicaliser, today, NEAREST)
    found.sort(key=lambda candidate: -candidate.score)
    at_home = [each for each in found if all(d.path != "path" for d in each.differences)]
    near = [each for each in at_home or found if each.score >= NEAR] or found[:1]
    return tuple(near[:NEAREST])


def tell(
    live: RecordedRequest,
    candidates: tuple[Candidate, ...],
    cassettes: Sequence[Cassette],
    why: str = "",
    rules: int = 0,
) -> Miss:
    """A miss in all its forms; ``rules`` is how many were tried before."""
    count = sum(cassette.count for cassette in cassettes)
    names = ", ".join(cassette.path.name for cassette in cassettes)
    where = f"{names}: {count} interaction{'s' * (count != 1)}"
    head = why or "no recorded request matches"
    text = f"llmproxy: {head}: {live.method} {live.path} ({where})"
    if candidates:
        text += "\n" + describe(candidates)
    if rules:
        text += f"\nNone of {rules} rule{'s' * (rules != 1)} answers; why: llmproxy explain --last"
    if not why or not candidates:
        text += "\nTo record it: llmproxy record --upstream NAME --cassette FILE"
    line = why or summary_line(candidates) or "no recorded request"
    detail: dict[str, object] = {
        "reason": head,
        "request": f"{live.method} {live.path}",
        "candidates": [asdict(candidate) for candidate in candidates],
    }
    return Miss(text, line.encode("ascii", "replace").decode().replace("\n", " ")[:400], detail)
