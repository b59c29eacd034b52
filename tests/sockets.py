"""Both ends of a socket, to the byte: upstreams that do as told, and a client that sees all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
"""A chat request's body, for tests that do not care which."""

Handler = Callable[["Seen", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """A request as the upstream got it."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


@dataclass
class Upstream:
    """A listening upstream; ``seen`` gathers what it was asked."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0


@contextlib.asynccontextmanager
async def upstream(handler: Handler) -> AsyncIterator[Upstream]:
    """Serve ``handler``, called for each request with the raw writer of its connection."""
    served = Upstream("")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        number = served.connections
        try:
            while request := await _read(reader, number):
                served.seen.append(request)
                await handler(request, writer)
                await writer.drain()
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=2**26)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, connection: int) -> Seen | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    seen = Seen(first, headers, b"", connection)  # type: ignore[arg-type]
    if length := seen.header("content-length"):
        seen.body = await reader.readexactly(int(length))
    return seen


def reply(
    body: bytes = b"{}", status: str = "200 OK", *headers: str, length: int | None = None
) -> bytes:
    """A response with a content-length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines += headers or ("Content-Type: application/json",)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def head(*headers: str, status: str = "200 OK") -> bytes:
    """The head of a chunked event stream."""
    lines = [f"HTTP/1.1 {status}", "Transfer-Encoding: chunked"]
    lines += headers or ("Content-Type: text/event-stream",)
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One HTTP chunk; of nothing: the end."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: what a crashed upstream looks like."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


@dataclass
class Answer:
    """A response to the byte: what came, in which pieces, when, and how it ended."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    chunks: list[tuple[float, bytes]]
    broken: bool
    head_at: float = 0.0

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data in self.chunks)

    def header(self, name: str) -> str | None:
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


class Client:
    """A connection on which requests are written as bytes."""

    def __init__(self, url: str) -> None:
        self._host, _, port = url.removeprefix("http://").partition(":")
        self._port = int(port)

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(
            self._host, self._port, limit=2**26
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def ask(
        self,
        target: str = "/v1/chat/completions",
        body: bytes = b'{"model":"m","messages":[]}',
        *headers: str,
        method: str = "POST",
    ) -> Answer:
        self.send(target, body, *headers, method=method)
        return await self.answer(method)

    def send(self, target: str, body: bytes, *headers: str, method: str = "POST") -> None:
        host = "localhost" if target.startswith("/_llmproxy") else "test"
        own = any(line.lower().startswith("host:") for line in headers)
        lines = [f"{method} {target} HTTP/1.1", *([] if own else [f"Host: {host}"]), *headers]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    async def answer(self, method: str = "POST") -> Answer:
        began = time.perf_counter()
        raw = await self.reader.readuntil(b"\r\n\r\n")
        head_at = time.perf_counter() - began
        first, *lines = raw[:-4].decode("utf-8", "surrogateescape").split("\r\n")
        _, status, reason = first.split(" ", 2)
        headers = [(line.partition(": ")[0], line.partition(": ")[2]) for line in lines]
        found = Answer(int(status), reason, headers, [], False, head_at)
        if method == "HEAD" or found.status in (204, 304) or found.status < 200:
            return found
        try:
            if found.header("transfer-encoding") == "chunked":
                await self._chunks(found, began)
            else:
                await self._measured(found, began)
        except (asyncio.IncompleteReadError, ConnectionError):
            found.broken = True
        return found

    async def _chunks(self, found: Answer, began: float) -> None:
        while size := int((await self.reader.readuntil(b"\r\n")).strip(), 16):
            data = await self.reader.readexactly(size)
            found.chunks.append((time.perf_counter() - began, data))
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)

    async def _measured(self, found: Answer, began: float) -> None:
        length = found.header("content-length")
        if length is None:
            found.chunks.append((0.0, await self.reader.read(-1)))
            return
        left = int(length)
        while left:
            data = await self.reader.read(left)
            if not data:
                found.broken = True
                return
            found.chunks.append((time.perf_counter() - began, data))
            left -= len(data)


async def ask(url: str, *args: object, **kwargs: object) -> Answer:
    """One request on a connection of its own; arguments as for ``Client.ask``."""
    async with Client(url) as client:
        return await client.ask(*args, **kwargs)  # type: ignore[arg-type]


def free_port() -> int:
    """A port that was free a moment ago."""
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
