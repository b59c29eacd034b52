"""The error of each status, as providers say it, before it has a provider's shape.

One table for all dialects, in OpenAI's words: each other dialect goes by the status.
"""

from __future__ import annotations

from http import HTTPStatus

from llmproxy.interaction import Problem

_KNOWN: dict[int, tuple[str, str, str | None]] = {
    400: ("The request is not valid.", "invalid_request_error", None),
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    402: ("The account has no credit left.", "insufficient_quota", "insufficient_quota"),
    403: (
        "You don't have access to this resource.",
        "permission_error",
        "insufficient_permissions",
    ),
    404: ("There is nothing here by that name.", "invalid_request_error", "not_found"),
    408: ("The request took too long to arrive.", "invalid_request_error", "request_timeout"),
    409: ("The request collides with another one.", "invalid_request_error", "conflict"),
    413: ("The request is too large.", "invalid_request_error", "request_too_large"),
    422: ("The request cannot be processed.", "invalid_request_error", "unprocessable"),
    429: ("Rate limit reached. Try again later.", "rate_limit_error", "rate_limit_exceeded"),
    500: ("The server had an error while processing the request.", "server_error", None),
    502: ("The server got no valid answer from behind it.", "server_error", "bad_gateway"),
    503: ("The service is overloaded or not ready.", "server_error", "service_unavailable"),
    504: ("The answer took too long.", "server_error", "timeout"),
    529: ("Overloaded.", "server_error", "overloaded"),
}


def problem_of(
    status: int,
    message: str | None = None,
    kind: str | None = None,
    code: str | None = None,
    param: str | None = None,
    retry_after: float | None = None,
) -> Problem:
    """The error that a provider answers with ``status``; what is given wins over the table."""
    known = _KNOWN.get(status) or (_phrase(status), _kind(status), None)
    return Problem(
        status=status,
        message=known[0] if message is None else message,
        kind=kind or known[1],
        code=code or known[2],
        param=param,
        retry_after=retry_after,
    )


def unknown_url(method: str, path: str) -> Problem:
    """What a provider says to a path that it does not serve."""
    message = f"Invalid URL ({method} {path[:300]}): llmproxy makes no reply up for it."
    return Problem(404, message, code="unknown_url")


def _phrase(status: int) -> str:
    try:
        return f"{HTTPStatus(status).phrase}."
    except ValueError:
        return f"Status {status}."


def _kind(status: int) -> str:
    return "server_error" if status >= 500 else "invalid_request_error"
