"""Settings by the control API: what is told, what a change does, what a bad one says."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import pytest

import sockets
from control.calling import HOST, call, refused, said, told
from llmproxy import configuration
from llmproxy.errors import SettingsError
from llmproxy.live import Live
from llmproxy.redaction import RedactSettings
from llmproxy.service import Plan, Service, serving
from llmproxy.settings import Settings, walk
from llmproxy.settings.catalogue import plain_values
from serve import mocking

CONFIG = "/_llmproxy/config"
FIXED = "a running server does not take it; write it in proxy.yml and start again"


def plan_of(folder: Path, text: str) -> Plan:
    (folder / "proxy.yml").write_text(f"port: 0\n{text}")
    again = functools.partial(configuration.load, None, {}, {}, folder)
    return Plan("mock", again(), again=again)


async def reloaded(service: Service, folder: Path, text: str) -> None:
    """Save the file and have it read, without waiting for the watcher."""
    (folder / "proxy.yml").write_text(f"port: 0\n{text}")
    assert (await told(service, "POST", "/config/reload"))["status"] == "success"


async def test_settings_are_told_as_proxy_yml_has_them_and_where_they_are_from(
    tmp_path: Path,
) -> None:
    text = "mock: {text: Hi}\npace: {ttft: 1500ms}\nrules: [{name: a, reply: b}]\n"
    async with serving(plan_of(tmp_path, text)) as service:
        config = await told(service, "GET", CONFIG)
    settings = config["settings"]
    assert (settings["mock"]["text"], settings["pace"]["ttft"]) == ("Hi", "1.5s")
    assert (settings["max_request"], settings["mock"]["seed"]) == ("256MB", 0)
    assert config["origins"]["mock.text"] == "proxy.yml:2"
    assert config["origins"]["mock.seed"] == "default"
    assert set(config["origins"]) == {each.name for each in walk(Settings)}
    assert config["rules"] == [{"name": "a", "place": "proxy.yml:4"}]
    assert "rules" not in settings
    assert (config["version"], config["changed"], config["ignored"]) == (1, [], [])


def test_every_value_is_told_as_it_may_be_written(tmp_path: Path) -> None:
    settings = Settings()
    (tmp_path / "proxy.yml").write_text(json.dumps(plain_values(settings)))
    assert configuration.load(None, {}, {}, tmp_path).settings == settings


async def test_what_may_be_secret_is_not_told() -> None:
    redact = RedactSettings(
        headers=("x-made-up",), json=("$.made_up",), query=("made-up",), patterns=("made-up",)
    )
    async with mocking(redact=redact) as service:
        answer = await call(service, "GET", CONFIG)
    shown = json.loads(answer.body)["settings"]["redact"]
    names = ("headers", "query", "json", "patterns")
    assert [shown[name] for name in names] == ["(not shown)"] * 4
    assert shown["environment"] is True
    assert b"made" not in answer.body.lower().replace(b"made up", b"")


async def test_a_change_is_in_force_at_once_and_says_so() -> None:
    async with mocking() as service:
        config = await told(service, "PATCH", CONFIG, {"mock": {"text": "New."}})
        assert await said(service) == "New."
    assert (config["version"], config["changed"]) == (2, ["mock.text"])
    assert config["origins"]["mock.text"] == "control API"


async def test_changes_add_up_and_end_with_a_reset() -> None:
    async with mocking(mock__text="Old.") as service:
        await told(service, "PATCH", CONFIG, {"mock": {"text": "New."}})
        await told(service, "PATCH", CONFIG, {"mock": {"seed": 3}, "pace": {"ttft": 0}})
        config = await told(service, "GET", CONFIG)
        assert config["changed"] == ["mock.text", "mock.seed", "pace.ttft"]
        left = await told(service, "POST", f"{CONFIG}/reset?names=mock.text,pace")
        assert left["changed"] == ["mock.seed"]
        assert await said(service) == "Old."
        assert (await told(service, "POST", f"{CONFIG}/reset"))["changed"] == []


async def test_a_change_survives_a_reload_of_the_file(tmp_path: Path) -> None:
    async with serving(plan_of(tmp_path, "mock: {text: File., seed: 1}\n")) as service:
        await told(service, "PATCH", CONFIG, {"mock": {"text": "Changed."}})
        await reloaded(service, tmp_path, "mock: {text: Later., seed: 2}\n")
        assert await said(service) == "Changed."
        config = await told(service, "GET", CONFIG)
        assert config["settings"]["mock"]["seed"] == 2
        assert config["origins"]["mock.text"] == "control API"
        config = await told(service, "POST", f"{CONFIG}/reset")
        assert await said(service) == "Later."
        assert config["origins"]["mock.text"] == "proxy.yml:2"


async def test_a_null_is_a_value() -> None:
    async with mocking(pace__ttft=5.0) as service:
        config = await told(service, "PATCH", CONFIG, {"pace": {"ttft": None}})
    assert config["settings"]["pace"]["ttft"] is None


async def test_rules_can_be_changed_and_taken_back(tmp_path: Path) -> None:
    async with serving(plan_of(tmp_path, "rules: [{name: file, reply: File.}]\n")) as service:
        config = await told(
            service, "PATCH", CONFIG, {"rules": [{"name": "ours", "reply": "Ours."}]}
        )
        assert config["rules"] == [{"name": "ours", "place": "control API"}]
        assert await told(service, "GET", "/_llmproxy/rules") == {"rules": config["rules"]}
        assert await said(service) == "Ours."
        assert (await told(service, "PATCH", CONFIG, {"rules": []}))["rules"] == []
        await told(service, "POST", f"{CONFIG}/reset")
        assert await said(service) == "File."


BAD: list[tuple[Any, list[str]]] = [
    ({"mock": {"txet": "x"}}, ["mock.txet: no such setting; did you mean mock.text?"]),
    ({"mokc": {}}, ["mokc: no such setting; did you mean mock?"]),
    ({"mock": 3}, ["mock: 3 is not a group; write its settings indented below it"]),
    ({"mock": {"tool_calls": 2}}, ["mock.tool_calls: 2 is not between 0 and 1"]),
    ({"mock.text": "x"}, ['"mock.text": no such setting; write it in steps: mock: text: ...']),
    ({"port": 80}, [f"port: {FIXED}"]),
    ({"host": "0.0.0.0", "redact": {"headers": ["x"]}}, [f"host: {FIXED}", f"redact.headers: {FIXED}"]),  # refused
    ({"control": {"token": "a-token-of-mine"}}, [f"control.token: {FIXED}"]),
    ({"control": {"token": "bad"}}, [f"control.token: {FIXED}"]),
    ({"redact": {"patterns": ["("]}}, [f"redact.patterns: {FIXED}"]),
    ({"pace": {"ttft": "soon"}}, ['pace.ttft: "soon" is not a duration; write 500ms, 10s, 2m or 1h']),
    ({"models": {"table": {"m": {"tps": 1}}}}, ["models.table.m.tps: no such setting"]),
    ({"limits": [{"requests": "many"}]}, ['limits[0].requests: "many" is not a rate; write 60 per minute or 10 per 500ms']),
    ({"limits": 3}, ["limits: 3 is not a list; begin each limit with a dash"]),
    ({"faults": [{"rate": 2, "hang": True}]}, ["faults[0].rate: 2 is not a number from 0 to 1; write one such as 0.1"]),
    ({"rules": [{"wen": {}, "reply": "x"}]}, ["rules[0].wen: no such member of a rule; did you mean when?"]),
    ({"rules": ["none.yml"]}, ['rules[0]: "none.yml": no such file']),
    ({"endpoints": {"openai-chta": {}}}, ["endpoints.openai-chta: no such endpoint; did you mean openai-chat?"]),
    ({"endpoints": {"openai-chat": {"pace": {"tftt": 1}}}}, ["endpoints.openai-chat.pace.tftt: no such setting; did you mean pace.ttft?"]),
    ({"endpoints": {"openai-chat": {"models": {}}}}, ["endpoints.openai-chat.models: no such setting"]),
    ({"endpoints": {"openai-chat": 1}}, ["endpoints.openai-chat: has no value; write {pace: {ttft: 300ms}} or remove the line"]),
    ({"mock": {"seed": "ever"}, "pace": {"jitter": 2}, "limits": [{}]}, [
        'mock.seed: "ever" is not a seed; write a whole number or random',
        "pace.jitter: 2 is not between 0 and 1",
        "limits[0]: limits nothing; write requests: 60 per minute or concurrency: 4",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "problems"), BAD, ids=lambda value: str(value)[:50])
async def test_a_bad_change_names_each_field_and_changes_nothing(
    body: Any, problems: list[str]
) -> None:
    async with mocking() as service:
        before = await told(service, "GET", CONFIG)
        good = {"replay": {}, "mock": {"text": "not taken"}}
        merged = {**good, **body} if "mock" not in body else body
        status, answer = await refused(service, "PATCH", CONFIG, merged)
        assert await told(service, "GET", CONFIG) == before
    assert status == 400
    assert answer["error"] == "nothing was changed"
    assert sorted(answer["problems"]) == sorted(f"request body: {each}" for each in problems)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the request body is no object; write settings as in proxy.yml"),
        (b"[]", "the request body is no object; write settings as in proxy.yml"),
        (b"{", "the request body is not JSON"),
        (b"\xff", "the request body is not JSON"),
        (b'{"a": NaN}', "the request body holds NaN, which is no JSON"),
        (b'{"a": 1e999}', "the request body holds a number that is too large"),
        (b'{"a": 1, "a": 2}', 'the request body has "a" twice in one object'),
        (b'{"a": "\\ud800"}', "the request body holds half of a character (a lone surrogate)"),
        (b"[" * 100 + b"]" * 100, "the request body is more than 64 levels deep"),
        (b"[" * 500_000, "the request body is more than 64 levels deep"),
        (b"[" + b"1," * 200_000 + b"1]", "the request body holds more than 100,000 values"),
        (b"[" + b"1" * 30 + b"]", "the request body holds a number of more than 18 digits"),
        (b" " * (2**20 + 1), "the request's body is larger than 1048576 bytes"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_body_that_is_no_change_is_refused(body: bytes, message: str) -> None:
    async with mocking() as service:
        answer = await sockets.ask(service.url, CONFIG, body, HOST, method="PATCH")
    assert answer.status == (413 if "larger" in message else 400)
    assert json.loads(answer.body)["error"] == message


async def test_what_is_different_at_an_endpoint_is_merged_and_cleared() -> None:
    path = f"{CONFIG}/endpoints/openai-chat"
    async with mocking() as service:
        first = await told(service, "PATCH", path, {"mock": {"text": "Chat."}})
        assert first == {"endpoint": "openai-chat", "changes": {"mock": {"text": "Chat."}}}
        both = await told(service, "PATCH", path, {"mock": {"seed": 1}, "pace": {"ttft": "1ms"}})
        assert both["changes"] == {"mock": {"text": "Chat.", "seed": 1}, "pace": {"ttft": "1ms"}}
        listed = (await told(service, "GET", f"{CONFIG}/endpoints"))["endpoints"]
        assert listed["openai-chat"] == both["changes"]
        assert listed["anthropic-messages"] == {}
        assert (await told(service, "DELETE", path))["changes"] == {}
        assert (await told(service, "GET", path))["changes"] == {}


async def test_an_endpoint_that_is_none_is_not_found() -> None:
    async with mocking() as service:
        for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            status, answer = await refused(service, method, f"{CONFIG}/endpoints/nope", body)
            assert status == 404
            assert "openai-chat" in answer["endpoints"]


async def test_what_is_in_force_at_an_endpoint_is_its_own(tmp_path: Path) -> None:
    text = "mock: {text: All., seed: 4}\nendpoints: {openai-chat: {mock: {text: Chat.}}}\n"
    live = Live(plan_of(tmp_path, text).configuration)
    there = live.current.at("openai_chat")
    assert (there.manner.mock.text, there.manner.mock.seed) == ("Chat.", 4)
    assert live.current.at("openai_responses") is live.current
    await live.patch({"mock": {"seed": 5}})
    assert live.current.at("openai_chat").manner.mock.seed == 5
    assert there.version == 1


async def test_a_change_that_cannot_be_leaves_everything() -> None:
    live = Live(configuration.Configuration(Settings()))
    current = live.current
    with pytest.raises(SettingsError, match="like"):
        await live.patch({"pace": {"like": "none.db"}})
    assert live.current is current
    assert live.changed == ()


async def test_subscribers_hear_of_every_change() -> None:
    live = Live(configuration.Configuration(Settings()))
    heard: list[int] = []
    end = live.subscribe(lambda: heard.append(live.version))
    await live.patch({"mock": {"text": "a"}})
    await live.unpatch()
    end()
    await live.patch({"mock": {"text": "b"}})
    assert heard == [2, 3]
    assert dataclasses.replace(live.current).version == 4


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{CONFIG}/reset?nmaes=a", '"nmaes": no such parameter; did you mean names?'),
        (f"{CONFIG}?a=1", '"a": no such parameter'),
        (f"{CONFIG}/reset?names=a&names=b", "names: given twice"),
        ("/_llmproxy/journal?limit=0", 'limit: "0" is not from 1 to 1,000'),
        ("/_llmproxy/journal?limit=x", 'limit: "x" is not a whole number'),
        ("/_llmproxy/journal?limit=%D9%A1", 'limit: "\u0661" is not a whole number'),
    ],
)
async def test_a_bad_parameter_is_named(target: str, message: str) -> None:
    method = "POST" if "reset" in target else "GET"
    async with mocking() as service:
        status, answer = await refused(service, method, target)
    assert (status, answer["error"]) == (400, message)
