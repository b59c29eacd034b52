"""What can go wrong, in one base class and a flat set of children.

An error carries what an HTTP answer needs (``status``, ``code``) and what a person needs
(the message says what is wrong and where, ``hint`` says the mend). It becomes an HTTP
answer in one place (``server.py``) and exit text in one place (``cli.py``).
"""

from __future__ import annotations


class LlmproxyError(Exception):
    """An error that we foresaw.

    Args:
        message: what is wrong and where, one sentence, never a secret.
        hint: how to mend it; empty where nothing is known.
    """

    status: int = 500
    """HTTP status of the answer when this ends a request."""
    code: str = "llmproxy_error"
    """Stable name for programs, the ``code`` of the error body."""
    exit_code: int = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class SettingsError(LlmproxyError):
    """A setting, flag, variable or YAML file says something that cannot be."""

    code = "llmproxy_settings"
    exit_code = 2


class BadRequest(LlmproxyError):
    """The client's request cannot be read or addressed."""

    status = 400
    code = "llmproxy_bad_request"


class ClientLeft(BadRequest):
    """Nobody waits for the answer any more."""


class RequestTooLarge(BadRequest):
    """The request's body is above ``max_request``."""

    status = 413
    code = "llmproxy_request_too_large"


class UpstreamFailed(LlmproxyError):
    """The upstream could not be reached or broke off before its answer began."""

    status = 502
    code = "llmproxy_upstream_failed"


class UpstreamTimeout(UpstreamFailed):
    """The upstream was not reached, or did not begin to answer, in time."""

    status = 504
    code = "llmproxy_upstream_timeout"


class StreamBroken(UpstreamFailed):
    """A live reply broke off in its middle; the client's connection must break off too."""


class CassetteError(LlmproxyError):
    """A cassette cannot be opened, read or written."""

    code = "llmproxy_cassette"


class CassetteMissing(CassetteError):
    """There is no file at the path given."""


class CassetteLocked(CassetteError):
    """Another recorder has the file."""


class CassetteTooNew(CassetteError):
    """The file's format is of a newer llmproxy."""
