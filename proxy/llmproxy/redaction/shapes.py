r"""Secrets by shape: tokens that say themselves what they are, such as ``sk-…`` or a JWT.

Strategy: a secret is a long run of token characters, and most bytes of a body lie in short
ones. One table look-up maps the bytes to "token" and "not", one search finds the long runs,
and only at the start of a run are the shapes tried: what stands inside a longer token
(``task-…``, a signature) is none. Behind ``\n`` in JSON or ``%3D`` in a URL a token begins, too.
A run of words and dashes is a name, not a secret.

The shapes are those that the issuers document. Known fields of opaque data (signatures,
encrypted reasoning, inline images) are never touched. Nothing here knows this request's keys.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator

from llmproxy.redaction.credentials import looks_plain
from llmproxy.redaction.edits import Edit
from llmproxy.redaction.jsonspans import backslashes_before
from llmproxy.redaction.names import is_credential_parameter

_LEAST = 19
"""Bytes of the shortest shape, and so of a run worth a look."""

_TOKEN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_RUNS = bytes(0x61 if byte in _TOKEN + b"*" else 0x20 for byte in range(256))
_STAR = b"*"[0]
_LONG_RUN = b"a" * _LEAST

_SHAPES = {
    # a key as an error message quotes it
    "masked": rb"(?:sk-|gsk_|xai-|pplx-|nvapi-|AIza)[A-Za-z0-9_-]*+(?:\*{3,}+[A-Za-z0-9_-]*+)++",
    # OpenAI, Anthropic, OpenRouter, DeepSeek and others; NVIDIA; GitLab; Slack
    "worded": rb"(?:sk-|nvapi-|glpat-|xox[abeprs]-)[A-Za-z0-9_-]{16,}+",
    # Groq, xAI; Hugging Face, Replicate, Perplexity, GitHub
    "plain": rb"(?:gsk_|xai-)[A-Za-z0-9]{20,}+|(?:hf_|r8_|pplx-|gh[opsur]_)[A-Za-z0-9]{30,}+",
    "github": rb"github_pat_[A-Za-z0-9_]{36,}+",
    # OpenAI's organisations and projects
    "account": rb"(?:org-|proj_)[A-Za-z0-9]{16,}+",
    # AWS, Google: letters and digits only, so they could stand in base64 by chance
    "base64": rb"(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35}",
    "jwt": rb"eyJ[A-Za-z0-9_-]{10,}+(?:\.[A-Za-z0-9_-]{10,}+){2}(?!\.(?:[A-Za-z0-9_-]|<redacted>))",
}
_SHAPE = re.compile(
    rb"(?:%b)(?![A-Za-z0-9_-])"
    % b"|".join(b"(?P<%b>%b)" % (name.encode(), shape) for name, shape in _SHAPES.items())
)
_DOTTED = re.compile(rb"AQ\.[A-Za-z0-9_-]{30,}+|ya29(?:\.[A-Za-z0-9_-]{3,}+)++")
_ELIDED = re.compile(rb"sk-(?:[a-z]{1,10}-){0,2}\.\.\.[A-Za-z0-9_-]{4}(?![A-Za-z0-9_-])")

_PEM_LINE = rb"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PEM_BREAK = rb"(?:\s|\\{1,8}+[nr])"
_PEM = re.compile(
    rb'-----BEGIN %b(?:(?:[^"-]++|-(?!----))*+-----END %b|%b*+(?:[A-Za-z0-9+/=]{16,}+%b*+)++)'
    % (_PEM_LINE, _PEM_LINE, _PEM_BREAK, _PEM_BREAK)
)

_BASE64_BEFORE = re.compile(rb"([A-Za-z0-9]*)[+/]\Z")
_ESCAPE_REST = re.compile(rb"\\(?:u[0-9a-fA-F]{4}|[bfnrt])|%[0-9a-fA-F]{2}")

_URL_TAILS = (b"sig", b"ignature", b"key", b"Key", b"oken", b"ential", b"ecret", b"assword")
_URL_NAME = re.compile(rb"(?:[?&;]|\\u0026)([A-Za-z0-9_-]{1,40})\Z")
_URL_VALUE = re.compile(rb"[A-Za-z0-9_.~%+/:-]{16,}+={0,2}")

_OPAQUE_KEY = re.compile(rb'"(\w{1,40})\\{0,8}"\s*:\s*\\{0,8}\Z')
_OPAQUE = frozenset({b"signature", b"thoughtSignature", b"thought_signature", b"encrypted_content"})
_INLINE = re.compile(rb"redacted_thinking|media_?type|mime_?type|format|base64", re.IGNORECASE)
_AROUND = 300

_ASCII_ESCAPE = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
_ESCAPED_RUN = re.compile(rb"(?:\\u00[2-7][0-9a-fA-F]|[A-Za-z0-9_.-]){20,4096}")


def find_escaped_shapes(data: bytes) -> list[Edit]:
    """Where JSON spells such a token with escapes: the whole run that holds it."""
    if b"\\u00" not in data:
        return []
    return [
        Edit(*run.span())
        for run in _ESCAPED_RUN.finditer(data)
        if b"\\u00" in run[0]
        and find_shapes(_ASCII_ESCAPE.sub(lambda code: bytes([int(code[1], 16)]), run[0]))
    ]


def find_shapes(data: bytes) -> list[Edit]:
    """Where tokens stand that are secrets by their shape, and credentials in quoted URLs.

    Args:
        data: any bytes: JSON, text, a header's value.
    """
    runs = data.translate(_RUNS)
    spans = list(_in_runs(data, runs)) if _LONG_RUN in runs else []
    if b"sk-..." in data:
        spans += (hit.span() for hit in _ELIDED.finditer(data) if _begins(data, hit.start()))
    if b"=" in data:
        spans += _in_urls(data)
    return _not_opaque(data, sorted(spans)) if spans else []


def find_private_keys(data: bytes) -> list[Edit]:
    """Where PEM blocks stand; to be taken out first: their dashes join them to neighbours."""
    if b"PRIVATE KEY" not in data:
        return []
    return [Edit(*match.span()) for match in _PEM.finditer(data)]


def _in_runs(data: bytes, runs: bytes) -> Iterator[tuple[int, int]]:
    """The shapes at the starts of long runs of token characters, which are ``a`` in ``runs``."""
    taken = 0
    start = runs.find(_LONG_RUN)
    while start >= 0:
        end = runs.find(b" ", start)
        end = len(data) if end < 0 else end
        at = start
        while at < end:
            span = _at_run(data, at, taken)
            if span:
                yield span
                taken = span[1]
            at = _behind_stars(data, span[1] if span else at, end)
        start = runs.find(_LONG_RUN, at)


def _behind_stars(data: bytes, at: int, end: int) -> int:
    """Where the next word of a run begins: stars are part of masked keys, and emphasis, too."""
    star = data.find(b"*", at, end)
    while 0 <= star < end and data[star] == _STAR:
        star += 1
    return max(at, end) if star < 0 else star


def _at_run(data: bytes, start: int, taken: int) -> tuple[int, int] | None:
    """The secret that a run begins with, if any; up to ``taken`` all secrets are known."""
    for at in _token_starts(data, start):
        if (match := _SHAPE.match(data, at)) and _holds(match, taken):
            return match.span()
    for prefix in (b"AQ.", b"ya29."):
        at = start - len(prefix)
        if data.endswith(prefix, 0, start) and _begins(data, at):
            return match.span() if (match := _DOTTED.match(data, at)) else None
    return None


def _token_starts(data: bytes, run: int) -> Iterator[int]:
    """Where a token may begin: behind the escape that the run begins with, or at its start."""
    behind = _escape_end(data, run)
    if behind != run:
        yield behind
    if behind == run or backslashes_before(data, run) % 2 == 0:
        yield run


def _escape_end(data: bytes, run: int) -> int:
    """Where the run goes on behind the rest of an escape whose first byte stands before it."""
    rest = _ESCAPE_REST.match(data, run - 1) if run > 0 else None
    return rest.end() if rest else run


def _begins(data: bytes, at: int) -> bool:
    """Whether a token that stands at ``at`` begins there, and is no longer one's end."""
    first = at
    while first > 0 and first > at - 8 and data[first - 1] in _TOKEN:
        first -= 1
    return at in (first, _escape_end(data, first))


