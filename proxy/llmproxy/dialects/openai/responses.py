"""OpenAI's Responses: what is asked, and the operations.

Strategy: a request is read into a prompt whose messages are the instructions, then what earlier
responses of the chain were asked and said, then its own input. Tools that the provider runs
itself are accepted and never called. Nothing is required, not even a model. The response object
is in ``openai/responses_body.py``, its stream in ``openai/responses_stream.py``, what is
stored in ``openai/stored.py``. Facts are from ``openai`` 3.52 and OpenAI's API reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from llmproxy.answer import Answer, Usage
from llmproxy.dialects.openai import items, stored, words
from llmproxy.dialects.openai.responses_body import (
    ENCRYPTED_LENGTH,
    URL_SAFE,
    ended,
    opened,
    output_items,
    write_usage,
)
from llmproxy.dialects.openai.responses_stream import fail_stream, write_stream
from llmproxy.dialects.operation import (
    HEX,
    Call,
    Means,
    Operation,
    Plain,
    PlainReply,
    Refused,
    Text,
    event_stream,
)
from llmproxy.dialects.reading import Fields
from llmproxy.interaction import Problem
from llmproxy.prompt import Format, Message, Prompt, Tool, ToolChoice

DEFAULT_MODEL = "gpt-4o"
"""Who answers where no model is named, which the provider allows."""

FEWEST_TOKENS = 16
"""The least ``max_output_tokens`` that the provider takes."""

MOST_METADATA = 16
_TEXTS = ("service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")
_HOSTED = Tool("")
"""Stands for all tools that the provider runs itself."""


def read_prompt(call: Call) -> Prompt:
    """The body as a prompt; what OpenAI would refuse is refused."""
    fields = Fields.of_body(call.body, words.WORDING)
    model = fields.text("model") or call.variables.get("deployment") or DEFAULT_MODEL
    _check(fields)
    stream = fields.flag("stream")
    options = fields.group("stream_options")
    if options and not stream:
        fields.refuse("stream_options", "is only allowed when 'stream' is true")
    if options:
        options.flag("include_obfuscation")
    tools = _read_tools(fields)
    reasoning = fields.group("reasoning")
    effort = _read_effort(reasoning) if reasoning else None
    least = 1 if call.lenient else FEWEST_TOKENS
    return Prompt(
        model=model,
        messages=_read_messages(call, fields),
        stream=stream,
        tools=tools,
        choice=_read_choice(fields, tools),
        parallel=fields.flag("parallel_tool_calls", default=True),
        format=_read_format(fields),
        max_tokens=fields.integer("max_output_tokens", least),
        reasoning=words.thinks(model, effort),
        include_usage=True,
        body=fields.members,
    )


def _check(fields: Fields) -> None:
    """Check the members that are only echoed, or steer the provider alone."""
    words.read_sampling(fields)
    _check_metadata(fields)
    fields.integer("max_tool_calls", 1)
    fields.text("truncation", "auto", "disabled")
    for name in _TEXTS:
        fields.text(name)
    fields.texts("include")
    fields.group("prompt")
    stored = fields.flag("store", default=True)
    if fields.flag("background") and not stored:
        fields.refuse("background", "is only allowed when 'store' is true")


def _check_metadata(fields: Fields) -> None:
    metadata = fields.group("metadata")
    if metadata is None:
        return
    if len(metadata.members) > MOST_METADATA:
        fields.refuse("metadata", f"must hold at most {MOST_METADATA} pairs")
    for name, value in metadata.members.items():
        if not isinstance(value, str):
            metadata.refuse_type(name, "a string", value)


def _read_effort(reasoning: Fields) -> str | None:
    for name in ("summary", "generate_summary"):
        reasoning.text(name, "auto", "concise", "detailed")
    return reasoning.text("effort")


def _read_format(fields: Fields) -> Format | None:
    text = fields.group("text")
    if text is None:
        return None
    text.text("verbosity", "low", "medium", "high")
    wanted = text.group("format")
    if wanted is None:
        return None
    if wanted.get("type") == "json_schema":
        wanted.required_text("name")
        if wanted.group("schema") is None:
            wanted.refuse_missing("schema")
        wanted.flag("strict")
    return words.read_format(wanted)


def _read_messages(call: Call, fields: Fields) -> tuple[Message, ...]:
    """Instructions, what went before, the input; instructions of earlier responses do not last."""
    before, whole = _read_previous(call, fields)
    own = list(_own_items(call, fields, continued=bool(before) or not whole))
    if not call.lenient:
        items.check_reasoning(own)
    said = [Fields(item, words.WORDING, f"previous[{n}]") for n, item in enumerate(before)]
    messages = items.read_messages([*said, *own], lenient=call.lenient)
    if whole and not call.lenient:
        items.check_results(messages)
    instructions = fields.text("instructions")
    return (Message("system", instructions), *messages) if instructions else messages


def _read_previous(call: Call, fields: Fields) -> tuple[list[Mapping[str, Any]], bool]:
    """The items of the responses before this one, and whether these are all there are."""
    previous = fields.text("previous_response_id")
    conversation = fields.get("conversation")
    if conversation is not None and not isinstance(conversation, str):
        named = fields.group("conversation")
        assert named is not None
        named.required_text("id")
    if previous and conversation:
        fields.refuse("previous_response_id", "must not be given together with 'conversation'")
    if not previous:
        return [], conversation is None
    if stored.find(call.stored, previous) is None and not call.trusting:
        raise Refused(_no_previous(previous))
    return stored.earlier(call.stored, previous)


def _no_previous(id: str) -> Problem:
    return Problem(
        400,
        f"Previous response with id '{id}' not found.",
        code="previous_response_not_found",
        param="previous_response_id",
    )


def _own_items(call: Call, fields: Fields, *, continued: bool) -> Iterator[Fields]:
    """The input as items, each reference replaced by what it refers to."""
    value = fields.get("input")
    if isinstance(value, str):
        yield Fields({"role": "user", "content": value}, words.WORDING, "input")
        return
    if value is not None and not isinstance(value, list):
        fields.refuse_type("input", "a string or an array", value)
    if value == [] and not (continued or call.lenient or fields.get("prompt")):
        fields.refuse_missing("input")
    for item in fields.groups("input"):
        if items.type_of(item) != "item_reference":
            yield item
            continue
        id = item.required_text("id")
        found = stored.find_item(call.stored, id)
        if found is not None:
            yield Fields(found, words.WORDING, item.place)
        elif not call.trusting:
            raise Refused(Problem(404, f"Item with id '{id}' not found.", param="input"))


def _read_tools(fields: Fields) -> tuple[Tool, ...]:
    tools = []
    for number, tool in enumerate(fields.groups("tools")):
        if number >= words.MOST_TOOLS:
            fields.refuse("tools", f"must hold at most {words.MOST_TOOLS} tools")
        kind = tool.required_text("type")
        if kind == "function":
            tool.flag("strict")
            tools.append(words.read_tool(tool))
        elif kind == "custom":
            tools.append(replace(words.read_tool(tool), custom=True))
    return tuple(tools)


def _read_choice(fields: Fields, tools: tuple[Tool, ...]) -> ToolChoice:
    """Where only the provider's own tools are there, nobody can be made to call one."""
    hosted = len(fields.items("tools")) > len(tools)
    choice = words.read_choice(fields, (*tools, _HOSTED) if hosted else tools)
    return choice if tools else ToolChoice()


