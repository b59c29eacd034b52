"""Ollama's native API through its Python package, which has one generation."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest

pytest.importorskip("ollama", reason="Ollama's package is not among the older SDKs")

import ollama
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from conformance import ollama_clients
from conformance.driving import (
    MODELS,
    TONGUES,
    TOOLS,
    Kind,
    Mocking,
    Raw,
    done,
    functions,
    gather,
    items,
    raw,
    user,
)
from conformance.ollama_clients import (
    MODEL,
    Client,
    calls,
    chat,
    count,
    joined,
    lines,
    thought,
)
from llmproxy.models import Catalogue
from llmproxy.service import Service

SCRIPT = "One two three, four five six. " * 4
CHAT = "/api/chat"
GENERATE = "/api/generate"

Says = Callable[..., AbstractAsyncContextManager[Client]]
"""A client whose replies say what is given: ``says("Hi")``."""


@pytest.fixture
def says(mock: Service, kind: Kind, session: dict[str, str]) -> Says:
    return partial(ollama_clients.client, mock.url, kind, session=session)


@pytest.fixture
async def client(says: Says) -> AsyncIterator[Client]:
    """Ollama's client at the default server."""
    async with says() as made:
        yield made


async def test_a_reply_has_what_the_provider_tells(client: Client) -> None:
    reply = await chat(client)
    assert (reply.model, reply.done, reply.done_reason) == (MODEL, True, "stop")
    assert reply.message.role == "assistant"
    assert reply.message.content
    assert reply.created_at.endswith("Z")
    spans = (reply.load_duration, reply.prompt_eval_duration, reply.eval_duration)
    assert min(spans) > 0
    assert sum(spans) == reply.total_duration
    assert reply.prompt_eval_count > 0


async def test_a_script_is_what_the_client_reads_whole_and_streamed(says: Says) -> None:
    async with says(SCRIPT) as client:
        assert (await chat(client)).message.content == SCRIPT
        rows = await lines(client)
        assert joined(rows) == SCRIPT
        assert len(rows) == count(SCRIPT) + 1
        written = await done(client.generate(MODEL, "Hi"))
        assert written.response == SCRIPT
        parts = await items(client.generate(MODEL, "Hi", stream=True))
        assert "".join(part.response for part in parts) == SCRIPT


async def test_a_stream_says_what_a_whole_reply_says(client: Client) -> None:
    whole = await chat(client)
    rows = await lines(client)
    assert joined(rows) == whole.message.content
    assert [row.done for row in rows] == [False] * (len(rows) - 1) + [True]
    last = rows[-1]
    assert (last.done_reason, last.message.content) == ("stop", "")
    assert last.eval_count == whole.eval_count
    assert last.prompt_eval_count == whole.prompt_eval_count


async def test_both_ways_to_ask_say_the_same(client: Client) -> None:
    asked = await chat(client, "How are you?")
    written = await done(client.generate(MODEL, "How are you?"))
    assert written.response == asked.message.content
    assert (written.eval_count, written.prompt_eval_count) == (
        asked.eval_count,
        asked.prompt_eval_count,
    )
    assert written.context


async def test_no_character_is_ever_cut_in_two(says: Says) -> None:
    async with says(TONGUES) as client:
        rows = await lines(client)
        assert joined(rows) == TONGUES
        assert len(rows) > 20
        assert not [row for row in rows if "\N{REPLACEMENT CHARACTER}" in row.message.content]
        assert (await chat(client)).message.content == TONGUES


async def test_every_kind_of_message_is_taken(client: Client) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?", "images": [b"\x89PNG"]},
        {"role": "assistant", "content": "A cat.", "thinking": "Hm."},
        *user("Sure?"),
    ]
    options = {"temperature": 0.5, "top_k": 5, "top_p": 0.5, "seed": 7, "num_ctx": 4096}
    reply = await chat(client, messages=messages, options=options, keep_alive="5m")
    assert reply.message.content
    written = await done(
        client.generate(MODEL, "What?", system="Be brief.", images=[b"\x89PNG"], raw=True)
    )
    assert written.response
    assert written.context is None


async def test_an_empty_request_loads_and_unloads_the_model(client: Client) -> None:
    loaded = await chat(client, messages=[])
    assert (loaded.done_reason, loaded.message.content) == ("load", "")
    unloaded = await done(client.generate(MODEL, keep_alive=0))
    assert (unloaded.done_reason, unloaded.response) == ("unload", "")
    (row,) = await lines(client, messages=[])
    assert row.done


# how long, until where, in which form


