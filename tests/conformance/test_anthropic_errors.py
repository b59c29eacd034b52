"""Anthropic's errors through its SDK: each status its class, retries, broken streams, refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from anthropic.types import Message

from conformance import anthropic_clients
from conformance.anthropic_clients import (
    MODEL,
    OLD,
    Client,
    asked,
    events,
    helped,
    joined,
    message,
    parsed,
    said,
    tools,
)
from conformance.driving import Flat, Kind, Mocking, Raw, done, entered, gather, items, raw, user
from llmproxy.service import Service

MESSAGES = "/v1/messages"
TEXT = "One two three, four five six."
VERSION = {"anthropic-version": "2023-06-01"}


def of(new: str, old: str) -> type[anthropic.APIStatusError]:
    """The class of that name in this generation of the SDK."""
    found: type[anthropic.APIStatusError] = getattr(anthropic._exceptions, old if OLD else new)
    return found


STATUSES: list[tuple[int, type[anthropic.APIStatusError], str]] = [
    (400, anthropic.BadRequestError, "invalid_request_error"),
    (401, anthropic.AuthenticationError, "authentication_error"),
    (402, of("PaymentRequiredError", "APIStatusError"), "billing_error"),
    (403, anthropic.PermissionDeniedError, "permission_error"),
    (404, anthropic.NotFoundError, "not_found_error"),
    (408, of("RequestTimeoutError", "APIStatusError"), "invalid_request_error"),
    (409, anthropic.ConflictError, "conflict_error"),
    (413, of("ContentTooLargeError", "RequestTooLargeError"), "request_too_large"),
    (418, anthropic.APIStatusError, "invalid_request_error"),
    (422, anthropic.UnprocessableEntityError, "invalid_request_error"),
    (429, anthropic.RateLimitError, "rate_limit_error"),
    (500, anthropic.InternalServerError, "api_error"),
    (502, anthropic.InternalServerError, "api_error"),
    (503, of("ServiceUnavailableError", "InternalServerError"), "api_error"),
    (504, of("GatewayTimeoutError", "InternalServerError"), "timeout_error"),
    (529, anthropic._exceptions.OverloadedError, "overloaded_error"),
]
"""Status, what the SDK raises, and the type that Anthropic's documentation gives it."""


@pytest.fixture
async def client(mock: Service, kind: Kind, session: dict[str, str]) -> AsyncIterator[Client]:
    """Anthropic's client, in its strict mode and without retries, at the default server."""
    async with anthropic_clients.client(mock.url, kind, default_headers=session) as made:
        yield made


def error_of(body: Any, type: str) -> dict[str, Any]:
    """The error in a body, which must be Anthropic's envelope."""
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert set(body["error"]) <= {"type", "message", "details"}
    assert body["error"]["type"] == type
    assert body["error"]["message"]
    return dict(body["error"])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "raises", "type"), STATUSES, ids=[str(row[0]) for row in STATUSES]
)
async def test_each_status_raises_its_class(
    client: Client,
    status: int,
    raises: type[anthropic.APIStatusError],
    type: str,
    streamed: bool,
) -> None:
    with pytest.raises(raises) as raised:
        await (events if streamed else message)(client, {"error": {"status": status}})
    error = raised.value
    assert error.__class__ is raises
    assert error.status_code == status
    assert error_of(error.body, type)["message"] in error.message
    assert error.type == type
    assert error.request_id is not None
    assert error.request_id.startswith("req_")
    assert error.body["request_id"] == error.request_id  # type: ignore[index]
    assert error.response.headers["content-type"] == "application/json"
    assert error.response.headers["x-llmproxy-source"] == "synthesized"


