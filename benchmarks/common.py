"""What every subject uses: processes and their cost, percentiles, tables.

A figure is a ratio within one run wherever it can be: requests per second swing with the
machine, the quotient of two neighbours hardly does. CPU time is what the kernel counted for
all threads of the server's process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parent.parent

_WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None; from llmproxy.cli import main; main()"

Size = Literal["full", "quick", "tiny"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured; ``tiny`` shows only that it runs."""

    size: Size
    uvloop: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a title."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.columns))]
        text = [self.title, _line(self.columns, widths), "  ".join("-" * w for w in widths)]
        text += [_line(row, widths) for row in self.rows]
        return "\n".join([*text, *filter(None, [self.note])]) + "\n"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    shown = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(shown).rstrip()


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure beside its targets, which are texts such as ``<= 1.35``."""

    name: str
    measured: str
    must: str
    aim: str = "-"


def figures(subject: str, found: Iterable[Figure]) -> Table:
    """The table of the figures that have a target."""
    rows = [(f.name, f.measured, f.must, f.aim) for f in found]
    return Table(f"{subject}: figures and targets", ("figure", "measured", "must", "aim"), rows)


def percentile(ascending: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the sorted values lie."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))]


def median(values: Iterable[float]) -> float:
    """The median, of several rounds."""
    return statistics.median(values)


@dataclass(frozen=True, slots=True)
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    seconds_to_start: float

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> float:
        """End it as Ctrl-C does; the seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        return time.monotonic() - began


@contextlib.contextmanager
def llmproxy(folder: Path, *arguments: str, uvloop: bool = True) -> Iterator[Server]:
    """``llmproxy ARGUMENTS --port 0`` in ``folder``, its log into a file there."""
    start = ("-m", "llmproxy") if uvloop else ("-c", _WITHOUT_UVLOOP)
    command = [sys.executable, *start, *arguments, "--port", "0"]
    with started(folder, command, "Ctrl-C") as server:
        yield server


@contextlib.contextmanager
def comparison(folder: Path, name: str, *arguments: str, uvloop: bool = True) -> Iterator[Server]:
    """One of the servers in ``servers.py``."""
    loop = () if uvloop else ("--no-uvloop",)
    command = [sys.executable, "-m", "benchmarks.servers", name, *arguments, *loop]
    with started(folder, command, "http://") as server:
        yield server


@contextlib.contextmanager
def started(folder: Path, command: list[str], ready: str) -> Iterator[Server]:
    """A server that prints its address at the end of its first line, and ``ready`` when it is."""
    log = folder / f"server-{time.monotonic_ns()}.log"
    began = time.monotonic()
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
            env=environment(),
        ) as process,
    ):
        try:
            assert process.stdout is not None
            lines = []
            while line := process.stdout.readline():
                lines.append(line)
                if ready in line:
                    break
            if not lines:
                raise RuntimeError(f"{command} did not start: {log.read_text(encoding='utf-8')}")
            took = time.monotonic() - began
            yield Server(process, lines[0].split()[-1], took)
        finally:
            process.kill()
            assert process.stdout is not None
            process.stdout.close()


def client(module: str, **job: Any) -> dict[str, Any]:
    """Run a client in a process of its own: its job goes in and its result comes out as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", json.dumps(job)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        check=True,
        timeout=60,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def environment() -> dict[str, str]:
    """The environment of a child: no settings, proxies or keys of this machine."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LLMPROXY_") and not name.lower().endswith("_proxy")
    }
    return {**kept, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "proxy"))), "CI": "true"}


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, over all its threads."""
    total = 0
    for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(stat.read_text().split()[0])
    return total / 1e9


def memory(pid: int, field: Literal["VmRSS", "VmHWM"] = "VmRSS") -> float:
    """Memory of a process, now or at its highest, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no {field} for {pid}")


def runner(*, uvloop: bool = True) -> asyncio.Runner:
    """A runner on uvloop where it is wanted and installed, else on asyncio."""
    return asyncio.Runner(loop_factory=_new_loop() if uvloop else None)


def has_uvloop() -> bool:
    """Whether uvloop is installed."""
    return _new_loop() is not None


def _new_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # an extra
    except ImportError:
        return None
    return uvloop.new_event_loop
