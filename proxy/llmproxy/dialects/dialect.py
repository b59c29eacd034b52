"""The contract: what there is to know of one provider's wire format.

A dialect is a value made of functions; nothing is inherited. Its file says whose request
is whose, how an error looks, how a stream that failed looks, and which of a request's and
a reply's facts stand in a cassette's readable columns. Functions are pure and never raise
on what a stranger sent. What it can answer by itself is in its ``operations``, whose contract
is in ``operation.py``.

A new dialect is one file with its value, one line in ``dialects/__init__.py`` and one
folder among the tests' examples; the contract tests then run over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from llmproxy.dialects.operation import IdMaker, Operation
from llmproxy.interaction import Facts, Headers, Problem

ErrorReply = tuple[int, Headers, bytes]
"""Status, headers (no content-length) and body."""


class StreamErrorWriter(Protocol):
    """Frames an error for a stream that is already running.

    ``path`` is the request's, for a provider whose streams differ by operation.
    """

    def __call__(self, problem: Problem, path: str = "", /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One provider's wire format.

    Attributes:
        name: lower case, unique; upstreams refer to it.
        claims: ``(method, path, headers, query)``: whether the request speaks it. Dialects
            are asked in the order of ``DIALECTS``, so one may rely on those before it.
        write_error: a whole reply in the provider's error envelope.
        write_stream_error: one event that ends a running stream.
        stream_failed: ``(content_type, body)``: why a recorded stream ended in an error, in
            words without any of its content, or None.
        read_facts: ``(request path, request body, reply's content type, reply body)``.
        operations: what it can answer; the first whose method and path fit.
        write_headers: ``(new_id, seconds)``: the header lines that the provider adds to
            every reply, errors too, which took so many seconds to make.
    """

    name: str
    claims: Callable[[str, str, Headers, str], bool]
    write_error: Callable[[Problem], ErrorReply]
    write_stream_error: StreamErrorWriter
    stream_failed: Callable[[str, bytes], str | None]
    read_facts: Callable[[str, bytes, str, bytes], Facts]
    operations: tuple[Operation, ...] = ()
    write_headers: Callable[[IdMaker, float], Headers] = lambda _new_id, _seconds: ()


def header(headers: Headers, name: str) -> str | None:
    """The first value of a header, its name given in lower case, or None."""
    for key, value in headers:
        if len(key) == len(name) and key.lower() == name:
            return value
    return None
