"""Limits out of a file's data: what is read, and what each mistake is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.findings import Finding
from llmproxy.limits.limit import Limit
from llmproxy.limits.rate import Rate
from llmproxy.limits.reading import LIMIT, TOKENS, limit_schema, read_limit
from llmproxy.limits.strategies import STRATEGIES
from llmproxy.members import Keys

PATH = ("limits", 0)
MINUTE = Rate(60, 60.0)
SCHEMA = limit_schema({"for": {"type": "object"}})
FIXED = "fixed-window, sliding-window, token-bucket and leaky-bucket"


def read(text: str) -> tuple[Limit | None, list[str]]:
    found: list[Finding] = []
    limit = read_limit(yaml.safe_load(text), PATH, found)
    return limit, [str(finding).removeprefix("limits[0]").removeprefix(".") for finding in found]


def fits_schema(data: object) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(data))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (
            "{for: {model: x}, strategy: token-bucket, requests: 60 per minute, burst: 10}",
            {"strategy": "token-bucket", "requests": MINUTE, "burst": 10},
        ),
        ("{requests: 60/min}", {"strategy": "token-bucket", "requests": MINUTE}),
        (
            "{strategy: fixed-window, requests: {limit: 60, per: 1m}}",
            {"strategy": "fixed-window", "requests": MINUTE},
        ),
        (
            "{tokens: 30000 per minute}",
            {"strategy": "token-bucket", "tokens": {"total": Rate(30_000, 60.0)}},
        ),
        (
            "{tokens: {limit: 60, per: minute}}",
            {"strategy": "token-bucket", "tokens": {"total": MINUTE}},
        ),
        (
            (
                "{strategy: leaky-bucket, tokens: {input: 60 per minute, output: {limit: 9, per: 2},"
                " charge: settled, burst: 5}}"
            ),
            {
                "strategy": "leaky-bucket",
                "tokens": {"input": MINUTE, "output": Rate(9, 2.0)},
                "charge": "settled",
                "token_burst": 5,
            },
        ),
        ("{strategy: after-n, n: 0}", {"strategy": "after-n", "n": 0}),
        ("{strategy: after-n}", {"strategy": "after-n", "n": 5}),
        (
            "{strategy: random, probability: 1, seed: 7}",
            {"strategy": "random", "probability": 1.0, "seed": 7},
        ),
        ("{strategy: random}", {"strategy": "random", "probability": 0.3, "seed": 0}),
        ("{strategy: always}", {"strategy": "always"}),
        ("{concurrency: 4, queue: 8}", {"strategy": "none", "concurrency": 4, "queue": 8}),
        (
            "{strategy: always, concurrency: 1}",
            {"strategy": "always", "concurrency": 1, "queue": 0},
        ),
        ("{strategy: none}", {"strategy": "none"}),
        (
            "{strategy: none, requests: 60/min, burst: 3, n: 2}",
            {"strategy": "none", "requests": MINUTE, "burst": 3, "n": 2},
        ),
    ],
)
def test_a_limit_is_read_as_a_person_means_it(text: str, values: dict[str, Any]) -> None:
    limit, found = read(text)
    assert found == []
    assert limit is not None
    assert limit == Limit(**values, place="limits[0]", key=limit.key)
    assert fits_schema(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", [": limits nothing; write requests: 60 per minute or concurrency: 4"]),
        ("{for: {}}", [": limits nothing; write requests: 60 per minute or concurrency: 4"]),
        (
            "{strategy: fixed-window}",
            [": limits nothing by fixed-window; write requests: 60 per minute"],
        ),
        ("{burst: 5}", ["burst: is the burst of requests; write requests: beside it"]),
        (
            "{burst: 5, tokens: 60/min}",
            ["burst: is the burst of requests; write it under tokens:"],
        ),
        (
            "{stategy: always}",
            ["stategy: no such member of a limit; did you mean strategy?"],
        ),
        (
            "{zzz: 1}",
            [f"zzz: no such member of a limit; there are for, {', '.join(LIMIT)}"],
        ),
        (
            "{output: 60/min}",
            ["output: stands in the limit; write it under tokens:"],
        ),
        (
            "{requests: 60/min, charge: settled}",
            ["charge: stands in the limit; write it under tokens:"],
        ),
        (
            "{strategy: tokenbucket}",
            [
                (
                    'strategy: "tokenbucket" is none of '
                    f"{', '.join(STRATEGIES)}; did you mean token-bucket?"
                )
            ],
        ),
        ("{strategy: }", ["strategy: has no value; write one or remove the line"]),
        (
            "{requests: 60}",
            ["requests: 60 is not a rate; write 60 per minute or 10 per 500ms"],
        ),
        (
            "{requests: 60 per fortnight}",
            ['requests: "60 per fortnight" is not a rate; write 60 per minute or 10 per 500ms'],
        ),
        (
            "{requests: 0 per minute}",
            ["requests: a limit of 0 lets nothing through; write strategy: always for that"],
        ),
        (
            "{requests: {limit: 60}}",
            ["requests: lacks limit or per; write 60 per minute or {limit: 60, per: 1m}"],
        ),
        (
            "{requests: {limit: 1.5, per: soon, at: 3}}",
            [
                "requests.at: no such member; there are limit, per",
                "requests.limit: 1.5 is not a whole number from 1 to 1,000,000,000",
                'requests.per: "soon" is not a duration; write 500ms, 10s, 2m or 1h',
            ],
        ),
        (
            "{requests: {limit: 60, per: 0}}",
            ["requests.per: 0 is for a time that is not between 1ms and 366 days"],
        ),
        (
            "{tokens: {charge: settled}}",
            ["tokens: limits nothing; write {total: 30000 per minute}"],
        ),
        (
            "{tokens: 30000}",
            ["tokens: 30000 is not a mapping; write {total: 30000 per minute}"],
        ),
        (
            "{tokens: {totals: 60/min}}",
            ["tokens.totals: no such member; did you mean total?"],
        ),
        (
            "{tokens: {total: 60/min, charge: later, burst: 0}}",
            [
                'tokens.charge: "later" is none of admission, settled',
                "tokens.burst: 0 is not a whole number from 1 to 1,000,000,000",
            ],
        ),
        (
            "{strategy: after-n, requests: 60/min}",
            [f"requests: is for {FIXED}; the strategy is after-n"],
        ),
        (
            "{strategy: sliding-window, requests: 60/min, burst: 5}",
            ["burst: is for token-bucket and leaky-bucket; the strategy is sliding-window"],
        ),
        (
            "{n: 5}",
            ["n: is for after-n; the strategy is token-bucket, as none is named"],
        ),
        (
            "{strategy: always, probability: 0.5, seed: 1}",
            [
                "probability: is for random; the strategy is always",
                "seed: is for random; the strategy is always",
            ],
        ),
        (
            "{strategy: random, probability: 30}",
            ["probability: 30 is not a number from 0 to 1; write one such as 0.3"],
        ),
        (
            "{strategy: random, probability: true}",
            ["probability: true is not a number from 0 to 1; write one such as 0.3"],
        ),
        (
            "{strategy: after-n, n: five}",
            ['n: "five" is not a whole number from 0 to 1,000,000,000'],
        ),
        (
            "{concurrency: 0}",
            ["concurrency: 0 is not a whole number from 1 to 100,000"],
        ),
        (
            "{strategy: always, queue: 3}",
            [
                (
                    "queue: says how many wait where concurrency is used up; "
                    "write concurrency: beside it"
                )
            ],
        ),
        (
            "{requests: 9, tokens: 9, strategy: 9}",
            [
                "requests: 9 is not a rate; write 60 per minute or 10 per 500ms",
                "tokens: 9 is not a mapping; write {total: 30000 per minute}",
                f"strategy: 9 is none of {', '.join(STRATEGIES)}",
            ],
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_mend(text: str, said: list[str]) -> None:
    limit, found = read(text)
    assert limit is None
    assert found == said


def test_the_finding_of_a_key_points_to_the_key_and_that_of_a_value_to_the_value() -> None:
    found: list[Finding] = []
    read_limit({"requests": 60, "output": "9/s", "rate": 3}, PATH, found)
    assert [(finding.path, finding.key) for finding in found] == [
        ((*PATH, "requests"), False),
        ((*PATH, "output"), True),
        ((*PATH, "rate"), True),
    ]


def test_other_members_are_left_to_those_who_know_them() -> None:
    found: list[Finding] = []
    data = {"for": {"x": [None]}, "name": 3, "strategy": "always"}
    assert read_limit(data, PATH, found, ("for", "name")) is not None
    assert read_limit(data, PATH, found) is None
    assert [finding.path for finding in found] == [(*PATH, "name")]


def test_a_key_is_that_of_the_data_wherever_it_stands() -> None:
    data = {"for": {"model": "a"}, "requests": "1/s"}
    same = {"requests": "1/s", "for": {"model": "a"}}
    other = {"requests": "1/s", "for": {"model": "b"}}
    limits = [read_limit(each, ("limits", n), []) for n, each in enumerate((data, same, other))]
    keys = [limit.key for limit in limits if limit is not None]
    assert keys[0] == keys[1] != keys[2]


def test_equal_limits_of_a_file_have_keys_of_their_own() -> None:
    def keys() -> list[str]:
        given = Keys()
        found: list[Finding] = []
        limits = [read_limit({"strategy": "always"}, PATH, found, keys=given) for _ in range(3)]
        return [limit.key for limit in limits if limit is not None]

    assert len({*keys()}) == 3
    assert keys() == keys()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(("60 per minute", "settled", *STRATEGIES)),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from((*TOKENS, "limit", "per")) | st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
DATA = st.dictionaries(
    st.sampled_from((*LIMIT, *TOKENS, "for")) | st.text(max_size=5), PLAIN, max_size=5
)


@given(DATA)
def test_any_data_is_a_limit_or_findings_and_what_is_read_fits_the_schema(
    data: Mapping[str, object],
) -> None:
    found: list[Finding] = []
    limit = read_limit(data, PATH, found)
    assert (limit is None) == bool(found)
    assert all(len(str(finding).splitlines()) < 2 for finding in found)
    if limit is not None:
        assert limit.strategy in STRATEGIES
        assert fits_schema({**data, "for": {}})


def test_the_schema_refuses_what_no_limit_has() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    wrong: list[dict[str, object]] = [
        {"rate": 3},
        {"requests": "60"},
        {"tokens": {}},
        {"queue": -1},
    ]
    for data in wrong:
        assert not fits_schema(data)
