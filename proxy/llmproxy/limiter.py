"""Lets requests in as limits say: counts them, has them wait their turn, or refuses them.

How a limit counts is the business of ``limits``; here is what changes: the clock, whose turn it is,
and what a reply used in the end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from time import monotonic
from typing import Protocol, TypeVar

from llmproxy.asked import Asked
from llmproxy.conditions.condition import Condition, Slow
from llmproxy.errors import ClientLeft
from llmproxy.inquiry import Inquiry
from llmproxy.interaction import Facts, Headers
from llmproxy.limits.bucket import Bucket, admit
from llmproxy.limits.headers import limit_headers
from llmproxy.limits.limit import Reading
from llmproxy.limits.meters import Meters
from llmproxy.limits.target import ClientLimit
from llmproxy.maker import Maker
from llmproxy.prompt import Prompt
from llmproxy.redaction import is_credential_header
from llmproxy.rules.deciding import DEAR

log = logging.getLogger("llmproxy")

PATIENCE = 0.01
"""Seconds that a regex in ``for:`` may take."""

ALL = 0.05
"""Seconds that the dear conditions of all limits, or of all faults, may take for one request."""

LOOK_EVERY = 0.5
"""Seconds between two looks for a client that waits its turn."""

BYTES_A_TOKEN = 4
"""What a request counts that is no prompt, as an estimate."""


class _Aimed(Protocol):
    @property
    def when(self) -> Condition: ...


A = TypeVar("A", bound=_Aimed)


def concerned(all_of_them: Sequence[A], inquiry: Inquiry) -> list[A]:
    """Those that are for this request; one whose regex takes too long is not."""
    found = []
    until = 0.0
    for each in all_of_them:
        patience = PATIENCE
        try:
            if each.when.cost >= DEAR:
                until = until or monotonic() + ALL
                patience = min(patience, until - monotonic())
                if patience <= 0:
                    raise Slow("all conditions together took too long")
            if each.when.holds(inquiry, patience):
                found.append(each)
        except Slow as slow:
            _warn(slow)
    return found


@lru_cache(maxsize=100)
def _warned(_minute: int, said: str) -> None:
    log.warning("a limit or fault was passed over on a request: for: %s", said)


def _warn(slow: Slow) -> None:
    """Once a minute for each reason."""
    _warned(int(monotonic() // 60), str(slow))


def _credentials(asked: Asked) -> tuple[str, ...]:
    """What says whose request it is: its credentials, short ones too."""
    headers = asked.request.headers
    return tuple(value for name, value in headers if is_credential_header(name)) + (
        asked.redacted.credentials
    )


class Pass:
    """A request that was let in: what its limits say, and what it holds until it has ended."""

    __slots__ = ("_buckets", "_limiter", "readings")

    def __init__(
        self, limiter: Limiter, buckets: Sequence[Bucket], readings: tuple[Reading, ...]
    ) -> None:
        self._limiter = limiter
        self._buckets = buckets
        self.readings = readings

    def headers(self, dialect: str) -> Headers:
        """The lines by which the provider tells how far a client is from its limits."""
        return self._limiter.headers(dialect, self.readings)

    def end(self, facts: Facts) -> None:
        """The reply has left, or never will; what it used is counted."""
        now = self._limiter.clock()
        for bucket in self._buckets:
            bucket.settle(now, facts.input_tokens or 0, facts.output_tokens or 0)
            self._limiter.leave(bucket)
        self._buckets = ()


class Limiter:
    """All limits of a running server.

    Args:
        maker: counts the tokens of prompts.
        clock: seconds of the epoch.
    """

    def __init__(self, maker: Maker, clock: Callable[[], float] = time.time) -> None:
        self._maker = maker
        self.clock = clock
        self.meters = Meters()
        self._waiting: dict[Bucket, deque[asyncio.Future[None]]] = {}
        self._version = 0

    async def admit(
        self, limits: Sequence[ClientLimit], asked: Asked, inquiry: Inquiry
    ) -> Pass | Reading:
        """Let a request in, after it has waited its turn; or the reading that refuses it.

        ``limits`` are those that are for it.
        """
        if self._version < inquiry.current.version:
            self._version = inquiry.current.version
            kept = inquiry.current.configuration.limits
            self.meters.keep(each.limit for each in kept)
        credentials = _credentials(asked)
        shown = asked.redacted.shown
        buckets = [
            self.meters.bucket(each.limit, each.client(inquiry, credentials, shown))
            for each in limits
        ]
        entering, most = await self._tokens(buckets, inquiry)
        begun: list[Bucket] = []
        try:
            for bucket in buckets:
                if (refused := await self._enter(bucket, asked)) is not None:
                    return refused
                begun.append(bucket)
            admission = admit(buckets, self.clock(), entering, most)
            if admission.refused is not None:
                return admission.refused
            held, begun = begun, []
            return Pass(self, held, admission.readings)
        finally:
            for bucket in begun:
                self.leave(bucket)

    def headers(self, dialect: str, readings: Sequence[Reading]) -> Headers:
        """The lines by which the provider tells how far a client is from its limits."""
        return limit_headers(dialect, readings, self.clock())

    async def _enter(self, bucket: Bucket, asked: Asked) -> Reading | None:
        """Begin to run, in the order of arrival; the reading where too many wait already.

        The moments of a reply count from when its request's turn came.
        """
        reading = bucket.begin()
        if reading.verdict.allowed:
            return None
        queue = self._waiting.setdefault(bucket, deque())
        if len(queue) >= bucket.limit.queue:
            if not queue:
                del self._waiting[bucket]
            return reading
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            while not turn.done():
                await asyncio.wait((turn,), timeout=LOOK_EVERY)
                if asked.gone():
                    raise ClientLeft("the client left while it waited for its turn")
            asked.request = replace(asked.request, received_at=monotonic())
        except (asyncio.CancelledError, ClientLeft):
            if turn.done() and not turn.cancelled():  # its turn had come: it is the next one's
                self.leave(bucket)
            else:
                queue.remove(turn)
            raise
        return None

    def leave(self, bucket: Bucket) -> None:
        """A request has ended: its turn is that of the next one that waits."""
        queue = self._waiting.get(bucket)
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(bucket, None)
        bucket.end()

    async def _tokens(self, buckets: Sequence[Bucket], inquiry: Inquiry) -> tuple[int, int | None]:
        """Tokens of the prompt, and of its longest reply, where some limit counts them before."""
        counted = any(b.limit.tokens and b.limit.charge == "admission" for b in buckets)
        if not counted:
            return 0, None
        prompt = inquiry.prompt
        if not isinstance(prompt, Prompt):
            return len(inquiry.request.body) // BYTES_A_TOKEN, None
        return await self._maker.entering(inquiry, prompt), prompt.max_tokens
