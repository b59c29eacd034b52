"""Settings: one model, four sources, and every mistake said in plain words at once."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from llmproxy import yamlfile
from llmproxy.errors import SettingsError
from llmproxy.matching.canonical import MatchSettings, Pattern
from llmproxy.redaction import RedactSettings
from llmproxy.settings import (
    Loaded,
    RecordSettings,
    ReplaySettings,
    Settings,
    TimeoutSettings,
    json_schema,
    load,
    walk,
)

OURS = Path(__file__).parent.parent.parent / "proxy.yml"
SETTINGS = {each.name: each for each in walk(Settings)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def load_file(folder: Path, text: str, **sources: Mapping[str, Any]) -> Loaded:
    (folder / "proxy.yml").write_text(text, encoding="utf-8")
    return load(None, sources.get("environment", {}), sources.get("flags", {}), folder)


# What may be said and where


def test_without_any_source_everything_is_default(folder: Path) -> None:
    loaded = load(None, {}, {}, folder)
    assert loaded.settings == Settings()
    assert loaded.file is None
    assert loaded.origins == dict.fromkeys(SETTINGS, "default")


def test_a_file_can_set_everything(folder: Path) -> None:
    text = r"""
host: "::1"
port: 0
upstreams: {gw: "https://gateway.example/api", Local-1: "http://127.0.0.1:11434"}
max_request: 1MiB
max_pause: 1.5s
state_folder: some/where
record: {mode: all, keep_transient: true, on_disconnect: cancel, disconnect_time: 0s,
         disconnect_bytes: 1KB, max_kept: 2KB, queue: 3KB}
replay: {on_miss: synthesize, pace: instant, repeat: cycle}
upstream_timeouts: {connect: 500ms, first_byte: 2m, idle: 1h}
shutdown_time: 3
match:
  level: transcript
  ignore: ["$.metadata.trace", "$.messages[*].name", "$..id", "$['a b'][0]"]
  ignore_query: [trace]
  patterns: [{name: ticket, regex: 'T-\d+'}]
  headers: [anthropic-beta]
  count: [user, store]
  presets: []
  ambiguous: in_order
redact:
  headers: [x-internal]
  query: [signature]
  json: [$.account]
  patterns: ['acme_[0-9a-f]{32}']
  environment: false
