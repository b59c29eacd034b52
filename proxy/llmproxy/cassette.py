"""A cassette, read: find interactions by fingerprint, load them, list them.

Bodies stay in the file; look-ups go through its indexes, so a large cassette opens as fast
as a small one. The fingerprints in the file were made under the settings of its recording;
where the settings of now differ they are made anew in memory, and the file stays as it is:
a replay never changes a fixture. Rows are a stranger's data and are checked when read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from llmproxy import cassette_rows as rows
from llmproxy.cassette_schema import FINGERPRINTS, open_checked, read_meta, reading
from llmproxy.errors import CassetteError
from llmproxy.interaction import Facts, Interaction, RecordedRequest, RecordedResponse

Fingerprint = Literal["exact", "canonical", "loose", "transcript"]
Digests = Mapping[str, bytes]
Digest = Callable[[RecordedRequest, date], Digests]
"""Makes the four fingerprints of a recorded request, given the day of its recording."""

FOUND_KEPT = 20_000


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


_SQL = {"int": "INTEGER", "bool": "INTEGER", "float": "REAL", "str": "TEXT"}
_ENTRY_TYPES = {each.name: _SQL[str(each.type).partition(" ")[0]] for each in fields(Entry)}


@dataclass(frozen=True, slots=True)
class Found:
    """Interactions that share a fingerprint, in the order recorded."""

    ids: tuple[int, ...]
    sessions: tuple[str, ...]


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
            names.update(rows.pairs(text, self.path, "a run's upstreams", names=False))
        return tuple(names.items())

    def _rebuild(self, digest: Digest) -> None:
        self._connection.execute("ATTACH ':memory:' AS now")
        columns = ", ".join(f"{name} BLOB" for name in FINGERPRINTS)
        self._connection.execute(
            f"CREATE TABLE now.fingerprints (id INTEGER PRIMARY KEY, session TEXT, {columns})"
        )
        for interaction in self.interactions():
            made = digest(interaction.request, rows.recorded_day(interaction))
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
        with self._reading():
            row = self._connection.execute(
                f"SELECT {rows.READ} FROM interactions WHERE id = ?",  # noqa: S608  # our own names
                (id,),
            ).fetchone()
        return rows.decode(self._there(row, id), self.path)

    def load_response(self, id: int) -> tuple[str, RecordedResponse, Facts]:
        """The method of an interaction, its response and its facts, without the rest; checked.

        Raises:
            CassetteError: as ``load`` does.
        """
        with self._reading():
            row = self._connection.execute(
                f"SELECT {rows.RESPONSE} FROM interactions WHERE id = ?",  # noqa: S608  # our own names
                (id,),
            ).fetchone()
        return rows.decode_response(self._there(row, id), self.path)

    def _there(self, row: tuple[Any, ...] | None, id: int) -> tuple[Any, ...]:
        if row is None:
            raise CassetteError(
                f"{self.path}: has no interaction {id}", "llmproxy cassette ls lists them"
            )
        return row

    def interactions(self) -> Iterator[Interaction]:
        """All of them, in the order recorded, one at a time."""
        with self._reading():
            for row in self._connection.execute(
                f"SELECT {rows.READ} FROM interactions ORDER BY id"  # noqa: S608  # our own names
            ):
                yield rows.decode(row, self.path)

    def like(self, path: str, size: int, limit: int) -> list[Interaction]:
        """Up to ``limit`` interactions to compare a missed request with.

        Those with the same path come first, those with a body of a similar size before others;
        then some with other paths.
        """
        near = "SELECT id, abs(request_bytes - ?1) FROM interactions WHERE path = ?2 AND id <= ?3"
        nearby = (
            f"{near} AND request_bytes >= ?1 ORDER BY request_bytes LIMIT ?4",
            f"{near} AND request_bytes < ?1 ORDER BY request_bytes DESC LIMIT ?4",
        )
        with self._reading():
            found = [
                row
                for query in nearby  # each walks the index from the size outwards
                for row in self._connection.execute(query, (size, path, self.last_id, limit))
            ]
            found.sort(key=itemgetter(1))
            if len(found) < limit:
                found += self._connection.execute(
                    "SELECT id, 0 FROM interactions WHERE path != ? AND id <= ? LIMIT ?",
                    (path, self.last_id, limit - len(found)),
                )
        return [self.load(row[0]) for row in found[:limit]]

    def entries(self) -> Iterator[Entry]:
        """All interactions without their bodies, in the order recorded."""
        names = ", ".join(f'CAST("{name}" AS {kind})' for name, kind in _ENTRY_TYPES.items())
        with self._reading():
            for row in self._connection.execute(f"SELECT {names} FROM interactions ORDER BY id"):  # noqa: S608  # our own names
                yield Entry(*row)
