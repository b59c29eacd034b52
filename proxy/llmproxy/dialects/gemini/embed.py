"""Gemini's embedContent and batchEmbedContents.

Strategy: a vector is made from the content's text alone, so that the same text has the same
vector whatever it is embedded for; numbers have nine decimals, as single precision has. Facts
are from ``google-genai`` 3.4 and Google's API reference.
"""

from __future__ import annotations

from llmproxy.dialects.gemini import words
from llmproxy.dialects.operation import Call, Means, Plain, PlainReply, encode_rows
from llmproxy.dialects.reading import Fields
from llmproxy.synthesis.vectors import unit_vector

MOST_REQUESTS = 100
"""In one batch."""

_DIMENSIONS = 3072
_TASKS = (
    "TASK_TYPE_UNSPECIFIED",
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
)


def embed(call: Call, means: Means) -> PlainReply:
    """``{"embedding": {"values": [...]}}``."""
    fields = words.body_fields(call, words.wording("EmbedContentRequest"))
    return PlainReply({"embedding": _embedding(fields, _default(call, means))})


def batch_embed(call: Call, means: Means) -> PlainReply:
    """``{"embeddings": [...]}``, in the order of the requests."""
    fields = words.body_fields(call, words.wording("BatchEmbedContentsRequest"))
    requests = tuple(fields.groups("requests"))
    if not requests:
        fields.refuse_missing("requests")
    if len(requests) > MOST_REQUESTS:
        fields.refuse("requests", f"must hold at most {MOST_REQUESTS} requests in one batch")
    default = _default(call, means)
    rows = (_embedding(request, default) for request in requests)
    return PlainReply(encode_rows({"embeddings": []}, "embeddings", rows))


def _default(call: Call, means: Means) -> int:
    """The dimensions of the model's own vectors."""
    model = means.models.find(words.model_of(call))
    return model.dimensions if model and model.dimensions else _DIMENSIONS


def _embedding(fields: Fields, default: int) -> dict[str, list[float]]:
    fields.text("model")
    fields.text("taskType", *_TASKS)
    fields.text("title")
    dimensions = fields.integer("outputDimensionality", 1, _DIMENSIONS) or default
    text = _read_content(fields)
    return {"values": [round(value, 9) for value in unit_vector(text, dimensions)]}


def _read_content(fields: Fields) -> str:
    """The text, and the data of what is no text."""
    content = fields.group("content")
    if content is None:
        fields.refuse_missing("content")
    texts = [text for part in words.many(content, "parts") if (text := _read_part(part))]
    if not texts:
        fields.refuse("content", "must not be empty")
    return "\n".join(texts)


def _read_part(part: Fields) -> str:
    if blob := part.group("inlineData"):
        return blob.required_text("data")
    if file := part.group("fileData"):
        return file.required_text("fileUri")
    return part.text("text") or ""


OPERATIONS = (
    Plain(
        "gemini_embed",
        "POST",
        words.verb("embedContent"),
        embed,
        slow=True,
        model_of=words.model_of,
    ),
    Plain(
        "gemini_batch_embed",
        "POST",
        words.verb("batchEmbedContents"),
        batch_embed,
        slow=True,
        model_of=words.model_of,
    ),
)
