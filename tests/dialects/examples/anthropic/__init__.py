"""Anthropic's requests, streams and facts; all payloads are made up."""

from __future__ import annotations

from dialects.example import BEARER, HELLO, JSON, SSE, Asked, Examples, Told, body, data, events
from llmproxy.interaction import Facts

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
EXAMPLES = Examples(
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
