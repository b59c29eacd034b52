"""A client that asks as fast as it is answered, over many connections: ``python -m benchmarks.load``.

Reads the CPU time of the server's process at the first and the last moment of the measured
interval, so that the quotient of the two counts the same requests. Its job comes as JSON in
the first argument, its result goes out as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, cast
from urllib.parse import urlsplit

from benchmarks import common
from benchmarks.common import cpu_seconds, percentile
from benchmarks.traffic import http_request, request_body

Variant = Literal["exact", "canonical", "miss", "stream"]

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_UNKNOWN = 90_000_000
"""Requests from this number on stand in no cassette."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to ask: one of ``numbers`` requests each time, for ``seconds`` after a warm-up.

    ``fields`` are added to the body of each request.
    """

    url: str
    pid: int
    numbers: int
    seconds: float
    variant: Variant = "exact"
    connections: int = 50
    warm_up: float = 0.2
    latencies: bool = False
    seed: int = 1
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """Latencies in milliseconds; ``asked`` counts the warm-up and all else too.

    ``reply_bytes`` is the mean size of a reply with its head and framing.
    """

    requests: int
    asked: int
    per_second: float
    cpu_us: float
    p50: float = 0.0
    p99: float = 0.0
    reply_bytes: float = 0.0


def run(url: str, pid: int, numbers: int, seconds: float, **more: object) -> Result:
    """Run a job in a process of its own."""
    job = {"url": url, "pid": pid, "numbers": numbers, "seconds": seconds, **more}
    return Result(**common.client("load", **job))


class Load:
    """What the connections of one job share."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.asked = self.answered = self.received = 0
        self.stopping = False
        self.latencies: list[float] = []
        self.expected = b"HTTP/1.1 400" if job.variant == "miss" else b"HTTP/1.1 200"
        self._random = random.Random(job.seed)
        self._first = _UNKNOWN if job.variant == "miss" else 0
        body = request_body(
            0,
            stream=job.variant == "stream",
            shuffled=job.variant == "canonical",
            fields=job.fields,
        )
        whole = http_request(urlsplit(job.url).netloc, body)
        self._before, _, self._after = whole.partition(b"Question 00000000")

    def next_request(self) -> bytes:
        self.asked += 1
        number = self._first + self._random.randrange(self.job.numbers)
        return b"%bQuestion %08d%b" % (self._before, number, self._after)


class Connection(asyncio.Protocol):
    """Asks, reads the reply to its end, asks again."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._missing = 0
        self._began = 0.0
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        if self._load.stopping:
            self.done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        if length := _LENGTH.search(buffer, 0, end + 2):
            if len(buffer) < end + 4 + int(length[1]):
                return
        elif not buffer.endswith(b"0\r\n\r\n"):
            return
        if not buffer.startswith(self._load.expected):
            self.done.set_exception(RuntimeError(f"an unexpected reply: {buffer[:600]!r}"))
            return
        self._buffer = b""
        self._load.answered += 1
        self._load.received += len(buffer)
        if self._load.job.latencies:
            self._load.latencies.append(time.perf_counter() - self._began)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _run(job: Job) -> Result:
    loop = asyncio.get_running_loop()
    load = Load(job)
    parts = urlsplit(job.url)
    address = parts.hostname or "", parts.port or 80
    connections = [
        (await loop.create_connection(lambda: Connection(load), *address))[1]
        for _ in range(job.connections)
    ]
    gc.disable()
    await _pass(connections, job.warm_up)
    before, cpu, began = load.answered, cpu_seconds(job.pid), time.perf_counter()
    load.latencies.clear()
    await _pass(connections, job.seconds)
    requests = load.answered - before
    took, cpu = time.perf_counter() - began, cpu_seconds(job.pid) - cpu
    ascending = sorted(load.latencies)
    load.stopping = True
    await asyncio.gather(*(connection.done for connection in connections))
    for connection in connections:
        connection.close()
    if not requests:
        raise RuntimeError("not one request was answered")
    return Result(
        requests=requests,
        asked=load.asked,
        per_second=requests / took,
        cpu_us=cpu / requests * 1e6,
        p50=percentile(ascending, 0.5) * 1e3 if ascending else 0.0,
        p99=percentile(ascending, 0.99) * 1e3 if ascending else 0.0,
        reply_bytes=load.received / load.answered,
    )


async def _pass(connections: list[Connection], seconds: float) -> None:
    """Let time pass; an error of a connection ends the job."""
    failed, _ = await asyncio.wait([c.done for c in connections], timeout=seconds)
    for each in failed:
        each.result()


def main() -> None:
    with common.runner() as runner:
        print(json.dumps(asdict(runner.run(_run(Job(**json.loads(sys.argv[1])))))))


if __name__ == "__main__":
    main()
