"""Saves as editors, deployments and people make them, and what of them is live."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import watchfiles

from llmproxy import configuration
from llmproxy.configuration import Configuration
from llmproxy.errors import SettingsError
from llmproxy.live import Live
from llmproxy.watcher import watch, watching

DEADLINE = 20.0
"""Seconds; only a failing test waits so long."""


def rules(*names: str) -> str:
    return "rules:\n" + "".join(f"- {{name: {n}, when: {{text: {n}}}, reply: hi}}\n" for n in names)


class Followed:
    """A configuration that is watched.

    ``taken`` are the names of rules, or an error, each time; ``before`` and ``after`` are called
    around each reading.
    """

    def __init__(self, folder: Path, config: Path | None = None) -> None:
        self.arguments: tuple[Any, ...] = (config, {}, {}, folder)
        self.taken: list[list[str] | str] = []
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None
        self.live = Live(configuration.load(*self.arguments), self.again)

    def again(self) -> Configuration:
        self.before()
        try:
            read = configuration.load(*self.arguments)
        except SettingsError as error:
            self.taken.append(str(error))
            raise
        self.taken.append([rule.name for rule in read.rules])
        self.after()
        return read

    @property
    def names(self) -> list[str]:
        return [rule.name for rule in self.live.configuration.rules]

    async def until(self, condition: Callable[[], object]) -> float:
        """Wait for it; the seconds that it took."""
        started = monotonic()
        while not condition():
            assert monotonic() - started < DEADLINE, (self.taken, self.live.problem)
            await asyncio.sleep(0.005)
        return monotonic() - started

    async def until_names(self, *names: str) -> float:
        return await self.until(lambda: self.names == list(names))


@contextlib.asynccontextmanager
async def followed(folder: Path, config: Path | None = None) -> AsyncIterator[Followed]:
    made = Followed(folder, config)
    async with watching(made.live):
        yield made


async def test_a_save_is_live_within_a_second(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yml"
    file.write_text(rules("a"))
    took = []
    async with followed(tmp_path) as server:
        for name in ("b", "c", "d"):
            file.write_text(rules(name))
            took.append(await server.until_names(name))
    assert min(took) < 1.0  # the least of three: a busy machine is no fault


async def test_a_save_by_rename_is_live_and_so_is_the_next(tmp_path: Path) -> None:
    file, other = tmp_path / "proxy.yml", tmp_path / ".proxy.yml.swp"
    file.write_text(rules("a"))
    async with followed(tmp_path) as server:
        for name in ("b", "c"):
            other.write_text(rules(name))
            other.replace(file)
            await server.until_names(name)
        file.rename(tmp_path / "proxy.yml~")
        file.write_text(rules("d"))
        await server.until_names("d")
    assert server.taken == [["b"], ["c"], ["d"]]


@pytest.mark.parametrize(
    ("parts", "pause", "longest"),
    [
        (("rules:\n- {name: b, when: {text: b}, reply: hi}\n", "- {reply: hi}\n"), 0.05, 0.09),
        (("", rules("b", "c")), 0.3, 0.6),
    ],
    ids=["half", "empty"],
)
async def test_a_file_half_written_is_never_live(
    tmp_path: Path, parts: tuple[str, str], pause: float, longest: float
) -> None:
    file = tmp_path / "proxy.yml"
    for _ in range(20):  # a busy machine may make the pause so long that the half counts as whole
        file.write_text(rules("a"))
        async with followed(tmp_path) as server:
            started = monotonic()
            with file.open("w") as writer:
                writer.write(parts[0])
                writer.flush()
                await asyncio.sleep(pause)
                writer.write(parts[1])
            if monotonic() - started > longest:
                continue
            await server.until(lambda: len(server.names) == 2)
            assert len(server.taken) == 1
            return
    pytest.fail("the machine is too busy to write a file")


async def test_a_broken_save_changes_nothing_and_the_next_mends_it(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yml"
    file.write_text(rules("a"))
    async with followed(tmp_path) as server:
        file.write_text(rules("b") + "- {nmae: c, reply: x}\n")
        await server.until(lambda: server.live.problem)
        assert server.live.problem.startswith("proxy.yml:3:4: rules[1].nmae:")
        assert server.names == ["a"]
        file.write_text(rules("b", "c"))
        await server.until_names("b", "c")
    assert server.live.problem == ""


async def test_a_config_map_swapped_as_kubernetes_does_is_live(tmp_path: Path) -> None:
    mount = tmp_path / "config"
    mount.mkdir()

    def publish(version: str) -> None:
        (mount / version).mkdir()
        (mount / version / "proxy.yml").write_text("rules: [more.yml]")
        (mount / version / "more.yml").write_text(rules(version))
        (mount / "..data_tmp").symlink_to(version)
        (mount / "..data_tmp").replace(mount / "..data")

    publish("v1")
    for name in ("proxy.yml", "more.yml"):
        (mount / name).symlink_to(f"..data/{name}")
    async with followed(mount) as server:
        for version in ("v2", "v3"):
            publish(version)
            await server.until_names(version)


async def test_a_folder_that_is_a_link_may_lead_elsewhere(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "releases" / name).mkdir(parents=True)
        (tmp_path / "releases" / name / "proxy.yml").write_text(rules(name))
    (tmp_path / "current").symlink_to("releases/one")
    async with followed(tmp_path, Path("current/proxy.yml")) as server:
        (tmp_path / "next").symlink_to("releases/two")
        (tmp_path / "next").replace(tmp_path / "current")
        await server.until_names("two")
        (tmp_path / "releases" / "two" / "proxy.yml").write_text(rules("three"))
        await server.until_names("three")


async def test_a_file_that_a_reload_names_is_watched_too(tmp_path: Path) -> None:
    (tmp_path / "proxy.yml").write_text(rules("a"))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.yml").write_text(rules("b"))
    async with followed(tmp_path) as server:
        (tmp_path / "proxy.yml").write_text("rules: [more/b.yml]")
        await server.until_names("b")
        (tmp_path / "more" / "b.yml").write_text(rules("c"))
        await server.until_names("c")


async def test_a_file_or_cassette_that_was_missing_mends_the_problem_when_it_comes(
    tmp_path: Path,
) -> None:
    import make

    (tmp_path / "proxy.yml").write_text(rules("a"))
    async with followed(tmp_path) as server:
        reply = "{cassette: tapes/x.db, interaction: 1}"
        (tmp_path / "proxy.yml").write_text(f"rules: [b.yml, {{name: c, reply: {reply}}}]")
        await server.until(lambda: server.live.problem)
        (tmp_path / "b.yml").write_text(rules("b"))
        await server.until(lambda: "b.yml" not in server.live.problem)
        made = make.write(tmp_path / "x.db", make.interaction())
        (tmp_path / "tapes").mkdir()
        made.rename(tmp_path / "tapes" / "x.db")
        await server.until_names("b", "c")


async def test_a_file_that_is_removed_is_one_problem_until_it_is_back(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yml"
    file.write_text(rules("a"))
    async with followed(tmp_path) as server:
        file.unlink()
        await server.until(lambda: server.live.problem)
        assert server.names == ["a"]
        file.write_text(rules("b"))
        await server.until_names("b")
    assert server.live.problem == ""
    assert server.taken == [[], ["b"]]  # without its file it would have had no rule


async def test_a_folder_that_is_removed_and_made_anew_is_watched(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "proxy.yml").write_text(rules("a"))
    async with followed(folder) as server:
        (folder / "proxy.yml").unlink()
        folder.rmdir()
        await server.until(lambda: server.live.problem)
        folder.mkdir()
        for name in ("b", "c"):
            (folder / "proxy.yml").write_text(rules(name))
            await server.until_names(name)


async def test_a_file_that_comes_where_none_was_is_live(tmp_path: Path) -> None:
    async with followed(tmp_path) as server:
        (tmp_path / "proxy.yml").write_text(rules("a"))
        await server.until_names("a")


async def test_settings_that_reload_are_live_and_others_are_named(tmp_path: Path) -> None:
    (tmp_path / "proxy.yml").write_text("port: 0")
    async with followed(tmp_path) as server:
        (tmp_path / "proxy.yml").write_text("port: 7\nmock: {text: Hallo}")
        await server.until(lambda: server.live.manner.mock.text == "Hallo")
        assert server.live.configuration.settings.port == 0
        assert server.live.ignored == ("port",)


async def test_after_a_thousand_quick_saves_the_last_one_is_live(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yml"
    file.write_text(rules("a"))
    async with followed(tmp_path) as server:
        for number in range(1000, 2000):  # all of one size
            file.write_text(rules(f"r{number}"))
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        await server.until_names("r1999")
        version = server.live.version
        assert version < 30
        await server.until(lambda: server.live.seen == configuration.load(*server.arguments).stamps)
    assert server.names == ["r1999"]


async def test_a_save_during_a_reload_is_not_missed_though_nothing_but_its_text_differs(
    tmp_path: Path,
) -> None:
    file = tmp_path / "proxy.yml"
    file.write_text(rules("a"))
    async with followed(tmp_path) as server:
        names = iter("cd")

        def save() -> None:
            """Both in one tick of the clock: one before the file is read, one after."""
            if name := next(names, ""):
                file.write_text(rules(name))
                os.utime(file, ns=(2, 2))

        server.before = server.after = save
        file.write_text(rules("b"))
        await server.until_names("d")
    assert server.taken == [["c"], ["d"]]


async def test_other_files_of_the_folder_cause_no_reload(tmp_path: Path) -> None:
    (tmp_path / "proxy.yml").write_text(rules("a"))
    async with followed(tmp_path) as server:
        for number in range(20):
            (tmp_path / "other.db").write_text(str(number))
            await asyncio.sleep(0.01)
        (tmp_path / "proxy.yml").write_text(rules("b"))
        await server.until_names("b")
    assert server.taken == [["b"]]


async def test_where_nothing_can_be_watched_the_files_are_looked_at_and_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> Iterator[object]:
        yield from ()
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(watchfiles, "watch", refuse)
    monkeypatch.setattr(logging.getLogger("llmproxy"), "propagate", True)
    (tmp_path / "proxy.yml").write_text(rules("a"))
    async with followed(tmp_path) as server:
        for name in ("b", "c"):
            (tmp_path / "proxy.yml").write_text(rules(name))
            await server.until_names(name)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "file watch limit reached" in warnings[0]


async def test_the_end_comes_soon_and_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "proxy.yml").write_text(rules("a"))
    took = []
    for _ in range(3):
        async with followed(tmp_path) as server:
            (tmp_path / "proxy.yml").write_text(rules("b"))
            await server.until_names("b")
            (tmp_path / "proxy.yml").write_text(rules("a"))
            await server.until_names("a")
            assert _watchers() == 1
            started = monotonic()
        took.append(monotonic() - started)
        assert _watchers() == 0
    assert min(took) < 0.3


async def test_a_watch_can_be_cancelled_while_a_file_is_not_quiet(tmp_path: Path) -> None:
    file = tmp_path / "proxy.yml"
    file.write_text(rules("a"))
    server = Followed(tmp_path)
    task = asyncio.create_task(watch(server.live))
    await server.until(lambda: _watchers() == 1)
    file.write_text("")
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _watchers() == 0


async def test_what_cannot_be_read_again_is_not_watched() -> None:
    from llmproxy.settings import Settings

    await asyncio.wait_for(watch(Live(Configuration(Settings()))), DEADLINE)


def _watchers() -> int:
    return sum(thread.name.startswith("llmproxy-watch") for thread in threading.enumerate())
