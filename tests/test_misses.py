"""A miss, as each official SDK tells it to a developer: at once, once, and with the reason."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors

import serve
import sockets
from llmproxy import background, misslog
from llmproxy.service import Service
from serve import recording, replaying
from sockets import Seen, ask, upstream

OPENAI: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "temperature": 0.2,
    "messages": [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "What is the capital of France?"},
    ],
}
ANTHROPIC: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
GEMINI_PATH = "/v1/models/gemini-2.5-flash:generateContent"
GEMINI: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "What is the capital of France?"}]}]
}


async def _record(path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(b'{"ok":1}'))

    async with upstream(handler) as up, recording(f"up={up.url}", path) as service:
        await ask(service.url, "/v1/chat/completions", json.dumps(OPENAI).encode())
        await ask(
            service.url, "/v1/messages", json.dumps(ANTHROPIC).encode(), "anthropic-version: 1"
        )
        await ask(service.url, GEMINI_PATH, json.dumps(GEMINI).encode(), "x-goog-api-key: k")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Service]:
    asyncio.run(_record(tmp_path / "a.db"))
    with background.running(serve.replay_plan(tmp_path / "a.db")) as service:
        yield service


def asked(service: Service) -> int:
    return service.journal.requests


def check(message: str) -> None:
    assert "capital of …" in message or "France" in message
    assert "Spain" in message
    assert "a.db" in message


def test_the_openai_sdk_raises_at_once_and_names_the_difference(server: Service) -> None:
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="test")
    changed = json.loads(json.dumps(OPENAI))
    changed["messages"][1]["content"] = "What is the capital of Spain?"
    changed["temperature"] = 0.9
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**changed)
    error = caught.value
    assert error.code == "llmproxy_miss"
    assert asked(server) == 1, "an SDK that retries would make a suite slow and the log long"
    check(error.message)
    assert "temperature: 0.2 → 0.9" in error.message
    assert "messages[1].content" in error.message
    assert "match:\n" in error.message
    assert error.response.headers["x-llmproxy-miss"].isascii()
    assert "Spain" not in error.response.headers["x-llmproxy-miss"]
    detail = error.body["llmproxy"]  # type: ignore[index]
    assert detail["candidates"][0]["interaction"] == 1


async def test_the_async_openai_sdk_raises_on_a_streamed_request_too(tmp_path: Path) -> None:
    await _record(tmp_path / "a.db")
    async with replaying(tmp_path / "a.db") as service:
        client = openai.AsyncOpenAI(base_url=service.url + "/v1", api_key="test")
        with pytest.raises(openai.BadRequestError, match="stream"):
            await client.chat.completions.create(**OPENAI, stream=True)
        await client.close()
        assert asked(service) == 1


def test_the_anthropic_sdk_raises_at_once_and_names_the_difference(server: Service) -> None:
    client = anthropic.Anthropic(base_url=server.url, api_key="test")
    changed = json.loads(json.dumps(ANTHROPIC).replace("France", "Spain"))
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**changed)
    assert asked(server) == 1
    check(str(caught.value))
    assert "messages[0].content" in str(caught.value)


def test_the_gemini_sdk_raises_at_once_and_names_the_difference(server: Service) -> None:
    client = genai.Client(api_key="test", http_options={"base_url": server.url})
    with pytest.raises(genai_errors.ClientError) as caught:
        client.models.generate_content(
            model="gemini-2.5-flash", contents="What is the capital of Spain?"
        )
    assert asked(server) == 1
    assert caught.value.code == 400
    check(str(caught.value))
    assert "contents[0].parts[0].text" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda b: b["messages"].insert(0, b["messages"].pop()), "messages"),
        (lambda b: b["messages"][0].update(content="You are kind."), "messages[0].content"),
        (lambda b: b["messages"].append({"role": "user", "content": "More."}), "messages[2]"),
        (lambda b: b.update(model="gpt-4o"), "model"),
        (lambda b: b.update(seed=7), "seed"),
        (lambda b: b.pop("temperature"), "temperature"),
        (lambda b: b.update(stream=True), "stream"),
    ],
    ids=["reversed", "system", "later turn", "model", "seed", "no temperature", "stream"],
)
def test_what_shapes_the_answer_misses_and_is_named(
    server: Service, change: Callable[[Any], Any], path: str
) -> None:
    body = json.loads(json.dumps(OPENAI))
    change(body)
    answer = asyncio.run(ask(server.url, "/v1/chat/completions", json.dumps(body).encode()))
    assert answer.status == 400
    assert answer.header("x-should-retry") == "false"
    line = answer.header("x-llmproxy-miss") or ""
    assert path in line
    assert path in json.loads(answer.body)["error"]["message"]


def test_the_lines_that_a_miss_offers_accept_the_request(server: Service, tmp_path: Path) -> None:
    body = json.dumps(OPENAI | {"temperature": 0.9}).encode()
    answer = asyncio.run(ask(server.url, "/v1/chat/completions", body))
    accept = json.loads(answer.body)["error"]["llmproxy"]["candidates"][0]["accept"]
    config = tmp_path / "offered.yml"
    config.write_text(accept)
    from llmproxy.settings import load

    loaded = load(config, {}, {"port": "0"}, tmp_path).settings
    plan = serve.replay_plan(tmp_path / "a.db", match=loaded.match)
    with background.running(plan) as service:
        again = asyncio.run(ask(service.url, "/v1/chat/completions", body))
    assert (again.status, again.header("x-llmproxy-match")) == (200, "canonical")


def test_a_newline_in_a_prompt_does_not_break_the_reply(server: Service) -> None:
    body = json.dumps(
        OPENAI | {"messages": [{"role": "user", "content": "a\r\nX-Evil: 1\n\x00\u2028é"}]}
    ).encode()
    answer = asyncio.run(ask(server.url, "/v1/chat/completions", body))
    assert answer.status == 400
    assert answer.header("x-evil") is None


def test_a_miss_is_remembered_without_its_secrets(server: Service, tmp_path: Path) -> None:
    key = "sk-" + "proj-" + "Ab1" * 10
    body = json.dumps(OPENAI | {"seed": 1, "note": key}).encode()
    asyncio.run(ask(server.url, "/v1/chat/completions", body, f"Authorization: Bearer {key}"))
    remembered = (tmp_path / ".llmproxy" / misslog.FILE).read_bytes()
    assert key.encode() not in remembered
    last = misslog.last(tmp_path / ".llmproxy")
    assert last.request.path == "/v1/chat/completions"
    assert "seed" in last.text
    assert (tmp_path / ".llmproxy" / ".gitignore").read_text() == "*\n"


def test_a_miss_on_an_empty_cassette_says_that_it_is_empty(tmp_path: Path) -> None:
    async def empty() -> None:
        async with recording("openai", tmp_path / "empty.db"):
            pass

    asyncio.run(empty())
    with background.running(serve.replay_plan(tmp_path / "empty.db")) as service:
        answer = asyncio.run(ask(service.url))
    assert answer.status == 400
    assert "empty.db: 0 interactions" in json.loads(answer.body)["error"]["message"]


def test_a_generated_value_that_two_recordings_differ_in_is_an_ambiguous_miss(
    tmp_path: Path,
) -> None:
    ids = [
        "9f3c1f9e-8a53-4b41-9a0e-0d5a5f1c7b11",
        "1b671a64-40d5-491e-99b0-da01ff1f3341",
        "c56a4180-65aa-42ec-a945-5fd21dec0538",
    ]

    def order(id: str) -> bytes:
        content = f"What is in order {id}?"
        return json.dumps(
            {"model": "m", "messages": [{"role": "user", "content": content}]}
        ).encode()

    async def record() -> None:
        async def handler(seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(sockets.reply(seen.body))

        async with upstream(handler) as up, recording(up.url, tmp_path / "o.db") as service:
            for id in ids[:2]:
                await ask(service.url, body=order(id))

    asyncio.run(record())
    with background.running(serve.replay_plan(tmp_path / "o.db")) as service:
        exact = asyncio.run(ask(service.url, body=order(ids[1])))
        neither = asyncio.run(ask(service.url, body=order(ids[2])))
    assert ids[1].encode() in exact.body
    assert neither.status == 400
    assert "ambiguous" in (neither.header("x-llmproxy-miss") or "")
    plan = serve.replay_plan(tmp_path / "o.db", match__ambiguous="in_order")
    with background.running(plan) as service:
        taken = asyncio.run(ask(service.url, body=order(ids[2])))
    assert (taken.status, taken.header("x-llmproxy-match")) == (200, "canonical")
