"""The canonical form of a request: what is left of it when noise is gone, and its digests.

Strategy: bytes are hashed first and cheaply (``exact``); only when that finds nothing is the
body parsed. The parsed tree is brought into one spelling (``canonical``), then volatile values
become ordinals (``loose``), then the results of tools become a constant (``transcript``): each
form equals more requests than the one before. Knows nothing of cassettes, of HTTP or of the
clock; today's date is handed in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import unquote_plus

from llmproxy.errors import SettingsError
from llmproxy.interaction import Headers, RecordedRequest
from llmproxy.jsonpath import JsonPath, parse_json_path, remove
from llmproxy.matching.calls import (
    NO_CALLS,
    Calls,
    Loosener,
    find_calls,
    may_call,
    strings,
    without_results,
)
from llmproxy.matching.spelling import (
    Rules,
    canonical_body,
    dump,
    encode,
    fixed_headers,
    raw_body,
    read_json,
)
from llmproxy.matching.volatile import (
    Directories,
    Ordinals,
    find_directories,
    may_change,
    may_declare,
    replace_patterns,
    replace_volatile,
)
from llmproxy.setting import setting

VERSION = 1
"""Part of the key of cached fingerprints: goes up whenever a digest of anything changes."""

Countable = Literal[
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "cache_control",
    "store",
    "include_obfuscation",
]
Preset = Literal["claude_code", "codex", "paths"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a regular expression finds in string values becomes the ordinal ``<name:1>``."""

    name: str
    regex: str


