"""How two requests differ: node by node, with short excerpts of what differs.

Lists are aligned first, so that one inserted message is one difference. Everything is bounded:
how many differences are looked for, how long lists are aligned, how much of a text is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import SequenceMatcher
from typing import Any, Literal, TypeVar

from llmproxy.interaction import RecordedRequest
from llmproxy.matching.canonical import Canonicaliser
from llmproxy.matching.spelling import raw_body

Kind = Literal["changed", "missing", "added", "reordered"]
"""``missing``: only recorded. ``added``: only live."""
Keys = tuple[str | int, ...]
Bytes = TypeVar("Bytes", str, bytes)

_SAMPLE = 4_500
MOST_BYTES = 16_000_000
_MOST_CHANGES = 200
_LONG_LIST = 2000
_MOST_ALIGNED_LEVELS = 8
"""Lists in lists that are aligned: aligning reads all that is below, once a level."""
_ALIGNED = 40_000
_PAIRED = 400


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference of a live request from a recorded one.

    ``path`` is such as ``messages[3].content`` or ``query.api-version``; indexes are the
    live request's, or the recorded one's for what is missing. ``recorded`` and ``live`` are
    excerpts of about 70 characters; ``note`` is a role or a hint.
    """

    path: str
    recorded: str
    live: str
    kind: Kind
    note: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A difference with its values; ``place`` is ``body`` or what else differs.

    ``last`` is the last index of a run of list elements, whose first is in ``keys``.
    """

    place: str
    keys: Keys
    kind: Kind
    recorded: Any = None
    live: Any = None
    note: str = ""
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """A request in the form in which it is compared; ``text`` is its JSON or its bytes."""

    request: RecordedRequest
    day: date
    tree: Any
    text: bytes


def form(request: RecordedRequest, day: date, canonicaliser: Canonicaliser) -> Form:
    tree = None
    if len(request.body) <= MOST_BYTES:
        tree = canonicaliser.tree(request, day, ordinals=True)
    text = raw_body(request) if tree is None else _spell(tree).encode()
    return Form(request, day, tree, text)


# --- comparing ---


def likeness(ours: bytes, theirs: bytes) -> float:
    """From 0 to 1: what two bodies share at either end, and the words of what is between."""
    if ours == theirs:
        return 1.0
    start = common(ours, theirs, 1)
    end = min(common(ours, theirs, -1), len(ours) - start, len(theirs) - start)
    same = (start + end) / max(len(ours), len(theirs))
    a = words(ours[start : len(ours) - end])
    b = words(theirs[start : len(theirs) - end])
    return same + (1.0 - same) * len(a & b) / (len(a | b) or 1)


def words(text: bytes) -> frozenset[bytes]:
    """The words of a text; of a long one those of its beginning and its end."""
    if len(text) > _SAMPLE:
        text = text[: _SAMPLE // 3] + b" " + text[-2 * _SAMPLE // 3 :]
    return frozenset(text.replace(b'"', b" ").split())


def compare(theirs: Form, ours: Form, canonicaliser: Canonicaliser) -> list[Change]:
    """All differences that count; where none does, those in generated values."""
    recorded, live = theirs.request, ours.request
    changes = list(_outside(recorded, live, canonicaliser))
    if theirs.tree is None or ours.tree is None:
        if theirs.text != ours.text:
            raw = _as_text(raw_body(recorded)), _as_text(raw_body(live))
            changes.append(Change("body", (), "changed", *raw))
        return changes
    _walk(theirs.tree, ours.tree, (), changes)
    if not changes:
        results = canonicaliser.settings.level != "transcript"
        old, new = (canonicaliser.paired_tree(r, results=results) for r in (recorded, live))
        _walk(old, new, (), changes)
        changes = [replace(change, place="generated") for change in changes]
    return changes


def _as_text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _outside(
    recorded: RecordedRequest, live: RecordedRequest, canonicaliser: Canonicaliser
) -> Iterator[Change]:
    """What differs outside the body."""
    for place in ("upstream", "method", "path"):
        old, new = getattr(recorded, place), getattr(live, place)
        if old != new:
            only_version = old.removeprefix("/v1") == new.removeprefix("/v1")
            note = "only /v1 differs: compare the base URLs" if only_version else ""
            yield Change(place, (), "changed", old, new, note)
    olds, news = (_parameters(canonicaliser.query(each)) for each in (recorded, live))
    yield from _named("query", olds, news)
    names = {name.lower() for name in canonicaliser.settings.headers}
    yield from _named("headers", _headers(recorded, names), _headers(live, names))


def _named(place: str, olds: dict[str, str], news: dict[str, str]) -> Iterator[Change]:
    for name in sorted(olds.keys() | news.keys()):
        old, new = olds.get(name), news.get(name)
        if old != new:
            kind: Kind = "added" if old is None else "missing" if new is None else "changed"
            yield Change(place, (name,), kind, old, new)


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _headers(request: RecordedRequest, names: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.headers:
        low = name.lower()
        if low in names:
            found[low] = f"{found[low]}, {value}" if low in found else value
    return found


def _walk(old: Any, new: Any, keys: Keys, changes: list[Change]) -> None:
    if len(changes) >= _MOST_CHANGES:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if key not in new:
                changes.append(Change("body", (*keys, key), "missing", recorded=old[key]))
            elif key not in old:
                changes.append(Change("body", (*keys, key), "added", live=new[key]))
            else:
                _walk(old[key], new[key], (*keys, key), changes)
    elif isinstance(old, list) and isinstance(new, list):
        _walk_lists(old, new, keys, changes)
    elif type(old) is not type(new) or old != new:
        changes.append(Change("body", keys, "changed", old, new))


def _walk_lists(old: list[Any], new: list[Any], keys: Keys, changes: list[Change]) -> None:
    lists_above = sum(isinstance(key, int) for key in keys)
    if max(len(old), len(new)) > _LONG_LIST or lists_above > _MOST_ALIGNED_LEVELS:
        _walk_pairs(old, new, keys, changes)
        return
    olds, news = [_spell(item) for item in old], [_spell(item) for item in new]
    if olds == news:
        return
    if sorted(olds) == sorted(news):
        changes.append(Change("body", keys, "reordered"))
        return
    gone: list[int] = []
    come: list[int] = []
    for i, j in _align(old, new, olds, news):
        if i is not None and j is not None:
            _walk(old[i], new[j], (*keys, j), changes)
        elif i is not None:
            gone.append(i)
        elif j is not None:
            come.append(j)
    moved = {olds[i] for i in gone} & {news[j] for j in come}
    changes += (Change("body", (*keys, j), "reordered") for j in come if news[j] in moved)
    for kind, items, indexes, spelt in (
        ("missing", old, gone, olds),
        ("added", new, come, news),
    ):
        left = [index for index in indexes if spelt[index] not in moved]
        changes += _runs(kind, items, left, keys)  # type: ignore[arg-type]  # two literals


def _walk_pairs(old: list[Any], new: list[Any], keys: Keys, changes: list[Change]) -> None:
    """Lists too long or too deep to align, position by position."""
    for index, (a, b) in enumerate(zip(old, new, strict=False)):
        if len(changes) >= _MOST_CHANGES:
            return
        _walk(a, b, (*keys, index), changes)
    if len(old) != len(new):
        sizes = f"{len(old)} items", f"{len(new)} items"
        changes.append(Change("size", keys, "changed", *sizes))


def _runs(kind: Kind, items: list[Any], indexes: list[int], keys: Keys) -> Iterator[Change]:
    """One change for each run of neighbours that only one side has."""
    start = 0
    for end in range(1, len(indexes) + 1):
        if end < len(indexes) and indexes[end] == indexes[end - 1] + 1:
            continue
        first, count = indexes[start], end - start
        value = items[first]
        values = {"recorded": value} if kind == "missing" else {"live": value}
        role = value.get("role") if isinstance(value, dict) else ""
        note = f"{count} items" if count > 1 else printable(str(role or ""))[:SIDE]
        last = indexes[end - 1] if count > 1 else None
        yield Change("body", (*keys, first), kind, note=note, last=last, **values)
        start = end


def _align(
    old: list[Any], new: list[Any], olds: list[str], news: list[str]
) -> Iterator[tuple[int | None, int | None]]:
    """Which element became which: pairs of indexes, None on the side that lacks it."""
    start = 0
    while start < min(len(olds), len(news)) and olds[start] == news[start]:
        start += 1
    end = 0
    while end < min(len(olds), len(news)) - start and olds[-1 - end] == news[-1 - end]:
        end += 1
    a, b = olds[start : len(olds) - end], news[start : len(news) - end]
    if len(a) * len(b) > _ALIGNED:
        blocks = [("replace", 0, len(a), 0, len(b))]
    else:
        blocks = list(SequenceMatcher(None, a, b, autojunk=False).get_opcodes())
    for kind, i1, i2, j1, j2 in blocks:
        if kind != "equal":
            rows, columns = range(start + i1, start + i2), range(start + j1, start + j2)
            yield from _pair(old, new, rows, columns)


def _pair(
    old: list[Any], new: list[Any], rows: Sequence[int], columns: Sequence[int]
) -> Iterator[tuple[int | None, int | None]]:
    """Pairs the likest elements of two stretches without crossing."""
    if len(rows) * len(columns) > _PAIRED:
        both = min(len(rows), len(columns))
        yield from zip(rows[:both], columns[:both], strict=True)
        yield from ((i, None) for i in rows[both:])
        yield from ((None, j) for j in columns[both:])
        return
    height, width = len(rows), len(columns)
    olds = [_item_words(old[i]) for i in rows]
    news = [_item_words(new[j]) for j in columns]
    likes = [
        [_kinship(old[i], new[j], a, b) for j, b in zip(columns, news, strict=True)]
        for i, a in zip(rows, olds, strict=True)
    ]
    best = [[0.0] * (width + 1) for _ in range(height + 1)]
    for r in reversed(range(height)):
        for c in reversed(range(width)):
            paired = likes[r][c] + best[r + 1][c + 1] if likes[r][c] else 0.0
            best[r][c] = max(paired, best[r + 1][c], best[r][c + 1])
    r = c = 0
    while r < height and c < width:
        if likes[r][c] and best[r][c] == likes[r][c] + best[r + 1][c + 1]:
            yield rows[r], columns[c]
            r, c = r + 1, c + 1
        elif best[r][c] == best[r + 1][c]:
            yield rows[r], None
            r += 1
        else:
            yield None, columns[c]
            c += 1
    yield from ((i, None) for i in rows[r:])
    yield from ((None, j) for j in columns[c:])


def _item_words(item: Any) -> frozenset[bytes]:
    return words(_spell(item).encode()) if isinstance(item, dict) else frozenset()


def _kinship(old: Any, new: Any, a: frozenset[bytes], b: frozenset[bytes]) -> float:
    """How likely one list element became the other, given their words: 0 for never."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return 0.5 if type(old) is type(new) else 0.0
    weight = len(a & b) / (len(a | b) or 1)
    same = all(old.get(key) == new.get(key) for key in ("role", "type", "name"))
    if not same and weight < 0.5:
        return 0.0
    return weight + 0.3 * same


