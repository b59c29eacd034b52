"""What the dialects' errors have in common: writing them out and recognising them.

Strategy: an error is a plain object until ``reply`` or ``encode`` makes bytes of it; a
recorded error is told by a short identifier of its own, never by its message, which may
quote keys and prompts. The shapes themselves are each dialect's business.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from llmproxy.dialects.dialect import ErrorReply
from llmproxy.interaction import Headers, Problem

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")


def encode(value: object) -> bytes:
    """JSON in ASCII, so that no text, however broken, can break the reply."""
    return json.dumps(value, separators=(",", ":"), default=str).encode("ascii")


def reply(problem: Problem, body: dict[str, Any]) -> ErrorReply:
    """A whole error reply: SDKs read the text only out of ``application/json``."""
    headers = (("content-type", "application/json"), *_retry_headers(problem))
    return problem.status, headers, encode(body)


def with_detail(problem: Problem, error: dict[str, Any]) -> dict[str, Any]:
    """The error object with ``Problem.detail`` under ``llmproxy``."""
    return error if problem.detail is None else {**error, "llmproxy": problem.detail}


def retry_seconds(problem: Problem) -> float | None:
    """How long a client shall wait, if that is a duration at all."""
    seconds = problem.retry_after
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None


def words(error: object, otherwise: str = "error event") -> str | None:
    """Why a stream failed, out of the ``error`` it carried; None where that is no error.

    ``error`` is an object with some of type, code and status, or a text; null, false and
    empty ones say that all is well (every Responses object has ``"error": null``).
    """
    if not error:
        return None
    fields = error if isinstance(error, dict) else {}
    for name in ("type", "status", "code"):
        value = fields.get(name)
        if isinstance(value, str | int) and _IDENTIFIER.fullmatch(str(value)[:61]):
            return f"{otherwise}: {value}"
    return otherwise


def parse(text: str | bytes) -> Any:
    """A JSON value, or None if the text is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def parse_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object, or an empty one if the text is anything else."""
    value = parse(text)
    return value if isinstance(value, dict) else {}


def _retry_headers(problem: Problem) -> Headers:
    seconds = retry_seconds(problem)
    if seconds is None:
        return ()
    return (
        ("retry-after", str(math.ceil(seconds))),
        ("retry-after-ms", str(math.ceil(seconds * 1000))),
    )
