"""The cassette's file format: its tables, how a file is made, checked and migrated.

One SQLite file. ``application_id`` says that it is a cassette, ``user_version`` its format
(equal to the number of migrations). Made and migrated with sqlite-utils, which is imported
only where a file is written: opening a cassette for replay must be quick. Untrusted: a
file is checked before anything in it is used, and never runs code.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from llmproxy import __version__
from llmproxy.errors import CassetteError, CassetteMissing, CassetteTooNew

if TYPE_CHECKING:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

APPLICATION_ID = 0x4C4C4D50  # "LLMP"
FORMAT = 1
MAX_VALUE = 2**30
"""Largest text or blob that is read from a cassette, in bytes."""
QUICK_CHECK_BELOW = 32 * 2**20
"""Files smaller than this many bytes are checked whole when they are opened."""

FINGERPRINTS = ("exact", "canonical", "loose", "transcript")

COLUMNS: dict[str, type] = {
    "id": int,
    "run": int,
    "session": str,
    "recorded_at": str,
    "upstream": str,
    "method": str,
    "path": str,
    "query": str,
    "model": str,
    "stream": int,
    "status": int,
    "reason": str,
    "first_byte_ms": float,
    "duration_ms": float,
    "input_tokens": int,
    "output_tokens": int,
    "request_headers": str,
    "request_body": bytes,
    "request_bytes": int,
    "response_headers": str,
    "response_body": bytes,
    "response_bytes": int,
    "timeline": str,
    "head_at": int,
    "ended_at": int,
    "end": str,
    "exact": bytes,
    "canonical": bytes,
    "loose": bytes,
    "transcript": bytes,
}
"""Columns of ``interactions``. Bodies stand as text where they are text. ``timeline`` is a JSON
list of ``[microseconds, bytes]`` that cuts the body into its chunks; ``head_at`` and
``ended_at`` are microseconds; all count from the moment the request had been read whole."""


def _migrations() -> Migrations:
    from sqlite_utils.migrations import Migrations  # noqa: PLC0415  # heavy: only where we write

    migrations = Migrations("llmproxy")

    @migrations(name="1: runs, interactions, meta")
    def first(db: Database) -> None:
        db["meta"].create({"key": str, "value": str}, pk="key")  # type: ignore[union-attr]
        db["runs"].create(  # type: ignore[union-attr]
            {"id": int, "started_at": str, "tool": str, "upstreams": str}, pk="id"
        )
        interactions = db["interactions"]
        interactions.create(  # type: ignore[union-attr]
            COLUMNS, pk="id", not_null={"status", "timeline", "request_body", "response_body"}
        )
        for column in FINGERPRINTS:
            interactions.create_index([column])  # type: ignore[union-attr]
        interactions.create_index(["path", "request_bytes"])  # type: ignore[union-attr]

    return migrations


def create(path: Path) -> None:
    """Make an empty cassette at ``path``, where no file or an empty one stands.

    Raises:
        CassetteError: the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise _unwritable(path, error) from error
    with contextlib.closing(connect(path, write=True)) as connection:
        migrate(connection, path)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to ``FORMAT``; a no-op where it is there already."""
    from sqlite_utils import Database  # noqa: PLC0415  # heavy: only where we write

    try:
        db = Database(connection)
        _migrations().apply(db)
        with db.atomic():
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            write_meta(connection, {"format": str(FORMAT), "tool": f"llmproxy {__version__}"})
    except sqlite3.Error as error:
        raise _unwritable(path, error) from error


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """A connection with the guards for untrusted files; checks nothing yet."""
    name = quote(os.fsencode(path.absolute()))
    connection = sqlite3.connect(
        f"file:{name}?mode={'rw' if write else _read_mode(path)}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=5,
    )
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _read_mode(path: Path) -> str:
    """``rw`` where a WAL was left behind: only a writer can recover it."""
    wal = path.with_name(path.name + "-wal")
    return "rw" if wal.exists() and wal.stat().st_size else "ro"


def open_checked(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """Open an existing cassette and see that it is one that we can read.

    Raises:
        CassetteMissing: no file at ``path``.
        CassetteTooNew: made by a newer llmproxy.
        CassetteError: not a cassette, corrupt, unreadable, or with triggers or views.
    """
    if not path.exists():
        near = sorted(other.name for other in path.parent.glob("*.db"))[:8]
        hint = f"there: {', '.join(near)}" if near else "llmproxy record makes one"
        raise CassetteMissing(f"{path}: no such cassette", hint)
    if path.is_dir():
        raise CassetteError(f"{path}: is a folder, not a cassette", "name a file in it")
    if not path.is_file():  # to open a pipe would wait for ever
        raise CassetteError(f"{path}: is no regular file, so no cassette")
    with reading(path):
        connection = connect(path, write=write)
        try:
            _check(connection, path)
            if not write:
                _leave_wal(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _leave_wal(connection: sqlite3.Connection) -> None:
    """Turn a file that a killed recorder left in WAL mode into one plain file again."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        return
    connection.execute("PRAGMA busy_timeout = 0")
    with contextlib.suppress(
        sqlite3.OperationalError
    ):  # a recorder is at work, or no right to write
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA busy_timeout = 5000")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise CassetteError(
            f"{path}: a SQLite file, but not a cassette of llmproxy",
            "name a file that llmproxy record wrote",
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT:
        raise CassetteTooNew(
            f"{path}: has format {version}; this llmproxy ({__version__}) reads up to {FORMAT}",
            "upgrade llmproxy, or record again",
        )
    code = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') LIMIT 1"
    ).fetchone()
    if code:
        raise CassetteError(
            f"{path}: holds a {code[0]} ({str(code[1])[:40]!r}); llmproxy writes none and runs none",
            "do not use a cassette from this source, or drop the " + str(code[0]),
        )
    columns = {row[1] for row in connection.execute("PRAGMA table_info(interactions)")}
    if missing := COLUMNS.keys() - columns:
        raise CassetteError(f"{path}: has no column {min(missing)}", "record it again")
    if path.stat().st_size < QUICK_CHECK_BELOW:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).rpartition("***")[2].strip())


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk say while reading ``path`` into our own errors."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise CassetteError(
                f"{path}: not a SQLite file, so no cassette", "name a file that llmproxy wrote"
            ) from error
        if "unable to open" in str(error) or "readonly" in str(error):
            raise CassetteError(
                f"{path}: cannot be opened: {error}",
                "check the permissions; a file with a -wal beside it needs a writable folder once",
            ) from error
        if "locked" in str(error):
            raise CassetteError(f"{path}: another program holds it: {error}") from error
        raise CassetteError(
            f"{path}: corrupt: {error}", "restore it from git, or record it again"
        ) from error
    except OSError as error:
        raise CassetteError(f"{path}: {error.strerror or error}") from error


def read_meta(connection: sqlite3.Connection) -> dict[str, str]:
    """The ``meta`` table."""
    return {
        str(key): str(value) for key, value in connection.execute("SELECT key, value FROM meta")
    }


def write_meta(connection: sqlite3.Connection, values: dict[str, str]) -> None:
    """Set entries of the ``meta`` table."""
    connection.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", values.items())


def _unwritable(path: Path, error: Exception) -> CassetteError:
    reason = getattr(error, "strerror", None) or str(error)
    return CassetteError(
        f"{path}: cannot be written: {reason}",
        "name another place with --cassette, or make the folder writable",
    )
