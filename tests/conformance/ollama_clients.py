"""Clients of Ollama's Python package, and what its tests share.

The package sends nothing that it does not know, so a script goes into the body on its way out.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import ollama

from conformance.driving import Kind, done, items, user
from means import tokenizer

Client = Any
"""An ``ollama.Client`` or an ``ollama.AsyncClient``."""

MODEL = "llama3.2"


class Sending(httpx.HTTPTransport):
    """Sends requests with more in their bodies."""

    def __init__(self, more: dict[str, Any]) -> None:
        super().__init__(verify=False)
        self._more = more

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return super().handle_request(_with(request, self._more))


class AsyncSending(httpx.AsyncHTTPTransport):
    """The same for the asynchronous client."""

    def __init__(self, more: dict[str, Any]) -> None:
        super().__init__(verify=False)
        self._more = more

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await super().handle_async_request(_with(request, self._more))


def _with(request: httpx.Request, more: dict[str, Any]) -> httpx.Request:
    if not more or not request.content:
        return request
    headers = [line for line in request.headers.raw if line[0].lower() != b"content-length"]
    return httpx.Request(
        request.method,
        request.url,
        headers=headers,
        content=json.dumps({**json.loads(request.content), **more}).encode(),
        extensions=request.extensions,
    )


@contextlib.asynccontextmanager
async def client(
    url: str,
    kind: Kind,
    mock: Any = None,
    session: dict[str, str] | None = None,
    **more: Any,
) -> AsyncIterator[Client]:
    """A client whose replies say ``mock``; ``more`` goes into the bodies of its requests."""
    sent = more if mock is None else {**more, "mock_response": mock}
    made: Any
    if kind == "sync":
        made = ollama.Client(url, headers=session, transport=Sending(sent))
    else:
        made = ollama.AsyncClient(url, headers=session, transport=AsyncSending(sent))
    try:
        yield made
    finally:
        await done(made.close())


async def chat(client: Client, text: str = "Tell me something.", **more: Any) -> Any:
    return await done(client.chat(**{"model": MODEL, "messages": user(text), **more}))


async def lines(client: Client, text: str = "Tell me something.", **more: Any) -> list[Any]:
    """The parts of a streamed chat."""
    return await items(client.chat(**{"model": MODEL, "messages": user(text), **more}, stream=True))


def joined(rows: Sequence[Any]) -> str:
    return "".join(row.message.content or "" for row in rows)


def thought(rows: Sequence[Any]) -> str:
    return "".join(row.message.thinking or "" for row in rows)


def calls(*rows: Any) -> list[tuple[str, Any]]:
    """Names and arguments of the tool calls in replies."""
    return [
        (call.function.name, dict(call.function.arguments))
        for row in rows
        for call in row.message.tool_calls or ()
    ]


def count(text: str | None) -> int:
    """Tokens of a text, as tiktoken counts them."""
    return tokenizer().count(text or "")
