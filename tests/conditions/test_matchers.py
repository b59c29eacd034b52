"""How values are compared: texts, globs, JSON values, several values at one place."""

from __future__ import annotations

import fnmatch
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions.subjects import Asked, chat
from conditions.whens import when
from llmproxy.conditions.globs import parse_glob
from llmproxy.conditions.matchers import same_json
from llmproxy.interaction import Headers
from llmproxy.prompt import Message


def fits(matcher: object, text: str) -> bool:
    return when({"text": matcher}).holds(chat(text), 1)


@pytest.mark.parametrize(
    ("matcher", "fitting", "others"),
    [
        ("Retry", ["Retry"], ["retry", "Retry ", ""]),
        ("a*", ["a*"], ["ab"]),
        (42, ["42"], ["42.0"]),
        ("", [""], [" "]),
        (["a", {"contains": "b"}], ["a", "xbx"], ["c"]),
        ({"contains": "b"}, ["abc"], ["ac"]),
        ({"starts_with": "a", "ends_with": "c"}, ["abc", "ac"], ["ab", "bc"]),
        ({"glob": "a*c?"}, ["acd", "abcd"], ["abc", "xabcd"]),
        ({"glob": "STRASSE*", "ignore_case": True}, ["Straße 5"], ["Gasse"]),
        ({"equals": "STRASSE", "ignore_case": True}, ["straße"], ["strase"]),
        ({"any_of": ["A", "B"], "ignore_case": True}, ["a", "B"], ["c"]),
        ({"any_of": [{"contains": "A"}], "ignore_case": True}, ["bab"], ["c"]),
        ({"glob": "ab*ba"}, ["abba", "abxba"], ["aba", "ab"]),
        (
            {"any_of": [{"equals": "A", "ignore_case": False}, "B"], "ignore_case": True},
            ["A", "b"],
            ["a"],
        ),
        ({"starts_with": "a", "not": {"ends_with": "b"}}, ["a", "abc"], ["ab", "b"]),
        ({"not": ["a", "b"]}, ["c"], ["a", "b"]),
        ({"not": {"not": "a"}}, ["a"], ["b"]),
        ({"regex": "^a.c$"}, ["abc"], ["a\nc", "xabc"]),
        ({"regex": "^A", "ignore_case": True}, ["abc"], ["ba"]),
        ({"regex": "b", "contains": "a"}, ["ab"], ["b", "a"]),
        ({"equals": "a*"}, ["a*"], ["ab"]),
    ],
)
def test_a_text_fits_what_all_keys_of_a_mapping_say(
    matcher: object, fitting: list[str], others: list[str]
) -> None:
    assert [text for text in fitting if not fits(matcher, text)] == []
    assert [text for text in others if fits(matcher, text)] == []


@pytest.mark.parametrize(
    ("matcher", "fitting", "others"),
    [
        ("a", [["a"], ["b", "a"]], [[], ["b"]]),
        ({"not": "a"}, [[], ["b"]], [["a"], ["b", "a"]]),
        ({"starts_with": "a", "ends_with": "b"}, [["ab"], ["x", "ab"]], [["a", "b"]]),
        ({"starts_with": "a", "not": "ab"}, [["ac"], ["ac", "b"]], [["ab"], ["ac", "ab"], ["b"]]),
        ({"any_of": [{"not": "a"}, "b"]}, [[], ["c"], ["a", "b"]], [["a"], ["a", "c"]]),
        ({"present": True}, [["a"], ["a", "b"]], [[]]),
        ({"present": False}, [[]], [["a"]]),
        ([{"present": False}, "a"], [[], ["a"]], [["b"]]),
        ({"not": {"present": False}, "contains": "a"}, [["ab"]], [[], ["b"]]),
        ({"any_of": ["a", "b"], "not": "c"}, [["a"], ["a", "d"]], [["a", "c"], ["d"]]),
    ],
)
def test_of_several_values_any_may_fit_and_not_means_that_none_does(
    matcher: object, fitting: list[list[str]], others: list[list[str]]
) -> None:
    condition = when({"headers": {"x-a": matcher}})

    def holds(values: list[str]) -> bool:
        headers: Headers = tuple(("X-A", value) for value in values)
        return condition.holds(Asked(headers=headers), 1)

    assert [values for values in fitting if not holds(values)] == []
    assert [values for values in others if holds(values)] == []


