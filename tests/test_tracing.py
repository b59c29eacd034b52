"""Spans: one a request, with the conventions' names, and nothing that is secret."""

from __future__ import annotations

import http.server
import logging
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import program
from llmproxy import tracing
from llmproxy.tracing import Spans, operation_of, spans_from
from serve import mocking
from sockets import ask
from test_synthesizer import JSON, chat

KEY = "sk-" + "proj" * 10


async def spans_of(*statuses: str) -> tuple[ReadableSpan, ...]:
    """The spans of a chat each, which asks for that fault."""
    exporter = InMemorySpanExporter()
    spans = Spans(exporter)
    async with mocking() as service:
        service.journal.subscribe(spans)
        for status in statuses:
            fault = (f"x-llmproxy-fault: {status}",) if status else ()
            await chat(service, f"Authorization: Bearer {KEY}", *fault)
    spans.close()
    return exporter.get_finished_spans()


async def test_a_request_is_a_span_with_model_and_tokens() -> None:
    before = time.time()
    (span,) = await spans_of("")
    told = dict(span.attributes or {})
    assert span.name == "chat gpt-4o"
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "openai"
    assert told["gen_ai.request.model"] == "gpt-4o"
    assert isinstance(told["gen_ai.usage.output_tokens"], int)
    assert told["http.response.status_code"] == 200
    assert told["llmproxy.source"] == "synthesized"
    assert "error.type" not in told
    assert span.start_time is not None
    assert span.end_time is not None
    assert before - 1 <= span.start_time / 1e9 <= span.end_time / 1e9 <= time.time() + 1


async def test_an_error_is_one_and_nothing_secret_is_told() -> None:
    spans = await spans_of("529", "")
    assert [span.status.status_code for span in spans] == [StatusCode.ERROR, StatusCode.UNSET]
    assert dict(spans[0].attributes or {})["error.type"] == "529"
    assert "Hi" not in str([span.to_json() for span in spans])
    assert KEY not in str([span.to_json() for span in spans])


@pytest.mark.parametrize(
    ("endpoint", "operation"),
    [
        ("openai_chat", "chat"),
        ("anthropic_messages", "chat"),
        ("openai_completions", "text_completion"),
        ("gemini_generate", "generate_content"),
        ("openai_embeddings", "embeddings"),
        ("gemini_embed", "embeddings"),
    ],
)
def test_an_endpoint_has_the_conventions_name(endpoint: str, operation: str) -> None:
    assert operation_of(endpoint) == operation


def test_without_a_collector_there_are_no_spans() -> None:
    assert spans_from({}) is None


def test_a_missing_extra_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http", None)
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with caplog.at_level(logging.WARNING, "llmproxy"):
        assert spans_from({tracing.COLLECTORS[0]: "http://127.0.0.1:1"}) is None
    assert "extra otel is not installed" in caplog.text


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A collector that keeps what it is sent."""
    got: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


async def test_the_program_sends_its_spans_to_the_collector_that_is_named(
    collector: tuple[str, list[bytes]],
) -> None:
    url, got = collector
    with program.serve("mock", OTEL_EXPORTER_OTLP_ENDPOINT=url) as served:
        body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}'
        assert (await ask(served.url, "/v1/chat/completions", body, JSON)).status == 200
        assert served.stop()[0] == 0
    assert b"gen_ai.request.model" in b"".join(got)


async def test_a_collector_that_is_away_holds_nobody_up() -> None:
    with program.serve("mock", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as served:
        body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}'
        assert (await ask(served.url, "/v1/chat/completions", body, JSON)).status == 200
        assert served.stop(timeout=15)[0] == 0
