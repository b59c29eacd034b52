"""What is different at single endpoints: parts of the groups ``mock`` and ``pace``.

An endpoint is what a dialect calls an operation, with hyphens: ``openai-chat``. What is said of it
stands in the settings as it was written; it is checked like the groups themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from llmproxy.findings import Finding, nearest
from llmproxy.rhythm import PaceSettings
from llmproxy.settings.checking import Checker
from llmproxy.settings.model import Settings, walk
from llmproxy.synthesis.mock import MockSettings

_NO_VALUE = "has no value; write {pace: {ttft: 300ms}} or remove the line"


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """What may be said of an endpoint."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = {"extra": "forbid"}

    mock: MockSettings = field(default_factory=MockSettings)
    pace: PaceSettings = field(default_factory=PaceSettings)


@functools.cache
def endpoint_names() -> tuple[str, ...]:
    """Every endpoint there is: ``openai-chat``, ``gemini-stream``, …."""
    from llmproxy.dialects import DIALECTS  # noqa: PLC0415 - help texts need none

    operations = (each.name for dialect in DIALECTS for each in dialect.operations)
    return tuple(dict.fromkeys(name.replace("_", "-") for name in operations))


def check_endpoints(data: object) -> Iterator[Finding]:
    """What is wrong in ``endpoints:``, by paths of the whole file."""
    if not isinstance(data, Mapping):
        return
    for name, said in data.items():
        path = ("endpoints", str(name))
        if name not in endpoint_names():
            yield Finding(path, key=True, say=functools.partial(_no_such, str(name)))
        elif not isinstance(said, Mapping):
            yield Finding(path, key=False, say=functools.partial(str, _NO_VALUE))
        else:
            for each in _checker().check(said)[1]:
                yield Finding((*path, *each.path), key=each.key, say=each.say)


def endpoint_changes(said: Any) -> dict[str, Any]:
    """The settings that an entry without mistakes changes, by dotted name."""
    checked, _ = _checker().check(said)
    given = (name for name in _names() if _has(said, name))
    return {name: functools.reduce(getattr, name.split("."), checked) for name in given}


def _has(said: Mapping[str, Any], name: str) -> bool:
    group, _, member = name.partition(".")
    return member in said.get(group, {})


@functools.cache
def _names() -> tuple[str, ...]:
    groups = ("mock", "pace")
    return tuple(each.name for each in walk(Settings) if each.name.partition(".")[0] in groups)


def _checker() -> Checker:
    return Checker(EndpointSettings, _names(), {}, ())


def _no_such(name: str) -> str:
    close = nearest(name, [each.replace("-", "_") for each in endpoint_names()])
    if close:
        return f"no such endpoint; did you mean {close.replace('_', '-')}?"
    return f"no such endpoint; there are {', '.join(endpoint_names())}"
