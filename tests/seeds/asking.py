"""What tests of the seeds' features share: servers, clients, and replies with their moments.

``reply_to`` gives a reply as it would be played, so a rhythm of minutes is read at once.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
from google import genai

import serve
import sockets
from llmproxy.asked import Asked
from llmproxy.configuration import Configuration
from llmproxy.inquiry import Reader
from llmproxy.interaction import Headers, Reply, Request
from llmproxy.keeping import keeper_for
from llmproxy.live import Live
from llmproxy.maker import Maker
from llmproxy.service import Service
from llmproxy.sessions import Sessions
from llmproxy.synthesizer import Synthesizer
from llmproxy.tokens import EncodingName, packaged
from serve import mocking
from sockets import Answer

KEY = "fake-key"
JSON: Headers = (("Content-Type", "application/json"),)
CHAT = "/v1/chat/completions"
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "City name"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["location"],
}
"""The schema in 002's document."""


def count(text: str, encoding: EncodingName = "cl100k_base") -> int:
    return packaged().load(encoding).count(text)


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def chat(text: str = "Hello!", **more: Any) -> dict[str, Any]:
    return {"model": "gpt-3.5-turbo", "messages": user(text), **more}


@contextlib.asynccontextmanager
async def openai_client(**changes: Any) -> AsyncIterator[Any]:
    """The official client of a server with these settings; it validates what it reads."""
    async with (
        mocking(**changes) as service,
        openai.AsyncOpenAI(
            base_url=f"{service.url}/v1",
            api_key=KEY,
            max_retries=0,
            _strict_response_validation=True,
        ) as client,
    ):
        yield client


@contextlib.asynccontextmanager
async def anthropic_client(**changes: Any) -> AsyncIterator[Any]:
    async with (
        mocking(**changes) as service,
        anthropic.AsyncAnthropic(
            base_url=service.url, api_key=KEY, max_retries=0, _strict_response_validation=True
        ) as client,
    ):
        yield client


@contextlib.asynccontextmanager
async def gemini_client(version: str = "v1beta", **changes: Any) -> AsyncIterator[Any]:
    async with mocking(**changes) as service:
        options = {"base_url": service.url, "api_version": version}
        client = genai.Client(api_key=KEY, http_options=options)  # type: ignore[arg-type]  # a dict will do
        try:
            yield client.aio
        finally:
            await client.aio.aclose()
            client.close()


async def curl(
    service: Service, path: str, body: Any = None, *headers: str, method: str = "POST"
) -> Answer:
    """The request that the seeds' documents send by curl; no body: a GET."""
    if body is None:
        return await sockets.ask(service.url, path, b"", *headers, method="GET")
    lines = ("Content-Type: application/json", *headers)
    return await sockets.ask(service.url, path, json.dumps(body).encode(), *lines, method=method)


async def asked(path: str, body: Any, **changes: Any) -> Answer:
    """The answer to one request by a server with these settings."""
    async with mocking(**changes) as service:
        return await curl(service, path, body)


def events(data: bytes) -> list[Any]:
    """The JSON of each ``data:`` line of a stream; ``[DONE]`` as it is."""
    lines = [line for line in data.decode().split("\n") if line.startswith("data: ")]
    texts = [line.removeprefix("data: ") for line in lines]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


def chunks(data: bytes) -> list[dict[str, Any]]:
    """The chunks of an OpenAI stream, which must end with ``[DONE]``."""
    *found, done = events(data)
    assert done == "[DONE]"
    return found


def pieces(data: bytes) -> list[str]:
    """The texts of an OpenAI chat stream, one a chunk."""
    deltas = [choice["delta"] for chunk in chunks(data) for choice in chunk["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]


async def reply_to(path: str, body: Mapping[str, Any], *, load: int = 1, **changes: Any) -> Reply:
    """The made-up reply with the moments at which it would leave, without waiting for them."""
    return (await replies_to(path, [body], load=load, **changes))[0]


async def replies_to(
    path: str,
    bodies: list[Any],
    *,
    load: int = 1,
    **changes: Any,
) -> list[Reply]:
    settings = serve.settings(**changes)
    keeper = keeper_for(settings, {})
    sessions, live = Sessions(), Live(Configuration(settings))
    with ThreadPoolExecutor(1) as aside:
        maker = Maker(packaged(), sessions, aside, lambda: load, may_call=True)
        answer = Synthesizer(Reader(live, sessions, settings.max_request, trusting=False), maker)
        made = []
        for body in bodies:
            data = json.dumps(body).encode()
            request = Request("POST", path, JSON, data, "default", time.monotonic())
            reply = await answer(Asked(request, keeper.redacting(request, ()), "http://test"))
            assert reply is not None
            made.append(reply)
        return made


def body_of(reply: Reply) -> bytes:
    assert isinstance(reply.chunks, tuple)
    return b"".join(chunk.data for chunk in reply.chunks)


def offsets(reply: Reply) -> list[float]:
    assert isinstance(reply.chunks, tuple)
    return [chunk.offset for chunk in reply.chunks]


def spoken(reply: Reply) -> list[tuple[float, str]]:
    """The texts of an OpenAI chat stream, each with its moment."""
    assert isinstance(reply.chunks, tuple)
    found = []
    for chunk in reply.chunks:
        for event in events(chunk.data):
            if event != "[DONE]" and event["choices"]:
                text = event["choices"][0]["delta"].get("content")
                if text:
                    found.append((chunk.offset, text))
    return found
