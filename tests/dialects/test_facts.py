"""Facts out of large and real bodies: the same numbers as a full parse, for little work."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.example import JSON, NDJSON, SSE, data, events, lines
from llmproxy import dialects
from llmproxy.dialects.anthropic import ANTHROPIC
from llmproxy.dialects.facts import request_members
from llmproxy.dialects.gemini import GEMINI
from llmproxy.dialects.ollama import OLLAMA
from llmproxy.dialects.openai import OPENAI
from llmproxy.interaction import Headers
from llmproxy.sse import is_event_stream, read_events

CHUNK = {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "word "}}]}
BIG = "x" * 100_000


# Requests

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS | st.sampled_from(['"model":"inner"', '{"stream":true}']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "stream", "a", "}"]), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(
    st.sampled_from(["messages", "model", "stream", "tools", "n"]), VALUES, max_size=5
)


@settings(deadline=None)
@given(OBJECTS, st.integers(0, 5), st.sampled_from([",", ", "]))
def test_members_of_a_large_object_are_those_of_a_full_parse(
    fields: dict[str, Any], place: int, comma: str
) -> None:
    items = list(fields.items())
    items.insert(place, ("padding", "p" * 9000))
    body = json.dumps(dict(items), separators=(comma, ":")).encode()
    found = request_members(body, "model", "stream")
    for name in ("model", "stream"):
        assert found.get(name) == fields.get(name)


@pytest.mark.parametrize("size", [10_000, 3_000_000])
@pytest.mark.parametrize("order", [("model", "messages"), ("messages", "model")])
def test_the_model_is_found_at_either_end_of_a_request(size: int, order: tuple[str, str]) -> None:
    tools = [{"name": "model", "parameters": {"model": "inner", "stream": True}}]
    values = {"model": "gpt-4o", "messages": [{"content": 'say "model": "no"' + "x" * size}]}
    body = json.dumps({order[0]: values[order[0]], order[1]: values[order[1]], "tools": tools})
    facts = OPENAI.read_facts("/v1/chat/completions", body.encode(), JSON, b"{}")
    assert (facts.model, facts.stream) == ("gpt-4o", False)


def test_of_a_huge_request_only_the_ends_are_read() -> None:
    inside = {"model": "inner", "stream": True}
    body = json.dumps({"messages": [BIG, inside, "x" * 2**20], "tools": [BIG, inside]})
    facts = OPENAI.read_facts("/v1/chat/completions", body.encode(), JSON, b"{}")
    assert (facts.model, facts.stream) == ("", False)


def test_a_form_names_its_model_on_either_side_of_the_file() -> None:
    def part(name: str, value: str, more: str = "") -> str:
        return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'

    file = part("file", BIG, '; filename="a.wav"\r\nContent-Type: audio/wav')
    model, stream = part("model", "whisper-1"), part("stream", "true")
    for form in (model + stream + file, file + model + stream):
        facts = OPENAI.read_facts("/v1/audio/transcriptions", f"{form}--b--".encode(), JSON, b"{}")
        assert (facts.model, facts.stream) == ("whisper-1", True)


def test_a_model_name_always_fits_into_a_column() -> None:
    body = b'{"model":"\\ud800%b"}' % (b"m" * 5000)
    model = OPENAI.read_facts("/v1/responses", body, JSON, b"{}").model
    assert len(model.encode()) == 200
    assert OPENAI.read_facts("/v1/responses", b'{"model":7}', JSON, b"{}").model == ""


# Replies


def test_usage_at_the_end_of_a_large_reply_is_found() -> None:
    vectors = [{"embedding": BIG, "usage": {"prompt_tokens": 1}} for _ in range(30)]
    reply = {"data": vectors, "model": "e", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    facts = OPENAI.read_facts("/v1/embeddings", b"{}", JSON, json.dumps(reply).encode())
    assert (facts.input_tokens, facts.output_tokens) == (8, None)


def test_usage_in_the_midst_of_a_reply_is_found_up_to_a_megabyte() -> None:
    reply = {"usage": {"input_tokens": 3, "output_tokens": 4}, "content": [BIG]}
    facts = ANTHROPIC.read_facts("/v1/messages", b"{}", JSON, json.dumps(reply).encode())
    assert (facts.input_tokens, facts.output_tokens) == (3, 4)
    reply["content"] = [BIG] * 11
    facts = ANTHROPIC.read_facts("/v1/messages", b"{}", JSON, json.dumps(reply).encode())
    assert (facts.input_tokens, facts.output_tokens) == (None, None)


def test_the_array_of_a_large_gemini_stream_reports_its_last_usage() -> None:
    reply = [
        {"candidates": [BIG], "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": n}}
        for n in range(15)
    ]
    path = "/v1/models/g:streamGenerateContent"
    facts = GEMINI.read_facts(path, b"{}", JSON, json.dumps(reply, indent=1).encode() + b"\n")
    assert (facts.input_tokens, facts.output_tokens) == (1, 14)


def test_a_long_anthropic_stream_reports_input_first_and_output_last() -> None:
    usage = {"input_tokens": 5, "output_tokens": 1}
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x" * 500}}
    stream = (
        events({"type": "message_start", "message": {"usage": usage}})
        + events(delta) * 1000
        + events(
            {"type": "message_delta", "usage": {"output_tokens": 700}}, {"type": "message_stop"}
        )
    )
    facts = ANTHROPIC.read_facts("/v1/messages", b"{}", SSE, stream)
    assert (facts.input_tokens, facts.output_tokens) == (5, 700)
    facts = ANTHROPIC.read_facts("/v1/messages", b"{}", SSE, stream[:300_000])
    assert (facts.input_tokens, facts.output_tokens) == (5, 1)


def test_a_last_event_larger_than_the_window_reports_its_usage() -> None:
    usage = {"input_tokens": 5, "output_tokens": 7}
    response = {"instructions": BIG, "usage": usage, "error": None}
    stream = events(
        {"type": "response.created", "response": {"instructions": BIG, "usage": None}},
        {"type": "response.completed", "response": response},
    )
    facts = OPENAI.read_facts("/v1/responses", b"{}", SSE, stream)
    assert (facts.input_tokens, facts.output_tokens) == (5, 7)


def test_the_last_of_running_usages_wins() -> None:
    running = [
        {**CHUNK, "usage": {"prompt_tokens": 4, "completion_tokens": number}}
        for number in range(2000)
    ]
    facts = OPENAI.read_facts("/v1/chat/completions", b"{}", SSE, data(*running, "[DONE]"))
    assert (facts.input_tokens, facts.output_tokens) == (4, 1999)


def test_ollamas_last_line_may_be_long() -> None:
    last = {"done": True, "context": [0] * 60_000, "prompt_eval_count": 1, "eval_count": 2}
    stream = lines(*[{"response": "x", "done": False}] * 50, last)
    facts = OLLAMA.read_facts("/api/generate", b'{"model":"m"}', NDJSON, stream)
    assert (facts.input_tokens, facts.output_tokens) == (1, 2)


@pytest.mark.parametrize("usage", [{"prompt_tokens": 9, "completion_tokens": 2}, None])
def test_a_stream_of_200_events_costs_less_than_a_millisecond(usage: object) -> None:
    stream = data(*[{**CHUNK, "usage": None}] * 200, {"choices": [], "usage": usage}, "[DONE]")
    body = json.dumps({"messages": [{"content": "x" * 20_000}], "model": "gpt-4o", "stream": True})
    request = body.encode()

    def seconds() -> float:
        start = time.perf_counter()
        OPENAI.read_facts("/v1/chat/completions", request, SSE, stream)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(30)) < 0.001


@pytest.mark.parametrize("name", [dialect.name for dialect in dialects.DIALECTS])
@pytest.mark.parametrize(
    "unit",
    [
        b'"model": "',
        b'{"usage": {',
        b"data: {}\n\n",
        b"\n",
        b'--name="model"\r\n',
        b'data: {"usage": {"x": null}}\n\n',
        b" ",
    ],
)
def test_work_is_bounded_for_huge_bodies(name: str, unit: bytes) -> None:
    dialect = dialects.named(name)
    assert dialect is not None
    body = unit * (8 * 2**20 // len(unit))
    start = time.perf_counter()
    for content_type in (SSE, JSON):
        dialect.read_facts("/x", body, content_type, body)
        dialect.stream_failed(content_type, body)
    assert time.perf_counter() - start < 2


# Real traffic


@dataclass(frozen=True)
class Real:
    """One interaction of the real traffic."""

    where: str
    provider: str
    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    status: int
    content_type: str
    reply: bytes

    @property
    def dialect(self) -> dialects.Dialect:
        found = dialects.of(self.method, self.path, self.headers, self.query)
        assert found is not None, self.where
        return found


def real_interactions(folder: Path) -> Iterator[Real]:
    for file in sorted(folder.rglob("*.yaml")):
        document = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
        for number, interaction in enumerate(document["interactions"]):
            request, response = interaction["request"], interaction["response"]
            url = urlsplit(request["uri"])
            headers = tuple(
                (name, value if isinstance(value, str) else value[0])
                for name, value in request["headers"].items()
            )
            types = [v for k, v in response["headers"].items() if k.lower() == "content-type"]
            yield Real(
                where=f"{file.parent.name}/{file.stem}#{number}",
                provider=(url.hostname or "").split(".")[-2],
                method=request["method"],
                path=url.path,
                query=url.query,
                headers=headers,
                body=_bytes(request),
                status=response["status"]["code"],
                content_type=types[0][0] if types else "",
                reply=_bytes(response),
            )


def _bytes(message: dict[str, Any]) -> bytes:
    if "parsed_body" in message:
        return json.dumps(message["parsed_body"]).encode()
    body = message.get("body") or {}
    if isinstance(body, dict):
        if "base64_string" in body:
            return base64.b64decode(body["base64_string"])
        body = body.get("string") or b""
    return body if isinstance(body, bytes) else str(body).encode()


@pytest.fixture(scope="module")
def real(traffic: Path) -> list[Real]:
    found = list(real_interactions(traffic))
    assert len(found) > 150
    return found


def parsed_whole(interaction: Real) -> tuple[int | None, int | None]:
    """Usage by reading everything: the last number of each side."""
    if is_event_stream(interaction.content_type):
        texts = [e.data for e in read_events(interaction.reply) if e.data != "[DONE]"]
        records = [json.loads(text) for text in texts]
    else:
        records = [json.loads(interaction.reply)]
    entering, leaving = None, None
    for record in records:
        for holder in (record, record.get("response") or {}, record.get("message") or {}):
            used = holder.get("usage") or holder.get("usageMetadata") or {}
            entering = _sum(used, "prompt_tokens", "input_tokens", *GOOGLE_IN) or entering
            leaving = _sum(used, "completion_tokens", "output_tokens", *GOOGLE_OUT) or leaving
    return entering, leaving


GOOGLE_IN = ("promptTokenCount", "toolUsePromptTokenCount")
GOOGLE_OUT = ("candidatesTokenCount", "thoughtsTokenCount")


def _sum(used: dict[str, Any], *names: str) -> int | None:
    numbers = [used[name] for name in names if name in used]
    return sum(numbers) if numbers else None


def test_real_replies_report_what_a_full_parse_finds(real: list[Real]) -> None:
    compared = 0
    for interaction in real:
        if interaction.status != 200 or not interaction.reply.strip().startswith(
            (b"{", b"data:", b"event:", b":")
        ):
            continue
        dialect = interaction.dialect
        facts = dialect.read_facts(
            interaction.path, interaction.body, interaction.content_type, interaction.reply
        )
        expected = parsed_whole(interaction)
        found = (facts.input_tokens or None, facts.output_tokens or None)
        assert found == (expected[0] or None, expected[1] or None), interaction.where
        compared += expected != (None, None)
    assert compared > 140


def test_real_requests_name_their_model_and_stream(real: list[Real]) -> None:
    for interaction in real:
        if not interaction.body.startswith(b"{"):
            continue
        asked = json.loads(interaction.body)
        facts = interaction.dialect.read_facts(
            interaction.path, interaction.body, interaction.content_type, interaction.reply
        )
        if interaction.dialect is not GEMINI:
            assert facts.model == asked.get("model", ""), interaction.where
            assert facts.stream == bool(asked.get("stream")), interaction.where
        elif "/models/" in interaction.path:
            assert f"/{facts.model}:" in interaction.path
            assert facts.stream == (":stream" in interaction.path)


def test_real_requests_are_claimed_by_their_providers_dialect(real: list[Real]) -> None:
    expected = {"anthropic": "anthropic", "googleapis": "gemini"}
    for interaction in real:
        if interaction.path.startswith("/v1/files"):
            continue  # told by a header that these recordings leave out
        name = expected.get(interaction.provider, "openai")
        assert interaction.dialect.name == name, interaction.where


def test_no_real_stream_is_said_to_have_failed(real: list[Real]) -> None:
    streams = [i for i in real if i.status == 200 and is_event_stream(i.content_type)]
    assert len(streams) > 50
    failed = {
        (interaction.where, dialect.name): reason
        for interaction in streams
        for dialect in dialects.DIALECTS
        if (reason := dialect.stream_failed(interaction.content_type, interaction.reply))
    }
    assert failed == {}
