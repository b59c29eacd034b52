"""The moments of a replay follow from the recorded ones by addition."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.pacing import Pace

MOMENTS = st.lists(st.floats(0, 100), max_size=50).map(sorted)


def test_the_recorded_pace_changes_no_moment() -> None:
    assert Pace().retime([0.1, 0.25, 4.0]) == [0.1, 0.25, 4.0]
    assert Pace().as_recorded


def test_twice_as_fast_halves_every_moment() -> None:
    assert Pace(2.0).retime([0.1, 0.25, 4.0]) == [0.05, 0.125, 2.0]


def test_instant_leaves_at_once() -> None:
    assert Pace(math.inf).retime([0.1, 4.0]) == [0.0, 0.0]
    assert Pace(math.inf, max_pause=1.0).retime([0.1, 4.0]) == [0.0, 0.0]


def test_a_long_pause_is_bounded_and_what_follows_moves_up() -> None:
    assert Pace(max_pause=0.5).retime([0.1, 3.1, 3.2]) == pytest.approx([0.1, 0.6, 0.7])


def test_the_bound_counts_recorded_seconds_before_the_factor() -> None:
    assert Pace(2.0, max_pause=0.5).retime([0.1, 3.1]) == pytest.approx([0.05, 0.3])


@given(MOMENTS, st.floats(0.1, 100), st.none() | st.floats(0, 10))
def test_moments_keep_their_order_and_never_come_later_than_the_factor_says(
    moments: list[float], factor: float, pause: float | None
) -> None:
    played = Pace(factor, pause).retime(moments)
    assert played == sorted(played)
    assert all(p <= m / factor + 1e-6 for p, m in zip(played, moments, strict=True))


@given(MOMENTS, st.floats(0.1, 5))
def test_no_gap_is_longer_than_the_bound(moments: list[float], pause: float) -> None:
    played = [0.0, *Pace(max_pause=pause).retime(moments)]
    assert all(b - a <= pause + 1e-6 for a, b in itertools.pairwise(played))