def write_body(prompt: Prompt, answer: Answer, means: Means) -> dict[str, Any]:
    """A ``response``, which is stored unless the request says otherwise.

    One that runs in the background has come to its end at once.
    """
    response = opened(prompt, means)
    items = output_items(prompt, answer.first, means)
    response = ended(response, answer, items, means)
    stored.keep(means.call, response)
    return response


def count_input(call: Call, means: Means) -> PlainReply:
    """How many tokens a request would take."""
    tokens = means.count_prompt(read_prompt(call))
    return PlainReply({"object": "response.input_tokens", "input_tokens": tokens})


def compact(call: Call, means: Means) -> PlainReply:
    """What the user said, and an item that stands for all else."""
    fields = Fields.of_body(call.body, words.WORDING)
    fields.required_text("model")
    prompt = read_prompt(call)
    before, _ = _read_previous(call, fields)
    own = (item.members for item in _own_items(call, fields, continued=True))
    id = means.new_id("resp_", items.ID_LENGTH, HEX)
    kept = [item for item in (*before, *own) if item.get("role") == "user"]
    users = tuple(message for message in prompt.messages if message.role == "user")
    shorter = means.count_prompt(replace(prompt, messages=users, tools=()))
    compaction = {
        "id": means.new_id("cmp_", items.ID_LENGTH, HEX),
        "type": "compaction",
        "encrypted_content": means.new_id("gAAAAAB", ENCRYPTED_LENGTH, URL_SAFE),
    }
    return PlainReply({
        "id": id,
        "object": "response.compaction",
        "created_at": int(means.created),
        "output": [
            *(items.listed(item, id, number) for number, item in enumerate(kept)),
            compaction,
        ],
        "usage": write_usage(Usage(means.count_prompt(prompt), shorter)),
    })  # fmt: skip


CREATE = Text(
    name="openai_responses",
    path=re.compile(r"(?:/deployments/(?P<deployment>[^/]+))?(?:^|/)responses/?$"),
    read_prompt=read_prompt,
    write_body=write_body,
    write_stream=write_stream,
    stream_type=event_stream,
    fail_stream=fail_stream,
)
INPUT_TOKENS = Plain(
    name="openai_responses_input_tokens",
    method="POST",
    path=re.compile(r"(?:^|/)responses/input_tokens/?$"),
    answer=count_input,
    counts=True,
)
COMPACT = Plain(
    name="openai_responses_compact",
    method="POST",
    path=re.compile(r"(?:^|/)responses/compact/?$"),
    answer=compact,
    counts=True,
)
RESPONSES: tuple[Operation, ...] = (CREATE, INPUT_TOKENS, COMPACT, *stored.STORED)
