"""The pace of a rule: what it changes of the settings of ``pace:``, or of a recording's rhythm.

A mapping has the members of ``PaceSettings`` and is read by the kinds that stand in its type
hints; a word is a factor of recorded time, or ``instant`` for any reply. What a speed replaces
is the same as where a request says its own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from llmproxy.findings import Finding, Path
from llmproxy.kinds import PACE, Kind
from llmproxy.members import NO_VALUE, note, note_unknown, read_word
from llmproxy.rhythm import PaceSettings
from llmproxy.rules.rule import Forward, Recorded, RulePace, RuleReply
from llmproxy.units import quote

_SPEEDS: Mapping[str, float | None] = {
    "tokens_per_second": None,
    "characters_per_second": None,
    "chunk_delay": 0.0,
    "chunk_jitter": 0.0,
}
"""What says how fast chunks follow each other, and what it is where another says it."""
_INSTANT: Mapping[str, float | None] = {**_SPEEDS, "like": None, "ttft": None, "prefill": 0.0}


def apply(pace: RulePace | None, settings: PaceSettings) -> PaceSettings:
    """The pace of a reply that is not recorded.

    A speed takes the place of every speed that the rule does not give, a time to first token
    that of ``prefill``. A factor is about recorded time and changes nothing here, except that
    an infinite one is at once.
    """
    if pace is None:
        return settings
    if pace.factor is not None:
        return replace(settings, **_INSTANT) if math.isinf(pace.factor) else settings  # type: ignore[arg-type]  # by field name
    changes = pace.changes
    if not changes.keys().isdisjoint(("tokens_per_second", "characters_per_second", "chunk_delay")):
        changes = {**_SPEEDS, **changes}
    if "ttft" in changes:
        changes = {"prefill": 0.0, **changes}
    return replace(settings, **changes)


def read_pace(
    data: object, path: Path, replies: Sequence[RuleReply], found: list[Finding]
) -> RulePace | None:
    """What stands at ``pace:`` of a rule; None and findings where it cannot be.

    ``replies`` are the rule's; none where they are not known, so that nothing is said of them.
    """
    if replies and all(isinstance(reply, Forward) for reply in replies):
        note(found, path, "an upstream's reply comes as it comes; remove the pace", key=True)
        return None
    if isinstance(data, Mapping):
        return _read_changes(data, path, found)
    if data is None:
        note(found, path, NO_VALUE)
        return None
    recorded = not replies or any(isinstance(reply, Recorded) for reply in replies)
    try:
        factor = PACE.read(data)
    except ValueError:
        words = "recorded, instant, 2x" if recorded else "instant"
        said = f"{quote(data)} is not a pace; write {words} or {{tokens_per_second: 40}}"
        note(found, path, said)
        return None
    if not recorded and not math.isinf(factor):
        said = f"{quote(data)} is for recorded replies; write instant or {{tokens_per_second: 40}}"
        note(found, path, said)
        return None
    return RulePace(factor=factor)


def _read_changes(data: Mapping[str, object], path: Path, found: list[Finding]) -> RulePace | None:
    before = len(found)
    members = _members()
    changes: dict[str, Any] = {}
    for name, value in data.items():
        inside = (*path, name)
        if name == "like":
            said = "a rule follows no cassette's rhythm; set like under pace: in the settings"
            note(found, inside, said, key=True)
        elif name not in members:
            note_unknown(found, inside, tuple(members), "no such member")
        else:
            changes[name] = _read_member(value, inside, members[name], found)
    if not data:
        note(found, path, "says nothing; write {tokens_per_second: 40} or remove the line")
    return RulePace(changes) if len(found) == before else None


def _read_member(value: object, path: Path, hint: Any, found: list[Finding]) -> Any:
    kind, words, optional = taken(hint)
    if value is None:
        if not optional:
            note(found, path, NO_VALUE)
        return None
    if words:
        return read_word(value, path, words, found)
    if kind is None:
        if not isinstance(value, str):
            note(found, path, f"{quote(value)} is not text; put it in quotes")
        return value
    try:
        return kind.read(value)
    except ValueError as error:
        note(found, path, str(error))
        return None


def taken(hint: Any) -> tuple[Kind | None, tuple[str, ...], bool]:
    """What a member takes: a kind or words, neither is text; and whether null."""
    inner = get_args(hint)
    if type(None) in inner:
        kind, words, _ = taken(next(each for each in inner if each is not type(None)))
        return kind, words, True
    if get_origin(hint) is Annotated:
        return hint.__metadata__[0], (), False
    return None, inner if get_origin(hint) is Literal else (), False


def pace_schema() -> dict[str, Any]:
    """JSON Schema of ``pace:`` in a rule."""
    helps = {each.name: each.metadata["help"] for each in fields(PaceSettings)}
    properties = {
        name: {**_member_schema(hint), "description": helps[name]}
        for name, hint in _members().items()
    }
    mapping = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": properties,
    }
    return {"anyOf": [dict(PACE.schema), mapping]}


def _member_schema(hint: Any) -> dict[str, Any]:
    kind, words, optional = taken(hint)
    schema = dict(kind.schema) if kind else {"enum": list(words)} if words else {"type": "string"}
    return {"anyOf": [schema, {"type": "null"}]} if optional else schema


@functools.cache
def _members() -> Mapping[str, Any]:
    """The type hints of all members that a rule may set, by name."""
    hints = get_type_hints(PaceSettings, include_extras=True)
    return {name: hint for name, hint in hints.items() if name != "like"}
