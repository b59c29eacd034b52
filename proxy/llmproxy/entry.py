"""What becomes of one request, and how it is told: a line for people, members for programs.

An entry holds no prompt and no credential; its path and its id are redacted by whoever fills
them in. What a stranger chose (paths, models, ids, reasons) may hold anything that a terminal
obeys: ``line`` escapes it. Where entries are kept is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from llmproxy.interaction import NO_FACTS, Facts

MOST_TEXT = 2_000
"""Characters of a text that an entry keeps: it may stay for a long time."""


@dataclass(slots=True, eq=False)
class Entry:
    """One request and what became of it; nothing of it is secret.

    Attributes:
        number: how many entries were closed before it, and itself; 0 while it is open.
        id: the client's own, else one of ours; ``named`` says that it is the client's.
        path: redacted.
        dialect, endpoint: whose request it is and which operation (``openai_chat``); empty where
            nobody claims it.
        facts: what is known of its model and tokens.
        began, first_byte, ended: readings of ``time.monotonic``.
        time: seconds of the epoch at its end.
        received, sent: bytes of the bodies.
        late: the most seconds that a chunk left after its moment; None where no chunk had one.
        limited: the limit that refused it. ``fault``: the fault that struck.
        note: what else happened, such as ``client left``.
        begun: whether it is known to those who count.
        prompt: the redacted request, for the log; empty unless that was asked for.
    """

    method: str = ""
    id: str = ""
    named: bool = False
    number: int = 0
    path: str = ""
    session: str = ""
    dialect: str = ""
    endpoint: str = ""
    facts: Facts = NO_FACTS
    began: float = 0.0
    first_byte: float | None = None
    ended: float = 0.0
    time: float = 0.0
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
    late: float | None = None
    note: str = ""
    begun: bool = False
    prompt: tuple[tuple[str, Any], ...] = ()

    @property
    def until_first_byte(self) -> float:
        """Seconds from its beginning; to its end where no byte was sent."""
        return (self.ended if self.first_byte is None else self.first_byte) - self.began

    @property
    def duration(self) -> float:
        """Seconds from its beginning to its end."""
        return self.ended - self.began


def line(entry: Entry) -> str:
    """One line for people; nothing in it breaks the line or is obeyed by a terminal."""
    found = " ".join(filter(None, (entry.source, entry.match, entry.interaction)))
    parts = [
        f"{entry.status} {entry.method} {entry.path}",
        found,
        f"{entry.until_first_byte * 1e3:.0f}/{entry.duration * 1e3:.0f} ms",
        entry.facts.model,
        _tokens(entry.facts),
        entry.rule and f"rule {entry.rule}",
        "repeated" if entry.repeated else "",
        "" if entry.session in ("", "default") else f"session {entry.session}",
        f"id {entry.id}" if entry.named else "",
        entry.limited and f"limited by {entry.limited}",
        entry.fault and f"fault {entry.fault}",
        entry.miss and f"MISS: {entry.miss}",
        entry.note,
        *(f"{name} {value}" for name, value in entry.prompt),
    ]
    return escaped(" · ".join(filter(None, parts)))


def members(entry: Entry) -> dict[str, Any]:
    """The same for programs, times in milliseconds; what is not known or not so is left out."""
    facts = entry.facts
    told = {
        "number": entry.number or None,
        "time": timestamp(entry.time) if entry.ended else None,
        "id": entry.id or None,
        "session": entry.session or None,
        "source": entry.source or None,
        "match": entry.match or None,
        "interaction": entry.interaction or None,
        "repeated": entry.repeated or None,
        "rule": entry.rule or None,
        "method": entry.method,
        "path": entry.path,
        "dialect": entry.dialect or None,
        "endpoint": entry.endpoint or None,
        "model": facts.model or None,
        "stream": facts.stream or None,
        "status": entry.status,
        "first_byte_ms": None if entry.first_byte is None else _ms(entry.first_byte - entry.began),
        "duration_ms": _ms(entry.duration) if entry.ended else None,
        "late_ms": None if entry.late is None else _ms(entry.late),
        "input_tokens": facts.input_tokens,
        "output_tokens": facts.output_tokens,
        "received_bytes": entry.received,
        "sent_bytes": entry.sent,
        "miss": entry.miss or None,
        "limited": entry.limited or None,
        "fault": entry.fault or None,
        "note": entry.note or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def timestamp(seconds: float) -> str:
    """Seconds of the epoch as ISO 8601 in UTC, to the millisecond."""
    whole, milliseconds = divmod(int(seconds * 1_000), 1_000)
    return f"{_second(whole)}.{milliseconds:03}Z"


@lru_cache(16)  # lines that are written together are of one second
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def escaped(text: str) -> str:
    r"""The text on one line, what a terminal might obey written as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _tokens(facts: Facts) -> str:
    entering, leaving = facts.input_tokens, facts.output_tokens
    if entering is None and leaving is None:
        return ""
    return f"{'?' if entering is None else entering}+{'?' if leaving is None else leaving} tokens"


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
