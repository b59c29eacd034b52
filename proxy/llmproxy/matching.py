"""Why a request missed: the recorded requests nearest to it, and how each differs.

Strategy: every kept request is weighed by the words it shares with the live one, on a sample
of bounded size and without parsing; only the best few are brought into canonical form and
compared node by node, lists aligned first, so that one inserted message is one difference.
What is shown is bounded: few differences, short excerpts. The lines of ``proxy.yml`` that
would accept a candidate are tried out before they are told.

Knows nothing of cassettes, HTTP or the clock. Compares what is redacted already.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import SequenceMatcher
from itertools import islice
from typing import Any, Literal, TypeVar
from urllib.parse import unquote_plus

from llmproxy.canonical import Canonicaliser, MatchSettings, Pattern, raw_body
from llmproxy.errors import SettingsError
from llmproxy.interaction import RecordedRequest

Kind = Literal["changed", "missing", "added", "reordered"]
"""``missing``: only recorded. ``added``: only live."""
Keys = tuple[str | int, ...]
Kept = tuple[int, str, RecordedRequest, date]
"""An interaction's id, the name of its cassette, its request and the day it was recorded."""

SHOWN = 8
"""Differences of one candidate that are told; the rest is counted."""

Bytes = TypeVar("Bytes", str, bytes)

_MOST_KEPT = 2000
_MOST_KEPT_BYTES = 256_000_000
_SHORTLIST = 8
_SAMPLE = 4_500
_MOST_BYTES = 16_000_000
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
class Candidate:
    """A recorded request near to a live one.

    ``score`` is 1 for equal and 0 for nothing in common; ``more`` counts differences that
    are not told (counting ends at 200 in all); ``accept`` is YAML for ``proxy.yml``, or empty where only recording anew
    helps.
    """

    interaction: int
    cassette: str
    score: float
    differences: tuple[Difference, ...]
    accept: str
    more: int = 0


@dataclass(frozen=True, slots=True)
class _Change:
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
class _Form:
    """A request in the form in which it is compared; ``text`` is its JSON or its bytes."""

    request: RecordedRequest
    day: date
    tree: Any
    text: bytes


def rank(
    live: RecordedRequest,
    kept: Iterable[Kept],
    canonicaliser: Canonicaliser,
    now: date,
    limit: int = 3,
) -> tuple[Candidate, ...]:
    """The kept requests nearest to ``live``, nearest first.

    Looks at the first 2,000 or 256 MB at most, so the likely ones should come first. ``now``
    is today.
    """
    weighed = (
        (_likeness(live.body, each[2].body) * _nearness(live, each[2]), -number, each)
        for number, each in enumerate(_bounded(kept))
    )
    shortlist = heapq.nlargest(max(limit, _SHORTLIST), weighed, key=lambda entry: entry[:2])
    ours = _form(live, now, canonicaliser)
    found: list[tuple[float, int, int, str, _Form, list[_Change]]] = []
    spent = 0
    for _, order, (number, cassette, request, day) in shortlist:
        if found and spent > _MOST_BYTES:
            break
        spent += len(request.body) + len(live.body)
        theirs = _form(request, day, canonicaliser)
        changes = _compare(theirs, ours, canonicaliser)
        score = _likeness(ours.text, theirs.text) * _nearness(live, request)
        score -= len(changes) / 1000
        found.append((max(0.0, score), order, number, cassette, theirs, changes))
    found.sort(key=lambda entry: entry[:2], reverse=True)
    return tuple(
        Candidate(
            interaction=number,
            cassette=cassette,
            score=round(score, 3),
            differences=tuple(_difference(change) for change in changes[:SHOWN]),
            accept=_accept(theirs, ours, canonicaliser, changes),
            more=max(0, len(changes) - SHOWN),
        )
        for score, _, number, cassette, theirs, changes in found[:limit]
    )


