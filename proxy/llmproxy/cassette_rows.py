"""Rows of the table ``interactions``: how an interaction is written and read.

What is read may be a stranger's: each value is checked before it is used.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from llmproxy.cassette_schema import COLUMNS, FINGERPRINTS
from llmproxy.errors import CassetteError
from llmproxy.interaction import (
    Chunk,
    Facts,
    Headers,
    Interaction,
    RecordedRequest,
    RecordedResponse,
)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
LONGEST_TIMELINE = 32 * 2**20
"""Characters of a time line: more than a million chunks are nobody's stream."""


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


_READ_NAMES = [name for name in COLUMNS if name not in FINGERPRINTS]
_RESPONSE_NAMES = [
    "status",
    "reason",
    "response_headers",
    "response_body",
    "timeline",
    "head_at",
    "ended_at",
    "end",
]
READ = _quoted(_READ_NAMES)
"""The columns that ``decode`` takes."""
_FACTS_NAMES = ["model", "stream", "input_tokens", "output_tokens"]
RESPONSE = _quoted(["id", "method", *_FACTS_NAMES, *_RESPONSE_NAMES])
"""The columns that ``decode_response`` takes."""
_INSERT = "INSERT INTO interactions ({}) VALUES ({})".format(  # noqa: S608  # our own names
    _quoted(list(COLUMNS)), ", ".join("?" * len(COLUMNS))
)


def recorded_day(interaction: Interaction) -> date:
    """The day of the recording, in UTC."""
    return datetime.fromtimestamp(interaction.recorded_at, UTC).date()


def encode(
    interaction: Interaction,
    facts: Facts,
    digests: Mapping[str, bytes],
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
    """An interaction from a row of ``READ``.

    Raises:
        CassetteError: names the file, the interaction and what is wrong.
    """
    values = dict(zip(_READ_NAMES, row, strict=True))
    where = f"interaction {values['id']}"
    with _checked(path, where):
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
                headers=pairs(values["request_headers"], path, f"{where}: request_headers"),
                body=_bytes(values["request_body"]),
            ),
            response=_response([values[name] for name in _RESPONSE_NAMES], path, where),
        )


def decode_response(row: tuple[Any, ...], path: Path) -> tuple[str, RecordedResponse, Facts]:
    """Method, response and facts from a row of ``RESPONSE``.

    Raises:
        CassetteError: as ``decode`` does.
    """
    id, method, model, stream, entering, leaving, *values = row
    where = f"interaction {id}"
    with _checked(path, where):
        facts = Facts(str(model or ""), bool(stream), _tokens(entering), _tokens(leaving))
        return str(method), _response(values, path, where), facts


def _tokens(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


@contextlib.contextmanager
def _checked(path: Path, where: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise CassetteError(
            f"{path}: {where} is damaged: {error}", "restore the file, or record it again"
        ) from error


def _response(values: Sequence[Any], path: Path, where: str) -> RecordedResponse:
    status, reason, headers, body, timeline, head_at, ended_at, end = values
    if end not in ("eof", "reset"):
        raise ValueError(f"end is {str(end)[:20]!r}")
    if not 200 <= int(status) <= 999:
        raise ValueError(f"status is {status}")
    return RecordedResponse(
        status=int(status),
        reason=_one_line(str(reason or "")),
        headers=pairs(headers, path, f"{where}: response_headers"),
        head_at=_moment(head_at),
        chunks=_chunks(str(timeline), _bytes(body)),
        ended_at=_moment(ended_at),
        end=end,
    )


def _chunks(timeline: str, body: bytes) -> tuple[Chunk, ...]:
    if len(timeline) > LONGEST_TIMELINE:
        raise ValueError(f"timeline: {len(timeline)} characters are too many")
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
        if size:
            chunks.append(Chunk(offset, body[at : at + size]))
        at += size
    if at != len(body):
        raise ValueError(f"timeline: covers {at} bytes of {len(body)}")
    return tuple(chunks)


def _moment(microseconds: object) -> float:
    if not isinstance(microseconds, int) or not 0 <= microseconds < 10**12:
        raise ValueError(f"{microseconds!r} is no moment in microseconds")
    return microseconds / 1e6


def pairs(text: object, path: Path, what: str, *, names: bool = True) -> Headers:
    """Pairs of texts from their JSON; with ``names`` header lines.

    Raises:
        CassetteError, ValueError: they are none, or run over several lines.
    """
    try:
        pairs = [(name, value) for name, value in json.loads(str(text))]
    except (ValueError, TypeError, RecursionError) as error:
        raise CassetteError(f"{path}: {what} cannot be read", "record it again") from error
    for name, value in pairs:
        if not (isinstance(name, str) and isinstance(value, str)):
            raise CassetteError(f"{path}: {what} holds {str(name)[:40]!r}, which is no header")
        _one_line(name + value).encode("utf-8", "surrogateescape")
        if names and not _TOKEN(name):
            raise ValueError(f"{what}: {name[:40]!r} is no header's name")
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
