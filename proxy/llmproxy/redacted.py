"""From a live request to the one that is kept and matched: ``RecordedRequest = redact(Request)``.

The recorder and the matcher both come here, so both sides are made by the same functions.
"""

from __future__ import annotations

from llmproxy.compression import decode
from llmproxy.interaction import Headers, RecordedRequest, Request
from llmproxy.redaction import Redactor


class Redacted:
    """A request without its secrets; where it goes is said later, by ``at``.

    Args:
        request: as it came.
        redactor: takes the secrets out.
        max_body: largest decoded body, in bytes; what decodes to more stays encoded.
    """

    __slots__ = ("_headers", "_redactor", "_request", "body", "credentials", "query")

    def __init__(self, request: Request, redactor: Redactor, max_body: int) -> None:
        self._request = request
        self._redactor = redactor
        self._headers: Headers | None = None
        self.credentials = redactor.credentials(request.headers, request.query)
        self.query = redactor.query(request.query, self.credentials)
        body = request.body
        encoding = content_type = ""
        if body:
            for name, value in request.headers:
                low = name.lower()
                if low == "content-type":
                    content_type = value
                elif low == "content-encoding":
                    encoding = f"{encoding}, {value}" if encoding else value
            body = redactor.request_body(
                _decoded(body, encoding, max_body), content_type, self.credentials
            )
        self.body = body

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            self._headers = self._redactor.headers(self._request.headers, self.credentials)
        return self._headers

    def at(self, upstream: str, path: str, *, headers: bool = True) -> RecordedRequest:
        """The request as kept for ``upstream`` and the path relative to its base.

        ``headers=False`` leaves them out where nothing will look at them.
        """
        return RecordedRequest(
            upstream=upstream,
            method=self._request.method,
            path=self._redactor.path(path, self.credentials),
            query=self.query,
            headers=self.headers if headers else (),
            body=self.body,
        )


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    if not encoding:
        return body
    try:
        return decode(body, encoding, limit)
    except ValueError:
        return body
