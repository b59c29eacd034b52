"""Servers to compare with, each in a process of its own: ``python -m benchmarks.servers NAME``.

``bare``: an aiohttp application whose handler reads the body and returns fixed bytes. ``naive``:
an aiohttp handler that streams by ``write`` and ``sleep(gap)``. ``teller``: the same for the text
that the request asks for, word by word, in chunks of chat. ``provider``: plain asyncio without
a library; answers JSON, or streams each frame at its absolute deadline with the time of the
write in it, so that a client learns its own share of the lateness.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import re
import time
from collections.abc import Callable
from itertools import pairwise
from typing import cast

from aiohttp import web

from benchmarks import common
from benchmarks.traffic import PATH, RHYTHMS, frames, pieces, reply_body, stamp

_NUMBER = re.compile(rb"Question ([0-9]{8})")
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": *true')
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def number_of(body: bytes) -> int:
    """The number of a request, out of its body."""
    match = _NUMBER.search(body)
    return int(match[1]) if match else 0


def bare(_options: argparse.Namespace) -> web.Application:
    fixed = reply_body(0)

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=fixed, content_type="application/json")

    application = web.Application()
    application.router.add_post(PATH, answer)
    return application


def naive(options: argparse.Namespace) -> web.Application:
    async def answer(request: web.Request) -> web.StreamResponse:
        due = frames(number_of(await request.read()), options.count, options.mean)
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise([(0.0, b""), *due])]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for gap, (_, data) in zip(gaps, due, strict=True):
            await asyncio.sleep(gap)
            await response.write(data)
        await response.write_eof()
        return response

    application = web.Application()
    application.router.add_post(PATH, answer)
    return application


def teller(options: argparse.Namespace) -> web.Application:
    async def answer(request: web.Request) -> web.StreamResponse:
        text = json.loads(await request.read())["mock_response"]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for index, piece in enumerate(pieces(text)):
            if index:
                await asyncio.sleep(options.mean)
            chunk = _chat_chunk({"content": piece})
            await response.write(b"data: %b\n\n" % json.dumps(chunk).encode())
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    application = web.Application()
    application.router.add_post(PATH, answer)
    return application


def _chat_chunk(delta: dict[str, str]) -> dict[str, object]:
    return {
        "id": "chatcmpl-00000000",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "gpt-4o-mini",
        "system_fingerprint": "fp_0000000000",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
    }


class Clockwork:
    """Calls functions at absolute deadlines, in seconds of the monotonic clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def at(self, deadline: float, call: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._due, (deadline, self._order, call))
        if self._timer is None or deadline < self._timer_at:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._due[0][0]
        left = self._timer_at - time.monotonic()
        self._timer = self._loop.call_later(max(left, 0.001), self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        if self._due and self._timer is None:
            self._arm()


class Provider(asyncio.Protocol):
    """A provider's HTTP over one connection, as little of it as the clients here need."""

    def __init__(self, options: argparse.Namespace, clockwork: Clockwork) -> None:
        self._options = options
        self._clockwork = clockwork
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's name
        self._transport = None

    def data_received(self, data: bytes) -> None:
        received_at = time.monotonic()
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or (length and len(body) < int(length[1])):
            return
        self._buffer = b""
        if _STREAM.search(body):
            self._stream(number_of(body), received_at)
        else:
            reply = reply_body(0)
            self._write(_JSON_HEAD % len(reply) + reply)

    def _stream(self, number: int, received_at: float) -> None:
        self._write(_STREAM_HEAD)
        due = frames(number, self._options.count, self._options.mean)
        self._next(received_at, due, 0)

    def _next(self, received_at: float, due: tuple[tuple[float, bytes], ...], index: int) -> None:
        if index == len(due):
            self._write(b"0\r\n\r\n")
            return
        offset, frame = due[index]

        def send() -> None:
            data = stamp(frame, time.monotonic_ns())
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
            self._next(received_at, due, index + 1)

        if self._options.mean:
            self._clockwork.at(received_at + offset, send)
        else:
            asyncio.get_running_loop().call_soon(send)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def _serve_provider(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    clockwork = Clockwork(loop)
    server = await loop.create_server(
        lambda: Provider(options, clockwork), "127.0.0.1", 0, backlog=1024
    )
    print(f"provider http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def _serve_application(application: web.Application, name: str) -> None:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"{name} http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=("bare", "naive", "teller", "provider"))
    parser.add_argument("--count", type=int, default=50, help="frames of a stream")
    parser.add_argument("--mean", type=float, default=0.02, help="mean gap in seconds, 0: none")
    parser.add_argument("--no-uvloop", action="store_true")
    options = parser.parse_args()
    if options.name == "provider":
        serve = _serve_provider(options)
    else:
        application = {"bare": bare, "naive": naive, "teller": teller}[options.name](options)
        serve = _serve_application(application, options.name)
    # the provider stays on asyncio: its transport writes at once, so the time in a frame is true
    uvloop = not options.no_uvloop and options.name != "provider"
    for number in range(RHYTHMS):
        frames(number, options.count, options.mean)
    with common.runner(uvloop=uvloop) as runner:
        runner.run(serve)


if __name__ == "__main__":
    main()
