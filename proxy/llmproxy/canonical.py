"""The canonical form of a request: what is left of it when noise is gone, and its digests.

Strategy: bytes are hashed first and cheaply (``exact``); only when that finds nothing is the
body parsed. The parsed tree is brought into one spelling (``canonical``), then volatile values
become ordinals (``loose``), then the results of tools become a constant (``transcript``): each
form equals more requests than the one before. What cannot be parsed safely and without loss
(duplicate keys, numbers beyond a double, deep nesting, broken UTF-8) is compared by its bytes.

A subtree that only the program or the model understands (a schema, a tool's arguments) is
opaque: nothing is dropped there. Knows nothing of cassettes, of HTTP or of the clock; today's
date is handed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import unquote_plus

from llmproxy.errors import SettingsError
from llmproxy.interaction import Headers, RecordedRequest
from llmproxy.jsonpath import JsonPath, parse_json_path, remove
from llmproxy.setting import setting
from llmproxy.volatile import (
    Directories,
    Ordinals,
    find_directories,
    may_change,
    may_declare,
    replace_patterns,
    replace_volatile,
)

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


class Canonicaliser:
    """Brings requests into canonical form; made once from the settings.

    Raises:
        SettingsError: a JSON path or a pattern cannot be read.
    """

    def __init__(self, settings: MatchSettings) -> None:
        self.settings = settings
        self._ignored = tuple(_json_path(text) for text in settings.ignore)
        self._patterns = tuple((p.name, _regex(p)) for p in settings.patterns)
        self._ignored_query = frozenset(settings.ignore_query) | {"beta"}
        self._headers = tuple(sorted({name.lower() for name in settings.headers}))
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
        counted = self._counted(request.headers) if self._headers else ""
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
        text = _dump(plain)
        canonical = self._digest(request, b"json", text.encode())
        calls = _find_calls(plain) if _may_call(text) else _NO_CALLS
        blank = _without_results(plain, calls)
        directories = self._directories(blank, text)
        tree = self._loosen(plain, text, calls, directories, now)
        loose = canonical if tree is plain else self._digest(request, b"json", _encode(tree))
        transcript = loose
        if blank is not plain and self.settings.level == "transcript":
            tree = self._loosen(blank, text, calls, directories, now)
            transcript = self._digest(request, b"json", _encode(tree))
        return Fingerprints(exact, canonical, loose, transcript)

    def paired(self, request: RecordedRequest) -> bytes:
        """The canonical digest with ordinals only for ids that pair and for user patterns.

        Requests that are equal in ``loose`` but not here differ in a uuid, a date or a path.
        """
        tree = self.paired_tree(request)
        if tree is None:
            return self._digest(request, b"bytes", raw_body(request))
        return self._digest(request, b"json", _encode(tree))

    def paired_tree(self, request: RecordedRequest, *, results: bool = True) -> Any:
        """The JSON behind ``paired``, or None where the body is compared by its bytes.

        Without ``results`` a constant stands for what tools returned.
        """
        plain = self._plain(request)
        if plain is None:
            return None
        calls = _find_calls(plain)
        if not results:
            plain = _without_results(plain, calls)
        ordinals = Ordinals()

        def scrub(text: str) -> str:
            return replace_patterns(text, self._patterns, ordinals)

        return _Loosener(calls.ids, ordinals, scrub).rewrite(plain)

    def tree(self, request: RecordedRequest, now: date, *, ordinals: bool) -> Any:
        """The canonical JSON of the body, or None where it is compared by its bytes.

        With ``ordinals`` it is the form that the settings' level compares.
        """
        plain = self._plain(request)
        if plain is None or not ordinals:
            return plain
        calls = _find_calls(plain)
        text = _dump(plain)
        blank = _without_results(plain, calls)
        directories = self._directories(blank, text)
        tree = blank if self.settings.level == "transcript" else plain
        return self._loosen(tree, text, calls, directories, now)

    def query(self, request: RecordedRequest) -> str:
        """The query as it is compared: sorted by name, without what does not count."""
        if not request.query:
            return ""
        pairs = [pair for pair in request.query.split("&") if pair]
        names = [unquote_plus(pair.partition("=")[0]) for pair in pairs]
        kept = [p for p in zip(names, pairs, strict=True) if p[0] not in self._ignored_query]
        return "&".join(pair for _, pair in sorted(kept, key=lambda p: p[0]))

    def _plain(self, request: RecordedRequest) -> Any:
        tree = _read_json(request.body)
        if tree is None:
            return None
        if self._ignored:
            remove(tree, self._ignored)
        return _canonical_body(tree, request.path, self._rules)

    def _directories(self, blank: Any, text: str) -> Directories | None:
        """What the client declares: what tools return and are called with declares nothing."""
        if not (self._labels or self._codex) or not may_declare(text):
            return None
        slugs = "claude_code" in self.settings.presets
        return find_directories(_strings(blank), labels=self._labels, slugs=slugs)

    def _loosen(
        self, plain: Any, text: str, calls: _Calls, directories: Directories | None, now: date
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

        loosener = _Loosener(calls.ids, ordinals, scrub)
        tree = loosener.rewrite(plain)
        return tree if loosener.changed else plain

    def _digest(self, request: RecordedRequest, kind: bytes, body: bytes) -> bytes:
        query = self.query(request)
        counted = self._counted(_fixed_headers(request)) if self._headers else ""
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
        found.sort(key=lambda line: line[0])
        return f"{len(found)}." + "".join(f"{len(n)}.{len(v)}.{n}{v}" for n, v in found)


# --- settings ---


@dataclass(frozen=True, slots=True)
class _Rules:
    dropped: frozenset[str]
    cache_control: bool
    obfuscation: bool
    billing: bool


def _rules(settings: MatchSettings) -> _Rules:
    counted = set(settings.count)
    dropped = {"user", "metadata", "safety_identifier", "prompt_cache_key", "store"} - counted
    if "codex" in settings.presets:
        dropped.add("client_metadata")  # ids of the installation and the window
    return _Rules(
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


# --- reading ---

_JSON_START = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*[\[{]")
_MAX_DEPTH = 200
_CONTAINERS = (dict, list)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STRIKES = 12
_MAX_EXACT = 2**53
_SHORT_NUMBER = 17


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    node = dict(pairs)
    if len(node) != len(pairs):
        raise ValueError("duplicate key")
    return node


def _number(text: str) -> int | float:
    """A float, or an int if it is one; what a double cannot tell from another is refused."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("number too large")
    if not value.is_integer():
        return value
    if (
        len(text) <= _SHORT_NUMBER
        and -_MAX_EXACT < value < _MAX_EXACT
        and (value or _is_zero(text))
    ):
        return int(value)
    exact = Decimal(text)
    if exact != exact.to_integral_value():
        raise ValueError("number too fine")
    return int(exact)


