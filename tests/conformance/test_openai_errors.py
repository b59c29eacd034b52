"""OpenAI's errors through its SDK: each status its class, retries, broken streams, refusals."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from conformance import openai_clients
from conformance.driving import (
    Kind,
    Mocking,
    Raw,
    done,
    entered,
    functions,
    gather,
    items,
    raw,
    user,
)
from conformance.openai_clients import (
    MODEL,
    Client,
    chat,
    chunks,
    helped,
    joined,
    parsed,
)
from llmproxy.service import Service

CHAT = "/v1/chat/completions"
TEXT = "One two three, four five six."

STATUSES: list[tuple[int, type[openai.APIStatusError], str | None, str | None]] = [
    (400, openai.BadRequestError, "invalid_request_error", None),
    (401, openai.AuthenticationError, "invalid_request_error", "invalid_api_key"),
    (402, openai.APIStatusError, None, None),
    (403, openai.PermissionDeniedError, None, None),
    (404, openai.NotFoundError, "invalid_request_error", None),
    (408, openai.APIStatusError, None, None),
    (409, openai.ConflictError, None, None),
    (413, openai.APIStatusError, None, None),
    (418, openai.APIStatusError, None, None),
    (422, openai.UnprocessableEntityError, "invalid_request_error", None),
    (429, openai.RateLimitError, None, "rate_limit_exceeded"),
    (500, openai.InternalServerError, "server_error", None),
    (502, openai.InternalServerError, "server_error", None),
    (503, openai.InternalServerError, "server_error", None),
    (504, openai.InternalServerError, None, None),
    (529, openai.InternalServerError, None, None),
]
"""Status, what the SDK raises, and the type and code that OpenAI's documentation gives it."""


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "raises", "type", "code"), STATUSES, ids=lambda v: str(v) if v is int else None
)
async def test_each_status_raises_its_class(
    openai_client: Client,
    status: int,
    raises: type[openai.APIStatusError],
    type: str | None,
    code: str | None,
    streamed: bool,
) -> None:
    with pytest.raises(raises) as raised:
        await (chunks if streamed else chat)(openai_client, {"error": {"status": status}})
    error = raised.value
    assert error.__class__ is raises
    assert error.status_code == status
    assert isinstance(error.body, dict)
    assert set(error.body) == {"message", "type", "param", "code"}
    assert error.body["message"]
    assert error.body["message"] in error.message
    assert error.type == error.body["type"]
    assert error.type
    assert type in (None, error.type)
    assert code in (None, error.code)
    assert error.request_id is not None
    assert error.request_id.startswith("req_")
    assert error.response.headers["content-type"] == "application/json"
    assert error.response.headers["x-llmproxy-source"] == "synthesized"


async def test_an_error_says_what_was_scripted(openai_client: Client) -> None:
    script = {
        "status": 429,
        "message": "You exceeded your current quota, naïve one.",
        "type": "insufficient_quota",
        "code": "insufficient_quota",
        "param": "model",
        "headers": {"x-ratelimit-remaining-requests": "0", "x-request-id": "req_mine"},
        "retry_after": 7,
    }
    with pytest.raises(openai.RateLimitError) as raised:
        await chat(openai_client, {"error": script})
    error = raised.value
    assert error.body == {name: script[name] for name in ("message", "type", "code", "param")}
    assert (error.type, error.code, error.param) == (script["type"], script["code"], "model")
    assert error.request_id == "req_mine"
    headers = error.response.headers
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("7", "7000")


async def test_helpers_raise_too(openai_client: Client) -> None:
    with pytest.raises(openai.RateLimitError):
        await helped(openai_client, {"error": 429})
    with pytest.raises(openai.InternalServerError):
        await parsed(openai_client, {"error": 503})


# retries


