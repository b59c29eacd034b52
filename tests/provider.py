"""A provider of our own for the SDKs: OpenAI's, Anthropic's and Gemini's formats on one port.

Streams are those of the demo's provider, without its pauses. It runs in a thread of its own,
so that blocking clients may ask it. What it answers depends on the request alone; only its
request ids differ from answer to answer. A request with the header ``x-gate`` gets the first
piece of its stream; the rest follows when the test says so. It knows nothing of llmproxy.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aiohttp import web
from demo.provider import (
    HELLO,
    anthropic_stream,
    chat_stream,
    chat_tool_call,
    embedding,
    error,
    gemini_stream,
    responses_stream,
    sse,
    typed,
)

ORGANISATION = "org-" + "4kRz8vQm2TnXw6Lb"
COOKIE = "__cf_bm=" + "rT7yWq2ZpLm9.Xc4-1790000000"
AUDIO = bytes(range(256)) * 400
FILE = b'{"custom_id":"1"}\n\xff\x00\xfe\n'
TAIL = b": the provider closes the stream a moment later\n\n"

JSON = dict[str, object]


@dataclass
class Provider:
    """A provider that runs."""

    loop: asyncio.AbstractEventLoop
    url: str = ""
    ids: Iterator[int] = field(default_factory=itertools.count)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def open_gate(self) -> None:
        """Let the streams that wait go on."""
        self.loop.call_soon_threadsafe(self.opened.set)

    def close_gate(self) -> None:
        self.loop.call_soon_threadsafe(self.opened.clear)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            asked = json.loads(body)
        except ValueError:
            asked = {}
        answered = route(request, asked, body)
        if isinstance(answered, web.Response):
            answered.headers.update(self._headers(request))
            return answered
        return await self._stream(request, answered)

    def _headers(self, request: web.Request) -> dict[str, str]:
        number = f"req_{next(self.ids):08d}"
        if "anthropic-version" in request.headers:
            return {"request-id": number, "Set-Cookie": COOKIE}
        return {
            "x-request-id": number,
            "openai-organization": ORGANISATION,
            "openai-processing-ms": "12",
            "Set-Cookie": COOKIE,
        }

    async def _stream(
        self, request: web.Request, events: Iterator[bytes | None]
    ) -> web.StreamResponse:
        """Write the events; None among them breaks the connection."""
        headers = {"Content-Type": "text/event-stream", **self._headers(request)}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        gated = request.headers.get("x-gate")
        for number, event in enumerate(events):
            if (gated == "first" and number == 1) or (gated == "tail" and event == TAIL):
                await asyncio.wait_for(self.opened.wait(), 20)
            if event is None:
                await asyncio.sleep(0.02)  # a reset overtakes bytes that are still under way
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(event)
        await response.write_eof()
        return response


def route(request: web.Request, asked: JSON, body: bytes) -> web.Response | Iterator[bytes | None]:
    """The answer, by path and by what is asked: a whole one, or the events of a stream."""
    path, method = request.path, request.method
    last = path.rpartition("/")[2]
    model = str(asked.get("model", last.partition(":")[0]))
    if refusal := refused(model, path):
        return refusal
    if ":" in last:
        return gemini(last.partition(":")[2], model, asked)
    if method == "GET":
        return listed(request, last)
    if "/upload/" in path:
        return upload(request, body)
    if last == "files":
        return web.json_response(file_object(len(body.partition(b"\r\n\r\n")[2])))
    if last == "speech":
        return web.Response(body=AUDIO, content_type="audio/mpeg")
    if last == "embeddings":
        return web.json_response(embeddings(model, asked))
    if last == "count_tokens":
        return web.json_response({"input_tokens": 17})
    stream = STREAMS[last](model)
    if asked.get("stream"):
        return spoilt(stream, model, path)
    whole = chat_tool_call if asked.get("tools") else WHOLE[last]
    return web.json_response(whole(model))


def refused(model: str, path: str) -> web.Response | None:
    """The error that a model's name asks for, in the provider's shape."""
    status = {"no-such": 404, "bad": 400, "busy": 429}.get(model.rpartition("-")[0])
    if status is None:
        return None
    headers = {"retry-after": "7"} if status == 429 else {}
    content: JSON = error(model)
    if path.endswith("/messages"):
        inside = {"type": "not_found_error", "message": f"model: {model}"}
        content = {"type": "error", "error": inside, "request_id": "req_fixed"}
    elif ":" in path:
        content = {"error": {"code": status, "message": f"{model}?", "status": "NOT_FOUND"}}
    return web.json_response(content, status=status, headers=headers)


def spoilt(stream: Iterator[bytes], model: str, path: str) -> Iterator[bytes | None]:
    """The stream, or what becomes of it where the model's name asks for trouble."""
    if model.startswith("breaking"):
        yield from itertools.islice(stream, 5)
        yield None
    elif model.startswith("failing"):
        yield from itertools.islice(stream, 5)
        inside = {"type": "overloaded_error", "message": "Overloaded", "code": None}
        if path.endswith("/chat/completions"):
            yield sse({"error": inside})
        else:
            yield typed({"type": "error", "error": inside, "sequence_number": 5})
    else:
        yield from stream
        if path.endswith("/chat/completions"):
            yield TAIL


