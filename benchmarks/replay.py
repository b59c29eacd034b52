"""What a replayed request costs, beside a bare aiohttp handler that returns the same bytes.

Fifty connections ask as fast as they are answered, one server at a time, in interleaved rounds.
Requests are 1 KB with an SDK's header lines, replies 1 KB of JSON. The bare server is an
``Application`` with its access log off, which reads the body; nothing else is tuned.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cassettes, common, load
from benchmarks.common import Figure, Scale, Server, Size, Table, median

SMALL = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """``large`` is the number of interactions in the large cassette."""

    large: int
    rounds: int
    seconds: float


PLANS: Mapping[Size, Plan] = {
    "full": Plan(100_000, 3, 0.4),
    "quick": Plan(5_000, 1, 0.4),
    "tiny": Plan(50, 1, 0.05),
}


@dataclass(frozen=True, slots=True)
class Case:
    """Requests of one kind to one server; ``numbers`` is how many different ones."""

    server: str
    name: str
    numbers: int
    variant: load.Variant = "exact"
    once: bool = False


def run(scale: Scale, folder: Path) -> Iterator[Table]:
    """Measure; the tables as they come."""
    plan = PLANS[scale.size]
    cases = _cases(plan)
    found: dict[tuple[str, Case], list[load.Result]] = defaultdict(list)
    loops = ("uvloop", "asyncio") if scale.uvloop else ("asyncio",)
    loops = loops if scale.size == "full" else loops[:1]
    with contextlib.ExitStack() as stack:
        servers = {loop: _servers(stack, folder, plan, loop) for loop in loops}
        for number in range(plan.rounds):
            for loop in loops:
                for case in cases:
                    if not case.once or (number == 0 and loop == loops[0]):
                        found[loop, case].append(_measure(servers[loop], case, plan))
    yield _table(found, plan)
    yield common.figures("replay", _figures(found, loops, cases))


def _cases(plan: Plan) -> tuple[Case, ...]:
    large = f"{plan.large:,} recorded"
    return (
        Case("bare", "bare aiohttp handler", SMALL),
        Case("small", f"exact, {SMALL} recorded", SMALL),
        Case("large", f"exact, {large}, all asked", plan.large),
        Case("large", f"exact, {large}, {SMALL} asked", SMALL),
        Case("small", f"canonical, {SMALL} recorded", SMALL, "canonical", once=True),
        Case("large", f"canonical, {large}", plan.large, "canonical", once=True),
        Case("small", f"miss, {SMALL} recorded", SMALL, "miss", once=True),
        Case("large", f"miss, {large}", SMALL, "miss", once=True),
    )


def _servers(
    stack: contextlib.ExitStack, folder: Path, plan: Plan, loop: str
) -> Mapping[str, Server]:
    uvloop = loop == "uvloop"
    servers = {"bare": stack.enter_context(common.comparison(folder, "bare", uvloop=uvloop))}
    for name, count in (("small", SMALL), ("large", plan.large)):
        cassette = str(cassettes.chats(folder, count))
        servers[name] = stack.enter_context(
            common.llmproxy(folder, "replay", cassette, "--pace", "instant", uvloop=uvloop)
        )
    return servers


def _measure(servers: Mapping[str, Server], case: Case, plan: Plan) -> load.Result:
    server = servers[case.server]
    return load.run(
        server.url,
        server.pid,
        case.numbers,
        plan.seconds,
        variant=case.variant,
        warm_up=plan.seconds / 3,
    )


def _table(found: Mapping[tuple[str, Case], Sequence[load.Result]], plan: Plan) -> Table:
    rows = []
    for (loop, case), rounds in found.items():
        bare = next(r for (other, c), r in found.items() if other == loop and c.server == "bare")
        # a case that ran once has the first round as its neighbour
        pairs = list(zip(rounds, bare, strict=False))
        rows.append(
            (
                f"{loop} · {case.name}",
                f"{median(r.per_second for r in rounds):,.0f}",
                f"{median(r.cpu_us for r in rounds):.1f}",
                f"{median(a.per_second / b.per_second for a, b in pairs):.2f}",
                f"{median(a.cpu_us / b.cpu_us for a, b in pairs):.2f}",
            )
        )
    return Table(
        "replay: 1 KB request and 1 KB JSON reply, --pace instant, 50 connections",
        ("server", "requests/s", "CPU us", "requests/s / bare", "CPU / bare"),
        rows,
        f"Medians of {plan.rounds} interleaved rounds of {plan.seconds} s;"
        " canonical matches and misses ran once.",
    )


def _figures(
    found: Mapping[tuple[str, Case], Sequence[load.Result]],
    loops: Sequence[str],
    cases: Sequence[Case],
) -> Iterator[Figure]:
    bare, *ours = (case for case in cases if not case.once)
    for loop in loops:
        for case in ours:
            pairs = zip(found[loop, case], found[loop, bare], strict=True)
            ratio = median(our.cpu_us / theirs.cpu_us for our, theirs in pairs)
            yield Figure(
                f"CPU / bare aiohttp's, {case.name}, {loop}", f"{ratio:.2f}", "<= 1.35", "<= 1.0"
            )
