r"""Secrets by value: which strings are secrets, and where they stand in bytes, however escaped.

Strategy: a literal is looked for as it is, which costs one search. Only where the bytes hold
escapes that could hide one (``\u0073``, ``\/``, ``%73``) are those undone once, with a map
back to the bytes as they stand. What looks like a word is never a literal: a dummy key
``anything`` or a model name in an environment variable must not punch holes into prompts.

Reads no environment: the mapping is handed in.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from llmproxy.edits import Edit, overlaps_placeholder
from llmproxy.jsonspans import backslashes_before, strings

SHORTEST = 8
"""Characters below which a literal is never looked for."""

_SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET", re.IGNORECASE)
_SEPARATORS = re.compile(r"[-_./:,@ ]+")
_WORD = re.compile(r"[a-z]{1,15}|[A-Z]{1,15}|(?:[A-Z]?[a-z]{2,14})(?:[A-Z][a-z]{2,14})*|[0-9]{1,8}")
_VERSION = re.compile(r"[a-z]{1,5}[0-9]{1,3}|[0-9]{1,3}[a-z]{1,2}|[a-z][0-9]{1,4}[a-z]")
_PATH = re.compile(r"(?:~|\.{0,2}/|[A-Za-z]:[\\/]|\\\\)[A-Za-z_-]{0,15}(?:$|[/\\.])")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PARAMETER = re.compile(r'[^\s,;="]{16,}={0,2}')
_SCHEMES = frozenset({"bearer", "basic", "token", "key", "apikey", "api-key"})


def secrets_in(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables named ``*KEY*``, ``*TOKEN*`` or ``*SECRET*`` that look secret.

    A value with commas, semicolons or white space is several. None shorter than 8 characters,
    no number, boolean, path or URL, and nothing made only of words, short numbers and version
    marks (``us-east-1``, ``claude-sonnet-4-5-20250929``): on a machine without the variable
    the same words would stay, and nothing would match. Hence a passphrase of plain words in a
    variable is not recognised.
    """
    pieces = (
        piece.strip("\"'")
        for name, value in environment.items()
        if _SECRET_VARIABLE.search(name)
        for piece in re.split(r"[\s,;]+", value)
    )
    return tuple(sorted({piece for piece in pieces if _is_secret(piece)}))


def header_secrets(name: str, value: str, *, certain: bool = True) -> Iterator[str]:
    """The literals that a credential header carries.

    That is the value; of ``Bearer X`` the X, of ``Basic X`` also the password inside, of a
    cookie each value, of a signature such as SigV4's each long part.

    Args:
        name: in lower case.
        value: as it came.
        certain: the header is there for a secret. Else the value must look like one, too.
    """
    if "cookie" in name:
        values = [pair.partition("=")[2].strip(' "') for pair in value.split(";")]
        yield from filter(_is_secret, values)
        return
    scheme, _, rest = value.strip().partition(" ")
    rest = rest.strip()
    if not rest or (scheme.lower() not in _SCHEMES and "authorization" not in name):
        rest = value.strip()
    elif scheme.lower() == "basic":
        yield from _kept(_password(rest), certain=certain)
    if " " in rest or "," in rest:
        yield from filter(_is_secret, _PARAMETER.findall(rest))
    else:
        yield from _kept(rest, certain=certain)


def parameter_secrets(value: str) -> Iterator[str]:
    """The literals of a credential in a query: the value as it stands and unquoted."""
    yield from _kept(value, certain=True)
    if "%" in value:
        yield from _kept(unquote(value, errors="surrogateescape"), certain=True)


def looks_plain(text: str) -> bool:
    """Whether a text is made only of words, short numbers and at most two version marks."""
    odd = [part for part in _SEPARATORS.split(text) if part and not _WORD.fullmatch(part)]
    return len(odd) <= 2 and all(_VERSION.fullmatch(part) for part in odd)


def _kept(literal: str, *, certain: bool) -> Iterator[str]:
    """The literal of a credential, if it may be looked for: not one word, not a number."""
    plain = _WORD.fullmatch(literal) or _is_number(literal) if certain else not _is_secret(literal)
    if len(literal) >= SHORTEST and not plain:
        yield literal


def _is_secret(value: str) -> bool:
    if len(value) < SHORTEST or looks_plain(value) or _is_number(value):
        return False
    return not (_PATH.match(value) or _URL.match(value))


def _is_number(value: str) -> bool:
    return not re.search(r"[A-DF-Za-df-z]", value) and not re.search(r"[^\x00-\x7f]", value)


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode("utf-8", "surrogateescape").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


_IN_JSON = (
    rb'(\\)\\(?=(?:\\\\){0,8}\\(?:u00|["/]))'  # a backslash, then an escape
    rb'|\\{1,8}+(?:u00([0-9a-fA-F]{2})|(["/]))'  # also of JSON inside a JSON string
    rb"|(\\)\\"
)
_IN_URL = rb"%([0-9a-fA-F]{2})"
_JSON_ESCAPES = re.compile(_IN_JSON + rb"|(?!)()")
_URL_ESCAPES = re.compile(rb"(?!)()()()()|" + _IN_URL)
_ALL_ESCAPES = re.compile(_IN_JSON + rb"|" + _IN_URL)
_PERCENT = re.compile(rb"%[2-9a-fA-F][0-9a-fA-F]")
_SYNTAX = re.compile(rb'[\s"\\,:\[\]{}]')
_ESCAPE_LETTERS = b'bfnrtu"\\/'


