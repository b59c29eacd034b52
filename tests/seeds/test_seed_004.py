"""Seed 004, openai-stream-mocker: lengths, speeds of models, a time limit.

Its control routes are aliases of ours; its ``GET /`` is not served, for that is Ollama's.
"""

from __future__ import annotations

import functools
import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import sockets
from control.calling import refused, told
from control.calling import said as said_by
from llmproxy import configuration
from llmproxy.interaction import Reply
from llmproxy.service import Plan, serving
from llmproxy.settings import Settings, load
from llmproxy.speeds import KNOWN_SPEEDS, ModelSettings, speed_of
from seeds.asking import (
    CHAT,
    asked,
    body_of,
    chat,
    chunks,
    count,
    curl,
    offsets,
    openai_client,
    pieces,
    replies_to,
    reply_to,
    spoken,
    user,
)
from serve import mocking

LENGTHS = {"short": 25, "medium": 100, "long": 400, "very_long": 1500}
STORY = {"model": "gpt-3.5-turbo", "messages": user("Tell me a story.")}
TABLE: dict[str, Any] = {"models__known_speeds": True}


def story(**more: Any) -> dict[str, Any]:
    """The request in the document."""
    return {**STORY, **more}


def used(reply: Reply) -> dict[str, int]:
    found: dict[str, int] = json.loads(body_of(reply))["usage"]
    return found


async def tokens_of(body: dict[str, Any], **changes: Any) -> int:
    return used(await reply_to(CHAT, body, **changes))["completion_tokens"]


async def speed(model: str, **changes: Any) -> float:
    """Tokens a second of a model, from the moments of a stream."""
    body = story(model=model, stream=True, mock_response="one two three")
    (first, _), (second, _), _ = spoken(await reply_to(CHAT, body, **changes))
    return 1 / (second - first)


@pytest.mark.parametrize("stream", [False, True])
async def test_004_1_the_documented_request_is_answered(stream: bool) -> None:
    async with openai_client() as client:
        found = await client.chat.completions.create(
            **STORY, stream=stream, extra_body={"response_length": "short"}
        )
        if stream:
            said = [c.choices[0].delta.content or "" async for c in found]
            assert count("".join(said)) == 25
        else:
            assert found.choices[0].finish_reason == "stop"
            assert found.usage.completion_tokens == 25


@pytest.mark.parametrize(("length", "tokens"), LENGTHS.items())
async def test_004_2_a_request_says_how_long_its_reply_is(length: str, tokens: int) -> None:
    assert await tokens_of(story(response_length=length)) == tokens
    assert await tokens_of(story(), mock__response_length=length) == tokens


async def test_004_2_a_random_length_is_one_of_the_four() -> None:
    bodies = [chat(f"{number}", response_length="random") for number in range(40)]
    assert {used(reply)["completion_tokens"] for reply in await replies_to(CHAT, bodies)} == set(
        LENGTHS.values()
    )


async def test_004_2_an_unknown_length_is_refused() -> None:
    answer = await asked(CHAT, story(response_length="huge"))
    assert answer.status == 400
    assert "short" in json.loads(answer.body)["error"]["message"]


@pytest.mark.parametrize(("seconds", "tokens"), [(3, 60), (0.1, 10)])
async def test_004_3_a_reply_may_be_sized_by_its_duration(seconds: float, tokens: int) -> None:
    body = story(duration_seconds=seconds, tokens_per_second=20)
    assert await tokens_of(body) == tokens


async def test_004_3_a_reply_takes_the_duration_that_sized_it() -> None:
    reply = await reply_to(CHAT, story(duration_seconds=3, tokens_per_second=20, stream=True))
    assert reply.ended_at == pytest.approx(59 / 20)


async def test_004_5_the_models_are_listed_with_the_members_of_old() -> None:
    table = {"my-model": ModelSettings(tokens_per_second=40.0, description="Our own")}
    async with mocking(models__table=table) as service:
        rows = json.loads((await curl(service, "/v1/models")).body)["data"]
    models = {row["id"]: row for row in rows}
    assert set(KNOWN_SPEEDS) <= set(models)
    assert models["my-model"]["description"] == "Our own"
    assert models["llama-3-70b"]["owned_by"] == "openai-stream-mocker"
    for row in rows:
        assert (row["object"], row["permission"], row["root"], row["parent"]) == (
            "model",
            [],
            row["id"],
            None,
        )


