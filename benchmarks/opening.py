"""What a large cassette costs to open, and whether a request costs more in it than in a small one.

``python -m benchmarks.opening CASSETTE`` opens one in a process of its own and prints how long
that took and how much memory it holds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import cassettes, common, load
from benchmarks.common import Figure, Scale, Size, Table, median

SMALL = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """``large`` is the number of interactions in the large cassette."""

    large: int
    rounds: int
    seconds: float


PLANS: Mapping[Size, Plan] = {
    "full": Plan(100_000, 3, 0.5),
    "quick": Plan(5_000, 1, 0.4),
    "tiny": Plan(50, 1, 0.05),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """Opening alone, in a process that has imported everything: milliseconds and MB."""

    milliseconds: float
    memory: float


@dataclass(frozen=True, slots=True)
class Round:
    """``ready`` is seconds from the start of ``llmproxy replay`` until it listens.

    CPU microseconds of a request, where the same ten are asked again and again, and where
    all are asked, so that most are read from the file.
    """

    opened: Opened
    ready: float
    memory: float
    cpu_same: float
    cpu_all: float


def run(scale: Scale, folder: Path) -> Iterator[Table]:
    """Measure; the tables as they come."""
    plan = PLANS[scale.size]
    found: dict[int, list[Round]] = defaultdict(list)
    for _ in range(plan.rounds):
        for count in (SMALL, plan.large):
            found[count].append(_measure(scale, folder, count, plan))
    yield _table(found, folder, plan)
    yield common.figures("open", _figures(found, plan))


def _measure(scale: Scale, folder: Path, count: int, plan: Plan) -> Round:
    cassette = cassettes.chats(folder, count)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.opening", str(cassette)],
        stdout=subprocess.PIPE,
        check=True,
        env=common.environment(),
    )
    opened = Opened(**json.loads(done.stdout))
    arguments = ("replay", str(cassette), "--pace", "instant")
    with common.llmproxy(folder, *arguments, uvloop=scale.uvloop) as server:
        memory = common.memory(server.pid)
        same, each = (
            load.run(server.url, server.pid, numbers, plan.seconds, warm_up=plan.seconds / 3).cpu_us
            for numbers in (SMALL, count)
        )
        return Round(opened, server.seconds_to_start, memory, same, each)


def _table(found: Mapping[int, Sequence[Round]], folder: Path, plan: Plan) -> Table:
    rows = [
        (
            f"{count:,}",
            f"{cassettes.chats(folder, count).stat().st_size / 1e6:,.1f}",
            f"{median(r.opened.milliseconds for r in rounds):.1f}",
            f"{median(r.opened.memory for r in rounds):.1f}",
            f"{median(r.ready for r in rounds) * 1e3:.0f}",
            f"{median(r.memory for r in rounds):.1f}",
            f"{median(r.cpu_same for r in rounds):.1f}",
            f"{median(r.cpu_all for r in rounds):.1f}",
        )
        for count, rounds in found.items()
    ]
    return Table(
        "open: a cassette of 1 KB requests and replies",
        (
            "interactions",
            "file MB",
            "open ms",
            "grows MB",
            "replay ready ms",
            "RSS MB",
            f"CPU us, {SMALL} asked",
            "all asked",
        ),
        rows,
        f"Medians of {plan.rounds} interleaved rounds. open: the call alone, in a process of its own;"
        " ready: from the start of the process.",
    )


def _figures(found: Mapping[int, Sequence[Round]], plan: Plan) -> Iterator[Figure]:
    small, large = found[SMALL], found[plan.large]
    name = f"{plan.large:,} interactions"
    opens = median(r.opened.milliseconds for r in large)
    grows = median(r.opened.memory for r in large)
    yield Figure(f"{name}: opens in", f"{opens:.1f} ms", "<= 250 ms", "<= 75 ms")
    yield Figure(f"{name}: memory grows by", f"{grows:.1f} MB", "<= 30 MB", "<= 20 MB")
    pairs = list(zip(small, large, strict=True))
    same = median(many.cpu_same / few.cpu_same for few, many in pairs)
    each = median(many.cpu_all / few.cpu_same for few, many in pairs)
    cost = f"CPU per request, {name} / {SMALL}"
    yield Figure(f"{cost}, {SMALL} asked of both", f"{same:.2f}", "<= 1.2", "1.0")
    yield Figure(f"{cost}, all asked", f"{each:.2f}", "<= 1.2", "1.0")


def main() -> None:
    """Open one cassette as a replay does."""
    from llmproxy.cassette import Cassette  # noqa: PLC0415  # before the clock starts

    made = cassettes.keeper()
    before, began = common.memory(os.getpid()), time.perf_counter()
    cassette = Cassette(Path(sys.argv[1]), made.key, made.digest)
    took = time.perf_counter() - began
    grown = common.memory(os.getpid()) - before
    if cassette.rebuilt:
        raise RuntimeError("its fingerprints were made anew, which is another measurement")
    print(json.dumps(asdict(Opened(took * 1e3, grown))))


if __name__ == "__main__":
    main()
