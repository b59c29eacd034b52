"""OpenTelemetry: a span for each request, by the conventions for generative AI (extra ``otel``).

Where the environment names a collector (``OTEL_EXPORTER_OTLP_ENDPOINT`` or that of traces) spans go
there, in the background. They say no more than the log does: no prompt, no answer, no key.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmproxy import __version__
from llmproxy.entry import Entry
from llmproxy.journal import Event

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

log = logging.getLogger("llmproxy")

COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
LAST_EXPORT = 3.0
"""Seconds that the end waits for a collector."""

_OPERATIONS = (
    ("generate", "generate_content"),
    ("completions", "text_completion"),
    ("embed", "embeddings"),
)
"""A part of our name for an endpoint, and the conventions' name; all others are ``chat``."""
_PROVIDERS = {"gemini": "gcp.gemini"}


class Spans:
    """Makes a span of each entry that is closed; subscribes to a journal."""

    def __init__(self, exporter: SpanExporter) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        resource = Resource.create({"service.name": "llmproxy", "service.version": __version__})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("llmproxy", __version__)

    def __call__(self, event: Event, entry: Entry) -> None:
        if event != "closed":
            return
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415

        began = entry.time - (entry.ended - entry.began)
        operation = operation_of(entry.endpoint) if entry.endpoint else entry.method
        name = f"{operation} {entry.facts.model or entry.path}"[:200]
        span = self._tracer.start_span(
            name, kind=SpanKind.SERVER, attributes=attributes(entry), start_time=_nanoseconds(began)
        )
        if not entry.status or entry.status >= 400:
            span.set_status(StatusCode.ERROR)
        span.end(_nanoseconds(entry.time))

    def close(self) -> None:
        """Send what waits, as far as the collector takes it in time."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(LAST_EXPORT)


def attributes(entry: Entry) -> dict[str, Any]:
    """The attributes of a span, those without a value left out."""
    told = {
        "gen_ai.operation.name": entry.endpoint and operation_of(entry.endpoint),
        "gen_ai.provider.name": _PROVIDERS.get(entry.dialect, entry.dialect),
        "gen_ai.request.model": entry.facts.model,
        "gen_ai.usage.input_tokens": entry.facts.input_tokens,
        "gen_ai.usage.output_tokens": entry.facts.output_tokens,
        "http.request.method": entry.method,
        "url.path": entry.path,
        "http.response.status_code": entry.status,
        "error.type": str(entry.status) if entry.status >= 400 or not entry.status else "",
        "llmproxy.source": entry.source,
        "llmproxy.session": entry.session,
        "llmproxy.rule": entry.rule,
        "llmproxy.match": entry.match,
        "llmproxy.miss": entry.miss,
        "llmproxy.limited": entry.limited,
        "llmproxy.fault": entry.fault,
        "llmproxy.time_to_first_byte": round(entry.until_first_byte, 6),
    }
    return {name: value for name, value in told.items() if value is not None and value != ""}


def operation_of(endpoint: str) -> str:
    """The conventions' name of an operation such as ``openai_chat``."""
    return next((name for part, name in _OPERATIONS if part in endpoint), "chat")


def spans_from(environment: Mapping[str, str]) -> Spans | None:
    """Spans for the collector that the environment names; None where it names none."""
    if not any(environment.get(name) for name in COLLECTORS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  # an extra
            OTLPSpanExporter,
        )
    except ImportError:
        log.warning("a collector is named, and the extra otel is not installed: no spans")
        return None
    return Spans(OTLPSpanExporter())


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
