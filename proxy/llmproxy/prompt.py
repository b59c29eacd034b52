"""What a model is asked, in neutral words: the same for every provider.

A dialect reads a request into a ``Prompt``; synthesis, rules and token counts work on it and
know no wire format. Values only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llmproxy.answer import ToolCall

Role = Literal["system", "user", "assistant", "tool"]

Mode = Literal["auto", "none", "required"]
"""Whether the model may, must not or must call a tool."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    ``text`` joins the text parts without anything between them. ``calls`` are the tool calls of
    an assistant's turn, ``answers`` the id of the call whose result a tool's turn is. ``media``
    counts images, files and sounds.
    """

    role: Role
    text: str = ""
    name: str = ""
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""
    media: int = 0


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call.

    ``schema`` is the JSON Schema of its arguments as the request gave it (Gemini's may have
    upper-case types). A ``custom`` tool takes a text instead of JSON.
    """

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    custom: bool = False


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """``names`` are the only tools allowed; empty: all of them."""

    mode: Mode = "auto"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """JSON is asked for; ``schema`` None: any object."""

    schema: Mapping[str, Any] | bool | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request for text.

    Attributes:
        messages: in order, system texts first where the provider keeps them apart.
        count: how many answers (``n``, ``candidateCount``).
        max_tokens: of one answer; None where the request sets no bound.
        reasoning: whether the reply should show reasoning.
        include_usage: whether a stream shall end with the usage, where a provider asks so.
        body: the request's own fields, for echoing them and for those that steer llmproxy.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = ToolChoice()
    parallel: bool = True
    format: Format | None = None
    count: int = 1
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    reasoning: bool = False
    include_usage: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def system(self) -> str:
        """All system texts, a line break between them."""
        return "\n".join(each.text for each in self.messages if each.role == "system")

    @property
    def last_user_text(self) -> str:
        """The text of the last user message; empty where there is none."""
        return next((each.text for each in reversed(self.messages) if each.role == "user"), "")

    @property
    def has_tool_result(self) -> bool:
        """Whether a tool has answered since the user last spoke."""
        for each in reversed(self.messages):
            if each.role == "tool":
                return True
            if each.role == "user" and each.text:
                return False
        return False
