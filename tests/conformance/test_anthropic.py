"""Anthropic's Messages through its SDK: what is said, whole, streamed, gathered and parsed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from conformance import anthropic_clients
from conformance.anthropic_clients import (
    MODEL,
    OLD,
    Client,
    asked,
    count,
    events,
    helped,
    joined,
    message,
    parsed,
    said,
    shown,
    texts,
)
from conformance.driving import (
    MODELS,
    TONGUES,
    Flat,
    Kind,
    Mocking,
    Nested,
    done,
    entered,
    items,
    raw,
    user,
)
from llmproxy.models import Catalogue
from llmproxy.service import Service

SCRIPT = "One two three, four five six. " * 4
VERSIONS = ["2023-06-01", "2026-10-21"]


@pytest.fixture
async def client(mock: Service, kind: Kind, session: dict[str, str]) -> AsyncIterator[Client]:
    """Anthropic's client, in its strict mode and without retries, at the default server."""
    async with anthropic_clients.client(mock.url, kind, default_headers=session) as made:
        yield made


async def test_a_message_has_all_that_its_type_requires(client: Client) -> None:
    reply = await message(client)
    assert re.fullmatch(r"msg_01[A-Za-z0-9]{22}", reply.id)
    assert (reply.type, reply.role, reply.model) == ("message", "assistant", MODEL)
    assert (reply.stop_reason, reply.stop_sequence) == ("end_turn", None)
    (block,) = reply.content
    assert block.type == "text"
    assert block.text
    used = reply.usage
    assert used.cache_creation_input_tokens == used.cache_read_input_tokens == 0
    assert used.service_tier == "standard"


async def test_a_script_is_what_the_client_reads_whole_streamed_and_gathered(
    client: Client,
) -> None:
    assert said(await message(client, SCRIPT)) == SCRIPT
    assert joined(await events(client, SCRIPT)) == SCRIPT
    _, gathered = await helped(client, SCRIPT)
    assert said(gathered) == SCRIPT


async def test_a_stream_says_what_a_whole_reply_says(client: Client) -> None:
    whole = await message(client)
    assert joined(await events(client)) == said(whole)
    _, gathered = await helped(client)
    assert shown(gathered) == shown(whole)
    assert (gathered.stop_reason, gathered.usage) == (whole.stop_reason, whole.usage)


async def test_an_echo_says_what_the_user_said(client: Client) -> None:
    reply = await message(client, {"echo": True}, messages=user("Do you hear me?"), system="No.")
    assert "Do you hear me?" in said(reply)


async def test_the_events_of_a_stream_come_in_order(client: Client) -> None:
    script = {"reasoning": "Hm, hm.", "text": "One two.", "tool_calls": [{"name": "f"}]}
    rows = await events(client, script)
    first, *middle, before_last, last = rows
    assert first.type == "message_start"
    assert (first.message.content, first.message.stop_reason) == ([], None)
    assert first.message.usage.input_tokens > 0
    assert (before_last.type, last.type) == ("message_delta", "message_stop")
    assert before_last.delta.stop_reason == "tool_use"
    for index, kind in enumerate(("thinking", "text", "tool_use")):
        block = [row for row in middle if row.index == index]
        assert block[0].type == "content_block_start"
        assert block[0].content_block.type == kind
        assert {row.type for row in block[1:-1]} == {"content_block_delta"}
        assert block[-1].type == "content_block_stop"
    indexes = [row.index for row in middle]
    assert indexes == sorted(indexes)


async def test_the_helper_tells_of_each_piece_and_of_the_whole(client: Client) -> None:
    rows, gathered = await helped(client, SCRIPT)
    pieces = [row for row in rows if row.type == "text"]
    assert "".join(row.text for row in pieces) == SCRIPT
    assert pieces[-1].snapshot == SCRIPT
    assert len(pieces) == count(SCRIPT)
    (ended,) = [row for row in rows if row.type == "content_block_stop"]
    assert ended.content_block.text == SCRIPT
    assert [row.message for row in rows if row.type == "message_stop"] == [gathered]


