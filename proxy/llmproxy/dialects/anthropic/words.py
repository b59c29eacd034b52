"""What Anthropic's operations have in common: how they refuse, and what a request may ask.

Strategy: messages of refusals are ``place: sentence`` with places such as
``messages.0.content``. Tools that the provider runs or defines itself are accepted and never
called. Facts are from ``anthropic`` 2.11 and Anthropic's API reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from llmproxy.dialects.anthropic.schema import followed
from llmproxy.dialects.dialect import header
from llmproxy.dialects.operation import Call, Refused
from llmproxy.dialects.reading import Fields, Wording
from llmproxy.interaction import Problem
from llmproxy.prompt import Format, Tool, ToolChoice

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
LEAST_BUDGET = 1024
WITHOUT_SAMPLING = "2026-10-21"
"""The first API version that refuses temperature, top_p and top_k."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_PROVIDED = re.compile(r"[a-z][a-z0-9_]*_\d{8}|mcp_toolset")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_WITHOUT_XHIGH = re.compile(r"claude-[a-z]+-4-[0-6](?!\d)")
"""Models that know the effort ``max`` but not the one below it."""
_VALID = {
    "a string": "a valid string",
    "an integer": "a valid integer",
    "a number": "a valid number",
    "a boolean": "a valid boolean",
    "an array": "a valid list",
    "an object": "a valid dictionary",
}


def _missing(place: str) -> Problem:
    return Problem(400, f"{place}: Field required")


def _wrong(place: str, expected: str, got: str) -> Problem:
    message = f"{place}: Input should be {_VALID.get(expected, expected)}, but it is {got}"
    return Problem(400, message)


def _invalid(place: str, why: str) -> Problem:
    return Problem(400, f"{place}: {why}")


def _join(place: str, part: str | int) -> str:
    return f"{place}.{part}" if place else str(part)


WORDING = Wording(_missing, _wrong, _invalid, _join)


def refuse(place: str, why: str) -> NoReturn:
    """Refuse what stands at ``place``; ``why`` is a sentence."""
    raise Refused(_invalid(place, why))


def needed(fields: Fields, name: str) -> str:
    """A text that must be there and may be empty."""
    value = fields.text(name)
    if value is None:
        fields.refuse_missing(name)
    return value


def read_model(call: Call, fields: Fields) -> str:
    """The model; a lenient call need not name one."""
    named = fields.text("model")
    if not named and call.lenient:
        return "claude-sonnet-5"
    if not named:
        fields.refuse_missing("model")
    return named


def read_sampling(call: Call, fields: Fields) -> None:
    """Check what shapes sampling; newer API versions refuse it altogether."""
    fields.number("temperature", 0, 1)
    fields.number("top_p", 0, 1)
    fields.integer("top_k", 0)
    version = header(call.headers, "anthropic-version") or ""
    if call.lenient or not _DATE.fullmatch(version) or version < WITHOUT_SAMPLING:
        return
    for name in ("temperature", "top_p", "top_k"):
        if fields.get(name) is not None:
            fields.refuse(name, f"Extra inputs are not permitted by anthropic-version {version}")