def _bounded(kept: Iterable[Kept]) -> Iterator[Kept]:
    size = 0
    for each in islice(kept, _MOST_KEPT):
        yield each
        size += len(each[2].body)
        if size > _MOST_KEPT_BYTES:
            return


def _form(request: RecordedRequest, day: date, canonicaliser: Canonicaliser) -> _Form:
    tree = None
    if len(request.body) <= _MOST_BYTES:
        tree = canonicaliser.tree(request, day, ordinals=True)
    text = raw_body(request) if tree is None else _spell(tree).encode()
    return _Form(request, day, tree, text)


# --- weighing ---


def _likeness(ours: bytes, theirs: bytes) -> float:
    """From 0 to 1: what two bodies share at either end, and the words of what is between."""
    if ours == theirs:
        return 1.0
    start = _common(ours, theirs, 1)
    end = min(_common(ours, theirs, -1), len(ours) - start, len(theirs) - start)
    same = (start + end) / max(len(ours), len(theirs))
    a = _words(ours[start : len(ours) - end])
    b = _words(theirs[start : len(theirs) - end])
    return same + (1.0 - same) * len(a & b) / (len(a | b) or 1)


def _words(text: bytes) -> frozenset[bytes]:
    """The words of a text; of a long one those of its beginning and its end."""
    if len(text) > _SAMPLE:
        text = text[: _SAMPLE // 3] + b" " + text[-2 * _SAMPLE // 3 :]
    return frozenset(text.replace(b'"', b" ").split())


def _nearness(live: RecordedRequest, kept: RecordedRequest) -> float:
    places = (
        (live.method, kept.method),
        (live.path, kept.path),
        (live.upstream, kept.upstream),
    )
    return float(0.7 ** sum(ours != theirs for ours, theirs in places))


# --- comparing ---


def _compare(theirs: _Form, ours: _Form, canonicaliser: Canonicaliser) -> list[_Change]:
    """All differences that count; where none does, those in generated values."""
    recorded, live = theirs.request, ours.request
    changes = list(_outside(recorded, live, canonicaliser))
    if theirs.tree is None or ours.tree is None:
        if theirs.text != ours.text:
            raw = _as_text(raw_body(recorded)), _as_text(raw_body(live))
            changes.append(_Change("body", (), "changed", *raw))
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
) -> Iterator[_Change]:
    """What differs outside the body."""
    for place in ("upstream", "method", "path"):
        old, new = getattr(recorded, place), getattr(live, place)
        if old != new:
            only_version = old.removeprefix("/v1") == new.removeprefix("/v1")
            note = "only /v1 differs: compare the base URLs" if only_version else ""
            yield _Change(place, (), "changed", old, new, note)
    olds, news = (_parameters(canonicaliser.query(each)) for each in (recorded, live))
    yield from _named("query", olds, news)
    names = {name.lower() for name in canonicaliser.settings.headers}
    yield from _named("headers", _headers(recorded, names), _headers(live, names))


def _named(place: str, olds: dict[str, str], news: dict[str, str]) -> Iterator[_Change]:
    for name in sorted(olds.keys() | news.keys()):
        old, new = olds.get(name), news.get(name)
        if old != new:
            kind: Kind = "added" if old is None else "missing" if new is None else "changed"
            yield _Change(place, (name,), kind, old, new)


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


def _walk(old: Any, new: Any, keys: Keys, changes: list[_Change]) -> None:
    if len(changes) >= _MOST_CHANGES:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if key not in new:
                changes.append(_Change("body", (*keys, key), "missing", recorded=old[key]))
            elif key not in old:
                changes.append(_Change("body", (*keys, key), "added", live=new[key]))
            else:
                _walk(old[key], new[key], (*keys, key), changes)
    elif isinstance(old, list) and isinstance(new, list):
        _walk_lists(old, new, keys, changes)
    elif type(old) is not type(new) or old != new:
        changes.append(_Change("body", keys, "changed", old, new))


