"""Makes rules of a file's data, and gathers all that is wrong in it.

Data is what a YAML file holds: plain values, keys that are texts. Whoever has the file knows
where each path stands; here a path is all there is. A rule with a mistake is left out, its
mistakes are findings.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, get_args

from llmproxy.conditions.reading import read_when, when_schema
from llmproxy.faults.effects import READERS, read_effect
from llmproxy.faults.fault import Effect
from llmproxy.findings import Finding, Path, nearest
from llmproxy.members import (
    NO_VALUE,
    Keys,
    Mark,
    check_members,
    note,
    read_line,
    read_list,
    read_mapping,
    read_whole,
    read_word,
)
from llmproxy.rules import mockllm, replies
from llmproxy.rules.paces import read_pace
from llmproxy.rules.rule import After, Count, Rule, RuleReply
from llmproxy.units import quote

MOST_RULES = 10_000
MOST_REPLIES = 100
LONGEST_NAME = 200
MOST_TIMES = 1_000_000_000

RULE = ("name", "when", "reply", "replies", "count", "after", "times", "pace", "fault")
"""All that may stand in a rule."""

_LISTS = ("rules", "responses")
"""What a file of rules holds: ours, or mockllm's."""
_MOST_LOOKED_AT = 20
"""Unknown keys among which one is looked for that means the one that is missing."""


@dataclass(frozen=True, slots=True)
class Include:
    """A file, as written, whose rules stand here."""

    file: str
    path: Path


def read_file(data: object, mark: Mark, found: list[Finding]) -> tuple[Rule | Include, ...]:
    """The rules of a file that holds nothing else: ours, or mockllm's ``responses:``."""
    if data is None:
        return ()
    if not isinstance(data, Mapping):
        note(found, ("rules",), "is missing; write rules: and a list below it")
        return ()
    if "rules" not in data and not mockllm.KEYS.isdisjoint(data):
        return mockllm.read_responses(data, mark, found)
    others = [key for key in data if key != "rules"]
    says = (functools.partial(_not_rules, key, data) for key in others)
    found += [Finding((key,), key=True, say=say) for key, say in zip(others, says, strict=True)]
    alike = (nearest(key, _LISTS) for key in others[:_MOST_LOOKED_AT])
    if "rules" not in data and not any(alike):
        note(found, ("rules",), "is missing; write rules: and a list below it")
    return read_rules(data.get("rules"), ("rules",), mark, found)


def _not_rules(key: str, data: Mapping[str, object]) -> str:
    close = None if "rules" in data else nearest(key, _LISTS)
    if close:
        return f"no such key; did you mean {close}?"
    if key in mockllm.KEYS:
        return "stands beside rules; make two files of them"
    return "only rules: is read in a file of rules"


def read_rules(
    data: object, path: Path, mark: Mark, found: list[Finding]
) -> tuple[Rule | Include, ...]:
    """The rules, and the files that stand among them.

    Args:
        data: what stands at ``rules:``.
        path: where that is.
        mark: gives ``Rule.place`` of a path.
        found: gets what is wrong.
    """
    mend = f"write [{data}]" if _is_file_name(data) else "begin each rule with - name:"
    items, reader = (
        read_list(data, path, found, MOST_RULES, "rule", mend, ", divide the file"),
        _Reader(mark, found),
    )
    read = (reader.item(item, (*path, number)) for number, item in enumerate(items))
    return tuple(item for item in read if item is not None)


def _is_file_name(data: object) -> bool:
    return isinstance(data, str) and data.isprintable() and len(data) <= 60


