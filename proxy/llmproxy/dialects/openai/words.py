"""What OpenAI's operations have in common: how they refuse, what content, tools and usage are.

Strategy: Chat Completions and Responses say nearly the same in two spellings; what is one
thing in both is read and written here. Facts are from ``openai`` 3.52 and OpenAI's API
reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from llmproxy.answer import ToolCall, Usage
from llmproxy.dialects.operation import Call, Refused
from llmproxy.dialects.reading import Fields, Wording, dotted, kind
from llmproxy.interaction import Problem
from llmproxy.prompt import Format, Message, Tool, ToolChoice

MOST_STOPS = 4
MOST_TOOLS = 128
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ASKED_TO_THINK = re.compile(r"(?:^|/)gpt-5\.[1-4](?!\d)(?!.*-(?:pro|codex))")
_THINKERS = re.compile(r"(?:^|/)(?:o[1-9]|gpt-(?:[5-9]|\d\d)|gpt-oss)(?!.*-chat)")


def _missing(place: str) -> Problem:
    more = " and must be non-empty" if place in ("messages", "input") else ""
    message = f"Missing required parameter: {place} is required{more}"
    return Problem(400, message, code="missing_required_parameter", param=place)


def _wrong(place: str, expected: str, got: str) -> Problem:
    message = f"Invalid type for '{place}': expected {expected}, but got {got} instead."
    return Problem(400, message, code="invalid_type", param=place)


def _invalid(place: str, why: str) -> Problem:
    message = f"Invalid value for '{place}': it {why}."
    return Problem(400, message, code="invalid_value", param=place)


WORDING = Wording(_missing, _wrong, _invalid, dotted)


def kind_of(problem: Problem) -> str:
    """The error's type: a failure of the server's is never the request's fault."""
    ours = problem.status >= 500 and problem.kind == "invalid_request_error"
    return "server_error" if ours else problem.kind


def read_model(call: Call, fields: Fields) -> str:
    """The model of the body, or the Azure deployment in the path."""
    named = fields.text("model") or call.variables.get("deployment")
    if named:
        return named
    if call.lenient:
        return "gpt-3.5-turbo"
    return fields.required_text("model")


_SAMPLING = frozenset(
    {"temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "top_logprobs",
     "logit_bias", "metadata", "user"}
)  # fmt: skip


def read_sampling(fields: Fields) -> None:
    """Check the members that shape sampling; they change nothing in a made-up reply."""
    if _SAMPLING.isdisjoint(fields.members):
        return
    fields.number("temperature", 0, 2)
    fields.number("top_p", 0, 1)
    fields.number("presence_penalty", -2, 2)
    fields.number("frequency_penalty", -2, 2)
    fields.integer("seed")
    fields.integer("top_logprobs", 0, 20)
    fields.group("logit_bias")
    fields.group("metadata")
    fields.text("user")


def read_stop(fields: Fields) -> tuple[str, ...]:
    """Up to four stop sequences, a text or a list."""
    value = fields.get("stop")
    stops = (value,) if isinstance(value, str) else fields.texts("stop")
    if len(stops) > MOST_STOPS:
        fields.refuse("stop", f"must hold at most {MOST_STOPS} sequences")
    return tuple(stop for stop in stops if stop)


def read_content(fields: Fields, name: str = "content") -> tuple[str, int]:
    """The text and the number of images, files and sounds of a message's content."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value or "", 0
    if not isinstance(value, list):
        fields.refuse_type(name, "a string or an array", value)
    texts, media = [], 0
    for part in fields.groups(name):
        kind_of = part.required_text("type")
        if kind_of in ("text", "input_text", "output_text"):
            text = part.text("text")
            if text is None:
                part.refuse_missing("text")
            texts.append(text)
        elif kind_of == "refusal":
            texts.append(part.text("refusal") or "")
        elif kind_of in _MEDIA:
            media += 1
        elif kind_of not in _SILENT:
            part.refuse("type", f"must be one of 'text', {', '.join(map(repr, sorted(_MEDIA)))}")
    return "".join(texts), media


_MEDIA = frozenset(
    {
        "image_url", "input_audio", "file", "video_url", "input_image", "input_file", "audio_url",
        "document_url",
    }
)  # fmt: skip
_SILENT = frozenset({"thinking", "reference"})
"""Parts of Mistral's that its clients send back with what the model said."""


def read_tool(fields: Fields) -> Tool:
    """A function's or custom tool's name, description and schema, wherever they stand."""
    name = fields.required_text("name")
    if not TOOL_NAME.fullmatch(name):
        fields.refuse("name", f"must match {TOOL_NAME.pattern}")
    parameters = fields.group("parameters")
    return Tool(
        name=name,
        description=fields.text("description") or "",
        schema=parameters.members if parameters else {},
    )


