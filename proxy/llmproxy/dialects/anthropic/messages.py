"""Anthropic's Messages, and the token count of one.

Strategy: a reply is a list of blocks, and its stream tells the same blocks one after another,
never interleaved. An event of a stream is bytes made once with its text put in. Of several
answers only the first is written, for Anthropic gives one. Facts are from ``anthropic`` 2.11
and Anthropic's API reference.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from llmproxy.answer import Answer, Choice, Reasoning, ToolCall, Usage
from llmproxy.dialects.anthropic import threads, words
from llmproxy.dialects.anthropic.content import read_messages
from llmproxy.dialects.failures import parse_object
from llmproxy.dialects.operation import (
    Call,
    Frame,
    Means,
    Plain,
    PlainReply,
    encode,
    event_stream,
)
from llmproxy.dialects.operation import Text as TextOperation
from llmproxy.dialects.reading import Fields
from llmproxy.prompt import Prompt

_MESSAGES = re.compile(r"(?:^|/)messages/?$")
_COUNT_TOKENS = re.compile(r"(?:^|/)messages/count_tokens/?$")
_LENIENT_MAX_TOKENS = 1024
_STOP_REASONS = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "content_filter": "refusal",
}
_PING = Frame(b'event: ping\ndata: {"type": "ping"}\n\n')


def read_prompt(call: Call) -> Prompt:
    """The body as a prompt; what Anthropic would refuse is refused.

    ``max_tokens`` may be 0, which asks for no text at all.
    """
    return _read(call, bounded=True)


def _read(call: Call, *, bounded: bool) -> Prompt:
    """A prompt; ``bounded`` wants ``max_tokens``."""
    fields = threads.resumed(call, Fields.of_body(call.body, words.WORDING))
    model = words.read_model(call, fields)
    max_tokens = _read_bound(call, fields) if bounded else None
    messages = read_messages(call, fields)
    words.read_sampling(call, fields)
    box = words.read_tools(call, fields)
    choice, parallel = words.read_choice(fields, box)
    reasoning = words.read_thinking(call, fields, max_tokens)
    if reasoning and choice.mode == "required" and not call.lenient:
        words.refuse("tool_choice", "Thinking may not be enabled when tool_choice forces tool use.")
    metadata = fields.group("metadata")
    if metadata:
        metadata.text("user_id")
    fields.text("service_tier", "auto", "standard_only")
    return Prompt(
        model=model,
        messages=messages,
        stream=fields.flag("stream"),
        tools=box.tools,
        choice=choice,
        parallel=parallel,
        format=words.read_format(fields),
        max_tokens=max_tokens,
        stop=words.read_stop(call, fields),
        reasoning=reasoning,
        body=fields.members,
    )


def _read_bound(call: Call, fields: Fields) -> int:
    bound = fields.integer("max_tokens", 0)
    if bound is None and call.lenient:
        return _LENIENT_MAX_TOKENS
    if bound is None:
        fields.refuse_missing("max_tokens")
    return bound


def count_tokens(call: Call, means: Means) -> PlainReply:
    """``{"input_tokens": n}`` for a prompt, which needs no ``max_tokens``."""
    prompt = _read(call, bounded=False)
    return PlainReply({"input_tokens": means.count_prompt(prompt)})


def write_body(prompt: Prompt, answer: Answer, means: Means) -> dict[str, Any]:
    """A ``message``."""
    choice = answer.first
    shown = words.shows_thinking(prompt.body)
    head = _head(prompt, means)
    blocks = [_block(part, means, shown=shown) for part in _parts(choice)]
    threads.keep(means.call, head["id"], blocks)
    return {
        **head,
        "content": blocks,
        **_end(choice),
        "usage": _usage(answer.usage),
    }


def _head(prompt: Prompt, means: Means) -> dict[str, Any]:
    id = means.new_id("msg_01", 22)
    return {"model": prompt.model, "id": id, "type": "message", "role": "assistant"}


def _parts(choice: Choice) -> Iterator[Any]:
    """The parts that become blocks; empty text is none, for Anthropic refuses it in requests."""
    for part in choice.parts:
        if isinstance(part, ToolCall) or part.text:
            yield part


def _block(part: Any, means: Means, *, shown: bool) -> dict[str, Any]:
    """A whole block; a tool call that was cut off has the input ``{}``.

    The caller of each is the model itself, not code that it runs.
    """
    if isinstance(part, ToolCall):
        id = part.id or means.new_id("toolu_01", 22)
        arguments = parse_object(part.arguments)
        return {
            "type": "tool_use",
            "id": id,
            "name": part.name,
            "input": arguments,
            "caller": {"type": "direct"},
        }
    if isinstance(part, Reasoning):
        text = part.text if shown else ""
        return {"type": "thinking", "thinking": text, "signature": _signature(part.text)}
    return {"type": "text", "text": part.text}


def _signature(thinking: str) -> str:
    """Made up from the thinking, so that a stream has the same; no provider would accept it."""
    data = thinking.encode("utf-8", "surrogatepass")
    return b64encode(
        b"".join(hashlib.sha512(data + bytes([n])).digest() for n in range(3))
    ).decode()


def _end(choice: Choice) -> dict[str, Any]:
    reason = _STOP_REASONS[choice.finish]
    details = None
    if reason == "refusal":
        details = {"type": "refusal", "category": None, "explanation": choice.refusal}
    return {
        "stop_reason": reason,
        "stop_sequence": choice.stopped_by if reason == "stop_sequence" else None,
        "stop_details": details,
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {**_counts(usage, usage.output), **_thinking(usage.reasoning), **_SERVED}


def _usage_at_start(usage: Usage) -> dict[str, Any]:
    """What a stream begins with: one token, and nothing yet of what was thought."""
    return {**_counts(usage, min(1, usage.output)), **_SERVED}


_SERVED = {
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "service_tier": "standard",
    "inference_geo": "not_available",
}


def _counts(usage: Usage, output: int) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
    }


def _thinking(tokens: int) -> dict[str, Any]:
    return {"output_tokens_details": {"thinking_tokens": tokens}}


def write_stream(prompt: Prompt, answer: Answer, means: Means) -> Iterator[Frame]:
    """``message_start``, the blocks, ``message_delta`` with the whole usage, ``message_stop``.

    Each event has an ``event:`` line, without which Anthropic's SDKs drop it. A ping follows
    the start of the first block.
    """
    choice, usage = answer.first, answer.usage
    nothing = {"stop_reason": None, "stop_sequence": None, "stop_details": None}
    started = _usage_at_start(usage)
    head = _head(prompt, means)
    yield _event("message_start", {"message": {**head, "content": [], **nothing, "usage": started}})
    shown = words.shows_thinking(prompt.body)
    blocks = []
    for index, part in enumerate(_parts(choice)):
        block = _block(part, means, shown=shown)
        yield from _block_frames(part, block, index, means, shown=shown)
        blocks.append(block)
    threads.keep(means.call, head["id"], blocks)
    counts = {**_counts(usage, usage.output), **_thinking(usage.reasoning)}
    yield _event("message_delta", {"delta": _end(choice), "usage": counts})
    yield _event("message_stop", {})


def _event(kind: str, members: dict[str, Any], tokens: int = 0, characters: int = 0) -> Frame:
    data = b"event: %b\ndata: %b\n\n" % (kind.encode(), encode({"type": kind, **members}))
    return Frame(data, tokens, characters)


def _block_frames(
    part: Any, block: dict[str, Any], index: int, means: Means, *, shown: bool
) -> Iterator[Frame]:
    if isinstance(part, ToolCall):
        opening, name = {**block, "input": {}}, part.name
        frames = _argument_frames(part, index, means)
    elif isinstance(part, Reasoning):
        opening, name = {"type": "thinking", "thinking": "", "signature": ""}, ""
        frames = _thinking_frames(part.text, block["signature"], index, means, shown=shown)
    else:
        opening, name = {"type": "text", "text": ""}, ""
        frames = _deltas("text_delta", "text", part.text, index, means)
    start = {"index": index, "content_block": opening}
    yield _event("content_block_start", start, means.count(name) if name else 0, len(name))
    if index == 0:
        yield _PING
    yield from frames
    yield _event("content_block_stop", {"index": index})


def _deltas(kind: str, member: str, text: str, index: int, means: Means) -> Iterator[Frame]:
    head = _delta_head(kind, member, index)
    for piece in means.cut(text):
        data = b"%b%b}}\n\n" % (head, encode(piece.text))
        yield Frame(data, piece.tokens, len(piece.text))


def _delta_head(kind: str, member: str, index: int) -> bytes:
    return (
        b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
        % (index, kind.encode(), member.encode())
    )


def _argument_frames(call: ToolCall, index: int, means: Means) -> Iterator[Frame]:
    """Empty JSON first, as the provider does; the pieces join to the arguments."""
    yield Frame(_delta_head("input_json_delta", "partial_json", index) + b'""}}\n\n')
    yield from _deltas("input_json_delta", "partial_json", call.arguments, index, means)


def _thinking_frames(
    text: str, signature: str, index: int, means: Means, *, shown: bool
) -> Iterator[Frame]:
    """One signature at the end; where thinking is omitted it stands for the time that it took."""
    if shown:
        yield from _deltas("thinking_delta", "thinking", text, index, means)
    head = _delta_head("signature_delta", "signature", index)
    data = b"%b%b}}\n\n" % (head, encode(signature))
    yield Frame(data) if shown else Frame(data, means.count(text), len(text))


MESSAGES = TextOperation(
    name="anthropic_messages",
    path=_MESSAGES,
    read_prompt=read_prompt,
    write_body=write_body,
    write_stream=write_stream,
    stream_type=event_stream,
)
COUNT_TOKENS = Plain(
    name="anthropic_count_tokens",
    method="POST",
    path=_COUNT_TOKENS,
    answer=count_tokens,
    counts=True,
)
