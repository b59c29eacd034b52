"""Whose turn it is among a rule's replies: counted for each session by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from llmproxy import sessions
from llmproxy.conditions.subject import Subject
from llmproxy.rules.rule import After, Count, Rule, Said
from llmproxy.sessions import RuleTurn, Session, Sessions


@dataclass(frozen=True)
class Always:
    cost: int = 0

    def holds(self, subject: Subject, patience: float) -> bool:
        return True

    def why_not(self, subject: Subject) -> str:
        return ""


def rule(key: str = "a", replies: int = 2, count: Count = "rule", after: After = "last") -> Rule:
    return Rule(f"rule {key}", Always(), (Said(),) * replies, count, after, key=key)


def replies(session: Session, asked: Rule, *prompts: str) -> list[int | None]:
    turns = [session.rule_turn(asked, prompt) for prompt in prompts]
    return [turn.reply if turn else None for turn in turns]


@pytest.mark.parametrize(
    ("after", "given"),
    [
        ("last", [0, 1, 1, 1, 1]),
        ("cycle", [0, 1, 0, 1, 0]),
        ("next", [0, 1, None, None, None]),
    ],
)
def test_what_follows_the_last_reply_is_what_the_rule_says(
    after: After, given: list[int | None]
) -> None:
    assert replies(Session(), rule(after=after), *"pqpqp") == given


def test_equal_prompts_are_counted_by_themselves() -> None:
    assert replies(Session(), rule(count="prompt"), *"ppqpq") == [0, 1, 0, 1, 1]


def test_rules_that_count_by_session_go_on_together() -> None:
    session = Session()
    first, second = (rule(key, 3, "session") for key in "ab")
    assert replies(session, first, "p") == [0]
    assert replies(session, second, "p", "q") == [1, 2]
    assert replies(session, rule("c", 3, "rule"), "p") == [0]
    assert replies(session, first, "q") == [2]


@pytest.mark.parametrize("count", ["rule", "prompt", "session"])
def test_times_uses_a_rule_up_whatever_it_counts_by(count: Count) -> None:
    limited = replace(rule(count=count), times=3)
    session = Session()
    assert [reply is None for reply in replies(session, limited, *"pqrpq")] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_the_counter_of_all_answers_goes_on_where_prompts_differ() -> None:
    session, counting = Session(), rule(count="prompt")
    assert [session.rule_turn(counting, prompt) for prompt in "pqp"] == [
        RuleTurn(0, 1), RuleTurn(0, 2), RuleTurn(1, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("count", ["rule", "prompt", "session"])
def test_a_rule_that_had_nothing_to_say_has_its_turn_again(count: Count) -> None:
    session, asked = Session(), rule(count=count, after="next")
    assert replies(session, asked, "p") == [0]
    session.rule_left(asked, "p")
    assert replies(session, asked, "p", "p", "p") == [0, 1, None]


def test_a_reset_starts_the_rules_of_its_session_over_and_no_other() -> None:
    every = Sessions()
    once = replace(rule(), times=1)
    assert [replies(every[name], once, "p", "p") for name in "ab"] == [[0, None], [0, None]]
    every.reset("a")
    assert replies(every["a"], once, "p") == [0]
    assert replies(every["b"], once, "p") == [None]


def test_a_rule_that_changed_starts_over_and_one_that_did_not_goes_on() -> None:
    session = Session()
    replies(session, rule("old"), "p", "p")
    assert replies(session, rule("old"), "p") == [1]
    assert replies(session, rule("new"), "p") == [0]


def test_counters_are_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_COUNTED", 3)
    session, counting = Session(), rule(count="prompt", after="next")
    assert replies(session, counting, *"pqr") == [0, 0, 0]
    assert replies(session, counting, *"s") == [0]
    assert replies(session, counting, *"qr") == [1, 1]
    assert replies(session, counting, *"p") == [0]
