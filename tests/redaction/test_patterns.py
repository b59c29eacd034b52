"""The user's own patterns."""

from __future__ import annotations

import json

import pytest

from llmproxy.errors import SettingsError
from llmproxy.redaction.edits import splice
from llmproxy.redaction.patterns import find_patterns, read_patterns


def clean(text: str, *patterns: str, in_json: bool = False) -> str:
    data = text.encode()
    return splice(data, find_patterns(data, read_patterns(patterns), in_json=in_json))[0].decode()


def test_all_that_a_pattern_matches_goes() -> None:
    assert clean("customer-12 and customer-345", r"customer-\d+") == "<redacted> and <redacted>"


def test_a_pattern_with_groups_gives_up_only_these() -> None:
    assert (
        clean("ssn=123; ssn=; id=9", r"ssn=(\d+)|id=(\d+)") == "ssn=<redacted>; ssn=; id=<redacted>"
    )


def test_a_pattern_that_matches_nothing_at_all_takes_nothing_out() -> None:
    assert clean("abc", "x*") == "abc"


@pytest.mark.parametrize("pattern", ["[a-z]+", ".+", "<", "redacted>.", "x?<re"])
def test_a_placeholder_is_taken_whole_or_not_at_all(pattern: str) -> None:
    once = clean("a <redacted>! b", pattern)
    assert once.replace("<redacted>", "").count("red") == 0
    assert clean(once, pattern) == once


def test_a_number_in_json_becomes_a_string() -> None:
    body = '{"account": -12345678.5, "text": "12345678", "other": [12345678]}'
    assert json.loads(clean(body, r"\d{8}", in_json=True)) == {
        "account": "<redacted>",
        "text": "<redacted>",
        "other": ["<redacted>"],
    }


def test_a_pattern_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match=r"redact\.patterns\[1\] is no regular expression"):
        read_patterns(("fine", "a(b"))
