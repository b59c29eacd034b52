"""Servers inside a test: recording from an upstream, replaying cassettes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmproxy import yamlfile
from llmproxy.configuration import Configuration
from llmproxy.faults.reading import read_faults
from llmproxy.findings import Finding
from llmproxy.limits.target import read_limits
from llmproxy.rules.reading import read_file
from llmproxy.rules.rule import Rule
from llmproxy.service import Plan, Service, serving
from llmproxy.settings import ReplaySettings, Settings
from llmproxy.yamlfile import place


def settings(**changes: Any) -> Settings:
    """The defaults on a free port, a miss an error, with ``record__mode="all"``-like changes."""
    made = Settings(port=0, shutdown_time=2.0, replay=ReplaySettings(on_miss="error"))
    for name, value in changes.items():
        group, _, member = name.partition("__")
        if member:
            value = dataclasses.replace(getattr(made, group), **{member: value})  # noqa: PLW2901
        made = dataclasses.replace(made, **{group: value})
    return made


def rules_of(text: str) -> tuple[Rule, ...]:
    """The rules of a YAML text, which stands for a file of that name."""
    document = yamlfile.parse(text, "rules.yml")
    found: list[Finding] = []
    read = read_file(document.data, lambda path: place("rules.yml", document.mark(path)), found)
    assert not found, [str(each) for each in found]
    return tuple(each for each in read if isinstance(each, Rule))


def configuration(rules: str = "", weather: str = "", **changes: Any) -> Configuration:
    """Settings with rules, and with the limits and faults that ``weather`` holds."""
    return replace(
        weather_of(weather), settings=settings(**changes), rules=rules_of(rules) if rules else ()
    )


def weather_of(text: str) -> Configuration:
    """The ``limits:`` and ``faults:`` of a YAML text."""
    document = yamlfile.parse(text, "weather.yml")
    data = document.data or {}
    assert isinstance(data, dict)
    assert set(data) <= {"limits", "faults"}
    found: list[Finding] = []
    limits = read_limits(data.get("limits"), ("limits",), found)
    faults = read_faults(
        data.get("faults"),
        ("faults",),
        lambda path: place("weather.yml", document.mark(path)),
        found,
    )
    assert not found, [str(each) for each in found]
    return Configuration(Settings(), limits=limits, faults=faults)


def record_plan(
    upstreams: str | Sequence[str],
    cassette: Path,
    environment: dict[str, str] | None = None,
    **changes: Any,
) -> Plan:
    several = (upstreams,) if isinstance(upstreams, str) else tuple(upstreams)
    made = configuration(**changes)
    return Plan("record", made, several, (cassette,), environment or {})


def replay_plan(*cassettes: Path, upstreams: Sequence[str] = (), **changes: Any) -> Plan:
    changes.setdefault("replay__pace", float("inf"))
    return Plan("replay", configuration(**changes), tuple(upstreams), cassettes, {})


@contextlib.asynccontextmanager
async def recording(
    upstreams: str | Sequence[str], cassette: Path, **changes: Any
) -> AsyncIterator[Service]:
    async with serving(record_plan(upstreams, cassette, **changes)) as service:
        yield service


@contextlib.asynccontextmanager
async def replaying(*cassettes: Path, **changes: Any) -> AsyncIterator[Service]:
    async with serving(replay_plan(*cassettes, **changes)) as service:
        yield service


def mock_plan(**changes: Any) -> Plan:
    return Plan("mock", configuration(**changes))


@contextlib.asynccontextmanager
async def mocking(**changes: Any) -> AsyncIterator[Service]:
    async with serving(mock_plan(**changes)) as service:
        yield service