def _is_zero(text: str) -> bool:
    return not text.lower().partition("e")[0].strip("-0.")


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_constant=_refuse
).decode
_dump = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


_dump_text = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), check_circular=False, ensure_ascii=False
).encode


def _encode(tree: Any) -> bytes:
    return _dump(tree).encode()


def _read_json(body: bytes) -> Any:
    """The body as JSON; None if it is none, or none that can be compared without loss."""
    if not _JSON_START.match(body):
        return None
    try:
        tree = _decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return None if _may_be_deep(body) and _is_deep(tree) else tree


def _may_be_deep(text: bytes) -> bool:
    """A quick no: brackets that close at once are struck out until few enough are left."""
    brackets = text.translate(None, _NO_BRACKETS)
    for _ in range(_STRIKES):
        if len(brackets) <= _MAX_DEPTH:
            return False
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return len(brackets) > _MAX_DEPTH


def _is_deep(tree: Any) -> bool:
    level = [tree]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, _CONTAINERS)
        ]
        if not level:
            return False
    return True


# --- one spelling ---

# fmt: off
_SCHEMAS = frozenset({
    "parameters", "parameters_json_schema", "parametersJsonSchema", "input_schema", "inputSchema",
    "output_schema", "outputSchema", "schema", "response_schema", "responseSchema",
    "response_json_schema", "responseJsonSchema",
})
# fmt: on
_PAYLOADS = frozenset({"input", "args", "response", "arguments"})
"""Opaque where they hold an object: what a tool is called with and what it returned."""
_TEXTUAL = frozenset({"content", "system", "instructions", "output"})
_SYSTEM_INSTRUCTION = frozenset({"systemInstruction", "system_instruction"})
_FUNCTION_CALL = frozenset({"functionCall", "function_call"})
_FUNCTION_RESPONSE = frozenset({"functionResponse", "function_response"})
_STREAMS_BY_DEFAULT = ("/api/chat", "/api/generate")
"""Ollama's own paths, where ``stream: false`` says more than no ``stream``."""
_BILLING = "x-anthropic-billing-header:"


