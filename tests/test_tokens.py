"""Tokens: counts that OpenAI published, cuts that lose nothing, vocabularies that are checked."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from hashlib import sha256
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

import llmproxy
from llmproxy import tokens
from llmproxy.answer import ToolCall
from llmproxy.prompt import Message, Prompt, Role, Tool
from llmproxy.prompt_tokens import count_prompt
from llmproxy.tokens import (
    EncodingName,
    Piece,
    Tokenizer,
    Unit,
    Vocabularies,
    VocabularyDamaged,
    encoding_for,
    known_encoding,
)

ROOT = Path(__file__).parent.parent
FOLDER = Path(llmproxy.__file__).parent / "vocabulary"
VOCABULARIES = Vocabularies()
NAMES: tuple[EncodingName, ...] = ("o200k_base", "cl100k_base")

SAMPLES = (
     "✅", " ✅", "👩‍👩‍👧‍👦", "e\u0301", "สวัสดี", "שלום", "გამარჯობა", "한국어", "日本語。", "don't", "'RE", "<|endoftext|>",
     "\n", "\r\n", " \n \n", "   ", "\t", "\u3000", "\u00a0", "\x1c", "\x00", "//", '{"a":', "123456789", "aGVsbG8=",
     "\ud83d", "\ude00", "\ud83d\ude00", "\U0001f600", "word ", "Some Words here, and there. ",
)  # fmt: skip
TEXTS = st.lists(
    st.one_of(st.sampled_from(SAMPLES), st.text(st.characters(codec=None), max_size=8)), max_size=12
).map("".join)
UNITS: st.SearchStrategy[Unit] = st.sampled_from(("token", "word", "char"))
SIZES = st.integers(1, 5)


@pytest.fixture(params=NAMES)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return VOCABULARIES.load(request.param)


def of(name: EncodingName) -> Callable[[str], int]:
    return VOCABULARIES.load(name).count


# --- which encoding


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-4o", "gpt-4o-mini-2024-07-18", "chatgpt-4o-latest", "gpt-4.1", "gpt-4.1-nano"),
        *("gpt-4.5-preview", "o1", "o1-mini", "o3", "o3-pro", "o4-mini", "gpt-5", "gpt-5.5"),
        *("gpt-oss-120b", "openai/gpt-4o", "openrouter/openai/gpt-4o-mini", "GPT-4o"),
        *("ft:gpt-4o-mini-2024-07-18:team::abc", "ft:gpt-4.1-mini-2025-04-14:team::abc"),
        *("openai/gpt-oss-20b:free",),
    ],
)
def test_a_model_of_the_o200k_family_is_known(model: str) -> None:
    assert known_encoding(model) == encoding_for(model) == "o200k_base"


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-4", "gpt-4-turbo", "gpt-4-0613", "gpt-4-32k", "gpt-3.5-turbo", "gpt-3.5"),
        *("gpt-35-turbo", "gpt-35-turbo-16k", "text-embedding-3-large", "text-embedding-ada-002"),
        *("davinci-002", "babbage-002", "ft:gpt-3.5-turbo:team::abc", "ft:gpt-4-0613:team::a"),
        *("ft:davinci-002:team", "openai/gpt-4-turbo", "azure/gpt-35-turbo", "openai/gpt-4:beta"),
    ],
)
def test_a_model_of_the_cl100k_family_is_known(model: str) -> None:
    assert known_encoding(model) == encoding_for(model) == "cl100k_base"


@pytest.mark.parametrize(
    "model",
    ["gpt-6", "gpt-42", "claude-opus-4-5", "gemini-3-pro", "models/gemini-2.5-flash", "o10", "", "/", "llama3:8b"],
)  # fmt: skip
def test_an_unknown_model_is_counted_by_o200k_base(model: str) -> None:
    assert known_encoding(model) is None
    assert encoding_for(model) == "o200k_base"


# --- counts


@pytest.mark.parametrize(
    ("text", "o200k", "cl100k"),
    [
        ("", 0, 0),
        ("tiktoken is great!", 6, 6),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 8, 9),
        ("<|endoftext|>", 7, 7),
    ],
)
def test_a_text_has_the_tokens_that_openai_says(text: str, o200k: int, cl100k: int) -> None:
    assert of("o200k_base")(text) == o200k
    assert of("cl100k_base")(text) == cl100k


def test_tokens_are_those_of_tiktokens_own_definition(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks = tokenizer._encoding._mergeable_ranks
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: ranks)
    definition = getattr(openai_public, tokenizer.name)()
    assert definition["special_tokens"] == tokenizer._encoding._special_tokens
    official = tiktoken.Encoding(**definition)
    for first, second in product(SAMPLES, SAMPLES):
        text = tokens._without_surrogates(first + second)
        assert tokenizer.count(text) == len(official.encode_ordinary(text)), text


def test_half_a_surrogate_pair_counts_as_a_replacement_character(tokenizer: Tokenizer) -> None:
    text = "broken " + json.loads('"\\ud83d"') + " text"
    assert tokenizer.count(text) == tokenizer.count("broken \ufffd text")
    assert "".join(piece.text for piece in tokenizer.cut(text)) == text


@settings(max_examples=300)
@given(text=TEXTS, name=st.sampled_from(NAMES))
@example(text="!\x1c a\n/b\n c", name="o200k_base")
@example(text="a\n \n\n  b!\n\nc", name="cl100k_base")
def test_a_seam_changes_no_token(text: str, name: EncodingName) -> None:
    encode = VOCABULARIES.load(name)._encoding.encode_ordinary
    clean = tokens._without_surrogates(text)
    for seam in tokens._SEAM.finditer(clean):
        assert encode(clean[: seam.start()]) + encode(clean[seam.start() :]) == encode(clean)


@given(text=TEXTS, least=st.integers(1, 9))
def test_the_stretches_of_a_text_join_to_it_and_are_bounded(text: str, least: int) -> None:
    stretches = list(tokens._stretches(text, least))
    assert "".join(stretches) == text
    assert all(0 < len(stretch) <= 2 * least for stretch in stretches)


@pytest.mark.parametrize(
    "part",
    ["Some plain words, in a line.\n", "aGVsbG8gd29ybGQ0", "これは長い日本語の文章です。", "x = [1, 2]\n\n\n    y\t"],
)  # fmt: skip
def test_a_long_text_with_seams_has_the_tokens_of_tiktoken(tokenizer: Tokenizer, part: str) -> None:
    text = part * (200_000 // len(part))
    assert tokenizer.count(text) == len(tokenizer._encoding.encode_ordinary(text))


@pytest.mark.parametrize("character", [" ", "a", "漢"])
def test_a_megabyte_of_one_character_is_counted(tokenizer: Tokenizer, character: str) -> None:
    per_stretch = len(tokenizer._encoding.encode_ordinary(character * 131_072))
    assert tokenizer.count(character * 1_048_576 + "x") in range(
        8 * per_stretch, 8 * per_stretch + 3
    )


# --- cuts


def test_a_piece_never_holds_part_of_a_character(tokenizer: Tokenizer) -> None:
    pieces = tokenizer.cut("Done ✅ and 👩‍👩‍👧‍👦 too")
    assert "".join(piece.text for piece in pieces) == "Done ✅ and 👩‍👩‍👧‍👦 too"
    assert not any("\ufffd" in piece.text for piece in pieces)
    assert max(piece.tokens for piece in pieces) > 1


def test_plain_tokens_are_cut_one_by_one_or_in_groups(tokenizer: Tokenizer) -> None:
    texts = [piece.text for piece in tokenizer.cut("This is great!")]
    assert texts == ["This", " is", " great", "!"]
    assert tokenizer.cut("tiktoken is great!", "token", 4) == (
        Piece("tiktoken is", 4),
        Piece(" great!", 2),
    )


def test_a_word_keeps_the_white_space_after_it(tokenizer: Tokenizer) -> None:
    cut = tokenizer.cut("  one two\n\nthree  four ", "word")
    assert [piece.text for piece in cut] == ["  one ", "two\n\n", "three  ", "four "]
    cut = tokenizer.cut("one two three", "word", 2)
    assert [piece.text for piece in cut] == ["one two ", "three"]
    assert [piece.tokens for piece in tokenizer.cut("one two three", "word", 2)] == [2, 1]


def test_a_token_counts_in_the_character_that_it_ends_in(tokenizer: Tokenizer) -> None:
    cut = tokenizer.cut("hello ✅", "char")
    assert [piece.tokens for piece in cut] == [0, 0, 0, 0, 1, 0, tokenizer.count(" ✅")]


@settings(max_examples=300)
@given(text=TEXTS, unit=UNITS, size=SIZES, name=st.sampled_from(NAMES))
def test_pieces_join_to_the_text_and_their_tokens_to_its_count(
    text: str, unit: Unit, size: int, name: EncodingName
) -> None:
    tokenizer = VOCABULARIES.load(name)
    pieces = tokenizer.cut(text, unit, size)
    assert "".join(piece.text for piece in pieces) == text
    assert sum(piece.tokens for piece in pieces) == tokenizer.count(text)
    assert all(piece.text for piece in pieces)
    if unit == "char":
        assert all(len(piece.text) == size for piece in pieces[:-1])
    if unit == "token":
        assert all(piece.tokens >= size for piece in pieces[:-1])


@pytest.mark.parametrize("unit", ["token", "word", "char"])
def test_a_long_text_is_cut_whole(tokenizer: Tokenizer, unit: Unit) -> None:
    text = "Ein längerer Satz mit ✅ am Ende. " * 3000
    pieces = tokenizer.cut(text, unit, 3)
    assert "".join(piece.text for piece in pieces) == text
    assert sum(piece.tokens for piece in pieces) == tokenizer.count(text)


def test_white_space_alone_is_one_word(tokenizer: Tokenizer) -> None:
    assert tokenizer.cut(" " * 100_000, "word")[0].text == " " * 100_000


def test_an_empty_text_has_no_pieces(tokenizer: Tokenizer) -> None:
    assert tokenizer.cut("") == tokenizer.cut("", "word") == tokenizer.cut("", "char") == ()


def test_a_piece_of_no_units_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="at least 1 word, not 0"):
        tokenizer.cut("text", "word", 0)


# --- heads


@settings(max_examples=300)
@given(text=TEXTS, bound=st.integers(-1, 30), name=st.sampled_from(NAMES))
@example(text="  \n\n   \nx", bound=1, name="o200k_base")
def test_a_head_is_a_prefix_with_no_more_tokens_than_asked(
    text: str, bound: int, name: EncodingName
) -> None:
    tokenizer = VOCABULARIES.load(name)
    head = tokenizer.head(text, bound)
    assert text.startswith(head)
    assert tokenizer.count(head) <= max(0, bound)
    if tokenizer.count(text) <= bound:
        assert head == text


def test_the_head_of_plain_text_has_just_so_many_tokens(tokenizer: Tokenizer) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 4000
    for bound in (1, 7, 500, 30_000):
        assert tokenizer.count(tokenizer.head(text, bound)) == bound


def test_a_head_leaves_out_a_character_that_would_be_cut(tokenizer: Tokenizer) -> None:
    assert tokenizer.count("\U0001f9a9") == 3
    assert tokenizer.head("\U0001f9a9", 2) == ""
    assert tokenizer.head("\U0001f9a9 yes", 3) == "\U0001f9a9"


# --- prompts


Chat = tuple[tuple[Role, str, str], ...]

CHAT: Chat = (  # the example of OpenAI's cookbook (MIT), "How to count tokens with tiktoken", quoted
    ("system", "", "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
    ("system", "example_user", "New synergies will help drive top-line growth."),
    ("system", "example_assistant", "Things working well together will increase revenue."),
    ("system", "example_user", "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),
    ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
    ("user", "", "This late pivot means we don't have time to boil the ocean for the client deliverable."),
)  # fmt: skip
WEATHER_CHAT: Chat = (
    ("system", "", "You are a helpful assistant that can answer to questions about the weather."),
    ("user", "", "What's the weather like in San Francisco?"),
)
WEATHER = Tool(
    name="get_current_weather",
    description="Get the current weather in a given location",
    schema={
        "type": "object",
        "properties": {
            "location": {
                "type": "string",
                "description": "The city and state, e.g. San Francisco, CA",
            },
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
)


def prompt(model: str, chat: Chat, tools: tuple[Tool, ...] = ()) -> Prompt:
    messages = tuple(Message(role, text, name) for role, name, text in chat)
    return Prompt(model=model, messages=messages, tools=tools)


@pytest.mark.parametrize(
    ("model", "chat", "with_tools"), [("gpt-4-0613", 129, 105), ("gpt-4o", 124, 101)]
)
def test_a_prompt_has_the_tokens_that_the_cookbook_published(
    model: str, chat: int, with_tools: int
) -> None:
    count = of(encoding_for(model))
    assert count_prompt(prompt(model, CHAT), count) == chat
    assert count_prompt(prompt(model, WEATHER_CHAT, (WEATHER,)), count) == with_tools


def letters(text: str) -> int:
    """A count that shows what was counted."""
    return 1000 * len(text)


def test_a_call_counts_its_name_and_its_arguments_but_not_its_id() -> None:
    plain = Message("assistant", "text")
    calling = Message("assistant", "text", calls=(ToolCall("name", '{"a":1}', "call_1"),))
    count = count_prompt(Prompt("m", (calling,)), letters)
    assert count - count_prompt(Prompt("m", (plain,)), letters) == letters('name{"a":1}')


def test_media_count_nothing() -> None:
    with_media = Prompt("m", (Message("user", "look", media=3),))
    assert count_prompt(with_media, letters) == letters("userlook") + 6


def test_the_properties_of_inner_objects_count_as_outer_ones_do() -> None:
    inner = {"type": "object", "properties": {"b": {"type": ["STRING", "null"]}}}
    outer: dict[str, Any] = {"properties": {"a": {"type": "array", "items": inner}}}
    bare = count_prompt(Prompt("m", (), tools=(Tool("t", "d."),)), letters)
    full = count_prompt(Prompt("m", (), tools=(Tool("t", "d.", outer),)), letters)
    assert bare == 3 + 12 + 7 + letters("t:d")
    assert full - bare == 3 + 3 + letters("a:array:") + 3 + 3 + letters("b:string|null:")


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": ["a"]},
        {"properties": {"a": True, "b": None, "c": {"enum": {}, "type": {}, "description": 4}}},
        {"properties": {"a": {"enum": [None, 1, [[]], {}]}}, "items": [1], "anyOf": {"a": 1}},
        {"anyOf": [True, 3, None], "$defs": [], "prefixItems": "x"},
    ],
)
def test_a_schema_that_is_none_is_counted_as_far_as_it_goes(schema: dict[str, Any]) -> None:
    assert count_prompt(Prompt("m", (), tools=(Tool("t", "", schema),)), letters) > 0


def test_a_deep_schema_exhausts_no_stack() -> None:
    schema: dict[str, Any] = {}
    for _ in range(20_000):
        schema = {"type": "object", "properties": {"a": schema}}
    assert count_prompt(Prompt("m", (), tools=(Tool("t", "", schema),)), len) > 20_000


# --- vocabularies


def test_a_vocabulary_is_loaded_once() -> None:
    vocabularies = Vocabularies()
    assert vocabularies.loaded("cl100k_base") is None
    tokenizer = vocabularies.load("cl100k_base")
    assert tokenizer.name == "cl100k_base"
    assert vocabularies.load("cl100k_base") is vocabularies.loaded("cl100k_base") is tokenizer


def test_a_damaged_vocabulary_is_refused_by_name_with_the_mend(tmp_path: Path) -> None:
    content = gzip.decompress((FOLDER / "cl100k_base.tiktoken.gz").read_bytes())
    damaged = tmp_path / "cl100k_base.tiktoken.gz"
    damaged.write_bytes(gzip.compress(content.replace(b" 77\n", b" 78\n"), 1))
    with pytest.raises(VocabularyDamaged, match=r"cl100k_base\.tiktoken\.gz is not") as raised:
        Vocabularies(tmp_path).load("cl100k_base")
    assert "reinstall" in raised.value.hint


@pytest.mark.parametrize("content", [b"", b"no gzip", b"half", None])
def test_a_vocabulary_that_cannot_be_read_is_an_error_of_ours(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "o200k_base.tiktoken.gz"
    if content == b"half":
        content = (FOLDER / path.name).read_bytes()[:1000]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VocabularyDamaged, match=r"o200k_base\.tiktoken\.gz"):
        Vocabularies(tmp_path).load("o200k_base")


def test_the_notice_says_what_the_vocabularies_are() -> None:
    notice = (FOLDER / "NOTICE").read_text()
    assert "MIT" in notice
    assert "OpenAI" in notice
    for name in NAMES:
        content = gzip.decompress((FOLDER / f"{name}.tiktoken.gz").read_bytes())
        assert sha256(content).hexdigest() in notice
        assert f"{len(content)} bytes" in notice


def test_the_package_finds_its_own_vocabularies() -> None:
    names = {path.name for path in (resources.files("llmproxy") / "vocabulary").iterdir()}
    assert names == {"NOTICE", "o200k_base.tiktoken.gz", "cl100k_base.tiktoken.gz"}


def test_the_wheel_holds_the_vocabularies(tmp_path: Path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    (built,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as packed:
        for path in FOLDER.iterdir():
            assert packed.read(f"llmproxy/vocabulary/{path.name}") == path.read_bytes()
