"""Gemini's list of models, and one of them.

Strategy: the models known are shown as Google shows its own; a page token is the place in the
list where the next page begins. Tuned models are known only where a catalogue names them
``tunedModels/...``. Facts are from ``google-genai`` 3.4 and Google's API reference.
"""

from __future__ import annotations

import re
from typing import Any

from llmproxy.dialects.gemini import words
from llmproxy.dialects.operation import Call, Means, Plain, PlainReply, Refused
from llmproxy.interaction import Problem
from llmproxy.models import Model

_PAGE = 50
_MOST = 1000
_NUMBER = re.compile(r"[0-9]{1,9}")
_GENERATES = ["generateContent", "streamGenerateContent", "countTokens"]
_EMBEDS = ["embedContent", "batchEmbedContents", "countTokens"]
_TUNED = "tunedModels/"
_SAMPLING = {"temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2}


def list_models(call: Call, means: Means) -> PlainReply:
    """A page of models, ``nextPageToken`` where more follow."""
    kind = call.variables.get("kind") or "models"
    tuned = kind == "tunedModels"
    known = [each for each in means.models.of("gemini") if each.id.startswith(_TUNED) == tuned]
    start = _number(call, "pageToken")
    size = min(_number(call, "pageSize") or _PAGE, _MOST)
    page = {kind: [_described(each) for each in known[start : start + size]]}
    if start + size < len(known):
        return PlainReply({**page, "nextPageToken": str(start + size)})
    return PlainReply(page)


def get_model(call: Call, means: Means) -> PlainReply:
    """One model.

    Raises:
        Refused: 404, there is none of that name.
    """
    name = words.model_of(call)
    found = next((each for each in means.models.of("gemini") if each.id == name), None)
    if found is None:
        shown = name if name.startswith(_TUNED) else f"models/{name}"
        raise words.not_found(call, shown, "getModel")
    return PlainReply(_described(found))


def _described(model: Model) -> dict[str, Any]:
    bare = model.id.removeprefix(_TUNED)
    facts = {
        "name": model.id if model.id.startswith(_TUNED) else f"models/{model.id}",
        "version": "001",
        "displayName": bare.replace("-", " ").title(),
        "description": model.description,
        "inputTokenLimit": model.context,
        "outputTokenLimit": 1 if model.dimensions else model.longest,
        "supportedGenerationMethods": _EMBEDS if model.dimensions else _GENERATES,
    }
    return facts if model.dimensions else {**facts, **_SAMPLING}


def _number(call: Call, name: str) -> int:
    """A parameter of the query, 0 where it is absent."""
    spelled = words.snake(name)
    value = call.query.get(name) or call.query.get(spelled) or "0"
    if not _NUMBER.fullmatch(value):
        message = f"Invalid value at '{spelled}' (TYPE_INT32), expected a number not below 0"
        raise Refused(Problem(400, message, param=spelled))
    return int(value)


_LIST = re.compile(r"(?:^|/)(?P<kind>models|tunedModels)/?$")
_ONE = re.compile(r"(?:^|/)(?P<kind>models|tunedModels)/(?P<model>(?:(?!%3[Aa])[^/:])+)/?$")

OPERATIONS = (
    Plain("gemini_models", "GET", _LIST, list_models),
    Plain("gemini_model", "GET", _ONE, get_model, model_of=words.model_of),
)
