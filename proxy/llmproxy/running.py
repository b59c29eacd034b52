"""The server as a program: its loop, its log, its signals, its last words.

The first Ctrl-C or SIGTERM finishes what is in flight; a second one leaves at once, with
what was finished before on the disk.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable

from llmproxy.logs import Format, to_stream
from llmproxy.service import Plan, Service, serving
from llmproxy.tracing import spans_from

SWITCH_INTERVAL = 0.0005
"""Seconds that the recorder's thread may keep the interpreter while a chunk is due."""

LAST_WRITES = 5.0
"""Seconds that a second Ctrl-C gives the recorder to write what was finished."""


def run(plan: Plan, say: Callable[[str], None]) -> int:
    """Serve until a signal; returns the exit status: 1 where a recording is incomplete."""
    _log_to_stderr(plan.settings.log.format)
    sys.setswitchinterval(SWITCH_INTERVAL)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_main(plan, say))


async def _main(plan: Plan, say: Callable[[str], None]) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    spans = spans_from(plan.environment)
    async with serving(plan) as service:
        if spans is not None:
            service.journal.subscribe(spans)
        service.journal.prompts = plan.settings.log.prompts
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _on_signal, stop, service, say)
        gc.collect()
        gc.freeze()  # what lives from the start need not be looked at again: no pause in a stream
        gc.set_threshold(50_000, 20, 100)
        say(service.banner())
        await stop.wait()
    if spans is not None:
        spans.close()
    say(service.summary())
    return 1 if service.failed else 0


def _on_signal(stop: asyncio.Event, service: Service, say: Callable[[str], None]) -> None:
    if not stop.is_set():
        stop.set()
        return
    if service.recorder is not None:
        service.recorder.close(LAST_WRITES)
    say(service.summary())
    os._exit(130)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # an extra
    except ImportError:
        return None
    return uvloop.new_event_loop


def _log_to_stderr(chosen: Format) -> None:
    handler = to_stream(sys.stderr, chosen)
    for name, level in (("llmproxy", logging.INFO), ("opentelemetry", logging.ERROR)):
        log = logging.getLogger(name)
        log.addHandler(handler)
        log.setLevel(level)
        log.propagate = False
    # aiohttp's own log quotes what came, keys and all: what matters of it we say ourselves
    logging.getLogger("aiohttp").addHandler(logging.NullHandler())
    logging.getLogger("aiohttp").propagate = False
