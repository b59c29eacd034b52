"""Tokens: how many a text has, and where they end, without a network.

tiktoken does the work, over vocabularies that come with the package (``vocabulary/``); its own
way of fetching them is never taken. The encoding follows from the model's name. For OpenAI's
models a count is exact; for all others it is an estimate by ``o200k_base``.

A text is tokenized in stretches of bounded length, so that a hostile one (a megabyte of spaces
ends tiktoken with a stack overflow) costs time in proportion to its length. This module knows no
wire format and no event loop; the caller keeps ``Vocabularies.load`` off the loop, in one thread.
"""

from __future__ import annotations

import gzip
import re
import zlib
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from llmproxy.errors import LlmproxyError

if TYPE_CHECKING:
    import tiktoken

EncodingName = Literal["o200k_base", "cl100k_base"]

Unit = Literal["token", "word", "char"]
"""What a text is cut into; a ``char`` is a code point."""

_O200K = frozenset({"o1", "o3"})
_O200K_PREFIXES = (
    *("chatgpt-4o", "gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-oss-"),
    *("o1-", "o3-", "o4-mini"),
)
_CL100K = frozenset({"gpt-4", "text-embedding-ada-002", "davinci-002", "babbage-002"})
_CL100K_PREFIXES = ("gpt-4-", "gpt-3.5", "gpt-35-", "text-embedding-3-")


class VocabularyDamaged(LlmproxyError):
    """A vocabulary of the package is missing or is not what it was."""

    code = "llmproxy_vocabulary"


def known_encoding(model: str) -> EncodingName | None:
    """The encoding of a model of OpenAI, None where the name is not known.

    Providers' prefixes (``openai/gpt-4o``), fine-tunes (``ft:gpt-4o:team``), variants after a
    colon and Azure's spelling (``gpt-35-turbo``) are understood. The table is tiktoken's, except
    that a fine-tune has the encoding of the model that it was made from.
    """
    name = model.lower().rpartition("/")[2].removeprefix("ft:").partition(":")[0]
    if name in _O200K or name.startswith(_O200K_PREFIXES):
        return "o200k_base"
    if name in _CL100K or name.startswith(_CL100K_PREFIXES):
        return "cl100k_base"
    return None


def encoding_for(model: str) -> EncodingName:
    """The encoding to count with: ``o200k_base`` for each model that is not known."""
    return known_encoding(model) or "o200k_base"


@dataclass(slots=True, unsafe_hash=True)  # frozen takes three times as long; streams have many
class Piece:
    """A part of a text; ``tokens`` is how many of the text's tokens end in it, also none."""

    text: str
    tokens: int


_STRETCH = 65_536
"""Characters after which a text is parted at the next place that changes no token."""

