"""The second half of the contract: what a dialect can answer by itself, one operation each.

An operation is a method and a path of a provider's API. A ``Text`` operation reads a request
into a ``Prompt`` and writes an ``Answer``, whole or as a stream; what is said, in which words
and at which moments is not its business. A ``Plain`` operation (models, embeddings, token
counts, stored responses) makes its whole answer. Both are pure: what changes from reply to
reply (time, ids, token counts, what a session stored) is handed in. What a provider would
refuse is refused with ``Refused``; nothing else may be raised, whatever a stranger sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import unquote

from llmproxy.answer import Answer
from llmproxy.interaction import Headers, Problem
from llmproxy.models import Catalogue
from llmproxy.prompt import Prompt
from llmproxy.tokens import Piece

ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
HEX = "0123456789abcdef"


class Refused(Exception):
    """The provider would refuse this request with ``problem``."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Call:
    """A request as an operation reads it.

    Attributes:
        query: parameters, decoded; of several with one name the last.
        variables: the named groups of the operation's path, decoded.
        body: the parsed JSON; None where there is no body.
        lenient: fill in what is missing where a default is known, instead of refusing.
        trusting: an id that nobody stored here may be a recorded one, so it is no error.
        stored: what this session stored by id (JSON text); shared by its requests, bounded.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Headers = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    lenient: bool = False
    trusting: bool = False
    stored: MutableMapping[str, bytes] = field(default_factory=dict)


class IdMaker(Protocol):
    """Makes ids in a provider's shape: ``new_id("chatcmpl-", 29)``."""

    def __call__(self, prefix: str, length: int, alphabet: str = ALNUM, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What an operation makes a reply from.

    Attributes:
        call: the request.
        created: now, in seconds since the epoch.
        new_id: a new id at each call; equal in equal runs where the seed is fixed.
        cut: a text as the pieces of a stream, which join to it; each says its tokens.
        count: the tokens of a text.
        count_prompt: the tokens of a prompt, messages and tools.
        models: the models that are known.
        usage_in_final_chunk: in a chat stream usage comes with the finish reason, always.
        reckon: gives ``took``; worked out only where it is told.
    """

    call: Call
    created: float
    new_id: IdMaker
    cut: Callable[[str], Iterable[Piece]]
    count: Callable[[str], int]
    count_prompt: Callable[[Prompt], int]
    models: Catalogue
    usage_in_final_chunk: bool = False
    reckon: Callable[[], float] = float

    @property
    def took(self) -> float:
        """The seconds that generating would have taken, for headers and durations."""
        return self.reckon()


@dataclass(slots=True, unsafe_hash=True)  # frozen takes three times as long; streams have many
class Frame:
    """A piece of a stream as it leaves: whole events, and how much text they carry.

    ``tokens`` and ``characters`` are 0 for frames without content (role, ping, finish).
    """

    data: bytes
    tokens: int = 0
    characters: int = 0


@dataclass(frozen=True, slots=True)
class PlainReply:
    """The whole answer of a ``Plain`` operation; ``body`` is a JSON value, or the bytes to send."""

    body: Any
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Text:
    """An operation that asks a model to write.

    Attributes:
        name: unique among all dialects, such as ``openai_chat``.
        path: searched in the path; its named groups become ``Call.variables``.
        read_prompt: raises ``Refused``.
        write_body: the JSON value of a whole reply.
        write_stream: the frames of a streamed one, in order.
        stream_type: the content type of the stream.
        fail_stream: frames that end a running stream with an error, given the frames that
            were sent; None: the dialect's ``write_stream_error``.
    """

    name: str
    path: re.Pattern[str]
    read_prompt: Callable[[Call], Prompt]
    write_body: Callable[[Prompt, Answer, Means], Any]
    write_stream: Callable[[Prompt, Answer, Means], Iterable[Frame]]
    stream_type: Callable[[Call], str]
    method: Literal["POST"] = "POST"
    fail_stream: Callable[[Problem, tuple[Frame, ...], Means], bytes] | None = None


def named_model(call: Call) -> str:
    """The model in the body or, below it, in the path."""
    body = call.body if isinstance(call.body, dict) else {}
    model = body.get("model") or call.variables.get("model")
    return model if isinstance(model, str) else ""


@dataclass(frozen=True, slots=True)
class Plain:
    """An operation whose answer is made at once; ``answer`` raises ``Refused``.

    ``counts`` says that it needs token counts of the model that ``model_of`` names, ``slow``
    that it may take milliseconds, so that it should not be done where streams wait.
    """

    name: str
    method: str
    path: re.Pattern[str]
    answer: Callable[[Call, Means], PlainReply]
    counts: bool = False
    slow: bool = False
    model_of: Callable[[Call], str] = named_model


Operation = Text | Plain


def find(
    operations: Iterable[Operation], method: str, path: str
) -> tuple[Operation, Mapping[str, str]] | None:
    """The operation of a request, and the variables of its path; None: no such path.

    Raises:
        Refused: 405, the path is there for another method.
    """
    elsewhere = None
    for operation in operations:
        match = operation.path.search(path)
        if match is None:
            continue
        if operation.method == method or (method == "HEAD" and operation.method == "GET"):
            groups = match.groupdict(default="")
            return operation, {name: unquote(value) for name, value in groups.items()}
        elsewhere = operation.method
    if elsewhere:
        message = f"Not allowed to {method} on {path}; use {elsewhere}."
        raise Refused(Problem(405, message, code="method_not_allowed"))
    return None


_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
"""What some clients take for the end of a line; only in texts, so it may be escaped."""
_TEXT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ASCII = json.JSONEncoder(separators=(",", ":")).encode


def encode(value: object) -> bytes:
    """JSON as providers write it: compact and in UTF-8; lone surrogates and what may end a line stay escaped."""
    text = _TEXT(value)
    if not text.isascii():
        text = _LINE_ENDS.sub(lambda end: f"\\u{ord(end[0]):04x}", text)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _ASCII(value).encode()


def encode_rows(value: Mapping[str, object], name: str, rows: Iterable[object]) -> bytes:
    """The JSON of ``value`` with ``rows`` in its empty list ``name``, written one by one.

    One call that writes millions of numbers would keep every other thread waiting.
    """
    before, after = encode(value).split(b'"%b":[]' % name.encode(), 1)
    written = b",".join(map(encode, rows))
    return b'%b"%b":[%b]%b' % (before, name.encode(), written, after)


def event_stream(_call: Call) -> str:
    """The content type of most streams."""
    return "text/event-stream; charset=utf-8"
