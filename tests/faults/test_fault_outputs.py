"""What each output makes of what a model would have said."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.answer import Choice, Part, Reasoning, Refusal, Text, ToolCall
from llmproxy.faults.outputs import OUTPUTS

ARGUMENTS = (
    '{"city": "Paris", "days": 3, "metric": true, "tags": ["a"], "at": {"x": 1}, "no": null}'
)
CALL = ToolCall("get_weather", ARGUMENTS, "id_1")
CALLS = Choice((Text("One moment."), CALL), "tool_calls")


def spoilt(kind: str, choice: Choice, seed: int = 1) -> Choice:
    return OUTPUTS[kind](choice, Random(seed))


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("empty", Choice((Text("hello"),)), Choice((Text(""),))),
        ("empty", Choice((Text("he"),), "length"), Choice((Text(""),), "length")),
        ("empty", Choice((Refusal("no"),), "refusal"), Choice((Text(""),))),
        (
            "empty",
            Choice((Reasoning("hm"), CALL), "tool_calls"),
            Choice((Reasoning("hm"), Text(""))),
        ),
        ("truncated_json", Choice((Text('{"a": 12}'),)), Choice((Text('{"a"'),))),
        ("truncated_json", Choice((Text(" [1, 2]\n"),)), Choice((Text("[1,"),))),
        (
            "truncated_json",
            Choice((Text("so:"), ToolCall("f", "{}")), "tool_calls"),
            Choice((Text("so:"), ToolCall("f", "{")), "tool_calls"),
        ),
        ("fenced_json", Choice((Text('{"a":1}'),)), Choice((Text('```json\n{"a":1}\n```'),))),
    ],
)
def test_an_output_makes_of_a_choice_what_it_should(
    kind: str, before: Choice, after: Choice
) -> None:
    assert spoilt(kind, before) == after


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("truncated_json", Text("no JSON {")),
        ("truncated_json", Text("12")),
        ("truncated_json", ToolCall("f", "print(1)", custom=True)),
        ("fenced_json", Text("hello")),
        ("fenced_json", CALL),
        ("wrong_types", Text('{"a":1}')),
        ("wrong_types", ToolCall("f", "{}")),
        ("wrong_types", ToolCall("f", "[1]")),
        ("wrong_types", ToolCall("f", "no JSON", custom=True)),
    ],
)
def test_what_cannot_be_spoilt_is_the_very_same(kind: str, part: Part) -> None:
    choice = Choice((part,))
    assert spoilt(kind, choice) is choice


def test_each_argument_has_another_type() -> None:
    (_, call) = spoilt("wrong_types", CALLS).parts
    assert isinstance(call, ToolCall)
    assert (call.name, call.id) == (CALL.name, CALL.id)
    before, after = json.loads(ARGUMENTS), json.loads(call.arguments)
    assert list(after) == list(before)
    assert [type(value) for value in after.values()] == [int, str, str, int, list, int]


def test_the_first_call_is_of_a_tool_that_nobody_offered() -> None:
    spoilt_choice = spoilt("unknown_tool", CALLS)
    (said, call) = spoilt_choice.parts
    assert said == Text("One moment.")
    assert isinstance(call, ToolCall)
    assert call.name.startswith("get_weather_")
    assert (call.arguments, spoilt_choice.finish) == (ARGUMENTS, "tool_calls")


def test_without_calls_an_unknown_one_is_added() -> None:
    spoilt_choice = spoilt("unknown_tool", Choice((Text("hello"),), "stop_sequence", "o"))
    assert spoilt_choice.calls[0].name.startswith("unknown_tool_")
    assert (spoilt_choice.finish, spoilt_choice.stopped_by) == ("tool_calls", "")


def test_a_name_stays_as_short_as_providers_allow() -> None:
    (call,) = spoilt("unknown_tool", Choice((ToolCall("x" * 64, "{}"),))).calls
    assert len(call.name) <= 64
    assert call.name != "x" * 64


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
texts = st.text(max_size=20) | values.map(json.dumps)
parts = st.one_of(
    st.builds(Text, texts),
    st.builds(Reasoning, texts),
    st.builds(Refusal, texts),
    st.builds(ToolCall, st.text(max_size=80), texts, custom=st.booleans()),
)
choices = st.builds(
    Choice,
    st.lists(parts, max_size=4).map(tuple),
    st.sampled_from(["stop", "length", "tool_calls", "refusal", "content_filter"]),
)


@given(st.sampled_from(sorted(OUTPUTS)), choices, st.integers(0, 9))
def test_whatever_is_said_the_same_seed_spoils_it_in_the_same_way(
    kind: str, choice: Choice, seed: int
) -> None:
    assert spoilt(kind, choice, seed) == spoilt(kind, choice, seed)


@given(values.filter(lambda value: isinstance(value, dict | list)))
def test_truncated_json_is_none(value: object) -> None:
    (part,) = spoilt("truncated_json", Choice((Text(json.dumps(value)),))).parts
    assert isinstance(part, Text)
    with pytest.raises(json.JSONDecodeError):
        json.loads(part.text)


def test_arguments_nested_as_deep_as_they_come_do_no_harm() -> None:
    deep = '{"a":' + "[" * 5_000 + "]" * 5_000 + "}"
    for kind in OUTPUTS:
        spoilt(kind, Choice((Text(deep), ToolCall("f", deep))))
        spoilt(kind, Choice((Text("{" * 100_000), ToolCall("f", "[" * 100_000))))
