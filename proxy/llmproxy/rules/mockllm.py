"""Reads the ``responses.yml`` of mockllm as rules.

Each of its prompts is a rule whose condition is that the user last said exactly that; a last
rule, without a condition, gives the response for all others. A stream goes out character by
character, with mockllm's lag where that is switched on. Its settings that say nothing of
answers are passed over: versions of it differ in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llmproxy.answer import Text
from llmproxy.conditions.reading import read_when
from llmproxy.findings import Finding, Path, nearest
from llmproxy.members import NO_VALUE, Keys, Mark, note, note_unknown, read_mapping
from llmproxy.rules.rule import Rule, RulePace, Said
from llmproxy.synthesis.scripted import Script
from llmproxy.units import quote

KEYS = frozenset(("responses", "defaults", "settings"))
MOST_RESPONSES = 10_000

_UNKNOWN = "I don't know the answer to that."
_LAG_FACTOR = 10
_CHARACTERS_PER_FACTOR = 10
"""mockllm waits ``1 / (lag_factor * 10)`` seconds for a character, give or take half of it."""
_LAG_JITTER = 0.5
_LONGEST_NAME = 60
_TRUE, _FALSE = ("yes", "on"), ("no", "off")
"""What mockllm's reader of YAML takes for true and false, in any case; ours leaves it as text."""


def read_responses(
    data: Mapping[str, object], mark: Mark, found: list[Finding]
) -> tuple[Rule, ...]:
    """The rules that stand for the responses; findings for what cannot be."""
    for key in data:
        if key not in KEYS:
            note_unknown(found, (key,), sorted(KEYS), "no such key in a file of responses")
    if "responses" not in data:
        note(found, ("responses",), "is missing; write responses: and prompts below it")
    pace = _pace(_group(data, "settings", found), found)
    maker = _Maker(mark, found, pace)
    responses = _group(data, "responses", found)
    if len(responses) > MOST_RESPONSES:
        said = f"has {len(responses):,} prompts; at most {MOST_RESPONSES:,}, divide the file"
        note(found, ("responses",), said)
        return ()
    rules = [
        maker.rule(_name(prompt), {"text": prompt}, reply, ("responses", prompt))
        for prompt, reply in responses.items()
    ]
    defaults = _group(data, "defaults", found)
    _mistyped(defaults, ("defaults",), ("unknown_response",), found)
    unknown, path = defaults.get("unknown_response", _UNKNOWN), ("defaults", "unknown_response")
    rules.append(maker.rule("unknown_response", {}, unknown, path))
    return tuple(rule for rule in rules if rule is not None)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the rules of one file, all with the same pace."""

    mark: Mark
    found: list[Finding]
    pace: RulePace
    keys: Keys = field(default_factory=Keys)

    def rule(self, name: str, when: object, reply: object, path: Path) -> Rule | None:
        text = _text(reply, path, self.found)
        condition = read_when(when, path, self.found)
        if text is None or condition is None:
            return None
        said = Said(Script((Text(text),), uncut=True))
        key = self.keys.next([when, text, dict(self.pace.changes)])
        return Rule(name, condition, (said,), pace=self.pace, place=self.mark(path), key=key)


def _group(data: Mapping[str, object], name: str, found: list[Finding]) -> Mapping[str, object]:
    """What stands below a key; one with nothing below it says nothing."""
    group = data.get(name)
    return {} if group is None else read_mapping(group, (name,), found, "key: value below it")


def _mistyped(
    group: Mapping[str, object], path: Path, names: Sequence[str], found: list[Finding]
) -> None:
    """Find keys that nearly are one of ours; others may be those of another version."""
    for key in group:
        if key not in names and (close := nearest(key, names)) and close not in group:
            note(found, (*path, key), f"no such setting; did you mean {close}?", key=True)


def _text(data: object, path: Path, found: list[Finding]) -> str | None:
    """A response as it was written, as far as YAML has not made a number of it."""
    if isinstance(data, str):
        return data
    if isinstance(data, bool | int | float):
        return quote(data)
    said = f"{quote(data)} is not text; write the response in quotes"
    note(found, path, NO_VALUE if data is None else said)
    return None


def _pace(settings: Mapping[str, object], found: list[Finding]) -> RulePace:
    _mistyped(settings, ("settings",), ("lag_enabled", "lag_factor"), found)
    changes: dict[str, object] = {"chunk_unit": "char"}
    enabled = _flag(settings.get("lag_enabled", False), ("settings", "lag_enabled"), found)
    factor = settings.get("lag_factor", _LAG_FACTOR)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or factor <= 0:
        said = f"{quote(factor)} is not a number above 0; write one such as {_LAG_FACTOR}"
        note(found, ("settings", "lag_factor"), NO_VALUE if factor is None else said)
    elif enabled:
        changes["characters_per_second"] = float(factor * _CHARACTERS_PER_FACTOR)
        changes |= {"jitter": _LAG_JITTER, "distribution": "uniform"}
    return RulePace(changes)


def _flag(data: object, path: Path, found: list[Finding]) -> bool:
    if isinstance(data, bool):
        return data
    word = data.lower() if isinstance(data, str) else ""
    if word not in (*_TRUE, *_FALSE):
        said = f"{quote(data)} is neither true nor false"
        note(found, path, NO_VALUE if data is None else said)
    return word in _TRUE


def _name(prompt: str) -> str:
    """The prompt in one printable line, cut; never empty."""
    line = (
        " ".join("".join(c if c.isprintable() else " " for c in prompt[:1000]).split()) or "(blank)"
    )
    return line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1].rstrip() + "…"
