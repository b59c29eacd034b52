"""What a made-up reply costs, beside aimock's fixture and a bare aiohttp handler.

Fifty connections ask as fast as they are answered, one server at a time, in interleaved rounds.
Requests are chats of 1 KB with an SDK's header lines. What is said is given with the request
(the same 640 characters that the fixture and the bare handler have) or made up from the pool;
requests are one and the same, or all different, so that nothing is remembered. Streams leave
without delay, a token a chunk; aimock's have five characters a chunk, which is about as many.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import common, load, peer
from benchmarks.common import Figure, Scale, Server, Size, Table, median
from benchmarks.traffic import prose

_DIFFERENT = 90_000_000
"""So many that hardly one is asked twice."""
_COMPILING = 2.0
"""Seconds under load before the peer is measured."""
_SAID = prose(640, 0)
_GIVEN: Mapping[str, object] = {"mock_response": _SAID}


@dataclass(frozen=True, slots=True)
class Plan:
    """``warm_up``: seconds before each measurement; ``peer``: whether aimock is measured."""

    rounds: int
    seconds: float
    warm_up: float
    connections: int = 50
    peer: bool = True


PLANS: Mapping[Size, Plan] = {
    "full": Plan(3, 0.5, 0.2),
    "quick": Plan(1, 0.5, 0.2),
    "tiny": Plan(1, 0.1, 0.05, connections=2, peer=False),
}


@dataclass(frozen=True, slots=True)
class Case:
    """Requests of one kind to one server; ``numbers`` is how many different ones."""

    server: str
    name: str
    numbers: int = 1
    stream: bool = False
    given: bool = False

    @property
    def kind(self) -> tuple[int, bool]:
        """What two cases to compare have in common."""
        return self.numbers, self.stream


_OURS = tuple(
    Case("llmproxy", f"{many}, {said}{how}", numbers, stream, given)
    for stream, how in ((False, ""), (True, ", streamed"))
    for numbers, many in ((1, "the same request"), (_DIFFERENT, "all different"))
    for given, said in ((True, "text given"), (False, "made up"))
)
_BARE = (
    Case("bare", "bare aiohttp handler", _DIFFERENT),
    Case("teller", "naive aiohttp, a write a chunk, streamed", _DIFFERENT, stream=True, given=True),
)
_PEER = tuple(
    Case("peer", f"{peer.NAME}, {many}{how}", numbers, stream)
    for stream, how in ((False, ""), (True, ", streamed"))
    for numbers, many in ((1, "the same request"), (_DIFFERENT, "all different"))
)

Found = Mapping[Case, Sequence[load.Result]]


def run(scale: Scale, folder: Path) -> Iterator[Table]:
    """Measure; the tables as they come."""
    plan = PLANS[scale.size]
    theirs = peer.install(folder) if plan.peer else peer.Peer(folder, "not asked for")
    cases = (*_BARE, *_OURS, *(() if theirs.missing else _PEER))
    found: dict[Case, list[load.Result]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        servers = _servers(stack, folder, theirs, uvloop=scale.uvloop)
        if not theirs.missing:  # node compiles what runs often, which takes it a while
            load.run(servers["peer"].url, servers["peer"].pid, _DIFFERENT, _COMPILING)
        for _ in range(plan.rounds):
            for case in cases:
                found[case].append(_measure(servers[case.server], case, plan))
    yield _table(found, plan, theirs)
    yield common.figures("mock", _figures(found))


def _servers(
    stack: contextlib.ExitStack, folder: Path, theirs: peer.Peer, *, uvloop: bool
) -> Mapping[str, Server]:
    servers = {
        "bare": common.comparison(folder, "bare", uvloop=uvloop),
        "teller": common.comparison(folder, "teller", "--mean", "0", uvloop=uvloop),
        "llmproxy": common.llmproxy(folder, "mock", uvloop=uvloop),
    }
    if not theirs.missing:
        servers["peer"] = peer.serve(theirs, {"Question": _SAID})
    return {name: stack.enter_context(server) for name, server in servers.items()}


def _measure(server: Server, case: Case, plan: Plan) -> load.Result:
    return load.run(
        server.url,
        server.pid,
        case.numbers,
        plan.seconds,
        variant="stream" if case.stream else "exact",
        warm_up=plan.warm_up,
        connections=plan.connections,
        fields=_GIVEN if case.given else {},
    )


def _table(found: Found, plan: Plan, theirs: peer.Peer) -> Table:
    yardstick = found[_BARE[0]]
    rows = []
    for case, rounds in found.items():
        rows.append(
            (
                f"llmproxy, {case.name}" if case in _OURS else case.name,
                f"{median(r.per_second for r in rounds):,.0f}",
                f"{median(r.cpu_us for r in rounds):.0f}",
                f"{median(r.reply_bytes for r in rounds):,.0f}",
                _ratio(rounds, yardstick, "cpu_us"),
                _ratio(rounds, found.get(_beside(case), ()), "per_second"),
            )
        )
    missing = f" No aimock: {theirs.missing}." if theirs.missing else ""
    return Table(
        f"mock: 1 KB chat, {plan.connections} connections, no delay",
        ("server", "requests/s", "CPU us", "reply bytes", "CPU / bare", "requests/s / aimock"),
        rows,
        f"Medians of {plan.rounds} interleaved rounds of {plan.seconds} s; a reply's bytes with"
        f" its head.{missing}",
    )


def _beside(case: Case) -> Case:
    """The peer's case of the same kind."""
    return next(each for each in _PEER if each.kind == case.kind)


def _ratio(ours: Sequence[load.Result], others: Sequence[load.Result], name: str) -> str:
    if not others:
        return "-"
    pairs = zip(ours, others, strict=True)
    return f"{median(getattr(a, name) / getattr(b, name) for a, b in pairs):.2f}"


def _figures(found: Found) -> Iterator[Figure]:
    for case in _OURS:
        ratio = _ratio(found[case], found.get(_beside(case), ()), "per_second")
        yield Figure(f"requests/s / aimock's, {case.name}", ratio, ">= 1", ">= 2")
