"""The journal: one entry a request, and the sums that the summary at the end tells.

Errors and refusals are entries too. An entry holds no prompt, no credential and no
query: a log line names method, path, source, match and times.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

log = logging.getLogger("llmproxy")


@dataclass(slots=True)
class Entry:
    """What becomes of one request. Times are readings of ``time.monotonic``."""

    method: str = ""
    path: str = ""
    session: str = ""
    began: float = 0.0
    first_byte: float | None = None
    status: int = 0
    source: str = ""
    match: str = ""
    interaction: str = ""
    repeated: bool = False
    miss: str = ""
    note: str = ""
    sent: int = 0


@dataclass(slots=True)
class Journal:
    """Counts entries and writes the log line of each."""

    sources: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    missed: int = 0
    client_left: int = 0
    requests: int = 0

    def close(self, entry: Entry, now: float) -> None:
        """An entry is complete."""
        self.requests += 1
        self.sources[entry.source] += 1
        self.repeated += entry.repeated
        self.missed += bool(entry.miss)
        if log.isEnabledFor(logging.INFO):
            log.info("%s", _line(entry, now))


def _line(entry: Entry, now: float) -> str:
    first = entry.first_byte if entry.first_byte is not None else now
    parts = [
        f"{entry.status} {entry.method} {entry.path}",
        " ".join(filter(None, (entry.source, entry.match, entry.interaction))),
        f"{(first - entry.began) * 1e3:.0f}/{(now - entry.began) * 1e3:.0f} ms",
    ]
    if entry.session != "default":
        parts.append(f"session {entry.session}")
    if entry.miss:
        parts.append(f"MISS: {entry.miss}")
    if entry.note:
        parts.append(entry.note)
    return " · ".join(parts)