async def test_a_stop_sequence_ends_the_text_and_is_not_part_of_it(says: Says) -> None:
    async with says(SCRIPT) as client:
        reply = await chat(client, options={"stop": ["zzz", "five"]})
        rows = await lines(client, options={"stop": ["five"]})
    assert reply.message.content == joined(rows) == "One two three, four "
    assert (reply.done_reason, rows[-1].done_reason) == ("stop", "stop")
    assert reply.eval_count == count("One two three, four ")


async def test_a_bound_on_tokens_cuts_the_text(says: Says) -> None:
    async with says(SCRIPT) as client:
        reply = await chat(client, options={"num_predict": 5})
        rows = await lines(client, options={"num_predict": 5})
        unbounded = await chat(client, options={"num_predict": -1})
    assert (reply.done_reason, reply.eval_count) == ("length", 5)
    assert SCRIPT.startswith(reply.message.content)
    assert count(reply.message.content) == 5
    assert (joined(rows), rows[-1].done_reason) == (reply.message.content, "length")
    assert unbounded.message.content == SCRIPT


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_a_format_is_followed(client: Client, model: type[BaseModel]) -> None:
    reply = await chat(client, format=model.model_json_schema())
    model.model_validate_json(reply.message.content)
    rows = await lines(client, format=model.model_json_schema())
    assert joined(rows) == reply.message.content


async def test_a_format_without_a_schema_is_json(client: Client) -> None:
    reply = await chat(client, format="json")
    assert isinstance(json.loads(reply.message.content), dict)
    written = await done(client.generate(MODEL, "Hi", format="json"))
    assert isinstance(json.loads(written.response), dict)


async def test_thinking_is_told_apart(says: Says) -> None:
    script = {"reasoning": "Let me think about it.", "text": "Four."}
    async with says(script) as client:
        reply = await chat(client, think=True)
        rows = await lines(client, think=True)
        written = await done(client.generate(MODEL, "Hi", think=True))
    for said in ((reply.message.thinking, reply.message.content), (thought(rows), joined(rows)),
                 (written.thinking, written.response)):  # fmt: skip
        assert said == ("Let me think about it.", "Four.")
    assert reply.eval_count == rows[-1].eval_count
    assert reply.eval_count == count("Let me think about it.") + count("Four.")


async def test_a_model_thinks_by_its_name_or_where_it_is_asked_to(client: Client) -> None:
    assert (await chat(client, model="qwen3:8b")).message.thinking
    assert (await chat(client, model="qwen3:8b", think=False)).message.thinking is None
    assert (await chat(client)).message.thinking is None
    assert (await chat(client, think="high")).message.thinking


async def test_a_refusal_is_text(says: Says) -> None:
    async with says({"refusal": "I cannot help with that."}) as client:
        reply = await chat(client)
    assert (reply.message.content, reply.done_reason) == ("I cannot help with that.", "stop")


# usage


@pytest.mark.parametrize("script", [None, SCRIPT, TONGUES, ""])
async def test_usage_is_what_a_client_counts(says: Says, script: str | None) -> None:
    async with says(script) as client:
        reply = await chat(client, "How are you? 漢字")
        rows = await lines(client, "How are you? 漢字")
    assert reply.eval_count == count(reply.message.content)
    assert rows[-1].eval_count == count(joined(rows))
    assert reply.prompt_eval_count == 6 + count("user") + count("How are you? 漢字")


async def test_a_script_may_say_what_it_costs(says: Says) -> None:
    async with says({"text": "Hi", "usage": {"input_tokens": 1000, "output_tokens": 24}}) as client:
        reply = await chat(client)
    assert (reply.prompt_eval_count, reply.eval_count) == (1000, 24)


# tools

TWO: dict[str, Any] = {
    "text": "Let me look.",
    "tool_calls": [
        {"name": "get_weather", "arguments": {"city": "Århus 🌦", "unit": "celsius"}},
        {"name": "tick", "arguments": {}},
    ],
}


async def test_tools_are_called_sometimes_and_with_what_fits(says: Says) -> None:
    async with says(tools=functions()) as client:  # the package would leave their bounds out
        replies = [await chat(client, f"Go {number}") for number in range(24)]
    assert {bool(calls(reply)) for reply in replies} == {True, False}
    for reply in replies:
        assert reply.done_reason == "stop"
        assert calls(reply) or reply.message.content
        for name, arguments in calls(reply):
            Draft202012Validator(TOOLS[name]).validate(arguments)


async def test_a_setting_calls_several_tools_with_text_before(kind: Kind, mocking: Mocking) -> None:
    service = mocking(mock__parallel_calls=3, mock__tool_calls=1.0, mock__text_before_calls=1.0)
    async with ollama_clients.client(service.url, kind) as client:
        reply = await chat(client, tools=functions())
        rows = await lines(client, tools=functions())
    assert {name for name, _ in calls(reply)} == set(TOOLS)
    assert reply.message.content
    assert (calls(*rows), joined(rows)) == (calls(reply), reply.message.content)
    assert rows[-1].eval_count == reply.eval_count


