"""Rules over a socket: who gets which answer, in which order, from where."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest

import make
import serve
from llmproxy import rule_responder
from llmproxy.cassette import Cassette
from llmproxy.service import Plan, Service, serving
from serve import mocking, replaying
from sockets import Answer, ask, free_port, upstream
from test_synthesizer import CHAT, JSON, MESSAGES, body, chat, said

SKY = 'The sky is blue — because of Rayleigh scattering.\n\t"quoted" 🌈'
SKY_RULE = f"""
rules:
  - name: sky
    when: {{text: Hi}}
    reply: {{text: {json.dumps(SKY, ensure_ascii=False)}}}
"""
EVENTS = [b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % n for n in range(4)]
STREAM = [*EVENTS, b"data: [DONE]\n\n"]


def recorded(path: Path, *, stream: bool = False, **members: Any) -> Path:
    """A cassette with one chat, whole or streamed at a chunk each 10 s."""
    asked = make.request(body(**members))
    if stream:
        chunks = [(10.0 * number, data) for number, data in enumerate(STREAM, 1)]
        headers = (("Content-Type", "text/event-stream"),)
        answered = make.response(chunks, headers=headers)
    else:
        content = {
            "choices": [{"message": {"content": "recorded"}}],
            "usage": {"completion_tokens": 3},
        }
        answered = make.response([(0.0, json.dumps(content).encode())])
    return make.write(path, make.interaction(asked, answered))


async def post(service: Service, path: str, data: Any, *headers: str) -> Answer:
    return await ask(service.url, path, json.dumps(data).encode(), JSON, *headers)


# What a rule says


async def test_a_rule_answers_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmproxy")
    async with mocking(rules=SKY_RULE) as service:
        answer = await chat(service)
        assert said(answer) == SKY
        assert answer.header("x-llmproxy-source") == "rule"
        assert answer.header("x-llmproxy-rule") == "sky"
        assert service.summary() == "llmproxy: 0 replies were made up, 1 answered by rules"
        assert "1 rule first (rules.yml)" in service.banner()
    assert "200 POST /v1/chat/completions · rule" in caplog.text
    assert "· rule sky" in caplog.text
    assert "Rayleigh" not in caplog.text


@pytest.mark.parametrize("stream", [False, True])
async def test_the_text_of_a_rule_is_not_cut_by_what_the_request_says(stream: bool) -> None:
    async with mocking(rules=SKY_RULE) as service:
        assert said(await chat(service, max_tokens=2, stop=["blue"], stream=stream)) == SKY


async def test_a_name_that_no_header_can_hold_is_encoded() -> None:
    rules = "rules:\n  - {name: 'Größe: 1', reply: hello}"
    async with mocking(rules=rules) as service:
        assert (await chat(service)).header("x-llmproxy-rule") == "Gr%C3%B6%C3%9Fe: 1"


async def test_the_first_rule_that_holds_answers() -> None:
    rules = """
rules:
  - {name: other, when: {text: Ho}, reply: no}
  - {name: model, when: {model: "gpt-4*"}, reply: first}
  - {name: all, reply: second}