async def test_an_error_says_what_was_scripted(client: Client) -> None:
    script = {
        "status": 429,
        "message": "Too much, naïve one.",
        "code": "ramp_limit",
        "headers": {"anthropic-ratelimit-requests-remaining": "0", "request-id": "req_mine"},
        "retry_after": 7,
    }
    with pytest.raises(anthropic.RateLimitError) as raised:
        await message(client, {"error": script})
    error = raised.value
    told = error_of(error.body, "rate_limit_error")
    assert told["message"] == script["message"]
    assert told["details"] == {"error_code": "ramp_limit"}
    assert error.request_id == "req_mine"
    headers = error.response.headers
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("7", "7000")


async def test_helpers_raise_too(client: Client) -> None:
    with pytest.raises(anthropic.RateLimitError):
        await helped(client, {"error": 429})
    with pytest.raises(anthropic.InternalServerError):
        await parsed(client, {"error": 500}, output_format=Flat)


# retries


async def retried(
    service: Service, kind: Kind, session: dict[str, str], error: dict[str, Any], retries: int = 2
) -> tuple[Any, int]:
    """What came of a request whose reply is ``error``, and how often it was asked."""
    before = service.journal.requests
    result: Any
    async with anthropic_clients.client(
        service.url, kind, max_retries=retries, default_headers=session
    ) as client:
        arguments = asked({"text": "At last", "error": error}, {})
        try:
            result = await done(client.messages.with_raw_response.create(**arguments))
        except anthropic.APIError as failed:
            result = failed
    return result, service.journal.requests - before


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
async def test_the_sdk_retries_until_it_succeeds(
    mock: Service, kind: Kind, session: dict[str, str], status: int
) -> None:
    headers = {"retry-after-ms": "1"}
    error = {"status": status, "times": 2, "headers": headers}
    reply, requests = await retried(mock, kind, session, error)
    assert (requests, reply.retries_taken) == (3, 2)
    assert said(await done(reply.parse())) == "At last"


async def test_the_sdk_waits_as_long_as_it_is_told(
    mock: Service, kind: Kind, session: dict[str, str]
) -> None:
    reply, requests = await retried(
        mock, kind, session, {"status": 429, "times": 1, "retry_after": 0.002}
    )
    assert (requests, reply.retries_taken) == (2, 1)


async def test_the_sdk_gives_up_after_its_last_retry(
    mock: Service, kind: Kind, session: dict[str, str]
) -> None:
    error = {"status": 529, "times": 3, "headers": {"retry-after-ms": "1"}}
    reply, requests = await retried(mock, kind, session, error)
    assert isinstance(reply, anthropic._exceptions.OverloadedError)
    assert requests == 3
    reply, requests = await retried(mock, kind, session, error)
    assert (reply.retries_taken, requests) == (0, 1)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
async def test_the_sdk_does_not_retry_what_is_the_clients_fault(
    mock: Service, kind: Kind, session: dict[str, str], status: int
) -> None:
    reply, requests = await retried(mock, kind, session, {"status": status, "times": 1})
    assert isinstance(reply, anthropic.APIStatusError)
    assert requests == 1


@pytest.mark.parametrize(("status", "should", "requests"), [(500, "false", 1), (400, "true", 2)])
async def test_the_header_about_retries_is_obeyed(
    mock: Service, kind: Kind, session: dict[str, str], status: int, should: str, requests: int
) -> None:
    headers = {"x-should-retry": should, "retry-after-ms": "1"}
    error = {"status": status, "times": 1, "headers": headers}
    assert (await retried(mock, kind, session, error))[1] == requests


async def test_a_stream_is_retried_before_it_begins(
    mock: Service, kind: Kind, session: dict[str, str]
) -> None:
    script = {
        "text": TEXT,
        "error": {"status": 529, "times": 1, "headers": {"retry-after-ms": "1"}},
    }
    async with anthropic_clients.client(
        mock.url, kind, max_retries=1, default_headers=session
    ) as client:
        _, gathered = await helped(client, script)
    assert said(gathered) == TEXT


# streams that break