async def test_scripted_calls_are_read_whole_and_streamed(says: Says) -> None:
    async with says(TWO) as client:
        reply, rows = await chat(client), await lines(client)
    expected = [(call["name"], call["arguments"]) for call in TWO["tool_calls"]]
    assert calls(reply) == calls(*rows) == expected
    assert reply.message.content == joined(rows) == "Let me look."


async def test_a_loop_of_an_agent_ends(kind: Kind, mocking: Mocking) -> None:
    def get_weather(city: str) -> str:
        """What the weather is.

        Args:
            city: where
        """
        return f"4 degrees in {city}"

    get_weather.__annotations__ = {"city": str, "return": str}
    service = mocking(mock__tool_calls=1.0)
    async with ollama_clients.client(service.url, kind) as client:
        turns: list[Any] = user("What is the weather?")
        first = await chat(client, messages=turns, tools=[get_weather])
        ((name, arguments),) = calls(first)
        result = {"role": "tool", "tool_name": name, "content": get_weather(**arguments)}
        turns += [first.message, result]
        second = await chat(client, messages=turns, tools=[get_weather])
    assert name == "get_weather"
    assert calls(second) == []
    assert second.message.content


# embeddings and models


async def test_a_text_has_one_unit_vector(client: Client) -> None:
    async def embedded(*texts: str, **more: Any) -> list[list[float]]:
        made = await done(client.embed("nomic-embed-text", list(texts), **more))
        return [list(each) for each in made.embeddings]

    one, two, again = await embedded("one", "two", "one")
    assert len(one) == 768
    assert one == again != two
    assert math.isclose(math.hypot(*one), 1, abs_tol=1e-6)
    assert len((await embedded("one", dimensions=8))[0]) == 8
    single = await done(client.embed("nomic-embed-text", "one two"))
    assert single.prompt_eval_count == count("one two")
    older = await done(client.embeddings("nomic-embed-text", "one"))
    assert list(older.embedding) == one


async def test_models_are_listed_and_shown(client: Client) -> None:
    known = [model.id for model in Catalogue().of("ollama")]
    listed = await done(client.list())
    assert [model.model for model in listed.models] == known
    assert all(model.size > 0 and len(model.digest) == 64 for model in listed.models)
    shown = await done(client.show(MODEL))
    assert shown.details.family == "llama"
    assert {"completion", "tools"} <= set(shown.capabilities)
    running = await done(client.ps())
    assert {model.model for model in running.models} <= set(known)


async def test_a_model_that_is_pulled_is_there_at_once(client: Client) -> None:
    whole = await done(client.pull("llama3.2"))
    assert whole.status == "success"
    assert [each.status for each in await items(client.pull("llama3.2", stream=True))] == [
        "pulling manifest",
        "success",
    ]


def test_the_version_is_told(mock: Service) -> None:
    assert raw(mock.url, "GET", "/api/version").json["version"]


def test_the_path_of_openai_is_openais(mock: Service) -> None:
    body = {"model": MODEL, "messages": user("Hi"), "mock_response": "Hi"}
    answer = raw(mock.url, "POST", "/v1/chat/completions", body).json
    assert answer["choices"][0]["message"]["content"] == "Hi"


def test_a_stream_is_lines_of_json_and_the_default(mock: Service) -> None:
    for path in (CHAT, GENERATE):
        body = {"model": MODEL, "messages": user("Hi"), "prompt": "Hi", "mock_response": "a b\nc"}
        answer = raw(mock.url, "POST", path, body)
        assert answer.headers["content-type"] == "application/x-ndjson"
        *rows, rest = answer.body.split(b"\n")
        assert rest == b""
        assert [json.loads(row)["done"] for row in rows][-2:] == [False, True]


# errors

STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", STATUSES)
async def test_each_status_raises_with_its_words(says: Says, status: int, streamed: bool) -> None:
    async with says({"error": {"status": status, "message": "naïve one"}}) as client:
        with pytest.raises(ollama.ResponseError) as raised:
            await (lines if streamed else chat)(client)
    assert (raised.value.status_code, raised.value.error) == (status, "naïve one")


async def test_an_error_answers_as_often_as_it_says(says: Says) -> None:
    async with says({"text": "At last", "error": {"status": 503, "times": 2}}) as client:
        for _ in range(2):
            with pytest.raises(ollama.ResponseError):
                await chat(client)
        assert (await chat(client)).message.content == "At last"


