"""The configuration that a server follows: settings, rules, limits and faults.

Strategy: settings with rules, limits and faults of all sources, and of all files that they name,
are read together, so that their problems are told together. What was looked at is remembered
with its stamp, so that whoever watches files knows when to read again. What the control API
changes is laid over all of it. Knows no server and no request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from llmproxy.errors import SettingsError
from llmproxy.faults.fault import Fault
from llmproxy.faults.reading import faults_schema, read_faults
from llmproxy.findings import Path as FindingPath
from llmproxy.limits.reading import limit_schema
from llmproxy.limits.target import ANY, EACH, MOST_LIMITS, ClientLimit, read_limits
from llmproxy.rulefiles import Given, RuleFile, RuleFiles, Stamp, stamp, unique
from llmproxy.rules.rule import Rule
from llmproxy.settings import Settings, json_schema
from llmproxy.settings.endpoints import endpoint_names
from llmproxy.settings.loading import (
    Checked,
    check,
    gather,
    known,
    merge,
    origins,
    put,
    tell,
    value_of,
)
from llmproxy.settings.sources import FILE_NAME, Layer, write_place

CONTROL_API = "control API"
"""Where settings come from that were changed while the server runs."""
_FIXED = "a running server does not take it; write it in proxy.yml and start again"


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
        limits, faults: in the order in which they are tried.
        files: absolute paths of the settings file and every file of rules.
        origins: where each setting has its value from, by dotted name, as in ``Loaded``.
        sources: ``files`` with names and how many rules stand in each.
        stamps: what was looked for, as it was before it was read; more than ``files`` where
            something was not there.
        folder: what names outside files are relative to.
    """

    settings: Settings
    rules: tuple[Rule, ...] = ()
    limits: tuple[ClientLimit, ...] = ()
    faults: tuple[Fault, ...] = ()
    files: tuple[Path, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[RuleFile, ...] = ()
    stamps: Mapping[Path, Stamp] = field(default_factory=dict)
    folder: Path = Path()


def load(
    config: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    folder: Path,
) -> Configuration:
    """Read everything; the arguments are those of ``settings.load``.

    Rules, limits and faults come from the highest source that has any, and all are checked. Names
    in a file are relative to its folder, names elsewhere to ``folder``.

    Raises:
        ConfigurationError: every problem of settings and rules, one a line.
    """
    folder = folder.absolute()
    name = str(config or FILE_NAME)
    settings_file = folder / name
    stamps = {settings_file: stamp(settings_file)}
    file, sources = gather(config, environment, flags, folder)
    base = Configuration(merge(sources), origins=origins(sources), folder=folder)
    with RuleFiles(_upstreams(sources, {})) as reader:
        if file is not None:
            reader.files[file] = RuleFile(file, name, 0)
        readings = [
            _read(source, reader, file if number == 0 else None, name, folder)
            for number, source in enumerate(sources)
        ]
    return _compose(base, readings, reader, stamps)


def overlay(
    base: Configuration, changes: Mapping[str, object], place: str = CONTROL_API
) -> Configuration:
    """The configuration with what the control API changed over it, until the next start.

    Args:
        base: what the sources say.
        changes: nested as in ``proxy.yml``; each setting in it takes the place of the old one.
        place: where mistakes are told to stand.

    Raises:
        ConfigurationError: every problem, one a line, that of a setting which a running server
            does not take included; ``base`` is as it was.
    """
    if not changes:
        return base
    source = check(Layer(changes, {(key,): CONTROL_API for key in changes}))
    settings = base.settings
    given = source.layer.origins(known())
    for name in given if source.settings else ():
        settings = put(settings, name, value_of(source.settings, name))
    told = {**base.origins, **dict.fromkeys(given, CONTROL_API)}
    with RuleFiles(_upstreams([source], base.settings.upstreams)) as reader:
        reader.files.update((each.path, each) for each in base.sources)
        asked = Layer(changes, {(key,): place for key in changes})
        fixed = [name for name in given if not known()[name].reload]
        reading = _read(_without(source, fixed), reader, None, "", base.folder, asked)
    reading.problems[:0] = [f"{place}: {name}: {_FIXED}" for name in fixed]
    changed = replace(base, settings=settings, origins=told)
    return _compose(changed, [reading], reader, base.stamps)


def _without(source: Checked, names: Iterable[str]) -> Checked:
    """A source without what is wrong in settings that are refused anyway."""
    paths = [tuple(name.split(".")) for name in names]
    found = (f for f in source.findings if not any(f.path[: len(p)] == p for p in paths))
    return replace(source, findings=tuple(found))


@dataclass(slots=True)
class _Reading:
    """What one source says of rules, limits and faults; None: nothing."""

    rules: list[Rule] | None = None
    limits: tuple[ClientLimit, ...] | None = None
    faults: tuple[Fault, ...] | None = None
    problems: list[str] = field(default_factory=list)


def _read(
    source: Checked,
    reader: RuleFiles,
    file: Path | None,
    name: str,
    folder: Path,
    asked: Layer | None = None,
) -> _Reading:
    """What a source says; mistakes are told where they stand in ``asked``, else in the source."""
    data, found = source.layer.data, list(source.findings)
    said = {key: data[key] for key in ("rules", "limits", "faults") if key in data}
    reading, given = _Reading(), Given()
    if isinstance(rules := said.get("rules", 0), list | str):
        given = reader.read(source.layer, file, name, folder)
        reading.rules = given.rules
        found += given.findings
    elif rules is None:
        reading.rules = []
    if isinstance(limits := said.get("limits", 0), list | None):
        reading.limits = read_limits(limits, ("limits",), found)
    if isinstance(faults := said.get("faults", 0), list | None):
        reading.faults = read_faults(faults, ("faults",), _mark(source.layer), found)
    told = tell(asked or source.layer, found)
    reading.problems += [*source.layer.problems, *told, *given.below]
    return reading


def _mark(layer: Layer) -> Callable[[FindingPath], str]:
    return lambda path: write_place((*layer.place(path)[:2], 0))


def _compose(
    base: Configuration,
    readings: Iterable[_Reading],
    reader: RuleFiles,
    stamps: Mapping[Path, Stamp],
) -> Configuration:
    """The configuration with what the highest source says of rules, limits and faults."""
    rules, limits, faults = base.rules, base.limits, base.faults
    stamps = {**stamps, **reader.stamps}
    problems: list[str] = []
    for reading in readings:
        rules = rules if reading.rules is None else unique(reading.rules)
        limits = limits if reading.limits is None else reading.limits
        faults = faults if reading.faults is None else reading.faults
        problems += reading.problems
    if problems:
        raise ConfigurationError("\n".join(dict.fromkeys(problems)), stamps)
    return replace(
        base,
        rules=rules,
        limits=limits,
        faults=faults,
        files=tuple(reader.files),
        sources=tuple(reader.files.values()),
        stamps=stamps,
    )


def schema() -> dict[str, Any]:
    """JSON Schema of ``proxy.yml`` and of files of rules."""
    from llmproxy.rules.schema import rules_schema  # noqa: PLC0415 - imports what rules need

    rules, definitions = rules_schema()
    faults, more = faults_schema()
    whole: dict[str, Any] = json_schema()
    definitions = {**whole["$defs"], **definitions, **more}
    definitions["limit_for"] = _each(definitions["for"])
    nodes: dict[str, dict[str, Any]] = {
        "rules": {"anyOf": [rules, {"type": "string", "minLength": 1}, {"type": "null"}]},
        "limits": {
            "type": ["array", "null"],
            "maxItems": MOST_LIMITS,
            "items": limit_schema({"for": {"$ref": "#/$defs/limit_for"}}),
        },
        "faults": faults,
        "endpoints": _endpoints_schema(),
    }
    for name, node in nodes.items():
        described = {key: whole["properties"][name][key] for key in ("description", "default")}
        whole["properties"][name] = {**node, **described}
    whole["$defs"] = definitions
    return whole


def _each(whom: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of whom a limit is for: the same, and ``any`` for a count of its own."""
    properties = dict(whom["properties"])
    for name in EACH:
        each = {"const": ANY}
        properties[name] = {"anyOf": [each, properties[name]]} if name in properties else each
    return {**whom, "properties": properties}


def _endpoints_schema() -> dict[str, Any]:
    groups = {"mock": "MockSettings", "pace": "PaceSettings"}
    one = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"$ref": f"#/$defs/{group}"} for name, group in groups.items()},
    }
    names = dict.fromkeys(endpoint_names(), one)
    return {"type": ["object", "null"], "additionalProperties": False, "properties": names}


def _upstreams(sources: Iterable[Checked], below: Mapping[str, str]) -> Mapping[str, str] | None:
    """Names for base URLs, also where other settings are wrong; None where they are."""
    names: Any = below
    for source in sources:
        wrong = any(each.path[:1] == ("upstreams",) for each in source.findings)
        if wrong or source.layer.problems:
            return None
        names = source.layer.data.get("upstreams", names)
    return cast("Mapping[str, str]", names)
