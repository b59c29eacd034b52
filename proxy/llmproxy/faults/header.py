"""Reads the request header ``x-llmproxy-fault``: a fault for this one request.

A status (``500``), a word (``hang``, ``overloaded``) or a JSON object with one of the effects
that a fault in YAML may have (``{"cut": {"before_chunk": 3}}``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, NoReturn

from llmproxy.faults import failures
from llmproxy.faults.effects import READERS, read_effect
from llmproxy.faults.fault import Effect
from llmproxy.findings import Finding, nearest
from llmproxy.members import note_unknown
from llmproxy.units import quote

NAME = "x-llmproxy-fault"
LONGEST = 1_000
"""Characters of the header's value."""
WORDS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        **{word: {word: True} for word in ("hang", "slow", "reset", "lump", "disabled")},
        **{word: {"error": word} for word in failures.WORDS},
        "timeout": {"hang": True},
        "slow_response": {"slow": True},
        "connection_reset": {"reset": True},
    }
)
"""Effects by one word; the last three are another mock server's names for the first."""

_MEND = 'write a status, a word such as hang, or {"cut": {"before_chunk": 3}}'
_MOST_SAID = 3


def read_header(value: str) -> Effect:
    """The effect that the header asks for.

    Raises:
        ValueError: it asks for none; the message says why, without the header's name.
    """
    if len(value) > LONGEST:
        raise ValueError(f"has {len(value):,} characters; at most {LONGEST:,}")
    text = value.strip()
    if not text:
        raise ValueError(f"is empty; {_MEND}")
    data = _read_object(text) if text.startswith("{") else _read_word(text)
    found: list[Finding] = []
    for key in data:
        if key not in READERS:
            note_unknown(found, (key,), tuple(READERS), "no such effect")
    effect = None if found else read_effect(data, (), found)
    if effect is None:
        raise ValueError("; ".join(_sentence(each) for each in islice(found, _MOST_SAID)))
    return effect


def _read_word(text: str) -> Mapping[str, object]:
    if re.fullmatch("[0-9]{3}", text):
        return {"error": int(text)}
    word = text.lower().replace("-", "_")
    if word in WORDS:
        return WORDS[word]
    close = nearest(word, WORDS)
    raise ValueError(f"{quote(text)} is no fault; {f'did you mean {close}?' if close else _MEND}")


def _read_object(text: str) -> Mapping[str, object]:
    try:
        data: Any = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("is no JSON that can be read: it is nested too deeply") from None
    assert isinstance(data, dict)
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"is no JSON: {name} is not a number there")


def _sentence(finding: Finding) -> str:
    return str(finding) if finding.path else finding.say()
