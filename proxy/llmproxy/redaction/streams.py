"""Secrets that a stream of events quotes piece by piece.

A model that repeats a key says it in tokens: ``"content":"sk-pr"`` in one event,
``"content":"oj-…"`` in the next. Strategy: string fields of the same name, in events of the same
index, are joined over the whole stream; the same nets look at the joined text; what they find
across pieces becomes a placeholder in the first piece and nothing in the others. Each
event stays an event.

An event is a line here (as providers send them: one ``data:`` line each, or NDJSON). Which
nets there are is not known here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from llmproxy.redaction.edits import Edit
from llmproxy.redaction.jsonspans import INSIDE_STRING

_LINE = re.compile(rb"^(?:data:|\{)[^\n]*+", re.MULTILINE)
_FIELD = re.compile(rb'"([A-Za-z_]\w*+)"\s*+:\s*+(?:"(%b)|(\d++))' % INSIDE_STRING, re.DOTALL)
_TELLS_APART = frozenset(
    {b"index", b"output_index", b"content_index", b"summary_index", b"item_id"}
)
_OPAQUE = frozenset(
    {
        b"data",
        b"encrypted_content",
        b"id",
        b"model",
        b"object",
        b"obfuscation",
        b"signature",
        b"thoughtSignature",
        b"thought_signature",
        b"type",
    }
)


@dataclass(frozen=True, slots=True)
class Joined:
    """What the pieces say together, and where each stands in the body."""

    text: bytes
    """One JSON string in its quotes."""
    starts: list[int]
    """Where each piece begins in ``text``, ascending."""
    places: list[int]
    """Where each piece begins in the body."""


def find_across_events(joined: list[Joined], find: Callable[[bytes], list[Edit]]) -> list[Edit]:
    """The edits of the body for what ``find`` sees only where the pieces are joined.

    Args:
        joined: as ``join_events`` gives them.
        find: one net; it is given each joined text as one JSON string.
    """
    return [
        piece for text in joined for edit in find(text.text) for piece in _over_pieces(text, edit)
    ]


def join_events(body: bytes) -> list[Joined]:
    """What each string field of the events says over a whole event stream or NDJSON."""
    pieces: dict[tuple[bytes, ...], list[tuple[int, int]]] = {}
    for line in _LINE.finditer(body):
        fields: list[tuple[bytes, tuple[int, int]]] = []
        event: list[bytes] = []
        for field in _FIELD.finditer(body, *line.span()):
            name = field[1]
            if name in _TELLS_APART:
                event.append(field[2] or field[3] or b"")
            elif field[2] and name not in _OPAQUE:
                fields.append((name, field.span(2)))
        for name, span in fields:
            pieces.setdefault((name, *event), []).append(span)
    return [_joined(body, spans) for spans in pieces.values() if len(spans) > 1]


def _joined(body: bytes, spans: list[tuple[int, int]]) -> Joined:
    sizes = (end - start for start, end in spans)
    starts = list(accumulate(sizes, initial=1))[:-1]
    text = b'"%b"' % b"".join([body[start:end] for start, end in spans])
    return Joined(text, starts, [start for start, _ in spans])


def _over_pieces(joined: Joined, edit: Edit) -> Iterator[Edit]:
    """An edit of the joined text as edits of the pieces, if it covers more than one."""
    first = bisect_right(joined.starts, edit.start) - 1
    last = bisect_right(joined.starts, edit.end - 1) - 1
    if first == last:
        return
    for index in range(first, last + 1):
        begin = joined.starts[index]
        end = joined.starts[index + 1] if index < last else edit.end
        place = joined.places[index] - begin
        start = max(begin, edit.start)
        yield Edit(place + start, place + end, edit.text if index == first else b"")
