"""OpenAI's Chat Completions.

Strategy: a stream is one template of a chunk with its delta put in, because all chunks but for
their delta are alike. Reasoning is counted and not shown, except to those who speak of it in a
dialect of their own: OpenRouter's ``reasoning``, DeepSeek's ``reasoning_content``. Facts are
from ``openai`` 3.52 and OpenAI's API reference.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from llmproxy.answer import Answer, Choice, Reasoning, Refusal, Text, ToolCall
from llmproxy.dialects.openai import words
from llmproxy.dialects.operation import Call, Frame, Means, Refused, encode, event_stream
from llmproxy.dialects.operation import Text as TextOperation
from llmproxy.dialects.reading import Fields
from llmproxy.interaction import Problem
from llmproxy.prompt import Message, Prompt, Role, Tool, ToolChoice

_PATH = re.compile(r"(?:/deployments/(?P<deployment>[^/]+))?(?:^|/)chat/completions/?$")
_ROLES: dict[str, Role] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_FINISH = {"stop_sequence": "stop", "refusal": "stop"}
DONE = Frame(b"data: [DONE]\n\n")
_OPENAIS = re.compile(r"(?:openai/|ft:)?(?:gpt|chatgpt|o\d)")
_WITHOUT_SYSTEM = re.compile(r"(?:^|/)o1-(?:mini|preview)")
_WORD = 32
"""Characters up to which the JSON of a piece is remembered."""


def read_prompt(call: Call) -> Prompt:
    """The body as a prompt; what OpenAI would refuse is refused."""
    fields = Fields.of_body(call.body, words.WORDING)
    model = words.read_model(call, fields)
    messages = tuple(map(_read_message, fields.groups("messages")))
    if not messages:
        fields.refuse_missing("messages")
    if not call.lenient:
        words.check_results(messages)
        _check_system(fields, model)
    words.read_sampling(fields)
    fields.flag("logprobs")
    tools = _read_tools(fields, model)
    stream = fields.flag("stream")
    options = fields.group("stream_options")
    if options and not stream:
        fields.refuse("stream_options", "is only allowed when 'stream' is true")
    wanted = fields.group("response_format")
    effort = fields.text("reasoning_effort")
    bounds = fields.integer("max_completion_tokens", 1), fields.integer("max_tokens", 1)
    return Prompt(
        model=model,
        messages=messages,
        stream=stream,
        tools=tools,
        choice=_read_choice(fields, tools, model),
        parallel=fields.flag("parallel_tool_calls", default=True),
        format=words.read_format(wanted) if wanted else None,
        count=fields.integer("n", 1, 128) or 1,
        max_tokens=bounds[0] or bounds[1],
        stop=words.read_stop(fields),
        reasoning=words.thinks(model, effort) or _reasoning_name(model, fields.members) is not None,
        include_usage=bool(options and options.flag("include_usage")),
        body=fields.members,
    )


def _read_message(fields: Fields) -> Message:
    role = fields.required_text("role")
    if role not in _ROLES:
        fields.refuse("role", f"must be one of {', '.join(map(repr, _ROLES))}")
    if role == "user" and type(content := fields.members.get("content")) is str:
        return Message("user", content, fields.text("name") or "")  # what nearly all are
    calls = words.read_calls(fields)
    called = fields.group("function_call")
    if fields.get("content") is None and _ROLES[role] != "assistant":
        fields.refuse_missing("content")
    text, media = words.read_content(fields)
    if called:
        calls = (ToolCall(called.required_text("name"), called.text("arguments") or "", "legacy"),)
    answers = fields.required_text("tool_call_id") if role == "tool" else ""
    name = fields.text("name") or ""
    if role == "function":
        answers = "legacy"
    return Message(_ROLES[role], text, name, calls, answers, media)


def _check_system(fields: Fields, model: str) -> None:
    """Refuse system messages to those models that never took any."""
    if not _WITHOUT_SYSTEM.search(model):
        return
    for message in fields.groups("messages"):
        if (role := message.get("role")) in ("system", "developer"):
            place = message.at("role")
            said = f"Unsupported value: '{place}' must not be '{role}' with this model."
            raise Refused(Problem(400, said, code="unsupported_value", param=place))


def _read_tools(fields: Fields, model: str) -> tuple[Tool, ...]:
    """Functions and custom tools; those that OpenRouter runs itself are passed over.

    Only OpenAI's models need to be told the type.
    """
    tools = []
    for tool in fields.groups("tools"):
        if str(tool.get("type")).startswith("openrouter:"):
            continue
        custom = tool.text("type", "function", "custom") == "custom"
        inner = tool.group("custom" if custom else "function")
        if tool.get("type") is None and (inner is None or _OPENAIS.match(model)):
            tool.refuse_missing("type")
        if inner is None:
            tool.refuse_missing("custom" if custom else "function")
        read = words.read_tool(inner)
        tools.append(Tool(read.name, read.description, read.schema, custom))
    if len(tools) > words.MOST_TOOLS:
        fields.refuse("tools", f"must hold at most {words.MOST_TOOLS} tools")
    return (*tools, *map(words.read_tool, fields.groups("functions")))


def _read_choice(fields: Fields, tools: tuple[Tool, ...], model: str) -> ToolChoice:
    """Mistral calls ``any`` what OpenAI calls ``required``."""
    if fields.get("tool_choice") == "any" and not _OPENAIS.match(model):
        fields = Fields({**fields.members, "tool_choice": "required"}, words.WORDING)
    legacy = fields.get("function_call")
    if legacy is None:
        return words.read_choice(fields, tools)
    if isinstance(legacy, dict):
        fields = Fields({"function_call": {"type": "function", **legacy}}, words.WORDING)
    return words.read_choice(fields, tools, "function_call")


def write_body(prompt: Prompt, answer: Answer, means: Means) -> dict[str, Any]:
    """A ``chat.completion``."""
    return {
        **_envelope(prompt, means, "chat.completion"),
        "choices": [
            {
                "index": index,
                "message": _message(prompt, choice, means),
                "logprobs": _logprobs(prompt, choice, means),
                "finish_reason": _finish(prompt, choice),
            }
            for index, choice in enumerate(answer.choices)
        ],
        "usage": words.chat_usage(answer.usage),
    }


def _envelope(prompt: Prompt, means: Means, object: str) -> dict[str, Any]:
    openrouter = "/api/v1/" in means.call.path
    id = (
        means.new_id(f"gen-{int(means.created)}-", 20)
        if openrouter
        else means.new_id("chatcmpl-", 29)
    )
    tier = prompt.body.get("service_tier")
    envelope = {
        "id": id,
        "object": object,
        "created": int(means.created),
        "model": prompt.model,
        "service_tier": tier if isinstance(tier, str) and tier != "auto" else "default",
        "system_fingerprint": fingerprint(prompt.model),
    }
    return {**envelope, "provider": "llmproxy"} if openrouter else envelope


def fingerprint(model: str) -> str:
    """The ``system_fingerprint`` of a model."""
    return "fp_" + hashlib.sha256(model.encode("utf-8", "replace")).hexdigest()[:10]


def _message(prompt: Prompt, choice: Choice, means: Means) -> dict[str, Any]:
    text, calls = choice.text, choice.calls
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if (calls or choice.refusal is not None) and not text else text,
        "refusal": choice.refusal,
        "annotations": [],
    }
    name = _reasoning_name(prompt.model, prompt.body)
    if name and choice.reasoning:
        message[name] = choice.reasoning
    if calls and _is_legacy(prompt):
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
    elif calls:
        message["tool_calls"] = [_tool_call(call, means) for call in calls]
    return message


def _tool_call(call: ToolCall, means: Means) -> dict[str, Any]:
    id = call.id or means.new_id("call_", 24)
    if call.custom:
        return {"id": id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": id, "type": "function", "function": function}


def _finish(prompt: Prompt, choice: Choice) -> str:
    """A call that was forced by name ends with ``stop``, one that the model chose does not."""
    if choice.finish == "tool_calls":
        if _is_legacy(prompt):
            return "function_call"
        asked = prompt.body.get("tool_choice")
        named = isinstance(asked, dict) and asked.get("type") != "allowed_tools"
        return "stop" if named else "tool_calls"
    return _FINISH.get(choice.finish, choice.finish)


def _is_legacy(prompt: Prompt) -> bool:
    return bool(prompt.body.get("functions")) and not prompt.body.get("tools")


def _reasoning_name(model: str, body: Any) -> str | None:
    """Where a reply shows its reasoning; None: it does not."""
    if isinstance(body.get("reasoning"), dict) or body.get("include_reasoning") is True:
        return "reasoning"
    return "reasoning_content" if "deepseek-r" in model.lower() else None


def write_stream(prompt: Prompt, answer: Answer, means: Means) -> Iterator[Frame]:
    """``data:`` lines: role, deltas and finish of each choice, usage where asked, ``[DONE]``.

    Choices take turns, as the provider's do; each first appears in the order of its index.
    """
    head = _envelope(prompt, means, "chat.completion.chunk")
    final = means.usage_in_final_chunk
    usage = words.chat_usage(answer.usage)
    template = _Template.of(head, nulled=prompt.include_usage and not final)
    streams = [
        _choice_frames(prompt, choice, index, means, template, usage if final else None)
        for index, choice in enumerate(answer.choices)
    ]
    yield from streams[0] if len(streams) == 1 else in_turns(streams)
    if prompt.include_usage and not final:
        yield Frame(b"data: %b\n\n" % encode({**head, "choices": [], "usage": usage}))
    yield DONE


def in_turns(streams: Iterable[Iterator[Frame]]) -> Iterator[Frame]:
    """One frame of each stream, then the next of each, until all have ended."""
    for frames in itertools.zip_longest(*streams):
        yield from (frame for frame in frames if frame is not None)


@dataclass(frozen=True, slots=True)
class _Template:
    """A chunk up to its choice's index, and what follows its finish reason."""

    head: bytes
    tail: bytes

    @classmethod
    def of(cls, envelope: dict[str, Any], *, nulled: bool) -> _Template:
        tail = b',"usage":null}\n\n' if nulled else b"}\n\n"
        return cls(b"data: %b" % encode(envelope)[:-1] + b',"choices":[{"index":', b"}]" + tail)

    def fill(
        self, index: int, delta: bytes, finish: bytes = b"null", logprobs: bytes = b"null"
    ) -> bytes:
        return b'%b%d,"delta":%b,"logprobs":%b,"finish_reason":%b%b' % (
            self.head, index, delta, logprobs, finish, self.tail,
        )  # fmt: skip

    def around(self, index: int, name: str) -> tuple[bytes, bytes]:
        """What stands before and after the one member of a delta."""
        before, _, after = self.fill(index, b'{"%b":\0}' % name.encode()).partition(b"\0")
        return before, after


