"""Every provider's API behind one face, for tests of what is the same in all of them.

Each class asks through the official SDK of one API, in every way that the SDK has, and reads the
reply as a program would: ``Told`` is what it found, in the provider's own words.
"""

from __future__ import annotations

import abc
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from google.genai import errors as google_errors

from conformance import anthropic_clients, gemini_clients, openai_clients
from conformance.driving import TOOLS, Kind, done, entered, functions, gather, user

Client = Any
Rows = list[Any]
"""What a stream yielded."""

HAS_OLLAMA = importlib.util.find_spec("ollama") is not None
"""Ollama's package is not among the older SDKs."""


@dataclass(frozen=True)
class Ask:
    """What a program asks for.

    Attributes:
        text: what the user says.
        think: whether reasoning shall be shown.
        tools: names of tools that are offered.
        schema: what the reply's JSON shall fit.
    """

    text: str
    think: bool = False
    tools: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Told:
    """What an SDK read.

    ``calls`` are names and arguments; ``finish`` is the provider's word; ``used`` are the tokens
    of input and output.
    """

    text: str
    finish: str
    used: tuple[int, int]
    reasoning: str = ""
    refusal: str = ""
    calls: tuple[tuple[str, Any], ...] = ()


class Api(abc.ABC):
    """One provider's API.

    Attributes:
        model: what is asked.
        ends: the provider's words for ``stop``, ``length``, ``tool_calls`` and ``refusal``.
        limited: what its SDK raises for a 429.
        broken: what it raises where a stream ends in an error.
        cut: what its helper raises where a reply was cut short; None: nothing.
        refuses: whether a refusal is told apart from text.
    """

    model: str
    ends: Mapping[str, str]
    limited: type[Exception]
    broken: type[Exception]
    cut: type[Exception] | None
    refuses: bool

    @abc.abstractmethod
    def client(
        self, url: str, kind: Kind, session: dict[str, str], retries: int = 0
    ) -> AbstractAsyncContextManager[Client]: ...

    @abc.abstractmethod
    async def whole(self, client: Client, ask: Ask) -> Told:
        """What a whole reply says."""

    @abc.abstractmethod
    async def stream(self, client: Client, ask: Ask) -> Any:
        """The stream, opened."""

    @abc.abstractmethod
    def piece(self, row: Any) -> str:
        """The text in one row of a stream."""

    @abc.abstractmethod
    def joined(self, rows: Rows) -> Told:
        """What the rows of a stream say together."""

    async def gathered(self, client: Client, ask: Ask) -> Told:
        """What the SDK's helper makes of a stream."""
        raise NotImplementedError

    def status(self, error: Any) -> int:
        """The HTTP status in an error."""
        return int(error.status_code)


async def streamed(api: Api, client: Client, ask: Ask) -> Told:
    rows: Rows = []
    await gather(await api.stream(client, ask), rows)
    return api.joined(rows)


