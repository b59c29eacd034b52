"""The counters as text for Prometheus (exposition format 0.0.4).

Each family is a name, its kind, its help and its samples; values are written here and nowhere
else. Labels come from strangers, so they are escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from llmproxy.metrics import Metrics, Queue
from llmproxy.metrics.tallies import Histogram, Tallies, Tally, Times

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, Mapping[str, str], float]
"""What is added to the family's name, labels, value."""

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def exposition(metrics: Metrics) -> str:
    """All of it; ends with a line break."""
    lines: list[str] = []
    for name, kind, help, samples in _families(metrics):
        lines += (f"# HELP {name} {help}", f"# TYPE {name} {kind}")
        lines += (f"{name}{end}{_labels(labels)} {_number(v)}" for end, labels, v in samples)
    return "\n".join(lines) + "\n"


def _families(metrics: Metrics) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
    tallies = metrics.tallies
    yield (
        "llmproxy_requests_total",
        "counter",
        "Requests that have ended; status 0 is no answer.",
        _requests(tallies),
    )
    yield (
        "llmproxy_misses_total",
        "counter",
        "Requests that matched no recording.",
        _one(_sum(tallies, lambda tally: tally.misses)),
    )
    yield (
        "llmproxy_chunk_lateness_seconds",
        "histogram",
        "The most by which a chunk of a reply left after its moment.",
        _histogram(tallies, lambda times: times.late),
    )
    yield (
        "llmproxy_first_byte_seconds",
        "histogram",
        "From the request to the first byte of its reply.",
        _histogram(tallies, lambda times: times.first_byte),
    )
    yield (
        "llmproxy_duration_seconds",
        "histogram",
        "From the request to the end of its reply.",
        _histogram(tallies, lambda times: times.duration),
    )
    yield "llmproxy_requests_open", "gauge", "Requests in flight.", _one(len(metrics.open))
    yield "llmproxy_streams_open", "gauge", "Streams in flight.", _one(metrics.streams())
    yield (
        "llmproxy_limited_total",
        "counter",
        "Requests that a limit refused.",
        [("", {"limit": name}, count) for name, count in sorted(tallies.limited.items())],
    )
    yield (
        "llmproxy_faults_total",
        "counter",
        "Faults that struck.",
        [("", {"fault": name}, count) for name, count in sorted(tallies.faults.items())],
    )
    yield (
        "llmproxy_tokens_total",
        "counter",
        "Tokens as replies report them.",
        _directions(
            _sum(tallies, lambda tally: tally.input_tokens),
            _sum(tallies, lambda tally: tally.output_tokens),
        ),
    )
    yield (
        "llmproxy_bytes_total",
        "counter",
        "Bytes of request bodies (input) and reply bodies (output).",
        _directions(
            _sum(tallies, lambda tally: tally.received), _sum(tallies, lambda tally: tally.sent)
        ),
    )
    if metrics.queue is not None:
        yield from _recorder(metrics.queue())


def _recorder(queue: Queue) -> Iterator[tuple[str, str, str, Iterable[Sample]]]:
    name = "llmproxy_recorder"
    yield f"{name}_queue_bytes", "gauge", "What waits for the disk.", _one(queue.waiting)
    yield f"{name}_kept_total", "counter", "Exchanges that were kept.", _one(queue.kept)
    yield f"{name}_lost_total", "counter", "Exchanges that could not be kept.", _one(queue.lost)


def _requests(tallies: Tallies) -> Iterator[Sample]:
    for (endpoint, model, source, status), tally in tallies.by_key.items():
        labels = {"endpoint": endpoint, "model": model, "source": source, "status": str(status)}
        yield "", labels, tally.requests


def _histogram(tallies: Tallies, of: Callable[[Times], Histogram]) -> Iterator[Sample]:
    for (endpoint, source), times in tallies.times.items():
        histogram = of(times)
        labels = {"endpoint": endpoint, "source": source}
        counts = list(accumulate(histogram.buckets))
        bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
        for bound, count in zip(bounds, counts, strict=True):
            yield "_bucket", {**labels, "le": bound}, count
        yield "_sum", labels, histogram.sum
        yield "_count", labels, counts[-1]


def _sum(tallies: Tallies, of: Callable[[Tally], int]) -> int:
    return sum(map(of, tallies.by_key.values()))


def _one(value: float) -> Iterable[Sample]:
    return (("", {}, value),)


def _directions(entering: int, leaving: int) -> Iterable[Sample]:
    return (("", {"direction": "input"}, entering), ("", {"direction": "output"}, leaving))


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_value(value)}"' for name, value in labels.items()) + "}"


def _value(text: str) -> str:
    return text.translate(_ESCAPES).encode("utf-8", "replace").decode()


def _number(value: float) -> str:
    return repr(value)
