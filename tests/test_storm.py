"""A storm of requests with every fault on leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections import Counter
from pathlib import Path

import pytest

import make
from llmproxy.faults.effects import READERS
from serve import replaying
from sockets import Client
from test_synthesizer import CHAT, JSON, body

REQUESTS = 10_000
AT_ONCE = 100
EFFECTS = {
    "error": "[{status: 500}, {status: 529}]",
    "disabled": "true",
    "hang": "20ms",
    "slow": "1-20ms",
    "reset": "true",
    "cut": "{before_chunk: 3}",
    "stall": "{after_chunk: 2, time: 10ms}",
    "garble": "{chunk: 2}",
    "drop": "{chunk: 2}",
    "duplicate": "{chunk: 2}",
    "split": "3",
    "lump": "true",
    "error_event": "{status: 500, after_chunk: 2}",
    "output": "empty",
}
WEATHER = "\n".join(
    [
        "limits:",
        "  - {for: {session: any}, requests: 1000000 per minute, tokens: {total: 1000000000 per minute}}",
        "  - {concurrency: 60, queue: 1000}",
        "faults:",
        *(f"  - {{rate: 0.06, {name}: {said}}}" for name, said in EFFECTS.items()),
    ]
)
STREAM = [(0.001 * number, b"data: %d\n\n" % number) for number in range(6)]


def test_the_storm_has_every_effect() -> None:
    assert EFFECTS.keys() == READERS.keys()


@pytest.mark.timeout(110)
async def test_a_storm_leaves_no_task_socket_or_thread(tmp_path: Path) -> None:
    headers = (("Content-Type", "text/event-stream"),)
    asked = make.request(body(stream=True))
    path = make.write(
        tmp_path / "run.db", make.interaction(asked, make.response(STREAM, headers=headers))
    )
    ended: Counter[str] = Counter()

    async with replaying(
        path, weather=WEATHER, replay__on_miss="synthesize", state_folder=tmp_path
    ) as service:

        async def one(number: int) -> None:
            kind = number % 3
            data = body(stream=kind != 2, **({} if kind == 0 else {"seed": kind}))
            session = f"x-llmproxy-session: s{number % 7}"
            try:
                async with Client(service.url) as client:
                    answer = await client.ask(CHAT, data, JSON, session)
                ended["broken" if answer.broken else str(answer.status)] += 1
            except (ConnectionError, asyncio.IncompleteReadError):
                ended["reset"] += 1

        async def some(first: int) -> None:
            for number in range(first, REQUESTS, AT_ONCE):
                await one(number)

        await asyncio.gather(*(some(first) for first in range(min(AT_ONCE, 3))))
        before = ended.total()
        gc.collect()
        tasks, files = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))
        threads = threading.active_count()
        await asyncio.gather(*(some(first) for first in range(3, AT_ONCE)))
        while service.journal.in_flight:  # noqa: ASYNC110  # a client may be done before its server
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        gc.collect()
        assert ended.total() == REQUESTS
        assert before < REQUESTS
        assert len(asyncio.all_tasks()) <= tasks
        assert len(os.listdir("/proc/self/fd")) <= files
        assert threading.active_count() <= threads + 2
        states = service.dresser.limiter.meters.states(0.0)
        assert [state.running for state in states] == [0] * len(states)
    assert {"200", "500", "503", "529", "broken", "reset"} <= ended.keys()
