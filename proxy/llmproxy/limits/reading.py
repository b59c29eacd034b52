"""Makes a limit of a file's data, and gathers all that is wrong in it.

Data is what a YAML file holds: plain values, keys that are texts. What a strategy takes is what
its class says in ``members``; whom the limit is for is read elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from llmproxy.findings import Finding, Path, dotted
from llmproxy.limits.limit import Charge, Limit, TokenMeasure
from llmproxy.limits.rate import (
    EXAMPLE,
    MOST,
    Rate,
    check_limit,
    parse_per,
    parse_rate,
    rate_schema,
)
from llmproxy.limits.strategies import DEFAULT, NONE, STRATEGIES
from llmproxy.members import (
    NO_VALUE,
    Keys,
    check_members,
    note,
    note_unknown,
    read_mapping,
    read_whole,
    read_word,
)
from llmproxy.units import quote

LIMIT = (
    "strategy", "requests", "tokens", "burst", "n", "probability", "seed", "concurrency", "queue",
)  # fmt: skip
"""All that may stand in a limit beside whom it is for."""
MEASURES: tuple[TokenMeasure, ...] = get_args(TokenMeasure)
TOKENS = (*MEASURES, "charge", "burst")
"""All that may stand under ``tokens:``."""
MOST_AT_ONCE = 100_000
LARGEST_SEED = 10**18 - 1

_OF_STRATEGIES = ("requests", "tokens", "burst", "n", "probability", "seed")
_TOKENS_EXAMPLE = "{total: 30000 per minute}"


def read_limit(
    data: Mapping[str, object],
    path: Path,
    found: list[Finding],
    known_other_keys: Sequence[str] = ("for",),
    keys: Keys | None = None,
) -> Limit | None:
    """The limit; None and findings where it cannot be.

    Args:
        data: an item of ``limits:``.
        path: where that is, such as ``("limits", 0)``.
        found: gets what is wrong.
        known_other_keys: what else may stand there and is read elsewhere.
        keys: those of one file, where each limit shall have a key of its own.
    """
    before = len(found)
    names = (*known_other_keys, *LIMIT)
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key in LIMIT:
            values |= _read_member(key, value, (*path, key), found)
        elif key in TOKENS:
            note(found, (*path, key), "stands in the limit; write it under tokens:", key=True)
        elif key not in known_other_keys:
            note_unknown(found, (*path, key), names, "no such member of a limit")
    if len(found) == before:
        values["strategy"] = _check_together(data, values, path, found)
    if len(found) > before:
        return None
    return Limit(**values, place=dotted(path), key=(keys or Keys()).next(data))


def _read_member(key: str, data: object, path: Path, found: list[Finding]) -> dict[str, Any]:
    """The fields of ``Limit`` that a member sets."""
    if data is None:
        note(found, path, NO_VALUE)
        return {}
    if key == "tokens":
        return _read_tokens(data, path, found)
    if key == "strategy":
        return {key: read_word(data, path, tuple(STRATEGIES), found)}
    if key == "requests":
        return {key: _read_rate(data, path, found)}
    if key == "probability":
        return {key: _read_probability(data, path, found)}
    least, most = _BOUNDS[key]
    return {key: read_whole(data, path, least, most, found)}


_BOUNDS: Mapping[str, tuple[int, int]] = {
    "burst": (1, MOST),
    "n": (0, MOST),
    "seed": (0, LARGEST_SEED),
    "concurrency": (1, MOST_AT_ONCE),
    "queue": (0, MOST_AT_ONCE),
}


def _read_tokens(data: object, path: Path, found: list[Finding]) -> dict[str, Any]:
    if isinstance(data, str) or (isinstance(data, Mapping) and {"limit", "per"} & data.keys()):
        return {"tokens": {"total": _read_rate(data, path, found)}}
    before = len(found)
    members = check_members(read_mapping(data, path, found, _TOKENS_EXAMPLE), path, TOKENS, found)
    rates = {
        name: _read_rate(members[name], (*path, name), found)
        for name in MEASURES
        if name in members
    }
    if not rates and len(found) == before:
        note(found, path, f"limits nothing; write {_TOKENS_EXAMPLE}")
    values: dict[str, Any] = {"tokens": rates}
    if "charge" in members:
        words = get_args(Charge)
        values["charge"] = read_word(members["charge"], (*path, "charge"), words, found)
    if "burst" in members:
        values["token_burst"] = read_whole(members["burst"], (*path, "burst"), 1, MOST, found)
    return values


def _read_rate(data: object, path: Path, found: list[Finding]) -> Rate | None:
    if isinstance(data, Mapping):
        return _read_rate_members(data, path, found)
    try:
        return parse_rate(data)
    except ValueError as error:
        note(found, path, str(error))
        return None


def _read_rate_members(data: Mapping[str, object], path: Path, found: list[Finding]) -> Rate | None:
    before = len(found)
    members = check_members(data, path, ("limit", "per"), found)
    if len(found) == before and len(members) < 2:
        note(found, path, f"lacks limit or per; write {EXAMPLE} or {{limit: 60, per: 1m}}")
    limit, per = 0, 0.0
    for name, value in members.items():
        try:
            if name == "limit":
                limit = check_limit(value)
            else:
                per = parse_per(value)
        except ValueError as error:
            note(found, (*path, name), str(error))
    return Rate(limit, per) if len(found) == before else None


def _read_probability(data: object, path: Path, found: list[Finding]) -> float | None:
    if isinstance(data, int | float) and not isinstance(data, bool) and 0 <= data <= 1:
        return float(data)
    note(found, path, f"{quote(data)} is not a number from 0 to 1; write one such as 0.3")
    return None


def _check_together(
    data: Mapping[str, object], values: Mapping[str, Any], path: Path, found: list[Finding]
) -> str:
    """The strategy, and what does not go with it or lacks."""
    before = len(found)
    rated = [name for name in _OF_STRATEGIES if name in data]
    named = values.get("strategy")
    strategy: str = named or (DEFAULT if rated else NONE)
    takes = STRATEGIES[strategy].members
    for name in rated:
        if name not in takes:
            said = f"is for {_takers(name)}; the strategy is {strategy}"
            note(found, (*path, name), said + ("" if named else ", as none is named"), key=True)
    if "queue" in data and "concurrency" not in data:
        said = "says how many wait where concurrency is used up; write concurrency: beside it"
        note(found, (*path, "queue"), said, key=True)
    if len(found) == before:
        _check_counts(data, strategy, path, found)
    return strategy


def _check_counts(
    data: Mapping[str, object], strategy: str, path: Path, found: list[Finding]
) -> None:
    """Find a limit that counts nothing, and a burst of nothing."""
    if "burst" in data and "requests" not in data and strategy != NONE:
        home = "; write it under tokens:" if "tokens" in data else "; write requests: beside it"
        note(found, (*path, "burst"), f"is the burst of requests{home}", key=True)
        return
    if "strategy" not in data and strategy == NONE and "concurrency" not in data:
        note(found, path, f"limits nothing; write requests: {EXAMPLE} or concurrency: 4")
    counts = {"requests", "tokens"}
    if counts <= {*STRATEGIES[strategy].members} and strategy != NONE and not counts & data.keys():
        note(found, path, f"limits nothing by {strategy}; write requests: {EXAMPLE}")


def _takers(member: str) -> str:
    """The strategies that take a member."""
    names = [name for name, each in STRATEGIES.items() if member in each.members and name != NONE]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def limit_schema(others: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """JSON Schema of an item of ``limits:``; ``others`` are its members that are read elsewhere."""
    whole: dict[str, Any] = {
        name: {"type": "integer", "minimum": least, "maximum": most}
        for name, (least, most) in _BOUNDS.items()
    }
    rate = rate_schema()
    rates: dict[str, Any] = dict.fromkeys(MEASURES, rate)
    tokens = {
        "type": "object",
        "additionalProperties": False,
        "anyOf": [{"required": [name]} for name in MEASURES],
        "properties": {
            **rates,
            "charge": {"enum": list(get_args(Charge))},
            "burst": whole["burst"],
        },
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **(others or {}),
            "strategy": {"enum": list(STRATEGIES)},
            "requests": rate,
            "tokens": {"anyOf": [rate, tokens]},
            "probability": {"type": "number", "minimum": 0, "maximum": 1},
            **whole,
        },
    }
