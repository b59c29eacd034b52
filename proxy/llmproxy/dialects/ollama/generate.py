"""What Ollama writes: chat and generate, which say the same in two spellings.

Strategy: a spelling is a function from text, thinking and calls to the members that carry them;
everything else is one. A stream is lines of JSON, and the default; a tool call is whole in one
of them. A request without messages only loads the model. Facts are from Ollama's API document.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from llmproxy.answer import Answer, Choice, Reasoning, Refusal, Text, ToolCall
from llmproxy.dialects import failures
from llmproxy.dialects.operation import Call, Frame, Means, encode
from llmproxy.dialects.operation import Text as TextOperation
from llmproxy.dialects.reading import Fields, Wording, dotted
from llmproxy.interaction import Problem
from llmproxy.prompt import Format, Message, Prompt, Role, Tool

_THINKERS = re.compile(r"(?:^|/)(?:deepseek-r|qwen3|gpt-oss|magistral)")
_ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_MARK = "\0"
_NUMBERS = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty")
_INTEGERS = ("seed", "top_k", "num_ctx")


# What is asked

WORDING = Wording(
    missing=lambda place: Problem(400, f"{place} is required", param=place),
    wrong=lambda place, expected, got: Problem(
        400, f"{place} must be {expected}, not {got}", param=place
    ),
    invalid=lambda place, why: Problem(400, f"{place} {why}", param=place),
    join=dotted,
)


def read_chat(call: Call) -> Prompt:
    """The body of ``/api/chat``; no messages are no fault."""
    fields = Fields.of_body(call.body, WORDING)
    tools = tuple(map(_read_tool, fields.groups("tools")))
    return _read(call, fields, map(_read_message, fields.groups("messages")), tools)


def read_generate(call: Call) -> Prompt:
    """The body of ``/api/generate``, as a chat of one message."""
    fields = Fields.of_body(call.body, WORDING)
    text, system = fields.text("prompt"), fields.text("system")
    fields.text("suffix")
    fields.text("template")
    fields.flag("raw")
    fields.items("context")
    asked = [Message("user", text, media=len(fields.texts("images")))] if text else []
    if asked and system:
        asked.insert(0, Message("system", system))
    return _read(call, fields, asked)


def _read(
    call: Call, fields: Fields, messages: Iterable[Message], tools: tuple[Tool, ...] = ()
) -> Prompt:
    model = read_model(call, fields)
    options = fields.group("options") or Fields({}, WORDING, "options")
    for name in _NUMBERS:
        options.number(name)
    for name in _INTEGERS:
        options.integer(name)
    bound = options.integer("num_predict") or 0
    return Prompt(
        model=model,
        messages=tuple(messages),
        stream=fields.flag("stream", default=True),
        tools=tools,
        format=_read_format(fields),
        max_tokens=bound if bound > 0 else None,
        stop=tuple(stop for stop in options.texts("stop") if stop),
        reasoning=_read_think(fields, model),
        body=fields.members,
    )


def read_model(call: Call, fields: Fields) -> str:
    """The model, which some requests call ``name``."""
    named = fields.text("model") or fields.text("name")
    return named or ("llama3.2" if call.lenient else fields.required_text("model"))


def _read_message(fields: Fields) -> Message:
    role = fields.required_text("role")
    if role not in _ROLES:
        fields.refuse("role", f"must be one of {', '.join(map(repr, _ROLES))}")
    calls = tuple(map(_read_call, fields.groups("tool_calls")))
    name = fields.text("tool_name") or ""
    answers = fields.text("tool_call_id") or name
    media = len(fields.texts("images"))
    return Message(_ROLES[role], fields.text("content") or "", name, calls, answers, media)


def _read_call(fields: Fields) -> ToolCall:
    function = fields.group("function")
    if function is None:
        fields.refuse_missing("function")
    arguments = function.group("arguments")
    try:
        text = encode(arguments.members if arguments else {}).decode()
    except RecursionError:
        function.refuse("arguments", "must not be nested so deeply")
    return ToolCall(function.required_text("name"), text, fields.text("id") or "")


def _read_tool(fields: Fields) -> Tool:
    fields.text("type", "function")
    function = fields.group("function")
    if function is None:
        fields.refuse_missing("function")
    schema = function.group("parameters")
    described = function.text("description") or ""
    return Tool(function.required_text("name"), described, schema.members if schema else {})


def _read_format(fields: Fields) -> Format | None:
    wanted = fields.get("format")
    if wanted is None or wanted == "":
        return None
    if wanted != "json" and not isinstance(wanted, dict):
        fields.refuse("format", "must be 'json' or a JSON schema")
    return Format(wanted if isinstance(wanted, dict) else None)


def _read_think(fields: Fields, model: str) -> bool:
    think = fields.get("think")
    if think is None:
        return thinks(model)
    if not isinstance(think, bool) and think not in ("low", "medium", "high"):
        fields.refuse("think", "must be a boolean or one of 'low', 'medium', 'high'")
    return think is not False


# What is answered

Say = Callable[[str, str, list[Any]], dict[str, Any]]
"""The members that carry text, thinking and tool calls."""


def _say_chat(text: str = "", thinking: str = "", calls: list[Any] | None = None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    return {"message": {**message, "tool_calls": calls} if calls else message}


def _say_generate(text: str, thinking: str, _calls: list[Any]) -> dict[str, Any]:
    return {"response": text, "thinking": thinking} if thinking else {"response": text}


def _write_body(say: Say, prompt: Prompt, answer: Answer, means: Means) -> dict[str, Any]:
    choice = answer.first
    if not prompt.messages:
        return {**_head(prompt, means), **say("", "", []), **_end(prompt, answer, means)}
    text = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
    said = say(text, choice.reasoning, _calls(choice, means))
    return {**_head(prompt, means), **said, **_end(prompt, answer, means)}


def _write_stream(say: Say, prompt: Prompt, answer: Answer, means: Means) -> Iterator[Frame]:
    head = _head(prompt, means)
    calls = iter(_calls(answer.first, means))
    for part in answer.first.parts if prompt.messages else ():
        if isinstance(part, ToolCall):
            data = b""
            if _arguments(part) is not None:
                data = _line({**head, **say("", "", [next(calls)]), "done": False})
            tokens = means.count(part.name) + means.count(part.arguments)
            yield Frame(data, tokens, len(part.name) + len(part.arguments))
            continue
        said = say("", _MARK, []) if isinstance(part, Reasoning) else say(_MARK, "", [])
        line = _line({**head, **said, "done": False})
        before, _, after = line.rpartition(encode(_MARK))
        for piece in means.cut(part.text):
            yield Frame(before + encode(piece.text) + after, piece.tokens, len(piece.text))
    yield Frame(_line({**head, **say("", "", []), **_end(prompt, answer, means)}))


def _line(record: Mapping[str, Any]) -> bytes:
    return encode(record) + b"\n"


def thinks(model: str) -> bool:
    """Whether the model reasons where the request does not say."""
    return _THINKERS.search(model) is not None


def nanoseconds(means: Means) -> int:
    """How long it took; never so little that a share of it would be 0."""
    return max(int(means.took * 1e9), 1000)


def _head(prompt: Prompt, means: Means) -> dict[str, Any]:
    return {"model": prompt.model, "created_at": moment(means.created)}


def moment(seconds: float) -> str:
    """RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _end(prompt: Prompt, answer: Answer, means: Means) -> dict[str, Any]:
    """How it ended, what it cost and, in nanoseconds, how long it took."""
    if not prompt.messages:
        unload = prompt.body.get("keep_alive") in (0, "0", "0s")
        return {"done": True, "done_reason": "unload" if unload else "load"}
    end: dict[str, Any] = {"done": True, "done_reason": _finish(answer.first)}
    if "messages" not in prompt.body and prompt.body.get("raw") is not True:
        said = answer.first.text.encode("utf-8", "surrogatepass")
        end["context"] = list(hashlib.sha256(said).digest())
    total = nanoseconds(means)
    load, reading = total // 100, total // 10
    return {
        **end,
        "total_duration": total,
        "load_duration": load,
        "prompt_eval_count": answer.usage.input,
        "prompt_eval_duration": reading,
        "eval_count": answer.usage.output,
        "eval_duration": total - load - reading,
    }


def _finish(choice: Choice) -> str:
    return "length" if choice.finish == "length" else "stop"


def _calls(choice: Choice, means: Means) -> list[dict[str, Any]]:
    """Calls are whole and their arguments an object; one that was cut off is not shown."""
    parsed = ((call, _arguments(call)) for call in choice.calls)
    return [
        {
            "id": call.id or means.new_id("call_", 8),
            "function": {"index": index, "name": call.name, "arguments": arguments},
        }
        for index, (call, arguments) in enumerate(pair for pair in parsed if pair[1] is not None)
    ]


def _arguments(call: ToolCall) -> dict[str, Any] | None:
    parsed = failures.parse(call.arguments)
    return parsed if isinstance(parsed, dict) else None


def _text(name: str, read: Callable[[Call], Prompt], say: Say) -> TextOperation:
    return TextOperation(
        name=f"ollama_{name}",
        path=re.compile(rf"(?:^|/)api/{name}/?$"),
        read_prompt=read,
        write_body=partial(_write_body, say),
        write_stream=partial(_write_stream, say),
        stream_type=lambda _call: "application/x-ndjson",
    )


WRITING = (
    _text("chat", read_chat, _say_chat),
    _text("generate", read_generate, _say_generate),
)
