"""Every mistake in a file of rules: its place, what is wrong, and the mend."""

from __future__ import annotations

import pytest

from rules.made import problems
from rules.written import MISTAKES, Mistake


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.yaml[:80])
def test_a_mistake_is_told_with_its_place_and_its_mend(mistake: Mistake) -> None:
    assert problems(mistake.yaml) == list(mistake.said)


def test_all_mistakes_of_a_file_are_told_at_once_in_their_order() -> None:
    text = "rules:\n  - {repy: a}\n  - ok.yml\n  - {reply: b, times: 0}\n  - {reply: {text: 1}}\n"
    assert [line.partition(": ")[0] for line in problems(text)] == [
        "rules.yml:2:6",
        "rules.yml:4:23",
        "rules.yml:5:20",
    ]


def test_a_rule_with_a_mistake_is_told_all_of_them() -> None:
    text = "rules: [{nmae: a, reply: {text: 1, finish: x, after_chunks: 1}, count: 1, pace: x}]"
    assert [line.split(": ")[1] for line in problems(text)] == [
        "rules[0].nmae",
        "rules[0].reply.after_chunks",
        "rules[0].count",
        "rules[0].pace",
    ]


def test_too_many_rules_and_replies_are_refused() -> None:
    many = problems("rules: [" + "{reply: a}," * 10_001 + "]")
    assert many == ["rules.yml:1:8: rules: has 10,001 rules; at most 10,000, divide the file"]
    (line,) = problems("rules: [{replies: [" + "a," * 101 + "]}]")
    assert line.endswith("rules[0].replies: has 101; write 1 to 100 replies")
    (line,) = problems("responses: {" + ",".join(f"a{n}: b" for n in range(10_001)) + "}")
    assert line.endswith("responses: has 10,001 prompts; at most 10,000, divide the file")


def test_of_a_pace_nothing_is_said_that_depends_on_replies_with_mistakes() -> None:
    (line,) = problems("rules: [{replies: [{forward: openai}, {txt: a}], pace: 2x}]")
    assert "did you mean text?" in line