async def retried(
    service: Service, kind: Kind, session: dict[str, str], error: dict[str, Any], retries: int = 2
) -> tuple[Any, int]:
    """What came of a request whose reply is ``error``, and how often it was asked."""
    before = service.journal.requests
    result: Any
    async with openai_clients.client(
        service.url, kind, max_retries=retries, default_headers=session
    ) as client:
        try:
            result = await done(
                client.chat.completions.with_raw_response.create(
                    model=MODEL,
                    messages=user("Hi"),
                    extra_body={"mock_response": {"text": "At last", "error": error}},
                )
            )
        except openai.APIError as failed:
            result = failed
    return result, service.journal.requests - before


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
async def test_the_sdk_retries_until_it_succeeds(
    mock: Service, kind: Kind, session: dict[str, str], status: int
) -> None:
    error = {"status": status, "times": 2, "retry_after": 0.001}
    reply, asked = await retried(mock, kind, session, error)
    assert asked == 3
    assert reply.retries_taken == 2
    assert (await done(reply.parse())).choices[0].message.content == "At last"


async def test_the_sdk_gives_up_after_its_last_retry(
    mock: Service, kind: Kind, session: dict[str, str]
) -> None:
    error = {"status": 429, "times": 3, "headers": {"retry-after-ms": "1"}}
    reply, asked = await retried(mock, kind, session, error)
    assert isinstance(reply, openai.RateLimitError)
    assert asked == 3
    reply, asked = await retried(mock, kind, session, error)
    assert (reply.retries_taken, asked) == (0, 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_the_sdk_does_not_retry_what_is_the_clients_fault(
    mock: Service, kind: Kind, session: dict[str, str], status: int
) -> None:
    reply, asked = await retried(mock, kind, session, {"status": status, "times": 1})
    assert isinstance(reply, openai.APIStatusError)
    assert asked == 1


async def test_the_header_that_forbids_a_retry_is_obeyed(
    mock: Service, kind: Kind, session: dict[str, str]
) -> None:
    error = {"status": 500, "times": 1, "headers": {"x-should-retry": "false"}}
    reply, asked = await retried(mock, kind, session, error)
    assert isinstance(reply, openai.InternalServerError)
    assert asked == 1


async def test_the_header_that_wants_a_retry_is_obeyed(
    mock: Service, kind: Kind, session: dict[str, str]
) -> None:
    headers = {"x-should-retry": "true", "retry-after-ms": "1"}
    reply, asked = await retried(
        mock, kind, session, {"status": 400, "times": 1, "headers": headers}
    )
    assert (reply.retries_taken, asked) == (1, 2)


async def test_sessions_count_failures_for_themselves(
    mock: Service, kind: Kind, session: dict[str, str]
) -> None:
    for name in ("one", "two"):
        own = {"x-llmproxy-session": f"{name}-{kind}"}
        reply, asked = await retried(
            mock, kind, own, {"status": 500, "times": 1, "retry_after": 0.001}
        )
        assert (reply.retries_taken, asked) == (1, 2)


# streams that break


@pytest.mark.parametrize("after", [0, 3])
async def test_an_error_in_mid_stream_raises_after_the_chunks_before_it(
    openai_client: Client, after: int
) -> None:
    error = {"status": 503, "message": "Gone.", "type": "server_error", "code": "overloaded"}
    script = {"text": TEXT, "stream_error": error, "after_chunks": after}
    stream = await done(
        openai_client.chat.completions.create(
            model=MODEL,
            messages=user("Hi"),
            stream=True,
            extra_body={"mock_response": script},
        )
    )
    rows: list[Any] = []
    with pytest.raises(openai.APIError) as raised:
        await gather(stream, rows)
    assert not isinstance(raised.value, openai.APIStatusError)
    assert raised.value.message == "Gone."
    assert (raised.value.type, raised.value.code) == ("server_error", "overloaded")
    assert raised.value.body == {
        "message": "Gone.",
        "type": "server_error",
        "param": None,
        "code": "overloaded",
    }
    assert len([row for row in rows if row.choices[0].delta.content]) == after
    assert TEXT.startswith(joined(rows))


async def test_the_stream_helper_raises_in_mid_stream(openai_client: Client) -> None:
    script = {"text": TEXT, "stream_error": {"status": 500, "message": "Gone."}, "after_chunks": 2}
    with pytest.raises(openai.APIError, match="Gone."):
        await helped(openai_client, script)


async def test_an_error_for_streams_answers_a_whole_reply_with_its_status(
    openai_client: Client,
) -> None:
    with pytest.raises(openai.InternalServerError, match="Gone."):
        await chat(
            openai_client, {"text": TEXT, "stream_error": {"status": 500, "message": "Gone."}}
        )


# what OpenAI would refuse


def body(**changes: Any) -> dict[str, Any]:
    """A request; a member that is None is left out."""
    whole = {"model": MODEL, "messages": user("Hi"), **changes}
    return {name: value for name, value in whole.items() if value is not None}


CALLED = {
    "role": "assistant",
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "tick", "arguments": "{}"}}
    ],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "ok"}

