"""What a made-up reply says: a text by style, or prose of exactly so many tokens.

All chance comes from the ``Random`` handed in, so the same seed says the same. Tokens are
counted by the function handed in.

Strategy of ``of_length``: sentences are drawn and counted one by one until little is left; then
one or two sentences are sought whose counts add up to exactly that; then the whole is counted
once. That is linear, and right for every count in which the parts of a text add up when it is
cut between sentences, as those of words and of byte pair encodings do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, cycle, islice, repeat
from random import Random
from types import MappingProxyType
from typing import Literal

from llmproxy.prompt import Prompt
from llmproxy.synthesis import prose
from llmproxy.synthesis.pool import (
    ASSISTANT,
    BEFORE_TOOL,
    FIRST_THOUGHTS,
    LAST_THOUGHTS,
    LATIN,
    REFUSALS,
    REPLIES,
    THOUGHTS,
)

Style = Literal["pool", "prose", "lorem", "echo", "assistant"]
"""``pool`` is half one of ``REPLIES``, half lorem; ``echo`` says what the user said."""

Length = Literal["auto", "short", "medium", "long", "very_long", "random"]

Count = Callable[[str], int]
"""The number of tokens of a text."""

TOKENS: Mapping[str, int] = MappingProxyType(
    {"short": 25, "medium": 100, "long": 400, "very_long": 1500}
)
"""The tokens of each named length (feature 004-2)."""

_UP_TO = ((8, "short"), (20, "medium"), (30, "long"))
"""Tokens per second up to which a model gives this length by itself (feature 004-14)."""

_LEAST_DURATION = 10
_MOST_TOKENS = 2**53

_LEAST_ENDING = 6
_CANDIDATES = 48
_ATTEMPTS = 8

Paragraph = list[str]


# --- by style ---


def compose(style: Style, rng: Random, prompt: Prompt) -> str:
    """A reply in this style; empty only where ``echo`` has no text to repeat."""
    if style == "echo":
        return _echo(prompt)
    if style == "assistant":
        return rng.choice(ASSISTANT)
    if style == "prose":
        return of_length(TOKENS["medium"], rng, _estimate)
    if style == "pool" and rng.random() < 0.5:
        return rng.choice(REPLIES)
    return _lorem(rng)


def _echo(prompt: Prompt) -> str:
    """The last user's text, else the last message's (feature 003-2)."""
    return prompt.last_user_text or (prompt.messages[-1].text if prompt.messages else "")


_WORD = re.compile(r"\w+|[^\w\s]+")


def _estimate(text: str) -> int:
    """Tokens without a vocabulary: plain English has one for a word and one for a stop."""
    return len(_WORD.findall(text))


def _lorem(rng: Random) -> str:
    """Two to five paragraphs that begin as lorem ipsum does."""
    sentences = _lorem_sentences(rng)
    drawn = [list(islice(sentences, rng.randint(3, 6))) for _ in range(rng.randint(2, 5))]
    drawn[0][0] = _as_sentence(LATIN[:8])
    return _join(drawn)


def _lorem_sentences(rng: Random) -> Iterator[str]:
    while True:
        yield _lorem_sentence(rng, rng.randint(5, 14))


def _short_lorem_sentences(rng: Random) -> Iterator[str]:
    yield "Est."  # one token and its stop in every vocabulary of OpenAI
    while True:
        yield _lorem_sentence(rng, rng.randint(1, 6))


def _lorem_sentence(rng: Random, words: int) -> str:
    drawn = rng.choices(LATIN, k=words)
    if words > 8:
        drawn[words // 2] += ","
    return _as_sentence(drawn)


def _as_sentence(words: Iterable[str]) -> str:
    return " ".join(words).capitalize() + "."


# --- by length ---


def of_length(
    tokens: int, rng: Random, count: Count, *, style: Literal["prose", "lorem"] = "prose"
) -> str:
    """Whole sentences whose ``count`` is ``tokens``, in paragraphs of 3 to 6 sentences.

    Exact from 2 tokens on with words and with the vocabularies of OpenAI (checked from 1 to
    400 over many seeds, and for all of ``TOKENS``); never more than 2 off. Nothing is said in
    less than a word and its full stop. Empty for ``tokens`` below 1; the caller sets the bound.
    """
    if tokens < 1:
        return ""
    topics, short = _lorem_source(rng) if style == "lorem" else _prose_source(rng)
    body, left, more = _fill(tokens, topics, rng, count)
    endings = chain.from_iterable(zip(more, short, strict=False))
    return _end(body, left, tokens, endings, count)


def _prose_source(rng: Random) -> tuple[Iterator[Iterator[str]], Iterator[str]]:
    """Topics with their sentences, and short sentences for an ending; both without end."""
    return prose.topics(rng), cycle(rng.sample(prose.CLOSINGS, len(prose.CLOSINGS)))


def _lorem_source(rng: Random) -> tuple[Iterator[Iterator[str]], Iterator[str]]:
    return repeat(_lorem_sentences(rng)), _short_lorem_sentences(rng)


def _fill(
    tokens: int, topics: Iterator[Iterator[str]], rng: Random, count: Count
) -> tuple[list[Paragraph], int, Iterator[str]]:
    """Paragraphs that leave some tokens for an ending, how many, and where to draw it from."""
    body: list[Paragraph] = []
    left = tokens
    while True:
        sentences = next(topics)
        body.append([])
        size = rng.randint(3, 6)
        while len(body[-1]) < size:
            sentence = next(sentences)
            before = " " if body[-1] else ""
            after = "\n\n" if len(body[-1]) == size - 1 else ""
            cost = count(before + sentence + after)
            if cost + _LEAST_ENDING > left:
                return body, left, sentences
            body[-1].append(sentence)
            left -= cost


def _end(
    body: list[Paragraph], left: int, tokens: int, endings: Iterator[str], count: Count
) -> str:
    """The text whose count comes nearest to ``tokens``.

    Where the parts did not add up, the next attempt knows by how much.
    """
    before = " " if body[0] else ""
    best, nearest = "", math.inf
    for _ in range(_ATTEMPTS):
        ending, cost = _ending(left, before, endings, count)
        text = _join(_settle(body, ending))
        counted = count(text)
        if abs(tokens - counted) < nearest:
            best, nearest = text, abs(tokens - counted)
        if nearest == 0 or tokens == 1:  # one token is no sentence: looking on is in vain
            break
        left = tokens - (counted - cost)
    return best


def _ending(left: int, before: str, endings: Iterator[str], count: Count) -> tuple[Paragraph, int]:
    """One or two sentences of ``left`` tokens, else the one that comes nearest; and their count."""
    seen: dict[int, str] = {}
    for sentence in islice(endings, _CANDIDATES):
        cost = count(before + sentence)
        if cost == left:
            return [sentence], cost
        partner = seen.get(left - cost)
        if partner is not None and partner != sentence:
            return sorted((partner, sentence), key=len, reverse=True), left
        seen.setdefault(cost, sentence)
    cost = min(seen, key=lambda each: abs(left - each))
    return [seen[cost]], cost


def _settle(body: list[Paragraph], ending: Paragraph) -> list[Paragraph]:
    """Put the ending in the last, open paragraph; then even out to 3 to 6 sentences each."""
    *whole, last = body
    last = last + ending
    if whole and len(last) < 3:
        last = whole.pop() + last
    if len(last) <= 6:
        return [*whole, last]
    half = (len(last) + 1) // 2
    return [*whole, last[:half], last[half:]]


def _join(drawn: Iterable[Paragraph]) -> str:
    return "\n\n".join(map(" ".join, drawn))


# --- how long ---


def tokens_for(length: Length, rng: Random, tokens_per_second: float | None) -> int:
    """The tokens of a named length.

    ``auto`` goes by the model's speed, slow models say less (feature 004-14); a speed of None or
    0 (no delay) says nothing and gives ``medium``. ``random`` is one of the four.
    """
    if length == "random":
        return rng.choice(list(TOKENS.values()))
    if length == "auto":
        return TOKENS[_by_speed(tokens_per_second)]
    return TOKENS[length]


def _by_speed(tokens_per_second: float | None) -> str:
    if not tokens_per_second:
        return "medium"
    return next((name for most, name in _UP_TO if tokens_per_second <= most), "very_long")


def tokens_for_duration(seconds: float, tokens_per_second: float) -> int:
    """The tokens that take so many seconds, at least 10 (feature 004-3).

    Any two numbers are taken: what is no amount gives 10, what is endless 2**53, which the
    caller bounds.
    """
    tokens = seconds * tokens_per_second
    return int(min(tokens, _MOST_TOKENS)) if tokens > _LEAST_DURATION else _LEAST_DURATION


def preview(length: str) -> str:
    """The sample text of one of ``TOKENS``, always the same one (feature 004-4).

    Raises:
        KeyError: ``length`` is none of them.
    """
    always = Random(length)  # noqa: S311  (a sample text is no secret)
    return of_length(TOKENS[length], always, _estimate)


# --- around an answer ---


def reasoning(rng: Random, prompt: Prompt) -> str:
    """Two to four sentences of thinking; of the prompt only how much there is of it."""
    seen = rng.choice(_observations(prompt))
    middle = rng.sample((seen, rng.choice(THOUGHTS)), rng.randint(0, 2))
    return " ".join([rng.choice(FIRST_THOUGHTS), *middle, rng.choice(LAST_THOUGHTS)])


def _observations(prompt: Prompt) -> list[str]:
    messages = _number(len(prompt.messages), "message")
    found = [f"There is the context of {messages} to keep in mind."]
    if prompt.tools:
        found.append(f"I could use {_number(len(prompt.tools), 'tool')} if that were needed.")
    return found


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


_TOOL_NAME = re.compile(r"[\w.:/-]{1,128}", re.ASCII)


def before_tool(rng: Random, tool_name: str) -> str:
    """One sentence said before a call; a name that is no plain identifier is not repeated."""
    name = tool_name if _TOOL_NAME.fullmatch(tool_name) else "a tool"
    return rng.choice(BEFORE_TOOL).format(tool=name)


def refusal(rng: Random) -> str:
    """One or two sentences that decline."""
    return rng.choice(REFUSALS)
