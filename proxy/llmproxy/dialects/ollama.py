"""Ollama's native API below ``/api/``; its ``/v1`` speaks OpenAI's.

Streams are NDJSON and the default; errors are ``{"error": "text"}``, in a stream as well.
Facts are from Ollama's API document.
"""

from __future__ import annotations

import re
from typing import Any

from llmproxy import sse
from llmproxy.dialects import facts, failures
from llmproxy.dialects.dialect import Dialect, ErrorReply, Facts
from llmproxy.interaction import Headers, Problem

_PATH = re.compile(
    r"(?:^|/)api/(?:chat|generate|embed|embeddings|tags|show|ps|version|pull|push|create|copy"
    r"|delete|blobs/[^/]+)$"
)
_STREAMS = ("/api/chat", "/api/generate")
_USAGE_MARK = re.compile(rb'"(?:prompt_eval_count|eval_count)"\s*:')


def claims(_method: str, path: str, _headers: Headers, _query: str) -> bool:
    """Whether the path is one of Ollama's own."""
    return _PATH.search(path) is not None


def write_error(problem: Problem) -> ErrorReply:
    """The text and, beside it, our detail."""
    return failures.reply(problem, _error(problem))


def write_stream_error(problem: Problem, _path: str = "") -> bytes:
    """One more line of NDJSON."""
    return failures.encode(_error(problem)) + b"\n"


def stream_failed(content_type: str, body: bytes) -> str | None:
    """A line with an error among the last ones."""
    for event in sse.last_records(content_type, body):
        error = failures.parse_object(event.data).get("error")
        if error is not None:
            return failures.words(error or True, "error line")
    return None


def read_facts(path: str, body: bytes, content_type: str, reply: bytes) -> Facts:
    """Model and stream from the body, tokens from the last record."""
    asked = facts.request_members(body, "model", "stream")
    stream = path.endswith(_STREAMS) and asked.get("stream") is not False
    entering, leaving = facts.usage(content_type, reply, _USAGE_MARK, _usage)
    return Facts(facts.model_name(asked.get("model")), stream, entering, leaving)


def _error(problem: Problem) -> dict[str, Any]:
    return failures.with_detail(problem, {"error": problem.message})


def _usage(record: dict[str, Any]) -> facts.Usage:
    return facts.count(record.get("prompt_eval_count")), facts.count(record.get("eval_count"))


OLLAMA = Dialect(
    name="ollama",
    claims=claims,
    write_error=write_error,
    write_stream_error=write_stream_error,
    stream_failed=stream_failed,
    read_facts=read_facts,
)
