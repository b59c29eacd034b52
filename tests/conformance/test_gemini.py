"""Gemini through Google's SDK: what is said, whole, streamed, in chats and parsed."""

from __future__ import annotations

import asyncio
import enum
import itertools
import json
import math
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.genai import errors, types
from pydantic import BaseModel

from conformance import gemini_clients
from conformance.driving import (
    MODELS,
    TONGUES,
    Colour,
    Enums,
    Flat,
    Kind,
    Mocking,
    Optionals,
    done,
    items,
    raw,
)
from conformance.gemini_clients import (
    MODEL,
    PROMPT,
    QUIET,
    Client,
    chunks,
    config,
    count,
    finish,
    parts,
    reply,
    said,
)
from llmproxy.models import Catalogue
from llmproxy.service import Service

pytestmark = QUIET

SCRIPT = "One two three, four five six. " * 4
BODY = {"contents": [{"parts": [{"text": PROMPT}]}]}
KEY = {"x-goog-api-key": gemini_clients.KEY}


@pytest.fixture
async def client(mock: Service, kind: Kind, session: dict[str, str]) -> AsyncIterator[Client]:
    """Google's client, without retries, at the default server."""
    async with gemini_clients.client(mock.url, kind, session) as made:
        yield made


async def test_a_response_has_what_the_provider_tells(client: Client) -> None:
    whole = await reply(client)
    (candidate,) = whole.candidates
    assert candidate.content.role == "model"
    assert (candidate.index, finish(whole)) == (0, "STOP")
    assert whole.text
    assert whole.model_version == MODEL
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", whole.response_id)
    used = whole.usage_metadata
    assert used.total_token_count == used.prompt_token_count + used.candidates_token_count
    assert used.prompt_tokens_details[0].modality == types.MediaModality.TEXT
    assert used.prompt_tokens_details[0].token_count == used.prompt_token_count


async def test_a_script_is_what_the_client_reads_whole_and_streamed(client: Client) -> None:
    assert (await reply(client, SCRIPT)).text == SCRIPT
    rows = await chunks(client, SCRIPT)
    assert "".join(row.text for row in rows) == SCRIPT
    assert len(rows) == count(SCRIPT)


async def test_a_stream_says_what_a_whole_reply_says(client: Client) -> None:
    whole = await reply(client)
    rows = await chunks(client)
    assert said(*rows) == whole.text
    assert rows[-1].usage_metadata == whole.usage_metadata
    assert finish(rows[-1]) == finish(whole)


async def test_an_echo_says_what_the_user_said(client: Client) -> None:
    whole = await reply(client, {"echo": True}, contents="Do you hear?", system_instruction="No.")
    assert "Do you hear?" in whole.text


async def test_the_chunks_of_a_stream_are_one_response(client: Client) -> None:
    rows = await chunks(client, SCRIPT)
    assert len({(row.response_id, row.model_version) for row in rows}) == 1
    assert [finish(row) for row in rows] == [None] * (len(rows) - 1) + ["STOP"]
    told = [row.usage_metadata.candidates_token_count for row in rows]
    assert told == sorted(told)
    assert told[-1] == count(SCRIPT)
    assert {row.usage_metadata.prompt_token_count for row in rows} == {
        rows[0].usage_metadata.prompt_token_count
    }
    assert all(row.candidates[0].content.role == "model" for row in rows)


async def test_equal_requests_get_ids_of_their_own(client: Client) -> None:
    replies = [await reply(client, "Hi") for _ in range(3)]
    rows = await chunks(client, "Hi")
    assert len({rows[0].response_id, *(each.response_id for each in replies)}) == 4


async def test_a_chat_keeps_its_history(client: Client) -> None:
    chat = client.chats.create(model=MODEL, config={"system_instruction": "Be brief."})
    first = await done(chat.send_message("One", config=config(SCRIPT)))
    rows = await items(chat.send_message_stream("Two", config=config("And two.")))
    third = await done(chat.send_message("Three"))
    assert (first.text, said(*rows)) == (SCRIPT, "And two.")
    turns = itertools.groupby(chat.get_history(), lambda content: content.role)
    told = [
        (role, "".join(part.text or "" for content in contents for part in content.parts))
        for role, contents in turns  # of a stream, each chunk is a content of its own
    ]
    assert told == [
        ("user", "One"),
        ("model", SCRIPT),
        ("user", "Two"),
        ("model", "And two."),
        ("user", "Three"),
        ("model", third.text),
    ]


