"""What Completions and Embeddings are given: texts, or the numbers of tokens.

Both take one text, a list of texts, one list of tokens, or a list of such lists. Tokens are not
turned back into text, for which a vocabulary would be needed: they stand as they are written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmproxy.dialects.operation import Refused
from llmproxy.dialects.reading import Fields, kind

Input = str | tuple[int, ...]
"""A text or the numbers of its tokens."""

MOST_INPUTS = 2048
_MOST_TOKEN = 2**31 - 1


def read_inputs(fields: Fields, name: str) -> tuple[Input, ...]:
    """All inputs, at least one.

    Raises:
        Refused: the member is missing, empty, too long, or is no text and no list of such.
    """
    value = fields.get(name)
    if value is None:
        fields.refuse_missing(name)
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        fields.refuse_type(name, "a string or an array", value)
    if not value:
        fields.refuse(name, "must not be empty")
    if isinstance(value[0], str):
        inputs: tuple[Input, ...] = fields.texts(name)
    elif isinstance(value[0], list):
        inputs = tuple(_tokens(fields, name, each, at) for at, each in enumerate(value))
    else:
        inputs = (_tokens(fields, name, value),)
    if len(inputs) > MOST_INPUTS:
        fields.refuse(name, f"must hold at most {MOST_INPUTS} inputs")
    return inputs


def _tokens(fields: Fields, name: str, value: Any, at: int | None = None) -> tuple[int, ...]:
    """One list of tokens, which is the member itself or stands in it at ``at``."""
    place = fields.at(name) if at is None else fields.wording.join(fields.at(name), at)
    if not isinstance(value, list):
        raise Refused(fields.wording.wrong(place, "an array", kind(value)))
    if not value:
        raise Refused(fields.wording.invalid(place, "must not be empty"))
    for number, token in enumerate(value):
        if type(token) is not int:
            where = fields.wording.join(place, number)
            raise Refused(fields.wording.wrong(where, "a string or a token", kind(token)))
        if not 0 <= token <= _MOST_TOKEN:
            where = fields.wording.join(place, number)
            raise Refused(fields.wording.invalid(where, "must be the number of a token"))
    return tuple(value)


def as_text(given: Input) -> str:
    """The text, or the tokens as they are written."""
    return given if isinstance(given, str) else str(list(given))


def count_input(given: Input, count: Callable[[str], int]) -> int:
    """The tokens of an input; ``count`` counts those of a text."""
    return count(given) if isinstance(given, str) else len(given)
