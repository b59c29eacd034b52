"""What each dialect must recognise: requests of its own, streams sound and failed, facts.

One entry a dialect; all payloads are made up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from llmproxy.dialects import Facts
from llmproxy.interaction import Headers

SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class Asked:
    """A request line and the headers that matter."""

    method: str
    target: str
    headers: Headers = ()

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Told:
    """A request's path and body, the reply to it, and the facts therein."""

    path: str
    body: bytes
    content_type: str
    reply: bytes
    facts: Facts


@dataclass(frozen=True)
class Examples:
    """``failed`` has the words that must stand in the reason."""

    asked: tuple[Asked, ...]
    sound: tuple[tuple[str, bytes], ...]
    failed: tuple[tuple[str, bytes, str], ...]
    told: tuple[Told, ...]


def data(*values: object, end: str = "\n\n") -> bytes:
    """Events without names."""
    return "".join(f"data: {_json(value)}{end}" for value in values).encode()


def events(*values: Mapping[str, object]) -> bytes:
    """Events named after their type."""
    return "".join(f"event: {v['type']}\ndata: {_json(v)}\n\n" for v in values).encode()


def lines(*values: object) -> bytes:
    return "".join(f"{_json(value)}\n" for value in values).encode()


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _chunk(content: str, **more: object) -> dict[str, object]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {"object": "chat.completion.chunk", "choices": [choice], **more}


def _response(**more: object) -> dict[str, object]:
    return {"id": "resp_1", "object": "response", "error": None, "usage": None, **more}


BEARER = (("Authorization", "Bearer made-up"),)
HELLO = [{"role": "user", "content": "what is an error?"}]
CHAT = data(
    _chunk("an "), _chunk('"error": {"message":'), {"usage": None, **_chunk("error")}, "[DONE]"
)
CHAT_WITH_USAGE = data(
    _chunk("hi", usage=None),
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}},
    "[DONE]",
)
RESPONSES = events(
    {"type": "response.created", "response": _response(status="in_progress")},
    {"type": "response.output_item.done", "item": {"type": "mcp_call", "error": {"code": 1}}},
    {
        "type": "response.completed",
        "response": _response(status="completed", usage={"input_tokens": 5, "output_tokens": 7}),
    },
)
OPENAI = Examples(
    asked=(
        Asked("POST", "/v1/chat/completions", BEARER),
        Asked("POST", "/chat/completions", BEARER),
        Asked("POST", "/openai/v1/chat/completions", BEARER),
        Asked("POST", "/api/v1/chat/completions", BEARER),
        Asked("POST", "/inference/v1/completions"),
        Asked("POST", "/api/paas/v4/chat/completions"),
        Asked("POST", "/v1beta/openai/chat/completions", (("x-goog-api-key", "made-up"),)),
        Asked(
            "POST", "/openai/deployments/gpt/chat/completions?api-version=1", (("api-key", "m"),)
        ),
        Asked("POST", "/openai/responses?api-version=2025-04-01-preview"),
        Asked("POST", "/v1/responses"),
        Asked("GET", "/v1/responses/resp_1/input_items"),
        Asked("GET", "/v1/chat/completions/chatcmpl-1/messages"),
        Asked("POST", "/v1/threads/thread_1/messages", BEARER),
        Asked("POST", "/v1/embeddings"),
        Asked("POST", "/v1/moderations"),
        Asked("POST", "/v1/audio/transcriptions"),
        Asked("GET", "/v1/models", BEARER),
        Asked("GET", "/v1/models/llama3:latest", BEARER),
        Asked("DELETE", "/v1/models/ft:gpt-4o-mini:acme::abc", BEARER),
        Asked("GET", "/models"),
        Asked("POST", "/v1/files", (("X-Api-Key", "tells nothing"),)),
    ),
    sound=((SSE, CHAT), (SSE, CHAT_WITH_USAGE), (SSE, RESPONSES), (JSON, body(error=None))),
    failed=(
        (SSE, CHAT + data({"error": {"message": "m", "type": "server_error"}}), "server_error"),
        (SSE, data({"error": {"message": "m", "code": 502}}, "[DONE]"), "502"),
        (SSE, data({"error": "a text"}), "error"),
        (SSE, data({"object": "error", "message": "m", "code": 400}), "400"),
        (SSE, data({"choices": [{"index": 0, "finish_reason": "error"}]}, "[DONE]"), "error"),
        (SSE, b"event: error\ndata: no json\n\n", "error"),
        (SSE, events({"type": "error", "code": "server_error", "message": "m"}), "server_error"),
        (SSE, events({"type": "error", "error": {"type": "too_many"}}), "too_many"),
        (
            SSE,
            RESPONSES
            + events(
                {"type": "response.failed", "response": _response(error={"code": "server_error"})}
            ),
            "response.failed: server_error",
        ),
        (SSE, events({"type": "response.failed", "response": _response()}), "response.failed"),
    ),
    told=(
        Told(
            "/v1/chat/completions",
            body(model="gpt-4o", messages=HELLO, stream=True),
            SSE,
            CHAT_WITH_USAGE,
            Facts("gpt-4o", stream=True, input_tokens=9, output_tokens=2),
        ),
        Told(
            "/v1/chat/completions",
            body(model="gpt-4o", messages=HELLO, stream=False),
            JSON,
            body(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4}),
            Facts("gpt-4o", input_tokens=3, output_tokens=4),
        ),
        Told(
            "/v1/chat/completions",
            body(model="gpt-oss", messages=HELLO, stream=True),
            SSE,
            data(_chunk("x", x_groq={"usage": {"prompt_tokens": 1, "completion_tokens": 2}})),
            Facts("gpt-oss", stream=True, input_tokens=1, output_tokens=2),
        ),
        Told(
            "/v1/responses",
            body(model="gpt-5", input="x", stream=True),
            SSE,
            RESPONSES,
            Facts("gpt-5", stream=True, input_tokens=5, output_tokens=7),
        ),
        Told(
            "/v1/embeddings",
            body(model="text-embedding-3-small", input="x"),
            JSON,
            body(data=[], usage={"prompt_tokens": 8, "total_tokens": 8}),
            Facts("text-embedding-3-small", input_tokens=8),
        ),
        Told(
            "/openai/deployments/my-gpt/chat/completions",
            body(messages=HELLO),
            JSON,
            body(error={"message": "m"}),
            Facts("my-gpt"),
        ),
        Told(
            "/v1/audio/transcriptions",
            b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b\r\n'
            b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n\0\1\r\n--b--\r\n',
            JSON,
            body(text="x", usage={"type": "tokens", "input_tokens": 1, "output_tokens": 2}),
            Facts("whisper-1", input_tokens=1, output_tokens=2),
        ),
        Told("/v1/models", b"", JSON, body(object="list", data=[]), Facts()),
    ),
)

