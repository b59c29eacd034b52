"""Do made-up streams keep their pace? A thousand at once, a token each 20 ms.

Each stream tells one of 16 texts of 50 to 100 tokens, given with its request; all requests
differ. Lateness is the arrival of a chunk after its ideal moment: that of the request plus the
time of the tokens before it. The streams begin over one second, as the clients of a load test do, or
all in one moment: then the last request waits until all others have been answered, which only
the cost of a request can better, and the lateness of the first chunk shows it.

Beside it the same streams as one would write them by hand, by ``write`` and ``sleep``, and those
of aimock, which delays each chunk after the one before.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import common, peer, streams
from benchmarks.common import Figure, Scale, Server, Size, Table, median
from benchmarks.traffic import STORIES, story, story_mark, story_number


@dataclass(frozen=True, slots=True)
class Plan:
    """``gap``: seconds a token; ``peer``: whether aimock is fetched and measured."""

    streams: int
    rounds: int
    gap: float = 0.02
    spread: float = 1.0
    peer: bool = True


PLANS: Mapping[Size, Plan] = {
    "full": Plan(1000, 3),
    "quick": Plan(1000, 1),
    "tiny": Plan(5, 1, gap=0.002, spread=0.01, peer=False),
}

OURS, NAIVE = "llmproxy mock", "naive aiohttp"

Found = Mapping[tuple[float, str], Sequence[streams.Result]]


def run(scale: Scale, folder: Path) -> Iterator[Table]:
    """Measure; the tables as they come."""
    plan = PLANS[scale.size]
    theirs = peer.install(folder) if plan.peer else peer.Peer(folder, "not asked for")
    found: dict[tuple[float, str], list[streams.Result]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        servers = _servers(stack, folder, plan, theirs, uvloop=scale.uvloop)
        for _ in range(plan.rounds):
            for spread in (plan.spread, 0.0):
                for name, server in servers.items():
                    found[spread, name].append(_measure(name, server, plan, spread))
    yield _table(found, plan, theirs)
    yield common.figures("streams", _figures(found, plan))


def _servers(
    stack: contextlib.ExitStack, folder: Path, plan: Plan, theirs: peer.Peer, *, uvloop: bool
) -> Mapping[str, Server]:
    speed = str(1 / plan.gap)
    servers = {
        OURS: common.llmproxy(folder, "mock", "--tokens-per-second", speed, uvloop=uvloop),
        NAIVE: common.comparison(folder, "teller", "--mean", str(plan.gap), uvloop=uvloop),
    }
    if not theirs.missing:
        replies = {story_mark(which): story(story_number(which)) for which in range(STORIES)}
        servers[peer.NAME] = peer.serve(theirs, replies, gap=plan.gap)
    return {name: stack.enter_context(server) for name, server in servers.items()}


def _measure(name: str, server: Server, plan: Plan, spread: float) -> streams.Result:
    return streams.run(
        server.url,
        server.pid,
        streams=plan.streams,
        repeats=1,
        count=0,
        mean=plan.gap,
        spread=spread,
        stories=True,
        first=plan.gap if name == peer.NAME else 0.0,
    )


def _table(found: Found, plan: Plan, theirs: peer.Peer) -> Table:
    rows = []
    for (spread, name), rounds in found.items():
        late = [median(getattr(r.late, each) for r in rounds) for each in ("p50", "p99", "highest")]
        rows.append(
            (
                f"{_begun(spread)} · {name}",
                *(f"{each:.2f}" for each in late),
                f"{median(r.begun.p99 for r in rounds):.2f}",
                f"{median(r.drift for r in rounds):+.2f}",
                f"{median(r.cpu_us for r in rounds):.1f}",
            )
        )
    missing = f" No aimock: {theirs.missing}." if theirs.missing else ""
    return Table(
        f"streams: lateness of a chunk in ms ({plan.streams} made-up streams at once, 50 to 100"
        f" tokens each, {plan.gap * 1e3:.0f} ms a token)",
        ("begun", "p50", "p99", "max", "first chunk's p99", "drift ms/s", "CPU us/chunk"),
        rows,
        f"Medians of {plan.rounds} interleaved rounds; drift is per second of stream.{missing}",
    )


def _begun(spread: float) -> str:
    return f"over {spread:g} s" if spread else "in one moment"


def _figures(found: Found, plan: Plan) -> Iterator[Figure]:
    for spread, must, aim in ((plan.spread, "<= 10", "<= 4"), (0.0, "-", "-")):
        rounds = found[spread, OURS]
        name = f"p99 lateness in ms, {plan.streams} streams begun {_begun(spread)}"
        yield Figure(name, f"{median(r.late.p99 for r in rounds):.2f}", must, aim)
    pairs = list(zip(found[plan.spread, OURS], found[plan.spread, NAIVE], strict=True))
    drift = median(abs(ours.drift) / abs(naive.drift) for ours, naive in pairs)
    cpu = median(ours.cpu_us / naive.cpu_us for ours, naive in pairs)
    yield Figure("drift / naive aiohttp's", f"{drift:.3f}", "<= 0.1", "<= 0.02")
    yield Figure("CPU per chunk / naive aiohttp's", f"{cpu:.2f}", "<= 0.75", "<= 0.5")