_SEAM = re.compile(
    r"(?<=\S)(?=[ \t\u3000])"  # before the space of the next word
    r"|(?<=\n)(?=[^\s/])"  # at the start of a line
    r"|(?<=[A-Za-z])(?=[0-9])"  # in base64 and the like
    r"|(?<=[^\W_])(?=[\uff0c\u3002])"  # before a Chinese or Japanese comma or full stop
)
"""Places that are always between two tokens, in both encodings, whatever stands around them."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD = re.compile(r"\S+\s*|\s+")
_SMALL = 2048
_CONTINUES = 0x80  # a byte 10xxxxxx of UTF-8 continues a character


class Tokenizer:
    """Counts and cuts by one encoding.

    The result is tiktoken's for every text with a place to part it (white space after a word, a
    new line, a digit after a letter ...) at least every 65,536 characters. A longer run without
    one is parted at 131,072, which may add a token or two each time. Special tokens such as
    ``<|endoftext|>`` count as the text that they are. Half of a surrogate pair, which JSON may
    hold, counts as U+FFFD does. Texts of up to 2,048 characters are remembered.
    """

    def __init__(self, name: EncodingName, encoding: tiktoken.Encoding, lengths: bytes) -> None:
        """Build one from tiktoken's encoding and each token's bytes, counted (by its number)."""
        self.name = name
        self._encoding = encoding
        self._lengths = lengths
        self._remembered = lru_cache(maxsize=1024)(self._tokenize)
        self._remembered_cut = lru_cache(maxsize=64)(self._cut)

    def count(self, text: str) -> int:
        """How many tokens ``text`` has."""
        return len(self._token_lengths(_without_surrogates(text)))

    def cut(self, text: str, unit: Unit = "token", size: int = 1) -> tuple[Piece, ...]:
        """Cut ``text`` into pieces of ``size`` units; joined they are ``text``.

        A word is cut after the white space that follows it. A piece of tokens ends where a
        character ends, so it may hold more tokens than ``size``. No code point is ever in two
        pieces; a base and its combining marks may be. The tokens of all pieces add up to
        ``count(text)``.

        Raises:
            ValueError: ``size`` is below 1.
        """
        if size < 1:
            raise ValueError(f"a piece has at least 1 {unit}, not {size}")
        if len(text) <= _SMALL:
            return self._remembered_cut(text, unit, size)
        return self._cut(text, unit, size)

    def head(self, text: str, tokens: int) -> str:
        """The longest prefix whose characters lie wholly in the first ``tokens`` tokens.

        By itself it may be tokenized in another way; it is made shorter until it has no more
        than ``tokens``, which takes a token or two.
        """
        clean = _without_surrogates(text)
        lengths = self._token_lengths(clean)
        if len(lengths) <= tokens:
            return text
        data = clean.encode()
        for kept in range(tokens, 0, -1):
            end = sum(lengths[:kept])
            while data[end] & 0xC0 == _CONTINUES:
                end -= 1
            prefix = data[:end].decode()
            if self.count(prefix) <= tokens:
                return text[: len(prefix)]
        return ""

    def _cut(self, text: str, unit: Unit, size: int) -> tuple[Piece, ...]:
        clean = _without_surrogates(text)
        lengths = self._token_lengths(clean)
        if unit == "token":
            pieces = [Piece(*part) for part in _token_groups(clean.encode(), lengths, size)]
        else:
            parts = _words(clean, size) if unit == "word" else _chars(clean, size)
            pieces = list(map(Piece, parts, _ending_in(parts, lengths)))
        if clean is text:
            return tuple(pieces)
        ends = accumulate(len(piece.text) for piece in pieces)
        return tuple(
            Piece(text[end - len(piece.text) : end], piece.tokens)
            for piece, end in zip(pieces, ends, strict=True)
        )

    def _token_lengths(self, clean: str) -> bytes:
        """The bytes of each token of a text, counted."""
        return self._remembered(clean) if len(clean) <= _SMALL else self._tokenize(clean)

    def _tokenize(self, clean: str) -> bytes:
        length = self._lengths.__getitem__
        return b"".join(bytes(map(length, tokens)) for tokens in self._stretches(clean))

    def _stretches(self, clean: str) -> Iterator[list[int]]:
        return map(self._encoding.encode_ordinary, _stretches(clean))


def _without_surrogates(text: str) -> str:
    """A text of as many characters that can be written as UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def _stretches(text: str, least: int = _STRETCH) -> Iterator[str]:
    """Part a text at the first seam after each ``least`` characters, at the latest after two."""
    start = 0
    while len(text) - start > least:
        seam = _SEAM.search(text, start + least, start + 2 * least)
        end = seam.start() if seam else start + 2 * least
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def _token_groups(data: bytes, lengths: Iterable[int], size: int) -> Iterator[tuple[str, int]]:
    """Groups of ``size`` tokens, or of more until a character ends, with their number."""
    start = end = tokens = 0
    for length in lengths:
        end += length
        tokens += 1
        if end == len(data) or (tokens >= size and data[end] & 0xC0 != _CONTINUES):
            yield data[start:end].decode(), tokens
            start, tokens = end, 0