def _walk_lists(old: list[Any], new: list[Any], keys: Keys, changes: list[_Change]) -> None:
    lists_above = sum(isinstance(key, int) for key in keys)
    if max(len(old), len(new)) > _LONG_LIST or lists_above > _MOST_ALIGNED_LEVELS:
        _walk_pairs(old, new, keys, changes)
        return
    olds, news = [_spell(item) for item in old], [_spell(item) for item in new]
    if olds == news:
        return
    if sorted(olds) == sorted(news):
        changes.append(_Change("body", keys, "reordered"))
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
    changes += (_Change("body", (*keys, j), "reordered") for j in come if news[j] in moved)
    for kind, items, indexes, spelt in (
        ("missing", old, gone, olds),
        ("added", new, come, news),
    ):
        left = [index for index in indexes if spelt[index] not in moved]
        changes += _runs(kind, items, left, keys)  # type: ignore[arg-type]  # two literals


def _walk_pairs(old: list[Any], new: list[Any], keys: Keys, changes: list[_Change]) -> None:
    """Lists too long or too deep to align, position by position."""
    for index, (a, b) in enumerate(zip(old, new, strict=False)):
        if len(changes) >= _MOST_CHANGES:
            return
        _walk(a, b, (*keys, index), changes)
    if len(old) != len(new):
        sizes = f"{len(old)} items", f"{len(new)} items"
        changes.append(_Change("size", keys, "changed", *sizes))


def _runs(kind: Kind, items: list[Any], indexes: list[int], keys: Keys) -> Iterator[_Change]:
    """One change for each run of neighbours that only one side has."""
    start = 0
    for end in range(1, len(indexes) + 1):
        if end < len(indexes) and indexes[end] == indexes[end - 1] + 1:
            continue
        first, count = indexes[start], end - start
        value = items[first]
        values = {"recorded": value} if kind == "missing" else {"live": value}
        role = value.get("role") if isinstance(value, dict) else ""
        note = f"{count} items" if count > 1 else _printable(str(role or ""))[:_SIDE]
        last = indexes[end - 1] if count > 1 else None
        yield _Change("body", (*keys, first), kind, note=note, last=last, **values)
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
    return _words(_spell(item).encode()) if isinstance(item, dict) else frozenset()


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

_SIDE = 70
_CONTEXT = 16
_PLAIN_NAME = re.compile(r"[A-Za-z_$][\w$-]*", re.ASCII)
_WORD_LENGTH = 64


def _difference(change: _Change) -> Difference:
    if isinstance(change.recorded, str) and isinstance(change.live, str):
        recorded, live = _excerpts(change.recorded, change.live)
        if change.place == "size":
            recorded, live = change.recorded, change.live
    else:
        recorded = "" if change.kind in ("added", "reordered") else _brief(change.recorded)
        live = "" if change.kind in ("missing", "reordered") else _brief(change.live)
    return Difference(_write_path(change), recorded, live, change.kind, change.note)


def _write_path(change: _Change) -> str:
    """The path as a person reads it: ``messages[3].content``, ``query.alt``, ``method``."""
    if change.place in ("query", "headers"):
        return f"{change.place}.{_printable(str(change.keys[0]))}"
    if change.place in ("body", "generated", "size"):
        path = _json_path(change.keys).removeprefix("$").removeprefix(".") or "body"
        return path if change.last is None else f"{path[:-1]}..{change.last}]"
    return change.place


def _json_path(keys: Keys) -> str:
    parts = ["$"]
    for key in keys:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif _PLAIN_NAME.fullmatch(key):
            parts.append(f".{key}")
        else:
            quoted = _printable(key).replace("\\", "\\\\").replace("'", "\\'")
            parts.append(f"['{quoted}']")
    return "".join(parts)


def _printable(text: str) -> str:
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
        text += piece[: _SIDE + 1]
        if len(text) > _SIDE:
            return _printable(text[: _SIDE - 1]) + "…"
    return _printable(text)


