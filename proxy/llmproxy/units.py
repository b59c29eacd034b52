"""How durations, sizes and paces are written: one parser and one writer for each.

A parser takes what a YAML file, a variable or a flag holds (text or a number) and raises
``ValueError`` with a sentence that quotes the value and says what to write instead. A writer
gives text that its parser reads back as the same value. Pure; knows no settings.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal

DURATION_PATTERN = r"[0-9]+(\.[0-9]+)?(ms|s|m|h)"
"""A written duration, for ``re.fullmatch`` and for JSON Schema."""
SIZE_PATTERN = r"[0-9]+(\.[0-9]+)?([kKmMgG][iI]?)?[bB]"
"""A written size."""
PACE_PATTERN = r"recorded|instant|[0-9]+(\.[0-9]+)?x"
"""A written pace."""

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_BYTES = {
    "GB": 1000**3,
    "GiB": 1024**3,
    "MB": 1000**2,
    "MiB": 1024**2,
    "KB": 1000,
    "KiB": 1024,
    "B": 1,
}
_BYTES_BY_LOWER_NAME = {name.lower(): factor for name, factor in _BYTES.items()}
_LONGEST = 32
"""Characters of a written value; keeps numbers small enough to reckon with."""
_LONGEST_QUOTE = 60


def quote(value: object) -> str:
    """A value for an error message: one printable line of at most 60 characters."""
    if isinstance(value, str):
        cut = value[:_LONGEST_QUOTE]
        text = json.dumps(cut, ensure_ascii=not cut.isprintable())
    elif value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, int | float):
        text = str(value)
    else:
        return "this list" if isinstance(value, list | tuple) else "this group"
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 2] + '…"'


def parse_duration(value: object) -> float:
    """Seconds, 0 or more, of ``500ms``, ``10s``, ``2m``, ``1h`` or a number of seconds."""
    number, unit = _split(value, DURATION_PATTERN, "s")
    if number is None:
        raise ValueError(f"{quote(value)} is not a duration; write 500ms, 10s, 2m or 1h")
    return float(number * _SECONDS[unit])


def format_duration(seconds: float) -> str:
    """``60s``, ``0.5s`` or, below a second and even, ``250ms``."""
    number = Decimal(repr(float(seconds)))
    if 0 < number < 1:
        return f"{_plain(number * 1000)}ms"
    return f"{_plain(number)}s"


def parse_size(value: object) -> int:
    """Bytes, 0 or more, of ``512KB``, ``256MB``, ``1GiB`` or a number of bytes.

    KB, MB and GB count in thousands, KiB, MiB and GiB in 1024s; case does not matter.
    """
    number, unit = _split(value, SIZE_PATTERN, "b")
    if number is None:
        raise ValueError(f"{quote(value)} is not a size; write 512KB, 256MB or 1GiB")
    size = number * _BYTES_BY_LOWER_NAME[unit]
    if size != int(size):
        raise ValueError(f"{quote(value)} is not a whole number of bytes")
    return int(size)


def format_size(size: int) -> str:
    """The size in the largest unit that divides it: ``256MB``, ``64KiB``, ``1234B``."""
    for unit, factor in _BYTES.items():
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def parse_pace(value: object) -> float:
    """How many times as fast as recorded: 1.0, ``math.inf`` for ``instant``, 2.0 for ``2x``."""
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > _LONGEST or not re.fullmatch(PACE_PATTERN, text):
        raise ValueError(f"{quote(value)} is not a pace; write recorded, instant, 2x or 0.5x")
    if text in ("recorded", "instant"):
        return 1.0 if text == "recorded" else math.inf
    factor = float(text[:-1])
    if factor == 0:
        raise ValueError(f"{quote(value)} would never end; write a pace above 0, such as 0.5x")
    return factor


def format_pace(factor: float) -> str:
    """``recorded``, ``instant``, ``2x`` or ``0.5x``."""
    if factor == 1:
        return "recorded"
    return "instant" if math.isinf(factor) else f"{_plain(Decimal(repr(float(factor))))}x"


def _split(value: object, pattern: str, bare_unit: str) -> tuple[Decimal | None, str]:
    """Number and lower-case unit; no number where the value is not written like that.

    A number, or text that is only a number, has the bare unit.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None, ""
    text = value.strip() if isinstance(value, str) else _plain(Decimal(repr(value)))
    if text[-1:].isdigit():
        text += bare_unit
    if len(text) > _LONGEST or not re.fullmatch(pattern, text):
        return None, ""
    digits = re.match(r"[0-9.]+", text)
    assert digits is not None
    return Decimal(digits.group()), text[digits.end() :].lower()


def _plain(number: Decimal) -> str:
    """The number without exponent and without zeros that say nothing."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
