"""The table of conditions: what each of them looks at in a request, and how costly that is.

A new condition is a new row in ``ROWS``: its name, its cost, the kind of its matcher, where it
looks and what it means. Reader, schema, explanations and docs all come from the table.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from llmproxy.conditions import matcher_kinds as kinds
from llmproxy.conditions.matcher_kinds import Kind
from llmproxy.conditions.subject import Subject
from llmproxy.jsonpath import parse_json_path, select
from llmproxy.prompt import Message, Prompt
from llmproxy.redaction.names import is_credential_header, is_credential_parameter

Look = Callable[[Any], Sequence[Any]]
"""The values at a place of a subject or, where a row is ``of_prompt``, of a prompt."""

_LONGEST_NAME = 500
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_WALKS = 2
"""What a JSON path adds to the cost where it has to search."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a condition looks.

    Attributes:
        hidden: holds a credential, so that no value of it may be shown.
    """

    look: Look
    cost: int
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A condition.

    Attributes:
        name: the key of ``when``.
        cost: 0 the target and headers, 2 the parsed body, 3 the prompt.
        kind: of its matcher.
        about: one line for docs and editors.
        look: the values it looks at.
        bind: instead of ``look`` where the condition is a mapping of names: the place of a
            name. Raises ValueError with a sentence.
        of_prompt: ``look`` takes the prompt; the condition does not hold without one.
        single: there is always exactly one value.
        example: of the mapping, where there is ``bind``.
    """

    name: str
    cost: int
    kind: Kind
    about: str
    look: Look | None = None
    bind: Callable[[str], Place] | None = None
    of_prompt: bool = False
    single: bool = False
    example: str = ""


def _header(name: str) -> Place:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("is no name of a header; write it as x-team")
    low, size = name.lower(), len(name)

    def look(subject: Subject) -> Sequence[str]:
        return [value for key, value in subject.headers if len(key) == size and key.lower() == low]

    return Place(look, 0, is_credential_header(name))


def _parameter(name: str) -> Place:
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"has {len(name):,} characters; at most {_LONGEST_NAME}")

    def look(subject: Subject) -> Sequence[str]:
        query = subject.query
        if name not in query and "%" not in query and "+" not in query:
            return ()
        pairs = parse_qsl(query, keep_blank_values=True)
        return [value for key, value in pairs if key == name]

    return Place(look, 0, is_credential_parameter(name))


def _node(text: str) -> Place:
    if len(text) > _LONGEST_NAME:
        raise ValueError(f"has {len(text):,} characters; at most {_LONGEST_NAME}")
    path = parse_json_path(text)
    direct = not any(step.deep or step.key is None for step in path.steps)

    def look(subject: Subject) -> Sequence[Any]:
        body = subject.body
        return () if body is None else tuple(select(body, path))

    return Place(look, 2 if direct else 2 + _WALKS)


def _dialect(subject: Subject) -> Sequence[str]:
    return [name for name in (subject.dialect, subject.operation) if name]


def _model(subject: Subject) -> Sequence[str]:
    if (prompt := subject.prompt) is not None:
        return (prompt.model,)
    model = _member(subject, "model")
    return (model,) if isinstance(model, str) else ()


def _stream(subject: Subject) -> Sequence[bool]:
    if (prompt := subject.prompt) is not None:
        return (prompt.stream,)
    return (_member(subject, "stream") is True,)


def _member(subject: Subject, name: str) -> object:
    body = subject.body
    return body.get(name) if isinstance(body, dict) else None


def _last_user_text(prompt: Prompt) -> Sequence[str]:
    for message in reversed(prompt.messages):
        if message.role == "user":
            return (message.text,)
    return ("",)


def _since_user(prompt: Prompt) -> Iterator[Message]:
    """The messages since the user last said something, as ``Prompt.has_tool_result`` has it."""
    for message in reversed(prompt.messages):
        if message.role == "user" and message.text:
            return
        yield message


def _tool_results(prompt: Prompt) -> Sequence[str]:
    return [message.text for message in _since_user(prompt) if message.role == "tool"][::-1]


def _called(prompt: Prompt) -> Sequence[str]:
    return [call.name for message in _since_user(prompt) for call in message.calls]