def _excerpts(old: str, new: str) -> tuple[str, str]:
    """The first words that differ, each side with a little of what stands around them."""
    start, old_end, new_end = _middle(old, new)
    return _excerpt(old, start, old_end), _excerpt(new, start, new_end)


def _excerpt(text: str, start: int, end: int) -> str:
    left = max(0, start - _CONTEXT)
    if left:
        left += text[left:start].find(" ") + 1
    right = min(len(text), end + _CONTEXT, left + _SIDE - 2)
    if right < len(text) and " " in text[start + 1 : right]:
        right = text.rindex(" ", start + 1, right)
    head = "…" if left else ""
    tail = "…" if right < len(text) else ""
    return f'"{head}{_printable(text[left:right])}{tail}"'


def _middle(old: str, new: str) -> tuple[int, int, int]:
    """What is left without the common beginning and end, widened to whole words."""
    start = _common(old, new, 1)
    stop = max(0, start - _WORD_LENGTH)
    while start > stop and _is_word(old[start - 1]):
        start -= 1
    end = min(_common(old, new, -1), len(old) - start, len(new) - start)
    stop = max(0, end - _WORD_LENGTH)
    while end > stop and _is_word(old[-end]):
        end -= 1
    return start, len(old) - end, len(new) - end


def _is_word(character: str) -> bool:
    return character.isalnum() or character in "_-"


def _common(a: Bytes, b: Bytes, step: Literal[1, -1]) -> int:
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


# --- accepting ---

_NEVER = frozenset(
    {"model", "stream", "previous_response_id", "conversation", "container", "cachedContent"}
)
"""Fields that pick another answer altogether, or its format; leaving them out would give a
wrong one."""
# fmt: off
_PROMPT = frozenset({
    "messages", "input", "contents", "content", "system", "systemInstruction",
    "system_instruction", "instructions", "prompt", "text", "query", "documents", "requests",
})
# fmt: on
"""Fields that hold what is asked."""
_CAUTION = "  # whatever is said there, this answer follows"
_MOST_ACCEPTED = 20


def _accept(
    theirs: _Form, ours: _Form, canonicaliser: Canonicaliser, changes: list[_Change]
) -> str:
    """The lines of ``proxy.yml`` that make the two match, tried out; empty if none do."""
    if canonicaliser.exact(theirs.request) == canonicaliser.exact(ours.request):
        return ""
    settings = canonicaliser.settings
    for proposal in _proposals(settings, changes):
        if _match(theirs, ours, proposal):
            return _write_yaml(settings, proposal)
    return ""


def _proposals(settings: MatchSettings, changes: list[_Change]) -> Iterator[MatchSettings]:
    base = settings
    if settings.level == "exact":
        base = replace(settings, level="canonical")
    generated = all(change.place == "generated" for change in changes)
    if generated:
        if base is not settings:
            yield base
        elif changes and settings.ambiguous == "miss":
            yield replace(settings, ambiguous="in_order")
        return
    narrow = _narrow(base, changes)
    if narrow is not None:
        yield narrow
    in_body = all(change.place == "body" and change.keys for change in changes)
    if in_body and base.level != "transcript":
        yield replace(base, level="transcript")
    wide = _narrow(base, changes, prompt=True)
    if wide is not None and wide != narrow:
        yield wide


def _match(theirs: _Form, ours: _Form, settings: MatchSettings) -> bool:
    try:
        canonicaliser = Canonicaliser(settings)
    except SettingsError:
        return False
    a = canonicaliser.fingerprints(theirs.request, theirs.day)
    b = canonicaliser.fingerprints(ours.request, ours.day)
    return a.canonical == b.canonical or a.loose == b.loose or a.transcript == b.transcript


