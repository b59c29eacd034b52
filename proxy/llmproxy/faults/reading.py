"""Makes faults of a file's data, and gathers all that is wrong in it.

Data is what a YAML file holds: plain values, keys that are texts. A fault with a mistake is left
out, its mistakes are findings.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from llmproxy.conditions.whom import NAMES, read_for
from llmproxy.faults.calls import Calls, parse_calls
from llmproxy.faults.effects import MEMBERS, READERS, read_effect
from llmproxy.faults.failures import ERROR
from llmproxy.faults.fault import LONGEST_NAME, MOST_FAULTS, Fault, Plan
from llmproxy.faults.schema import FAULT, LARGEST_SEED, faults_schema
from llmproxy.findings import Finding, Path, nearest
from llmproxy.members import NO_VALUE, Keys, Mark, note, read_line, read_list, read_whole
from llmproxy.units import quote

__all__ = ["faults_schema", "read_faults"]

_SAID = {
    "when": "is a rule's; write for: in a fault",
    "times": "is a rule's; write calls: first 2 in a fault",
}
"""What is said of names that mean another one."""
_MOST_LOOKED_AT = 20
"""Unknown keys among which one is looked for that means the effect that is missing."""


def read_faults(data: object, path: Path, mark: Mark, found: list[Finding]) -> tuple[Fault, ...]:
    """The faults of a list.

    Args:
        data: what stands at ``faults:``.
        path: where that is.
        mark: gives ``Fault.place`` of a path.
        found: gets what is wrong.
    """
    items, keys = read_list(data, path, found, MOST_FAULTS, "fault"), Keys()
    read = (_read_fault(item, (*path, n), mark, keys, found) for n, item in enumerate(items))
    return tuple(fault for fault in read if fault is not None)


def _read_fault(
    data: object, path: Path, mark: Mark, keys: Keys, found: list[Finding]
) -> Fault | None:
    if not isinstance(data, Mapping):
        said = f"{quote(data)} is no fault; write {{error: 500}}"
        note(found, path, NO_VALUE if data is None else said)
        return None
    before = len(found)
    unknown = [key for key in data if key not in FAULT]
    for key in unknown:
        say = functools.partial(_unknown, key, data)
        found.append(Finding((*path, key), key=True, say=say))
    name = f"fault {int(path[-1]) + 1}"
    if "name" in data:
        name = read_line(data["name"], (*path, "name"), LONGEST_NAME, found, "a name") or name
    when = read_for(data.get("for", {}), (*path, "for"), found)
    plan = _read_plan(data, path, found)
    effect = None
    if not READERS.keys().isdisjoint(data) or not any(_meant_effects(data, unknown)):
        effect = read_effect(data, path, found)
    if when is None or effect is None or len(found) > before:
        return None
    return Fault(name, when, plan, effect, place=mark(path), key=keys.next(data))


def _read_plan(data: Mapping[str, object], path: Path, found: list[Finding]) -> Plan:
    values: dict[str, Any] = {}
    if "rate" in data:
        values["rate"] = _read_rate(data["rate"], (*path, "rate"), found)
    if "seed" in data:
        values["seed"] = read_whole(data["seed"], (*path, "seed"), 0, LARGEST_SEED, found)
    if "calls" in data:
        values["calls"] = _read_calls(data["calls"], (*path, "calls"), found)
    return Plan(**values)


def _read_rate(data: object, path: Path, found: list[Finding]) -> float:
    if isinstance(data, int | float) and not isinstance(data, bool) and 0 <= data <= 1:
        return float(data)
    said = f"{quote(data)} is not a number from 0 to 1; write one such as 0.1"
    note(found, path, NO_VALUE if data is None else said)
    return 0.0


def _read_calls(data: object, path: Path, found: list[Finding]) -> Calls | None:
    if data is None:
        note(found, path, NO_VALUE)
        return None
    try:
        return parse_calls(data)
    except ValueError as error:
        note(found, path, str(error))
        return None


def _unknown(key: str, fault: Mapping[str, object]) -> str:
    if key in _SAID:
        return _SAID[key]
    if home := _home(key, fault):
        return f"stands in the fault itself; write it under {home}:"
    close = nearest(key, FAULT)
    mend = f"did you mean {close}?" if close else f"there are {', '.join(FAULT)}"
    return f"no such member of a fault; {mend}"


def _home(key: str, fault: Mapping[str, object]) -> str:
    """Under which member of a fault a key belongs; empty where it belongs nowhere."""
    homes = [home for home, names in (*MEMBERS.items(), ("error", ERROR)) if key in names]
    if key in NAMES:
        homes.append("for")
    return next((home for home in homes if home in fault), homes[-1] if homes else "")


def _meant_effects(fault: Mapping[str, object], unknown: list[str]) -> Iterator[bool]:
    """Whether an unknown key probably means an effect, so that none need be asked for."""
    for key in unknown[:_MOST_LOOKED_AT]:
        yield (_home(key, fault) or nearest(key, FAULT)) in READERS
