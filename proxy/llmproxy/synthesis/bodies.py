"""The JSON of a request, as a provider reads it: strictly, and refused with the place.

Bounded in depth, so that nothing behind it need fear a deep one.
"""

from __future__ import annotations

import json
from typing import Any

from llmproxy.dialects.operation import Refused
from llmproxy.interaction import Problem

DEEPEST = 200
"""Levels of objects and arrays that a body may have inside each other."""


def read_body(body: bytes) -> Any:
    """The JSON of a request; None where there is no body.

    Raises:
        Refused: it is none, or is nested too deeply.
    """
    if not body:
        return None
    try:
        value = _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except RecursionError:
        raise Refused(_unreadable(f"it is nested deeper than {DEEPEST} levels")) from None
    except json.JSONDecodeError as error:
        why = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise Refused(_unreadable(why)) from None
    except UnicodeDecodeError as error:
        raise Refused(_unreadable(f"it is not UTF-8 at byte {error.start}")) from None
    except _NoNumberError as error:
        raise Refused(_unreadable(f"{error}")) from None
    except ValueError:
        raise Refused(_unreadable("it holds a number with too many digits")) from None
    if body.count(b"[") + body.count(b"{") > DEEPEST and _deep(value):
        raise Refused(_unreadable(f"it is nested deeper than {DEEPEST} levels"))
    return value


class _NoNumberError(ValueError):
    """A word that Python reads as a number and JSON does not know."""


def _no_constant(name: str) -> None:
    raise _NoNumberError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _unreadable(why: str) -> Problem:
    return Problem(400, f"The JSON body of the request could not be parsed: {why}.")


def _deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
