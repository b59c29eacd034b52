"""The tokens of a prompt: its messages and tools, by the formula of OpenAI's cookbook.

Knows no wire format and no vocabulary: what counts a text is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from llmproxy.prompt import Message, Prompt, Tool
from llmproxy.tokens import EncodingName, encoding_for

_MESSAGE = 3  # around each message
_NAME = 1  # a message's name, besides its tokens
_PRIMING = 3  # the start of the reply
_FUNCTION: Mapping[EncodingName, int] = {"o200k_base": 7, "cl100k_base": 10}
_PROPERTIES = 3  # the start of an object's properties
_PROPERTY = 3
_ENUM = -3
_ENUM_ITEM = 3
_TOOLS_END = 12


def count_prompt(prompt: Prompt, count: Callable[[str], int]) -> int:
    """The tokens of a prompt's messages and tools, by the formula of OpenAI's cookbook.

    Exact for text chats with gpt-3.5, gpt-4 and gpt-4o, within a token or so for newer models,
    near with tools (the cookbook knows flat schemas; the properties of inner objects are counted
    in the same way). Images, files and sounds count nothing, nor does the schema of a format.

    Args:
        prompt: what is asked; its model decides what a function costs.
        count: the tokens of a text, as ``Tokenizer.count`` of the model's encoding.
    """
    messages = sum(_count_message(message, count) for message in prompt.messages)
    return messages + _PRIMING + _count_tools(prompt, count)


def _count_message(message: Message, count: Callable[[str], int]) -> int:
    total = _MESSAGE + count(message.role) + count(message.text)
    if message.name:
        total += count(message.name) + _NAME
    return total + sum(count(call.name) + count(call.arguments) for call in message.calls)


def _count_tools(prompt: Prompt, count: Callable[[str], int]) -> int:
    if not prompt.tools:
        return 0
    function = _FUNCTION[encoding_for(prompt.model)]
    return _TOOLS_END + sum(function + _count_tool(tool, count) for tool in prompt.tools)


def _count_tool(tool: Tool, count: Callable[[str], int]) -> int:
    line = f"{tool.name}:{tool.description.removesuffix('.')}"
    return count(line) + _count_schema(tool.schema, count)


def _count_schema(schema: Any, count: Callable[[str], int]) -> int:
    """The properties of a schema and of all schemas in it; a loop, as depth is a stranger's."""
    total = 0
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Mapping):
            continue
        properties = _mapping(node.get("properties"))
        if properties:
            total += _PROPERTIES
            total += sum(_count_property(*item, count) for item in properties.items())
        waiting.extend(_inner_schemas(node))
    return total


def _count_property(name: str, schema: Any, count: Callable[[str], int]) -> int:
    facts = _mapping(schema)
    kind = facts.get("type")
    kinds = "|".join(map(_scalar, kind)) if isinstance(kind, list) else _scalar(kind)
    line = f"{name}:{kinds.lower()}:{_scalar(facts.get('description')).removesuffix('.')}"
    items = facts.get("enum")
    if not isinstance(items, list):
        return _PROPERTY + count(line)
    enum = _ENUM + sum(_ENUM_ITEM + count(_scalar(item)) for item in items)
    return _PROPERTY + count(line) + enum


def _inner_schemas(schema: Mapping[str, Any]) -> Iterator[Any]:
    for key in ("properties", "$defs", "definitions"):
        yield from _mapping(schema.get(key)).values()
    yield schema.get("items")
    for key in ("prefixItems", "anyOf", "oneOf", "allOf"):
        inner = schema.get(key)
        yield from inner if isinstance(inner, list) else ()


def _scalar(value: Any) -> str:
    """A string or number of a schema as text; whatever is nested has none."""
    return str(value) if isinstance(value, str | int | float) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
