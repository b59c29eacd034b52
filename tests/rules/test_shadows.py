"""Rules that can never answer: told where it is certain, and only there."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

from llmproxy.findings import Finding
from llmproxy.rules.reading import read_rules
from llmproxy.rules.rule import Rule
from llmproxy.rules.shadows import MOST_COMPARED, dead


def rules(*data: dict[str, Any]) -> list[Rule]:
    found: list[Finding] = []
    read = read_rules(list(data), ("rules",), str, found)
    assert [str(each) for each in found] == []
    return [each for each in read if isinstance(each, Rule)]


def names(*data: dict[str, Any]) -> list[tuple[str, str]]:
    return [(rule.name, before.name) for rule, before in dead(rules(*data))]


SKY = {"when": {"text": "sky"}, "reply": "blue"}
ANY = {"reply": "any"}
ERROR = {"reply": {"error": 429}}


def test_behind_a_rule_for_all_nothing_answers_and_the_first_such_is_named() -> None:
    found = names(SKY, ANY, {"when": {"text": "sea"}, "reply": "wet"}, ANY)
    assert found == [("rule 3", "rule 2"), ("rule 4", "rule 2")]


def test_the_same_condition_answers_once() -> None:
    assert names(SKY, {**SKY, "reply": "grey"}) == [("rule 2", "rule 1")]


def test_a_narrower_condition_behind_a_wider_one_is_dead() -> None:
    wide = {"when": {"text": {"contains": "retry"}}, "reply": "x"}
    narrow = {"when": {"text": "retry now", "model": "gpt-4*"}, "reply": "y"}
    assert names(wide, narrow) == [("rule 2", "rule 1")]
    assert names(narrow, wide) == []


@pytest.mark.parametrize(
    "first",
    [
        {**ANY, "times": 3},
        {"replies": ["a", "b"], "after": "next"},
        {"replies": [{"error": 500}, {"recorded": True}]},
        {"reply": {"recorded": True}},
        {"reply": {"json_schema": "request"}},
        {"when": {"text": {"contains": "sea"}}, "reply": "x"},
    ],
)
def test_a_rule_that_may_leave_a_request_to_the_next_hides_nothing(first: dict[str, Any]) -> None:
    assert names(first, SKY) == []


@pytest.mark.parametrize(
    "first",
    [ERROR, {"reply": {"forward": "openai"}}, {"reply": {"cassette": "a", "interaction": 1}}],
)
def test_what_answers_any_request_hides_text_too(first: dict[str, Any]) -> None:
    assert names(first, SKY) == [("rule 2", "rule 1")]


def test_text_for_all_hides_no_reply_to_other_requests() -> None:
    assert names(ANY, {"when": {"path": "/v1/files"}, "reply": {"raw": {}}}) == []
    assert names(ANY, {"when": {"path": "/v1/*"}, **ERROR}) == []
    assert names(ANY, {"when": {"not": {"text": "a"}}, **ERROR}) == []


@pytest.mark.parametrize(
    "when", [{"text": "a", "path": "/x"}, {"any": [{"text": "a"}, {"all": [{"turn": 1}]}]}]
)
def test_text_for_all_hides_an_error_for_some_text(when: dict[str, Any]) -> None:
    assert names(ANY, {"when": when, **ERROR}) == [("rule 2", "rule 1")]


def test_a_schema_for_all_hides_only_replies_by_schema() -> None:
    schema = {"reply": {"json_schema": "request"}}
    assert names(schema, {"when": {"model": "m"}, **schema}) == [("rule 2", "rule 1")]


def test_a_rule_that_is_used_up_can_still_be_dead() -> None:
    assert names(SKY, {**SKY, "times": 1}) == [("rule 2", "rule 1")]


def test_each_of_several_thousand_prompts_is_compared_with_its_like() -> None:
    prompts = [{"when": {"text": f"prompt {n}", "model": "m*"}, "reply": "x"} for n in range(3_000)]
    found = names(*prompts, {"when": {"model": "m-1", "text": "prompt 2999"}, "reply": "y"})
    assert found == [("rule 3001", "rule 3000")]


def test_the_first_of_several_that_answer_before_is_named() -> None:
    model, text = {"when": {"model": "m*"}, "reply": "x"}, {"when": {"text": "a"}, "reply": "x"}
    both = {"when": {"text": "a", "model": "m-1"}, "reply": "y"}
    assert names(text, model, both) == names(model, text, both) == [("rule 3", "rule 1")]


def test_a_long_file_takes_no_quadratic_time() -> None:
    read = rules(*({"when": {"text": {"contains": f";{n};"}}, "reply": "x"} for n in range(2_000)))
    start = perf_counter()
    assert dead(read) == []
    assert perf_counter() - start < 5
    assert len(read) ** 2 / 2 > MOST_COMPARED
