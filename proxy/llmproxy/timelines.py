"""The rhythm of recorded replies, for made-up ones to follow: ``pace: {like: run.db}``.

Strategy: of each recorded reply only the moments remain at which its tokens had arrived. A
stream's tokens are spread over its lines by how much text each line brings; a token arrives with the chunk that completes its line, so that lumps stay lumps. Lines that
repeat what was streamed before (Responses' ``.done`` and ``.completed``) bring nothing. What
is kept is bounded, however large the cassette is.

Knows no files, no clock and no settings: recordings, and the randomness to choose among
them, are handed in.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, islice
from random import Random

from llmproxy import dialects, sse
from llmproxy.dialects.dialect import header
from llmproxy.errors import SettingsError
from llmproxy.interaction import Chunk, Interaction, RecordedResponse

MOST_READ = 2_000
"""Interactions that are looked at."""
MOST_TIMELINES = 512
MOST_PER_MODEL = 32
"""Timelines of one model that are kept: streams, and as many of replies that came whole."""
MOST_TOKENS = 2_048
"""Tokens of one timeline; a longer recording counts as far as that."""
LARGEST_BODY = 16 * 2**20
"""Bytes; a larger recording is passed over."""

_BYTES_PER_TOKEN = 4
_FEWEST_BYTES_PER_TOKEN = 2
"""Text of fewer bytes than this for each token reported says that most of them were hidden."""
_CONTENT = re.compile(
    rb'"(?:content|text|delta|partial_json|arguments|thinking|reasoning|reasoning_content'
    rb'|reasoning_text|refusal|response)"\s*:\s*"([^"\\]++(?:\\.[^"\\]*+)*+|(?:\\.[^"\\]*+)++)"'
)
"""A text that is not empty in one of the members in which providers stream what they say."""
_REPEATS = re.compile(rb'"type"\s*:\s*"response\.(?![a-z_.]*\.delta")')
"""An event of a Responses stream that is no delta."""
_PARTS = re.compile(r"[-_:.@]+")


@dataclass(frozen=True, slots=True)
class Timeline:
    """When one recorded reply came; all moments are seconds after its request and ascend.

    Attributes:
        head_at: the status line and headers.
        opened_at: the first bytes of the body, such as a frame that only names the role.
        moments: ``moments[i]`` is when token ``i`` had arrived; at least one.
        whole: the reply was not streamed: its tokens are spread evenly over its time.
    """

    head_at: float
    opened_at: float
    moments: tuple[float, ...]
    whole: bool = False

    def at(self, token: int) -> float:
        """When token ``token``, counted from 0, arrives.

        Behind the last recorded token the gaps begin again with the first one.
        """
        moments = self.moments
        if token < len(moments):
            return moments[token]
        if len(moments) == 1:
            return moments[0]
        rounds, rest = divmod(token, len(moments) - 1)
        return rounds * (moments[-1] - moments[0]) + moments[rest]


class Learnt:
    """Timelines by model.

    Args:
        timelines: at least one model, each with at least one timeline.
    """

    def __init__(self, timelines: Mapping[str, tuple[Timeline, ...]]) -> None:
        self._timelines = {name: _preferred(timelines[name]) for name in timelines}
        self._parts = {name: _name_parts(name) for name in timelines}

    @property
    def models(self) -> tuple[str, ...]:
        """The models learnt from, in the order in which they were met."""
        return tuple(self._timelines)

    def pick(self, model: str, rng: Random, tokens: int = 1) -> Timeline:
        """A timeline for a made-up reply of ``model`` with ``tokens`` tokens.

        One of the same model; else of those whose names begin with the most parts in common
        (``gpt-4o-mini`` for ``gpt-4o-mini-2024-07-18``); else of any. Of these, one at least half
        as long as the reply or as the longest there is, because a short one tells little.
        """
        found = self._timelines.get(model) or self._nearest(_name_parts(model))
        longest = max(len(each.moments) for each in found)
        enough = min(tokens, longest) / 2
        return rng.choice([each for each in found if len(each.moments) >= enough])

    def _nearest(self, parts: list[str]) -> list[Timeline]:
        common = {name: _common(parts, other) for name, other in self._parts.items()}
        most = max(common.values())
        return [
            each for name, timelines in self._timelines.items() if common[name] == most
            for each in timelines
        ]  # fmt: skip


def learn(interactions: Iterable[Interaction], place: str = "the cassette") -> Learnt:
    """The timelines of recorded replies: successful ones that ended well and have tokens.

    Args:
        interactions: read one by one and not kept; those that matter most first.
        place: what the recordings lie in, for the error.

    Raises:
        SettingsError: no reply tells a rhythm.
    """
    kept: dict[str, list[Timeline]] = defaultdict(list)
    total = 0
    for interaction in islice(interactions, MOST_READ):
        if total == MOST_TIMELINES:
            break
        model, timeline = read_timeline(interaction)
        if timeline is None:
            continue
        same = [each for each in kept[model] if each.whole is timeline.whole]
        if len(same) < MOST_PER_MODEL:
            kept[model].append(timeline)
            total += 1
    if not total:
        raise SettingsError(
            f"{place} holds no reply whose rhythm could be learnt",
            "name one that was recorded while a model answered, best in streams",
        )
    return Learnt({model: tuple(timelines) for model, timelines in kept.items()})


def read_timeline(interaction: Interaction) -> tuple[str, Timeline | None]:
    """The model that a recorded reply is of, and its timeline.

    None where it failed, broke off or ended in an error, is too large or has no tokens.
    """
    asked, response = interaction.request, interaction.response
    size = sum(len(chunk.data) for chunk in response.chunks)
    if response.status // 100 != 2 or response.end != "eof" or not 0 < size <= LARGEST_BODY:
        return "", None
    found = dialects.of(asked.method, asked.path, asked.headers, asked.query)
    dialect = found or dialects.named(asked.upstream) or dialects.DEFAULT
    content_type, body = header(response.headers, "content-type") or "", response.body
    if asked.method != "POST" or dialect.stream_failed(content_type, body):
        return "", None
    told = dialect.read_facts(asked.path, asked.body, content_type, body)
    if _is_stream(content_type, asked.path):
        return told.model, _from_stream(response, body, told.output_tokens)
    return told.model, _from_whole(response, told.output_tokens)


def _is_stream(content_type: str, path: str) -> bool:
    """Gemini's JSON array is one without saying so."""
    if sse.is_event_stream(content_type) or sse.is_ndjson(content_type):
        return True
    return path.endswith(":streamGenerateContent")


