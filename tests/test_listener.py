"""The end of a service is bounded, and what is no HTTP is answered without a word of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from time import monotonic

import pytest

import make
import sockets
from serve import replaying
from sockets import Client

HOUR = 3600.0


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A cassette with a stream whose second chunk comes after an hour."""
    stream = make.response([(0.0, b"data: 1\n\n"), (HOUR, b"data: 2\n\n")], headers=())
    return make.write(tmp_path / "a.db", make.interaction(make.request(sockets.CHAT), stream))


@pytest.mark.parametrize("shutdown_time", [0.0, 0.3])
@pytest.mark.parametrize("stays", [True, False])
async def test_shutdown_waits_for_what_is_in_flight_only_so_long(
    endless: Path, shutdown_time: float, stays: bool
) -> None:
    async with asyncio.timeout(20):
        async with replaying(endless, replay__pace=1.0, shutdown_time=shutdown_time) as service:
            client = await Client(service.url).__aenter__()
            client.send("/v1/chat/completions", sockets.CHAT)
            await client.reader.readuntil(b"data: 1\n\n")
            if not stays:
                client.writer.transport.abort()
            began = monotonic()
        assert monotonic() - began >= shutdown_time
        client.writer.close()


async def test_shutdown_does_not_wait_for_idle_connections(endless: Path) -> None:
    async with asyncio.timeout(20), replaying(endless, shutdown_time=HOUR) as service:
        client = await Client(service.url).__aenter__()
        await client.ask("/_llmproxy/health", b"", method="GET")
    client.writer.close()


async def test_what_cannot_be_read_is_answered_in_json_and_closed(endless: Path) -> None:
    async with replaying(endless) as service, Client(service.url) as client:
        client.writer.write(b"GET /secret-path HTTP/1.1\r\nno colon here secret\r\n\r\n")
        answer = await client.answer()
        assert await client.reader.read() == b""
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["type"] == "invalid_request_error"
    assert b"secret" not in answer.body