@pytest.mark.parametrize("after", [0, 3])
async def test_an_error_in_mid_stream_raises_after_the_lines_before_it(
    says: Says, after: int
) -> None:
    error = {"status": 500, "message": "out of memory"}
    script = {"text": SCRIPT, "stream_error": error, "after_chunks": after}
    rows: list[Any] = []
    async with says(script) as client:
        stream = await done(client.chat(MODEL, user("Hi"), stream=True))
        with pytest.raises(ollama.ResponseError, match="out of memory"):
            await gather(stream, rows)
    assert len(rows) == after
    assert SCRIPT.startswith(joined(rows))


def body(**changes: Any) -> dict[str, Any]:
    """A request; a member that is None is left out."""
    whole = {"model": MODEL, "messages": user("Hi"), "prompt": "Hi", "stream": False, **changes}
    return {name: value for name, value in whole.items() if value is not None}


REFUSED: dict[str, tuple[str, Any, str]] = {
    "no model": (CHAT, body(model=None), "model is required"),
    "no model to write": (GENERATE, body(model=None), "model is required"),
    "a model that is a number": (CHAT, body(model=7), "model must be a string"),
    "messages that are a text": (CHAT, body(messages="Hi"), "messages must be an array"),
    "a message that is a text": (CHAT, body(messages=["Hi"]), "messages[0]"),
    "a message without a role": (CHAT, body(messages=[{"content": ""}]), "messages[0].role"),
    "an unknown role": (CHAT, body(messages=[{"role": "king"}]), "messages[0].role"),
    "content that is a number": (
        CHAT,
        body(messages=[{"role": "user", "content": 7}]),
        "messages[0].content",
    ),
    "a prompt that is a number": (GENERATE, body(prompt=7), "prompt"),
    "a stream that is a text": (CHAT, body(stream="yes"), "stream"),
    "options that are a list": (CHAT, body(options=[]), "options"),
    "a temperature that is a text": (CHAT, body(options={"temperature": "hot"}), "temperature"),
    "a bound that is a text": (CHAT, body(options={"num_predict": "5"}), "num_predict"),
    "tools that are an object": (CHAT, body(tools={}), "tools"),
    "a tool without a function": (CHAT, body(tools=[{"type": "function"}]), "tools[0].function"),
    "a format that is a word": (CHAT, body(format="xml"), "format"),
    "an unknown way to think": (CHAT, body(think="hard"), "think"),
    "an embedding of a number": ("/api/embed", body(input=7), "input"),
    "a script of a wrong type": (CHAT, body(mock_response=7), "mock_response"),
    "a body that is a list": (CHAT, [1], "JSON object"),
    "a broken body": (CHAT, b'{"model": ', "JSON"),
    "no body": (CHAT, b"", "JSON"),
}


def told(answer: Raw, status: int) -> str:
    """The text of an error, which must be all that there is."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"error"}
    return str(answer.json["error"])


@pytest.mark.parametrize(("path", "sent", "words"), REFUSED.values(), ids=REFUSED)
def test_what_the_provider_would_refuse_is_a_bad_request(
    mock: Service, path: str, sent: Any, words: str
) -> None:
    assert words in told(raw(mock.url, "POST", path, sent), 400)


def test_wrong_methods_paths_and_sizes_are_refused(mock: Service, mocking: Mocking) -> None:
    assert "POST" in told(raw(mock.url, "GET", CHAT), 405)
    assert "GET" in told(raw(mock.url, "POST", "/api/tags", {}), 405)
    told(raw(mock.url, "POST", "/api/push", {"model": MODEL}), 404)
    told(raw(mocking(max_request=1000).url, "POST", CHAT, body(prompt="x" * 2000)), 413)


async def test_strict_models_are_those_that_are_known(kind: Kind, mocking: Mocking) -> None:
    service = mocking(models__strict=True)
    async with ollama_clients.client(service.url, kind, "Hi") as client:
        assert (await chat(client)).message.content == "Hi"
        for ask in (chat, shown):
            with pytest.raises(ollama.ResponseError) as raised:
                await ask(client, model="nonsense")
            assert raised.value.status_code == 404
            assert "nonsense" in raised.value.error


async def shown(client: Client, model: str) -> Any:
    return await done(client.show(model))


async def test_lenient_validation_fills_in_a_model(mocking: Mocking) -> None:
    answer = raw(mocking(mock__validation="lenient").url, "POST", CHAT, body(model=None))
    assert answer.json["message"]["content"]


async def test_streams_at_once_do_not_mix(mock: Service) -> None:
    async def one(text: str) -> str:
        async with ollama_clients.client(mock.url, "async", text) as client:
            return joined(await lines(client))

    texts = [f"This is number {number}. " * 20 for number in range(20)]
    assert await asyncio.gather(*map(one, texts)) == texts
