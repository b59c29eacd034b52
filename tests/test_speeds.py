"""How fast models are, and that a request's word counts before its model's and the settings'."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.rhythm import PaceSettings
from llmproxy.speeds import KNOWN_SPEEDS, ModelSettings, resolve, speed_of

SLOW = PaceSettings(
    ttft=1.0,
    prefill=0.5,
    tokens_per_second=5.0,
    characters_per_second=9.0,
    chunk_unit="char",
    chunk_size=10,
    chunk_delay=0.1,
    chunk_jitter=0.2,
    jitter=0.3,
    max_stream_time=60.0,
)


@pytest.mark.parametrize(
    ("parameters", "speed"),
    [
        (8, 7.68), (10, 6.73), (13, 5.83), (25, 4.25), (34, 3.73), (70, 2.84), (170, 2.14),
        (3, 15.32), (2, 20), (0.5, 20), (1e-300, 20), (10**9, 1), (math.inf, 1), (0, 25), (-3, 25),
    ],
)  # fmt: skip
def test_004_12_the_formula_gives_these_speeds(parameters: float, speed: float) -> None:
    assert speed_of(parameters) == pytest.approx(speed, abs=0.005)


@given(st.floats(0, exclude_min=True, allow_nan=False), st.floats(1, 3))
def test_a_larger_model_is_never_faster(parameters: float, factor: float) -> None:
    assert 1 <= speed_of(parameters * factor) <= speed_of(parameters) <= 20


def test_004_16_the_known_models_have_their_documented_speeds() -> None:
    speeds = {name: round(each.speed or 0, 2) for name, each in KNOWN_SPEEDS.items()}
    assert speeds == {
        "llama-3-8b": 7.68,
        "llama-3-70b": 2.84,
        "codellama-13b": 5.83,
        "codellama-34b": 3.73,
        "deepseek-r1": 6.73,
        "gpt-3.5-turbo": 10,
        "gpt-3.5-turbo-16k": 10,
        "gpt-4": 5,
        "gpt-4-turbo": 7,
        "gpt-4-32k": 5,
        "claude-2": 8,
        "claude-instant": 12,
    }
    assert all(each.description for each in KNOWN_SPEEDS.values())


def test_a_speed_that_is_set_counts_before_the_size() -> None:
    assert ModelSettings(tokens_per_second=3.5, parameters=8).speed == 3.5
    assert ModelSettings(tokens_per_second=0, parameters=8).speed == 0
    assert ModelSettings(ttft=1).speed is None


def test_who_says_nothing_changes_nothing() -> None:
    assert resolve(SLOW, None, {"model": "m", "messages": [], "tps": None}) is SLOW
    assert resolve(SLOW, ModelSettings(), {}) is SLOW


def test_a_models_entry_counts_before_the_settings() -> None:
    model = ModelSettings(parameters=8, ttft=0.2, max_stream_time=180.0)
    found = resolve(SLOW, model, {})
    assert found.tokens_per_second == speed_of(8)
    assert (found.ttft, found.max_stream_time, found.prefill) == (0.2, 180.0, 0.5)


def test_a_requests_fields_count_before_its_models_entry() -> None:
    model = ModelSettings(tokens_per_second=3, ttft=0.2, max_stream_time=180.0)
    asked = {"tokens_per_second": 12, "time_to_first_token": 0.8, "tokens_per_chunk": 2}
    found = resolve(SLOW, model, asked)
    assert (found.tokens_per_second, found.ttft, found.max_stream_time) == (12, 0.8, 180.0)
    assert (found.chunk_unit, found.chunk_size, found.prefill) == ("token", 2, 0)


@pytest.mark.parametrize(
    ("model", "asked"), [(ModelSettings(tokens_per_second=12), {}), (None, {"tps": 12})]
)
def test_a_speed_replaces_every_speed_that_counts_less(
    model: ModelSettings | None, asked: dict[str, Any]
) -> None:
    found = resolve(SLOW, model, asked)
    assert (found.tokens_per_second, found.jitter) == (12, 0.3)
    assert (found.characters_per_second, found.chunk_delay, found.chunk_jitter) == (None, 0, 0)


def test_003_3_a_rate_of_0_is_no_delay_whatever_the_settings_say() -> None:
    found = resolve(SLOW, ModelSettings(tokens_per_second=3), {"tps": 0})
    assert found.has_speed
    assert (found.tokens_per_second, found.chunk_delay, found.chunk_jitter) == (0, 0, 0)


def test_a_ttft_of_0_counts() -> None:
    assert resolve(SLOW, ModelSettings(ttft=0.0), {}).ttft == 0
    assert resolve(SLOW, None, {"ttft": 0}).ttft == 0


def test_the_long_name_counts_before_the_short_one() -> None:
    asked = {"tps": 1, "tokens_per_second": 2, "ttft": 3, "time_to_first_token": 4}
    found = resolve(SLOW, None, asked)
    assert (found.tokens_per_second, found.ttft) == (2, 4)
    assert resolve(SLOW, None, {"tps": 1, "tokens_per_second": None}).tokens_per_second == 1


def test_001_6_a_chunk_size_counts_in_the_unit_of_the_settings() -> None:
    found = resolve(SLOW, None, {"chunk_size": 3})
    assert (found.chunk_unit, found.chunk_size) == ("char", 3)
    both = resolve(SLOW, None, {"chunk_size": 3, "tokens_per_chunk": 5})
    assert (both.chunk_unit, both.chunk_size) == ("token", 5)


@pytest.mark.parametrize(
    "name",
    ["tokens_per_second", "tps", "time_to_first_token", "ttft", "tokens_per_chunk", "chunk_size"],
)
@pytest.mark.parametrize(
    "value",
    [-1, -0.5, math.inf, -math.inf, math.nan, True, "12", [], {}, 10**400, -(10**400), 1e300],
    ids=repr,
)
def test_a_field_that_cannot_be_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be .{{1,200}}$"):
        resolve(SLOW, None, {name: value})


@pytest.mark.parametrize("asked", [{"tokens_per_chunk": 0}, {"chunk_size": 1.5}, {"tps": 1e-9}])
def test_a_field_out_of_bounds_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        resolve(SLOW, None, asked)
