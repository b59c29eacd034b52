"""No secret reaches the disk, a log, an error or a page; and no replay breaks for it.

A made-up credential goes in at every place where one can stand. Then all that was written
anywhere is searched for it, in every spelling, down to pieces of ten characters. What the live
client gets is untouched, and a replay answers whoever has another key or none.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import logging
import re
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import brotli  # type: ignore[import-untyped]
import pytest

import program
import sockets
from llmproxy import explaining, misslog, terminal
from llmproxy.cassette import Cassette
from llmproxy.errors import SettingsError
from llmproxy.interaction import Interaction
from llmproxy.service import Service, serving
from serve import configuration, record_plan, recording, replay_plan, replaying
from sockets import Answer, Client, Seen, ask, free_port, upstream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SHAPED = "sk-" + "proj-" + "Zq7Vw2Rx9Tb4Nc8Lm1Kd6Hf3Jg5Ys"
OTHER = "sk-" + "proj-" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1"
UNKNOWN = "uV4" + "/kX9qMz2+Rb7TnW5cL8p" + "=="
"""Of no known shape, and with what JSON and URLs write in other ways."""
OTHER_UNKNOWN = "hJ6" + "/tF3wCx8+Gd1YvS4nP7r" + "=="
TOKEN = "mst.Qe5" + "Ua8Ho2Ix6Dw3Gk9Fy1"
REDACTED = "<redacted>"
CHAT = "/v1/chat/completions"
PIECE = 10
"""Characters of a secret that nothing may show in a row."""

RULES = """
rules:
  - when: {text: nothing, headers: {authorization: nothing, x-api-key: nothing}}
    reply: nothing
  - {when: {query: {key: nothing}, message: nothing, json: {"$.*": nothing, "$.messages[*]": nothing}}, reply: nothing}
"""
"""Rules that look everywhere; why they do not answer must tell no secret."""


# how a secret is looked for

_ESCAPES = re.compile(rb'\\+(?:u00([0-9a-fA-F]{2})|(["/]))')


def _unescaped(data: bytes) -> bytes:
    return _ESCAPES.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else m[2], data)


def shown(secret: str, *everything: bytes | str) -> list[str]:
    """The pieces of a secret that stand somewhere, escaped or not."""
    whole = b"\n".join(
        e.encode("utf-8", "replace") if isinstance(e, str) else e for e in everything
    )
    spellings = {whole, _unescaped(whole), unquote_to_bytes(whole)}
    spellings |= {unquote_to_bytes(_unescaped(whole)), _unescaped(unquote_to_bytes(whole))}
    pieces = [secret[at : at + PIECE] for at in range(len(secret) - PIECE + 1)]
    pieces.append(base64.b64encode(f"user:{secret}".encode()).decode())
    return [p for p in pieces if any(p.encode() in spelling for spelling in spellings)]


@pytest.mark.parametrize("secret", [SHAPED, UNKNOWN, TOKEN])
def test_the_search_finds_a_secret_in_every_spelling(secret: str) -> None:
    escaped = "".join(f"\\u{ord(letter):04X}" for letter in secret)
    for spelling in (
        secret,
        secret[3:15],
        json.dumps({"inner": json.dumps({"key": secret})}),
        secret.replace("/", "\\/"),
        json.dumps(escaped),
        quote(secret, safe=""),
        "".join(f"%{ord(letter):02x}" for letter in secret),
        base64.b64encode(f"user:{secret}".encode()).decode(),
    ):
        assert shown(secret, f"some {spelling} text")
    assert not shown(secret, "some other text", OTHER, REDACTED)


def on_disk(folder: Path) -> bytes:
    """The raw bytes of every file, as long as it stands."""
    return b"\n".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def everything_of(interaction: Interaction) -> str:
    """What ``cassette show`` prints, and the values themselves."""
    return "\n".join([*terminal.interaction(interaction), repr(interaction)])


# one exchange, recorded, replayed, missed


@dataclass(frozen=True)
class Sent:
    """A request; ``Content-Type`` is JSON's unless ``headers`` say otherwise."""

    target: str = CHAT
    body: bytes = b'{"model":"m"}'
    headers: tuple[str, ...] = ()

    def to(self, url: str) -> Awaitable[Answer]:
        typed = any(line.lower().startswith("content-type:") for line in self.headers)
        kind = () if typed else ("Content-Type: application/json",)
        return ask(url, self.target, self.body, *kind, *self.headers)

    def but(self, *headers: str) -> Sent:
        return replace(self, headers=(*self.headers, *headers))

    def elsewhere(self) -> Sent:
        """The same at a path that nobody recorded."""
        path, mark, query = self.target.partition("?")
        return replace(self, target=f"{path}/nowhere{mark}{query}")


