"""The request header that asks for a fault."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.faults.effects import READERS
from llmproxy.faults.fault import Effect, Hang, InBody, Output, Refuse, Reset, Slow
from llmproxy.faults.header import LONGEST, WORDS, read_header
from llmproxy.synthesis.problems import problem_of
from llmproxy.synthesis.scripted import Failure


@pytest.mark.parametrize(
    ("value", "effect"),
    [
        ("500", Refuse((Failure(problem_of(500)),))),
        (" 429 ", Refuse((Failure(problem_of(429)),))),
        ("overloaded", Refuse((Failure(problem_of(529)),))),
        ("Rate-Limit", Refuse((Failure(problem_of(429)),))),
        (
            "disabled",
            Refuse((Failure(problem_of(503, "This endpoint is currently disabled")),), closed=True),
        ),
        ("hang", Hang(600.0)),
        ("timeout", Hang(600.0)),
        ("slow", Slow(5.0, 10.0)),
        ("slow_response", Slow(5.0, 10.0)),
        ("reset", Reset()),
        ("connection_reset", Reset()),
        ("lump", InBody("lump")),
        ('{"cut": {"before_chunk": 3}}', InBody("cut", (3, 3))),
        ('{"hang": "2s"}', Hang(2.0)),
        ('{"output": "empty"}', Output("empty")),
        (
            '{"error": {"status": 429, "headers": {"retry-after": "1"}}}',
            Refuse((Failure(problem_of(429), (("retry-after", "1"),)),)),
        ),
    ],
)
def test_a_header_asks_for_an_effect(value: str, effect: Effect) -> None:
    assert read_header(value) == effect


def test_every_word_is_an_effect() -> None:
    for word in WORDS:
        read_header(word)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", 'is empty; write a status, a word such as hang, or {"cut": {"before_chunk": 3}}'),
        ("hnag", '"hnag" is no fault; did you mean hang?'),
        (
            "?",
            '"?" is no fault; write a status, a word such as hang, or {"cut": {"before_chunk": 3}}',
        ),
        ("200", "error: 200 is not a whole number from 400 to 599"),
        ("x" * 1_001, "has 1,001 characters; at most 1,000"),
        ("{", "is no JSON: Expecting property name enclosed in double quotes at column 2"),
        ('{"split": NaN}', "is no JSON: NaN is not a number there"),
        ('{"cut": {"befor_chunk": 3}}', "cut.befor_chunk: no such member; did you mean before_chunk?"),
        ('{"ctu": {"at_byte": 3}}', "ctu: no such effect; did you mean cut?"),
        (
            '{"hang": true, "reset": true}',
            "reset: stands beside hang; a fault does one thing, make two of them",
        ),
        ('{"error": "\\ud800"}', (
            'error: "\\ud800" is none of server_error, bad_request, authentication_error,'
            " permission_denied, rate_limit, overloaded"
        )),
    ],
)  # fmt: skip
def test_a_header_that_asks_for_none_is_told_why(value: str, said: str) -> None:
    with pytest.raises(ValueError) as raised:
        read_header(value)
    assert str(raised.value) == said


def test_an_empty_object_is_told_what_there_is() -> None:
    with pytest.raises(ValueError, match=", ".join(READERS)):
        read_header("{}")


def survives(value: str) -> None:
    """Read it; where that raises, it is a ValueError of one line, ours."""
    said = "an effect"
    try:
        read_header(value)
    except ValueError as error:
        said = str(error) if type(error) is ValueError else ""
    assert said
    assert "\n" not in said


@given(
    st.text(alphabet=st.characters(), max_size=60)
    | st.text('{}[]":,0123456789etrufalsn ', max_size=60)
)
def test_no_value_raises_anything_else(value: str) -> None:
    survives(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*READERS, "x\n"]), json_values, max_size=2))
def test_no_object_raises_anything_else(data: dict[str, object]) -> None:
    survives(json.dumps(data))


def test_a_value_nested_as_deep_as_it_may_be_does_no_harm() -> None:
    for opening in ('{"error":', "[", '{"error":['):
        survives('{"error":' + (opening * LONGEST)[: LONGEST - 20])
    survives('{"error":' + "[" * 400 + "]" * 400 + "}")
    survives('{"split":' + "9" * 900 + "}")
