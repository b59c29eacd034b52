"""What else OpenAI's SDK asks: completions, vectors, models, moderations, and where they are."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import openai
import pytest
from openai.types import CreateEmbeddingResponse

from conformance import openai_clients
from conformance.driving import TONGUES, Kind, Mocking, done, entered, functions, items, raw, user
from conformance.openai_clients import MODEL, Client, chat, chunks, count, joined
from llmproxy.service import Service

TEXT = "One two three, four five six."
SMALL = "text-embedding-3-small"


# legacy completions


async def complete(client: Client, mock: Any = None, **more: Any) -> Any:
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": "Once upon a time", **more}
    if mock is not None:
        asked["extra_body"] = {"mock_response": mock}
    return await done(client.completions.create(**asked))


async def continued(client: Client, mock: Any = None, **more: Any) -> list[Any]:
    stream = await complete(client, mock, stream=True, **more)
    return await items(stream)


def said(rows: list[Any], index: int = 0) -> str:
    return "".join(c.text for row in rows for c in row.choices if c.index == index)


async def test_a_prompt_is_continued_whole_and_streamed(
    openai_client: Client, loose_client: Client
) -> None:
    whole = await complete(openai_client, TONGUES)
    assert whole.id.startswith("cmpl-")
    assert whole.object == "text_completion"
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == (TONGUES, "stop")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    rows = await continued(loose_client, TONGUES, stream_options={"include_usage": True})
    assert said(rows) == TONGUES
    assert len(rows) > 20
    assert rows[-1].choices == []
    assert rows[-1].usage == whole.usage
    assert {row.id for row in rows} == {rows[0].id}
    assert rows[-2].choices[0].finish_reason == "stop"


async def test_several_prompts_and_choices_are_continued(
    openai_client: Client, loose_client: Client
) -> None:
    whole = await complete(openai_client, prompt=["One", "Two"], n=2, echo=True)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert [choice.text[:3] for choice in whole.choices] == ["One", "One", "Two", "Two"]
    rows = await continued(loose_client, prompt=["One", "Two"], n=2, echo=True)
    assert [said(rows, index) for index in range(4)] == [choice.text for choice in whole.choices]


async def test_a_continuation_ends_where_it_is_asked_to(openai_client: Client) -> None:
    cut = await complete(openai_client, TEXT, max_tokens=3)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 3)
    assert TEXT.startswith(cut.choices[0].text)
    stopped = await complete(openai_client, TEXT, stop=", ")
    assert (stopped.choices[0].text, stopped.choices[0].finish_reason) == ("One two three", "stop")


async def test_probabilities_of_a_continuation_cover_it(openai_client: Client) -> None:
    whole = await complete(openai_client, TEXT, logprobs=2)
    told = whole.choices[0].logprobs
    assert "".join(told.tokens) == TEXT
    assert told.text_offset[:2] == [0, len(told.tokens[0])]
    assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs)


async def test_continuing_raises_what_chat_raises(loose_client: Client) -> None:
    with pytest.raises(openai.RateLimitError):
        await complete(loose_client, {"error": 429})
    script = {"text": TEXT, "stream_error": {"status": 500, "message": "Gone."}, "after_chunks": 2}
    with pytest.raises(openai.APIError, match=r"Gone\."):
        await continued(loose_client, script)
    for changes, param in (({"prompt": 7}, "prompt"), ({"best_of": 1, "n": 2}, "best_of")):
        with pytest.raises(openai.BadRequestError) as raised:
            await complete(loose_client, **changes)
        assert raised.value.param == param


# vectors


async def embed(client: Client, **more: Any) -> Any:
    asked = {"model": SMALL, "input": "The same text", **more}
    return await done(client.embeddings.create(**asked))


async def test_the_same_text_has_the_same_unit_vector_in_every_encoding(
    openai_client: Client, loose_client: Client
) -> None:
    by_default = await embed(loose_client)
    floats = await embed(openai_client, encoding_format="float")
    (row,) = by_default.data
    assert (by_default.object, row.object, row.index) == ("list", "embedding", 0)
    assert by_default.model == SMALL
    assert len(row.embedding) == 1536
    assert math.isclose(math.hypot(*row.embedding), 1.0, abs_tol=1e-4)
    assert floats.data[0].embedding == pytest.approx(row.embedding, abs=1e-7)
    tokens = by_default.usage.prompt_tokens
    assert tokens == by_default.usage.total_tokens > 0


async def test_a_vector_in_base64_is_of_little_endian_floats(
    mock: Service, openai_client: Client
) -> None:
    floats = (await embed(openai_client, encoding_format="float")).data[0].embedding
    body = {"model": SMALL, "input": "The same text", "encoding_format": "base64"}
    reply = raw(mock.url, "POST", "/v1/embeddings", body).json
    packed = base64.b64decode(reply["data"][0]["embedding"])
    assert struct.unpack("<1536f", packed) == pytest.approx(floats, abs=1e-7)


@pytest.mark.parametrize(
    ("model", "dimensions", "length"),
    [(SMALL, 8, 8), (SMALL, None, 1536), ("text-embedding-3-large", None, 3072)],
)
async def test_a_vector_has_the_dimensions_asked_for(
    loose_client: Client, model: str, dimensions: int | None, length: int
) -> None:
    more = {} if dimensions is None else {"dimensions": dimensions}
    (row,) = (await embed(loose_client, model=model, **more)).data
    assert len(row.embedding) == length
    assert math.isclose(math.hypot(*row.embedding), 1.0, abs_tol=1e-4)


async def test_several_texts_have_a_vector_each(loose_client: Client) -> None:
    reply = await embed(loose_client, input=["a", "b", "a", TONGUES])
    vectors = [tuple(row.embedding) for row in reply.data]
    assert [row.index for row in reply.data] == [0, 1, 2, 3]
    assert vectors[0] == vectors[2]
    assert len(set(vectors)) == 3
    tokens = await embed(loose_client, input=[[64, 65], [66]])
    assert (len(tokens.data), tokens.usage.prompt_tokens) == (2, 3)


async def test_servers_of_any_seed_have_the_same_vectors(kind: Kind, mocking: Mocking) -> None:
    vectors = []
    for service in (mocking(), mocking(mock__seed=1)):
        async with openai_clients.client(service.url, kind) as client:
            vectors.append((await embed(client, encoding_format="float")).data[0].embedding)
    assert vectors[0] == vectors[1]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": 7}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 5000}, "dimensions"),
    ],
)
async def test_vectors_that_cannot_be_are_refused(
    openai_client: Client, changes: dict[str, Any], param: str
) -> None:
    whole = {"model": SMALL, "input": "Hi", **changes}
    body = {name: value for name, value in whole.items() if value is not None}
    with pytest.raises(openai.BadRequestError) as raised:
        await done(openai_client.post("/embeddings", body=body, cast_to=CreateEmbeddingResponse))
    assert raised.value.param == param


# models


async def test_models_are_listed_and_looked_up(openai_client: Client) -> None:
    listed = await items(openai_client.models.list())
    known = {model.id: model for model in listed}
    assert {MODEL, "gpt-4o", SMALL} <= set(known)
    assert all(model.object == "model" and model.owned_by for model in listed)
    assert await done(openai_client.models.retrieve(MODEL)) == known[MODEL]


async def test_a_model_that_is_not_there_is_not_found(openai_client: Client) -> None:
    for call in (openai_client.models.retrieve, openai_client.models.delete):
        with pytest.raises(openai.NotFoundError) as raised:
            await done(call("gpt-nonsense"))
        assert raised.value.code == "model_not_found"
    with pytest.raises(openai.PermissionDeniedError):
        await done(openai_client.models.delete(MODEL))


# moderations


async def test_a_text_is_moderated(openai_client: Client) -> None:
    told = ["What a lovely day", "I want to kill them all"]
    reply = await done(openai_client.moderations.create(input=told))
    assert reply.id.startswith("modr-")
    good, bad = reply.results
    assert (good.flagged, bad.flagged) == (False, True)
    assert not any(good.categories.model_dump().values())
    assert bad.categories.violence
    assert bad.category_scores.violence > 0.5 > good.category_scores.violence
    again = await done(openai_client.moderations.create(input=told))
    assert again.results == reply.results
    with pytest.raises(openai.BadRequestError) as raised:
        await done(openai_client.moderations.create(input=[]))
    assert raised.value.param == "input"


async def test_text_and_picture_are_moderated_together(openai_client: Client) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    reply = await done(
        openai_client.moderations.create(
            model="omni-moderation-latest", input=[{"type": "text", "text": "Hi"}, picture]
        )
    )
    (result,) = reply.results
    assert not result.flagged
    assert result.category_applied_input_types.violence == ["text", "image"]


# where it is


@pytest.mark.parametrize("prefix", ["/v1", "", "/openai/v1", "/openai", "/api/v1"])
async def test_every_path_is_there_under_each_base_url(
    mock: Service, kind: Kind, prefix: str
) -> None:
    async with openai_clients.client(mock.url, kind, prefix=prefix) as client:
        assert (await chat(client, TEXT)).choices[0].message.content == TEXT
        assert joined(await chunks(client, TEXT)) == TEXT
        assert (await complete(client, TEXT)).choices[0].text == TEXT
        script = {"mock_response": TEXT}
        response = await done(client.responses.create(input="Hi", extra_body=script))
        assert response.output_text == TEXT
        kept = await done(client.responses.retrieve(response.id))
        assert kept.id == response.id
        assert len((await embed(client, encoding_format="float")).data[0].embedding) == 1536
        assert (await done(client.models.retrieve(MODEL))).id == MODEL
        assert await items(client.models.list())
        assert (await done(client.moderations.create(input="Hi"))).results


async def test_azure_deployments_answer(mock: Service, kind: Kind) -> None:
    azure: dict[str, Any] = {"azure_endpoint": mock.url, "api_version": "2024-10-21"}
    async with openai_clients.client("", kind, azure=True, **azure) as client:
        completion = await chat(client, TEXT, model="my-deployment")
        assert completion.choices[0].message.content == TEXT
        assert completion.model == "my-deployment"
        assert joined(await chunks(client, TEXT, model="my-deployment")) == TEXT
        called = await chat(client, tools=functions(), tool_choice="required")
        assert called.choices[0].message.tool_calls
        assert (await complete(client, TEXT)).choices[0].text == TEXT
        assert (await embed(client, encoding_format="float")).data[0].embedding
        response = await done(client.responses.create(model="my-deployment", input="Hi"))
        assert response.output_text
        assert await items(client.models.list())
        with pytest.raises(openai.RateLimitError) as raised:
            await chat(client, {"error": 429}, model="my-deployment")
        assert raised.value.request_id


def test_the_deployment_in_an_azure_path_is_the_model(mock: Service) -> None:
    path = "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"
    reply = raw(mock.url, "POST", path, {"messages": user("Hi")}, {"api-key": "made-up"})
    assert (reply.status, reply.json["model"]) == (200, "my gpt")


async def test_openrouter_has_ids_and_reasoning_of_its_own(mock: Service, kind: Kind) -> None:
    script = {"reasoning": "Hm, two and two.", "text": "Four."}
    asked = {"reasoning": {"effort": "low"}, "mock_response": script}
    more: dict[str, Any] = {"model": "deepseek/deepseek-r1", "extra_body": asked}
    async with openai_clients.client(mock.url, kind, prefix="/api/v1") as client:
        whole = await chat(client, **more)
        rows = await chunks(client, **more)
        assert (await done(client.models.retrieve(MODEL))).id == MODEL
    assert whole.id.startswith("gen-")
    assert whole.provider
    assert whole.choices[0].message.reasoning == "Hm, two and two."
    deltas = [row.choices[0].delta for row in rows]
    assert "".join(getattr(each, "reasoning", None) or "" for each in deltas) == "Hm, two and two."
    assert whole.usage.completion_tokens == count("Hm, two and two.") + count("Four.")


async def test_a_client_that_copies_itself_still_works(openai_client: Client) -> None:
    copied = openai_client.with_options(timeout=5, max_retries=1)
    assert (await chat(copied, TEXT)).choices[0].message.content == TEXT
    opening = copied.chat.completions.with_streaming_response.create(
        model=MODEL, messages=user("Hi")
    )
    async with entered(opening) as reply:
        assert (await done(reply.parse())).choices[0].message.content
