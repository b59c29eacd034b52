"""The configuration that a server follows: settings, and the rules of who gets which answer.

Strategy: settings and rules of all sources, and of all files that they name, are read together,
so that their problems are told together. What was looked at is remembered with its stamp, so
that whoever watches files knows when to read again. Knows no server and no request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from llmproxy.errors import SettingsError
from llmproxy.rulefiles import Given, RuleFile, RuleFiles, Stamp, stamp, unique
from llmproxy.rules.rule import Rule
from llmproxy.settings import Settings, json_schema
from llmproxy.settings.loading import Checked, gather, merge, origins, tell
from llmproxy.settings.sources import FILE_NAME, Layer


class ConfigurationError(SettingsError):
    """Settings or rules say something that cannot be; ``stamps`` are as in ``Configuration``."""

    def __init__(self, message: str, stamps: Mapping[Path, Stamp]) -> None:
        super().__init__(message)
        self.stamps = stamps


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was read from all sources.

    Attributes:
        settings: with the rules as they were written.
        rules: in the order in which they are tried, those of files at the place of their names;
            paths of cassettes are absolute.
        files: absolute paths of the settings file and every file of rules.
        origins: where each setting has its value from, by dotted name, as in ``Loaded``.
        sources: ``files`` with names and how many rules stand in each.
        stamps: what was looked for, as it was before it was read; more than ``files`` where
            something was not there.
    """

    settings: Settings
    rules: tuple[Rule, ...] = ()
    files: tuple[Path, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[RuleFile, ...] = ()
    stamps: Mapping[Path, Stamp] = field(default_factory=dict)


def load(
    config: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    folder: Path,
) -> Configuration:
    """Read everything; the arguments are those of ``settings.load``.

    Rules come from the highest source that has any, and those of all sources are checked. Names
    in a file are relative to its folder, names elsewhere to ``folder``.

    Raises:
        ConfigurationError: every problem of settings and rules, one a line.
    """
    folder = folder.absolute()
    name = str(config or FILE_NAME)
    settings_file = folder / name
    stamps = {settings_file: stamp(settings_file)}
    file, sources = gather(config, environment, flags, folder)
    rules: list[Rule] = []
    problems: list[str] = []
    with RuleFiles(_upstreams(sources)) as reader:
        if file is not None:
            reader.files[file] = RuleFile(file, name, 0)
        for number, source in enumerate(sources):
            given = None
            if _has_rules(source.layer):
                own = file if number == 0 else None
                given = reader.read(source.layer, own, name, folder)
                rules = given.rules
            problems += _problems(source, given or Given())
    stamps |= reader.stamps
    if problems:
        raise ConfigurationError("\n".join(dict.fromkeys(problems)), stamps)
    return Configuration(
        settings=merge(sources),
        rules=unique(rules),
        files=tuple(reader.files),
        origins=origins(sources),
        sources=tuple(reader.files.values()),
        stamps=stamps,
    )


def schema() -> dict[str, Any]:
    """JSON Schema of ``proxy.yml`` and of files of rules."""
    from llmproxy.rules.schema import rules_schema  # noqa: PLC0415 - imports what rules need

    node, definitions = rules_schema()
    whole: dict[str, Any] = json_schema()
    described = whole["properties"]["rules"]
    whole["properties"]["rules"] = {
        **{key: described[key] for key in ("description", "default")},
        "anyOf": [node, {"type": "string", "minLength": 1}, {"type": "null"}],
    }
    whole["$defs"] = {**whole["$defs"], **definitions}
    return whole


def _has_rules(layer: Layer) -> bool:
    return isinstance(layer.data.get("rules"), list | str)


def _upstreams(sources: Iterable[Checked]) -> Mapping[str, str] | None:
    """Names for base URLs, also where other settings are wrong; None where they are."""
    names: Any = {}
    for source in sources:
        wrong = any(each.path[:1] == ("upstreams",) for each in source.findings)
        if wrong or source.layer.problems:
            return None
        names = source.layer.data.get("upstreams", names)
    return cast("Mapping[str, str]", names)


def _problems(source: Checked, given: Given) -> list[str]:
    own = tell(source.layer, [*source.findings, *given.findings])
    return [*source.layer.problems, *own, *given.below]
