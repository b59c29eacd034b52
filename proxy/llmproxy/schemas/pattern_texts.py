"""Texts and patterns: whether a pattern is found in a text, and texts in which it is found.

Matching walks all places of the text at once: a set of places is the bits of one integer,
so that no pattern makes it backtrack. Writing takes random branches and counts, without
regard to anchors and looks; whoever writes checks the text afterwards and writes another.
"""

from __future__ import annotations

import random

from llmproxy.schemas.bounds import MAX_TEXT, Budget, Dead
from llmproxy.schemas.patterns import (
    PRINTABLE,
    Anchor,
    Chars,
    Either,
    Look,
    Node,
    Repeat,
    Sequence,
    characters,
    read_pattern,
)

_NATURAL = 6


class Patterns:
    """The patterns of one schema, each read once."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._trees: dict[str, Node | Dead] = {}

    def found(self, pattern: str, text: str) -> bool:
        """Whether ``pattern`` is found anywhere in ``text``.

        Raises:
            Dead: the pattern cannot be read.
            Impossible: the budget is spent.
        """
        return _Subject(text, self._budget).found(self._tree(pattern))

    def write(self, pattern: str, rng: random.Random, attempt: int, low: int, high: int) -> str:
        """A text that is likely to hold ``pattern``, of ``low`` to ``high`` characters if it can be.

        Each ``attempt``, from 0, goes about it in another way.

        Raises:
            Dead: the pattern cannot be read, or needs too long a text.
            Impossible: the budget is spent.
        """
        tree = self._tree(pattern)
        if tree.width > min(high, MAX_TEXT):
            raise Dead(f"the pattern {pattern[:80]!r} needs a longer text than is allowed")
        return _write(tree, rng, attempt, low, high, self._budget)

    def _tree(self, pattern: str) -> Node:
        tree = self._trees.get(pattern)
        if tree is None:
            self._budget.spend_text(5 * len(pattern))
            try:
                tree = read_pattern(pattern)
            except Dead as dead:
                tree = dead
            self._trees[pattern] = tree
        if isinstance(tree, Dead):
            raise Dead(*tree.args)
        return tree


class _Subject:
    """One text to look for patterns in; bit n of a set is the place before character n."""

    def __init__(self, text: str, budget: Budget) -> None:
        self._text = text
        self._budget = budget
        self._everywhere = (2 << len(text)) - 1
        self._taken: dict[Chars, int] = {}
        self._cost = 1 + len(text) // 2_000

    def found(self, tree: Node) -> bool:
        return bool(self._ends(tree, self._everywhere))

    def _ends(self, node: Node, starts: int) -> int:
        """Where ``node`` may end when it begins at one of ``starts``."""
        match node:
            case Chars():
                return (starts & self._places(node)) << 1
            case Sequence():
                for part in node.nodes:
                    if not starts:
                        break
                    starts = self._ends(part, starts)
                return starts
            case Either():
                ends = 0
                for branch in node.branches:
                    ends |= self._ends(branch, starts)
                return ends
            case Repeat():
                return self._repeats(node, starts)
            case Anchor():
                return starts & self._anchors(node.kind)
            case Look():
                return self._looks(node, starts)

    def _places(self, node: Chars) -> int:
        places = self._taken.get(node)
        if places is None:
            self._budget.spend_text(5 * len(self._text))
            bits = ["1" if node.takes(char) else "0" for char in reversed(self._text)]
            places = self._taken[node] = int("".join(bits) or "0", 2)
        return places

    def _repeats(self, node: Repeat, starts: int) -> int:
        for _ in range(node.least):
            self._budget.spend(self._cost)
            ends = self._ends(node.node, starts)
            if ends == starts:
                break
            starts = ends
        reached, count = starts, node.least
        while starts and (node.most is None or count < node.most):
            self._budget.spend(self._cost)
            starts = self._ends(node.node, starts) & ~reached
            reached |= starts
            count += 1
        return reached

    def _anchors(self, kind: str) -> int:
        text, end = self._text, 1 << len(self._text)
        match kind:
            case "^" | "A":
                return 1
            case "Z":
                return end
            case "$":
                return end | end >> 1 if text.endswith("\n") else end
            case "m^":
                return 1 | sum(2 << place for place, char in enumerate(text) if char == "\n")
            case "m$":
                return end | sum(1 << place for place, char in enumerate(text) if char == "\n")
        before = self._places(_WORD) << 1
        borders = before ^ self._places(_WORD)
        return borders if kind == "b" else self._everywhere & ~borders

    def _looks(self, node: Look, starts: int) -> int:
        if not node.ahead:
            seen = self._ends(node.node, self._everywhere)
            return starts & ~seen if node.negated else starts & seen
        kept, rest = 0, starts
        while rest:
            self._budget.spend(self._cost)
            place = rest & -rest
            rest ^= place
            if bool(self._ends(node.node, place)) != node.negated:
                kept |= place
        return kept


_WORD = Chars(classes=("w",))


def _write(
    tree: Node, rng: random.Random, attempt: int, low: int, high: int, budget: Budget
) -> str:
    """Attempts in turn: as it comes, with looks written out, as long as asked for."""
    goal = min(MAX_TEXT, high, max(low, tree.width + _NATURAL))
    if low > tree.width or attempt % 3 == 2:
        goal = rng.randint(max(low, tree.width), max(goal, min(high, low + 8)))
    writer = _Writer(rng, goal - tree.width, budget)
    writer.looks = attempt % 2 == 1
    writer.greedy = attempt % 4 == 3 or (low > tree.width and attempt % 2 == 0)
    writer.write(tree)
    text = "".join(writer.parts)
    if len(text) < low:
        text += (" " if attempt % 2 else "") + "".join(rng.choices("abcdehilmnorstu", k=low))
        text = text[: max(low, len(text) - low)]
    return text


class _Writer:
    """Writes a text; ``room`` is how many characters may go beyond the least."""

    def __init__(self, rng: random.Random, room: int, budget: Budget) -> None:
        self._rng = rng
        self._room = room
        self._budget = budget
        self._known: dict[Chars, str] = {}
        self.parts: list[str] = []
        self.looks = False
        self.greedy = False

    def write(self, node: Node) -> None:
        match node:
            case Chars():
                self.parts.append(self._rng.choice(self._choices(node)))
            case Sequence():
                for part in node.nodes:
                    self.write(part)
            case Either():
                self._write_branch(node)
            case Repeat():
                self._write_repeat(node)
            case Look():
                if self.looks and not node.negated:
                    self.write(node.node)
            case Anchor():
                pass

    def _choices(self, node: Chars) -> str:
        self._budget.spend()
        known = self._known.get(node)
        if known is None:
            known = self._known[node] = characters(node)
            if not known:
                raise Dead("a pattern has a character class that takes no character")
            if len(known) > len(PRINTABLE) // 2 and not self.looks:
                known = self._known[node] = known[: len(PRINTABLE) - 4]
        return known

    def _write_branch(self, node: Either) -> None:
        branches = [
            branch for branch in node.branches if branch.width - node.width <= max(self._room, 0)
        ]
        branch = self._rng.choice(branches)
        self._room -= branch.width - node.width
        self.write(branch)

    def _write_repeat(self, node: Repeat) -> None:
        self._budget.spend()
        width = max(1, node.node.width)
        spare = max(self._room, 0) // width
        if node.most is not None:
            spare = min(spare, node.most - node.least)
        more = spare if self.greedy else self._rng.randint(0, spare)
        self._room -= more * node.node.width
        least = node.least if node.node.width else min(node.least, 3)
        for _ in range(least + more):
            self.write(node.node)