@dataclass(frozen=True, slots=True)
class MatchSettings:
    """When a live request equals a recorded one: the section ``match`` of ``proxy.yml``."""

    level: Literal["exact", "canonical", "transcript"] = setting(
        "canonical", "how alike a request must be: exact, canonical or transcript"
    )
    ignore: tuple[str, ...] = setting((), "JSON paths of the request body that do not count")
    ignore_query: tuple[str, ...] = setting((), "query parameters that do not count")
    patterns: tuple[Pattern, ...] = setting(
        (), "what these find in string values becomes an ordinal"
    )
    headers: tuple[str, ...] = setting((), "request headers that count")
    count: tuple[Countable, ...] = setting(
        (), "fields that count although they shape no answer, such as user or metadata"
    )
    presets: tuple[Preset, ...] = setting(
        ("claude_code", "codex", "paths"), "known noise of well-known clients to leave out"
    )
    ambiguous: Literal["miss", "in_order"] = setting(
        "miss", "when recordings differ only in uuids or dates and none is equal in them"
    )


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Digests of 16 bytes, from the strictest to the loosest reading of one request."""

    exact: bytes
    canonical: bytes
    loose: bytes
    transcript: bytes


CONDITIONS = frozenset(
    {"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"}
)
"""Request headers that always count: they ask for a part of an answer, or for none (RFC 9110)."""

SDK_MARK = "beta=true"
"""A query parameter that anthropic 0.x sends and 2.x does not."""


class Canonicaliser:
    """Brings requests into canonical form; made once from the settings.

    Raises:
        SettingsError: a JSON path or a pattern cannot be read.
    """

    def __init__(self, settings: MatchSettings) -> None:
        self.settings = settings
        self._ignored = tuple(_json_path(text) for text in settings.ignore)
        self._patterns = tuple((p.name, _regex(p)) for p in settings.patterns)
        self._ignored_query = frozenset(settings.ignore_query)
        self._headers = CONDITIONS | {name.lower() for name in settings.headers}
        self._rules = _rules(settings)
        self._labels = "paths" in settings.presets
        self._codex = "codex" in settings.presets
        self.key = _settings_key(settings)
        """Stands for ``VERSION`` and every setting that changes a fingerprint."""

    def exact(self, request: RecordedRequest) -> bytes:
        """The digest of the request as it is; reads no JSON."""
        upstream, method, path, query = (
            request.upstream,
            request.method,
            request.path,
            request.query,
        )
        counted = self._counted(request.headers) if request.headers else ""
        head = (
            f"{len(upstream)}.{len(method)}.{len(path)}.{len(query)}."
            f"{upstream}{method}{path}{query}{counted}"
        )
        digest = sha256(head.encode("utf-8", "surrogatepass"))
        digest.update(request.body)
        return digest.digest()[:16]

    def fingerprints(self, request: RecordedRequest, now: date) -> Fingerprints:
        """All four digests. ``now`` is today for a live request, else the day it was kept.

        ``transcript`` is worked out only where the settings' level asks for it; elsewhere it
        is ``loose``.
        """
        exact = self.exact(request)
        plain = self._plain(request)
        if plain is None:
            canonical = self._digest(request, b"bytes", raw_body(request))
            return Fingerprints(exact, canonical, canonical, canonical)
        text = dump(plain)
        canonical = self._digest(request, b"json", text.encode())
        calls = find_calls(plain) if may_call(text) else NO_CALLS
        blank = without_results(plain, calls)
        directories = self._directories(blank, text)
        tree = self._loosen(plain, text, calls, directories, now)
        loose = canonical if tree is plain else self._digest(request, b"json", encode(tree))
        transcript = loose
        if blank is not plain and self.settings.level == "transcript":
            tree = self._loosen(blank, text, calls, directories, now)
            transcript = self._digest(request, b"json", encode(tree))
        return Fingerprints(exact, canonical, loose, transcript)

    def paired(self, request: RecordedRequest) -> bytes:
        """The canonical digest with ordinals only for ids that pair and for user patterns.

        Requests that are equal in ``loose`` but not here differ in a uuid, a date or a path.
        """
        tree = self.paired_tree(request)
        if tree is None:
            return self._digest(request, b"bytes", raw_body(request))
        return self._digest(request, b"json", encode(tree))

    def paired_tree(self, request: RecordedRequest, *, results: bool = True) -> Any:
        """The JSON behind ``paired``, or None where the body is compared by its bytes.

        Without ``results`` a constant stands for what tools returned.
        """
        plain = self._plain(request)
        if plain is None:
            return None
        calls = find_calls(plain)
        if not results:
            plain = without_results(plain, calls)
        ordinals = Ordinals()

        def scrub(text: str) -> str:
            return replace_patterns(text, self._patterns, ordinals)

        return Loosener(calls.ids, ordinals, scrub).rewrite(plain)

    def tree(self, request: RecordedRequest, now: date, *, ordinals: bool) -> Any:
        """The canonical JSON of the body, or None where it is compared by its bytes.

        With ``ordinals`` it is the form that the settings' level compares.
        """
        plain = self._plain(request)
        if plain is None or not ordinals:
            return plain
        calls = find_calls(plain)
        text = dump(plain)
        blank = without_results(plain, calls)
        directories = self._directories(blank, text)
        tree = blank if self.settings.level == "transcript" else plain
        return self._loosen(tree, text, calls, directories, now)

    def query(self, request: RecordedRequest) -> str:
        """The query as it is compared: sorted by name, without what does not count."""
        if not request.query:
            return ""
        pairs = [pair for pair in request.query.split("&") if pair]
        names = [unquote_plus(pair.partition("=")[0]) for pair in pairs]
        ignored = self._ignored_query
        kept = [
            (name, pair)
            for name, pair in zip(names, pairs, strict=True)
            if name not in ignored and pair != SDK_MARK
        ]
        return "&".join(pair for _, pair in sorted(kept, key=lambda p: p[0]))

    def _plain(self, request: RecordedRequest) -> Any:
        tree = read_json(request.body)
        if tree is None:
            return None
        if self._ignored:
            remove(tree, self._ignored)
        return canonical_body(tree, request.path, self._rules)

    def _directories(self, blank: Any, text: str) -> Directories | None:
        """What the client declares: what tools return and are called with declares nothing."""
        if not (self._labels or self._codex) or not may_declare(text):
            return None
        slugs = "claude_code" in self.settings.presets
        return find_directories(strings(blank), labels=self._labels, slugs=slugs)

    def _loosen(
        self, plain: Any, text: str, calls: Calls, directories: Directories | None, now: date
    ) -> Any:
        """The tree with ordinals; the very same object where there is nothing to replace.

        ``text`` is its JSON, in which a glance shows whether a search can find anything.
        """
        changes = may_change(text)
        if not (directories or changes or self._patterns or calls.ids):
            return plain
        ordinals = Ordinals()

        def scrub(text: str) -> str:
            if self._patterns:
                text = replace_patterns(text, self._patterns, ordinals)
            if directories:
                text = directories.replace(text)
            return replace_volatile(text, ordinals, now, temps=self._labels) if changes else text

        loosener = Loosener(calls.ids, ordinals, scrub)
        tree = loosener.rewrite(plain)
        return tree if loosener.changed else plain

    def _digest(self, request: RecordedRequest, kind: bytes, body: bytes) -> bytes:
        query = self.query(request)
        counted = self._counted(fixed_headers(request)) if request.headers else ""
        head = "".join(
            f"{len(part)}.{part}"
            for part in (request.upstream, request.method, request.path, query, counted)
        )
        digest = sha256(head.encode("utf-8", "surrogatepass") + kind)
        digest.update(body)
        return digest.digest()[:16]

    def _counted(self, headers: Headers) -> str:
        """The header lines that count, each with its lengths, so that none runs into the next."""
        lines = [(name.lower(), value) for name, value in headers]
        found = [line for line in lines if line[0] in self._headers]
        if not found:
            return ""
        found.sort(key=lambda line: line[0])
        return f"{len(found)}." + "".join(f"{len(n)}.{len(v)}.{n}{v}" for n, v in found)


# --- settings ---


def _rules(settings: MatchSettings) -> Rules:
    counted = set(settings.count)
    dropped = {"user", "metadata", "safety_identifier", "prompt_cache_key", "store"} - counted
    if "codex" in settings.presets:
        dropped.add("client_metadata")  # ids of the installation and the window
    return Rules(
        dropped=frozenset(dropped),
        cache_control="cache_control" not in counted,
        obfuscation="include_obfuscation" not in counted,
        billing="claude_code" in settings.presets,
    )


def _json_path(text: str) -> JsonPath:
    try:
        return parse_json_path(text)
    except ValueError as error:
        raise SettingsError(f"match.ignore: {error}", "write it as $.messages[0].name") from None


def _regex(pattern: Pattern) -> re.Pattern[str]:
    if not re.fullmatch(r"\w[\w.-]*", pattern.name):
        raise SettingsError(
            f"match.patterns: {pattern.name!r} cannot name a pattern",
            "use letters, digits, dots, dashes and underscores",
        )
    try:
        return re.compile(pattern.regex)
    except (re.error, RecursionError, OverflowError) as error:
        raise SettingsError(
            f"match.patterns: the regex of {pattern.name!r} cannot be read: {error}",
            "it must be a Python regular expression",
        ) from None


def _settings_key(settings: MatchSettings) -> str:
    parts = (
        VERSION,
        settings.level == "transcript",
        sorted(set(settings.ignore)),
        sorted(set(settings.ignore_query)),
        [(pattern.name, pattern.regex) for pattern in settings.patterns],
        sorted({name.lower() for name in settings.headers}),
        sorted(set(settings.count)),
        sorted(set(settings.presets)),
    )
    return sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
