"""``$ref``: which schema it names in one document. Nothing is ever fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from llmproxy.schemas.bounds import Dead
from llmproxy.schemas.normalising import MAX_NODES, Schema, normalise


class References:
    """The schemas that ``$ref`` names in one document, each normalised once."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[str, Schema | None] = {}
        self._names: dict[str, Mapping[str, Any]] | None = None

    def find(self, ref: str) -> Schema:
        """The schema that ``ref`` names.

        Raises:
            Dead: there is none in this document.
            Impossible: what it names is no schema.
        """
        if ref not in self._known:
            found = self._look_up(ref)
            self._known[ref] = None if found is None else normalise(found)
        schema = self._known[ref]
        if schema is None:
            raise Dead(f"$ref {ref[:200]!r} names nothing in this schema (none is fetched)")
        return schema

    def _look_up(self, ref: str) -> Any:
        start, hash_, fragment = ref.partition("#")
        base = self._root
        if start and start != _identity(base):
            base = self._named(start + "#")
        fragment = unquote(fragment)
        if base is None or not hash_ or not fragment:
            return base
        return _point(base, fragment) if fragment.startswith("/") else self._named("#" + fragment)

    def _named(self, name: str) -> Any:
        """The first subschema with this ``$id`` (``id#``) or anchor (``#anchor``); None: none."""
        if self._names is None:
            self._names = {}
            for node in _mappings(self._root):
                self._names.setdefault(_identity(node) + "#", node)
                for keyword in ("$anchor", "$dynamicAnchor"):
                    if isinstance(node.get(keyword), str):
                        self._names.setdefault("#" + node[keyword], node)
        return self._names.get(name)


def _identity(node: Any) -> str:
    identity = node.get("$id") if isinstance(node, Mapping) else None
    return identity.removesuffix("#") if isinstance(identity, str) else ""


def _mappings(root: Any) -> Iterator[Mapping[str, Any]]:
    """The mappings of a document in reading order, as many as we count."""
    stack = [root]
    for _ in range(MAX_NODES):
        if not stack:
            return
        node = stack.pop()
        if isinstance(node, Mapping):
            yield node
            stack += reversed(list(node.values()))
        elif isinstance(node, list | tuple):
            stack += reversed(node)


def _point(node: Any, pointer: str) -> Any:
    """What an RFC 6901 pointer names; None: nothing."""
    for part in pointer[1:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and key in node:
            node = node[key]
        elif isinstance(node, list | tuple) and key.isascii() and key.isdecimal():
            index = int(key[:9])
            node = node[index] if index < len(node) else None
        else:
            return None
    return node
