"""OpenAI's legacy Completions: prompts that are continued, without roles and tools.

Strategy: each prompt becomes a user's message, and ``n`` answers to each of several prompts
become so many choices, those of the first prompt first. A stream's chunks bear the same object
name as a whole reply. Facts are from ``openai`` 3.52 and OpenAI's API reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llmproxy.answer import Answer, Choice, Reasoning, Refusal, Text
from llmproxy.dialects.openai import chat, words
from llmproxy.dialects.openai.inputs import MOST_INPUTS, as_text, read_inputs
from llmproxy.dialects.operation import Call, Frame, Means, encode, event_stream
from llmproxy.dialects.operation import Text as TextOperation
from llmproxy.dialects.reading import Fields
from llmproxy.prompt import Message, Prompt

_PATH = re.compile(
    r"(?:/deployments/(?P<deployment>[^/]+)|/engines/(?P<engine>[^/]+))?"
    r"(?:^|(?<!chat)/)completions/?$"
)
_MOST_BEST_OF = 20
_FINISH = {"stop_sequence": "stop", "refusal": "stop", "tool_calls": "stop"}


def read_prompt(call: Call) -> Prompt:
    """The body as a prompt; what OpenAI would refuse is refused."""
    fields = Fields.of_body(call.body, words.WORDING)
    engine = call.variables.get("engine")
    model = engine or words.read_model(call, fields)
    lacking = call.lenient and fields.get("prompt") is None
    texts = ("",) if lacking else tuple(map(as_text, read_inputs(fields, "prompt")))
    words.read_sampling(fields)
    for name in ("suffix", "user"):
        fields.text(name)
    fields.flag("echo")
    fields.integer("logprobs", 0, 5)
    stream, options = fields.flag("stream"), fields.group("stream_options")
    if options and not stream:
        fields.refuse("stream_options", "is only allowed when 'stream' is true")
    return Prompt(
        model=model,
        messages=tuple(Message("user", text) for text in texts),
        stream=stream,
        count=_read_count(fields, len(texts), stream=stream),
        max_tokens=fields.integer("max_tokens", 0),
        stop=words.read_stop(fields),
        include_usage=bool(options and options.flag("include_usage")),
        body=fields.members,
    )


def _read_count(fields: Fields, prompts: int, *, stream: bool) -> int:
    each = fields.integer("n", 1, 128) or 1
    best_of = fields.integer("best_of", 1, _MOST_BEST_OF)
    if best_of is not None and best_of < each:
        fields.refuse("best_of", "must be at least 'n'")
    if best_of is not None and best_of > each and stream:
        fields.refuse("best_of", "must not be above 'n' when 'stream' is true")
    if each * prompts > MOST_INPUTS:
        fields.refuse("n", f"must not ask for more than {MOST_INPUTS} choices in all")
    return each * prompts


def write_body(prompt: Prompt, answer: Answer, means: Means) -> dict[str, Any]:
    """A ``text_completion``."""
    choices = [
        {
            "text": _echo(prompt, index) + _said(choice),
            "index": index,
            "logprobs": _logprobs(prompt, choice, index, means),
            "finish_reason": _finish(choice),
        }
        for index, choice in enumerate(answer.choices)
    ]
    usage = words.chat_usage(answer.usage)
    return {**_envelope(prompt, means), "choices": choices, "usage": usage}


def _envelope(prompt: Prompt, means: Means) -> dict[str, Any]:
    return {
        "id": means.new_id("cmpl-", 29),
        "object": "text_completion",
        "created": int(means.created),
        "model": prompt.model,
        "system_fingerprint": chat.fingerprint(prompt.model),
    }


def _finish(choice: Choice) -> str:
    return _FINISH.get(choice.finish, choice.finish)


def _said(choice: Choice) -> str:
    return "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))


def _echo(prompt: Prompt, index: int) -> str:
    """The prompt that a choice continues, where the request wants it repeated."""
    if prompt.body.get("echo") is not True:
        return ""
    answers = max(prompt.count // len(prompt.messages), 1)
    return prompt.messages[min(index // answers, len(prompt.messages) - 1)].text


def _logprobs(prompt: Prompt, choice: Choice, index: int, means: Means) -> dict[str, Any] | None:
    if prompt.body.get("logprobs") is None:
        return None
    pieces = [piece.text for piece in means.cut(_said(choice))]
    return _logprobs_of(prompt, pieces, len(_echo(prompt, index)))


def _logprobs_of(prompt: Prompt, tokens: list[str], offset: int) -> dict[str, Any]:
    """Four parallel lists; ``offset`` is where the first token stands in the text."""
    rows = [chat.logprob(token, int(prompt.body["logprobs"])) for token in tokens]
    offsets = [offset]
    for token in tokens[:-1]:
        offsets.append(offsets[-1] + len(token))
    return {
        "tokens": tokens,
        "token_logprobs": [row["logprob"] for row in rows],
        "top_logprobs": [
            {top["token"]: top["logprob"] for top in row["top_logprobs"]} for row in rows
        ],
        "text_offset": offsets[: len(tokens)],
    }


def write_stream(prompt: Prompt, answer: Answer, means: Means) -> Iterator[Frame]:
    """``data:`` lines: texts and finish of each choice, usage where asked, ``[DONE]``."""
    head = _envelope(prompt, means)
    final = means.usage_in_final_chunk
    usage = words.chat_usage(answer.usage)
    start = b"data: %b" % encode(head)[:-1] + b',"choices":[{"index":'
    tail = b'}],"usage":null}\n\n' if prompt.include_usage and not final else b"}]}\n\n"
    last = b'}],"usage":%b}\n\n' % encode(usage) if final else tail
    yield from chat.in_turns(
        _choice_frames(prompt, choice, index, means, start + b"%d" % index, tail, last)
        for index, choice in enumerate(answer.choices)
    )
    if prompt.include_usage and not final:
        yield Frame(b"data: %b\n\n" % encode({**head, "choices": [], "usage": usage}))
    yield chat.DONE


def _choice_frames(
    prompt: Prompt, choice: Choice, index: int, means: Means, start: bytes, tail: bytes, last: bytes
) -> Iterator[Frame]:
    start += b',"text":'
    going = b',"logprobs":null,"finish_reason":null' + tail
    echo = _echo(prompt, index)
    if echo:
        yield Frame(start + encode(echo) + going)
    offset = len(echo)
    for part in choice.parts:
        if isinstance(part, Reasoning):
            yield from chat.silence(part.text, means)
        elif isinstance(part, Text | Refusal):
            for piece in means.cut(part.text):
                end = going
                if prompt.body.get("logprobs") is not None:
                    row = encode(_logprobs_of(prompt, [piece.text], offset))
                    end = b',"logprobs":%b,"finish_reason":null%b' % (row, tail)
                    offset += len(piece.text)
                yield Frame(start + encode(piece.text) + end, piece.tokens, len(piece.text))
    finish = encode(_finish(choice))
    yield Frame(b'%b"","logprobs":null,"finish_reason":%b%b' % (start, finish, last))


COMPLETIONS = (
    TextOperation(
        name="openai_completions",
        path=_PATH,
        read_prompt=read_prompt,
        write_body=write_body,
        write_stream=write_stream,
        stream_type=event_stream,
    ),
)