def chat(model: str) -> JSON:
    message = {"role": "assistant", "content": HELLO, "refusal": None}
    return {
        "id": "chatcmpl-whole",
        "object": "chat.completion",
        "created": 1790000003,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 19},
    }


def response(model: str) -> JSON:
    """The whole response, as the last event of its stream has it."""
    last = list(responses_stream(model))[-1]
    whole: JSON = json.loads(last.partition(b"data: ")[2])["response"]
    return whole


def message(model: str) -> JSON:
    return {
        "id": "msg_whole",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": HELLO}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 13},
    }


STREAMS: dict[str, Callable[[str], Iterator[bytes]]] = {
    "completions": chat_stream,
    "responses": responses_stream,
    "messages": anthropic_stream,
}
WHOLE: dict[str, Callable[[str], JSON]] = {
    "completions": chat,
    "responses": response,
    "messages": message,
}


def embeddings(model: str, asked: JSON) -> JSON:
    """Vectors as the client wants them: the OpenAI SDK asks for base64 unless told otherwise."""
    reply = embedding(model)
    if asked.get("encoding_format") == "base64":
        for each in reply["data"]:  # type: ignore[attr-defined]
            packed = struct.pack(f"<{len(each['embedding'])}f", *each["embedding"])
            each["embedding"] = base64.b64encode(packed).decode()
    return reply


def gemini(verb: str, model: str, asked: JSON) -> web.Response | Iterator[bytes | None]:
    if verb == "streamGenerateContent":
        return iter(list[bytes | None](gemini_stream(model)))
    if verb == "countTokens":
        return web.json_response({"totalTokens": 17})
    if verb == "batchEmbedContents":
        several = [{"values": [0.25, -0.5, 1.0]} for _ in asked["requests"]]  # type: ignore[attr-defined]
        return web.json_response({"embeddings": several})
    part = {"content": {"parts": [{"text": HELLO}], "role": "model"}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 10, "totalTokenCount": 19}
    return web.json_response(
        {"candidates": [part], "usageMetadata": usage, "modelVersion": model, "responseId": "w"}
    )


def file_object(size: int) -> JSON:
    return {
        "id": "file-4321",
        "object": "file",
        "bytes": size,
        "created_at": 1790000004,
        "filename": "batch.jsonl",
        "purpose": "batch",
        "status": "processed",
    }


def listed(request: web.Request, last: str) -> web.Response:
    if last == "content":
        return web.Response(body=FILE, content_type="application/octet-stream")
    if "x-goog-api-key" in request.headers:
        return web.json_response(
            {"models": [{"name": "models/gemini-demo", "displayName": "Demo"}]}
        )
    if "anthropic-version" in request.headers:
        entry = {"type": "model", "id": "claude-demo", "display_name": "Demo"}
        entry |= {"created_at": "2026-01-01T00:00:00Z", "lifecycle": "active"}
        return web.json_response(
            {
                "data": [entry],
                "has_more": False,
                "first_id": "claude-demo",
                "last_id": "claude-demo",
            }
        )
    names = ["demo-1", "demo-2"]
    models = [{"id": n, "object": "model", "created": 1, "owned_by": "us"} for n in names]
    return web.json_response({"object": "list", "data": models})


def upload(request: web.Request, body: bytes) -> web.Response:
    """Gemini's resumable upload: the first answer says where the bytes go."""
    if request.headers.get("x-goog-upload-command") == "start":
        where = f"http://{request.headers['Host']}/upload/v1beta/files?upload_id=u1"
        return web.json_response({}, headers={"x-goog-upload-url": where})
    content = {"name": "files/f1", "uri": "https://files.invalid/f1", "sizeBytes": str(len(body))}
    return web.json_response({"file": content}, headers={"x-goog-upload-status": "final"})


@contextlib.contextmanager
def running() -> Iterator[Provider]:
    """A provider in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="provider", daemon=True)
    thread.start()
    provider = Provider(loop)
    runner = asyncio.run_coroutine_threadsafe(_start(provider), loop).result()
    try:
        yield provider
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(provider: Provider) -> web.AppRunner:
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", provider.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    provider.url = f"http://{host}:{port}"
    return runner
