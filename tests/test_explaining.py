"""``llmproxy explain`` on rules: which one answers, and why each before it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import make
import program
from llmproxy import explaining
from llmproxy.errors import SettingsError
from serve import configuration, replaying
from test_synthesizer import body, chat

RULES = """
rules:
  - name: sky
    when: {text: what colour is the sky?}
    reply: blue
  - {name: once, when: {model: "gpt-*"}, times: 1, reply: first}
  - {name: taped, when: {stream: false}, reply: {recorded: true}}
  - {name: schema, reply: {json_schema: request}}
  - {name: all, when: {any: [{turn: 1}, {turn: 2}]}, reply: hello}
  - {name: never, reply: never}
"""


def request(tmp_path: Path, **members: object) -> Path:
    file = tmp_path / "request.json"
    file.write_bytes(body(**members))
    return file


def test_each_rule_is_judged_up_to_the_one_that_answers(tmp_path: Path) -> None:
    said = explaining.body(configuration(RULES), request(tmp_path), (), "/v1/chat/completions")
    assert said.split("\n") == [
        "rules: read without headers; --header NAME:VALUE adds one",
        'rule "sky" (rules.yml:3:5) does not: text: "Hi" is not "what colour is the sky?"',
        'rule "once" (rules.yml:6:5) answers until it has answered once in a session',
        'rule "taped" (rules.yml:7:5) answers where a cassette holds the request',
        (
            'rule "schema" (rules.yml:8:5) does not: its reply is JSON by the schema asked for:'
            " the request has none"
        ),
        'rule "all" (rules.yml:9:5) answers',
    ]


def test_a_request_that_asks_for_no_text_is_answered_by_no_rule_that_says_some(
    tmp_path: Path,
) -> None:
    said = explaining.body(configuration(RULES), request(tmp_path), (), "/v1/embeddings")
    assert said.split("\n")[-2:] == [
        (
            'rule "never" (rules.yml:10:5) does not: its reply is text:'
            " POST /v1/embeddings asks for no text"
        ),
        "no other rule answers",
    ]


def test_without_a_path_a_chat_is_taken_and_it_says_so(tmp_path: Path) -> None:
    rules = "rules: [{when: {dialect: openai_chat}, reply: hello}]"
    said = explaining.body(configuration(rules), request(tmp_path), (), None)
    assert said.split("\n")[0] == "rules: read as POST /v1/chat/completions; --path names another"
    assert said.endswith("answers")


def test_rules_come_before_what_cassettes_hold(tmp_path: Path) -> None:
    cassette = make.write(tmp_path / "run.db", make.interaction(make.request(body())))
    rules = "rules: [{when: {model: other}, reply: hello}]"
    said = explaining.body(configuration(rules), request(tmp_path), (cassette,), None)
    assert said.split("\n")[2:] == [
        'rule "rule 1" (rules.yml:1:9) does not: model: "gpt-4o" is not "other"',
        "no rule answers",
        "matches run.db #1 (exact: the same bytes)",
    ]


async def test_the_last_miss_is_judged_by_the_path_that_the_client_asked_for(
    tmp_path: Path,
) -> None:
    path = make.write(tmp_path / "run.db", make.interaction())
    rules = "rules: [{when: {path: /v1/chat/completions, text: Ho}, reply: hello}]"
    async with replaying(path, rules=rules, state_folder=tmp_path) as service:
        assert (await chat(service)).status == 400
    said = explaining.last(configuration(rules, state_folder=tmp_path), ())
    assert 'does not: text: "Hi" is not "Ho"' in said
    assert "no recorded request matches" in said


def test_with_nothing_to_compare_with_it_says_what_it_wants(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="rules, or a cassette"):
        explaining.body(configuration(), request(tmp_path), (), None)


def test_the_command_reads_rules_from_the_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    file = request(tmp_path, messages=json.loads('[{"role": "user", "content": "what?"}]'))
    done = program.run("explain", str(file), "--rules", str(tmp_path / "rules.yml"))
    assert done.returncode == 0, done.stderr
    assert 'text: "what?" is not "what colour is the sky?"' in done.stdout


def test_headers_and_the_session_are_those_that_are_given(tmp_path: Path) -> None:
    rules = "rules: [{when: {headers: {x-team: search}, session: checkout}, reply: hello}]"
    (tmp_path / "rules.yml").write_text(rules)
    file = str(request(tmp_path))
    asked = ("explain", file, "--rules", str(tmp_path / "rules.yml"), "--path", "/v1/messages")
    more = ("--header", "X-Team: search", "--session", "checkout")
    assert "answers" in program.run(*asked, *more).stdout
    assert "headers.x-team: is not there" in program.run(*asked, *more[2:]).stdout
