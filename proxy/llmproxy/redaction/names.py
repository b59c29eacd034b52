"""Secrets by name: the headers, query parameters and form fields that hold them.

Strategy: a name says that its value is a secret, whatever the value looks like. The names are
those of the providers' APIs and of OAuth; what a header's name contains decides for the rest.
JSON fields have a file of their own (``fields.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import unquote_plus

from llmproxy.redaction.credentials import looks_plain
from llmproxy.redaction.edits import PLACEHOLDER, Edit

HeaderKind = Literal["credential", "identifier", "harmless", "other"]
"""What a name says of a header's value; ``harmless``: not even looked into."""

_IDENTIFIERS = frozenset(
    {
        "anthropic-organization-id",
        "anthropic-user-profile-id",
        "anthropic-workspace-id",
        "apim-request-id",
        "cf-ray",
        "openai-organization",
        "openai-project",
        "request-id",
        "x-amz-date",
        "x-amz-request-id",
        "x-amzn-requestid",
        "x-client-request-id",
        "x-goog-user-project",
        "x-request-id",
    }
)
_CREDENTIALS = frozenset({"cookie", "cookie2", "set-cookie", "set-cookie2"})
_HARMLESS = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "date",
        "transfer-encoding",
        "vary",
    }
)
_REMEMBERED = 512
_SECRET_WORD = re.compile(
    r"authorization|authentication|token|secret|api-?key|password|credential|jwt"
    r"|-(?:key|auth|vk|signature)\Z"
)
_ABOUT_TOKENS = re.compile(
    r"tokens|token-(?:count|limit|usage|budget)|rate-?limit|\Aaccess-control-"
)

QUERY_NAMES = frozenset(
    {
        "access-token",
        "api-key",
        "apikey",
        "auth",
        "auth-token",
        "authorization",
        "client-secret",
        "id-token",
        "key",
        "password",
        "refresh-token",
        "secret",
        "sig",
        "signature",
        "subscription-key",
        "token",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-signature",
        "x-goog-credential",
        "x-goog-date",
        "x-goog-signature",
    }
)
"""Query parameters and form fields that are credentials, in lower case, ``_`` written ``-``."""

_IN_TEXT = re.compile(
    rb"(?:(?:authorization|api[-_ ]?key|secret|password|token|[?&]key|[?&]sig)[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
    rb"(?:bearer |basic )?|\b(?:bearer|basic) )([^\s\"'<>,;&]{8,})",
    re.IGNORECASE,
)

_PART_NAME = re.compile(rb'[; ]name="([^"\r\n]{1,100})"', re.IGNORECASE)
_LONGEST_BOUNDARY = 200
_LONGEST_HEAD = 2000


def is_credential_header(name: str) -> bool:
    """Whether a header's value lets somebody in; such a header is left out on replay.

    Args:
        name: in any case.
    """
    low = _hyphens(name)
    if low in _CREDENTIALS:
        return True
    return bool(_SECRET_WORD.search(low)) and not _ABOUT_TOKENS.search(low)


def is_identifier_header(name: str) -> bool:
    """Whether a header says whose account it is or which request; kept with a placeholder."""
    low = _hyphens(name)
    return low in _IDENTIFIERS or low.startswith("x-ms-")


def is_credential_parameter(name: str, further: frozenset[str] = frozenset()) -> bool:
    """Whether a query parameter is a credential, by its name as it stands in the query."""
    low = _hyphens(unquote_plus(name))
    return low in QUERY_NAMES or low in further


def without_credentials(query: str, further: frozenset[str] = frozenset()) -> str:
    """The query without its credentials, names included, so that having none is the same."""
    pairs = query.split("&")
    kept = [pair for pair in pairs if not is_credential_parameter(pair.partition("=")[0], further)]
    return query if len(kept) == len(pairs) else "&".join(kept)


def query_credentials(query: str, further: frozenset[str] = frozenset()) -> Iterator[str]:
    """The values, as they stand, that ``without_credentials`` leaves out."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if is_credential_parameter(name, further):
            yield value


def find_form_fields(data: bytes, further: frozenset[str] = frozenset()) -> list[Edit]:
    """The edits that take credentials out of an ``application/x-www-form-urlencoded`` body."""
    edits: list[Edit] = []
    end = -1
    for pair in data.split(b"&"):
        end += 1 + len(pair)
        name, equals, value = pair.partition(b"=")
        secret = is_credential_parameter(name.decode("latin-1"), further)
        if secret and equals and value != PLACEHOLDER:
            edits.append(Edit(end - len(value), end))
    return edits


def find_multipart_fields(data: bytes, further: frozenset[str] = frozenset()) -> list[Edit]:
    """The edits that take credentials out of a ``multipart/form-data`` body.

    The body is cut at its own boundary, which its first line is: time is linear in its length.
    """
    boundary = data[: data.find(b"\r\n", 0, _LONGEST_BOUNDARY)]
    if not boundary.startswith(b"--") or len(boundary) < 3:
        return []
    edits: list[Edit] = []
    at = 0
    for part in data.split(boundary):
        head, gap, rest = part.partition(b"\r\n\r\n")
        name = _PART_NAME.search(head[:_LONGEST_HEAD])
        if gap and name and is_credential_parameter(name[1].decode("latin-1"), further):
            value = rest.removesuffix(b"\r\n")
            start = at + len(head) + len(gap)
            if value not in (b"", PLACEHOLDER):
                edits.append(Edit(start, start + len(value)))
        at += len(part) + len(boundary)
    return edits


def find_in_text(data: bytes) -> list[Edit]:
    """The edits for what stands behind a telling name in a log line: ``api_key: …``."""
    return [
        Edit(*match.span(1))
        for match in _IN_TEXT.finditer(data)
        if not looks_plain(match[1].decode("latin-1"))
    ]


def normal_names(names: tuple[str, ...]) -> frozenset[str]:
    """Names of headers or parameters as they are compared."""
    return frozenset(map(_hyphens, names))


def _hyphens(name: str) -> str:
    return name.lower().replace("_", "-")


class HeaderKinds(dict[str, HeaderKind]):
    """What kind of header a name is: ``kinds[name]`` judges each name as it came once.

    Args:
        further: names of credentials beside the known ones, as ``normal_names`` gives them.
    """

    def __init__(self, further: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._further = further

    def __missing__(self, name: str) -> HeaderKind:
        if len(self) >= _REMEMBERED:
            self.clear()
        kind = self[name] = self._judge(name.lower().replace("_", "-"))
        return kind

    def _judge(self, low: str) -> HeaderKind:
        if is_credential_header(low) or low in self._further:
            return "credential"
        if is_identifier_header(low):
            return "identifier"
        return "harmless" if low in _HARMLESS or low.startswith("x-stainless-") else "other"
