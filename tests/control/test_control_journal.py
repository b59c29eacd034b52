"""The journal by the control API: filters, pages, and following it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from control.calling import call, chat, said, told, until
from llmproxy.control import entries
from llmproxy.service import Service
from serve import mocking

JOURNAL = "/_llmproxy/journal"


async def some(service: Service) -> None:
    await said(service, "Hello!", "x-llmproxy-session: one")
    await call(service, "POST", "/v1/chat/completions", {"model": "m"})
    await said(service, "Hello!", "x-llmproxy-session: two")


async def test_entries_are_told_the_oldest_first_by_number() -> None:
    async with mocking() as service:
        await some(service)
        found = await told(service, "GET", JOURNAL)
        assert [each["number"] for each in found["entries"]] == [1, 2, 3]
        assert [each["status"] for each in found["entries"]] == [200, 400, 200]
        assert found["last"] == 3
        page = await told(service, "GET", f"{JOURNAL}?after=1&limit=1")
        assert [each["number"] for each in page["entries"]] == [2]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("session=two", [3]),
        ("status=400", [2]),
        ("source=synthesized&status=200", [1, 3]),
        ("endpoint=openai_chat", [1, 2, 3]),
        ("endpoint=anthropic_messages", []),
        ("session=one&after=1", []),
    ],
)
async def test_entries_are_picked(query: str, numbers: list[int]) -> None:
    async with mocking() as service:
        await some(service)
        found = await told(service, "GET", f"{JOURNAL}?{query}")
    assert [each["number"] for each in found["entries"]] == numbers


async def test_no_prompt_and_no_key_stands_in_the_journal() -> None:
    async with mocking() as service:
        key = "Authorization: Bearer made-up-key-of-a-test"
        await call(service, "POST", "/v1/chat/completions", chat("a secret plan"), key)
        answer = await call(service, "GET", JOURNAL)
    assert b"made-up-key" not in answer.body
    assert b"plan" not in answer.body


async def lines(response: aiohttp.ClientResponse, count: int) -> list[Any]:
    read = [await asyncio.wait_for(response.content.readline(), 5) for _ in range(count)]
    return [json.loads(line) for line in read]


async def test_a_follower_gets_what_there_is_and_then_each_that_comes() -> None:
    async with mocking() as service, aiohttp.ClientSession() as client:
        await some(service)
        url = f"{service.url}{JOURNAL}?follow=1&after=1&status=200"
        async with client.get(url) as response:
            assert response.headers["content-type"] == "application/x-ndjson"
            assert [each["number"] for each in await lines(response, 1)] == [3]
            await some(service)
            assert [each["number"] for each in await lines(response, 2)] == [4, 6]
        assert service.journal.in_flight == 0


async def test_a_follower_is_no_load_and_ends_with_the_server() -> None:
    async with aiohttp.ClientSession() as client:
        async with mocking(shutdown_time=30.0) as service:
            response = await client.get(f"{service.url}{JOURNAL}?follow=1")
            assert service.journal.in_flight == 0
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 5
        assert await response.read() == b""


async def test_a_follower_that_left_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "HEARTBEAT", 0.01)
    async with mocking() as service, aiohttp.ClientSession() as client:
        response = await client.get(f"{service.url}{JOURNAL}?follow=1")
        followers = service.listener.proxy.control.served.followers
        assert await response.content.readline() == b"\n"
        assert len(followers) == 1
        response.close()
        await until(lambda: not followers)


async def test_head_of_a_follower_has_no_body() -> None:
    async with mocking() as service:
        answer = await asyncio.wait_for(call(service, "HEAD", f"{JOURNAL}?follow=1"), 5)
    assert (answer.status, answer.body) == (200, b"")
