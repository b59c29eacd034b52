"""The numbers in the shape of mock-llm-server's dashboard.

Its names are in camelCase, its moments milliseconds of the epoch and its latencies milliseconds;
its endpoints are named ``openai-chat``. Versions of Gemini's API are one endpoint here, so what
came by ``/v1`` is counted at the names without ``-v1``. The routes that tell this are no business
of this file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from llmproxy.entry import Entry, timestamp
from llmproxy.metrics import Load, Metrics, failure
from llmproxy.metrics.loads import LATENCY_BOUNDS, Peak, Point

ENDPOINTS = (
    "openai-chat",
    "openai-responses",
    "anthropic-messages",
    "gemini-generate",
    "gemini-stream",
    "gemini-generate-v1",
    "gemini-stream-v1",
)
"""Those that are always told; others are told once they were asked."""

COLUMNS = (
    "timestamp",
    "active_connections",
    "cumulative_connections",
    "requests_started",
    "requests_completed",
    "requests_failed",
    "requests_rate_limited",
    "avg_latency_ms",
    "p50_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
)

_BUCKETS = (
    "0-10ms",
    "10-25ms",
    "25-50ms",
    "50-100ms",
    "100-250ms",
    "250-500ms",
    "500-1000ms",
    "1-2s",
    "2-5s",
    "5s+",
)


def endpoint_id(endpoint: str) -> str:
    """The dashboard's name of an endpoint: ``openai-chat``; ``other`` where nobody claims it."""
    return endpoint.replace("_", "-") or "other"


def snapshot(metrics: Metrics, now: float) -> dict[str, Any]:
    """What is going on: ``GET /api/metrics``; ``now`` is a reading of ``time.monotonic``."""
    return {
        "timestamp": _ms_of_epoch(metrics, now),
        "endpoints": {
            name: {
                "activeConnections": load.active,
                "activeStreamingConnections": metrics.streams(endpoint),
                "totalRequests": load.started,
                "totalErrors": load.failed,
                "totalRateLimited": load.limited,
                "latencies": [_ms(each) for each in load.latencies],
                "requestTimestamps": [_ms_of_epoch(metrics, each) for each in load.moments],
                "requestsPerSecond": round(load.rate(now), 3),
            }
            for name, endpoint, load in _loads(metrics)
        },
        "global": {
            "totalActiveConnections": metrics.total.active,
            "totalRequestsPerSecond": round(metrics.total.rate(now), 3),
            "uptimeSeconds": round(now - metrics.began, 3),
        },
    }


def latency(metrics: Metrics, name: str) -> dict[str, Any] | None:
    """``GET /api/metrics/latency/:endpoint``; None where there is no such endpoint."""
    for id, _, load in _loads(metrics):
        if id == name:
            shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
            return {"endpoint": id} | {p: _ms(load.percentile(s)) for p, s in shares.items()}
    return None


def detailed(metrics: Metrics, now: float) -> dict[str, Any]:
    """Everything over time: ``GET /api/detailed-metrics``."""
    return {
        "timestamp": _ms_of_epoch(metrics, now),
        "endpoints": {
            name: _detailed(metrics, load, now, metrics.streams(endpoint))
            for name, endpoint, load in _loads(metrics)
        },
        "global": _detailed(metrics, metrics.total, now, metrics.streams()),
    }


