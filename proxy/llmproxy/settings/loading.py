"""Fills the settings: defaults < file < environment < flags.

Every layer is checked for itself, also where a higher one hides it, and all problems of all
layers are told at once. ``load`` does all of it; who has more to check than settings takes its
steps: ``gather``, ``merge``, ``tell``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmproxy.errors import SettingsError
from llmproxy.findings import Finding
from llmproxy.settings.catalogue import Setting
from llmproxy.settings.checking import Checker
from llmproxy.settings.endpoints import check_endpoints
from llmproxy.settings.model import KINDS, UNQUOTED, Settings, walk
from llmproxy.settings.sources import (
    FILE_NAME,
    Layer,
    find_file,
    read_file,
    read_flags,
    read_variables,
    write_place,
)
from llmproxy.units import quote

_MOST_PROBLEMS = 100
"""Shown of one source."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, the file among their sources, and where each value came from.

    ``origins`` maps dotted names to ``default``, ``proxy.yml:12``, ``LLMPROXY_PORT`` or
    ``--port``.
    """

    settings: Settings
    file: Path | None
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Checked:
    """One source, checked.

    ``settings`` are what it says over the defaults; None where it says nothing or something is
    wrong. ``findings`` are what is wrong in it, in no order.
    """

    layer: Layer
    settings: Settings | None
    findings: tuple[Finding, ...] = ()


def load(
    config: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    folder: Path,
) -> Loaded:
    """Settings from defaults < file < environment < flags.

    Args:
        config: the file; without it ``proxy.yml`` in ``folder``, if there is one.
        environment: all variables; those that do not begin with ``LLMPROXY_`` are passed over.
        flags: values as typed, by dotted name; None and ``()`` mean not given.
        folder: what ``config`` is relative to.

    Raises:
        SettingsError: every problem of every source, one a line.
    """
    file, sources = gather(config, environment, flags, folder)
    problems: list[str] = []
    for each in sources:
        problems += [*each.layer.problems, *tell(each.layer, each.findings)]
    if problems:
        raise SettingsError("\n".join(problems))
    return Loaded(merge(sources), file, origins(sources))


def gather(
    config: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    folder: Path,
) -> tuple[Path | None, list[Checked]]:
    """The file, where there is one, and every source checked, the lowest first; as ``load``."""
    file = find_file(config, folder)
    layers = [read_file(file, str(config or FILE_NAME), known())] if file else []
    layers += [read_variables(environment, known()), read_flags(flags, known())]
    return file, [check(layer) for layer in layers]


def merge(sources: Iterable[Checked]) -> Settings:
    """The settings that all sources give together; one with mistakes gives nothing."""
    settings = Settings()
    for each in sources:
        for name in each.layer.origins(known()) if each.settings else ():
            settings = put(settings, name, value_of(each.settings, name))
    return settings


def origins(sources: Iterable[Checked]) -> dict[str, str]:
    """Where each setting has its value from, as in ``Loaded``."""
    found = dict.fromkeys(known(), "default")
    for each in sources:
        found |= each.layer.origins(known()) if each.settings else {}
    return found


def tell(layer: Layer, findings: Sequence[Finding]) -> list[str]:
    """A line for each, in the order of their places."""
    placed = [(layer.place(each.path, key=each.key), each) for each in findings]
    placed.sort(key=lambda pair: pair[0])
    shown = [f"{write_place(place)}: {each}" for place, each in placed[:_MOST_PROBLEMS]]
    more = len(placed) - len(shown)
    return [*shown, f"and {more:,} more"] if more else shown


def value_of(settings: Any, name: str) -> Any:
    """The value with a dotted name."""
    return functools.reduce(getattr, name.split("."), settings)


def put(settings: Any, name: str, value: object) -> Any:
    """The settings with another value at a dotted name."""
    first, _, rest = name.partition(".")
    return replace(
        settings, **{first: put(getattr(settings, first), rest, value) if rest else value}
    )


@functools.cache
def known() -> Mapping[str, Setting]:
    """Every setting by its dotted name."""
    return {each.name: each for each in walk(Settings)}


def check(layer: Layer) -> Checked:
    """A source, checked; where it says nothing, there is nothing wrong either."""
    if not layer.data:
        return Checked(layer, None)
    checked, findings = Checker(Settings, known(), KINDS, UNQUOTED).check(layer.data)
    findings += _name_twins(layer.data.get("upstreams"))
    findings += check_endpoints(layer.data.get("endpoints"))
    return Checked(layer, None if findings else checked, tuple(findings))


def _name_twins(upstreams: object) -> Iterator[Finding]:
    """Names of upstreams that differ only in case: a path cannot tell them apart."""
    seen: dict[str, str] = {}
    for name in upstreams if isinstance(upstreams, Mapping) else ():
        if name.lower() in seen:
            said = f"is the same name as {quote(seen[name.lower()])}; choose another"
            yield Finding(("upstreams", name), key=True, say=functools.partial(str, said))
        seen.setdefault(name.lower(), name)
