"""Google's errors through its SDK: each status its class, retries, broken streams, refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.genai import errors

from conformance import gemini_clients
from conformance.driving import Kind, Mocking, Raw, done, gather, items, raw
from conformance.gemini_clients import MODEL, PROMPT, QUIET, Client, chunks, config, reply, said
from llmproxy.service import Service

pytestmark = QUIET

PATH = f"/v1beta/models/{MODEL}"
GENERATE = f"{PATH}:generateContent"
STREAM = f"{PATH}:streamGenerateContent"
TEXT = "One two three, four five six."

STATUSES: list[tuple[int, str]] = [
    (400, "INVALID_ARGUMENT"),
    (402, "FAILED_PRECONDITION"),
    (403, "PERMISSION_DENIED"),
    (404, "NOT_FOUND"),
    (408, "DEADLINE_EXCEEDED"),
    (409, "ABORTED"),
    (413, "INVALID_ARGUMENT"),
    (418, "INVALID_ARGUMENT"),
    (422, "INVALID_ARGUMENT"),
    (429, "RESOURCE_EXHAUSTED"),
    (499, "CANCELLED"),
    (500, "INTERNAL"),
    (501, "UNIMPLEMENTED"),
    (502, "UNAVAILABLE"),
    (503, "UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED"),
    (529, "UNAVAILABLE"),
]


@pytest.fixture
async def client(mock: Service, kind: Kind, session: dict[str, str]) -> AsyncIterator[Client]:
    """Google's client, without retries, at the default server."""
    async with gemini_clients.client(mock.url, kind, session) as made:
        yield made


def details(error: errors.APIError) -> dict[str, dict[str, Any]]:
    """The typed details of an error, by the last word of their type."""
    told = error.details["error"].get("details", ())
    return {each["@type"].rpartition(".")[2]: each for each in told}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("status", "word"), STATUSES, ids=[str(row[0]) for row in STATUSES])
async def test_each_status_raises_its_class(
    client: Client, status: int, word: str, streamed: bool
) -> None:
    raises = errors.ClientError if status < 500 else errors.ServerError
    with pytest.raises(raises) as raised:
        await (chunks if streamed else reply)(client, {"error": {"status": status}})
    error = raised.value
    assert (error.code, error.status) == (status, word)
    assert error.message
    assert error.details["error"]["code"] == status


@pytest.mark.parametrize("script", [{"status": 401}, {"status": 400, "code": "invalid_api_key"}])
async def test_a_wrong_key_is_a_bad_request_that_says_why(
    client: Client, script: dict[str, Any]
) -> None:
    with pytest.raises(errors.ClientError) as raised:
        await reply(client, {"error": script})
    assert (raised.value.code, raised.value.status) == (400, "INVALID_ARGUMENT")
    assert details(raised.value)["ErrorInfo"]["reason"] == "API_KEY_INVALID"


async def test_a_key_that_has_expired_is_not_authenticated(client: Client) -> None:
    with pytest.raises(errors.ClientError) as raised:
        await reply(client, {"error": {"status": 401, "code": "access_token_expired"}})
    assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")


async def test_an_error_says_what_was_scripted(client: Client) -> None:
    script = {"status": 429, "message": "Too much, naïve one.", "retry_after": 7.5}
    with pytest.raises(errors.ClientError) as raised:
        await reply(client, {"error": script})
    error = raised.value
    assert error.message == script["message"]
    told = details(error)
    assert told["RetryInfo"]["retryDelay"] == "7.5s"
    assert told["QuotaFailure"]["violations"][0]["quotaMetric"].startswith("generativelanguage")


async def test_chats_raise_too(client: Client) -> None:
    chat = client.chats.create(model=MODEL)
    with pytest.raises(errors.ServerError):
        await done(chat.send_message("Hi", config=config({"error": 503})))
    assert chat.get_history() == []
    assert (await done(chat.send_message("Hi", config=config("Hello")))).text == "Hello"


# retries

RETRY = {"attempts": 3, "initial_delay": 0.001, "max_delay": 0.002, "jitter": 0.001}


async def retried(
    service: Service, kind: Kind, session: dict[str, str], error: dict[str, Any]
) -> tuple[Any, int]:
    """What came of a request whose reply is ``error``, and how often it was asked."""
    before = service.journal.requests
    result: Any
    async with gemini_clients.client(service.url, kind, session, retry_options=RETRY) as client:
        try:
            result = (await reply(client, {"text": "At last", "error": error})).text
        except errors.APIError as failed:
            result = failed.code
    return result, service.journal.requests - before


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_the_sdk_retries_until_it_succeeds(
    mock: Service, kind: Kind, session: dict[str, str], status: int
) -> None:
    error = {"status": status, "times": 2}
    assert await retried(mock, kind, session, error) == ("At last", 3)


