"""What the mock makes up, beside what real providers answered to the very same requests.

Each recorded request goes to a mock twice: as it was, for its status; then with a
``mock_response`` that has the kinds of parts which the real reply had, for the structure:
which members there are, of which JSON types, in whole replies and in each kind of event.
Values are not compared. What may differ stands in ``ALLOWED``, each with its reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llmproxy import dialects, sse
from llmproxy.dialects.operation import Refused, find
from serve import mocking
from sockets import Answer, Client

OFFICIAL = ("openai", "anthropic", "gemini")
"""Whose structure is compared; third parties add members of their own to OpenAI's format."""

OPAQUE = frozenset(
    {"input", "args", "arguments", "tools", "schema", "metadata", "instructions", "tool_choice"}
)
"""Members that hold what a request or a model made up, not what the provider did."""

REFUSED_FOR_ITSELF: Mapping[str, str] = {
    "model_name_suggestion": "a model that does not exist; here names are free by default",
    "inferred_model_name_suggestion": "the same",
    "count_tokens_error": "the same",
    "tool_use_failed_error": "what the model wrote was wrong, not the request",
    "errors_raised": "a rate limit",
    "url-audio-openai_responses": "what a link leads to; nothing is fetched here",
    "o1_mini_system_role": "a model that is gone, and that knew no system messages",
    "rejects_interleaved_function_calls": "an order that DeepSeek alone refuses",
}
"""Parts of the names of recordings whose refusal has no reason in the request's form."""

_FILLER = "random filler that no client reads; sent where the request asks for it"
_MODERATED = "a moderation that the request asked for, which the mock does not make"
_OLDER = "newer recordings of the same object have it, those of this kind are older"

ALLOWED: Mapping[tuple[str, str], str] = {
    ("openai_chat chunk", "- $.obfuscation"): _FILLER,
    ("openai_responses response.function_call_arguments.delta", "- $.obfuscation"): _FILLER,
    ("openai_responses response.function_call_arguments.done", "+ $.name"): (
        "the SDK's type demands it; the recording is older"
    ),
    ("openai_responses response.completed", "- $.response.output[function_call].namespace"): (
        "only where the provider searches for tools itself, which the mock does not"
    ),
    ("openai_responses whole", "$.moderation: null"): _MODERATED,
    ("openai_responses whole", "- $.moderation.input"): _MODERATED,
    ("openai_responses whole", "- $.moderation.output"): _MODERATED,
    ("openai_responses response.queued", "+ $.response.moderation"): _OLDER,
    ("openai_responses response.queued", "$.response.prompt_cache_retention: text"): _OLDER,
    ("openai_responses_compact whole", "+ $.usage.input_tokens_details.cache_write_tokens"): _OLDER,
    ("gemini_generate whole", "+ $.candidates[].content.parts[].functionCall.id"): _OLDER,
}
"""Differences as ``differing`` words them: ``-`` is lacking here, ``+`` is here alone."""


@dataclass(frozen=True)
class Recorded:
    """A recorded interaction."""

    id: str
    method: str
    path: str
    body: bytes
    status: int
    stream: bool
    reply: bytes
    name: str = ""
    """Of the operation that answers it here; empty where there is none."""

    @property
    def provider(self) -> str:
        return self.id.partition("/")[0]

    def refers_to(self, parts: Iterable[str]) -> bool:
        return any(part in self.id for part in parts)


@dataclass
class Compared:
    recorded: Recorded
    plain: Answer
    shaped: Answer | None


@dataclass
class Shape:
    """Members by their path: how often they were there, how often what holds them, and types."""

    times: Counter[str] = field(default_factory=Counter)
    types: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, value: Any, path: str = "$") -> None:
        self.times[path] += 1
        self.types[path].add(type_of(value))
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in OPAQUE:
                    self.times[f"{path}.{name}"] += 1
                else:
                    self.add(inner, f"{path}.{name}")
        elif isinstance(value, list):
            for inner in value:
                kind = inner.get("type") if isinstance(inner, dict) else None
                self.add(inner, f"{path}[{kind or ''}]")

    def always(self, path: str) -> bool:
        return self.times[path] == self.times[path.rpartition(".")[0]]


