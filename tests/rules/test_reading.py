"""Reading rules: what comes of a file, its keys, and that no file does harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from llmproxy import yamlfile
from llmproxy.errors import SettingsError
from llmproxy.rules.reading import Include, read_file, read_rules
from llmproxy.rules.rule import Rule, RulePace
from rules.made import problems, read, rules, schema
from rules.written import MISTAKES, VALID

SCHEMA = Draft202012Validator(schema())
ISSUE = "\n".join(
    VALID[name].removeprefix("rules:\n") for name in ("an exact text", "a tool, then its answer", "errors first")
)  # fmt: skip


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_a_file_that_is_right_has_no_findings(text: str) -> None:
    read_items, said = read(text)
    assert said == []
    listed = yamlfile.parse(text, "rules.yml").data
    assert isinstance(listed, dict)
    assert len(read_items) == len(listed["rules"] or ())


def test_a_rule_has_what_its_file_says() -> None:
    sky, tool, retry = rules(f"rules:\n{ISSUE}")
    assert (sky.name, sky.place, sky.count, sky.after, sky.times, sky.pace) == (
        "sky", "rules.yml:2", "rule", "last", None, None,
    )  # fmt: skip
    assert tool.pace == RulePace({"ttft": 0.3, "tokens_per_second": 40.0, "jitter": 0.2})
    assert (retry.count, retry.after, len(retry.replies), retry.needs_text) == (
        "prompt",
        "last",
        3,
        True,
    )


def test_a_rule_without_a_name_has_that_of_its_place() -> None:
    text = "rules: [{reply: a}, other.yml, {reply: b, name: c}, {reply: d}]"
    assert [rule.name for rule in rules(text)] == ["rule 1", "c", "rule 4"]


def test_other_files_stand_among_the_rules() -> None:
    items, _ = read("rules:\n  - a/b.yml\n  - {reply: x}\n  - c.yml\n")
    assert items[0] == Include("a/b.yml", ("rules", 0))
    assert isinstance(items[1], Rule)
    assert items[2] == Include("c.yml", ("rules", 2))


def test_an_empty_file_has_no_rules() -> None:
    assert read("") == read("# nothing yet\n") == ((), [])


def test_rules_may_stand_anywhere_in_the_data() -> None:
    found: list[Any] = []
    read_rules([{"repy": 1}], ("a", "b"), str, found)
    assert [str(each) for each in found] == [
        "a.b[0].repy: no such member of a rule; did you mean reply?"
    ]


def test_a_rule_with_a_mistake_is_left_out_and_the_others_are_read() -> None:
    items, said = read("rules: [{reply: a}, {reply: {txt: b}}, {reply: c}]")
    assert len(said) == 1
    assert [each.name for each in items if isinstance(each, Rule)] == ["rule 1", "rule 3"]


# keys


def keys(text: str) -> list[str]:
    return [rule.key for rule in rules(text)]


def test_a_file_read_again_has_the_same_keys() -> None:
    for text in VALID.values():
        assert keys(text) == keys(text)


def test_keys_follow_neither_place_nor_layout() -> None:
    one = "rules:\n  - name: a\n    when: {text: x}\n    reply: {text: y}\n"
    other = (
        "rules:\n  - {reply: z}\n\n  # moved\n  - {when: {text: x}, reply: {text: y}, name: a}\n"
    )
    assert keys(one) == keys(other)[1:]


def test_equal_rules_have_different_keys() -> None:
    assert len(set(keys("rules: [{reply: a}, {reply: a}, {reply: a}]"))) == 3


RULE: dict[str, Any] = {
    "name": "n",
    "when": {"text": "a", "headers": {"x-a": "b"}, "turn": 1},
    "replies": ["x", {"text": "y", "usage": {"output_tokens": 1}}, {"error": {"status": 429}}],
    "count": "prompt",
    "after": "cycle",
    "times": 2,
    "pace": {"ttft": 1},
}
CHANGES: list[Callable[[dict[str, Any]], object]] = [
    lambda rule: rule.update(name="m"),
    lambda rule: rule.pop("name"),
    lambda rule: rule["when"].update(text="A"),
    lambda rule: rule["when"]["headers"].update({"x-a": "c"}),
    lambda rule: rule["when"].update(turn={"equals": 1}),
    lambda rule: rule["replies"].reverse(),
    lambda rule: rule["replies"].append("x"),
    lambda rule: rule["replies"][1].update(text="y "),
    lambda rule: rule["replies"][1]["usage"].update(output_tokens=2),
    lambda rule: rule["replies"][2]["error"].update(status=430),
    lambda rule: rule.update(count="rule"),
    lambda rule: rule.pop("count"),
    lambda rule: rule.update(times=3),
    lambda rule: rule["pace"].update(ttft=1.5),
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_key_changes(change: Callable[[dict[str, Any]], object]) -> None:
    changed = json.loads(json.dumps(RULE))
    change(changed)
    texts = [json.dumps({"rules": [rule]}) for rule in (RULE, changed)]
    assert keys(texts[0]) != keys(texts[1])


# files of strangers


def check(text: str) -> None:
    """Reads, or refuses with errors of ours and findings of one short line each."""
    try:
        said = problems(text)
    except SettingsError:
        return
    for line in said:
        assert line.isprintable()
        assert len(line) < 600, line


WORDS = st.sampled_from(
    ["rules", "when", "reply", "replies", "text", "template", "raw", "error", "status", "headers", "body",
     "tool_calls", "name", "pace", "ttft", "count", "times", "recorded", "cassette", "interaction",
     "forward", "stream_error", "after_chunks", "json_schema", "usage", "json", "all", "any", "not",
     "regex", "glob", "contains", "responses", "defaults", "settings", "model", "$.a", "{{ model }}", "{{",
     "x-a", "instant", "2x", "gpt-4*", "(a+)+$", "[", "é\u2028", "\ud7ff", "a\nb", ""]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 600) | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS | st.text(max_size=4)
)  # fmt: skip
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    check(text)
    check(f"rules: {text}")
    check(f"rules:\n- reply: {text}")


@given(DATA)
def test_any_data_is_read_or_refused(data: Any) -> None:
    found: list[Any] = []
    for placed in (data, {"rules": data}, {"rules": [data]}, {"rules": [{"when": data, "reply": data}]},
                   {"rules": [{"reply": "a", "pace": data}]}, {"responses": data, "settings": data}):  # fmt: skip
        found = []
        read_file(placed, str, found)
        for each in found:
            assert str(each).isprintable()
            assert len(str(each)) < 600


FILES = [*VALID.values(), *(each.yaml for each in MISTAKES if len(each.yaml) < 1000)]


@given(st.data())
def test_any_change_of_a_file_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(FILES))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 8))
        put = data.draw(
            WORDS
            | st.sampled_from(
                ["{", "}", "[", "]", ": ", "- ", "\n", "  ", ",", '"', "*", "&a", "!x"]
            )
        )
        text = text[:at] + put + text[at + cut :]
    check(text)


@given(st.data())
def test_any_member_may_hold_any_value(data: st.DataObject) -> None:
    """A value somewhere in a valid file, or its key, becomes another."""
    text = data.draw(st.sampled_from(list(VALID.values())))
    tree: Any = yamlfile.parse(text, "rules.yml").data
    holder = tree
    while True:
        keys = list(holder if isinstance(holder, dict) else range(len(holder)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if isinstance(holder[key], dict | list) and data.draw(st.booleans()):
            holder = holder[key]
            continue
        if isinstance(holder, dict) and data.draw(st.booleans()):
            holder[data.draw(WORDS)] = holder.pop(key)
        else:
            holder[key] = data.draw(DATA)
        break
    found: list[Any] = []
    items = read_file(tree, str, found)
    assert all(str(each).isprintable() for each in found)
    assert all(isinstance(each, Rule | Include) for each in items)
    if not found and "rules" in tree:
        SCHEMA.validate(tree)


def test_yaml_that_would_run_code_is_refused() -> None:
    with pytest.raises(SettingsError, match="tags"):
        problems("rules: [!!python/object/apply:os.abort []]")


@pytest.mark.timeout(20)
def test_forty_thousand_wrong_names_are_found_without_looking_for_what_each_means() -> None:
    names = ",".join(f"rply{n}: a" for n in range(40_000))
    found: list[Any] = []
    read_file(yamlfile.parse(f"rules: [{{{names}}}]", "rules.yml").data, str, found)
    assert len(found) == 40_000
