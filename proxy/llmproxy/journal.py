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

from llmproxy.interaction import NO_FACTS, Facts

log = logging.getLogger("llmproxy.requests")

GATHERED_FOR = 0.05
"""Seconds until gathered lines are logged."""


@dataclass(slots=True)
class Entry:
    """What becomes of one request; nothing of it is secret.

    Attributes:
        id: of this request: the client's own ``x-request-id``, else one of ours.
        path: redacted.
        dialect, endpoint: whose request it is, and what is asked (``openai_chat``); empty where
            nobody claims it.
        facts: what is known of its model and tokens.
        began, first_byte, ended: readings of ``time.monotonic``.
        received, sent: bytes of the bodies.
        late: the most seconds that a chunk left after its moment.
        limited: the limit that refused it. ``fault``: the fault that struck.
        note: what else happened, such as ``client left``.
    """

    method: str = ""
    id: str = ""
    path: str = ""
    session: str = ""
    dialect: str = ""
    endpoint: str = ""
    facts: Facts = NO_FACTS
    began: float = 0.0
    first_byte: float | None = None
    ended: float = 0.0
    status: int = 0
    source: str = ""
    match: str = ""
    interaction: str = ""
    repeated: bool = False
    rule: str = ""
    miss: str = ""
    limited: str = ""
    fault: str = ""
    received: int = 0
    sent: int = 0
    late: float = 0.0
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
        entry.ended = monotonic()
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
    first = entry.first_byte if entry.first_byte is not None else entry.ended
    found = " ".join(filter(None, (entry.source, entry.match, entry.interaction)))
    line = (
        f"{entry.status} {entry.method} {entry.path} · {found}"
        f" · {(first - entry.began) * 1e3:.0f}/{(entry.ended - entry.began) * 1e3:.0f} ms"
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
