"""From a live request to the one that is kept and matched: ``RecordedRequest = redact(Request)``.

The recorder and the matcher both come here, so both sides are made by the same functions.
"""

from __future__ import annotations

from hashlib import sha256

from llmproxy.compression import decode_as_far
from llmproxy.interaction import Headers, RecordedRequest, Request
from llmproxy.redaction import Redactor

REMEMBERED = 512
"""Bodies of a server under load that are redacted once only."""

REMEMBERED_BELOW = 16 * 1024
"""Largest such body, in bytes."""


class Redacting:
    """Makes ``Redacted`` of requests; used from any thread.

    Args:
        redactor: takes the secrets out.
        max_body: largest decoded body, in bytes; what decodes to more stays encoded.
    """

    def __init__(self, redactor: Redactor, max_body: int) -> None:
        self.redactor = redactor
        self._max_body = max_body
        self._bodies: dict[tuple[object, ...], bytes] = {}

    def __call__(self, request: Request, credentials: tuple[str, ...] | None = None) -> Redacted:
        """``credentials`` are the request's, where they have been looked for already."""
        if credentials is None:
            credentials = self.redactor.credentials(request.headers, request.query)
        return Redacted(request, self, credentials)

    def body(self, body: bytes, headers: Headers, credentials: tuple[str, ...]) -> bytes:
        """A body without its secrets, content-encoding undone."""
        encoding = content_type = ""
        for name, value in headers:
            low = name.lower()
            if low == "content-type":
                content_type = value
            elif low == "content-encoding":
                encoding = f"{encoding}, {value}" if encoding else value
        if encoding:
            plain, whole = decode_as_far(body, encoding, self._max_body)
            if not whole:
                return self._broken(body, plain, content_type, credentials)
            body = plain
        if len(body) >= REMEMBERED_BELOW:
            return self.redactor.request_body(body, content_type, credentials)
        key = (body, content_type, credentials)
        clean = self._bodies.get(key)
        if clean is None:
            clean = self.redactor.request_body(body, content_type, credentials)
            if len(self._bodies) >= REMEMBERED:
                self._bodies.clear()
            self._bodies[key] = clean
        return clean

    def _broken(
        self, body: bytes, plain: bytes, content_type: str, credentials: tuple[str, ...]
    ) -> bytes:
        """A body whose encoding cannot be undone: as it came, unless it hides a secret."""
        clean = self.redactor.request_body(plain, content_type, credentials)
        if clean == plain:
            return self.redactor.request_body(body, content_type, credentials)
        return clean + b"<broken encoding " + sha256(body).hexdigest()[:16].encode() + b">"


class Redacted:
    """A request without its secrets; where it goes is said later, by ``at``.

    Its body is looked at when it is asked for: where nothing is kept or matched, never.
    """

    __slots__ = ("_body", "_headers", "_redacting", "_request", "credentials", "query")

    def __init__(
        self, request: Request, redacting: Redacting, credentials: tuple[str, ...]
    ) -> None:
        self._request = request
        self._redacting = redacting
        self._headers: Headers | None = None
        self._body: bytes | None = None
        self.credentials = credentials
        self.query = redacting.redactor.query(request.query, self.credentials)

    @property
    def body(self) -> bytes:
        if self._body is None:
            body, headers = self._request.body, self._request.headers
            self._body = body and self._redacting.body(body, headers, self.credentials)
        return self._body

    @property
    def headers(self) -> Headers:
        if self._headers is None:
            self._headers = self._redacting.redactor.headers(
                self._request.headers, self.credentials
            )
        return self._headers

    @property
    def path(self) -> str:
        """The path as the client asked for it."""
        return self._redacting.redactor.path(self._request.path, self.credentials)

    def shown(self, text: str) -> str:
        """A text of the request, without its secrets."""
        return self._redacting.redactor.path(text, self.credentials)

    def at(self, upstream: str, path: str, *, headers: bool = True) -> RecordedRequest:
        """The request as kept for ``upstream`` and the path relative to its base.

        ``headers=False`` leaves them out where nothing will look at them.
        """
        return RecordedRequest(
            upstream=upstream,
            method=self._request.method,
            path=self._redacting.redactor.path(path, self.credentials),
            query=self.query,
            headers=self.headers if headers else (),
            body=self.body,
        )