def _narrow(
    settings: MatchSettings, changes: list[_Change], *, prompt: bool = False
) -> MatchSettings | None:
    """Settings that leave out just what changed; None where that cannot or must not be.

    A change of what is asked is left out only with ``prompt``.
    """
    if len(changes) > _MOST_ACCEPTED:
        return None
    ignore, ignore_query = list(settings.ignore), list(settings.ignore_query)
    headers, patterns = list(settings.headers), list(settings.patterns)
    for change in changes:
        if change.place == "query" and change.keys[0] != "alt":
            ignore_query.append(unquote_plus(str(change.keys[0])))
        elif change.place == "headers":
            headers = [name for name in headers if name.lower() != change.keys[0]]
        elif not _is_ignorable(change):
            return None
        elif (found := _patterns(change.recorded, change.live)) is not None:
            patterns += (pattern for pattern in found if pattern not in patterns)
        elif change.keys[0] in _PROMPT and not prompt:
            return None
        else:
            ignore.append(_json_path(change.keys))
    return replace(
        settings,
        ignore=tuple(dict.fromkeys(ignore)),
        ignore_query=tuple(dict.fromkeys(ignore_query)),
        headers=tuple(headers),
        patterns=tuple(patterns),
    )


def _is_ignorable(change: _Change) -> bool:
    """Whether a field in the body may be left out: not the model, no message as a whole."""
    if change.place != "body" or not change.keys or change.keys[0] in _NEVER:
        return False
    if change.kind == "reordered" or change.last is not None:
        return False
    whole = len(change.keys) == 1 or isinstance(change.keys[-1], int)
    return not (change.keys[0] in _PROMPT and change.kind != "changed" and whole)


def _write_yaml(old: MatchSettings, new: MatchSettings) -> str:
    lines = ["match:"]
    lines += (
        f"  {name}: {getattr(new, name)}"
        for name in ("level", "ambiguous")
        if getattr(new, name) != getattr(old, name)
    )
    caution = any(_says(path) for path in new.ignore if path not in old.ignore)
    for name in ("ignore", "ignore_query", "headers"):
        if getattr(new, name) != getattr(old, name):
            line = f"  {name}: {json.dumps(list(getattr(new, name)), ensure_ascii=False)}"
            lines.append(line + _CAUTION if name == "ignore" and caution else line)
    if new.patterns != old.patterns:
        lines.append("  patterns:")
        for pattern in new.patterns:
            lines += f"    - name: {pattern.name}", f"      regex: {_quote(pattern.regex)}"
    return "\n".join(lines)


def _says(path: str) -> bool:
    return re.split(r"[.\[]", path)[1] in _PROMPT


def _quote(text: str) -> str:
    """A YAML string: in single quotes, where a backslash means itself, if that can be."""
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text)


# --- patterns for what looks generated ---

_TOKEN = re.compile(r"[A-Za-z0-9_-]+|[^A-Za-z0-9_-]+")
_MOST_TOKENS = 800
_LAST_WORD = re.compile(r"([A-Za-z]{2,24})[ \t:=#(\"'/.]{1,3}\Z")
_RESERVED = frozenset({"uuid", "time", "date", "id", "tmp", "cwd", "home"})
_CLASSES = (
    ("[0-9]", re.compile(r"[0-9]+")),
    ("[0-9a-f]", re.compile(r"[0-9a-f]+")),
    ("[0-9A-Za-z]", re.compile(r"[0-9A-Za-z]+")),
)


def _patterns(old: Any, new: Any) -> tuple[Pattern, ...] | None:
    """Patterns under which two strings are equal, if all that differs looks generated."""
    if not isinstance(old, str) or not isinstance(new, str):
        return None
    start, old_end, new_end = _middle(old, new)
    a = [match[0] for match in islice(_TOKEN.finditer(old, start, old_end), _MOST_TOKENS + 1)]
    b = [match[0] for match in islice(_TOKEN.finditer(new, start, new_end), _MOST_TOKENS + 1)]
    if len(a) != len(b) or len(a) > _MOST_TOKENS:
        return None
    found: dict[Pattern, None] = {}
    at = start
    for x, y in zip(a, b, strict=True):
        if x != y:
            pattern = _pattern(x, y, old[max(0, at - 32) : at])
            if pattern is None:
                return None
            found[pattern] = None
        at += len(x)
    return tuple(found)


