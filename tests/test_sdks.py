"""The official SDKs, synchronous and asynchronous: what they read live, they read replayed.

Each call is written once and made four times: to the provider itself, while recording, on
replay, and on replay by a client that says another version and another key.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import urllib.request
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from demo.provider import HELLO
from google import genai
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

import provider as providers
import serve
from conformance.driving import done, entered, items
from llmproxy import background
from llmproxy.cassette import Cassette
from llmproxy.interaction import Interaction
from llmproxy.service import serving
from make import spoil
from provider import AUDIO, COOKIE, FILE, ORGANISATION, TAIL, Provider

pytestmark = pytest.mark.filterwarnings(
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"  # google-genai's own
)

KEY = "sk-" + "proj-" + "T7mW2xKq9RzB4nVc8LpD"
OTHER_KEY = "test"
OTHER_HEADERS = {
    "User-Agent": "SomeSDK/JS 9.9.9",
    "X-Stainless-Lang": "js",
    "X-Stainless-Package-Version": "9.9.9",
    "X-Stainless-Runtime": "node",
    "X-Stainless-Runtime-Version": "v30.0.0",
    "X-Stainless-OS": "Plan9",
    "X-Stainless-Arch": "vax",
    "X-Stainless-Retry-Count": "1",
    "x-goog-api-client": "google-genai-sdk/9.9 gl-node/30",
    "Accept-Language": "fr",
}
USER = [{"role": "user", "content": "Say hello."}]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}

Call = Callable[[Any], Awaitable[Any]]
"""One use of an SDK, given its client."""


def dump(value: Any) -> Any:
    """What an SDK made of an answer, as plain data; of Gemini's without the HTTP headers."""
    if isinstance(value, list):
        return [dump(each) for each in value]
    if hasattr(value, "sdk_http_response"):
        return value.model_dump(exclude={"sdk_http_response"})
    return value.model_dump(warnings=False) if hasattr(value, "model_dump") else value


def describe(error: Exception) -> dict[str, Any]:
    """An exception as a program sees it."""
    names = ("status_code", "code", "status", "type", "param", "body", "message", "details")
    said = {name: getattr(error, name) for name in names if hasattr(error, name)}
    return {"raised": type(error).__name__, "text": str(error), **said}


# what is called


async def chat(client: Any) -> Any:
    return await done(client.chat.completions.create(model="demo", messages=USER))


async def chat_with_tools(client: Any) -> Any:
    return await done(client.chat.completions.create(model="demo", messages=USER, tools=[TOOL]))


def chat_stream(client: Any) -> Any:
    return client.chat.completions.create(
        model="demo", messages=USER, stream=True, stream_options={"include_usage": True}
    )


def responses_stream(client: Any) -> Any:
    return client.responses.create(model="demo", input="Say hello.", stream=True)


def message_stream(client: Any) -> Any:
    return client.messages.create(model="demo", max_tokens=9, messages=USER, stream=True)


def content_stream(client: Any) -> Any:
    return client.models.generate_content_stream(model="demo", contents="Say hello.")


async def chat_streamed(client: Any) -> Any:
    return await items(chat_stream(client))


async def chat_helper(client: Any) -> Any:
    async with entered(client.chat.completions.stream(model="demo", messages=USER)) as stream:
        events = await items(stream)
        return [*events, await done(stream.get_final_completion())]


async def responses(client: Any) -> Any:
    return await done(client.responses.create(model="demo", input="Say hello."))


async def responses_streamed(client: Any) -> Any:
    return await items(responses_stream(client))


async def responses_helper(client: Any) -> Any:
    async with entered(client.responses.stream(model="demo", input="Say hello.")) as stream:
        events = await items(stream)
        return [*events, await done(stream.get_final_response())]


async def embedding_in_base64(client: Any) -> Any:
    return await done(client.embeddings.create(model="demo", input=["a", "b"]))


