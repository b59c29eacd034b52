"""What rules cost that do not answer: the time to decide, and what a mock server loses.

Deciding: 500 rules of one kind, none of which holds for a chat with a prompt of 30 KB in turns of
2 KB, timed in this process. The first time the request was not read before, so that parsing counts where a
condition needs it; then once more on the same request. Beside both, ``json.loads`` of the body.
Serving: mock servers without rules, with one and with 500 of all kinds, none of which answers,
asked in interleaved rounds for different chats of 1 KB.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import common, load
from benchmarks.common import Figure, Scale, Server, Size, Table, median
from benchmarks.traffic import PATH, prose
from llmproxy import configuration, dialects
from llmproxy.configuration import Configuration
from llmproxy.inquiry import Inquiry
from llmproxy.interaction import Request
from llmproxy.live import Current, Live
from llmproxy.rules.deciding import Patience, first
from llmproxy.rules.rule import Rule
from llmproxy.sessions import Sessions
from llmproxy.settings import Settings

RULES = 500
_DIFFERENT = 90_000_000
"""So many requests that hardly one is asked twice."""
_PROMPT = 30_000
_TURN = 2_000
"""Characters of each message of a prompt that is a conversation."""
_PATIENCE = Patience(1.0, 10.0, time.monotonic)
_HEADERS = (
    ("Host", "localhost"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Accept", "application/json"),
    ("Content-Type", "application/json"),
    ("User-Agent", "benchmark/1.0"),
    ("X-Stainless-Lang", "python"),
    ("X-Team", "search"),
)

KINDS: Mapping[str, Callable[[int], Mapping[str, Any]]] = {
    "path": lambda n: {"path": f"/v1/other/{n}"},
    "path glob": lambda n: {"path": f"/v1/*/other-{n}"},
    "header": lambda n: {"headers": {"x-team": f"team-{n}"}},
    "session": lambda n: {"session": f"session-{n}"},
    "model glob": lambda n: {"model": f"gpt-9-{n}*"},
    "exact text": lambda n: {"text": f"What is the answer to question {n}?"},
    "text contains": lambda n: {"text": {"contains": f"question {n}"}},
    "path before a regex": lambda n: {"text": {"regex": f"(a+)+{n}"}, "path": f"/v1/other/{n}"},
}
"""Conditions of which none holds, by kind."""
LONG = "text contains, one text of 30 KB"
"""Searching is linear in the text, so the same kind again on a prompt that is one text."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``decisions`` of each kind are timed; a server is asked for ``seconds`` in each round."""

    decisions: int
    rounds: int
    seconds: float
    connections: int = 50


PLANS: Mapping[Size, Plan] = {
    "full": Plan(100, 3, 0.7),
    "quick": Plan(30, 1, 0.5),
    "tiny": Plan(2, 1, 0.1, connections=2),
}


@dataclass(frozen=True, slots=True)
class Decided:
    """Microseconds: to decide on a request that nobody read, on the same again, and to parse."""

    unread: float
    again: float
    parsing: float


Served = Mapping[int, Sequence[load.Result]]
"""By the number of rules."""


def run(scale: Scale, folder: Path) -> Iterator[Table]:
    """Measure; the tables as they come."""
    plan = PLANS[scale.size]
    current = Live(Configuration(Settings())).current
    decided = {
        kind: _decide(_rules(folder, RULES, when), current, plan.decisions, _TURN)
        for kind, when in KINDS.items()
    }
    contains = _rules(folder, RULES, KINDS["text contains"])
    decided[LONG] = _decide(contains, current, plan.decisions, _PROMPT)
    yield _deciding_table(decided, plan)
    served = _serve(folder, plan, uvloop=scale.uvloop)
    yield _serving_table(served, plan)
    yield common.figures("rules", _figures(decided, served))


def _rules(folder: Path, count: int, *whens: Callable[[int], Mapping[str, Any]]) -> Sequence[Rule]:
    file = _file(folder, count, *whens)
    return configuration.load(Path(file.name), {}, {}, folder).rules


def _file(folder: Path, count: int, *whens: Callable[[int], Mapping[str, Any]]) -> Path:
    """A file of rules, whose conditions are of these kinds in turn. JSON is YAML."""
    rules = [
        {"name": f"rule {n}", "when": whens[n % len(whens)](n), "reply": "never said"}
        for n in range(count)
    ]
    file = folder / f"rules-{time.monotonic_ns()}.yml"
    file.write_text(json.dumps({"rules": rules}), encoding="utf-8")
    return file