def _choice_frames(
    prompt: Prompt,
    choice: Choice,
    index: int,
    means: Means,
    template: _Template,
    usage: dict[str, Any] | None,
) -> Iterator[Frame]:
    calls_only = bool(choice.calls) and not choice.text
    opening = {"role": "assistant", "content": None if calls_only else "", "refusal": None}
    yield Frame(template.fill(index, encode(opening)))
    shown = _reasoning_name(prompt.model, prompt.body)
    number = 0
    for part in choice.parts:
        if isinstance(part, Text):
            yield from _text_frames(prompt, "content", part.text, index, means, template)
        elif isinstance(part, Refusal):
            yield from _text_frames(prompt, "refusal", part.text, index, means, template)
        elif isinstance(part, Reasoning):
            if shown:
                yield from _text_frames(prompt, shown, part.text, index, means, template)
            else:
                yield from silence(part.text, means)
        elif _is_legacy(prompt):
            yield from _function_frames(part, index, means, template)
        else:
            yield from _call_frames(part, number, index, means, template)
            number += 1
    end = template.fill(index, b"{}", encode(_finish(prompt, choice)))
    if usage is not None:
        end = end.removesuffix(b"}\n\n") + b',"usage":%b}\n\n' % encode(usage)
    yield Frame(end)


