"""A cassette, read: find interactions by fingerprint, load them, list them.

Bodies stay in the file; look-ups go through its indexes, so a large cassette opens as fast
as a small one. The fingerprints in the file were made under the settings of its recording;
where the settings of now differ they are made anew in memory, and the file stays as it is:
a replay never changes a fixture. Rows are a stranger's data and are checked when read.
"""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from llmproxy.cassette_schema import COLUMNS, FINGERPRINTS, open_checked, read_meta, reading
from llmproxy.dialects import Facts
from llmproxy.errors import CassetteError
from llmproxy.interaction import (
    Chunk,
    Headers,
    Interaction,
    RecordedRequest,
    RecordedResponse,
)

Fingerprint = Literal["exact", "canonical", "loose", "transcript"]
Digests = Mapping[str, bytes]
Digest = Callable[[RecordedRequest, date], Digests]
"""Makes the four fingerprints of a recorded request, given the day of its recording."""

CACHE_BYTES = 16 * 2**20
FOUND_KEPT = 20_000

_QUOTED = [f'"{name}"' for name in COLUMNS]
_READ = ", ".join(name for name in _QUOTED if name.strip('"') not in FINGERPRINTS)
_INSERT = "INSERT INTO interactions ({}) VALUES ({})".format(  # noqa: S608  # our own names
    ", ".join(_QUOTED), ", ".join("?" * len(_QUOTED))
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An interaction as a list shows it, without its bodies. Times in milliseconds."""

    id: int
    run: int
    session: str
    recorded_at: str
    upstream: str
    method: str
    path: str
    query: str
    model: str
    stream: bool
    status: int
    first_byte_ms: float
    duration_ms: float
    input_tokens: int | None
    output_tokens: int | None
    response_bytes: int
    end: str


@dataclass(frozen=True, slots=True)
class Found:
    """Interactions that share a fingerprint, in the order recorded."""

    ids: tuple[int, ...]
    sessions: tuple[str, ...]


NOTHING = Found((), ())


class Cassette:
    """An open cassette. Not for several threads at once.

    Args:
        path: the file.
        digest_key: what the fingerprints of now depend on; None to leave them unread.
        digest: makes them anew where the file's key differs.

    Raises:
        CassetteError: as ``open_checked`` does.
    """

    def __init__(
        self, path: Path, digest_key: str | None = None, digest: Digest | None = None
    ) -> None:
        self.path = path
        self._connection = open_checked(path)
        self._loaded: OrderedDict[int, Interaction] = OrderedDict()
        self._loaded_bytes = 0
        self._found: dict[tuple[str, bytes], Found] = {}
        self._table = "interactions"
        with self._reading():
            row = self._connection.execute("SELECT count(*), max(id) FROM interactions").fetchone()
            self.count: int = row[0]
            self.last_id: int = row[1] or 0
            self.upstreams = self._read_upstreams()
            meta = read_meta(self._connection)
        self.rebuilt = 0
        stale = digest_key is not None and meta.get("fingerprints") != digest_key
        if stale and digest is not None and self.count:
            self._rebuild(digest)

    def _reading(self) -> Any:
        return reading(self.path)

    def close(self) -> None:
        self._connection.close()

    def _read_upstreams(self) -> tuple[tuple[str, str], ...]:
        names: dict[str, str] = {}
        for (text,) in self._connection.execute("SELECT upstreams FROM runs ORDER BY id"):
            names.update(_pairs(text, self.path, "a run's upstreams"))
        return tuple(names.items())

    def _rebuild(self, digest: Digest) -> None:
        self._connection.execute("ATTACH ':memory:' AS now")
        columns = ", ".join(f"{name} BLOB" for name in FINGERPRINTS)
        self._connection.execute(
            f"CREATE TABLE now.fingerprints (id INTEGER PRIMARY KEY, session TEXT, {columns})"
        )
        for interaction in self.interactions():
            made = digest(interaction.request, recorded_day(interaction))
            self._connection.execute(
                "INSERT INTO now.fingerprints VALUES (?, ?, ?, ?, ?, ?)",
                (interaction.id, interaction.session, *(made[name] for name in FINGERPRINTS)),
            )
            self.rebuilt += 1
        for name in FINGERPRINTS:
            self._connection.execute(f"CREATE INDEX now.by_{name} ON fingerprints ({name})")
        self._table = "now.fingerprints"

    def find(self, fingerprint: Fingerprint, value: bytes) -> Found:
        """The interactions whose ``fingerprint`` is ``value``."""
        key = (fingerprint, value)
        found = self._found.get(key)
        if found is None:
            with self._reading():
                rows = self._connection.execute(
                    f"SELECT id, session FROM {self._table} WHERE {fingerprint} = ? AND id <= ? ORDER BY id",  # noqa: S608  # our own names
                    (value, self.last_id),
                ).fetchall()
            found = Found(tuple(r[0] for r in rows), tuple(str(r[1]) for r in rows))
            if len(self._found) >= FOUND_KEPT:
                self._found.clear()
            self._found[key] = found
        return found

    def load(self, id: int) -> Interaction:
        """One interaction, checked.

        Raises:
            CassetteError: no such interaction, or its row cannot be what we wrote.
        """
        if (kept := self._loaded.get(id)) is not None:
            return kept
        with self._reading():
            row = self._connection.execute(
                f"SELECT {_READ} FROM interactions WHERE id = ?",  # noqa: S608  # our own names
                (id,),
            ).fetchone()
        if row is None:
            raise CassetteError(
                f"{self.path}: has no interaction {id}", "llmproxy cassette ls lists them"
            )
        interaction = decode(row, self.path)
        self._remember(interaction)
        return interaction

    def _remember(self, interaction: Interaction) -> None:
        size = _weight(interaction)
        if size > CACHE_BYTES // 4:
            return
        self._loaded[interaction.id] = interaction
        self._loaded_bytes += size
        while self._loaded_bytes > CACHE_BYTES:
            _, old = self._loaded.popitem(last=False)
            self._loaded_bytes -= _weight(old)

    def interactions(self) -> Iterator[Interaction]:
        """All of them, in the order recorded, one at a time."""
        with self._reading():
            for row in self._connection.execute(
                f"SELECT {_READ} FROM interactions ORDER BY id"  # noqa: S608  # our own names
            ):
                yield decode(row, self.path)

    def like(self, path: str, size: int, limit: int) -> list[Interaction]:
        """Up to ``limit`` interactions to compare a missed request with.

        Those with the same path come first, those with a body of a similar size before others.
        """
        with self._reading():
            rows = self._connection.execute(
                "SELECT id FROM interactions WHERE id <= ?"
                " ORDER BY path != ?, abs(request_bytes - ?) LIMIT ?",
                (self.last_id, path, size, limit),
            ).fetchall()
        return [self.load(row[0]) for row in rows]

    def entries(self) -> Iterator[Entry]:
        """All interactions without their bodies, in the order recorded."""
        names = ", ".join(f'"{name}"' for name in Entry.__dataclass_fields__)
        with self._reading():
            for row in self._connection.execute(f"SELECT {names} FROM interactions ORDER BY id"):  # noqa: S608  # our own names
                yield Entry(*row)


def recorded_day(interaction: Interaction) -> date:
    """The day of the recording, in UTC."""
    return datetime.fromtimestamp(interaction.recorded_at, UTC).date()


def encode(
    interaction: Interaction,
    facts: Facts,
    digests: Digests,
) -> tuple[object, ...]:
    """The row of an interaction, for ``insert``."""
    request, response = interaction.request, interaction.response
    first = response.chunks[0].offset if response.chunks else response.head_at
    body = response.body
    return (
        interaction.id or None,
        interaction.run,
        interaction.session,
        datetime.fromtimestamp(interaction.recorded_at, UTC).isoformat(timespec="microseconds"),
        request.upstream,
        request.method,
        request.path,
        request.query,
        facts.model,
        int(facts.stream),
        response.status,
        response.reason,
        round(first * 1e3, 3),
        round(response.ended_at * 1e3, 3),
        facts.input_tokens,
        facts.output_tokens,
        json.dumps(request.headers),
        _text(request.body),
        len(request.body),
        json.dumps(response.headers),
        _text(body),
        len(body),
        json.dumps([[round(c.offset * 1e6), len(c.data)] for c in response.chunks]),
        round(response.head_at * 1e6),
        round(response.ended_at * 1e6),
        response.end,
        *(digests[name] for name in FINGERPRINTS),
    )


def insert(connection: sqlite3.Connection, row: tuple[object, ...]) -> None:
    """Add one encoded row."""
    connection.execute(_INSERT, row)


def decode(row: tuple[Any, ...], path: Path) -> Interaction:
    """An interaction from a row of the columns without fingerprints.

    Raises:
        CassetteError: names the file, the interaction and the column.
    """
    values = dict(zip((n for n in COLUMNS if n not in FINGERPRINTS), row, strict=True))
    where = f"interaction {values['id']}"
    try:
        body = _bytes(values["response_body"])
        end = values["end"]
        if end not in ("eof", "reset"):
            raise ValueError(f"end is {str(end)[:20]!r}")
        status = int(values["status"])
        if not 100 <= status <= 999:
            raise ValueError(f"status is {status}")
        chunks = _chunks(str(values["timeline"]), body)
        return Interaction(
            id=int(values["id"]),
            run=int(values["run"]),
            session=str(values["session"]),
            recorded_at=datetime.fromisoformat(str(values["recorded_at"])).timestamp(),
            request=RecordedRequest(
                upstream=str(values["upstream"]),
                method=str(values["method"]),
                path=str(values["path"]),
                query=str(values["query"]),
                headers=_pairs(values["request_headers"], path, f"{where}: request_headers"),
                body=_bytes(values["request_body"]),
            ),
            response=RecordedResponse(
                status=status,
                reason=_one_line(str(values["reason"] or "")),
                headers=_pairs(values["response_headers"], path, f"{where}: response_headers"),
                head_at=_moment(values["head_at"]),
                chunks=chunks,
                ended_at=_moment(values["ended_at"]),
                end=end,
            ),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise CassetteError(
            f"{path}: {where} is damaged: {error}", "restore the file, or record it again"
        ) from error


def _chunks(timeline: str, body: bytes) -> tuple[Chunk, ...]:
    chunks = []
    at = 0
    before = 0.0
    for moment, size in json.loads(timeline):
        if not isinstance(size, int) or size < 0:
            raise ValueError(f"timeline: {size!r} is no number of bytes")
        offset = _moment(moment)
        if offset < before:
            raise ValueError("timeline: moments run backwards")
        before = offset
        chunks.append(Chunk(offset, body[at : at + size]))
        at += size
    if at != len(body):
        raise ValueError(f"timeline: covers {at} bytes of {len(body)}")
    return tuple(chunks)


def _moment(microseconds: object) -> float:
    if not isinstance(microseconds, int) or not 0 <= microseconds < 10**12:
        raise ValueError(f"{microseconds!r} is no moment in microseconds")
    return microseconds / 1e6


def _pairs(text: object, path: Path, what: str) -> Headers:
    try:
        pairs = [(name, value) for name, value in json.loads(str(text))]
    except (ValueError, TypeError, RecursionError) as error:
        raise CassetteError(f"{path}: {what} cannot be read", "record it again") from error
    for name, value in pairs:
        if not (isinstance(name, str) and isinstance(value, str)):
            raise CassetteError(f"{path}: {what} holds {str(name)[:40]!r}, which is no header")
        _one_line(name + value)
    return tuple(pairs)


def _one_line(text: str) -> str:
    if any(mark in text for mark in "\r\n\0"):
        raise ValueError("a header or reason runs over several lines")
    return text


def _text(body: bytes) -> str | bytes:
    """Text where it is text that every SQLite tool shows whole, else the bytes."""
    if b"\0" in body:
        return body
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise TypeError(f"a body is {type(value).__name__}")


def _weight(interaction: Interaction) -> int:
    sizes = (len(chunk.data) + 120 for chunk in interaction.response.chunks)
    return len(interaction.request.body) + sum(sizes) + 2000