@pytest.mark.parametrize("parameters", [0.5, 3, 8, 25, 170, 1e6])
def test_004_11_a_models_size_gives_its_speed(parameters: float) -> None:
    expected = 25 * (1 / math.log(parameters + 1)) ** 1.5
    assert speed_of(parameters) == pytest.approx(min(20.0, max(1.0, expected)))


def test_004_11_a_model_without_a_size_has_the_base_speed() -> None:
    assert speed_of(0) == 25


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (8, 7.68), (10, 6.73), (13, 5.83), (34, 3.73), (70, 2.84),
        (25, 4.25), (170, 2.14), (3, 15.32), (2, 20.0), (1, 20.0),
    ],
)  # fmt: skip
async def test_004_12_the_formulas_values_are_the_streams(
    parameters: float, expected: float
) -> None:
    table = {"m": ModelSettings(parameters=parameters)}
    assert round(speed_of(parameters), 2) == expected
    assert await speed("m", models__table=table) == pytest.approx(speed_of(parameters))


LIMIT: dict[str, Any] = {
    "pace__tokens_per_second": 10.0,
    "pace__max_stream_time": 5.0,
    "pace__truncation_message": "... [Content truncated due to time limit]",
}
"""What the document's config.toml says."""


async def test_004_13_a_reply_that_would_take_too_long_is_cut_and_says_so() -> None:
    long = await reply_to(CHAT, story(response_length="long"))
    told = json.loads(body_of(long))["choices"][0]["message"]["content"]
    reply = await reply_to(CHAT, story(response_length="long", stream=True), **LIMIT)
    said = "".join(pieces(body_of(reply)))
    kept = said.removesuffix(LIMIT["pace__truncation_message"])
    assert kept != said
    assert told.startswith(kept)
    assert 45 <= count(kept) <= 51
    assert chunks(body_of(reply))[-1]["choices"][0]["finish_reason"] == "length"
    assert max(offsets(reply)) <= 5.0


async def test_004_13_a_reply_that_is_not_streamed_is_cut_alike() -> None:
    body = story(response_length="long")
    streamed = await reply_to(CHAT, {**body, "stream": True}, **LIMIT)
    whole = await reply_to(CHAT, body, **LIMIT)
    choice = json.loads(body_of(whole))["choices"][0]
    assert choice["message"]["content"] == "".join(pieces(body_of(streamed)))
    assert choice["finish_reason"] == "length"
    assert offsets(whole)[0] <= 5.0


async def test_004_13_a_reply_in_time_is_left_whole() -> None:
    reply = await reply_to(CHAT, story(response_length="short", stream=True), **LIMIT)
    assert count("".join(pieces(body_of(reply)))) == 25
    assert chunks(body_of(reply))[-1]["choices"][0]["finish_reason"] == "stop"


async def test_004_13_the_message_may_be_empty() -> None:
    changes: dict[str, Any] = {**LIMIT, "pace__truncation_message": ""}
    reply = await reply_to(CHAT, story(response_length="long"), **changes)
    assert json.loads(body_of(reply))["choices"][0]["finish_reason"] == "length"
    assert used(reply)["completion_tokens"] <= 51


def test_004_14_all_that_config_toml_says_stands_in_proxy_yml(tmp_path: Path) -> None:
    (tmp_path / "proxy.yml").write_text(
        "pace:\n"
        "  tokens_per_second: 10\n"
        "  max_stream_time: 5s\n"
        '  truncation_message: "... [cut]"\n'
        "mock:\n"
        "  response_length: auto\n"
        "models:\n"
        "  known_speeds: true\n"
        "  table:\n"
        "    big: {parameters: 25, description: Custom 25B, max_stream_time: 180s}\n"
        "    fast: {tokens_per_second: 3.5}\n"
    )
    settings = load(None, {}, {}, tmp_path).settings
    assert (settings.pace.tokens_per_second, settings.pace.max_stream_time) == (10, 5)
    assert settings.models.table["big"].speed == speed_of(25)
    assert settings.models.table["big"].max_stream_time == 180
    assert settings.models.table["fast"].speed == 3.5


