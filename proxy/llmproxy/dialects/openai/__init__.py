"""OpenAI's wire format, and that of the many who speak it.

Strategy: a path is OpenAI's by its operation, wherever a provider mounts it: with and
without ``/v1``, below Azure's ``/openai/deployments/…``, Groq's ``/openai/v1`` and
OpenRouter's ``/api/v1``. Errors are ``{"error": {message, type, param, code}}``; in a
stream the same stands in a ``data:`` line, in a Responses stream in an ``error`` event.
Facts are from ``openai`` 3.52 and OpenAI's API reference.
"""

from __future__ import annotations

import re
from typing import Any

from llmproxy import sse
from llmproxy.dialects import facts, failures
from llmproxy.dialects.dialect import Dialect, ErrorReply
from llmproxy.dialects.openai import words
from llmproxy.dialects.openai.chat import CHAT
from llmproxy.dialects.openai.completions import COMPLETIONS
from llmproxy.dialects.openai.embeddings import EMBEDDINGS
from llmproxy.dialects.openai.models import MODELS
from llmproxy.dialects.openai.moderations import MODERATIONS
from llmproxy.dialects.openai.responses import RESPONSES
from llmproxy.dialects.operation import HEX, IdMaker
from llmproxy.interaction import Facts, Headers, Problem

_TELLING = re.compile(
    r"(?:^|/)(?:chat/completions|completions|embeddings|moderations|responses|conversations"
    r"|images/(?:generations|edits|variations)|audio/(?:speech|transcriptions|translations)"
    r"|fine_tuning|vector_stores|assistants|threads|realtime)(?:/|$)"
)
_AT_THE_ROOT = re.compile(
    r"(?:/openai|/api)?(?:/v1)?"
    r"/(?:models|files|uploads|batches|containers|evals|videos|engines|organization)(?:/|$)"
)
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")
_RESPONSES = re.compile(r"(?:^|/)responses(?:/|$)")
_USAGE_MARK = re.compile(rb'"usage"\s*:\s*\{')


def claims(_method: str, path: str, _headers: Headers, _query: str) -> bool:
    """Whether the path is one of OpenAI's."""
    return bool(_TELLING.search(path) or _AT_THE_ROOT.match(path))


def write_error(problem: Problem) -> ErrorReply:
    """``{"error": {message, type, param, code}}``, all four always there."""
    return failures.reply(problem, {"error": _error(problem)})


def write_stream_error(problem: Problem, path: str = "") -> bytes:
    """A ``data:`` line; for a Responses stream an ``error`` event.

    Its error is nested, which makes the SDK raise; the flat one of the specification would
    be handed to the program as one event among others.
    """
    error = _error(problem)
    if not _RESPONSES.search(path):
        return b"data: %b\n\n" % failures.encode({"error": error})
    event = {"type": "error", "sequence_number": 0, "error": error}
    return b"event: error\ndata: %b\n\n" % failures.encode(event)


def stream_failed(content_type: str, body: bytes) -> str | None:
    """An error among the last events.

    That is ``{"error": …}``, ``event: error``, ``response.failed``, OpenRouter's finish
    reason "error" or vLLM's ``"object": "error"``.
    """
    for event in sse.last_records(content_type, body):
        record = failures.parse_object(event.data)
        if reason := _failure(event.event, record):
            return reason
    return None


def read_facts(path: str, body: bytes, content_type: str, reply: bytes) -> Facts:
    """Model and stream from the body, usage from ``usage``, wherever an operation puts it.

    Where the body names no model, the path may name an Azure deployment.
    """
    asked = facts.request_members(body, "model", "stream")
    deployment = _DEPLOYMENT.search(path)
    model = asked.get("model") or (deployment[1] if deployment else "")
    stream = asked.get("stream") in (True, "true") or sse.is_event_stream(content_type)
    entering, leaving = facts.usage(content_type, reply, _USAGE_MARK, _usage)
    return Facts(facts.model_name(model), stream, entering, leaving)


def write_headers(new_id: IdMaker, seconds: float) -> Headers:
    """The id that ``APIError.request_id`` shows, and how long the provider worked."""
    return (
        ("x-request-id", new_id("req_", 32, HEX)),
        ("openai-processing-ms", str(round(seconds * 1000))),
        ("openai-version", "2020-10-01"),
        ("openai-organization", "llmproxy"),
    )


def _error(problem: Problem) -> dict[str, Any]:
    error = {
        "message": problem.message,
        "type": words.kind_of(problem),
        "param": problem.param,
        "code": problem.code,
    }
    return failures.with_detail(problem, error)


def _failure(event: str, record: dict[str, Any]) -> str | None:
    kind = record.get("type")
    if kind == "response.failed":
        return failures.words(facts.member(record, "response").get("error") or True, kind)
    if reason := failures.words(record.get("error")):
        return reason
    if event == "error" or kind == "error" or record.get("object") == "error":
        return failures.words({"code": record.get("code")})
    choices = record.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict) and first.get("finish_reason") == "error":
        return failures.words(first.get("error") or True, "finish reason error")
    return None


def _usage(record: dict[str, Any]) -> facts.Usage:
    """Chat and embeddings count prompt and completion, newer operations input and output.

    An event of a Responses stream has the response inside; Groq has a place of its own.
    """
    used = (
        facts.member(record, "usage")
        or facts.member(facts.member(record, "response"), "usage")
        or facts.member(facts.member(record, "x_groq"), "usage")
    )
    entering = used.get("prompt_tokens", used.get("input_tokens"))
    leaving = used.get("completion_tokens", used.get("output_tokens"))
    return facts.count(entering), facts.count(leaving)


OPENAI = Dialect(
    name="openai",
    claims=claims,
    write_error=write_error,
    write_stream_error=write_stream_error,
    stream_failed=stream_failed,
    read_facts=read_facts,
    operations=(CHAT, *RESPONSES, *COMPLETIONS, *EMBEDDINGS, *MODELS, *MODERATIONS),
    write_headers=write_headers,
)