def type_of(value: Any) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "text", type(None): "null"}
    return names.get(type(value), type(value).__name__)


# ---- what was recorded


def recorded_in(folder: Path) -> list[Recorded]:
    spec = importlib.util.spec_from_file_location(
        "tape_provider", folder.parent / "tools" / "tape_provider.py"
    )
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    tape, listing = tool.load([folder])
    replies = {reply["id"]: reply["payload"] for sequence in tape.values() for reply in sequence}
    return [
        Recorded(
            owner(row["host"], row["id"]),
            row["method"],
            row["path"],
            row["body"].encode(),
            row["status"],
            row["stream"],
            replies[row["id"]],
            operation_of(row["method"], row["path"]),
        )
        for row in listing
    ]


def owner(host: str, id: str) -> str:
    """The id by its provider: a test of one provider may ask another one too."""
    return f"gemini/{id}" if "googleapis" in host else id


def operation_of(method: str, target: str) -> str:
    path, _, query = target.partition("?")
    dialect = dialects.of(method, path, (), query)
    with contextlib.suppress(Refused):
        found = find(dialect.operations, method, path) if dialect else None
        if found and not path.rpartition("/")[2].startswith("resp_"):
            return found[0].name
    return ""


def records_of(stream: bool, body: bytes) -> Iterator[tuple[str, Any]]:
    """The JSON values of a reply, each with its kind."""
    if not stream:
        yield "whole", json.loads(body)
        return
    for event in sse.read_events(body):
        if event.data != "[DONE]":
            record = json.loads(event.data)
            yield record.get("type") or "chunk", record


# ---- the same kinds of parts


def shaped(recorded: Recorded) -> bytes:
    """The request with a ``mock_response`` that has the kinds of parts which the reply had."""
    script: dict[str, Any] = {}
    calls: list[str] = []
    for _, record in records_of(recorded.stream, recorded.reply):
        for value in objects(record):
            kind = value.get("type")
            if kind in ("reasoning", "thinking") or value.get("thought"):
                script["reasoning"] = "Let me see."
            elif value.get("text") or isinstance(value.get("content"), str):
                script["text"] = "It is so."
            calls += called(value)
    if calls:
        names = list(dict.fromkeys(calls))
        script["tool_calls"] = [{"name": name, "arguments": {"a": 1}} for name in names]
    asked = {**json.loads(recorded.body), "mock_response": script or "It is so."}
    return json.dumps(asked).encode()