async def test_the_text_stream_of_the_helper_is_the_text(client: Client) -> None:
    async with entered(client.messages.stream(**asked(SCRIPT, {}))) as stream:
        pieces = await items(stream.text_stream)
        assert await done(stream.get_final_text()) == SCRIPT
        assert stream.request_id.startswith("req_")
        assert stream.current_message_snapshot.stop_reason == "end_turn"
    assert "".join(pieces) == SCRIPT


async def test_a_helper_that_is_not_read_gathers_all_the_same(client: Client) -> None:
    async with entered(client.messages.stream(**asked(SCRIPT, {}))) as stream:
        await done(stream.until_done())
        assert said(await done(stream.get_final_message())) == SCRIPT


async def test_equal_requests_get_ids_of_their_own(client: Client) -> None:
    replies = [await message(client, "Hi") for _ in range(3)]
    _, gathered = await helped(client, "Hi")
    assert len({gathered.id, *(reply.id for reply in replies)}) == 4


async def test_no_character_is_ever_cut_in_two(client: Client) -> None:
    rows = await events(client, TONGUES)
    assert joined(rows) == TONGUES
    assert len(texts(rows)) > 20
    assert not [piece for piece in texts(rows) if "\N{REPLACEMENT CHARACTER}" in piece]
    assert said(await message(client, TONGUES)) == TONGUES


async def test_every_kind_of_block_is_taken(client: Client) -> None:
    picture = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    document = {"type": "text", "media_type": "text/plain", "data": "Once upon a time."}
    parts = [
        {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": picture},
        {"type": "document", "source": document, "title": "Tale"},
    ]
    thought = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "text", "text": "A cat."},
    ]
    messages = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": thought},
        *user("Sure?"),
    ]
    reply = await message(
        client,
        messages=messages,
        system=[{"type": "text", "text": "Be brief."}],
        metadata={"user_id": "u"},
        service_tier="auto",
        stop_sequences=["zzz"],
    )
    assert said(reply)


# how long, until where


async def test_a_stop_sequence_ends_the_text_and_is_named(client: Client) -> None:
    before = "One two three, four "
    whole = await message(client, SCRIPT, stop_sequences=["zzz", "five", "six"])
    assert said(whole) == before
    assert (whole.stop_reason, whole.stop_sequence) == ("stop_sequence", "five")
    assert whole.usage.output_tokens == count(before)
    _, gathered = await helped(client, SCRIPT, stop_sequences=["five"])
    assert said(gathered) == before
    assert (gathered.stop_reason, gathered.stop_sequence) == ("stop_sequence", "five")


async def test_a_bound_on_tokens_cuts_the_text(client: Client) -> None:
    whole = await message(client, SCRIPT, max_tokens=5)
    assert whole.stop_reason == "max_tokens"
    assert SCRIPT.startswith(said(whole))
    assert whole.usage.output_tokens == count(said(whole)) == 5
    rows, gathered = await helped(client, SCRIPT, max_tokens=5)
    assert shown(gathered) == shown(whole)
    assert gathered.stop_reason == "max_tokens"
    assert len([row for row in rows if row.type == "text"]) == 5


async def test_a_bound_that_is_not_reached_changes_nothing(client: Client) -> None:
    whole = await message(client, SCRIPT, max_tokens=count(SCRIPT))
    assert (said(whole), whole.stop_reason) == (SCRIPT, "end_turn")


# structured output


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_parse_gives_an_instance_of_the_model(client: Client, model: type[BaseModel]) -> None:
    reply = await parsed(client, output_format=model)
    assert isinstance(reply.parsed_output, model)
    assert reply.parsed_output == model.model_validate_json(said(reply))
    async with entered(client.messages.stream(**asked(None, {"output_format": model}))) as stream:
        gathered = await done(stream.get_final_message())
    assert gathered.parsed_output == reply.parsed_output


