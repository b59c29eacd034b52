"""Takes secrets out of what is kept, logged, shown or matched.

Strategy: nets, one after the other, each of them a file: by value (``values.py``), by
the user's patterns (``patterns.py``), by shape (``shapes.py``), by name (``names.py``,
``fields.py``). Each names spans of bytes; the spans become ``<redacted>``, all other
bytes stay (``edits.py``). In a stream all but the last also look across events
(``streams.py``). The order matters: what one net takes out may be what made the
next one's token part of a longer one.

Both sides of a match pass through the same functions, and redacting twice is redacting
once. Cheap tests come first: most bodies hold nothing. This file reads no environment.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, pairwise
from typing import Literal

from llmproxy.errors import SettingsError
from llmproxy.interaction import Headers
from llmproxy.jsonpath import JsonPath, parse_json_path
from llmproxy.redaction.credentials import header_secrets, parameter_secrets
from llmproxy.redaction.edits import PLACEHOLDER, Edit, splice
from llmproxy.redaction.fields import PERSONAL, FieldFinder, FieldNames
from llmproxy.redaction.names import (
    HeaderKinds,
    find_form_fields,
    find_in_text,
    find_multipart_fields,
    normal_names,
    query_credentials,
    without_credentials,
)
from llmproxy.redaction.patterns import find_patterns, read_patterns
from llmproxy.redaction.shapes import find_escaped_shapes, find_private_keys, find_shapes
from llmproxy.redaction.streams import find_across_events, join_events
from llmproxy.redaction.values import Literals, find_values
from llmproxy.setting import setting

VERSION = 1
"""To be raised by whoever changes what redaction finds by name or shape."""

_PLACEHOLDER = PLACEHOLDER.decode()
_REMEMBERED = 128

_Net = Callable[[bytes], list[Edit]]
_Media = Literal["json", "ndjson", "events", "form", "multipart", "bytes"]
_JSON = re.compile(rb'\s*+[{["]')
_BYTES = ("image/", "audio/", "video/", "application/octet-stream")

_SHOWN = frozenset({"harmless", "other"})


@dataclass(frozen=True, slots=True)
class RedactSettings:
    """What else is a secret: the section ``redact`` of ``proxy.yml``."""

    headers: tuple[str, ...] = setting((), "further header names")
    query: tuple[str, ...] = setting((), "further query parameters")
    json: tuple[str, ...] = setting((), "JSON paths whose values are secrets")
    patterns: tuple[str, ...] = setting((), "further regexes of secrets")
    environment: bool = setting(
        True, "also redact the values of environment variables named *KEY*, *TOKEN*, *SECRET*"
    )


class Redactor:
    """Redacts requests, responses and texts; built once, used from any thread.

    Args:
        settings: the user's; ``environment`` is for whoever calls ``secrets_in``.
        secrets: literals that are secrets wherever they stand, as ``secrets_in`` gives them.
        count: names among ``user``, ``safety_identifier``, ``metadata`` that count when
            matching; they are not redacted by name.

    Raises:
        SettingsError: a JSON path or a pattern cannot be read; says which.
    """

    __slots__ = (
        "_carried",
        "_header_names",
        "_kinds",
        "_nets",
        "_patterns",
        "_query_names",
        "_request_fields",
        "_response_fields",
        "_secrets",
        "_text",
        "key",
    )

    def __init__(
        self,
        settings: RedactSettings,
        secrets: tuple[str, ...] = (),
        count: frozenset[str] = frozenset(),
    ) -> None:
        personal = PERSONAL - count
        paths = _read_paths(settings.json)
        self._header_names = normal_names(settings.headers)
        self._query_names = normal_names(settings.query)
        self._patterns = read_patterns(settings.patterns)
        self._request_fields = FieldFinder(FieldNames(personal, paths))
        self._response_fields = FieldFinder(FieldNames(frozenset(), paths))
        self._secrets = secrets
        # A client's requests share their key, their path and most of their headers.
        self._kinds = HeaderKinds(self._header_names)
        self._carried = lru_cache(_REMEMBERED)(self._header_secrets)
        self._nets = lru_cache(_REMEMBERED)(self._make_nets)
        self._text = lru_cache(_REMEMBERED)(self._redacted_text)
        self.key = _digest(settings, personal)
        """Names the settings that change the outcome by name, shape or pattern; no secrets."""

    def credentials(self, headers: Headers, query: str) -> tuple[str, ...]:
        """The secrets of one live request, for the other methods; never to be kept."""
        found: list[str] = []
        for name, value in headers:
            if self._kinds[name] == "credential":
                found += self._carried(name, value)
        if query:
            for value in query_credentials(query, self._query_names):
                found += parameter_secrets(value)
        return tuple(found)

    def headers(self, headers: Headers, credentials: tuple[str, ...] = ()) -> Headers:
        """Request or response headers, for keeping.

        Credentials and identifiers keep their names; ``is_credential_header`` says which of
        them are to be left out on replay.
        """
        kept: list[tuple[str, str]] = []
        values: list[str] = []
        places: list[int] = []
        for line in headers:
            kind = self._kinds[line[0]]
            if kind == "other":
                places.append(len(kept))
                values.append(line[1])
            kept.append(line if kind in _SHOWN else (line[0], _PLACEHOLDER))
        clean = self._lines(values, credentials)
        if clean is not values:
            for place, value in zip(places, clean, strict=True):
                kept[place] = (kept[place][0], value)
        return tuple(kept)

    def query(self, query: str, credentials: tuple[str, ...] = ()) -> str:
        """A query without its credentials; other parameters stay as they came."""
        if not query:
            return query
        return self._text(without_credentials(query, self._query_names), credentials)

    def path(self, path: str, credentials: tuple[str, ...] = ()) -> str:
        """A request's path: by value, shape and pattern."""
        return self._text(path, credentials)

    def request_body(
        self, body: bytes, content_type: str, credentials: tuple[str, ...] = ()
    ) -> bytes:
        """A request's body, its content-encoding undone.

        The user's patterns search all of it, however large.
        """
        if not body:
            return body
        return self._body(body, content_type, credentials, self._request_fields)[0]

    def chunks(
        self,
        chunks: Sequence[tuple[float, bytes]],
        content_type: str,
        credentials: tuple[str, ...] = (),
    ) -> list[tuple[float, bytes]]:
        """A response's body in its chunks, their number and offsets unchanged.

        A boundary inside a secret moves behind its placeholder; a chunk may become empty.
        """
        body = b"".join([data for _, data in chunks])
        ends = list(accumulate(len(data) for _, data in chunks))
        clean, cuts = self._body(body, content_type, credentials, self._response_fields, ends)
        if clean is body:
            return list(chunks)
        bounds = pairwise((0, *cuts))
        return [
            (offset, clean[start:end])
            for (offset, _), (start, end) in zip(chunks, bounds, strict=True)
        ]

    def text(self, text: str, credentials: tuple[str, ...] = ()) -> str:
        """Any text for a log, a page or an error: also what is written ``api_key: …``."""
        clean = self._redacted_text(text, credentials).encode("utf-8", "surrogateescape")
        return splice(clean, find_in_text(clean))[0].decode("utf-8", "surrogateescape")

    def _body(
        self,
        body: bytes,
        content_type: str,
        credentials: tuple[str, ...],
        fields: FieldFinder,
        cuts: Sequence[int] = (),
    ) -> tuple[bytes, Sequence[int]]:
        media = _media(content_type)
        streamed = media in ("events", "ndjson")
        in_json = streamed or (media == "json" and _JSON.match(body) is not None)
        joined = join_events(body) if streamed else []
        for net in self._nets(credentials, in_json):
            edits = net(body)
            if joined:
                edits += find_across_events(joined, net)
            if edits:
                body, cuts = splice(body, edits, cuts)
                joined = join_events(body) if streamed else []
        edits = self._by_name(body, media, fields)
        return splice(body, edits, cuts) if edits else (body, cuts)

    def _by_name(self, body: bytes, media: _Media, fields: FieldFinder) -> list[Edit]:
        if media == "form":
            return find_form_fields(body, self._query_names)
        if media == "multipart":
            return find_multipart_fields(body, self._query_names)
        return [] if media == "bytes" else fields.find(body, events=media == "events")

    def _redacted_text(self, text: str, credentials: tuple[str, ...]) -> str:
        """A text that is no JSON; the same object if nothing was found."""
        data = before = text.encode("utf-8", "surrogateescape")
        for net in self._nets(credentials, False):
            data = splice(data, net(data))[0]
        return text if data is before else data.decode("utf-8", "surrogateescape")

    def _lines(self, values: list[str], credentials: tuple[str, ...]) -> list[str]:
        """Header values redacted all at once: one search of each kind instead of one a header."""
        joined = "\n".join(values)
        clean = self._text(joined, credentials)
        if clean == joined:
            return values
        lines = clean.split("\n")
        if len(lines) == len(values):
            return lines
        return [self._text(value, credentials) for value in values]

    def _header_secrets(self, name: str, value: str) -> tuple[str, ...]:
        low = name.lower().replace("_", "-")
        certain = low in self._header_names or "api" in low or not low.endswith("-key")
        return tuple(header_secrets(low, value, certain=certain))

    def _make_nets(self, credentials: tuple[str, ...], in_json: bool) -> tuple[_Net, ...]:
        """All nets but those by name; their order is explained at the head of this file."""
        literals = Literals.of((*self._secrets, *credentials))
        nets: list[_Net] = [partial(find_values, literals=literals, in_json=in_json)]
        if self._patterns:
            nets.append(partial(find_patterns, patterns=self._patterns, in_json=in_json))
        if in_json:
            nets.append(find_escaped_shapes)
        return (*nets, find_private_keys, find_shapes)


def _media(content_type: str) -> _Media:
    """How a body is to be read; one that says nothing of itself may be JSON."""
    low = content_type.lower()
    if low.startswith("application/json"):
        return "json"
    if low.startswith("text/event-stream"):
        return "events"
    if low.startswith(("application/x-ndjson", "application/ndjson", "application/jsonl")):
        return "ndjson"
    if low.startswith("application/x-www-form-urlencoded"):
        return "form"
    if low.startswith("multipart/"):
        return "multipart"
    return "bytes" if low.startswith(_BYTES) else "json"


def _read_paths(texts: tuple[str, ...]) -> tuple[JsonPath, ...]:
    paths: list[JsonPath] = []
    for index, text in enumerate(texts):
        try:
            paths.append(parse_json_path(text))
        except ValueError as error:
            raise SettingsError(f"redact.json[{index}]: {error}") from error
    return tuple(paths)


def _digest(settings: RedactSettings, personal: frozenset[str]) -> str:
    facts = (
        VERSION,
        sorted(normal_names(settings.headers)),
        sorted(normal_names(settings.query)),
        settings.json,
        settings.patterns,
        sorted(personal),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
