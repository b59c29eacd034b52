"""Reads a request's JSON, member by member, and refuses in the provider's words.

Strategy: a ``Fields`` stands for one object of the body and knows where it stands, so that each
refusal names the field (``messages[0].content``). How a provider says it is a ``Wording``.
Null is absent: every provider takes it so for what is optional.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from llmproxy.dialects.operation import Refused
from llmproxy.interaction import Problem


@dataclass(frozen=True, slots=True)
class Wording:
    """How one provider words what is wrong with a field.

    Attributes:
        missing: ``(place)``.
        wrong: ``(place, expected, got)``, such as ``("temperature", "a number", "a string")``.
        invalid: ``(place, why)``; ``why`` is a clause such as ``must be at least 1``.
        join: the place of a member, ``(place of its object, name or index)``.
        spellings: other names under which a member may stand; None: there are none.
    """

    missing: Callable[[str], Problem]
    wrong: Callable[[str, str, str], Problem]
    invalid: Callable[[str, str], Problem]
    join: Callable[[str, str | int], str]
    spellings: Callable[[str], tuple[str, ...]] | None = None


def dotted(place: str, part: str | int) -> str:
    """``messages[0].content``."""
    if isinstance(part, int):
        return f"{place}[{part}]"
    return f"{place}.{part}" if place else part


class Fields:
    """One object of the body."""

    __slots__ = ("members", "place", "wording")

    def __init__(self, members: Mapping[str, Any], wording: Wording, place: str = "") -> None:
        self.members = members
        self.wording = wording
        self.place = place

    @classmethod
    def of_body(cls, body: object, wording: Wording) -> Fields:
        """The fields of a whole body.

        Raises:
            Refused: it is no JSON object.
        """
        if not isinstance(body, dict):
            got = "nothing" if body is None else kind(body)
            message = f"The request body must be a JSON object, but it is {got}."
            raise Refused(Problem(400, message))
        return cls(body, wording)

    def get(self, name: str) -> Any:
        """The member, whatever it is; None where it is absent or null."""
        value = self.members.get(name)
        if value is None and self.wording.spellings is not None:
            others = map(self.members.get, self.wording.spellings(name))
            value = next((other for other in others if other is not None), None)
        return value

    def at(self, part: str | int) -> str:
        """Where a member stands."""
        return self.wording.join(self.place, part)

    def text(self, name: str, *choices: str) -> str | None:
        """A text, one of ``choices`` where any are given."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse_type(name, "a string", value)
        if choices and value not in choices:
            self.refuse(name, f"must be one of {', '.join(map(repr, choices))}")
        return value

    def required_text(self, name: str) -> str:
        """A text that must be there and not be empty."""
        value = self.text(name)
        if not value:
            self.refuse_missing(name)
        return value

    def integer(self, name: str, least: int | None = None, most: int | None = None) -> int | None:
        """A whole number; 3.0 counts as one."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int:
            self.refuse_type(name, "an integer", value)
        self._bounds(name, value, least, most)
        return value

    def number(
        self, name: str, least: float | None = None, most: float | None = None
    ) -> float | None:
        """A number."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse_type(name, "a number", value)
        if isinstance(value, float) and math.isnan(value):
            self.refuse(name, "must be a number")
        self._bounds(name, value, least, most)
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.refuse_type(name, "a boolean", value)
        return value

    def items(self, name: str) -> list[Any]:
        """A list; empty where it is absent."""
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse_type(name, "an array", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self.items(name)
        for number, value in enumerate(values):
            if not isinstance(value, str):
                problem = self.wording.wrong(
                    self.wording.join(self.at(name), number), "a string", kind(value)
                )
                raise Refused(problem)
        return tuple(values)

    def group(self, name: str) -> Fields | None:
        """An object inside; None where it is absent."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse_type(name, "an object", value)
        return Fields(value, self.wording, self.at(name))

    def groups(self, name: str) -> Iterator[Fields]:
        """A list of objects, empty where it is absent."""
        place = self.at(name)
        for number, value in enumerate(self.items(name)):
            where = self.wording.join(place, number)
            if not isinstance(value, dict):
                raise Refused(self.wording.wrong(where, "an object", kind(value)))
            yield Fields(value, self.wording, where)

    def refuse_missing(self, name: str) -> NoReturn:
        raise Refused(self.wording.missing(self.at(name)))

    def refuse_type(self, name: str, expected: str, value: object) -> NoReturn:
        raise Refused(self.wording.wrong(self.at(name), expected, kind(value)))

    def refuse(self, name: str, why: str) -> NoReturn:
        """``why`` is a clause without the field's name: ``must not be empty``."""
        raise Refused(self.wording.invalid(self.at(name), why))

    def _bounds(self, name: str, value: float, least: float | None, most: float | None) -> None:
        if least is not None and value < least:
            self.refuse(name, f"must be at least {least}")
        if most is not None and value > most:
            self.refuse(name, f"must be at most {most}")


def kind(value: object) -> str:
    """What a JSON value is, for a sentence."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return "a number"
    return "an array" if isinstance(value, list) else "an object"
