"""OpenAI's operations that answer at once: embeddings, moderations, models."""

from __future__ import annotations

import base64
import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse, ModerationCreateResponse
from openai.types import Model as OpenAIModel

from dialects.clients import typed
from llmproxy.dialects.openai.embeddings import EMBEDDINGS
from llmproxy.dialects.openai.models import MODELS
from llmproxy.dialects.openai.moderations import MODERATIONS, PHRASES
from llmproxy.dialects.operation import Plain, PlainReply, Refused, encode, encode_rows
from llmproxy.models import KNOWN, Catalogue, Model
from means import call_of, make_means, tokenizer

OPERATIONS = (*EMBEDDINGS, *MODERATIONS, *MODELS)


def reply(target: str, body: Any = None, models: Catalogue | None = None, **more: Any) -> Any:
    operation, call = call_of(OPERATIONS, target, body, **more)
    assert isinstance(operation, Plain)
    made = operation.answer(call, make_means(call, models))
    assert isinstance(made, PlainReply)
    assert made.status == 200
    return json.loads(made.body if isinstance(made.body, bytes) else encode(made.body))


# Embeddings


def embedded(target: str = "/v1/embeddings", **members: Any) -> Any:
    return reply(target, {"model": "text-embedding-3-small", "input": "hello", **members})


def test_an_embedding_is_a_unit_vector_of_the_models_length() -> None:
    for model, size in (("text-embedding-3-large", 3072), ("text-embedding-ada-002", 1536)):
        body = embedded(model=model)
        typed(CreateEmbeddingResponse, body)
        vector = body["data"][0]["embedding"]
        assert len(vector) == size
        assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)
        assert body["model"] == model


def test_base64_carries_the_same_numbers_as_floats() -> None:
    text = embedded(encoding_format="base64", dimensions=64)["data"][0]["embedding"]
    assert list(struct.unpack("<64f", base64.b64decode(text))) == vector(dimensions=64)


def vector(**members: Any) -> list[float]:
    numbers: list[float] = embedded(encoding_format="float", **members)["data"][0]["embedding"]
    return numbers


def test_the_same_text_has_the_same_vector_and_another_text_another() -> None:
    assert vector() == vector()
    assert vector() != vector(input="other")
    assert vector(input=[1, 2]) != vector(input=[1, 3])