async def test_a_scripted_object_is_parsed(client: Client) -> None:
    ann = Flat(name="Ann", age=30, height=1.7, alive=True)
    reply = await parsed(client, ann.model_dump_json(), output_format=Flat)
    assert reply.parsed_output == ann


@pytest.mark.parametrize("name", ["output_config", "output_format"])
async def test_a_schema_is_followed_under_its_name_and_that_of_its_beta(
    client: Client, name: str
) -> None:
    described = {"type": "json_schema", "schema": Nested.model_json_schema()}
    wanted = {"format": described} if name == "output_config" else described
    reply = await message(client, extra_body={name: wanted})
    Nested.model_validate_json(said(reply))


async def test_a_schema_that_nothing_fits_is_refused(client: Client) -> None:
    described = {"type": "json_schema", "schema": {"type": "integer", "minimum": 5, "maximum": 1}}
    with pytest.raises(anthropic.BadRequestError, match="schema"):
        await message(client, output_config={"format": described})


# thinking and refusals

THOUGHT = "Let me think about it for a while."


@pytest.mark.parametrize(
    "thinking", [{"type": "enabled", "budget_tokens": 1024}, {"type": "adaptive"}]
)
async def test_a_model_thinks_where_it_is_asked_to(
    client: Client, thinking: dict[str, Any]
) -> None:
    whole = await message(client, thinking=thinking)
    first, second = whole.content
    assert (first.type, second.type) == ("thinking", "text")
    assert first.thinking
    assert first.signature
    rows, gathered = await helped(client, thinking=thinking)
    assert shown(gathered) == shown(whole)
    pieces = [row for row in rows if row.type == "thinking"]
    assert "".join(row.thinking for row in pieces) == first.thinking
    assert [row.signature for row in rows if row.type == "signature"] == [first.signature]


async def test_thinking_is_counted(client: Client) -> None:
    whole = await message(client, {"reasoning": THOUGHT, "text": "Four."})
    assert whole.usage.output_tokens == count(THOUGHT) + count("Four.")
    assert whole.usage.output_tokens_details.thinking_tokens == count(THOUGHT)
    rows = await events(client, {"reasoning": THOUGHT, "text": "Four."})
    assert rows[-2].usage.output_tokens == whole.usage.output_tokens
    assert (joined(rows, "thinking"), joined(rows)) == (THOUGHT, "Four.")
    assert len(texts(rows, "signature")) == 1


async def test_thinking_that_is_omitted_leaves_its_signature(client: Client) -> None:
    thinking = {"type": "adaptive", "display": "omitted"}
    script = {"reasoning": THOUGHT, "text": "Four."}
    whole = await message(client, script, thinking=thinking)
    assert whole.content[0].thinking == ""
    assert whole.content[0].signature
    rows = await events(client, script, thinking=thinking)
    assert texts(rows, "thinking") == []
    assert texts(rows, "signature") == [whole.content[0].signature]
    assert rows[-2].usage.output_tokens == whole.usage.output_tokens


async def test_a_model_does_not_think_unasked(client: Client) -> None:
    assert [block.type for block in (await message(client)).content] == ["text"]
    reply = await message(client, thinking={"type": "disabled"})
    assert [block.type for block in reply.content] == ["text"]


async def test_thinking_goes_back_into_the_next_turn(client: Client) -> None:
    first = await message(client, thinking={"type": "adaptive"})
    turns = [*user("Hi"), {"role": "assistant", "content": first.content}, *user("And then?")]
    assert said(await message(client, messages=turns, thinking={"type": "adaptive"}))