@pytest.mark.parametrize("after", [0, 3])
async def test_an_error_in_mid_stream_raises_after_the_events_before_it(
    client: Client, after: int
) -> None:
    error = {"status": 529, "message": "Overloaded now"}
    script = {"text": TEXT, "stream_error": error, "after_chunks": after}
    stream = await done(client.messages.create(**asked(script, {}), stream=True))
    rows: list[Any] = []
    with pytest.raises(anthropic.APIStatusError) as raised:
        await gather(stream, rows)
    assert raised.value.status_code == 200
    assert error_of(raised.value.body, "overloaded_error")["message"] == "Overloaded now"
    assert len([row for row in rows if row.type == "content_block_delta"]) == after
    assert rows[0].type == "message_start"
    assert TEXT.startswith(joined(rows))


async def test_the_helper_raises_in_mid_stream(client: Client) -> None:
    script = {"text": TEXT, "stream_error": {"status": 500, "message": "Gone."}, "after_chunks": 2}
    with pytest.raises(anthropic.APIStatusError, match="Gone."):
        await helped(client, script)


async def test_an_error_for_streams_answers_a_whole_reply_with_its_status(client: Client) -> None:
    script = {"text": TEXT, "stream_error": {"status": 500, "message": "Gone."}}
    with pytest.raises(anthropic.InternalServerError, match="Gone."):
        await message(client, script)


# what Anthropic would refuse


def body(**changes: Any) -> dict[str, Any]:
    """A request; a member that is None is left out."""
    whole = {"model": MODEL, "max_tokens": 4000, "messages": user("Hi"), **changes}
    return {name: value for name, value in whole.items() if value is not None}


def block(**members: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [members]}]


USED = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "toolu_1", "name": "tick", "input": {}}],
}
RESULT = {
    "role": "user",
    "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}],
}