async def test_the_sdk_gives_up_after_its_last_attempt(
    mock: Service, kind: Kind, session: dict[str, str]
) -> None:
    error = {"status": 503, "times": 3}
    assert await retried(mock, kind, session, error) == (503, 3)
    assert await retried(mock, kind, session, error) == ("At last", 1)


@pytest.mark.parametrize("status", [400, 403, 404, 409])
async def test_the_sdk_does_not_retry_what_is_the_clients_fault(
    mock: Service, kind: Kind, session: dict[str, str], status: int
) -> None:
    assert await retried(mock, kind, session, {"status": status, "times": 1}) == (status, 1)


async def test_the_sdk_does_not_retry_unless_it_is_told_to(client: Client) -> None:
    script = {"text": "At last", "error": {"status": 503, "times": 1}}
    with pytest.raises(errors.ServerError):
        await reply(client, script)
    assert (await reply(client, script)).text == "At last"


# streams that break


@pytest.mark.parametrize(
    ("status", "raises"), [(503, errors.ServerError), (429, errors.ClientError)]
)
@pytest.mark.parametrize("after", [0, 3])
async def test_an_error_in_mid_stream_raises_after_the_chunks_before_it(
    client: Client, after: int, status: int, raises: type[errors.APIError]
) -> None:
    error = {"status": status, "message": "Overloaded now"}
    script = {"text": TEXT, "stream_error": error, "after_chunks": after}
    stream = await done(
        client.models.generate_content_stream(model=MODEL, contents=PROMPT, config=config(script))
    )
    rows: list[Any] = []
    with pytest.raises(raises) as raised:
        await gather(stream, rows)
    assert (raised.value.code, raised.value.message) == (status, "Overloaded now")
    assert len(rows) == after
    assert TEXT.startswith(said(*rows))


@pytest.mark.parametrize("after", [0, 3])
def test_an_array_ends_with_the_error(mock: Service, after: int) -> None:
    script = {"text": TEXT, "stream_error": {"status": 503}, "after_chunks": after}
    answer = raw(mock.url, "POST", STREAM, body(mock_response=script))
    *rows, last = answer.json
    assert last["error"]["status"] == "UNAVAILABLE"
    assert len(rows) == after


async def test_an_error_for_streams_answers_a_whole_reply_with_its_status(client: Client) -> None:
    script = {"text": TEXT, "stream_error": {"status": 500, "message": "Gone."}}
    with pytest.raises(errors.ServerError, match="Gone."):
        await reply(client, script)


# what Google would refuse


def body(**changes: Any) -> dict[str, Any]:
    """A request; a member that is None is left out."""
    whole = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], **changes}
    return {name: value for name, value in whole.items() if value is not None}


def contents(*parts: Any, role: str = "user") -> dict[str, Any]:
    return body(contents=[{"role": role, "parts": list(parts)}])


def declared(**function: Any) -> dict[str, Any]:
    return body(tools=[{"functionDeclarations": [function]}])


def called(mode: str, *names: str) -> dict[str, Any]:
    choice = {"mode": mode, "allowedFunctionNames": list(names)}
    return {**declared(name="tick"), "toolConfig": {"functionCallingConfig": choice}}


def generation(**members: Any) -> dict[str, Any]:
    return body(generationConfig=members)


CALL = {"role": "model", "parts": [{"functionCall": {"name": "tick", "args": {}}}]}
ANSWER = {"role": "user", "parts": [{"functionResponse": {"name": "tick", "response": {}}}]}

