"""Settings and rules of all sources and files together: what is in force, and every mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import make
from llmproxy import yamlfile
from llmproxy.configuration import Configuration, ConfigurationError, load, overlay, schema
from llmproxy.rules.rule import Recorded
from llmproxy.settings import Settings

OURS = Path(__file__).parent.parent / "proxy.yml"


def write(folder: Path, **texts: str) -> None:
    """``proxy="rules: []"`` writes ``proxy.yml``; a double underscore is a folder."""
    for name, text in texts.items():
        file = folder / (name.replace("__", "/") + ".yml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def read(folder: Path, **sources: Mapping[str, Any]) -> Configuration:
    return load(None, sources.get("environment", {}), sources.get("flags", {}), folder)


def names(configuration: Configuration) -> list[str]:
    return [rule.name for rule in configuration.rules]


def problems(folder: Path, **sources: Mapping[str, Any]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, **sources)
    return str(caught.value).split("\n")


def rule(name: str, reply: str = "hi") -> str:
    return f"{{name: {name}, when: {{text: {name}}}, reply: {reply}}}"


# What is in force


def test_without_any_source_there_is_no_rule_but_the_file_is_looked_for(tmp_path: Path) -> None:
    configuration = read(tmp_path)
    assert configuration.settings == Settings()
    assert (configuration.rules, configuration.files) == ((), ())
    assert configuration.stamps == {tmp_path / "proxy.yml": None}


def test_the_rules_of_a_file_stand_where_it_is_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        proxy=f"rules:\n- {rule('a')}\n- more/b.yml\n- {rule('e')}",
        more__b=f"rules: [{rule('b')}, c.yml, {rule('d')}]",
        more__c=f"rules:\n  - {rule('c')}",
    )
    configuration = read(tmp_path)
    assert names(configuration) == ["a", "b", "c", "d", "e"]
    assert [each.place for each in configuration.rules] == [
        "proxy.yml:2",
        "more/b.yml:1",
        "more/c.yml:2",
        "more/b.yml:1",
        "proxy.yml:4",
    ]
    files = ("proxy.yml", "more/b.yml", "more/c.yml")
    assert configuration.files == tuple(tmp_path / name for name in files)
    assert [(s.name, s.rules) for s in configuration.sources] == list(
        zip(files, (2, 2, 1), strict=True)
    )
    assert set(configuration.stamps) == set(configuration.files)


@pytest.mark.parametrize("text", ["rules: a.yml", "rules: [a.yml]", "rules:\n  - a.yml"])
def test_one_file_name_alone_is_a_list_of_one(tmp_path: Path, text: str) -> None:
    write(tmp_path, proxy=text, a="rules: b.yml", b=f"rules: [{rule('b')}]")
    assert names(read(tmp_path)) == ["b"]


@pytest.mark.parametrize("text", ["rules:", "rules: []", "rules:\n  # - all commented out"])
def test_no_rules_may_be_written_in_any_way(tmp_path: Path, text: str) -> None:
    write(tmp_path, proxy=text)
    assert read(tmp_path).rules == ()


def test_the_highest_source_that_has_rules_gives_them(tmp_path: Path) -> None:
    for name in "abcd":
        write(tmp_path, **{name: f"rules: [{rule(name)}]"})
    write(tmp_path, proxy="rules: [a.yml]")
    environment, flags = {"LLMPROXY_RULES": "b.yml, c.yml"}, {"rules": ("d.yml", "a.yml")}
    assert names(read(tmp_path)) == ["a"]
    assert names(read(tmp_path, environment=environment)) == ["b", "c"]
    assert names(read(tmp_path, environment=environment, flags=flags)) == ["d", "a"]
    assert names(read(tmp_path, environment=environment, flags={"rules": ()})) == ["b", "c"]
    assert names(read(tmp_path, environment={"LLMPROXY_RULES": "[]"})) == []


def test_a_variable_may_hold_rules_themselves(tmp_path: Path) -> None:
    configuration = read(tmp_path, environment={"LLMPROXY_RULES": f"[{rule('x')}]"})
    assert [(each.name, each.place) for each in configuration.rules] == [("x", "LLMPROXY_RULES")]


def test_names_are_relative_to_the_file_that_says_them_and_flags_to_the_folder(
    tmp_path: Path,
) -> None:
    make.write(tmp_path / "conf" / "tapes" / "a.db", make.interaction())
    reply = "{cassette: tapes/a.db, interaction: 1}"
    write(tmp_path, conf__proxy="rules: [here.yml]", conf__here=f"rules: [{rule('h', reply)}]")
    write(tmp_path, here=f"rules: [{rule('outer')}]")
    inner = load(Path("conf/proxy.yml"), {}, {}, tmp_path)
    assert inner.rules[0].replies == (Recorded(str(tmp_path / "conf/tapes/a.db"), 1),)
    assert inner.rules[0].place == "conf/here.yml:1"
    assert names(load(Path("conf/proxy.yml"), {}, {"rules": ("here.yml",)}, tmp_path)) == ["outer"]


def test_keys_differ_also_where_two_files_say_the_same(tmp_path: Path) -> None:
    write(tmp_path, proxy="rules: [a.yml, b.yml, a.yml]", a=f"rules: [{rule('x')}]")
    write(tmp_path, b=f"rules: [{rule('y')}, {rule('x')}]")
    keys = [each.key for each in read(tmp_path).rules]
    assert len(set(keys)) == 4
    write(tmp_path, b=f"rules: [{rule('z')}, {rule('x')}]")
    again = [each.key for each in read(tmp_path).rules]
    assert [old == new for old, new in zip(keys, again, strict=True)] == [True, False, True, True]


def test_the_responses_of_mockllm_are_a_file_of_rules(tmp_path: Path) -> None:
    write(tmp_path, responses="responses: {hello: Hi!}\ndefaults: {unknown_response: What?}")
    configuration = read(tmp_path, flags={"rules": ("responses.yml",)})
    assert len(configuration.rules) == 2
    assert configuration.rules[0].place == "responses.yml:1"


# Mistakes


def test_mistakes_of_all_files_and_sources_come_at_once_in_order(tmp_path: Path) -> None:
    write(
        tmp_path,
        proxy="prot: 1\nrules:\n- {when: {txt: a}, reply: x}\n- a.yml\n- none.yml\nport: x\n",
        a="rules:\n- {reply: x, tims: 2}\n- b.yml\n- 7",
        b="rules: {",
    )
    found = problems(
        tmp_path,
        environment={"LLMPROXY_RULES": "[{reply: x, nmae: y}]", "LLMPROXY_PORT": "x"},
        flags={"rules": ("no.yml",)},
    )
    assert [line.partition(" ")[0] for line in found] == [
        "proxy.yml:1:1:",
        "proxy.yml:3:11:",
        "proxy.yml:5:3:",
        "proxy.yml:6:7:",
        "a.yml:2:14:",
        "a.yml:4:3:",
        "b.yml:2:1:",
        "LLMPROXY_PORT:",
        "LLMPROXY_RULES:",
        "--rules:",
    ]


CASSETTE = '"run1.db": no such cassette; there: one.db'
MISTAKES = [
    (
        "rules: {a: 1}",
        "proxy.yml:1:8: rules: this group is not a list; begin each rule with a dash",
    ),
    ("rules: 7", "proxy.yml:1:8: rules: 7 is not a list; begin each rule with a dash"),
    (
        "rules: [tool.yml]",
        'proxy.yml:1:9: rules[0]: "tool.yml": no such file; did you mean "tools.yml"?',
    ),
    (
        "rules: none/a.yml",
        'proxy.yml:1:8: rules[0]: "none/a.yml": no such file; "none" is no folder',
    ),
    (
        "rules: [proxy.yml]",
        (
            'proxy.yml:1:9: rules[0]: "proxy.yml" names itself in a circle: '
            "proxy.yml → proxy.yml; leave one out"
        ),
    ),
    (
        "rules: [round.yml]",
        (
            'round.yml:1:9: rules[0]: "link.yml" names itself in a circle: '
            "round.yml → round.yml; leave one out"
        ),
    ),
    ("rules: ['.']", 'proxy.yml:1:9: rules[0]: ".": is a folder; name a file in it'),
    (
        "rules: [{reply: {forward: opnai}}]",
        (
            "proxy.yml:1:27: rules[0].reply.forward: there is no upstream 'opnai'; "
            "did you mean openai? Else write a known name, a URL such as https://host/v1, or name=URL"
        ),
    ),
    (
        "rules:\n- {reply: {cassette: run1.db, interaction: 1}}",
        f"proxy.yml:2:22: rules[0].reply.cassette: {CASSETTE}",
    ),
    (
        "rules: [{reply: x}, {replies: [x, {cassette: one.db, interaction: 9}]}]",
        (
            'proxy.yml:1:67: rules[1].replies[1].interaction: "one.db": has no interaction 9; '
            "llmproxy cassette ls lists them"
        ),
    ),
    (
        "rules: [{reply: {cassette: tools.yml, interaction: 1}}]",
        (
            'proxy.yml:1:28: rules[0].reply.cassette: "tools.yml": not a SQLite file, '
            "so no cassette; name a file that llmproxy wrote"
        ),
    ),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_a_mistake_has_its_place_and_its_mend(tmp_path: Path, text: str, said: str) -> None:
    make.write(tmp_path / "one.db", make.interaction())
    write(tmp_path, proxy=text, tools="rules: []", round="rules: [link.yml]")
    (tmp_path / "link.yml").symlink_to("round.yml")
    assert problems(tmp_path) == [said]


def test_two_rules_in_one_line_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, proxy="rules: [{reply: {forward: aa}}, {reply: {forward: bb}}]")
    assert [line.partition(": there")[0] for line in problems(tmp_path)] == [
        "proxy.yml:1:27: rules[0].reply.forward",
        "proxy.yml:1:51: rules[1].reply.forward",
    ]


def test_an_upstream_of_the_settings_can_be_forwarded_to(tmp_path: Path) -> None:
    upstreams, rules = "upstreams: {gw: 'http://gw'}", "rules: [{reply: {forward: gw}}]"
    write(tmp_path, proxy=f"{upstreams}\n{rules}")
    assert len(read(tmp_path).rules) == 1
    write(tmp_path, proxy=f"{upstreams}\n{rules}\nprot: 1")
    assert problems(tmp_path) == ["proxy.yml:3:1: prot: no such setting; did you mean port?"]
    write(tmp_path, proxy=f"upstreams: {{gw: 'ftp://gw'}}\n{rules}")
    assert len(problems(tmp_path)) == 1


def test_an_endless_tree_of_files_ends(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path, **{f"f{number}": f"rules: [f{number + 1}.yml, f{number + 1}.yml]"})
    write(tmp_path, proxy="rules: [f0.yml]", f30=f"rules: [{rule('x')}]")
    found = problems(tmp_path)
    assert len(found) == 1
    assert "is one of more than 100 files of rules; put several into one" in found[0]


def test_what_was_missing_is_remembered_so_that_its_coming_mends_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        proxy="rules: [new.yml, {reply: {cassette: new.db, interaction: 1}}, broken.yml]",
        broken="rules: [",
    )
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path)
    stamps = caught.value.stamps
    assert {path.name for path, stamp in stamps.items() if stamp is None} == {"new.yml", "new.db"}
    assert {path.name for path, stamp in stamps.items() if stamp} == {"proxy.yml", "broken.yml"}


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 999)
    | st.sampled_from(["a.yml", "b.yml", "(", "{{", "$.a", "ä\n", "\0", "gpt*", "a" * 300]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "when",
                    "reply",
                    "replies",
                    "text",
                    "regex",
                    "all",
                    "not",
                    "cassette",
                    "interaction",
                    "forward",
                    "raw",
                    "pace",
                    "json",
                    "$.a",
                    "responses",
                    "rules",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(values, values, values)
def test_any_data_is_taken_or_refused_line_by_line(proxy: Any, a: Any, b: Any) -> None:
    with TemporaryDirectory() as folder:
        texts = {"proxy": {"rules": proxy}, "a": {"rules": a}, "b": b}
        write(Path(folder), **{n: json.dumps(d, ensure_ascii=False) for n, d in texts.items()})
        try:
            read(Path(folder))
        except ConfigurationError as error:
            for line in str(error).split("\n"):
                assert line.partition(":")[0] in ("proxy.yml", "a.yml", "b.yml"), line


# The schema for editors


def test_the_schema_accepts_settings_with_rules_and_files_of_rules() -> None:
    whole = schema()
    jsonschema.Draft202012Validator.check_schema(whole)
    validator = jsonschema.Draft202012Validator(whole)
    ours = yamlfile.parse(OURS.read_text(encoding="utf-8"), "proxy.yml").data
    assert validator.is_valid(ours)
    assert validator.is_valid({"rules": ["a.yml", {"when": {"text": "a"}, "reply": "b"}]})
    assert validator.is_valid({"rules": "a.yml"})
    assert validator.is_valid({"rules": None})


@pytest.mark.parametrize(
    "rules",
    [7, [7], [{"name": "x"}], [{"reply": "x", "tims": 1}], [{"when": {"txt": "a"}, "reply": "b"}]],
)
def test_the_schema_refuses_what_is_no_rule(rules: Any) -> None:
    assert not jsonschema.Draft202012Validator(schema()).is_valid({"rules": rules})


def test_the_schema_tells_limits_faults_and_endpoints_from_mistakes() -> None:
    validator = jsonschema.Draft202012Validator(schema())
    for right in (
        {"limits": [{"for": {"model": "gpt-4o*", "key": "any"}, "requests": "60 per minute"}]},
        {"limits": [{"for": {"endpoint": "any"}, "concurrency": 4}]},
        {"limits": None, "faults": None, "endpoints": None},
        {"faults": [{"for": {"path": "*/embeddings"}, "rate": 0.1, "error": {"status": 500}}]},
        {"endpoints": {"openai-chat": {"pace": {"ttft": "300ms"}}}},
    ):
        assert validator.is_valid(right), right
    mistakes: tuple[dict[str, Any], ...] = (
        {"limits": [{"fro": 1}]},
        {"limits": [{"for": {"key": "x"}, "concurrency": 1}]},
        {"faults": [{"eror": 500}]},
        {"endpoints": {"nope": {}}},
        {"endpoints": {"openai-chat": {"pace": {"tftt": 1}}}},
    )
    for wrong in mistakes:
        assert not validator.is_valid(wrong), wrong


# Limits, faults, endpoints and what the control API lays over them


def test_limits_faults_and_endpoints_are_read_from_the_highest_source(tmp_path: Path) -> None:
    write(tmp_path, proxy="limits: [{concurrency: 1}]\nfaults: [{hang: true}]\n")
    variables = {"LLMPROXY_LIMITS": "[{concurrency: 2}, {concurrency: 3}]"}
    found = read(tmp_path, environment=variables)
    assert [each.limit.concurrency for each in found.limits] == [2, 3]
    assert [fault.place for fault in found.faults] == ["proxy.yml:2"]
    assert found.origins["limits"] == "LLMPROXY_LIMITS"


def test_mistakes_in_limits_faults_and_endpoints_have_their_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        proxy="limits:\n- {concurency: 1}\nfaults:\n- {eror: 500}\nendpoints:\n  openai-chta: {}\n",
    )
    told = problems(tmp_path)
    assert [line.partition(": ")[0] for line in told] == [
        "proxy.yml:2:4",
        "proxy.yml:4:4",
        "proxy.yml:6:3",
    ]
    assert "did you mean concurrency?" in told[0]
    assert "did you mean openai-chat?" in told[2]


def test_an_overlay_takes_the_place_of_what_it_names_and_of_nothing_else(tmp_path: Path) -> None:
    write(
        tmp_path,
        proxy="rules: [{reply: a}]\nlimits: [{concurrency: 1}]\nmock: {text: b, seed: 2}\n",
    )
    base = read(tmp_path)
    over = overlay(base, {"rules": [], "mock": {"text": "c"}})
    assert (over.rules, over.limits) == ((), base.limits)
    assert (over.settings.mock.text, over.settings.mock.seed) == ("c", 2)
    assert (over.origins["mock.text"], over.origins["mock.seed"]) == ("control API", "proxy.yml:3")
    assert over.files == base.files
    assert overlay(base, {}) is base
    assert overlay(base, {"rules": None, "limits": None}).limits == ()
