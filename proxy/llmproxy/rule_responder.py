"""Answers as rules say: which rule, which of its replies, and the reply itself.

Rules are tried in order; one whose conditions hold and that is not used up answers. One that
has nothing to say after all (no cassette holds the request) leaves it to the next.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic, time
from urllib.parse import quote as encode
from uuid import UUID

from llmproxy import dialects
from llmproxy.answer import Part, Reasoning, Text
from llmproxy.asked import Asked
from llmproxy.conditions.condition import Slow
from llmproxy.dialects.dialect import Dialect
from llmproxy.dressing import broken_off, is_stream, labelled, retimed
from llmproxy.errors import LlmproxyError
from llmproxy.faults.fault import INSTEAD, Output
from llmproxy.faults.outputs import twist
from llmproxy.inquiry import Inquiry, Reader
from llmproxy.interaction import Chunk, Headers, Reply
from llmproxy.maker import Line, Maker
from llmproxy.pacing import Pace
from llmproxy.prepared import PreparedReplies, pointing_back, prepare
from llmproxy.replayer import Replayer, Shelf
from llmproxy.replies import whole
from llmproxy.rhythm import PaceSettings
from llmproxy.rules import paces
from llmproxy.rules.deciding import Patience, first
from llmproxy.rules.rule import Forward, Raw, Recorded, Rule, Said
from llmproxy.rules.templates import Given, Template
from llmproxy.sessions import RuleTurn, Sessions
from llmproxy.synthesis.scripted import Failure
from llmproxy.synthesis.seeds import digest_of, seed_of
from llmproxy.units import quote

log = logging.getLogger("llmproxy")

AT_ONCE = 0.002
"""Seconds that one regex may take where streams wait for it; what takes longer has another try in
a thread."""

IN_THREAD = 0.1
"""Seconds that one regex may take in a thread."""

ALL_AT_ONCE = 0.004
"""Seconds that deciding may take where streams wait for it."""

ALL_IN_THREAD = 1.0
"""Seconds that deciding may take in a thread; rules that are left then are passed over."""

SEARCHED_AT_ONCE = 4096
"""Bytes of a body up to which a template is filled in where streams wait for it."""

THREADS = 2
"""What is slow to decide does not hold up what else is: but no more than this at once."""

WARN_AGAIN = 60.0
"""Seconds until a slow regex is warned of again."""

_HAS_NO_BODY = (204, 304)


NOTHING = Reply("rule", 0, "", (), 0.0, ())
"""The reply of a rule whose fault will take its place."""


class RuleResponder:
    """Answers as the rules say that the server follows when a request begins.

    Args:
        reader: reads requests; knows what the server follows.
        maker: makes replies of what rules say.
        sessions: what counts up.
        replayer: answers from cassettes; None where there are none.
        shelf: opens a cassette that a rule names.
        forward: ``(upstream, asked)``: the reply of a real provider.
        pace: of recorded replies, where a rule says none.
        load: how many requests are being answered.
    """

    def __init__(
        self,
        reader: Reader,
        maker: Maker,
        sessions: Sessions,
        replayer: Replayer | None,
        shelf: Callable[[Path], Shelf],
        forward: Callable[[str, Asked], Awaitable[Reply]],
        pace: Pace,
        load: Callable[[], int],
    ) -> None:
        self._reader = reader
        self._maker = maker
        self._sessions = sessions
        self._replayer = replayer
        self._shelf = shelf
        self._forward = forward
        self._pace = pace
        self._load = load
        self._prepared = PreparedReplies[tuple[Shelf, int, Pace]]()
        self._warned: dict[str, float] = {}
        self._threads = ThreadPoolExecutor(THREADS, "llmproxy-rules")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def __call__(self, asked: Asked) -> Reply | None:
        if not self._reader.has_rules:
            return None
        inquiry = self._reader(asked)
        rules = inquiry.current.configuration.rules
        asked.rules = len(rules)
        session = self._sessions[asked.request.session]
        number = 0
        while (found := await self._first(rules, inquiry, number)) is not None:
            rule, number = rules[found], found + 1
            alike = await self._maker.run(inquiry.large, _alike, rule, inquiry)
            turn = session.rule_turn(rule, alike)
            if turn is None:
                continue
            if isinstance(rule.fault, Output):
                inquiry.twist = twist(rule.fault.kind, random.Random(seed_of(rule.key)))  # noqa: S311  # to be repeatable is the point
            try:
                reply = await self._reply(rule, turn, asked, inquiry)
            except LlmproxyError as error:
                session.rule_left(rule, alike)
                error.message = f"rule {quote(rule.name)} ({rule.place}): {error.message}"
                raise
            if reply is not None:
                self._reader.remember(inquiry)
                asked.fault = rule.fault
                return labelled(reply, _labels(rule), rule=rule.name)
            session.rule_left(rule, alike)
        return None

    async def _first(self, rules: tuple[Rule, ...], inquiry: Inquiry, start: int) -> int | None:
        short = Patience(AT_ONCE, ALL_IN_THREAD if inquiry.large else ALL_AT_ONCE, monotonic)
        try:
            return await self._maker.run(inquiry.large, first, rules, inquiry, start, short)
        except Slow:
            pass
        long = Patience(IN_THREAD, ALL_IN_THREAD, monotonic)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, first, rules, inquiry, start, long, self._too_slow
        )

    def _too_slow(self, rule: Rule, slow: Slow) -> None:
        now = monotonic()
        if now - self._warned.get(rule.key, -WARN_AGAIN) >= WARN_AGAIN:
            self._warned[rule.key] = now
            log.warning(
                "%s: rule %s was passed over on a request: %s",
                rule.place,
                quote(rule.name),
                slow,
            )

    async def _reply(
        self, rule: Rule, turn: RuleTurn, asked: Asked, inquiry: Inquiry
    ) -> Reply | None:
        if isinstance(rule.fault, INSTEAD):
            return NOTHING
        told = rule.replies[turn.reply]
        if isinstance(told, Said):
            return await self._say(told, rule, turn, inquiry)
        if isinstance(told, Raw):
            return await self._raw(told, rule, turn, inquiry)
        if isinstance(told, Forward):
            return await self._forward(told.upstream, asked)
        return await self._recorded(told, rule, asked, inquiry)

    async def _say(self, said: Said, rule: Rule, turn: RuleTurn, inquiry: Inquiry) -> Reply:
        script = said.script
        if said.is_error:
            assert script.error is not None
            return self._maker.fail(inquiry, script.error, _delay(rule))
        name = f"{rule.key}/{turn.reply}"
        if said.template is not None:
            text = Text(await self._filled(said.template, rule, turn, inquiry))
            script, name = replace(script, parts=_with_text(script.parts, text)), ""
        pace = None if rule.pace is None else partial(paces.apply, rule.pace)
        return await self._maker.say(inquiry, Line(script, pace, name))

    async def _filled(
        self, template: Template, rule: Rule, turn: RuleTurn, inquiry: Inquiry
    ) -> str:
        given = _given(turn, rule, inquiry)
        aside = inquiry.large or len(inquiry.request.body) > SEARCHED_AT_ONCE
        return await self._maker.run(aside, template.render, inquiry, given)

    async def _raw(self, raw: Raw, rule: Rule, turn: RuleTurn, inquiry: Inquiry) -> Reply:
        body = raw.body
        if raw.template is not None:
            text = await self._filled(raw.template, rule, turn, inquiry)
            body = text.encode("utf-8", "replace")
        labels: Headers = (("x-llmproxy-source", "rule"),)
        reply = whole("rule", raw.status, raw.headers, body, labels=labels, at=_delay(rule))
        if raw.status in _HAS_NO_BODY:
            return replace(reply, headers=raw.headers, chunks=())
        return reply

    async def _recorded(
        self, told: Recorded, rule: Rule, asked: Asked, inquiry: Inquiry
    ) -> Reply | None:
        if told.cassette is not None:
            reply = self._interaction(told.cassette, told.interaction, rule, asked)
        elif self._replayer is None:
            return None
        else:
            found = await self._replayer(asked, self._pace_of(rule))
            if found is None:
                return None
            reply = found
        assert isinstance(reply.chunks, tuple)
        if rule.pace is not None and rule.pace.factor is None:
            reply = self._repaced(reply, reply.chunks, rule, inquiry)
        if told.stream_error is None:
            return reply
        return self._broken(reply, told.stream_error, told.after_chunks, inquiry)

    def _interaction(self, cassette: str, id: int, rule: Rule, asked: Asked) -> Reply:
        shelf, pace = self._shelf(Path(cassette)), self._pace_of(rule)
        key = (shelf, id, pace)
        prepared = self._prepared.get(key)
        if prepared is None:
            made = prepare(*shelf.cassette.load_response(id), pace)
            prepared = self._prepared.put(key, made)
        headers = prepared.reply.headers
        if prepared.points_back:
            headers = pointing_back(headers, asked, shelf.upstreams)
        labels = (
            ("x-llmproxy-source", "rule"),
            ("x-llmproxy-interaction", f"{encode(shelf.name)}/{id}"),
        )
        return replace(prepared.reply, source="rule", headers=headers, labels=labels)

    def _pace_of(self, rule: Rule) -> Pace:
        if rule.pace is None or rule.pace.factor is None:
            return self._pace
        return Pace(
            rule.pace.factor, None if math.isinf(rule.pace.factor) else self._pace.max_pause
        )

    def _repaced(
        self, reply: Reply, chunks: tuple[Chunk, ...], rule: Rule, inquiry: Inquiry
    ) -> Reply:
        """The moments that the rule's pace sets; a whole reply takes as long as its tokens."""
        rng = random.Random(seed_of(rule.key, inquiry.key))  # noqa: S311  # to be repeatable is the point
        pace = paces.apply(rule.pace, PaceSettings())
        tokens = reply.facts.output_tokens or 0
        return retimed(reply, chunks, pace, tokens, self._load(), rng)

    def _broken(self, reply: Reply, failure: Failure, after: int, inquiry: Inquiry) -> Reply:
        if not is_stream(reply):
            return self._maker.fail(inquiry, failure, reply.head_at)
        error = _dialect(inquiry).write_stream_error(failure.problem, inquiry.path)
        assert isinstance(reply.chunks, tuple)
        return broken_off(reply, reply.chunks, after, error)


