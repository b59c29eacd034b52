"""What a made-up reply says: from a prompt, in neutral words, to the choices of an answer.

Strategy: what the request scripted is said as it stands; else a tool is called where one must or
may be; else what is said is JSON where that is asked for, and text where it is not. All chance
comes from the generator handed in, so the same request gets the same reply.

Knows no wire format, no clock and no rhythm.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from llmproxy.answer import Answer, Choice, Finish, Part, Reasoning, Refusal, Text, ToolCall, Usage
from llmproxy.interaction import Problem
from llmproxy.prompt import Prompt, Tool
from llmproxy.schemas.bounds import STEPS
from llmproxy.schemas.values import Impossible, make
from llmproxy.synthesis import text as prose
from llmproxy.synthesis.limiting import limit, part_tokens, stop_at
from llmproxy.synthesis.mock import MockSettings
from llmproxy.synthesis.scripted import Script
from llmproxy.synthesis.wishes import Wishes

LEAST_TOKENS = 500
LEAST_STEPS = 1_000
"""What each choice may have and cost at the least, however many share one reply's bounds."""

_MOST_TRIED = 8
"""Tools that a forced call is tried with."""


class Tokens(Protocol):
    """What counts and cuts."""

    def count(self, text: str, /) -> int: ...
    def head(self, text: str, tokens: int, /) -> str: ...


class SchemaRefused(ValueError):  # named after what happened
    """No value fits the schema that the reply should have."""


