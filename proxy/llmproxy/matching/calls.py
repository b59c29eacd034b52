"""Calls of tools in a canonical tree: their ids, their results, and ordinals for the rest.

Ids that a model made up only to pair a call with its result become ordinals, together with
whatever else changes from run to run; ids that point outside the request count as they are.
Works on trees in the one spelling of ``spelling.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from llmproxy.matching.spelling import (
    CONTAINERS,
    FUNCTION_CALL,
    FUNCTION_RESPONSE,
    PAYLOADS,
    SCHEMAS,
    text_under,
)
from llmproxy.matching.volatile import Ordinals

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
class Calls:
    """Ids made up by a model that only pair things inside a request; names of id-less calls."""

    ids: frozenset[str]
    names: frozenset[str]


NO_CALLS = Calls(frozenset(), frozenset())


def may_call(text: str) -> bool:
    """Whether ``find_calls`` could find anything in a tree, given its JSON."""
    return any(hint in text for hint in _CALL_HINTS)


def find_calls(tree: Any) -> Calls:
    ids: set[str] = set()
    names: set[str] = set()
    for key, node in _objects(tree):
        kind = text_under(node, "type")
        if kind in _TOOL_USES or key in FUNCTION_CALL or key == "tool_calls":
            ids.add(text_under(node, "id"))
        elif not kind.endswith("_output"):
            ids.add(text_under(node, "call_id"))
        if key in FUNCTION_CALL:
            names.add(text_under(node, "name"))
    items = tree.get("input") if isinstance(tree, dict) else None
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and _is_whole(item):
            ids.add(text_under(item, "id"))
    return Calls(frozenset(ids - {""}), frozenset(names - {""}))


def _is_whole(item: dict[str, Any]) -> bool:
    """Whether an input item says all, so that its id points at nothing the upstream keeps."""
    kind = text_under(item, "type") or "message"
    if kind == "reasoning":
        return any(item.get(key) for key in ("encrypted_content", "summary", "content"))
    return kind in _WHOLE_ITEMS and len(item) > 2


def _is_open(key: str, child: Any) -> bool:
    """Whether a child outside schemas has parts and is not opaque."""
    return isinstance(child, list) or (isinstance(child, dict) and key not in PAYLOADS)


def _objects(tree: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object outside opaque subtrees, with the key under which it or its list lies."""
    stack: list[tuple[str, Any]] = [("", tree)]
    while stack:
        key, node = stack.pop()
        if isinstance(node, list):
            stack.extend((key, child) for child in node if isinstance(child, CONTAINERS))
            continue
        yield key, node
        for name, child in node.items():
            if name not in SCHEMAS and _is_open(name, child):
                stack.append((name, child))


def without_results(tree: Any, calls: Calls) -> Any:
    """The tree with a constant for every result of a call inside it; itself if there is none."""
    if not calls.ids and not calls.names:
        return tree
    return _blank(tree, "", calls)


def _blank(node: Any, key: str, calls: Calls) -> Any:
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
        if name not in SCHEMAS and _is_open(name, child):
            blank = _blank(child, name, calls)
            if blank is not child:
                changed[name] = blank
    return node | changed if changed else node


def _result_place(node: dict[str, Any], key: str, calls: Calls) -> str:
    """Where an object holds the result of a call in the same request; empty if nowhere."""
    if key in FUNCTION_RESPONSE:
        by_id = "id" in node
        known = (
            text_under(node, "id") in calls.ids
            if by_id
            else text_under(node, "name") in calls.names
        )
        return "response" if known else ""
    role, kind = text_under(node, "role"), text_under(node, "type")
    if role == "tool" and text_under(node, "tool_call_id") in calls.ids:
        return "content"
    if role == "function" and text_under(node, "name") in calls.names:
        return "content"
    if kind == "tool_result" and text_under(node, "tool_use_id") in calls.ids:
        return "content"
    if kind.endswith("_output") and text_under(node, "call_id") in calls.ids:
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


class Loosener:
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
        if not isinstance(node, CONTAINERS) or key in SCHEMAS:
            return node
        if isinstance(node, list):
            return [self.rewrite(item, key) for item in node]
        if key in PAYLOADS and parent:  # directly, not as one of the items of a list
            is_schema = key == "response" and parent not in FUNCTION_RESPONSE
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


def strings(node: Any) -> list[str]:
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
            if name not in SCHEMAS and (name not in PAYLOADS or not isinstance(node[name], dict)):
                _gather(node[name], found)
