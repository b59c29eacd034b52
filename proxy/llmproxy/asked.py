"""A live request on its way through the responders: what each may want to know, made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from llmproxy import dialects
from llmproxy.addressing import Address, address, relative_path
from llmproxy.dialects import Dialect
from llmproxy.faults.fault import Effect
from llmproxy.interaction import RecordedRequest, Request
from llmproxy.matching.canonical import CONDITIONS
from llmproxy.redacted import Redacted
from llmproxy.upstreams import Upstream

if TYPE_CHECKING:
    from llmproxy.inquiry import Inquiry


ASIDE_ABOVE = 64 * 1024
"""Bodies above this many bytes are worked on in a thread, so that no stream waits for them."""


def _never() -> bool:
    return False


class Asked:
    """A request and what was learnt of it.

    ``ours`` is the origin and session prefix under which the client reached us. ``why``
    gathers why a responder had no answer, for the miss. ``conditional`` says that a header
    asks for a part of the answer. ``inquiry`` is what a dialect reads in it, once it was read;
    ``rules`` is how many rules were tried, ``fault`` what the rule that answered does to its reply.
    ``gone`` says whether the client has left.
    """

    __slots__ = (
        "_dialect", "conditional", "fault", "gone", "inquiry", "ours", "redacted", "request", "rules", "why",
    )  # fmt: skip

    def __init__(self, request: Request, redacted: Redacted, ours: str) -> None:
        self.request = request
        self.redacted = redacted
        self.ours = ours
        self.why = ""
        self.rules = 0
        self.fault: Effect | None = None
        self.gone: Callable[[], bool] = _never
        self.inquiry: Inquiry | None = None
        self.conditional = any(name.lower() in CONDITIONS for name, _ in request.headers)
        self._dialect: Dialect | Literal[False] | None = False

    @property
    def dialect(self) -> Dialect | None:
        """Whose request it is; None if nobody claims it."""
        if self._dialect is False:
            request = self.request
            self._dialect = dialects.of(
                request.method, request.path, request.headers, request.query
            )
        return self._dialect

    def whose(self) -> Dialect | None:
        """The dialect, for whoever may never ask."""
        return self.dialect

    def address(self, upstreams: Sequence[Upstream]) -> Address:
        """Where the request goes among ``upstreams``."""
        name = None
        if len(upstreams) > 1 and self.dialect is not None:
            name = self.dialect.name
        return address(self.request.target, upstreams, name)

    def at(self, upstreams: Sequence[Upstream], *, headers: bool = True) -> RecordedRequest:
        """The request as it is kept where ``upstreams`` are the ones to choose from."""
        to = self.address(upstreams)
        path = relative_path(to.upstream, to.target.partition("?")[0])
        return self.redacted.at(to.upstream.name, path, headers=headers)
