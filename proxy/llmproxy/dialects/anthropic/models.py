"""Anthropic's list of models, page by page, and one of them.

Strategy: what the catalogue knows of Anthropic's, in its order; a page lies after or before the
model that the request names. Facts are from ``anthropic`` 2.11 and Anthropic's API reference.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from llmproxy.dialects.anthropic.words import refuse
from llmproxy.dialects.operation import Call, Means, Plain, PlainReply, Refused
from llmproxy.interaction import Problem
from llmproxy.models import Model

_LIST = re.compile(r"(?:^|/)models/?$")
_ONE = re.compile(r"(?:^|/)models/(?P<model>[^/]+)/?$")
_LINE = re.compile(r"haiku|sonnet|opus|fable|mythos")
_LIMIT = re.compile(r"[0-9]{1,4}")
_PAGE = 20
_LONGEST_PAGE = 1000
_LAST_MOMENT = 253_402_300_799
"""The last second of the year 9999."""


def list_models(call: Call, means: Means) -> PlainReply:
    """A page of the list: ``limit``, and ``after_id`` or ``before_id``."""
    known = means.models.of("anthropic")
    limit = _limit(call)
    start, end = 0, len(known)
    if after := call.query.get("after_id"):
        start = _place(known, "after_id", after) + 1
    if before := call.query.get("before_id"):
        end = _place(known, "before_id", before)
        page = known[max(start, end - limit) : end]
        more = end - limit > start
    else:
        page = known[start : start + limit]
        more = start + limit < end
    return PlainReply(
        {
            "data": [_model(model) for model in page],
            "has_more": more,
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
    )


def _limit(call: Call) -> int:
    asked = call.query.get("limit")
    if asked is None:
        return _PAGE
    if not _LIMIT.fullmatch(asked):
        refuse("limit", f"Input should be a valid integer from 1 to {_LONGEST_PAGE}")
    limit = int(asked)
    if not 1 <= limit <= _LONGEST_PAGE:
        refuse("limit", f"Input should be from 1 to {_LONGEST_PAGE}")
    return limit


def _place(known: tuple[Model, ...], name: str, id: str) -> int:
    place = next((place for place, model in enumerate(known) if model.id == id), None)
    if place is None:
        refuse(name, f"there is no model {id[:80]!r} to go on from")
    return place


def get_model(call: Call, means: Means) -> PlainReply:
    """One of Anthropic's."""
    id = call.variables["model"]
    for model in means.models.of("anthropic"):
        if model.id == id:
            return PlainReply(_model(model))
    raise Refused(Problem(404, f"model: {id}", kind="not_found_error"))


def _model(model: Model) -> dict[str, Any]:
    moment = datetime.fromtimestamp(min(max(model.created, 0), _LAST_MOMENT), UTC)
    line = _LINE.search(model.id)
    return {
        "type": "model",
        "id": model.id,
        "display_name": display_name(model.id),
        "created_at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "line": line[0] if line else None,
        "max_input_tokens": model.context,
        "max_tokens": model.longest,
    }


def display_name(id: str) -> str:
    """``claude-sonnet-4-5-20250929`` is Claude Sonnet 4.5."""
    undated = re.sub(r"-(?:\d{8}|latest)$", "", id)
    dotted = re.sub(r"(?<=\d)-(?=\d)", ".", undated)
    return " ".join(word[:1].upper() + word[1:] for word in dotted.split("-"))


MODELS = (
    Plain("anthropic_models", "GET", _LIST, list_models),
    Plain("anthropic_model", "GET", _ONE, get_model),
)