async def embedding_in_floats(client: Any) -> Any:
    return await done(client.embeddings.create(model="demo", input="a", encoding_format="float"))


async def models(client: Any) -> Any:
    return await items(client.models.list())


async def file_upload(client: Any) -> Any:
    """Multipart, with a boundary that is drawn anew for each request."""
    return await done(client.files.create(file=("batch.jsonl", FILE), purpose="batch"))


async def file_content(client: Any) -> Any:
    return (await done(client.files.content("file-4321"))).content


async def speech(client: Any) -> Any:
    return (await done(client.audio.speech.create(model="tts", voice="a", input="Hi"))).content


def chat_of(model: str, *, stream: bool = False) -> Call:
    async def call(client: Any) -> Any:
        asked = client.chat.completions.create(model=model, messages=USER, stream=stream)
        return await items(asked) if stream else await done(asked)

    return call


async def responses_failing(client: Any) -> Any:
    return await items(client.responses.create(model="failing-1", input="Hi", stream=True))


async def message(client: Any) -> Any:
    return await done(client.messages.create(model="demo", max_tokens=9, messages=USER))


async def message_streamed(client: Any) -> Any:
    return await items(message_stream(client))


async def message_helper(client: Any) -> Any:
    manager = client.messages.stream(model="demo", max_tokens=9, messages=USER)
    async with entered(manager) as stream:
        texts = await items(stream.text_stream)
        return [*texts, await done(stream.get_final_message())]


async def message_tokens(client: Any) -> Any:
    return await done(client.messages.count_tokens(model="demo", messages=USER))


def message_of(model: str, *, stream: bool = False) -> Call:
    async def call(client: Any) -> Any:
        asked = client.messages.create(model=model, max_tokens=9, messages=USER, stream=stream)
        return await items(asked) if stream else await done(asked)

    return call


async def content(client: Any) -> Any:
    return await done(client.models.generate_content(model="demo", contents="Say hello."))


async def content_streamed(client: Any) -> Any:
    return await items(content_stream(client))


async def content_missing(client: Any) -> Any:
    return await done(client.models.generate_content(model="no-such-1", contents="Hi"))


async def content_embedded(client: Any) -> Any:
    return await done(client.models.embed_content(model="demo", contents=["a", "b"]))


async def content_tokens(client: Any) -> Any:
    return await done(client.models.count_tokens(model="demo", contents="Say hello."))


async def content_upload(client: Any) -> Any:
    """Two requests: the first answer's header says where the second one goes."""
    file = io.BytesIO(b"A cassette keeps every byte.")
    return await done(client.files.upload(file=file, config={"mime_type": "text/plain"}))


@dataclass(frozen=True)
class Case:
    """A call of an SDK, and what stands in its result if it went well."""

    sdk: str
    call: Call
    holds: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.sdk} {self.name or self.call.__name__}"


