"""Anthropic's Messages API.

Strategy: a request is Anthropic's by its ``anthropic-version`` header (the key may come
under ``authorization`` as well, so it tells nothing) or by its path. Errors are
``{"type": "error", "error": {type, message}, "request_id"}``, in a stream an ``error``
event. Facts are from ``anthropic`` 2.11 and 0.121 and Anthropic's API reference.
"""

from __future__ import annotations

import re
from typing import Any

from llmproxy import sse
from llmproxy.dialects import facts, failures
from llmproxy.dialects.anthropic.messages import COUNT_TOKENS, MESSAGES
from llmproxy.dialects.anthropic.models import MODELS
from llmproxy.dialects.dialect import Dialect, ErrorReply, header
from llmproxy.dialects.operation import IdMaker
from llmproxy.interaction import Facts, Headers, Problem

_PATH = re.compile(r"(?:^|/)v1/(?:messages|complete)(?:/|$)|^/messages(?:/|$)")
_ON_VERTEX = "/publishers/anthropic/"
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_ORGANIZATION = "00000000-0000-4000-8000-000000000000"
_USAGE_MARK = re.compile(rb'"usage"\s*:\s*\{')


def claims(_method: str, path: str, headers: Headers, _query: str) -> bool:
    """Whether the request names an API version of Anthropic's or goes to one of its paths.

    ``/messages`` without a version is what the AI SDK asks.
    """
    return (
        header(headers, "anthropic-version") is not None
        or _PATH.search(path) is not None
        or _ON_VERTEX in path
    )


def write_error(problem: Problem) -> ErrorReply:
    """The envelope, its type by the status.

    A code becomes ``details.error_code``; the request id is null where there is none.
    """
    return failures.reply(problem, _envelope(problem))


def write_stream_error(problem: Problem, _path: str = "") -> bytes:
    """An ``error`` event: the same envelope."""
    return b"event: error\ndata: %b\n\n" % failures.encode(_envelope(problem))


def stream_failed(content_type: str, body: bytes) -> str | None:
    """An ``error`` event among the last ones."""
    for event in sse.last_records(content_type, body):
        record = failures.parse_object(event.data)
        if event.event == "error" or record.get("type") == "error":
            return failures.words(record.get("error") or True)
    return None


def read_facts(_path: str, body: bytes, content_type: str, reply: bytes) -> Facts:
    """Model and stream from the body, usage from ``usage``.

    In a stream input tokens come with ``message_start`` and output tokens, counted up, with
    ``message_delta``.
    """
    asked = facts.request_members(body, "model", "stream")
    stream = asked.get("stream") is True or sse.is_event_stream(content_type)
    entering, leaving = facts.usage(content_type, reply, _USAGE_MARK, _usage)
    return Facts(facts.model_name(asked.get("model")), stream, entering, leaving)


def write_headers(new_id: IdMaker, _seconds: float) -> Headers:
    """The id that ``APIError.request_id`` shows, and an organization that is made up."""
    return (
        ("request-id", new_id("req_01", 22)),
        ("anthropic-organization-id", _ORGANIZATION),
    )


def _envelope(problem: Problem) -> dict[str, Any]:
    fallback = "api_error" if problem.status >= 500 else "invalid_request_error"
    error: dict[str, Any] = {
        "type": _KINDS.get(problem.status, fallback),
        "message": problem.message,
    }
    if problem.code is not None:
        error["details"] = {"error_code": problem.code}
    return {
        "type": "error",
        "error": failures.with_detail(problem, error),
        "request_id": problem.request_id,
    }


def _usage(record: dict[str, Any]) -> facts.Usage:
    used = facts.member(record, "usage") or facts.member(facts.member(record, "message"), "usage")
    return facts.count(used.get("input_tokens")), facts.count(used.get("output_tokens"))


ANTHROPIC = Dialect(
    name="anthropic",
    claims=claims,
    write_error=write_error,
    write_stream_error=write_stream_error,
    stream_failed=stream_failed,
    read_facts=read_facts,
    operations=(MESSAGES, COUNT_TOKENS, *MODELS),
    write_headers=write_headers,
)