@dataclass(frozen=True, slots=True)
class Literals:
    """Secrets as they stand in bytes; ``escapable``: JSON writers may put a backslash in one."""

    texts: tuple[bytes, ...]
    escapable: bool

    @staticmethod
    def of(secrets: Iterable[str]) -> Literals:
        """Those that are long enough to be looked for, each once."""
        texts = tuple(
            secret.encode("utf-8", "surrogateescape")
            for secret in dict.fromkeys(secrets)
            if len(secret) >= SHORTEST
        )
        return Literals(texts, any(b"/" in text or _SYNTAX.search(text) for text in texts))


def find_values(data: bytes, literals: Literals, *, in_json: bool) -> list[Edit]:
    """Where the literals stand in ``data``, as they are, JSON-escaped or percent-encoded.

    Args:
        data: any bytes.
        literals: what to look for.
        in_json: ``data`` is JSON or may be: no escape is cut in two, no syntax covered.
    """
    spans: list[tuple[int, int]] = []
    for text in literals.texts:
        if text in data and not (in_json and (b"\\" in text or b'"' in text)):
            spans += _occurrences(data, text, in_json=in_json)
    for escapes in _ways_to_hide(data, literals):
        loose = escapes.sub(_unescape, data)
        if hidden := [text for text in literals.texts if text in loose]:
            spans += _hidden(data, loose, hidden, escapes)
    if spans and in_json:
        spans = _inside_strings(data, spans)
    return [Edit(*span) for span in spans if not overlaps_placeholder(data, *span)]


def _occurrences(data: bytes, text: bytes, *, in_json: bool) -> Iterator[tuple[int, int]]:
    at = data.find(text)
    while at >= 0:
        end = at + len(text)
        if not (in_json and _in_escape(data, at)):
            yield at, end
        at = data.find(text, end)


def _in_escape(data: bytes, at: int) -> bool:
    """Whether the byte is the letter of an escape: the n of a line break is no key's n."""
    return data[at] in _ESCAPE_LETTERS and backslashes_before(data, at) % 2 == 1


def _ways_to_hide(data: bytes, literals: Literals) -> Iterator[re.Pattern[bytes]]:
    """The kinds of escapes in which a literal could hide here; most bodies have none."""
    if not literals.texts:
        return
    in_json = b"\\" in data and (literals.escapable or b"\\u00" in data)
    in_url = b"%" in data and _PERCENT.search(data) is not None
    if in_json:
        yield _JSON_ESCAPES
    if in_url:
        yield _URL_ESCAPES
    if in_json and in_url:
        yield _ALL_ESCAPES


def _unescape(match: re.Match[bytes]) -> bytes:
    backslash, letter, character, other_backslash, byte = match.groups()
    if letter:
        return chr(int(letter, 16)).encode()
    if byte:
        return bytes([int(byte, 16)])
    return bytes(backslash or character or other_backslash)


class _Unit(NamedTuple):
    """An escape at ``start`` to ``end``, and where its bytes stand in the loose text."""

    loose: int
    loose_end: int
    start: int
    end: int


def _hidden(
    data: bytes, loose: bytes, texts: list[bytes], escapes: re.Pattern[bytes]
) -> list[tuple[int, int]]:
    """The spans of ``data`` whose text, escapes undone as in ``loose``, is one of the texts."""
    units: list[_Unit] = []
    shrunk = 0
    for match in escapes.finditer(data):
        start = match.start() - shrunk
        end = start + len(_unescape(match))
        units.append(_Unit(start, end, *match.span()))
        shrunk = match.end() - end
    starts = [unit.loose for unit in units]
    return [
        (_place(units, starts, start)[0], _place(units, starts, end - 1)[1])
        for text in texts
        for start, end in _occurrences(loose, text, in_json=False)
    ]


def _place(units: list[_Unit], starts: list[int], loose: int) -> tuple[int, int]:
    """The span in the raw bytes of the byte at ``loose``: one byte, or a whole escape."""
    index = bisect_right(starts, loose) - 1
    if index < 0:
        return loose, loose + 1
    unit = units[index]
    if loose < unit.loose_end:
        return unit.start, unit.end
    raw = unit.end + loose - unit.loose_end
    return raw, raw + 1


def _inside_strings(data: bytes, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those spans that cover no JSON syntax: where a literal has a bracket or a quote."""
    doubtful = {span for span in spans if _SYNTAX.search(data, *span)}
    if not doubtful:
        return spans
    inside = list(strings(data))
    starts = [string.start for string in inside]

    def covers_syntax(span: tuple[int, int]) -> bool:
        index = bisect_right(starts, span[0]) - 1
        return index < 0 or span[1] > inside[index].end

    return [span for span in spans if span not in doubtful or not covers_syntax(span)]