CASES = [
    Case("openai", chat, HELLO),
    Case("openai", chat_with_tools, "get_weather"),
    Case("openai", chat_streamed, "cassette"),
    Case("openai", chat_helper, "it never costs a cent."),
    Case("openai", responses, HELLO),
    Case("openai", responses_streamed, "response.completed"),
    Case("openai", responses_helper, "response.output_text.delta"),
    Case("openai", embedding_in_base64, "0.0"),
    Case("openai", embedding_in_floats, "0."),
    Case("openai", models, "demo-2"),
    Case("openai", file_upload, "file-4321"),
    Case("openai", file_content, str(FILE)),
    Case("openai", speech, str(AUDIO)[:60]),
    Case("openai", chat_of("no-such-1"), "NotFoundError", "404"),
    Case("openai", chat_of("no-such-1", stream=True), "NotFoundError", "404 streamed"),
    Case("openai", chat_of("bad-1"), "BadRequestError", "400"),
    Case("openai", chat_of("busy-1"), "RateLimitError", "429"),
    Case("openai", chat_of("failing-1", stream=True), "'raised': 'APIError'", "error in stream"),
    Case("openai", chat_of("breaking-1", stream=True), "APIConnectionError", "broken stream"),
    Case("openai", responses_failing, "'raised': 'APIError'", "error in Responses stream"),
    Case("anthropic", message, HELLO),
    Case("anthropic", message_streamed, "message_stop"),
    Case("anthropic", message_helper, HELLO),
    Case("anthropic", message_tokens, "17"),
    Case("anthropic", models, "claude-demo"),
    Case("anthropic", message_of("no-such-1"), "NotFoundError", "404"),
    Case("anthropic", message_of("bad-1"), "BadRequestError", "400"),
    Case("anthropic", message_of("failing-1", stream=True), "Overloaded", "error in stream"),
    Case("anthropic", message_of("breaking-1", stream=True), "raised", "broken stream"),
    Case("gemini", content, HELLO),
    Case("gemini", content_streamed, "rhythm."),
    Case("gemini", content_embedded, "-0.5"),
    Case("gemini", content_tokens, "17"),
    Case("gemini", models, "models/gemini-demo"),
    Case("gemini", content_upload, "files/f1"),
    Case("gemini", content_missing, "'raised': 'ClientError'", "404"),
]


# who calls


@contextlib.asynccontextmanager
async def clients(
    url: str,
    kind: str,
    key: str,
    headers: dict[str, str] | None = None,
    prefix: str = "/v1",
    gemini_version: str | None = None,
) -> AsyncIterator[dict[str, Any]]:
    """A client of each SDK that asks ``url``, without retries, and is closed at the end.

    ``prefix`` is what OpenAI's appends to ``url``.
    """
    blocking = kind == "sync"
    more: dict[str, Any] = {"api_key": key, "max_retries": 0, "default_headers": headers}
    google = genai.Client(
        api_key=key,
        http_options={
            "base_url": url,
            "headers": dict(headers or {}),
            "api_version": gemini_version,
        },
    )
    openais = openai.OpenAI if blocking else openai.AsyncOpenAI
    anthropics = anthropic.Anthropic if blocking else anthropic.AsyncAnthropic
    async with (
        entered(openais(base_url=f"{url}{prefix}", **more)) as one,
        entered(anthropics(base_url=url, **more)) as two,
    ):
        try:
            yield {"openai": one, "anthropic": two, "gemini": google if blocking else google.aio}
        finally:
            await google.aio.aclose()
            google.close()


async def results(
    url: str, kind: str, key: str = KEY, headers: dict[str, str] | None = None
) -> list[Any]:
    """What each case comes to at ``url``."""
    found = []
    async with clients(url, kind, key, headers) as made:
        for case in CASES:
            try:
                found.append(dump(await case.call(made[case.sdk])))
            except Exception as error:  # noqa: BLE001  # what an SDK raises is its result
                found.append(describe(error))
    return found


