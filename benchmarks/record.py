"""What recording adds to a request and to a chunk, and how much is recorded without loss.

The upstream is a plain asyncio server in a process of its own. The same client asks it directly
and through ``llmproxy record``, in interleaved rounds; where nginx is installed, its
``proxy_pass`` is measured beside.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cassettes, common, load, streams
from benchmarks.common import Figure, Scale, Server, Size, Table, median

CHUNKS = 60
"""Chunks of a recorded stream, as in the targets."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``seconds`` of each round; ``alone`` is how many streams the recorder gets by itself."""

    rounds: int
    seconds: float
    streams: int
    alone: int


PLANS: Mapping[Size, Plan] = {
    "full": Plan(3, 1.0, 20, 3000),
    "quick": Plan(1, 0.7, 20, 500),
    "tiny": Plan(1, 0.05, 2, 20),
}


def run(scale: Scale, folder: Path) -> Iterator[Table]:
    """Measure; the tables as they come."""
    plan = PLANS[scale.size]
    requests, chunks = _latencies(scale, folder, plan)
    yield _latency_table(requests, chunks, plan)
    recorded = [
        _recorded(scale, folder, plan, "1 KB JSON replies", "exact"),
        _recorded(scale, folder, plan, f"streams of {CHUNKS} chunks", "stream"),
        _recorder_alone(folder, plan),
    ]
    yield _recorded_table(recorded)
    yield common.figures("record", _figures(requests, recorded))


def _latencies(
    scale: Scale, folder: Path, plan: Plan
) -> tuple[Mapping[str, Sequence[load.Result]], Mapping[str, Sequence[streams.Result]]]:
    """By way: requests one after the other, and streams with 5 ms between chunks."""
    requests: dict[str, list[load.Result]] = defaultdict(list)
    chunks: dict[str, list[streams.Result]] = defaultdict(list)
    count, mean = CHUNKS, 0.005
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(
            common.comparison(folder, "provider", "--count", str(count), "--mean", str(mean))
        )
        ways = {"direct": upstream}
        if shutil.which("nginx"):
            ways["nginx"] = stack.enter_context(_nginx(folder, upstream.url))
        command = ("record", "--upstream", upstream.url, "--cassette", str(folder / "latency.db"))
        ways["llmproxy"] = stack.enter_context(
            common.llmproxy(folder, *command, uvloop=scale.uvloop)
        )
        for _ in range(plan.rounds):
            for name, server in ways.items():
                asked = load.run(
                    server.url,
                    server.pid,
                    1000,
                    plan.seconds,
                    connections=1,
                    warm_up=plan.seconds / 5,
                    latencies=True,
                )
                requests[name].append(asked)
            for name, server in ways.items():
                played = streams.run(
                    server.url,
                    server.pid,
                    streams=plan.streams,
                    repeats=1,
                    count=count,
                    mean=mean,
                    spread=0.2,
                )
                chunks[name].append(played)
    return requests, chunks


def _added(rounds: Sequence[float], direct: Sequence[float]) -> float:
    return median(ours - theirs for ours, theirs in zip(rounds, direct, strict=True))


