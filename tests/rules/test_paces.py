"""The pace of a rule: what it changes, what a speed replaces, and what is refused."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest

from llmproxy.findings import Finding
from llmproxy.interaction import Headers
from llmproxy.rhythm import PaceSettings
from llmproxy.rules.paces import apply, pace_schema, read_pace
from llmproxy.rules.rule import Forward, Raw, Recorded, RulePace, RuleReply, Said

SLOW = PaceSettings(
    like="run.db",
    ttft=1.0,
    prefill=0.01,
    tokens_per_second=5.0,
    characters_per_second=7.0,
    chunk_delay=0.5,
    chunk_jitter=0.25,
    jitter=0.5,
)
NO_HEADERS: Headers = ()


def read(data: object, *replies: RuleReply) -> tuple[RulePace | None, list[str]]:
    found: list[Finding] = []
    pace = read_pace(data, ("pace",), replies or (Said(),), found)
    return pace, [str(each) for each in found]


def test_members_are_read_as_the_settings_are() -> None:
    pace, found = read(
        {"ttft": "300ms", "tokens_per_second": 40, "chunk_unit": "word", "jitter": 0.2}
    )
    changes = {"ttft": 0.3, "tokens_per_second": 40.0, "chunk_unit": "word", "jitter": 0.2}
    assert (pace, found) == (RulePace(changes), [])


def test_a_number_of_a_time_is_seconds_and_null_is_no_value() -> None:
    pace, found = read({"ttft": 0.3, "max_stream_time": None, "truncation_message": "cut"})
    assert (pace, found) == (
        RulePace({"ttft": 0.3, "max_stream_time": None, "truncation_message": "cut"}),
        [],
    )


def test_no_pace_is_that_of_the_settings() -> None:
    assert apply(None, SLOW) is SLOW


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tokens_per_second": 40.0}, (40.0, None, 0.0, 0.0)),
        ({"characters_per_second": 40.0}, (None, 40.0, 0.0, 0.0)),
        ({"chunk_delay": 2.0}, (None, None, 2.0, 0.0)),
        ({"tokens_per_second": 40.0, "chunk_jitter": 0.1}, (40.0, None, 0.0, 0.1)),
        ({"chunk_jitter": 0.1}, (5.0, 7.0, 0.5, 0.1)),
        ({"jitter": 0.1}, (5.0, 7.0, 0.5, 0.25)),
    ],
)
def test_a_speed_takes_the_place_of_the_speeds_that_are_not_given(
    changes: dict[str, Any], expected: tuple[float | None, ...]
) -> None:
    pace = apply(RulePace(changes), SLOW)
    speeds = (
        pace.tokens_per_second,
        pace.characters_per_second,
        pace.chunk_delay,
        pace.chunk_jitter,
    )
    assert speeds == expected
    assert (pace.ttft, pace.prefill) == (1.0, 0.01)


def test_a_time_to_first_token_takes_the_place_of_prefill() -> None:
    assert apply(RulePace({"ttft": 0.2}), SLOW).prefill == 0.0
    assert apply(RulePace({"ttft": 0.2, "prefill": 0.1}), SLOW).prefill == 0.1
    assert apply(RulePace({"ttft": 0.2}), SLOW).tokens_per_second == 5.0


def test_instant_leaves_at_once_and_keeps_how_a_stream_is_cut() -> None:
    pace, found = read("instant")
    assert (pace, found) == (RulePace(factor=math.inf), [])
    settings = apply(
        pace, PaceSettings(ttft=1.0, like="run.db", chunk_delay=1.0, chunk_unit="char")
    )
    assert settings.instant
    assert settings.chunk_unit == "char"


def test_a_factor_of_recorded_time_leaves_what_is_made_up_as_it_is() -> None:
    replies = (Said(), Recorded())
    assert read("2x", *replies) == (RulePace(factor=2.0), [])
    assert read("recorded", *replies) == (RulePace(factor=1.0), [])
    assert apply(RulePace(factor=2.0), SLOW) is SLOW


@pytest.mark.parametrize(
    ("data", "replies", "expected"),
    [
        (
            "2x",
            (Said(), Raw(200, NO_HEADERS)),
            'pace: "2x" is for recorded replies; write instant or {tokens_per_second: 40}',
        ),
        (
            "fast",
            (Said(),),
            'pace: "fast" is not a pace; write instant or {tokens_per_second: 40}',
        ),
        (
            "0x",
            (Recorded(),),
            'pace: "0x" is not a pace; write recorded, instant, 2x or {tokens_per_second: 40}',
        ),
        (2, (Said(),), "pace: 2 is not a pace; write instant or {tokens_per_second: 40}"),
        (None, (Said(),), "pace: has no value; write one or remove the line"),
        ({}, (Said(),), "pace: says nothing; write {tokens_per_second: 40} or remove the line"),
        (
            {"ttft": 1},
            (Forward("openai"),),
            "pace: an upstream's reply comes as it comes; remove the pace",
        ),
        ({"ttfs": 1}, (Said(),), "pace.ttfs: no such member; did you mean ttft?"),
        (
            {"ttft": "soon"},
            (Said(),),
            'pace.ttft: "soon" is not a duration; write 500ms, 10s, 2m or 1h',
        ),
        ({"prefill": None}, (Said(),), "pace.prefill: has no value; write one or remove the line"),
        (
            {"tokens_per_second": -1},
            (Said(),),
            "pace.tokens_per_second: -1 is no number of 0 or more; write one such as 20 or 2.5",
        ),
        (
            {"chunk_size": 0},
            (Said(),),
            "pace.chunk_size: 0 is not a whole number of 1 or more",
        ),
        ({"jitter": 2}, (Said(),), "pace.jitter: 2 is not between 0 and 1"),
        (
            {"chunk_unit": "words"},
            (Said(),),
            'pace.chunk_unit: "words" is none of token, word, char; did you mean word?',
        ),
        (
            {"distribution": 1},
            (Said(),),
            "pace.distribution: 1 is none of constant, uniform, normal, lognormal",
        ),
        (
            {"truncation_message": 1},
            (Said(),),
            "pace.truncation_message: 1 is not text; put it in quotes",
        ),
        (
            {"like": "run.db"},
            (Said(),),
            "pace.like: a rule follows no cassette's rhythm; set like under pace: in the settings",
        ),
    ],
)
def test_what_cannot_be_is_told(
    data: object, replies: tuple[RuleReply, ...], expected: str
) -> None:
    assert read(data, *replies) == (None, [expected])


def test_a_pace_may_set_all_members_but_the_cassette() -> None:
    schema = pace_schema()["anyOf"][1]["properties"]
    assert set(schema) == {each.name for each in fields(PaceSettings)} - {"like"}