@pytest.fixture(scope="module")
def _clean() -> Iterator[None]:
    """What ``_clean_environment`` does, and no key of the machine, for the whole module."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith(("_proxy", "_key", "_token", "_base_url")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def provider(_clean: None) -> Iterator[Provider]:
    with providers.running() as running:
        yield running


@pytest.fixture
def gated(provider: Provider) -> Iterator[Provider]:
    provider.close_gate()
    yield provider
    provider.open_gate()


def kept(path: Path) -> list[Interaction]:
    with contextlib.closing(Cassette(path)) as cassette:
        return list(cassette.interactions())


@dataclass(frozen=True)
class Runs:
    """The results of all cases, run after run."""

    kind: str
    cassette: Path
    direct: list[Any]
    live: list[Any]
    replayed: list[Any]
    elsewhere: list[Any]
    summaries: list[str]


@pytest.fixture(scope="module", params=["sync", "async"])
def runs(
    request: pytest.FixtureRequest, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Runs:
    """A synchronous client meets a server in a thread, an asynchronous one shares its loop."""
    kind: str = request.param
    path = tmp_path_factory.mktemp(kind) / "sdks.db"
    record = serve.record_plan(f"up={provider.url}", path, record__keep_transient=True)
    replay = serve.replay_plan(path)
    summaries = []

    async def run(plan: Any, *how: Any) -> list[Any]:
        if kind == "sync":
            with background.running(plan) as service:
                found = await results(service.url, kind, *how)
        else:
            async with serving(plan) as service:
                found = await results(service.url, kind, *how)
        summaries.append(service.summary())
        return found

    async def all_of_them() -> Runs:
        return Runs(
            kind=kind,
            cassette=path,
            direct=await results(provider.url, kind),
            live=await run(record),
            replayed=await run(replay),
            elsewhere=await run(replay, OTHER_KEY, OTHER_HEADERS),
            summaries=summaries,
        )

    return asyncio.run(all_of_them())


@pytest.mark.xdist_group("sdks")
def test_every_request_of_the_sdks_is_recorded_and_none_misses(runs: Runs) -> None:
    requests = len(CASES) + 1  # an upload is two
    assert [text.partition("\n")[0] for text in runs.summaries] == [
        f"llmproxy: {requests} recorded",
        f"llmproxy: {requests} replayed, 0 missed",
        f"llmproxy: {requests} replayed, 0 missed",
    ]


@pytest.mark.xdist_group("sdks")
@pytest.mark.parametrize("number", range(len(CASES)), ids=list(map(str, CASES)))
def test_an_sdk_reads_the_same_live_and_replayed(runs: Runs, number: int) -> None:
    direct = runs.direct[number]
    assert CASES[number].holds in str(direct)
    assert runs.live[number] == direct
    assert runs.replayed[number] == direct
    assert runs.elsewhere[number] == direct, "as another version of the SDK, with another key"


# what no result shows


def raw(client: openai.OpenAI) -> Any:
    return client.chat.completions.with_raw_response.create(
        model="demo",
        messages=USER,  # type: ignore[arg-type]
    )


def test_raw_responses_have_the_same_headers_but_for_what_is_secret(
    provider: Provider, tmp_path: Path
) -> None:
    path = tmp_path / "a.db"
    with (
        background.running(serve.record_plan(f"up={provider.url}", path)) as service,
        openai.OpenAI(base_url=f"{service.url}/v1", api_key=KEY) as client,
    ):
        live = raw(client)
    with (
        background.running(serve.replay_plan(path)) as service,
        openai.OpenAI(base_url=f"{service.url}/v1", api_key=OTHER_KEY) as client,
    ):
        played = raw(client)
    ours = {name for name in played.headers if name.startswith("x-llmproxy-")}
    assert ours == {"x-llmproxy-source", "x-llmproxy-match", "x-llmproxy-interaction"}
    assert live.headers["x-llmproxy-source"] == "recorded"
    assert live.headers["set-cookie"] == COOKIE
    assert live.headers["openai-organization"] == ORGANISATION
    assert live.headers["x-request-id"].startswith("req_")
    expected = {n: v for n, v in live.headers.items() if not n.startswith("x-llmproxy-")}
    del expected["set-cookie"]
    expected |= {"openai-organization": "<redacted>", "x-request-id": "<redacted>"}
    assert {n: v for n, v in played.headers.items() if n not in ours} == expected
    assert played.parse() == live.parse()


def test_an_upload_matches_in_canonical_form_whatever_its_boundary(
    provider: Provider, tmp_path: Path
) -> None:
    path = tmp_path / "a.db"

    def upload(url: str) -> Any:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
            return client.files.with_raw_response.create(file=("a.jsonl", FILE), purpose="batch")

    with background.running(serve.record_plan(f"up={provider.url}", path)) as service:
        upload(service.url)
    with background.running(serve.replay_plan(path)) as service:
        assert upload(service.url).headers["x-llmproxy-match"] == "canonical"


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_client_that_leaves_at_done_leaves_a_whole_recording(
    gated: Provider, tmp_path: Path, kind: str
) -> None:
    """The OpenAI SDK closes its socket at ``[DONE]``; the provider has not ended by then."""
    path = tmp_path / "a.db"
    with background.running(serve.record_plan(f"up={gated.url}", path)) as service:
        async with clients(service.url, kind, KEY, {"x-gate": "tail"}) as made:
            chunks = await chat_streamed(made["openai"])
        gated.open_gate()
    assert chunks[-1].usage is not None
    (interaction,) = kept(path)
    assert interaction.response.end == "eof"
    assert interaction.response.body.endswith(b"data: [DONE]\n\n" + TAIL)


STREAMED = [
    ("openai", chat_stream),
    ("openai", responses_stream),
    ("anthropic", message_stream),
    ("gemini", content_stream),
]


@pytest.mark.parametrize(("sdk", "call"), STREAMED, ids=[call.__name__ for _, call in STREAMED])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_chunks_reach_an_sdk_one_by_one(
    gated: Provider, tmp_path: Path, kind: str, sdk: str, call: Callable[[Any], Any]
) -> None:
    """While recording the rest does not leave before the first one was read.

    On replay the rest is given a moment an hour away, and the first one is read all the same.
    """
    path = tmp_path / "a.db"
    with background.running(serve.record_plan(f"up={gated.url}", path)) as service:
        async with clients(service.url, kind, KEY, {"x-gate": "first"}) as made:
            first, rest = await in_two(call(made[sdk]), gated.open_gate)
    assert len(rest) > 5
    hold_back(path)
    replay = serve.replay_plan(path, replay__pace=1.0, shutdown_time=0.1)
    with background.running(replay) as service:
        async with clients(service.url, kind, KEY) as made:
            played, _ = await in_two(call(made[sdk]), None)
    assert dump(played) == dump(first)


async def in_two(opening: Any, between: Callable[[], None] | None) -> tuple[Any, list[Any]]:
    """The first item of a stream and, after ``between``, the others; without it, no others."""
    stream = await done(opening)
    if hasattr(stream, "__aiter__"):
        first = await anext(aiter(stream))
        if between is not None:
            between()
            return first, [each async for each in stream]
        await (stream.aclose() if hasattr(stream, "aclose") else stream.close())
        return first, []
    first = next(iter(stream))
    if between is not None:
        between()
        return first, list(stream)
    stream.close()
    return first, []


def hold_back(path: Path) -> None:
    """Move all chunks but the first to an hour after the request."""
    ((first, *rest),) = (interaction.response.chunks for interaction in kept(path))
    hour = 3_600_000_000
    timeline = [[round(first.offset * 1e6), len(first.data)]]
    timeline += [[hour, len(chunk.data)] for chunk in rest]
    spoil(path, "UPDATE interactions SET timeline = ?, ended_at = ?", json.dumps(timeline), hour)


# real replies


@dataclass(frozen=True)
class Taped:
    """A recorded request of a provider: asked again through an SDK, with the very same body."""

    id: str
    host: str
    path: str
    body: dict[str, Any]
    stream: bool
    status: int

    @property
    def sdk(self) -> str:
        return {
            "api.anthropic.com": "anthropic",
            "generativelanguage.googleapis.com": "gemini",
        }.get(self.host, "openai")

    async def through(self, client: Any) -> Any:
        if self.sdk == "gemini":
            return await self._through_gemini(client)
        more: dict[str, Any] = {"cast_to": WHOLE[self.endpoint]}
        if self.stream:
            module = openai if self.sdk == "openai" else anthropic
            kinds = (module.Stream, module.AsyncStream)
            kind = kinds[isinstance(client, (openai.AsyncOpenAI, anthropic.AsyncAnthropic))]
            more |= {"stream": True, "stream_cls": kind[EVENTS[self.endpoint]]}
        answer = client.post(self.path, body=self.body, **more)
        return await (items(answer) if self.stream else done(answer))

    async def _through_gemini(self, client: Any) -> Any:
        model, _, verb = self.path.rpartition("/")[2].partition("?")[0].partition(":")
        rest = {name: value for name, value in self.body.items() if name != "contents"}
        options = {"http_options": {"extra_body": rest}}
        asked = {"model": model, "contents": self.body["contents"], "config": options}
        if verb == "streamGenerateContent":
            return await items(client.models.generate_content_stream(**asked))
        return await done(client.models.generate_content(**asked))

    @property
    def endpoint(self) -> str:
        return self.path.partition("?")[0].rpartition("/")[2]


WHOLE: dict[str, Any] = {
    "completions": ChatCompletion,
    "responses": Response,
    "messages": Message,
}
EVENTS: dict[str, Any] = {
    "completions": ChatCompletionChunk,
    "responses": ResponseStreamEvent,
    "messages": RawMessageStreamEvent,
}
HOSTS = {
    "api.anthropic.com",
    "api.deepseek.com",
    "api.groq.com",
    "api.mistral.ai",
    "api.openai.com",
    "generativelanguage.googleapis.com",
    "openrouter.ai",
}
PATHS = ("completions", "responses", "messages", "generateContent", "streamGenerateContent")
OF_EACH = 3


def sample(tape: str) -> list[Taped]:
    """Of each provider three plain replies and three streams, and every error there is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{tape}/__tape__/requests", timeout=20) as response:
        listing = json.load(response)
    asked = Counter((each["path"], each["body"]) for each in listing)
    chosen: dict[tuple[str, bool, bool], list[Taped]] = defaultdict(list)
    for each in listing:
        path, body = each["path"], each["body"]
        if asked[path, body] > 1 or not path.partition("?")[0].endswith(PATHS):
            continue
        names = ("id", "host", "path", "stream", "status")
        taped = Taped(**{name: each[name] for name in names}, body=json.loads(body))
        chosen[taped.host, taped.stream, taped.status == 200].append(taped)
    return [each for several in chosen.values() for each in several[:OF_EACH]]


