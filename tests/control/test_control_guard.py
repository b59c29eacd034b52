"""Who may use control routes: names, origins and tokens, over a socket and by themselves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import program
import sockets
from control.calling import call
from llmproxy.control.guard import guard_for, is_loopback
from llmproxy.control.route import Refused
from llmproxy.service import serving
from llmproxy.settings.model import ControlSettings
from serve import mock_plan, mocking, recording
from sockets import Seen, reply, upstream

CONFIG = "/_llmproxy/config"
TOKEN = "made-up-token-of-a-test"  # made up


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("localhost:4555", 200), ("LOCALHOST:1", 200), ("localhost.", 200),
        ("127.0.0.1", 200), ("127.0.0.1:80", 200), ("[::1]", 200), ("[::1]:4555", 200),
        ("allowed.test:9", 200), ("Allowed.Test", 200),
        ("evil.test", 403), ("evil.test:4555", 403), ("localhost.evil.test", 403), ("", 403),
        ("127.0.0.1.evil.test", 403), ("127.0.0.2", 403), ("user@localhost", 403),
        ("localhost:x", 403), ("localhost/", 403), ("[::1", 403), ("evil.test#localhost", 403),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [CONFIG, "/config", "/api/config", "/_llmproxy/health"])
async def test_a_foreign_host_is_refused(host: str, status: int, path: str) -> None:
    async with mocking(control__allowed_hosts=("allowed.test",)) as service:
        answer = await call(service, "GET", path, host=f"Host: {host}")
    assert answer.status == status
    if status == 403:
        assert "--allowed-host" in json.loads(answer.body)["error"]


async def test_two_hosts_or_none_are_refused() -> None:
    async with mocking() as service:
        two = await call(service, "GET", CONFIG, None, "Host: evil.test")
        async with sockets.Client(service.url) as client:
            client.writer.write(b"GET /_llmproxy/config HTTP/1.0\r\n\r\n")
            none = await client.answer("GET")
    assert two.status in (400, 403)
    assert none.status in (400, 403)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:4555", 200), ("http://LOCALHOST:4555", 200),
        ("http://allowed.test", 200), ("https://allowed.test:8443", 200),
        ("http://evil.test", 403), ("http://localhost", 403), ("http://localhost:3000", 403),
        ("https://evil.test:4555", 403), ("null", 403), ("", 403), ("file://", 403),
        ("http://localhost:4555.evil.test", 403), ("http://evil.test@localhost:4555", 403),
        ("chrome-extension://localhost:4555", 403), ("http://127.0.0.1:4555", 403),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"), [("GET", CONFIG), ("PATCH", CONFIG), ("POST", "/config"), ("GET", "/ws")]
)
async def test_a_page_of_another_origin_is_refused(
    origin: str, status: int, method: str, path: str
) -> None:
    body: dict[str, str] | None = None if method == "GET" else {}
    async with mocking(control__allowed_hosts=("allowed.test",)) as service:
        answer = await call(
            service, method, path, body, f"Origin: {origin}", host="Host: localhost:4555"
        )
    if path == "/ws" and status == 200:
        status = 426
    assert answer.status == status
    assert answer.header("access-control-allow-origin") is None


async def test_an_origin_without_a_port_is_that_of_its_scheme() -> None:
    async with mocking() as service:
        same = await call(service, "GET", CONFIG, None, "Origin: http://localhost")
        other = await call(service, "GET", CONFIG, None, "Origin: http://localhost:81")
    assert (same.status, other.status) == (200, 403)


@pytest.mark.parametrize("path", ["/_llmproxy/events", "/ws"])
@pytest.mark.parametrize(
    ("host", "headers"), [("evil.test", ()), ("localhost:1", ("Origin: http://evil.test",))]
)
async def test_a_websocket_from_elsewhere_is_refused(
    path: str, host: str, headers: tuple[str, ...]
) -> None:
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: bWFkZS11cC1ieS1hLXRlc3Q=",
    )
    async with mocking() as service:
        answer = await call(service, "GET", path, None, *upgrade, *headers, host=f"Host: {host}")
    assert answer.status == 403


@pytest.mark.parametrize("path", [CONFIG, "/_llmproxy/faults", "/config", "/api/config/global"])
async def test_a_preflight_opens_nothing_of_ours(path: str) -> None:
    preflight = ("Origin: http://evil.test", "Access-Control-Request-Method: PATCH")
    async with mocking() as service:
        answer = await call(service, "OPTIONS", path, None, *preflight)
    assert answer.status == 403
    assert answer.header("access-control-allow-origin") is None


async def test_provider_routes_stay_open_to_any_host_and_origin() -> None:
    async with mocking() as service:
        answer = await call(
            service,
            "POST",
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "x"}]},
            "Origin: http://app.test",
            host="Host: app.test",
        )
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == "*"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 401),
        (("Authorization: Bearer wrong-token",), 401),
        ((f"Authorization: Basic {TOKEN}",), 401),
        (("x-llmproxy-token:",), 401),
        ((f"x-llmproxy-token: {TOKEN}x",), 401),
        ((f"x-llmproxy-token: {TOKEN[:-1]}",), 401),
        ((f"Authorization: Bearer {TOKEN}",), 200),
        ((f"authorization: bearer {TOKEN}",), 200),
        ((f"X-LLMProxy-Token: {TOKEN}",), 200),
        (("Authorization: Bearer sk-made-up", f"x-llmproxy-token: {TOKEN}"), 200),
        ((f"x-llmproxy-token: {TOKEN}", "Origin: http://evil.test"), 403),
    ],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])  # to bind there is the test
async def test_a_token_that_is_set_is_wanted(
    headers: tuple[str, ...], status: int, host: str
) -> None:
    async with mocking(host=host, control__token=TOKEN) as service:
        for path in (CONFIG, "/config"):
            answer = await call(service, "GET", path, None, *headers)
            assert answer.status == status
            assert TOKEN not in answer.body.decode()
        if status == 401:
            assert answer.header("www-authenticate") == 'Bearer realm="llmproxy"'


@pytest.mark.parametrize(
    "path",
    [
        "/_llmproxy/health",
        "/_llmproxy/metrics",
        "/health",
        "/metrics",
        "/api/health",
        "/api/metrics",
    ],
)
async def test_health_and_numbers_want_no_token(path: str) -> None:
    async with mocking(host="0.0.0.0") as service:  # as above
        assert (await call(service, "GET", path, host="Host: any.test")).status == 200


async def test_elsewhere_a_random_token_is_made_and_shown_at_start() -> None:
    async with mocking(host="0.0.0.0") as service:  # as above
        line = next(line for line in service.banner().splitlines() if "token" in line)
        token = line.partition("x-llmproxy-token: ")[2]
        assert len(token) >= 32
        shown = await call(service, "GET", CONFIG, None, f"x-llmproxy-token: {token}")
        assert (await call(service, "GET", CONFIG)).status == 401
    assert shown.status == 200
    assert token not in shown.body.decode()
    async with mocking(host="0.0.0.0") as service:  # as above
        assert token not in service.banner()


async def test_a_token_that_is_set_is_shown_nowhere() -> None:
    plan = mock_plan(control__token=TOKEN)
    async with serving(plan) as service:
        assert TOKEN not in service.banner()
        answer = await call(service, "GET", CONFIG, None, f"x-llmproxy-token: {TOKEN}")
    assert (
        json.loads(answer.body)["settings"]["control"]["token"] == "(not shown)"
    )  # that is the point


async def test_on_a_loopback_address_no_token_is_made() -> None:
    async with mocking() as service:
        assert "token" not in service.banner()


async def test_the_body_of_a_refused_request_is_not_read() -> None:
    async with mocking() as service, sockets.Client(service.url) as client:
        client.writer.write(
            b"PATCH /_llmproxy/config HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 1000000\r\n\r\n"
        )
        assert (await asyncio.wait_for(client.answer("PATCH"), 2)).status == 403


async def test_a_session_in_the_path_is_no_way_around(tmp_path: Path) -> None:
    async def answered(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"{}"))

    async with upstream(answered) as up, recording(up.url, tmp_path / "a.db") as service:
        for path in ("/s/one/_llmproxy/config", "/_LLMPROXY/config"):
            assert (await call(service, "GET", path, host="Host: evil.test")).status == 404
        await call(service, "GET", "/config", host="Host: evil.test")
        assert (await call(service, "GET", CONFIG, host="Host: evil.test")).status == 403
    assert [seen.line.split()[1] for seen in up.seen] == ["/config"]


async def test_an_absolute_target_is_judged_alike() -> None:
    async with mocking() as service:
        target = "http://localhost/_llmproxy/config"
        ours = await call(service, "GET", target)
        foreign = await call(service, "GET", target, host="Host: evil.test")
    assert (ours.status, foreign.status) == (200, 403)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("box.test", False),  # as above
    ],
)  # fmt: skip
def test_what_is_a_loopback_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
    assert (guard_for(host, (), None).token is None) is expected


def test_bytes_that_are_no_text_are_no_token() -> None:
    guard = guard_for("0.0.0.0", (), TOKEN)  # as above
    with pytest.raises(Refused):
        guard.check((("Host", "a"), ("x-llmproxy-token", "\udcff")), open=False)


@pytest.mark.parametrize("value", ["short", "with a space in it", ""])
def test_a_token_that_is_none_is_refused_without_its_words(value: str) -> None:
    done = program.run("mock", "--port", "0", LLMPROXY_CONTROL_TOKEN=value or " x ")
    assert done.returncode == 2
    said = "LLMPROXY_CONTROL_TOKEN: control.token: not a token; write 8 to 200 letters, digits or signs without spaces"
    assert said in done.stderr
    assert not value or value not in done.stderr


def test_the_flag_adds_a_host() -> None:
    with program.serve("mock", "--allowed-host", "box.test") as server:

        async def status(host: str) -> int:
            answer = await sockets.ask(server.url, CONFIG, b"", f"Host: {host}", method="GET")
            return answer.status

        assert asyncio.run(status("box.test:80")) == 200
        assert asyncio.run(status("evil.test")) == 403


def test_defaults() -> None:
    assert ControlSettings() == ControlSettings((), None)