REFUSED: dict[str, tuple[Any, str]] = {
    "no model": (body(model=None), "model: Field required"),
    "an empty model": (body(model=""), "model"),
    "a model that is a number": (body(model=7), "model: Input should be a valid string"),
    "no max_tokens": (body(max_tokens=None), "max_tokens: Field required"),
    "max_tokens that are a text": (body(max_tokens="9"), "max_tokens"),
    "max_tokens below 0": (body(max_tokens=-1), "max_tokens"),
    "no messages": (body(messages=None), "messages: Field required"),
    "empty messages": (body(messages=[]), "messages: at least one message is required"),
    "messages that are a text": (body(messages="Hi"), "messages: Input should be a valid list"),
    "a message that is a text": (body(messages=["Hi"]), "messages.0"),
    "a message without a role": (body(messages=[{"content": "Hi"}]), "messages.0.role"),
    "an unknown role": (body(messages=[{"role": "king", "content": ""}]), "messages.0.role"),
    "a message without content": (body(messages=[{"role": "user"}]), "messages.0.content"),
    "empty content": (body(messages=user("")), "messages.0.content"),
    "content that is a number": (
        body(messages=[{"role": "user", "content": 7}]),
        "messages.0.content",
    ),
    "a block without a type": (body(messages=block(text="Hi")), "messages.0.content.0.type"),
    "a block of an unknown type": (
        body(messages=block(type="smell")),
        "messages.0.content.0.type: Input tag 'smell'",
    ),
    "an empty text": (body(messages=block(type="text", text="")), "messages.0.content.0.text"),
    "an image without a source": (
        body(messages=block(type="image")),
        "messages.0.content.0.source: Field required",
    ),
    "a call of the user's": (
        body(messages=block(type="tool_use", id="toolu_1", name="tick", input={})),
        "messages.0.content.0",
    ),
    "thinking without a signature": (
        body(
            messages=[
                *user("Hi"),
                {"role": "assistant", "content": [{"type": "thinking", "thinking": ""}]},
            ]
        ),
        "messages.1.content.0.signature",
    ),
    "a result without a call": (
        body(messages=[*user("Hi"), RESULT]),
        "messages.1.content.0: unexpected `tool_use_id`",
    ),
    "a call without a result": (
        body(messages=[*user("Hi"), USED, *user("?")]),
        "messages.1: `tool_use` ids were found without `tool_result`",
    ),
    "a system that is a number": (body(system=7), "system"),
    "a temperature that is a text": (body(temperature="hot"), "temperature"),
    "a temperature above 1": (body(temperature=1.5), "temperature"),
    "a top_p above 1": (body(top_p=1.5), "top_p"),
    "a top_k that is no whole number": (body(top_k=1.5), "top_k"),
    "a stream that is a text": (body(stream="yes"), "stream"),
    "a stop sequence of spaces": (body(stop_sequences=[" "]), "stop_sequences"),
    "stop sequences that are a text": (body(stop_sequences="a"), "stop_sequences"),
    "tools that are an object": (body(tools={}), "tools"),
    "a tool without a name": (body(tools=[{"input_schema": {"type": "object"}}]), "tools.0.name"),
    "a tool with a bad name": (
        body(tools=[{"name": "a b", "input_schema": {"type": "object"}}]),
        "tools.0.name",
    ),
    "a tool without a schema": (body(tools=[{"name": "f"}]), "tools.0.input_schema"),
    "a tool whose schema is no object": (
        body(tools=[{"name": "f", "input_schema": {"type": "array"}}]),
        "tools.0.input_schema.type",
    ),
    "tools of one name": (body(tools=tools("tick", "tick")), "tools: Tool names must be unique"),
    "a choice without tools": (body(tool_choice={"type": "any"}), "tool_choice"),
    "a choice that is a text": (body(tools=tools(), tool_choice="any"), "tool_choice"),
    "an unknown choice": (body(tools=tools(), tool_choice={"type": "must"}), "tool_choice.type"),
    "a choice of a tool that is not there": (
        body(tools=tools("tick"), tool_choice={"type": "tool", "name": "tock"}),
        "tool_choice.name",
    ),
    "thinking without a budget": (
        body(thinking={"type": "enabled"}),
        "thinking.budget_tokens: Field required",
    ),
    "thinking with a small budget": (
        body(thinking={"type": "enabled", "budget_tokens": 10}),
        "thinking.budget_tokens",
    ),
    "thinking beyond max_tokens": (
        body(thinking={"type": "enabled", "budget_tokens": 9000}),
        "max_tokens",
    ),
    "thinking before a forced call": (
        body(thinking={"type": "adaptive"}, tools=tools(), tool_choice={"type": "any"}),
        "tool_choice",
    ),
    "a format without a schema": (
        body(output_config={"format": {"type": "json_schema"}}),
        "output_config.format.schema: Field required",
    ),
    "metadata that are a text": (body(metadata="me"), "metadata"),
    "a script of a wrong type": (body(mock_response=7), "mock_response"),
    "a script with a wrong member": (body(mock_response={"tekst": ""}), "mock_response.tekst"),
    "a thread of an unknown type": (body(thread={"type": "knit"}), "thread.type"),
    "a thread without an id": (body(thread={"type": "continue"}), "thread.previous_message_id"),
    "a body that is a list": ([1], "JSON object"),
}


