"""What a request itself asks of a made-up reply, in members that no provider knows.

``mock_response`` (or ``text``, ``response``) says the reply, ``response_length`` or
``duration_seconds`` its size. The names are those of the systems that this one stands in for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmproxy.kinds import RESPONSE_LENGTHS
from llmproxy.prompt import Prompt
from llmproxy.synthesis.scripted import Script, ScriptError, read_script

_USUAL, _LONG = 1_500, 10_000
"""Tokens of a reply whose length is a word, and tokens that take milliseconds to make."""
LONGEST_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """``length`` is one of ``RESPONSE_LENGTHS`` or a number of tokens; ``seconds`` sizes by speed."""

    script: Script | None = None
    length: str | int | None = None
    seconds: float | None = None


def read_wishes(body: Mapping[str, Any]) -> Wishes:
    """The wishes of a request's body.

    Raises:
        ScriptError: one cannot be; the message names the member.
    """
    return Wishes(_script(body), _length(body), _seconds(body))


def is_heavy(prompt: Prompt, usual: str | int | None) -> bool:
    """Whether a reply may take more than some milliseconds to make.

    A guess from what is asked for: choices, length, probabilities.
    ``usual`` is the length that the settings give a reply.
    """
    body = prompt.body
    length = body.get("response_length") or usual
    tokens = length if type(length) is int else _USUAL
    if body.get("duration_seconds") is not None:
        tokens = _LONG
    if isinstance(said := body.get("mock_response"), str):
        tokens = max(tokens, len(said) // 4)
    work = tokens * prompt.count * (10 if body.get("logprobs") or body.get("top_logprobs") else 1)
    return work > _LONG


def _script(body: Mapping[str, Any]) -> Script | None:
    """The aliases count as a text only: ``text`` is an object of its own in OpenAI's Responses."""
    said = body.get("mock_response")
    if said is None:
        for alias in ("text", "response"):
            if isinstance(body.get(alias), str):
                return read_script(body[alias])
        return None
    if not isinstance(said, str | Mapping):
        raise ScriptError("mock_response: must be a text or an object")
    try:
        return read_script(said)
    except ScriptError as error:
        raise ScriptError(f"mock_response.{error}") from error


def _length(body: Mapping[str, Any]) -> str | int | None:
    value = body.get("response_length")
    if value is None or (isinstance(value, str) and value in RESPONSE_LENGTHS):
        return value
    if type(value) is int and value >= 1:
        return value
    raise ScriptError(f"response_length: must be one of {', '.join(RESPONSE_LENGTHS)}, or tokens")


def _seconds(body: Mapping[str, Any]) -> float | None:
    value = body.get("duration_seconds")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ScriptError("duration_seconds: must be a number")
    if not 0 < value <= LONGEST_SECONDS:
        raise ScriptError(f"duration_seconds: must be above 0 and at most {LONGEST_SECONDS:g}")
    return float(value)