async def test_no_character_is_ever_cut_in_two(client: Client) -> None:
    rows = await chunks(client, TONGUES)
    assert said(*rows) == TONGUES
    assert len(rows) > 20
    assert not [row for row in rows if "\N{REPLACEMENT CHARACTER}" in row.text]
    assert (await reply(client, TONGUES)).text == TONGUES


async def test_every_kind_of_part_is_taken(client: Client) -> None:
    contents = [
        types.Content(
            role="user",
            parts=[
                types.Part(text="What is this?"),
                types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png"),
                types.Part.from_uri(file_uri="https://x.test/a.pdf", mime_type="application/pdf"),
            ],
        ),
        types.Content(
            role="model", parts=[types.Part(text="Hm.", thought=True), types.Part(text="A cat.")]
        ),
        types.Content(parts=[types.Part(text="Sure?")]),
    ]
    whole = await reply(
        client,
        contents=contents,
        system_instruction=["Be brief.", "Be kind."],
        temperature=0.0,
        top_p=0.5,
        top_k=5,
        seed=7,
        presence_penalty=1.0,
        frequency_penalty=-1.0,
        response_modalities=["TEXT"],
        safety_settings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}],
    )
    assert whole.text


# how many, how long, until where


@pytest.mark.parametrize("number", [2, 3])
async def test_several_candidates_are_told_apart_by_their_index(
    client: Client, number: int
) -> None:
    whole = await reply(client, candidate_count=number)
    assert [candidate.index for candidate in whole.candidates] == list(range(number))
    texts = [said(whole, index=index) for index in range(number)]
    assert len(set(texts)) == number
    rows = await chunks(client, candidate_count=number)
    assert [said(*rows, index=index) for index in range(number)] == texts
    ends = [c.index for row in rows for c in row.candidates if c.finish_reason]
    assert sorted(ends) == list(range(number))
    assert rows[-1].usage_metadata.candidates_token_count == sum(map(count, texts))


async def test_a_stop_sequence_ends_the_text_and_is_not_part_of_it(client: Client) -> None:
    before = "One two three, four "
    whole = await reply(client, SCRIPT, stop_sequences=["zzz", "five", "six"])
    assert (whole.text, finish(whole)) == (before, "STOP")
    assert whole.usage_metadata.candidates_token_count == count(before)
    rows = await chunks(client, SCRIPT, stop_sequences=["five"])
    assert (said(*rows), finish(rows[-1])) == (before, "STOP")


async def test_a_bound_on_tokens_cuts_the_text(client: Client) -> None:
    whole = await reply(client, SCRIPT, max_output_tokens=5)
    assert finish(whole) == "MAX_TOKENS"
    assert SCRIPT.startswith(whole.text)
    assert whole.usage_metadata.candidates_token_count == count(whole.text) == 5
    rows = await chunks(client, SCRIPT, max_output_tokens=5)
    assert (said(*rows), finish(rows[-1])) == (whole.text, "MAX_TOKENS")


async def test_a_bound_that_is_not_reached_changes_nothing(client: Client) -> None:
    whole = await reply(client, SCRIPT, max_output_tokens=count(SCRIPT))
    assert (whole.text, finish(whole)) == (SCRIPT, "STOP")


# structured output

JSON = "application/json"