"""
    async with mocking(rules=rules) as service:
        assert said(await chat(service)) == "first"
        assert said(await chat(service, model="o3")) == "second"


async def test_what_no_rule_answers_goes_on() -> None:
    async with mocking(rules=SKY_RULE) as service:
        answer = await chat(service, messages=[{"role": "user", "content": "hi"}])
        assert answer.header("x-llmproxy-source") == "synthesized"
        assert answer.header("x-llmproxy-rule") is None


async def test_usage_and_finish_are_as_the_rule_says() -> None:
    rules = (
        "rules: [{reply: {text: a, finish: length, usage: {output_tokens: 12, input_tokens: 7}}}]"
    )
    async with mocking(rules=rules) as service:
        found = json.loads((await chat(service)).body)
    assert found["choices"][0]["finish_reason"] == "length"
    assert (found["usage"]["prompt_tokens"], found["usage"]["completion_tokens"]) == (7, 12)


async def test_a_model_that_is_not_known_is_no_reason_for_a_rule_to_refuse() -> None:
    async with mocking(rules=SKY_RULE, models__strict=True) as service:
        assert said(await chat(service, model="nobody-knows")) == SKY


async def test_data_for_the_schema_that_is_asked_for() -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 3}},
        "required": ["age"],
        "additionalProperties": False,
    }
    rules = "rules: [{name: data, reply: {json_schema: request}}, {name: text, reply: plain}]"
    asked = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}}
    async with mocking(rules=rules) as service:
        answer = await chat(service, response_format=asked)
        assert answer.header("x-llmproxy-rule") == "data"
        jsonschema.validate(json.loads(said(answer)), schema)
        assert said(await chat(service)) == "plain"


async def test_the_pace_of_a_rule_is_its_own() -> None:
    rules = (
        "rules: [{when: {stream: true}, reply: one two three, pace: {ttft: 0.2}}, {reply: at once}]"
    )
    async with mocking(rules=rules, pace__ttft=30.0) as service:
        began = time.monotonic()
        assert said(await chat(service, stream=True)) == "one two three"
        assert 0.2 <= time.monotonic() - began < 5


# Replies in turn

RETRY = """
rules:
  - name: rate limited twice, then fine
    when: {text: {contains: H}}
    count: prompt
    replies:
      - {error: {status: 429, message: slow down, headers: {retry-after: "0"}}}
      - {error: {status: 503, headers: {retry-after-ms: "1"}}}
      - {text: recovered}
"""


async def test_an_sdk_retries_until_the_rule_lets_it() -> None:
    async with mocking(rules=RETRY) as service:
        async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="k") as client:
            found = await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "Hi"}]
            )
        assert found.choices[0].message.content == "recovered"
        assert service.journal.ruled == 3


async def test_a_reset_of_the_session_starts_its_rules_over() -> None:
    rules = "rules: [{name: once, times: 1, reply: only once}, {reply: always}]"
    async with mocking(rules=rules) as service:
        for session in ("a", "b"):
            at = f"x-llmproxy-session: {session}"
            assert [said(await chat(service, at)) for _ in range(2)] == ["only once", "always"]
        await ask(service.url, "/_llmproxy/sessions/a/reset", b"")
        assert said(await chat(service, "x-llmproxy-session: a")) == "only once"
        assert said(await chat(service, "x-llmproxy-session: b")) == "always"


async def test_parallel_requests_take_one_turn_each() -> None:
    replies = ", ".join(f'"{number}"' for number in range(20))
    async with mocking(rules=f"rules: [{{replies: [{replies}], after: next}}]") as service:
        answers = await asyncio.gather(*(chat(service, stream=n % 2 == 0) for n in range(20)))
    assert sorted(map(said, answers), key=int) == [str(number) for number in range(20)]


# Replies that are no text


async def test_an_error_answers_what_asks_for_no_text_and_what_nobody_knows() -> None:
    rules = "rules: [{when: {path: '/v1/*'}, reply: {error: {status: 503, message: away}}}]"
    async with mocking(rules=rules) as service:
        for path, data in (("/v1/embeddings", {"model": "m", "input": "a"}), ("/v1/nothing", {})):
            answer = await post(service, path, data)
            assert (answer.status, json.loads(answer.body)["error"]["message"]) == (503, "away")


async def test_an_error_waits_as_long_as_the_rule_says() -> None:
    rules = "rules: [{reply: {error: 500}, pace: {ttft: 0.1}}]"
    async with mocking(rules=rules) as service:
        began = time.monotonic()
        assert (await chat(service)).status == 500
        assert time.monotonic() - began >= 0.1


async def test_a_rule_that_says_text_leaves_what_asks_for_none() -> None:
    async with mocking(rules="rules: [{reply: hello}]") as service:
        answer = await post(service, "/v1/embeddings", {"model": "m", "input": "a"})
        assert answer.header("x-llmproxy-source") == "synthesized"
        refused = await ask(service.url, CHAT, b"{broken", JSON)
        assert refused.status == 400


@pytest.mark.parametrize(
    ("raw", "status", "kind", "data"),
    [
        ("{status: 418, body: short}", 418, "text/plain; charset=utf-8", b"short"),
        ("{body: {a: [1, null]}}", 200, "application/json", b'{"a":[1,null]}'),
        ("{headers: {Content-Type: text/x}, body: b}", 200, "text/x", b"b"),
        ("{template: 'at {{ path }}'}", 200, "text/plain; charset=utf-8", b"at /x"),
        ("{status: 204}", 204, None, b""),
    ],
)
async def test_a_raw_reply_is_sent_as_it_stands(
    raw: str, status: int, kind: str | None, data: bytes
) -> None:
    async with mocking(rules=f"rules: [{{when: {{path: /x}}, reply: {{raw: {raw}}}}}]") as service:
        answer = await ask(service.url, "/x", b"anything", "Content-Type: text/plain")
        assert (answer.status, answer.header("content-type"), answer.body) == (status, kind, data)
        assert answer.header("x-llmproxy-source") == "rule"
        assert (await ask(service.url, "/y", b"")).status == 404


async def test_a_template_is_filled_in_from_the_request() -> None:
    rules = """
