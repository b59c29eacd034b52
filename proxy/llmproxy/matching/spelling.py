"""One spelling for all JSON that says the same: what noise is dropped, what is written how.

What cannot be parsed safely and without loss (duplicate keys, numbers beyond a double, deep
nesting, broken UTF-8) is no JSON here and is compared by its bytes. A subtree that only the
program or the model understands (a schema, a tool's arguments) is opaque: nothing is dropped
there. Knows nothing of ordinals and of settings; what counts is handed in as ``Rules``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llmproxy.interaction import Headers, RecordedRequest


@dataclass(frozen=True, slots=True)
class Rules:
    """Which noise is dropped."""

    dropped: frozenset[str]
    cache_control: bool
    obfuscation: bool
    billing: bool


# --- reading ---

_JSON_START = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*[\[{]")
_MAX_DEPTH = 200
CONTAINERS = (dict, list)
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
dump = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


_dump_text = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), check_circular=False, ensure_ascii=False
).encode


def encode(tree: Any) -> bytes:
    return dump(tree).encode()


def read_json(body: bytes) -> Any:
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
            if isinstance(child, CONTAINERS)
        ]
        if not level:
            return False
    return True


# --- one spelling ---

# fmt: off
SCHEMAS = frozenset({
    "parameters", "parameters_json_schema", "parametersJsonSchema", "input_schema", "inputSchema",
    "output_schema", "outputSchema", "schema", "response_schema", "responseSchema",
    "response_json_schema", "responseJsonSchema",
})
# fmt: on
PAYLOADS = frozenset({"input", "args", "response", "arguments"})
"""Opaque where they hold an object: what a tool is called with and what it returned."""
_TEXTUAL = frozenset({"content", "system", "instructions", "output"})
_SYSTEM_INSTRUCTION = frozenset({"systemInstruction", "system_instruction"})
FUNCTION_CALL = frozenset({"functionCall", "function_call"})
FUNCTION_RESPONSE = frozenset({"functionResponse", "function_response"})
_STREAMS_BY_DEFAULT = ("/api/chat", "/api/generate", "/api/pull", "/api/push", "/api/create")
"""Ollama's own paths, where ``stream: false`` says more than no ``stream``."""
_ASKS_A_MODEL = frozenset({"contents", "input", "messages", "model", "prompt", "requests"})
"""Fields of which a request to a model has one; elsewhere ``metadata`` may be all that is said."""
_BILLING = "x-anthropic-billing-header:"


def canonical_body(tree: Any, path: str, rules: Rules) -> Any:
    if not isinstance(tree, dict):
        return _list_form("", tree, rules)
    dropped = rules.dropped if not _ASKS_A_MODEL.isdisjoint(tree) else frozenset()
    top = {key: value for key, value in tree.items() if key not in dropped}
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


def _object_form(node: dict[str, Any], rules: Rules) -> dict[str, Any]:
    form: dict[str, Any] = {}
    if rules.billing and isinstance(node.get("system"), (str, list)):
        node = node | {"system": _without_billing(node["system"])}
    for key, value in node.items():
        if isinstance(value, str):
            form[key] = _arguments(value) if key == "arguments" else value
        elif value is None or (key == "cache_control" and rules.cache_control):
            continue
        elif (
            not isinstance(value, CONTAINERS)
            or key in SCHEMAS
            or (key in PAYLOADS and (isinstance(value, dict) or key != "input"))
        ):
            form[key] = value
        elif isinstance(value, list):
            form[key] = _list_form(key, value, rules)
        else:
            form[key] = child = _object_form(value, rules)
            if key in _SYSTEM_INSTRUCTION and isinstance(child.get("role"), str):
                del child["role"]
    return form


def _list_form(key: str, items: list[Any], rules: Rules) -> list[Any] | str:
    """A list in canonical form; the text alone where a list holds one plain text part."""
    forms = [_item_form(item, rules) for item in items]
    if len(forms) == 1 and key in _TEXTUAL:
        match forms:
            case [{"type": "text" | "input_text", "text": str(text), **rest}] if not rest:
                return text
    return forms


def _item_form(item: Any, rules: Rules) -> Any:
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
        if isinstance(block, dict) and text_under(block, "text").startswith(_BILLING):
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
    if isinstance(tree, CONTAINERS) and _is_deep(tree):
        return text
    return _dump_text(tree)


def raw_body(request: RecordedRequest) -> bytes:
    """A body that is no JSON, as it is compared: the random boundary of multipart replaced."""
    boundary = _boundary(request)
    if not boundary:
        return request.body
    parts = (b"\r\n" + request.body).split(b"\r\n--" + boundary.encode("utf-8", "surrogateescape"))
    return b"\r\n--boundary".join(parts)


def fixed_headers(request: RecordedRequest) -> Headers:
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


def text_under(node: dict[str, Any], key: str) -> str:
    """The text under a key; empty where something else or nothing is there."""
    value = node.get(key)
    return value if isinstance(value, str) else ""
