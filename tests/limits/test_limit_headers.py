"""What a client sees of its limits: header lines, and the error of a refusal."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.dialects import DIALECTS, named
from llmproxy.interaction import Headers
from llmproxy.limits.bucket import Bucket
from llmproxy.limits.headers import duration, limit_headers, moment
from llmproxy.limits.limit import Limit, Measure, Reading
from llmproxy.limits.rate import Rate
from llmproxy.limits.refusals import problem
from llmproxy.limits.strategy import Verdict

TODAY = 1_767_225_600.0  # 2026-01-01T00:00:00Z
MINUTE = Rate(60, 60.0)


def reading(measure: Measure, limit: int, remaining: int, reset: float) -> Reading:
    return Reading(Limit("token-bucket"), measure, Verdict(True, limit, remaining, reset, None))


def refusal(limit: Limit, entering: int = 0, max_tokens: int = 0) -> Reading:
    """The first refusal that such requests meet."""
    bucket = Bucket(limit)
    for _ in range(1000):
        admission = bucket.admit(0.0, entering, max_tokens)
        if admission.refused is not None:
            return admission.refused
    raise AssertionError("never refused")


def written(dialect_name: str, refused: Reading) -> tuple[dict[str, str], Any]:
    dialect = named(dialect_name)
    assert dialect is not None
    status, headers, body = dialect.write_error(problem(dialect_name, refused))
    assert status == 429
    return dict(headers), json.loads(body)


def test_openai_tells_limits_what_remains_and_durations() -> None:
    readings = [reading("requests", 60, 59, 1.0), reading("total", 30_000, 29_000, 360.0)]
    assert limit_headers("openai", readings, TODAY) == (
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-limit-tokens", "30000"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-remaining-tokens", "29000"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    )


def test_anthropic_tells_each_kind_of_tokens_and_their_sum_with_moments() -> None:
    readings = [
        reading("requests", 50, 49, 1.2),
        reading("input", 1000, 900, 6.0),
        reading("output", 500, 100, 48.0),
    ]
    assert limit_headers("anthropic", readings, TODAY) == (
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:02Z"),
        ("anthropic-ratelimit-tokens-limit", "1500"),
        ("anthropic-ratelimit-tokens-remaining", "1000"),
        ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:48Z"),
        ("anthropic-ratelimit-input-tokens-limit", "1000"),
        ("anthropic-ratelimit-input-tokens-remaining", "900"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-01-01T00:00:06Z"),
        ("anthropic-ratelimit-output-tokens-limit", "500"),
        ("anthropic-ratelimit-output-tokens-remaining", "100"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-01-01T00:00:48Z"),
    )


@pytest.mark.parametrize(
    ("measures", "limit"),
    [(("total", "input"), 10), (("input",), 20), (("output",), 30), (("input", "output"), 50)],
)
def test_tokens_are_the_total_or_the_sum_or_the_only_kind_there_is(
    measures: tuple[Measure, ...], limit: int
) -> None:
    limits: dict[Measure, int] = {"total": 10, "input": 20, "output": 30}
    readings = [reading(measure, limits[measure], 5, 1.0) for measure in measures]
    lines = dict(limit_headers("openai", readings, TODAY))
    assert lines["x-ratelimit-limit-tokens"] == str(limit)


def test_of_several_limits_the_one_is_told_that_gives_out_first() -> None:
    readings = [
        reading("requests", 100, 7, 1.0),
        reading("requests", 20, 3, 1.0),
        reading("requests", 30, 3, 9.0),
        reading("requests", 10, 9, 99.0),
    ]
    lines = dict(limit_headers("openai", readings, TODAY))
    assert lines["x-ratelimit-limit-requests"] == "30"
    assert lines["x-ratelimit-reset-requests"] == "9s"


@pytest.mark.parametrize("dialect_name", ["gemini", "ollama", "nobody"])
def test_who_tells_no_limits_tells_none(dialect_name: str) -> None:
    assert limit_headers(dialect_name, [reading("requests", 60, 59, 1.0)], TODAY) == ()


@pytest.mark.parametrize("dialect_name", ["openai", "anthropic"])
def test_where_nothing_is_counted_nothing_is_told(dialect_name: str) -> None:
    bucket = Bucket(Limit("none", requests=MINUTE, concurrency=3))
    readings = (*bucket.admit(0.0, 5, 5).readings, bucket.begin())
    assert limit_headers(dialect_name, readings, TODAY) == ()


def test_a_random_limit_tells_its_probability() -> None:
    readings = Bucket(Limit("random", probability=0.3)).admit(0.0, 5, 5).readings
    expected: Headers = (("x-ratelimit-probability", "0.3"),)
    assert limit_headers("openai", readings, TODAY) == expected


def test_after_n_counts_down_and_always_has_a_limit_of_0() -> None:
    told = {}
    for strategy in ("after-n", "always"):
        readings = Bucket(Limit(strategy, n=5)).admit(0.0, 0, None).readings
        lines = dict(limit_headers("openai", readings, TODAY))
        names = ("limit-requests", "remaining-requests")
        told[strategy] = [lines[f"x-ratelimit-{name}"] for name in names]
    assert told == {"after-n": ["5", "4"], "always": ["0", "0"]}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-0.5, "0s"),
        (0.02, "20ms"),
        (0.0001, "1ms"),
        (1, "1s"),
        (1.0000000000145, "1s"),
        (8.64, "8.64s"),
        (59.9999, "1m0s"),
        (360, "6m0s"),
        (90.5, "1m30.5s"),
        (3600, "1h0m0s"),
        (90_061.001, "25h1m1.001s"),
    ],
)
def test_a_duration_is_written_as_go_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 1e15))
def test_a_moment_is_never_early_and_always_a_date(epoch: float) -> None:
    assert len(moment(epoch)) == len("2026-01-01T00:00:00Z")


def test_a_moment_is_the_next_whole_second() -> None:
    assert moment(TODAY) == moment(TODAY + 0.0001) == "2026-01-01T00:00:00Z"
    assert moment(TODAY + 0.01) == moment(TODAY + 1) == "2026-01-01T00:00:01Z"


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (
            Limit("token-bucket", requests=MINUTE, place="limits[0]"),
            "Rate limit reached: 60 requests per minute (limits[0]). Please try again in 1s.",
        ),
        (
            Limit("fixed-window", tokens={"total": Rate(1000, 0.5)}, place="limits[2]"),
            (
                "Rate limit reached: 1000 tokens per 500ms (limits[2]), 100 left, 300 asked for. "
                "Please try again in 500ms."
            ),
        ),
        (
            Limit("leaky-bucket", tokens={"input": Rate(100, 60.0)}, token_burst=200),
            (
                "Rate limit reached: 100 input tokens per minute, 0 left, 100 asked for. "
                "Please try again in 1m0s."
            ),
        ),
        (
            Limit("sliding-window", tokens={"output": Rate(150, 60.0)}),
            (
                "Request too large: the limit is 150 output tokens per minute, at most 150 at once, "
                "and this request alone counts 200. No wait helps."
            ),
        ),
        (
            Limit("after-n", n=3),
            (
                "Rate limit reached: only the first 3 requests are let through. "
                "Please try again in 1m0s."
            ),
        ),
        (
            Limit("random", probability=0.25),
            (
                "Rate limit reached: 25 % of the requests are refused at random. "
                "Please try again in 1s."
            ),
        ),
        (
            Limit("always"),
            "Rate limit reached: all requests are refused. Please try again in 1m0s.",
        ),
    ],
)
def test_a_refusal_names_the_limit_and_the_wait(limit: Limit, message: str) -> None:
    assert problem("openai", refusal(limit, 100, 200)).message == message


def test_a_refusal_where_too_many_run_says_how_many_may() -> None:
    bucket = Bucket(Limit("none", concurrency=1, place="limits[1]"))
    bucket.begin()
    found = problem("openai", bucket.begin())
    said = "Rate limit reached: a concurrency of 1 (limits[1])."
    assert found.message == f"{said} Please try again in 1s."
    assert (found.kind, found.retry_after) == ("requests", 1.0)


def test_tokens_in_debt_are_refused_without_a_cost() -> None:
    bucket = Bucket(Limit("token-bucket", tokens={"total": MINUTE}, charge="settled"))
    bucket.settle(0.0, 60, 60)
    refused = bucket.admit(0.0, 5, 5).refused
    assert refused is not None
    assert "0 left, some asked for. Please try again in 1m1s." in problem("x", refused).message


@pytest.mark.parametrize("dialect_name", [dialect.name for dialect in DIALECTS])
def test_every_provider_writes_the_wait_in_seconds_and_milliseconds(dialect_name: str) -> None:
    headers, _ = written(dialect_name, refusal(Limit("token-bucket", requests=Rate(8, 10.0))))
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1250")
    headers, _ = written(dialect_name, refusal(Limit("fixed-window", requests=Rate(1, 0.001))))
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "1")


@pytest.mark.parametrize("dialect_name", [dialect.name for dialect in DIALECTS])
def test_where_no_wait_helps_none_is_told(dialect_name: str) -> None:
    refused = refusal(Limit("token-bucket", tokens={"total": MINUTE}), 61)
    assert refused.verdict.retry_after == math.inf
    headers, _ = written(dialect_name, refused)
    assert not {"retry-after", "retry-after-ms"} & headers.keys()


def test_openai_is_told_by_what_the_limit_counts() -> None:
    _, body = written("openai", refusal(Limit("token-bucket", requests=MINUTE)))
    error = body["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    _, body = written("openai", refusal(Limit("token-bucket", tokens={"input": MINUTE}), 50))
    assert body["error"]["type"] == "tokens"


def test_anthropic_is_told_a_rate_limit_error_without_details() -> None:
    _, body = written("anthropic", refusal(Limit("token-bucket", requests=MINUTE)))
    assert body["error"].keys() == {"type", "message"}
    assert body["error"]["type"] == "rate_limit_error"


def test_gemini_is_told_the_quota_and_the_retry_info() -> None:
    _, body = written("gemini", refusal(Limit("token-bucket", tokens={"input": Rate(10, 70.0)}), 9))
    error = body["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    quota, retry = error["details"]
    assert "input_token" in quota["violations"][0]["quotaMetric"]
    assert retry == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "56s"}
