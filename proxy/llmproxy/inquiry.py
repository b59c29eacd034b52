"""A request as its dialect reads it: which operation, which body, which prompt.

Each part is read when it is first asked for and never twice; what the provider would refuse is a
``Problem`` in its place. An ``Inquiry`` is the ``Subject`` that rules see, and what replies are
made from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, overload
from urllib.parse import parse_qsl

from llmproxy.answer import Choice
from llmproxy.asked import ASIDE_ABOVE, Asked
from llmproxy.compression import decode
from llmproxy.dialects.dialect import Dialect
from llmproxy.dialects.operation import Call, Operation, Refused, Text, find
from llmproxy.interaction import Headers, Problem, Request
from llmproxy.live import Current, Live
from llmproxy.prompt import Prompt
from llmproxy.redacted import REMEMBERED, REMEMBERED_BELOW
from llmproxy.sessions import Sessions, Stored
from llmproxy.synthesis.bodies import read_body
from llmproxy.synthesis.seeds import key_of

T = TypeVar("T")

Remembered = tuple[str, bytes, Headers, bool]


class _Once(Generic[T]):
    """A property that is worked out when it is first asked for.

    That of ``functools`` has, up to Python 3.11, one lock for all instances: a large request in the
    thread would hold up every small one.
    """

    def __init__(self, work: Callable[[Any], T]) -> None:
        self._work = work
        self._name = work.__name__

    @overload
    def __get__(self, instance: None, owner: type) -> _Once[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> T | _Once[T]:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._work(instance)
        return value


class Inquiry:
    """What one request asks.

    Attributes:
        current: what the server follows while it answers this request.
        stored: what its session stored.
        twist: what a fault does to each choice of a made-up reply.
    """

    def __init__(
        self,
        request: Request,
        whose: Callable[[], Dialect | None],
        current: Current,
        stored: Stored,
        max_body: int,
        *,
        trusting: bool,
    ) -> None:
        self.request = request
        self._whose = whose
        self.current = current
        self.stored = stored
        self.twist: Callable[[Choice], Choice] | None = None
        self.method = request.method
        self.path = request.path
        self.headers = request.headers
        self.session = request.session
        self._max_body = max_body
        self._trusting = trusting

    @property
    def query(self) -> str:
        return self.request.query

    @_Once
    def speaks(self) -> Dialect | None:
        """The dialect; None where nobody claims the request."""
        return self._whose()

    @_Once
    def dialect(self) -> str:
        return "" if self.speaks is None else self.speaks.name

    @_Once
    def large(self) -> bool:
        """Whether reading it may take milliseconds."""
        body = self.request.body
        if len(body) > ASIDE_ABOVE or self.request.content_encoding:
            return True
        return b"previous_" in body  # what it goes on from may be long

    @_Once
    def key(self) -> bytes:
        """What equal requests share."""
        return key_of(self.method, self.request.target, self.request.body)

    @property
    def operation(self) -> str:
        return self.route[0].name if isinstance(self.route, tuple) else ""

    @_Once
    def route(self) -> tuple[Operation, Mapping[str, str]] | Problem | None:
        """The operation and the variables of its path; None: nothing is served there."""
        if self.speaks is None:
            return None
        try:
            return find(self.speaks.operations, self.method, self.path)
        except Refused as error:
            return error.problem

    @_Once
    def content(self) -> Any | Problem:
        """The parsed body; None where there is none."""
        try:
            return read_body(self._plain())
        except Refused as error:
            return error.problem

    @_Once
    def asking(self) -> Prompt | Problem | None:
        """The prompt; None where the request asks for no text."""
        route = self.route
        if isinstance(route, Problem) or route is None or not isinstance(route[0], Text):
            return None
        if isinstance(self.content, Problem):
            return self.content
        try:
            return route[0].read_prompt(self.call(route[1], self.content))
        except Refused as error:
            return error.problem

    def know(self, content: Any, prompt: Prompt) -> None:
        """Take over what was read in an equal request."""
        self.__dict__.update(content=content, asking=prompt)

    @property
    def body(self) -> Any:
        return None if isinstance(self.content, Problem) else self.content

    @_Once
    def prompt(self) -> Prompt | None:
        return self.asking if isinstance(self.asking, Prompt) else None

    @property
    def refused(self) -> str:
        return self.asking.message if isinstance(self.asking, Problem) else ""

    def call(self, variables: Mapping[str, str], body: Any) -> Call:
        """The request as an operation reads it."""
        query = self.request.query
        return Call(
            method=self.method,
            path=self.path,
            query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
            headers=self.headers,
            variables=variables,
            body=body,
            lenient=self.lenient,
            trusting=self._trusting,
            stored=self.stored,
        )

    @property
    def lenient(self) -> bool:
        return self.current.manner.mock.validation == "lenient"

    @property
    def memory(self) -> Remembered | None:
        """What requests share that are read alike; None where it is too large to remember."""
        if self.large or len(self.request.body) >= REMEMBERED_BELOW:
            return None
        return (self.dialect, self.key, self.headers, self.lenient)

    def _plain(self) -> bytes:
        """The body without its content-encoding."""
        request = self.request
        if not request.content_encoding:
            return request.body
        try:
            return decode(request.body, request.content_encoding, self._max_body)
        except ValueError as error:
            message = f"The content-encoding of the request's body could not be undone: {error}"
            raise Refused(Problem(400, message)) from error


class Reader:
    """Makes the inquiry of each request, once.

    Args:
        live: what the server follows.
        sessions: where requests find what they stored.
        max_body: the most bytes that a compressed body may decode to.
        trusting: an id that nobody stored here may be a recorded one.
    """

    def __init__(self, live: Live, sessions: Sessions, max_body: int, *, trusting: bool) -> None:
        self._live = live
        self._sessions = sessions
        self._max_body = max_body
        self._trusting = trusting
        self._read: dict[Remembered, tuple[Any, Prompt]] = {}

    @property
    def has_rules(self) -> bool:
        """Whether there are rules to try at all."""
        return bool(self._live.current.configuration.rules)

    def __call__(self, asked: Asked) -> Inquiry:
        if asked.inquiry is None:
            asked.inquiry = self._inquire(asked)
        return asked.inquiry

    def _inquire(self, asked: Asked) -> Inquiry:
        request = asked.request
        stored = self._sessions.stored(request.session)
        current = self._live.current
        inquiry = Inquiry(
            request, asked.whose, current, stored, self._max_body, trusting=self._trusting
        )
        if current.endpoints:
            inquiry.current = current.at(inquiry.operation)
        if self._read and (memory := inquiry.memory) and (known := self._read.get(memory)):
            inquiry.know(*known)
        return inquiry

    def remember(self, inquiry: Inquiry) -> None:
        """Equal requests shall not be read again; but what goes on from a stored one shall."""
        memory = inquiry.memory
        if memory is None or memory in self._read or inquiry.stored.looked:
            return
        if inquiry.prompt is not None:
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            self._read[memory] = (inquiry.content, inquiry.prompt)