def test_inputs_keep_their_order_and_are_counted() -> None:
    body = embedded(input=["hello world", "bye"])
    assert [row["index"] for row in body["data"]] == [0, 1]
    assert body["data"][1]["embedding"] == vector(input="bye")
    tokens = tokenizer().count("hello world") + tokenizer().count("bye")
    assert body["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


@given(
    model=st.text(st.characters(codec=None)) | st.just('"data":[]'),
    rows=st.lists(st.lists(st.floats(allow_nan=False), max_size=3) | st.text(), max_size=4),
)
def test_rows_written_one_by_one_are_the_json_of_the_whole(model: str, rows: list[Any]) -> None:
    value = {"model": model, "data": [], "object": "list"}
    made = json.loads(encode_rows(value, "data", rows))
    assert made == {**value, "data": rows}
    assert list(made) == list(value)


def test_tokens_are_counted_by_their_number() -> None:
    assert embedded(input=[5, 6, 7])["usage"]["prompt_tokens"] == 3
    assert embedded(input=[[5, 6], [7]])["usage"]["prompt_tokens"] == 3


def test_an_unknown_model_is_taken_and_a_deployment_names_one() -> None:
    assert len(embedded(model="mine")["data"][0]["embedding"]) == 1536
    path = "/openai/deployments/text-embedding-3-large/embeddings?api-version=1"
    body = reply(path, {"input": "x"})
    assert (body["model"], len(body["data"][0]["embedding"])) == ("text-embedding-3-large", 3072)


@settings(max_examples=50, deadline=None)
@given(text=st.text(min_size=1, max_size=40), size=st.integers(1, 50))
def test_any_text_has_a_unit_vector_of_any_length(text: str, size: int) -> None:
    numbers = vector(input=text, dimensions=size)
    assert len(numbers) == size
    assert math.isclose(math.hypot(*numbers), 1, abs_tol=1e-5)


# Moderations


def moderated(given: Any, **members: Any) -> Any:
    body = reply("/v1/moderations", {"input": given, **members})
    typed(ModerationCreateResponse, body)
    assert body["id"].startswith("modr-")
    return body


def test_a_harmless_text_is_not_flagged_and_has_low_scores() -> None:
    body = moderated("How do I kill a process on Linux?")
    assert body["model"] == "omni-moderation-latest"
    (result,) = body["results"]
    assert result["flagged"] is False
    assert not any(result["categories"].values())
    assert all(0 < score < 0.01 for score in result["category_scores"].values())


def test_all_three_maps_have_the_thirteen_categories() -> None:
    (result,) = moderated("x")["results"]
    for name in ("categories", "category_scores", "category_applied_input_types"):
        assert list(result[name]) == list(PHRASES)
        assert len(result[name]) == 13


@pytest.mark.parametrize("category", PHRASES)
def test_a_phrase_flags_its_category_as_whole_words(category: str) -> None:
    phrase = PHRASES[category][0]
    (flagged, inside) = moderated([f"So: {phrase.upper()}!", f"x{phrase}x"])["results"]
    assert flagged["flagged"] is True
    assert flagged["categories"][category] is True
    assert flagged["category_scores"][category] > 0.9
    assert inside["categories"][category] is False


def test_each_text_has_a_result_and_scores_of_its_own() -> None:
    first, second = moderated(["a", "b"])["results"]
    assert first["category_scores"] != second["category_scores"]
    assert moderated("a")["results"] == [first]


def test_parts_of_several_kinds_have_one_result() -> None:
    parts = [
        {"type": "text", "text": "build a bomb"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    (result,) = moderated(parts, model="omni-moderation-2024-09-26")["results"]
    assert result["categories"]["illicit"] is True
    applied = result["category_applied_input_types"]
    assert applied["violence"] == ["text", "image"]
    assert applied["harassment"] == ["text"]


# Models


def test_002_9_models_are_a_list() -> None:
    body = reply("/v1/models", method="GET")
    assert body["object"] == "list"
    assert {"gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-3.5-turbo"} <= {
        row["id"] for row in body["data"]
    }
    for row in body["data"]:
        typed(OpenAIModel, row)


def test_004_5_a_model_has_extra_members() -> None:
    models = Catalogue((*KNOWN, Model("mine", owner="me", created=7, description="Slow")))
    rows = {row["id"]: row for row in reply("/models", None, models, method="GET")["data"]}
    assert rows["mine"] == {
        "id": "mine",
        "object": "model",
        "created": 7,
        "owned_by": "me",
        "permission": [],
        "root": "mine",
        "parent": None,
        "description": "Slow",
    }


@pytest.mark.parametrize("id", ["meta-llama/llama-3.1:free", "ft:gpt-4o:acme::abc", "a b/é"])
def test_an_id_may_hold_slashes_and_colons(id: str) -> None:
    models = Catalogue((Model(id),))
    for path in (f"/api/v1/models/{id}", f"/v1/models/{id}/"):
        assert reply(path, None, models, method="GET")["id"] == id
    quoted = id.replace("/", "%2F")
    assert reply(f"/models/{quoted}", None, models, method="GET")["id"] == id


def test_a_model_of_another_provider_is_known_by_its_name() -> None:
    assert reply("/v1/models/claude-sonnet-5", method="GET")["owned_by"] == "anthropic"


def test_nothing_can_be_deleted() -> None:
    operation, call = call_of(OPERATIONS, "/v1/models/gpt-4o", method="DELETE")
    assert isinstance(operation, Plain)
    with pytest.raises(Refused, match="permission") as caught:
        operation.answer(call, make_means(call))
    assert caught.value.problem.status == 403
