"""The dialects, and whose a request is.

The tuple is the register: a new dialect is one line in it. Its order is that of asking,
the most telling marks first, because ``GET /v1/models`` alone belongs to three providers:
Google's key, Anthropic's version, Ollama's own paths, then whatever OpenAI serves.
"""

from __future__ import annotations

from llmproxy.dialects.anthropic import ANTHROPIC
from llmproxy.dialects.dialect import Dialect, ErrorReply
from llmproxy.dialects.gemini import GEMINI
from llmproxy.dialects.ollama import OLLAMA
from llmproxy.dialects.openai import OPENAI
from llmproxy.interaction import Headers

__all__ = ["DEFAULT", "DIALECTS", "Dialect", "ErrorReply", "named", "of"]

DIALECTS: tuple[Dialect, ...] = (GEMINI, ANTHROPIC, OLLAMA, OPENAI)

DEFAULT: Dialect = OPENAI
"""Whose shape errors take, and whose facts are read, where nobody claims a request."""


def of(method: str, path: str, headers: Headers, query: str) -> Dialect | None:
    """Whose request this is; ``query`` has no ``?``. None if nobody claims it."""
    for dialect in DIALECTS:
        if dialect.claims(method, path, headers, query):
            return dialect
    return None


def named(name: str | None) -> Dialect | None:
    """The dialect of that name, such as an upstream's; None if there is none."""
    return next((dialect for dialect in DIALECTS if dialect.name == name), None)
