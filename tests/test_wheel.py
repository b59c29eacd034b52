"""The wheel: in order, never a tick early, and still when nobody waits."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest
import uvloop

from llmproxy.wheel import SLACK, Wheel

LOOPS = pytest.mark.parametrize(
    "factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


@LOOPS
def test_no_callback_comes_more_than_the_slack_before_its_deadline(factory: object) -> None:
    early: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        wheel = Wheel(loop)
        began = monotonic()
        deadlines = [began + number * 0.0037 for number in range(60)]
        waits = [wheel.until(deadline) for deadline in deadlines]

        async def wait(deadline: float, waiting: object) -> None:
            await waiting  # type: ignore[misc]
            early.append(deadline - monotonic())

        await asyncio.gather(*map(wait, deadlines, waits))

    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]
        runner.run(main())
    assert len(early) == 60
    assert max(early) <= SLACK


@LOOPS
def test_callbacks_come_in_the_order_of_their_deadlines(factory: object) -> None:
    seen: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        wheel = Wheel(loop)
        now = monotonic()
        for number in (7, 2, 9, 4, 0):
            wheel.call_at(now + number * 0.004, lambda number=number: seen.append(number))  # type: ignore[misc]
        await wheel.until(now + 0.05)

    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]
        runner.run(main())
    assert seen == [0, 2, 4, 7, 9]


async def test_a_nearer_deadline_is_not_kept_waiting_by_a_far_one() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    wheel.call_at(monotonic() + 3600, lambda: None)
    await asyncio.wait_for(wheel.until(monotonic() + 0.01), timeout=5)


async def test_a_deadline_that_has_passed_does_not_wait() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    waiting = wheel.until(monotonic() - 1)
    with pytest.raises(StopIteration):
        waiting.send(None)


async def test_a_callback_may_ask_for_another_turn() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    done = asyncio.Event()
    turns = []

    def step() -> None:
        turns.append(monotonic())
        if len(turns) < 5:
            wheel.call_at(monotonic() + 0.002, step)
        else:
            done.set()

    wheel.call_at(monotonic(), step)
    await asyncio.wait_for(done.wait(), timeout=5)
    assert len(turns) == 5


async def test_the_wheel_stands_still_when_nobody_waits() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    await wheel.until(monotonic() + 0.005)
    assert wheel._timer is None


async def test_a_wait_that_is_cancelled_harms_nobody() -> None:
    loop = asyncio.get_running_loop()
    wheel = Wheel(loop)
    waiting = asyncio.create_task(wheel.until(monotonic() + 0.01))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait_for(wheel.until(monotonic() + 0.02), timeout=5)
