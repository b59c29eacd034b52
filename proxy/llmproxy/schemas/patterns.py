"""Regular expressions of JSON Schema, read into a small tree.

The dialect is what ECMA-262 and Python's ``re`` have in common, and the parts of either
that people write in schemas. Where the two differ in meaning, Python's is taken. The tree
is matched and written by ``pattern_texts``: our own, because its time is bounded for any
pattern, which that of ``re`` is not. Back references, atomic groups and conditionals are
refused. Length and nesting are bounded, so that reading is, too.
"""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from typing import Literal

from llmproxy.schemas.bounds import Dead

_MAX_LENGTH = 4_000
_MAX_NESTING = 40
_MANY = 10**9


@dataclass(frozen=True, slots=True, eq=False)
class Chars:
    """One character out of ranges of code points and classes (``d``, ``w``, ``pLu``, ...)."""

    ranges: tuple[tuple[int, int], ...] = ()
    classes: tuple[str, ...] = ()
    negated: bool = False
    any_case: bool = False
    width: int = 1

    def takes(self, char: str) -> bool:
        """Whether ``char``, of length 1, is one of these."""
        held = self._holds(char) or (
            self.any_case
            and any(self._holds(other) for other in (char.lower(), char.upper()) if len(other) == 1)
        )
        return held != self.negated

    def _holds(self, char: str) -> bool:
        code = ord(char)
        for low, high in self.ranges:
            if low <= code <= high:
                return True
        return any(_in_class(char, name) for name in self.classes)


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """Nodes one after the other."""

    nodes: tuple[Node, ...]
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Either:
    """One of several branches."""

    branches: tuple[Node, ...]
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """A node ``least`` to ``most`` times; None: without end."""

    node: Node
    least: int
    most: int | None
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """A place: ``^`` ``$`` ``A`` ``Z`` ``b`` ``B``, and ``m^`` ``m$`` of lines."""

    kind: str
    width: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What must, or must not, follow or go before."""

    node: Node
    ahead: bool
    negated: bool
    width: int = 0


Node = Chars | Sequence | Either | Repeat | Anchor | Look
"""A part of a pattern; ``width`` is the least number of characters that it takes."""


def read_pattern(pattern: str) -> Node:
    """The tree of a pattern.

    Raises:
        Dead: it is broken, too large, or uses what is not understood here.
    """
    if len(pattern) > _MAX_LENGTH:
        raise Dead(f"a pattern of {len(pattern)} characters is too long")
    reader = _Reader(pattern)
    tree = reader.either(0)
    if reader.position < len(pattern):
        raise reader.error("unbalanced )")
    return tree


def _in_class(char: str, name: str) -> bool:
    match name[0]:
        case "d":
            return char.isdecimal()
        case "w":
            return char.isalnum() or char == "_"
        case "s":
            return char.isspace()
        case "p":
            return unicodedata.category(char).startswith(name[1:])
        case "!":
            return not _in_class(char, name[1:])
    return False


_PROPERTIES = {
    "letter": "L",
    "alphabetic": "L",
    "uppercase_letter": "Lu",
    "uppercase": "Lu",
    "lowercase_letter": "Ll",
    "lowercase": "Ll",
    "mark": "M",
    "number": "N",
    "decimal_number": "Nd",
    "punctuation": "P",
    "symbol": "S",
    "separator": "Z",
    "space_separator": "Zs",
}
_CATEGORY = re.compile(r"[LMNPSZC][a-z]?")
_EMOJI = ("emoji", "emoji_presentation", "extended_pictographic", "emoji_component")
_EMOJI_RANGE = (0x1F300, 0x1F64F)
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0, "a": 7}
_COUNTS = re.compile(r"\{(?:([0-9]{1,9})(,([0-9]{1,9})?)?|,([0-9]{1,9}))\}")
_HEX = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}")
_FLAGS = re.compile(r"\(\?([aimsuL]+)([:)])")
_NAMED = re.compile(r"\(\?P?<[A-Za-z_]\w*>")
_ENDS = {"A": "A", "Z": "Z", "z": "Z", "b": "b", "B": "B"}


class _Reader:
    """Recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.position = 0
        self._flags = frozenset[str]()

    def error(self, problem: str) -> Dead:
        shown = self._pattern if len(self._pattern) <= 80 else self._pattern[:80] + "..."
        return Dead(f"the pattern {shown!r}: {problem} at position {self.position}")

    def _next(self, text: str) -> bool:
        if self._pattern.startswith(text, self.position):
            self.position += len(text)
            return True
        return False

    def _matched(self, regex: re.Pattern[str]) -> re.Match[str] | None:
        found = regex.match(self._pattern, self.position)
        if found is not None:
            self.position = found.end()
        return found

    def either(self, nesting: int) -> Node:
        if nesting > _MAX_NESTING:
            raise self.error("nested too deeply")
        branches = [self._sequence(nesting)]
        while self._next("|"):
            branches.append(self._sequence(nesting))
        if len(branches) == 1:
            return branches[0]
        return Either(tuple(branches), min(node.width for node in branches))

    def _sequence(self, nesting: int) -> Node:
        nodes: list[Node] = []
        while self.position < len(self._pattern) and self._pattern[self.position] not in "|)":
            atom = self._atom(nesting)
            if atom is not None:
                nodes.append(self._repeated(atom))
        if len(nodes) == 1:
            return nodes[0]
        return Sequence(tuple(nodes), min(_MANY, sum(node.width for node in nodes)))

    def _repeated(self, atom: Node) -> Node:
        least, most = self._counts()
        if (least, most) == (1, 1):
            return atom
        if most is not None and most < least:
            raise self.error("the counts of a repeat are out of order")
        lazy = self._next("?")
        if not lazy and self._next("+"):
            raise self.error("possessive repeats are not understood")
        if self._pattern[self.position : self.position + 1] in ("*", "+", "?"):
            raise self.error("a repeat of a repeat")
        return Repeat(atom, least, most, min(_MANY, least * atom.width))

    def _counts(self) -> tuple[int, int | None]:
        if self._next("*"):
            return 0, None
        if self._next("+"):
            return 1, None
        if self._next("?"):
            return 0, 1
        found = self._matched(_COUNTS)
        if found is None:
            return 1, 1
        if found[4] is not None:
            return 0, int(found[4])
        least = int(found[1])
        if found[2] is None:
            return least, least
        return least, int(found[3]) if found[3] is not None else None

    def _atom(self, nesting: int) -> Node | None:
        char = self._pattern[self.position]
        if char == "(":
            return self._group(nesting)
        self.position += 1
        match char:
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case "^" | "$":
                return Anchor(f"m{char}" if "m" in self._flags else char)
            case ".":
                return Chars(() if "s" in self._flags else ((10, 10),), negated=True)
            case "*" | "+" | "?":
                raise self.error("nothing to repeat")
        return self._literal(char)

    def _literal(self, char: str) -> Chars:
        return Chars(((ord(char), ord(char)),), any_case="i" in self._flags)

    def _group(self, nesting: int) -> Node | None:
        flags = self._flags
        if self._next("(?#"):
            self.position = self._pattern.find(")", self.position) + 1
            if not self.position:
                raise self.error("a comment has no end")
            return None
        switched = self._matched(_FLAGS)
        if switched is not None:
            self._flags = flags | frozenset(switched[1])
            if switched[2] == ")":
                return None
        look = None if switched is not None else self._look()
        if look is None and switched is None and not self._matched(_NAMED):
            self.position += 1
            if not self._next("?:") and self._pattern.startswith("?", self.position):
                raise self.error("this kind of group is not understood")
        inner = self.either(nesting + 1)
        if not self._next(")"):
            raise self.error("a group has no end")
        self._flags = flags
        return inner if look is None else Look(inner, *look)

    def _look(self) -> tuple[bool, bool] | None:
        for start, ahead, negated in (
            ("(?=", True, False),
            ("(?!", True, True),
            ("(?<=", False, False),
            ("(?<!", False, True),
        ):
            if self._next(start):
                return ahead, negated
        return None

    def _escape(self) -> Node:
        if self.position >= len(self._pattern):
            raise self.error("a backslash at the end")
        char = self._pattern[self.position]
        if char in _ENDS:
            self.position += 1
            return Anchor(_ENDS[char])
        if char in "123456789k":
            raise self.error("back references are not understood")
        code = self._escaped_class()
        if code is not None:
            return code
        code_point = self._escaped_character()
        return Chars(((code_point, code_point),), any_case="i" in self._flags)

    def _escaped_class(self) -> Chars | None:
        char = self._pattern[self.position]
        if char in "dwsDWS":
            self.position += 1
            return Chars(classes=(char if char.islower() else "!" + char.lower(),))
        if char not in "pP":
            return None
        end = self._pattern.find("}", self.position)
        if not self._pattern.startswith("{", self.position + 1) or end < 0:
            raise self.error("a property needs braces")
        name = self._pattern[self.position + 2 : end].rpartition("=")[2]
        if name.lower() in _EMOJI and char == "p":
            self.position = end + 1
            return Chars((_EMOJI_RANGE,))
        category = _PROPERTIES.get(name.lower(), name)
        if not _CATEGORY.fullmatch(category):
            raise self.error(f"the property {name[:40]!r} is not understood")
        self.position = end + 1
        return Chars(classes=("p" + category if char == "p" else "!p" + category,))

    def _escaped_character(self) -> int:
        char = self._pattern[self.position]
        if found := self._matched(_HEX):
            return min(int(found[1] or found[2] or found[3], 16), 0x10FFFF)
        self.position += 1
        if char == "c" and self._pattern[self.position : self.position + 1].isalpha():
            self.position += 1
            return ord(self._pattern[self.position - 1]) % 32
        return _CONTROLS.get(char, ord(char))

    def _class(self) -> Chars:
        negated = self._next("^")
        ranges: list[tuple[int, int]] = []
        classes: list[str] = []
        first = True
        while first or not self._next("]"):
            if self.position >= len(self._pattern):
                raise self.error("a character class has no end")
            first = False
            low = self._member(ranges, classes)
            dashed = self._pattern.startswith("-", self.position)
            if low is None or not dashed or self._pattern.startswith("-]", self.position):
                if low is not None:
                    ranges.append((low, low))
                continue
            self.position += 1
            high = self._member(ranges, classes)
            if high is None:
                ranges += (low, low), (45, 45)
            elif high < low:
                raise self.error("a range is out of order")
            else:
                ranges.append((low, high))
        return Chars(tuple(ranges), tuple(classes), negated, any_case="i" in self._flags)

    def _member(self, ranges: list[tuple[int, int]], classes: list[str]) -> int | None:
        """One code point of a class; None when it was a class itself, which is added."""
        if self.position >= len(self._pattern):
            raise self.error("a character class has no end")
        char = self._pattern[self.position]
        self.position += 1
        if char != "\\":
            return ord(char)
        if self.position >= len(self._pattern):
            raise self.error("a backslash at the end")
        if self._next("b"):
            return 8
        found = self._escaped_class()
        if found is None:
            return self._escaped_character()
        ranges += found.ranges
        classes += found.classes
        return None


PRINTABLE = string.ascii_lowercase + string.digits + string.ascii_uppercase + "_-. "
_PUNCTUATION = "!#$%&()*+,/:;<=>?@[]^`{|}~'\"\\"
_SURROGATES = range(0xD800, 0xE000)
_WIDE = 24
Liveliness = Literal["plain", "any"]


def characters(node: Chars) -> str:
    """Characters that ``node`` takes, the plain ones first; empty: none was found."""
    if len(node.ranges) == 1 and not node.classes and not node.negated:
        low, high = node.ranges[0]
        if low == high and low not in _SURROGATES:
            return chr(low)
    found = "".join(char for char in PRINTABLE + _PUNCTUATION if node.takes(char))
    return found or "".join(char for char in _unusual(node) if node.takes(char))


def _unusual(node: Chars) -> list[str]:
    codes = [code for low, high in node.ranges for code in range(low, min(high, low + _WIDE) + 1)]
    codes += range(0xA1, 0x180)
    codes += range(32)
    codes += 0x3A9, 0x3C9, 0x4E2D, 0x5B57, 0x3042, 0x5D0, 0x2028, 0x301, 0x20AC, 0x1F600
    return [chr(code) for code in codes if code not in _SURROGATES]
