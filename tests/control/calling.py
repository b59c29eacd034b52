"""Calls of control routes over a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import sockets
from llmproxy.service import Service
from sockets import Answer

HOST = "Host: localhost"


async def until(condition: Callable[[], object]) -> None:
    """Return when it holds: that of a task of the server which nobody else can wait for."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.001)


async def call(
    service: Service, method: str, path: str, body: Any = None, *headers: str, host: str = HOST
) -> Answer:
    """One request to a control route or an alias, from this machine unless ``host`` says more."""
    data = b"" if body is None else json.dumps(body).encode()
    return await sockets.ask(service.url, path, data, host, *headers, method=method)


async def told(service: Service, method: str, path: str, body: Any = None) -> Any:
    """The JSON of an answer, which must be 200."""
    answer = await call(service, method, path, body)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


async def refused(service: Service, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and JSON of an answer, which must be none of 2xx."""
    answer = await call(service, method, path, body)
    assert answer.status >= 400, answer.body
    return answer.status, json.loads(answer.body)


def chat(text: str = "Hello!", **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}


async def said(service: Service, text: str = "Hello!", *headers: str) -> str:
    """What a made-up chat says."""
    answer = await call(service, "POST", "/v1/chat/completions", chat(text), *headers)
    assert answer.status == 200, answer.body
    return str(json.loads(answer.body)["choices"][0]["message"]["content"])
