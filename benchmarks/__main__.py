"""``python -m benchmarks [rhythm replay record open mock streams rules weather ...] [--quick] [--no-uvloop]``.

Runs from a checkout. Prints tables; a figure stands beside its target, never alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "proxy"))

from benchmarks import (  # noqa: E402
    common,
    mock,
    mock_streams,
    opening,
    record,
    replay,
    rhythm,
    rules,
    weather,
)
from benchmarks.common import Scale, Table  # noqa: E402

Subject = Callable[[Scale, Path], Iterator[Table]]

SUBJECTS: Mapping[str, Subject] = {
    "rhythm": rhythm.run,
    "replay": replay.run,
    "record": record.run,
    "open": opening.run,
    "mock": mock.run,
    "streams": mock_streams.run,
    "rules": rules.run,
    "weather": weather.run,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the subjects named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=" ".join(SUBJECTS))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller cassettes")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-uvloop", action="store_true", help="servers on asyncio's own loop")
    given = parser.parse_args(arguments)
    if unknown := set(given.subjects) - set(SUBJECTS):
        parser.error(
            f"no such subject: {', '.join(sorted(unknown))}; there are {' '.join(SUBJECTS)}"
        )
    if not Path("/proc/self/schedstat").exists():
        parser.error("the CPU time of a server is read from /proc, which this system does not have")
    size: common.Size = "tiny" if given.tiny else "quick" if given.quick else "full"
    scale = Scale(size, uvloop=not given.no_uvloop and common.has_uvloop())
    print(_where(scale))
    with tempfile.TemporaryDirectory(prefix="llmproxy-benchmark-") as folder:
        for name in given.subjects or SUBJECTS:
            began = time.monotonic()
            for table in SUBJECTS[name](scale, Path(folder)):
                print(f"\n{table}", end="", flush=True)
            print(f"({name}: {time.monotonic() - began:.0f} s, {_busy()})", flush=True)


def _where(scale: Scale) -> str:
    loop = f"uvloop {version('uvloop')}" if scale.uvloop else "asyncio"
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, aiohttp {version('aiohttp')},"
        f" {loop}, {_busy()}"
    )


def _busy() -> str:
    return f"load of the machine in the last minute {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
