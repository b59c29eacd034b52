"""The official SDKs raise what they raise for the provider's own errors, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anthropic
import openai
import pytest
from aiohttp import web
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types

from llmproxy import dialects
from llmproxy.interaction import Headers, Problem

KEY = "made" + "-up"
MESSAGE = "nothing recorded equals this request: ünïcode, \N{SNOWMAN}"
DETAIL: dict[str, object] = {"candidates": [{"id": 7, "paths": ["messages[0].content"]}]}

DEFAULT_RETRIES = openai.DEFAULT_MAX_RETRIES

# google-genai itself makes the class that aiohttp warns of.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")

Ask = Callable[[str], Awaitable[object]]
"""Asks the model once, at a base URL, as programs do, and raises what the SDK raises."""


@dataclass
class Provider:
    """Answers every request with one reply and counts them."""

    status: int
    headers: Headers
    body: bytes
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.Response(status=self.status, headers=self.headers, body=self.body)


@asynccontextmanager
async def serving(provider: Provider) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", provider.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def failing(name: str, problem: Problem, headers: Headers = ()) -> Provider:
    dialect = dialects.named(name)
    assert dialect is not None
    status, written, body = dialect.write_error(problem)
    return Provider(status, (*written, *headers), body)


def openai_chat(retries: int = DEFAULT_RETRIES, *, stream: bool = False) -> Ask:
    def ask(url: str) -> None:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=retries) as client:
            reply = client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=stream
            )
            list(reply)

    return lambda url: asyncio.to_thread(ask, url)


def openai_chat_async(retries: int = DEFAULT_RETRIES) -> Ask:
    async def ask(url: str) -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key=KEY, max_retries=retries
        ) as client:
            await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hi"}]
            )

    return ask


def openai_responses_stream(url: str) -> Awaitable[object]:
    def ask() -> None:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
            list(client.responses.create(model="gpt-5", input="hi", stream=True))

    return asyncio.to_thread(ask)


def anthropic_messages(retries: int = DEFAULT_RETRIES, *, stream: bool = False) -> Ask:
    def ask(url: str) -> None:
        with anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=retries) as client:
            reply = client.messages.create(
                model="claude-sonnet-5",
                max_tokens=8,
                messages=[{"role": "user", "content": "hi"}],
                stream=stream,
            )
            list(reply)

    return lambda url: asyncio.to_thread(ask, url)


def anthropic_messages_async(retries: int = DEFAULT_RETRIES) -> Ask:
    async def ask(url: str) -> None:
        async with anthropic.AsyncAnthropic(
            base_url=url, api_key=KEY, max_retries=retries
        ) as client:
            await client.messages.create(
                model="claude-sonnet-5",
                max_tokens=8,
                messages=[{"role": "user", "content": "hi"}],
            )

    return ask


def gemini(url: str, *, retrying: bool = False) -> genai.Client:
    retry = genai_types.HttpRetryOptions(attempts=3, initial_delay=0.01) if retrying else None
    options = genai_types.HttpOptions(base_url=url, retry_options=retry)
    return genai.Client(api_key=KEY, http_options=options)


def gemini_generate(*, stream: bool = False, retrying: bool = False) -> Ask:
    def ask(url: str) -> None:
        with gemini(url, retrying=retrying) as client:
            if stream:
                list(client.models.generate_content_stream(model="gemini-2.5-pro", contents="hi"))
            else:
                client.models.generate_content(model="gemini-2.5-pro", contents="hi")

    return lambda url: asyncio.to_thread(ask, url)


def gemini_generate_async(*, retrying: bool = False) -> Ask:
    async def ask(url: str) -> None:
        async with gemini(url, retrying=retrying).aio as client:
            await client.models.generate_content(model="gemini-2.5-pro", contents="hi")

    return ask


OPENAI_RAISES: list[tuple[int, type[openai.APIStatusError]]] = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (402, openai.APIStatusError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (408, openai.APIStatusError),
    (409, openai.ConflictError),
    (413, openai.APIStatusError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
    (504, openai.InternalServerError),
    (529, openai.InternalServerError),
]


@pytest.mark.parametrize(("status", "expected"), OPENAI_RAISES)
@pytest.mark.parametrize("ask", [openai_chat(0), openai_chat_async(0)], ids=["sync", "async"])
async def test_openai_raises_its_exception_for_a_status(
    status: int, expected: type[openai.APIStatusError], ask: Ask
) -> None:
    problem = Problem(status, MESSAGE, code="llmproxy_miss", param="model", detail=DETAIL)
    async with serving(failing("openai", problem)) as url:
        with pytest.raises(openai.APIStatusError) as caught:
            await ask(url)
    error = caught.value
    assert type(error) is expected
    assert MESSAGE in error.message
    assert (error.status_code, error.code, error.param) == (status, "llmproxy_miss", "model")
    assert isinstance(error.body, dict)
    assert error.body["message"] == MESSAGE
    assert error.body["llmproxy"] == DETAIL


ANTHROPIC_RAISES: list[tuple[int, type[anthropic.APIStatusError], str]] = [
    (400, anthropic.BadRequestError, "invalid_request_error"),
    (401, anthropic.AuthenticationError, "authentication_error"),
    (402, anthropic.PaymentRequiredError, "billing_error"),
    (403, anthropic.PermissionDeniedError, "permission_error"),
    (404, anthropic.NotFoundError, "not_found_error"),
    (408, anthropic.RequestTimeoutError, "invalid_request_error"),
    (409, anthropic.ConflictError, "conflict_error"),
    (413, anthropic.ContentTooLargeError, "request_too_large"),
    (422, anthropic.UnprocessableEntityError, "invalid_request_error"),
    (429, anthropic.RateLimitError, "rate_limit_error"),
    (500, anthropic.InternalServerError, "api_error"),
    (503, anthropic.ServiceUnavailableError, "api_error"),
    (504, anthropic.GatewayTimeoutError, "timeout_error"),
    (529, anthropic.OverloadedError, "overloaded_error"),
]


@pytest.mark.parametrize(("status", "expected", "kind"), ANTHROPIC_RAISES)
@pytest.mark.parametrize(
    "ask", [anthropic_messages(0), anthropic_messages_async(0)], ids=["sync", "async"]
)
async def test_anthropic_raises_its_exception_for_a_status(
    status: int, expected: type[anthropic.APIStatusError], kind: str, ask: Ask
) -> None:
    problem = Problem(status, MESSAGE, code="llmproxy_miss", detail=DETAIL)
    async with serving(failing("anthropic", problem)) as url:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await ask(url)
    error = caught.value
    assert type(error) is expected
    assert MESSAGE in error.message
    assert (error.status_code, error.type, error.error_code) == (status, kind, "llmproxy_miss")
    assert isinstance(error.body, dict)
    assert error.body["error"]["message"] == MESSAGE
    assert error.body["error"]["llmproxy"] == DETAIL


GEMINI_RAISES: list[tuple[int, type[genai_errors.APIError], str]] = [
    (400, genai_errors.ClientError, "INVALID_ARGUMENT"),
    (401, genai_errors.ClientError, "UNAUTHENTICATED"),
    (403, genai_errors.ClientError, "PERMISSION_DENIED"),
    (404, genai_errors.ClientError, "NOT_FOUND"),
    (409, genai_errors.ClientError, "ABORTED"),
    (413, genai_errors.ClientError, "INVALID_ARGUMENT"),
    (429, genai_errors.ClientError, "RESOURCE_EXHAUSTED"),
    (500, genai_errors.ServerError, "INTERNAL"),
    (503, genai_errors.ServerError, "UNAVAILABLE"),
    (504, genai_errors.ServerError, "DEADLINE_EXCEEDED"),
]


@pytest.mark.parametrize(("status", "expected", "word"), GEMINI_RAISES)
@pytest.mark.parametrize("ask", [gemini_generate(), gemini_generate_async()], ids=["sync", "async"])
async def test_gemini_raises_its_exception_for_a_status(
    status: int, expected: type[genai_errors.APIError], word: str, ask: Ask
) -> None:
    problem = Problem(status, MESSAGE, code="llmproxy_miss", detail=DETAIL, retry_after=3)
    async with serving(failing("gemini", problem)) as url:
        with pytest.raises(genai_errors.APIError) as caught:
            await ask(url)
    error = caught.value
    assert type(error) is expected
    assert (error.code, error.status, error.message) == (status, word, MESSAGE)
    assert error.details["error"]["llmproxy"] == DETAIL
    assert error.details["error"]["details"][0]["reason"] == "LLMPROXY_MISS"


RETRYING = [
    ("openai", openai_chat(), openai.BadRequestError),
    ("openai", openai_chat_async(), openai.BadRequestError),
    ("anthropic", anthropic_messages(), anthropic.BadRequestError),
    ("anthropic", anthropic_messages_async(), anthropic.BadRequestError),
    ("gemini", gemini_generate(retrying=True), genai_errors.ClientError),
    ("gemini", gemini_generate_async(retrying=True), genai_errors.ClientError),
]
RETRYING_IDS = [f"{name}-{way}" for name in ("openai", "anthropic", "gemini") for way in "sa"]


@pytest.mark.parametrize(("name", "ask", "expected"), RETRYING, ids=RETRYING_IDS)
async def test_a_miss_is_raised_at_once_after_one_request(
    name: str, ask: Ask, expected: type[Exception]
) -> None:
    provider = failing(name, Problem(400, MESSAGE), (("x-should-retry", "false"),))
    async with serving(provider) as url:
        with pytest.raises(expected):
            await ask(url)
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("name", "ask", "expected"),
    [
        ("openai", openai_chat(), openai.InternalServerError),
        ("anthropic", anthropic_messages(), anthropic.ServiceUnavailableError),
    ],
)
async def test_the_sdks_do_not_retry_a_503_that_forbids_it(
    name: str, ask: Ask, expected: type[Exception]
) -> None:
    provider = failing(name, Problem(503, MESSAGE), (("x-should-retry", "false"),))
    async with serving(provider) as url:
        with pytest.raises(expected):
            await ask(url)
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("name", "ask", "expected"),
    [
        ("openai", openai_chat(1), openai.RateLimitError),
        ("anthropic", anthropic_messages(1), anthropic.RateLimitError),
    ],
)
async def test_the_sdks_retry_a_429_after_the_wait_it_names(
    name: str, ask: Ask, expected: type[Exception]
) -> None:
    provider = failing(name, Problem(429, MESSAGE, retry_after=0.01))
    async with serving(provider) as url:
        with pytest.raises(expected):
            async with asyncio.timeout(5):
                await ask(url)
    assert len(provider.asked) == 2


STREAMS = [
    ("openai", "/v1/chat/completions", openai_chat(stream=True), openai.APIError),
    ("openai", "/v1/responses", openai_responses_stream, openai.APIError),
    ("anthropic", "/v1/messages", anthropic_messages(stream=True), anthropic.APIStatusError),
    ("gemini", "/v1/models/m:streamGenerateContent", gemini_generate(stream=True), None),
]


@pytest.mark.parametrize(
    ("name", "path", "ask", "expected"), STREAMS, ids=["chat", "responses", "messages", "gemini"]
)
async def test_an_error_inside_a_stream_is_raised(
    name: str, path: str, ask: Ask, expected: type[Exception] | None
) -> None:
    dialect = dialects.named(name)
    assert dialect is not None
    event = dialect.write_stream_error(Problem(503, MESSAGE, detail=DETAIL), path)
    provider = Provider(200, (("content-type", "text/event-stream"),), event)
    async with serving(provider) as url:
        with pytest.raises(expected or genai_errors.ServerError) as caught:
            await ask(url)
    assert MESSAGE in str(caught.value)
    assert provider.asked[0].startswith(path.partition("m:")[0])