@pytest.mark.parametrize("model", [Flat, Enums, Optionals], ids=lambda model: model.__name__)
async def test_a_schema_is_parsed_into_its_model(client: Client, model: type[BaseModel]) -> None:
    more: dict[str, Any] = {"response_mime_type": JSON, "response_schema": model}
    whole = await reply(client, **more)
    assert isinstance(whole.parsed, model)
    assert whole.parsed == model.model_validate_json(whole.text)
    assert said(*(await chunks(client, **more))) == whole.text


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_a_json_schema_is_followed(client: Client, model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    whole = await reply(client, response_mime_type=JSON, response_json_schema=schema)
    model.model_validate_json(whole.text)


async def test_a_list_of_models_is_parsed(client: Client) -> None:
    whole = await reply(client, response_mime_type=JSON, response_schema=list[Flat])
    assert whole.parsed
    assert all(isinstance(each, Flat) for each in whole.parsed)


async def test_a_scripted_object_is_parsed(client: Client) -> None:
    ann = Flat(name="Ann", age=30, height=1.7, alive=True)
    more: dict[str, Any] = {"response_mime_type": JSON, "response_schema": Flat}
    assert (await reply(client, ann.model_dump_json(), **more)).parsed == ann


async def test_an_object_without_a_schema_is_json(client: Client) -> None:
    whole = await reply(client, response_mime_type=JSON)
    assert isinstance(json.loads(whole.text), dict)


async def test_an_enum_is_one_of_its_values_without_quotes(client: Client) -> None:
    class Taste(enum.Enum):
        SWEET = "sweet"
        SOUR = "sour"

    more: dict[str, Any] = {"response_mime_type": "text/x.enum", "response_schema": Taste}
    whole = await reply(client, **more)
    assert whole.text in ("sweet", "sour")
    assert isinstance(whole.parsed, Taste)
    assert whole.usage_metadata.candidates_token_count == count(whole.text)
    rows = await chunks(client, **more)
    assert said(*rows) == whole.text
    assert rows[-1].usage_metadata == whole.usage_metadata
    quoted = await reply(client, response_mime_type=JSON, response_schema=Colour)
    assert json.loads(quoted.text) in list(Colour)


async def test_a_schema_that_nothing_fits_is_refused(client: Client) -> None:
    schema = {"type": "integer", "minimum": 5, "maximum": 1}
    with pytest.raises(errors.ClientError) as raised:
        await reply(client, response_mime_type=JSON, response_json_schema=schema)
    assert (raised.value.code, raised.value.status) == (400, "INVALID_ARGUMENT")


# thoughts and safety

THOUGHT = "Let me think about it for a while."
THINKS = {"reasoning": THOUGHT, "text": "Four."}
SHOWN = {"include_thoughts": True}


async def test_thoughts_come_first_and_are_marked(client: Client) -> None:
    whole = await reply(client, THINKS, thinking_config=SHOWN)
    assert [bool(part.thought) for part in parts([whole])] == [True, False]
    assert said(whole, thought=True) == THOUGHT
    assert whole.text == "Four."
    rows = await chunks(client, THINKS, thinking_config=SHOWN)
    assert (said(*rows, thought=True), said(*rows)) == (THOUGHT, "Four.")
    marks = [bool(part.thought) for part in parts(rows)]
    assert marks == sorted(marks, reverse=True)


async def test_thoughts_are_counted_beside_the_answer(client: Client) -> None:
    for thinking in (SHOWN, {"thinking_budget": 100}):
        whole = await reply(client, THINKS, thinking_config=thinking)
        used = whole.usage_metadata
        assert (used.thoughts_token_count, used.candidates_token_count) == (
            count(THOUGHT),
            count("Four."),
        )
        assert used.total_token_count == (
            used.prompt_token_count + used.thoughts_token_count + used.candidates_token_count
        )
        rows = await chunks(client, THINKS, thinking_config=thinking)
        assert rows[-1].usage_metadata == used


async def test_thoughts_are_shown_where_that_is_asked_for(client: Client) -> None:
    assert said(await reply(client, thinking_config=SHOWN), thought=True)
    hidden = await reply(client, thinking_config={"thinking_budget": 100})
    assert not said(hidden, thought=True)
    assert hidden.usage_metadata.thoughts_token_count > 0
    for thinking in (None, {"thinking_budget": 0}):
        whole = await reply(client, thinking_config=thinking)
        assert whole.usage_metadata.thoughts_token_count is None


async def test_a_refusal_without_a_word_is_a_matter_of_safety(client: Client) -> None:
    whole = await reply(client, {"refusal": ""})
    assert (finish(whole), whole.candidates[0].content) == ("SAFETY", None)
    (row,) = await chunks(client, {"refusal": ""})
    assert (finish(row), row.candidates[0].content) == ("SAFETY", None)


async def test_a_refusal_with_words_is_text(client: Client) -> None:
    whole = await reply(client, {"refusal": "I cannot help with that."})
    assert (whole.text, finish(whole)) == ("I cannot help with that.", "STOP")
    rows = await chunks(client, {"refusal": "I cannot help with that."})
    assert said(*rows) == whole.text


async def test_what_a_filter_ended_says_so(client: Client) -> None:
    script = {"text": "Well,", "finish": "content_filter"}
    whole = await reply(client, script)
    assert (whole.text, finish(whole)) == ("Well,", "SAFETY")
    rows = await chunks(client, script)
    assert (said(*rows), finish(rows[-1])) == ("Well,", "SAFETY")


# usage


async def test_usage_is_what_a_client_counts(client: Client) -> None:
    for script in (None, TONGUES, SCRIPT, ""):
        whole = await reply(client, script)
        assert whole.usage_metadata.candidates_token_count == count(whole.text)
        rows = await chunks(client, script)
        assert rows[-1].usage_metadata.candidates_token_count == count(said(*rows))


async def test_tokens_are_counted_before_a_reply_as_in_it(client: Client) -> None:
    text = "How are you? 漢字"
    counted = await done(client.models.count_tokens(model=MODEL, contents=text))
    assert counted.total_tokens == 3 + 3 + count("user") + count(text)
    used = (await reply(client, contents=text)).usage_metadata
    assert used.prompt_token_count == counted.total_tokens


async def test_a_script_may_say_what_it_costs(client: Client) -> None:
    script = {"text": "Hi", "usage": {"input_tokens": 1000, "output_tokens": 24}}
    used = (await reply(client, script)).usage_metadata
    assert (used.prompt_token_count, used.candidates_token_count) == (1000, 24)
    assert used.total_token_count == 1024


# embeddings and models


async def test_a_text_has_one_unit_vector(client: Client) -> None:
    async def embedded(*texts: str, **more: Any) -> list[list[float]]:
        made = await done(
            client.models.embed_content(
                model="gemini-embedding-001", contents=list(texts), config=more
            )
        )
        return [list(each.values) for each in made.embeddings]

    one, two, again = await embedded("one", "two", "one")
    assert len(one) == len(two) == 3072
    assert one == again != two
    assert math.isclose(math.hypot(*one), 1, abs_tol=1e-6)
    assert await embedded("one", task_type="RETRIEVAL_QUERY") == [one]
    (short,) = await embedded("one", output_dimensionality=8)
    assert len(short) == 8
    assert math.isclose(math.hypot(*short), 1, abs_tol=1e-6)


def test_one_content_is_embedded_by_itself(mock: Service) -> None:
    body = {"content": {"parts": [{"text": "one"}]}, "output_dimensionality": 4}
    single = raw(mock.url, "POST", "/v1beta/models/gemini-embedding-001:embedContent", body)
    several = raw(
        mock.url,
        "POST",
        "/v1beta/models/gemini-embedding-001:batchEmbedContents",
        {"requests": [{**body, "model": "models/gemini-embedding-001"}]},
    )
    assert several.json["embeddings"] == [single.json["embedding"]]
    assert len(single.json["embedding"]["values"]) == 4


async def test_models_come_page_by_page(client: Client) -> None:
    known = [f"models/{model.id}" for model in Catalogue().of("gemini")]
    pager = await done(client.models.list(config={"page_size": 4}))
    assert len(pager.page) == 4
    assert [model.name for model in await items(pager)] == known


async def test_a_model_is_found_by_its_name(client: Client) -> None:
    for name in (MODEL, f"models/{MODEL}"):
        model = await done(client.models.get(model=name))
        assert model.name == f"models/{MODEL}"
        assert model.input_token_limit > model.output_token_limit > 0
        assert "generateContent" in model.supported_actions
    with pytest.raises(errors.ClientError) as raised:
        await done(client.models.get(model="gemini-nonsense"))
    assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")


# headers, versions, paths


async def test_headers_are_those_of_the_provider(client: Client) -> None:
    headers = (await reply(client, "Hi")).sdk_http_response.headers
    lines = {name.lower(): value for name, value in headers.items()}
    assert lines["content-type"].startswith("application/json")
    assert lines["server-timing"].startswith("gfet4t7; dur=")
    assert lines["x-llmproxy-source"] == "synthesized"


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_each_version_of_the_api_is_answered(mock: Service, kind: Kind, version: str) -> None:
    async with gemini_clients.client(mock.url, kind, api_version=version) as client:
        assert (await reply(client, "Hi")).text == "Hi"
        assert said(*(await chunks(client, "Hi"))) == "Hi"
        assert (await items(client.models.list()))[0].name.startswith("models/gemini")
        counted = await done(client.models.count_tokens(model=MODEL, contents="Hi"))
        assert counted.total_tokens > 0


async def test_a_base_path_may_name_the_provider(mock: Service, kind: Kind) -> None:
    async with gemini_clients.client(f"{mock.url}/gemini", kind) as client:
        assert (await reply(client, "Hi")).text == "Hi"
        assert said(*(await chunks(client, "Hi"))) == "Hi"


@pytest.mark.parametrize("model", ["tunedModels/mine", "models/gemini-3-pro-preview", "gemini-9"])
async def test_any_model_answers(client: Client, model: str) -> None:
    whole = await reply(client, "Hi", model=model)
    assert whole.text == "Hi"
    assert model.removeprefix("models/") == whole.model_version


@pytest.mark.parametrize(
    "path",
    [
        f"/v1beta/models/{MODEL}:generateContent",
        f"/v1/models/{MODEL}:generateContent",
        f"/v1beta/models/{MODEL}%3AgenerateContent",
        f"/models/{MODEL}:generateContent",
        f"/v1beta/models/{MODEL}:generateContent?key=made-up",
        f"/v1/models/{MODEL}:generateContent?%24alt=json",
        f"/v1beta1/projects/p/locations/l/publishers/google/models/{MODEL}:generateContent",
    ],
)
def test_a_request_is_googles_by_its_path(mock: Service, path: str) -> None:
    body = {**BODY, "mock_response": "Hi"}
    answer = raw(mock.url, "POST", path, body)
    assert answer.status == 200
    assert answer.json["candidates"][0]["content"]["parts"] == [{"text": "Hi"}]


def test_a_list_of_models_is_googles_by_the_key(mock: Service) -> None:
    for path, headers in (
        ("/v1/models?key=made-up", {}),
        ("/v1/models", KEY),
        ("/v1beta/models", {}),
        ("/models?key=made-up", {}),
    ):
        assert raw(mock.url, "GET", path, None, headers).json["models"]
    assert raw(mock.url, "GET", "/v1/models").json["object"] == "list"


def test_both_spellings_of_members_are_read(mock: Service) -> None:
    body = {
        **BODY,
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "generation_config": {"max_output_tokens": 2, "stop_sequences": ["zzz"]},
        "mock_response": SCRIPT,
    }
    path = f"/v1beta/models/{MODEL}:generateContent"
    answer = raw(mock.url, "POST", path, body).json
    assert answer["candidates"][0]["finishReason"] == "MAX_TOKENS"
    camel = {
        **BODY,
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"maxOutputTokens": 2, "stopSequences": ["zzz"]},
        "mock_response": SCRIPT,
    }
    other = raw(mock.url, "POST", path, camel).json
    assert other["candidates"] == answer["candidates"]
    assert other["usageMetadata"] == answer["usageMetadata"]