def _words(text: str, size: int) -> list[str]:
    """``size`` words each; white space before the first word belongs to it."""
    words = _WORD.findall(text)
    if len(words) > 1 and words[0].isspace():
        words[:2] = [words[0] + words[1]]
    return ["".join(words[at : at + size]) for at in range(0, len(words), size)]


def _chars(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _ending_in(parts: Iterable[str], lengths: Iterable[int]) -> Iterator[int]:
    """How many tokens end in each of the parts of a text."""
    ends = accumulate(lengths)
    token_end = next(ends, None)
    part_end = 0
    for part in parts:
        part_end += len(part.encode())
        tokens = 0
        while token_end is not None and token_end <= part_end:
            tokens += 1
            token_end = next(ends, None)
        yield tokens


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """The facts of an encoding, as tiktoken defines it."""

    sha256: str
    size: int
    pattern: str
    special: Mapping[str, int]


_VOCABULARIES: Mapping[EncodingName, _Vocabulary] = {
    "o200k_base": _Vocabulary(
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        size=3_613_922,
        pattern=(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
            r"\p{N}{1,3}|"
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*|"
            r"\s*[\r\n]+|"
            r"\s+(?!\S)|"
            r"\s+"
        ),
        special={"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018},
    ),
    "cl100k_base": _Vocabulary(
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        size=1_681_126,
        pattern=r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        special={
            "<|endoftext|>": 100_257,
            "<|fim_prefix|>": 100_258,
            "<|fim_middle|>": 100_259,
            "<|fim_suffix|>": 100_260,
            "<|endofprompt|>": 100_276,
        },
    ),
}


class Vocabularies:
    """The tokenizers of a server, each loaded when it is first needed and then kept.

    Args:
        folder: where ``<name>.tiktoken.gz`` lie; None: those of the package.
    """

    def __init__(self, folder: Traversable | None = None) -> None:
        self._folder = folder or resources.files("llmproxy").joinpath("vocabulary")
        self._tokenizers: dict[EncodingName, Tokenizer] = {}

    def loaded(self, name: EncodingName) -> Tokenizer | None:
        """The tokenizer if it is there already."""
        return self._tokenizers.get(name)

    def load(self, name: EncodingName) -> Tokenizer:
        """The tokenizer; the first time it is read from the package, which takes 0.2 to 0.7 s.

        Two threads at once would both read it, and one result would be kept.

        Raises:
            VocabularyDamaged: the file is missing, unreadable or not the one that we shipped.
        """
        found = self._tokenizers.get(name)
        return found or self._tokenizers.setdefault(name, _build(name, self._read(name)))

    def _read(self, name: EncodingName) -> bytes:
        path = self._folder.joinpath(f"{name}.tiktoken.gz")
        expected = _VOCABULARIES[name]
        try:
            with path.open("rb") as packed, gzip.open(packed) as unpacked:
                content = unpacked.read(expected.size + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise _damaged(path, f"cannot be read: {error}") from error
        if sha256(content).hexdigest() != expected.sha256:
            raise _damaged(path, "is not the one that came with llmproxy: its sha256 differs")
        return content


@cache
def packaged() -> Vocabularies:
    """The vocabularies of the package; they never change, so all servers of a process share them."""
    return Vocabularies()


def _damaged(path: Traversable, what: str) -> VocabularyDamaged:
    return VocabularyDamaged(
        f"the vocabulary {path} {what}",
        "reinstall llmproxy: pip install --force-reinstall llmproxy-cassette",
    )


def _build(name: EncodingName, content: bytes) -> Tokenizer:
    """Build a tokenizer from lines of a token in base64 and its rank; ranks count up from 0."""
    import tiktoken  # noqa: PLC0415  # 25 ms that a server without token counts need not pay

    tokens = content.split()[::2]
    ranks = dict(zip(map(a2b_base64, tokens), range(len(tokens)), strict=True))
    facts = _VOCABULARIES[name]
    encoding = tiktoken.Encoding(
        name,
        pat_str=facts.pattern,
        mergeable_ranks=ranks,
        special_tokens=dict(facts.special),
    )
    return Tokenizer(name, encoding, bytes(map(len, ranks)))