@pytest.mark.parametrize(
    ("rate", "tokens"), [(5, 25), (8, 25), (9, 100), (20, 100), (21, 400), (30, 400), (31, 1500)]
)
async def test_004_14_an_automatic_length_goes_by_the_models_speed(rate: int, tokens: int) -> None:
    body = story(response_length="auto", tokens_per_second=rate)
    assert await tokens_of(body) == tokens


async def test_004_15_a_model_may_have_a_time_limit_of_its_own() -> None:
    table = {"codellama-34b": ModelSettings(parameters=34, max_stream_time=180.0)}
    body = story(model="codellama-34b", response_length="long", stream=True)
    reply = await reply_to(CHAT, body, models__table=table, **LIMIT)
    assert chunks(body_of(reply))[-1]["choices"][0]["finish_reason"] == "stop"
    assert reply.ended_at == pytest.approx(399 / speed_of(34))
    other = await reply_to(CHAT, {**body, "model": "other"}, models__table=table, **LIMIT)
    assert chunks(body_of(other))[-1]["choices"][0]["finish_reason"] == "length"


SIZES = {
    "llama-3-8b": 8, "llama-3-70b": 70, "codellama-13b": 13, "codellama-34b": 34, "deepseek-r1": 10,
}  # fmt: skip
SPEEDS = {
    "gpt-3.5-turbo": 10, "gpt-3.5-turbo-16k": 10, "gpt-4": 5, "gpt-4-turbo": 7, "gpt-4-32k": 5,
    "claude-2": 8, "claude-instant": 12,
}  # fmt: skip


@pytest.mark.parametrize("model", [*SIZES, *SPEEDS])
async def test_004_16_well_known_models_have_the_documented_speed(model: str) -> None:
    expected = SPEEDS.get(model) or speed_of(SIZES[model])
    assert await speed(model, **TABLE) == pytest.approx(expected)


async def test_004_16_they_have_none_unless_it_is_switched_on() -> None:
    assert not Settings().models.known_speeds
    assert set(offsets(await reply_to(CHAT, story(stream=True, response_length="short")))) == {0.0}


async def test_004_17_a_strict_server_knows_no_other_models() -> None:
    async with mocking(models__strict=True) as service:
        known = await curl(service, CHAT, story())
        unknown = await curl(service, CHAT, story(model="gpt-9"))
        tagged = await curl(service, CHAT, story(model="gpt-9:mine"))
    error = json.loads(unknown.body)["error"]
    assert (known.status, unknown.status, tagged.status) == (200, 404, 200)
    assert error["message"] == "Model 'gpt-9' does not exist"
    assert (error["type"], error["code"]) == ("invalid_request_error", "model_not_found")


async def test_004_17_a_model_of_ones_own_exists() -> None:
    table = {"gpt-9": ModelSettings(tokens_per_second=500.0)}
    answer = await asked(CHAT, story(model="gpt-9"), models__strict=True, models__table=table)
    assert answer.status == 200


async def test_004_18_usage_is_in_the_body_and_in_the_final_chunk_of_a_stream() -> None:
    changes: dict[str, Any] = {"mock__stream_usage": "final_chunk"}
    body = story(response_length="short")
    whole = used(await reply_to(CHAT, body, **changes))
    told = chunks(body_of(await reply_to(CHAT, {**body, "stream": True}, **changes)))
    assert told[-1]["choices"][0]["finish_reason"] == "stop"
    assert told[-1]["usage"] == whole
    assert whole["total_tokens"] == whole["prompt_tokens"] + whole["completion_tokens"]
    assert all(chunk.get("usage") is None for chunk in told[:-1])


async def test_004_18_the_openai_client_reads_it_there() -> None:
    async with openai_client(mock__stream_usage="final_chunk") as client:
        stream = await client.chat.completions.create(**STORY, stream=True)
        found = [chunk async for chunk in stream]
    assert found[-1].usage.completion_tokens > 0