def called(value: Mapping[str, Any]) -> list[str]:
    """The name of the call that an object of a reply is."""
    call = value.get("functionCall")
    if value.get("type") in ("tool_use", "function_call"):
        call = value
    elif value.get("function"):
        call = value["function"]
    name = call.get("name") if isinstance(call, dict) else None
    return [name] if name else []


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a reply but for what ``OPAQUE`` holds."""
    if isinstance(value, dict):
        yield value
        for name, inner in value.items():
            if name not in OPAQUE:
                yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


# ---- the comparison


async def compare(recordings: list[Recorded]) -> list[Compared]:
    async with mocking() as service, Client(service.url) as client:

        async def answered(each: Recorded, body: bytes) -> Answer:
            kind = ("content-type: application/json",) if body else ()
            return await client.ask(each.path, body, *kind, method=each.method)

        return [
            Compared(
                each,
                await answered(each, each.body),
                await answered(each, shaped(each)) if is_compared(each) else None,
            )
            for each in recordings
        ]


def is_compared(each: Recorded) -> bool:
    return each.provider in OFFICIAL and each.status == 200 and each.body[:1] == b"{"


@pytest.fixture(scope="module")
def compared(traffic: Path) -> list[Compared]:
    answerable = [each for each in recorded_in(traffic) if each.name]
    return asyncio.run(compare(answerable))


pytestmark = pytest.mark.xdist_group("fidelity")


def test_what_the_provider_answered_is_answered(compared: list[Compared]) -> None:
    assert len(compared) > 150
    for each in compared:
        recorded = each.recorded
        if recorded.status == 200:
            assert each.plain.status == 200, (recorded.id, each.plain.body)


def test_what_the_provider_refused_for_its_form_is_refused_alike(
    compared: list[Compared],
) -> None:
    alike = 0
    for each in compared:
        recorded = each.recorded
        if recorded.status < 400 or recorded.refers_to(REFUSED_FOR_ITSELF):
            continue
        real, ours = json.loads(recorded.reply), json.loads(each.plain.body)
        assert each.plain.status == recorded.status, recorded.id
        for name in ("type", "param", "code", "status"):
            assert real["error"].get(name) == ours["error"].get(name), recorded.id
        alike += 1
    assert alike > 1


def test_streams_are_streams_and_documents_documents(compared: list[Compared]) -> None:
    for each in compared:
        if each.plain.status == 200 == each.recorded.status:
            kind = each.plain.header("content-type")
            assert sse.is_event_stream(kind or "") is each.recorded.stream, each.recorded.id


def test_events_are_framed_as_the_providers_are(compared: list[Compared]) -> None:
    for each in compared:
        if each.shaped is None or not each.recorded.stream:
            continue
        assert frame(each.shaped.body) == frame(each.recorded.reply), each.recorded.id


def frame(body: bytes) -> tuple[bytes, bool, bool, bool]:
    """How a stream's events end, whether they are named, commented, and followed by a mark."""
    end = b"\r\n\r\n" if b"\r\n\r\n" in body else b"\n\n"
    named = re.search(rb"(?m)^event: ", body) is not None
    commented = re.search(rb"(?m)^:", body) is not None
    return end, named, commented, body.rstrip().endswith(b"data: [DONE]")


def test_events_are_numbered_as_the_providers_are(compared: list[Compared]) -> None:
    seen = 0
    for each in compared:
        if each.shaped is None or not each.recorded.stream:
            continue
        for body in (each.recorded.reply, each.shaped.body):
            numbers = [
                record["sequence_number"]
                for _, record in records_of(True, body)
                if "sequence_number" in record
            ]
            assert numbers == list(range(len(numbers))), each.recorded.id
            seen += len(numbers)
    assert seen > 100


def test_members_and_their_types_are_those_of_the_providers(compared: list[Compared]) -> None:
    differences = set(differing(compared))
    assert differences - set(ALLOWED) == set()
    assert set(ALLOWED) - differences == set(), "these do not differ any more"


def differing(compared: list[Compared]) -> Iterator[tuple[str, str]]:
    """Each difference once: where (operation and kind), and which member."""
    real: dict[str, Shape] = defaultdict(Shape)
    ours: dict[str, Shape] = defaultdict(Shape)
    for each in compared:
        if each.shaped is None:
            continue
        for shapes, body in ((real, each.recorded.reply), (ours, each.shaped.body)):
            for kind, record in records_of(each.recorded.stream, body):
                shapes[f"{each.recorded.name} {kind}"].add(record)
    for place in sorted(set(real) & set(ours)):
        for what in unlike(real[place], ours[place]):
            yield place, what


def unlike(real: Shape, ours: Shape) -> Iterator[str]:
    """What real replies always have and ours lack, what ours alone have, other types."""
    for path in sorted(set(real.times) | set(ours.times)):
        holder = path.rpartition(".")[0] or path
        if holder not in real.times or holder not in ours.times or path.endswith("]"):
            continue
        if path not in ours.times and real.always(path):
            yield f"- {path}"
        elif path not in real.times:
            yield f"+ {path}"
        elif other := ours.types[path] - real.types[path]:
            yield f"{path}: {', '.join(sorted(other))}"