class Chat(Api):
    """OpenAI's Chat Completions."""

    model = openai_clients.MODEL
    ends: Mapping[str, str] = {
        "stop": "stop", "length": "length", "tool_calls": "tool_calls", "refusal": "stop",
    }  # fmt: skip
    limited = openai.RateLimitError
    broken = openai.APIError
    cut = openai.LengthFinishReasonError
    refuses = True

    def client(
        self, url: str, kind: Kind, session: dict[str, str], retries: int = 0
    ) -> AbstractAsyncContextManager[Client]:
        return openai_clients.client(url, kind, default_headers=session, max_retries=retries)

    def _asked(self, ask: Ask, **more: Any) -> dict[str, Any]:
        asked = {"model": self.model, "messages": user(ask.text), **more}
        if ask.think:  # the one whose reasoning is shown in a chat
            asked["model"] = "deepseek-reasoner"
        if ask.tools:
            asked["tools"] = functions(*ask.tools)
        if ask.schema:
            described = {"name": "wanted", "schema": ask.schema, "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": described}
        return asked

    async def whole(self, client: Client, ask: Ask) -> Told:
        return self._read(await done(client.chat.completions.create(**self._asked(ask))))

    async def stream(self, client: Client, ask: Ask) -> Any:
        usage = {"include_usage": True}
        asked = self._asked(ask, stream=True, stream_options=usage)
        return await done(client.chat.completions.create(**asked))

    async def gathered(self, client: Client, ask: Ask) -> Told:
        asked = self._asked(ask, stream_options={"include_usage": True})
        del asked["model"], asked["messages"]
        model = self._asked(ask)["model"]
        _, found = await openai_clients.helped(
            client, model=model, messages=user(ask.text), **asked
        )
        return self._read(found)

    def _read(self, completion: Any) -> Told:
        (choice,) = completion.choices
        message, used = choice.message, completion.usage
        return Told(
            message.content or "",
            choice.finish_reason,
            (used.prompt_tokens, used.completion_tokens),
            getattr(message, "reasoning_content", None) or "",
            message.refusal or "",
            tuple(
                (call.function.name, json.loads(call.function.arguments))
                for call in message.tool_calls or ()
            ),
        )

    def piece(self, row: Any) -> str:
        return "".join(choice.delta.content or "" for choice in row.choices)

    def joined(self, rows: Rows) -> Told:
        choices = [choice for row in rows for choice in row.choices]
        deltas = [choice.delta for choice in choices]
        names: dict[int, str] = {}
        arguments: dict[int, str] = {}
        for call in (call for delta in deltas for call in delta.tool_calls or ()):
            names.setdefault(call.index, call.function.name)
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
        used = rows[-1].usage
        return Told(
            "".join(map(self.piece, rows)),
            choices[-1].finish_reason,
            (used.prompt_tokens, used.completion_tokens),
            "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas),
            "".join(delta.refusal or "" for delta in deltas),
            tuple((names[index], json.loads(arguments[index])) for index in names),
        )


class Responses(Api):
    """OpenAI's Responses."""

    model = openai_clients.MODEL
    ends: Mapping[str, str] = {
        "stop": "completed", "length": "max_output_tokens", "tool_calls": "completed",
        "refusal": "completed",
    }  # fmt: skip
    limited = openai.RateLimitError
    broken = openai.APIError
    cut = RuntimeError
    refuses = True

    def client(
        self, url: str, kind: Kind, session: dict[str, str], retries: int = 0
    ) -> AbstractAsyncContextManager[Client]:
        return openai_clients.client(url, kind, default_headers=session, max_retries=retries)

    def _asked(self, ask: Ask) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": self.model, "input": ask.text}
        if ask.think:
            asked |= {"model": "o4-mini", "reasoning": {"effort": "low", "summary": "auto"}}
        if ask.tools:
            asked["tools"] = [
                {"type": "function", "name": name, "parameters": TOOLS[name], "strict": False}
                for name in ask.tools
            ]
        if ask.schema:
            wanted = {"type": "json_schema", "name": "wanted", "schema": ask.schema}
            asked["text"] = {"format": {**wanted, "strict": True}}
        return asked

    async def whole(self, client: Client, ask: Ask) -> Told:
        return self._read(await done(client.responses.create(**self._asked(ask))))

    async def stream(self, client: Client, ask: Ask) -> Any:
        return await done(client.responses.create(**self._asked(ask), stream=True))

    async def gathered(self, client: Client, ask: Ask) -> Told:
        async with entered(client.responses.stream(**self._asked(ask))) as stream:
            return self._read(await done(stream.get_final_response()))

    def _read(self, response: Any) -> Told:
        items = response.output
        parts = [part for item in items if item.type == "message" for part in item.content]
        cut = response.incomplete_details
        return Told(
            response.output_text,
            cut.reason if cut else response.status,
            (response.usage.input_tokens, response.usage.output_tokens),
            "".join(part.text for i in items if i.type == "reasoning" for part in i.summary),
            "".join(part.refusal for part in parts if part.type == "refusal"),
            tuple((i.name, json.loads(i.arguments)) for i in items if i.type == "function_call"),
        )

    def piece(self, row: Any) -> str:
        return str(row.delta) if row.type == "response.output_text.delta" else ""

    def joined(self, rows: Rows) -> Told:
        """What the last event says, and the pieces before it must say the same."""
        told = self._read(rows[-1].response)
        assert "".join(map(self.piece, rows)) == told.text
        kinds = {"response.reasoning_summary_text.delta": "", "response.refusal.delta": ""}
        for row in rows:
            if row.type in kinds:
                kinds[row.type] += row.delta
        assert tuple(kinds.values()) == (told.reasoning, told.refusal)
        finished = [
            (row.item.name, json.loads(row.item.arguments))
            for row in rows
            if row.type == "response.output_item.done" and row.item.type == "function_call"
        ]
        assert tuple(finished) == told.calls
        return told


