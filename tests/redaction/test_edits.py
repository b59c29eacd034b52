"""Edits change what they name, and cuts move along."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmproxy.redaction.edits import PLACEHOLDER, Edit, merge, splice


def test_only_the_spans_change() -> None:
    clean, _ = splice(b"key=abc&n=1&key=de", [Edit(16, 18, b"Y"), Edit(4, 7, b"X")])
    assert clean == b"key=X&n=1&key=Y"


def test_no_edit_gives_the_same_object() -> None:
    data = b"as it was"
    assert splice(data, [])[0] is data


def test_of_two_edits_one_inside_the_other_the_outer_stays() -> None:
    assert merge([Edit(2, 4), Edit(0, 9, b'"x"')]) == [Edit(0, 9, b'"x"')]


def test_two_edits_that_overlap_become_one_placeholder() -> None:
    assert merge([Edit(0, 4, b"a"), Edit(3, 9, b"b")]) == [Edit(0, 9, PLACEHOLDER)]


def test_what_begins_with_a_removal_stays_one() -> None:
    assert merge([Edit(0, 9), Edit(0, 4, b"")]) == [Edit(0, 9, b"")]


def test_the_same_edit_twice_is_one() -> None:
    assert splice(b"ab", [Edit(1, 1), Edit(1, 1)])[0] == b"a<redacted>b"


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.binary(max_size=3)), max_size=6),
    st.lists(st.integers(0, 30), max_size=6),
)
def test_cuts_fall_where_the_same_text_is_cut(
    spans: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    data = bytes(range(30))
    edits = [Edit(min(a, b), max(a, b), text) for a, b, text in spans]
    cuts = sorted(places)
    clean, moved = splice(data, edits, cuts)
    assert len(moved) == len(cuts)
    assert sorted(moved) == list(moved)
    for cut, place in zip(cuts, moved, strict=True):
        around = [edit for edit in merge(edits) if edit.start < cut < edit.end]
        before = [edit for edit in merge(edits) if edit.end <= cut]
        whole = splice(data[: around[0].end if around else cut], around + before)[0]
        assert clean[:place] == whole or any(edit.start == edit.end == cut for edit in edits)
