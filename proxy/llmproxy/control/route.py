"""What a route is: a row of the table from which dispatch and the OpenAPI document come.

A handler gets what the server is made of and one call, and gives JSON, or a whole ``Reply``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmproxy.control.served import Served
from llmproxy.interaction import Headers, Reply, Source
from llmproxy.replies import whole

Schema = Mapping[str, Any]

JSON = "application/json"


class Refused(Exception):
    """A call that cannot be answered as asked; becomes its status and a JSON body.

    Args:
        status: of HTTP.
        message: one sentence for a person.
        more: further members of the body.
        headers: of the reply.
    """

    def __init__(
        self,
        status: int,
        message: str,
        more: Mapping[str, Any] | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.more = more or {}
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a route, read: ``variables`` of its path, ``query`` by name, ``body`` parsed.

    ``accept`` is the header of that name. Of parameters that are not given, ``query`` holds the
    default.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    accept: str = ""


Handler = Callable[[Served, Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query: text, or a whole number where ``least`` and ``most`` are set."""

    name: str
    about: str
    default: str | int | None = None
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A row of the table.

    Attributes:
        path: whole, with variables in braces.
        answer: JSON Schema of what it answers with 200.
        body: JSON Schema of what it takes; None: nothing.
        open: whether it wants no token.
        media: the type of its answer.
        strict: whether query parameters that it does not know are refused.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: Schema = field(default_factory=dict)
    body: Schema | None = None
    query: tuple[Parameter, ...] = ()
    open: bool = False
    media: str = JSON
    strict: bool = True


def json_reply(status: int, content: object, headers: Headers = ()) -> Reply:
    """Any JSON as a reply; 4xx and 5xx are errors in the log."""
    body = json.dumps(content).encode() + b"\n"
    source: Source = "error" if status >= 400 else "control"
    return whole(source, status, (("content-type", JSON), *headers), body)


def text_reply(media: str, text: str, headers: Headers = ()) -> Reply:
    """A text as a reply."""
    return whole("control", 200, (("content-type", media), *headers), text.encode())


def refusal(refused: Refused) -> Reply:
    """A refusal as a reply."""
    return json_reply(refused.status, {"error": refused.message, **refused.more}, refused.headers)


# --- schemas, in short ---


def shape(**members: Schema) -> Schema:
    """An object all of whose members are there."""
    return {"type": "object", "required": list(members), "properties": members}


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
MAP: Schema = {"type": "object"}
