"""Missed requests as they are remembered: redacted, the newest last.

Read from the end of the file, within bounds, in a thread.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from llmproxy import misslog
from llmproxy.control.route import MAP, Call, Parameter, Route, list_of, shape
from llmproxy.control.served import Served

MOST = 100
MOST_READ = 4 * 2**20
"""Bytes at the end of the file that are looked at."""
LONGEST_BODY = 10_000
"""Characters of a request's body that are shown."""


def recent(folder: Path, limit: int) -> list[dict[str, Any]]:
    """The newest misses; lines that cannot be read are passed over."""
    try:
        with (folder / misslog.FILE).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_READ))
            data = file.read(MOST_READ)
    except OSError:
        return []
    lines = data.split(b"\n")[1 if size > MOST_READ else 0 :]
    found: list[dict[str, Any]] = []
    for line in reversed(lines):
        if len(found) == limit:
            break
        if miss := _read_line(line):
            found.append(miss)
    return found[::-1]


def _read_line(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    body = entry.get("body")
    if isinstance(body, str) and len(body) > LONGEST_BODY:
        entry["body"] = body[:LONGEST_BODY]
        entry["left_out"] = f"{len(body) - LONGEST_BODY} characters"
    if len(entry.get("body_base64", "")) > LONGEST_BODY:
        entry["left_out"] = f"{len(entry.pop('body_base64'))} characters of base64"
    return entry


async def _read(served: Served, call: Call) -> dict[str, Any]:
    return {"misses": await asyncio.to_thread(recent, served.state_folder, call.query["limit"])}


ROUTES = (
    Route(
        "GET",
        "/_llmproxy/misses",
        _read,
        "The newest requests that nothing matched, redacted",
        shape(misses=list_of(MAP)),
        query=(Parameter("limit", "how many at most", 20, 1, MOST),),
    ),
)
