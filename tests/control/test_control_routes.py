"""The table of routes, and the smaller groups: sessions, interactions, misses, limits, faults."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from control.calling import call, chat, refused, said, told
from llmproxy import misslog
from llmproxy.control.interactions import MOST
from llmproxy.control.misses import LONGEST_BODY, recent
from llmproxy.interaction import RecordedRequest
from llmproxy.misslog import Missed
from llmproxy.service import Service
from serve import mocking, recording, replaying
from sockets import Seen, reply, upstream

LIMIT = "{requests: 2 per hour, strategy: fixed-window}"


async def answered(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(b'{"id": 1}'))


async def record(folder: Path, count: int) -> Path:
    path = folder / "a.db"
    async with upstream(answered) as up, recording(f"up={up.url}", path) as service:
        for number in range(count):
            await call(service, "POST", f"/v1/{number}", {"model": "m"})
    return path


async def test_an_unknown_route_lists_all_and_another_method_says_which() -> None:
    async with mocking() as service:
        status, answer = await refused(service, "GET", "/_llmproxy/nope")
        assert status == 404
        assert {"GET /_llmproxy/health", "PATCH /_llmproxy/config"} <= set(answer["routes"])
        wrong = await call(service, "DELETE", "/_llmproxy/config")
        assert (wrong.status, wrong.header("allow")) == (405, "GET, HEAD, PATCH")
        head = await call(service, "HEAD", "/_llmproxy/health")
        assert (head.status, head.body) == (200, b"")


async def test_a_control_request_is_no_traffic() -> None:
    async with mocking() as service:
        for path in ("/_llmproxy/config", "/health", "/_llmproxy/nope"):
            await call(service, "GET", path)
        assert service.journal.requests == 0
        assert (await told(service, "GET", "/_llmproxy/journal"))["entries"] == []


async def test_sessions_are_told_and_started_over() -> None:
    async with mocking() as service:
        for session in ("a", "b", "a"):
            await said(service, "Hello!", f"x-llmproxy-session: {session}")
        found = (await told(service, "GET", "/_llmproxy/sessions"))["sessions"]
        assert [(each["name"], each["requests"]) for each in found] == [("b", 1), ("a", 2)]
        assert await told(service, "POST", "/_llmproxy/sessions/none/reset") == {
            "session": "none",
            "reset": 0,
        }
        status, _ = await refused(service, "POST", "/_llmproxy/sessions/a%20b/reset")
        assert status == 400


async def test_interactions_are_told_a_page_at_a_time(tmp_path: Path) -> None:
    path = await record(tmp_path, 5)
    async with replaying(path) as service:
        first = await told(service, "GET", "/_llmproxy/interactions?limit=2")
        second = await told(service, "GET", f"/_llmproxy/interactions?after={first['next']}")
    assert [each["path"] for each in first["interactions"]] == ["/v1/0", "/v1/1"]
    assert [each["path"] for each in second["interactions"]] == ["/v1/2", "/v1/3", "/v1/4"]
    row = first["interactions"][0]
    assert (row["id"], row["method"], row["model"], row["status"]) == (1, "POST", "m", 200)
    assert (row["cassette"], row["stream"]) == (str(path), False)
    assert second["next"] is None
    assert MOST >= 100


async def test_misses_are_told_redacted_the_newest_last(tmp_path: Path) -> None:
    path = await record(tmp_path, 1)
    key = "Authorization: Bearer made-up-key-of-a-test"
    async with replaying(path, state_folder=tmp_path / "state") as service:
        for text in ("one", "two"):
            await call(service, "POST", "/v1/chat/completions", chat(text), key)
        await asyncio.sleep(0)
        answer = await call(service, "GET", "/_llmproxy/misses?limit=1")
    (miss,) = json.loads(answer.body)["misses"]
    assert (miss["path"], "two" in miss["body"]) == ("/v1/chat/completions", True)
    assert b"made-up-key" not in answer.body


def test_misses_are_bounded_and_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    assert recent(tmp_path, 5) == []
    request = RecordedRequest("up", "POST", "/v1", "", (), b"x" * (LONGEST_BODY + 7))
    for number in range(3):
        misslog.remember(tmp_path, Missed(f"{number}", "s", (), request, ""))
    with (tmp_path / misslog.FILE).open("ab") as file:
        file.write(b"no JSON\n[]\n" + b"[" * 10_000 + b"\n\n")
    found = recent(tmp_path, 2)
    assert [each["at"] for each in found] == ["1", "2"]
    assert len(found[0]["body"]) == LONGEST_BODY
    assert found[0]["left_out"] == "7 characters"


async def test_limits_are_told_and_begin_anew() -> None:
    async with mocking(weather=f"limits: [{LIMIT}]") as service:
        statuses = [await status(service) for _ in range(3)]
        assert statuses == [200, 200, 429]
        found = await told(service, "GET", "/_llmproxy/limits")
        assert found["limits"] == [{"place": "limits[0]", "strategy": "fixed-window"}]
        (state,) = found["states"]
        assert state["limit"] == "limits[0]"
        assert (state["counts"]["requests"]["limit"], state["running"]) == (2, 0)
        assert state["counts"]["requests"]["remaining"] == 0
        assert await told(service, "POST", "/_llmproxy/limits/reset") == {"reset": 1}
        assert await status(service) == 200


async def status(service: Service) -> int:
    answer = await call(service, "POST", "/v1/chat/completions", chat())
    return answer.status


async def test_limits_by_a_change_are_in_force() -> None:
    async with mocking() as service:
        body = {"limits": [{"strategy": "always"}]}
        await told(service, "PATCH", "/_llmproxy/config", body)
        assert await status(service) == 429
        await told(service, "POST", "/_llmproxy/config/reset")
        assert await status(service) == 200


async def test_faults_are_put_told_and_taken_away() -> None:
    fault = {"name": "busy", "error": {"status": 503}}
    async with mocking() as service:
        put = await told(service, "PUT", "/_llmproxy/faults", [fault])
        assert put == {
            "faults": [{"name": "busy", "place": "control API"}],
            "written": [fault],
        }
        assert await status(service) == 503
        assert await told(service, "GET", "/_llmproxy/faults") == put
        assert (await told(service, "DELETE", "/_llmproxy/faults"))["faults"] == []
        assert await status(service) == 200
        wrapped = await told(service, "PUT", "/_llmproxy/faults", {"faults": [fault]})
        assert wrapped["written"] == [fault]


async def test_bad_faults_are_told_and_those_before_stay() -> None:
    async with mocking() as service:
        await told(service, "PUT", "/_llmproxy/faults", [{"error": 500}])
        code, answer = await refused(service, "PUT", "/_llmproxy/faults", [{"eror": 500}])
        assert code == 400
        assert "faults[0].eror" in answer["problems"][0]
        code, _ = await refused(service, "PUT", "/_llmproxy/faults", {"error": 500})
        assert code == 400
        assert await status(service) == 500


async def test_numbers_are_told_for_prometheus_as_json_and_as_csv() -> None:
    async with mocking() as service:
        await said(service)
        text = await call(service, "GET", "/_llmproxy/metrics")
        assert (text.header("content-type") or "").startswith("text/plain; version=0.0.4")
        assert b"llmproxy_requests_total{" in text.body
        numbers = await told(service, "GET", "/_llmproxy/metrics.json")
        assert numbers["endpoints"]["openai-chat"]["peaks"]["totalRequests"] == 1
        table = await call(service, "GET", "/_llmproxy/metrics.csv")
        assert table.body.startswith(b"timestamp,active_connections")
        await told(service, "POST", "/_llmproxy/metrics/reset")
        again = await told(service, "GET", "/_llmproxy/metrics.json")
    assert again["global"]["peaks"]["totalRequests"] == 0


async def test_aliases_are_the_providers_paths_while_recording(tmp_path: Path) -> None:
    paths = ("/health", "/metrics", "/config", "/api/config", "/responses", "/ws")
    async with upstream(answered) as up, recording(up.url, tmp_path / "a.db") as service:
        for path in paths:
            assert (await call(service, "GET", path)).body == b'{"id": 1}'
    assert [seen.line.split()[1] for seen in up.seen] == list(paths)


async def test_aliases_are_exact_methods_and_paths() -> None:
    async with mocking() as service:
        answer = await call(service, "POST", "/responses", {"model": "m", "input": "x"})
        assert json.loads(answer.body)["object"] == "response"
        for path in ("/health/x", "/healthz", "/v1/config", "/configs", "/metrics/x"):
            answer = await call(service, "GET", path)
            assert (answer.status, answer.header("x-llmproxy-source")) == (404, "error")