def silence(text: str, means: Means) -> Iterator[Frame]:
    """Reasoning that is not shown takes its time all the same."""
    yield Frame(b"", means.count(text), len(text))


def _text_frames(
    prompt: Prompt, name: str, text: str, index: int, means: Means, template: _Template
) -> Iterator[Frame]:
    if name == "content" and prompt.body.get("logprobs") is True:
        for piece in means.cut(text):
            row = logprob(piece.text, _top_logprobs(prompt))
            logprobs = encode({"content": [row], "refusal": None})
            delta = b'{"%b":%b}' % (name.encode(), encode(piece.text))
            data = template.fill(index, delta, logprobs=logprobs)
            yield Frame(data, piece.tokens, len(piece.text))
        return
    before, after = template.around(index, name)
    for piece in means.cut(text):
        said = piece.text
        shown = _word(said) if len(said) <= _WORD else encode(said)
        yield Frame(before + shown + after, piece.tokens, len(said))


@functools.lru_cache(maxsize=8192)
def _word(text: str) -> bytes:
    """A piece as JSON; the same words come again and again."""
    return encode(text)


def _call_frames(
    call: ToolCall, number: int, index: int, means: Means, template: _Template
) -> Iterator[Frame]:
    """The opener has id, type and name; the rest only pieces, which clients join."""
    kind, member = ("custom", "input") if call.custom else ("function", "arguments")
    opener = {
        "index": number,
        "id": call.id or means.new_id("call_", 24),
        "type": kind,
        kind: {"name": call.name, member: ""},
    }
    named = means.count(call.name)
    yield Frame(template.fill(index, encode({"tool_calls": [opener]})), named, len(call.name))
    for piece in means.cut(call.arguments):
        delta = {"tool_calls": [{"index": number, kind: {member: piece.text}}]}
        yield Frame(template.fill(index, encode(delta)), piece.tokens, len(piece.text))


