"""What Gemini's operations answer at once: counts, embeddings, models; errors and headers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from google.genai import types

from dialects.examples.gemini.written_gemini import (
    HELLO,
    MODEL,
    read,
    read_array,
    read_events,
    seen,
)
from dialects.gemini_asking import (
    ARRAY,
    GENERATE,
    answer_of,
    ask,
    frames_of,
    plain,
    refusal_of,
    written_body,
)
from llmproxy.answer import Text
from llmproxy.dialects.gemini import GEMINI
from llmproxy.dialects.operation import (
    Call,
    Refused,
    encode,
)
from llmproxy.interaction import Problem
from llmproxy.models import Catalogue, Model
from means import call_of, make_means

# Counting


def test_count_tokens_counts_contents_or_a_whole_request() -> None:
    plainly = plain(f"{MODEL}:countTokens", {"contents": HELLO})
    total = plainly["totalTokens"]
    assert plainly["promptTokensDetails"] == [{"modality": "TEXT", "tokenCount": total}]
    assert total == plain(f"{MODEL}:countTokens", {"contents": HELLO})["totalTokens"] > 0
    inner = {"contents": HELLO, "systemInstruction": {"parts": [{"text": "Be brief."}]}}
    whole = plain(f"{MODEL}:countTokens", {"generateContentRequest": inner})
    assert whole["totalTokens"] > total


def test_count_tokens_names_its_own_request() -> None:
    assert refusal_of(f"{MODEL}:countTokens", {}).message.startswith(
        "* CountTokensRequest.contents"
    )
    both = {"contents": HELLO, "generateContentRequest": {"contents": HELLO}}
    assert "generate_content_request" in refusal_of(f"{MODEL}:countTokens", both).message
    inner = refusal_of(f"{MODEL}:countTokens", {"generateContentRequest": {}})
    assert "generate_content_request.contents" in inner.message


# Embeddings


def content(text: str) -> dict[str, Any]:
    return {"content": {"parts": [{"text": text}]}}


def test_an_embedding_is_a_unit_vector_and_the_same_for_the_same_text() -> None:
    values = plain(f"{MODEL}:embedContent", content("hello"))["embedding"]["values"]
    assert len(values) == 3072
    assert math.hypot(*values) == pytest.approx(1, abs=1e-6)
    batch = {"requests": [content("hello"), {**content("other"), "taskType": "CLUSTERING"}]}
    embeddings = plain(f"{MODEL}:batchEmbedContents", batch)["embeddings"]
    assert embeddings[0]["values"] == values
    assert embeddings[1]["values"] != values
    types.EmbedContentResponse.model_validate({"embeddings": embeddings})


def test_the_dimensions_are_those_asked_for_else_the_models() -> None:
    asked = {**content("x"), "outputDimensionality": 5}
    target = "/v1/models/text-embedding-004:embedContent"
    models = Catalogue((Model("text-embedding-004", "gemini", dimensions=768),))
    assert len(plain(target, asked, models)["embedding"]["values"]) == 5
    assert len(plain(target, content("x"), models)["embedding"]["values"]) == 768


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("embedContent", {}, "EmbedContentRequest.content: content is not specified"),
        ("embedContent", {"content": "x"}, "content"),
        ("embedContent", {"content": {"parts": []}}, "content must not be empty"),
        ("embedContent", content(""), "content must not be empty"),
        ("embedContent", {**content("x"), "outputDimensionality": 0}, "output_dimensionality"),
        ("embedContent", {**content("x"), "outputDimensionality": 3073}, "output_dimensionality"),
        ("embedContent", {**content("x"), "taskType": "GUESS"}, "task_type"),
        ("embedContent", {**content("x"), "title": 5}, "title"),
        ("batchEmbedContents", {}, "requests"),
        ("batchEmbedContents", {"requests": [{}]}, "requests[0].content"),
        ("batchEmbedContents", {"requests": [content("x")] * 101}, "at most 100"),
    ],
)
def test_an_embedding_that_google_refuses_is_refused(verb: str, body: Any, field: str) -> None:
    problem = refusal_of(f"{MODEL}:{verb}", body)
    assert problem.status == 400
    assert field in problem.message


# Models

KNOWN = Catalogue(
    (
        Model("gpt-4o"),
        Model("gemini-2.5-pro", "gemini", context=1_048_576, longest=65_536, description="Big."),
        Model("gemini-embedding-001", "gemini", dimensions=3072),
        Model("tunedModels/mine", "gemini"),
    )
)


def test_models_are_listed_as_google_lists_them() -> None:
    body = plain("/v1beta/models", None, KNOWN, method="GET")
    first, second = body["models"]
    assert first == {
        "name": "models/gemini-2.5-pro",
        "version": "001",
        "displayName": "Gemini 2.5 Pro",
        "description": "Big.",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
    }
    assert "embedContent" in second["supportedGenerationMethods"]
    assert "nextPageToken" not in body
    assert plain("/v1/models/gemini-2.5-pro", None, KNOWN, method="GET") == first
    tuned = plain("/v1beta/tunedModels", None, KNOWN, method="GET")
    assert [each["name"] for each in tuned["tunedModels"]] == ["tunedModels/mine"]


def test_pages_of_models_join_to_the_list() -> None:
    first = plain("/v1/models?pageSize=1", None, KNOWN, method="GET")
    token = first["nextPageToken"]
    rest = plain(f"/v1/models?page_size=1&page_token={token}", None, KNOWN, method="GET")
    names = [each["name"] for each in (*first["models"], *rest["models"])]
    assert names == ["models/gemini-2.5-pro", "models/gemini-embedding-001"]
    assert "nextPageToken" not in rest


@pytest.mark.parametrize("query", ["pageSize=x", "pageSize=-1", "pageToken=x", "pageSize=1e9"])
def test_a_page_that_is_no_number_is_refused(query: str) -> None:
    problem = refusal_of(f"/v1/models?{query}", None, method="GET")
    assert problem.status == 400
    assert "page_" in problem.message


@pytest.mark.parametrize("name", ["models/gpt-4o", "models/none", "tunedModels/none"])
def test_an_unknown_model_is_not_found(name: str) -> None:
    operation, call = call_of(GEMINI.operations, f"/v1beta/{name}", method="GET")
    with pytest.raises(Refused) as caught:
        ask(operation, call, models=KNOWN)
    assert caught.value.problem.status == 404
    assert f"{name} is not found for API version v1beta" in caught.value.problem.message


# Errors and headers


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (402, "FAILED_PRECONDITION"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (405, "UNIMPLEMENTED"),
        (408, "DEADLINE_EXCEEDED"),
        (409, "ABORTED"),
        (413, "INVALID_ARGUMENT"),
        (422, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (529, "UNAVAILABLE"),
    ],
)
def test_every_status_has_a_word(status: int, word: str) -> None:
    answered, _, body = GEMINI.write_error(Problem(status, "x"))
    assert answered == status
    assert json.loads(body)["error"] == {"code": status, "message": "x", "status": word}


def details_of(problem: Problem) -> tuple[int, dict[str, Any]]:
    status, _, body = GEMINI.write_error(problem)
    error = json.loads(body)["error"]
    assert error["code"] == status
    prefix = "type.googleapis.com/google.rpc."
    return status, {each.pop("@type").removeprefix(prefix): each for each in error["details"]}


def test_a_wrong_key_is_a_bad_request_with_its_reason() -> None:
    status, details = details_of(Problem(401, "API key not valid.", code="invalid_api_key"))
    assert status == 400
    assert details == {
        "ErrorInfo": {
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        },
        "LocalizedMessage": {"locale": "en-US", "message": "API key not valid."},
    }


def test_a_used_up_quota_is_named_with_the_wait() -> None:
    problem = Problem(429, "slow", "rate_limit_error", "rate_limit_exceeded", retry_after=7)
    _, details = details_of(problem)
    assert sorted(details) == ["QuotaFailure", "RetryInfo"]
    assert details["RetryInfo"] == {"retryDelay": "7s"}
    (violation,) = details["QuotaFailure"]["violations"]
    assert violation["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel"
    _, details = details_of(Problem(429, "slow", "tokens", "rate_limit_exceeded"))
    (violation,) = details["QuotaFailure"]["violations"]
    assert "token_count" in violation["quotaMetric"]


def test_a_wrong_type_is_a_field_violation() -> None:
    problem = refusal_of(GENERATE, {"contents": HELLO, "generationConfig": {"topP": "x"}})
    _, details = details_of(problem)
    violation = {"field": "generation_config.top_p", "description": problem.message}
    assert details == {"BadRequest": {"fieldViolations": [violation]}}


def test_headers_tell_the_time_it_took() -> None:
    call = Call("POST", "/")
    headers = GEMINI.write_headers(make_means(call).new_id, 0.1234)
    assert ("server-timing", "gfet4t7; dur=123") in headers
    assert [value for name, value in headers if name == "vary"] == ["Origin", "X-Origin", "Referer"]


def test_the_readers_of_this_test_agree() -> None:
    answer = answer_of(Text("x"))
    assert read(encode(written_body(answer))) == seen([written_body(answer)])
    assert read_events(b"".join(frame.data for frame in frames_of(answer))) == read_array(
        b"".join(frame.data for frame in frames_of(answer, target=ARRAY))
    )


TRAFFIC = Path(__file__).parents[3] / "shared" / "traffic" / "gemini"


def recorded() -> Iterator[tuple[str, Any]]:
    """Real requests that Google answered."""
    for file in sorted(TRAFFIC.glob("*.yaml")):
        for each in yaml.safe_load(file.read_text())["interactions"]:
            request, path = each["request"], urlsplit(each["request"]["uri"]).path
            if each["response"]["status"]["code"] == 200 and "/models/" in path:
                yield path, request.get("parsed_body")


@pytest.mark.skipif(not TRAFFIC.is_dir(), reason="no recorded traffic beside the checkout")
def test_what_google_took_is_taken() -> None:
    taken = 0
    for path, body in recorded():
        operation, call = call_of(GEMINI.operations, path, body)
        assert ask(operation, call)
        taken += 1
    assert taken > 20
