"""Vectors of texts: of length 1, always the same, near for texts that share words."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmproxy.synthesis.vectors import MOST_WORDS, unit_vector


def similarity(one: str, other: str, dimensions: int = 768) -> float:
    return sum(map(float.__mul__, unit_vector(one, dimensions), unit_vector(other, dimensions)))


@settings(deadline=None)
@given(text=st.text(max_size=80), dimensions=st.integers(1, 3072))
@example(text="", dimensions=1)
@example(text="\ud83d cut", dimensions=3)
@example(text="a", dimensions=1)
def test_any_text_has_a_unit_vector_of_the_length_asked_for(text: str, dimensions: int) -> None:
    vector = unit_vector(text, dimensions)
    assert len(vector) == dimensions
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-6)
    assert vector == unit_vector(text, dimensions)


def test_the_vector_does_not_change_from_process_to_process() -> None:
    script = "from llmproxy.synthesis.vectors import unit_vector; print(unit_vector('a b', 4))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {f"{unit_vector('a b', 4)}\n"}


def test_texts_that_share_words_are_nearer_than_texts_that_do_not() -> None:
    question = "How do I replay a recorded stream?"
    near = "A recorded stream can be replayed: replay reads the cassette."
    far = "Bananas ripen faster beside apples."
    assert similarity(question, near) > similarity(question, far) + 0.2
    assert abs(similarity(question, far)) < 0.2


def test_a_search_finds_the_text_that_speaks_of_the_question() -> None:
    texts = [
        "The invoice is paid within thirty days.",
        "Refunds are given when the parcel arrives broken.",
        "Our office in Lisbon opens at nine.",
        "請求書は三十日以内に支払われます。",
    ]
    asked = {"when is the invoice paid?": 0, "a broken parcel": 1, "office Lisbon": 2, "請求書": 3}
    for question, expected in asked.items():
        best = max(range(len(texts)), key=lambda each: similarity(question, texts[each]))
        assert best == expected, question


def test_case_and_punctuation_matter_little_and_yet_tell_texts_apart() -> None:
    assert 0.85 < similarity("Hello, world", "hello world!") < 0.9999
    assert unit_vector("Hello, world", 64) != unit_vector("hello world!", 64)


def test_a_huge_text_is_as_cheap_as_its_first_words() -> None:
    words = " ".join(map(str, range(MOST_WORDS)))
    assert similarity(words, words + " more" * 1_000_000) > 0.85