rules:
  - reply: {template: "{{ counter }}: you said {{ last_user_text }} to {{ model }} as {{ header x-who }}"}
"""
    async with mocking(rules=rules) as service:
        told = [said(await chat(service, "x-who: me", stream=s)) for s in (False, True)]
    assert told == [f"{n}: you said Hi to gpt-4o as me" for n in (1, 2)]


async def test_what_a_template_draws_is_another_each_time_and_the_same_in_an_equal_run() -> None:
    rules = "rules: [{reply: {template: '{{ uuid }} {{ uuid }}'}}]"

    async def run() -> list[str]:
        async with mocking(rules=rules) as service:
            return [said(await chat(service)) for _ in range(2)]

    first = await run()
    assert len({each for told in first for each in told.split()}) == 4
    assert await run() == first


# From cassettes


async def test_an_interaction_answers_whatever_is_asked(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run.db")
    rules = (
        f"rules: [{{when: {{path: /v1/embeddings}}, reply: {{cassette: {path}, interaction: 1}}}}]"
    )
    async with mocking(rules=rules) as service:
        answer = await post(service, "/v1/embeddings", {})
        assert json.loads(answer.body)["choices"][0]["message"]["content"] == "recorded"
        assert answer.header("x-llmproxy-source") == "rule"
        assert answer.header("x-llmproxy-interaction") == "run.db/1"


async def test_a_cassette_that_has_gone_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    rules = f"rules: [{{reply: {{cassette: {path}, interaction: 1}}, pace: instant}}]"
    async with mocking(rules=rules) as service:
        answer = await chat(service)
        assert answer.status >= 400
        assert b"run.db" in answer.body
        recorded(path)
        assert b"recorded" in (await chat(service)).body


async def test_a_cassette_with_a_new_file_in_its_place_is_read_anew(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run.db")
    rules = f"rules: [{{reply: {{cassette: {path}, interaction: 1}}, pace: instant}}]"
    async with mocking(rules=rules) as service:
        assert b"recorded" in (await chat(service)).body
        recorded(tmp_path / "new.db", stream=True).replace(path)
        assert (await chat(service)).body != b""


async def test_an_error_first_and_what_was_recorded_after(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run.db")
    rules = "rules: [{name: busy, times: 1, reply: {error: {status: 529}}}]"
    async with replaying(path, rules=rules) as service:
        answers = [await chat(service) for _ in range(2)]
    assert [answer.status for answer in answers] == [529, 200]
    assert [answer.header("x-llmproxy-source") for answer in answers] == ["rule", "replayed"]
    assert answers[1].header("x-llmproxy-rule") is None


async def test_what_was_recorded_at_another_pace(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run.db", stream=True, model="a", stream_=True)
    rules = """
rules:
  - {name: fast, when: {session: fast}, reply: {recorded: true}, pace: 200x}
  - {name: slow, reply: {recorded: true}, pace: {ttft: 0.2, tokens_per_second: 100}}