def _with_text(parts: tuple[Part, ...], text: Text) -> tuple[Part, ...]:
    """The parts with a text where texts stand: after the reasoning."""
    before = tuple(part for part in parts if isinstance(part, Reasoning))
    return (*before, text, *(part for part in parts if not isinstance(part, Reasoning)))


def _dialect(inquiry: Inquiry) -> Dialect:
    return inquiry.speaks or dialects.DEFAULT


def _alike(rule: Rule, inquiry: Inquiry) -> Hashable:
    """What prompts share that a rule counts as equal."""
    if rule.count != "prompt":
        return None
    return inquiry.key if inquiry.prompt is None else digest_of(inquiry.prompt)


def _labels(rule: Rule) -> Headers:
    return (("x-llmproxy-rule", encode(rule.name, safe=" !#$&'()*+,/:;=?@[]")),)


def _delay(rule: Rule) -> float:
    """The seconds that a reply waits which has no rhythm of its own."""
    return paces.apply(rule.pace, PaceSettings()).ttft or 0.0


def _given(turn: RuleTurn, rule: Rule, inquiry: Inquiry) -> Given:
    seed = inquiry.current.manner.mock.seed
    source: random.Random = random.SystemRandom()
    if seed is not None:
        source = random.Random(seed_of(seed, rule.key, inquiry.key, turn.counter))  # noqa: S311  # to be repeatable is the point
    return Given(turn.counter, time(), lambda: str(UUID(int=source.getrandbits(128), version=4)))
