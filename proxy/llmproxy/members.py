"""What every reader of rules, limits and faults says in the same words, and what it needs.

Readers take a file's data apart and gather findings instead of raising, so that all mistakes of a
file are told at once.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmproxy.findings import Finding, Path, nearest
from llmproxy.units import quote

Mark = Callable[[Path], str]
"""Where a path stands, such as ``proxy.yml:12``."""

NO_VALUE = "has no value; write one or remove the line"


def note(found: list[Finding], path: Path, said: str, *, key: bool = False) -> None:
    """Add a finding whose sentence is known."""
    found.append(Finding(path, key=key, say=functools.partial(str, said)))


def note_unknown(found: list[Finding], path: Path, names: Sequence[str], said: str) -> None:
    """Add the finding that there is no such key, with the nearest of ``names``."""
    found.append(
        Finding(path, key=True, say=functools.partial(_unknown, str(path[-1]), names, said))
    )


_MEANT = {
    "after": "after_chunks",
    "args": "arguments",
    "completion_tokens": "output_tokens",
    "content": "text",
    "delay": "pace",
    "finish_reason": "finish",
    "function": "tool_calls",
    "prompt": "text",
    "prompt_tokens": "input_tokens",
    "response": "reply",
    "responses": "replies",
    "then": "reply",
    "user": "text",
}
"""What other systems call the same."""


def _unknown(key: str, names: Sequence[str], said: str) -> str:
    meant = _MEANT.get(key)
    if close := meant if meant in names else nearest(key, names):
        return f"{said}; did you mean {close}?"
    return f"{said}; there are {', '.join(names)}"


def read_mapping(
    data: object, path: Path, found: list[Finding], example: str
) -> Mapping[str, object]:
    """The mapping, or an empty one and a finding."""
    if isinstance(data, Mapping):
        return data
    if data is None:
        note(found, path, NO_VALUE)
    else:
        note(found, path, f"{quote(data)} is not a mapping; write {example}")
    return {}


def read_list(
    data: object,
    path: Path,
    found: list[Finding],
    most: int,
    noun: str,
    mend: str = "",
    more: str = "",
) -> list[Any]:
    """The list that stands there, or an empty one; ``noun`` is what is in it.

    ``mend`` is for what is no list, ``more`` for one with more than ``most``.
    """
    if data is None:
        return []
    if not isinstance(data, list):
        note(
            found, path, f"{quote(data)} is not a list; {mend or f'begin each {noun} with a dash'}"
        )
        return []
    if len(data) > most:
        note(found, path, f"has {len(data):,} {noun}s; at most {most:,}{more}")
        return []
    return data


def check_members(
    data: Mapping[str, object], path: Path, names: Sequence[str], found: list[Finding]
) -> dict[str, object]:
    """The members of these names; keys that are none, and names without a value, are found."""
    known: dict[str, object] = {}
    for key, value in data.items():
        if key not in names:
            note_unknown(found, (*path, key), names, "no such member")
        elif value is None:
            note(found, (*path, key), NO_VALUE)
        else:
            known[key] = value
    return known


def read_word(data: object, path: Path, words: Sequence[str], found: list[Finding]) -> str | None:
    """One of ``words``, or None and a finding."""
    if isinstance(data, str) and data in words:
        return data
    if data is None:
        note(found, path, NO_VALUE)
        return None
    close = nearest(data, words) if isinstance(data, str) else None
    mend = f"; did you mean {close}?" if close else ""
    note(found, path, f"{quote(data)} is none of {', '.join(words)}{mend}")
    return None


def read_whole(data: object, path: Path, least: int, most: int, found: list[Finding]) -> int | None:
    """A whole number within bounds, or None and a finding."""
    if type(data) is int and least <= data <= most:
        return data
    if data is None:
        note(found, path, NO_VALUE)
        return None
    note(found, path, f"{quote(data)} is not a whole number from {least:,} to {most:,}")
    return None


def read_line(data: object, path: Path, most: int, found: list[Finding], meant: str) -> str | None:
    """A text of 1 to ``most`` printable characters, or None and a finding."""
    if isinstance(data, str):
        if data.strip() and data.isprintable() and len(data) <= most:
            return data
        if not data.strip():
            note(found, path, f"is empty; write {meant}")
        elif len(data) > most:
            note(found, path, f"has {len(data):,} characters; at most {most}")
        else:
            note(found, path, f"{quote(data)} is not one line of printable characters")
        return None
    said = NO_VALUE if data is None else f"{quote(data)} is not text; put it in quotes"
    note(found, path, said)
    return None


@dataclass(frozen=True, slots=True)
class Keys:
    """Gives what stands in one list keys by which it is known when the file is read again."""

    _equal: Counter[str] = field(default_factory=Counter)

    def next(self, data: object) -> str:
        """The key of an item: by its data, and how many equal ones came before.

        The order of the keys of a mapping is no part of it.
        """
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        self._equal[digest] += 1
        return f"{digest}-{self._equal[digest]}"


def object_schema(properties: Mapping[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON Schema of a mapping that has these members and no other."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def ref(name: str) -> dict[str, Any]:
    """A reference to a definition of the same schema."""
    return {"$ref": f"#/$defs/{name}"}
