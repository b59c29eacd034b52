"""Cassettes for the subjects, written by llmproxy's own recorder from made-up exchanges."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.traffic import PATH, frames, reply_body, request_body
from llmproxy.interaction import Headers, Request
from llmproxy.keeping import Keeper
from llmproxy.matching.canonical import Canonicaliser
from llmproxy.recorder import Captured, Recorder
from llmproxy.redaction import Redactor
from llmproxy.settings import Settings

UPSTREAMS = {"openai": "https://api.openai.com/v1"}
_ASKED: Headers = (
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
    ("User-Agent", "benchmark/1.0"),
)
_DATE = ("Date", "Fri, 20 Nov 2026 12:00:00 GMT")


def keeper() -> Keeper:
    """What judges and redacts, under the default settings."""
    settings = Settings()
    return Keeper(
        Redactor(settings.redact),
        Canonicaliser(settings.match),
        keep_transient=False,
        max_body=settings.max_request,
    )


def chat(number: int) -> Captured:
    """Request ``number`` and its reply of about 1 KB."""
    body = reply_body(number)
    headers = (
        _DATE,
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("x-request-id", f"req_{number:08d}"),
    )
    return _captured(request_body(number), headers, [(0.4, body)])


def stream(number: int, count: int, mean: float) -> Captured:
    """Request ``number`` for a stream, and the stream."""
    headers = (
        _DATE,
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("x-request-id", f"req_{number:08d}"),
    )
    return _captured(request_body(number, stream=True), headers, frames(number, count, mean))


def _captured(body: bytes, headers: Headers, chunks: Sequence[tuple[float, bytes]]) -> Captured:
    return Captured(
        request=Request("POST", PATH, _ASKED, body, "default", 0.0),
        upstream="openai",
        path=PATH.removeprefix("/v1"),
        recorded_at=1_790_000_000.0,
        status=200,
        reason="OK",
        headers=headers,
        head_at=chunks[0][0] / 2,
        chunks=tuple(chunks),
        ended_at=chunks[-1][0],
        end="eof",
    )


def chats(folder: Path, count: int) -> Path:
    """A cassette of ``count`` requests and replies of 1 KB each; made once in a folder."""
    path = folder / f"chats-{count}.db"
    if not path.exists():
        write(path, (chat(number) for number in range(count)))
    return path


def write(path: Path, exchanges: Iterable[Captured], queue: int = 2**24) -> float:
    """A closed cassette of ``exchanges``; the seconds that recording them took."""
    return asyncio.run(_write(path, exchanges, queue))


async def _write(path: Path, exchanges: Iterable[Captured], queue: int) -> float:
    made = keeper()
    recorder = Recorder(path, "new_episodes", UPSTREAMS, made, made.key, made.digest, queue)
    began = time.monotonic()
    for captured in exchanges:
        await recorder.room()
        recorder.keep(captured)
    await asyncio.to_thread(recorder.close)
    if recorder.failed or recorder.not_kept:
        raise RuntimeError(f"{path}: not all was kept: {recorder.not_kept}")
    return time.monotonic() - began
