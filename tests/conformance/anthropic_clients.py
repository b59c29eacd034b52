"""Clients of Anthropic's SDK, of either generation, and what its tests share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anthropic
import pytest

from conformance.driving import TOOLS, Kind, done, entered, items, user
from means import tokenizer

Client = Any
"""An ``anthropic.Anthropic`` or an ``anthropic.AsyncAnthropic``."""

OLD = int(anthropic.__version__.split(".")[0]) < 1
KEY = "made" + "-up"
MODEL = "claude-sonnet-5"


def needs_new(what: str) -> pytest.MarkDecorator:
    """Marks a test of what the old generation of the SDK does not have."""
    return pytest.mark.skipif(OLD, reason=f"anthropic {anthropic.__version__} has no {what}")


@contextlib.asynccontextmanager
async def client(url: str, kind: Kind, **more: Any) -> AsyncIterator[Client]:
    """A client that refuses what does not fit its types; ``more`` goes to its constructor."""
    blocking = kind == "sync"
    # to make the context of TLS, which nobody needs here, takes longer than a whole test
    bare = anthropic.DefaultHttpxClient if blocking else anthropic.DefaultAsyncHttpxClient
    given: dict[str, Any] = {
        "base_url": url,
        "api_key": KEY,
        "max_retries": 0,
        "_strict_response_validation": True,
        "http_client": bare(verify=False),
        **more,
    }
    made = (anthropic.Anthropic if blocking else anthropic.AsyncAnthropic)(**given)
    async with entered(made) as opened:
        yield opened


def tools(*names: str) -> list[dict[str, Any]]:
    """Tools; without names, all that there are."""
    return [
        {"name": name, "description": f"Does {name}", "input_schema": TOOLS[name]}
        for name in names or TOOLS
    ]


def asked(mock: Any, more: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a request; ``mock`` is what its reply shall say."""
    arguments = {
        "model": MODEL,
        "max_tokens": 4000,
        "messages": user("Tell me something."),
        **more,
    }
    if mock is not None:
        arguments["extra_body"] = {**arguments.get("extra_body", {}), "mock_response": mock}
    return arguments


async def message(client: Client, mock: Any = None, **more: Any) -> Any:
    return await done(client.messages.create(**asked(mock, more)))


async def events(client: Client, mock: Any = None, **more: Any) -> list[Any]:
    """The events of a streamed message."""
    return await items(client.messages.create(**asked(mock, more), stream=True))


async def helped(client: Client, mock: Any = None, **more: Any) -> tuple[list[Any], Any]:
    """The events of the stream helper, and the message that it gathered."""
    async with entered(client.messages.stream(**asked(mock, more))) as stream:
        rows = await items(stream)
        return rows, await done(stream.get_final_message())


async def parsed(client: Client, mock: Any = None, **more: Any) -> Any:
    return await done(client.messages.parse(**asked(mock, more)))


def texts(rows: Sequence[Any], kind: str = "text") -> list[str]:
    """The pieces that text, ``thinking`` or the ``partial_json`` of calls was streamed in."""
    pieces = (getattr(row.delta, kind, None) for row in rows if row.type == "content_block_delta")
    return [piece for piece in pieces if piece is not None]


def joined(rows: Sequence[Any], kind: str = "text") -> str:
    return "".join(texts(rows, kind))


def said(message: Any) -> str:
    """The text of a whole message."""
    return "".join(block.text for block in message.content if block.type == "text")


def shown(message: Any) -> list[dict[str, Any]]:
    """The blocks of a message without their ids, which differ from reply to reply."""
    return [
        {
            name: value
            for name, value in block.model_dump().items()
            if value is not None and name != "id"
        }
        for block in message.content
    ]


def count(text: str) -> int:
    """Tokens of a text, as tiktoken counts them."""
    return tokenizer().count(text)
