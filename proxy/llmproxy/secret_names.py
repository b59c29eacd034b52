"""Secrets by name: headers, query parameters, form fields and JSON fields that hold them.

Strategy: a name says that its value is a secret, whatever the value looks like. JSON is not
parsed: bytes are cut at colons, so that the keys are known at the cost of one split, and
only a key that matters is looked at. Only string values count: a tool's schema that has a
property ``password`` is no secret. A key spelled with escapes, and JSON inside a JSON
string, are not looked into.

The names are those of the providers' APIs and of OAuth. Nothing here looks at a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from llmproxy.edits import PLACEHOLDER, Edit
from llmproxy.jsonpath import JsonPath
from llmproxy.jsonspans import INSIDE_STRING, Keys, depth_change, find
from llmproxy.secret_values import looks_plain

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
_SECRET_WORD = re.compile(r"authorization|token|secret|api-?key|password|credential|-key\Z")
_ABOUT_TOKENS = re.compile(
    r"tokens|token-(?:count|limit|usage|budget)|rate-?limit|\Aaccess-control-|prompt-cache-key"
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

_FIELDS = frozenset(
    {
        "accesstoken",
        "apikey",
        "authorization",
        "authorizationtoken",
        "authtoken",
        "clientsecret",
        "idtoken",
        "password",
        "privatekey",
        "refreshtoken",
    }
)
_FIELD_TAILS = (b'key"', b'token"', b'secret"', b'password"', b'authorization"')
_MCP_HEADERS = b"headers"
_MCP_LISTS = frozenset({"mcp_servers", "mcpServers"})
PERSONAL = frozenset({"user", "safety_identifier", "metadata"})
"""Fields at the top of a request that hold a person's id; of ``metadata``, its ``user_id``."""

_IN_TEXT = re.compile(
    rb"(?:(?:authorization|api[-_ ]?key|secret|password|token|[?&]key|[?&]sig)[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
    rb"(?:bearer |basic )?|\b(?:bearer|basic) )([^\s\"'<>,;&]{8,})",
    re.IGNORECASE,
)
_STRING_VALUE = re.compile(rb'\s*+"(%b)' % INSIDE_STRING, re.DOTALL)
_OBJECT_VALUE = re.compile(rb"\s*+\{")
_EVENT_DATA = re.compile(rb"^data:[^\r\n]*+(?:\r?\ndata:[^\r\n]*+)*+", re.MULTILINE)
_DATA_PREFIX = re.compile(rb"^data:", re.MULTILINE)


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


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Which JSON fields of a body are secrets.

    ``personal`` fields count at the top of the body only; ``paths`` are the user's.
    """

    personal: frozenset[str] = frozenset()
    paths: tuple[JsonPath, ...] = ()

    def tails(self) -> tuple[bytes, ...]:
        """How a key that matters ends, in lower case."""
        last = (_last_name(path) for path in self.paths)
        wanted = sorted({*self.personal, *(name for name in last if name)})
        named = tuple(f'"{name}"'.encode() for name in wanted)
        return (*_FIELD_TAILS, b'"%b"' % _MCP_HEADERS, *named)


class FieldFinder:
    """Finds the secret fields of JSON bodies: whole documents, NDJSON, or events' data."""

    __slots__ = ("_always", "_names", "_path_names", "_tails")

    def __init__(self, names: FieldNames) -> None:
        self._names = names
        self._tails = names.tails()
        last = [_last_name(path) for path in names.paths]
        self._always = None in last
        self._path_names = frozenset(name.encode() for name in last if name)

    def find(self, data: bytes, *, events: bool = False) -> list[Edit]:
        """The edits that take the secret fields' values out.

        Args:
            data: JSON, perhaps broken, or an event stream.
            events: the JSON stands in the ``data:`` lines of server-sent events.
        """
        edits: list[Edit] = []
        by_path = self._always
        depth = counted = 0
        for name, start, after in _keys(data, self._tails):
            if name.replace(b"_", b"").replace(b"-", b"").decode("latin-1") in _FIELDS:
                edits += _string_after(data, after)
            elif name.decode("latin-1") in self._names.personal:
                depth += depth_change(data, counted, start)
                counted = start
                edits += _personal(data, name, after) if depth == 1 else ()
            by_path |= name in self._path_names
            by_path |= name == _MCP_HEADERS and _OBJECT_VALUE.match(data, after) is not None
        if by_path:
            for document, base in _documents(data) if events else ((data, 0),):
                edits += _found_by_path(document, base, self._names.paths)
        return edits


def _last_name(path: JsonPath) -> str | None:
    """The last name of a path in lower case, if every body that has the node shows it so."""
    names = [step.key for step in path.steps if isinstance(step.key, str)]
    usable = names and names[-1].isascii() and names[-1].isprintable()
    return names[-1].lower() if usable and not set(names[-1]) & {'"', "\\", "/"} else None


def _keys(data: bytes, tails: tuple[bytes, ...]) -> Iterator[tuple[bytes, int, int]]:
    """Keys that end so: (name in lower case, where its quote stands, behind its colon)."""
    position = 0
    for piece in data.lower().split(b":"):
        key = piece.rstrip()
        if key.endswith(tails):
            quote = key.rfind(b'"', 0, -1)
            if quote >= 0 and key[quote - 1 : quote] != b"\\":
                yield key[quote + 1 : -1], position + quote, position + len(piece) + 1
        position += len(piece) + 1


def _string_after(data: bytes, position: int) -> list[Edit]:
    """The inside of the string value that begins there, if it is one and not yet redacted."""
    value = _STRING_VALUE.match(data, position)
    return [Edit(*value.span(1))] if value and value[1] != PLACEHOLDER else []


def _personal(data: bytes, name: bytes, after: int) -> list[Edit]:
    if name != b"metadata":
        return _string_after(data, after)
    opening = _OBJECT_VALUE.match(data, after)
    if not opening:
        return []
    whole = next(find(data, lambda path: not path, opening.end() - 1))
    inside = data[whole.start : whole.end]
    return [
        edit
        for value in find(inside, lambda path: path == ("user_id",))
        for edit in _string_after(data, whole.start + value.start)
    ]


def _documents(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The data of each event with its position; ``data:`` itself is blanked."""
    for match in _EVENT_DATA.finditer(data):
        yield _DATA_PREFIX.sub(b"     ", match[0]), match.start()


def _found_by_path(data: bytes, base: int, paths: tuple[JsonPath, ...]) -> Iterator[Edit]:
    """The header values of MCP servers, and what the user's paths name, null excepted.

    A string keeps its quotes; any other value, an object or list whole, becomes a string.
    """

    def wanted(path: Keys) -> bool:
        return _is_mcp_header(path) or any(own.matches(path) for own in paths)

    for value in find(data, wanted):
        start, end = value.start + base, value.end + base
        raw = data[value.start : value.end]
        mine = any(own.matches(value.path) for own in paths)
        if raw.startswith(b'"'):
            edits = _string_after(data, value.start)
            yield from (Edit(edit.start + base, edit.end + base) for edit in edits)
        elif mine and raw != b"null":
            yield Edit(start, end, b'"%b"' % PLACEHOLDER)


def _is_mcp_header(path: Keys) -> bool:
    """Whether a path leads to a header's value of an MCP tool or server.

    ``tools[i].headers`` (OpenAI), ``mcp_servers[i].headers`` and deeper (others).
    """
    if len(path) < 4 or path[-2] != "headers":
        return False
    before = path[:-2]
    return before[-2] == "tools" or not _MCP_LISTS.isdisjoint(before)
