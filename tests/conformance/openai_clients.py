"""Clients of OpenAI's SDK, of either generation, and what its tests share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import openai
import pytest

from conformance.driving import Kind, done, entered, items, user
from means import tokenizer

Client = Any
"""An ``openai.OpenAI`` or an ``openai.AsyncOpenAI``."""

OLD = int(openai.VERSION.split(".")[0]) < 2
KEY = "made" + "-up"
MODEL = "gpt-4o-mini"


def needs_new(what: str) -> pytest.MarkDecorator:
    """Marks a test of what the old generation of the SDK does not have."""
    return pytest.mark.skipif(OLD, reason=f"openai {openai.VERSION} has no {what}")


@contextlib.asynccontextmanager
async def client(
    url: str, kind: Kind, prefix: str = "/v1", *, azure: bool = False, **more: Any
) -> AsyncIterator[Client]:
    """A client that refuses what does not fit its types; ``more`` goes to its constructor."""
    blocking = kind == "sync"
    # to make the context of TLS, which nobody needs here, takes longer than a whole test
    bare = openai.DefaultHttpxClient if blocking else openai.DefaultAsyncHttpxClient
    given: dict[str, Any] = {
        "api_key": KEY,
        "max_retries": 0,
        "_strict_response_validation": True,
        "http_client": bare(verify=False),
        **more,
    }
    made: Client
    if azure:
        made = (openai.AzureOpenAI if blocking else openai.AsyncAzureOpenAI)(**given)
    else:
        made = (openai.OpenAI if blocking else openai.AsyncOpenAI)(base_url=url + prefix, **given)
    async with entered(made) as opened:
        yield opened


def _asked(mock: Any, more: dict[str, Any]) -> dict[str, Any]:
    asked = {"model": MODEL, "messages": user("Tell me something."), **more}
    if mock is not None:
        asked["extra_body"] = {**asked.get("extra_body", {}), "mock_response": mock}
    return asked


async def chat(client: Client, mock: Any = None, **more: Any) -> Any:
    """A completion; ``mock`` is what it shall say."""
    return await done(client.chat.completions.create(**_asked(mock, more)))


async def chunks(client: Client, mock: Any = None, **more: Any) -> list[Any]:
    """The chunks of a streamed completion."""
    return await items(client.chat.completions.create(**_asked(mock, more), stream=True))


async def helped(client: Client, mock: Any = None, **more: Any) -> tuple[list[Any], Any]:
    """The events of the stream helper, and the completion that it gathered."""
    if OLD and "tools" in more:
        more["tools"] = [
            tool if tool["function"].get("strict") else _strict(tool) for tool in more["tools"]
        ]
    async with entered(client.chat.completions.stream(**_asked(mock, more))) as stream:
        events = await items(stream)
        return events, await done(stream.get_final_completion())


def _strict(tool: dict[str, Any]) -> dict[str, Any]:
    """The tool as the old asynchronous helper wants it; no other is allowed there."""
    return {**tool, "function": {**tool["function"], "strict": True}}


async def parsed(client: Client, mock: Any = None, **more: Any) -> Any:
    return await done(client.chat.completions.parse(**_asked(mock, more)))


def texts(rows: Sequence[Any], index: int = 0) -> list[str]:
    """The pieces of text that one choice was streamed in."""
    return [
        choice.delta.content
        for row in rows
        for choice in row.choices
        if choice.index == index and choice.delta.content
    ]


def joined(rows: Sequence[Any], index: int = 0) -> str:
    return "".join(texts(rows, index))


def count(text: str | None) -> int:
    """Tokens of a text, as tiktoken counts them."""
    return tokenizer().count(text or "")
