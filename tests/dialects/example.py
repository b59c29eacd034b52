"""What a dialect's examples are made of: requests of its own, streams sound and failed, facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from llmproxy.interaction import Facts, Headers

SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class Asked:
    """A request line and the headers that matter."""

    method: str
    target: str
    headers: Headers = ()

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Told:
    """A request's path and body, the reply to it, and the facts therein."""

    path: str
    body: bytes
    content_type: str
    reply: bytes
    facts: Facts


@dataclass(frozen=True)
class Examples:
    """``failed`` has the words that must stand in the reason."""

    asked: tuple[Asked, ...]
    sound: tuple[tuple[str, bytes], ...]
    failed: tuple[tuple[str, bytes, str], ...]
    told: tuple[Told, ...]


def data(*values: object, end: str = "\n\n") -> bytes:
    """Events without names."""
    return "".join(f"data: {_json(value)}{end}" for value in values).encode()


def events(*values: Mapping[str, object]) -> bytes:
    """Events named after their type."""
    return "".join(f"event: {v['type']}\ndata: {_json(v)}\n\n" for v in values).encode()


def lines(*values: object) -> bytes:
    return "".join(f"{_json(value)}\n" for value in values).encode()


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


BEARER = (("Authorization", "Bearer made-up"),)
HELLO = [{"role": "user", "content": "what is an error?"}]
