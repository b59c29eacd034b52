"""Reads what a fault does: the members of which each fault has one.

``READERS`` is the table. What is wrong is gathered as findings; a reader that gives None has
added one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from llmproxy.faults.calls import parse_span
from llmproxy.faults.failures import EVENT, read_failure, read_failures
from llmproxy.faults.fault import HANG, SLOW, Effect, Hang, InBody, Output, Refuse, Reset, Slow
from llmproxy.faults.outputs import OUTPUTS
from llmproxy.findings import Finding, Path
from llmproxy.members import (
    NO_VALUE,
    check_members,
    note,
    read_mapping,
    read_whole,
    read_word,
)
from llmproxy.synthesis.problems import problem_of
from llmproxy.synthesis.scripted import Failure
from llmproxy.units import parse_duration, quote

MOST_CHUNKS = 1_000_000
"""The largest number of a chunk, and the largest chunk of a split."""
MOST_BYTES = 1_000_000_000_000
LONGEST = 86_400.0
"""Seconds of the longest time."""
_TIME = r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h)?"
TIMES_PATTERN = rf"\s*{_TIME}\s*-\s*{_TIME}\s*"
"""``5-10s``: two times, of which the first may borrow its unit."""
DISABLED = "This endpoint is currently disabled"

CUT = ("before_chunk", "at_byte")
STALL = ("after_chunk", "time")
CHUNK = ("chunk",)
ERROR_EVENT = (*EVENT, "after_chunk")
MEMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cut": CUT,
        "stall": STALL,
        **dict.fromkeys(("garble", "drop", "duplicate"), CHUNK),
        "error_event": ERROR_EVENT,
    }
)
"""What may stand in an effect that is written as a mapping."""

_LONGEST_TEXT = 60
_CHUNK_MEND = "write the number of a chunk, such as 3, or 3-7 for one from 3 to 7"

Reader = Callable[[object, Path, list[Finding]], Effect | None]


def _error(data: object, path: Path, found: list[Finding]) -> Effect | None:
    failures = read_failures(data, path, found)
    return Refuse(failures) if failures else None


def _disabled(data: object, path: Path, found: list[Finding]) -> Effect | None:
    failure = Failure(problem_of(503, DISABLED))
    return Refuse((failure,), closed=True) if _is_true(data, path, found) else None


def _hang(data: object, path: Path, found: list[Finding]) -> Effect | None:
    time = HANG if data is True else _read_time(data, path, found)
    return None if time is None else Hang(time)


def _slow(data: object, path: Path, found: list[Finding]) -> Effect | None:
    if data is True:
        return Slow(*SLOW)
    text = data if isinstance(data, str) and len(data) <= _LONGEST_TEXT else ""
    match = re.fullmatch(TIMES_PATTERN, text)
    if match is None:
        time = _read_time(data, path, found)
        return None if time is None else Slow(time, time)
    least = parse_duration(match[1] + (match[2] or match[4] or "s"))
    most = _read_time(match[3] + (match[4] or "s"), path, found)
    if most is not None and least > most:
        note(found, path, f"{quote(data)} is the wrong way round; write the shorter time first")
        return None
    return None if most is None else Slow(least, most)


def _reset(data: object, path: Path, found: list[Finding]) -> Effect | None:
    return Reset() if _is_true(data, path, found) else None


def _cut(data: object, path: Path, found: list[Finding]) -> Effect | None:
    members = _read_members(data, path, CUT, "{before_chunk: 3}", found)
    if members is None:
        return None
    if len(members) != 1:
        said = "says nothing; write" if not members else "has both; leave one of the two,"
        note(found, path, f"{said} {{before_chunk: 3}} or {{at_byte: 100}}")
        return None
    if "at_byte" in members:
        at = read_whole(members["at_byte"], (*path, "at_byte"), 0, MOST_BYTES, found)
        return None if at is None else InBody("cut", at_byte=at)
    chunk = _read_chunk(members["before_chunk"], (*path, "before_chunk"), found)
    return None if chunk is None else InBody("cut", chunk)


def _stall(data: object, path: Path, found: list[Finding]) -> Effect | None:
    if not isinstance(data, Mapping):
        time = _read_time(data, path, found)
        return None if time is None else InBody("stall", (2, 2), time=time)
    members = _read_members(data, path, STALL, "2s", found)
    if members is None:
        return None
    if "time" not in members:
        note(found, path, "says no time; write {after_chunk: 2, time: 2s}")
        return None
    time = _read_time(members["time"], (*path, "time"), found)
    after = _read_after(members, path, found)
    return None if time is None or after is None else InBody("stall", after, time=time)


def _at_chunk(kind: str) -> Reader:
    """The reader of an effect that says nothing but the chunk."""

    def read(data: object, path: Path, found: list[Finding]) -> Effect | None:
        members = _read_members(data, path, CHUNK, "{chunk: 2}", found)
        if members is None:
            return None
        if not members:
            note(found, path, "says no chunk; write {chunk: 2}")
            return None
        chunk = _read_chunk(members["chunk"], (*path, "chunk"), found)
        return None if chunk is None else InBody(kind, chunk)

    return read


def _split(data: object, path: Path, found: list[Finding]) -> Effect | None:
    size = read_whole(data, path, 1, MOST_CHUNKS, found)
    return None if size is None else InBody("split", size=size)


def _lump(data: object, path: Path, found: list[Finding]) -> Effect | None:
    return InBody("lump") if _is_true(data, path, found) else None


def _error_event(data: object, path: Path, found: list[Finding]) -> Effect | None:
    after: tuple[int, int] | None = (2, 2)
    if isinstance(data, Mapping):
        after = _read_after(data, path, found)
        data = {name: value for name, value in data.items() if name != "after_chunk"}
    failure = read_failure(data, path, EVENT, found)
    return (
        None if failure is None or after is None else InBody("error_event", after, failure=failure)
    )


def _output(data: object, path: Path, found: list[Finding]) -> Effect | None:
    kind = read_word(data, path, tuple(OUTPUTS), found)
    return None if kind is None else Output(kind)


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "error": _error,
        "disabled": _disabled,
        "hang": _hang,
        "slow": _slow,
        "reset": _reset,
        "cut": _cut,
        "stall": _stall,
        "garble": _at_chunk("garble"),
        "drop": _at_chunk("drop"),
        "duplicate": _at_chunk("duplicate"),
        "split": _split,
        "lump": _lump,
        "error_event": _error_event,
        "output": _output,
    }
)
"""Every effect by its name; those of ``bodies`` among them."""


def read_effect(data: Mapping[str, object], path: Path, found: list[Finding]) -> Effect | None:
    """The effect of a mapping; keys that are none are not looked at.

    None only where findings were added: there is none, there are several, or it cannot be.
    """
    named = [key for key in data if key in READERS]
    if not named:
        note(found, path, f"does nothing; write error: 500, or one of {', '.join(READERS)}")
        return None
    first, *others = named
    for other in others:
        said = f"stands beside {first}; a fault does one thing, make two of them"
        note(found, (*path, other), said, key=True)
    effect = READERS[first](data[first], (*path, first), found)
    return None if others else effect


def _is_true(data: object, path: Path, found: list[Finding]) -> bool:
    if data is True:
        return True
    note(found, path, NO_VALUE if data is None else f"{quote(data)} is not true; write true")
    return False


def _read_members(
    data: object, path: Path, names: tuple[str, ...], example: str, found: list[Finding]
) -> dict[str, object] | None:
    """The members; None and findings where there are others, or no mapping."""
    before = len(found)
    members = check_members(read_mapping(data, path, found, example), path, names, found)
    return members if len(found) == before else None


def _read_time(data: object, path: Path, found: list[Finding]) -> float | None:
    """Seconds, above 0, or None and a finding."""
    try:
        seconds = parse_duration(data)
    except ValueError as error:
        note(found, path, NO_VALUE if data is None else str(error))
        return None
    if 0 < seconds <= LONGEST:
        return seconds
    note(found, path, f"{quote(data)} is no such time; write one above 0 and up to 24h")
    return None


def _read_chunk(data: object, path: Path, found: list[Finding]) -> tuple[int, int] | None:
    """First and last of the numbers of which a chunk has one, or None and a finding."""
    if isinstance(data, list) and len(data) == 2 and all(type(each) is int for each in data):
        data = f"{data[0]}-{data[1]}"
    try:
        return parse_span(data, _CHUNK_MEND, MOST_CHUNKS)
    except ValueError as error:
        note(found, path, str(error))
        return None


def _read_after(
    members: Mapping[str, object], path: Path, found: list[Finding]
) -> tuple[int, int] | None:
    """The chunks that follow ``after_chunk``; 1 where nothing is said, 0 is before the first."""
    data = members.get("after_chunk", 1)
    if data is None:
        note(found, (*path, "after_chunk"), NO_VALUE)
        return None
    if type(data) is int and data == 0:
        return 1, 1
    chunk = _read_chunk(data, (*path, "after_chunk"), found)
    return None if chunk is None else (chunk[0] + 1, chunk[1] + 1)
