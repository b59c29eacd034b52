"""Sequences: first in, first out, for each session by itself."""

from __future__ import annotations

import pytest

from llmproxy import sessions
from llmproxy.sessions import Place, Repeat, Session, Sessions, Turn

TWO: tuple[Place, ...] = ((0, 1), (0, 2))


def taken(session: Session, repeat: Repeat, times: int) -> list[Place | None]:
    turns = [session.take("key", TWO, repeat) for _ in range(times)]
    return [turn.place if turn else None for turn in turns]


@pytest.mark.parametrize(
    ("repeat", "places"),
    [
        ("last", [(0, 1), (0, 2), (0, 2), (0, 2)]),
        ("cycle", [(0, 1), (0, 2), (0, 1), (0, 2)]),
        ("miss", [(0, 1), (0, 2), None, None]),
    ],
)
def test_a_used_up_sequence_goes_on_as_the_setting_says(
    repeat: Repeat, places: list[Place | None]
) -> None:
    assert taken(Session(), repeat, 4) == places


def test_a_repeat_says_so_by_its_number() -> None:
    session = Session()
    turns = [session.take("key", TWO, "last") for _ in range(3)]
    assert turns == [Turn((0, 1), 1, 2), Turn((0, 2), 2, 2), Turn((0, 2), 3, 2)]


def test_two_sessions_walk_one_sequence_each_from_its_start() -> None:
    all_sessions = Sessions()
    assert taken(all_sessions["a"], "miss", 2) == [(0, 1), (0, 2)]
    assert taken(all_sessions["b"], "miss", 2) == [(0, 1), (0, 2)]


def test_what_was_used_under_one_key_is_passed_over_under_another() -> None:
    session = Session()
    session.take("exact", ((0, 1),), "last")
    turn = session.take("canonical", TWO, "last")
    assert turn == Turn((0, 2), 1, 2)


def test_resetting_one_session_leaves_the_others_where_they_are() -> None:
    all_sessions = Sessions()
    taken(all_sessions["a"], "miss", 1)
    taken(all_sessions["b"], "miss", 1)
    assert all_sessions.reset("a") == 1
    assert taken(all_sessions["a"], "miss", 1) == [(0, 1)]
    assert taken(all_sessions["b"], "miss", 1) == [(0, 2)]


def test_resetting_all_says_how_many_there_were() -> None:
    all_sessions = Sessions()
    taken(all_sessions["a"], "miss", 1)
    taken(all_sessions["b"], "miss", 1)
    assert all_sessions.reset() == 2
    assert all_sessions.reset("a") == 0


def test_the_session_unused_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 2)
    all_sessions = Sessions()
    taken(all_sessions["a"], "miss", 1)
    taken(all_sessions["b"], "miss", 1)
    taken(all_sessions["a"], "miss", 1)
    taken(all_sessions["c"], "miss", 1)
    assert taken(all_sessions["a"], "miss", 1) == [None]
    assert taken(all_sessions["b"], "miss", 1) == [(0, 1)]


def test_what_was_stored_first_is_forgotten_when_it_is_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "MOST_STORED", 10)
    all_sessions = sessions.Sessions()
    one, other = all_sessions.stored("one"), all_sessions.stored("other")
    one["a"], other["a"], one["b"] = b"1234", b"5678", b"90"
    assert (dict(one), dict(other)) == ({"a": b"1234", "b": b"90"}, {"a": b"5678"})
    one["b"] = b"90x"
    assert (dict(one), dict(other)) == ({"b": b"90x"}, {"a": b"5678"})
    one["c"] = b"x" * 11
    assert (dict(one), dict(other)) == ({}, {})


def test_a_session_forgets_what_it_stored_when_it_starts_over_and_no_other_does() -> None:
    all_sessions = sessions.Sessions()
    one, other = all_sessions.stored("one"), all_sessions.stored("other")
    one["a"] = other["a"] = b"x"
    all_sessions.reset("one")
    assert (list(one), list(other)) == ([], ["a"])
    with pytest.raises(KeyError):
        del one["a"]
    all_sessions.reset()
    assert len(other) == 0
