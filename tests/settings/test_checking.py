"""Every mistake in a file, a variable or a flag: its place, what is wrong, and the mend."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy import yamlfile
from llmproxy.errors import SettingsError
from llmproxy.settings import Settings, json_schema, load, walk
from llmproxy.settings.catalogue import Setting

SETTINGS = {each.name: each for each in walk(Settings)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def problems(folder: Path, text: str = "", **sources: Mapping[str, Any]) -> list[str]:
    """The lines of the refusal of a file and the other sources together."""
    (folder / "proxy.yml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(None, sources.get("environment", {}), sources.get("flags", {}), folder)
    return str(caught.value).split("\n")


FILE_MISTAKES = [
    ("prot: 80", "proxy.yml:1:1: prot: no such setting; did you mean port?"),
    (
        "replay:\n  pcae: 2x",
        "proxy.yml:2:3: replay.pcae: no such setting; did you mean replay.pace?",
    ),
    (
        "replay: {on-miss: error}",
        "proxy.yml:1:10: replay.on-miss: no such setting; did you mean replay.on_miss?",
    ),
    (
        "pace: 2x",
        'proxy.yml:1:7: pace: "2x" is not a group; write its settings indented below it',
    ),
    ("mock: {tool_calls: 2}", "proxy.yml:1:20: mock.tool_calls: 2 is not between 0 and 1"),
    (
        "mock: {seed: ever}",
        'proxy.yml:1:14: mock.seed: "ever" is not a seed; write a whole number or random',
    ),
    (
        "mock: {response_length: huge}",
        (
            'proxy.yml:1:25: mock.response_length: "huge" is no length; '
            "write auto, short, medium, long, very_long, random or tokens"
        ),
    ),
    (
        "pace: {chunk_size: 0}",
        "proxy.yml:1:20: pace.chunk_size: 0 is not a whole number of 1 or more",
    ),
    (
        "pace: {degradation: 0.5}",
        "proxy.yml:1:21: pace.degradation: 0.5 is not a factor; write 1 or more",
    ),
    (
        "pace: {tokens_per_second: fast}",
        'proxy.yml:1:27: pace.tokens_per_second: "fast" is no number of 0 or more; write one such as 20 or 2.5',
    ),
    (
        "models: {table: {m: {ttfs: 1s}}}",
        "proxy.yml:1:22: models.table.m.ttfs: no such setting; did you mean models.table.m.ttft?",
    ),
    (
        "models: {table: {'a b': {ttft: 1s}}}",
        'proxy.yml:1:18: models.table."a b": "a b" is not the name of a model',
    ),
    ("recrod: {}", "proxy.yml:1:1: recrod: no such setting; did you mean record?"),
    ("zzzz: 1", "proxy.yml:1:1: zzzz: no such setting"),
    (
        "replay.pace: 2x",
        'proxy.yml:1:1: "replay.pace": no such setting; write it in steps: replay: pace: ...',
    ),
    ('"a\\nb": 1', 'proxy.yml:1:1: "a\\nb": no such setting'),
    ("port: 70000", "proxy.yml:1:7: port: 70000 is not a port (0 to 65535)"),
    ("port: -1", "proxy.yml:1:7: port: -1 is not a port (0 to 65535)"),
    ("port: 80.0", "proxy.yml:1:7: port: 80.0 is not a port (0 to 65535)"),
    ("port: true", "proxy.yml:1:7: port: true is not a port (0 to 65535)"),
    ("port: 4_555", 'proxy.yml:1:7: port: "4_555" is not a port (0 to 65535)'),
    ("port:", "proxy.yml:1:6: port: has no value; write one or remove the line"),
    ("port: [1]", "proxy.yml:1:7: port: this list is not a port (0 to 65535)"),
    (
        "host: http://0.0.0.0",
        (
            'proxy.yml:1:7: host: "http://0.0.0.0" is not a host; '
            "write a name or an address, such as 127.0.0.1"
        ),
    ),
    (
        "host: localhost:80",
        (
            'proxy.yml:1:7: host: "localhost:80" is not a host; '
            "write a name or an address, such as 127.0.0.1"
        ),
    ),
    ("host: 127", "proxy.yml:1:7: host: 127 is not a host; put it in quotes"),
    ("state_folder: ''", 'proxy.yml:1:15: state_folder: "" is not a folder'),
    (
        "max_pause: -1s",
        'proxy.yml:1:12: max_pause: "-1s" is not a duration; write 500ms, 10s, 2m or 1h',
    ),
    (
        "upstream_timeouts: {connect: 0}",
        (
            "proxy.yml:1:30: upstream_timeouts.connect: 0 leaves no time; "
            "write a duration above 0, such as 10s"
        ),
    ),
    (
        "max_request: 0MB",
        'proxy.yml:1:14: max_request: "0MB" leaves no room; write a size above 0, such as 64MB',
    ),
    (
        "max_request: 1 MB",
        'proxy.yml:1:14: max_request: "1 MB" is not a size; write 512KB, 256MB or 1GiB',
    ),
    (
        "replay: {pace: 2}",
        "proxy.yml:1:16: replay.pace: 2 is not a pace; write recorded, instant, 2x or 0.5x",
    ),
    (
        "replay: {pace: 0x}",
        'proxy.yml:1:16: replay.pace: "0x" would never end; write a pace above 0, such as 0.5x',
    ),
    (
        "replay: {pace: nanx}",
        'proxy.yml:1:16: replay.pace: "nanx" is not a pace; write recorded, instant, 2x or 0.5x',
    ),
    (
        "record: {mode: al}",
        'proxy.yml:1:16: record.mode: "al" is none of new_episodes, all, once; did you mean all?',
    ),
    ("record: {mode: 3}", "proxy.yml:1:16: record.mode: 3 is none of new_episodes, all, once"),
    (
        "record: {keep_transient: perhaps}",
        'proxy.yml:1:26: record.keep_transient: "perhaps" is neither true nor false',
    ),
    (
        "record: all",
        'proxy.yml:1:9: record: "all" is not a group; write its settings indented below it',
    ),
    ("match: {headers: a}", 'proxy.yml:1:18: match.headers: "a" is not a list; write [a, b]'),
    (
        "match: {ignore_query: [1]}",
        "proxy.yml:1:24: match.ignore_query[0]: 1 is not text; put it in quotes",
    ),
    (
        "match: {headers: ['a b']}",
        (
            "proxy.yml:1:19: match.headers[0]: "
            "not the name of a header; write it without colon and value"
        ),
    ),
    (
        "match: {ignore: [$.a, messages]}",
        (
            'proxy.yml:1:23: match.ignore[1]: JSON path "messages" must start with $ (position 0), '
            "such as $.model"
        ),
    ),
    (
        "match: {ignore: ['$.a[']}",
        (
            'proxy.yml:1:18: match.ignore[0]: JSON path "$.a[": '
            "expected an index, * or a quoted name at position 4"
        ),
    ),
    (
        "match: {presets: [claude]}",
        (
            'proxy.yml:1:19: match.presets[0]: "claude" is none of claude_code, codex, paths; '
            "did you mean claude_code?"
        ),
    ),
    (
        "match:\n  patterns:\n    - name: x\n      regex: '('",
        (
            "proxy.yml:4:14: match.patterns[0].regex: the regex does not compile: "
            "missing ), unterminated subpattern at position 0"
        ),
    ),
    (
        "match: {patterns: [{name: x, regex: 'a{1,99999999999}'}]}",
        (
            "proxy.yml:1:37: match.patterns[0].regex: the regex does not compile: "
            "the repetition number is too large"
        ),
    ),
    ("match: {patterns: [{name: x}]}", "proxy.yml:1:20: match.patterns[0].regex: is missing"),
    (
        "match: {patterns: [x]}",
        'proxy.yml:1:20: match.patterns[0]: "x" is not a group of name and regex',
    ),
    (
        "match: {patterns: [{name: x, regex: x, regx: y}]}",
        (
            "proxy.yml:1:40: match.patterns[0].regx: no such setting; "
            "did you mean match.patterns[0].regex?"
        ),
    ),
    (
        "redact: {headers: ['x-key: not-for-show']}",
        (
            "proxy.yml:1:20: redact.headers[0]: "
            "not the name of a header; write it without colon and value"
        ),
    ),
    (
        "redact: {query: ['key=not-for-show']}",
        (
            "proxy.yml:1:18: redact.query[0]: "
            "not the name of a query parameter; write it without = and value"
        ),
    ),
    (
        "redact: {json: not-for-show}",
        "proxy.yml:1:16: redact.json: the value is not a list; write [a, b]",
    ),
    (
        "redact: {patterns: ['(not-for-show']}",
        (
            "proxy.yml:1:21: redact.patterns[0]: the regex does not compile: "
            "missing ), unterminated subpattern at position 0"
        ),
    ),
    (
        "redact: {environment: not-for-show}",
        "proxy.yml:1:23: redact.environment: the value is neither true nor false",
    ),
    (
        "redact: {keys: not-for-show}",
        "proxy.yml:1:10: redact.keys: no such setting",
    ),
    (
        "upstreams: [a]",
        (
            "proxy.yml:1:12: upstreams: this list is not a mapping; "
            "write name: value, indented below it"
        ),
    ),
    (
        "upstreams: {s: 'http://a'}",
        'proxy.yml:1:13: upstreams.s: "s" is a path of llmproxy\'s own; choose another name',
    ),
    (
        "upstreams: {_LLMproxy: 'http://a'}",
        (
            'proxy.yml:1:13: upstreams._LLMproxy: "_LLMproxy" is not a name for an upstream; '
            "write letters, digits, - and _"
        ),
    ),
    (
        "upstreams: {a: 'http://a', A: 'http://b'}",
        'proxy.yml:1:28: upstreams.A: is the same name as "a"; choose another',
    ),
    *(
        (f"upstreams: {{a: '{url}'}}", f"proxy.yml:1:16: upstreams.a: {said}")
        for url, said in {
            "api.example": "the URL is not complete; write one such as https://api.example.com/v1",
            "ftp://a": "the URL is not complete; write one such as https://api.example.com/v1",
            "http://": "the URL is not complete; write one such as https://api.example.com/v1",
            "http://a b": "the URL is not complete; write one such as https://api.example.com/v1",
            "http://u:not-for-show@a": "the URL holds a user name or password; leave it out",
            "http://u:not-for-show": "the host or port of the URL cannot be read",
            "http://a?key=not-for-show": "the URL holds a query or fragment; end it with its path",
            "http://a/#x": "the URL holds a query or fragment; end it with its path",
            "http://[::1": "the host or port of the URL cannot be read",
        }.items()
    ),
    ("rules: 7", "proxy.yml:1:8: rules: 7 is not a list; begin each rule with a dash"),
    (
        "rules: {name: x}",
        "proxy.yml:1:8: rules: this group is not a list; begin each rule with a dash",
    ),
    ("- a", "proxy.yml:1:1: holds no settings; write key: value, with the space"),
    ("port:4555", "proxy.yml:1:1: holds no settings; write key: value, with the space"),
    (
        "port: 1\nport: 2",
        'proxy.yml:2:1: the key "port" stands already in line 1; leave one of the two',
    ),
    ("replay:\n\tpace: 2x", "proxy.yml:2:1: a tab in the indentation; write spaces"),
]


@pytest.mark.parametrize(("text", "said"), FILE_MISTAKES)
def test_a_mistake_in_the_file_has_its_place_and_its_mend(
    folder: Path, text: str, said: str
) -> None:
    assert problems(folder, text) == [said]
    assert "not-for-show" not in said


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("LLMPROXY_PORT", "70000", "port: 70000 is not a port (0 to 65535)"),
        ("LLMPROXY_PROT", "not-for-show", "no such setting; did you mean LLMPROXY_PORT?"),
        ("LLMPROXY_REPLY_PACE", "2x", "no such setting; did you mean LLMPROXY_REPLAY_PACE?"),
        ("LLMPROXY_" + "X" * 99, "2x", "no such setting"),
        ("LLMPROXY_RECORD_MODE", "x", "record.mode: 'x' is none of new_episodes, all, once"),
        ("LLMPROXY_MATCH_PATTERNS", "a", "match.patterns[0]: 'a' is not a group of name and regex"),
        ("LLMPROXY_MATCH_HEADERS", "[a, 1]", "match.headers[1]: 1 is not text; put it in quotes"),
        (
            "LLMPROXY_UPSTREAMS",
            "{gw: api.example}",
            "upstreams.gw: the URL is not complete; write one such as https://api.example.com/v1",
        ),
        (
            "LLMPROXY_UPSTREAMS",
            "gw",
            "upstreams: 'gw' is not a mapping; write name: value, indented below it",
        ),
    ],
)
def test_a_mistake_in_a_variable_names_it(
    folder: Path, variable: str, text: str, said: str
) -> None:
    quoted = re.sub("70000", '"70000"', said).replace("'", '"')
    assert problems(folder, environment={variable: text}) == [f"{variable}: {quoted}"]


def test_yaml_in_a_variable_is_placed_inside_it(folder: Path) -> None:
    said = "LLMPROXY_UPSTREAMS:1:1: a mapping { is not closed or lacks a comma; quote values with { or ["
    assert problems(folder, environment={"LLMPROXY_UPSTREAMS": "{a: b"}) == [said]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "replay.pace",
            "fast",
            '--pace: replay.pace: "fast" is not a pace; write recorded, instant, 2x or 0.5x',
        ),
        ("port", 70000, "--port: port: 70000 is not a port (0 to 65535)"),
        (
            "match.ignore",
            ("$.a", "b"),
            (
                '--match-ignore: match.ignore[1]: JSON path "b" must start with $ (position 0), '
                "such as $.model"
            ),
        ),
        (
            "max_pause",
            "x" * 100,
            f'--max-pause: max_pause: "{"x" * 57}…" is not a duration; write 500ms, 10s, 2m or 1h',
        ),
    ],
)
def test_a_mistake_in_a_flag_names_it(folder: Path, name: str, value: object, said: str) -> None:
    assert problems(folder, flags={name: value}) == [said]


def test_all_mistakes_of_all_sources_are_said_at_once_in_order(folder: Path) -> None:
    text = "replay:\n  pcae: 2x\n  pace: fast\nprot: 1\nport: 99999\n"
    environment = {"LLMPROXY_REPLY_PACE": "2x", "LLMPROXY_PORT": "x"}
    flags = {"port": 4000, "replay.pace": "slow"}
    assert problems(folder, text, environment=environment, flags=flags) == [
        "proxy.yml:2:3: replay.pcae: no such setting; did you mean replay.pace?",
        'proxy.yml:3:9: replay.pace: "fast" is not a pace; write recorded, instant, 2x or 0.5x',
        "proxy.yml:4:1: prot: no such setting; did you mean port?",
        "proxy.yml:5:7: port: 99999 is not a port (0 to 65535)",
        "LLMPROXY_REPLY_PACE: no such setting; did you mean LLMPROXY_REPLAY_PACE?",
        'LLMPROXY_PORT: port: "x" is not a port (0 to 65535)',
        '--pace: replay.pace: "slow" is not a pace; write recorded, instant, 2x or 0.5x',
    ]


def test_a_file_that_is_not_yaml_does_not_hide_the_mistakes_elsewhere(folder: Path) -> None:
    assert problems(folder, "a: 'x", environment={"LLMPROXY_PORT": "x"}) == [
        "proxy.yml:1:4: a quote is opened here and never closed; close it",
        'LLMPROXY_PORT: port: "x" is not a port (0 to 65535)',
    ]


def test_thousands_of_mistakes_are_counted_not_listed(folder: Path) -> None:
    said = problems(folder, "".join(f"{'wrong' * 8}{n}: 1\n" for n in range(3000)))
    assert len(said) == 101
    assert said[-1] == "and 2,900 more"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99999) | st.sampled_from(["$.a", "(", "2x", "ä\n"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*SETTINGS, "name", "regex", "x y"]), inner, max_size=3)
    ),
    max_leaves=6,
)
keys = st.sampled_from([part for name in SETTINGS for part in name.split(".")])


@given(st.dictionaries(keys, values | st.dictionaries(keys, values, max_size=3), max_size=5))
def test_any_data_is_taken_or_refused_line_by_line(data: dict[str, Any]) -> None:
    with TemporaryDirectory() as name:
        file = Path(name, "proxy.yml")
        file.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        said = outcome(file, {})
    assert all(line.startswith("proxy.yml:1:") for line in said)


@given(st.sampled_from(list(SETTINGS.values())), st.text(max_size=20))
def test_any_variable_is_taken_or_refused_line_by_line(each: Setting, text: str) -> None:
    said = outcome(None, {each.variable: text})
    assert all(line.startswith(each.variable + ":") for line in said)


def outcome(file: Path | None, environment: Mapping[str, str]) -> list[str]:
    """The lines of a refusal; none where all is well."""
    try:
        load(file and Path("proxy.yml"), environment, {}, file.parent if file else Path("missing"))
    except SettingsError as error:
        return str(error).split("\n")
    return []


BEYOND_A_SCHEMA = (
    "JSON path",
    "same name",
    "the regex",
    "is not a host",
    "stands already",
    "a tab",
    "80.0",
)


@pytest.mark.parametrize(
    "text",
    [text for text, said in FILE_MISTAKES if not any(part in said for part in BEYOND_A_SCHEMA)],
)
def test_the_schema_refuses_what_we_refuse(text: str) -> None:
    data = yamlfile.parse(text, "proxy.yml").data
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(data)