def _pattern(old: str, new: str, before: str) -> Pattern | None:
    """A pattern for two tokens such as ``order-48213``; None if they look like words."""
    prefix = old[: _common(old, new, 1)]
    prefix = prefix[: max(prefix.rfind("-"), prefix.rfind("_")) + 1]
    a, b = old[len(prefix) :], new[len(prefix) :]
    if not _is_generated(a) or not _is_generated(b):
        return None
    letters = next(
        (name for name, regex in _CLASSES if regex.fullmatch(a) and regex.fullmatch(b)),
        r"[\w-]",
    )
    many = f"{{{len(a)}}}" if len(a) == len(b) else "+"
    word = _LAST_WORD.search(before)
    if prefix.strip("-_"):
        lead, name = rf"(?<![\w-]){_escape(prefix)}", prefix
    elif word:
        lead, name = f"(?<={_escape(word[0])}){_escape(prefix)}", word[1]
    else:
        lead, name = rf"(?<![\w-]){_escape(prefix)}", "generated"
    name = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    name = f"{name}_value" if name in _RESERVED else name
    return Pattern(name, rf"{lead}{letters}{many}(?![\w-])")


def _escape(text: str) -> str:
    """As ``re.escape``, but leaves alone what means nothing in a regular expression."""
    return re.sub(r"[.^$*+?{}\[\]\\|()]", r"\\\g<0>", text)


def _is_generated(text: str) -> bool:
    digits = sum(character.isdigit() for character in text)
    return digits >= 5 if digits == len(text) else digits > 0 and len(text) >= 6


# --- telling ---


def describe(candidates: Sequence[Candidate]) -> str:
    """The candidates for a person: each difference on a line, then what would accept it."""
    return "\n".join(line for candidate in candidates for line in _describe(candidate))


def _describe(candidate: Candidate) -> Iterator[str]:
    most = 99 if candidate.differences else 100
    percent = min(most, round(100 * candidate.score))
    yield f"#{candidate.interaction} in {_printable(candidate.cassette)} ({percent} % alike):"
    for difference in candidate.differences:
        yield f"  {_describe_difference(difference)}"
    if not candidate.differences:
        yield "  equal in canonical form"
    if candidate.more:
        yield f"  and {candidate.more} more"
    if candidate.accept:
        yield "  to accept it, in proxy.yml:"
        for line in candidate.accept.split("\n"):
            yield f"    {line}"


def _describe_difference(difference: Difference) -> str:
    note = f" ({difference.note})" if difference.note else ""
    match difference.kind:
        case "changed":
            return f"{difference.path}: {difference.recorded} → {difference.live}{note}"
        case "reordered":
            return f"{difference.path}{note}: in another order"
        case "missing":
            return f"{difference.path}{note}: only recorded"
        case "added":
            return f"{difference.path}{note}: only live"


def summary_line(candidates: Sequence[Candidate]) -> str:
    """The nearest candidate and where it differs: ASCII, one line, at most 300 characters.

    Paths only, no content; empty without candidates. For a response header and the log.
    """
    if not candidates:
        return ""
    nearest = candidates[0]
    paths = [difference.path[:_SIDE] for difference in nearest.differences]
    more = nearest.more
    while True:
        where = ", ".join(paths) or "nothing that counts"
        line = f"nearest is #{nearest.interaction} in {nearest.cassette[-60:]}, differs in {where}"
        line += f" and {more} more" if more else ""
        line = ascii(line)[1:-1] if not (line.isascii() and line.isprintable()) else line
        if len(line) <= 300 or not paths:
            return line[:300]
        paths.pop()
        more += 1