@pytest.mark.parametrize(("sent", "said"), REFUSED.values(), ids=REFUSED)
async def test_what_the_provider_would_refuse_is_a_bad_request(
    client: Client, sent: Any, said: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as raised:
        await done(client.post(MESSAGES, body=sent, cast_to=Message, options={"headers": VERSION}))
    assert said in error_of(raised.value.body, "invalid_request_error")["message"]


def test_a_count_of_tokens_is_refused_for_the_same_reasons(mock: Service) -> None:
    for broken in (body(model=None), body(messages=[]), body(tools={})):
        reply = raw(mock.url, "POST", f"{MESSAGES}/count_tokens", broken, VERSION)
        assert reply.status == 400
        error_of(reply.json, "invalid_request_error")
    unbounded = raw(mock.url, "POST", f"{MESSAGES}/count_tokens", body(max_tokens=None), VERSION)
    assert unbounded.json["input_tokens"] > 0


def envelope(reply: Raw, status: int, type: str) -> dict[str, Any]:
    """The error of a reply, which must be Anthropic's."""
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-llmproxy-source"]
    return error_of(reply.json, type)


@pytest.mark.parametrize(
    "broken",
    [
        b'{"model": "claude-sonnet-5", "messages": [',
        b"model=claude",
        b"\xff\xfe{}",
        b"NaN",
        b'{"model": "claude-sonnet-5", "max_tokens": Infinity}',
        b"[" * 100_000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b"",
        b"null",
        b'"text"',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_json_object_is_a_bad_request(mock: Service, broken: bytes) -> None:
    reply = raw(mock.url, "POST", MESSAGES, broken, VERSION)
    assert "JSON" in envelope(reply, 400, "invalid_request_error")["message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_wrong_method_is_refused(mock: Service, method: str) -> None:
    reply = raw(mock.url, method, MESSAGES, None if method == "GET" else body(), VERSION)
    assert "POST" in envelope(reply, 405, "invalid_request_error")["message"]


@pytest.mark.parametrize("path", ["/v1/messagez", "/v1/messages/a/b", "/v1", "/v1/complete"])
def test_an_unknown_path_is_not_found(mock: Service, path: str) -> None:
    envelope(raw(mock.url, "POST", path, body(), VERSION), 404, "not_found_error")


def test_a_body_that_is_too_large_is_refused(mocking: Mocking) -> None:
    service = mocking(max_request=1000)
    large = raw(service.url, "POST", MESSAGES, body(messages=user("x" * 2000)), VERSION)
    envelope(large, 413, "request_too_large")
    assert raw(service.url, "POST", MESSAGES, body(), VERSION).status == 200


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "after_id=none", "before_id=none"]
)
def test_a_page_of_models_that_cannot_be_is_refused(mock: Service, query: str) -> None:
    reply = raw(mock.url, "GET", f"/v1/models?{query}", headers=VERSION)
    name = query.partition("=")[0]
    assert name in envelope(reply, 400, "invalid_request_error")["message"]


# what settings change


async def test_lenient_validation_fills_in_what_is_missing(kind: Kind, mocking: Mocking) -> None:
    """As the request of a mock server that needs no bound."""
    service = mocking(mock__validation="lenient")
    for sent in (body(max_tokens=None), body(max_tokens=None, model=None, temperature=0.5)):
        async with anthropic_clients.client(service.url, kind) as client:
            reply = await done(client.post(MESSAGES, body=sent, cast_to=Message))
            streamed = {**sent, "stream": True, "mock_response": "Hi"}
            lines = raw(service.url, "POST", MESSAGES, streamed, VERSION).body
        assert said(reply)
        assert b"message_stop" in lines


async def test_strict_models_are_those_that_are_known(kind: Kind, mocking: Mocking) -> None:
    service = mocking(models__strict=True)
    async with anthropic_clients.client(service.url, kind) as client:
        assert (await message(client)).model == MODEL
        with pytest.raises(anthropic.NotFoundError) as raised:
            await message(client, model="claude-nonsense")
        known = [model.id for model in await items(client.models.list())]
    assert "claude-nonsense" in raised.value.message
    assert MODEL in known


async def test_an_answer_after_an_error_is_whole(client: Client) -> None:
    """An error leaves the connection in order."""
    for status in (400, 500):
        with pytest.raises(anthropic.APIStatusError):
            await message(client, {"error": status})
        async with entered(client.messages.stream(**asked("Hi", {}))) as stream:
            assert said(await done(stream.get_final_message())) == "Hi"
