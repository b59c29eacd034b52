"""What made-up replies say: styles, exact lengths and the texts around an answer."""

from __future__ import annotations

import math
import re
import unicodedata
from random import Random
from typing import Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmproxy.prompt import Message, Prompt, Tool
from llmproxy.synthesis import pool, prose
from llmproxy.synthesis.text import (
    TOKENS,
    Count,
    Length,
    Style,
    before_tool,
    compose,
    of_length,
    preview,
    reasoning,
    refusal,
    tokens_for,
    tokens_for_duration,
)
from llmproxy.tokens import packaged

ASKED = Prompt("gpt-4o", (Message("system", "Be brief."), Message("user", "Where is zebra 42?")))
SEEDS = range(40)
STYLES: tuple[Literal["prose", "lorem"], ...] = ("prose", "lorem")


def words(text: str) -> int:
    return len(text.split())


@pytest.fixture(scope="module", params=["words", "o200k_base", "cl100k_base"])
def count(request: pytest.FixtureRequest) -> Count:
    if request.param == "words":
        return words
    return packaged().load(request.param).count


def least(count: Count) -> int:
    """The count of the shortest sentence: what lies below cannot be said."""
    return count("Yes.")


def is_clean(text: str) -> bool:
    """NFC, and no control or format characters but line breaks."""
    odd = [each for each in text if unicodedata.category(each)[0] == "C" and each != "\n"]
    return unicodedata.is_normalized("NFC", text) and not odd


def sentences(paragraph: str) -> int:
    return len(re.findall(r"\.(?: |$)", paragraph))


# --- the pool ---


def test_the_pool_has_25_distinct_replies() -> None:
    assert len(pool.REPLIES) == len(set(pool.REPLIES)) == 25


def test_seven_things_are_said_by_the_code_assistant() -> None:
    assert len(pool.ASSISTANT) == len(set(pool.ASSISTANT)) == 7


def test_all_kept_texts_are_nfc_without_control_characters() -> None:
    kept = [
        *pool.REPLIES, *pool.ASSISTANT, *pool.REFUSALS, *pool.LATIN, *pool.BEFORE_TOOL,
        *pool.FIRST_THOUGHTS, *pool.THOUGHTS, *pool.LAST_THOUGHTS, *prose.CLOSINGS,
    ]  # fmt: skip
    assert all(map(is_clean, kept))
    assert all(text == text.strip() != "" for text in kept)


@pytest.mark.parametrize(
    "kind",
    [r"(?m)^- ", r"(?m)^1\. ", r"(?m)^## ", r"(?m)^```\w+$", r"(?m)^\|[-:|]+\|$", "naïve café"],
    ids=["list", "steps", "heading", "code", "table", "accents"],
)
def test_the_pool_has_a_reply_of_each_kind(kind: str) -> None:
    kind = kind.replace("naïve café", "naïve.*café")
    assert any(re.search(kind, text) for text in pool.REPLIES)


def test_two_replies_have_words_in_other_scripts() -> None:
    foreign = [
        text
        for text in pool.REPLIES
        if any(each.isalpha() and "LATIN" not in unicodedata.name(each) for each in text)
    ]
    assert len(foreign) == 2


def test_every_code_block_of_the_pool_is_closed() -> None:
    assert all(text.count("```") % 2 == 0 for text in pool.REPLIES)


# --- styles ---


@pytest.mark.parametrize("style", get_args(Style))
def test_the_same_seed_says_the_same_in_every_style(style: Style) -> None:
    assert [compose(style, Random(seed), ASKED) for seed in SEEDS] == [
        compose(style, Random(seed), ASKED) for seed in SEEDS
    ]


@pytest.mark.parametrize("style", ["pool", "prose", "lorem"])
def test_other_seeds_say_something_else(style: Style) -> None:
    assert len({compose(style, Random(seed), ASKED) for seed in SEEDS}) > 20


@pytest.mark.parametrize("style", get_args(Style))
def test_every_style_says_clean_text(style: Style) -> None:
    said = [compose(style, Random(seed), ASKED) for seed in SEEDS]
    assert all(said)
    assert all(map(is_clean, said))


def test_002_34_half_of_the_replies_come_from_the_pool_and_half_are_lorem() -> None:
    rng = Random(1)
    said = [compose("pool", rng, ASKED) for _ in range(1000)]
    pooled = [text for text in said if text in pool.REPLIES]
    lorem = [text for text in said if text.startswith("Lorem ipsum dolor sit amet")]
    assert len(pooled) + len(lorem) == 1000
    assert 430 < len(pooled) < 570
    assert set(pooled) == set(pool.REPLIES)


