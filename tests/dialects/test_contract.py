"""One contract, run over every dialect by itself: whose request, errors, failures, facts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.example import JSON, NDJSON, SSE, Asked, Told
from dialects.examples import EXAMPLES
from llmproxy import dialects
from llmproxy.dialects import DIALECTS, Dialect
from llmproxy.interaction import Facts, Problem

NAMES = [dialect.name for dialect in DIALECTS]
TEXTS = st.text(max_size=40) | st.just("cut \ud83d in two\r\n\r\ndata: x")


def get(name: str) -> Dialect:
    dialect = dialects.named(name)
    assert dialect is not None
    return dialect


def asked() -> list[tuple[str, Asked]]:
    return [(name, request) for name in EXAMPLES for request in EXAMPLES[name].asked]


def inner(body: dict[str, Any]) -> dict[str, Any]:
    """The object that holds the message: Ollama has a bare text."""
    error = body["error"]
    return error if isinstance(error, dict) else {"message": error, **body}


def test_every_dialect_has_examples_and_a_name_of_its_own() -> None:
    assert sorted(NAMES) == sorted(EXAMPLES)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize(("name", "request_"), asked())
def test_a_dialect_claims_its_requests_and_nobody_elses(name: str, request_: Asked) -> None:
    found = dialects.of(request_.method, request_.path, request_.headers, request_.query)
    assert found is get(name)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/favicon.ico"),
        ("POST", "/upload"),
        ("GET", "/?apikey=1"),
        ("POST", "/mcp"),
        ("POST", "/v2/chat"),
        ("GET", "/v1/modelships"),
        ("POST", "/api/chatter"),
        ("POST", "/v1/engineering:rawPredict"),
    ],
)
def test_nobody_claims_the_rest(method: str, target: str) -> None:
    request = Asked(method, target)
    assert dialects.of(method, request.path, (), request.query) is None


def test_an_unknown_name_is_no_dialect() -> None:
    assert dialects.named("telepathy") is None
    assert dialects.named(None) is None


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(message=TEXTS, code=st.none() | st.just("llmproxy_miss"), status=st.integers(400, 599))
def test_any_problem_becomes_ascii_json_that_keeps_its_text(
    name: str, message: str, code: str | None, status: int
) -> None:
    detail: dict[str, object] = {"candidates": [{"path": message}]}
    problem = Problem(status, message, code=code, detail=detail)
    answered, headers, body = get(name).write_error(problem)
    assert body.isascii()
    assert (answered, headers) == (status, (("content-type", "application/json"),))
    error = inner(json.loads(body))
    assert error["message"] == message
    assert error["llmproxy"] == detail


@pytest.mark.parametrize("name", NAMES)
def test_without_detail_there_is_no_key_of_ours(name: str) -> None:
    assert b"llmproxy" not in get(name).write_error(Problem(500, "x"))[2]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (7.0, {"retry-after": "7", "retry-after-ms": "7000"}),
        (0.25, {"retry-after": "1", "retry-after-ms": "250"}),
        (0.0, {"retry-after": "0", "retry-after-ms": "0"}),
        (None, {}),
        (-1.0, {}),
        (float("inf"), {}),
        (float("nan"), {}),
    ],
)
def test_a_wait_becomes_headers(name: str, seconds: float | None, expected: dict[str, str]) -> None:
    _, headers, _ = get(name).write_error(Problem(429, "slow", retry_after=seconds))
    assert {key: value for key, value in headers if key.startswith("retry")} == expected


def test_openai_has_all_four_fields() -> None:
    problem = Problem(404, "gone", kind="not_here", code="model_not_found", param="model")
    body = json.loads(get("openai").write_error(problem)[2])
    error = {"message": "gone", "type": "not_here", "param": "model", "code": "model_not_found"}
    assert body == {"error": error}
    bare = json.loads(get("openai").write_error(Problem(400, "x"))[2])["error"]
    assert bare == {"message": "x", "type": "invalid_request_error", "param": None, "code": None}


def test_openai_does_not_blame_the_request_for_a_server_error() -> None:
    body = json.loads(get("openai").write_error(Problem(502, "x"))[2])
    assert body["error"]["type"] == "server_error"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (408, "invalid_request_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropic_names_the_error_by_its_status(status: int, kind: str) -> None:
    body = json.loads(get("anthropic").write_error(Problem(status, "x", code="c"))[2])
    error = {"type": kind, "message": "x", "details": {"error_code": "c"}}
    assert body == {"type": "error", "error": error, "request_id": None}


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (409, "ABORTED"),
        (418, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
def test_gemini_names_the_error_by_its_status(status: int, word: str) -> None:
    body = json.loads(get("gemini").write_error(Problem(status, "x"))[2])
    assert body == {"error": {"code": status, "message": "x", "status": word}}


def test_gemini_says_code_and_wait_in_details() -> None:
    problem = Problem(429, "slow", code="llmproxy_limit", retry_after=7.25)
    details = json.loads(get("gemini").write_error(problem)[2])["error"]["details"]
    prefix = "type.googleapis.com/google.rpc."
    assert details == [
        {"@type": f"{prefix}ErrorInfo", "reason": "LLMPROXY_LIMIT", "domain": "llmproxy"},
        {"@type": f"{prefix}RetryInfo", "retryDelay": "7.25s"},
    ]


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(message=TEXTS, after_a_stream=st.booleans())
def test_a_written_stream_error_is_recognised_and_one_event(
    name: str, message: str, after_a_stream: bool
) -> None:
    dialect, examples = get(name), EXAMPLES[name]
    for path in {request.path for request in examples.asked}:
        event = dialect.write_stream_error(Problem(503, message), path)
        assert event.isascii()
        content_type, sound = examples.sound[0]
        assert event.endswith(b"\n")
        assert event.rstrip().count(b"\n") <= 1
        reason = dialect.stream_failed(content_type, (sound if after_a_stream else b"") + event)
        assert reason is not None


@pytest.mark.parametrize(
    ("name", "content_type", "body", "words"),
    [(name, *failed) for name in EXAMPLES for failed in EXAMPLES[name].failed],
)
def test_a_failed_stream_is_told_in_a_few_words(
    name: str, content_type: str, body: bytes, words: str
) -> None:
    reason = get(name).stream_failed(content_type, body)
    assert reason is not None
    assert words in reason
    assert len(reason) < 80


@pytest.mark.parametrize("name", NAMES)
def test_the_reason_never_quotes_the_message(name: str) -> None:
    secret = "key sk" + "-made-up was refused"
    dialect = get(name)
    content_type = EXAMPLES[name].sound[0][0]
    event = dialect.write_stream_error(Problem(401, secret, code=secret, kind=secret))
    reason = dialect.stream_failed(content_type, event)
    assert reason is not None
    assert "made-up" not in reason


@pytest.mark.parametrize(
    ("name", "content_type", "body"),
    [(name, *sound) for name in EXAMPLES for sound in EXAMPLES[name].sound],
)
def test_a_sound_stream_has_not_failed(name: str, content_type: str, body: bytes) -> None:
    assert get(name).stream_failed(content_type, body) is None


@pytest.mark.parametrize(
    ("name", "told"), [(name, told) for name in EXAMPLES for told in EXAMPLES[name].told]
)
def test_facts_are_read(name: str, told: Told) -> None:
    facts = get(name).read_facts(told.path, told.body, told.content_type, told.reply)
    assert facts == told.facts


def bodies(name: str) -> list[bytes]:
    examples = EXAMPLES[name]
    return [
        *(body for _, body in examples.sound),
        *(body for _, body, _ in examples.failed),
        *(told.reply for told in examples.told),
        *(told.body for told in examples.told),
    ]


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(content_type=st.sampled_from([SSE, JSON, NDJSON, "", "text/html"]), pick=st.data())
def test_nothing_raises_on_garbage(name: str, content_type: str, pick: st.DataObject) -> None:
    cut = st.sampled_from(bodies(name)).flatmap(
        lambda body: st.integers(0, len(body)).map(lambda end: body[:end])
    )
    odd = st.binary(max_size=200) | st.sampled_from(ODD)
    garbage = st.tuples(cut, odd, cut).map(b"".join) | odd | cut
    body, reply = pick.draw(garbage), pick.draw(garbage)
    path = pick.draw(st.sampled_from([told.path for told in EXAMPLES[name].told]) | st.text())
    facts = get(name).read_facts(path, body, content_type, reply)
    assert isinstance(facts, Facts)
    assert facts.model.encode() is not None
    reason = get(name).stream_failed(content_type, reply)
    assert reason is None or reason


ODD = [
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"model":{"usage":1},"stream":[],"usage":7}',
    b'{"model":"\\ud800","stream":1}',
    b'{"usage":{"prompt_tokens":' + b"9" * 5000 + b"}}",
    b'{"usage":{"prompt_tokens":true,"completion_tokens":-1}}',
    b'data: {"usage":{"prompt_tokens":1e3,"completion_tokens":99999999999999999999}}\n\n',
    b'data: {"choices":[7],"error":[]}\n\n',
    b'data: {"usageMetadata":{"promptTokenCount":"x"}}\n\n',
    b"null",
    b"\xff\xfe",
]


@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_no_column_holds_are_unknown(name: str) -> None:
    for body in ODD:
        for content_type in (SSE, JSON, NDJSON):
            facts = get(name).read_facts("/x", body, content_type, body)
            assert (facts.input_tokens, facts.output_tokens) == (None, None)