Place = Callable[[str], Sent]
"""Where a secret stands in a request."""


@dataclass(frozen=True)
class Outcome:
    """What came of an exchange."""

    live: Answer
    seen: Seen
    kept: Interaction
    played: list[Answer]
    missed: Answer
    written: str
    """Everything that was written down by anybody, as text."""


async def settled(service: Service, count: int) -> None:
    """Return when the recorder has put ``count`` interactions on the disk."""
    assert service.recorder is not None
    async with asyncio.timeout(20):
        while service.recorder.kept + service.recorder.failed < count:  # noqa: ASYNC110  # another thread counts
            await asyncio.sleep(0.002)
    assert service.recorder.failed == 0


def kept(path: Path) -> list[Interaction]:
    with contextlib.closing(Cassette(path)) as cassette:
        return list(cassette.interactions())


async def exchange(
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    live: Sent,
    again: list[Sent],
    reply: bytes,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Record ``live``, answered by ``reply``; replay ``again``; miss; explain and show it all."""
    caplog.set_level(logging.DEBUG)
    path = folder / "a.db"

    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)

    texts: list[bytes | str] = []
    variables = dict(environment or {})
    async with upstream(handler) as up:
        plan = record_plan(f"up={up.url}", path, variables, record__keep_transient=True)
        async with serving(plan) as service:
            answer = await live.to(service.url)
            await settled(service, 1)
            assert (folder / "a.db-wal").stat().st_size > 0
            texts += [on_disk(folder), service.banner()]
        texts += [service.summary()]
    plan = replace(replay_plan(path), environment=variables)
    async with serving(plan) as service:
        played = [await sent.to(service.url) for sent in again]
        missed = await live.elsewhere().to(service.url)
        texts += [service.banner()]
    texts += [missed.body, repr(missed.headers), service.summary(), caplog.text, on_disk(folder)]
    texts += [explaining.last(configuration(RULES), ()), *map(everything_of, kept(path))]
    assert "nowhere" in misslog.last(folder / ".llmproxy").request.path
    whole = b"\n".join(t.encode("utf-8", "replace") if isinstance(t, str) else t for t in texts)
    return Outcome(answer, up.seen[0], kept(path)[0], played, missed, whole.decode("latin-1"))


def quoting(secret: str, status: str = "200 OK") -> bytes:
    """A reply that quotes the secret in its body and in headers."""
    content = {"ok": 1, "error": {"message": f"Incorrect API key provided: {secret}."}}
    return sockets.reply(
        json.dumps(content).encode(),
        status,
        "Content-Type: application/json",
        f"X-Echo: you sent {secret}",
        f"Link: <https://host.invalid/next?cursor=2&key={quote(secret, safe='')}>",
    )


def check(outcome: Outcome, secret: str, reply: bytes, *, played: int = 200) -> None:
    """No trace of the secret; the live client had it; every replay has all the rest."""
    assert shown(secret, outcome.written) == []
    head, _, body = reply.partition(b"\r\n\r\n")
    assert outcome.live.body == body
    assert all(
        outcome.live.header(name.decode()) == value.decode()
        for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n")[1:])
    )
    clean = body.decode().replace(json.dumps(secret)[1:-1], REDACTED).encode()
    for answer in outcome.played:
        assert answer.status == played, answer.body
        assert answer.body == clean
        assert answer.header("content-length") == str(len(clean))
        json.loads(answer.body)
    assert outcome.missed.status == 400


# where it lets somebody in


def basic(secret: str) -> str:
    return f"Authorization: Basic {base64.b64encode(f'user:{secret}'.encode()).decode()}"


CARRIERS: dict[str, Place] = {
    "authorization": lambda s: Sent(headers=(f"Authorization: Bearer {s}",)),
    "authorization without scheme": lambda s: Sent(headers=(f"authorization: {s}",)),
    "basic": lambda s: Sent(headers=(basic(s),)),
    "x-api-key": lambda s: Sent(headers=(f"X-Api-Key: {s}",)),
    "api-key": lambda s: Sent(headers=(f"api-key: {s}",)),
    "x-goog-api-key": lambda s: Sent(headers=(f"x-goog-api-key: {s}",)),
    "cookie": lambda s: Sent(headers=(f"Cookie: theme=dark; session={s}; n=1",)),
    "custom header": lambda s: Sent(headers=(f"X-Gateway-Token: {s}",)),
    "query": lambda s: Sent(target=f"{CHAT}?key={quote(s, safe='')}&alt=sse"),
    "query, last": lambda s: Sent(target=f"{CHAT}?alt=sse&access_token={quote(s, safe='')}"),
    "query, not encoded": lambda s: Sent(target=f"{CHAT}?alt=sse&api_key={s}"),
}


@pytest.mark.parametrize("secret", [SHAPED, UNKNOWN], ids=["shaped", "unknown"])
@pytest.mark.parametrize("place", CARRIERS.values(), ids=CARRIERS)
async def test_a_credential_is_kept_nowhere_and_any_other_or_none_replays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: Place, secret: str
) -> None:
    """The provider quotes it in the body, in a header and in a URL: found by its value."""
    sent = place(secret)
    bare = re.sub(r"[?&](?:key|api_key|access_token)=[^&]*&?", "?", sent.target).rstrip("?")
    again = [sent, place(OTHER), place(OTHER_UNKNOWN), place("test"), Sent(target=bare)]
    reply = quoting(secret)
    outcome = await exchange(tmp_path, caplog, sent, again, reply)
    check(outcome, secret, reply)


# where it is said


def said(prompt: str) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}]}).encode()


def multipart(secret: str) -> Sent:
    lines = [
        "--b0undary",
        'Content-Disposition: form-data; name="note"',
        "",
        f"the key is {secret}",
        "--b0undary",
        'Content-Disposition: form-data; name="file"; filename="a.bin"',
        "Content-Type: application/octet-stream",
        "",
        f"\x00\x01{secret}\x02",
        "--b0undary--",
        "",
    ]
    return Sent(
        body="\r\n".join(lines).encode(),
        headers=("Content-Type: multipart/form-data; boundary=b0undary",),
    )


def packed(name: str, pack: Callable[[bytes], bytes]) -> Place:
    return lambda s: Sent(body=pack(said(f"my key: {s}")), headers=(f"Content-Encoding: {name}",))


def slashed(secret: str) -> bytes:
    return said(f"my key: {secret}").replace(b"/", b"\\/")


def as_unicode(secret: str) -> bytes:
    codes = "".join(f"\\u{ord(letter):04x}" for letter in secret)
    return b'{"model":"m","input":"my key: %b"}' % codes.encode()


PLACES: dict[str, Place] = {
    "prompt": lambda s: Sent(body=said(f"my key is {s}, keep it.")),
    "JSON field": lambda s: Sent(body=json.dumps({"model": "m", "note": s}).encode()),
    "JSON in JSON": lambda s: Sent(body=said(json.dumps({"deep": json.dumps({"note": s})}))),
    "JSON key": lambda s: Sent(body=json.dumps({"model": "m", s: 1}).encode()),
    "escaped slashes": lambda s: Sent(body=slashed(s)),
    "escaped letters": lambda s: Sent(body=as_unicode(s)),
    "percent-encoded prompt": lambda s: Sent(body=said(f"https://h.invalid/{quote(s, safe='')}/x")),
    "multipart": multipart,
    "form": lambda s: Sent(
        body=f"note={quote(s, safe='')}&model=m".encode(),
        headers=("Content-Type: application/x-www-form-urlencoded",),
    ),
    "plain text": lambda s: Sent(
        body=f"key: {s}\n".encode(), headers=("Content-Type: text/plain",)
    ),
    "path": lambda s: Sent(target=f"/v1/accounts/{quote(s, safe='')}/chat"),
    "other parameter": lambda s: Sent(target=f"{CHAT}?note={quote(s, safe='')}&alt=sse"),
    "other header": lambda s: Sent(headers=(f"X-Note: for {s} only",)),
    "gzip": packed("gzip", gzip.compress),
    "deflate": packed("deflate", zlib.compress),
    "zstd": packed("zstd", zstd.compress),
    "br": packed("br", brotli.compress),
    "gzip in br": packed("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
}


def everywhere(**secrets: str) -> list[Any]:
    """All places with all secrets."""
    return [
        pytest.param(place, secret, id=f"{name}-{kind}")
        for name, place in PLACES.items()
        for kind, secret in secrets.items()
    ]


@pytest.mark.parametrize(
    ("place", "secret"),
    everywhere(shaped=SHAPED, unknown=UNKNOWN),
)
async def test_a_credential_that_the_request_repeats_is_found_by_its_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: Place, secret: str
) -> None:
    other = OTHER if secret == SHAPED else OTHER_UNKNOWN
    sent = place(secret).but(f"Authorization: Bearer {secret}")
    again = [sent, place(other).but(f"Authorization: Bearer {other}")]
    reply = quoting(secret)
    outcome = await exchange(tmp_path, caplog, sent, again, reply)
    check(outcome, secret, reply)
    assert outcome.seen.body == sent.body


@pytest.mark.parametrize(
    ("place", "secret"),
    everywhere(shaped=SHAPED),
)
async def test_a_key_that_nobody_sent_is_found_by_its_shape(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: Place, secret: str
) -> None:
    reply = quoting(secret)
    again = [place(secret), place(OTHER), place(OTHER).but("Authorization: Bearer test")]
    outcome = await exchange(tmp_path, caplog, place(secret), again, reply)
    check(outcome, secret, reply)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_the_value_of_a_secret_variable_is_found_wherever_it_stands(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: Place
) -> None:
    reply = quoting(TOKEN)
    variables = {"MY_SERVICE_TOKEN": TOKEN, "HOME": "/home/somebody"}
    outcome = await exchange(tmp_path, caplog, place(TOKEN), [place(TOKEN)], reply, variables)
    check(outcome, TOKEN, reply)


def field(name: str, secret: str) -> Sent:
    return Sent(body=json.dumps({"model": "m", "config": {name: secret}}).encode())


def mcp(name: str, secret: str) -> Sent:
    tool = {"type": "mcp", "server_url": "https://h.invalid", name: secret}
    return Sent("/v1/responses", json.dumps({"model": "m", "tools": [tool]}).encode())


def mcp_headers(secret: str) -> Sent:
    tool = {"type": "mcp", "server_url": "https://h.invalid", "headers": {"X-Any": secret}}
    return Sent("/v1/responses", json.dumps({"model": "m", "tools": [tool]}).encode())


NAMED: dict[str, Place] = {
    "api_key": lambda s: field("api_key", s),
    "apiKey": lambda s: field("apiKey", s),
    "access_token": lambda s: field("access_token", s),
    "client_secret": lambda s: field("client_secret", s),
    "password": lambda s: field("password", s),
    "MCP authorization": lambda s: mcp("authorization", s),
    "MCP header": mcp_headers,
    "user": lambda s: Sent(body=json.dumps({"model": "m", "user": s}).encode()),
    "form": lambda s: Sent(
        body=f"grant_type=refresh&client_secret={quote(s, safe='')}".encode(),
        headers=("Content-Type: application/x-www-form-urlencoded",),
    ),
}


@pytest.mark.parametrize("place", NAMED.values(), ids=NAMED)
async def test_a_secret_is_found_by_the_name_of_its_field(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: Place
) -> None:
    reply = sockets.reply(b'{"ok":1}')
    again = [place(secret) for secret in (UNKNOWN, OTHER_UNKNOWN, OTHER, "test")]
    outcome = await exchange(tmp_path, caplog, place(UNKNOWN), again, reply)
    check(outcome, UNKNOWN, reply)


# what comes back


@pytest.mark.parametrize(
    "status",
    ["401 Unauthorized", "400 Bad Request", "500 Oops", f"401 Bad key {UNKNOWN}"],
    ids=["401", "400", "500", "in the reason"],
)
async def test_an_error_that_quotes_the_key_is_kept_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: str
) -> None:
    sent = CARRIERS["authorization"](UNKNOWN)
    reply = quoting(UNKNOWN, status)
    outcome = await exchange(tmp_path, caplog, sent, [sent, Sent()], reply)
    check(outcome, UNKNOWN, reply, played=int(status[:3]))
    assert outcome.live.reason == status[4:]
    assert outcome.played[0].reason == status[4:].replace(UNKNOWN, REDACTED)


async def test_cookies_and_credentials_are_not_replayed_and_ids_come_back_redacted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret_lines = [
        f"Set-Cookie: __cf_bm={UNKNOWN}; Path=/; HttpOnly",
        f"Set-Cookie: _cfuvid={TOKEN}; Secure",
        f"Authorization: Bearer {TOKEN}",
        f"X-New-Api-Key: {TOKEN}",
    ]
    ids = {
        "x-request-id": "req_71b5",
        "request-id": "req_71b6",
        "openai-organization": "some-company-of-ours",
        "openai-project": "proj_ours",
        "anthropic-organization-id": "0bd3e7c1-aaaa-4bbb-8ccc-123456789abc",
        "cf-ray": "8f0e1d2c3b4a-FRA",
        "x-ms-region": "Here",
    }
    lines = [f"{name}: {value}" for name, value in ids.items()]
    shared = ("openai-version: 2020-10-01", "x-ratelimit-remaining-tokens: 149")
    reply = sockets.reply(
        b'{"ok":1}', "200 OK", "Content-Type: application/json", *secret_lines, *lines, *shared
    )
    outcome = await exchange(tmp_path, caplog, Sent(), [Sent()], reply)
    played = outcome.played[0]
    for name, value in ids.items():
        assert outcome.live.header(name) == value
        assert played.header(name) == REDACTED
        assert value not in outcome.written
    for name in ("set-cookie", "authorization", "x-new-api-key"):
        assert outcome.live.header(name)
        assert played.header(name) is None
    assert played.header("openai-version") == "2020-10-01"
    assert played.header("x-ratelimit-remaining-tokens") == "149"
    assert shown(UNKNOWN, outcome.written) + shown(TOKEN, outcome.written) == []


BODIES: dict[str, tuple[str, Callable[[str], str]]] = {
    "JSON": ("application/json", lambda s: json.dumps({"a": 1, "text": f"it is {s} so"})),
    "events": (
        "text/event-stream",
        lambda s: f'data: {{"a":1}}\n\ndata: {{"content":"it is {s} so"}}\n\ndata: [DONE]\n\n',
    ),
    "NDJSON": ("application/x-ndjson", lambda s: f'{{"a":1}}\n{{"response":"it is {s} so"}}\n'),
    "text": ("text/plain", lambda s: f"it is {s} so"),
    "bytes": ("application/octet-stream", lambda s: f"\x00\x01{s}\x02"),
    "escaped": ("application/json", lambda s: json.dumps({"t": s}).replace("/", "\\/")),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_key_that_a_chunk_boundary_cuts_is_found_at_every_cut(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: tuple[str, Callable[[str], str]]
) -> None:
    caplog.set_level(logging.DEBUG)
    kind, write = body
    whole, path = write(UNKNOWN).encode(), tmp_path / "a.db"
    clean = write(REDACTED).encode().replace(b"<redacted>/", b"<redacted>")
    begins = min(whole.index(each) for each in (b"uV4/", b"uV4\\/") if each in whole)
    cuts = range(begins, whole.index(b"==") + 3)
    on = {cut: asyncio.Event() for cut in cuts}

    async def handler(seen: Seen, writer: asyncio.StreamWriter) -> None:
        cut = int(seen.line.split(" ")[1].rpartition("/")[2])
        writer.write(sockets.head(f"Content-Type: {kind}") + sockets.chunk(whole[:cut]))
        await on[cut].wait()
        writer.write(sockets.chunk(whole[cut:]) + sockets.chunk(b""))

    async with upstream(handler) as up, recording(f"up={up.url}", path) as service:
        async with Client(service.url) as client:
            for cut in cuts:
                client.send(f"/v1/{cut}", b"{}", f"Authorization: Bearer {UNKNOWN}")
                await client.reader.readuntil(sockets.chunk(whole[:cut]))  # live, and unredacted
                on[cut].set()
                await client.reader.readuntil(sockets.chunk(whole[cut:]) + sockets.chunk(b""))
        await settled(service, len(cuts))
        during = on_disk(tmp_path)
    interactions = kept(path)
    assert {len(each.response.chunks) for each in interactions} == {2}
    assert {each.response.body for each in interactions} == {clean}
    assert shown(UNKNOWN, during, on_disk(tmp_path), caplog.text) == []
    async with replaying(path) as service:
        for cut in (cuts[0], cuts[5], cuts[-1]):
            assert (await ask(service.url, f"/v1/{cut}", b"{}")).body == clean


def event(data: object, name: str = "") -> str:
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n"


def inside(text: str) -> str:
    """Text as it stands inside a JSON string."""
    return json.dumps(text)[1:-1]


STREAMS: dict[str, tuple[str, Callable[[str], str]]] = {
    "chat": (
        "text/event-stream",
        lambda p: event({"choices": [{"index": 0, "delta": {"content": p}}]}),
    ),
    "reasoning": (
        "text/event-stream",
        lambda p: event({"choices": [{"index": 0, "delta": {"reasoning_content": p}}]}),
    ),
    "chat tool call": (
        "text/event-stream",
        lambda p: event(
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {
                            "tool_calls": [{"index": 0, "function": {"arguments": inside(p)}}]
                        },
                    }
                ]
            }
        ),
    ),
    "Responses": (
        "text/event-stream",
        lambda p: event(
            {
                "type": "response.output_text.delta",
                "item_id": "msg_1",
                "output_index": 0,
                "content_index": 0,
                "delta": p,
            },
            "response.output_text.delta",
        ),
    ),
    "Anthropic": (
        "text/event-stream",
        lambda p: event(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": p},
            },
            "content_block_delta",
        ),
    ),
    "Anthropic tool call": (
        "text/event-stream",
        lambda p: event(
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": inside(p)},
            },
            "content_block_delta",
        ),
    ),
    "Gemini": (
        "text/event-stream",
        lambda p: event(
            {"candidates": [{"content": {"parts": [{"text": p}], "role": "model"}, "index": 0}]}
        ).replace("\n", "\r\n"),
    ),
    "Ollama": (
        "application/x-ndjson",
        lambda p: json.dumps({"message": {"role": "assistant", "content": p}}) + "\n",
    ),
}


def pieces_of(text: str) -> Iterator[list[str]]:
    """Every way to say it in two pieces, some in three, and letter by letter."""
    for cut in range(len(text) + 1):
        yield [text[:cut], text[cut:]]
    for cut in range(0, len(text) - 7, 3):
        yield [text[:cut], text[cut : cut + 7], text[cut + 7 :]]
    yield list(text)


@pytest.mark.parametrize("secret", [SHAPED, UNKNOWN], ids=["shaped", "unknown"])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
async def test_a_key_that_a_model_says_in_pieces_is_taken_out_of_all_of_them(
    tmp_path: Path, secret: str, stream: tuple[str, Callable[[str], str]]
) -> None:
    """A shaped key needs no credential; the other is the live one."""
    kind, write = stream
    ways = list(pieces_of(f"So: {secret} !"))
    path = tmp_path / "a.db"
    carried = [] if secret == SHAPED else [f"Authorization: Bearer {secret}"]

    async def handler(seen: Seen, writer: asyncio.StreamWriter) -> None:
        way = ways[int(seen.line.split(" ")[1].rpartition("/")[2])]
        body = "".join(map(write, way)).encode()
        writer.write(sockets.reply(body, "200 OK", f"Content-Type: {kind}"))

    async with upstream(handler) as up, recording(f"up={up.url}", path) as service:
        async with Client(service.url) as client:
            for number, way in enumerate(ways):
                answer = await client.ask(f"/v1/{number}", b"{}", *carried)
                assert answer.body.decode() == "".join(map(write, way))
    assert shown(secret, on_disk(tmp_path)) == []
    for interaction, way in zip(kept(path), ways, strict=True):
        found = re.findall(r"data: (.*)|^(\{.*)", interaction.response.body.decode(), re.MULTILINE)
        texts = ["".join(said_in(json.loads((a or b).strip()))) for a, b in found]
        assert len(texts) == len(way), "an event stays an event"
        assert "".join(texts).replace("\\", "") == f"So: {REDACTED} !", way
    async with replaying(path) as service:
        for number in (0, len(ways) // 2, len(ways) - 1):
            answer = await ask(service.url, f"/v1/{number}", b"{}")
            assert answer.body == kept(path)[number].response.body
            assert answer.header("content-length") == str(len(answer.body))


def said_in(node: Any) -> Iterator[str]:
    """The piece of text that an event says: what stands in its fields for text."""
    if isinstance(node, dict):
        for name, value in node.items():
            texts = {"content", "reasoning_content", "arguments", "delta", "text", "partial_json"}
            if name in texts and isinstance(value, str):
                yield value
            else:
                yield from said_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from said_in(value)


def unpacked(data: bytes) -> bytes:
    """What can be read of a gzip stream that may be cut."""
    return zlib.decompressobj(31).decompress(data)


async def test_a_gzip_reply_is_live_as_it_came_and_kept_without_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sent = CARRIERS["authorization"](UNKNOWN)
    body = gzip.compress(json.dumps({"message": f"no such key {UNKNOWN}"}).encode())
    lines = ("Content-Type: application/json", "Content-Encoding: gzip")
    reply = sockets.reply(body, "401 Unauthorized", *lines)
    outcome = await exchange(tmp_path, caplog, sent, [Sent()], reply)
    assert UNKNOWN.encode() in _unescaped(unpacked(outcome.live.body))
    assert json.loads(outcome.played[0].body) == {"message": f"no such key {REDACTED}"}
    assert shown(UNKNOWN, outcome.written) == []


async def test_a_gzip_reply_that_breaks_off_is_kept_without_the_key(tmp_path: Path) -> None:
    """The rest of it is unreadable, but what came can be read, so it is searched."""
    packer = zlib.compressobj(wbits=31)
    text = json.dumps({"message": f"no such key {UNKNOWN}", "more": "x" * 50}).encode()
    body = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
    path = tmp_path / "a.db"

    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        lines = ("Content-Type: application/json", "Content-Encoding: gzip")
        writer.write(sockets.head(*lines) + sockets.chunk(body))
        await writer.drain()
        await asyncio.sleep(0.05)  # a reset overtakes bytes that are still under way
        sockets.reset(writer)

    async with upstream(handler) as up:
        async with recording(up.url, path, record__keep_transient=True) as service:
            live = await ask(service.url, CHAT, b"{}", f"Authorization: Bearer {UNKNOWN}")
    assert (live.body, live.broken) == (body, True)
    interaction = kept(path)[0]
    encoded = any(name.lower() == "content-encoding" for name, _ in interaction.response.headers)
    stored = interaction.response.body
    assert shown(UNKNOWN, unpacked(stored) if encoded else stored) == []


async def test_a_gzip_request_that_is_cut_short_is_kept_without_the_key(tmp_path: Path) -> None:
    body = gzip.compress(said(f"my key: {UNKNOWN}, " + "and so on " * 50))[:-9]
    path = tmp_path / "a.db"

    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(b'{"error":"bad gzip"}', "400 Bad Request"))

    async with upstream(handler) as up, recording(up.url, path) as service:
        lines = ("Content-Encoding: gzip", f"Authorization: Bearer {UNKNOWN}")
        await ask(service.url, CHAT, body, *lines)
    stored = kept(path)[0].request.body
    with contextlib.suppress(zlib.error):
        stored = unpacked(stored)
    assert shown(UNKNOWN, stored) == []


# programs, errors, odd requests


async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """An error that quotes what it was sent: path, body and credentials."""
    content = {"error": {"message": f"{seen.line} {seen.headers} {seen.body.decode()}"}}
    writer.write(sockets.reply(json.dumps(content).encode(), "400 Bad Request"))


async def test_no_output_of_the_program_shows_a_secret(tmp_path: Path) -> None:
    path, request = tmp_path / "a.db", tmp_path / "request.json"
    prompt = said(f"{SHAPED} and {TOKEN}")
    request.write_bytes(said(f"{SHAPED} and {OTHER}"))
    lines = ("Content-Type: application/json", f"Authorization: Bearer {UNKNOWN}")
    spoken: list[str] = []

    async def talk(url: str) -> None:
        for target in (CHAT, f"{CHAT}?key={SHAPED}", f"/v1/{SHAPED}/{TOKEN}"):
            await ask(url, target, prompt, *lines)

    async def through(*arguments: str) -> None:
        with program.serve(*arguments, MY_SERVICE_TOKEN=TOKEN) as served:
            await talk(served.url)
            await ask(served.url, f"/v1/nowhere/{len(spoken)}", prompt, *lines)
            spoken.append(served.banner)
            status, out, err = await asyncio.to_thread(served.stop)
            assert status == 0, err
            spoken.extend((out, err))

    async with upstream(echo) as up:
        await through("record", "--upstream", f"up={up.url}", "--cassette", str(path))
        await up_is_gone(spoken, prompt, lines)
    await through("replay", str(path), "--pace", "instant")
    path.with_suffix(".yml").write_text("match: {level: exact}\n")
    exact = ("--config", str(path.with_suffix(".yml")))
    await through("replay", str(path), "--pace", "instant", "--repeat", "miss", *exact)
    for arguments in (
        ("cassette", "ls", str(path)),
        ("cassette", "show", str(path)),
        *(("cassette", "show", str(path), str(each.id)) for each in kept(path)),
        ("explain", "--last"),
        ("explain", str(request), "--cassette", str(path)),
    ):
        ended = program.run(*arguments, MY_SERVICE_TOKEN=TOKEN)
        assert ended.returncode == 0, ended.stderr
        spoken += [ended.stdout, ended.stderr]
    request.unlink()
    assert sum(text.count("/nowhere") for text in spoken) >= 4, "this is what is said"
    for secret in (SHAPED, UNKNOWN, TOKEN, OTHER):
        assert shown(secret, on_disk(tmp_path), *spoken) == []


async def up_is_gone(spoken: list[str], prompt: bytes, lines: tuple[str, ...]) -> None:
    """Ask a recorder whose upstream is not there."""
    gone = f"up=http://127.0.0.1:{free_port()}"
    with program.serve("record", "--upstream", gone, "--cassette", "gone.db") as served:
        answer = await ask(served.url, f"/v1/x?key={SHAPED}", prompt, *lines)
        assert answer.status == 502
        _, out, err = await asyncio.to_thread(served.stop)
        spoken.extend((served.banner, answer.body.decode(), repr(answer.headers), out, err))


def test_explaining_a_file_knows_the_secret_variables(tmp_path: Path) -> None:
    """As the server does: else the variable's value is printed, and what matches does not."""
    path, request = tmp_path / "a.db", tmp_path / "request.json"
    request.write_bytes(said(f"the token is {TOKEN}, and now for something else"))

    async def record() -> None:
        async with upstream(echo) as up:
            variables = {"MY_SERVICE_TOKEN": TOKEN}
            async with serving(record_plan(f"up={up.url}", path, variables)) as service:
                body = said(f"the token is {TOKEN}")
                await ask(service.url, CHAT, body, "Content-Type: application/json")

    asyncio.run(record())
    ended = program.run("explain", str(request), "--cassette", str(path), MY_SERVICE_TOKEN=TOKEN)
    assert "something else" in ended.stdout
    assert shown(TOKEN, ended.stdout, ended.stderr) == []


async def test_a_proxy_error_names_no_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def silent(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def babble(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{seen.headers} is no HTTP\r\n\r\n".encode())
        writer.close()

    async def close(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.close()

    sent = PLACES["prompt"](UNKNOWN).but(f"Authorization: Bearer {UNKNOWN}", f"X-Note: {UNKNOWN}")
    sent = replace(sent, target=f"/v1/x?key={quote(UNKNOWN, safe='')}")
    texts: list[bytes | str] = []
    for number, handler in enumerate((silent, babble, close)):
        path = tmp_path / f"{number}.db"
        async with (
            upstream(handler) as up,
            recording(up.url, path, upstream_timeouts__first_byte=0.1) as service,
        ):
            answer = await sent.to(service.url)
        assert answer.status in (502, 504)
        assert json.loads(answer.body)["error"]["message"]
        texts += [answer.body, repr(answer.headers), service.summary()]
    assert shown(UNKNOWN, *texts, caplog.text, on_disk(tmp_path)) == []


MALFORMED = {
    "a header that is too long": f"Authorization: Bearer {UNKNOWN}{'x' * 70_000}\r\n\r\n",
    "a control character": f"Authorization: Bearer {UNKNOWN}\x00\r\n\r\n",
    "no colon": f"Authorization Bearer {UNKNOWN}\r\n\r\n",
    "two lengths": f"Authorization: Bearer {UNKNOWN}\r\nContent-Length: {UNKNOWN}\r\n\r\n",
    "a bad chunk": f"Transfer-Encoding: chunked\r\n\r\n{UNKNOWN}\r\n{UNKNOWN}\r\n",
}


@pytest.mark.parametrize("rest", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_no_http_is_refused_without_quoting_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rest: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with upstream(echo) as up, recording(up.url, tmp_path / "a.db") as service:
        async with Client(service.url) as client:
            client.writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: t\r\n{rest}".encode())
            said_back = await client.reader.read()
    assert b" 400 " in said_back.partition(b"\r\n")[0]
    assert shown(UNKNOWN, said_back, caplog.text, on_disk(tmp_path)) == []


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{TOKEN}@host.invalid/v1",
        f"gw=https://{TOKEN}@host.invalid/v1",
        f"https://host.invalid/v1?key={TOKEN}",
        f"gw=https://host.invalid/v1#{TOKEN}",
        f"user:{TOKEN}@host.invalid/v1",
        f"ftp://user:{TOKEN}@host.invalid/v1",
    ],
    ids=["password", "user", "query", "fragment", "no scheme", "ftp"],
)
async def test_an_upstream_with_credentials_is_refused_without_printing_them(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        async with recording(url, tmp_path / "a.db"):
            pass
    assert shown(TOKEN, str(caught.value), repr(caught.value)) == []


@pytest.mark.parametrize("how", ["flag", "file", "variable"])
def test_the_program_refuses_an_upstream_with_credentials_without_printing_them(
    tmp_path: Path, how: str
) -> None:
    url = f"https://user:{TOKEN}@host.invalid/v1"
    variables: dict[str, Any] = {}
    if how == "file":
        (tmp_path / "proxy.yml").write_text(f"upstreams: {{gw: '{url}'}}\n")
    if how == "variable":
        variables["LLMPROXY_UPSTREAMS"] = f"{{gw: '{url}'}}"
    ended = program.run("record", "--upstream", url if how == "flag" else "gw", **variables)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert shown(TOKEN, ended.stdout, ended.stderr) == []


async def test_a_multipart_field_that_is_named_like_a_secret_is_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["--b", 'Content-Disposition: form-data; name="api_key"', "", UNKNOWN, "--b--", ""]
    kind = "Content-Type: multipart/form-data; boundary=b"
    sent = Sent(body="\r\n".join(lines).encode(), headers=(kind,))
    reply = sockets.reply(b'{"ok":1}')
    outcome = await exchange(tmp_path, caplog, sent, [sent], reply)
    check(outcome, UNKNOWN, reply)


async def test_the_target_of_a_foreign_url_is_kept_without_its_credentials(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sent = Sent(
        target=f"http://user:{quote(UNKNOWN, safe='')}@other.invalid{CHAT}",
        headers=(f"Referer: https://h.invalid/?key={quote(UNKNOWN, safe='')}",),
    )
    reply = sockets.reply(b'{"ok":1}')
    outcome = await exchange(tmp_path, caplog, sent, [Sent()], reply)
    check(outcome, UNKNOWN, reply)
