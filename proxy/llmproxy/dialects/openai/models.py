"""OpenAI's list of models.

Strategy: what the catalogue knows, in OpenAI's shape with some members beside it that other
servers of this API have (``description``, ``permission``, ``root``, ``parent``) and clients
ignore. An id may hold slashes (OpenRouter's) and colons (tags, tuned models). Facts are from
``openai`` 3.52 and OpenAI's API reference.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from llmproxy.dialects.operation import Call, Means, Plain, PlainReply, Refused
from llmproxy.interaction import Problem
from llmproxy.models import Model

_LIST = re.compile(r"(?:^|/)models/?$")
_ONE = re.compile(r"(?:^|/)models/(?P<model>[^/].*?)/?$", re.DOTALL)


def list_models(_call: Call, means: Means) -> PlainReply:
    """All of OpenAI's."""
    rows = [_model(model) for model in means.models.of("openai")]
    return PlainReply({"object": "list", "data": rows})


def get_model(call: Call, means: Means) -> PlainReply:
    """One that is known, whoever makes it."""
    id = call.variables["model"]
    model = means.models.find(id)
    if model is None:
        _refuse_unknown(id)
    return PlainReply(_model(model))


def delete_model(call: Call, means: Means) -> PlainReply:
    """Always refused: nobody may delete what the provider made."""
    id = call.variables["model"]
    if means.models.find(id) is None:
        _refuse_unknown(id)
    message = f"You have insufficient permissions to delete the model '{id}'."
    raise Refused(Problem(403, message, param="model"))


def _refuse_unknown(id: str) -> NoReturn:
    message = f"The model '{id}' does not exist"
    raise Refused(Problem(404, message, code="model_not_found", param="model"))


def _model(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owner or "system",
        "permission": [],
        "root": model.id,
        "parent": None,
        "description": model.description,
    }


MODELS = (
    Plain("openai_models", "GET", _LIST, list_models),
    Plain("openai_model", "GET", _ONE, get_model),
    Plain("openai_delete_model", "DELETE", _ONE, delete_model),
)
