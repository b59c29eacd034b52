"""Cassettes as a person reads them in a terminal: lists, one interaction, a stream's rhythm.

A cassette may come from a stranger: nothing of it reaches the terminal that could steer it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterator, Sequence

from llmproxy.cassette import Entry
from llmproxy.interaction import Chunk, Headers, Interaction, RecordedResponse

BLOCKS = " ▁▂▃▄▅▆▇█"
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def safe(text: str, limit: int | None = None) -> str:
    """``text`` without what a terminal obeys; cut to ``limit`` characters."""
    clean = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
    return clean if limit is None or len(clean) <= limit else clean[: limit - 1] + "…"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: set[str]) -> list[str]:
    """Aligned lines; the columns in ``right`` are numbers."""
    cells = [list(map(safe, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = []
    for row in (list(heads), *cells):
        aligned = [
            cell.rjust(width) if head in right else cell.ljust(width)
            for head, cell, width in zip(heads, row, widths, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return lines


def listing(entries: Sequence[Entry]) -> list[str]:
    """One line for each interaction."""
    heads = ["id", "request", "model", "status", "first", "total", "tokens", "bytes", ""]
    rows = [
        [
            str(each.id),
            safe(f"{each.method} {each.path}", 44),
            safe(each.model or "", 28),
            str(each.status),
            milliseconds(each.first_byte_ms or 0.0),
            milliseconds(each.duration_ms or 0.0),
            _tokens(each.input_tokens, each.output_tokens),
            size(each.response_bytes or 0),
            " ".join(_marks(each)),
        ]
        for each in entries
    ]
    return table(heads, rows, {"id", "first", "total", "tokens", "bytes"})


def _marks(entry: Entry) -> Iterator[str]:
    if entry.stream:
        yield "stream"
    if entry.end != "eof":
        yield entry.end
    if entry.session != "default":
        yield f"session {entry.session}"


def interaction(each: Interaction, width: int = 80) -> list[str]:
    """One interaction: request, response and the rhythm in which it came."""
    request, response = each.request, each.response
    query = f"?{request.query}" if request.query else ""
    lines = [
        f"#{each.id}  run {each.run}, session {each.session}, upstream {request.upstream}",
        "",
        f"{request.method} {request.path}{query}",
        *_headers(request.headers),
        "",
        *_body(request.body, request.headers),
        "",
        f"{response.status} {response.reason}",
        *_headers(response.headers),
        "",
        *_body(response.body, response.headers),
        "",
        *rhythm(response, width),
    ]
    return [safe(line) for line in lines]


def rhythm(response: RecordedResponse, width: int = 80) -> list[str]:
    """A picture of when the bytes came: one column a slice of time, higher for more bytes."""
    chunks = response.chunks
    total = max(response.ended_at, 1e-6)
    columns = max(10, width - 2)
    slices = [0] * columns
    for chunk in chunks:
        slices[min(columns - 1, int(chunk.offset / total * columns))] += len(chunk.data)
    most = max(slices) or 1
    bars = "".join(BLOCKS[-(-count * (len(BLOCKS) - 1) // most)] for count in slices)
    scale = f"0{milliseconds(total * 1e3).rjust(columns - 1)}"
    end = "" if response.end == "eof" else ", then the connection broke"
    return [
        (
            f"{len(chunks)} chunk{'s' * (len(chunks) != 1)}, {size(len(response.body))},"
            f" head after {milliseconds(response.head_at * 1e3)}{_gaps(chunks)}{end}"
        ),
        f"▕{bars}▏",
        f" {scale}",
    ]


def _gaps(chunks: Sequence[Chunk]) -> str:
    gaps = sorted(b.offset - a.offset for a, b in itertools.pairwise(chunks))
    if not gaps:
        return ""
    median, longest = gaps[len(gaps) // 2], gaps[-1]
    return f", gaps of {milliseconds(median * 1e3)} (longest {milliseconds(longest * 1e3)})"


def _headers(headers: Headers) -> list[str]:
    return [f"  {name}: {value}" for name, value in headers]


def _body(body: bytes, headers: Headers) -> list[str]:
    if not body:
        return ["(no body)"]
    kind = next((v for n, v in headers if n.lower() == "content-type"), "")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return [f"({size(len(body))} of {kind or 'bytes that are no text'})"]
    if "json" in kind:
        with contextlib.suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text.splitlines()


def _tokens(taken: int | None, given: int | None) -> str:
    if taken is None and given is None:
        return ""
    return f"{'?' if taken is None else taken}→{'?' if given is None else given}"


def milliseconds(value: float) -> str:
    """``12 ms`` or ``1.20 s``."""
    return f"{value / 1e3:.2f} s" if value >= 1000 else f"{value:.0f} ms"


def size(count: int) -> str:
    """``812 B``, ``1.2 KB``, ``3.4 MB``."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.1f} KB" if count < 1e6 else f"{count / 1e6:.1f} MB"