class Messages(Api):
    """Anthropic's Messages."""

    model = anthropic_clients.MODEL
    ends: Mapping[str, str] = {
        "stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "refusal": "refusal",
    }  # fmt: skip
    limited = anthropic.RateLimitError
    broken = anthropic.APIStatusError
    cut = None
    refuses = True

    def client(
        self, url: str, kind: Kind, session: dict[str, str], retries: int = 0
    ) -> AbstractAsyncContextManager[Client]:
        return anthropic_clients.client(url, kind, default_headers=session, max_retries=retries)

    def _asked(self, ask: Ask) -> dict[str, Any]:
        more: dict[str, Any] = {"messages": user(ask.text)}
        if ask.think:
            more["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if ask.tools:
            more["tools"] = anthropic_clients.tools(*ask.tools)
        if ask.schema:
            wanted = {"type": "json_schema", "schema": ask.schema}
            more["extra_body"] = {"output_config": {"format": wanted}}
        return anthropic_clients.asked(None, more)

    async def whole(self, client: Client, ask: Ask) -> Told:
        return self._read(await done(client.messages.create(**self._asked(ask))))

    async def stream(self, client: Client, ask: Ask) -> Any:
        return await done(client.messages.create(**self._asked(ask), stream=True))

    async def gathered(self, client: Client, ask: Ask) -> Told:
        async with entered(client.messages.stream(**self._asked(ask))) as stream:
            return self._read(await done(stream.get_final_message()))

    def _read(self, message: Any) -> Told:
        blocks = message.content
        text = anthropic_clients.said(message)
        refused = message.stop_reason == "refusal"
        return Told(
            "" if refused else text,
            message.stop_reason,
            (message.usage.input_tokens, message.usage.output_tokens),
            "".join(block.thinking for block in blocks if block.type == "thinking"),
            text if refused else "",
            tuple((block.name, block.input) for block in blocks if block.type == "tool_use"),
        )

    def piece(self, row: Any) -> str:
        return anthropic_clients.joined([row])

    def joined(self, rows: Rows) -> Told:
        (ended,) = [row for row in rows if row.type == "message_delta"]
        text, reason = anthropic_clients.joined(rows), ended.delta.stop_reason
        refused = reason == "refusal"
        return Told(
            "" if refused else text,
            reason,
            (rows[0].message.usage.input_tokens, ended.usage.output_tokens),
            anthropic_clients.joined(rows, "thinking"),
            text if refused else "",
            tuple(self._calls(rows)),
        )

    def _calls(self, rows: Rows) -> list[tuple[str, Any]]:
        begun = [
            (row.index, row.content_block.name)
            for row in rows
            if row.type == "content_block_start" and row.content_block.type == "tool_use"
        ]
        return [
            (name, json.loads(anthropic_clients.joined(_of(rows, index), "partial_json")))
            for index, name in begun
        ]


def _of(rows: Rows, index: int) -> Rows:
    return [row for row in rows if getattr(row, "index", None) == index]


class Gemini(Api):
    """Google's generateContent. A refusal is text there."""

    model = gemini_clients.MODEL
    ends: Mapping[str, str] = {
        "stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "refusal": "STOP",
    }  # fmt: skip
    limited = google_errors.ClientError
    broken = google_errors.ServerError
    cut = None
    refuses = False

    def client(
        self, url: str, kind: Kind, session: dict[str, str], retries: int = 0
    ) -> AbstractAsyncContextManager[Client]:
        waits = {"initial_delay": 0.001, "max_delay": 0.002, "jitter": 0.001}
        more = {"retry_options": {"attempts": retries + 1, **waits}} if retries else {}
        return gemini_clients.client(url, kind, session, **more)

    def _asked(self, ask: Ask) -> dict[str, Any]:
        config: dict[str, Any] = {}
        if ask.think:
            config["thinking_config"] = {"include_thoughts": True}
        if ask.tools:
            config["tools"] = gemini_clients.tools(*ask.tools)
        if ask.schema:
            config |= {
                "response_mime_type": "application/json",
                "response_json_schema": ask.schema,
            }
        return {"model": self.model, "contents": ask.text, "config": config}

    async def whole(self, client: Client, ask: Ask) -> Told:
        found = await done(client.models.generate_content(**self._asked(ask)))
        told = self.joined([found])
        assert told.text == (found.text or "")
        return told

    async def stream(self, client: Client, ask: Ask) -> Any:
        return await done(client.models.generate_content_stream(**self._asked(ask)))

    def piece(self, row: Any) -> str:
        return gemini_clients.said(row)

    def joined(self, rows: Rows) -> Told:
        used = rows[-1].usage_metadata
        thoughts = used.thoughts_token_count or 0
        return Told(
            gemini_clients.said(*rows),
            gemini_clients.finish(rows[-1]) or "",
            (used.prompt_token_count, (used.candidates_token_count or 0) + thoughts),
            gemini_clients.said(*rows, thought=True),
            calls=tuple((call.name, call.args) for call in gemini_clients.calls(*rows)),
        )

    def status(self, error: Any) -> int:
        return int(error.code)


class Ollama(Api):
    """Ollama's chat. A refusal is text there, and nothing is asked again."""

    model = "llama3.2"
    ends: Mapping[str, str] = {
        "stop": "stop",
        "length": "length",
        "tool_calls": "stop",
        "refusal": "stop",
    }
    cut = None
    refuses = False

    def __init__(self) -> None:
        import ollama

        from conformance import ollama_clients

        self._clients = ollama_clients
        self.limited = self.broken = ollama.ResponseError

    def client(
        self, url: str, kind: Kind, session: dict[str, str], retries: int = 0
    ) -> AbstractAsyncContextManager[Client]:
        return self._clients.client(url, kind, session=session)

    def _asked(self, ask: Ask) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": self.model, "messages": user(ask.text)}
        if ask.think:
            asked["think"] = True
        if ask.tools:
            asked["tools"] = functions(*ask.tools)
        return {**asked, "format": ask.schema} if ask.schema else asked

    async def whole(self, client: Client, ask: Ask) -> Told:
        return self.joined([await done(client.chat(**self._asked(ask)))])

    async def stream(self, client: Client, ask: Ask) -> Any:
        return await done(client.chat(**self._asked(ask), stream=True))

    def piece(self, row: Any) -> str:
        return self._clients.joined([row])

    def joined(self, rows: Rows) -> Told:
        last = rows[-1]
        return Told(
            self._clients.joined(rows),
            last.done_reason,
            (last.prompt_eval_count, last.eval_count),
            self._clients.thought(rows),
            calls=tuple(self._clients.calls(*rows)),
        )


APIS: Mapping[str, Callable[[], Api]] = {
    "chat": Chat,
    "responses": Responses,
    "messages": Messages,
    "gemini": Gemini,
    "ollama": Ollama,
}


def ways() -> Sequence[tuple[str, str]]:
    """Each API with each way in which its SDK reads a reply."""
    helped = {"chat", "responses", "messages"}
    return [
        (api, way)
        for api in APIS
        for way in ("whole", "streamed", "gathered")
        if way != "gathered" or api in helped
    ]


async def told(api: Api, way: str, client: Client, ask: Ask) -> Told:
    """What the SDK of ``api`` reads in one of the ``ways``."""
    if way == "whole":
        return await api.whole(client, ask)
    return await (streamed(api, client, ask) if way == "streamed" else api.gathered(client, ask))