"""
    assert load_file(folder, text).settings == Settings(
        host="::1",
        port=0,
        upstreams={"gw": "https://gateway.example/api", "Local-1": "http://127.0.0.1:11434"},
        max_request=1_048_576,
        max_pause=1.5,
        state_folder=Path("some/where"),
        record=RecordSettings("all", True, "cancel", 0.0, 1000, 2000, 3000),
        replay=ReplaySettings("synthesize", math.inf, "cycle"),
        upstream_timeouts=TimeoutSettings(0.5, 120.0, 3600.0),
        shutdown_time=3.0,
        match=MatchSettings(
            level="transcript",
            ignore=("$.metadata.trace", "$.messages[*].name", "$..id", "$['a b'][0]"),
            ignore_query=("trace",),
            patterns=(Pattern("ticket", r"T-\d+"),),
            headers=("anthropic-beta",),
            count=("user", "store"),
            presets=(),
            ambiguous="in_order",
        ),
        redact=RedactSettings(
            headers=("x-internal",),
            query=("signature",),
            json=("$.account",),
            patterns=("acme_[0-9a-f]{32}",),
            environment=False,
        ),
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "record:\nmatch:\n  # level: exact\n"])
def test_an_empty_file_or_group_says_nothing(folder: Path, text: str) -> None:
    assert load_file(folder, text).settings == Settings()


def test_a_higher_source_goes_before_a_lower_one(folder: Path) -> None:
    text = "port: 1\nreplay:\n  pace: 2x\n  repeat: miss\nmatch: {presets: [codex]}\n"
    environment = {"LLMPROXY_PORT": "2", "LLMPROXY_REPLAY_PACE": "3x", "OTHER": "x"}
    loaded = load_file(folder, text, environment=environment, flags={"port": 3, "host": None})
    assert loaded.settings.port == 3
    assert loaded.settings.replay == ReplaySettings(pace=3.0, repeat="miss")
    assert loaded.settings.match.presets == ("codex",)
    assert loaded.settings.host == "127.0.0.1"


def test_each_value_knows_where_it_came_from(folder: Path) -> None:
    text = "host: localhost\nreplay:\n  pace: 2x\n  repeat: miss\n"
    loaded = load_file(
        folder, text, environment={"LLMPROXY_REPLAY_PACE": "3x"}, flags={"match.level": "exact"}
    )
    given = {name: origin for name, origin in loaded.origins.items() if origin != "default"}
    assert given == {
        "host": "proxy.yml:1",
        "replay.pace": "LLMPROXY_REPLAY_PACE",
        "replay.repeat": "proxy.yml:4",
        "match.level": "--match",
    }
    assert loaded.file == folder / "proxy.yml"


def test_a_list_or_map_of_a_higher_source_takes_the_place_of_the_whole(folder: Path) -> None:
    text = "match: {headers: [a, b]}\nupstreams: {a: 'http://a'}\n"
    environment = {"LLMPROXY_MATCH_HEADERS": "c", "LLMPROXY_UPSTREAMS": "{b: 'http://b'}"}
    settings = load_file(folder, text, environment=environment).settings
    assert settings.match.headers == ("c",)
    assert settings.upstreams == {"b": "http://b"}


def test_config_names_the_file_and_its_name_stands_in_errors(folder: Path) -> None:
    (folder / "other.yml").write_text("port: 7\n")
    (folder / "proxy.yml").write_text("port: x\n")
    loaded = load(Path("other.yml"), {}, {}, folder)
    assert (loaded.settings.port, loaded.origins["port"]) == (7, "other.yml:1")
    assert loaded.file == folder / "other.yml"


def test_a_config_that_does_not_exist_is_an_error(folder: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Path("missing.yml"), {}, {}, folder)
    assert str(caught.value) == "missing.yml: cannot be read: No such file or directory"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("LLMPROXY_PORT", "80", "port", 80),
        ("LLMPROXY_MAX_PAUSE", "null", "max_pause", None),
        ("LLMPROXY_MAX_PAUSE", " 2s ", "max_pause", 2.0),
        ("LLMPROXY_RECORD_KEEP_TRANSIENT", "1", "record.keep_transient", True),
        ("LLMPROXY_REDACT_ENVIRONMENT", "no", "redact.environment", False),
        ("LLMPROXY_MATCH_LEVEL", "exact", "match.level", "exact"),
        ("LLMPROXY_MATCH_HEADERS", "a, b,", "match.headers", ("a", "b")),
        ("LLMPROXY_MATCH_HEADERS", "[a, 'b']", "match.headers", ("a", "b")),
        ("LLMPROXY_MATCH_PRESETS", "[]", "match.presets", ()),
        ("LLMPROXY_MATCH_IGNORE", "$.a[*].b,$..c", "match.ignore", ("$.a[*].b", "$..c")),
        ("LLMPROXY_REDACT_PATTERNS", "k_[a-f]{2,8}", "redact.patterns", ("k_[a-f]{2,8}",)),
        ("LLMPROXY_REDACT_PATTERNS", "['a,b', c]", "redact.patterns", ("a,b", "c")),
        (
            "LLMPROXY_MATCH_PATTERNS",
            "[{name: n, regex: r}]",
            "match.patterns",
            (Pattern("n", "r"),),
        ),
        ("LLMPROXY_UPSTREAMS", "{a: 'http://a'}", "upstreams", {"a": "http://a"}),
        ("LLMPROXY_RULES", "a.yml, b.yml", "rules", ("a.yml", "b.yml")),
        ("LLMPROXY_RULES", "[{reply: hi}, a.yml]", "rules", ({"reply": "hi"}, "a.yml")),
    ],
)
def test_a_variable_or_a_typed_flag_is_read_as_its_setting_wants(
    folder: Path, variable: str, text: str, name: str, value: object
) -> None:
    assert SETTINGS[name].variable == variable
    assert get(load(None, {variable: text}, {}, folder).settings, name) == value
    assert get(load(None, {}, {name: text}, folder).settings, name) == value


def test_a_flag_given_several_times_is_a_list(folder: Path) -> None:
    loaded = load(None, {}, {"match.ignore": ("$['a,b']", "$.c"), "redact.json": ()}, folder)
    assert loaded.settings.match.ignore == ("$['a,b']", "$.c")
    assert loaded.origins["redact.json"] == "default"


@pytest.mark.parametrize("name", ["LLMPROXY_PORT", "LLMPROXY_LOG", "LLMPROXY_TEST_LIVE"])
def test_an_empty_or_reserved_variable_says_nothing(folder: Path, name: str) -> None:
    text = "" if name == "LLMPROXY_PORT" else "debug"
    assert load(None, {name: text}, {}, folder).settings == Settings()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_a_regex_that_is_only_odd_is_accepted_where_warnings_are_errors(folder: Path) -> None:
    loaded = load_file(folder, "redact: {patterns: ['[[a]']}")
    assert loaded.settings.redact.patterns == ("[[a]",)


def test_rules_are_kept_as_written_and_judged_elsewhere(folder: Path) -> None:
    assert load_file(folder, "rules: tools.yml").settings.rules == ("tools.yml",)
    assert load_file(folder, "rules: [{nmae: x}, 7]").settings.rules == ({"nmae": "x"}, 7)
    assert load_file(folder, "rules:").settings.rules == ()


# One model


def test_every_setting_has_help_of_one_line_and_names_of_its_own() -> None:
    for each in SETTINGS.values():
        assert each.help == each.help.strip()
        assert not each.help.endswith(".")
        assert "\n" not in each.help
    assert len({each.variable for each in SETTINGS.values()}) == len(SETTINGS)
    assert len({each.flag for each in SETTINGS.values()}) == len(SETTINGS)


def test_walk_describes_a_setting_as_the_file_writes_it() -> None:
    shown = {name: (each.type, each.default_text) for name, each in SETTINGS.items()}
    assert shown["replay.pace"] == ("pace", "recorded")
    assert shown["max_pause"] == ("duration | null", "null")
    assert shown["max_request"] == ("size", "256MB")
    assert shown["record.mode"] == ("new_episodes | all | once", "new_episodes")
    assert shown["redact.environment"] == ("true | false", "true")
    assert shown["upstreams"] == ("{name: URL, …}", "{}")
    assert shown["match.ignore"] == ("[JSON path, …]", "[]")
    assert shown["rules"] == ("[rule | file, …]", "[]")
    assert shown["match.patterns"] == ("[{name: text, regex: text}, …]", "[]")
    assert SETTINGS["match.presets"].choices == ("claude_code", "codex", "paths")
    assert SETTINGS["match.presets"].default == SETTINGS["match.presets"].choices


def test_walk_over_an_instance_shows_its_values() -> None:
    settings = replace(Settings(), replay=ReplaySettings(pace=0.5))
    assert {each.name: each.default_text for each in walk(settings)}["replay.pace"] == "0.5x"


@pytest.mark.parametrize("each", SETTINGS.values(), ids=SETTINGS)
def test_a_default_as_written_reads_back_as_the_default(folder: Path, each: Any) -> None:
    loaded = load(None, {each.variable: each.default_text}, {}, folder)
    assert get(loaded.settings, each.name) == each.default
    assert loaded.origins[each.name] == each.variable


def test_a_running_server_takes_what_decides_on_replies() -> None:
    groups = {name.partition(".")[0] for name, each in SETTINGS.items() if each.reload}
    assert groups == {
        "upstreams", "mock", "pace", "models", "endpoints", "limits", "faults", "rules",
    }  # fmt: skip
    assert all(each.reload for n, each in SETTINGS.items() if n.partition(".")[0] in groups)


# proxy.yml


def test_our_proxy_yml_says_the_defaults_and_every_one() -> None:
    loaded = load(OURS, {}, {}, Path())
    assert loaded.settings == Settings()
    assert "default" not in loaded.origins.values()


def test_our_proxy_yml_writes_each_default_as_help_shows_it() -> None:
    document = yamlfile.parse(OURS.read_text(encoding="utf-8"), "proxy.yml")
    lines = OURS.read_text(encoding="utf-8").splitlines()
    for each in SETTINGS.values():
        line, column = document.mark(tuple(each.name.split(".")))
        choices = f"  # {' | '.join(each.choices)}" if each.choices else ""
        assert lines[line - 1][column - 1 :] == each.default_text + choices


def test_our_proxy_yml_explains_each_setting_with_its_help() -> None:
    assert {name: comments[0] for name, comments in comments_above().items()} == {
        name: each.help for name, each in SETTINGS.items()
    }


def test_the_examples_in_our_proxy_yml_are_right(folder: Path) -> None:
    examples = {
        name: comments[1].removeprefix("e.g. ")
        for name, comments in comments_above().items()
        if comments[1:]
    }
    for name, example in examples.items():
        group, _, last = name.rpartition(".")
        text = f"{group}:\n  {last}: {example}\n" if group else f"{last}: {example}\n"
        assert get(load_file(folder, text).settings, name) != SETTINGS[name].default
    assert "match.patterns" in examples


def comments_above() -> dict[str, list[str]]:
    """The comment lines that stand directly above each setting in our proxy.yml."""
    text = OURS.read_text(encoding="utf-8")
    document = yamlfile.parse(text, "proxy.yml")
    lines = [line.strip() for line in text.splitlines()]
    comments = {}
    for name in SETTINGS:
        first = last = document.mark(tuple(name.split(".")), key=True)[0] - 1
        while lines[first - 1].startswith("# "):
            first -= 1
        comments[name] = [line.removeprefix("# ") for line in lines[first:last]]
    return comments


# The schema for editors


def test_the_schema_is_one_and_accepts_our_proxy_yml() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    document = yamlfile.parse(OURS.read_text(encoding="utf-8"), "proxy.yml")
    jsonschema.validate(document.data, schema)
    assert schema["title"] == "llmproxy"


def test_the_schema_shows_help_default_and_choices_of_every_setting() -> None:
    schema: Any = json_schema()
    for each in SETTINGS.values():
        node = schema
        for part in each.name.split("."):
            node = schema["$defs"][node["$ref"].split("/")[-1]] if "$ref" in node else node
            node = node["properties"][part]
        assert node["description"] == each.help
        assert node["default"] == yamlfile.parse(each.default_text, each.name).data
        assert tuple(node.get("items", node).get("enum", ())) == each.choices


# What it costs


def test_reading_the_model_loads_neither_pydantic_nor_yaml_nor_aiohttp() -> None:
    code = (
        "import sys; from llmproxy.settings import Settings, walk; list(walk(Settings));"
        "print([m for m in ('pydantic', 'pydantic_core', 'yaml', 'aiohttp') if m in sys.modules])"
    )
    proxy = str(Path(__file__).parent.parent.parent / "proxy")
    answer = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={"PYTHONPATH": proxy},
        capture_output=True,
        text=True,
    )
    assert (answer.stdout, answer.stderr) == ("[]\n", "")


def get(settings: Settings, name: str) -> object:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value
