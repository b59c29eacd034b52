"""Google's error envelope: ``{"error": {code, message, status, details}}``.

Strategy: the status word follows from the HTTP status, or the nearest one where Google uses none;
what programs read stands in typed details: a reason, the field at fault, the quota, the wait.
Facts are from Google's API reference and the errors that ``google-genai`` 3.4 raises.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmproxy.dialects import failures
from llmproxy.interaction import Problem

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_WRONG_KEY_CODES = ("invalid_api_key", "api_key_invalid")
_QUOTA_WORDS = frozenset(
    ("rate_limit_exceeded", "insufficient_quota", "rate_limit_error", "requests", "tokens")
)
_SERVICE = "generativelanguage.googleapis.com"


def settled(problem: Problem) -> Problem:
    """The problem with Google's status: a wrong key is a bad request."""
    if _is_wrong_key(problem):
        return replace(problem, status=400)
    return problem


def envelope(problem: Problem) -> dict[str, Any]:
    """The whole body of an error."""
    status = settled(problem).status
    fallback = "UNAVAILABLE" if status >= 500 else "INVALID_ARGUMENT"
    error: dict[str, Any] = {
        "code": status,
        "message": problem.message,
        "status": _STATUSES.get(status, fallback),
    }
    if details := _details(problem):
        error["details"] = details
    return {"error": failures.with_detail(problem, error)}


def _details(problem: Problem) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    if _is_wrong_key(problem):
        metadata = {"service": _SERVICE}
        reason = {"reason": "API_KEY_INVALID", "domain": "googleapis.com", "metadata": metadata}
        localized = {"locale": "en-US", "message": problem.message}
        details += [_detail("ErrorInfo", reason), _detail("LocalizedMessage", localized)]
    elif problem.status == 429 and _QUOTA_WORDS.intersection((problem.code, problem.kind)):
        details.append(_detail("QuotaFailure", {"violations": [_violation(problem)]}))
    elif problem.code is not None:
        reason = {"reason": problem.code.upper(), "domain": "llmproxy"}
        details.append(_detail("ErrorInfo", reason))
    if problem.status == 400 and problem.param is not None:
        violation = {"field": problem.param, "description": problem.message}
        details.append(_detail("BadRequest", {"fieldViolations": [violation]}))
    seconds = failures.retry_seconds(problem)
    if seconds is not None:
        delay = f"{seconds:.3f}".rstrip("0").rstrip(".")
        details.append(_detail("RetryInfo", {"retryDelay": f"{delay}s"}))
    return details


def _detail(name: str, members: dict[str, Any]) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/google.rpc.{name}", **members}


def _violation(problem: Problem) -> dict[str, str]:
    """The quota that was used up, by requests or by tokens."""
    if "tokens" in (problem.kind, problem.code):
        metric, id = (
            "generate_content_input_token_count",
            "GenerateContentInputTokensPerModelPerMinute",
        )
    else:
        metric, id = "generate_content_requests", "GenerateRequestsPerMinutePerProjectPerModel"
    return {"quotaMetric": f"{_SERVICE}/{metric}", "quotaId": id}


def _is_wrong_key(problem: Problem) -> bool:
    return problem.code is not None and problem.code.lower() in _WRONG_KEY_CODES