def _canonical_body(tree: Any, path: str, rules: _Rules) -> Any:
    if not isinstance(tree, dict):
        return _list_form("", tree, rules)
    top = {key: value for key, value in tree.items() if key not in rules.dropped}
    if top.get("stream") is False and not path.endswith(_STREAMS_BY_DEFAULT):
        del top["stream"]
    form = _object_form(top, rules)
    if isinstance(top.get("format"), dict):  # Ollama: a schema
        form["format"] = top["format"]
    options = form.get("stream_options")
    if isinstance(options, dict):
        if rules.obfuscation:
            options.pop("include_obfuscation", None)
        if not options:
            del form["stream_options"]
    match form.get("input"):
        case [{"role": "user", "content": str(text), **rest}] if not rest:
            form["input"] = text
    return form


def _object_form(node: dict[str, Any], rules: _Rules) -> dict[str, Any]:
    form: dict[str, Any] = {}
    if rules.billing and isinstance(node.get("system"), (str, list)):
        node = node | {"system": _without_billing(node["system"])}
    for key, value in node.items():
        if isinstance(value, str):
            form[key] = _arguments(value) if key == "arguments" else value
        elif value is None or (key == "cache_control" and rules.cache_control):
            continue
        elif not isinstance(value, _CONTAINERS) or key in _SCHEMAS:
            form[key] = value
        elif isinstance(value, list):
            form[key] = _list_form(key, value, rules)
        elif key in _PAYLOADS:
            form[key] = value
        else:
            form[key] = child = _object_form(value, rules)
            if key in _SYSTEM_INSTRUCTION and isinstance(child.get("role"), str):
                del child["role"]
    return form


def _list_form(key: str, items: list[Any], rules: _Rules) -> list[Any] | str:
    """A list in canonical form; the text alone where a list holds one plain text part."""
    forms = [_item_form(item, rules) for item in items]
    if len(forms) == 1 and key in _TEXTUAL:
        match forms:
            case [{"type": "text" | "input_text", "text": str(text), **rest}] if not rest:
                return text
    return forms


def _item_form(item: Any, rules: _Rules) -> Any:
    if isinstance(item, dict):
        return _object_form(item, rules)
    return _list_form("", item, rules) if isinstance(item, list) else item


def _without_billing(system: Any) -> Any:
    """System blocks without the line that Claude Code changes with every request.

    A block that says more than this line keeps the rest. None if nothing is left.
    """
    if isinstance(system, str):
        return system.partition("\n")[2] or None if system.startswith(_BILLING) else system
    blocks = []
    for block in system:
        if isinstance(block, dict) and _string(block, "text").startswith(_BILLING):
            rest = _without_billing(block["text"])
            if rest is not None:
                blocks.append(block | {"text": rest})
        else:
            blocks.append(block)
    return blocks if blocks or not system else None


