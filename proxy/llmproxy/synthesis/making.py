"""Makes a whole reply up: what is said, written by a dialect, with the moments of its rhythm.

Strategy: a ``Making`` belongs to one request. Two seeds steer it: that of the prompt decides
what is said, so a stream and a whole reply say the same, in every dialect; that of the request
and its number decides ids and jitter, so equal requests get ids of their own and an equal run
gets equal ones. What comes out is a ``Reply`` like any other.

Knows no clock, no session and no thread: now, the load and a counter are handed in.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from llmproxy.answer import Answer, Choice, size_of
from llmproxy.dialects.dialect import Dialect, header
from llmproxy.dialects.operation import (
    Call,
    Frame,
    Means,
    Plain,
    Refused,
    Text,
    encode,
)
from llmproxy.interaction import NO_FACTS, Chunk, Facts, Headers, Problem, Reply, Source
from llmproxy.models import Catalogue
from llmproxy.prompt import Prompt
from llmproxy.prompt_tokens import count_prompt
from llmproxy.replies import whole
from llmproxy.rhythm import PaceSettings
from llmproxy.speeds import ModelSettings, resolve
from llmproxy.synthesis.composing import (
    Composer,
    SchemaRefused,
    answer_of,
    schema_problem,
)
from llmproxy.synthesis.limiting import part_tokens
from llmproxy.synthesis.mock import MockSettings
from llmproxy.synthesis.scripted import Failure, Script
from llmproxy.synthesis.seeds import Ids, digest_of, idle, seed_of
from llmproxy.synthesis.timing import Timing
from llmproxy.synthesis.wishes import Wishes, read_wishes
from llmproxy.timelines import Learnt, Timeline
from llmproxy.tokens import EncodingName, Tokenizer, encoding_for, known_encoding

Repace = Callable[[PaceSettings], PaceSettings]
"""What somebody who wrote a reply changes of its pace."""

_LABELS: Mapping[Source, Headers] = {
    source: (("x-llmproxy-source", source),) for source in ("synthesized", "rule", "error")
}
_JSON: Headers = (("content-type", "application/json"),)
_STREAM: Headers = (("cache-control", "no-cache"), ("x-accel-buffering", "no"))


@dataclass(frozen=True, slots=True)
class Manner:
    """What is said and how fast: all that settings say of made-up replies.

    ``paces`` are those of models by name, ``learnt`` is the rhythm of a cassette.
    """

    mock: MockSettings = field(default_factory=MockSettings)
    pace: PaceSettings = field(default_factory=PaceSettings)
    catalogue: Catalogue = field(default_factory=Catalogue)
    paces: Mapping[str, ModelSettings] = field(default_factory=dict)
    learnt: Learnt | None = None


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a reply is made at.

    Attributes:
        now: seconds since the epoch.
        load: requests in flight.
        count: how often a key came before in this session; counts it.
        may_call: whether a tool may be called that the request does not force.
        source: whose the reply is.
    """

    manner: Manner
    dialect: Dialect
    now: float
    load: float
    count: Callable[[Hashable], int]
    may_call: bool = True
    source: Source = "synthesized"


@dataclass(frozen=True, slots=True)
class Composed:
    """What a reply says, before ids, time and a wire format; ``entering`` is the prompt's tokens."""

    prompt: Prompt
    script: Script | None
    pace: PaceSettings
    answer: Answer
    entering: int
    tokenizer: Tokenizer

    @property
    def size(self) -> int:
        """The characters of all that is said."""
        return sum(size_of(choice.parts) for choice in self.answer.choices)


def encoding_of(body: object, model: str) -> EncodingName:
    """The vocabulary of the request's ``tokenizer_model`` or ``encoding_name``, else the model's."""
    asked = body if isinstance(body, dict) else {}
    named, encoding = asked.get("tokenizer_model"), asked.get("encoding_name")
    if isinstance(named, str):
        if known := known_encoding(named):
            return known
        encoding = encoding or "cl100k_base"
    names: tuple[EncodingName, ...] = ("o200k_base", "cl100k_base")
    return next((name for name in names if name == encoding), encoding_for(model))


