"""The traffic that the subjects send: one kind of request, its reply, and streams with a rhythm.

Everything follows from a number, so that client, server and cassette agree without a word
between them, and every run sees the same bytes. Knows no server and no clock.
"""

from __future__ import annotations

import functools
import json
import math
import random
import re
from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType

PATH = "/v1/chat/completions"
MARK = b'"at":"'
"""Before the time at which a server may say that it sent a frame."""
NO_TIME = b"0000000 000000000"
"""Where it does not. Seconds and nanoseconds stand apart: no long run of digits, which
redaction would have to look at closely."""
FRAME = 200
"""Bytes of a frame."""
RHYTHMS = 64
STORIES = 16
_OF_A_STORY = 1000
_PIECE = re.compile(r" ?\w+|[^\w\s]")
_NOTHING: Mapping[str, object] = MappingProxyType({})

_SENTENCES = (
    "The harbour opens at six and the first boats come in with the tide.",
    "A short answer is enough; name the source where there is one.",
    "Costs are given without tax, in the currency of the invoice.",
    "When two readings differ, say so and keep the earlier one.",
    "The valve on the north side closes before the one on the south side.",
    "Write for a reader who has the manual at hand and little time.",
    "Every table has a heading, and no heading has a table inside it.",
    "If the measurement is missing, leave the line out.",
)


def prose(size: int, seed: int) -> str:
    """About ``size`` characters of plain sentences."""
    chosen = random.Random(seed)
    text = ""
    while len(text) < size:
        text += chosen.choice(_SENTENCES) + " "
    return text[:size].rstrip()


_SYSTEM = prose(700, 1)


def pieces(text: str) -> list[str]:
    """Words and marks; for our sentences these are the tokens that OpenAI's vocabularies cut."""
    return _PIECE.findall(text)


@functools.cache
def story(number: int) -> str:
    """What the reply to request ``number`` is to say where streams are made up: 50 to 100 tokens."""
    which = number // _OF_A_STORY % STORIES
    return "".join(pieces(prose(700, which))[: 50 + 50 * which // (STORIES - 1)])


def story_number(index: int) -> int:
    """The number of the request of stream ``index``: all 1,000 differ, and their stories too."""
    return index % STORIES * _OF_A_STORY + index % _OF_A_STORY


def story_mark(which: int) -> str:
    """What stands in every request for story ``which``."""
    return f"Question {which * _OF_A_STORY:08d}"[:-3]


def request_body(
    number: int,
    *,
    stream: bool = False,
    shuffled: bool = False,
    fields: Mapping[str, object] = _NOTHING,
) -> bytes:
    """The body of request ``number``, about 1 KB; ``shuffled`` has its keys in another order.

    ``fields`` are members of the body besides its own.
    """
    body: dict[str, object] = {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": _SYSTEM},
            {"role": "user", "content": f"Question {number:08d}: what follows from line 12?"},
        ],
        "temperature": 0.2,
        "max_tokens": 256,
        "top_p": 1.0,
        "seed": 7,
        **fields,
    }
    if stream:
        body["stream"] = True
    if shuffled:
        body = dict(reversed(body.items()))
    return json.dumps(body).encode()


def reply_body(number: int) -> bytes:
    """The reply to request ``number``, about 1 KB of JSON."""
    message = {"role": "assistant", "content": f"Answer {number:08d}. {prose(640, number)}"}
    usage = {"prompt_tokens": 180, "completion_tokens": 150, "total_tokens": 330}
    body = {
        "id": f"chatcmpl-{number:08d}",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage,
        "system_fingerprint": "fp_0000000000",
    }
    return json.dumps(body).encode()


@functools.cache
def _frames(rhythm: int, count: int, mean: float) -> tuple[tuple[float, bytes], ...]:
    chosen = random.Random(rhythm)
    gaps = [math.exp(chosen.gauss(0.0, 0.7)) for _ in range(count)]
    scale = count * mean / sum(gaps)
    due = accumulate(gap * scale for gap in gaps)
    return tuple((moment, frame(index)) for index, moment in enumerate(due))


def frames(number: int, count: int, mean: float) -> tuple[tuple[float, bytes], ...]:
    """Stream ``number``: ``count`` frames and the second each is due, with uneven gaps.

    The gaps are log-normal (the longest some ten times the mean) and add up to
    ``count * mean`` seconds. There are 64 rhythms, made once each, so that a server to
    compare with spends its time on sending.
    """
    return _frames(number % RHYTHMS, count, mean)


def frame(index: int) -> bytes:
    """One server-sent event with a place for the time it is sent at."""
    head = b'data: {"at":"%b","index":%d,"text":"' % (NO_TIME, index)
    text = prose(FRAME, index).encode()[: FRAME - len(head) - 4]
    return head + text + b'"}\n\n'


def stamp(data: bytes, nanoseconds: int) -> bytes:
    """A frame with the time at which it is sent."""
    time = b"%07d %09d" % divmod(nanoseconds, 10**9)
    return data.replace(MARK + NO_TIME, MARK + time, 1)


def stamped(data: bytes, start: int) -> int:
    """The nanoseconds in the frame that begins at ``start``; 0 where none are."""
    mark = data.find(MARK, start) + len(MARK)
    seconds, _, rest = data[mark : mark + len(NO_TIME)].partition(b" ")
    return int(seconds) * 10**9 + int(rest)


def http_request(host: str, body: bytes) -> bytes:
    """A POST with the header lines that an SDK sends."""
    lines = (
        f"POST {PATH} HTTP/1.1",
        f"Host: {host}",
        "Accept-Encoding: gzip, deflate",
        "Connection: keep-alive",
        "Accept: application/json",
        "Content-Type: application/json",
        "User-Agent: benchmark/1.0",
        "X-Stainless-Lang: python",
        "X-Stainless-Retry-Count: 0",
        "Authorization: Bearer made-up-for-benchmarks-0123456789",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
