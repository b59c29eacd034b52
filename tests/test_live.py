"""What a running server follows: what a reload takes, what it leaves, what it says."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmproxy import configuration
from llmproxy.configuration import Configuration
from llmproxy.control import Control, Served
from llmproxy.control.guard import guard_for
from llmproxy.errors import LlmproxyError
from llmproxy.interaction import Request
from llmproxy.journal import Journal
from llmproxy.live import Live
from llmproxy.sessions import Sessions
from llmproxy.settings import Settings

HELLO = "{name: hello, when: {text: hello}, reply: hi}"
BYE = "{name: bye, when: {text: bye}, reply: bye}"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The lines of the log as they come."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, log = Lines(), logging.getLogger("llmproxy")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield lines
    log.removeHandler(handler)
    log.setLevel(before)


def follow(folder: Path, text: str) -> Live:
    """A server's state that has read ``proxy.yml`` with ``text``."""
    (folder / "proxy.yml").write_text(text)
    again = functools.partial(configuration.load, None, {}, {}, folder)
    return Live(again(), again)


async def save(live: Live, folder: Path, text: str) -> bool:
    (folder / "proxy.yml").write_text(text)
    return await live.reload()


def names(live: Live) -> list[str]:
    return [rule.name for rule in live.configuration.rules]


async def test_a_reload_takes_rules_and_settings_in_one_value(
    tmp_path: Path, said: list[str]
) -> None:
    live = follow(tmp_path, f"rules: [{HELLO}]")
    taken, since = live.current, live.loaded_at
    text = f"mock: {{text: Hallo}}\nrules: [{BYE}, {HELLO}]"
    assert await save(live, tmp_path, text)
    assert names(live) == ["bye", "hello"]
    assert live.manner.mock.text == live.configuration.settings.mock.text == "Hallo"
    assert (live.version, live.problem, live.ignored) == (2, "", ())
    assert live.loaded_at > since
    assert [rule.name for rule in taken.configuration.rules] == ["hello"]
    assert said == ["proxy.yml: 2 rules read again (1 changed, mock.text changed)"]


async def test_a_rule_that_is_unchanged_keeps_its_key(tmp_path: Path, said: list[str]) -> None:
    live = follow(tmp_path, f"rules:\n- {HELLO}\n- {BYE}")
    before = {rule.name: rule.key for rule in live.configuration.rules}
    await save(live, tmp_path, f"# a line\nrules:\n- {BYE}\n- {HELLO.replace('hi', 'ho')}")
    after = {rule.name: rule.key for rule in live.configuration.rules}
    assert after["bye"] == before["bye"]
    assert after["hello"] != before["hello"]
    await save(live, tmp_path, f"rules:\n- {BYE}")
    assert said == [
        "proxy.yml: 2 rules read again (1 changed)",
        "proxy.yml: 1 rule read again (1 changed)",
    ]


async def test_a_broken_file_leaves_the_last_good_rules_and_says_where_it_is_wrong(
    tmp_path: Path, said: list[str]
) -> None:
    live = follow(tmp_path, f"rules: [{HELLO}]")
    current = live.current
    assert not await save(live, tmp_path, "rules:\n- {wen: {text: a}, reply: b}\n- none.yml\n")
    assert live.current is current
    problem = [
        "proxy.yml:2:4: rules[0].wen: no such member of a rule; did you mean when?",
        'proxy.yml:3:3: rules[1]: "none.yml": no such file',
    ]
    assert live.problem.split("\n") == problem
    assert said[0].split("\n")[1:] == problem
    assert await save(live, tmp_path, f"rules: [{HELLO}, {BYE}]")
    assert (live.problem, live.version, names(live)) == ("", 2, ["hello", "bye"])


async def test_settings_that_need_a_restart_stay_and_are_named_once(
    tmp_path: Path, said: list[str]
) -> None:
    live = follow(tmp_path, "port: 0\nreplay: {repeat: last}")
    text = "port: 7\nreplay: {repeat: miss}\nmock: {text: new}"
    await save(live, tmp_path, text)
    assert live.configuration.settings.port == 0
    assert live.configuration.settings.replay.repeat == "last"
    assert live.manner.mock.text == "new"
    assert list(live.ignored) == ["port", "replay.repeat"]
    await save(live, tmp_path, text.replace("new", "newer"))
    warning = "changed, but only the next start takes it: port, replay.repeat"
    assert said == [
        "proxy.yml: read again (mock.text changed)",
        warning,
        "proxy.yml: read again (mock.text changed)",
    ]
    await save(live, tmp_path, "port: 0")
    assert not live.ignored
    assert live.manner.mock.text is None


