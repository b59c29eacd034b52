"""What driving an SDK takes, whichever it is: each call is written once, for both its clients.

A synchronous client gives values, an asynchronous one awaitables; ``done``, ``items`` and
``entered`` take either. Nothing here imports an SDK, so that each file of tests imports its own.
"""

from __future__ import annotations

import contextlib
import http.client
import inspect
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from llmproxy.service import Service

Kind = str
"""``sync`` or ``async``."""

Mocking = Callable[..., Service]
"""The mock server that has these settings: ``mocking(mock__seed=None)``."""


async def done(value: Any) -> Any:
    """The value, whether a synchronous or an asynchronous client gave it."""
    return await value if inspect.isawaitable(value) else value


async def items(stream: Any) -> list[Any]:
    """All that a stream or a page yields."""
    stream = await done(stream)
    if hasattr(stream, "__aiter__"):
        return [each async for each in stream]
    return list(stream)


async def gather(stream: Any, into: list[Any]) -> None:
    """Appends what a stream yields, so that it is there even if the stream then raises."""
    if hasattr(stream, "__aiter__"):
        async for each in stream:
            into.append(each)  # noqa: PERF401  # a comprehension would lose all on an error
    else:
        into.extend(stream)


@contextlib.asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


@dataclass(frozen=True)
class Raw:
    """A reply as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def raw(
    url: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> Raw:
    """A request that no SDK would make; ``body`` is bytes or a JSON value."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    said = {"content-type": "application/json", **(headers or {})}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, data, said)
        response = connection.getresponse()
        lines = {name.lower(): value for name, value in response.getheaders()}
        return Raw(response.status, lines, response.read())


def valid(schema: Mapping[str, Any], arguments: str) -> Any:
    """The arguments of a tool call, which must fit the tool's schema."""
    value = json.loads(arguments)
    Draft202012Validator(schema).validate(value)
    return value


TONGUES = "Family 👩‍👩‍👧‍👦, flag 🇩🇪, naïve café, 漢字かな交じり文, हिन्दी, \U0001d518\U0001d52b\U0001d526 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿 end."
"""Characters of one to four bytes, and clusters of many, that tokens cut through."""


# what structured output is asked for


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Flat(BaseModel):
    name: str
    age: int
    height: float
    alive: bool


class Enums(BaseModel):
    colour: Colour
    colours: list[Colour]


class Optionals(BaseModel):
    name: str | None
    colour: Colour | None
    inner: Flat | None


class Cat(BaseModel):
    kind: str = Field(pattern=r"^cat$")
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: str = Field(pattern=r"^dog$")
    tricks: list[str] = Field(min_length=1, max_length=3)


class Unions(BaseModel):
    pet: Cat | Dog
    value: int | str | bool


class Node(BaseModel):
    label: str
    children: list[Node]


class Nested(BaseModel):
    title: str
    people: list[Flat]
    root: Node
    enums: Enums


MODELS: tuple[type[BaseModel], ...] = (Flat, Enums, Optionals, Unions, Node, Nested)
"""Models as a program asks for: flat, nested, enums, optional, union, recursive."""


# tools

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/node"}, "on": {"type": "string", "format": "date"}},
    "required": ["root", "on"],
    "additionalProperties": False,
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["id", "next"],
            "additionalProperties": False,
        }
    },
}
TICK: dict[str, Any] = {"type": "object", "properties": {}}
TOOLS: dict[str, dict[str, Any]] = {"get_weather": WEATHER, "plant": TREE, "tick": TICK}
"""Schemas of arguments by the tool's name."""


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def functions(*names: str) -> list[dict[str, Any]]:
    """Tools as Chat Completions and Ollama describe them; without names, all that there are."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": f"Does {name}",
                "parameters": TOOLS[name],
            },
        }
        for name in names or TOOLS
    ]
