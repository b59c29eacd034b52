"""The server in a thread of its own, for tests and notebooks that are not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future

from llmproxy.service import Plan, Service, serving


@contextlib.contextmanager
def running(plan: Plan) -> Iterator[Service]:
    """Serve ``plan`` while the block runs; what it recorded is whole when the block ends.

    Raises:
        LlmproxyError: as ``serving`` does.
    """
    started: Future[Service] = Future()
    stop = threading.Event()

    async def main() -> None:
        async with serving(plan) as service:
            started.set_result(service)
            await asyncio.get_running_loop().run_in_executor(None, stop.wait)

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="llmproxy-server", daemon=True)
    thread.start()
    try:
        yield started.result()
    finally:
        stop.set()
        thread.join()
