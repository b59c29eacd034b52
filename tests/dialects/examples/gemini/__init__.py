"""Gemini's requests, streams and facts; all payloads are made up."""

from __future__ import annotations

import json

from dialects.example import BEARER, JSON, SSE, Asked, Examples, Told, body, data
from llmproxy.interaction import Facts

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
EXAMPLES = Examples(
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