@dataclass(slots=True)
class _Reader:
    """Reads the items of one list; counts rules that are equal."""

    mark: Mark
    found: list[Finding]
    keys: Keys = field(default_factory=Keys)

    def item(self, data: object, path: Path) -> Rule | Include | None:
        if isinstance(data, str):
            file = replies.read_file_name(data, path, self.found)
            return None if file is None else Include(file, path)
        if isinstance(data, Mapping):
            return self.rule(data, path)
        said = f"{quote(data)} is neither a rule nor the name of a file of rules"
        note(self.found, path, NO_VALUE if data is None else said)
        return None

    def rule(self, data: Mapping[str, object], path: Path) -> Rule | None:
        found, before = self.found, len(self.found)
        unknown = [key for key in data if key not in RULE]
        for key in unknown:
            say = functools.partial(_unknown, key, data)
            found.append(Finding((*path, key), key=True, say=say))
        name = f"rule {int(path[-1]) + 1}"
        if "name" in data:
            name = read_line(data["name"], (*path, "name"), LONGEST_NAME, found, "a name") or name
        when = read_when(data.get("when", {}), (*path, "when"), found)
        count = len(found)
        given = self.replies(data, path, unknown)
        told = given if len(found) == count else ()
        values: dict[str, Any] = {}
        for member, words in (("count", get_args(Count)), ("after", get_args(After))):
            if member in data:
                values[member] = read_word(data[member], (*path, member), words, found)
        if "times" in data:
            values["times"] = read_whole(data["times"], (*path, "times"), 1, MOST_TIMES, found)
        if "pace" in data:
            values["pace"] = read_pace(data["pace"], (*path, "pace"), told, found)
        if "fault" in data:
            values["fault"] = _read_fault(data["fault"], (*path, "fault"), found)
        if when is None or len(found) > before:
            return None
        return Rule(name, when, given, **values, place=self.mark(path), key=self.keys.next(data))

    def replies(
        self, data: Mapping[str, object], path: Path, unknown: list[str]
    ) -> tuple[RuleReply, ...]:
        """The replies that can be read; findings for the rest."""
        listed, found = data.get("replies"), self.found
        if "reply" in data:
            if "replies" in data:
                said = "stands beside replies; leave one of the two"
                note(found, (*path, "reply"), said, key=True)
            elif isinstance(data["reply"], list):
                note(found, (*path, "reply"), "this list is no reply; write replies: for several")
            else:
                read = replies.read_reply(data["reply"], (*path, "reply"), found)
                return () if read is None else (read,)
        elif "replies" not in data:
            meant = (_meant(key, data) for key in islice(unknown, _MOST_LOOKED_AT))
            if not any(name in ("reply", "replies") for name in meant):
                note(found, path, "has no reply; write reply: {text: hello}")
        elif not isinstance(listed, list):
            said = f"{quote(listed)} is not a list; write reply: for a single one"
            note(found, (*path, "replies"), NO_VALUE if listed is None else said)
        elif not 1 <= len(listed) <= MOST_REPLIES:
            count = f"has {len(listed):,}" if listed else "is empty"
            note(found, (*path, "replies"), f"{count}; write 1 to {MOST_REPLIES} replies")
        else:
            inside = (*path, "replies")
            each = (replies.read_reply(r, (*inside, n), found) for n, r in enumerate(listed))
            return tuple(read for read in each if read is not None)
        return ()


def _read_fault(data: object, path: Path, found: list[Finding]) -> Effect | None:
    before = len(found)
    members = read_mapping(data, path, found, "{cut: {before_chunk: 3}}")
    members = check_members(members, path, tuple(READERS), found)
    return read_effect(members, path, found) if len(found) == before else None


def _unknown(key: str, rule: Mapping[str, object]) -> str:
    if home := _home(key, rule):
        return f"stands in the rule itself; write it under {home}:"
    close = nearest(key, RULE)
    mend = f"did you mean {close}?" if close else f"there are {', '.join(RULE)}"
    return f"no such member of a rule; {mend}"


def _meant(key: str, rule: Mapping[str, object]) -> str | None:
    """The member of a rule that an unknown key belongs under, or probably means."""
    return _home(key, rule) or nearest(key, RULE)


def _home(key: str, rule: Mapping[str, object]) -> str:
    """Under which member of a rule a key belongs; empty where it belongs nowhere."""
    homes = [
        home
        for home, names in (("reply", replies.MEMBERS), ("when", _conditions()))
        if key in names
    ]
    if len(homes) == 2:
        has_reply = "reply" in rule or "replies" in rule
        return "when" if has_reply and "when" not in rule else "reply"
    return homes[0] if homes else ""


@functools.cache
def _conditions() -> frozenset[str]:
    """The names of all conditions."""
    node, defs = when_schema()
    while "$ref" in node:
        node = defs[node["$ref"].rpartition("/")[2]]
    return frozenset(node["properties"])
