"""How fast models are, and whose word on the pace of a reply counts.

Strategy: a request's own fields come before its model's entry, and that before the settings;
what comes out is settings again. A request is anybody's, so its fields are checked here.

Knows no wire format: the names are those of llmproxy and of the mock servers whose clients it
serves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated

from llmproxy.kinds import DURATION, NUMBER, TIME_LIMIT
from llmproxy.rhythm import PaceSettings
from llmproxy.setting import setting
from llmproxy.units import quote

SLOWEST = 0.001
FASTEST = 1_000_000.0
"""Bounds of a speed, in tokens or characters a second; 0 is allowed and means no delay."""
LONGEST_TTFT = 86_400.0
LARGEST_CHUNK = 10_000

_BASE_SPEED, _SLOWEST_MODEL, _FASTEST_MODEL = 25.0, 1.0, 20.0


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model of the section ``models`` of ``proxy.yml``."""

    tokens_per_second: Annotated[float, NUMBER] | None = setting(
        None, "how fast tokens follow each other; 0 is no delay", reload=True
    )
    parameters: Annotated[float, NUMBER] | None = setting(
        None, "the model's size in billions, from which a speed follows", reload=True
    )
    ttft: Annotated[float, DURATION] | None = setting(None, "time to first token", reload=True)
    max_stream_time: Annotated[float, TIME_LIMIT] | None = setting(
        None, "a longer reply is cut so that it ends by then", reload=True
    )
    description: str = setting("", "what lists of models say of it", reload=True)

    @property
    def speed(self) -> float | None:
        """Tokens a second: as set, else as the size lets expect, else None."""
        if self.tokens_per_second is not None:
            return self.tokens_per_second
        return None if self.parameters is None else speed_of(self.parameters)


def speed_of(parameters: float) -> float:
    """Tokens a second to expect of a model with so many billions of parameters.

    ``25 * (1 / ln(parameters + 1)) ** 1.5``, at least 1 and at most 20; 25 for none (the
    formula of openai-stream-mocker).
    """
    if parameters <= 0:
        return _BASE_SPEED
    logarithm = math.log1p(parameters)
    if logarithm < 0.5:  # far above the upper bound; dividing by less might overflow
        return _FASTEST_MODEL
    return min(_FASTEST_MODEL, max(_SLOWEST_MODEL, _BASE_SPEED * math.pow(logarithm, -1.5)))


def _sized(parameters: float, family: str) -> ModelSettings:
    return ModelSettings(
        None, parameters, description=f"{family}, {parameters:g} billion parameters"
    )


def _timed(speed: float, parameters: float, description: str) -> ModelSettings:
    return ModelSettings(speed, parameters, description=description)


KNOWN_SPEEDS: Mapping[str, ModelSettings] = MappingProxyType(
    {
        "llama-3-8b": _sized(8, "Llama 3"),
        "llama-3-70b": _sized(70, "Llama 3"),
        "codellama-13b": _sized(13, "Code Llama"),
        "codellama-34b": _sized(34, "Code Llama"),
        "deepseek-r1": _sized(10, "DeepSeek R1"),
        "gpt-3.5-turbo": _timed(10, 20, "GPT-3.5 Turbo"),
        "gpt-3.5-turbo-16k": _timed(10, 20, "GPT-3.5 Turbo with a context of 16K"),
        "gpt-4": _timed(5, 170, "GPT-4"),
        "gpt-4-turbo": _timed(7, 140, "GPT-4 Turbo"),
        "gpt-4-32k": _timed(5, 170, "GPT-4 with a context of 32K"),
        "claude-2": _timed(8, 100, "Claude 2"),
        "claude-instant": _timed(12, 60, "Claude Instant"),
    }
)
"""Speeds and sizes as openai-stream-mocker's documentation lists them."""

_ASKED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tokens_per_second": ("tokens_per_second", "tps"),
        "ttft": ("time_to_first_token", "ttft"),
        "tokens_per_chunk": ("tokens_per_chunk",),
        "chunk_size": ("chunk_size",),
    }
)
"""The names under which a request says its pace; the first that is there counts."""
_ASKED_NAMES = frozenset(name for names in _ASKED.values() for name in names)


def resolve(
    pace: PaceSettings, model: ModelSettings | None, asked: Mapping[str, object]
) -> PaceSettings:
    """The pace of one reply: the request's own word before its model's before the settings.

    A speed takes the place of every speed that counts less, ``chunk_delay`` included; a
    request's time to first token takes that of ``prefill`` too.

    Args:
        pace: the settings.
        model: the entry of the request's model, if there is one.
        asked: the request's body: ``tokens_per_second`` or ``tps``, ``time_to_first_token`` or
            ``ttft``, ``tokens_per_chunk``, ``chunk_size`` (in the settings' unit). Null is as
            absent.

    Raises:
        ValueError: a field of the request is of a wrong type or out of bounds; the text begins
            with its name.
    """
    given = _read_asked(asked) if not _ASKED_NAMES.isdisjoint(asked) else {}
    if model is None and not given:
        return pace
    changes: dict[str, object] = {}
    if model is not None:
        changes = {"ttft": model.ttft, "max_stream_time": model.max_stream_time}
        changes |= {"tokens_per_second": model.speed}
    changes |= given
    changes = {name: value for name, value in changes.items() if value is not None}
    if "tokens_per_second" in changes:
        changes |= {"characters_per_second": None, "chunk_delay": 0.0, "chunk_jitter": 0.0}
    return replace(pace, **changes) if changes else pace  # type: ignore[arg-type]  # by field name


def _read_asked(asked: Mapping[str, object]) -> dict[str, object]:
    """What a request says of its pace, by the name of the setting."""
    found: dict[str, object] = {}
    for field, names in _ASKED.items():
        name = next((name for name in names if asked.get(name) is not None), None)
        if name is None:
            continue
        value = asked[name]
        if field == "tokens_per_second":
            found[field] = _read_number(name, value, FASTEST, SLOWEST)
        elif field == "ttft":
            found |= {"ttft": _read_number(name, value, LONGEST_TTFT), "prefill": 0.0}
        elif field == "tokens_per_chunk":
            found |= {"chunk_unit": "token", "chunk_size": _read_count(name, value)}
        else:
            found.setdefault(field, _read_count(name, value))
    return found


def _read_number(name: str, value: object, most: float, least: float = 0.0) -> float:
    """0, or a number from ``least`` to ``most``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, not {_shown(value)}")  # noqa: TRY004 - one error for all
    if value != 0 and not least <= value <= most:
        bounds = f"0, or from {least:g} to {most:,.0f}" if least else f"from 0 to {most:,.0f}"
        raise ValueError(f"{name} must be {bounds}, not {_shown(value)}")
    return float(value)


def _read_count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, not {_shown(value)}")  # noqa: TRY004 - one error for all
    if not 1 <= value <= LARGEST_CHUNK:
        raise ValueError(f"{name} must be from 1 to {LARGEST_CHUNK:,}, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    """A value for an error; an integer too long to be worth reading, or writing, is not shown."""
    if isinstance(value, int) and value.bit_length() > 64:
        return "so large a number"
    return quote(value)