REFUSED: dict[str, tuple[Any, str]] = {
    "no contents": (body(contents=None), "contents is not specified"),
    "empty contents": (body(contents=[]), "contents is not specified"),
    "contents that are a text": (body(contents="Hi"), "'contents'"),
    "a content that is a text": (body(contents=["Hi"]), "'contents[0]'"),
    "a content without parts": (body(contents=[{"role": "user"}]), "contents[0].parts"),
    "an unknown role": (contents({"text": "Hi"}, role="king"), "valid role: user, model"),
    "a part that is a text": (contents("Hi"), "'contents[0].parts[0]'"),
    "an empty part": (contents({}), "contents[0].parts[0].data"),
    "a text that is a number": (contents({"text": 7}), "'contents[0].parts[0].text'"),
    "data without a type": (
        contents({"inlineData": {"data": "AAAA"}}),
        "contents[0].parts[0].inline_data.mime_type",
    ),
    "a call without a name": (
        contents({"functionCall": {"args": {}}}, role="model"),
        "contents[0].parts[0].function_call.name",
    ),
    "a response without a call": (body(contents=[ANSWER]), "function call turn"),
    "a call without a response": (
        body(contents=[*contents({"text": "Hi"})["contents"], CALL, *body()["contents"]]),
        "function response parts",
    ),
    "a system instruction that is a number": (body(systemInstruction=7), "system_instruction"),
    "a temperature that is a text": (
        generation(temperature="hot"),
        "'generation_config.temperature' (TYPE_FLOAT)",
    ),
    "a temperature above 2": (generation(temperature=2.5), "generation_config.temperature"),
    "a top_p above 1": (generation(topP=1.5), "generation_config.top_p"),
    "a top_k of 0": (generation(topK=0), "generation_config.top_k"),
    "a seed that is no whole number": (
        generation(seed=1.5),
        "'generation_config.seed' (TYPE_INT32)",
    ),
    "a bound of 0": (generation(maxOutputTokens=0), "generation_config.max_output_tokens"),
    "no candidates": (generation(candidateCount=0), "generation_config.candidate_count"),
    "too many candidates": (generation(candidateCount=9), "generation_config.candidate_count"),
    "six stop sequences": (generation(stopSequences=list("abcdef")), "stop_sequences"),
    "stop sequences that are a text": (generation(stopSequences="a"), "stop_sequences"),
    "an unknown type of the reply": (
        generation(responseMimeType="text/html"),
        "generation_config.response_mime_type",
    ),
    "a schema for plain text": (
        generation(responseSchema={"type": "OBJECT"}),
        "generation_config.response_schema",
    ),
    "two schemas": (
        generation(
            responseMimeType="application/json",
            responseSchema={},
            responseJsonSchema={"type": "object"},
        ),
        "response_json_schema",
    ),
    "an unknown level of thinking": (
        generation(thinkingConfig={"thinkingLevel": "DEEP"}),
        "thinking_config.thinking_level",
    ),
    "a budget and a level": (
        generation(thinkingConfig={"thinkingLevel": "LOW", "thinkingBudget": 5}),
        "thinking_config.thinking_level",
    ),
    "tools that are a text": (body(tools="tick"), "tools"),
    "a function without a name": (declared(description="x"), "function_declarations[0].name"),
    "a function with a bad name": (declared(name="1 a"), "function_declarations[0].name"),
    "functions of one name": (
        body(tools=[{"functionDeclarations": [{"name": "a"}, {"name": "a"}]}]),
        "duplicate function declaration",
    ),
    "an unknown mode": (called("MUST"), "function_calling_config.mode"),
    "allowed functions in mode auto": (called("AUTO", "tick"), "allowed_function_names"),
    "an allowed function that is not there": (called("ANY", "tock"), "'tock'"),
    "mode any without functions": (
        body(toolConfig={"functionCallingConfig": {"mode": "ANY"}}),
        "function_declarations",
    ),
    "a script of a wrong type": (body(mock_response=7), "mock_response"),
    "a script with a wrong member": (body(mock_response={"tekst": ""}), "mock_response.tekst"),
    "a body that is a list": ([1], "JSON object"),
}


