"""Servers inside a test: recording from an upstream, replaying cassettes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from llmproxy import yamlfile
from llmproxy.configuration import Configuration
from llmproxy.findings import Finding
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


def configuration(rules: str = "", **changes: Any) -> Configuration:
    return Configuration(settings(**changes), rules_of(rules) if rules else ())


def record_plan(
    upstreams: str | Sequence[str],
    cassette: Path,
    environment: dict[str, str] | None = None,
    rules: str = "",
    **changes: Any,
) -> Plan:
    several = (upstreams,) if isinstance(upstreams, str) else tuple(upstreams)
    made = configuration(rules, **changes)
    return Plan("record", made, several, (cassette,), environment or {})


def replay_plan(
    *cassettes: Path, upstreams: Sequence[str] = (), rules: str = "", **changes: Any
) -> Plan:
    changes.setdefault("replay__pace", float("inf"))
    return Plan("replay", configuration(rules, **changes), tuple(upstreams), cassettes, {})


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


def mock_plan(rules: str = "", **changes: Any) -> Plan:
    return Plan("mock", configuration(rules, **changes))


@contextlib.asynccontextmanager
async def mocking(**changes: Any) -> AsyncIterator[Service]:
    async with serving(mock_plan(**changes)) as service:
        yield service
