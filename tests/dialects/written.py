"""What the contract test must know of each text operation: how to ask, how to read the reply.

A dialect's examples hold one ``Written`` for each of its text operations. Its readers are a
client's view, written without our package: where the official SDK can parse bytes, they use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmproxy.answer import Finish


@dataclass(frozen=True)
class SeenCall:
    name: str
    arguments: Any
    """Parsed JSON; the text itself where it is none (cut off, custom tools)."""


@dataclass(frozen=True)
class SeenChoice:
    """One choice as a client understands it; ``finish`` in the provider's own word."""

    text: str = ""
    reasoning: str = ""
    refusal: str | None = None
    calls: tuple[SeenCall, ...] = ()
    finish: str = ""


@dataclass(frozen=True)
class Seen:
    """A reply as a client understands it; ``output_tokens`` include reasoning."""

    choices: tuple[SeenChoice, ...]
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True)
class Written:
    """One text operation.

    Attributes:
        operation: its name.
        target: path and query for a whole reply; ``stream_target`` for a streamed one.
        body: the smallest valid request with one user message, as a whole reply is asked for.
        stream_body: what is merged into ``body`` to ask for a stream, usage included.
        read, read_stream: the client's view of all bytes of a reply's body.
        finishes: how the provider says each finish; one that is not there it cannot say.
        shows_reasoning: whether a client sees the text of reasoning.
        tools: what is merged into ``body`` to offer a tool ``f`` with one text property ``a``.
        several: what is merged into ``body`` to ask for two choices; None: it cannot.
        refusal_is_text: a refusal arrives as ordinary text.
        calls_have_text: text and calls may stand in one reply.
    """

    operation: str
    target: str
    body: Mapping[str, Any]
    read: Callable[[bytes], Seen]
    read_stream: Callable[[bytes], Seen]
    finishes: Mapping[Finish, str]
    stream_target: str = ""
    stream_body: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    shows_reasoning: bool = True
    tools: Mapping[str, Any] | None = None
    several: Mapping[str, Any] | None = None
    refusal_is_text: bool = False


@dataclass(frozen=True)
class RefusedRequest:
    """A request that the provider refuses with ``status`` and a message that names ``field``."""

    target: str
    body: Any
    field: str
    status: int = 400
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
