"""When the chunks of a made-up reply leave: the settings of its pace and the moments.

Strategy: each frame takes the time of what **it** carries, so the mean rate is the one that
was set, however many tokens a frame has. Moments are sums from the request on, never sleep
after sleep, so nothing drifts. A reply that is not streamed takes as long as its stream would
have, and a time limit is applied before anything is sent; both hold because the same
arithmetic with a random generator of the same seed gives the same moments.

Knows no wire format, no clock and no files: frames are numbers of tokens and characters here.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Literal

from llmproxy.kinds import COUNT, DURATION, FACTOR, FRACTION, NUMBER, TIME_LIMIT
from llmproxy.setting import setting

if TYPE_CHECKING:  # --help reads these settings and shall load neither
    from random import Random

    from llmproxy.timelines import Timeline

Carried = tuple[int, int]
"""Tokens and characters that a frame carries; ``(0, 0)`` for role, ping, finish, usage."""

Unit = Literal["token", "word", "char"]
Distribution = Literal["constant", "uniform", "normal", "lognormal"]

_FULL_LOAD = 10
"""Requests at once that slow replies down by the whole of ``degradation``."""
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """When the chunks of a made-up reply leave: the section ``pace`` of ``proxy.yml``.

    The gap before a chunk is the sum of its tokens' time, its characters' time and
    ``chunk_delay``. With ``jitter`` j a gap, and the time to first token, becomes random and
    keeps its mean m: ``uniform`` lies within m ± j·m; ``normal`` has the standard deviation j·m
    and is drawn again outside 0 to 2·m (which makes the deviation smaller for j above 0.5);
    ``lognormal`` has the standard deviation j·m and a long tail; ``constant`` knows no jitter.
    """

    like: str | None = setting(
        None, "a cassette whose recorded rhythm made-up replies follow", reload=True
    )
    ttft: Annotated[float, DURATION] | None = setting(
        None,
        "time to first token, such as 300ms; null is none, or that of the cassette in like",
        reload=True,
    )
    prefill: Annotated[float, DURATION] = setting(
        0.0, "added to ttft for each token of the prompt", reload=True
    )
    tokens_per_second: Annotated[float, NUMBER] | None = setting(
        None, "how fast tokens follow each other; 0 or null is no delay", reload=True
    )
    characters_per_second: Annotated[float, NUMBER] | None = setting(
        None, "how fast characters follow each other; 0 or null is no delay", reload=True
    )
    chunk_unit: Unit = setting("token", "what a stream is cut into", reload=True)
    chunk_size: Annotated[int, COUNT] = setting(
        1, "how many tokens, words or characters a chunk has", reload=True
    )
    chunk_delay: Annotated[float, DURATION] = setting(
        0.0, "added to the gap before each chunk", reload=True
    )
    chunk_jitter: Annotated[float, DURATION] = setting(
        0.0, "at most how much more, at random, is added to the gap before each chunk", reload=True
    )
    jitter: Annotated[float, FRACTION] = setting(
        0.0, "how far ttft and gaps stray from their mean, as a share of it: 0 to 1", reload=True
    )
    distribution: Distribution = setting(
        "uniform", "how ttft and gaps stray from their mean", reload=True
    )
    degradation: Annotated[float, FACTOR] = setting(
        1.0,
        "ttft and gaps grow by up to this factor, in full from 10 requests at once",
        reload=True,
    )
    max_stream_time: Annotated[float, TIME_LIMIT] | None = setting(
        None, "a longer reply is cut so that it ends by then; null is no limit", reload=True
    )
    truncation_message: str = setting(
        "… [truncated at the time limit]",
        "the end of a reply that the time limit has cut",
        reload=True,
    )

    @property
    def has_speed(self) -> bool:
        """Whether something says how fast chunks follow each other, if only "no delay"."""
        return (
            self.tokens_per_second is not None
            or self.characters_per_second is not None
            or self.chunk_delay > 0
            or self.chunk_jitter > 0
        )

    @property
    def instant(self) -> bool:
        """Whether every reply leaves at once, so that nothing need be worked out."""
        return self.like is None and not (
            self.ttft
            or self.prefill
            or self.tokens_per_second
            or self.characters_per_second
            or self.chunk_delay
            or self.chunk_jitter
        )


@dataclass(frozen=True, slots=True)
class Moments:
    """When a reply leaves, in seconds after its request: the head, each frame, the end."""

    head_at: float
    offsets: tuple[float, ...]
    ended_at: float


def offsets(
    pace: PaceSettings,
    frames: Sequence[Carried],
    prompt_tokens: int,
    load: float,
    rng: Random,
    timeline: Timeline | None = None,
) -> Moments:
    """The moments of a stream.

    The head leaves with the first frame: at the time to first token, as the role frame and the
    first frame with content do. Each later frame leaves after the time of what it carries; one
    that carries nothing leaves with the frame before it. With a time limit nothing leaves after
    it: what would, leaves then.

    Args:
        pace: as ``resolve`` gave it.
        frames: of the whole stream, in order. Several choices in one stream share the rate.
        prompt_tokens: for ``prefill``.
        load: requests in flight, for ``degradation``.
        rng: drawn from only where something is random. With a generator of the same seed and
            the same contents, ``fitting`` and ``whole`` speak of the same moments.
        timeline: the recorded rhythm to follow where ``pace`` sets neither ttft nor speed of
            its own; its head and first frames leave as recorded, without jitter and prefill.
    """
    head_at, moments = _unlimited(pace, frames, prompt_tokens, load, rng, timeline)
    limit = pace.max_stream_time
    if limit is not None:
        head_at = min(head_at, limit)
        in_time = bisect_right(moments, limit)
        moments[in_time:] = [limit] * (len(moments) - in_time)
    return Moments(head_at, tuple(moments), moments[-1] if moments else head_at)


def whole(
    pace: PaceSettings,
    pieces: Sequence[Carried],
    prompt_tokens: int,
    load: float,
    rng: Random,
    timeline: Timeline | None = None,
) -> float:
    """When a reply that is not streamed leaves: when its stream would have ended.

    ``pieces`` are what the stream would have been cut into; the rest is as in ``offsets``.
    """
    return offsets(pace, pieces, prompt_tokens, load, rng, timeline).ended_at


def fitting(
    pace: PaceSettings,
    pieces: Sequence[Carried],
    prompt_tokens: int,
    load: float,
    rng: Random,
    timeline: Timeline | None = None,
) -> int:
    """How many of the first pieces of a reply leave within ``max_stream_time``.

    Fewer than all: the caller keeps these, adds ``truncation_message`` and ends with
    ``length``. The message has left by the limit too, at once where no time is left for it.
    """
    limit = pace.max_stream_time
    if limit is None:
        return len(pieces)
    _, moments = _unlimited(pace, pieces, prompt_tokens, load, rng, timeline)
    return bisect_right(moments, limit + _SLACK)


@dataclass(frozen=True, slots=True)
class _Start:
    """Head, first frame of any kind, first frame with content; without ``degradation``."""

    head_at: float
    opened_at: float
    first_at: float


def _unlimited(
    pace: PaceSettings,
    frames: Sequence[Carried],
    prompt_tokens: int,
    load: float,
    rng: Random,
    timeline: Timeline | None,
) -> tuple[float, list[float]]:
    """Head and frames as if there were no time limit."""
    if timeline is None and pace.instant:
        return 0.0, [0.0] * len(frames)
    start = _start(pace, prompt_tokens, rng, timeline)
    if timeline is not None and not pace.has_speed:
        moments = _recorded(frames, start, timeline)
    else:
        moments = list(accumulate(_gaps(pace, frames, rng, start), initial=start.opened_at))[1:]
    slowness = 1 + (pace.degradation - 1) * min(1.0, load / _FULL_LOAD)
    if slowness == 1:
        return start.head_at, moments
    return start.head_at * slowness, [moment * slowness for moment in moments]


def _start(
    pace: PaceSettings, prompt_tokens: int, rng: Random, timeline: Timeline | None
) -> _Start:
    if timeline is not None and pace.ttft is None:
        return _Start(timeline.head_at, timeline.opened_at, timeline.moments[0])
    ttft = (pace.ttft or 0.0) + pace.prefill * prompt_tokens
    draw = _drawing(pace, rng)
    if ttft and draw:
        ttft *= draw()
    return _Start(ttft, ttft, ttft)


def _gaps(pace: PaceSettings, frames: Sequence[Carried], rng: Random, start: _Start) -> list[float]:
    """The time between each frame and the one before it.

    Draws are made frame by frame, so that a shorter reply has the moments of a longer one.
    """
    token = 1 / pace.tokens_per_second if pace.tokens_per_second else 0.0
    character = 1 / pace.characters_per_second if pace.characters_per_second else 0.0
    delay, more, draw = pace.chunk_delay, pace.chunk_jitter, _drawing(pace, rng)
    gaps: list[float] = []
    begun = False
    for tokens, characters in frames:
        gap = 0.0
        if not (tokens or characters):
            pass
        elif begun:
            gap = tokens * token + characters * character + delay
            if draw is not None and gap:
                gap *= draw()
            if more:
                gap += more * rng.random()
        else:
            begun = True
            gap = start.first_at - start.opened_at
        gaps.append(gap)
    return gaps


def _recorded(frames: Sequence[Carried], start: _Start, timeline: Timeline) -> list[float]:
    """Each frame when the last of its tokens had arrived, moved to where the reply begins."""
    at, shift = timeline.at, start.first_at - timeline.moments[0]
    moments: list[float] = []
    latest, come = start.opened_at, 0
    for tokens, characters in frames:
        if tokens or characters:
            come += tokens
            latest = max(latest, at(max(come, 1) - 1) + shift)
        moments.append(latest)
    return moments


def _drawing(pace: PaceSettings, rng: Random) -> Callable[[], float] | None:
    """Draws factors around 1, or None where there is nothing random."""
    jitter = pace.jitter
    if not jitter or pace.distribution == "constant":
        return None
    if pace.distribution == "uniform":
        low, width, random = 1 - jitter, 2 * jitter, rng.random
        return lambda: low + width * random()
    gauss = rng.gauss
    if pace.distribution == "normal":
        return lambda: _within(gauss, jitter)
    variance = math.log1p(jitter * jitter)
    mean, deviation, exp = -variance / 2, math.sqrt(variance), math.exp
    return lambda: exp(gauss(mean, deviation))


def _within(gauss: Callable[[float, float], float], deviation: float) -> float:
    """Normal around 1, cut at 0 and, so that the mean stays, at 2 as well."""
    while True:
        factor = gauss(1.0, deviation)
        if 0 <= factor <= 2:
            return factor