REFUSED: dict[str, tuple[Any, str | None]] = {
    "no model": (body(model=None), "model"),
    "an empty model": (body(model=""), "model"),
    "a model that is a number": (body(model=7), "model"),
    "no messages": (body(messages=None), "messages"),
    "empty messages": (body(messages=[]), "messages"),
    "messages that are a text": (body(messages="Hi"), "messages"),
    "a message that is a text": (body(messages=["Hi"]), "messages[0]"),
    "a message without a role": (body(messages=[{"content": "Hi"}]), "messages[0].role"),
    "an unknown role": (body(messages=[{"role": "king", "content": ""}]), "messages[0].role"),
    "a message without content": (body(messages=[{"role": "user"}]), "messages[0].content"),
    "content that is a number": (
        body(messages=[{"role": "user", "content": 7}]),
        "messages[0].content",
    ),
    "a part of an unknown type": (
        body(messages=[{"role": "user", "content": [{"type": "smell"}]}]),
        "messages[0].content[0].type",
    ),
    "a result without a call": (body(messages=[*user("Hi"), RESULT]), "messages[1].role"),
    "a call without a result": (body(messages=[*user("Hi"), CALLED, *user("?")]), "messages[2]"),
    "a result without an id": (
        body(messages=[*user("Hi"), CALLED, {"role": "tool", "content": "ok"}]),
        "messages[2].tool_call_id",
    ),
    "a temperature that is a text": (body(temperature="hot"), "temperature"),
    "a temperature that is too high": (body(temperature=2.1), "temperature"),
    "a top_p above 1": (body(top_p=1.5), "top_p"),
    "a bound that is no whole number": (body(max_tokens=1.5), "max_tokens"),
    "a bound of 0": (body(max_completion_tokens=0), "max_completion_tokens"),
    "no choices": (body(n=0), "n"),
    "too many choices": (body(n=129), "n"),
    "choices that are a text": (body(n="two"), "n"),
    "a stream that is a text": (body(stream="yes"), "stream"),
    "stream options without a stream": (
        body(stream_options={"include_usage": True}),
        "stream_options",
    ),
    "five stop sequences": (body(stop=["a", "b", "c", "d", "e"]), "stop"),
    "a stop sequence that is a number": (body(stop=7), "stop"),
    "too many top_logprobs": (body(logprobs=True, top_logprobs=21), "top_logprobs"),
    "tools that are an object": (body(tools={}), "tools"),
    "a tool without a type": (body(tools=[{"function": {"name": "f"}}]), "tools[0].type"),
    "a tool of an unknown type": (body(tools=[{"type": "gun"}]), "tools[0].type"),
    "a tool without a function": (body(tools=[{"type": "function"}]), "tools[0].function"),
    "a tool with a bad name": (
        body(tools=[{"type": "function", "function": {"name": "a b"}}]),
        "tools[0].function.name",
    ),
    "a choice without tools": (body(tool_choice="required"), "tool_choice"),
    "an unknown choice": (body(tools=functions(), tool_choice="maybe"), "tool_choice"),
    "a choice of a tool that is not there": (
        body(
            tools=functions("tick"),
            tool_choice={"type": "function", "function": {"name": "tock"}},
        ),
        "tool_choice.function.name",
    ),
    "a format of an unknown type": (body(response_format={"type": "xml"}), "response_format.type"),
    "a format without its schema": (
        body(response_format={"type": "json_schema"}),
        "response_format.json_schema",
    ),
    "a script of a wrong type": (body(mock_response=7), "mock_response"),
    "a script with a wrong member": (body(mock_response={"tekst": ""}), "mock_response.tekst"),
    "a body that is a list": ([1], None),
}