async def test_004_19_ids_have_the_providers_shape_and_differ() -> None:
    replies = await replies_to(CHAT, [story(), story()])
    one, two = [json.loads(body_of(reply))["id"] for reply in replies]
    assert one != two
    assert re.fullmatch(r"chatcmpl-[A-Za-z0-9]{29}", one)


PARAGRAPHS = "The first paragraph has some words.\n\nThe second one has\n\nthree lines."


async def test_004_20_chunks_of_a_few_words_take_the_time_of_their_tokens() -> None:
    changes: dict[str, Any] = {
        "pace__chunk_unit": "word",
        "pace__chunk_size": 2,
        "pace__tokens_per_second": 10.0,
    }
    body = story(stream=True, mock_response=PARAGRAPHS)
    told = spoken(await reply_to(CHAT, body, **changes))
    assert "".join(text for _, text in told) == PARAGRAPHS
    assert [len(text.split()) for _, text in told[:-1]] == [2] * (len(told) - 1)
    took = told[-1][0] - told[0][0]
    assert told[0][1] == "The first "
    assert took == pytest.approx((count(PARAGRAPHS) - count("The first")) / 10)


async def test_004_20_each_chunk_waits_for_its_own_tokens() -> None:
    changes: dict[str, Any] = {
        "pace__chunk_unit": "char",
        "pace__chunk_size": 10,
        "pace__tokens_per_second": 10.0,
    }
    body = story(stream=True, mock_response=PARAGRAPHS, tokenizer_model="gpt-3.5-turbo")
    told = spoken(await reply_to(CHAT, body, **changes))
    waited = [later - earlier for (earlier, _), (later, _) in pairwise(told)]
    assert all(abs(gap * 10 - round(gap * 10)) < 1e-6 for gap in waited)
    assert len({round(gap * 10) for gap in waited}) > 1


async def test_004_21_any_origin_any_key_and_preflights() -> None:
    preflight = ("Origin: http://app.test", "Access-Control-Request-Method: POST")
    async with mocking() as service:
        for path in (CHAT, "/v1/models", "/v1/messages"):
            answer = await sockets.ask(service.url, path, b"", *preflight, method="OPTIONS")
            assert answer.status == 204
            assert answer.header("access-control-allow-origin") == "*"
        answer = await curl(service, CHAT, story(), "Origin: http://app.test")
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == "*"


# --- control routes ---


async def test_004_4_lengths_are_listed_with_a_preview() -> None:
    async with mocking() as service:
        found = await told(service, "GET", "/responses")
    assert "duration" in found.pop("duration")
    assert {name: each["token_estimate"] for name, each in found.items()} == LENGTHS
    assert all(len(each["preview"]) == 50 for each in found.values())


async def test_004_6_a_model_gets_a_speed() -> None:
    async with mocking() as service:
        body = {"model": "gpt-4", "tokens_per_second": 3.5}
        answer = await told(service, "POST", "/config", body)
        assert answer["status"] == "success"
        assert (await told(service, "GET", "/config/gpt-4"))["tokens_per_second"] == 3.5
        more = {**body, "tokens_per_second": 4, "description": "Ours", "parameters": 170}
        await told(service, "POST", "/config", more)
        assert await told(service, "GET", "/config/gpt-4") == {
            "tokens_per_second": 4,
            "description": "Ours",
            "parameters": 170,
        }
        models = await told(service, "GET", "/v1/models")
        assert "Ours" in [row.get("description") for row in models["data"]]


async def test_004_6_the_speed_is_that_of_its_streams() -> None:
    async with mocking(mock__text="one two three") as service:
        await told(service, "POST", "/config", {"model": "m", "tokens_per_second": 0})
        assert service.listener.proxy.control.served.live.manner.paces["m"].speed == 0
        assert await said_by(service) == "one two three"


async def test_004_7_a_models_speed_follows_from_its_size() -> None:
    async with mocking() as service:
        body = {
            "model": "my-custom-model",
            "parameters": 25,
            "description": "Custom 25B parameter model",
        }
        await told(service, "POST", "/config", {**body, "tokens_per_second": 1})
        await told(service, "POST", "/config", body)
        found = await told(service, "GET", "/config/my-custom-model")
    assert found["tokens_per_second"] == pytest.approx(speed_of(25))
    assert found["description"] == "Custom 25B parameter model"


