"""The writer: captured exchanges go in on the loop, interactions come out on the disk.

One thread behind a queue that is bounded in bytes. The thread does what must not delay a
stream: undo the content-encoding, redact, fingerprint, insert. It commits whatever has
gathered, at once, so a killed process loses next to nothing. A full queue makes the *next
request* wait before it is forwarded, never a chunk. When the disk fails, traffic passes on;
what is lost is counted and said.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

from llmproxy import __version__, cassette, cassette_rows
from llmproxy.cassette_schema import (
    FINGERPRINTS,
    create,
    migrate,
    open_checked,
    read_meta,
    reading,
    write_meta,
)
from llmproxy.errors import CassetteError, CassetteLocked
from llmproxy.interaction import End, Headers, Request

if sys.platform != "win32":
    import fcntl

log = logging.getLogger("llmproxy.recorder")

Mode = Literal["new_episodes", "all", "once"]


@dataclass(frozen=True, slots=True)
class Captured:
    """A live exchange as it came, credentials and all; lives in memory only.

    ``chunks`` are as the upstream sent them, content-encoding included.
    """

    request: Request
    upstream: str
    path: str
    recorded_at: float
    status: int
    reason: str
    headers: Headers
    head_at: float
    chunks: tuple[tuple[float, bytes], ...]
    ended_at: float
    end: End

    @property
    def size(self) -> int:
        return len(self.request.body) + sum(len(data) for _, data in self.chunks) + 4096


@dataclass(frozen=True, slots=True)
class Kept:
    """What the recorder made of a captured exchange: a row to insert, or why it keeps none."""

    row: tuple[object, ...] | None
    why_not: str = ""


Prepare = Callable[[Captured, int], Kept]
"""Judges, redacts and encodes a captured exchange for a run; runs in the writer's thread."""


