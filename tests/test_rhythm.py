"""When the chunks of a made-up reply leave: mean rates are exact, sums do not drift."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.rhythm import (
    Carried,
    Distribution,
    Moments,
    PaceSettings,
    fitting,
    offsets,
    whole,
)
from llmproxy.timelines import Timeline

NOTHING: Carried = (0, 0)
TOKEN: Carried = (1, 4)
RANDOM = [each for each in get_args(Distribution) if each != "constant"]

DURATIONS = st.floats(0, 10)
SPEEDS = st.none() | st.just(0.0) | st.floats(0.5, 1000)
PACES = st.builds(
    PaceSettings,
    ttft=st.none() | DURATIONS,
    prefill=st.floats(0, 0.1),
    tokens_per_second=SPEEDS,
    characters_per_second=SPEEDS,
    chunk_delay=DURATIONS,
    chunk_jitter=DURATIONS,
    jitter=st.floats(0, 1),
    distribution=st.sampled_from(get_args(Distribution)),
    degradation=st.floats(1, 5),
    max_stream_time=st.none() | st.floats(0.01, 20),
)
FRAMES = st.lists(st.just(NOTHING) | st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=40)
TIMELINES = st.none() | st.builds(
    lambda moments, whole: Timeline(moments[0] / 3, moments[0] / 2, tuple(moments), whole),
    st.lists(st.floats(0, 30), min_size=1, max_size=30).map(sorted),
    st.booleans(),
)


def play(
    pace: PaceSettings,
    frames: list[Carried],
    *,
    prompt_tokens: int = 0,
    load: float = 0,
    seed: int = 1,
    timeline: Timeline | None = None,
) -> Moments:
    return offsets(pace, frames, prompt_tokens, load, Random(seed), timeline)


def gaps(moments: Moments) -> list[float]:
    return [later - before for before, later in itertools.pairwise(moments.offsets)]


def test_without_settings_everything_leaves_at_once() -> None:
    assert PaceSettings().instant
    assert play(PaceSettings(), [NOTHING, TOKEN, TOKEN], load=50) == Moments(0, (0, 0, 0), 0)
    assert play(PaceSettings(), []) == Moments(0, (), 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"like": "a.db"},
        {"ttft": 1.0},
        {"prefill": 0.1},
        {"tokens_per_second": 1.0},
        {"characters_per_second": 1.0},
        {"chunk_delay": 1.0},
        {"chunk_jitter": 1.0},
    ],
)
def test_whatever_delays_is_not_instant(changed: dict[str, Any]) -> None:
    assert not replace(PaceSettings(), **changed).instant


def test_head_role_frame_and_first_token_leave_at_the_time_to_first_token() -> None:
    played = play(PaceSettings(ttft=0.8, tokens_per_second=10), [NOTHING, TOKEN, TOKEN, NOTHING])
    assert played.head_at == 0.8
    assert played.offsets == pytest.approx((0.8, 0.8, 0.9, 0.9))
    assert played.ended_at == played.offsets[-1]


def test_a_chunk_takes_the_time_of_the_tokens_that_it_carries() -> None:
    played = play(PaceSettings(tokens_per_second=10), [(5, 20), (5, 20), (2, 9)])
    assert played.offsets == pytest.approx((0, 0.5, 0.7))


def test_a_frame_without_content_leaves_with_the_one_before_it() -> None:
    played = play(PaceSettings(ttft=1, chunk_delay=1), [NOTHING, TOKEN, NOTHING, TOKEN, NOTHING])
    assert played.offsets == (1, 1, 1, 2, 2)


def test_a_frame_with_text_but_no_whole_token_has_content() -> None:
    pace = PaceSettings(characters_per_second=4, tokens_per_second=1)
    assert play(pace, [(1, 1), (0, 1), (1, 1)]).offsets == pytest.approx((0, 0.25, 1.5))


def test_a_rate_of_0_is_no_delay() -> None:
    pace = PaceSettings(ttft=0.2, tokens_per_second=0, characters_per_second=0)
    assert set(play(pace, [TOKEN] * 9).offsets) == {0.2}


def test_000_8_words_leave_a_tenth_of_a_second_apart() -> None:
    pace = PaceSettings(chunk_unit="word", chunk_delay=0.1)
    assert play(pace, [NOTHING, (1, 4), (3, 12), (1, 1), NOTHING]).offsets == pytest.approx(
        (0, 0, 0.1, 0.2, 0.2)
    )


def test_001_10_lag_is_a_time_for_each_character_that_strays_by_half() -> None:
    pace = PaceSettings(chunk_unit="char", characters_per_second=100, jitter=0.5)
    played = gaps(play(pace, [(0, 1)] * 500))
    assert min(played) >= 0.005 - 1e-9
    assert max(played) <= 0.015 + 1e-9
    assert statistics.mean(played) == pytest.approx(0.01, rel=0.03)


def test_002_32_jitter_adds_up_to_so_much_to_each_delay() -> None:
    pace = PaceSettings(ttft=0.3, chunk_delay=0.05, chunk_jitter=0.03)
    played = play(pace, [NOTHING] + [(3, 10)] * 500)
    spread = gaps(played)[1:]
    assert played.offsets[:2] == (0.3, 0.3)
    assert min(spread) >= 0.05 - 1e-9
    assert max(spread) <= 0.08 + 1e-9
    assert statistics.mean(spread) == pytest.approx(0.065, rel=0.02)


@pytest.mark.parametrize(("load", "factor"), [(0, 1), (5, 1.5), (10, 2), (99, 2)])
def test_002_53_load_stretches_first_token_and_gaps(load: int, factor: float) -> None:
    pace = PaceSettings(ttft=0.4, tokens_per_second=10, degradation=2)
    played = play(pace, [TOKEN] * 3, load=load)
    assert played.head_at == pytest.approx(0.4 * factor)
    assert played.offsets == pytest.approx([at * factor for at in (0.4, 0.5, 0.6)])


def test_each_prompt_token_adds_to_the_time_to_first_token() -> None:
    played = play(PaceSettings(ttft=0.1, prefill=0.002), [TOKEN], prompt_tokens=200)
    assert played.head_at == pytest.approx(0.5)
    assert play(PaceSettings(prefill=0.002), [TOKEN], prompt_tokens=200).head_at == 0.4


@pytest.mark.parametrize("distribution", get_args(Distribution))
@pytest.mark.parametrize("jitter", [0.3, 1.0])
def test_jitter_moves_no_mean(distribution: Distribution, jitter: float) -> None:
    pace = PaceSettings(tokens_per_second=50, jitter=jitter, distribution=distribution)
    played = gaps(play(pace, [TOKEN] * 20_001))
    assert statistics.mean(played) == pytest.approx(0.02, rel=4 * jitter / 141)
    assert min(played) >= 0


@pytest.mark.parametrize(
    ("distribution", "deviation"),
    [("constant", 0), ("uniform", 0.4 / 3**0.5), ("normal", 0.4), ("lognormal", 0.4)],
)
def test_jitter_is_the_spread_that_its_distribution_says(
    distribution: Distribution, deviation: float
) -> None:
    pace = PaceSettings(tokens_per_second=1, jitter=0.4, distribution=distribution)
    played = gaps(play(pace, [TOKEN] * 5_001))
    assert statistics.pstdev(played) == pytest.approx(deviation, rel=0.06, abs=1e-9)


@pytest.mark.parametrize("distribution", RANDOM)
def test_the_time_to_first_token_strays_too(distribution: Distribution) -> None:
    pace = PaceSettings(ttft=1, jitter=0.5, distribution=distribution)
    heads = [play(pace, [TOKEN], seed=seed).head_at for seed in range(1000)]
    assert len(set(heads)) > 900
    assert statistics.mean(heads) == pytest.approx(1, rel=0.05)


def test_normal_gaps_are_never_negative_and_never_above_twice_the_mean() -> None:
    pace = PaceSettings(tokens_per_second=1, jitter=1, distribution="normal")
    played = gaps(play(pace, [TOKEN] * 2_000))
    assert min(played) >= 0
    assert max(played) <= 2 + 1e-9


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 99)), min_size=1, max_size=60),
    st.floats(0.5, 500),
)
def test_the_last_chunk_leaves_when_all_tokens_after_the_first_chunk_took_their_time(
    frames: list[Carried], speed: float
) -> None:
    played = play(PaceSettings(ttft=0.3, tokens_per_second=speed), frames)
    later = sum(tokens for tokens, _ in frames[1:])
    assert played.ended_at == pytest.approx(0.3 + later / speed)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=40), st.integers(1, 10))
def test_the_size_of_chunks_changes_no_moment_of_a_token(tokens: list[int], size: int) -> None:
    pace = PaceSettings(tokens_per_second=20)
    total = 1 + size * len(tokens)
    single = play(pace, [TOKEN] * total).offsets
    chunked = play(pace, [TOKEN] + [(size, 1)] * len(tokens)).offsets
    assert chunked == pytest.approx(single[::size])


@given(PACES, FRAMES, st.integers(0, 100), st.integers(0, 20), TIMELINES)
def test_moments_ascend_and_keep_the_time_limit(
    pace: PaceSettings, frames: list[Carried], prompt: int, load: int, timeline: Timeline | None
) -> None:
    played = play(pace, frames, prompt_tokens=prompt, load=load, timeline=timeline)
    whole_line = [0.0, played.head_at, *played.offsets, played.ended_at]
    assert all(later >= before - 1e-9 for before, later in itertools.pairwise(whole_line))
    assert len(played.offsets) == len(frames)
    if pace.max_stream_time is not None:
        assert whole_line[-1] <= pace.max_stream_time


@given(PACES, FRAMES, st.integers(0, 20), TIMELINES, st.integers(0, 5))
def test_what_fits_is_known_beforehand_and_the_same_streamed_or_not(
    pace: PaceSettings, pieces: list[Carried], load: int, timeline: Timeline | None, seed: int
) -> None:
    pieces = [piece for piece in pieces if piece != NOTHING]
    kept = fitting(pace, pieces, 7, load, Random(seed), timeline)
    free = replace(pace, max_stream_time=None)
    full = offsets(free, pieces, 7, load, Random(seed), timeline).offsets
    limit = pace.max_stream_time or float("inf")
    assert all(moment <= limit + 1e-6 for moment in full[:kept])
    assert all(moment > limit for moment in full[kept:])
    frames = [NOTHING, *pieces[:kept], (9, 40), NOTHING]
    streamed = offsets(pace, frames, 7, load, Random(seed), timeline)
    assert streamed.offsets[1 : kept + 1] == pytest.approx(full[:kept])
    assert whole(pace, frames, 7, load, Random(seed), timeline) == streamed.ended_at


def test_a_piece_that_is_due_at_the_limit_fits() -> None:
    pace = PaceSettings(tokens_per_second=10, max_stream_time=5)
    assert fitting(pace, [TOKEN] * 100, 0, 0, Random(1)) == 51


def test_nothing_fits_where_the_first_token_comes_too_late() -> None:
    pace = PaceSettings(ttft=9, max_stream_time=5)
    assert fitting(pace, [TOKEN] * 100, 0, 0, Random(1)) == 0
    assert play(pace, [NOTHING, (8, 30)]) == Moments(5, (5, 5), 5)


def test_everything_fits_without_a_limit() -> None:
    assert fitting(PaceSettings(tokens_per_second=0.1), [TOKEN] * 9, 0, 0, Random(1)) == 9


def test_the_truncation_message_has_left_by_the_limit() -> None:
    pace = PaceSettings(tokens_per_second=1, max_stream_time=5)
    kept = fitting(pace, [TOKEN] * 100, 0, 0, Random(1))
    played = play(pace, [*[TOKEN] * kept, *[TOKEN] * 8, NOTHING])
    assert kept == 6
    assert played.offsets[kept - 1 :] == (5,) * 10


def test_a_reply_that_is_not_streamed_takes_as_long_as_its_stream() -> None:
    pace = PaceSettings(ttft=0.5, tokens_per_second=20, jitter=1, distribution="lognormal")
    streamed = play(pace, [NOTHING, *[TOKEN] * 50, NOTHING])
    assert whole(pace, [TOKEN] * 50, 0, 0, Random(1)) == streamed.ended_at


RECORDED = Timeline(0.1, 0.2, (0.5, 0.5, 1.0, 2.0))


def test_a_made_up_reply_follows_the_recorded_moments() -> None:
    played = play(
        PaceSettings(like="a.db"), [NOTHING, TOKEN, TOKEN, (2, 8), NOTHING], timeline=RECORDED
    )
    assert played == Moments(0.1, (0.2, 0.5, 0.5, 2.0, 2.0), 2.0)


def test_a_longer_reply_goes_on_with_the_recorded_gaps() -> None:
    played = play(PaceSettings(like="a.db"), [TOKEN] * 8, timeline=RECORDED)
    assert played.offsets == (0.5, 0.5, 1.0, 2.0, 2.0, 2.5, 3.5, 3.5)


def test_a_ttft_that_is_set_moves_the_recorded_rhythm() -> None:
    pace = PaceSettings(like="a.db", ttft=3)
    played = play(pace, [NOTHING, TOKEN, (2, 8)], timeline=RECORDED)
    assert played == Moments(3, (3, 3, 3.5), 3.5)


def test_a_speed_that_is_set_leaves_only_the_recorded_beginning() -> None:
    pace = PaceSettings(like="a.db", tokens_per_second=10)
    played = play(pace, [NOTHING, TOKEN, TOKEN], timeline=RECORDED)
    assert played.head_at == 0.1
    assert played.offsets == pytest.approx((0.2, 0.5, 0.6))
    at_once = play(replace(pace, tokens_per_second=0), [TOKEN] * 3, timeline=RECORDED)
    assert at_once.offsets == (0.5, 0.5, 0.5)


def test_load_stretches_a_recorded_rhythm() -> None:
    pace = PaceSettings(like="a.db", degradation=3)
    assert play(pace, [TOKEN] * 3, load=10, timeline=RECORDED).offsets == (1.5, 1.5, 3.0)
