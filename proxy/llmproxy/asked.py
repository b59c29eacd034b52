"""A live request on its way through the responders: what each may want to know, made once."""

from __future__ import annotations

from dataclasses import dataclass

from llmproxy.dialects import Dialect
from llmproxy.interaction import RecordedRequest, Request
from llmproxy.redacted import Redacted
from llmproxy.upstreams import Upstream, address, relative_path


@dataclass(slots=True)
class Asked:
    """``ours`` is the origin and session prefix under which the client reached us.

    ``why`` gathers why a responder had no answer, for the miss.
    """

    request: Request
    redacted: Redacted
    dialect: Dialect | None
    ours: str
    why: str = ""

    def at(self, upstreams: tuple[Upstream, ...], *, headers: bool = True) -> RecordedRequest:
        """The request as it is kept where ``upstreams`` are the ones to choose from."""
        to = address(self.request.target, upstreams, self.dialect_name)
        path = relative_path(to.upstream, to.target.partition("?")[0])
        return self.redacted.at(to.upstream.name, path, headers=headers)

    @property
    def dialect_name(self) -> str | None:
        return None if self.dialect is None else self.dialect.name