def _function_frames(
    call: ToolCall, index: int, means: Means, template: _Template
) -> Iterator[Frame]:
    opener = {"function_call": {"name": call.name, "arguments": ""}}
    yield Frame(template.fill(index, encode(opener)), means.count(call.name), len(call.name))
    for piece in means.cut(call.arguments):
        delta = {"function_call": {"arguments": piece.text}}
        yield Frame(template.fill(index, encode(delta)), piece.tokens, len(piece.text))


def _logprobs(prompt: Prompt, choice: Choice, means: Means) -> dict[str, Any] | None:
    if prompt.body.get("logprobs") is not True:
        return None
    pieces: Iterable[str] = (piece.text for piece in means.cut(choice.text))
    top = _top_logprobs(prompt)
    return {"content": [logprob(text, top) for text in pieces], "refusal": None}


def _top_logprobs(prompt: Prompt) -> int:
    return int(prompt.body.get("top_logprobs") or 0)


def logprob(token: str, count: int) -> dict[str, Any]:
    """A probability made up from the token: the same token, the same number.

    Args:
        token: the token's text.
        count: how many of the likeliest to show, the token itself first.
    """
    digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
    first = round(math.log(0.55 + digest[0] / 600), 6)
    others = [token, *(token.swapcase() + "·" * number for number in range(count))]
    tops = [
        {"token": text, "logprob": round(first - number, 6), "bytes": _bytes(text)}
        for number, text in enumerate(others[:count])
    ]
    return {"token": token, "logprob": first, "bytes": _bytes(token), "top_logprobs": tops}


def _bytes(token: str) -> list[int]:
    return list(token.encode("utf-8", "replace"))


CHAT = TextOperation(
    name="openai_chat",
    path=_PATH,
    read_prompt=read_prompt,
    write_body=write_body,
    write_stream=write_stream,
    stream_type=event_stream,
)
