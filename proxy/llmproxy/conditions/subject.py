"""A request as the conditions of rules see it.

Cheap members first; ``body`` and ``prompt`` are made when they are first asked for.
"""

from __future__ import annotations

from typing import Any, Protocol

from llmproxy.interaction import Headers
from llmproxy.prompt import Prompt


class Subject(Protocol):
    """What conditions and templates may ask of a request.

    Attributes:
        path, query: of the target, as they came; ``query`` has no ``?``.
        dialect: the name of the dialect (``openai``); empty where nobody claims the request.
        operation: what is asked of it (``openai_chat``); empty where it serves no such path.
        body: the parsed JSON; None where there is no body, or none that is JSON.
        prompt: None where the request asks for no text, or is refused.
        refused: why a request for text has no prompt; else empty.
    """

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def session(self) -> str: ...
    @property
    def dialect(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def body(self) -> Any: ...
    @property
    def prompt(self) -> Prompt | None: ...
    @property
    def refused(self) -> str: ...
