"""``llmproxy check`` and ``llmproxy schema``: settings and rules, without a server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from llmproxy import configuration, yamlfile
from llmproxy.answer import Text
from llmproxy.configuration import Configuration
from llmproxy.errors import SettingsError
from llmproxy.manners import manner_of
from llmproxy.rules.rule import Rule, Said
from llmproxy.settings.sources import FILE_NAME
from llmproxy.units import quote

MOST_WARNINGS = 100
_PLACE = re.compile(
    r"\{\{\s*(?:last_user_text|model|system|tool_result|json|header|query|counter|uuid|now)\b"
)
_DEFAULT_NAME = re.compile("rule [0-9]+")


@dataclass(frozen=True, slots=True)
class Examined:
    """What there is to say of files in which nothing is wrong, a line each."""

    files: tuple[str, ...]
    warnings: tuple[str, ...]


def check(
    file: Path | None, config: Path | None, environment: Mapping[str, str], folder: Path
) -> Examined:
    """Read everything that a server would read.

    Args:
        file: settings, or a file of rules, which is then read under the settings around it.
        config: the settings around it; else ``proxy.yml`` in ``folder``, if there is one.
        environment: all variables.
        folder: what names are relative to.

    Raises:
        SettingsError: every problem, one a line; or there is nothing to check.
    """
    flags: dict[str, object] = {}
    if file is not None and (config is not None or _holds_only_rules(folder / file, file.name)):
        flags = {"rules": (str(file),)}
    elif file is not None:
        config = file
    elif config is None and not (folder / FILE_NAME).exists():
        raise SettingsError(f"{FILE_NAME}: no such file here", "llmproxy check FILE names another")
    read = configuration.load(config, environment, flags, folder)
    manner_of(read.settings)
    return Examined(tuple(_summary(read)), tuple(_capped(warnings(read.rules))))


def _capped(lines: Iterator[str]) -> Iterator[str]:
    yield from islice(lines, MOST_WARNINGS)
    if more := sum(1 for _ in lines):
        yield f"and {more:,} more"


def schema() -> str:
    """The JSON Schema of ``proxy.yml``, for editors."""
    return json.dumps(configuration.schema(), indent=2, ensure_ascii=False)


def warnings(rules: Sequence[Rule]) -> Iterator[str]:
    """A line for each rule that can never answer, and for each name that another has too."""
    from llmproxy.rules.shadows import dead  # noqa: PLC0415 - imports what rules need

    for rule, before in dead(rules):
        always = f"{_named(before)} ({before.place}) always answers before it"
        yield f"{rule.place}: {_named(rule)} can never answer: {always}"
    first: dict[str, Rule] = {}
    for rule in rules:
        if any(isinstance(reply, Said) and _templated(reply) for reply in rule.replies):
            said = "says {{ … }} as it stands; template: in place of text: fills it in"
            yield f"{rule.place}: {_named(rule)} {said}"
        before = first.setdefault(rule.name, rule)
        if before is not rule and not _DEFAULT_NAME.fullmatch(rule.name):
            yield f"{rule.place}: {_named(rule)} has the name of another, at {before.place}"


def _templated(said: Said) -> bool:
    """Whether a text looks like a template and is none."""
    texts = (part.text for part in said.script.parts if isinstance(part, Text))
    return any(_PLACE.search(text) for text in texts)


def _named(rule: Rule) -> str:
    return rule.name if _DEFAULT_NAME.fullmatch(rule.name) else f"rule {quote(rule.name)}"


def _summary(read: Configuration) -> Iterator[str]:
    for source in read.sources:
        count = source.rules or "no"
        yield f"{source.name}: {count} rule{'s' * (source.rules != 1)}, no problem"


def _holds_only_rules(path: Path, name: str) -> bool:
    """Whether a file is one of rules, ours or mockllm's, and not settings."""
    if path.name == FILE_NAME:
        return False
    try:
        data = yamlfile.read(path, name).data
    except SettingsError:
        return False  # what is wrong is told when it is read as settings
    return isinstance(data, dict) and ("responses" in data or set(data) == {"rules"})
