"""Ollama's requests, streams and facts; all payloads are made up."""

from __future__ import annotations

from dialects.example import HELLO, JSON, NDJSON, Asked, Examples, Told, body, lines
from llmproxy.interaction import Facts

ROWS = lines(
    {"model": "m", "message": {"content": "an error"}, "done": False},
    {"model": "m", "done": True, "prompt_eval_count": 26, "eval_count": 290},
)
EXAMPLES = Examples(
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