def _inquiry(current: Current, turn: int) -> Inquiry:
    """A chat with a prompt of 30 KB in messages of ``turn`` characters that nobody has read."""
    roles = ("user", "assistant")
    messages = [
        {"role": roles[number % 2], "content": prose(turn, number)}
        for number in range(max(_PROMPT // turn // 2 * 2 - 1, 1))
    ]
    chat = {"model": "gpt-4o-mini", "messages": messages, "temperature": 0.2}
    request = Request(
        "POST", PATH, _HEADERS, json.dumps(chat).encode(), "default", time.monotonic()
    )
    speaks = dialects.of("POST", PATH, _HEADERS, "")
    stored = Sessions().stored("default")
    return Inquiry(request, lambda: speaks, current, stored, len(request.body), trusting=False)


def _decide(rules: Sequence[Rule], current: Current, decisions: int, turn: int) -> Decided:
    rounds = []
    for _ in range(decisions):
        inquiry = _inquiry(current, turn)
        body = inquiry.request.body
        moments = [time.perf_counter()]
        for work in (
            lambda: json.loads(body),  # noqa: B023  # called in this very round
            lambda: first(rules, inquiry, 0, _PATIENCE),  # noqa: B023
            lambda: first(rules, inquiry, 0, _PATIENCE),  # noqa: B023
        ):
            if work() == 0:
                raise RuntimeError("a rule holds that should not")
            moments.append(time.perf_counter())
        start, parsed, unread, again = (moment * 1e6 for moment in moments)
        rounds.append(Decided(unread - parsed, again - unread, parsed - start))
    return Decided(
        median(each.unread for each in rounds),
        median(each.again for each in rounds),
        median(each.parsing for each in rounds),
    )


def _serve(folder: Path, plan: Plan, *, uvloop: bool) -> Served:
    whens = tuple(KINDS.values())
    found: dict[int, list[load.Result]] = defaultdict(list)
    servers: dict[int, Server] = {}
    with contextlib.ExitStack() as stack:
        for count in (0, 1, RULES):
            flags = ("--rules", str(_file(folder, count, *whens))) if count else ()
            opening = common.llmproxy(folder, "mock", *flags, uvloop=uvloop)
            servers[count] = stack.enter_context(opening)
        for _ in range(plan.rounds):
            for count, server in servers.items():
                found[count].append(_ask(server, plan))
    return found


def _ask(server: Server, plan: Plan) -> load.Result:
    return load.run(server.url, server.pid, _DIFFERENT, plan.seconds, connections=plan.connections)


def _deciding_table(decided: Mapping[str, Decided], plan: Plan) -> Table:
    rows = [
        (
            kind,
            f"{found.unread:.0f}",
            f"{found.again:.0f}",
            f"{found.again / RULES:.2f}",
            f"{found.parsing:.0f}",
            f"{found.unread / found.parsing:.2f}",
            f"{found.again / found.parsing:.2f}",
        )
        for kind, found in decided.items()
    ]
    return Table(
        f"rules: deciding on {RULES} that do not hold, a prompt of {_PROMPT // 1000} KB",
        ("condition", "us", "us again", "us a rule", "json.loads us", "/ json.loads", "again /"),
        rows,
        f"Medians of {plan.decisions} decisions. The first time, the body and the prompt are read"
        " where a condition needs them; again: on the same request.",
    )


def _serving_table(served: Served, plan: Plan) -> Table:
    rows = [
        (
            f"{count} rules",
            f"{median(r.per_second for r in rounds):,.0f}",
            f"{median(r.cpu_us for r in rounds):.0f}",
            f"{_ratio(served, count, 'per_second'):.2f}",
            f"{_ratio(served, count, 'cpu_us'):.2f}",
        )
        for count, rounds in served.items()
    ]
    return Table(
        f"rules: a mock server, different chats of 1 KB, {plan.connections} connections",
        ("rules that do not hold", "requests/s", "CPU us", "requests/s / none", "CPU / none"),
        rows,
        f"Medians of {plan.rounds} interleaved rounds.",
    )


def _ratio(served: Served, count: int, member: str) -> float:
    """To the server without rules, in the same rounds."""
    return median(
        getattr(with_, member) / getattr(without, member)
        for with_, without in zip(served[count], served[0], strict=True)
    )


def _figures(decided: Mapping[str, Decided], served: Served) -> Iterator[Figure]:
    short = {kind: found for kind, found in decided.items() if kind != LONG}
    kind, slowest = max(short.items(), key=lambda pair: pair[1].unread)
    must, aim = "<= 1000 us", "<= 500 us"
    yield Figure(f"{RULES} rules, the slowest kind ({kind})", f"{slowest.unread:.0f} us", must, aim)
    yield Figure(f"{RULES} rules, {LONG}", f"{decided[LONG].unread:.0f} us", must, aim)
    one, many = (_ratio(served, count, "per_second") for count in (1, RULES))
    yield Figure("requests/s, 1 rule / none", f"{one:.2f}", ">= 0.8", ">= 0.95")
    yield Figure(f"requests/s, {RULES} rules / none", f"{many:.2f}", ">= 0.5", ">= 0.7")