def _turns(prompt: Prompt) -> Sequence[int]:
    return (sum(message.role == "user" for message in prompt.messages),)


def _format(prompt: Prompt) -> Sequence[str]:
    if prompt.format is None:
        return ("text",)
    return ("json" if prompt.format.schema is None else "json_schema",)


def _media(prompt: Prompt) -> Sequence[int]:
    return (sum(message.media for message in prompt.messages),)


def _max_tokens(prompt: Prompt) -> Sequence[int]:
    return () if prompt.max_tokens is None else (prompt.max_tokens,)


_of_prompt = functools.partial(Row, cost=3, of_prompt=True)
_one_of_prompt = functools.partial(_of_prompt, single=True)

_ROWS = (
    Row("method", 0, kinds.METHOD, "The HTTP method.", lambda subject: (subject.method,), single=True),
    Row("path", 0, kinds.NAME, "The path, without the query.", lambda subject: (subject.path,), single=True),
    Row("session", 0, kinds.NAME, "The session.", lambda subject: (subject.session,), single=True),
    Row(
        "headers", 0, kinds.VALUE, "Headers by name; of several lines any.", bind=_header,
        example="{x-team: search}",
    ),
    Row(
        "query", 0, kinds.VALUE, "Parameters of the query by name, decoded.", bind=_parameter,
        example="{version: '2'}",
    ),
    Row("dialect", 1, kinds.DIALECT, "Whose API it is, or which operation of it.", _dialect),
    Row("model", 2, kinds.NAME, "The model that is asked.", _model),
    Row("stream", 2, kinds.FLAG, "Whether a stream is asked for.", _stream, single=True),
    Row(
        "json", 2, kinds.JSON, "Values of the JSON body by JSON path.", bind=_node,
        example='{"$.temperature": {lt: 0.5}}',
    ),
    _one_of_prompt("text", kind=kinds.TEXT, about="The last text of the user.", look=_last_user_text),
    _one_of_prompt(
        "system", kind=kinds.TEXT, about="All system texts, a line break between them.",
        look=lambda prompt: (prompt.system,),
    ),
    _of_prompt(
        "message", kind=kinds.TEXT, about="The text of any message, whatever its role.",
        look=lambda prompt: [message.text for message in prompt.messages],
    ),
    _of_prompt(
        "tools", kind=kinds.NAME, about="The name of a tool that is offered.",
        look=lambda prompt: [tool.name for tool in prompt.tools],
    ),
    _of_prompt("called", kind=kinds.NAME, about="A tool called since the user last spoke.", look=_called),
    _one_of_prompt(
        "tool_choice", kind=kinds.TOOL_CHOICE, about="Whether a tool may or must be called.",
        look=lambda prompt: (prompt.choice.mode,),
    ),
    _one_of_prompt("turn", kind=kinds.NUMBER, about="How often the user has spoken.", look=_turns),
    _one_of_prompt(
        "messages", kind=kinds.NUMBER, about="How many messages there are.",
        look=lambda prompt: (len(prompt.messages),),
    ),
    _one_of_prompt(
        "has_tool_result", kind=kinds.FLAG, about="Whether a tool answered since the user last spoke.",
        look=lambda prompt: (prompt.has_tool_result,),
    ),
    _of_prompt(
        "tool_result", kind=kinds.TEXT, about="What a tool answered since the user last spoke.",
        look=_tool_results,
    ),
    _one_of_prompt("format", kind=kinds.FORMAT, about="What the reply shall be.", look=_format),
    _one_of_prompt(
        "reasoning", kind=kinds.FLAG, about="Whether the reply should show reasoning.",
        look=lambda prompt: (prompt.reasoning,),
    ),
    _one_of_prompt("media", kind=kinds.NUMBER, about="How many images, files and sounds.", look=_media),
    _of_prompt(
        "max_tokens", kind=kinds.COUNT, about="The bound of tokens; present: false for none.",
        look=_max_tokens,
    ),
    _one_of_prompt(
        "n", kind=kinds.NUMBER, about="How many answers are asked for.",
        look=lambda prompt: (prompt.count,),
    ),
)  # fmt: skip

ROWS: Mapping[str, Row] = {row.name: row for row in _ROWS}
