"""Where one condition certainly holds whenever another does."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions.subjects import Asked, chat
from conditions.whens import JSONS, LEAVES, SUBJECTS, TEXTS, VALUES, WHENS, WORDS, when
from llmproxy.conditions.condition import Slow
from llmproxy.conditions.reading import implies, read_when
from llmproxy.findings import Finding

CERTAIN: list[tuple[object, object]] = [
    ({"turn": 1}, {}),
    ({"turn": 1}, {"turn": 1.0}),
    ({"turn": 1}, {"turn": {"lt": 2}}),
    ({"turn": {"le": 1}}, {"turn": {"lt": 2}}),
    ({"turn": {"gt": 1}}, {"turn": {"ge": 1}}),
    ({"turn": 1, "model": "m"}, {"model": "m"}),
    ({"turn": 1, "model": "m", "path": "/"}, {"model": "m", "path": "/"}),
    ({"text": "retry now"}, {"text": {"contains": "retry"}}),
    ({"text": "retry now"}, {"text": {"contains": "RETRY", "ignore_case": True}}),
    ({"text": "retry now"}, {"text": {"regex": "^retry"}}),
    ({"text": "retry now"}, {"text": {"not": {"contains": "stop"}}}),
    ({"text": {"contains": "Retry now"}}, {"text": {"contains": "RETRY", "ignore_case": True}}),
    ({"text": {"starts_with": "retry now"}}, {"text": {"starts_with": "retry"}}),
    ({"text": {"starts_with": "retry now"}}, {"text": {"contains": "now"}}),
    ({"text": {"starts_with": "a", "contains": "b"}}, {"text": {"contains": "b"}}),
    ({"text": {"starts_with": "ab", "ends_with": "c"}}, {"text": {"contains": "b", "ends_with": "c"}}),
    ({"text": ["retry a", "retry b"]}, {"text": {"contains": "retry"}}),
    ({"text": "b"}, {"text": ["a", "b"]}),
    ({"text": {"regex": "a+"}}, {"text": {"regex": "a+"}}),
    ({"text": {"not": {"contains": "a"}}}, {"text": {"not": {"contains": "ab"}}}),
    ({"model": "gpt-4o"}, {"model": "gpt-4*"}),
    ({"model": "gpt-4o-*"}, {"model": "gpt-*"}),
    ({"model": {"glob": "GPT-4?-*", "ignore_case": True}}, {"model": {"glob": "gpt-*", "ignore_case": True}}),
    ({"method": "post"}, {"method": "POST"}),
    ({"headers": {"X-A": "b"}}, {"headers": {"x-a": {"present": True}}}),
    ({"headers": {"x-a": "b", "x-c": "d"}}, {"headers": {"x-c": "d"}}),
    ({"json": {"$.a": {"equals": [1]}}}, {"json": {"$.a": {"equals": [1]}}}),
    ({"tools": "get_weather"}, {"tools": ["get_*", "search"]}),
    ({"any": [{"turn": 1}, {"turn": 2}]}, {"turn": {"le": 2}}),
    ({"turn": 1}, {"any": [{"model": "m"}, {"turn": 1}]}),
    ({"any": [{"turn": 1}, {"model": "m"}]}, {"any": [{"model": "m"}, {"turn": [1, 2]}]}),
    ({"not": {"model": "gpt-*"}}, {"not": {"model": "gpt-4o"}}),
    ({"stream": True}, {"stream": True}),
]  # fmt: skip

UNCERTAIN: list[tuple[object, object]] = [
    ({}, {"turn": 1}),
    ({"turn": 1}, {"turn": 2}),
    ({"turn": {"le": 2}}, {"turn": {"lt": 2}}),
    ({"turn": {"lt": 2}}, {"turn": {"gt": 1}}),
    ({"model": "m"}, {"turn": 1, "model": "m"}),
    ({"text": {"contains": "retry"}}, {"text": "retry"}),
    ({"text": {"contains": "retry now"}}, {"text": {"starts_with": "retry"}}),
    ({"text": {"contains": "a", "ignore_case": True}}, {"text": {"contains": "a"}}),
    ({"text": {"equals": "a", "ignore_case": True}}, {"text": "a"}),
    ({"text": {"starts_with": "ab"}}, {"text": {"starts_with": "a", "not": {"ends_with": "c"}}}),
    ({"text": "a"}, {"system": "a"}),
    ({"headers": {"x-a": "b"}}, {"headers": {"x-c": "b"}}),
    ({"headers": {"x-a": "b"}}, {"headers": {"x-a": {"not": "c"}}}),
    ({"tools": "a"}, {"tools": {"not": "b"}}),
    ({"json": {"$.a": 1}}, {"json": {"$.a": True}}),
    ({"json": {"$.a": {"equals": [1]}}}, {"json": {"$.a": {"equals": [True]}}}),
    ({"model": "gpt-*"}, {"model": "gpt-?"}),
    ({"model": "gpt-*"}, {"model": "gpt-4*"}),
    ({"any": [{"turn": 1}, {"model": "m"}]}, {"turn": 1}),
    ({"not": {"model": "gpt-4o"}}, {"not": {"model": "gpt-*"}}),
    ({"stream": True}, {"stream": False}),
    ({"text": {"not": "a"}}, {"text": {"not": {"contains": "a"}}}),
]


@pytest.mark.parametrize(("narrow", "wide"), CERTAIN, ids=str)
def test_what_is_certain_is_seen(narrow: object, wide: object) -> None:
    assert implies(when(narrow), when(wide))


@pytest.mark.parametrize(("narrow", "wide"), UNCERTAIN, ids=str)
def test_what_may_be_otherwise_is_not_claimed(narrow: object, wide: object) -> None:
    assert not implies(when(narrow), when(wide))


_pairs = st.one_of(
    st.tuples(LEAVES, LEAVES),
    st.tuples(WHENS, WHENS),
    st.tuples(LEAVES, LEAVES).map(lambda pair: ({**pair[1], **pair[0]}, pair[0])),
    st.sampled_from(CERTAIN),
)


@settings(deadline=None)
@given(_pairs, st.lists(SUBJECTS, min_size=1, max_size=8))
def test_no_request_shows_an_implication_to_be_wrong(
    pair: tuple[object, object], subjects: list[Asked]
) -> None:
    found: list[Finding] = []
    narrow, wide = (read_when(data, ("when",), found) for data in pair)
    if narrow is None or wide is None or not implies(narrow, wide):
        return
    for subject in subjects:
        try:
            assert wide.holds(subject, 1) or not narrow.holds(subject, 1)
        except Slow:
            continue


_TEXTS = [*WORDS, "AbC", "ba", "gpt-", "GPT-4", "ss", "c"]
_LINES = [
    tuple(("x-a", text) for text in texts) for n in range(3) for texts in product(_TEXTS, repeat=n)
]
_NODES: list[Any] = [
    {},
    *({"a": node} for node in (*_TEXTS, 0, 1, 2, 0.5, -1, True, False, None, [], [1])),
]
_ALL = {
    "text": [chat(text) for text in _TEXTS],
    "headers": [Asked(headers=headers) for headers in _LINES],
    "json": [Asked(body=body) for body in _NODES],
}
"""Requests enough to show any wrong implication between matchers of the strategies."""


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.tuples(TEXTS, TEXTS).map(lambda pair: [{"text": matcher} for matcher in pair]),
        st.tuples(VALUES, VALUES).map(lambda pair: [{"headers": {"x-a": m}} for m in pair]),
        st.tuples(JSONS, JSONS).map(lambda pair: [{"json": {"$.a": m}} for m in pair]),
    )
)
def test_no_value_shows_an_implication_between_matchers_to_be_wrong(pair: list[Any]) -> None:
    found: list[Finding] = []
    narrow, wide = (read_when(data, ("when",), found) for data in pair)
    if narrow is None or wide is None or not implies(narrow, wide):
        return
    (place,) = pair[0]
    held = [subject for subject in _ALL[place] if narrow.holds(subject, 1)]
    assert [subject for subject in held if not wide.holds(subject, 1)] == []


@given(LEAVES)
def test_every_condition_implies_itself(data: object) -> None:
    found: list[Finding] = []
    condition = read_when(data, ("when",), found)
    assert condition is None or implies(condition, condition)


@pytest.mark.timeout(20)
def test_large_conditions_take_no_longer_than_small_ones() -> None:
    many = [{"text": {"contains": f"{n}"}} for n in range(1_000)]
    other = [{"all": [{"text": {"contains": f"x{n}"}}, {"turn": n}]} for n in range(1_000)]
    assert not implies(when({"any": [{"all": many}]}), when({"any": other}))


@pytest.mark.timeout(20)
def test_a_catastrophic_regex_is_not_tried_for_long() -> None:
    wide = when({"any": [{"text": {"regex": "(a+a+)+y" + "." * n}} for n in range(40)]})
    assert not implies(when({"text": "a" * 5_000}), wide)