VERSION = (("anthropic-version", "2026-10-21"), *BEARER)
MESSAGES = events(
    {
        "type": "message_start",
        "message": {"content": [], "usage": {"input_tokens": 25, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"text": 'event: error "type":"error"'}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 15}},
    {"type": "message_stop"},
)
ANTHROPIC = Examples(
    asked=(
        Asked("POST", "/v1/messages", VERSION),
        Asked("POST", "/v1/messages?beta=true"),
        Asked("POST", "/messages", (("Anthropic-Version", "2023-06-01"),)),
        Asked("POST", "/messages"),
        Asked("POST", "/v1/messages/count_tokens"),
        Asked("GET", "/v1/messages/batches/msgbatch_1/results"),
        Asked("POST", "/api/anthropic/v1/messages"),
        Asked("GET", "/v1/models", VERSION),
        Asked("GET", "/v1/models/claude-sonnet-5", VERSION),
        Asked("POST", "/v1/files?beta=true", VERSION),
        Asked(
            "POST",
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict",
        ),
    ),
    sound=((SSE, MESSAGES), (JSON, body(type="message", content=[]))),
    failed=(
        (
            SSE,
            MESSAGES[:400]
            + b"\n\n"
            + events({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
            "overloaded_error",
        ),
        (SSE, b"event: error\ndata: {}\n\n", "error"),
        (SSE, data({"type": "error", "error": {"type": "api_error"}}), "api_error"),
    ),
    told=(
        Told(
            "/v1/messages",
            body(max_tokens=1, messages=HELLO, model="claude-sonnet-5", stream=True),
            SSE,
            MESSAGES,
            Facts("claude-sonnet-5", stream=True, input_tokens=25, output_tokens=15),
        ),
        Told(
            "/v1/messages",
            body(model="claude-sonnet-5", messages=HELLO),
            JSON,
            body(
                content=[{"type": "tool_use", "input": {"usage": {"input_tokens": 1}}}],
                usage={"input_tokens": 9, "output_tokens": 11},
            ),
            Facts("claude-sonnet-5", input_tokens=9, output_tokens=11),
        ),
        Told(
            "/v1/messages/count_tokens",
            body(model="claude-sonnet-5", messages=HELLO),
            JSON,
            body(input_tokens=17),
            Facts("claude-sonnet-5"),
        ),
    ),
)

KEY = (("X-Goog-Api-Key", "made-up"),)
PARTS = [{"content": {"parts": [{"text": '{"error": {"code": 500}}'}]}}]
GENERATED = data(
    {"candidates": PARTS, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}},
    {
        "candidates": PARTS,
        "usageMetadata": {
            "promptTokenCount": 4,
            "toolUsePromptTokenCount": 3,
            "candidatesTokenCount": 6,
            "thoughtsTokenCount": 10,
        },
    },
    end="\r\n\r\n",
)
UNAVAILABLE = {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}
GEMINI = Examples(
    asked=(
        Asked("POST", "/v1beta/models/gemini-2.5-flash:generateContent", KEY),
        Asked("POST", "/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
        Asked("POST", "/v1/models/gemini-2.5-flash%3AcountTokens"),
        Asked("POST", "/v1/tunedModels/mine:generateContent"),
        Asked(
            "POST", "/v1/projects/p/locations/l/publishers/google/models/g:generateContent", BEARER
        ),
        Asked("GET", "/v1/models", KEY),
        Asked("GET", "/v1/models?pageSize=5&key=made-up"),
        Asked("GET", "/v1beta/models"),
        Asked("POST", "/upload/v1beta/files", KEY),
        Asked("POST", "/v1alpha/interactions"),
    ),
    sound=((SSE, GENERATED), (JSON, json.dumps([{"candidates": PARTS}]).encode())),
    failed=(
        (SSE, GENERATED + data(UNAVAILABLE, end="\r\n\r\n"), "UNAVAILABLE"),
        (SSE, GENERATED + json.dumps(UNAVAILABLE, indent=2).encode() + b"\n", "UNAVAILABLE"),
        (SSE, json.dumps([UNAVAILABLE], indent=2).encode(), "UNAVAILABLE"),
        (JSON, json.dumps([{"candidates": PARTS}, UNAVAILABLE]).encode(), "UNAVAILABLE"),
    ),
    told=(
        Told(
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
            body(contents=[]),
            SSE,
            GENERATED,
            Facts("gemini-2.5-flash", stream=True, input_tokens=7, output_tokens=16),
        ),
        Told(
            "/v1/models/gemini-2.5-pro:generateContent",
            body(contents=[], model="not this"),
            JSON,
            body(candidates=PARTS, usageMetadata={"promptTokenCount": 2}),
            Facts("gemini-2.5-pro", input_tokens=2),
        ),
        Told(
            "/v1/models/gemini-2.5-pro:streamGenerateContent",
            body(contents=[]),
            JSON,
            json.dumps(
                [
                    {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}},
                    {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 8}},
                ]
            ).encode(),
            Facts("gemini-2.5-pro", stream=True, input_tokens=1, output_tokens=8),
        ),
        Told("/v1beta/interactions", body(model="g", input="x"), JSON, b"{}", Facts("g")),
    ),
)