def _from_whole(response: RecordedResponse, tokens: int | None) -> Timeline | None:
    if not tokens:
        return None
    each = max(0.0, response.ended_at) / tokens
    moments = tuple(each * count for count in range(1, min(tokens, MOST_TOKENS) + 1))
    return Timeline(moments[0], moments[0], moments, whole=True)


def _from_stream(response: RecordedResponse, body: bytes, reported: int | None) -> Timeline | None:
    arrivals, tokens = _weigh(_lines(response.chunks, body), reported)
    if not arrivals:
        return None
    size = sum(weight for _, weight in arrivals)
    moments: list[float] = []
    come, latest = 0, 0.0
    for moment, weight in arrivals:
        come += weight
        latest = max(latest, moment)
        there = min(-(-come * tokens // size), MOST_TOKENS)
        moments += [latest] * (there - len(moments))
    opened_at = min(max(0.0, response.chunks[0].offset), moments[0])
    return Timeline(min(max(0.0, response.head_at), opened_at), opened_at, tuple(moments))


def _weigh(
    lines: list[tuple[float, int]], reported: int | None
) -> tuple[list[tuple[float, int]], int]:
    """The lines that brought tokens, each with its weight, and how many tokens they brought.

    Where no tokens are reported each line is one. Hidden reasoning is reported but never
    streamed: where there is too little text for the tokens, the text says how many they were.
    """
    texts = [(moment, size) for moment, size in lines if size]
    if not reported or not texts:
        alike = [(moment, 1) for moment, _ in texts or lines]
        return alike, reported or len(alike)
    size = sum(weight for _, weight in texts)
    if reported * _FEWEST_BYTES_PER_TOKEN > size:
        return texts, max(len(texts), size // _BYTES_PER_TOKEN)
    return texts, reported


def _lines(chunks: tuple[Chunk, ...], body: bytes) -> list[tuple[float, int]]:
    """When each line that may tell something was complete, and how many bytes of text it brings."""
    ends = list(accumulate(len(chunk.data) for chunk in chunks))
    lines: list[tuple[float, int]] = []
    position = 0
    for line in body.splitlines(keepends=True):
        position += len(line)
        if not _may_tell(line):
            continue
        text = 0 if _REPEATS.search(line) else sum(map(len, _CONTENT.findall(line)))
        lines.append((chunks[bisect_left(ends, position)].offset, text))
    return lines


def _may_tell(line: bytes) -> bool:
    """Whether a line of an event stream, of NDJSON or of indented JSON may hold content."""
    return len(line.strip()) > 1 and not line.startswith((b":", b"event:", b"id:", b"data: [DONE]"))


def _preferred(timelines: tuple[Timeline, ...]) -> tuple[Timeline, ...]:
    """The streams among them, if there are any: they tell more."""
    return tuple(each for each in timelines if not each.whole) or timelines


def _name_parts(model: str) -> list[str]:
    """``openai/gpt-4o-mini`` as ``[gpt, 4o, mini]``."""
    return _PARTS.split(model.rpartition("/")[2].lower())


def _common(one: list[str], other: list[str]) -> int:
    """How many parts they begin with in common."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
