"""Which strings are secrets: what a request's headers and query carry, and the environment.

Strategy: where a credential stands says what part of it is the secret (of ``Bearer X`` the
X). A secret is looked for in everything that is kept, so what looks like a word is none: a
dummy key ``anything`` or a model name in a variable must not punch holes into prompts.

Reads no environment: the mapping is handed in.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

SHORTEST = 8
"""Characters below which a literal is never looked for."""

_SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET", re.IGNORECASE)
_SEPARATORS = re.compile(r"[-_./:,@ ]+")
_ONE_WORD = re.compile(r"[A-Za-z]?[a-z]{1,14}|[A-Z]{1,15}")
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
    if not certain:
        plain = not _is_secret(literal)
    else:
        plain = _ONE_WORD.fullmatch(literal) is not None or _is_number(literal)
    if len(literal) >= SHORTEST and not plain:
        yield literal


def _is_secret(value: str) -> bool:
    if len(value) < SHORTEST or looks_plain(value) or _is_number(value):
        return False
    return not (_PATH.match(value) or _URL.match(value))


def _is_number(value: str) -> bool:
    """Whether a JSON number could look so: no letter but the e of an exponent."""
    return not re.search(r"[A-DF-Za-df-z]", value) and not re.search(r"[^\x00-\x7f]", value)


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode("utf-8", "surrogateescape").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
