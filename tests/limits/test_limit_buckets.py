"""Buckets and meters: all counts of a limit must allow, and a refused request costs nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.limits.bucket import MOST_TOKENS, Bucket, admit
from llmproxy.limits.limit import Admission, Limit
from llmproxy.limits.meters import Meters
from llmproxy.limits.rate import Rate
from llmproxy.limits.strategies import STRATEGIES

SECOND = Rate(10, 1.0)


def limit(strategy: str = "token-bucket", **values: Any) -> Limit:
    return Limit(strategy, **{"key": "one", **values})


def left(bucket: Bucket, now: float = 0.0) -> dict[str, int]:
    return {measure: standing.remaining for measure, standing in bucket.standings(now)}


def refused_by(admission: Admission) -> str | None:
    return admission.refused.measure if admission.refused else None


def test_requests_and_each_kind_of_tokens_are_counted() -> None:
    rates = {"total": Rate(100, 1.0), "input": Rate(60, 1.0), "output": Rate(50, 1.0)}
    bucket = Bucket(limit(requests=SECOND, tokens=rates))
    admission = bucket.admit(0.0, 20, 30)
    assert admission.allowed
    assert [reading.cost for reading in admission.readings] == [1, 50, 20, 30]
    assert left(bucket) == {"requests": 9, "total": 50, "input": 40, "output": 20}


@pytest.mark.parametrize(
    ("entering", "max_tokens", "measure"),
    [(61, 0, "input"), (0, 51, "output"), (55, 46, "total"), (60, None, None), (55, 45, None)],
)
def test_each_count_can_refuse(entering: int, max_tokens: int | None, measure: str | None) -> None:
    rates = {"total": Rate(100, 1.0), "input": Rate(60, 1.0), "output": Rate(50, 1.0)}
    bucket = Bucket(limit(requests=SECOND, tokens=rates))
    assert refused_by(bucket.admit(0.0, entering, max_tokens)) == measure


@given(st.lists(st.tuples(st.sampled_from((0.0, 0.05, 0.7)), st.integers(0, 60)), max_size=40))
def test_a_refused_request_costs_nothing_anywhere(calls: list[tuple[float, int]]) -> None:
    bucket = Bucket(limit(requests=Rate(6, 1.0), tokens={"total": Rate(100, 1.0)}))
    now = 0.0
    for gap, tokens in calls:
        now += gap
        before = left(bucket, now)
        admission = bucket.admit(now, tokens, None)
        if admission.allowed:
            assert left(bucket, now)["requests"] == before["requests"] - 1
        else:
            assert left(bucket, now) == before
        told = {reading.measure: reading.verdict.remaining for reading in admission.readings}
        assert told == left(bucket, now)


def test_the_refusal_told_is_the_one_that_lasts_longest() -> None:
    bucket = Bucket(limit(requests=Rate(1, 1.0), tokens={"total": Rate(10, 10.0)}))
    assert bucket.admit(0.0, 10, 0).allowed
    admission = bucket.admit(0.0, 5, 0)
    assert refused_by(admission) == "total"
    assert [reading.verdict.retry_after for reading in admission.readings] == [1.0, 5.0]


def test_several_limits_must_all_allow() -> None:
    narrow = Bucket(limit(requests=Rate(1, 60.0)))
    wide = Bucket(limit(requests=Rate(100, 60.0)))
    assert admit((wide, narrow), 0.0, 0, None).allowed
    admission = admit((wide, narrow), 0.0, 0, None)
    assert admission.refused is not None
    assert admission.refused.limit is narrow.limit
    assert left(wide) == {"requests": 99}
    assert admit((), 0.0, 10, 10) == Admission((), None)


def test_tokens_that_are_settled_cost_nothing_before_and_what_was_used_after() -> None:
    rates = {"total": Rate(100, 1.0), "output": Rate(100, 1.0)}
    bucket = Bucket(limit(requests=Rate(9, 1.0), tokens=rates, charge="settled"))
    assert bucket.admit(0.0, 10**6, 10**6).allowed
    assert left(bucket) == {"requests": 8, "total": 100, "output": 100}
    bucket.settle(0.0, 60, 90)
    assert left(bucket) == {"requests": 8, "total": 0, "output": 10}
    assert refused_by(bucket.admit(0.4, 1, 1)) == "total"
    admission = bucket.admit(0.0, 1, 1)
    assert admission.refused is not None
    assert admission.refused.verdict.retry_after == 0.51
    assert bucket.admit(0.51, 1, 1).allowed


def test_tokens_of_admission_are_not_counted_again_when_it_is_over() -> None:
    bucket = Bucket(limit(requests=SECOND, tokens={"total": Rate(100, 1.0)}))
    bucket.admit(0.0, 30, None)
    bucket.settle(0.0, 30, 10**6)
    assert left(bucket) == {"requests": 9, "total": 70}


def test_bursts_are_of_requests_and_of_tokens_each() -> None:
    values: dict[str, Any] = {"burst": 2, "token_burst": 50}
    bucket = Bucket(limit(requests=SECOND, tokens={"total": Rate(100, 1.0)}, **values))
    assert left(bucket) == {"requests": 2, "total": 50}


@pytest.mark.parametrize("tokens", [10**400, -5])
def test_whatever_a_request_says_of_its_tokens_can_be_counted(tokens: int) -> None:
    for charge in ("admission", "settled"):
        for strategy, each in STRATEGIES.items():
            if "tokens" in each.members:
                bucket = Bucket(limit(strategy, tokens={"total": SECOND}, charge=charge))
                admission = bucket.admit(0.0, tokens, tokens)
                assert all(reading.cost <= 2 * MOST_TOKENS for reading in admission.readings)
                bucket.settle(0.0, tokens, tokens)
                assert all(math.isfinite(each.reset) for _, each in bucket.standings(0.0))


@pytest.mark.parametrize("strategy", ["after-n", "random", "always"])
def test_strategies_without_a_rate_count_requests(strategy: str) -> None:
    bucket = Bucket(limit(strategy, n=3, probability=1.0))
    assert [reading.measure for reading in bucket.admit(0.0, 9, 9).readings] == ["requests"]


def test_a_limit_by_none_counts_nothing() -> None:
    bucket = Bucket(limit("none", requests=SECOND, tokens={"total": SECOND}))
    assert bucket.admit(0.0, 10**9, 10**9) == Admission((), None)


def test_as_many_run_at_the_same_time_as_may() -> None:
    bucket = Bucket(limit("none", concurrency=2))
    found = [bucket.begin().verdict for _ in range(3)]
    assert [each.allowed for each in found] == [True, True, False]
    assert [each.remaining for each in found] == [1, 0, 0]
    assert found[2].limit == 2
    assert found[2].retry_after == 1.0
    bucket.end()
    bucket.reset()
    assert bucket.running == 1
    assert bucket.begin().verdict.allowed
    assert not bucket.begin().verdict.allowed


def test_ends_beyond_the_beginnings_let_no_more_run() -> None:
    bucket = Bucket(limit("none", concurrency=1))
    bucket.end()
    assert [bucket.begin().verdict.allowed for _ in range(2)] == [True, False]


def test_where_concurrency_is_not_limited_it_is_still_counted() -> None:
    bucket = Bucket(limit(requests=SECOND))
    assert all(bucket.begin().verdict.allowed for _ in range(500))
    assert bucket.running == 500


def test_each_client_of_each_limit_has_its_own_bucket() -> None:
    meters, one, other = Meters(), limit(requests=SECOND), limit(requests=SECOND, key="other")
    assert meters.bucket(one, "a") is meters.bucket(one, "a")
    buckets = {id(meters.bucket(each, key)) for each in (one, other) for key in ("a", ("b", 1))}
    assert len(buckets) == 4


def test_the_bucket_unused_for_longest_is_forgotten_first() -> None:
    meters, one = Meters(most=3), limit(requests=SECOND)
    for key in "abcad":
        meters.bucket(one, key)
    assert [state.key for state in meters.states(0.0)] == ["c", "a", "d"]


def test_a_bucket_that_runs_something_is_kept_while_another_can_go() -> None:
    meters, one = Meters(most=2), limit("none", concurrency=1)
    meters.bucket(one, "a").begin()
    for key in "bcd":
        meters.bucket(one, key)
    assert not meters.bucket(one, "a").begin().verdict.allowed
    meters.bucket(one, "d").begin()
    meters.bucket(one, "e")
    assert len(meters.states(0.0)) == 2


def test_ten_thousand_buckets_are_kept_and_no_more() -> None:
    meters, one = Meters(), limit("none")
    for key in range(10_050):
        meters.bucket(one, key)
    keys = [state.key for state in meters.states(0.0)]
    assert keys == list(range(50, 10_050))


def test_a_reset_is_of_a_limit_a_client_both_or_all() -> None:
    meters, one, other = Meters(), limit(requests=SECOND), limit(requests=SECOND, key="other")

    def used() -> list[tuple[str, object]]:
        states = meters.states(0.0)
        return [
            (each.limit.key, each.key) for each in states if each.standings[0][1].remaining < 10
        ]

    def use() -> None:
        for each in (one, other):
            for key in "ab":
                meters.bucket(each, key).admit(0.0, 0, None)

    use()
    assert meters.reset(one, "a") == 1
    assert used() == [("one", "b"), ("other", "a"), ("other", "b")]
    assert meters.reset(key="b") == 2
    assert used() == [("other", "a")]
    assert meters.reset(other) == 2
    assert used() == []
    use()
    assert meters.reset() == 4
    assert used() == []


def test_buckets_of_limits_that_a_file_keeps_survive_its_reload() -> None:
    meters, one, gone = Meters(), limit(requests=SECOND), limit(requests=SECOND, key="gone")
    for each in (one, gone):
        meters.bucket(each, "a").admit(0.0, 0, None)
    meters.keep([limit(requests=SECOND, place="limits[4]")])
    assert [(state.limit.key, state.standings[0][1].remaining) for state in meters.states(0.0)] == [
        ("one", 9)
    ]
    assert meters.states(0.0)[0].running == 0
