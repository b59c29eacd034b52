"""Which lines of ``proxy.yml`` would make a recorded and a live request match.

What changed is left out as narrowly as can be: a pattern for what looks generated, the one
field, the one parameter. Every proposal is tried out on the two requests before it is told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any
from urllib.parse import unquote_plus

from llmproxy.errors import SettingsError
from llmproxy.matching.canonical import Canonicaliser, MatchSettings, Pattern
from llmproxy.matching.differences import Change, Form, common, json_path, middle

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


def accept(theirs: Form, ours: Form, canonicaliser: Canonicaliser, changes: list[Change]) -> str:
    """The lines of ``proxy.yml`` that make the two match, tried out; empty if none do."""
    if canonicaliser.exact(theirs.request) == canonicaliser.exact(ours.request):
        return ""
    settings = canonicaliser.settings
    for proposal in _proposals(settings, changes):
        if _match(theirs, ours, proposal):
            return _write_yaml(settings, proposal)
    return ""


def _proposals(settings: MatchSettings, changes: list[Change]) -> Iterator[MatchSettings]:
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


def _match(theirs: Form, ours: Form, settings: MatchSettings) -> bool:
    try:
        canonicaliser = Canonicaliser(settings)
    except SettingsError:
        return False
    a = canonicaliser.fingerprints(theirs.request, theirs.day)
    b = canonicaliser.fingerprints(ours.request, ours.day)
    return a.canonical == b.canonical or a.loose == b.loose or a.transcript == b.transcript


def _narrow(
    settings: MatchSettings, changes: list[Change], *, prompt: bool = False
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
            ignore.append(json_path(change.keys))
    return replace(
        settings,
        ignore=tuple(dict.fromkeys(ignore)),
        ignore_query=tuple(dict.fromkeys(ignore_query)),
        headers=tuple(headers),
        patterns=tuple(patterns),
    )


def _is_ignorable(change: Change) -> bool:
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
    start, old_end, new_end = middle(old, new)
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
    prefix = old[: common(old, new, 1)]
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
