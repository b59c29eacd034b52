"""Builders of the values that tests speak of, with defaults that no test depends on."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from llmproxy import cassette, cassette_rows
from llmproxy.cassette_schema import create, open_checked, write_meta
from llmproxy.interaction import (
    Chunk,
    End,
    Facts,
    Headers,
    Interaction,
    RecordedRequest,
    RecordedResponse,
)

JSON: Headers = (("Content-Type", "application/json"),)
DAY = 1_790_000_000.0


def request(
    body: bytes = b'{"model":"m"}',
    *,
    upstream: str = "openai",
    method: str = "POST",
    path: str = "/chat/completions",
    query: str = "",
    headers: Headers = JSON,
) -> RecordedRequest:
    return RecordedRequest(upstream, method, path, query, headers, body)


def response(
    chunks: Iterable[tuple[float, bytes]] = ((0.1, b"{}"),),
    *,
    status: int = 200,
    headers: Headers = JSON,
    end: End = "eof",
) -> RecordedResponse:
    made = tuple(Chunk(offset, data) for offset, data in chunks)
    head_at = made[0].offset / 2 if made else 0.05
    ended_at = made[-1].offset if made else 0.1
    return RecordedResponse(status, "OK", headers, head_at, made, ended_at, end)


def interaction(
    asked: RecordedRequest | None = None,
    answered: RecordedResponse | None = None,
    *,
    session: str = "default",
) -> Interaction:
    return Interaction(0, 1, session, DAY, asked or request(), answered or response())


def digests(asked: RecordedRequest, _day: date) -> cassette.Digests:
    """Fingerprints for tests of the file alone: a hash of the body for all four."""
    value = hashlib.sha256(asked.body).digest()[:16]
    return dict.fromkeys(("exact", "canonical", "loose", "transcript"), value)


def write(path: Path, *interactions: Interaction, key: str = "test") -> Path:
    """A closed cassette that holds ``interactions``."""
    create(path)
    with contextlib.closing(open_checked(path, write=True)) as connection:
        write_meta(connection, {"fingerprints": key})
        connection.execute(
            "INSERT INTO runs (started_at, tool, upstreams) VALUES ('2026-11-20', 'test', ?)",
            ('[["openai", "https://api.openai.com/v1"]]',),
        )
        for each in interactions:
            made = digests(each.request, date(2026, 11, 20))
            cassette_rows.insert(connection, cassette_rows.encode(each, Facts(model="m"), made))
    return path


def spoil(path: Path, statement: str, *values: object) -> None:
    """Change a cassette behind llmproxy's back."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)
