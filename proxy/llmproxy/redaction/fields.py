"""Secrets by name in JSON: the fields of a body whose values are secrets.

Strategy: JSON is not parsed. Bytes are cut at colons, so that the keys are known at the cost
of one split, and only a key that matters is looked at; broken JSON is read as far as it goes.
Only string values count: a tool's schema that has a property ``password`` is no secret. The
user's paths and the headers of MCP servers need the way to a value; only a body that has
such keys is walked.

A key spelled with escapes, and JSON inside a JSON string, are not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from llmproxy.jsonpath import JsonPath
from llmproxy.redaction.edits import PLACEHOLDER, Edit
from llmproxy.redaction.jsonspans import INSIDE_STRING, Keys, depth_change, find

_FIELDS = frozenset(
    {
        "accesstoken",
        "apikey",
        "authorization",
        "authorizationtoken",
        "apitoken",
        "authtoken",
        "bottoken",
        "clientsecret",
        "idtoken",
        "passwd",
        "password",
        "privatekey",
        "refreshtoken",
        "secretaccesskey",
        "secretkey",
        "sessiontoken",
    }
)
_FIELD_ENDS = ("apikey", "secretaccesskey")
"""Endings that tell whatever stands before them: ``openai_api_key``."""
_FIELD_TAILS = (b'key"', b'token"', b'secret"', b'password"', b'passwd"', b'authorization"')
_MCP_HEADERS = b"headers"
_MCP_LISTS = frozenset({"mcp_servers", "mcpServers"})
PERSONAL = frozenset({"user", "safety_identifier", "metadata"})
"""Fields at the top of a request that hold a person's id; of ``metadata``, its ``user_id``."""

_STRING_VALUE = re.compile(rb'\s*+"(%b)' % INSIDE_STRING, re.DOTALL)
_OBJECT_VALUE = re.compile(rb"\s*+\{")
_EVENT_DATA = re.compile(rb"^data:[^\r\n]*+(?:\r?\ndata:[^\r\n]*+)*+", re.MULTILINE)
_DATA_PREFIX = re.compile(rb"^data:", re.MULTILINE)


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
            plain = name.replace(b"_", b"").replace(b"-", b"").decode("latin-1")
            if plain in _FIELDS or plain.endswith(_FIELD_ENDS):
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