async def test_004_8_a_speed_without_a_model_is_the_default() -> None:
    async with mocking() as service:
        await told(service, "POST", "/config", {"tokens_per_second": 10})
        assert (await told(service, "GET", "/config/default"))["tokens_per_second"] == 10
        settings = (await told(service, "GET", "/_llmproxy/config"))["settings"]
        assert settings["pace"]["tokens_per_second"] == 10
        answer = await told(service, "POST", "/config", {"unknown": 1})
    assert answer["message"] == "No changes made"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"tokens_per_second": "fast"}, 'pace.tokens_per_second: "fast" is no number of 0 or more; write one such as 20 or 2.5'),
        ({"model": "m", "parameters": -1}, "models.table.m.parameters: -1 is no number of 0 or more; write one such as 20 or 2.5"),
        ({"model": "a b", "parameters": 1}, 'models.table."a b": "a b" is not the name of a model'),
    ],
)  # fmt: skip
async def test_004_8_a_bad_change_names_its_field(body: dict[str, Any], problem: str) -> None:
    async with mocking() as service:
        status, answer = await refused(service, "POST", "/config", body)
        status_of_a_list, _ = await refused(service, "POST", "/config", [1])
    assert (status, status_of_a_list) == (400, 400)
    assert answer["problems"] == [f"request body: {problem}"]


async def test_004_9_the_configuration_is_told() -> None:
    async with mocking(**TABLE, pace__tokens_per_second=10.0) as service:
        found = await told(service, "GET", "/config")
        one = await told(service, "GET", "/config/gpt-4")
        status, unknown = await refused(service, "GET", "/config/x")
    assert set(found) == {"default", "models"}
    assert found["default"]["tokens_per_second"] == 10
    assert set(found["models"]) == set(KNOWN_SPEEDS)
    assert (one["tokens_per_second"], one["parameters"]) == (5, 170)
    assert (status, unknown["detail"]) == (404, "Model x not found")


async def test_004_10_the_configuration_is_read_again(tmp_path: Path) -> None:
    def write(text: str) -> None:
        (tmp_path / "proxy.yml").write_text(f"port: 0\n{text}")

    write("pace: {tokens_per_second: 10}")
    again = functools.partial(configuration.load, None, {}, {}, tmp_path)
    async with serving(Plan("mock", again(), again=again)) as service:
        write("pace: {tokens_per_second: 20}")
        answer = await told(service, "POST", "/config/reload")
        assert answer["status"] == "success"
        assert (await told(service, "GET", "/config"))["default"]["tokens_per_second"] == 20
        write("pace: {tokens_per_second: fast}")
        status, wrong = await refused(service, "POST", "/config/reload")
    assert status == 400
    assert wrong["problems"][0].startswith("proxy.yml:2:27: pace.tokens_per_second:")


async def test_004_22_the_time_limit_is_set_and_lifted() -> None:
    async with mocking() as service:
        body = {"max_seconds": 5, "enforce": True}
        found = await told(service, "POST", "/config/time-limit", body)
        assert (found["max_stream_time_seconds"], found["enforce_time_limit"]) == (5, True)
        found = await told(service, "POST", "/config/time-limit", {"enforce": False})
        assert (found["max_stream_time_seconds"], found["enforce_time_limit"]) == (None, False)


async def test_004_22_the_time_limit_of_models_is_set_too() -> None:
    async with mocking() as service:
        body = {
            "enforce": True,
            "global_seconds": 7,
            "model_settings": {"codellama-34b": {"max_stream_time_seconds": 180}, "b": 9},
        }
        found = await told(service, "POST", "/config/time-control", body)
        assert found["max_stream_time_seconds"] == 7
        assert found["models"] == {"codellama-34b": 180, "b": 9}
        debug = await told(service, "GET", "/debug/settings")
    assert debug["settings"]["models"]["table"]["b"]["max_stream_time"] == "9s"