def envelope(answer: Raw, status: int, word: str) -> dict[str, Any]:
    """The error of a reply, which must be Google's."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"error"}
    error = answer.json["error"]
    assert set(error) <= {"code", "message", "status", "details"}
    assert (error["code"], error["status"]) == (status, word)
    return dict(error)


@pytest.mark.parametrize(("sent", "told"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent?alt=sse"])
def test_what_the_provider_would_refuse_is_a_bad_request(
    mock: Service, sent: Any, told: str, verb: str
) -> None:
    answer = raw(mock.url, "POST", f"{PATH}:{verb}", sent)
    assert told in envelope(answer, 400, "INVALID_ARGUMENT")["message"]


async def test_the_sdk_raises_what_is_refused(client: Client) -> None:
    for more in ({"temperature": 5}, {"stop_sequences": list("abcdef")}, {"candidate_count": 9}):
        for ask in (reply, chunks):
            with pytest.raises(errors.ClientError) as raised:
                await ask(client, **more)
            assert (raised.value.code, raised.value.status) == (400, "INVALID_ARGUMENT")
            assert next(iter(more)) in str(raised.value.message)


def test_a_wrong_type_names_its_field(mock: Service) -> None:
    error = envelope(raw(mock.url, "POST", GENERATE, body(contents=7)), 400, "INVALID_ARGUMENT")
    (detail,) = error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert [each["field"] for each in detail["fieldViolations"]] == ["contents"]


@pytest.mark.parametrize(
    ("path", "sent", "told"),
    [
        (f"{PATH}:countTokens", {}, "contents"),
        (f"{PATH}:countTokens", {"contents": "Hi"}, "contents"),
        (f"{PATH}:embedContent", {}, "content"),
        (f"{PATH}:embedContent", {"content": {"parts": []}}, "content"),
        (
            f"{PATH}:embedContent",
            {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 0},
            "output_dimensionality",
        ),
        (
            f"{PATH}:embedContent",
            {"content": {"parts": [{"text": "a"}]}, "taskType": "GUESS"},
            "task_type",
        ),
        (f"{PATH}:batchEmbedContents", {}, "requests"),
        (f"{PATH}:batchEmbedContents", {"requests": [{}]}, "requests[0].content"),
        (f"{PATH}:batchEmbedContents", {"requests": [{}] * 101}, "at most 100"),
    ],
)
def test_other_verbs_refuse_what_they_cannot_read(
    mock: Service, path: str, sent: Any, told: str
) -> None:
    assert told in envelope(raw(mock.url, "POST", path, sent), 400, "INVALID_ARGUMENT")["message"]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"contents": [',
        b"contents=Hi",
        b"\xff\xfe{}",
        b"NaN",
        b'{"contents": Infinity}',
        b"[" * 100_000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b'"text"',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_json_object_is_a_bad_request(mock: Service, broken: bytes) -> None:
    for path in (GENERATE, STREAM):
        answer = raw(mock.url, "POST", path, broken)
        assert "JSON" in envelope(answer, 400, "INVALID_ARGUMENT")["message"]


def test_no_body_lacks_contents(mock: Service) -> None:
    answer = raw(mock.url, "POST", GENERATE, b"")
    assert "contents" in envelope(answer, 400, "INVALID_ARGUMENT")["message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_wrong_method_is_refused(mock: Service, method: str) -> None:
    answer = raw(mock.url, method, GENERATE, None if method == "GET" else body())
    assert "POST" in envelope(answer, 405, "UNIMPLEMENTED")["message"]


@pytest.mark.parametrize(
    "path",
    [
        f"{PATH}:nonsense",
        "/v1beta/nonsense",
        "/v1beta/models/a/b:generateContent/c",
        "/v1beta",
    ],
)
def test_an_unknown_path_is_not_found(mock: Service, path: str) -> None:
    answer = raw(mock.url, "POST", path, body(), {"x-goog-api-key": gemini_clients.KEY})
    envelope(answer, 404, "NOT_FOUND")


@pytest.mark.parametrize("query", ["pageSize=x", "pageToken=x", "page_size=-1"])
def test_a_page_of_models_that_cannot_be_is_refused(mock: Service, query: str) -> None:
    envelope(raw(mock.url, "GET", f"/v1beta/models?{query}"), 400, "INVALID_ARGUMENT")


def test_a_body_that_is_too_large_is_refused(mocking: Mocking) -> None:
    service = mocking(max_request=1000)
    large = raw(service.url, "POST", GENERATE, contents({"text": "x" * 2000}))
    envelope(large, 413, "INVALID_ARGUMENT")
    assert raw(service.url, "POST", GENERATE, body()).status == 200


# what settings change


def test_lenient_validation_takes_empty_parts(mocking: Mocking) -> None:
    service = mocking(mock__validation="lenient")
    answer = raw(service.url, "POST", GENERATE, body(contents=[{"role": "user"}]))
    assert answer.json["candidates"][0]["content"]["parts"]


async def test_strict_models_are_those_that_are_known(kind: Kind, mocking: Mocking) -> None:
    service = mocking(models__strict=True)
    async with gemini_clients.client(service.url, kind) as client:
        assert (await reply(client, "Hi")).text == "Hi"
        with pytest.raises(errors.ClientError) as raised:
            await reply(client, model="gemini-nonsense")
        known = [model.name for model in await items(client.models.list())]
    assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")
    assert "gemini-nonsense" in str(raised.value.message)
    assert f"models/{MODEL}" in known


async def test_an_answer_after_an_error_is_whole(client: Client) -> None:
    """An error leaves the connection in order."""
    for status in (400, 500):
        with pytest.raises(errors.APIError):
            await reply(client, {"error": status})
        assert said(*(await chunks(client, "Hi"))) == "Hi"


def test_a_stream_is_json_to_whom_asks_for_it(mock: Service) -> None:
    answer = raw(mock.url, "POST", f"{STREAM}?alt=json", body(mock_response=TEXT))
    assert isinstance(json.loads(answer.body), list)