@pytest.mark.parametrize(("asked", "param"), REFUSED.values(), ids=REFUSED)
async def test_what_the_provider_would_refuse_is_a_bad_request(
    openai_client: Client, asked: Any, param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await done(openai_client.post("/chat/completions", body=asked, cast_to=ChatCompletion))
    error = raised.value
    assert error.type == "invalid_request_error"
    assert error.param == param
    if param is not None:
        assert param in error.message


def envelope(reply: Raw, status: int) -> dict[str, Any]:
    """The error of a reply, which must be OpenAI's."""
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    error = reply.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    return dict(error)


@pytest.mark.parametrize(
    "broken",
    [
        b'{"model": "gpt-4o", "messages": [',
        b"model=gpt-4o",
        b"\xff\xfe{}",
        b"NaN",
        b'{"model": "gpt-4o", "n": Infinity}',
        b"[" * 100_000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b"",
        b"null",
        b'"text"',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_json_object_is_a_bad_request(mock: Service, broken: bytes) -> None:
    assert "JSON" in envelope(raw(mock.url, "POST", CHAT, broken), 400)["message"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_wrong_method_is_refused(mock: Service, method: str) -> None:
    error = envelope(raw(mock.url, method, CHAT, body()), 405)
    assert "POST" in error["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completionz", "/v1/chats", "/v1", "/v1/models/a/b/c"])
def test_an_unknown_path_is_not_found(mock: Service, path: str) -> None:
    envelope(raw(mock.url, "POST" if "model" not in path else "GET", path, body()), 404)


def test_a_body_that_is_too_large_is_refused(mocking: Mocking) -> None:
    service = mocking(max_request=1000)
    large = body(messages=user("x" * 2000))
    reply = raw(service.url, "POST", CHAT, large)
    assert reply.status == 413
    assert set(reply.json["error"]) == {"message", "type", "param", "code"}
    assert raw(service.url, "POST", CHAT, body()).status == 200


async def test_lenient_validation_fills_in_what_is_missing(kind: Kind, mocking: Mocking) -> None:
    service = mocking(mock__validation="lenient")
    async with openai_clients.client(service.url, kind) as client:
        completion = await done(
            client.post("/chat/completions", body=body(model=None), cast_to=ChatCompletion)
        )
    assert completion.model
    assert completion.choices[0].message.content


async def test_strict_models_are_those_that_are_known(kind: Kind, mocking: Mocking) -> None:
    service = mocking(models__strict=True)
    async with openai_clients.client(service.url, kind) as client:
        assert (await chat(client)).model == MODEL
        with pytest.raises(openai.NotFoundError) as raised:
            await chat(client, model="gpt-nonsense")
        known = [model.id for model in await items(client.models.list())]
    assert raised.value.code == "model_not_found"
    assert "gpt-nonsense" in raised.value.message
    assert MODEL in known


async def test_an_answer_after_an_error_is_whole(openai_client: Client) -> None:
    """An error leaves the connection in order."""
    for status in (400, 500):
        with pytest.raises(openai.APIStatusError):
            await chat(openai_client, {"error": status})
        assert (await chat(openai_client, "Hi")).choices[0].message.content == "Hi"


async def test_a_failed_stream_is_told_before_it_begins(openai_client: Client) -> None:
    opening = openai_client.chat.completions.with_streaming_response.create(
        model=MODEL,
        messages=user("Hi"),
        stream=True,
        extra_body={"mock_response": {"error": {"status": 400, "message": "No."}}},
    )
    with pytest.raises(openai.BadRequestError) as raised:
        async with entered(opening):
            pass
    assert json.dumps(raised.value.body)
