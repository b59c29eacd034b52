"""Do chunks leave at their moments? Streams with uneven gaps, few and many at once.

Lateness is the arrival of a chunk after the moment it was due: the moment the request's last
byte was written plus the recorded offset. The client's own share is measured in the same run:
a floor server writes the same frames at their deadlines and says in each when it did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cassettes, common, streams
from benchmarks.common import Figure, Scale, Server, Size, Table, median


@dataclass(frozen=True, slots=True)
class Plan:
    """``naive_at``: how many streams at once the naive server is compared at."""

    levels: tuple[int, ...]
    naive_at: int
    rounds: int
    repeats: int
    count: int = 50
    mean: float = 0.02


PLANS: Mapping[Size, Plan] = {
    "full": Plan((1, 100, 500, 1000), 500, 3, 2),
    "quick": Plan((1, 100, 500), 500, 1, 1),
    "tiny": Plan((1, 5), 5, 1, 1, count=5, mean=0.004),
}
TARGETS = {
    1: ("<= 2", "-"),
    100: ("<= 5", "<= 2"),
    500: ("<= 5", "<= 2.5"),
    1000: ("<= 10", "<= 4"),
}

Rounds = Sequence[streams.Result]


def run(scale: Scale, folder: Path) -> Iterator[Table]:
    """Measure; the tables as they come."""
    plan = PLANS[scale.size]
    cassette = folder / "rhythm.db"
    recorded = range(max(plan.levels))
    cassettes.write(cassette, (cassettes.stream(n, plan.count, plan.mean) for n in recorded))
    options = ("--count", str(plan.count), "--mean", str(plan.mean))
    with (
        common.llmproxy(folder, "replay", str(cassette), uvloop=scale.uvloop) as ours,
        common.comparison(folder, "provider", *options) as floor,
        common.comparison(folder, "naive", *options, uvloop=scale.uvloop) as naive,
    ):
        found: dict[tuple[str, int], list[streams.Result]] = defaultdict(list)
        for _ in range(plan.rounds):
            for level in plan.levels:
                servers = {"floor": floor, "llmproxy": ours}
                if level == plan.naive_at:
                    servers["naive aiohttp"] = naive
                for name, server in servers.items():
                    found[name, level].append(_measure(server, plan, level))
    yield _table(found, plan)
    yield common.figures("rhythm", _figures(found, plan))


def _repeats(plan: Plan, level: int) -> int:
    """How many streams a connection plays, one after the other."""
    return plan.repeats if level > 1 else 2


def _measure(server: Server, plan: Plan, level: int) -> streams.Result:
    return streams.run(
        server.url,
        server.pid,
        streams=level,
        repeats=_repeats(plan, level),
        count=plan.count,
        mean=plan.mean,
        spread=plan.count * plan.mean / 2 if level > 1 else 0.0,
    )


def _table(found: Mapping[tuple[str, int], Rounds], plan: Plan) -> Table:
    rows = []
    for level in plan.levels:
        for (name, streams_at_once), rounds in found.items():
            if streams_at_once != level:
                continue
            if rounds[0].carried:
                carried = _lateness(rounds, lambda r: r.carried or r.late)
                rows.append((f"{level} · client's own share", *carried, "", ""))
            rows.append(_row(f"{level} · {name}", rounds))
            if name == "llmproxy" and plan.rounds > 1:
                rows.append(_row(f"{level} · {name}, first round", rounds[:1]))
    return Table(
        f"rhythm: lateness of a chunk in ms ({plan.count} chunks of 200 bytes a stream,"
        f" {plan.mean * 1e3:.0f} ms apart on average)",
        ("streams at once", "p50", "p99", "p99.9", "max", "drift ms/s", "CPU us/chunk"),
        rows,
        f"Medians of {plan.rounds} interleaved rounds. The floor is a plain asyncio server without a"
        " library; the client's own\nshare is from its write to the arrival. In the first round"
        " streams are read from the cassette, later they are in memory.",
    )


def _row(name: str, rounds: Rounds) -> tuple[str, ...]:
    late = _lateness(rounds, lambda r: r.late)
    drift, cpu = median(r.drift for r in rounds), median(r.cpu_us for r in rounds)
    return (name, *late, f"{drift:+.2f}", f"{cpu:.1f}")


def _lateness(
    rounds: Rounds, choose: Callable[[streams.Result], streams.Lateness]
) -> tuple[str, ...]:
    names = ("p50", "p99", "p999", "highest")
    return tuple(f"{median(getattr(choose(r), name) for r in rounds):.2f}" for name in names)


def _figures(found: Mapping[tuple[str, int], Rounds], plan: Plan) -> Iterator[Figure]:
    for level in plan.levels:
        must, aim = TARGETS.get(level, ("-", "-"))
        p99 = median(r.late.p99 for r in found["llmproxy", level])
        own = median(r.carried.p99 for r in found["floor", level] if r.carried)
        first = found["llmproxy", level][0].late.p99
        yield Figure(
            f"p99 lateness in ms, streams at once: {level}",
            f"{p99:.2f} (first round {first:.2f}, client's own {own:.2f})",
            must,
            aim,
        )
    both = list(
        zip(found["llmproxy", plan.naive_at], found["naive aiohttp", plan.naive_at], strict=True)
    )
    drift = median(abs(ours.drift) / abs(naive.drift) for ours, naive in both)
    cpu = median(ours.cpu_us / naive.cpu_us for ours, naive in both)
    at = f"{plan.naive_at} streams"
    yield Figure(f"drift / naive aiohttp's, {at}", f"{drift:.3f}", "<= 0.1", "<= 0.02")
    yield Figure(f"CPU per chunk / naive aiohttp's, {at}", f"{cpu:.2f}", "<= 0.75", "<= 0.5")