def as_csv(metrics: Metrics, now: float) -> str:
    """The export of the time line of all endpoints together, a line a second."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for point in metrics.total.timeline(now):
        writer.writerow(
            (
                timestamp(metrics.at(point.second)),
                point.active,
                point.connections,
                point.started,
                point.completed,
                point.failed,
                point.limited,
                *map(_ms, (point.average, point.p50, point.p95, point.p99)),
            )
        )
    return text.getvalue()


def events(kind: str, entry: Entry, at: float) -> Iterator[dict[str, Any]]:
    """What the dashboard hears of an entry that was ``opened`` or ``closed``.

    Args:
        kind: of the journal's events.
        entry: the entry.
        at: seconds of the epoch.
    """
    told: dict[str, Any] = {
        "endpoint": endpoint_id(entry.endpoint),
        "timestamp": round(at * 1e3),
        "requestId": entry.id,
        "streaming": entry.facts.stream,
    }
    if kind == "opened":
        yield {"type": "connection_open", **told}
        yield {"type": "request_start", **told}
        return
    told["latencyMs"] = _ms(entry.duration)
    if entry.limited:
        yield {"type": "rate_limited", **told}
    elif error := failure(entry):
        yield {"type": "error", **told, "error": error}
    yield {"type": "request_end", **told}
    yield {"type": "connection_close", **told}


def _loads(metrics: Metrics) -> Iterator[tuple[str, str, Load]]:
    """Name, endpoint and load of each endpoint."""
    loads = {endpoint_id(endpoint): endpoint for endpoint in metrics.loads}
    for name in (*ENDPOINTS, *(name for name in loads if name not in ENDPOINTS)):
        endpoint = loads.get(name, name.replace("-", "_"))
        yield name, endpoint, metrics.loads.get(endpoint) or Load(metrics.began)


def _detailed(metrics: Metrics, load: Load, now: float, streams: int) -> dict[str, Any]:
    return {
        "timeSeries": [_point(metrics, point) for point in load.timeline(now)],
        "peaks": _peaks(metrics, load),
        "latencyHistogram": _histogram(load),
        "errors": [
            {
                "type": kind,
                "count": failures.count,
                "lastOccurred": _ms_of_epoch(metrics, failures.last),
            }
            for kind, failures in load.errors.items()
        ],
        "currentRPS": round(load.rate(now), 3),
        "currentConnections": load.active,
        "currentStreaming": streams,
        "totalStreaming": load.streamed,
        "totalNonStreaming": load.completed - load.streamed,
        "testDurationSeconds": round(now - metrics.began, 3),
    }


def _point(metrics: Metrics, point: Point) -> dict[str, Any]:
    return {
        "timestamp": _ms_of_epoch(metrics, point.second),
        "activeConnections": point.active,
        "cumulativeConnections": point.connections,
        "requestsStarted": point.started,
        "requestsCompleted": point.completed,
        "requestsFailed": point.failed,
        "requestsRateLimited": point.limited,
        "avgLatencyMs": _ms(point.average),
        "p50LatencyMs": _ms(point.p50),
        "p95LatencyMs": _ms(point.p95),
        "p99LatencyMs": _ms(point.p99),
    }


def _peaks(metrics: Metrics, load: Load) -> dict[str, Any]:
    def at(peak: Peak) -> int | None:
        return None if peak.at is None else _ms_of_epoch(metrics, peak.at)

    fastest = load.peak_rate()
    return {
        "maxConcurrentConnections": int(load.at_once.most),
        "maxConcurrentConnectionsAt": at(load.at_once),
        "maxRPS": int(fastest.most),
        "maxRPSAt": at(fastest),
        "maxLatencyMs": _ms(load.slowest.most),
        "maxLatencyAt": at(load.slowest),
        "totalRequests": load.started,
        "totalConnections": load.started,
        "totalErrors": load.failed,
        "totalRateLimited": load.limited,
        "startTime": _ms_of_epoch(metrics, metrics.began),
    }


def _histogram(load: Load) -> list[dict[str, Any]]:
    bounds = [0.0, *LATENCY_BOUNDS]
    total = sum(load.histogram)
    return [
        {
            "bucket": name,
            "min": _ms(low),
            "max": None if number + 1 == len(bounds) else _ms(bounds[number + 1]),
            "count": load.histogram[number],
            "percentage": round(100 * load.histogram[number] / total, 2) if total else 0,
        }
        for number, (name, low) in enumerate(zip(_BUCKETS, bounds, strict=True))
    ]


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)


def _ms_of_epoch(metrics: Metrics, moment: float) -> int:
    return round(metrics.at(moment) * 1e3)