async def test_a_refusal_says_why_it_stopped(client: Client) -> None:
    script = {"refusal": "I cannot help with that."}
    whole = await message(client, script)
    assert whole.stop_reason == "refusal"
    assert whole.stop_details.type == "refusal"
    assert whole.stop_details.explanation == "I cannot help with that."
    assert said(whole) == "I cannot help with that."
    _, gathered = await helped(client, script)
    assert shown(gathered) == shown(whole)
    assert (gathered.stop_reason, gathered.stop_details) == ("refusal", whole.stop_details)


async def test_a_refusal_without_a_word_has_no_content(client: Client) -> None:
    whole = await message(client, {"refusal": ""})
    assert (whole.content, whole.stop_reason, whole.usage.output_tokens) == ([], "refusal", 0)
    rows = await events(client, {"refusal": ""})
    assert [row.type for row in rows] == ["message_start", "message_delta", "message_stop"]


# usage


async def test_usage_is_what_a_client_counts(client: Client) -> None:
    for script in (None, TONGUES, SCRIPT):
        whole = await message(client, script)
        assert whole.usage.output_tokens == count(said(whole))
        rows = await events(client, script)
        assert rows[-2].usage.output_tokens == count(joined(rows))
        assert rows[0].message.usage.input_tokens == whole.usage.input_tokens
        assert rows[0].message.usage.output_tokens <= 1


async def test_tokens_are_counted_before_a_message_as_in_it(client: Client) -> None:
    given = {"messages": user("How are you? 漢字"), "system": "Be brief."}
    counted = await done(client.messages.count_tokens(model=MODEL, **given))
    told = 3 + sum(3 + count(role) + count(text) for role, text in (
        ("system", "Be brief."), ("user", "How are you? 漢字")))  # fmt: skip
    assert counted.input_tokens == told
    assert (await message(client, **given)).usage.input_tokens == told
    more = anthropic_clients.tools()
    larger = await done(client.messages.count_tokens(model=MODEL, tools=more, **given))
    assert larger.input_tokens > told + 20


async def test_a_script_may_say_what_it_costs(client: Client) -> None:
    script = {"text": "Hi", "usage": {"input_tokens": 1000, "output_tokens": 24}}
    used = (await message(client, script)).usage
    assert (used.input_tokens, used.output_tokens) == (1000, 24)


# headers, versions, paths


async def test_headers_are_those_of_the_provider(client: Client) -> None:
    reply = await done(client.messages.with_raw_response.create(**asked("Hi", {})))
    assert reply.headers["content-type"] == "application/json"
    assert re.fullmatch(r"req_01[A-Za-z0-9]{22}", reply.headers["request-id"])
    assert reply.headers["anthropic-organization-id"]
    assert reply.headers["x-llmproxy-source"] == "synthesized"
    parsed_reply = await done(reply.parse())
    assert parsed_reply._request_id == reply.headers["request-id"]
    assert reply.retries_taken == 0


async def test_a_stream_has_its_headers_too(client: Client) -> None:
    opening = client.messages.with_streaming_response.create(**asked("Hi", {}), stream=True)
    async with entered(opening) as reply:
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reply.headers["request-id"].startswith("req_")
        lines = await items(reply.iter_lines())
    named = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    told = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert named == [row["type"] for row in told]
    assert named[:3] == ["message_start", "content_block_start", "ping"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_old_and_new_versions_of_the_api_are_answered(client: Client, version: str) -> None:
    headers = {"anthropic-version": version}
    assert said(await message(client, "Hi", extra_headers=headers)) == "Hi"
    hot = {"extra_body": {"temperature": 0.5, "top_p": 0.5, "top_k": 5}, "extra_headers": headers}
    if version == "2023-06-01":
        assert said(await message(client, "Hi", **hot)) == "Hi"
        return
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        await message(client, "Hi", **hot)


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/v1/messages", "2023-06-01"),
        ("/v1/messages", None),
        ("/v1/messages?beta=true", "2023-06-01"),
        ("/messages", "2023-06-01"),
        ("/messages", None),
        ("/anthropic/v1/messages", "2023-06-01"),
    ],
)
def test_messages_are_found_with_and_without_v1(
    mock: Service, path: str, version: str | None
) -> None:
    headers = {"anthropic-version": version} if version else {}
    body = {**asked(None, {}), "mock_response": "Hi"}
    reply = raw(mock.url, "POST", path, body, headers)
    assert (reply.status, reply.json["content"]) == (200, [{"type": "text", "text": "Hi"}])