def _holds(hit: re.Match[bytes], taken: int) -> bool:
    """Whether what has a shape is a secret and no name, base64 or other text."""
    text = hit[0].decode("ascii")
    match hit.lastgroup:
        case "worded":
            return not looks_plain(text.partition("-")[2])
        case "account":
            return not looks_plain(text[4:].lstrip("-_"))
        case "base64":
            return not _in_base64(hit.string, hit.start(), taken)
        case "jwt":
            return _is_jwt(hit[0])
    return True


def _in_base64(data: bytes, start: int, taken: int) -> bool:
    """Whether base64 stands before the token; a path may stand there, or another secret."""
    before = _BASE64_BEFORE.search(data[max(taken, start - 32) : start])
    return before is not None and not looks_plain(before[1].decode("ascii"))


def _is_jwt(token: bytes) -> bool:
    head = token.partition(b".")[0]
    try:
        return isinstance(json.loads(base64.urlsafe_b64decode(head + b"==")), dict)
    except (ValueError, RecursionError):
        return False


def _in_urls(data: bytes) -> Iterator[tuple[int, int]]:
    """The values of credentials in the queries of URLs that the bytes quote."""
    position = 0
    for piece in data.split(b"="):
        position += len(piece) + 1
        if not piece.endswith(_URL_TAILS):
            continue
        name = _URL_NAME.search(piece[-50:])
        if name and is_credential_parameter(name[1].decode("ascii")):
            value = _URL_VALUE.match(data, position)
            if value and not looks_plain(value[0].decode("ascii")):
                yield value.span()


def _not_opaque(data: bytes, spans: list[tuple[int, int]]) -> list[Edit]:
    """Those spans that are no part of a signature, encrypted content or inline data."""
    edits: list[Edit] = []
    quote = looked_at = -1
    opaque = False
    for start, end in spans:
        quote = max(quote, data.rfind(b'"', quote + 1, start))
        if quote != looked_at:
            opaque = _opens_opaque(data, quote)
            looked_at = quote
        if not opaque and not data.endswith(b";base64,", 0, start):
            edits.append(Edit(start, end))
    return edits


def _opens_opaque(data: bytes, quote: int) -> bool:
    """Whether the string that opens at ``quote`` is the value of a known opaque field."""
    key = _OPAQUE_KEY.search(data[max(0, quote - 64) : quote])
    if key is None:
        return False
    if key[1] != b"data":
        return key[1] in _OPAQUE
    before = data[max(0, quote - _AROUND) : quote].rpartition(b"{")[2]
    end = data.find(b'"', quote + 1)
    after = data[end : end + _AROUND].partition(b"}")[0]
    return _INLINE.search(before + after) is not None
