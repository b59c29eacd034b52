"""Reads a schema as Anthropic's SDK sends it.

The SDK's ``transform_schema`` moves what the API does not enforce out of the schema into the
description, so that a model may follow it: after two line breaks ``{minimum: 1, maximum: 10}``.
Then it checks the reply against the whole model. So follow what can be read there.
Facts are from ``anthropic`` 2.11.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

_OTHERS = (
    "default|examples|format|discriminator|prefixItems|propertyNames|patternProperties|deprecated"
)


def followed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with the keywords that its descriptions tell; what it says itself stands."""
    whole = {**_told(schema.get("description")), **schema}
    for name in ("$defs", "properties"):
        if isinstance(inner := whole.get(name), dict):
            whole[name] = {key: _followed(value) for key, value in inner.items()}
    for name in ("anyOf", "allOf"):
        if isinstance(inner := whole.get(name), list):
            whole[name] = [_followed(value) for value in inner]
    if "items" in whole:
        whole["items"] = _followed(whole["items"])
    return whole


def _followed(schema: Any) -> Any:
    return followed(schema) if isinstance(schema, dict) else schema


def _told(description: Any) -> dict[str, Any]:
    """The keywords in the braces that end a description."""
    if not isinstance(description, str) or not description.endswith("}"):
        return {}
    start = description.rfind("\n\n{") + 2
    if start == 1:
        start = 0
    if not description.startswith("{", start):
        return {}
    pieces = _KEYWORD.split(description[start + 1 : -1])
    told = zip(pieces[1::2], pieces[2::2], strict=True)
    values = ((name, _KEYWORDS[name](text)) for name, text in told if name in _KEYWORDS)
    return {name: value for name, value in values if value is not None}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value


def _pattern(text: str) -> str | None:
    """None for one that Python does not understand."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return None
    return text


def _flag(text: str) -> bool | None:
    return {"True": True, "False": False}.get(text)


_KEYWORDS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(
        (
            *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
            *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        ),
        _number,
    ),
    "pattern": _pattern,
    "uniqueItems": _flag,
}
_KEYWORD = re.compile(rf"(?:^|, )({'|'.join(_KEYWORDS)}|{_OTHERS}): ")
