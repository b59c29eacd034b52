"""OpenAI's Embeddings.

Strategy: a vector is made from the text alone, so the same text has the same vector everywhere;
both encodings carry the same 32-bit numbers. Facts are from ``openai`` 3.52 and OpenAI's API
reference.
"""

from __future__ import annotations

import re
import struct
from base64 import b64encode
from typing import Any

from llmproxy.dialects.openai import words
from llmproxy.dialects.openai.inputs import Input, as_text, count_input, read_inputs
from llmproxy.dialects.operation import Call, Means, Plain, PlainReply, encode_rows
from llmproxy.dialects.reading import Fields
from llmproxy.models import Catalogue, Model
from llmproxy.synthesis.vectors import unit_vector

_PATH = re.compile(
    r"(?:/deployments/(?P<model>[^/]+)|/engines/(?P<engine>[^/]+))?(?:^|/)embeddings/?$"
)
_DIMENSIONS = 1536
_MOST_DIMENSIONS = 4096
_FIXED = re.compile(r"(?:^|/)text-embedding-ada-002")
_LENIENT_MODEL = "text-embedding-3-small"


def embed(call: Call, means: Means) -> PlainReply:
    """One unit vector an input, in order.

    Raises:
        Refused: an input is missing, empty or too long, or asks for what the model cannot.
    """
    fields = Fields.of_body(call.body, words.WORDING)
    model = _read_model(call, fields)
    inputs = read_inputs(fields, "input")
    encoding = fields.text("encoding_format", "float", "base64")
    dimensions = _read_dimensions(fields, model, means.models)
    fields.text("user")
    tokens = _count(call, fields, inputs, means, means.models.find(model))
    rows = (
        {
            "object": "embedding",
            "index": index,
            "embedding": _vector(given, dimensions, encoding),
        }
        for index, given in enumerate(inputs)
    )
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "data": [], "model": model, "usage": usage}
    return PlainReply(encode_rows(body, "data", rows))


def _read_model(call: Call, fields: Fields) -> str:
    named = fields.text("model") or call.variables.get("model") or call.variables.get("engine")
    if not named and call.lenient:
        return _LENIENT_MODEL
    return named or fields.required_text("model")


def _read_dimensions(fields: Fields, model: str, models: Catalogue) -> int:
    known = models.find(model)
    most = known.dimensions if known and known.dimensions else _MOST_DIMENSIONS
    asked = fields.integer("dimensions", 1, most)
    if asked is None:
        return known.dimensions if known and known.dimensions else _DIMENSIONS
    if _FIXED.search(model):
        fields.refuse("dimensions", "is not supported by this model")
    return asked


def _count(
    call: Call, fields: Fields, inputs: tuple[Input, ...], means: Means, known: Model | None
) -> int:
    """The tokens of all inputs; each must hold some and fit into the model's context."""
    most = known.context if known and known.dimensions and not call.lenient else None
    total = 0
    for number, given in enumerate(inputs):
        name = "input" if len(inputs) == 1 else f"input[{number}]"
        if not given:
            fields.refuse(name, "must not be empty")
        tokens = count_input(given, means.count)
        if most is not None and tokens > most:
            fields.refuse(name, f"must have at most {most} tokens, but has {tokens}")
        total += tokens
    return total


def _vector(given: Input, dimensions: int, encoding: str | None) -> Any:
    packed = struct.pack(f"<{dimensions}f", *unit_vector(as_text(given), dimensions))
    if encoding == "base64":
        return b64encode(packed).decode()
    return list(struct.unpack(f"<{dimensions}f", packed))


EMBEDDINGS = (Plain("openai_embeddings", "POST", _PATH, embed, counts=True, slow=True),)