@pytest.mark.xdist_group("tape")
@pytest.mark.usefixtures("_clean")
@pytest.mark.filterwarnings("ignore:.*is not a valid:UserWarning")
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_sdks_read_real_replies_the_same_live_and_replayed(
    tape: str, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "a.db"
    asks = sample(tape)
    assert {each.host for each in asks} == HOSTS
    with background.running(
        serve.record_plan(f"tape={tape}", path, record__keep_transient=True)
    ) as service:
        live = await taped_results(service.url, kind, asks)
    with background.running(serve.replay_plan(path)) as service:
        played = await taped_results(service.url, kind, asks)
    assert service.journal.missed == 0
    for each, was, now in zip(asks, live, played, strict=True):
        raised = isinstance(was, dict) and was.get("raised")
        assert bool(raised) == (each.status != 200), f"{each.id}: {was}"
        assert was, each.id
        assert "not on the tape" not in str(was), each.id
        assert now == was, each.id


async def taped_results(url: str, kind: str, asks: list[Taped]) -> list[Any]:
    """What the SDKs make of each; asynchronous clients ask all at once."""

    async def one(each: Taped, made: dict[str, Any]) -> Any:
        try:
            return dump(await each.through(made[each.sdk]))
        except Exception as error:  # noqa: BLE001  # what an SDK raises is its result
            return describe(error)

    async with clients(url, kind, KEY, prefix="", gemini_version="v1beta") as made:
        if kind == "async":
            return await asyncio.gather(*(one(each, made) for each in asks))
        return [await one(each, made) for each in asks]