def test_002_34_lorem_has_two_to_five_paragraphs_of_three_to_six_sentences() -> None:
    said = [compose("lorem", Random(seed), ASKED).split("\n\n") for seed in range(100)]
    assert {len(paragraphs) for paragraphs in said} == {2, 3, 4, 5}
    assert {sentences(each) for paragraphs in said for each in paragraphs} == {3, 4, 5, 6}


def test_000_3_the_assistant_says_each_of_its_sentences_and_nothing_else() -> None:
    rng = Random(1)
    assert {compose("assistant", rng, ASKED) for _ in range(200)} == set(pool.ASSISTANT)


def test_prose_is_about_a_medium_reply_long() -> None:
    said = [compose("prose", Random(seed), ASKED) for seed in SEEDS]
    assert all(75 <= words(text) <= 110 for text in said)


@pytest.mark.parametrize(
    ("messages", "echo"),
    [
        ((Message("user", "one"), Message("user", "two")), "two"),
        ((Message("user", "one"), Message("assistant", "two")), "one"),
        ((Message("user", "one"), Message("assistant", "two"), Message("tool", "three")), "one"),
        ((Message("system", "one"), Message("assistant", "two")), "two"),
        ((Message("system", "one"),), "one"),
        ((Message("user", "e\u0301\t ✅\n"),), "e\u0301\t ✅\n"),
        ((Message("user", "", media=1),), ""),
        ((), ""),
    ],
)
def test_003_2_echo_says_the_last_users_text_else_the_last_messages(
    messages: tuple[Message, ...], echo: str
) -> None:
    assert compose("echo", Random(1), Prompt("gpt-4o", messages)) == echo


# --- lengths ---


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", TOKENS)
def test_a_named_length_is_reached_exactly(
    name: str, style: Literal["prose", "lorem"], count: Count
) -> None:
    for seed in range(15):
        text = of_length(TOKENS[name], Random(seed), count, style=style)
        assert count(text) == TOKENS[name]


@given(
    tokens=st.integers(1, 400),
    seed=st.integers(0, 2**32),
    style=st.sampled_from(["prose", "lorem"]),
)
@settings(deadline=None)
def test_any_length_is_reached_exactly_in_clean_whole_sentences(
    count: Count, tokens: int, seed: int, style: Literal["prose", "lorem"]
) -> None:
    text = of_length(tokens, Random(seed), count, style=style)
    assert count(text) == max(tokens, least(count))
    assert is_clean(text)
    assert re.fullmatch(r"[A-Z][^\n]*\.(?:\n\n[A-Z][^\n]*\.)*", text)
    assert "  " not in text
    assert "{" not in text


