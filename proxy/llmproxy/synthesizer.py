"""Answers with what is made up, in the format of whoever was asked.

What is said is the business of ``synthesis``; here is what changes: the clock, the session, the
vocabularies, and the thread for what takes long, so that no stream waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl

from llmproxy.asked import Asked
from llmproxy.compression import decode
from llmproxy.dialects.dialect import Dialect
from llmproxy.dialects.operation import Call, Operation, Plain, Refused, Text, find
from llmproxy.interaction import Headers, Problem, Reply, Request
from llmproxy.misses import Misses
from llmproxy.sessions import Sessions, Stored
from llmproxy.synthesis.bodies import read_body
from llmproxy.synthesis.making import (
    Composed,
    Making,
    Manner,
    Occasion,
    encoding_of,
)
from llmproxy.synthesis.problems import unknown_url
from llmproxy.synthesis.seeds import key_of
from llmproxy.synthesis.wishes import is_heavy
from llmproxy.tokens import Tokenizer, Vocabularies

P = ParamSpec("P")
T = TypeVar("T")

ASIDE_ABOVE = 64 * 1024
"""Bodies above this many bytes are worked on in the thread."""

REMEMBERED = 512
"""Requests of a server under load whose replies are composed once only."""

REMEMBERED_BELOW = 16 * 1024
"""Largest body of such a request in bytes, and most characters of such a reply."""


class Synthesizer:
    """Makes replies up.

    Args:
        manner: what settings say.
        vocabularies: loaded when the first request needs one.
        sessions: what counts up, and what the responses are that a session stored.
        aside: the thread for what takes long.
        load: how many requests are being answered.
        max_body: the most bytes that a compressed body may decode to.
        misses: on a replay, says why nothing matched. A reply is then text unless a tool is
            forced, and an id that nobody stored may be a recorded one.
    """

    def __init__(
        self,
        manner: Manner,
        vocabularies: Vocabularies,
        sessions: Sessions,
        aside: ThreadPoolExecutor,
        load: Callable[[], int],
        max_body: int,
        misses: Misses | None = None,
    ) -> None:
        self._manner = manner
        self._repeats = manner.mock.seed is not None
        self._composed: dict[tuple[str, bytes, Headers], Composed] = {}
        self._vocabularies = vocabularies
        self._sessions = sessions
        self._aside = aside
        self._load = load
        self._max_body = max_body
        self._misses = misses

    async def __call__(self, asked: Asked) -> Reply | None:
        dialect, request = asked.dialect, asked.request
        if dialect is None:
            return None
        key = key_of(request.method, request.target, request.body)
        making = self._making(dialect, request, key)
        try:
            found = find(dialect.operations, request.method, request.path)
            if found is None and self._misses is not None:
                return None
            if found is None:
                raise Refused(unknown_url(request.method, request.path))
            reply = await self._made(making, request, key, *found)
        except Refused as error:
            reply = making.refuse(error.problem)
        if self._misses is None:
            return reply
        miss = await self._misses.explain(asked)
        labels = (*reply.labels, ("x-llmproxy-miss", miss.line))
        return replace(reply, labels=labels, miss=miss.line)

    async def _made(
        self,
        making: Making,
        request: Request,
        key: bytes,
        operation: Operation,
        variables: Mapping[str, str],
    ) -> Reply:
        remembered = (operation.name, key, request.headers)
        large = len(request.body) > ASIDE_ABOVE or bool(request.content_encoding)
        stored = self._sessions.stored(request.session)
        if isinstance(operation, Text) and (known := self._composed.get(remembered)):
            making.call = self._call(request, variables, stored, known.prompt.body)
            return making.text(operation, known)
        body = await self._run(large, lambda: read_body(self._plain(request)))
        call = making.call = self._call(request, variables, stored, body)
        if isinstance(operation, Plain):
            tokenizer = None
            if operation.counts:
                tokenizer = await self._tokenizer(body, operation.model_of(call))
            return await self._run(large or operation.slow, making.plain, operation, tokenizer)
        large = large or b"previous_" in request.body  # what it goes on from may be long
        prompt = await self._run(large, operation.read_prompt, call)
        large = large or is_heavy(prompt, self._manner.mock.response_length)
        tokenizer = await self._tokenizer(body, prompt.model)
        composed = await self._run(large, making.compose, prompt, tokenizer)
        # a prompt that goes on from what was stored is another one when that has changed
        size = max(len(request.body), composed.size)
        if self._repeats and not stored.looked and size < REMEMBERED_BELOW:
            if len(self._composed) >= REMEMBERED:
                self._composed.clear()
            self._composed[remembered] = composed
        return await self._run(large, making.text, operation, composed)

    def _call(
        self, request: Request, variables: Mapping[str, str], stored: Stored, body: Any
    ) -> Call:
        return Call(
            method=request.method,
            path=request.path,
            query=dict(parse_qsl(request.query, keep_blank_values=True)) if request.query else {},
            headers=request.headers,
            variables=variables,
            body=body,
            lenient=self._manner.mock.validation == "lenient",
            trusting=self._misses is not None,
            stored=stored,
        )

    def _making(self, dialect: Dialect, request: Request, key: bytes) -> Making:
        occasion = Occasion(
            manner=self._manner,
            dialect=dialect,
            now=time.time(),
            load=self._load(),
            count=self._sessions[request.session].count,
            may_call=self._misses is None,
        )
        return Making(occasion, Call(request.method, request.path), key)

    def _plain(self, request: Request) -> bytes:
        """The body without its content-encoding."""
        if not request.content_encoding:
            return request.body
        try:
            return decode(request.body, request.content_encoding, self._max_body)
        except ValueError as error:
            message = f"The content-encoding of the request's body could not be undone: {error}"
            raise Refused(Problem(400, message)) from error

    async def _tokenizer(self, body: object, model: str) -> Tokenizer:
        name = encoding_of(body, model)
        if (loaded := self._vocabularies.loaded(name)) is not None:
            return loaded
        return await self._run(True, self._vocabularies.load, name)

    async def _run(
        self, aside: bool, work: Callable[P, T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        if not aside:
            return work(*arguments, **named)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._aside, lambda: work(*arguments, **named))