"""
    async with replaying(path, rules=rules, replay__pace=1.0) as service:
        for session, rule in (("fast", "fast"), ("other", "slow")):
            began = time.monotonic()
            at = f"x-llmproxy-session: {session}"
            answer = await chat(service, at, model="a", stream_=True)
            assert 0.2 < time.monotonic() - began < 5
            assert answer.body == b"".join(STREAM)
            assert answer.header("x-llmproxy-source") == "replayed"
            assert answer.header("x-llmproxy-rule") == rule


async def test_a_fault_on_a_recorded_stream(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run.db", stream=True)
    rules = """
rules:
  - reply: {recorded: true, stream_error: {status: 500, message: gone}, after_chunks: 2}
"""
    async with replaying(path, rules=rules) as service:
        answer = await chat(service)
    assert answer.body.startswith(b"".join(EVENTS[:2]) + b'data: {"error"')
    assert b"gone" in answer.body
    assert EVENTS[2] not in answer.body


async def test_a_rule_for_recordings_leaves_what_no_cassette_holds(tmp_path: Path) -> None:
    path = recorded(tmp_path / "run.db")
    rules = "rules: [{name: rec, times: 1, reply: {recorded: true}}, {when: {model: b}, reply: b}]"
    async with replaying(path, rules=rules, state_folder=tmp_path) as service:
        assert said(await chat(service, model="b")) == "b"
        missed = await chat(service, model="c")
        assert missed.status == 400
        assert "None of 2 rules answers" in json.loads(missed.body)["error"]["message"]
        # neither used the rule up
        assert (await chat(service)).header("x-llmproxy-rule") == "rec"
        assert (await chat(service)).header("x-llmproxy-rule") is None


# From a provider


async def test_a_rule_passes_a_request_on_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    async def provider(_seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal")

    path = tmp_path / "run.db"
    rules = (
        "rules: [{when: {model: live}, reply: {forward: gw}}, {when: {model: mine}, reply: rule}]"
    )
    async with upstream(provider) as there:
        configuration = serve.configuration(rules, upstreams={"gw": f"{there.url}/base"})
        async with serving(Plan("record", configuration, (there.url,), (path,))) as service:
            live = await chat(service, model="live")
            assert (live.body, live.header("x-llmproxy-source")) == (b"real", "forwarded")
            assert live.header("x-llmproxy-rule") == "rule 1"
            assert said(await chat(service, model="mine")) == "rule"
            assert (await chat(service, model="kept")).body == b"real"
        lines = [seen.line for seen in there.seen]
        assert lines == ["POST /base/v1/chat/completions HTTP/1.1", f"POST {CHAT} HTTP/1.1"]
    with contextlib.closing(Cassette(path)) as cassette:
        assert [b"kept" in each.request.body for each in cassette.interactions()] == [True]


async def test_a_rule_that_fails_is_named_and_has_its_turn_again() -> None:
    rules = "rules: [{name: live, times: 1, reply: {forward: gw}}, {reply: made up}]"
    settings = serve.configuration(rules, upstreams={"gw": f"http://127.0.0.1:{free_port()}"})
    async with serving(Plan("mock", settings)) as service:
        for _ in range(2):
            failed = await chat(service)
            assert failed.status == 502
            assert b'rule \\"live\\" (rules.yml:1:9): upstream gw' in failed.body


async def test_a_rule_that_forwards_to_its_own_server_ends_soon() -> None:
    port = free_port()
    rules = "rules: [{name: circle, reply: {forward: me}}]"
    settings = serve.configuration(
        rules, port=port, upstreams={"me": f"http://127.0.0.1:{port}/v1"}
    )
    async with serving(Plan("mock", settings)) as service:
        answer = await chat(service)
        assert (answer.status, b"leads back here" in answer.body) == (502, True)
        assert service.journal.requests <= 5


async def test_what_a_rule_forwards_ends_whole_when_the_server_ends() -> None:
    begun = asyncio.Event()

    async def provider(_seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nreal")
        await begun.wait()
        writer.write(b"rest")

    async with upstream(provider) as there:
        settings = serve.configuration(
            "rules: [{reply: {forward: gw}}]", upstreams={"gw": there.url}
        )
        async with serving(Plan("mock", settings)) as service:
            answering = asyncio.create_task(chat(service))
            while not service.journal.in_flight or not there.seen:  # noqa: ASYNC110  # no event to wait for
                await asyncio.sleep(0.001)
            asyncio.get_running_loop().call_later(0.05, begun.set)
        assert (await answering).body == b"realrest"


async def test_a_pipe_in_place_of_a_cassette_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    os.mkfifo(path)
    rules = f"rules: [{{reply: {{cassette: {path}, interaction: 1}}}}]"
    async with mocking(rules=rules) as service:
        assert b"no regular file" in (await chat(service)).body


# Bounds


async def test_many_dear_rules_are_decided_where_no_stream_waits() -> None:
    nodes = {f"k{number}": number for number in range(4000)}
    dear = "".join('  - {when: {json: {"$..zz": 1}}, reply: no}\n' for _ in range(30))
    async with mocking(rules=f"rules:\n{dear}  - {{reply: last}}\n") as service:
        asking = asyncio.create_task(chat(service, metadata=nodes))
        worst = 0.0
        while not asking.done():
            began = time.monotonic()
            await asyncio.sleep(0)
            worst = max(worst, time.monotonic() - began)
        assert said(await asking) == "last"
    assert worst < 0.1


async def test_a_catastrophic_regex_costs_a_warning_and_a_miss_of_its_rule(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rules = """
rules:
  - {name: bad, when: {text: {regex: '^(a|aa)+$'}}, reply: bad}
  - {name: good, reply: good}
