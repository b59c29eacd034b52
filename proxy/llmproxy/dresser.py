"""Dresses replies, whoever gives them: limits and faults, as the server follows them.

A request is let in by its limits, may be struck by a fault instead of being answered, and its reply
may be spoiled on its way out. What records hears the reply before that, at the moments at which
it came: what is kept is what the upstream sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from llmproxy import dialects
from llmproxy.asked import Asked
from llmproxy.configuration import Configuration
from llmproxy.dialects.dialect import Dialect, header
from llmproxy.dressing import is_stream, later, with_lines
from llmproxy.errors import BadRequest
from llmproxy.faults import bodies
from llmproxy.faults.fault import (
    INSTEAD,
    Effect,
    Fault,
    Hang,
    InBody,
    Output,
    Refuse,
    Slow,
    chance,
    strikes,
)
from llmproxy.faults.header import NAME as HEADER
from llmproxy.faults.header import read_header
from llmproxy.faults.outputs import twist
from llmproxy.inquiry import Inquiry, Reader
from llmproxy.interaction import NO_FACTS, Reply
from llmproxy.journal import Entry
from llmproxy.limiter import Limiter, Pass, concerned
from llmproxy.limits.limit import Reading
from llmproxy.limits.refusals import problem
from llmproxy.limits.target import ClientLimit
from llmproxy.live import Live
from llmproxy.maker import Maker
from llmproxy.sessions import Sessions
from llmproxy.spoiling import Spoiled
from llmproxy.synthesis.scripted import Failure
from llmproxy.wire import has_no_body

Answer = Callable[[Asked], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class _Stroke:
    """An effect that strikes a request, and what is drawn for it."""

    name: str
    effect: Effect
    rng: Random


class Dresser:
    """Lets requests in and spoils replies as limits and faults say.

    Args:
        live: what the server follows.
        reader, maker: read requests, and make the errors of faults.
        sessions: what counts calls.
        limiter: what counts for limits.
    """

    def __init__(
        self, live: Live, reader: Reader, maker: Maker, sessions: Sessions, limiter: Limiter
    ) -> None:
        self._live = live
        self._reader = reader
        self._maker = maker
        self._sessions = sessions
        self.limiter = limiter
        self.spoiled = Spoiled()

    async def __call__(self, asked: Asked, entry: Entry, answer: Answer) -> Reply:
        """The reply of ``answer``, dressed; or what a limit or a fault puts in its place."""
        configuration = self._live.current.configuration
        wanted = header(asked.request.headers, HEADER)
        if not (configuration.limits or configuration.faults or wanted):
            reply = await answer(asked)
            return reply if asked.fault is None else self._dressed(reply, asked, entry, [])
        inquiry = self._reader(asked)
        limits, faults = await self._concerned(configuration, inquiry)
        strokes = self._strokes(faults, inquiry, wanted) if faults or wanted else []
        closed = any(isinstance(s.effect, Refuse) and s.effect.closed for s in strokes)
        if closed or not limits:
            return await self._answered(asked, inquiry, entry, strokes, answer)
        admitted = await self.limiter.admit(limits, asked, inquiry)
        if isinstance(admitted, Reading):
            return self._limited(admitted, inquiry, entry)
        try:
            reply = await self._answered(asked, inquiry, entry, strokes, answer)
        except BaseException:
            admitted.end(NO_FACTS)
            raise
        return self._within(admitted, reply, inquiry)

    async def _answered(
        self,
        asked: Asked,
        inquiry: Inquiry,
        entry: Entry,
        strokes: Sequence[_Stroke],
        answer: Answer,
    ) -> Reply:
        for stroke in strokes:
            if isinstance(stroke.effect, INSTEAD):
                entry.fault = stroke.name
                return self._instead(stroke, inquiry)
            if isinstance(stroke.effect, Output):
                inquiry.twist = twist(stroke.effect.kind, stroke.rng)
        reply = await answer(asked)
        if strokes or asked.fault is not None:
            return self._dressed(reply, asked, entry, strokes)
        return reply

    async def _concerned(
        self, configuration: Configuration, inquiry: Inquiry
    ) -> tuple[list[ClientLimit], list[Fault]]:
        """The limits and faults that are for a request."""
        limits, faults = configuration.limits, configuration.faults
        if inquiry.large:
            found = await self._maker.run(True, concerned, limits, inquiry)
            return found, await self._maker.run(True, concerned, faults, inquiry)
        return concerned(limits, inquiry), concerned(faults, inquiry)

    def _strokes(
        self, faults: Sequence[Fault], inquiry: Inquiry, wanted: str | None
    ) -> list[_Stroke]:
        """What strikes a request: of its faults those whose turn it is, and what it asks for."""
        found = []
        session = self._sessions[inquiry.session]
        for fault in faults:
            number = session.count(("fault", fault.key)) + 1
            if strikes(fault.plan, number, fault.key):
                rng = chance(fault.key, number, fault.plan.seed)
                found.append(_Stroke(fault.name, fault.effect, rng))
        if wanted:
            try:
                effect = read_header(wanted)
            except ValueError as error:
                raise BadRequest(f"{HEADER}: {error}") from error
            number = session.count(("fault", wanted)) + 1
            found.append(_Stroke(HEADER, effect, chance(wanted, number)))
        return found

    def _instead(self, stroke: _Stroke, inquiry: Inquiry) -> Reply:
        effect = stroke.effect
        if isinstance(effect, Refuse):
            failure = stroke.rng.choice(effect.failures)
            return self._maker.fail(inquiry, failure, source="error")
        at = effect.at_most if isinstance(effect, Hang) else 0.0
        return Reply("error", 0, "", (), at, (), ended_at=at, end="reset")

    def _dressed(
        self, reply: Reply, asked: Asked, entry: Entry, strokes: Sequence[_Stroke]
    ) -> Reply:
        """The reply after all that strikes it; that of the rule which answered comes first."""
        if asked.fault is not None:
            key = f"{reply.rule}/{asked.request.target}"
            number = self._sessions[asked.request.session].count(("fault", key)) + 1
            own = _Stroke(f"rule {reply.rule}", asked.fault, chance(key, number))
            strokes = [own, *strokes]
        dialect = asked.dialect or dialects.DEFAULT
        strokes = [stroke for stroke in strokes if _concerns(stroke.effect, reply, asked)]
        for stroke in strokes:
            reply = self._struck(reply, stroke, asked, dialect)
        entry.fault = ", ".join(stroke.name for stroke in strokes)
        return reply

    def _struck(self, reply: Reply, stroke: _Stroke, asked: Asked, dialect: Dialect) -> Reply:
        effect = stroke.effect
        if isinstance(effect, Slow):
            seconds = stroke.rng.uniform(effect.least, effect.most)
            return self.spoiled.later(reply, seconds) if _is_live(reply) else later(reply, seconds)
        if isinstance(effect, InBody):
            error = _frame(effect.failure, dialect, asked)
            machine = bodies.machine(effect, stroke.rng, error)
            headers = bodies.unmeasured(reply.headers, effect)
            if isinstance(reply.chunks, tuple):
                at = reply.ended_at if reply.ended_at is not None else reply.head_at
                chunks, at, end = bodies.dress(reply.chunks, at, reply.end, machine)
                return replace(
                    reply, head=b"", headers=headers, chunks=chunks, ended_at=at, end=end
                )
            received_at = asked.request.received_at
            return self.spoiled.by(machine, replace(reply, headers=headers), received_at)
        if isinstance(effect, INSTEAD):  # a rule's own fault
            return replace(self._instead(stroke, self._reader(asked)), rule=reply.rule)
        return reply

    def _limited(self, refused: Reading, inquiry: Inquiry, entry: Entry) -> Reply:
        entry.limited = refused.limit.place
        failure = Failure(problem(inquiry.dialect, refused))
        reply = self._maker.fail(inquiry, failure, source="error")
        return with_lines(reply, self.limiter.headers(inquiry.dialect, (refused,)))

    def _within(self, admitted: Pass, reply: Reply, inquiry: Inquiry) -> Reply:
        """The reply with the lines of its limits, which are told when it has left."""
        lines = admitted.headers(inquiry.dialect)
        return replace(with_lines(reply, lines), done=admitted.end)


def _is_live(reply: Reply) -> bool:
    return not isinstance(reply.chunks, tuple)


def _concerns(effect: Effect, reply: Reply, asked: Asked) -> bool:
    """Whether there is anything about a reply that an effect could spoil."""
    if isinstance(effect, Output):
        return reply.source in ("synthesized", "rule")
    if isinstance(effect, InBody):
        if has_no_body(asked.request.method, reply.status):
            return False
        return effect.kind != "error_event" or is_stream(reply)
    return True


def _frame(failure: Failure | None, dialect: Dialect, asked: Asked) -> bytes:
    if failure is None:
        return b""
    return dialect.write_stream_error(failure.problem, asked.request.path)
