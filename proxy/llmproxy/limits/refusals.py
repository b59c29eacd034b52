"""The error of a request that a limit refuses, before it has a provider's shape.

Strategy: the message names the limit as the file does and, where a wait helps, ends as
OpenAI's does, because programs read the wait out of it. How long to wait stands in
``Problem.retry_after``, out of which each dialect writes its header lines and details.
"""

from __future__ import annotations

import math

from llmproxy.interaction import Problem
from llmproxy.limits.headers import duration
from llmproxy.limits.limit import Reading
from llmproxy.limits.rate import format_rate

CODE = "rate_limit_exceeded"
_NOUNS = {"total": "tokens", "input": "input tokens", "output": "output tokens"}
_SAID = {
    "after-n": "only the first {n} requests are let through",
    "random": "{percent:g} % of the requests are refused at random",
    "always": "all requests are refused",
}


def problem(dialect_name: str, refused: Reading) -> Problem:
    """The 429 of a refused request.

    ``kind`` says by what the limit counts, as OpenAI's ``type`` does. ``retry_after`` is None
    where the request alone costs more than the limit.
    """
    wait = _wait(refused)
    return Problem(
        status=429,
        message=_message(refused, wait),
        kind="tokens" if refused.measure in _NOUNS else "requests",
        code=None if dialect_name == "anthropic" else CODE,
        retry_after=wait,
    )


def _wait(refused: Reading) -> float | None:
    """Seconds until it helps to come again, more than 0; None where it never does."""
    wait = refused.verdict.retry_after
    return wait if wait is not None and math.isfinite(wait) else None


def _message(refused: Reading, wait: float | None) -> str:
    place = f" ({refused.limit.place})" if refused.limit.place else ""
    said = f"{_name(refused)}{place}"
    if wait is None:
        return (
            f"Request too large: the limit is {said}, at most {refused.verdict.limit} at once, "
            f"and this request alone counts {refused.cost}. No wait helps."
        )
    if refused.measure in _NOUNS:
        said += f", {refused.verdict.remaining} left, {refused.cost or 'some'} asked for"
    return f"Rate limit reached: {said}. Please try again in {duration(wait)}."


def _name(refused: Reading) -> str:
    """``60 requests per minute``, ``a concurrency of 4``."""
    limit = refused.limit
    if refused.measure == "concurrency":
        return f"a concurrency of {limit.concurrency}"
    rate = limit.rate(refused.measure)
    if rate is None:
        return _SAID[limit.strategy].format(n=limit.n, percent=limit.probability * 100)
    count, _, per = format_rate(rate).partition(" ")
    return f"{count} {_NOUNS.get(refused.measure, 'requests')} {per}"
