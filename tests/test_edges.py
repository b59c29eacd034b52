"""The edges of HTTP, over raw sockets: each of them bit somebody's proxy."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import sockets
from serve import recording, replaying
from sockets import CHAT, Client, Seen, ask, upstream


async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(sockets.reply(b'{"path":"' + seen.line.split(" ")[1].encode("latin-1") + b'"}'))


async def test_an_absolute_target_is_cut_to_its_path(tmp_path: Path) -> None:
    async with upstream(echo) as up, recording(up.url, tmp_path / "a.db") as service:
        answer = await ask(service.url, "http://evil.example/v1/files?a=1", CHAT)
    assert json.loads(answer.body) == {"path": "/v1/files?a=1"}
    assert up.seen[0].header("host") == up.url.removeprefix("http://")


async def test_connect_is_refused_with_a_hint(tmp_path: Path) -> None:
    async with upstream(echo) as up, recording(up.url, tmp_path / "a.db") as service:
        answer = await ask(service.url, "api.openai.com:443", b"", method="CONNECT")
    assert answer.status == 405
    assert "OPENAI_BASE_URL" in json.loads(answer.body)["error"]["message"]
    assert up.seen == []


async def test_a_websocket_upgrade_gets_426_at_once(tmp_path: Path) -> None:
    async with upstream(echo) as up, recording(up.url, tmp_path / "a.db") as service:
        answer = await ask(
            service.url,
            "/v1/responses",
            b"",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            method="GET",
        )
    assert answer.status == 426
    assert up.seen == []


async def test_an_offer_of_http2_is_no_upgrade(tmp_path: Path) -> None:
    async with upstream(echo) as up, recording(up.url, tmp_path / "a.db") as service:
        answer = await ask(
            service.url,
            "/v1/models",
            b"",
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
            method="GET",
        )
    assert answer.status == 200
    assert up.seen[0].header("upgrade") is None
    assert up.seen[0].header("http2-settings") is None


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_an_answer_without_a_body_leaves_the_connection_usable(
    tmp_path: Path, status: str
) -> None:
    async def handler(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if "bodiless" in seen.line:
            writer.write(f"HTTP/1.1 {status}\r\nX-Mark: 1\r\n\r\n".encode())
        else:
            writer.write(sockets.reply(b'{"ok":1}'))

    async def both(url: str) -> None:
        async with Client(url) as client:
            first = await client.ask("/v1/bodiless", CHAT)
            second = await client.ask("/v1/other", CHAT)
        assert (first.status, first.header("x-mark")) == (int(status[:3]), "1")
        assert first.header("transfer-encoding") is None
        assert second.body == b'{"ok":1}'

    async with upstream(handler) as up, recording(up.url, tmp_path / "a.db") as service:
        await both(service.url)
    async with replaying(tmp_path / "a.db") as service:
        await both(service.url)


async def test_head_keeps_its_content_length_and_sends_no_body(tmp_path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nContent-Type: a/b\r\n\r\n")

    async def both(url: str) -> None:
        async with Client(url) as client:
            for _ in range(2):
                answer = await client.ask("/v1/files/f/content", b"", method="HEAD")
                assert (answer.status, answer.header("content-length")) == (200, "1234")

    async with upstream(handler) as up, recording(up.url, tmp_path / "a.db") as service:
        await both(service.url)
    async with replaying(tmp_path / "a.db") as service:
        await both(service.url)


async def test_expect_continue_is_answered_here_and_not_passed_on(tmp_path: Path) -> None:
    async with (
        upstream(echo) as up,
        recording(up.url, tmp_path / "a.db") as service,
        Client(service.url) as client,
    ):
        client.writer.write(
            b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        client.writer.write(b"hello")
        answer = await client.answer()
    assert answer.status == 200
    assert up.seen[0].body == b"hello"
    assert up.seen[0].header("expect") is None


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_too_large_gets_413_in_the_providers_shape(
    tmp_path: Path, announced: bool
) -> None:
    async with (
        upstream(echo) as up,
        recording(up.url, tmp_path / "a.db", max_request=1000) as service,
        Client(service.url) as client,
    ):
        if announced:
            client.send("/v1/messages", b"x" * 1001, "anthropic-version: 2023-06-01")
        else:
            client.writer.write(
                b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nanthropic-version: 1\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
                + sockets.chunk(b"x" * 1001)
                + sockets.chunk(b"")
            )
        answer = await client.answer()
    assert answer.status == 413
    error = json.loads(answer.body)
    assert (error["type"], error["error"]["type"]) == ("error", "request_too_large")
    assert "max_request" in error["error"]["message"]
    assert up.seen == []


async def test_long_header_lines_pass_in_both_directions(tmp_path: Path) -> None:
    long = "x" * 30_000

    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.reply(b"{}", "200 OK", f"X-Long: {long}"))

    async with upstream(handler) as up, recording(up.url, tmp_path / "a.db") as service:
        answer = await ask(service.url, "/v1/x", CHAT, f"X-Asked: {long}")
    assert answer.header("x-long") == long
    assert up.seen[0].header("x-asked") == long


async def test_a_replay_adds_no_header_but_its_labels(tmp_path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 Fine\r\nX-One: 1\r\nx-two: 2\r\nX-One: 3\r\nContent-Length: 2\r\n\r\n{}"
        )

    async with upstream(handler) as up, recording(up.url, tmp_path / "a.db") as service:
        live = await ask(service.url, "/v1/x", CHAT)
    async with replaying(tmp_path / "a.db") as service:
        played = await ask(service.url, "/v1/x", CHAT)
    given = [("X-One", "1"), ("x-two", "2"), ("X-One", "3"), ("Content-Length", "2")]
    for answer in (live, played):
        assert [h for h in answer.headers if not h[0].startswith("x-llmproxy-")] == given
        assert answer.reason == "Fine"


async def test_request_headers_travel_in_order_without_those_of_one_connection(
    tmp_path: Path,
) -> None:
    async with upstream(echo) as up, recording(up.url, tmp_path / "a.db") as service:
        await ask(
            service.url,
            "/v1/x",
            CHAT,
            "X-B: 1",
            "x-a: 2",
            "X-B: 3",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "Keep-Alive: timeout=5",
            "TE: trailers",
            "Accept-Encoding: gzip, br",
            "X-LLMProxy-Session: s",
            "Proxy-Authorization: Basic abc",
        )
    names = [name.lower() for name, _ in up.seen[0].headers]
    assert [h for h in up.seen[0].headers if h[0].lower().startswith("x-")] == [
        ("X-B", "1"),
        ("x-a", "2"),
        ("X-B", "3"),
    ]
    assert not {"keep-alive", "te", "x-hop", "proxy-authorization", "user-agent"} & set(names)
    assert up.seen[0].header("accept-encoding") == "identity"


@pytest.mark.parametrize(
    "target",
    [
        "/v1/a%2Fb%20c?x=%41&y=a+b&x=2&&z",
        "//double//slash/../up",
        "/v1/models/gpt:x?key2=a%zz",
        "/v1/caf%C3%A9?q=%F0%9F%98%80",
        "/v1/x?u=http://a/b&v=[1]{2}|",
    ],
)
async def test_path_and_query_travel_as_the_bytes_that_came(tmp_path: Path, target: str) -> None:
    async with upstream(echo) as up, recording(up.url, tmp_path / "a.db") as service:
        answer = await ask(service.url, target, CHAT)
    assert up.seen[0].line == f"POST {target} HTTP/1.1"
    assert answer.status == 200


async def test_a_preflight_is_answered_here_and_never_kept(tmp_path: Path) -> None:
    async with upstream(echo) as up, recording(up.url, tmp_path / "a.db") as service:
        answer = await ask(
            service.url,
            "/v1/x",
            b"",
            "Origin: http://page",
            "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: authorization, x-stainless-lang",
            method="OPTIONS",
        )
        plain = await ask(service.url, "/v1/x", b"", method="OPTIONS")
        real = await ask(service.url, "/v1/x", CHAT, "Origin: http://page")
    assert answer.status == 204
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("access-control-allow-headers") == "authorization, x-stainless-lang"
    assert plain.status == 200
    assert [seen.line.split()[0] for seen in up.seen] == ["OPTIONS", "POST"]
    assert real.header("access-control-allow-origin") == "*"


async def test_links_back_to_the_upstream_lead_through_us_and_are_kept_as_they_came(
    tmp_path: Path,
) -> None:
    async def handler(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            sockets.reply(
                b"{}",
                "200 OK",
                f"Location: {up.url}/v1/next?a=1",
                f"x-goog-upload-url: {up.url}/upload?id=1",
                "operation-location: /relative",
                "content-location: http://elsewhere/",
            )
        )

    async with upstream(handler) as up:
        async with recording(up.url, tmp_path / "a.db") as service:
            live = await ask(service.url, "/s/one/v1/x", CHAT)
            assert live.header("location") == "http://test/s/one/v1/next?a=1"
            assert live.header("x-goog-upload-url") == "http://test/s/one/upload?id=1"
            assert live.header("operation-location") == "/relative"
        assert f"{up.url}/v1/next".encode() in (tmp_path / "a.db").read_bytes()
        async with replaying(tmp_path / "a.db") as service:
            played = await ask(service.url, "/s/two/v1/x", CHAT)
            assert played.header("location") == "http://test/s/two/v1/next?a=1"


async def test_an_http_1_0_client_gets_an_unframed_stream(tmp_path: Path) -> None:
    async def handler(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sockets.head() + sockets.chunk(b"data: 1\n\n") + sockets.chunk(b""))

    async with upstream(handler) as up, recording(up.url, tmp_path / "a.db") as service:
        async with Client(service.url) as client:
            client.writer.write(b"POST /v1/x HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            raw = await client.reader.read(-1)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert body == b"data: 1\n\n"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n", 400),
        (b"POST /v1/x HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n", 400),
    ],
)
async def test_what_is_no_http_gets_400_and_reaches_nobody(
    tmp_path: Path, raw: bytes, status: int
) -> None:
    async with (
        upstream(echo) as up,
        recording(up.url, tmp_path / "a.db") as service,
        Client(service.url) as client,
    ):
        client.writer.write(raw)
        assert (await client.answer()).status == status
        assert (await ask(service.url, "/v1/still/there", CHAT)).status == 200
    assert len(up.seen) == 1


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 101, "", "%2e", "a/../b"])
async def test_a_bad_session_name_says_the_rule(tmp_path: Path, name: str) -> None:
    async with upstream(echo) as up, recording(up.url, tmp_path / "a.db") as service:
        answer = await ask(service.url, "/v1/x", CHAT, f"x-llmproxy-session: {name}")
    if not name:
        assert answer.status == 200
        return
    assert answer.status == 400
    assert "session" in json.loads(answer.body)["error"]["message"]
    assert up.seen == []


async def test_control_routes_are_never_forwarded(tmp_path: Path) -> None:
    async with upstream(echo) as up, recording(up.url, tmp_path / "a.db") as service:
        health = await ask(service.url, "/_llmproxy/health", b"", method="GET")
        missing = await ask(service.url, "/_llmproxy/nothing", b"", method="GET")
        bare = await ask(service.url, "/_llmproxy", b"", method="GET")
        wrong = await ask(service.url, "/_llmproxy/sessions/reset", b"", method="GET")
        reset = await ask(service.url, "/_llmproxy/sessions/reset", b"{}")
    assert json.loads(health.body)["status"] == "ok"
    assert missing.status == 404
    assert "GET /_llmproxy/health" in json.loads(missing.body)["routes"]
    assert json.loads(bare.body)["error"] == "no such route: /_llmproxy/"
    assert (wrong.status, reset.status) == (405, 200)
    assert up.seen == []
