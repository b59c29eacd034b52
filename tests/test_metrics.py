"""Counters, loads over time, the text for Prometheus, and the shape of a dashboard."""

from __future__ import annotations

import csv
import json
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from llmproxy.control.numbers import encoded
from llmproxy.entry import Entry
from llmproxy.interaction import Facts
from llmproxy.metrics import Metrics, Queue, dashboard, failure
from llmproxy.metrics.exposition import exposition
from llmproxy.metrics.loads import MOST_ERRORS, MOST_POINTS, MOST_RECENT, Load, percentile
from llmproxy.metrics.tallies import MOST_MODELS, MOST_TALLIES

START = 1_000.0
"""A reading of the clock at which the metrics begin ..."""
EPOCH = 1_700_000_000.0
"""... and the same moment since the epoch."""

GOOD: dict[str, Any] = {
    "method": "POST", "endpoint": "openai_chat", "status": 200, "source": "replayed",
}  # fmt: skip


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(START, EPOCH)


def opened(metrics: Metrics, at: float = 0.0, **told: Any) -> Entry:
    """A request that came ``at`` seconds after the start."""
    entry = Entry(**{**GOOD, **told}, began=START + at)
    metrics.begin(entry)
    return entry


def closed(metrics: Metrics, entry: Entry, took: float = 0.1) -> None:
    entry.ended = entry.began + took
    entry.first_byte = entry.first_byte or entry.began + took / 2
    metrics.end(entry)