@dataclass(frozen=True, slots=True)
class Composer:
    """Makes the choices of one reply.

    Several choices share what bounds one reply, so that a short request cannot ask for work
    without end.

    Attributes:
        tool_calls: how often a tool is called where it may be, 0 to 1.
        speed: tokens a second, where a rhythm sets one: it sizes replies by time.
    """

    prompt: Prompt
    wishes: Wishes
    settings: MockSettings
    tokens: Tokens
    rng: random.Random
    tool_calls: float = 0.0
    speed: float | None = None

    def choices(self) -> tuple[Choice, ...]:
        """As many as the prompt asks for, each within its stop sequences and ``max_tokens``.

        Raises:
            SchemaRefused: structured output is asked for that no value fits.
        """
        return tuple(self._choice() for _ in range(self.prompt.count))

    def _choice(self) -> Choice:
        script = self.wishes.script
        parts = tuple(self._scripted(script) if script else self._parts())
        finish = (script and script.finish) or _finish(parts)
        if script and script.uncut and script.parts:
            return Choice(parts, finish)
        choice = stop_at(Choice(parts, finish), self.prompt.stop)
        asked, most = self.prompt.max_tokens, self._longest
        most = most if asked is None else min(asked, most)
        limited = limit(choice, most, self.tokens.count, self.tokens.head)
        if limited is not choice and script and script.finish:
            return Choice(limited.parts, script.finish)
        return limited

    def _scripted(self, script: Script) -> Iterator[Part]:
        if script.parts:
            yield from script.parts
        elif script.echo:
            yield Text(prose.compose("echo", self.rng, self.prompt))
        elif script.schema is not None:
            yield Text(self._structured(script.schema))
        else:
            yield from self._parts()

    def _parts(self) -> Iterator[Part]:
        calls = self._calls()
        if self.prompt.reasoning:
            yield Reasoning(self._reasoning())
        if not calls:
            yield Text(self._said())
            return
        forced = self.prompt.choice.mode == "required"  # then no provider says anything before
        if self.rng.random() < self.settings.text_before_calls and not forced:
            yield Text(prose.before_tool(self.rng, calls[0].name))
        yield from calls

    def _reasoning(self) -> str:
        """Never more than half of what may be said, so that an answer remains."""
        text = prose.reasoning(self.rng, self.prompt)
        most = self.prompt.max_tokens
        return text if most is None else self.tokens.head(text, most // 2)

    def _calls(self) -> tuple[ToolCall, ...]:
        prompt, choice = self.prompt, self.prompt.choice
        tools = [t for t in prompt.tools if not choice.names or t.name in choice.names]
        if not tools or choice.mode == "none":
            return ()
        forced = choice.mode == "required"
        if not forced:
            if prompt.has_tool_result and self.settings.after_tool_result == "text":
                return ()
            if self.rng.random() >= self.tool_calls:
                return ()
        several = min(self.settings.parallel_calls, len(tools)) if prompt.parallel else 1
        chosen = self.rng.sample(tools, several)
        calls = tuple(call for tool in chosen if (call := self._call(tool)) is not None)
        if not calls and forced:
            others = (self._call(tool) for tool in tools[:_MOST_TRIED] if tool not in chosen)
            found = next((call for call in others if call is not None), None)
            return (found or ToolCall(chosen[0].name, "{}"),)
        return calls

    def _call(self, tool: Tool) -> ToolCall | None:
        """None where no arguments fit the tool's schema."""
        if tool.custom:
            words = prose.of_length(20, self.rng, self.tokens.count)
            return ToolCall(tool.name, words, custom=True)
        try:
            schema = tool.schema or {"type": "object"}
            arguments = make(schema, self.rng, hint=tool.name, steps=self._steps)
        except Impossible:
            return None
        if not isinstance(arguments, dict):
            arguments = {}
        return ToolCall(tool.name, _json(arguments))

    def _said(self) -> str:
        settings, prompt = self.settings, self.prompt
        if prompt.format is not None:
            return self._structured("request")
        if settings.text is not None:
            return settings.text
        size = self._size()
        if size is None:
            return prose.compose(settings.style, self.rng, prompt)
        if settings.style == "lorem":
            return prose.of_length(size, self.rng, self.tokens.count, style="lorem")
        return prose.of_length(size, self.rng, self.tokens.count)

    def _structured(self, schema: Mapping[str, Any] | bool | Literal["request"] | None) -> str:
        if schema == "request":
            return self._structured(self.prompt.format.schema if self.prompt.format else None)
        if schema is None:
            return _json({"answer": prose.of_length(12, self.rng, self.tokens.count)})
        try:
            return _json(make(schema, self.rng, steps=self._steps))
        except Impossible as error:
            raise SchemaRefused(str(error)) from error

    def _size(self) -> int | None:
        """Tokens of the text, where something says how long it is."""
        wishes = self.wishes
        if wishes.seconds is not None:
            size = prose.tokens_for_duration(wishes.seconds, self.speed or 10.0)
            return min(size, self._longest)
        length = self.settings.response_length if wishes.length is None else wishes.length
        if isinstance(length, str):
            length = prose.tokens_for(length, self.rng, self.speed)  # type: ignore[arg-type]  # one of LENGTHS
        return None if length is None else min(length, self._longest)

    @property
    def _longest(self) -> int:
        """The most tokens of one choice."""
        longest, count = self.settings.longest, max(self.prompt.count, 1)
        return min(longest, max(longest // count, LEAST_TOKENS))

    @property
    def _steps(self) -> int:
        """The steps that a value of one choice may cost."""
        return max(STEPS // max(self.prompt.count, 1), LEAST_STEPS)


def _finish(parts: tuple[Part, ...]) -> Finish:
    if any(isinstance(part, ToolCall) for part in parts):
        return "tool_calls"
    return "refusal" if any(isinstance(part, Refusal) for part in parts) else "stop"


def answer_of(
    choices: tuple[Choice, ...], entering: int, count: Callable[[str], int], script: Script | None
) -> Answer:
    """The choices with what they cost: what a client counts from what it receives."""
    parts = [part for choice in choices for part in choice.parts]
    output = sum(part_tokens(part, count) for part in parts)
    reasoning = sum(count(part.text) for part in parts if isinstance(part, Reasoning))
    if script is not None and script.input_tokens is not None:
        entering = script.input_tokens
    if script is not None and script.output_tokens is not None:
        output = script.output_tokens
    return Answer(choices, Usage(entering, output, min(reasoning, output)))


def schema_problem(error: SchemaRefused) -> Problem:
    """What a provider says to a schema that it cannot follow."""
    message = f"Invalid schema for the response format: {error}"
    return Problem(400, message, code="invalid_schema", param="response_format")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
