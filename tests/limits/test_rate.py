"""Rates as people write them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.limits.rate import (
    PER_PATTERN,
    RATE_PATTERN,
    Rate,
    check_limit,
    format_rate,
    parse_per,
    parse_rate,
)
from llmproxy.units import quote

NOT_A_RATE = "is not a rate; write 60 per minute or 10 per 500ms"
RATES = st.builds(
    Rate,
    st.integers(1, 10**9),
    st.integers(1, 366 * 86_400_000).map(lambda thousandths: thousandths / 1000),
)


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("60 per minute", Rate(60, 60)),
        ("60/min", Rate(60, 60)),
        ("60 / m", Rate(60, 60)),
        ("10 per 500ms", Rate(10, 0.5)),
        ("1 per 2s", Rate(1, 2)),
        ("5 per 10 seconds", Rate(5, 10)),
        ("1000/day", Rate(1000, 86_400)),
        ("3 per 1.5 hours", Rate(3, 5400)),
        ("  7 per second ", Rate(7, 1)),
        ("3 per 69ms", Rate(3, 0.069)),
    ],
)
def test_a_rate_is_a_limit_and_seconds_whatever_the_unit(written: str, rate: Rate) -> None:
    assert parse_rate(written) == rate
    assert re.fullmatch(RATE_PATTERN, written)


@pytest.mark.parametrize(
    "written",
    [
        *("", "60", "per minute", "60 per", "60perminute", "sixty per minute", "-1 per s"),
        *(
            "1.5 per minute",
            "60 per fortnight",
            "6\u0660 per minute",
            "1 per 1e3s",
            "9" * 80 + "/s",
        ),
        *(60, None, True, [], {}, math.nan),
    ],
)
def test_what_is_no_rate_is_refused_with_examples(written: object) -> None:
    with pytest.raises(ValueError) as caught:
        parse_rate(written)
    assert str(caught.value) == f"{quote(written)} {NOT_A_RATE}"


@pytest.mark.parametrize("written", ["1 per 0s", "1 per 0.5ms", "1 per 367 days", "1 per 0.0 h"])
def test_a_time_too_short_or_too_long_is_refused(written: str) -> None:
    said = f"{quote(written)} is for a time that is not between 1ms and 366 days"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        parse_rate(written)


def test_a_limit_of_0_points_to_the_strategy_that_refuses_all() -> None:
    with pytest.raises(ValueError, match=r"lets nothing through; write strategy: always"):
        parse_rate("0 per minute")


@pytest.mark.parametrize("limit", [-1, 1.0, True, False, "60", None, 10**9 + 1])
def test_what_is_no_limit_is_refused(limit: object) -> None:
    with pytest.raises(ValueError, match=r"is not a whole number from 1 to 1,000,000,000$"):
        check_limit(limit)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("minute", 60), ("2 hours", 7200), ("500ms", 0.5), (30, 30), (0.25, 0.25), ("90", 90)],
)
def test_a_time_is_a_unit_a_duration_or_a_number_of_seconds(
    written: object, seconds: float
) -> None:
    assert parse_per(written) == seconds


@pytest.mark.parametrize("written", ["soon", "", None, [], True, -1, math.nan])
def test_what_is_no_time_is_refused_with_examples(written: object) -> None:
    with pytest.raises(ValueError, match=r"is not a duration; write "):
        parse_per(written)


@pytest.mark.parametrize(
    ("rate", "written"),
    [
        (Rate(60, 60), "60 per minute"),
        (Rate(10, 0.5), "10 per 500ms"),
        (Rate(1, 2), "1 per 2s"),
        (Rate(9, 86_400), "9 per day"),
    ],
)
def test_a_rate_is_written_in_words_where_there_is_one(rate: Rate, written: str) -> None:
    assert format_rate(rate) == str(rate) == written


@given(RATES)
def test_a_written_rate_reads_back_as_the_same(rate: Rate) -> None:
    assert parse_rate(format_rate(rate)) == rate


@given(st.text() | st.from_regex(RATE_PATTERN) | st.floats() | st.integers() | st.none())
def test_parsers_raise_nothing_but_value_errors(value: object) -> None:
    for parse in (parse_rate, parse_per, check_limit):
        complaint = ""
        try:
            parse(value)
        except ValueError as error:
            complaint = str(error)
        assert len(complaint.splitlines()) < 2


def test_a_long_text_of_blanks_costs_no_time() -> None:
    assert not re.fullmatch(PER_PATTERN, "1" + " " * 59 + "x")
    with pytest.raises(ValueError):
        parse_rate("1 per " + " " * 10**6)