def read_choice(fields: Fields, tools: Iterable[Tool], name: str = "tool_choice") -> ToolChoice:
    """``auto``, ``none``, ``required``, one named tool, or several that are allowed."""
    value = fields.get(name)
    if value is None or value == "auto":
        return ToolChoice()
    if value == "none":
        return ToolChoice("none")
    if not tools:
        fields.refuse(name, "is only allowed when tools are specified")
    if value == "required":
        return ToolChoice("required")
    if isinstance(value, str):
        fields.refuse(name, "must be one of 'none', 'auto', 'required' or an object")
    group = fields.group(name)
    assert group is not None
    return _named_choice(group, {tool.name for tool in tools})


_OURS = (None, "function", "custom")


def _named_choice(group: Fields, known: set[str]) -> ToolChoice:
    kind_of = group.text("type") or "function"
    if kind_of == "allowed_tools":
        allowed = group.group("allowed_tools") or group
        mode = allowed.text("mode", "auto", "required")
        ours = [each for each in allowed.groups("tools") if each.text("type") in _OURS]
        names = tuple(_tool_name(each, known) for each in ours)
        if not names and allowed.get("tools"):
            return ToolChoice("none")  # only tools that the provider runs itself
        return ToolChoice("required" if mode == "required" else "auto", names)
    if kind_of in ("function", "custom"):
        return ToolChoice("required", (_tool_name(group, known),))
    return ToolChoice()  # a tool that the provider runs itself, such as web search


def _tool_name(fields: Fields, known: set[str]) -> str:
    kind_of = fields.text("type") or "function"
    inner = fields.group(kind_of) or fields
    name = inner.required_text("name")
    if name not in known:
        inner.refuse("name", f"names {name!r}, which is not among the tools")
    return name


def read_format(fields: Fields) -> Format | None:
    """``text``, ``json_object`` or ``json_schema``; the schema stands in it or one level below."""
    kind_of = fields.text("type", "text", "json_object", "json_schema")
    if kind_of is None:
        fields.refuse_missing("type")
    if kind_of == "text":
        return None
    if kind_of == "json_object":
        return Format()
    described = fields.group("json_schema") or fields
    if described is fields and fields.get("schema") is None:
        fields.refuse_missing("json_schema")
    described.required_text("name")
    schema = described.get("schema")
    if schema is not None and not isinstance(schema, dict):
        described.refuse_type("schema", "an object", schema)
    return Format(schema)


def thinks(model: str, effort: str | None) -> bool:
    """Whether the model reasons: by the effort asked for, else by its name."""
    return (effort or default_effort(model) or "none") != "none"


def default_effort(model: str) -> str | None:
    """The effort of a model that is not told one; None: it never reasons."""
    if _THINKERS.search(model) is None:
        return None
    return "none" if _ASKED_TO_THINK.search(model) else "medium"


def chat_usage(usage: Usage) -> dict[str, Any]:
    """The ``usage`` of Chat Completions and Completions."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def read_calls(fields: Fields) -> tuple[ToolCall, ...]:
    """The tool calls of an assistant's message."""
    calls = []
    for call in fields.groups("tool_calls"):
        id = call.required_text("id")
        custom = call.text("type") == "custom"
        inner = call.group("custom" if custom else "function")
        if inner is None:
            call.refuse_missing("custom" if custom else "function")
        arguments = inner.text("input" if custom else "arguments") or ""
        calls.append(ToolCall(inner.required_text("name"), arguments, id, custom))
    return tuple(calls)


def check_results(messages: Iterable[Message], wording_place: str = "messages") -> None:
    """Each tool call must have its result before the next turn, and each result its call.

    Raises:
        Refused: as the provider does, with the message's place.
    """
    waiting: set[str] = set()
    for number, message in enumerate(messages):
        place = f"{wording_place}[{number}]"
        if message.role == "tool":
            if message.answers not in waiting:
                why = "must be the response to a preceding message with 'tool_calls'"
                raise Refused(_invalid(f"{place}.role", why))
            waiting.discard(message.answers)
            continue
        if waiting:
            missing = ", ".join(sorted(waiting))
            why = (
                "must follow an assistant message with 'tool_calls' by tool messages for each"
                f" tool_call_id; these have no response: {missing}"
            )
            raise Refused(_invalid(place, why))
        waiting = {call.id for call in message.calls}
    if waiting:
        why = f"must end with the tool messages that answer {', '.join(sorted(waiting))}"
        raise Refused(_invalid(wording_place, why))


def wrong_content(fields: Fields, name: str, value: object) -> Refused:
    """The refusal of a content that is neither text nor parts."""
    return Refused(_wrong(fields.at(name), "a string or an array", kind(value)))
