"""Every way in which an upstream can fail or surprise: passed on faithfully, or said clearly."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from pathlib import Path

import pytest

import sockets
from llmproxy.cassette import Cassette
from llmproxy.interaction import Interaction
from serve import recording, replaying
from sockets import CHAT, Answer, Client, Seen, ask, free_port, upstream

EVENTS = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"]


def kept(path: Path) -> list[Interaction]:
    with contextlib.closing(Cassette(path)) as cassette:
        return list(cassette.interactions())


def message(answer: Answer) -> str:
    return str(json.loads(answer.body)["error"]["message"])


async def stream(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(sockets.head())
    for event in EVENTS:
        writer.write(sockets.chunk(event))
        await writer.drain()
    writer.write(sockets.chunk(b""))


async def test_each_chunk_reaches_the_client_when_the_upstream_sends_it(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.head() + sockets.chunk(EVENTS[0]))
        await gate.wait()
        writer.write(sockets.chunk(EVENTS[1]) + sockets.chunk(b""))

    async with (
        upstream(handler) as up,
        recording(up.url, tmp_path / "a.db") as service,
        Client(service.url) as client,
    ):
        client.send("/v1/x", CHAT)
        await client.reader.readuntil(b"data: one\n\n\r\n")  # while the second is not yet sent
        gate.set()
        rest = await client.reader.readuntil(b"0\r\n\r\n")
    assert b"data: two" in rest


async def test_the_head_reaches_the_client_before_any_byte_of_the_body(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.head())
        await gate.wait()
        writer.write(sockets.chunk(b""))

    async with (
        upstream(handler) as up,
        recording(up.url, tmp_path / "a.db") as service,
        Client(service.url) as client,
    ):
        client.send("/v1/x", CHAT)
        assert b"text/event-stream" in await client.reader.readuntil(b"\r\n\r\n")
        gate.set()


async def test_an_upstream_that_is_not_there_is_a_502_that_names_it(tmp_path: Path) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    async with recording(f"gw={gone}", tmp_path / "a.db") as service:
        answer = await ask(service.url, "/v1/messages", CHAT, "anthropic-version: 1")
        assert service.recorder is not None
        assert service.recorder.not_kept == {"the upstream did not answer": 1}
    assert answer.status == 502
    assert json.loads(answer.body)["type"] == "error"  # Anthropic's shape for Anthropic's request
    assert "upstream gw: cannot connect to 127.0.0.1" in message(answer)
    assert kept(tmp_path / "a.db") == []


async def test_an_upstream_that_resets_before_its_head_is_a_502(tmp_path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        sockets.reset(writer)

    async with upstream(handler) as up, recording(up.url, tmp_path / "a.db") as service:
        answer = await ask(service.url, "/v1/x", CHAT)
        assert answer.status == 502
        assert "closed the connection before it answered" in message(answer)
    assert len(up.seen) == 1, "a request that somebody may have seen is not sent twice"


async def test_an_upstream_that_speaks_no_http_is_a_502(tmp_path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    async with upstream(handler) as up, recording(up.url, tmp_path / "a.db") as service:
        answer = await ask(service.url, "/v1/x", CHAT)
    assert answer.status == 502
    assert "gave no HTTP answer" in message(answer)


async def test_an_upstream_that_says_nothing_is_a_504(tmp_path: Path) -> None:
    async def handler(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with (
        upstream(handler) as up,
        recording(up.url, tmp_path / "a.db", upstream_timeouts__first_byte=0.2) as service,
    ):
        answer = await ask(service.url, "/v1/x", CHAT)
    assert answer.status == 504
    assert "did not answer in time" in message(answer)
    assert "upstream_timeouts" in message(answer)


@pytest.mark.parametrize("end", ["reset", "close", "silence"])
async def test_a_stream_that_breaks_breaks_for_the_client_and_again_on_replay(
    tmp_path: Path, end: str
) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.head() + sockets.chunk(EVENTS[0]) + sockets.chunk(EVENTS[1]))
        await writer.drain()
        await asyncio.sleep(0.05)  # a reset overtakes bytes that are still under way
        if end == "reset":
            sockets.reset(writer)
        elif end == "close":
            writer.close()
        else:
            await asyncio.Event().wait()

    def check(answer: Answer) -> None:
        assert answer.status == 200
        assert answer.body == EVENTS[0] + EVENTS[1]
        assert answer.broken

    path = tmp_path / "a.db"
    async with (
        upstream(handler) as up,
        recording(
            up.url, path, record__keep_transient=True, upstream_timeouts__idle=0.3
        ) as service,
    ):
        check(await ask(service.url, "/v1/x", CHAT))
    assert [each.response.end for each in kept(path)] == ["reset"]
    async with replaying(path) as service:
        check(await ask(service.url, "/v1/x", CHAT))


async def test_a_broken_stream_is_not_kept_unless_asked(tmp_path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.head() + sockets.chunk(EVENTS[0]))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()

    async with upstream(handler) as up, recording(up.url, tmp_path / "a.db") as service:
        assert (await ask(service.url, "/v1/x", CHAT)).broken
    assert service.recorder is not None
    assert service.recorder.not_kept == {"the response broke off": 1}
    assert "not kept: 1 (the response broke off)" in service.summary()
    assert kept(tmp_path / "a.db") == []


async def test_a_wrong_content_length_is_wrong_for_the_client_and_again_on_replay(
    tmp_path: Path,
) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(b'{"a":1}', length=100))
        await writer.drain()
        writer.close()

    path = tmp_path / "a.db"
    async with upstream(handler) as up, recording(up.url, path, record__keep_transient=True) as s:
        live = await ask(s.url, "/v1/x", CHAT)
    async with replaying(path) as service:
        played = await ask(service.url, "/v1/x", CHAT)
    for answer in (live, played):
        assert answer.header("content-length") == "100"
        assert (answer.body, answer.broken) == (b'{"a":1}', True)


async def test_a_kept_connection_that_died_is_opened_anew_without_the_client_noticing(
    tmp_path: Path,
) -> None:
    async def handler(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.connection == 1 and len(up.seen) == 2:
            sockets.reset(writer)  # on its second request: the upstream had given up on it
        else:
            writer.write(sockets.reply(b'{"ok":1}'))

    async with upstream(handler) as up, recording(up.url, tmp_path / "a.db") as service:
        assert (await ask(service.url, "/v1/a", CHAT)).status == 200
        second = await ask(service.url, "/v1/b", CHAT)
        assert (second.status, second.body) == (200, b'{"ok":1}')
    assert [seen.connection for seen in up.seen] == [1, 1, 2]


async def test_an_idle_connection_closed_by_the_upstream_costs_nothing(tmp_path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(b"{}"))
        await writer.drain()
        writer.close()

    async with upstream(handler) as up, recording(up.url, tmp_path / "a.db") as service:
        for number in range(5):
            assert (await ask(service.url, f"/v1/{number}", CHAT)).status == 200
    assert len(up.seen) == 5


async def test_gzip_that_came_unasked_passes_as_it_is_and_is_kept_decoded(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(EVENTS))

    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.head("Content-Type: text/event-stream", "Content-Encoding: gzip"))
        for at in range(0, len(packed), 20):
            writer.write(sockets.chunk(packed[at : at + 20]))
            await writer.drain()
        writer.write(sockets.chunk(b""))

    path = tmp_path / "a.db"
    async with upstream(handler) as up, recording(up.url, path) as service:
        live = await ask(service.url, "/v1/x", CHAT)
    assert (live.header("content-encoding"), live.body) == ("gzip", packed)
    assert kept(path)[0].response.body == b"".join(EVENTS)
    async with replaying(path) as service:
        played = await ask(service.url, "/v1/x", CHAT)
    assert played.header("content-encoding") is None
    assert played.body == b"".join(EVENTS)


async def test_gzip_with_a_length_is_replayed_with_the_length_of_what_is_sent(
    tmp_path: Path,
) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        body = gzip.compress(b'{"hello":"world"}')
        writer.write(
            sockets.reply(
                body, "200 OK", "Content-Type: application/json", "Content-Encoding: gzip"
            )
        )

    path = tmp_path / "a.db"
    async with upstream(handler) as up, recording(up.url, path) as service:
        await ask(service.url, "/v1/x", CHAT)
    async with replaying(path) as service:
        played = await ask(service.url, "/v1/x", CHAT)
    assert (played.header("content-length"), played.body) == ("17", b'{"hello":"world"}')


async def test_an_encoding_that_cannot_be_undone_is_kept_raw(tmp_path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(b"no gzip at all", "200 OK", "Content-Encoding: gzip"))

    path = tmp_path / "a.db"
    async with upstream(handler) as up, recording(up.url, path) as service:
        await ask(service.url, "/v1/x", CHAT)
    async with replaying(path) as service:
        played = await ask(service.url, "/v1/x", CHAT)
    assert (played.header("content-encoding"), played.body) == ("gzip", b"no gzip at all")


async def test_a_small_json_reply_is_one_chunk_however_it_came(tmp_path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(b'{"a"', length=7))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b":1}")

    path = tmp_path / "a.db"
    async with upstream(handler) as up, recording(up.url, path) as service:
        assert (await ask(service.url, "/v1/x", CHAT)).body == b'{"a":1}'
    assert [chunk.data for chunk in kept(path)[0].response.chunks] == [b'{"a":1}']


# the client leaves


async def leave_after_the_first_event(url: str) -> None:
    async with Client(url) as client:
        client.send("/v1/x", CHAT)
        await client.reader.readuntil(b"data: one\n\n\r\n")
        client.writer.transport.abort()


async def slow_stream(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(sockets.head())
    for event in EVENTS * 5:
        writer.write(sockets.chunk(event))
        await writer.drain()
        await asyncio.sleep(0.02)
    writer.write(sockets.chunk(b""))


async def test_a_client_that_leaves_early_leaves_a_whole_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with upstream(slow_stream) as up, recording(up.url, path) as service:
        await leave_after_the_first_event(service.url)
    assert [each.response.body for each in kept(path)] == [b"".join(EVENTS * 5)]


async def test_on_disconnect_cancel_stops_with_the_client_and_keeps_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    async with (
        upstream(slow_stream) as up,
        recording(up.url, path, record__on_disconnect="cancel") as service,
    ):
        await leave_after_the_first_event(service.url)
    assert kept(path) == []
    assert service.recorder is not None
    assert service.recorder.not_kept == {"the client left": 1}


async def test_reading_on_for_a_client_that_left_is_bounded_in_time(tmp_path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.head())
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(sockets.chunk(EVENTS[0]))
                await writer.drain()
                await asyncio.sleep(0.01)

    path = tmp_path / "a.db"
    async with (
        upstream(handler) as up,
        recording(up.url, path, record__disconnect_time=0.2, shutdown_time=10.0) as service,
    ):
        await leave_after_the_first_event(service.url)
    assert service.recorder is not None
    assert service.recorder.not_kept == {"the client left and the rest took too long": 1}


async def test_a_response_above_max_kept_passes_whole_and_is_not_kept(tmp_path: Path) -> None:
    big = b"x" * 300_000

    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(big, "200 OK", "Content-Type: audio/mpeg"))

    path = tmp_path / "a.db"
    async with upstream(handler) as up, recording(up.url, path, record__max_kept=100_000) as s:
        assert (await ask(s.url, "/v1/x", CHAT)).body == big
    assert s.recorder is not None
    assert s.recorder.not_kept == {"larger than record.max_kept": 1}
    assert kept(path) == []


@pytest.mark.parametrize(
    ("status", "is_kept"),
    [
        (200, True),
        (201, True),
        (302, True),
        (400, True),
        (404, True),
        (413, True),
        (422, True),
        (401, False),
        (402, False),
        (403, False),
        (408, False),
        (409, False),
        (429, False),
        (500, False),
        (503, False),
        (529, False),
    ],
)
async def test_what_passes_with_the_moment_is_kept_only_on_request(
    tmp_path: Path, status: int, is_kept: bool
) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(b'{"n":1}', f"{status} Word"))

    async with upstream(handler) as up:
        async with recording(up.url, tmp_path / "a.db") as service:
            assert (await ask(service.url, "/v1/x", CHAT)).status == status
        async with recording(up.url, tmp_path / "b.db", record__keep_transient=True) as service:
            assert (await ask(service.url, "/v1/x", CHAT)).status == status
    assert len(kept(tmp_path / "a.db")) == is_kept
    assert len(kept(tmp_path / "b.db")) == 1


async def test_a_stream_that_ends_in_an_error_event_is_not_kept_unless_asked(
    tmp_path: Path,
) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        error = b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'
        writer.write(sockets.head() + sockets.chunk(EVENTS[0]) + sockets.chunk(error))
        writer.write(sockets.chunk(b""))

    async with upstream(handler) as up:
        async with recording(up.url, tmp_path / "a.db") as service:
            await ask(service.url, "/v1/chat/completions", CHAT)
        async with recording(up.url, tmp_path / "b.db", record__keep_transient=True) as again:
            await ask(again.url, "/v1/chat/completions", CHAT)
    assert kept(tmp_path / "a.db") == []
    assert "the stream ended in an error" in service.summary()
    assert len(kept(tmp_path / "b.db")) == 1


async def test_a_hundred_megabytes_pass_and_replay(tmp_path: Path) -> None:
    size = 100 * 2**20
    body = bytes(range(256)) * (size // 256)

    async def handler(seen: Seen, writer: asyncio.StreamWriter) -> None:
        assert len(seen.body) == size
        writer.write(sockets.reply(body, "200 OK", "Content-Type: application/octet-stream"))

    path = tmp_path / "a.db"
    async with upstream(handler) as up:
        async with recording(up.url, path) as service:
            assert (await ask(service.url, "/v1/files", body)).body == body
    async with replaying(path) as service:
        assert (await ask(service.url, "/v1/files", body)).body == body
