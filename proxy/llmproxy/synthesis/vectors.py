"""Embeddings without a model: a text's unit vector, the same in every run and on every machine.

Strategy: feature hashing. Each word adds to a few coordinates that its hash picks, so texts
that share words point in similar directions and a demo of search finds what it should; a
small dense part from the hash of the whole text tells apart texts of the same words. Knows no
provider and no token.
"""

from __future__ import annotations

import array
import hashlib
import math
import re
import struct
from collections import Counter
from itertools import islice

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_PICKS = struct.Struct("<16H")
_OWN_PART = 0.25
MOST_WORDS = 2048
"""Words beyond these move a vector only through the text's own part."""


def unit_vector(text: str, dimensions: int) -> tuple[float, ...]:
    """The embedding of a text, of length 1 within 1e-6.

    Args:
        text: any text; words are compared without regard to case.
        dimensions: how many coordinates, at least 1.
    """
    own = _own_part(text, dimensions)
    words = _word_part(text, dimensions)
    scale = _OWN_PART / math.hypot(*own)
    size = math.hypot(*words)
    if size:
        vector = [word / size + scale * value for word, value in zip(words, own, strict=True)]
    else:
        vector = [scale * value for value in own]
    length = math.hypot(*vector)
    if not length:
        return (1.0, *[0.0] * (dimensions - 1))
    return tuple([value / length for value in vector])


def _word_part(text: str, dimensions: int) -> list[float]:
    """Each word weighs by the logarithm of its count, short words less than long ones."""
    sums = [0.0] * dimensions
    found = (match[0].lower() for match in _WORD.finditer(text))
    for word, count in Counter(islice(found, MOST_WORDS)).items():
        weight = math.log1p(count) * min(len(word), 5)
        digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
        for pick in _PICKS.unpack(digest):
            sums[(pick >> 1) % dimensions] += weight if pick & 1 else -weight
    return sums


def _own_part(text: str, dimensions: int) -> list[int]:
    """Odd numbers, so that none is 0."""
    stream = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(dimensions)
    return [2 * value + 1 for value in array.array("b", stream)]