@pytest.mark.parametrize("prefix", ["", "/anthropic"])
async def test_a_base_path_may_name_the_provider(mock: Service, kind: Kind, prefix: str) -> None:
    async with anthropic_clients.client(mock.url + prefix, kind) as client:
        assert said(await message(client, "Hi")) == "Hi"
        assert (await items(client.models.list()))[0].type == "model"


async def test_a_beta_is_answered_like_what_it_will_be(client: Client) -> None:
    arguments = asked("Hi", {"betas": ["interleaved-thinking-2025-05-14"]})
    assert said(await done(client.beta.messages.create(**arguments))) == "Hi"
    async with entered(client.beta.messages.stream(**arguments)) as stream:
        assert said(await done(stream.get_final_message())) == "Hi"


# models


async def test_models_come_page_by_page(client: Client) -> None:
    known = [model.id for model in Catalogue().of("anthropic")]
    listed = await items(client.models.list(limit=4))
    assert [model.id for model in listed] == known
    page = await done(client.models.list(limit=4))
    assert (len(page.data), page.has_more) == (4, True)
    assert (page.first_id, page.last_id) == (known[0], known[3])
    last = await done(client.models.list(after_id=known[-2]))
    assert ([model.id for model in last.data], last.has_more) == (known[-1:], False)
    before = await done(client.models.list(before_id=known[3], limit=2))
    assert [model.id for model in before.data] == known[1:3]


async def test_a_model_is_found_by_its_id(client: Client) -> None:
    model = await done(client.models.retrieve(MODEL))
    assert (model.id, model.type, model.display_name) == (MODEL, "model", "Claude Sonnet 5")
    if not OLD:
        assert model.lifecycle == "active"
    with pytest.raises(anthropic.NotFoundError):
        await done(client.models.retrieve("claude-nonsense"))


# what stays and what changes


async def test_servers_of_one_seed_say_the_same(kind: Kind, mocking: Mocking) -> None:
    told = []
    for number, seed in enumerate((7, 7, 8)):
        own = {"x-llmproxy-session": f"seed-{kind}-{number}"}
        service = mocking(mock__seed=seed)
        async with anthropic_clients.client(service.url, kind, default_headers=own) as client:
            replies = [await message(client, messages=user(f"Hi {n}")) for n in range(3)]
        told.append([(reply.id, said(reply)) for reply in replies])
    assert told[0] == told[1]
    assert all(one != other for one, other in zip(told[0], told[2], strict=True))


async def test_streams_at_once_do_not_mix(mock: Service) -> None:
    async with anthropic_clients.client(mock.url, "async") as client:
        told = [f"This is number {number}. " * 20 for number in range(20)]
        rows = await asyncio.gather(*(events(client, text) for text in told))
    assert [joined(each) for each in rows] == told
    assert len({each[0].message.id for each in rows}) == 20


async def test_a_stream_may_be_left_early(client: Client) -> None:
    long = {"extra_body": {"response_length": 20_000}, "max_tokens": 20_000}
    async with entered(client.messages.stream(**asked(None, long))) as stream:
        first = await anext(stream) if hasattr(stream, "__anext__") else next(stream)
        assert first.type == "message_start"
    assert said(await message(client, "Still there")) == "Still there"


async def test_the_length_asked_for_is_the_length_given(client: Client) -> None:
    reply = await message(client, extra_body={"response_length": 500})
    assert abs(reply.usage.output_tokens - 500) <= 25
