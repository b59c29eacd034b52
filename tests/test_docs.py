"""The README is true: its commands run, its settings are valid, its map names what is there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

import program
from llmproxy.configuration import load
from llmproxy.settings import Settings, walk

ROOT = program.ROOT
README = (ROOT / "README.md").read_text()
CONSOLE = [
    line.removeprefix("$ ").partition("  #")[0].strip()
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
YAML = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for line in CONSOLE if line.startswith("llmproxy ")]


@pytest.fixture
def cassettes(tmp_path: Path) -> None:
    """The files that the README speaks of."""
    (tmp_path / "cassettes").mkdir()
    for name in ("demo", "run1", "run2"):
        shutil.copy(ROOT / "cassettes" / "demo.db", tmp_path / "cassettes" / f"{name}.db")
    (tmp_path / "rules.yml").write_text(next(block for block in YAML if block.startswith("rules:")))
    (tmp_path / "request.json").write_text('{"model": "m", "messages": []}')


@pytest.mark.usefixtures("cassettes")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command: str) -> None:
    _, *arguments = shlex.split(command.partition(" > ")[0])
    if arguments[0] in ("record", "replay", "mock"):
        with program.serve(*arguments) as server:
            assert server.banner.startswith(f"llmproxy {arguments[0]} on http://")
            assert server.stop()[0] == 0
    else:
        done = program.run(*arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_the_readme_opens_with_the_two_commands_and_the_main_job() -> None:
    opening = "\n".join(README.splitlines()[:36])
    for words in ("make demo", "make test", "llmproxy record", "llmproxy replay", "**A miss**"):
        assert words in opening
    assert CONSOLE[:2] == ["make demo", "make test"]


@pytest.mark.usefixtures("cassettes")
@pytest.mark.parametrize("block", YAML)
def test_the_settings_of_the_readme_are_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "proxy.yml").write_text(block)
    assert load(None, {}, {}, tmp_path).settings != Settings()


def test_the_map_names_modules_that_are_there() -> None:
    package = ROOT / "proxy" / "llmproxy"
    table = README.partition("## The map of the house")[2]
    rows = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")][1:]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(names) > 20
    for name in names:
        path = package / name
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_every_flag_of_the_readme_is_one() -> None:
    shown = {
        flag
        for command in ("record", "replay", "mock", "explain", "check")
        for flag in re.findall(r"--[a-z-]+", program.run(command, "--help").stdout)
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= shown


def test_every_command_stands_in_the_readme() -> None:
    for command in (
        "record",
        "replay",
        "mock",
        "check",
        "schema",
        "explain",
        "cassette ls",
        "cassette show",
    ):
        assert f"llmproxy {command}" in README


def test_every_setting_stands_in_proxy_yml() -> None:
    text = (ROOT / "proxy.yml").read_text()
    for each in walk(Settings()):
        assert f"{each.name.rpartition('.')[2]}:" in text
