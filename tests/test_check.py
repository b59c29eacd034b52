"""``llmproxy check``, ``llmproxy schema`` and ``--rules`` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import make
import program

SKY = "{name: sky, when: {text: sky}, reply: blue}"
ANY = "{name: any, reply: what?}"


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text)


def check(*arguments: str, port: str = "0") -> tuple[int, list[str]]:
    done = program.run("check", *arguments, LLMPROXY_PORT=port)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_files_without_a_problem_are_a_line_each(tmp_path: Path) -> None:
    write(tmp_path, proxy=f"rules: [{SKY}, more.yml, {ANY}]", more="rules: []")
    assert check() == (0, ["proxy.yml: 2 rules, no problem", "more.yml: no rules, no problem"])


def test_every_problem_is_a_line_that_editors_can_follow(tmp_path: Path) -> None:
    make.write(tmp_path / "one.db", make.interaction())
    recorded = "{reply: {cassette: two.db, interaction: 1}}"
    write(tmp_path, proxy=f"prot: 1\nrules:\n- more.yml\n- {recorded}", more="rules: [{reply: 1}]")
    status, lines = check(port="x")
    assert status == 2
    assert [line.partition(": ")[0] for line in lines] == [
        "proxy.yml:1:1",
        "proxy.yml:4:22",
        "more.yml:1:17",
        "LLMPROXY_PORT",
    ]
    assert lines[1].endswith('"two.db": no such cassette; there: one.db')


def test_rules_that_never_answer_and_names_given_twice_are_warnings(tmp_path: Path) -> None:
    write(
        tmp_path, proxy=f"rules:\n- {SKY}\n- {ANY}\n- {SKY}\n- more.yml", more="rules: [{reply: x}]"
    )
    lines = [
        "proxy.yml: 3 rules, no problem",
        "more.yml: 1 rule, no problem",
        (
            'warning: proxy.yml:4: rule "sky" can never answer: '
            'rule "sky" (proxy.yml:2) always answers before it'
        ),
        (
            "warning: more.yml:1: rule 1 can never answer: "
            'rule "any" (proxy.yml:3) always answers before it'
        ),
        'warning: proxy.yml:4: rule "sky" has the name of another, at proxy.yml:2',
    ]
    assert check() == (0, lines)
    assert check("--strict") == (1, lines)


def test_without_warnings_strict_is_well(tmp_path: Path) -> None:
    write(tmp_path, proxy=f"rules: [{SKY}, {ANY}]")
    assert check("--strict")[0] == 0


def test_a_file_of_rules_is_checked_under_the_settings_around_it(tmp_path: Path) -> None:
    write(tmp_path, tools="rules: [{reply: {forward: gw}}]", other="upstreams: {}")
    assert check("tools.yml")[0] == 2
    write(tmp_path, proxy="upstreams: {gw: 'http://gw'}")
    assert check("tools.yml") == (
        0,
        ["proxy.yml: no rules, no problem", "tools.yml: 1 rule, no problem"],
    )
    assert check("tools.yml", "--config", "other.yml")[0] == 2


def test_mockllms_responses_can_be_checked(tmp_path: Path) -> None:
    write(tmp_path, responses="responses: {hello: hi}\ndefaults: {unknown_response: what?}")
    assert check("responses.yml") == (0, ["responses.yml: 2 rules, no problem"])
    write(tmp_path, responses="responses: [hello]")
    status, lines = check("responses.yml")
    assert status == 2
    assert lines[0].startswith("responses.yml:1:12: responses: ")


@pytest.mark.parametrize("arguments", [("other.yml",), ("--config", "other.yml")])
def test_other_settings_can_be_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write(tmp_path, proxy="port: x", other=f"port: 7\nrules: [{SKY}]")
    assert check(*arguments) == (0, ["other.yml: 1 rule, no problem"])


def test_a_file_that_is_not_there_is_a_problem() -> None:
    assert check() == (2, ["proxy.yml: no such file here", "  llmproxy check FILE names another"])
    status, lines = check("none.yml")
    assert (status, lines) == (2, ["none.yml: cannot be read: No such file or directory"])


def test_the_schema_is_printed_and_tells_rules_from_mistakes() -> None:
    schema = json.loads(program.run("schema").stdout)
    validator = jsonschema.Draft202012Validator(schema)
    ours = {"port": 1, "rules": ["a.yml", {"when": {"text": "sky"}, "reply": {"text": "blue"}}]}
    assert validator.is_valid(ours)
    assert not validator.is_valid({"rules": [{"when": {"txt": "sky"}, "reply": "blue"}]})


@pytest.mark.parametrize("command", ["record --upstream openai", "replay one.db", "mock"])
def test_every_server_takes_rules_from_files(tmp_path: Path, command: str) -> None:
    done = program.run(*command.split(), "--rules", "a.yml", "--rules", "b.yml")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        'llmproxy: --rules: rules[0]: "a.yml": no such file',
        '--rules: rules[1]: "b.yml": no such file',
    ]


def test_explain_takes_rules_from_files(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text('{"model": "gpt-4o", "messages": []}')
    done = program.run("explain", "request.json", "--rules", "a.yml")
    assert done.returncode == 2
    assert '"a.yml": no such file' in done.stderr


def test_a_text_that_looks_like_a_template_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("rules: [{reply: 'You said {{ last_user_text }}'}]")
    done = program.run("check", str(tmp_path / "rules.yml"))
    assert "template: in place of text:" in done.stdout


def test_a_key_of_mockllm_that_is_mistyped_is_told(tmp_path: Path) -> None:
    text = "responses: {a: b}\ndefaults: {unknown_respons: c}\nsettings: {lag_factr: 2}"
    (tmp_path / "responses.yml").write_text(text)
    done = program.run("check", str(tmp_path / "responses.yml"))
    assert done.returncode == 2
    assert (
        "defaults.unknown_respons: no such setting; did you mean unknown_response?" in done.stdout
    )
    assert "settings.lag_factr: no such setting; did you mean lag_factor?" in done.stdout


def test_warnings_are_no_more_than_somebody_reads(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("rules:\n" + "  - {reply: a}\n" * 300)
    done = program.run("check", str(tmp_path / "rules.yml"))
    assert done.stdout.count("warning: ") == 101
    assert "and 199 more" in done.stdout
