"""The frame of the conformance tests: mock servers, and clients of both kinds.

Servers run in threads of their own, so that a synchronous client may block. They are shared, so a
test takes a session of its own for what counts up or is stored. The tests run on two generations
of each SDK (``make test`` and ``make test-old-sdks``).
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import serve
from conformance import openai_clients
from conformance.driving import Kind, Mocking
from llmproxy import background
from llmproxy.service import Service


@pytest.fixture(scope="session")
def mocking() -> Iterator[Mocking]:
    """Mock servers by their settings: ``mocking(mock__tool_calls=1.0).url``.

    Each is started when it is first asked for and serves all tests from then on, because to
    start one takes longer than a test.
    """
    with contextlib.ExitStack() as stack:

        @functools.cache
        def opened(**changes: Any) -> Service:
            return stack.enter_context(background.running(serve.mock_plan(**changes)))

        yield opened


@pytest.fixture
def mock(mocking: Mocking) -> Service:
    """The mock server with the default settings."""
    return mocking()


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which of an SDK's clients calls."""
    return str(request.param)


@pytest.fixture
def session(request: pytest.FixtureRequest) -> dict[str, str]:
    """A header that gives a test a session of its own: what it counts or stores, no other sees."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", request.node.name)[-100:]
    return {"x-llmproxy-session": name}


@pytest.fixture
async def openai_client(
    mock: Service, kind: Kind, session: dict[str, str]
) -> AsyncIterator[openai_clients.Client]:
    """OpenAI's client, in its strict mode and without retries, at the default server."""
    async with openai_clients.client(mock.url, kind, default_headers=session) as made:
        yield made


@pytest.fixture
async def loose_client(
    mock: Service, kind: Kind, session: dict[str, str]
) -> AsyncIterator[openai_clients.Client]:
    """OpenAI's client as programs make it, for what its types do not allow and its code does.

    Vectors in base64 are unpacked after they were validated as lists; the chunks of a legacy
    completion have no finish reason, which its type requires.
    """
    made = openai_clients.client(
        mock.url, kind, default_headers=session, _strict_response_validation=False
    )
    async with made as opened:
        yield opened
