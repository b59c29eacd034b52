"""Strategies: what must hold of each way of counting, at any times and costs."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmproxy.limits.rate import Rate
from llmproxy.limits.strategies import STRATEGIES
from llmproxy.limits.strategy import Plan, Standing, Strategy, Verdict
from llmproxy.limits.windows import STAMPS, SlidingWindow

RATED = [name for name, each in STRATEGIES.items() if "requests" in each.members and name != "none"]
BUCKETS = ["token-bucket", "leaky-bucket"]
SOON = 0.001
"""Seconds that are too few where a wait is needed, and more than clocks are wrong by."""

STARTS = (0.0, 1000.5, 86_400.125, 1.7e9)
RATES = st.builds(Rate, st.integers(1, 30), st.sampled_from((0.25, 1.0, 1.5, 60.0)))
GAPS = st.sampled_from((0.0, 0.0, 0.001, 0.03, 0.11, 0.4, 1.0, 7.3))
CALLS = st.lists(st.tuples(GAPS, st.integers(1, 4)), max_size=120)
"""Gaps before calls, and what these cost."""


def made(name: str, rate: Rate, capacity: int | None = None) -> Strategy:
    return STRATEGIES[name](Plan(rate.limit, rate.per, capacity or rate.limit))


def standing(found: Verdict | Standing) -> tuple[int | None, int, float]:
    return found.limit, found.remaining, round(found.reset, 5)


def times(calls: list[tuple[float, int]], start: float) -> list[tuple[float, int]]:
    moments = list(accumulate((gap for gap, _ in calls), initial=start))[1:]
    return [(moment, cost) for moment, (_, cost) in zip(moments, calls, strict=True)]


def passed(strategy: Strategy, calls: list[tuple[float, int]]) -> list[tuple[float, int]]:
    return [(now, cost) for now, cost in calls if strategy.take(now, cost).allowed]


@given(RATES, CALLS, st.sampled_from(STARTS))
def test_never_more_than_the_limit_passes_in_a_window_of_the_clock(
    rate: Rate, calls: list[tuple[float, int]], start: float
) -> None:
    counts: dict[int, int] = {}
    for now, cost in passed(made("fixed-window", rate), times(calls, start)):
        window = math.floor(now / rate.per + 1e-6)
        counts[window] = counts.get(window, 0) + cost
    assert max(counts.values(), default=0) <= rate.limit


@given(RATES, CALLS, st.sampled_from(STARTS))
def test_never_more_than_the_limit_passes_in_any_window(
    rate: Rate, calls: list[tuple[float, int]], start: float
) -> None:
    through = passed(made("sliding-window", rate), times(calls, start))
    for first, _ in through:
        end = first + rate.per - 1e-5
        assert sum(cost for now, cost in through if first <= now < end) <= rate.limit


@pytest.mark.parametrize("name", BUCKETS)
@given(RATES, st.integers(1, 40), CALLS, st.sampled_from(STARTS))
def test_in_no_time_passes_more_than_a_burst_and_what_flows_in_within_it(
    name: str, rate: Rate, capacity: int, calls: list[tuple[float, int]], start: float
) -> None:
    through = passed(made(name, rate, capacity), times(calls, start))
    totals = list(accumulate((cost for _, cost in through), initial=0))
    for first, (since, _) in enumerate(through):
        for last, (until, _) in enumerate(through[first:], first):
            flow = (until - since) * rate.limit / rate.per
            assert totals[last + 1] - totals[first] <= capacity + flow + 1e-3


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_keeps_to_its_rate_in_the_long_run(name: str) -> None:
    strategy = made(name, Rate(10, 1.0), capacity=5)
    through = passed(strategy, [(1000 + number * 0.01, 1) for number in range(6000)])
    assert 600 <= len(through) <= 605


@given(st.integers(1, 40), st.integers(-3, 4), CALLS)
def test_a_leaky_bucket_decides_as_a_token_bucket_does(
    capacity: int, power: int, calls: list[tuple[float, int]]
) -> None:
    rate = Rate(2 ** max(power, 0), 2.0 ** max(-power, 0))
    eighths = [(round(gap * 8) / 8, cost) for gap, cost in calls]
    leaky, token = made("leaky-bucket", rate, capacity), made("token-bucket", rate, capacity)
    for now, cost in times(eighths, 64.0):
        one, other = leaky.take(now, cost), token.take(now, cost)
        assert (one.allowed, one.remaining) == (other.allowed, other.remaining)
        assert one.retry_after == other.retry_after
        assert one.reset == pytest.approx(other.reset)


@pytest.mark.parametrize("name", RATED)
@given(RATES, CALLS, st.sampled_from(STARTS), st.integers(0, 4))
def test_the_wait_told_is_enough_and_a_little_less_is_not(
    name: str, rate: Rate, calls: list[tuple[float, int]], start: float, cost: int
) -> None:
    assume(cost <= rate.limit)
    strategy, twin = made(name, rate), made(name, rate)
    now = start
    for moment, each in times(calls, start):
        now = moment
        strategy.take(now, each)
        twin.take(now, each)
    wait = strategy.take(now, cost).retry_after
    if wait is None:
        return
    assert wait == round(wait, 6) > 0
    if wait > 2 * SOON:
        assert not twin.take(now + wait - SOON, cost).allowed
    assert strategy.take(now + wait, cost).allowed


@pytest.mark.parametrize("name", RATED)
@given(RATES, CALLS, st.sampled_from(STARTS))
def test_what_remains_is_what_then_passes(
    name: str, rate: Rate, calls: list[tuple[float, int]], start: float
) -> None:
    strategy = made(name, rate)
    for now, cost in times(calls, start):
        remaining = strategy.take(now, cost).remaining
        assert strategy.peek(now).remaining == remaining
    now = start + sum(gap for gap, _ in calls)
    remaining = strategy.peek(now).remaining
    assert 0 <= remaining <= rate.limit
    assert [strategy.take(now).allowed for _ in range(remaining + 1)] == [
        *[True] * remaining,
        False,
    ]


@pytest.mark.parametrize("name", RATED)
@given(RATES, CALLS, st.sampled_from(STARTS), st.integers(1, 4))
def test_what_is_given_back_was_never_taken(
    name: str, rate: Rate, calls: list[tuple[float, int]], start: float, cost: int
) -> None:
    strategy, twin = made(name, rate), made(name, rate)
    for now, each in times(calls, start):
        assert strategy.take(now, each).allowed == twin.take(now, each).allowed
        before = strategy.peek(now)
        if strategy.take(now, cost).allowed:
            strategy.give(now, cost)
        assert standing(strategy.peek(now)) == standing(before) == standing(twin.peek(now))


@pytest.mark.parametrize("name", RATED)
def test_more_is_given_back_than_was_taken_and_no_more_than_the_limit_is_free(name: str) -> None:
    strategy = made(name, Rate(3, 1.0))
    strategy.take(50.0)
    strategy.give(50.0, 100)
    assert strategy.peek(50.0).remaining == 3
    assert not strategy.take(50.0, 4).allowed


@pytest.mark.parametrize("name", RATED)
@given(RATES, CALLS, st.sampled_from(STARTS), st.floats(0, 5))
def test_a_clock_that_goes_back_lets_nothing_more_through(
    name: str, rate: Rate, calls: list[tuple[float, int]], start: float, back: float
) -> None:
    strategy = made(name, rate)
    now = start
    for moment, cost in times(calls, start):
        now = moment
        strategy.take(now, cost)
    remaining = strategy.peek(now).remaining
    assert strategy.peek(now - back).remaining == remaining
    allowed = strategy.take(now - back).allowed
    assert allowed == (remaining > 0)
    assert strategy.peek(now).remaining == remaining - allowed
    found = strategy.take(now - back, rate.limit)
    if found.retry_after is not None:
        assert strategy.take(now - back + found.retry_after, rate.limit).allowed


@pytest.mark.parametrize("name", RATED)
def test_time_that_stands_still_lets_the_limit_through_and_no_more(name: str) -> None:
    strategy = made(name, Rate(7, 1.0))
    assert [strategy.take(50.0).allowed for _ in range(20)] == [True] * 7 + [False] * 13


@pytest.mark.parametrize("name", RATED)
def test_a_cost_of_0_counts_nothing_and_passes_while_something_is_left(name: str) -> None:
    strategy = made(name, Rate(2, 1.0))
    strategy.take(50.0)
    assert [strategy.take(50.0, 0).remaining for _ in range(3)] == [1, 1, 1]
    strategy.take(50.0)
    assert not strategy.take(50.0, 0).allowed


@pytest.mark.parametrize("name", RATED)
def test_a_cost_above_the_limit_never_passes_and_says_that_no_wait_helps(name: str) -> None:
    strategy = made(name, Rate(3, 1.0))
    found = strategy.take(50.0, 4)
    assert not found.allowed
    assert found.retry_after == math.inf
    assert found.remaining == 3


@pytest.mark.parametrize("name", RATED)
def test_a_debt_is_worked_off_before_anything_passes(name: str) -> None:
    strategy = made(name, Rate(10, 1.0))
    strategy.give(50.0, -15)
    found = strategy.take(50.0)
    assert not found.allowed
    assert found.remaining == 0
    expected = {"fixed-window": 1.0, "sliding-window": 1.0}.get(name, 0.6)
    assert found.retry_after == expected
    assert strategy.take(50.0 + expected).allowed


@pytest.mark.parametrize("name", RATED)
def test_a_reset_begins_anew(name: str) -> None:
    strategy = made(name, Rate(3, 60.0))
    strategy.give(50.0, -30)
    strategy.reset()
    assert [strategy.take(50.0).allowed for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fixed-window", (60, 58, 20.0)),
        ("sliding-window", (60, 58, 60.0)),
        ("token-bucket", (60, 58, 2.0)),
        ("leaky-bucket", (60, 58, 2.0)),
    ],
)
def test_the_reset_is_the_next_window_or_the_time_until_all_is_free(
    name: str, told: tuple[int, int, float]
) -> None:
    strategy = made(name, Rate(60, 60.0))
    strategy.take(100.0)
    found = strategy.take(100.0)
    assert (found.limit, found.remaining, found.reset) == told


def test_fixed_windows_begin_at_multiples_of_the_clock() -> None:
    strategy = made("fixed-window", Rate(1, 60.0))
    found = [strategy.take(now) for now in (119.0, 119.5, 120.0, 179.0, 180.0)]
    assert [each.allowed for each in found] == [True, False, True, False, True]
    assert found[1].retry_after == 0.5
    assert found[3].retry_after == 1.0


def test_a_token_bucket_refills_continuously_up_to_its_capacity() -> None:
    strategy = made("token-bucket", Rate(1, 1.0), capacity=2)
    assert strategy.take(10.0).limit == 2
    assert strategy.take(10.0).allowed
    refused = strategy.take(10.25)
    assert refused.retry_after == 0.75
    assert refused.remaining == 0
    assert strategy.peek(10.5).remaining == 0
    assert strategy.peek(11.0).remaining == 1
    assert strategy.peek(99.0).remaining == 2


def test_a_large_limit_in_a_sliding_window_is_kept_in_bounded_memory() -> None:
    strategy = SlidingWindow(Plan(limit=10**6, per=1.0))
    calls = [(100.0 + number * 0.0007, cost) for number in range(5000) for cost in (300, 500)]
    through = passed(strategy, calls)
    assert len(strategy._at) == len(strategy._totals) <= 4 * STAMPS
    for first, _ in through[::50]:
        count = sum(cost for now, cost in through if first <= now < first + 1.0)
        assert count <= 10**6
        assert count >= 0.95 * 10**6 or first > 102.0


def test_moments_that_are_one_in_a_full_log_count_until_the_last_of_them_is_gone() -> None:
    strategy = SlidingWindow(Plan(limit=3 * STAMPS, per=float(STAMPS)))
    first = [(1000 + number * 0.01, 1) for number in range(3 * STAMPS)]
    later = [(1250 + number * 0.03, 1) for number in range(500)]
    bursts = [call for call in later for _ in range(9)]
    through = [now for now, _ in passed(strategy, first + bursts)]
    assert len(through) == 2 * len(first)
    for number, since in enumerate(through):
        until = bisect_left(through, since + STAMPS - 1e-5)
        assert until - number <= 3 * STAMPS


def test_what_is_given_back_out_of_a_full_log_is_not_counted() -> None:
    strategy = SlidingWindow(Plan(limit=10**6, per=60.0))
    for number in range(3 * STAMPS):
        strategy.take(100.0 + number * 0.001, 10)
    before = strategy.peek(101.0).remaining
    strategy.take(101.0, 777)
    strategy.give(101.0, 777)
    assert strategy.peek(101.0).remaining == before
    strategy.take(101.0, 1)
    assert strategy.peek(160.9).remaining == 10**6 - 1
    strategy.give(160.9, 10**7)
    assert strategy.peek(160.9) == Standing(10**6, 10**6, 0.0)


def test_the_first_n_pass_and_all_others_are_told_a_minute() -> None:
    strategy = STRATEGIES["after-n"](Plan(n=2))
    found = [strategy.take(now) for now in (0.0, 1.0, 2.0, 1e6)]
    assert [each.allowed for each in found] == [True, True, False, False]
    assert [each.remaining for each in found] == [1, 0, 0, 0]
    assert found[2] == Verdict(False, 2, 0, 60.0, 60.0)
    strategy.give(1e6, 1)
    assert strategy.peek(1e6).remaining == 1
    assert strategy.take(1e6, 0).allowed
    strategy.reset()
    assert strategy.peek(1e6) == Standing(2, 2, 0.0)


def test_a_random_refusal_is_repeatable_and_about_as_frequent_as_asked() -> None:
    strategy = STRATEGIES["random"](Plan(probability=0.3, seed=7))
    first = [strategy.take(0.0).allowed for _ in range(1000)]
    strategy.reset()
    assert [strategy.take(9.0).allowed for _ in range(1000)] == first
    assert 250 <= first.count(False) <= 350
    other = STRATEGIES["random"](Plan(probability=0.3, seed=8))
    assert [other.take(0.0).allowed for _ in range(1000)] != first


@pytest.mark.parametrize(("probability", "allowed"), [(0.0, True), (1.0, False)])
def test_random_never_and_always_mean_it(probability: float, allowed: bool) -> None:
    strategy = STRATEGIES["random"](Plan(probability=probability))
    found = [strategy.take(0.0) for _ in range(50)]
    assert {each.allowed for each in found} == {allowed}
    assert {each.retry_after for each in found} == {None if allowed else 1.0}


def test_always_refuses_with_a_limit_of_0() -> None:
    strategy = STRATEGIES["always"](Plan())
    strategy.give(0.0, 5)
    strategy.reset()
    assert strategy.take(0.0) == Verdict(False, 0, 0, 60.0, 60.0)


def test_none_lets_all_through_and_counts_nothing() -> None:
    strategy = STRATEGIES["none"](Plan())
    strategy.give(0.0, -5)
    strategy.reset()
    assert strategy.take(0.0, 10**9) == Verdict(True, None, 0, 0.0, None)