_spell = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


# --- showing ---

SIDE = 70
_CONTEXT = 16
_PLAIN_NAME = re.compile(r"[A-Za-z_$][\w$-]*", re.ASCII)
_WORD_LENGTH = 64


def difference(change: Change) -> Difference:
    if isinstance(change.recorded, str) and isinstance(change.live, str):
        recorded, live = _excerpts(change.recorded, change.live)
        if change.place == "size":
            recorded, live = change.recorded, change.live
    else:
        recorded = "" if change.kind in ("added", "reordered") else _brief(change.recorded)
        live = "" if change.kind in ("missing", "reordered") else _brief(change.live)
    return Difference(_write_path(change), recorded, live, change.kind, change.note)


def _write_path(change: Change) -> str:
    """The path as a person reads it: ``messages[3].content``, ``query.alt``, ``method``."""
    if change.place in ("query", "headers"):
        return f"{change.place}.{printable(str(change.keys[0]))}"
    if change.place in ("body", "generated", "size"):
        path = json_path(change.keys).removeprefix("$").removeprefix(".") or "body"
        return path if change.last is None else f"{path[:-1]}..{change.last}]"
    return change.place


def json_path(keys: Keys) -> str:
    parts = ["$"]
    for key in keys:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif _PLAIN_NAME.fullmatch(key):
            parts.append(f".{key}")
        else:
            quoted = printable(key).replace("\\", "\\\\").replace("'", "\\'")
            parts.append(f"['{quoted}']")
    return "".join(parts)