@given(tokens=st.integers(1, 400), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_a_count_whose_parts_do_not_add_up_is_missed_by_two_at_most(tokens: int, seed: int) -> None:
    def quarters(text: str) -> int:
        return -(-len(text) // 4)

    assert abs(quarters(of_length(tokens, Random(seed), quarters)) - tokens) <= 2


def test_a_text_of_several_paragraphs_has_three_to_six_sentences_in_each(count: Count) -> None:
    sizes = set()
    for seed in range(60):
        paragraphs = of_length(100 + 5 * seed, Random(seed), count).split("\n\n")
        sizes |= {sentences(each) for each in paragraphs if len(paragraphs) > 1}
    assert sizes == {3, 4, 5, 6}


@pytest.mark.parametrize("style", STYLES)
def test_the_same_seed_gives_the_same_text_of_a_length(style: Literal["prose", "lorem"]) -> None:
    assert of_length(300, Random("a"), words, style=style) == of_length(
        300, Random("a"), words, style=style
    )


@pytest.mark.parametrize("tokens", [0, -5])
def test_no_tokens_are_no_text(tokens: int) -> None:
    assert of_length(tokens, Random(1), words) == ""


def test_prose_of_1500_tokens_repeats_no_sentence_and_holds_every_topic() -> None:
    text = of_length(1500, Random(7), words)
    said = re.findall(r"[^.\n]+\.", text)
    assert len(said) == len(set(said)) > 90
    assert all(any(thing in text for thing in topic.things) for topic in prose.TOPICS)


@pytest.mark.parametrize("style", STYLES)
def test_a_text_is_counted_a_bounded_number_of_times(style: Literal["prose", "lorem"]) -> None:
    """Linear time: however long the text, few passes are made over it."""
    counted = 0

    def counting(text: str) -> int:
        nonlocal counted
        counted += len(text)
        return words(text)

    for tokens in (1500, 60_000):
        counted = 0
        text = of_length(tokens, Random(3), counting, style=style)
        assert words(text) == tokens
        assert counted < 6 * len(text)


# --- how long ---


@pytest.mark.parametrize(
    ("speed", "name"),
    [
        (0.5, "short"), (8, "short"), (8.1, "medium"), (20, "medium"), (20.5, "long"),
        (30, "long"), (31, "very_long"), (80, "very_long"), (500, "very_long"),
        (math.inf, "very_long"), (None, "medium"), (0, "medium"),
    ],
)  # fmt: skip
def test_004_14_auto_says_more_the_faster_the_model(speed: float | None, name: str) -> None:
    assert tokens_for("auto", Random(1), speed) == TOKENS[name]


@pytest.mark.parametrize(
    ("length", "tokens"), [("short", 25), ("medium", 100), ("long", 400), ("very_long", 1500)]
)
def test_004_2_each_length_has_its_tokens(length: Length, tokens: int) -> None:
    assert tokens_for(length, Random(1), 5.0) == tokens


def test_004_2_random_is_any_of_the_four() -> None:
    rng = Random(1)
    assert {tokens_for("random", rng, None) for _ in range(100)} == set(TOKENS.values())


@pytest.mark.parametrize(
    ("seconds", "speed", "tokens"),
    [
        (10, 15, 150), (2.5, 7, 17), (0.1, 20, 10), (0, 20, 10), (-3, 20, 10), (5, 0, 10),
        (math.nan, 20, 10), (math.inf, 20, 2**53), (1e308, 1e308, 2**53),
    ],
)  # fmt: skip
def test_004_3_a_duration_asks_for_its_tokens_at_the_models_speed(
    seconds: float, speed: float, tokens: int
) -> None:
    assert tokens_for_duration(seconds, speed) == tokens


def test_004_4_each_length_has_a_preview_that_stays_the_same() -> None:
    shown = {length: preview(length) for length in TOKENS}
    assert shown == {length: preview(length) for length in TOKENS}
    assert len({text[:50] for text in shown.values()}) == 4
    assert list(map(len, shown.values())) == sorted(map(len, shown.values()))
    assert all(len(text) > 50 for text in shown.values())


def test_004_4_there_is_no_preview_of_an_unknown_length() -> None:
    with pytest.raises(KeyError, match="huge"):
        preview("huge")


# --- around an answer ---


def test_reasoning_has_two_to_four_sentences() -> None:
    said = [reasoning(Random(seed), ASKED) for seed in range(200)]
    assert {sentences(text) for text in said} == {2, 3, 4}
    assert all(map(is_clean, said))


def test_reasoning_counts_messages_and_tools_and_repeats_nothing_of_the_prompt() -> None:
    prompt = Prompt("gpt-4o", ASKED.messages * 3, tools=(Tool("zebra_finder"),))
    said = "\n".join(reasoning(Random(seed), prompt) for seed in range(200))
    assert "6 messages" in said
    assert "1 tool " in said
    assert "zebra" not in said


def test_reasoning_speaks_of_no_tools_where_there_are_none() -> None:
    assert not any("tool" in reasoning(Random(seed), ASKED) for seed in range(200))


def test_before_a_call_the_tool_is_named_in_one_sentence() -> None:
    said = {before_tool(Random(seed), "get_weather") for seed in SEEDS}
    assert len(said) == len(pool.BEFORE_TOOL)
    assert all("get_weather" in text and sentences(text) == 1 for text in said)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 10_000, "{0.__class__}", "e\u0301", "a b"])
def test_a_tool_name_that_is_no_identifier_is_not_repeated(name: str) -> None:
    said = before_tool(Random(1), name)
    assert "a tool" in said
    assert len(said) < 100
    assert is_clean(said)


def test_a_refusal_is_one_of_ours_and_seeded() -> None:
    assert {refusal(Random(seed)) for seed in SEEDS} == set(pool.REFUSALS)
    assert refusal(Random(5)) == refusal(Random(5))
