"""What limits and faults cost a request for which none is: the time that dressing adds, in process.

A chat of 1 KB is dressed again and again, with a reply that is there already, so that nothing else
is measured. Each request is new: what a condition has to read of it counts.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import common
from benchmarks.common import Figure, Scale, Size, Table, median
from benchmarks.traffic import PATH, prose
from llmproxy import configuration
from llmproxy.asked import Asked
from llmproxy.configuration import Configuration
from llmproxy.dresser import Dresser
from llmproxy.inquiry import Reader
from llmproxy.interaction import Headers, Reply, Request
from llmproxy.journal import Entry
from llmproxy.keeping import keeper_for
from llmproxy.limiter import Limiter
from llmproxy.live import Live
from llmproxy.maker import Maker
from llmproxy.sessions import Sessions
from llmproxy.tokens import packaged

MANY = 10
_HEADERS: Headers = (("Authorization", "Bearer one"), ("Content-Type", "application/json"))
_ELSEWHERE = {"path": "/v1/embeddings"}

KINDS: Mapping[str, tuple[int, Mapping[str, str]]] = {
    "none": (0, {}),
    "for another path": (1, _ELSEWHERE),
    f"{MANY} each for another path": (MANY, _ELSEWHERE),
    "for another session": (1, {"session": "checkout"}),
    "for another model": (1, {"model": "claude-*"}),
}
"""How many limits and faults there are, and for whom."""

PLANS: Mapping[Size, tuple[int, int]] = {"full": (9, 3000), "quick": (5, 1000), "tiny": (1, 20)}
"""Rounds, and requests in each."""


def run(scale: Scale, folder: Path) -> Iterator[Table]:
    """Measure; the tables as they come."""
    rounds, requests = PLANS[scale.size]
    costs = {
        kind: asyncio.run(_cost(_configuration(folder, *said), rounds, requests))
        for kind, said in KINDS.items()
    }
    rows = [(kind, f"{cost:.2f}") for kind, cost in costs.items()]
    note = f"Medians of {rounds} rounds of {requests:,} requests, less what they cost without."
    yield Table("weather: what dressing adds to a request", ("limits and faults", "us"), rows, note)
    cheap = costs["for another path"]
    name = "us, one limit and one fault for another path"
    figure = Figure(name, f"{cheap:.1f}", "<= 5", "<= 3")
    yield common.figures("weather", [figure])


def _configuration(folder: Path, count: int, whom: Mapping[str, str]) -> Configuration:
    file = folder / f"weather-{time.monotonic_ns()}.yml"
    limit, fault = {"for": whom, "requests": "1 per minute"}, {"for": whom, "error": 500}
    content = {"limits": [limit] * count, "faults": [fault] * count}
    file.write_text(json.dumps(content), encoding="utf-8")
    return configuration.load(file, {}, {}, folder)


async def _cost(weather: Configuration, rounds: int, requests: int) -> float:
    """Microseconds that dressing adds to a request."""
    reply = Reply("replayed", 200, "OK", (), 0.0, (), 0.0)

    async def answer(_asked: Asked) -> Reply:
        return reply

    keeper, sessions, live = keeper_for(weather.settings, {}), Sessions(), Live(weather)
    chat = {"model": "gpt-4o", "messages": [{"role": "user", "content": prose(900, 1)}]}
    body = json.dumps(chat).encode()

    def ask() -> Asked:
        request = Request("POST", PATH, _HEADERS, body, "default", 0.0)
        return Asked(request, keeper.redacting(request, ()), "http://localhost")

    found = []
    with ThreadPoolExecutor(1) as aside:
        maker = Maker(packaged(), sessions, aside, lambda: 1, may_call=True)
        reader = Reader(live, sessions, len(body), trusting=True)
        dresser = Dresser(live, reader, maker, sessions, Limiter(maker))
        for _ in range(rounds):
            asked, entry = [ask() for _ in range(requests)], Entry()
            began = time.perf_counter()
            for each in asked:
                await answer(each)
            bare = time.perf_counter()
            for each in asked:
                await dresser(each, entry, answer)
            found.append((time.perf_counter() - bare - (bare - began)) / requests * 1e6)
    return median(found)
