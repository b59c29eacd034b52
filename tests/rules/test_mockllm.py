"""The responses.yml of mockllm, read as it is."""

from __future__ import annotations

import pytest

from llmproxy.answer import Text
from llmproxy.conditions.reading import read_when
from llmproxy.rhythm import PaceSettings
from llmproxy.rules.paces import apply
from llmproxy.rules.rule import Rule, RulePace, Said
from rules.made import rules

FILE = """\
responses:
  what colour is the sky?: Blue, by day.
  "what is 2+2?": "2+2 equals 9."
  1 + 1?: 2
  is it so?: true
"""


def text_of(rule: Rule) -> str:
    (said,) = rule.replies
    assert isinstance(said, Said)
    (text,) = said.script.parts
    assert isinstance(text, Text)
    assert said.script.uncut
    return text.text


def test_each_prompt_is_a_rule_and_the_last_answers_all_others() -> None:
    read = rules(FILE)
    assert [(rule.name, text_of(rule)) for rule in read] == [
        ("what colour is the sky?", "Blue, by day."),
        ("what is 2+2?", "2+2 equals 9."),
        ("1 + 1?", "2"),
        ("is it so?", "true"),
        ("unknown_response", "I don't know the answer to that."),
    ]
    assert [rule.place for rule in read[:2]] == ["rules.yml:2", "rules.yml:3"]


def test_a_prompt_must_be_the_last_user_text_exactly() -> None:
    first, *_, last = rules(FILE)
    assert first.when == read_when({"text": "what colour is the sky?"}, (), [])
    assert last.when == read_when({}, (), [])


def test_the_unknown_response_is_that_of_the_file() -> None:
    read = rules("defaults: {unknown_response: Huh?, other: 1}\nresponses: {}")
    assert [text_of(rule) for rule in read] == ["Huh?"]
    assert read[0].place == "rules.yml:1"


@pytest.mark.parametrize("text", ["responses:", "responses: {}\ndefaults:\nsettings:"])
def test_groups_with_nothing_in_them_say_nothing(text: str) -> None:
    assert [rule.name for rule in rules(text)] == ["unknown_response"]


def test_without_lag_only_the_size_of_chunks_is_set() -> None:
    assert {str(rule.pace) for rule in rules(FILE)} == {str(RulePace({"chunk_unit": "char"}))}


@pytest.mark.parametrize("word", ["true", "yes", "On"])
def test_lag_is_ten_characters_a_second_for_each_of_its_factor(word: str) -> None:
    text = f"{FILE}settings: {{lag_enabled: {word}, lag_factor: 3, newer: 1}}"
    pace = apply(rules(text)[0].pace, PaceSettings(tokens_per_second=5, distribution="normal"))
    assert (pace.characters_per_second, pace.tokens_per_second) == (30, None)
    assert (pace.jitter, pace.distribution, pace.chunk_unit) == (0.5, "uniform", "char")


def test_the_factor_is_ten_where_none_is_set_and_nothing_without_lag() -> None:
    on, off = (
        rules(f"{FILE}settings: {{lag_enabled: on}}"),
        rules(f"{FILE}settings: {{lag_factor: 2}}"),
    )
    assert apply(on[0].pace, PaceSettings()).characters_per_second == 100
    assert apply(off[0].pace, PaceSettings()).characters_per_second is None


def test_keys_are_the_same_when_the_file_is_read_again() -> None:
    keys = [rule.key for rule in rules(FILE)]
    assert keys == [rule.key for rule in rules(FILE)]
    assert len(set(keys)) == len(keys)
    other = [rule.key for rule in rules(FILE.replace("Blue", "Grey"))]
    assert [a == b for a, b in zip(keys, other, strict=True)] == [False, True, True, True, True]


def test_a_long_prompt_gives_a_short_name_in_one_line() -> None:
    name = rules(f'responses: {{"a\\nb\\u0007 {"x" * 600}": y}}')[0].name
    assert name.startswith("a b xxx")
    assert len(name) == 60
    assert name.isprintable()
