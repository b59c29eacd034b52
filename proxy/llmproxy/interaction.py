"""The words that every other module speaks: requests, chunks, replies, interactions.

Values only: frozen, slotted, no behaviour beyond reading themselves. This file knows
nothing of HTTP libraries, files, clocks or providers.

Units: every ``*_at`` and ``offset`` is in seconds. Offsets count from the moment when the
request had been read whole. Header names keep the case they came in; names and values are
decoded as UTF-8 with ``surrogateescape``, so that any byte survives the round trip.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import Literal

Headers = tuple[tuple[str, str], ...]
"""Header lines in the order they came; a name may stand several times."""

End = Literal["eof", "reset"]
"""How a response ended: as HTTP wants it, or by a broken connection."""

Source = Literal["recorded", "replayed", "rule", "synthesized", "forwarded", "error", "control"]
"""Who answered; the ``x-llmproxy-source`` of every reply."""

Level = Literal["exact", "canonical", "transcript"]
"""How a kept request was found to equal a live one."""


@dataclass(frozen=True, slots=True)
class Request:
    """A live request as it came. Never kept and never logged: it holds credentials.

    ``target`` is path and query in the bytes that came, without the session's prefix and
    without scheme and host; ``received_at`` is a reading of ``time.monotonic``.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    session: str
    received_at: float

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def content_encoding(self) -> str:
        """The body's codings, first applied first; empty where there are none."""
        found = ""
        for name, value in self.headers:
            if len(name) == 16 and name.lower() == "content-encoding":
                found = f"{found}, {value}" if found else value
        return found


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """What is kept and matched: a request after redaction.

    ``path`` is relative to the upstream's base path, ``query`` has no ``?`` and no
    secrets, ``body`` is decoded from any content-encoding.
    """

    upstream: str
    method: str
    path: str
    query: str
    headers: Headers
    body: bytes


@dataclass(slots=True, unsafe_hash=True)  # frozen takes three times as long; streams have many
class Chunk:
    """Bytes of a body and the moment, in seconds after the request, when they came.

    A value like all others here: nobody changes one.
    """

    offset: float
    data: bytes
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """A response after redaction; the chunks joined are the body, content-encoding undone."""

    status: int
    reason: str
    headers: Headers
    head_at: float
    chunks: tuple[Chunk, ...]
    ended_at: float
    end: End = "eof"

    @property
    def body(self) -> bytes:
        return b"".join(chunk.data for chunk in self.chunks)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told of an interaction in a cassette's columns, in the log and in metrics.

    ``model`` is empty where the request names none, at most 200 characters and always
    encodable; ``stream`` says that the request asked for a stream or the reply is one.
    Tokens are those that the reply itself reports, None where it does not, and fit into 64
    bits; input is without cache reads where a provider reports it so (Anthropic), output
    includes reasoning.
    """

    model: str = ""
    stream: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None


NO_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request and its response, as a cassette holds them.

    ``id`` is 0 until the cassette has given one; ``run`` numbers the recordings into one
    cassette from 1; ``recorded_at`` is seconds since the epoch.
    """

    id: int
    run: int
    session: str
    recorded_at: float
    request: RecordedRequest
    response: RecordedResponse


@dataclass(frozen=True, slots=True)
class Problem:
    """An error before it has a provider's shape.

    ``kind`` is one of OpenAI's words, such as ``invalid_request_error``; a dialect
    translates it. ``detail`` is added to the body as ``llmproxy`` for programs to read;
    ``request_id`` stands in the body of a provider who repeats it there.
    """

    status: int
    message: str
    kind: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    detail: dict[str, object] | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """How a reply was found: ``turn`` 3 of ``turns`` 2 is a repeat.

    ``generated`` says that generated values (uuids, times, today's date) differ.
    """

    level: Level
    interaction: int
    turn: int
    turns: int
    generated: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer on its way to the client, whoever gave it.

    A tuple of ``chunks`` is sent at ``received_at + offset`` each. An iterable is live: its
    chunks carry the moment at which they came and go out at once; where it breaks off it
    raises ``StreamBroken``. ``client_left`` tells a live source that nobody reads any more;
    its iterable is then still read to its end. ``labels`` are our own header lines, ``rule``
    names the rule that answered, ``facts`` are what is known of its model and tokens.
    ``head`` may hold status line, ``headers`` and ``labels`` as bytes already. ``status`` 0 is
    no answer at all: the connection breaks at ``head_at``. ``final`` says at its
    end what became known of a live one; ``done`` is told the facts when the reply has left, or
    never will.
    """

    source: Source
    status: int
    reason: str
    headers: Headers
    head_at: float
    chunks: AsyncIterable[Chunk] | tuple[Chunk, ...]
    ended_at: float | None = None
    end: End = "eof"
    match: Match | None = None
    labels: Headers = ()
    miss: str = ""
    rule: str = ""
    facts: Facts = NO_FACTS
    client_left: Callable[[], None] | None = None
    done: Callable[[Facts], None] | None = None
    final: Callable[[], Facts] | None = None
    head: bytes = b""
