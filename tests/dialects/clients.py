"""What readers of replies share: events as the SDK splits them, objects as it validates them."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from openai._streaming import SSEDecoder
from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)


def sse_data(body: bytes) -> list[str]:
    """The data of each server-sent event, ``[DONE]`` too."""
    return [event.data for event in SSEDecoder().iter_bytes(iter([body]))]


def sse_objects(body: bytes) -> list[dict[str, Any]]:
    """The JSON of each event of a stream that must end with ``[DONE]``."""
    *rows, done = sse_data(body)
    assert done == "[DONE]"
    return [json.loads(row) for row in rows]


def typed(model: type[Model], value: dict[str, Any]) -> Model:
    """The object as the SDK makes it, validated before with all its types.

    Validation refuses half of a surrogate pair, which the SDK itself passes on.
    """
    whole = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    model.model_validate_json(whole)
    return model.construct(**value)


def arguments(text: str | None) -> Any:
    """A call's arguments parsed; the text itself where it is no JSON."""
    try:
        return json.loads(text or "")
    except ValueError:
        return text
