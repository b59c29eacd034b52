"""OpenAI's requests, streams and facts; all payloads are made up."""

from __future__ import annotations

from dialects.example import BEARER, HELLO, JSON, SSE, Asked, Examples, Told, body, data, events
from llmproxy.interaction import Facts


def _chunk(content: str, **more: object) -> dict[str, object]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {"object": "chat.completion.chunk", "choices": [choice], **more}


def _response(**more: object) -> dict[str, object]:
    return {"id": "resp_1", "object": "response", "error": None, "usage": None, **more}


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
EXAMPLES = Examples(
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