def _arguments(text: str) -> str:
    """The arguments of a tool call, re-spelt if they are JSON; SDKs serialise them anew."""
    try:
        tree = _decode(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(tree, _CONTAINERS) and _is_deep(tree):
        return text
    return _dump_text(tree)


def _string(node: dict[str, Any], key: str) -> str:
    """The text under a key; empty where something else or nothing is there."""
    value = node.get(key)
    return value if isinstance(value, str) else ""


def raw_body(request: RecordedRequest) -> bytes:
    """A body that is no JSON, as it is compared: the random boundary of multipart replaced."""
    boundary = _boundary(request)
    if not boundary:
        return request.body
    parts = (b"\r\n" + request.body).split(b"\r\n--" + boundary.encode("utf-8", "surrogateescape"))
    return b"\r\n--boundary".join(parts)


def _fixed_headers(request: RecordedRequest) -> Headers:
    boundary = _boundary(request)
    if not boundary:
        return request.headers
    return tuple(
        (n, v.replace(boundary, "boundary") if n.lower() == "content-type" else v)
        for n, v in request.headers
    )


_BOUNDARY = re.compile(r"multipart/[^;]*;(?:[^;]*;)*?\s*boundary=\"?([^\";\s]+)", re.IGNORECASE)


def _boundary(request: RecordedRequest) -> str:
    for name, value in request.headers:
        if name.lower() == "content-type":
            found = _BOUNDARY.match(value)
            return found[1] if found else ""
    return ""


# --- calls and their results ---

_TOOL_USES = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
# fmt: off
_WHOLE_ITEMS = frozenset({
    "message", "function_call", "function_call_output", "custom_tool_call",
    "custom_tool_call_output", "local_shell_call", "local_shell_call_output", "shell_call",
    "shell_call_output", "apply_patch_call", "apply_patch_call_output", "mcp_approval_request",
})
# fmt: on
_CALL_HINTS = (
    'tool_use"',
    '"tool_calls":',
    '"call_id":',
    '"functionCall":',
    '"function_call":',
    '"input":[',
)
_RESULT = "<tool result>"


@dataclass(frozen=True, slots=True)
class _Calls:
    """Ids made up by a model that only pair things inside a request; names of id-less calls."""

    ids: frozenset[str]
    names: frozenset[str]


_NO_CALLS = _Calls(frozenset(), frozenset())


def _may_call(text: str) -> bool:
    """Whether ``_find_calls`` could find anything in a tree, given its JSON."""
    return any(hint in text for hint in _CALL_HINTS)


def _find_calls(tree: Any) -> _Calls:
    ids: set[str] = set()
    names: set[str] = set()
    for key, node in _objects(tree):
        kind = _string(node, "type")
        if kind in _TOOL_USES or key in _FUNCTION_CALL or key == "tool_calls":
            ids.add(_string(node, "id"))
        elif not kind.endswith("_output"):
            ids.add(_string(node, "call_id"))
        if key in _FUNCTION_CALL:
            names.add(_string(node, "name"))
    items = tree.get("input") if isinstance(tree, dict) else None
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and _is_whole(item):
            ids.add(_string(item, "id"))
    return _Calls(frozenset(ids - {""}), frozenset(names - {""}))


def _is_whole(item: dict[str, Any]) -> bool:
    """Whether an input item says all, so that its id points at nothing the upstream keeps."""
    kind = _string(item, "type") or "message"
    if kind == "reasoning":
        return any(item.get(key) for key in ("encrypted_content", "summary", "content"))
    return kind in _WHOLE_ITEMS and len(item) > 2


def _is_open(key: str, child: Any) -> bool:
    """Whether a child outside schemas has parts and is not opaque."""
    return isinstance(child, list) or (isinstance(child, dict) and key not in _PAYLOADS)


def _objects(tree: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object outside opaque subtrees, with the key under which it or its list lies."""
    stack: list[tuple[str, Any]] = [("", tree)]
    while stack:
        key, node = stack.pop()
        if isinstance(node, list):
            stack.extend((key, child) for child in node if isinstance(child, _CONTAINERS))
            continue
        yield key, node
        for name, child in node.items():
            if name not in _SCHEMAS and _is_open(name, child):
                stack.append((name, child))


def _without_results(tree: Any, calls: _Calls) -> Any:
    """The tree with a constant for every result of a call inside it; itself if there is none."""
    if not calls.ids and not calls.names:
        return tree
    return _blank(tree, "", calls)


def _blank(node: Any, key: str, calls: _Calls) -> Any:
    if isinstance(node, list):
        items = [_blank(item, key, calls) for item in node]
        return items if any(a is not b for a, b in zip(items, node, strict=True)) else node
    if not isinstance(node, dict):
        return node
    place = _result_place(node, key, calls)
    if place:
        return {name: node[name] for name in node if name != "parts"} | {place: _RESULT}
    changed = {}
    for name, child in node.items():
        if name not in _SCHEMAS and _is_open(name, child):
            blank = _blank(child, name, calls)
            if blank is not child:
                changed[name] = blank
    return node | changed if changed else node


def _result_place(node: dict[str, Any], key: str, calls: _Calls) -> str:
    """Where an object holds the result of a call in the same request; empty if nowhere."""
    if key in _FUNCTION_RESPONSE:
        by_id = "id" in node
        known = _string(node, "id") in calls.ids if by_id else _string(node, "name") in calls.names
        return "response" if known else ""
    role, kind = _string(node, "role"), _string(node, "type")
    if role == "tool" and _string(node, "tool_call_id") in calls.ids:
        return "content"
    if role == "function" and _string(node, "name") in calls.names:
        return "content"
    if kind == "tool_result" and _string(node, "tool_use_id") in calls.ids:
        return "content"
    if kind.endswith("_output") and _string(node, "call_id") in calls.ids:
        return "output"
    return ""


# --- ordinals ---

_ID_KEYS = frozenset(
    {"id", "call_id", "tool_call_id", "tool_use_id", "approval_request_id", "tool_id"}
)
# fmt: off
_KEPT = _ID_KEYS | {
    "model", "type", "role", "data", "file_data", "signature", "encrypted_content",
    "thoughtSignature", "thought_signature", "previous_response_id", "conversation", "container",
    "container_id", "file_id", "file_ids", "vector_store_ids", "cachedContent", "cached_content",
    "url", "file_url", "image_url", "server_url", "uri", "fileUri", "file_uri",
}
# fmt: on
"""Keys whose strings are never scrubbed: they point outside the request, come from a reply as
they are, or are bytes."""


class _Loosener:
    """Rewrites a canonical tree in canonical order; ``changed`` says whether it had to."""

    def __init__(
        self, ids: frozenset[str], ordinals: Ordinals, scrub: Callable[[str], str]
    ) -> None:
        self._ids = ids
        self._ordinals = ordinals
        self._scrub = scrub
        self.changed = False

    def rewrite(self, node: Any, key: str = "", parent: str = "") -> Any:
        """The same tree with ordinals.

        ``key`` is where it lies, itself or its list; ``parent`` is where the object lies
        that holds it, empty for the items of a list.
        """
        if isinstance(node, str):
            return self._text(node, key)
        if not isinstance(node, _CONTAINERS) or key in _SCHEMAS:
            return node
        if isinstance(node, list):
            return [self.rewrite(item, key) for item in node]
        if key in _PAYLOADS and parent:  # directly, not as one of the items of a list
            is_schema = key == "response" and parent not in _FUNCTION_RESPONSE
            return node if is_schema else self._payload(node)
        return {name: self.rewrite(node[name], name, key or "$") for name in sorted(node)}

    def _text(self, text: str, key: str) -> str:
        if key in _KEPT:
            if key not in _ID_KEYS or text not in self._ids:
                return text
            self.changed = True
            return self._ordinals.of("id", text)
        new = self._scrub(text)
        if new is not text and new != text:
            self.changed = True
        return new

    def _payload(self, node: Any) -> Any:
        if isinstance(node, str):
            return self._text(node, "")
        if isinstance(node, list):
            return [self._payload(item) for item in node]
        if isinstance(node, dict):
            return {name: self._payload(node[name]) for name in sorted(node)}
        return node


def _strings(node: Any) -> list[str]:
    """Every string value outside opaque subtrees, in canonical order."""
    found: list[str] = []
    _gather(node, found)
    return found


def _gather(node: Any, found: list[str]) -> None:
    if isinstance(node, str):
        found.append(node)
    elif isinstance(node, list):
        for item in node:
            _gather(item, found)
    elif isinstance(node, dict):
        for name in sorted(node):
            if name not in _SCHEMAS and (name not in _PAYLOADS or not isinstance(node[name], dict)):
                _gather(node[name], found)
