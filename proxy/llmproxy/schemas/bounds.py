"""What bounds the making of values: a budget of steps, and the two ways to fail.

A schema is a stranger's input. Every loop over it pays into one budget, so that time and
memory stay bounded whatever it says, without a look at a clock.
"""

from __future__ import annotations

STEPS = 30_000
"""Steps that one value may cost; an ordinary tool schema takes under a hundred."""
MAX_TEXT = 20_000
"""Characters in one text."""
MAX_ITEMS = 1_000
"""Items in one array, properties in one object."""
MAX_DEPTH = 32
"""Levels of the made-up value."""
_CHARACTERS_PER_STEP = 50


class Impossible(Exception):
    """No value can be found for the schema, or it is no schema; the message names the place."""


class Dead(Exception):
    """This branch of the search has no value; another may have one."""

    place: str = ""
    """Where in the value: ``.address.city``, ``.tags[0]``; empty: at its root, or not known."""


class Budget:
    """The steps left for one value."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS) -> None:
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Pay for some work.

        Raises:
            Impossible: nothing is left.
        """
        self.left -= steps
        if self.left < 0:
            raise Impossible("no value was found within the steps that one schema may cost")

    def spend_text(self, length: int) -> None:
        """Pay for writing or reading a text of ``length`` characters."""
        self.spend(1 + length // _CHARACTERS_PER_STEP)