"""
    evil = "a" * 60 + "!"
    async with mocking(rules=rules) as service:
        began = time.monotonic()
        answers = await asyncio.gather(
            *(chat(service, messages=[{"role": "user", "content": evil}]) for _ in range(3)),
        )
        assert [said(answer) for answer in answers] == ["good"] * 3
        assert time.monotonic() - began < 10
        fine = [{"role": "user", "content": "aaa"}]
        assert said(await chat(service, messages=fine)) == "bad"
    warnings = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "rules.yml:3" in warnings[0]
    assert '"bad"' in warnings[0]
    assert "aaaa" not in warnings[0]


async def test_others_are_answered_while_a_regex_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_responder, "IN_THREAD", 2.0)
    rules = "rules: [{when: {text: {regex: '^(a|aa)+$'}}, reply: bad}, {reply: good}]"
    evil = [{"role": "user", "content": "a" * 60 + "!"}]
    async with mocking(rules=rules) as service:
        slow = asyncio.create_task(chat(service, messages=evil))
        await asyncio.sleep(0.01)
        while not slow.done():
            began = time.monotonic()
            assert said(await chat(service)) == "good"
            assert time.monotonic() - began < 1.0
        assert said(await slow) == "good"


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_large_request_is_matched_as_a_small_one(compressed: bool) -> None:
    text = "x" * 300_000 + " needle"
    rules = "rules: [{when: {text: {ends_with: needle}}, reply: found}]"
    data = body(messages=[{"role": "user", "content": text}])
    headers = [JSON]
    if compressed:
        data = gzip.compress(data)
        headers.append("Content-Encoding: gzip")
    async with mocking(rules=rules) as service:
        assert said(await ask(service.url, CHAT, data, *headers)) == "found"


async def test_an_equal_request_is_read_once_and_decided_each_time() -> None:
    rules = "rules: [{replies: [a, b, c], after: cycle}]"
    async with mocking(rules=rules) as service:
        assert "".join([said(await chat(service)) for _ in range(5)]) == "abcab"


async def test_a_conversation_that_goes_on_is_judged_by_what_is_stored() -> None:
    rules = "rules: [{when: {turn: 2}, reply: second}, {when: {turn: 1}, reply: first}]"
    async with mocking(rules=rules) as service:
        first = await post(service, "/v1/responses", {"model": "gpt-4o", "input": "Hi"})
        id = json.loads(first.body)["id"]
        more = {"model": "gpt-4o", "input": "Hi", "previous_response_id": id}
        texts = [json.loads((await post(service, "/v1/responses", more)).body) for _ in range(2)]
    assert [each["output"][0]["content"][0]["text"] for each in texts] == ["second", "second"]


def test_the_messages_are_what_the_rules_of_this_file_ask_for() -> None:
    assert MESSAGES == [{"role": "user", "content": "Hi"}]
