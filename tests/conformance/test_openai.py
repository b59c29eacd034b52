"""Chat Completions through OpenAI's SDK: what is said, whole, streamed and parsed."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from pydantic import BaseModel

from conformance import openai_clients
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
    user,
)
from conformance.openai_clients import (
    MODEL,
    Client,
    chat,
    chunks,
    count,
    helped,
    joined,
    parsed,
    texts,
)
from llmproxy.service import Service

SCRIPT = "One two three, four five six. " * 4


async def test_a_completion_has_all_that_its_type_requires(openai_client: Client) -> None:
    completion = await chat(openai_client)
    assert completion.id.startswith("chatcmpl-")
    assert completion.object == "chat.completion"
    assert abs(completion.created - time.time()) < 60
    assert completion.model == MODEL
    assert completion.system_fingerprint.startswith("fp_")
    assert completion.service_tier == "default"
    (choice,) = completion.choices
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    message = choice.message
    assert (message.role, message.refusal, message.tool_calls) == ("assistant", None, None)
    assert message.annotations == []
    assert message.content


async def test_a_script_is_what_the_client_reads_whole_streamed_and_gathered(
    openai_client: Client,
) -> None:
    whole = await chat(openai_client, SCRIPT)
    rows = await chunks(openai_client, SCRIPT)
    _, gathered = await helped(openai_client, SCRIPT)
    assert whole.choices[0].message.content == SCRIPT
    assert joined(rows) == SCRIPT
    assert gathered.choices[0].message.content == SCRIPT


async def test_a_stream_says_what_a_whole_reply_says(openai_client: Client) -> None:
    whole = await chat(openai_client)
    assert joined(await chunks(openai_client)) == whole.choices[0].message.content


async def test_an_echo_says_what_the_user_said(openai_client: Client) -> None:
    messages = [{"role": "developer", "content": "Be brief."}, *user("Do you hear me?")]
    completion = await chat(openai_client, {"echo": True}, messages=messages)
    assert "Do you hear me?" in completion.choices[0].message.content


async def test_the_chunks_of_a_stream_share_their_head_and_follow_each_other(
    openai_client: Client,
) -> None:
    rows = await chunks(openai_client, SCRIPT)
    heads = {(r.id, r.created, r.model, r.system_fingerprint, r.service_tier) for r in rows}
    assert len(heads) == 1
    assert {row.object for row in rows} == {"chat.completion.chunk"}
    first, *middle, last = rows
    assert first.choices[0].delta.role == "assistant"
    assert first.choices[0].delta.content == ""
    assert all(row.choices[0].delta.role is None for row in middle)
    assert all(row.choices[0].finish_reason is None for row in (first, *middle))
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].delta.content is None
    assert len(middle) == count(SCRIPT)


async def test_equal_requests_get_ids_of_their_own(openai_client: Client) -> None:
    rows = [await chat(openai_client, "Hi") for _ in range(3)]
    streamed = await chunks(openai_client, "Hi")
    assert len({streamed[0].id, *(row.id for row in rows)}) == 4


async def test_the_stream_helper_tells_of_each_piece_and_of_the_whole(
    openai_client: Client,
) -> None:
    events, gathered = await helped(openai_client, SCRIPT, stream_options={"include_usage": True})
    deltas = [event for event in events if event.type == "content.delta"]
    assert "".join(event.delta for event in deltas) == SCRIPT
    assert deltas[-1].snapshot == SCRIPT
    (whole,) = [event for event in events if event.type == "content.done"]
    assert whole.content == SCRIPT
    assert gathered.choices[0].finish_reason == "stop"
    assert gathered.usage.completion_tokens == count(SCRIPT)


async def test_the_accumulator_makes_the_whole_reply_of_a_stream(openai_client: Client) -> None:
    whole = await chat(openai_client, SCRIPT, n=2)
    state: Any = ChatCompletionStreamState()
    for row in await chunks(openai_client, SCRIPT, n=2, stream_options={"include_usage": True}):
        state.handle_chunk(row)
    gathered = state.get_final_completion()
    assert [c.message.content for c in gathered.choices] == [SCRIPT, SCRIPT]
    assert gathered.usage == whole.usage
    assert gathered.choices[0].finish_reason == "stop"


async def test_no_character_is_ever_cut_in_two(openai_client: Client) -> None:
    rows = await chunks(openai_client, TONGUES)
    assert joined(rows) == TONGUES
    assert len(texts(rows)) > 20
    assert not [piece for piece in texts(rows) if "\N{REPLACEMENT CHARACTER}" in piece]
    whole = await chat(openai_client, TONGUES)
    assert whole.choices[0].message.content == TONGUES


async def test_pictures_sounds_files_and_every_role_are_taken(openai_client: Client) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": parts, "name": "ann"},
        {"role": "assistant", "content": "A cat.", "refusal": None},
        *user("Sure?"),
    ]
    completion = await chat(
        openai_client,
        messages=messages,
        temperature=0,
        top_p=0.5,
        presence_penalty=1,
        frequency_penalty=-1,
        logit_bias={"50256": -100},
        seed=7,
        user="u",
        metadata={"run": "1"},
        store=True,
        verbosity="low",
        service_tier="flex",
    )
    assert completion.choices[0].message.content
    assert completion.service_tier == "flex"


# how many, how long, until where


async def test_several_choices_are_told_apart_by_their_index(openai_client: Client) -> None:
    whole = await chat(openai_client, n=3)
    said = [choice.message.content for choice in whole.choices]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len(set(said)) == 3
    rows = await chunks(openai_client, n=3)
    assert [joined(rows, index) for index in range(3)] == said
    indexes = [choice.index for row in rows for choice in row.choices]
    assert list(dict.fromkeys(indexes)) == [0, 1, 2]
    ends = [c.index for row in rows for c in row.choices if c.finish_reason == "stop"]
    assert sorted(ends) == [0, 1, 2]
    _, gathered = await helped(openai_client, n=3)
    assert [choice.message.content for choice in gathered.choices] == said


async def test_a_stop_sequence_ends_the_text_and_is_not_part_of_it(openai_client: Client) -> None:
    stop: list[Any] = ["five", ["zzz", "five", "six"]]
    for sequence in stop:
        whole = await chat(openai_client, SCRIPT, stop=sequence)
        assert whole.choices[0].message.content == "One two three, four "
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage.completion_tokens == count("One two three, four ")
        assert joined(await chunks(openai_client, SCRIPT, stop=sequence)) == "One two three, four "


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_bound_on_tokens_cuts_the_text(openai_client: Client, name: str) -> None:
    whole = await chat(openai_client, SCRIPT, **{name: 5})
    (choice,) = whole.choices
    assert choice.finish_reason == "length"
    assert SCRIPT.startswith(choice.message.content)
    assert whole.usage.completion_tokens == count(choice.message.content) == 5
    rows = await chunks(openai_client, SCRIPT, **{name: 5})
    assert joined(rows) == choice.message.content
    assert rows[-1].choices[0].finish_reason == "length"


async def test_a_bound_that_is_not_reached_changes_nothing(openai_client: Client) -> None:
    whole = await chat(openai_client, SCRIPT, max_tokens=count(SCRIPT))
    assert whole.choices[0].message.content == SCRIPT
    assert whole.choices[0].finish_reason == "stop"


# what is parsed


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_parse_gives_an_instance_of_the_model(
    openai_client: Client, model: type[BaseModel]
) -> None:
    completion = await parsed(openai_client, response_format=model)
    message = completion.choices[0].message
    assert isinstance(message.parsed, model)
    assert message.parsed == model.model_validate_json(message.content)
    events, gathered = await helped(openai_client, response_format=model)
    assert gathered.choices[0].message.parsed == message.parsed
    assert [event.parsed for event in events if event.type == "content.done"] == [message.parsed]


async def test_a_scripted_object_is_parsed(openai_client: Client) -> None:
    ann = Flat(name="Ann", age=30, height=1.7, alive=True)
    completion = await parsed(openai_client, ann.model_dump_json(), response_format=Flat)
    assert completion.choices[0].message.parsed == ann


@pytest.mark.parametrize("strict", [True, False, None])
async def test_a_schema_is_followed_strict_or_not(
    openai_client: Client, strict: bool | None
) -> None:
    described = {"name": "nested", "schema": Nested.model_json_schema(), "strict": strict}
    wanted = {"type": "json_schema", "json_schema": described}
    completion = await chat(openai_client, response_format=wanted)
    Nested.model_validate_json(completion.choices[0].message.content)
    rows = await chunks(openai_client, response_format=wanted)
    assert joined(rows) == completion.choices[0].message.content


async def test_an_object_without_a_schema_is_json(openai_client: Client) -> None:
    completion = await chat(openai_client, response_format={"type": "json_object"})
    assert isinstance(json.loads(completion.choices[0].message.content), dict)


async def test_a_schema_that_nothing_fits_is_refused(openai_client: Client) -> None:
    described = {"name": "none", "schema": {"type": "integer", "minimum": 5, "maximum": 1}}
    wanted = {"type": "json_schema", "json_schema": described}
    with pytest.raises(openai.BadRequestError) as raised:
        await chat(openai_client, response_format=wanted)
    assert raised.value.param == "response_format"


async def test_parse_raises_where_the_object_was_cut(openai_client: Client) -> None:
    with pytest.raises(openai.LengthFinishReasonError) as raised:
        await parsed(openai_client, response_format=Nested, max_tokens=4)
    assert raised.value.completion.usage.completion_tokens == 4  # type: ignore[union-attr]
    with pytest.raises(openai.LengthFinishReasonError):
        await helped(openai_client, response_format=Nested, max_tokens=4)


async def test_parse_raises_where_the_content_was_filtered(openai_client: Client) -> None:
    script = {"text": "", "finish": "content_filter"}
    with pytest.raises(openai.ContentFilterFinishReasonError):
        await parsed(openai_client, script, response_format=Flat)
    with pytest.raises(openai.ContentFilterFinishReasonError):
        await helped(openai_client, script, response_format=Flat)
    rows = await chunks(openai_client, script)
    assert rows[-1].choices[0].finish_reason == "content_filter"


async def test_a_refusal_is_no_content_and_parses_to_nothing(openai_client: Client) -> None:
    script = {"refusal": "I cannot help with that."}
    completion = await parsed(openai_client, script, response_format=Flat)
    (choice,) = completion.choices
    assert choice.finish_reason == "stop"
    assert choice.message.refusal == "I cannot help with that."
    assert choice.message.content is None
    assert choice.message.parsed is None
    events, gathered = await helped(openai_client, script, response_format=Flat)
    deltas = [event.delta for event in events if event.type == "refusal.delta"]
    assert "".join(deltas) == "I cannot help with that."
    assert [e.refusal for e in events if e.type == "refusal.done"] == ["I cannot help with that."]
    assert gathered.choices[0].message.parsed is None


# reasoning and probabilities


async def test_reasoning_is_counted_and_not_shown(openai_client: Client) -> None:
    script = {"reasoning": "Let me think about it for a while.", "text": "Four."}
    whole = await chat(openai_client, script, model="o4-mini", reasoning_effort="low")
    used = whole.usage
    thought = count("Let me think about it for a while.")
    assert whole.choices[0].message.content == "Four."
    assert used.completion_tokens_details.reasoning_tokens == thought
    assert used.completion_tokens == thought + count("Four.")
    rows = await chunks(
        openai_client, script, model="o4-mini", stream_options={"include_usage": True}
    )
    assert joined(rows) == "Four."
    assert rows[-1].usage == used


async def test_a_model_reasons_by_its_effort_or_its_name(openai_client: Client) -> None:
    async def thought(**more: Any) -> int:
        completion = await chat(openai_client, **more)
        return int(completion.usage.completion_tokens_details.reasoning_tokens)

    assert await thought(model="gpt-5", reasoning_effort="high") > 0
    assert await thought(model="o3") > 0
    assert await thought(model="gpt-5.1", reasoning_effort="none") == 0
    assert await thought(model="gpt-4o") == 0


async def test_deepseek_shows_its_reasoning(openai_client: Client) -> None:
    script = {"reasoning": "Hm, two and two.", "text": "Four."}
    whole = await chat(openai_client, script, model="deepseek-reasoner")
    assert whole.choices[0].message.reasoning_content == "Hm, two and two."
    rows = await chunks(openai_client, script, model="deepseek-reasoner")
    deltas = [row.choices[0].delta for row in rows]
    said = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert (said, joined(rows)) == ("Hm, two and two.", "Four.")


async def test_probabilities_cover_the_text(openai_client: Client) -> None:
    asked = {"logprobs": True, "top_logprobs": 3}
    whole = await chat(openai_client, TONGUES, **asked)
    told = whole.choices[0].logprobs.content
    assert b"".join(bytes(each.bytes) for each in told).decode() == TONGUES
    assert all(each.logprob <= 0 for each in told)
    assert {len(each.top_logprobs) for each in told} == {3}
    assert all(each.top_logprobs[0].token == each.token for each in told)
    events, gathered = await helped(openai_client, TONGUES, **asked)
    assert gathered.choices[0].logprobs.content == told
    assert any(event.type == "logprobs.content.delta" for event in events)
    assert [e.content for e in events if e.type == "logprobs.content.done"] == [told]


# usage


async def test_usage_is_what_a_client_counts(openai_client: Client) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *user("How are you? 漢字")]
    told = [3 + count(m["role"]) + count(m["content"]) for m in messages]
    whole = await chat(openai_client, messages=messages, n=2)
    used = whole.usage
    said = [choice.message.content for choice in whole.choices]
    assert used.prompt_tokens == sum(told) + 3
    assert used.completion_tokens == sum(map(count, said))
    assert used.total_tokens == used.prompt_tokens + used.completion_tokens
    asked = {"messages": messages, "n": 2, "stream_options": {"include_usage": True}}
    assert (await chunks(openai_client, **asked))[-1].usage == used


async def test_usage_counts_characters_of_every_script(openai_client: Client) -> None:
    assert (await chat(openai_client, TONGUES)).usage.completion_tokens == count(TONGUES)


async def test_a_stream_tells_its_usage_last_and_only_where_asked(openai_client: Client) -> None:
    *rows, last = await chunks(openai_client, SCRIPT, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage.completion_tokens == count(SCRIPT)
    assert last.id == rows[0].id
    assert all(row.usage is None and "usage" in row.model_fields_set for row in rows)
    for row in await chunks(openai_client, SCRIPT):
        assert row.choices
        assert "usage" not in row.model_fields_set


async def test_a_setting_tells_usage_with_the_finish_reason(kind: Kind, mocking: Mocking) -> None:
    service = mocking(mock__stream_usage="final_chunk")
    async with openai_clients.client(service.url, kind) as client:
        rows = await chunks(client, SCRIPT)
    assert rows[-1].choices[0].finish_reason == "stop"
    assert rows[-1].usage.completion_tokens == count(SCRIPT)


async def test_a_script_may_say_what_it_costs(openai_client: Client) -> None:
    script = {"text": "Hi", "usage": {"input_tokens": 1000, "output_tokens": 24}}
    used = (await chat(openai_client, script)).usage
    assert (used.prompt_tokens, used.completion_tokens, used.total_tokens) == (1000, 24, 1024)


# headers


async def test_headers_are_those_of_the_provider(openai_client: Client) -> None:
    create = openai_client.chat.completions.with_raw_response.create
    reply = await done(create(model=MODEL, messages=user("Hi")))
    completion = await done(reply.parse())
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"].startswith("req_")
    assert reply.headers["openai-processing-ms"].isdigit()
    assert reply.headers["openai-version"] == "2020-10-01"
    assert reply.headers["x-llmproxy-source"] == "synthesized"
    assert completion._request_id == reply.request_id == reply.headers["x-request-id"]
    assert reply.retries_taken == 0


async def test_a_stream_has_its_headers_too(openai_client: Client) -> None:
    opening = openai_client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=user("Hi"), stream=True
    )
    async with entered(opening) as reply:
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reply.headers["x-request-id"].startswith("req_")
        assert reply.headers["x-llmproxy-source"] == "synthesized"
        lines = [line async for line in reply.iter_lines()] if _is_async(reply) else None
        lines = lines if lines is not None else list(reply.iter_lines())
    assert [line for line in lines if line][-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines if line)


def _is_async(reply: Any) -> bool:
    return "Async" in type(reply).__name__


# what stays and what changes


async def test_servers_of_one_seed_say_the_same(kind: Kind, mocking: Mocking) -> None:
    said = []
    for service in (mocking(), mocking(mock__seed=0), mocking(mock__seed=1)):
        async with openai_clients.client(service.url, kind) as client:
            replies = [await chat(client, messages=user(f"Hi {n}")) for n in range(3)]
        said.append([(reply.id, reply.choices[0].message.content) for reply in replies])
    assert said[0] == said[1]
    assert all(one != other for one, other in zip(said[0], said[2], strict=True))


async def test_a_random_seed_never_says_the_same(kind: Kind, mocking: Mocking) -> None:
    service = mocking(mock__seed=None, mock__style="prose")
    async with openai_clients.client(service.url, kind) as client:
        said = {(await chat(client)).choices[0].message.content for _ in range(4)}
    assert len(said) > 1


async def test_streams_at_once_do_not_mix(mock: Service) -> None:
    async with openai_clients.client(mock.url, "async") as client:
        told = [f"This is number {number}. " * 20 for number in range(20)]
        rows = await asyncio.gather(*(chunks(client, text) for text in told))
    assert [joined(each) for each in rows] == told
    assert len({each[0].id for each in rows}) == 20


async def test_a_stream_may_be_left_early(openai_client: Client) -> None:
    stream = await done(
        openai_client.chat.completions.create(
            model=MODEL, messages=user("Hi"), stream=True, extra_body={"response_length": 2_000}
        )
    )
    first = await anext(stream) if hasattr(stream, "__anext__") else next(stream)
    assert first.choices[0].delta.role == "assistant"
    await done(stream.close())
    assert (await chat(openai_client, "Still there")).choices[0].message.content == "Still there"


async def test_the_length_asked_for_is_the_length_given(openai_client: Client) -> None:
    whole = await chat(openai_client, extra_body={"response_length": 500})
    assert abs(whole.usage.completion_tokens - 500) <= 25
    assert await items(openai_client.models.list())
