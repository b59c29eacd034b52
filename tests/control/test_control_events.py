"""The WebSocket of the control API: settings and requests, told as they come."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from control.calling import said, told, until
from llmproxy.control import sockets
from serve import mocking

EVENTS = "/_llmproxy/events"


async def hear(socket: aiohttp.ClientWebSocketResponse, *kinds: str) -> list[Any]:
    """The data of the next messages, which must be of these types."""
    found = []
    for kind in kinds:
        message = await socket.receive_json(timeout=5)
        assert message["type"] == kind
        found.append(message["data"])
    return found


async def test_settings_and_requests_are_told_as_they_come() -> None:
    async with mocking() as service, aiohttp.ClientSession() as client:
        async with client.ws_connect(service.url + EVENTS) as socket:
            (config,) = await hear(socket, "config")
            assert config["version"] == 1
            await said(service, "a secret plan")
            opened, closed = await hear(socket, "opened", "closed")
            assert (opened["endpoint"], closed["status"]) == ("openai_chat", 200)
            assert opened["id"] == closed["id"]
            assert "plan" not in str((opened, closed))
            await told(service, "PATCH", "/_llmproxy/config", {"mock": {"text": "x"}})
            (config,) = await hear(socket, "config")
            assert config["changed"] == ["mock.text"]
        served = service.listener.proxy.control.served
        await until(lambda: not served.sockets)
        assert service.journal.in_flight == 0


async def test_what_a_client_says_changes_nothing() -> None:
    async with mocking() as service, aiohttp.ClientSession() as client:
        async with client.ws_connect(service.url + EVENTS) as socket:
            await hear(socket, "config")
            await socket.send_str("x" * 1000)
            await socket.send_bytes(b"\xff")
            await said(service)
            await hear(socket, "opened", "closed")


async def test_a_client_is_told_when_the_server_ends() -> None:
    async with aiohttp.ClientSession() as client:
        async with mocking(shutdown_time=30.0) as service:
            socket = await client.ws_connect(service.url + EVENTS)
            await hear(socket, "config")
            began = asyncio.get_running_loop().time()
            closing = asyncio.create_task(socket.receive(timeout=5))
        message = await closing
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert asyncio.get_running_loop().time() - began < 5


async def test_one_who_does_not_read_is_cut_off() -> None:
    conversation = sockets.Conversation(None, None)  # type: ignore[arg-type]  # it never speaks
    for number in range(sockets.MOST_WAITING + 1):
        conversation.say("x", number)
    await asyncio.wait_for(ended(conversation), 5)


async def ended(conversation: sockets.Conversation) -> None:
    waiting = conversation._waiting  # what nobody reads
    assert waiting.qsize() <= sockets.MOST_WAITING
    while await waiting.get() is not None:
        pass


async def test_a_message_too_large_ends_the_conversation() -> None:
    async with mocking() as service, aiohttp.ClientSession() as client:
        async with client.ws_connect(service.url + EVENTS) as socket:
            await hear(socket, "config")
            await socket.send_str("x" * (sockets.LARGEST_MESSAGE + 1))
            message = await socket.receive(timeout=5)
            assert message.type == aiohttp.WSMsgType.CLOSE
            assert message.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_what_a_client_has_not_read_yet_is_known() -> None:
    conversation = sockets.Conversation(None, None)  # type: ignore[arg-type]  # as above
    assert not conversation.waits("numbers")
    conversation.say("numbers", 1)
    assert conversation.waits("numbers")
