"""Clients of Google's SDK, of either generation, and what its tests share."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import google.genai
import pytest
from google import genai

from conformance.driving import TOOLS, Kind, done, items
from means import tokenizer

Client = Any
"""A ``genai.Client`` or its ``aio``."""

OLD = int(google.genai.__version__.split(".")[0]) < 2
KEY = "made" + "-up"
MODEL = "gemini-2.5-flash"
PROMPT = "Tell me something."

UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nobody needs TLS here, and to make the SDK's own contexts takes longer than a whole test."""

QUIET = pytest.mark.filterwarnings(
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"  # google-genai's own
)


@contextlib.asynccontextmanager
async def client(
    url: str, kind: Kind, session: dict[str, str] | None = None, **more: Any
) -> AsyncIterator[Client]:
    """A client without retries; ``more`` are HTTP options."""
    options: Any = {
        "base_url": url,
        "headers": dict(session or {}),
        "client_args": {"verify": UNUSED},
        "async_client_args": {"verify": UNUSED, "ssl": UNUSED},
        **more,
    }
    made = genai.Client(api_key=KEY, http_options=options)
    try:
        yield made if kind == "sync" else made.aio
    finally:
        await made.aio.aclose()
        made.close()


def config(mock: Any = None, /, extra: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The config of a request; ``mock`` is what its reply shall say, ``extra`` goes into its body."""
    sent = dict(extra or {})
    if mock is not None:
        sent["mock_response"] = mock
    return {**more, "http_options": {"extra_body": sent}} if sent else more


async def reply(
    client: Client, mock: Any = None, /, contents: Any = PROMPT, model: str = MODEL, **more: Any
) -> Any:
    return await done(
        client.models.generate_content(model=model, contents=contents, config=config(mock, **more))
    )


async def chunks(
    client: Client, mock: Any = None, /, contents: Any = PROMPT, model: str = MODEL, **more: Any
) -> list[Any]:
    """The responses of a stream."""
    return await items(
        client.models.generate_content_stream(
            model=model, contents=contents, config=config(mock, **more)
        )
    )


def parts(responses: Sequence[Any], index: int = 0) -> list[Any]:
    """The parts of one candidate, of a whole response or of all of a stream."""
    return [
        part
        for response in responses
        for candidate in response.candidates or ()
        if (candidate.index or 0) == index and candidate.content
        for part in candidate.content.parts or ()
    ]


def said(*responses: Any, index: int = 0, thought: bool = False) -> str:
    """The text of one candidate, or what it thought."""
    return "".join(
        part.text for part in parts(responses, index) if part.text and bool(part.thought) == thought
    )


def calls(*responses: Any, index: int = 0) -> list[Any]:
    """The function calls of one candidate."""
    return [part.function_call for part in parts(responses, index) if part.function_call]


def finish(response: Any, index: int = 0) -> str | None:
    """Why a candidate ended."""
    (candidate,) = [each for each in response.candidates if (each.index or 0) == index]
    return candidate.finish_reason and str(candidate.finish_reason.value)


def tools(*names: str) -> list[dict[str, Any]]:
    """A tool of functions; without names, all that there are."""
    declared = [
        {"name": name, "description": f"Does {name}", "parameters_json_schema": TOOLS[name]}
        for name in names or TOOLS
    ]
    return [{"function_declarations": declared}]


def calling(mode: str, *names: str) -> dict[str, Any]:
    """A tool config of that mode, for these functions alone where any are named."""
    allowed = {"allowed_function_names": list(names)} if names else {}
    return {"function_calling_config": {"mode": mode, **allowed}}


def count(text: str | None) -> int:
    """Tokens of a text, as tiktoken counts them."""
    return tokenizer().count(text or "")
