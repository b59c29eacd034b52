"""Facts out of bodies: the model asked for, and the tokens a reply reports.

Strategy: bodies may be large and may be garbage, so as little as possible is parsed. In a
large JSON object the members wanted nearly always lie at one of its ends, and what lies
between an end and such a member is itself an object once a brace is added: if that parses,
the member was at the top level and nowhere else. In a stream the last events are searched
backwards, then the first ones. What is not found so is unknown, never guessed.

This file knows where to look, not what usage looks like: dialects hand that in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, islice
from typing import Any

from llmproxy import sse
from llmproxy.dialects.failures import parse, parse_object

Usage = tuple[int | None, int | None]
"""Input and output tokens."""

UsageReader = Callable[[dict[str, Any]], Usage]
"""Reads the usage out of one JSON object of the provider's: a reply or an event."""

_SMALL = 8 * 2**10
_WHOLE = 2**20
_EDGE = 64 * 2**10
_TRIES = 4
_MARKED = 32
_HEAD_BLOCKS = 4
_SCALAR = rb'("(?:[^"\\]|\\.)*"|true|false|null|-?[0-9][0-9.eE+-]*)'


def request_members(body: bytes, *names: str) -> dict[str, Any]:
    """The top-level members called ``names`` of a JSON object, perhaps with others.

    Exact up to 1 MB; of a larger object only its first and last 64 KB count. A form
    (``multipart/form-data``) gives its text fields.
    """
    if body.startswith(b"--"):
        return {name: text for name in names if (text := _form_field(body, name)) is not None}
    if len(body) <= _SMALL:
        return parse_object(body)
    found: dict[str, Any] = {}
    for name in names:
        if len(body) <= _WHOLE and b'"%b"' % name.encode() not in body:
            continue
        members = _from_head(body, name) or _from_tail(body, _scalar_member(name))
        if not members and len(body) <= _WHOLE:
            return parse_object(body)
        found.update(members)
    return found


def usage(content_type: str, body: bytes, mark: re.Pattern[bytes], read: UsageReader) -> Usage:
    """The last usage that a reply reports.

    Each number is looked for by itself: a stream may give input first and output last.

    Args:
        content_type: the reply's.
        body: the reply's, decoded.
        mark: matches any bytes that can hold usage; all others are not parsed.
        read: gives the usage of one JSON object.
    """
    entering, leaving = None, None
    for record in _records_backwards(content_type, body, mark):
        first, second = read(record)
        entering = first if entering is None else entering
        leaving = second if leaving is None else leaving
        if entering is not None and leaving is not None:
            break
    return entering, leaving


def count(value: object) -> int | None:
    """A number of tokens that fits into a column, or None."""
    return value if type(value) is int and 0 <= value < 2**63 else None


def total(*values: object) -> int | None:
    """The sum of the counts that are there; None where none is."""
    counts = [number for value in values if (number := count(value)) is not None]
    return count(sum(counts)) if counts else None


def member(record: dict[str, Any], name: str) -> dict[str, Any]:
    """An object inside an object, or an empty one."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def model_name(value: object) -> str:
    """A model's name as a column holds it, or an empty text."""
    if not isinstance(value, str):
        return ""
    return value[:200].encode("utf-8", "replace").decode()


def _records_backwards(
    content_type: str, body: bytes, mark: re.Pattern[bytes]
) -> Iterator[dict[str, Any]]:
    if sse.is_event_stream(content_type):
        marked = filter(mark.search, sse.last_blocks(body))
        first = sse.first_blocks(body)[:_HEAD_BLOCKS]
        blocks = chain(islice(marked, _MARKED), filter(mark.search, first))
        events = chain.from_iterable(map(sse.read_events, blocks))
        yield from (parse_object(event.data) for event in events)
    elif sse.is_ndjson(content_type):
        marked = filter(mark.search, sse.last_lines(body))
        yield from map(parse_object, islice(marked, _MARKED))
    else:
        yield from _replies_backwards(body, mark)


def _replies_backwards(body: bytes, mark: re.Pattern[bytes]) -> Iterator[dict[str, Any]]:
    """A JSON reply; an array of them is how Gemini streams to those who ask for no SSE."""
    if len(body) > _SMALL and (members := _from_tail(body, mark)):
        yield members
    elif len(body) <= _WHOLE:
        value = parse(body)
        values = reversed(value) if isinstance(value, list) else [value]
        yield from (value for value in islice(values, _MARKED) if isinstance(value, dict))


def _from_head(body: bytes, name: str) -> dict[str, Any]:
    """The members up to and with ``name``, if that lies in the first bytes of an object."""
    head = body[:_EDGE]
    for match in islice(_scalar_member(name).finditer(head), _TRIES):
        members = parse_object(head[: match.end()] + b"}")
        if name in members:
            return members
    return {}


def _from_tail(body: bytes, mark: re.Pattern[bytes]) -> dict[str, Any]:
    """The members from one that ``mark`` matches to the end, if that lies in the last bytes.

    Of an array they are those of its last object.
    """
    tail = body[-_EDGE:].rstrip().removesuffix(b"]")
    for match in list(mark.finditer(tail))[: -_TRIES - 1 : -1]:
        members = parse_object(b"{" + tail[match.start() :])
        if members:
            return members
    return {}


@cache
def _scalar_member(name: str) -> re.Pattern[bytes]:
    return re.compile(rb'"%b"\s*:\s*' % re.escape(name).encode() + _SCALAR)


def _form_field(body: bytes, name: str) -> str | None:
    pattern = rb'name="%b"[^\r\n]*\r\n(?:[^\r\n]+\r\n){0,8}\r\n([^\r\n]{0,1000})\r\n'
    pattern %= re.escape(name).encode()
    match = re.search(pattern, body[:_EDGE]) or re.search(pattern, body[-_EDGE:])
    return match[1].decode("utf-8", "replace") if match else None
