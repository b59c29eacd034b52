"""The journal: one entry a request, and the sums that the summary at the end tells.

Errors and refusals are entries too. An entry holds no prompt and no credential: its line
names method, path, source, match and times. Lines are gathered for a moment and logged
together: to log each by itself would cost more than to answer it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic

log = logging.getLogger("llmproxy.requests")

GATHERED_FOR = 0.05
"""Seconds until gathered lines are logged."""


@dataclass(slots=True)
class Entry:
    """What becomes of one request. Times are readings of ``time.monotonic``; the path is redacted."""

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
    rule: str = ""
    miss: str = ""
    note: str = ""


@dataclass(slots=True)
class Journal:
    """Counts entries and writes the log line of each."""

    requests: int = 0
    in_flight: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    missed: int = 0
    ruled: int = 0
    _lines: list[str] = field(default_factory=list)

    def open(self, method: str) -> Entry:
        """A request has come."""
        self.requests += 1
        self.in_flight += 1
        return Entry(method=method, began=monotonic())

    def close(self, entry: Entry) -> None:
        """An entry is complete."""
        self.in_flight -= 1
        self.sources[entry.source] += 1
        self.repeated += entry.repeated
        self.missed += bool(entry.miss)
        self.ruled += bool(entry.rule)
        if log.isEnabledFor(logging.INFO):
            if not self._lines:
                asyncio.get_running_loop().call_later(GATHERED_FOR, self.flush)
            self._lines.append(_line(entry))

    def flush(self) -> None:
        """Log what has gathered."""
        if self._lines:
            lines, self._lines = self._lines, []
            log.info("%s", "\n".join(lines))


def _line(entry: Entry) -> str:
    now = monotonic()
    first = entry.first_byte if entry.first_byte is not None else now
    found = " ".join(filter(None, (entry.source, entry.match, entry.interaction)))
    line = (
        f"{entry.status} {entry.method} {entry.path} · {found}"
        f" · {(first - entry.began) * 1e3:.0f}/{(now - entry.began) * 1e3:.0f} ms"
    )
    if entry.rule:
        line += f" · rule {_one_line(entry.rule)}"
    if entry.repeated:
        line += " · repeated"
    if entry.session not in ("", "default"):
        line += f" · session {entry.session}"
    if entry.miss:
        line += f" · MISS: {entry.miss}"
    if entry.note:
        line += f" · {entry.note}"
    return line


def _one_line(name: str) -> str:
    return name if name.isprintable() else repr(name)
