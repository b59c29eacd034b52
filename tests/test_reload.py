"""Rules that are saved again and again under a steady load: nobody is dropped, nothing is garbled."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from llmproxy import configuration
from llmproxy.service import Plan, serving
from seeds.asking import CHAT, chat, pieces
from sockets import Answer, Client, ask

RATE = 200
"""Requests that begin in a second, whatever becomes of those before."""
SAVES = 20
BROKEN = frozenset((3, 8, 9, 15))
"""Saves with a mistake; what they say must never be said."""
COUNTED = 10
"""Each so many requests, one asks the rule that never changes."""
PATIENCE = 20.0
"""Seconds; only a failing test waits so long."""


def text_of(version: int) -> str:
    """Twelve tokens that all say the version, so that a mixture of two shows."""
    return " ".join([f"v{version}"] * 6)


def rules(version: int) -> str:
    """A file whose first rule says the version, and whose second stands elsewhere each time."""
    mistake = f"nmae{version}: mistake, " if version in BROKEN else ""
    comments = "# a line\n" * (version % 4)
    return f"""\
rules:
  - {{{mistake}name: changing, when: {{text: version}}, pace: {{chunk_delay: 7ms}},
     reply: {{text: "{text_of(version)}"}}}}
{comments}
  - {{name: steady, when: {{text: count}}, reply: {{template: "{{{{ counter }}}}"}}}}
"""


def by_rename(file: Path, text: str) -> None:
    other = file.with_suffix(".tmp")
    other.write_text(text)
    other.replace(file)


def anew(file: Path, text: str) -> None:
    """As editors do that keep the old file as a backup."""
    file.rename(file.with_suffix(".yml~"))
    file.write_text(text)


async def in_halves(file: Path, text: str, between: Callable[[], object]) -> None:
    """Truncate and write; the first half ends inside a quoted text, so it is never a whole file."""
    middle = text.index('"') + 4
    with file.open("w") as writer:
        writer.write(text[:middle])
        writer.flush()
        await until(between)
        writer.write(text[middle:])


async def until(condition: Callable[[], object]) -> None:
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline
        await asyncio.sleep(0.002)


@dataclass(frozen=True)
class Said:
    """An answer about the version; ``at_least`` is the newest that was seen when it was asked."""

    version: int
    at_least: int
    streamed: bool


class Load:
    """Asks at a steady rate over as many connections as it takes.

    ``newest`` is the highest version that was seen in a whole answer so far.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[Client] = []
        self._clients: list[Client] = []
        self.newest = 0
        self.said: list[Said] = []
        self.counts: list[int] = []

    @property
    def answered(self) -> int:
        return len(self.said) + len(self.counts)

    async def run(self, stop: asyncio.Event) -> int:
        """Ask until ``stop``, wait for the answers; how many were asked for."""
        number, began = 0, monotonic()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                group.create_task(self._one(number))
                number += 1
                await asyncio.sleep(began + number / RATE - monotonic())
        for client in self._clients:
            await client.__aexit__()
        return number

    async def _one(self, number: int) -> None:
        if number % COUNTED == 0:
            answer = await self._ask("count", stream=False)
            self.counts.append(int(whole(answer)))
            return
        at_least, streamed = self.newest, number % 2 == 1
        answer = await self._ask("version", stream=streamed)
        text = "".join(pieces(answer.body)) if streamed else whole(answer)
        version = int(text.split()[0].removeprefix("v"))
        assert text == text_of(version)
        self.newest = max(self.newest, version)
        self.said.append(Said(version, at_least, streamed))

    async def _ask(self, text: str, *, stream: bool) -> Answer:
        if self._idle:
            client = self._idle.pop()
        else:
            client = await Client(self._url).__aenter__()
            self._clients.append(client)
        answer = await client.ask(CHAT, json.dumps(chat(text, stream=stream)).encode())
        self._idle.append(client)
        assert (answer.status, answer.broken) == (200, False)
        assert answer.header("x-llmproxy-source") == "rule"
        return answer


def whole(answer: Answer) -> str:
    return str(json.loads(answer.body)["choices"][0]["message"]["content"])


async def problem(url: str) -> str:
    found = json.loads((await ask(url, "/_llmproxy/config", b"", method="GET")).body)
    return found["problem"]["message"] if found["problem"] else ""


async def save_all(file: Path, load: Load, url: str) -> None:
    """Save in every way, and wait each time until it is seen what became of it."""
    for version in range(1, SAVES + 1):
        text, before = rules(version), load.answered
        if version % 3 == 0:
            by_rename(file, text)
        elif version % 3 == 1:
            await in_halves(file, text, lambda before=before: load.answered > before)  # type: ignore[misc]  # a default is no argument
        else:
            anew(file, text)
        if version in BROKEN:
            deadline = monotonic() + PATIENCE
            while f"nmae{version}" not in await problem(url):
                assert monotonic() < deadline
                await asyncio.sleep(0.005)
        else:
            await until(lambda version=version: load.newest == version)  # type: ignore[misc]  # as above


async def test_saves_under_load_drop_and_garble_nothing_and_never_go_back(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(rules(0))
    (tmp_path / "proxy.yml").write_text("port: 0\nrules: rules.yml\n")
    again = functools.partial(configuration.load, None, {}, {}, tmp_path)
    async with serving(Plan("mock", again(), again=again)) as service:
        load, stop, began = Load(service.url), asyncio.Event(), monotonic()
        running = asyncio.create_task(load.run(stop))
        saving = asyncio.create_task(save_all(file, load, service.url))
        await asyncio.wait([running, saving], return_when=asyncio.FIRST_COMPLETED)
        took = monotonic() - began
        stop.set()
        asked = await running
        await saving
        assert await problem(service.url) == ""
    assert load.answered == asked == service.journal.ruled
    assert asked >= RATE * took * 0.8  # a busy machine falls behind, and catches up
    assert [each for each in load.said if each.version < each.at_least] == []
    good = set(range(SAVES + 1)) - BROKEN
    assert {each.version for each in load.said} == good
    assert {each.version for each in load.said if each.streamed} >= good - {0, SAVES}
    assert sorted(load.counts) == list(range(1, len(load.counts) + 1))