STREAM = f"/v1beta/models/{MODEL}:streamGenerateContent"


def test_a_stream_without_alt_is_one_json_array(mock: Service) -> None:
    body = {**BODY, "mock_response": TONGUES}
    answer = raw(mock.url, "POST", STREAM, body)
    assert answer.headers["content-type"].startswith("application/json")
    rows = answer.json
    told = [row["candidates"][0]["content"]["parts"][0]["text"] for row in rows]
    assert "".join(told) == TONGUES
    assert [row["candidates"][0].get("finishReason") for row in rows[-2:]] == [None, "STOP"]
    assert rows[-1]["usageMetadata"]["candidatesTokenCount"] == count(TONGUES)


def test_a_stream_is_events_that_google_reads(mock: Service) -> None:
    answer = raw(mock.url, "POST", f"{STREAM}?alt=sse", {**BODY, "mock_response": SCRIPT})
    assert answer.headers["content-type"] == "text/event-stream"
    *records, rest = answer.body.split(b"\r\n\r\n")
    assert rest == b""
    assert all(record.startswith(b"data: {") and b"\n" not in record for record in records)
    rows = [json.loads(record.removeprefix(b"data: ")) for record in records]
    told = [row["candidates"][0]["content"]["parts"][0]["text"] for row in rows]
    assert "".join(told) == SCRIPT


# what stays and what changes


async def test_servers_of_one_seed_say_the_same(kind: Kind, mocking: Mocking) -> None:
    told = []
    for number, seed in enumerate((7, 7, 8)):
        own = {"x-llmproxy-session": f"google-seed-{kind}-{number}"}
        service = mocking(mock__seed=seed)
        async with gemini_clients.client(service.url, kind, own) as client:
            replies = [await reply(client, contents=f"Hi {n}") for n in range(3)]
        told.append([(each.response_id, each.text) for each in replies])
    assert told[0] == told[1]
    assert all(one != other for one, other in zip(told[0], told[2], strict=True))


async def test_streams_at_once_do_not_mix(mock: Service) -> None:
    async with gemini_clients.client(mock.url, "async") as client:
        told = [f"This is number {number}. " * 20 for number in range(20)]
        rows = await asyncio.gather(*(chunks(client, text) for text in told))
    assert [said(*each) for each in rows] == told
    assert len({each[0].response_id for each in rows}) == 20


async def test_the_length_asked_for_is_the_length_given(client: Client) -> None:
    whole = await reply(client, extra={"response_length": 500})
    assert abs(whole.usage_metadata.candidates_token_count - 500) <= 25
