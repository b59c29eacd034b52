"""A small LLM provider of our own: the upstream from which ``cassettes/demo.db`` is recorded.

It answers one request of each kind in the wire format of its provider, with the uneven rhythm
of a real one, drawn from a seed. It knows nothing of llmproxy.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator

from aiohttp import web

SENTENCE = (
    "A cassette keeps every byte of a reply and the moment at which each chunk came, "
    "so a replay feels like the real thing: it hesitates, it hurries, and it never costs a cent."
)
HELLO = "Hello from a cassette: same bytes, same chunks, same rhythm."


def words(text: str) -> list[str]:
    """The text in pieces as a model streams them; joined they are the text."""
    pieces = text.split(" ")
    return [pieces[0], *(f" {piece}" for piece in pieces[1:])]


def sse(data: object, event: str = "") -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def typed(data: dict[str, object]) -> bytes:
    """An event whose name is also its ``type``, as Anthropic and Responses write them."""
    return sse(data, str(data["type"]))


def chat_stream(model: str) -> Iterator[bytes]:
    def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return sse(
            {
                "id": "chatcmpl-demo1",
                "object": "chat.completion.chunk",
                "created": 1790000000,
                "model": model,
                "choices": [choice],
                "usage": None,
            }
        )

    yield chunk({"role": "assistant", "content": ""})
    for piece in words(SENTENCE):
        yield chunk({"content": piece})
    yield chunk({}, "stop")
    count = len(words(SENTENCE))
    usage = {"prompt_tokens": 14, "completion_tokens": count, "total_tokens": 14 + count}
    yield sse(
        {
            "id": "chatcmpl-demo1",
            "object": "chat.completion.chunk",
            "created": 1790000000,
            "model": model,
            "choices": [],
            "usage": usage,
        }
    )
    yield b"data: [DONE]\n\n"


def chat_tool_call(model: str) -> dict[str, object]:
    call = {
        "id": "call_demo1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
    }
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    return {
        "id": "chatcmpl-demo2",
        "object": "chat.completion",
        "created": 1790000001,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 52, "completion_tokens": 15, "total_tokens": 67},
    }


def responses_stream(model: str) -> Iterator[bytes]:
    response: dict[str, object] = {
        "id": "resp_demo1",
        "object": "response",
        "created_at": 1790000002,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }
    item: dict[str, object] = {
        "id": "msg_demo1",
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    part: dict[str, object] = {
        "type": "output_text",
        "text": "",
        "annotations": [],
        "logprobs": [],
    }
    full_part = part | {"text": HELLO}
    full_item = item | {"status": "completed", "content": [full_part]}
    usage = {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 21,
    }
    place = {"item_id": "msg_demo1", "output_index": 0, "content_index": 0}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": response},
        {"type": "response.in_progress", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
        *(
            {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
            for piece in words(HELLO)
        ),
        {"type": "response.output_text.done", **place, "text": HELLO, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": full_part},
        {"type": "response.output_item.done", "output_index": 0, "item": full_item},
        {
            "type": "response.completed",
            "response": response | {"status": "completed", "output": [full_item], "usage": usage},
        },
    ]
    for number, event in enumerate(events):
        yield typed({**event, "sequence_number": number})


def anthropic_stream(model: str) -> Iterator[bytes]:
    message: dict[str, object] = {
        "id": "msg_demo2",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 1},
    }
    yield typed({"type": "message_start", "message": message})
    yield typed(
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        }
    )
    yield typed({"type": "ping"})
    for piece in words(HELLO):
        delta = {"type": "text_delta", "text": piece}
        yield typed({"type": "content_block_delta", "index": 0, "delta": delta})
    yield typed({"type": "content_block_stop", "index": 0})
    yield typed(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 13},
        }
    )
    yield typed({"type": "message_stop"})


def gemini_stream(model: str) -> Iterator[bytes]:
    pieces = words(HELLO)
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        candidate: dict[str, object] = {
            "content": {"parts": [{"text": piece}], "role": "model"},
            "index": 0,
        }
        if last:
            candidate["finishReason"] = "STOP"
        chunk = {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": 9,
                "candidatesTokenCount": number + 1,
                "totalTokenCount": number + 10,
            },
            "modelVersion": model,
            "responseId": "demo3",
        }
        yield f"data: {json.dumps(chunk)}\r\n\r\n".encode()


def embedding(model: str) -> dict[str, object]:
    dice = random.Random(7)
    vector = [round(dice.uniform(-1, 1), 6) for _ in range(8)]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "model": model,
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }


def error(model: str) -> dict[str, object]:
    return {
        "error": {
            "message": f"The model '{model}' does not exist or you do not have access to it.",
            "type": "invalid_request_error",
            "param": None,
            "code": "model_not_found",
        }
    }


async def _stream(request: web.Request, events: Iterator[bytes], seed: int) -> web.StreamResponse:
    """Write events with uneven gaps; now and then two leave in one write."""
    dice = random.Random(seed)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await asyncio.sleep(dice.uniform(0.2, 0.4))
    await response.prepare(request)
    held = b""
    for event in events:
        held += event
        if dice.random() < 0.15:
            continue
        await response.write(held)
        held = b""
        await asyncio.sleep(min(dice.lognormvariate(-3.2, 0.8), 0.5))
    await response.write_eof(held)
    return response


async def answer(request: web.Request) -> web.StreamResponse:
    """Answer by path, and by what the body asks."""
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        body = {}
    path = request.path
    if ":" in path:
        model = path.rpartition("/")[2].partition(":")[0]
        return await _stream(request, gemini_stream(model), 4)
    model = str(body.get("model", ""))
    if model.startswith("no-such"):
        return web.json_response(error(model), status=404)
    if path.endswith("/messages"):
        return await _stream(request, anthropic_stream(model), 3)
    if path.endswith("/responses"):
        return await _stream(request, responses_stream(model), 2)
    if path.endswith("/embeddings"):
        await asyncio.sleep(0.05)
        return web.json_response(embedding(model))
    if body.get("tools"):
        await asyncio.sleep(0.15)
        return web.json_response(chat_tool_call(model))
    return await _stream(request, chat_stream(model), 1)


async def start(port: int = 0) -> tuple[web.AppRunner, str]:
    """Serve on a free port; returns what to clean up and the URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    host, bound = runner.addresses[0][:2]
    return runner, f"http://{host}:{bound}"
