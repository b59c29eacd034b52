"""Makes replies up, of nothing or of what a rule says, without holding up what plays.

What is said is the business of ``synthesis``; here is what changes: the clock, the session, the
vocabularies, and the thread for what takes long, so that no stream waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from llmproxy import dialects
from llmproxy.dialects.operation import Call, Plain, Refused, Text
from llmproxy.inquiry import Inquiry
from llmproxy.interaction import Problem, Reply, Source
from llmproxy.prompt import Prompt
from llmproxy.prompt_tokens import count_prompt
from llmproxy.redacted import REMEMBERED, REMEMBERED_BELOW
from llmproxy.sessions import Sessions
from llmproxy.synthesis.making import Composed, Making, Occasion, Repace, encoding_of
from llmproxy.synthesis.problems import unknown_url
from llmproxy.synthesis.scripted import Failure, Script
from llmproxy.synthesis.wishes import is_heavy
from llmproxy.tokens import Tokenizer, Vocabularies

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """What a reply shall say and how fast, where somebody wrote it.

    ``name`` is equal for equal lines; empty where the line is made for one request only.
    """

    script: Script
    pace: Repace | None = None
    name: str = ""


class Maker:
    """Makes whole replies of inquiries.

    Args:
        vocabularies: loaded when the first request needs one.
        sessions: what counts up.
        aside: the thread for what takes long.
        load: how many requests are being answered.
        may_call: whether a tool may be called that the request does not force.
    """

    def __init__(
        self,
        vocabularies: Vocabularies,
        sessions: Sessions,
        aside: ThreadPoolExecutor,
        load: Callable[[], int],
        *,
        may_call: bool,
    ) -> None:
        self._vocabularies = vocabularies
        self._sessions = sessions
        self._aside = aside
        self._load = load
        self._may_call = may_call
        self._composed: dict[tuple[object, ...], Composed] = {}
        self._version = 0

    async def answer(self, inquiry: Inquiry) -> Reply:
        """The reply that nobody wrote; the provider's refusal where it would refuse."""
        making = self._making(inquiry, "synthesized")
        try:
            if inquiry.route is None:
                raise Refused(unknown_url(inquiry.method, inquiry.path))
            return await self._made(making, inquiry, None)
        except Refused as error:
            return making.refuse(error.problem)

    async def say(self, inquiry: Inquiry, line: Line) -> Reply:
        """The reply that ``line`` says."""
        making = self._making(inquiry, "rule")
        try:
            return await self._made(making, inquiry, line)
        except Refused as error:
            return making.refuse(error.problem)

    def fail(
        self, inquiry: Inquiry, failure: Failure, at: float = 0.0, source: Source = "rule"
    ) -> Reply:
        """The provider's error, whatever is asked, after ``at`` seconds."""
        return self._making(inquiry, source).refuse(failure.problem, failure.headers, at)

    async def entering(self, inquiry: Inquiry, prompt: Prompt) -> int:
        """The tokens of a prompt."""
        tokenizer = await self._tokenizer(prompt.body, prompt.model)
        return await self.run(inquiry.large, count_prompt, prompt, tokenizer.count)

    async def _made(self, making: Making, inquiry: Inquiry, line: Line | None) -> Reply:
        large, request = inquiry.large, inquiry.request
        route = inquiry.route
        if isinstance(route, Problem):
            raise Refused(route)
        assert route is not None
        operation, variables = route
        named = "" if line is None else line.name
        remembered = (operation.name, inquiry.key, request.headers, named)
        memorable = inquiry.twist is None and (line is None or bool(named))
        known = self._known(inquiry).get(remembered) if memorable else None
        if isinstance(operation, Text) and known:
            making.call = inquiry.call(variables, known.prompt.body)
            return making.text(operation, known)
        body = await self.run(large, lambda: inquiry.content)
        if isinstance(body, Problem):
            raise Refused(body)
        making.call = inquiry.call(variables, body)
        if isinstance(operation, Plain):
            tokenizer = None
            if operation.counts:
                tokenizer = await self._tokenizer(body, operation.model_of(making.call))
            return await self.run(large or operation.slow, making.plain, operation, tokenizer)
        prompt = await self.run(large, lambda: inquiry.asking)
        if isinstance(prompt, Problem):
            raise Refused(prompt)
        assert prompt is not None
        script, pace = (None, None) if line is None else (line.script, line.pace)
        large = large or is_heavy(prompt, inquiry.current.manner.mock.response_length)
        large = large or (script is not None and script.size > REMEMBERED_BELOW)
        tokenizer = await self._tokenizer(body, prompt.model)
        composed = await self.run(
            large, making.compose, prompt, tokenizer, script, pace, inquiry.twist
        )
        # a prompt that goes on from what was stored is another one when that has changed
        if memorable and not inquiry.stored.looked:
            self._remember(inquiry, remembered, composed)
        return await self.run(large, making.text, operation, composed)

    def _known(self, inquiry: Inquiry) -> dict[tuple[object, ...], Composed]:
        """What is remembered under the settings of the inquiry."""
        if self._version != inquiry.current.version:
            self._version = inquiry.current.version
            self._composed = {}
        return self._composed

    def _remember(self, inquiry: Inquiry, key: tuple[object, ...], composed: Composed) -> None:
        repeats = inquiry.current.manner.mock.seed is not None
        size = max(len(inquiry.request.body), composed.size)
        if repeats and size < REMEMBERED_BELOW:
            known = self._known(inquiry)
            if len(known) >= REMEMBERED:
                known.clear()
            known[key] = composed

    def _making(self, inquiry: Inquiry, source: Source) -> Making:
        request = inquiry.request
        occasion = Occasion(
            manner=inquiry.current.manner,
            dialect=inquiry.speaks or dialects.DEFAULT,
            now=time.time(),
            load=self._load(),
            count=self._sessions[request.session].count,
            may_call=self._may_call,
            source=source,
        )
        return Making(occasion, Call(request.method, request.path), inquiry.key)

    async def _tokenizer(self, body: object, model: str) -> Tokenizer:
        name = encoding_of(body, model)
        if (loaded := self._vocabularies.loaded(name)) is not None:
            return loaded
        return await self.run(True, self._vocabularies.load, name)

    async def run(
        self, aside: bool, work: Callable[P, T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """The result of ``work``, done at once or ``aside`` in the thread."""
        if not aside:
            return work(*arguments, **named)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._aside, lambda: work(*arguments, **named))
