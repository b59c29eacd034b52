"""Completions and the operations beside it as ``openai`` reads them."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from openai.types import Completion

from dialects.clients import sse_objects, typed
from dialects.written import RefusedRequest, Seen, SeenChoice, Written

TARGET = "/v1/completions"
BODY: dict[str, Any] = {"model": "gpt-3.5-turbo-instruct", "prompt": "Once upon a time"}


def read(body: bytes) -> Seen:
    completion = typed(Completion, json.loads(body))
    assert completion.object == "text_completion"
    assert [choice.index for choice in completion.choices] == [*range(len(completion.choices))]
    choices = [
        SeenChoice(choice.text, finish=choice.finish_reason) for choice in completion.choices
    ]
    return _seen(choices, completion.usage)


def read_stream(body: bytes) -> Seen:
    texts: dict[int, str] = defaultdict(str)
    finishes: dict[int, str] = {}
    usage = None
    for row in sse_objects(body):
        assert row["object"] == "text_completion"
        chunk = Completion.construct(**row)
        usage = chunk.usage or usage
        for choice in chunk.choices:
            assert choice.index not in finishes
            texts[choice.index] += choice.text
            if choice.finish_reason:
                finishes[choice.index] = choice.finish_reason
    choices = [SeenChoice(texts[index], finish=finishes[index]) for index in sorted(texts)]
    return _seen(choices, usage)


def _seen(choices: list[SeenChoice], usage: Any) -> Seen:
    counted = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
    return Seen(tuple(choices), *counted)


def _refused(field: str, target: str = TARGET, **changes: Any) -> RefusedRequest:
    members = {**(BODY if target == TARGET else {}), **changes}
    body = {name: value for name, value in members.items() if value is not ...}
    return RefusedRequest(target, body, field)


WRITTEN = (
    Written(
        operation="openai_completions",
        target=TARGET,
        body=BODY,
        stream_body={"stream": True, "stream_options": {"include_usage": True}},
        read=read,
        read_stream=read_stream,
        finishes={
            "stop": "stop",
            "stop_sequence": "stop",
            "length": "length",
            "refusal": "stop",
            "content_filter": "content_filter",
        },
        shows_reasoning=False,
        several={"n": 2},
        refusal_is_text=True,
    ),
)

EMBEDDINGS = "/v1/embeddings"
MODERATIONS = "/v1/moderations"
SMALL = "text-embedding-3-small"

REFUSED = (
    RefusedRequest(TARGET, "Once", "body"),
    _refused("model", model=...),
    _refused("prompt", prompt=...),
    _refused("prompt", prompt=7),
    _refused("prompt", prompt=[]),
    _refused("prompt[1]", prompt=["a", 1]),
    _refused("prompt[1]", prompt=[1, "a"]),
    _refused("prompt[0]", prompt=[[]]),
    _refused("prompt[1]", prompt=[[1], 2]),
    _refused("prompt[0][1]", prompt=[[1, True]]),
    _refused("prompt[0]", prompt=[-1]),
    _refused("prompt[0]", prompt=[10**5000]),
    _refused("n", n=129),
    _refused("n", n=100, prompt=["x"] * 100),
    _refused("best_of", best_of=1, n=2),
    _refused("best_of", best_of=21),
    _refused("best_of", best_of=2, stream=True),
    _refused("echo", echo="yes"),
    _refused("suffix", suffix=1),
    _refused("logprobs", logprobs=6),
    _refused("logprobs", logprobs=True),
    _refused("max_tokens", max_tokens=-1),
    _refused("stop", stop=["a", "b", "c", "d", "e"]),
    _refused("stream_options", stream_options={"include_usage": True}),
    _refused("temperature", temperature=3),
    RefusedRequest(EMBEDDINGS, None, "body"),
    _refused("model", EMBEDDINGS, input="x"),
    _refused("input", EMBEDDINGS, model=SMALL),
    _refused("input", EMBEDDINGS, model=SMALL, input=""),
    _refused("input", EMBEDDINGS, model=SMALL, input=[]),
    _refused("input", EMBEDDINGS, model=SMALL, input=7),
    _refused("input", EMBEDDINGS, model=SMALL, input=["x"] * 2049),
    _refused("input[1]", EMBEDDINGS, model=SMALL, input=["x", ""]),
    _refused("input[1]", EMBEDDINGS, model=SMALL, input=["x", 1]),
    _refused("input", EMBEDDINGS, model=SMALL, input="word " * 9000),
    _refused("dimensions", EMBEDDINGS, model=SMALL, input="x", dimensions=1537),
    _refused("dimensions", EMBEDDINGS, model=SMALL, input="x", dimensions=0),
    _refused("dimensions", EMBEDDINGS, model="text-embedding-ada-002", input="x", dimensions=9),
    _refused("encoding_format", EMBEDDINGS, model=SMALL, input="x", encoding_format="hex"),
    _refused("input", MODERATIONS),
    _refused("input", MODERATIONS, input=[]),
    _refused("input", MODERATIONS, input=1),
    _refused("input[1]", MODERATIONS, input=["x", 1]),
    _refused("input[0].type", MODERATIONS, input=[{"text": "x"}]),
    _refused("input[0].type", MODERATIONS, input=[{"type": "sound"}]),
    _refused("input[0].text", MODERATIONS, input=[{"type": "text"}]),
    _refused("input[0].image_url", MODERATIONS, input=[{"type": "image_url"}]),
    _refused("model", MODERATIONS, input="x", model=1),
    RefusedRequest("/v1/models/not-here", None, "model", 404, method="GET"),
    RefusedRequest("/v1/models/meta/not-here:8b", None, "meta/not-here:8b", 404, method="GET"),
    RefusedRequest("/v1/models/gpt-4o", None, "model", 403, method="DELETE"),
    RefusedRequest("/v1/models/ft:gpt-4o:a::b", None, "model", 404, method="DELETE"),
    RefusedRequest("/v1/models", {}, "POST", 405),
)
