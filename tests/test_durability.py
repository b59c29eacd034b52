"""Nothing recorded is lost: not to kill -9, a full disk, an interrupted run, a second Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import program
import sockets
from llmproxy.cassette import Cassette
from llmproxy.errors import CassetteError
from serve import recording, replaying
from sockets import Seen, ask, upstream


def chat(text: str) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()


def texts(path: Path) -> list[str]:
    """The user's words in each interaction of a cassette."""
    with contextlib.closing(Cassette(path)) as cassette:
        return [
            json.loads(each.request.body)["messages"][0]["content"]
            for each in cassette.interactions()
        ]


async def slow(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(sockets.head())
    for number in range(20):
        writer.write(sockets.chunk(b"data: %d\n\n" % number))
        await writer.drain()
        await asyncio.sleep(0.03)
    writer.write(sockets.chunk(b""))


async def quick(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(sockets.reply(b'{"ok":1}'))


async def test_kill_9_loses_nothing_that_ended_more_than_a_second_before(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    ended: dict[str, float] = {}

    async def keep_asking(url: str, number: int) -> None:
        turn = 0
        while True:
            text = f"{number}.{turn}"
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                if (await ask(url, body=chat(text))).status == 200:
                    ended[text] = time.monotonic()
            turn += 1

    async with upstream(slow) as up:
        with program.serve("record", "--upstream", up.url, "--cassette", str(path)) as server:
            tasks = [asyncio.create_task(keep_asking(server.url, n)) for n in range(50)]
            await asyncio.sleep(3.5)
            killed = time.monotonic()
            server.process.kill()
            server.process.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    due = {text for text, when in ended.items() if when < killed - 1}
    assert len(due) >= 50
    assert due <= set(texts(path))
    assert os.listdir(tmp_path) == ["a.db"], "opened once, it is one file again"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("no right to mount a small tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_stops_the_recording_and_not_the_traffic(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    big = os.urandom(150_000)

    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(big, "200 OK", "Content-Type: audio/mpeg"))

    path = small_disk / "a.db"
    async with upstream(handler) as up, recording(up.url, path) as service:
        for number in range(30):
            answer = await ask(service.url, body=chat(str(number)))
            assert (answer.status, answer.body) == (200, big)
    assert service.recorder is not None
    assert service.failed
    assert service.recorder.kept + service.recorder.failed >= 30
    assert "NOT RECORDED" in caplog.text
    assert "full" in service.summary()
    assert texts(path) == [str(number) for number in range(service.recorder.kept)]


async def test_a_disk_that_is_full_from_the_start_is_an_error_before_any_traffic(
    small_disk: Path,
) -> None:
    with contextlib.suppress(OSError):
        (small_disk / "filler").write_bytes(bytes(4_000_000))
    with pytest.raises(CassetteError, match="a.db: .*(full|space)"):
        async with recording("http://127.0.0.1:1", small_disk / "a.db"):
            pass


def test_a_recording_that_lost_something_ends_with_a_failure(small_disk: Path) -> None:
    async def talk() -> tuple[int, str]:
        async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(sockets.reply(os.urandom(400_000), "200 OK", "Content-Type: a/b"))

        async with upstream(handler) as up:
            command = ("record", "--upstream", up.url, "--cassette", str(small_disk / "a.db"))
            with program.serve(*command) as server:
                for number in range(10):
                    await ask(server.url, body=chat(str(number)))
                status, out, _ = await asyncio.to_thread(server.stop)
                return status, out

    status, out = asyncio.run(talk())
    assert status == 1
    assert "could not be written" in out


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such permissions there")
async def test_a_read_only_folder_says_how_to_take_another(tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("no right to mount a read-only tmpfs here")
    try:
        with pytest.raises(CassetteError, match=r"cannot be written: .*\n  name another place"):
            async with recording("http://127.0.0.1:1", folder / "a.db"):
                pass
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_finishes_what_is_in_flight_and_leaves_one_file(
    tmp_path: Path, number: int
) -> None:
    path = tmp_path / "a.db"
    async with upstream(slow) as up:
        with program.serve("record", "--upstream", up.url, "--cassette", str(path)) as server:
            async with sockets.Client(server.url) as client:
                client.send("/v1/x", chat("in flight"))
                await client.reader.readuntil(b"data: 0\n\n")
                stopping = asyncio.create_task(asyncio.to_thread(server.stop, number))
                rest = await client.reader.readuntil(b"0\r\n\r\n")
            status, out, _ = await stopping
    assert b"data: 19" in rest
    assert (status, out.strip()) == (0, "llmproxy: 1 recorded")
    assert texts(path) == ["in flight"]
    assert os.listdir(tmp_path) == ["a.db"]


async def test_a_second_ctrl_c_leaves_at_once_and_keeps_what_was_finished(
    tmp_path: Path,
) -> None:
    async def handler(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if b"endless" in seen.body:
            writer.write(sockets.head() + sockets.chunk(b"data: 0\n\n"))
            await writer.drain()
            await asyncio.Event().wait()
        writer.write(sockets.reply(b'{"ok":1}'))

    path = tmp_path / "a.db"
    async with upstream(handler) as up:
        with program.serve("record", "--upstream", up.url, "--cassette", str(path)) as server:
            await ask(server.url, body=chat("finished"))
            async with sockets.Client(server.url) as client:
                client.send("/v1/x", chat("endless"))
                await client.reader.readuntil(b"data: 0\n\n")
                server.process.send_signal(signal.SIGINT)
                while True:  # the first signal has been heard when nobody is let in any more
                    try:
                        await ask(server.url, "/_llmproxy/health", b"", method="GET")
                    except (OSError, EOFError):
                        break
                began = time.monotonic()
                status, _, _ = await asyncio.to_thread(server.stop)
    assert status == 130
    assert time.monotonic() - began < 5
    assert texts(path) == ["finished"]


async def test_an_interrupted_recording_of_all_leaves_the_old_file_and_is_set_aside(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    async with upstream(quick) as up:
        async with recording(up.url, path) as service:
            await ask(service.url, body=chat("old"))
        command = ("record", "--upstream", up.url, "--cassette", str(path), "--mode", "all")
        with program.serve(*command) as server:
            await ask(server.url, body=chat("new"))
            await asyncio.sleep(0.5)
            server.process.kill()
            server.process.wait()
        assert texts(path) == ["old"]
        async with recording(up.url, path, record__mode="all") as service:
            await ask(service.url, body=chat("newest"))
    assert texts(path) == ["newest"]
    assert texts(tmp_path / "a.db.interrupted1") == ["new"]


async def test_a_full_queue_makes_the_next_request_wait_and_loses_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    async with (
        upstream(quick) as up,
        recording(up.url, path, record__queue=10_000) as service,
    ):
        await asyncio.gather(*(ask(service.url, body=chat(str(n))) for n in range(200)))
    assert sorted(texts(path), key=int) == [str(n) for n in range(200)]


async def test_a_cassette_that_goes_bad_while_replaying_is_an_error_that_names_it(
    tmp_path: Path,
) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(b"[" + b"1," * 50_000 + b"1]"))

    path = tmp_path / "a.db"
    async with upstream(handler) as up, recording(up.url, path) as service:
        for number in range(50):
            await ask(service.url, body=chat(str(number)))
    async with replaying(path) as service:
        content = bytearray(path.read_bytes())
        content[40_960:] = os.urandom(len(content) - 40_960)
        path.write_bytes(content)
        answers = [await ask(service.url, body=chat(str(number))) for number in range(50)]
        health = await ask(service.url, "/_llmproxy/health", b"", method="GET")
    failed = [answer for answer in answers if answer.status != 200]
    assert failed, "SQLite had not cached all of it"
    assert {answer.status for answer in failed} == {500}
    assert "a.db: " in json.loads(failed[0].body)["error"]["message"]
    assert health.status == 200
