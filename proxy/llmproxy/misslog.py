"""Missed requests on disk, redacted, for ``llmproxy explain --last``.

One JSON object a line, the newest last, in the state folder. The file is cut to its
newest half when it grows; a folder that cannot be written costs the memory, not the answer.
"""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from llmproxy.errors import LlmproxyError
from llmproxy.interaction import RecordedRequest

log = logging.getLogger("llmproxy")

FILE = "misses.jsonl"
MOST_BYTES = 16 * 2**20
LARGEST_BODY = 2**20


@dataclass(frozen=True, slots=True)
class Missed:
    """A request that nothing matched; ``at`` is an ISO time, ``cassettes`` are paths.

    ``asked`` is the path that the client asked for; that of ``request`` is its upstream's.
    """

    at: str
    session: str
    cassettes: tuple[str, ...]
    request: RecordedRequest
    text: str
    asked: str = ""


def remember(folder: Path, missed: Missed) -> None:
    """Append a miss; says in the log when it cannot."""
    request = missed.request
    entry = {
        "at": missed.at,
        "session": missed.session,
        "cassettes": missed.cassettes,
        "upstream": request.upstream,
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": request.headers,
        **_body(request.body),
        "text": missed.text,
        "asked": missed.asked,
    }
    file = folder / FILE
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            (folder / ".gitignore").write_text("*\n")
        if file.exists() and file.stat().st_size > MOST_BYTES:
            lines = file.read_bytes().splitlines(keepends=True)
            file.write_bytes(b"".join(lines[len(lines) // 2 :]))
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
    except OSError as error:
        log.debug("the miss is not remembered: %s", error)


def last(folder: Path) -> Missed:
    """The newest miss.

    Raises:
        LlmproxyError: none is remembered.
    """
    file = folder / FILE
    try:
        lines = file.read_bytes().splitlines()
        return _read(lines[-1])
    except (OSError, IndexError) as error:
        raise LlmproxyError(
            f"{file}: no missed request is remembered", "run llmproxy replay in this folder first"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise LlmproxyError(f"{file}: its last line cannot be read", "delete the file") from error


def _read(line: bytes) -> Missed:
    entry = json.loads(line)
    body = entry["body"].encode() if "body" in entry else base64.b64decode(entry["body_base64"])
    return Missed(
        at=str(entry["at"]),
        session=str(entry["session"]),
        cassettes=tuple(map(str, entry["cassettes"])),
        request=RecordedRequest(
            upstream=str(entry["upstream"]),
            method=str(entry["method"]),
            path=str(entry["path"]),
            query=str(entry["query"]),
            headers=tuple((str(name), str(value)) for name, value in entry["headers"]),
            body=body,
        ),
        text=str(entry["text"]),
        asked=str(entry.get("asked", "")),
    )


def _body(body: bytes) -> dict[str, str]:
    if len(body) > LARGEST_BODY:
        return {"body": "", "left_out": f"{len(body)} bytes"}
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}