class Making:
    """The making of one reply; ``key`` is what equal requests share.

    ``call`` may be replaced by a fuller one once the request has been read.
    """

    def __init__(self, occasion: Occasion, call: Call, key: bytes) -> None:
        self._at = occasion
        self.call = call
        self._key = key
        seed = occasion.manner.mock.seed
        self._seed = random.SystemRandom().getrandbits(64) if seed is None else seed
        self._number = occasion.count(key)
        self._new_id = Ids(self._seed, key, self._number)

    def refuse(self, problem: Problem, headers: Headers = (), at: float = 0.0) -> Reply:
        """The provider's error, ``at`` seconds after the request."""
        own = self._at.dialect.write_headers(self._new_id, 0.0)
        problem = replace(problem, request_id=header(own, "request-id"))
        status, lines, body = self._at.dialect.write_error(problem)
        lines = (*own, *lines)
        added = {name.lower() for name, _ in headers}
        kept = tuple(line for line in lines if line[0].lower() not in added)
        return self._whole(status, (*kept, *headers), body, at)

    def plain(self, operation: Plain, tokenizer: Tokenizer | None) -> Reply:
        """The answer of an operation that makes it at once.

        Raises:
            Refused: the provider would refuse.
        """
        made = operation.answer(self.call, self._means(tokenizer, self._at.manner.pace, float))
        own = self._at.dialect.write_headers(self._new_id, 0.0)
        headers = (("content-type", made.content_type), *own)
        body = made.body if isinstance(made.body, bytes) else encode(made.body)
        return self._whole(made.status, headers, body, 0.0)

    def compose(
        self,
        prompt: Prompt,
        tokenizer: Tokenizer,
        script: Script | None = None,
        repace: Repace | None = None,
        twist: Callable[[Choice], Choice] | None = None,
    ) -> Composed:
        """What is said to a prompt; the same for equal requests where the seed is fixed.

        ``script`` and ``repace`` are what somebody wrote for it; they win over what the request
        wishes. ``twist`` is what a fault does to what is said.

        Raises:
            Refused: the provider would refuse.
        """
        manner = self._at.manner
        if script is None:
            self._check_model(prompt.model)
        wishes = _reading(read_wishes, prompt.body) if script is None else Wishes(script)
        pace = _reading(resolve, manner.pace, manner.paces.get(prompt.model), prompt.body)
        pace = pace if repace is None else repace(pace)
        choices = self._choices(prompt, wishes, tokenizer, pace)
        if twist is not None:
            choices = tuple(map(twist, choices))
        entering = count_prompt(prompt, tokenizer.count)
        answer = answer_of(choices, entering, tokenizer.count, wishes.script)
        return Composed(prompt, wishes.script, pace, answer, entering, tokenizer)

    def text(self, operation: Text, composed: Composed) -> Reply:
        """The answer to a prompt, whole or as a stream."""
        prompt, script, pace = composed.prompt, composed.script, composed.pace
        if script and (failure := self._due(script.error)):
            return self.refuse(failure.problem, failure.headers)
        broken = script and self._due(script.stream_error)
        if broken and not prompt.stream:
            return self.refuse(broken.problem, broken.headers)
        tokenizer, answer = composed.tokenizer, composed.answer
        timeline = self._timeline(prompt.model, pace, answer.choices, tokenizer)
        pacer = self._pacer if pace.jitter or pace.chunk_jitter else idle
        timing = Timing(pace, composed.entering, self._at.load, timeline, pacer)
        choices = timing.in_time(answer.choices, tokenizer)
        if choices is not answer.choices:
            answer = answer_of(choices, composed.entering, tokenizer.count, script)
        means = self._means(tokenizer, pace, cache(lambda: timing.took(answer.choices, tokenizer)))
        if not prompt.stream:
            body = encode(operation.write_body(prompt, answer, means))
            took = means.took
            headers = (*_JSON, *self._at.dialect.write_headers(self._new_id, took))
            return self._whole(200, headers, body, took, _facts(prompt, answer))
        frames = tuple(operation.write_stream(prompt, answer, means))
        if broken and script:
            frames = self._break(operation, frames, broken, script.after_chunks, means)
        return self._stream(operation, frames, timing, _facts(prompt, answer))

    def _stream(
        self, operation: Text, frames: Sequence[Frame], timing: Timing, facts: Facts
    ) -> Reply:
        moments = timing.offsets([(frame.tokens, frame.characters) for frame in frames])
        headers = (
            ("content-type", operation.stream_type(self.call)),
            *self._at.dialect.write_headers(self._new_id, moments.head_at),
            *_STREAM,
        )
        return Reply(
            source=self._at.source,
            status=200,
            reason="OK",
            headers=headers,
            head_at=moments.head_at,
            chunks=tuple(
                [
                    Chunk(offset, frame.data, frame.tokens)
                    for frame, offset in zip(frames, moments.offsets, strict=True)
                    if frame.data
                ]
            ),
            ended_at=moments.ended_at,
            labels=_LABELS[self._at.source],
            facts=facts,
        )

    def _whole(
        self, status: int, headers: Headers, body: bytes, at: float, facts: Facts = NO_FACTS
    ) -> Reply:
        source = self._at.source
        return whole(source, status, headers, body, labels=_LABELS[source], at=at, facts=facts)

    def _choices(
        self, prompt: Prompt, wishes: Wishes, tokenizer: Tokenizer, pace: PaceSettings
    ) -> tuple[Choice, ...]:
        mock = self._at.manner.mock
        composer = Composer(
            prompt=prompt,
            wishes=wishes,
            settings=mock,
            tokens=tokenizer,
            rng=random.Random(seed_of(self._seed, digest_of(prompt))),  # noqa: S311
            tool_calls=mock.tool_calls if self._at.may_call else 0.0,
            speed=pace.tokens_per_second,
        )
        try:
            return composer.choices()
        except SchemaRefused as error:
            raise Refused(schema_problem(error)) from error

    def _break(
        self, operation: Text, frames: Sequence[Frame], failure: Failure, after: int, means: Means
    ) -> tuple[Frame, ...]:
        """The frames up to ``after`` ones with content, and the error."""
        full = [n for n, frame in enumerate(frames) if frame.tokens or frame.characters]
        end = full[after] if after < len(full) else (full[-1] + 1 if full else 1)
        sent = tuple(frames[:end])
        if operation.fail_stream is not None:
            data = operation.fail_stream(failure.problem, sent, means)
        else:
            data = self._at.dialect.write_stream_error(failure.problem, self.call.path)
        return (*sent, Frame(data))

    def _due(self, failure: Failure | None) -> Failure | None:
        """The failure, while equal requests have not had it as often as it says."""
        if failure is None or failure.times is None:
            return failure
        return failure if self._number < failure.times else None

    def _check_model(self, model: str) -> None:
        manner = self._at.manner
        if not manner.catalogue.exists(model) and model not in manner.paces:
            message = f"Model '{model[:200]}' does not exist"
            raise Refused(Problem(404, message, code="model_not_found", param="model"))

    def _timeline(
        self, model: str, pace: PaceSettings, choices: Iterable[Choice], tokenizer: Tokenizer
    ) -> Timeline | None:
        learnt = self._at.manner.learnt
        if learnt is None or pace.like is None:
            return None
        parts = (part for choice in choices for part in choice.parts)
        tokens = sum(part_tokens(part, tokenizer.count) for part in parts)
        return learnt.pick(model, self._pacer(), tokens)

    def _pacer(self) -> random.Random:
        """A new generator of the same seed: what is worked out twice comes out the same."""
        return random.Random(seed_of(self._seed, self._key, self._number))  # noqa: S311  # to be repeatable is the point

    def _means(
        self, tokenizer: Tokenizer | None, pace: PaceSettings, reckon: Callable[[], float]
    ) -> Means:
        unit, size = pace.chunk_unit, pace.chunk_size
        return Means(
            call=self.call,
            created=self._at.now,
            new_id=self._new_id,
            cut=(lambda text: tokenizer.cut(text, unit, size)) if tokenizer else _no_tokens,
            count=tokenizer.count if tokenizer else _no_tokens,
            count_prompt=(lambda prompt: count_prompt(prompt, tokenizer.count))
            if tokenizer
            else _no_tokens,
            models=self._at.manner.catalogue,
            usage_in_final_chunk=self._at.manner.mock.stream_usage == "final_chunk",
            reckon=reckon,
        )


def _facts(prompt: Prompt, answer: Answer) -> Facts:
    return Facts(prompt.model, prompt.stream, answer.usage.input, answer.usage.output)


def _reading(read: Callable[..., Any], *arguments: Any) -> Any:
    """What a reader of the request's own wishes says; its error is the provider's 400."""
    try:
        return read(*arguments)
    except ValueError as error:
        said = str(error)
        raise Refused(Problem(400, said, param=re.split("[: ]", said, maxsplit=1)[0])) from error


def _no_tokens(*_arguments: Any) -> Any:
    raise AssertionError("the operation does not say that it counts")
