"""Regexes that would take a server down: to compile, to search, to explain."""

from __future__ import annotations

import contextlib
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions.subjects import Asked, chat
from conditions.whens import when
from llmproxy.conditions.condition import Slow
from llmproxy.conditions.regexes import LONGEST_TEXT, compile_regex, search
from llmproxy.prompt import Message

CATASTROPHE = r"(a+a+)+y"
VICTIM = "a" * 5_000


def test_a_catastrophic_regex_is_stopped_and_named() -> None:
    condition = when({"text": {"regex": CATASTROPHE}})
    started = time.perf_counter()
    with pytest.raises(Slow, match=r"^text: the regex took too long$"):
        condition.holds(chat(VICTIM), 0.01)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    "data",
    [
        {"text": {"regex": CATASTROPHE}},
        {"not": {"text": {"regex": CATASTROPHE}}},
        {"any": [{"text": {"regex": CATASTROPHE}}, {"text": {"regex": "^b"}}]},
        {"turn": 1, "text": [{"not": {"regex": CATASTROPHE}}, "x"]},
    ],
)
def test_a_reason_is_given_soon_where_a_regex_is_catastrophic(data: object) -> None:
    started = time.perf_counter()
    assert when(data).why_not(chat(VICTIM)) == "text: the regex took too long"
    assert time.perf_counter() - started < 1


def test_many_messages_share_the_patience_of_one() -> None:
    condition = when({"message": {"regex": r"(?:a|aa)+y"}})
    hard = chat(messages=(Message("user", "a" * 24),) * 3_000)
    started = time.perf_counter()
    with pytest.raises(Slow):
        condition.holds(hard, 0.05)
    assert time.perf_counter() - started < 1


def test_an_honest_regex_has_time_for_a_long_conversation() -> None:
    turns = (Message("user", f"turn {n}") for n in range(1_000))
    messages = (Message("system", "s" * 30_000), *turns)
    condition = when({"message": {"regex": r"turn\s+(?:999|x{3})$"}})
    assert condition.holds(chat(messages=messages), 0.1)


def test_a_header_that_is_a_credential_is_not_named_with_its_regex() -> None:
    condition = when({"headers": {"x-api-key": {"regex": CATASTROPHE}}})
    with pytest.raises(Slow) as slow:
        condition.holds(Asked(headers=(("X-Api-Key", VICTIM),)), 0.01)
    assert str(slow.value) == "headers.x-api-key: the regex took too long"


@pytest.mark.parametrize("patience", [0.0, -1.0])
def test_no_patience_is_no_time_rather_than_all_of_it(patience: float) -> None:
    with pytest.raises(Slow):
        when({"text": {"regex": CATASTROPHE}}).holds(chat(VICTIM), patience)


def test_a_text_too_long_to_be_searched_counts_as_slow() -> None:
    pattern = compile_regex("a")
    assert search(pattern, "a" * LONGEST_TEXT, 1)
    with pytest.raises(TimeoutError):
        search(pattern, "a" * (LONGEST_TEXT + 1), 1)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "the regex does not compile: missing ) at position 2"),
        ("a**", "the regex does not compile: multiple repeat at position 2"),
        (r"\p{nil}", "the regex does not compile: unknown property at position 7"),
        (
            "(?V1)a",
            "the regex does not compile: VERSION0 and VERSION1 flags are mutually incompatible",
        ),
        ("(" * 990 + ")" * 990, "the regex does not compile: its groups are nested too deep"),
        ("a" * 2_001, "the regex has 2,001 characters; at most 2,000"),
        ("(?:a|(?R))", "the regex calls itself or a group; recursion is not supported"),
        ("(a(?1)?b)", "the regex calls itself or a group; recursion is not supported"),
        ("(?ix) a", "the regex has the flag x; write it without white space and comments"),
        ("a{1000000000}", "the regex grows too large: its repeats make over 20,000 parts"),
        ("(?:(?:a{50}){50}){50}", "the regex grows too large: its repeats make over 20,000 parts"),
        ("(a?){1000}" * 3, "the regex grows too large: its repeats make over 20,000 parts"),
        (
            "a{99999999999999999999}",
            "the regex grows too large: its repeats make over 20,000 parts",
        ),
    ],
    ids=lambda value: value[:30],
)
def test_a_regex_that_cannot_be_says_why(pattern: str, said: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as wrong:
            compile_regex(pattern)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert str(wrong.value) == said


@pytest.mark.parametrize(
    "pattern",
    [
        r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
        r"(?:\d{1,3}\.){3}\d{1,3}",
        r"a{0,1000000}",
        r"\{12345\}x{3}",
        r"(?i)straße|(?<=a)b",
        "|".join(["word"] * 399),
    ],
)
def test_a_usual_regex_compiles(pattern: str) -> None:
    assert compile_regex(pattern)


_GROUPS = ["(?:", "(?=", "(?<=", "(?>", "(?P<n>", "(?i)", "(?x)", "(?R)", "(?1)", "(?#"]
_REST = ["\\1", "\\p{L}", "\\N{", "{2,}", "{100}", "{9999}", "{e<=1}", "(*SKIP)", "ß", "\ud800"]
_pieces = st.sampled_from([*"ab()[]{}^$.*+?|\\-,19:", *_GROUPS, *_REST])


@settings(deadline=None)
@given(st.lists(_pieces, max_size=20).map("".join))
def test_any_text_compiles_or_is_refused_in_a_sentence(text: str) -> None:
    refusal = ""
    with contextlib.suppress(TimeoutError):
        try:
            search(compile_regex(text), "ab" * 20, 0.01)
        except ValueError as error:
            refusal = str(error)
    assert not refusal or refusal.startswith("the regex ")