ROWS = lines(
    {"model": "m", "message": {"content": "an error"}, "done": False},
    {"model": "m", "done": True, "prompt_eval_count": 26, "eval_count": 290},
)
OLLAMA = Examples(
    asked=(
        Asked("POST", "/api/chat"),
        Asked("POST", "/api/generate"),
        Asked("POST", "/api/embed"),
        Asked("GET", "/api/tags"),
        Asked("GET", "/api/version"),
        Asked("HEAD", "/api/blobs/sha256:00"),
    ),
    sound=((NDJSON, ROWS), (JSON, body(done=True))),
    failed=((NDJSON, lines({"message": {}, "done": False}, {"error": "model is gone"}), "error"),),
    told=(
        Told(
            "/api/chat",
            body(model="llama3:latest", messages=HELLO),
            NDJSON,
            ROWS,
            Facts("llama3:latest", stream=True, input_tokens=26, output_tokens=290),
        ),
        Told(
            "/api/chat",
            body(model="llama3", messages=HELLO, stream=False),
            JSON,
            body(done=True, prompt_eval_count=1, eval_count=2),
            Facts("llama3", input_tokens=1, output_tokens=2),
        ),
        Told("/api/embed", body(model="e"), JSON, body(prompt_eval_count=5), Facts("e", False, 5)),
    ),
)

EXAMPLES: dict[str, Examples] = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "ollama": OLLAMA,
}