@pytest.mark.parametrize(
    ("matcher", "fitting", "others"),
    [
        (1, [1, 1.0], [True, "1", None, [1]]),
        (True, [True], [1, "true"]),
        (None, [None], [0, "", False]),
        ("1", ["1"], [1]),
        ({"equals": {"a": [1, None]}}, [{"a": [1.0, None]}], [{"a": [1]}, {"a": [True, None]}, {}]),
        ({"equals": {"a": 1, "b": 2}}, [{"b": 2, "a": 1}], [{"a": 1}]),
        ({"equals": []}, [[]], [{}, None, ""]),
        ({"equals": "A", "ignore_case": True}, ["a"], [None]),
        ({"gt": 1, "le": 2}, [1.5, 2], [1, 2.5, True, "2", None]),
        ({"contains": "a"}, ["bab"], [["a"], {"a": 1}, 1]),
        ({"glob": "a*"}, ["ab"], [1]),
        ({"regex": "a"}, ["ab"], [1, None]),
        ({"any_of": [1, {"contains": "x"}]}, [1, "x"], [2]),
    ],
)
def test_json_values_are_compared_as_json_has_them(
    matcher: object, fitting: list[Any], others: list[Any]
) -> None:
    condition = when({"json": {"$.v": matcher}})
    assert [one for one in fitting if not condition.holds(Asked(body={"v": one}), 1)] == []
    assert [one for one in others if condition.holds(Asked(body={"v": one}), 1)] == []


_trees = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(_trees, _trees)
def test_json_values_are_equal_where_their_canonical_texts_are(one: object, other: object) -> None:
    def text(value: object) -> str:
        return json.dumps(value, sort_keys=True)

    assert same_json(one, json.loads(text(one)))
    assert same_json(one, other) == (text(one) == text(other))


def test_deep_json_values_are_compared_without_recursion() -> None:
    one: list[Any] = []
    other: list[Any] = []
    for _ in range(50_000):
        one, other = [one], [other]
    assert same_json(one, other)


@settings(deadline=None)
@given(
    st.text(st.sampled_from("ab*?[.\n"), max_size=8), st.text(st.sampled_from("ab[.\n"), max_size=8)
)
def test_a_glob_fits_what_fnmatch_fits(pattern: str, text: str) -> None:
    expected = fnmatch.translate(pattern.replace("[", "[[]"))
    assert parse_glob(pattern).fits(text) == bool(re.match(expected, text))


@pytest.mark.timeout(20)
def test_a_glob_with_many_stars_takes_linear_time() -> None:
    glob = parse_glob("*a" * 500 + "*b?*c")
    assert not glob.fits("a" * 1_000_000)


@pytest.mark.parametrize("query", ["a%62=c+d", "a%62=%63%20d", "ab=c+d&x", "x&ab=1&%61b=c%20d"])
def test_names_and_values_of_a_query_are_decoded(query: str) -> None:
    assert when({"query": {"ab": "c d"}}).holds(Asked(query=query), 1)


def test_a_name_with_a_space_is_found_in_a_query() -> None:
    assert when({"query": {"a b": ""}}).holds(Asked(query="a+b"), 1)
    assert not when({"query": {"a b": ""}}).holds(Asked(query="ab"), 1)


def test_a_user_who_adds_only_a_picture_has_not_spoken_since_a_tool() -> None:
    messages = (Message("user", "hi"), Message("tool", "sunny"), Message("user", media=1))
    subject = chat(messages=messages)
    assert when({"tool_result": "sunny", "has_tool_result": True}).holds(subject, 1)


def test_the_case_of_a_method_matters_in_no_test_of_it() -> None:
    assert when({"method": {"starts_with": "p", "not": "put"}}).holds(Asked(method="POST"), 1)


def test_a_message_is_looked_for_in_all_of_them() -> None:
    messages = (Message("user", "one"), Message("assistant", "two"), Message("tool", "three"))
    for text in ("one", "two", "three"):
        assert when({"message": text}).holds(chat(messages=messages), 1)