def _latency_table(
    requests: Mapping[str, Sequence[load.Result]],
    chunks: Mapping[str, Sequence[streams.Result]],
    plan: Plan,
) -> Table:
    rows = []
    for name in requests:
        times = [[getattr(r, share) for r in requests[name]] for share in ("p50", "p99")]
        plain = [[getattr(r, share) for r in requests["direct"]] for share in ("p50", "p99")]
        for share in ("p50", "p99"):
            times.append([getattr(r.carried, share) for r in chunks[name]])
            plain.append([getattr(r.carried, share) for r in chunks["direct"]])
        cells = []
        for ours, direct in zip(times, plain, strict=True):
            added = "" if name == "direct" else f" (+{_added(ours, direct) * 1e3:.0f})"
            cells.append(f"{median(ours) * 1e3:.0f}{added}")
        cpu = "" if name == "direct" else f"{median(r.cpu_us for r in requests[name]):.0f}"
        rows.append((name, *cells, cpu))
    if "nginx" not in requests:
        rows.append(("nginx", *["-"] * 5))
    note = f"Medians of {plan.rounds} interleaved rounds; in brackets what was added."
    if "nginx" not in requests:
        note += " nginx is not installed here, so there is nothing to compare with."
    return Table(
        "record: latency in us, of a 1 KB request on one connection, and of a chunk"
        f" ({plan.streams} streams at once, 5 ms apart)",
        ("way", "request p50", "p99", "chunk p50", "p99", "CPU us/request"),
        rows,
        note,
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    """``seconds`` until the last row was on the disk; ``memory`` in MB at the highest."""

    what: str
    asked: int
    rows: int
    seconds: float
    closing: float
    memory: float | None = None

    @property
    def per_second(self) -> float:
        return self.rows / self.seconds


def _recorded(scale: Scale, folder: Path, plan: Plan, what: str, variant: load.Variant) -> Recorded:
    """As much as goes through ``llmproxy record`` on 32 connections; the rows are counted."""
    cassette = folder / f"recorded-{variant}.db"
    options = ("--count", str(CHUNKS), "--mean", "0")
    with (
        common.comparison(folder, "provider", *options) as upstream,
        common.llmproxy(
            folder,
            "record",
            "--upstream",
            upstream.url,
            "--cassette",
            str(cassette),
            uvloop=scale.uvloop,
        ) as server,
    ):
        asked = load.run(
            server.url,
            server.pid,
            1000,
            plan.seconds * 2,
            connections=32,
            warm_up=0.0,
            variant=variant,
        )
        took, highest = asked.asked / asked.per_second, common.memory(server.pid, "VmHWM")
        closing = server.stop()
    return Recorded(what, asked.asked, _rows(cassette), took + closing, closing, highest)


def _recorder_alone(folder: Path, plan: Plan) -> Recorded:
    """The recorder without a proxy around it, its queue of 16 MB always full."""
    cassette = folder / "alone.db"
    exchanges = [cassettes.stream(number, CHUNKS, 0.02) for number in range(plan.alone)]
    took = cassettes.write(cassette, exchanges)
    what = f"recorder alone, {CHUNKS} chunks"
    return Recorded(what, plan.alone, _rows(cassette), took, 0.0)


def _rows(cassette: Path) -> int:
    with contextlib.closing(sqlite3.connect(cassette)) as connection:
        return int(connection.execute("SELECT count(*) FROM interactions").fetchone()[0])


def _recorded_table(recorded: Sequence[Recorded]) -> Table:
    rows = [
        (
            each.what,
            f"{each.per_second:,.0f}",
            f"{each.asked:,}",
            f"{each.rows:,}",
            f"{each.asked - each.rows}",
            f"{each.closing:.2f}",
            "" if each.memory is None else f"{each.memory:.0f}",
        )
        for each in recorded
    ]
    return Table(
        "record: interactions kept, as fast as they come",
        ("what", "kept/s", "answered", "rows", "lost", "s to close", "highest MB"),
        rows,
        "Kept per second counts the time until the file is closed.",
    )


def _figures(
    requests: Mapping[str, Sequence[load.Result]], recorded: Sequence[Recorded]
) -> Iterator[Figure]:
    direct = [r.p50 for r in requests["direct"]]
    added = _added([r.p50 for r in requests["llmproxy"]], direct)
    name = "latency added to a request / nginx's"
    if "nginx" in requests:
        ratio = added / _added([r.p50 for r in requests["nginx"]], direct)
        yield Figure(name, f"{ratio:.1f}", "<= 7", "<= 5")
    else:
        yield Figure(name, f"{added * 1e3:.0f} us / not installed", "<= 7", "<= 5")
    for each in recorded:
        yield Figure(
            f"recorded, nothing lost: {each.what}",
            f"{each.per_second:,.0f}/s, {each.asked - each.rows} lost",
            ">= 1,000/s",
            ">= 2,500/s",
        )


_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    upstream provider {{ server {upstream}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


@contextlib.contextmanager
def _nginx(folder: Path, upstream: str) -> Iterator[Server]:
    """Nginx in front of ``upstream``; its CPU is that of the process that watches the worker."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "nginx.conf"
    settings.write_text(
        _NGINX.format(folder=folder, upstream=upstream.removeprefix("http://"), port=port)
    )
    began = time.monotonic()
    with subprocess.Popen(["nginx", "-c", str(settings)], text=True) as process:
        try:
            while time.monotonic() - began < 10:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            yield Server(process, f"http://127.0.0.1:{port}", time.monotonic() - began)
        finally:
            process.terminate()
            process.wait(10)