class Recorder:
    """Writes one cassette. ``keep`` is called on the loop; ``close`` ends the thread.

    Args:
        path: the cassette; made where it does not stand yet.
        mode: ``all`` writes beside it and takes its place at ``close``.
        upstreams: name → URL, kept with the run.
        prepare: makes rows.
        digest_key, digest: the fingerprints of the settings of now, as for ``Cassette``.
        queue_bytes: how much may wait for the disk.

    Raises:
        CassetteLocked: another recorder has the file.
        CassetteError: the file cannot be made, opened or written.
    """

    def __init__(
        self,
        path: Path,
        mode: Mode,
        upstreams: dict[str, str],
        prepare: Prepare,
        digest_key: str,
        digest: cassette.Digest,
        queue_bytes: int,
    ) -> None:
        self.path = path = path.resolve() if path.is_symlink() else path
        self._file = path.with_name(path.name + ".new") if mode == "all" else path
        self._prepare = prepare
        self._room = self._most = queue_bytes
        self._waiting: list[asyncio.Future[None]] = []
        self._queue: queue.SimpleQueue[Captured | None] = queue.SimpleQueue()
        self.kept = 0
        self.failed = 0
        self.not_kept: Counter[str] = Counter()
        self._locks: list[IO[bytes]] = []
        try:
            self._connection = self._open(upstreams, digest_key, digest)
        except BaseException:
            self._unlock()
            raise
        self._thread = threading.Thread(target=self._run, name="llmproxy-recorder", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def queued(self) -> int:
        """Bytes that wait for the disk."""
        return self._most - self._room

    # opening

    def _open(
        self, upstreams: dict[str, str], digest_key: str, digest: cassette.Digest
    ) -> sqlite3.Connection:
        if self._file != self.path:
            if self.path.exists():
                self._lock(self.path)
            _set_aside(self._file)
        if not self._file.exists() or (self._file.is_file() and not self._file.stat().st_size):
            create(self._file)
        self._lock(self._file)
        connection = open_checked(self._file, write=True)
        try:
            with reading(self._file):
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                migrate(connection, self._file)
                self._refresh_fingerprints(connection, digest_key, digest)
                self.run = self._begin_run(connection, upstreams)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lock(self, path: Path) -> None:
        try:
            handle = path.open("r+b")
        except OSError as error:
            raise CassetteError(
                f"{path}: cannot be written: {error.strerror}",
                "name another place with --cassette, or make the file writable",
            ) from error
        self._locks.append(handle)
        if sys.platform == "win32":  # no flock: two recorders on one file are not noticed there
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CassetteLocked(
                f"{path}: another llmproxy record writes to it",
                "stop that one, or name another file with --cassette",
            ) from error

    def _unlock(self) -> None:
        for handle in self._locks:
            handle.close()

    def _begin_run(self, connection: sqlite3.Connection, upstreams: dict[str, str]) -> int:
        cursor = connection.execute(
            "INSERT INTO runs (started_at, tool, upstreams) VALUES (?, ?, ?)",
            (
                datetime.now(UTC).isoformat(timespec="seconds"),
                f"llmproxy {__version__}",
                json.dumps(list(upstreams.items())),
            ),
        )
        return int(cursor.lastrowid or 0)

    def _refresh_fingerprints(
        self, connection: sqlite3.Connection, key: str, digest: cassette.Digest
    ) -> None:
        """Make the fingerprints anew where the settings have changed since they were made."""
        if read_meta(connection).get("fingerprints") == key:
            return
        reader = cassette.Cassette(self._file)
        connection.execute("BEGIN IMMEDIATE")
        try:
            for interaction in reader.interactions():
                made = digest(interaction.request, cassette_rows.recorded_day(interaction))
                connection.execute(
                    "UPDATE interactions SET exact=?, canonical=?, loose=?, transcript=? WHERE id=?",
                    (*(made[n] for n in FINGERPRINTS), interaction.id),
                )
            write_meta(connection, {"fingerprints": key})
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        finally:
            reader.close()

    # on the loop

    async def room(self) -> None:
        """Return when the queue has room for another exchange."""
        while self._room <= 0:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(waiter)
            await waiter

    def keep(self, captured: Captured) -> None:
        """Hand an exchange to the writer."""
        self._room -= captured.size
        self._queue.put(captured)

    def skip(self, why: str) -> None:
        """Count an exchange that is not kept."""
        self.not_kept[why] += 1

    def _gave_room(self, size: int) -> None:
        self._room += size
        if self._room > 0:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    def close(self, timeout: float | None = None) -> None:
        """Write what is queued, leave one file, end the thread. Blocks for ``timeout`` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    # in the thread

    def _run(self) -> None:
        going = True
        while going:
            batch: list[Captured] = []
            captured = self._queue.get()
            while captured is not None:
                batch.append(captured)
                try:
                    captured = self._queue.get_nowait()
                except queue.Empty:
                    break
            else:
                going = False
            if batch:
                self._write(batch)
        self._finish()

    def _write(self, batch: list[Captured]) -> None:
        rows = [row for captured in batch if (row := self._row(captured)) is not None]
        try:
            self._insert(rows)
        except sqlite3.Error:
            for row in rows:  # one that fits may stand where all together do not
                try:
                    self._insert([row])
                except sqlite3.Error as error:
                    self._lost(error)
        size = sum(captured.size for captured in batch)
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(self._gave_room, size)

    def _row(self, captured: Captured) -> tuple[object, ...] | None:
        try:
            made = self._prepare(captured, self.run)
        except Exception as error:  # one odd exchange must not end the recording
            self._lost(error)
            log.debug("could not prepare", exc_info=True)
            return None
        if made.row is None:
            self.not_kept[made.why_not] += 1
        return made.row

    def _insert(self, rows: list[tuple[object, ...]]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for row in rows:
                cassette_rows.insert(connection, row)
            connection.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self.kept += len(rows)

    def _lost(self, error: Exception) -> None:
        self.failed += 1
        self.not_kept[f"could not be written: {error}"[:120]] += 1
        if self.failed in (1, 10, 100) or self.failed % 1000 == 0:
            log.error(
                "%s: NOT RECORDED (%d so far): %s: traffic passes on, but this run is incomplete",
                self._file,
                self.failed,
                error,
            )

    def _finish(self) -> None:
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            self.failed += 1
            log.error("%s: could not be closed into one file: %s", self._file, error)  # noqa: TRY400
        self._connection.close()
        if self._file != self.path:
            self._take_place()
        self._unlock()

    def _take_place(self) -> None:
        """Put the new file over the old one, unless the old one is worth more."""
        if self.failed:
            log.error(
                "%s stays as it was; this run's recording stands at %s", self.path, self._file
            )
        elif self.kept or not self.path.exists():
            self._file.replace(self.path)
        else:
            self._file.unlink()
            log.warning("%s stays as it was: this run recorded nothing", self.path)


def _set_aside(leftover: Path) -> None:
    """Keep what an interrupted ``--mode all`` left: nothing recorded is thrown away."""
    if not leftover.exists():
        return
    number = 1
    while (
        aside := leftover.with_name(f"{leftover.name.removesuffix('.new')}.interrupted{number}")
    ).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        part = leftover.with_name(leftover.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    log.warning("an interrupted recording stands now at %s", aside)
