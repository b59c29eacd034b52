"""Reads what a client of the control API sends: JSON within bounds, and the query.

A stranger's JSON is no deeper and no fuller than what a file of settings may be, so whatever
reads it further need not fear it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from llmproxy.control.route import Parameter, Refused
from llmproxy.findings import nearest
from llmproxy.units import quote
from llmproxy.yamlfile import DEEPEST, LONGEST_NUMBER, MOST_VALUES

LARGEST_BODY = 2**20
"""Bytes of a request to a control route."""

_MOST_PARAMETERS = 50


def read_json(body: bytes) -> Any:
    """The JSON of a body; None where it is empty.

    Raises:
        Refused: it is none, names something twice, or is too deep or too full.
    """
    if not body.strip():
        return None
    try:
        data = json.loads(body, object_pairs_hook=_object, parse_constant=_no_constant)
        _check_bounds(data)
    except RecursionError:
        raise Refused(400, f"the request body is more than {DEEPEST} levels deep") from None
    except (ValueError, UnicodeError) as error:
        said = str(error) if isinstance(error, _Bounds) else "is not JSON"
        raise Refused(400, f"the request body {said}") from None
    return data


class _Bounds(ValueError):
    """JSON that we do not take; the message goes on after ``the request body``."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise _Bounds(f"has {quote(twice)} twice in one object")
    return made


def _no_constant(name: str) -> NoReturn:
    raise _Bounds(f"holds {name}, which is no JSON")


def _check_bounds(data: Any) -> None:
    left, level, depth = MOST_VALUES, [data], 0
    while level:
        depth += 1
        left -= len(level)
        if depth > DEEPEST:
            raise _Bounds(f"is more than {DEEPEST} levels deep")
        if left < 0:
            raise _Bounds(f"holds more than {MOST_VALUES:,} values")
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
                for key in value:
                    _check_text(key)
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str):
                _check_text(value)
            elif isinstance(value, int) and abs(value) >= 10**LONGEST_NUMBER:
                raise _Bounds(f"holds a number of more than {LONGEST_NUMBER} digits")
            elif isinstance(value, float) and value - value != 0:
                raise _Bounds("holds a number that is too large")
        level = inner


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Bounds("holds half of a character (a lone surrogate)") from None


def read_query(
    query: str, parameters: Iterable[Parameter], *, strict: bool = True
) -> Mapping[str, Any]:
    """Parameters by name, each with its default where it is not given.

    Raises:
        Refused: an unknown parameter where ``strict``, one given twice, or a value that cannot be.
    """
    known = {each.name: each for each in parameters}
    found: dict[str, Any] = {each.name: each.default for each in known.values()}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise Refused(400, f"the query has more than {_MOST_PARAMETERS} parameters") from None
    given: set[str] = set()
    for name, value in pairs:
        if name in known and name in given:
            raise Refused(400, f"{name}: given twice")
        if name in known:
            found[name] = _read_parameter(known[name], value)
            given.add(name)
        elif strict:
            raise Refused(400, f"{quote(name)}: {_no_such(name, known)}")
    return found


def _read_parameter(parameter: Parameter, value: str) -> str | int:
    if parameter.choices and value not in parameter.choices:
        raise Refused(
            400, f"{parameter.name}: {quote(value)} is none of {', '.join(parameter.choices)}"
        )
    if parameter.least is None or parameter.most is None:
        return value
    if not (value.isascii() and value.isdigit() and len(value) <= LONGEST_NUMBER):
        raise Refused(400, f"{parameter.name}: {quote(value)} is not a whole number")
    if not parameter.least <= int(value) <= parameter.most:
        said = f"is not from {parameter.least:,} to {parameter.most:,}"
        raise Refused(400, f"{parameter.name}: {quote(value)} {said}")
    return int(value)


def _no_such(name: str, known: Mapping[str, Parameter]) -> str:
    if close := nearest(name, known):
        return f"no such parameter; did you mean {close}?"
    return f"no such parameter; there are {', '.join(known)}" if known else "no such parameter"
