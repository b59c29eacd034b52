"""Who answers: from a cassette, from the upstream, or with the reason of a miss.

A responder takes a request and gives a reply, or None and leaves it to the next. One that
does not wait answers in the order of arrival. The mode is read once, at the start, and
becomes a tuple of responders; none of them asks again which mode it is. The one that reads
cassettes is in ``replayer.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from llmproxy import dialects
from llmproxy.addressing import leads_to
from llmproxy.asked import Asked
from llmproxy.forward import Forwarder
from llmproxy.interaction import (
    Headers,
    Problem,
    Reply,
)
from llmproxy.misses import Misses
from llmproxy.replies import whole
from llmproxy.synthesis.problems import unknown_url
from llmproxy.upstreams import Upstream

Responder = Callable[[Asked], Awaitable[Reply | None]]


class Relay:
    """Answers from the upstream, whatever is asked; ``forwarder`` keeps it or does not.

    Args:
        misses: whether to come here is a miss: on replay it is, when recording it is not.
    """

    def __init__(
        self, forwarder: Forwarder, upstreams: tuple[Upstream, ...], *, misses: bool
    ) -> None:
        self._forwarder = forwarder
        self._upstreams = upstreams
        self._misses = misses

    async def __call__(self, asked: Asked) -> Reply:
        to = asked.address(self._upstreams)
        ours = leads_to(asked.ours, to, self._upstreams)
        reply = await self._forwarder.forward(asked.request, to, ours)
        miss = asked.why or "no recorded request matches" if self._misses else ""
        return replace(reply, labels=(("x-llmproxy-source", reply.source),), miss=miss)


class Refusal:
    """Answers a miss with its reason, in the provider's own error shape."""

    def __init__(self, misses: Misses) -> None:
        self._misses = misses

    async def __call__(self, asked: Asked) -> Reply:
        miss = await self._misses.explain(asked)
        problem = Problem(status=400, message=miss.text, code="llmproxy_miss", detail=miss.detail)
        labels = (("x-should-retry", "false"), ("x-llmproxy-miss", miss.line))
        return error_reply(problem, asked.dialect, labels, miss=miss.line)


async def unknown(asked: Asked) -> Reply:
    """Answers what no provider serves: 404."""
    return error_reply(unknown_url(asked.request.method, asked.request.path), asked.dialect)


def error_reply(
    problem: Problem, dialect: dialects.Dialect | None, labels: Headers = (), miss: str = ""
) -> Reply:
    """A problem as the reply that the client's SDK understands."""
    status, headers, body = (dialect or dialects.DEFAULT).write_error(problem)
    labels = (("x-llmproxy-source", "error"), *labels)
    return whole("error", status, headers, body, labels=labels, miss=miss)
