"""Edits to bytes, and what becomes of the places where those bytes were cut.

Strategy: whoever finds something names a span and what shall stand there; all edits of one
round are merged, then the bytes are put together anew. Nothing outside a span changes. Cuts
(the boundaries between the chunks of a stream) move along; a cut inside a span moves behind
what replaces it. This file knows nothing of secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

PLACEHOLDER = b"<redacted>"
"""What stands for a secret: valid inside JSON strings, headers and forms."""


class Edit(NamedTuple):
    """``text`` shall stand in the place of ``data[start:end]``."""

    start: int
    end: int
    text: bytes = PLACEHOLDER


def merge(edits: Iterable[Edit]) -> list[Edit]:
    """The same edits in order and apart.

    Of two, one inside the other, the outer stays; two that overlap become one placeholder.
    What begins with a removal stays one: its placeholder stands in an earlier piece.
    """
    merged: list[Edit] = []
    for edit in sorted(set(edits), key=lambda edit: (edit.start, edit.text != b"", -edit.end)):
        last = merged[-1] if merged else None
        if last is None or edit.start >= last.end:
            merged.append(edit)
        elif edit.end > last.end:
            merged[-1] = Edit(last.start, edit.end, last.text and PLACEHOLDER)
    return merged


def splice(
    data: bytes, edits: Iterable[Edit], cuts: Sequence[int] = ()
) -> tuple[bytes, Sequence[int]]:
    """The bytes after the edits, and the cuts in them.

    Args:
        data: what is edited.
        edits: in any order; they may overlap (see ``merge``).
        cuts: positions in ``data``, ascending.
    """
    ordered = merge(edits)
    if not ordered:
        return data, cuts
    pieces: list[bytes] = []
    position = 0
    for edit in ordered:
        pieces += (data[position : edit.start], edit.text)
        position = edit.end
    pieces.append(data[position:])
    return b"".join(pieces), _move(cuts, ordered)


def _move(cuts: Sequence[int], edits: list[Edit]) -> list[int]:
    moved: list[int] = []
    shift = done = 0
    for cut in cuts:
        while done < len(edits) and edits[done].end <= cut:
            shift += len(edits[done].text) - (edits[done].end - edits[done].start)
            done += 1
        inside = done < len(edits) and edits[done].start < cut
        moved.append(edits[done].start + len(edits[done].text) + shift if inside else cut + shift)
    return moved


def overlaps_placeholder(data: bytes, start: int, end: int) -> bool:
    """Whether a placeholder that stands in ``data`` reaches into the span."""
    reach = len(PLACEHOLDER) - 1
    return data.find(PLACEHOLDER, max(0, start - reach), end + reach) >= 0
