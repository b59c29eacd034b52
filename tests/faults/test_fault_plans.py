"""Which calls are struck: by plan, by chance, and the same in every process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults.fault_texts import faults
from llmproxy.faults.calls import parse_calls
from llmproxy.faults.fault import Plan, chance, strikes

SRC = Path(__file__).parents[2] / "proxy"


def struck(plan: Plan, most: int = 12, key: str = "k") -> list[int]:
    return [number for number in range(1, most + 1) if strikes(plan, number, key)]


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("first 2", [1, 2]),
        ("first 1", [1]),
        ("every 5th", [5, 10]),
        ("every 1st", list(range(1, 13))),
        ("every 4", [4, 8, 12]),
        ("2-4", [2, 3, 4]),
        (" 2 - 4 ", [2, 3, 4]),
        ("3", [3]),
        (3, [3]),
        ([1, 3], [1, 3]),
        ([7, "1-3", 2, "3-4", 12], [1, 2, 3, 4, 7, 12]),
        ("first 1000000000", list(range(1, 13))),
    ],
)
def test_a_plan_strikes_the_calls_that_it_names(written: object, numbers: list[int]) -> None:
    assert struck(Plan(calls=parse_calls(written))) == numbers


def test_without_a_plan_every_call_is_struck() -> None:
    assert struck(Plan()) == list(range(1, 13))


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), min_size=1, max_size=8))
def test_spans_hold_what_each_of_them_holds(pairs: list[tuple[int, int]]) -> None:
    calls = parse_calls([f"{first}-{first + more}" for first, more in pairs])
    for number in range(1, 75):
        expected = any(first <= number <= first + more for first, more in pairs)
        assert calls.holds(number) is expected


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_in_the_long_run_a_rate_strikes_its_share(rate: float) -> None:
    share = len(struck(Plan(rate, 7), 20_000)) / 20_000
    assert abs(share - rate) < 0.012


def test_a_rate_of_nothing_never_strikes_and_one_of_all_always_does() -> None:
    assert struck(Plan(0.0), 2_000) == []
    assert len(struck(Plan(1.0), 2_000)) == 2_000


def test_plan_and_rate_must_both_say_so() -> None:
    both = struck(Plan(0.5, 3, parse_calls("every 2nd")), 100)
    by_rate = struck(Plan(0.5, 3), 100)
    assert both == [number for number in by_rate if number % 2 == 0]
    assert 0 < len(both) < 50


EXPECTED = [2, 3, 5, 6, 13, 14, 17, 18, 21, 32, 35]
DRAWN = [6, 4, 6]


def drawn() -> list[int]:
    return [chance("k", number, 7).randint(3, 7) for number in (1, 2, 3)]


def test_what_is_drawn_never_changes() -> None:
    """A suite of tests that was written against a seed goes on as it is."""
    assert struck(Plan(0.3, 7), 40) == EXPECTED
    assert drawn() == DRAWN


def test_what_is_drawn_is_equal_in_every_process() -> None:
    code = (
        "from llmproxy.faults.fault import Plan, strikes\n"
        "print([n for n in range(1, 41) if strikes(Plan(0.3, 7), n, 'k')])"
    )
    environment = {"PYTHONPATH": str(SRC), "PYTHONHASHSEED": "123"}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == str(EXPECTED)


def test_seeds_and_keys_draw_apart() -> None:
    drawn_by = [struck(Plan(0.5, seed), 64, key) for seed in (0, 1) for key in ("a", "b")]
    assert len({tuple(numbers) for numbers in drawn_by}) == 4


def test_equal_faults_of_a_file_draw_apart() -> None:
    one, other = faults("faults: [{rate: 0.5, error: 500}, {rate: 0.5, error: 500}]")
    assert struck(one.plan, 64, one.key) != struck(other.plan, 64, other.key)
