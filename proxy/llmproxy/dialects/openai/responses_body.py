"""OpenAI's response object and the items of its output.

Strategy: one object in two states. ``opened`` is the response before anything was said, with all
that is echoed from the request; ``ended`` adds what came of it. Whole replies, streams and the
store all show these, so that they cannot differ. Facts are from ``openai`` 3.52 and OpenAI's
API reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llmproxy.answer import Answer, Choice, Finish, Part, Reasoning, Refusal, Text, ToolCall, Usage
from llmproxy.dialects.openai import words
from llmproxy.dialects.openai.items import ID_LENGTH
from llmproxy.dialects.operation import ALNUM, HEX, Means
from llmproxy.interaction import Problem
from llmproxy.prompt import Prompt

_REASONS: Mapping[Finish, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
_TOOL_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "function": {"description": None, "parameters": None, "strict": True},
}
_FAILURES = frozenset({"server_error", "rate_limit_exceeded", "invalid_prompt"})
ENCRYPTED_LENGTH = 160
URL_SAFE = ALNUM + "-_"


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the output; ``unseen`` is reasoning that it holds without showing it."""

    members: dict[str, Any]
    unseen: str = ""


def opened(prompt: Prompt, means: Means) -> dict[str, Any]:
    """The response as it is at the start, with a new id."""
    body = prompt.body
    background = body.get("background") is True
    reasoning, text = body.get("reasoning") or {}, body.get("text") or {}
    response = {
        "id": means.new_id("resp_", ID_LENGTH, HEX),
        "object": "response",
        "created_at": int(means.created),
        "status": "queued" if background else "in_progress",
        "background": background,
        "completed_at": None,
        "error": None,
        "frequency_penalty": float(body.get("frequency_penalty") or 0.0),
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": prompt.max_tokens,
        "max_tool_calls": _whole(body.get("max_tool_calls")),
        "model": prompt.model,
        "output": [],
        "parallel_tool_calls": prompt.parallel,
        "presence_penalty": float(body.get("presence_penalty") or 0.0),
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "prompt_cache_retention": body.get("prompt_cache_retention") or "in_memory",
        "reasoning": {
            "effort": reasoning.get("effort") or words.default_effort(prompt.model),
            "summary": reasoning.get("summary"),
        },
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": body.get("service_tier") or "auto",
        "store": body.get("store") is not False,
        "temperature": _given(body, "temperature", 1.0),
        "text": {
            "format": text.get("format") or {"type": "text"},
            "verbosity": text.get("verbosity") or "medium",
        },
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": [_shown_tool(tool) for tool in body.get("tools") or ()],
        "top_logprobs": _whole(body.get("top_logprobs")) or 0,
        "top_p": _given(body, "top_p", 1.0),
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
        "moderation": None,
    }
    if body.get("prompt") is not None:
        response["prompt"] = body["prompt"]
    conversation = body.get("conversation")
    if conversation is not None:
        named = conversation if isinstance(conversation, str) else conversation.get("id")
        response["conversation"] = {"id": named}
    return response


def _given(body: Mapping[str, Any], name: str, default: float) -> float:
    value = body.get(name)
    return default if value is None else float(value)


def _whole(value: float | None) -> int | None:
    """A whole number that may have come as 3.0."""
    return None if value is None else int(value)


def _shown_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool with its defaults, and without the credentials of an MCP server."""
    shown = {**_TOOL_DEFAULTS.get(tool["type"], {}), **tool}
    if tool["type"] == "mcp":
        shown.pop("authorization", None)
        if isinstance(tool.get("headers"), dict):
            shown["headers"] = dict.fromkeys(tool["headers"], "<redacted>")
    return shown


def ended(
    response: Mapping[str, Any], answer: Answer, items: Iterable[Item], means: Means
) -> dict[str, Any]:
    """The response when its last word was said: completed, or incomplete and why."""
    reason = _REASONS.get(answer.first.finish)
    tier = response["service_tier"]
    return {
        **response,
        "status": "incomplete" if reason else "completed",
        "completed_at": None if reason else int(means.created + means.took),
        "incomplete_details": {"reason": reason} if reason else None,
        "output": [item.members for item in items],
        "service_tier": "default" if tier == "auto" else tier,
        "usage": write_usage(answer.usage),
    }


def failed(
    response: Mapping[str, Any], problem: Problem, output: list[dict[str, Any]]
) -> dict[str, Any]:
    """The response that ended in an error, with the items that were complete by then."""
    code = problem.code if problem.code in _FAILURES else "server_error"
    if problem.status == 429:
        code = "rate_limit_exceeded"
    return {
        **response,
        "status": "failed",
        "error": {"code": code, "message": problem.message},
        "output": output,
    }


def write_usage(usage: Usage) -> dict[str, Any]:
    """The ``usage`` of a response."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


def output_items(prompt: Prompt, choice: Choice, means: Means) -> list[Item]:
    """The output: texts that follow each other are one message, all else an item each.

    What was cut off is marked on the last item. An answer without parts is an empty message.
    """
    items: list[Item] = []
    for part in choice.parts or (Text(""),):
        if not isinstance(part, Text | Refusal):
            items.append(_item(prompt, part, means))
            continue
        if not items or items[-1].members["type"] != "message":
            items.append(_message(means))
        items[-1].members["content"].append(_content(part))
    if choice.finish in _REASONS:
        items[-1].members["status"] = "incomplete"
    return items


def _message(means: Means) -> Item:
    return Item({
        "id": means.new_id("msg_", ID_LENGTH, HEX),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [],
    })  # fmt: skip


def _content(part: Text | Refusal) -> dict[str, Any]:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}


def _item(prompt: Prompt, part: Part, means: Means) -> Item:
    if isinstance(part, Reasoning):
        return _reasoning(prompt, part.text, means)
    assert isinstance(part, ToolCall)
    kind, prefix, said = (
        ("custom_tool_call", "ctc_", "input")
        if part.custom
        else ("function_call", "fc_", "arguments")
    )
    return Item({
        "id": means.new_id(prefix, ID_LENGTH, HEX),
        "type": kind,
        "status": "completed",
        "call_id": part.id or means.new_id("call_", 24),
        "name": part.name,
        said: part.arguments,
    })  # fmt: skip


def _reasoning(prompt: Prompt, text: str, means: Means) -> Item:
    """Its summary is shown to those who ask for one, encrypted content likewise."""
    asked = prompt.body.get("reasoning") or {}
    shown = bool(asked.get("summary") or asked.get("generate_summary"))
    members: dict[str, Any] = {
        "id": means.new_id("rs_", ID_LENGTH, HEX),
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if shown else [],
    }
    if "reasoning.encrypted_content" in (prompt.body.get("include") or ()):
        members["encrypted_content"] = means.new_id("gAAAAAB", ENCRYPTED_LENGTH, URL_SAFE)
    return Item(members, "" if shown else text)
