"""Reads a generateContent request, as both its verbs and countTokens take it.

Strategy: contents, tools, tool config and generation config are each read and checked where
they stand; what shapes sampling alone is checked and forgotten. Thinking is only what the
request asks for in ``thinkingConfig``: a model that thinks by default would spend a small
``maxOutputTokens`` on thoughts nobody wanted from a mock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llmproxy.dialects.gemini import words
from llmproxy.dialects.operation import Call
from llmproxy.dialects.reading import Fields
from llmproxy.prompt import Format, Message, Mode, Prompt, Tool, ToolChoice

ENUM = "text/x.enum"
"""The reply is one of the schema's values, as bare text."""

_WORDING = words.wording("GenerateContentRequest")
_JSON = "application/json"
_TYPES = ("text/plain", _JSON, "application/xml", "application/yaml", ENUM)
_MOST_STOPS = 5
_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_MODES: dict[str, Mode] = {
    "MODE_UNSPECIFIED": "auto",
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "auto",
}
_LEVELS = ("THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")


def read_prompt(call: Call) -> Prompt:
    """The body as a prompt; what Google would refuse is refused."""
    return read(call, words.body_fields(call, _WORDING))


def read(call: Call, fields: Fields) -> Prompt:
    """The prompt of a request that may stand in another one, as countTokens has it.

    Raises:
        Refused: what Google would refuse.
    """
    contents = words.read_contents(fields, lenient=call.lenient)
    messages = (*_read_system(fields), *contents)
    tools = tuple(_read_tools(fields))
    config = fields.group("generationConfig") or Fields({}, fields.wording, "generation_config")
    _check_sampling(config)
    for setting in fields.groups("safetySettings"):
        setting.text("category")
        setting.text("threshold")
    fields.text("cachedContent")
    return Prompt(
        model=words.model_of(call),
        messages=messages,
        stream=call.path.rstrip("/").endswith("streamGenerateContent"),
        tools=tools,
        choice=_read_choice(fields, tools),
        format=_read_format(config),
        count=config.integer("candidateCount", 1, 8) or 1,
        max_tokens=config.integer("maxOutputTokens", 1),
        stop=_read_stop(config),
        reasoning=_thinks(config),
        include_usage=True,
        body=fields.members,
    )


def shows_thoughts(prompt: Prompt) -> bool:
    """Whether the reply's parts include the thoughts."""
    config = Fields(prompt.body, _WORDING).group("generationConfig")
    thinking = config.group("thinkingConfig") if config else None
    return bool(thinking and thinking.flag("includeThoughts"))


def wants_enum(prompt: Prompt) -> bool:
    """Whether the reply is one of the schema's values without its quotes."""
    config = Fields(prompt.body, _WORDING).group("generationConfig")
    return config is not None and config.text("responseMimeType") == ENUM


def _read_system(fields: Fields) -> Iterator[Message]:
    text = words.read_text(fields, "systemInstruction")
    if text is not None:
        yield Message("system", text)


def _read_tools(fields: Fields) -> Iterator[Tool]:
    """The functions declared; tools that Google runs itself are let pass."""
    known: set[str] = set()
    for tool in words.many(fields, "tools"):
        for declared in words.many(tool, "functionDeclarations"):
            name = declared.required_text("name")
            if not _FUNCTION_NAME.fullmatch(name):
                why = (
                    "must start with a letter or an underscore and hold only letters, digits,"
                    " underscores, dots, colons and dashes, at most 128"
                )
                declared.refuse("name", why)
            if name in known:
                declared.refuse("name", f"{name!r} is a duplicate function declaration")
            known.add(name)
            yield Tool(name, declared.text("description") or "", _read_schema(declared))


def _read_schema(declared: Fields) -> dict[str, Any]:
    parameters = declared.group("parameters")
    schema = declared.group("parametersJsonSchema")
    if parameters and schema:
        declared.refuse("parametersJsonSchema", "must not be set together with parameters")
    found = parameters or schema
    return dict(found.members) if found else {}


def _read_choice(fields: Fields, tools: tuple[Tool, ...]) -> ToolChoice:
    """Allowed names bind in the modes ANY and VALIDATED only."""
    outer = fields.group("toolConfig")
    config = outer.group("functionCallingConfig") if outer else None
    if config is None:
        return ToolChoice()
    mode = config.text("mode", *_MODES) or "AUTO"
    names = config.texts("allowedFunctionNames")
    if names and mode not in ("ANY", "VALIDATED"):
        config.refuse("allowedFunctionNames", "may only be set when mode is ANY or VALIDATED")
    if mode == "ANY" and not tools:
        config.refuse("mode", "is ANY, which needs function_declarations")
    known = {tool.name for tool in tools}
    for name in names:
        if name not in known:
            why = f"names {name!r}, which is not among the function_declarations"
            config.refuse("allowedFunctionNames", why)
    return ToolChoice(_MODES[mode], names)


def _check_sampling(config: Fields) -> None:
    config.number("temperature", 0, 2)
    config.number("topP", 0, 1)
    config.integer("topK", 1)
    config.integer("seed")
    config.number("presencePenalty", -2, 2)
    config.number("frequencyPenalty", -2, 2)
    config.flag("responseLogprobs")
    config.integer("logprobs", 0, 20)
    config.texts("responseModalities")


def _read_stop(config: Fields) -> tuple[str, ...]:
    stops = config.texts("stopSequences")
    if len(stops) > _MOST_STOPS:
        config.refuse("stopSequences", f"must hold at most {_MOST_STOPS} sequences")
    return tuple(stop for stop in stops if stop)


def _read_format(config: Fields) -> Format | None:
    type_ = config.text("responseMimeType", *_TYPES) or "text/plain"
    schema = config.group("responseSchema")
    other = config.get("responseJsonSchema")
    if other is not None and not isinstance(other, dict | bool):
        config.refuse_type("responseJsonSchema", "an object", other)
    if schema and other is not None:
        config.refuse("responseJsonSchema", "must not be set together with response_schema")
    if type_ not in (_JSON, ENUM):
        for name in ("responseSchema", "responseJsonSchema"):
            if config.get(name) is not None:
                config.refuse(name, f"needs a response_mime_type of {_JSON} or {ENUM}")
        return None
    return Format(schema.members if schema else other)


def _thinks(config: Fields) -> bool:
    """Asked for by a budget, a level or a wish to see thoughts; a budget of 0 forbids it."""
    thinking = config.group("thinkingConfig")
    if thinking is None:
        return False
    budget = thinking.integer("thinkingBudget", -1)
    level = thinking.text("thinkingLevel", *_LEVELS)
    if budget is not None and level is not None:
        thinking.refuse("thinkingLevel", "must not be set together with thinking_budget")
    if budget is not None:
        return budget != 0
    return level in _LEVELS[2:] or thinking.flag("includeThoughts")