def read_stop(call: Call, fields: Fields) -> tuple[str, ...]:
    """Stop sequences; one of white space only is refused."""
    stops = fields.texts("stop_sequences")
    if not call.lenient and not all(stop.strip() for stop in stops):
        fields.refuse("stop_sequences", "each stop sequence must contain non-whitespace")
    return tuple(stop for stop in stops if stop)


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What tools a request has: those to be called, and the names of provided ones."""

    tools: tuple[Tool, ...] = ()
    provided: frozenset[str] = frozenset()


def read_tools(call: Call, fields: Fields) -> Toolbox:
    """Custom tools have a name and a schema, provided ones a dated type."""
    tools, provided = [], set()
    for tool in fields.groups("tools"):
        kind = tool.text("type") or "custom"
        if kind == "custom":
            tools.append(_read_tool(call, tool))
        elif _PROVIDED.fullmatch(kind):
            provided.add(tool.text("name") or kind)
        else:
            tool.refuse("type", "Input should be 'custom' or the dated type of a provided tool")
    names = {tool.name for tool in tools}
    if len(names) < len(tools):
        fields.refuse("tools", "Tool names must be unique.")
    return Toolbox(tuple(tools), frozenset(provided))


def _read_tool(call: Call, fields: Fields) -> Tool:
    name = fields.required_text("name")
    if not TOOL_NAME.fullmatch(name):
        fields.refuse("name", f"String should match pattern '^{TOOL_NAME.pattern}$'")
    schema = fields.group("input_schema")
    if not call.lenient:
        if schema is None:
            fields.refuse_missing("input_schema")
        if schema.get("type") is None:
            schema.refuse_missing("type")
        if schema.get("type") != "object":
            schema.refuse("type", "Input should be 'object'")
    return Tool(
        name=name,
        description=fields.text("description") or "",
        schema=schema.members if schema else {},
    )


def read_choice(fields: Fields, box: Toolbox) -> tuple[ToolChoice, bool]:
    """Whether tools may, must not or must be called, and whether several at once.

    A choice that only a provided tool could meet becomes ``auto``, for none is ever called.
    """
    group = fields.group("tool_choice")
    if group is None:
        return ToolChoice(), True
    kind = group.text("type", "auto", "any", "tool", "none")
    if kind is None:
        group.refuse_missing("type")
    parallel = not group.flag("disable_parallel_tool_use")
    if kind == "none":
        return ToolChoice("none"), parallel
    if kind == "auto":
        return ToolChoice(), parallel
    if not box.tools and not box.provided:
        fields.refuse("tool_choice", f"`{kind}` may only be specified while providing `tools`")
    names = (_chosen(group, box),) if kind == "tool" else ()
    callable_names = {tool.name for tool in box.tools}
    if not callable_names or not callable_names.issuperset(names):
        return ToolChoice(), parallel
    return ToolChoice("required", names), parallel


def _chosen(group: Fields, box: Toolbox) -> str:
    name = group.required_text("name")
    if name not in box.provided and all(name != tool.name for tool in box.tools):
        group.refuse("name", f"Tool {name[:128]!r} not found in provided tools")
    return name


def read_thinking(call: Call, fields: Fields, max_tokens: int | None) -> bool:
    """Whether the model shall think before it answers."""
    group = fields.group("thinking")
    if group is None:
        return False
    kind = group.text("type", "enabled", "adaptive", "disabled", "between_tools")
    if kind is None:
        group.refuse_missing("type")
    group.text("display", "summarized", "omitted")
    if kind == "enabled":
        _read_budget(call, group, max_tokens)
    return kind in ("enabled", "adaptive")


def _read_budget(call: Call, group: Fields, max_tokens: int | None) -> None:
    """With interleaved thinking the budget spans several replies and may be larger than one."""
    budget = group.integer("budget_tokens", LEAST_BUDGET)
    if budget is None:
        group.refuse_missing("budget_tokens")
    interleaved = "interleaved-thinking" in (header(call.headers, "anthropic-beta") or "")
    if max_tokens is not None and budget >= max_tokens and not interleaved and not call.lenient:
        refuse("max_tokens", "must be greater than `thinking.budget_tokens`")


def shows_thinking(prompt_body: object) -> bool:
    """Whether thinking comes with its text; else only with its signature."""
    thinking = prompt_body.get("thinking") if isinstance(prompt_body, dict) else None
    return not isinstance(thinking, dict) or thinking.get("display") != "omitted"


def read_format(fields: Fields) -> Format | None:
    """``output_config.format``, or what it was called in its beta, ``output_format``."""
    config = fields.group("output_config")
    if config:
        effort = config.text("effort", *_EFFORTS)
        if effort == "xhigh" and _WITHOUT_XHIGH.match(fields.text("model") or ""):
            config.refuse("effort", "This model does not support the effort level 'xhigh'")
    wanted = (config and config.group("format")) or fields.group("output_format")
    if wanted is None:
        return None
    if wanted.text("type", "json_schema") is None:
        wanted.refuse_missing("type")
    schema = wanted.group("schema")
    if schema is None:
        wanted.refuse_missing("schema")
    return Format(followed(schema.members))