async def test_a_settings_file_that_is_gone_is_a_problem_and_no_empty_one(tmp_path: Path) -> None:
    live = follow(tmp_path, f"rules: [{HELLO}]")
    (tmp_path / "proxy.yml").unlink()
    assert not await live.reload()
    assert live.problem == "proxy.yml: cannot be read: No such file or directory"
    assert names(live) == ["hello"]
    assert await save(live, tmp_path, f"rules: [{BYE}]")
    assert names(live) == ["bye"]


async def test_a_rhythm_that_cannot_be_followed_is_not_taken(tmp_path: Path) -> None:
    live = follow(tmp_path, "pace: {ttft: 1s}")
    assert not await save(live, tmp_path, "pace: {like: none.db}")
    assert "none.db: no such cassette" in live.problem
    assert live.manner.pace.ttft == 1.0


async def test_a_fault_in_reading_is_told_and_ends_nothing(tmp_path: Path) -> None:
    def fail() -> Configuration:
        raise KeyError("secret")

    live = Live(Configuration(Settings()), fail)
    assert not await live.reload()
    assert live.problem.startswith("this is a fault of llmproxy: KeyError in test_live.py:")
    assert "secret" not in live.problem


async def test_what_cannot_be_read_again_stays(tmp_path: Path) -> None:
    live = Live(Configuration(Settings()))
    assert not live.follows
    assert not await live.reload()
    assert live.version == 1


async def test_reloads_at_once_follow_each_other(tmp_path: Path) -> None:
    live = follow(tmp_path, f"rules: [{HELLO}]")
    assert all(await asyncio.gather(*(live.reload() for _ in range(5))))
    assert live.version == 6


def test_a_first_configuration_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    settings = Settings()
    pace = dataclasses.replace(settings.pace, like="none.db")
    with pytest.raises(LlmproxyError):
        Live(Configuration(dataclasses.replace(settings, pace=pace)))


# GET /_llmproxy/config


async def asked(live: Live) -> dict[str, Any]:
    control = Control(Served("mock", live, Sessions(), Journal()), guard_for("localhost", (), None))
    request = Request("GET", "/_llmproxy/config", (("Host", "localhost"),), b"", "", 0.0)

    async def nothing(_most: int) -> bytes:
        return b""

    reply = await control.answer(request, nothing)
    assert reply.status == 200
    assert isinstance(reply.chunks, tuple)
    told: dict[str, Any] = json.loads(b"".join(chunk.data for chunk in reply.chunks))
    return {name: told[name] for name in TOLD}


TOLD = ("version", "loaded_at", "files", "rules", "problem", "ignored")


async def test_the_configuration_can_be_asked_for(tmp_path: Path) -> None:
    live = follow(tmp_path, f"port: 0\nrules:\n- {HELLO}\n- {{reply: x, times: 2}}\n")
    told = await asked(live)
    assert told == {
        "version": 1,
        "loaded_at": live.loaded_at.isoformat(timespec="seconds"),
        "files": [str(tmp_path / "proxy.yml")],
        "rules": [
            {"name": "hello", "place": "proxy.yml:3"},
            {"name": "rule 2", "place": "proxy.yml:4", "times": 2},
        ],
        "problem": None,
        "ignored": [],
    }
    await save(live, tmp_path, "port: 9")
    await save(live, tmp_path, "port: x\nprot: 1")
    told = await asked(live)
    problem = told["problem"]
    assert isinstance(problem, dict)
    assert problem["lines"] == [
        'proxy.yml:1:7: port: "x" is not a port (0 to 65535)',
        "proxy.yml:2:1: prot: no such setting; did you mean port?",
    ]
    assert problem["message"].startswith(problem["lines"][0])
    assert (told["version"], told["ignored"]) == (2, ["port"])
