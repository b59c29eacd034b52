"""A client of many streams that notes when each frame came: ``python -m benchmarks.streams``.

A request is written straight to the socket, so that the moment noted is the moment it left.
Arrivals are kept raw and judged after the last one: the client does as little as it can
while it measures. Its job comes as JSON in the first argument, its result goes out as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

from benchmarks import common
from benchmarks.common import cpu_seconds, percentile
from benchmarks.traffic import (
    frames,
    http_request,
    request_body,
    stamped,
    story,
    story_number,
)

_END = b"0\r\n\r\n"
_FRAME_END = b"\n\n"
_START = 0.2
"""Seconds between the last connection made and the first request."""


@dataclass(frozen=True, slots=True)
class Job:
    """``streams`` different ones at once, each connection playing its own ``repeats`` times.

    ``spread`` is over how many seconds the first ones begin; ``mean`` is the mean gap. Streams
    of ``stories`` have as many frames as it takes to tell one, ``mean`` seconds apart, from
    ``first`` seconds after the request on; ``fields`` and the story are in the request's body.
    """

    url: str
    pid: int
    streams: int
    repeats: int
    count: int
    mean: float
    spread: float
    seed: int = 1
    stories: bool = False
    first: float = 0.0
    fields: Mapping[str, object] = field(default_factory=dict)

    def request(self, number: int, host: str) -> bytes:
        """The whole request for stream ``number``."""
        fields = {**self.fields, "mock_response": story(number)} if self.stories else {}
        return http_request(host, request_body(number, stream=True, fields=fields))


@dataclass(frozen=True, slots=True)
class Lateness:
    """Milliseconds, over all frames."""

    p50: float
    p99: float
    p999: float
    highest: float


@dataclass(frozen=True, slots=True)
class Result:
    """``late``: arrival after the moment due. ``carried``: arrival after the server wrote it.

    The latter where the server says when. ``drift`` is the slope of the lateness, in
    milliseconds per second of stream. ``begun`` is that of the first frames alone.
    """

    frames: int
    late: Lateness
    begun: Lateness
    drift: float
    cpu_us: float
    carried: Lateness | None = None


def run(url: str, pid: int, **more: object) -> Result:
    """Run a job in a process of its own."""
    found = common.client("streams", url=url, pid=pid, **more)
    late, begun, carried = found.pop("late"), found.pop("begun"), found.pop("carried")
    return Result(
        late=Lateness(**late),
        begun=Lateness(**begun),
        carried=carried and Lateness(**carried),
        **found,
    )


@dataclass(slots=True)
class Played:
    """One stream as it came. Times in nanoseconds of the monotonic clock."""

    number: int
    sent_at: int = 0
    pieces: list[tuple[int, bytes]] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """Plays streams one after the other."""

    def __init__(self, job: Job, numbers: list[int], host: str, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting = [(number, job.request(number, host)) for number in numbers]
        self._waiting.reverse()
        self.played: list[Played] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ask(self) -> None:
        if not self._waiting:
            self.done.set_result(None)
            return
        number, request = self._waiting.pop()
        stream = Played(number)
        self.played.append(stream)
        os.write(self._descriptor, request)
        stream.sent_at = time.monotonic_ns()

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        pieces = self.played[-1].pieces
        pieces.append((now, data))
        if len(data) < len(_END) and len(pieces) > 1:
            data = pieces[-2][1] + data
        if data.endswith(_END):
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))


async def _connect(job: Job, index: int) -> tuple[asyncio.BaseTransport, Connection]:
    numbers = [story_number(index) if job.stories else index] * job.repeats
    parts = urlsplit(job.url)
    sock = socket.create_connection((parts.hostname, parts.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    return await loop.create_connection(
        lambda: Connection(job, numbers, parts.netloc, sock.fileno()), sock=sock
    )


async def _run(job: Job) -> Result:
    loop = asyncio.get_running_loop()
    pairs = [await _connect(job, index) for index in range(job.streams)]
    chosen = random.Random(job.seed)
    gc.disable()
    gc.freeze()
    await asyncio.sleep(_START)
    cpu = cpu_seconds(job.pid)
    for _, connection in pairs:
        loop.call_later(chosen.random() * job.spread, connection.ask)
    await asyncio.gather(*(connection.done for _, connection in pairs))
    cpu = cpu_seconds(job.pid) - cpu
    for transport, _ in pairs:
        transport.close()
    return _judge([played for _, c in pairs for played in c.played], job, cpu)


def _judge(streams: list[Played], job: Job, cpu: float) -> Result:
    late: list[tuple[float, float]] = []
    begun: list[float] = []
    carried: list[float] = []
    for stream in streams:
        arrived = list(_arrivals(stream))
        if job.stories:
            arrived = _telling(stream.number, arrived)
            due = [job.first + job.mean * index for index in range(len(arrived))]
        else:
            due = [moment for moment, _ in frames(stream.number, job.count, job.mean)]
            carried += [(at - moment) / 1e6 for at, data in arrived if (moment := stamped(data, 0))]
        if len(arrived) != len(due):
            raise RuntimeError(f"stream {stream.number}: {len(arrived)} frames of {len(due)}")
        delays = [(at - stream.sent_at) / 1e6 for at, _ in arrived]
        late += [(m, delay - m * 1e3) for m, delay in zip(due, delays, strict=True)]
        begun.append(delays[0] - due[0] * 1e3)
    return Result(
        frames=len(late),
        late=_lateness([milliseconds for _, milliseconds in late]),
        begun=_lateness(begun),
        drift=_slope(late),
        cpu_us=cpu / len(late) * 1e6,
        carried=_lateness(carried) if carried else None,
    )


def _telling(number: int, arrived: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The frames that carry text; together they tell the story that was asked for."""
    said = [(at, text.encode()) for at, data in arrived if (text := _text(data))]
    if b"".join(text for _, text in said) != story(number).encode():
        raise RuntimeError(f"stream {number} tells another story: {said}")
    return said


def _text(frame: bytes) -> str:
    data = frame[frame.index(b"data: ") + len(b"data: ") :]
    if data == b"[DONE]":
        return ""
    choices = json.loads(data)["choices"]
    return choices[0]["delta"].get("content") or "" if choices else ""


def _arrivals(stream: Played) -> Iterator[tuple[int, bytes]]:
    """When each frame came, and the frame with what frames it on the wire."""
    body = b""
    begun = ends = 0
    for at, data in stream.pieces:
        body += data
        if not begun:
            if not body.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"an unexpected reply: {body[:600]!r}")
            begun = body.find(b"\r\n\r\n") + 4
            ends = begun
            if begun < 4:
                begun = 0
                continue
        while (end := body.find(_FRAME_END, ends)) >= 0:
            yield at, body[ends:end]
            ends = end + len(_FRAME_END)


def _lateness(values: list[float]) -> Lateness:
    ascending = sorted(values)
    return Lateness(
        p50=percentile(ascending, 0.5),
        p99=percentile(ascending, 0.99),
        p999=percentile(ascending, 0.999),
        highest=ascending[-1],
    )


def _slope(points: list[tuple[float, float]]) -> float:
    """The slope of the straight line through the points, by least squares."""
    middle = sum(x for x, _ in points) / len(points)
    height = sum(y for _, y in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - height) for x, y in points) / spread


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    with common.runner() as runner:
        print(json.dumps(asdict(runner.run(_run(job)))))


if __name__ == "__main__":
    main()
