"""Durations, sizes and paces as people write them."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.units import (
    format_duration,
    format_pace,
    format_size,
    parse_duration,
    parse_pace,
    parse_size,
    quote,
)

NOT_A_DURATION = "is not a duration; write 500ms, 10s, 2m or 1h"
NOT_A_SIZE = "is not a size; write 512KB, 256MB or 1GiB"
NOT_A_PACE = "is not a pace; write recorded, instant, 2x or 0.5x"
THOUSANDTHS = st.integers(0, 10**9).map(lambda number: float(Decimal(number) / 1000))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("2m", 120),
        ("1h", 3600),
        ("1.5s", 1.5),
        (" 3s ", 3),
        ("0s", 0),
        ("7", 7),
        (7, 7),
        (0.25, 0.25),
        (1e-5, 0.00001),
    ],
)
def test_a_duration_is_seconds_whatever_its_unit(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        *("", "s", "fast", "-1s", "1 s", "1S", "1d", "1e3s", ".5s", "٣s", "²", "9" * 40 + "s"),
        *(-1, True, None, [], {}, math.nan, math.inf, 1e300, 10**40),
    ],
)
def test_what_is_no_duration_is_refused_with_examples(written: object) -> None:
    with pytest.raises(ValueError) as caught:
        parse_duration(written)
    assert str(caught.value) == f"{quote(written)} {NOT_A_DURATION}"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(60.0, "60s"), (600, "600s"), (0.25, "250ms"), (0.0005, "0.5ms"), (1.5, "1.5s"), (0.0, "0s")],
)
def test_a_duration_is_written_in_seconds_and_below_one_in_milliseconds(
    seconds: float, written: str
) -> None:
    assert format_duration(seconds) == written


@given(THOUSANDTHS)
def test_a_written_duration_reads_back_as_the_same(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("1B", 1),
        ("512KB", 512_000),
        ("512kb", 512_000),
        ("256MB", 256_000_000),
        ("1.5GB", 1_500_000_000),
        ("1KiB", 1024),
        ("1MiB", 1_048_576),
        ("2GiB", 2_147_483_648),
        ("1000", 1000),
        (1000, 1000),
        (10.0, 10),
    ],
)
def test_a_size_counts_in_thousands_or_with_an_i_in_1024s(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written", ["", "MB", "1M", "1 MB", "-1", -1, "1TB", "big", None, True, [], "9" * 40, 10**40]
)
def test_what_is_no_size_is_refused_with_examples(written: object) -> None:
    with pytest.raises(ValueError) as caught:
        parse_size(written)
    assert str(caught.value) == f"{quote(written)} {NOT_A_SIZE}"


def test_half_a_byte_is_refused() -> None:
    with pytest.raises(ValueError, match=r'^"0\.5B" is not a whole number of bytes$'):
        parse_size("0.5B")


@pytest.mark.parametrize(
    ("size", "written"),
    [(256_000_000, "256MB"), (1024, "1KiB"), (1500, "1500B"), (3 * 1024**3, "3GiB"), (0, "0B")],
)
def test_a_size_is_written_in_the_largest_unit_that_divides_it(size: int, written: str) -> None:
    assert format_size(size) == written


@given(st.integers(0, 2**62))
def test_a_written_size_reads_back_as_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("written", "factor"), [("recorded", 1), ("instant", math.inf), ("2x", 2), ("0.5x", 0.5)]
)
def test_a_pace_is_a_factor_and_is_written_back_the_same(written: str, factor: float) -> None:
    assert parse_pace(written) == factor
    assert format_pace(factor) == written


@pytest.mark.parametrize(
    "written",
    ["", "fast", "x", "2", 2, "-1x", "nanx", "infx", "2X", "1e3x", None, "9" * 40 + "x"],
)
def test_what_is_no_pace_is_refused_with_examples(written: object) -> None:
    with pytest.raises(ValueError) as caught:
        parse_pace(written)
    assert str(caught.value) == f"{quote(written)} {NOT_A_PACE}"


def test_a_pace_of_zero_is_refused_because_it_never_ends() -> None:
    with pytest.raises(ValueError, match=r'^"0\.0x" would never end; write a pace above 0'):
        parse_pace("0.0x")


@given(THOUSANDTHS.filter(bool))
def test_a_written_pace_reads_back_as_the_same(factor: float) -> None:
    assert parse_pace(format_pace(factor)) == factor


@given(st.text() | st.integers() | st.floats() | st.none() | st.lists(st.integers()))
def test_parsers_raise_nothing_but_value_errors(value: object) -> None:
    for parse in (parse_duration, parse_size, parse_pace):
        complaint = ""
        try:
            parse(value)
        except ValueError as error:
            complaint = str(error)
        assert len(complaint.splitlines()) < 2


@given(st.text(st.characters(), max_size=200))
def test_a_quote_is_one_printable_line_of_at_most_60_characters(text: str) -> None:
    quoted = quote(text)
    assert len(quoted) <= 60
    assert quoted.isprintable()


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("fast", '"fast"'),
        ("a\nb", '"a\\nb"'),
        ("größer", '"größer"'),
        ("x" * 100, '"' + "x" * 57 + '…"'),
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        ([1], "this list"),
        ({}, "this group"),
    ],
)
def test_a_value_is_quoted_as_yaml_would_show_it(value: object, quoted: str) -> None:
    assert quote(value) == quoted
