"""The requests of the demo: what is recorded into ``cassettes/demo.db`` and played from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoRequest:
    name: str
    path: str
    body: dict[str, object]
    headers: tuple[tuple[str, str], ...] = ()


CHAT_STREAM = DemoRequest(
    "chat stream",
    "/v1/chat/completions",
    {
        "model": "gpt-4o-mini",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "What does a cassette keep?"}],
    },
)

REQUESTS = (
    CHAT_STREAM,
    DemoRequest(
        "Responses stream",
        "/v1/responses",
        {"model": "gpt-5-mini", "stream": True, "input": "Say hello."},
    ),
    DemoRequest(
        "Anthropic stream",
        "/v1/messages",
        {
            "model": "claude-sonnet-5",
            "max_tokens": 100,
            "stream": True,
            "messages": [{"role": "user", "content": "Say hello."}],
        },
        (("anthropic-version", "2023-06-01"),),
    ),
    DemoRequest(
        "Gemini stream",
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]},
    ),
    DemoRequest(
        "tool call",
        "/v1/chat/completions",
        {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "get_weather",
                        "parameters": {
                            "type": "object",
                            "properties": {"city": {"type": "string"}},
                            "required": ["city"],
                        },
                    },
                }
            ],
        },
    ),
    DemoRequest(
        "embedding",
        "/v1/embeddings",
        {"model": "text-embedding-3-small", "input": "a cassette", "encoding_format": "float"},
    ),
    DemoRequest(
        "error",
        "/v1/chat/completions",
        {"model": "no-such-model", "messages": [{"role": "user", "content": "Hello?"}]},
    ),
)