def printable(text: str) -> str:
    """The text with what cannot be printed spelt out, line ends and terminal codes too."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _brief(value: Any) -> str:
    """The beginning of a value as JSON."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = ""
    for piece in json.JSONEncoder(ensure_ascii=False, check_circular=False).iterencode(value):
        text += piece[: SIDE + 1]
        if len(text) > SIDE:
            return printable(text[: SIDE - 1]) + "…"
    return printable(text)


def _excerpts(old: str, new: str) -> tuple[str, str]:
    """The first words that differ, each side with a little of what stands around them."""
    start, old_end, new_end = middle(old, new)
    return _excerpt(old, start, old_end), _excerpt(new, start, new_end)


def _excerpt(text: str, start: int, end: int) -> str:
    left = max(0, start - _CONTEXT)
    if left:
        left += text[left:start].find(" ") + 1
    right = min(len(text), end + _CONTEXT, left + SIDE - 2)
    if right < len(text) and " " in text[start + 1 : right]:
        right = text.rindex(" ", start + 1, right)
    head = "…" if left else ""
    tail = "…" if right < len(text) else ""
    return f'"{head}{printable(text[left:right])}{tail}"'


def middle(old: str, new: str) -> tuple[int, int, int]:
    """What is left without the common beginning and end, widened to whole words."""
    start = common(old, new, 1)
    stop = max(0, start - _WORD_LENGTH)
    while start > stop and _is_word(old[start - 1]):
        start -= 1
    end = min(common(old, new, -1), len(old) - start, len(new) - start)
    stop = max(0, end - _WORD_LENGTH)
    while end > stop and _is_word(old[-end]):
        end -= 1
    return start, len(old) - end, len(new) - end


def _is_word(character: str) -> bool:
    return character.isalnum() or character in "_-"


def common(a: Bytes, b: Bytes, step: Literal[1, -1]) -> int:
    """The length of the common beginning (1) or end (-1), by bisection over slices."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        half = (low + high + 1) // 2
        if step == 1:
            same = a[low:half] == b[low:half]
        else:
            same = a[len(a) - half : len(a) - low] == b[len(b) - half : len(b) - low]
        low, high = (half, high) if same else (low, half - 1)
    return low
