"""One reply of a rule: its four kinds, and what they become."""

from __future__ import annotations

from typing import Any

import pytest

from llmproxy.answer import Reasoning, Refusal, Text, ToolCall
from llmproxy.findings import Finding
from llmproxy.rules import scripts, templates
from llmproxy.rules.replies import read_reply
from llmproxy.rules.rule import Forward, Raw, Recorded, RuleReply, Said
from llmproxy.synthesis import scripted
from llmproxy.synthesis.problems import problem_of
from llmproxy.synthesis.scripted import Failure, Script

PLAIN = ("content-type", "text/plain; charset=utf-8")
JSON = ("content-type", "application/json")


def read(data: object) -> RuleReply:
    found: list[Finding] = []
    reply = read_reply(data, ("reply",), found)
    assert [str(each) for each in found] == []
    assert reply is not None
    return reply


def script(data: object) -> Script:
    reply = read(data)
    assert isinstance(reply, Said)
    return reply.script


def refused(data: object) -> list[str]:
    found: list[Finding] = []
    assert read_reply(data, ("reply",), found) is None
    return [str(each) for each in found]


def test_a_text_and_a_member_text_are_the_same_reply() -> None:
    assert read("Hi\n") == read({"text": "Hi\n"}) == Said(Script((Text("Hi\n"),), uncut=True))


def test_an_empty_text_is_a_reply_that_says_nothing() -> None:
    assert script("").parts == (Text(""),)


def test_all_neutral_members_reach_the_script() -> None:
    said = script(
        {
            "text": "t",
            "reasoning": "r",
            "refusal": "no",
            "tool_calls": [{"name": "f", "arguments": {"b": 1, "a": "ä"}, "id": "call_1"}],
            "finish": "length",
            "usage": {"input_tokens": 3, "output_tokens": 12},
            "stream_error": 503,
            "after_chunks": 2,
        }
    )
    call = ToolCall("f", '{"b": 1, "a": "ä"}', "call_1")
    assert said.parts == (Reasoning("r"), Text("t"), Refusal("no"), call)
    assert (said.finish, said.input_tokens, said.output_tokens) == ("length", 3, 12)
    assert (said.stream_error, said.after_chunks) == (Failure(problem_of(503)), 2)
    assert said.uncut


@pytest.mark.parametrize(
    ("data", "member", "value"),
    [
        ({"echo": True}, "echo", True),
        ({"json_schema": "request"}, "schema", "request"),
        ({"json_schema": {"type": "object"}}, "schema", {"type": "object"}),
        ({"error": 429}, "error", Failure(problem_of(429))),
        ({"error": "slow down"}, "error", Failure(problem_of(500, "slow down"))),
        (
            {"error": {"status": 503, "retry_after": 1.5, "headers": {"retry-after-ms": "150"}}},
            "error",
            Failure(problem_of(503, retry_after=1.5), (("retry-after-ms", "150"),)),
        ),
        ({"stream_error": {"status": 500, "after_chunks": 4}}, "after_chunks", 4),
    ],
)
def test_a_member_alone_is_a_reply(data: object, member: str, value: Any) -> None:
    assert getattr(script(data), member) == value


def test_a_template_gives_the_text_beside_what_else_is_said() -> None:
    reply = read({"template": "You said {{ last_user_text }}", "reasoning": "hm"})
    template = templates.parse("You said {{ last_user_text }}")
    assert reply == Said(Script((Reasoning("hm"),), uncut=True), template)


def test_only_an_error_alone_is_an_answer_to_any_request() -> None:
    errors = read({"error": 429}), read({"error": {"status": 429, "times": 2}})
    assert [isinstance(each, Said) and each.is_error for each in errors] == [True, False]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, Raw(200, ())),
        ({"status": 204}, Raw(204, ())),
        ({"body": "Grüße"}, Raw(200, (PLAIN,), "Grüße".encode())),
        ({"body": ""}, Raw(200, (PLAIN,))),
        (
            {"body": {"b": [1, None], "a": "ä"}},
            Raw(200, (JSON,), '{"b":[1,null],"a":"ä"}'.encode()),
        ),
        ({"body": [1]}, Raw(200, (JSON,), b"[1]")),
        ({"body": False}, Raw(200, (JSON,), b"false")),
        ({"body": 0}, Raw(200, (JSON,), b"0")),
        (
            {"status": 302, "headers": {"Location": "/x"}, "body": "moved"},
            Raw(302, (PLAIN, ("Location", "/x")), b"moved"),
        ),
        (
            {"headers": {"Content-Type": "text/html"}, "body": "<p>"},
            Raw(200, (("Content-Type", "text/html"),), b"<p>"),
        ),
        ({"template": "{{ path }}"}, Raw(200, (PLAIN,), b"", templates.parse("{{ path }}"))),
    ],
)
def test_a_raw_reply_is_what_http_has(data: object, expected: Raw) -> None:
    assert read({"raw": data}) == expected


def test_a_recorded_reply_names_its_interaction_or_leaves_it_to_the_cassettes() -> None:
    assert read({"cassette": "a/b.db", "interaction": 12}) == Recorded("a/b.db", 12)
    assert read({"recorded": True}) == Recorded()
    broken = read({"recorded": True, "stream_error": 503, "after_chunks": 3})
    assert broken == Recorded(None, 0, Failure(problem_of(503)), 3)


def test_a_reply_may_come_from_an_upstream() -> None:
    assert read({"forward": "openai"}) == Forward("openai")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"error": {"status": 429, "headers": {"a.b: c": "x"}}},
            "reply.error.headers: 'a.b: c' cannot be set",
        ),
        (
            {"error": {"headers": {"x.y[0]": "ä"}}},
            "reply.error.headers: 'x.y[0]' cannot be set",
        ),
        (
            {"error": {"headers": {"x.y": "ä"}}},
            'reply.error.headers."x.y": must be one line of printable ASCII',
        ),
        (
            {"tool_calls": [{"name": "f"}, {"name": "g", "id": []}]},
            "reply.tool_calls[1].id: must be a text",
        ),
        ({"error": True}, "reply.error: must be a number from 400 to 599"),
        ({"error": {"status": 429, "times": -1}}, "reply.error.times: must be a whole number"),
    ],
)
def test_a_mistake_in_a_script_is_placed_where_it_stands(data: object, expected: str) -> None:
    assert refused(data) == [expected]


def test_what_may_stand_in_a_reply_is_what_a_request_may_ask_for_and_a_template() -> None:
    assert set(scripts.MEMBERS) - {"template"} == set(scripted._MEMBERS)