def went_by(metrics: Metrics, at: float = 0.0, took: float = 0.1, **told: Any) -> None:
    closed(metrics, opened(metrics, at, **told), took)


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What Prometheus reads."""
    families = text_string_to_metric_families(exposition(metrics))
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in families
        for each in family.samples
    }


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((f"llmproxy_{name}", frozenset(labels.items())))


# for Prometheus


def test_every_family_has_its_help_and_type(metrics: Metrics) -> None:
    metrics.queue = lambda: Queue(1, 2, 3)
    went_by(metrics)
    families = {each.name: each for each in text_string_to_metric_families(exposition(metrics))}
    assert {name.removeprefix("llmproxy_"): each.type for name, each in families.items()} == {
        "requests": "counter",
        "misses": "counter",
        "chunk_lateness_seconds": "histogram",
        "first_byte_seconds": "histogram",
        "duration_seconds": "histogram",
        "requests_open": "gauge",
        "streams_open": "gauge",
        "limited": "counter",
        "faults": "counter",
        "tokens": "counter",
        "bytes": "counter",
        "recorder_queue_bytes": "gauge",
        "recorder_kept": "counter",
        "recorder_lost": "counter",
    }
    assert all(each.documentation for each in families.values())


def test_requests_are_counted_by_endpoint_model_source_and_status(metrics: Metrics) -> None:
    for _ in range(3):
        went_by(metrics, facts=Facts("gpt-4o"))
    went_by(metrics, status=429, source="error")
    labels = {"endpoint": "openai_chat", "model": "gpt-4o", "source": "replayed", "status": "200"}
    assert sample(metrics, "requests_total", **labels) == 3
    labels |= {"model": "", "source": "error", "status": "429"}
    assert sample(metrics, "requests_total", **labels) == 1


def test_tokens_bytes_and_misses_are_summed(metrics: Metrics) -> None:
    facts = Facts("m", input_tokens=5, output_tokens=7)
    went_by(metrics, facts=facts, received=100, sent=1_000)
    went_by(metrics, facts=facts, received=1, sent=2, miss="no recorded request matches")
    went_by(metrics, facts=Facts("m", input_tokens=1))
    assert sample(metrics, "tokens_total", direction="input") == 11
    assert sample(metrics, "tokens_total", direction="output") == 14
    assert sample(metrics, "bytes_total", direction="input") == 101
    assert sample(metrics, "bytes_total", direction="output") == 1_002
    assert sample(metrics, "misses_total") == 1


def test_limits_and_faults_are_counted_by_name(metrics: Metrics) -> None:
    went_by(metrics, status=429, limited="proxy.yml:3")
    went_by(metrics, fault="busy, fault 2")
    went_by(metrics, fault="busy")
    assert sample(metrics, "limited_total", limit="proxy.yml:3") == 1
    assert sample(metrics, "faults_total", fault="busy") == 2
    assert sample(metrics, "faults_total", fault="fault 2") == 1


def test_a_histogram_counts_up_to_each_bound(metrics: Metrics) -> None:
    for took in (0.004, 0.006, 0.5, 9_999.0):
        went_by(metrics, took=took, late=took / 10)
    labels = {"endpoint": "openai_chat", "source": "replayed"}
    found = {
        bound: sample(metrics, "duration_seconds_bucket", **labels, le=bound)
        for bound in ("0.0025", "0.005", "0.01", "0.5", "600", "+Inf")
    }
    assert found == {"0.0025": 0, "0.005": 1, "0.01": 2, "0.5": 3, "600": 3, "+Inf": 4}
    assert sample(metrics, "duration_seconds_count", **labels) == 4
    assert sample(metrics, "duration_seconds_sum", **labels) == pytest.approx(9_999.51)
    assert sample(metrics, "first_byte_seconds_bucket", **labels, le="0.0025") == 1
    assert sample(metrics, "chunk_lateness_seconds_bucket", **labels, le="0.0005") == 1


def test_what_had_no_moment_is_not_late(metrics: Metrics) -> None:
    went_by(metrics, source="recorded")
    labels = {"endpoint": "openai_chat", "source": "recorded"}
    assert sample(metrics, "chunk_lateness_seconds_count", **labels) == 0
    assert sample(metrics, "duration_seconds_count", **labels) == 1


def test_what_is_open_is_told(metrics: Metrics) -> None:
    stream = opened(metrics, facts=Facts(stream=True))
    whole = opened(metrics, endpoint="openai_models")
    assert sample(metrics, "requests_open") == 2
    assert sample(metrics, "streams_open") == 1
    assert (metrics.streams("openai_chat"), metrics.streams("openai_models")) == (1, 0)
    closed(metrics, stream)
    closed(metrics, whole)
    assert sample(metrics, "requests_open") == sample(metrics, "streams_open") == 0


def test_the_queue_of_a_recorder_is_told_where_there_is_one(metrics: Metrics) -> None:
    assert sample(metrics, "recorder_queue_bytes") is None
    metrics.queue = lambda: Queue(waiting=4_096, kept=7, lost=1)
    assert sample(metrics, "recorder_queue_bytes") == 4_096
    assert sample(metrics, "recorder_kept_total") == 7
    assert sample(metrics, "recorder_lost_total") == 1


@given(st.text(), st.text(alphabet='\\"\n{},= #\x1b\x85\u2028', max_size=20))
def test_no_model_and_no_limit_can_break_the_text(model: str, limit: str) -> None:
    made = Metrics(START, EPOCH)
    went_by(made, facts=Facts(model), limited=limit)
    text = exposition(made)
    families = text.split("# HELP ")
    assert len(families) == 12
    lines = [line for line in text.split("\n") if line.startswith("llmproxy_requests_total{")]
    assert len(lines) == 1
    if not set(model + limit) & set("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"):  # as its parser
        labels = {"endpoint": "openai_chat", "source": "replayed", "status": "200", "model": model}
        assert sample(made, "requests_total", **labels) == 1
        assert not limit or sample(made, "limited_total", limit=limit) == 1


# bounds


def test_models_beyond_the_first_hundred_are_others(metrics: Metrics) -> None:
    for number in range(MOST_MODELS + 20):
        for _ in range(2):
            went_by(metrics, facts=Facts(f"model-{number}"))
    went_by(metrics)
    models = {model: tally.requests for (_, model, *_), tally in metrics.tallies.by_key.items()}
    assert len(models) == MOST_MODELS + 2
    assert (models["model-99"], models["other"], models[""]) == (2, 40, 1)


def test_statuses_sources_and_endpoints_cannot_fill_the_memory(metrics: Metrics) -> None:
    for number in range(3 * MOST_TALLIES):
        endpoint = ("openai_chat", "anthropic_messages")[number % 2]
        model = Facts(f"m{number % 90}")
        went_by(metrics, endpoint=endpoint, status=100 + number // 90 % 900, facts=model)
    assert len(metrics.tallies.by_key) <= MOST_TALLIES + 20
    assert sum(tally.requests for tally in metrics.tallies.by_key.values()) == 3 * MOST_TALLIES


def test_names_of_limits_and_faults_are_bounded(metrics: Metrics) -> None:
    for number in range(500):
        went_by(metrics, status=429, limited=f"limit {number}")
        went_by(metrics, status=500, fault=f"fault {number}")
    for names in (metrics.tallies.limited, metrics.tallies.faults):
        assert len(names) == 101
        assert names["other"] == 400
    assert len(metrics.total.errors) == MOST_ERRORS
    assert metrics.total.errors["other"].count == 500 - (MOST_ERRORS - 1)


def test_a_long_life_takes_bounded_memory() -> None:
    load = Load(START)
    tracemalloc.start()
    try:
        for number in range(30_000):
            load.begin(START + number)
            load.end(START + number, 0.1, "", limited=False, streamed=False)
            if number == 10_000:
                before = tracemalloc.get_traced_memory()[0]
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after < before * 1.1
    assert len(load.points) == MOST_POINTS
    assert len(load.latencies) == len(load.moments) == MOST_RECENT


# over time


def test_a_second_is_a_point_and_an_idle_one_too(metrics: Metrics) -> None:
    went_by(metrics, 0.2, took=0.1)
    went_by(metrics, 0.3, took=0.3, status=500)
    slow = opened(metrics, 0.9)
    went_by(metrics, 3.5, took=0.01, status=429, limited="l")
    closed(metrics, slow, took=3.0)
    points = list(metrics.total.timeline(START + 5.5))
    assert [point.second - START for point in points] == [0, 1, 2, 3, 4, 5]
    assert [point.active for point in points] == [1, 1, 1, 0, 0, 0]
    assert [point.connections for point in points] == [3, 3, 3, 4, 4, 4]
    assert [point.started for point in points] == [3, 0, 0, 1, 0, 0]
    assert [point.completed for point in points] == [2, 0, 0, 2, 0, 0]
    assert [point.failed for point in points] == [1, 0, 0, 0, 0, 0]
    assert [point.limited for point in points] == [0, 0, 0, 1, 0, 0]
    assert points[0].average == pytest.approx(0.2)
    assert (points[0].p50, points[0].p99) == pytest.approx((0.1, 0.3))
    assert (points[1].average, points[1].p99) == (0.0, 0.0)


def test_the_time_line_is_an_hour_at_most(metrics: Metrics) -> None:
    went_by(metrics, 1.0)
    points = list(metrics.total.timeline(START + 100_000.5))
    assert len(points) == MOST_POINTS
    assert points[-1].second == START + 100_000
    assert {(point.connections, point.started) for point in points} == {(1, 0)}
    went_by(metrics, 100_001.0)
    assert len(list(metrics.total.timeline(START + 100_001.5))) == MOST_POINTS


def test_the_rate_is_that_of_the_last_second() -> None:
    load = Load(START)
    for number in range(10):
        load.begin(START + 0.05 * number)
    assert load.rate(START + 0.5) == 10
    assert load.rate(START + 1.0) == pytest.approx(10)
    assert load.rate(START + 1.75) == pytest.approx(2.5)
    assert load.rate(START + 2.0) == load.rate(START + 99.0) == 0
    load.begin(START + 1.5)
    assert load.rate(START + 1.5) == pytest.approx(6.0)


def test_peaks_know_their_moments(metrics: Metrics) -> None:
    first, second = opened(metrics, 1.0), opened(metrics, 1.5)
    closed(metrics, first, 0.75)
    closed(metrics, second, 4.0)
    went_by(metrics, 7.0, took=0.1)
    total = metrics.total
    assert (total.at_once.most, total.at_once.at) == (2, START + 1.5)
    assert (total.slowest.most, total.slowest.at) == (4.0, START + 5.5)
    assert (total.peak_rate().most, total.peak_rate().at) == (2, START + 1)


def test_the_peak_of_the_running_second_counts_already() -> None:
    load = Load(START)
    for _ in range(3):
        load.begin(START + 0.5)
    assert (load.peak_rate().most, load.peak_rate().at) == (3, START)


@given(st.lists(st.floats(0, 100, allow_nan=False), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_not_exceeded_by_its_share(values: list[float], share: float) -> None:
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_the_percentiles_of_nothing_are_nothing() -> None:
    assert Load(START).percentile(0.5) == 0.0


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 10)), max_size=60))
def test_the_points_of_a_time_line_add_up(requests: list[tuple[float, float]]) -> None:
    load = Load(START)
    events = [(at, 1, 0.0) for at, _ in requests]
    events += [(at + took, -1, took) for at, took in requests]
    for at, change, took in sorted(events, key=lambda each: (each[0], -each[1])):
        if change > 0:
            load.begin(START + at)
        else:
            load.end(START + at, took, "status 500", limited=False, streamed=True)
    points = list(load.timeline(START + 50))
    assert [point.second for point in points] == [
        *range(points[0].second, points[0].second + len(points))
    ]
    count = len(requests)
    for name in ("started", "completed", "failed"):
        assert sum(getattr(point, name) for point in points) == count
    assert points[-1].connections == load.started == load.streamed == load.failed == count
    assert points[-1].active == load.active == 0
    assert sum(load.histogram) == count


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"status": 200}, ""),
        ({"status": 500}, "status 500"),
        ({"status": 429, "limited": "l"}, ""),
        ({"status": 400, "miss": "no recorded request matches"}, "miss"),
        ({"status": 200, "miss": "no recorded request matches"}, ""),
        ({"status": 503, "fault": "busy"}, "busy"),
        ({"status": 0, "fault": "hang"}, "hang"),
        ({"status": 200, "fault": "slow"}, ""),
        ({"status": 200, "note": "client left"}, ""),
        ({"status": 200, "note": "the upstream broke off"}, "the upstream broke off"),
    ],
)
def test_failures_are_of_few_kinds(told: dict[str, Any], kind: str) -> None:
    assert failure(Entry("POST", **told)) == kind
    metrics = Metrics(START, EPOCH)
    went_by(metrics, **told)
    assert list(metrics.total.errors) == ([kind] if kind else [])
    assert metrics.total.failed == bool(kind)


def test_a_reset_forgets_all_but_what_is_in_flight(metrics: Metrics) -> None:
    went_by(metrics, facts=Facts("m", input_tokens=3))
    running = opened(metrics, 1.0, facts=Facts(stream=True))
    metrics.reset(START + 10)
    assert (metrics.total.started, metrics.total.active) == (0, 1)
    assert metrics.loads["openai_chat"].active == 1
    assert sample(metrics, "tokens_total", direction="input") == 0
    assert metrics.total.at_once.most == 1
    closed(metrics, running, took=12.0)
    assert (metrics.total.completed, metrics.total.active) == (1, 0)
    assert metrics.loads["openai_chat"].active == 0
    assert next(iter(metrics.total.timeline(START + 14))).second == START + 10


# the shape of a dashboard


def test_the_dashboard_is_told_what_is_going_on(metrics: Metrics) -> None:
    went_by(metrics, 1.0, took=0.25)
    went_by(metrics, 1.25, took=0.5, status=500)
    opened(metrics, 1.5, facts=Facts(stream=True))
    told = dashboard.snapshot(metrics, START + 1.75)
    assert told["timestamp"] == 1_700_000_001_750
    assert told["endpoints"]["openai-chat"] == {
        "activeConnections": 1,
        "activeStreamingConnections": 1,
        "totalRequests": 3,
        "totalErrors": 1,
        "totalRateLimited": 0,
        "latencies": [250.0, 500.0],
        "requestTimestamps": [1_700_000_001_000, 1_700_000_001_250, 1_700_000_001_500],
        "requestsPerSecond": 3,
    }
    assert told["endpoints"]["gemini-stream-v1"]["totalRequests"] == 0
    assert set(told["endpoints"]) == set(dashboard.ENDPOINTS)
    assert told["global"] == {
        "totalActiveConnections": 1, "totalRequestsPerSecond": 3, "uptimeSeconds": 1.75,
    }  # fmt: skip


def test_endpoints_of_ours_stand_beside_those_of_the_dashboard(metrics: Metrics) -> None:
    went_by(metrics, endpoint="openai_embeddings")
    went_by(metrics, endpoint="")
    told = dashboard.snapshot(metrics, START + 1)["endpoints"]
    assert told["openai-embeddings"]["totalRequests"] == told["other"]["totalRequests"] == 1


def test_the_dashboard_gets_percentiles_of_an_endpoint(metrics: Metrics) -> None:
    for number in range(1, 101):
        went_by(metrics, took=number / 1_000)
    told = dashboard.latency(metrics, "openai-chat")
    assert told == {
        "endpoint": "openai-chat",
        "p50": pytest.approx(50),
        "p90": pytest.approx(90),
        "p99": pytest.approx(99),
    }
    assert dashboard.latency(metrics, "anthropic-messages") == {
        "endpoint": "anthropic-messages", "p50": 0, "p90": 0, "p99": 0,
    }  # fmt: skip
    assert dashboard.latency(metrics, "nowhere") is None


def test_the_dashboard_gets_everything_over_time(metrics: Metrics) -> None:
    times = (0.0, 0.011, 0.02, 0.03, 0.06, 0.2, 0.3, 0.9, 1.5, 3.0, 5.1, 60.0)
    entries = [opened(metrics, 0.5, facts=Facts(stream=took > 1)) for took in times]
    for entry, took in zip(entries, times, strict=True):
        closed(metrics, entry, took)
    went_by(metrics, 61.0, took=0.5, status=429, limited="l")
    went_by(metrics, 62.0, took=0.5, status=500)
    told = dashboard.detailed(metrics, START + 63.5)
    each = told["endpoints"]["openai-chat"]
    assert each == told["global"]
    assert [bucket["count"] for bucket in each["latencyHistogram"]] == [
        *(1, 2, 1, 1, 1, 1, 3, 1, 1, 2),
    ]
    assert each["latencyHistogram"][0] == {
        "bucket": "0-10ms", "min": 0, "max": 10, "count": 1, "percentage": 7.14,
    }  # fmt: skip
    assert each["latencyHistogram"][-1]["max"] is None
    assert each["errors"] == [{"type": "status 500", "count": 1, "lastOccurred": 1_700_000_062_500}]
    assert len(each["timeSeries"]) == 64
    assert each["timeSeries"][61]["requestsRateLimited"] == 1
    assert each["peaks"] == {
        "maxConcurrentConnections": 12,
        "maxConcurrentConnectionsAt": 1_700_000_000_500,
        "maxRPS": 12,
        "maxRPSAt": 1_700_000_000_000,
        "maxLatencyMs": pytest.approx(60_000),
        "maxLatencyAt": 1_700_000_060_500,
        "totalRequests": 14,
        "totalConnections": 14,
        "totalErrors": 1,
        "totalRateLimited": 1,
        "startTime": 1_700_000_000_000,
    }
    assert (each["totalStreaming"], each["totalNonStreaming"]) == (4, 10)
    assert (each["currentConnections"], each["currentStreaming"]) == (0, 0)
    assert each["testDurationSeconds"] == 63.5


async def test_the_export_in_json_is_what_is_told(metrics: Metrics) -> None:
    went_by(metrics)
    now = START + 2
    told = json.loads(await encoded(dashboard.detailed, metrics, now))
    assert told == dashboard.detailed(metrics, now)


def test_the_export_in_csv_is_a_line_a_second(metrics: Metrics) -> None:
    went_by(metrics, 1.0, took=0.25)
    lines = list(csv.reader(dashboard.as_csv(metrics, START + 2.5).splitlines()))
    assert lines[0] == list(dashboard.COLUMNS)
    assert lines[0][0] == "timestamp"
    assert [line[0] for line in lines[1:]] == [
        f"2023-11-14T22:13:{20 + number}.000Z" for number in range(3)
    ]
    assert lines[1][1:] == ["0"] * 6 + ["0.0"] * 4
    assert lines[2][1:] == ["0", "1", "1", "1", "0", "0", "250.0", "250.0", "250.0", "250.0"]


def test_the_events_of_an_entry_come_in_their_order() -> None:
    entry = Entry("POST", "r1", endpoint="openai_chat", status=500, began=START, ended=START + 0.5)
    told = list(dashboard.events("opened", entry, EPOCH))
    assert [each["type"] for each in told] == ["connection_open", "request_start"]
    assert told[1] == {
        "type": "request_start", "endpoint": "openai-chat", "timestamp": 1_700_000_000_000,
        "requestId": "r1", "streaming": False,
    }  # fmt: skip
    told = list(dashboard.events("closed", entry, EPOCH))
    assert [each["type"] for each in told] == ["error", "request_end", "connection_close"]
    assert (told[0]["error"], told[0]["latencyMs"]) == ("status 500", 500.0)
    entry.status, entry.limited = 429, "l"
    told = list(dashboard.events("closed", entry, EPOCH))
    assert [each["type"] for each in told] == ["rate_limited", "request_end", "connection_close"]


def test_a_point_can_be_made_of_another() -> None:
    points = list(Load(START).timeline(START + 1))
    assert points[1] == replace(points[0], second=points[0].second + 1)
