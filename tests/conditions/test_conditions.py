"""What each condition holds for, and how it says why it does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions.holding import TABLE
from conditions.subjects import Asked, chat
from conditions.whens import SUBJECTS, WHENS, when
from llmproxy.conditions.condition import Slow
from llmproxy.conditions.places import ROWS
from llmproxy.conditions.reading import describe, read_when
from llmproxy.dialects import DIALECTS
from llmproxy.findings import Finding
from llmproxy.prompt import Prompt


@pytest.mark.parametrize(
    ("data", "fitting", "other", "why"), TABLE, ids=lambda value: str(value)[:40]
)
def test_a_condition_holds_for_what_it_asks_and_says_why_not(
    data: object, fitting: Asked, other: Asked, why: str
) -> None:
    condition = when(data)
    assert condition.holds(fitting, 1)
    assert condition.why_not(fitting) == ""
    assert not condition.holds(other, 1)
    assert condition.why_not(other) == why


def test_every_condition_stands_in_the_table() -> None:
    keys = {key for data, *_ in TABLE if isinstance(data, dict) for key in data}
    assert keys == {*ROWS, "all", "any", "not"}


def test_an_empty_when_always_holds() -> None:
    assert when({}).holds(Asked(), 1)
    assert when({}).why_not(Asked()) == ""


def test_the_names_of_all_dialects_and_operations_are_known() -> None:
    for dialect in DIALECTS:
        for name in (dialect.name, *(each.name for each in dialect.operations)):
            assert when({"dialect": name})


def test_cheap_conditions_are_tried_before_the_prompt_is_read() -> None:
    class Guarded:
        method, path, query, headers, session = "POST", "/", "", (), "default"
        dialect, operation, refused = "openai", "openai_chat", ""

        @property
        def body(self) -> Any:
            raise AssertionError("the body is read")

        @property
        def prompt(self) -> Prompt | None:
            raise AssertionError("the prompt is read")

    condition = when({"text": "x", "json": {"$.a": 1}, "model": "m", "method": "GET"})
    assert not condition.holds(Guarded(), 1)
    either = when({"any": [{"text": "x"}, {"all": [{"text": "y"}, {"method": "POST"}]}, {}]})
    assert either.holds(Guarded(), 1)


@pytest.mark.parametrize(
    ("data", "cost"),
    [
        ({}, 0),
        ({"headers": {"a": "b"}}, 0),
        ({"dialect": "openai"}, 1),
        ({"model": "m"}, 2),
        ({"json": {"$.a": 1}}, 2),
        ({"json": {"$..a": 1}}, 4),
        ({"text": "x"}, 3),
        ({"path": {"regex": "x"}}, 4),
        ({"text": [{"not": {"regex": "x"}}, "y"]}, 7),
        ({"text": "x", "method": "GET"}, 3),
    ],
)
def test_a_regex_and_what_has_to_be_read_make_a_condition_costly(data: object, cost: int) -> None:
    assert when(data).cost == cost


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, "{}"),
        (
            {"text": "retry now", "model": ["gpt-4*", "o1"]},
            '{model: [gpt-4*, o1], text: "retry now"}',
        ),
        ({"json": {"$.a": {"lt": 0.5}}}, '{json: {"$.a": {lt: 0.5}}}'),
        (
            {"any": [{"turn": 1}, {"not": {"stream": True}}]},
            "{any: [{not: {stream: true}}, {turn: 1}]}",
        ),
        ({"text": "true", "session": ""}, '{session: "", text: "true"}'),
        ({"headers": {"authorization": "made-up"}}, "{headers: {authorization: …}}"),
        (
            {"headers": {"a": "1", "x-b": "c"}},
            '{all: [{headers: {a: "1"}}, {headers: {x-b: c}}]}',
        ),
    ],
)
def test_a_condition_is_described_as_yaml_has_it(data: object, text: str) -> None:
    assert describe(when(data)) == text


def test_descriptions_and_reasons_are_cut() -> None:
    many = when({"text": [{"not": {"contains": f"{n}" * 100}} for n in range(900)]})
    assert len(describe(many)) <= 300
    both = when({"not": {"text": "9" * 500, "any": [{"path": "p" * 400}, {}]}})
    assert len(both.why_not(chat("9" * 500))) <= 320


@settings(deadline=None)
@given(WHENS, st.lists(SUBJECTS, min_size=1, max_size=4))
def test_there_is_a_reason_exactly_where_a_condition_does_not_hold(
    data: object, subjects: list[Asked]
) -> None:
    found: list[Finding] = []
    condition = read_when(data, ("when",), found)
    if condition is None:
        assert found
        return
    assert describe(condition).isprintable()
    for subject in subjects:
        try:
            holds = condition.holds(subject, 1)
        except Slow:
            continue
        assert (condition.why_not(subject) == "") == holds
