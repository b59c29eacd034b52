"""JSON paths: how settings and rules name a place in a JSON body.

A small part of RFC 9535: the root ``$``, names, indexes, the wildcard and a descent to a
name at any depth. No filters, slices or negative indexes: a path here names places, it
computes nothing. A path is matched step by step against the keys and indexes that lead to
a node, in time linear in the node's depth. Knows nothing of requests or settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MOST_SEARCHED = 200_000
"""Nodes of a tree that one search looks at: some 0.2 s."""

Keys = tuple[str | int, ...]
"""The way to a node from the root: object keys and list indexes."""

_NAME = re.compile(r"[^\s.\[\]'\"*]+")
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: to a key (``str``), an index (``int``) or any child (``None``).

    With ``deep``, any number of keys and indexes may lie before it (``..name``).
    """

    key: str | int | None
    deep: bool = False

    def takes(self, key: str | int) -> bool:
        return self.key is None or (self.key == key and isinstance(self.key, type(key)))


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A parsed path; ``str()`` gives the text it was made from."""

    text: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def searches(self) -> bool:
        """Whether a tree has to be searched for it, because of a wildcard or a descent."""
        return any(step.deep or step.key is None for step in self.steps)

    def matches(self, path: Keys) -> bool:
        """Whether the path names the very node that ``path`` leads to.

        Whoever hides or drops nodes treats everything below a named one as included.
        """
        reached = 1
        for key in path:
            reached = self._advance(reached, key)
            if not reached:
                return False
        return bool(reached >> len(self.steps))

    def _advance(self, reached: int, key: str | int) -> int:
        """The set of steps done (bit n: the first n) after one more key."""
        after = 0
        for done, step in enumerate(self.steps):
            if reached >> done & 1:
                after |= (1 << done) * step.deep | (2 << done) * step.takes(key)
        return after


def parse_json_path(text: str) -> JsonPath:
    """Read a path such as ``$.messages[*].content``, ``$..id`` or ``$['a b'][0]``.

    Raises:
        ValueError: what is wrong, at which position (counted from 0), and what would do.
    """
    if not text.startswith("$"):
        raise ValueError(f"JSON path {text!r} must start with $ (position 0), such as $.model")
    steps: list[Step] = []
    position = 1
    while position < len(text):
        step, position = _read_step(text, position)
        steps.append(step)
    return JsonPath(text, tuple(steps))


def _read_step(text: str, start: int) -> tuple[Step, int]:
    deep = text.startswith("..", start)
    position = start + 2 if deep else start
    if text.startswith("[", position):
        key, position = _read_brackets(text, position, deep=deep)
        return Step(key, deep), position
    if not deep:
        if text[start] != ".":
            raise _error(text, start, "expected . or [")
        position = start + 1
        if text.startswith("*", position):
            return Step(None), position + 1
    name = _NAME.match(text, position)
    if name is None:
        raise _error(text, position, "expected a name")
    return Step(name[0], deep), name.end()


def _read_brackets(text: str, start: int, *, deep: bool) -> tuple[str | int | None, int]:
    quoted = _QUOTED.match(text, start + 1)
    key: str | int | None
    if quoted is not None:
        key = _ESCAPE.sub(r"\1", quoted[1] if quoted[1] is not None else quoted[2])
        end = quoted.end()
    elif deep:
        raise _error(text, start + 1, "expected a quoted name after ..[")
    elif text.startswith("*", start + 1):
        key, end = None, start + 2
    elif index := _INDEX.match(text, start + 1):
        key, end = int(index[0]), index.end()
    else:
        raise _error(text, start + 1, "expected an index, * or a quoted name")
    if not text.startswith("]", end):
        raise _error(text, end, "expected ]")
    return key, end + 1


def _error(text: str, position: int, problem: str) -> ValueError:
    return ValueError(f"JSON path {text!r}: {problem} at position {position}")


def select(tree: object, path: JsonPath) -> Iterator[object]:
    """The nodes that a path names, in the document's order; ``$`` names the root.

    Keys and indexes that lead from the root are looked up; only behind a wildcard or a
    descent is the tree searched, each node once and without recursion, and no more of it than
    ``MOST_SEARCHED`` nodes.
    """
    node, done = tree, 0
    for step in path.steps:
        if step.deep or step.key is None:
            break
        node, done = _child(node, step.key), done + 1
        if node is _ABSENT:
            return
    goal = len(path.steps)
    stack = [(node, 1 << done)]
    left = MOST_SEARCHED
    while stack and left > 0:
        left -= 1
        node, reached = stack.pop()
        if reached >> goal & 1:
            yield node
        if reached & ~(1 << goal):
            steps = [(child, path._advance(reached, key)) for key, child in _children(node)]  # noqa: SLF001 (one module)
            stack.extend(step for step in reversed(steps) if step[1])


_ABSENT = object()


def _child(node: object, key: str | int) -> object:
    if isinstance(key, str):
        return node.get(key, _ABSENT) if isinstance(node, dict) else _ABSENT
    return node[key] if isinstance(node, list) and key < len(node) else _ABSENT


def remove(tree: object, paths: Iterable[JsonPath]) -> None:
    """Delete, in place, every node of a JSON tree that one of ``paths`` names.

    Indexes count as in the tree that came in, also where several elements of one list
    go. The root itself cannot be deleted: ``$`` empties it.
    """
    doomed: dict[int, tuple[list[object] | dict[str, object], set[str | int]]] = {}
    for path in paths:
        for holder, key in _find(tree, path):
            doomed.setdefault(id(holder), (holder, set()))[1].add(key)
    for holder, keys in doomed.values():
        if isinstance(holder, list):
            holder[:] = [child for index, child in enumerate(holder) if index not in keys]
        else:
            for key in keys:
                del holder[str(key)]


def _find(
    tree: object, path: JsonPath
) -> Iterator[tuple[list[object] | dict[str, object], str | int]]:
    """The places that a path names, as (holder, key); every node is visited once."""
    goal = len(path.steps)
    stack: list[tuple[object, int]] = [(tree, 1)]
    while stack:
        node, reached = stack.pop()
        for key, child in _children(node):
            after = path._advance(reached, key) if goal else 1  # noqa: SLF001 (one module)
            if after >> goal & 1:
                yield node, key  # type: ignore[misc]  # only a list or dict has children
            elif after and isinstance(child, list | dict):
                stack.append((child, after))


def _children(node: object) -> Iterable[tuple[str | int, object]]:
    if isinstance(node, dict):
        return node.items()
    return enumerate(node) if isinstance(node, list) else ()
