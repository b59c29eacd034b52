"""Requests as rules see them, made from what a test says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from llmproxy.interaction import Headers
from llmproxy.prompt import Message, Prompt


@dataclass(frozen=True, slots=True)
class Asked:
    """A subject with plain members."""

    method: str = "POST"
    path: str = "/v1/chat/completions"
    query: str = ""
    headers: Headers = ()
    session: str = "default"
    dialect: str = "openai"
    operation: str = "openai_chat"
    body: Any = None
    prompt: Prompt | None = None
    refused: str = ""

    def but(self, **members: Any) -> Asked:
        """The same with other members."""
        return replace(self, **members)


def chat(text: str = "hello there", /, **members: Any) -> Asked:
    """A request for text: the user says ``text``; ``members`` are those of ``Prompt``."""
    given: dict[str, Any] = {"model": "gpt-5", "messages": (Message("user", text),), **members}
    return Asked(prompt=Prompt(**given), body={"model": given["model"]})
