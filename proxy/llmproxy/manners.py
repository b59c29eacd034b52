"""From settings to what made-up replies are like, and the words for it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from llmproxy.cassette import Cassette
from llmproxy.errors import CassetteError, SettingsError
from llmproxy.models import KNOWN, Catalogue, Model
from llmproxy.rhythm import PaceSettings
from llmproxy.settings import Settings
from llmproxy.speeds import KNOWN_SPEEDS
from llmproxy.synthesis.making import Manner
from llmproxy.timelines import Learnt, learn
from llmproxy.units import format_duration


def manner_of(settings: Settings) -> Manner:
    """What settings say of made-up replies.

    Raises:
        LlmproxyError: the cassette whose rhythm they shall follow cannot be read, or has none.
    """
    models = settings.models
    own = tuple(
        Model(name, owner="llmproxy", description=entry.description)
        for name, entry in models.table.items()
    )
    named = {model.id for model in own}
    known = tuple(model for model in KNOWN if model.id not in named)
    paces = {**(KNOWN_SPEEDS if models.known_speeds else {}), **models.table}
    learnt = None
    if settings.pace.like is not None:
        learnt = _learn(settings.pace.like)
    catalogue = Catalogue(own + known, models.strict)
    return Manner(settings.mock, settings.pace, catalogue, paces, learnt)


def rhythm_words(pace: PaceSettings) -> str:
    """What the banner says of the rhythm that is set."""
    said = [f"in the rhythm of {Path(pace.like).name}"] if pace.like else []
    if pace.ttft:
        said.append(f"first token after {format_duration(pace.ttft)}")
    if pace.tokens_per_second:
        said.append(f"{pace.tokens_per_second:g} tokens a second")
    return "".join(f", {each}" for each in said)


def _learn(like: str) -> Learnt:
    try:
        with contextlib.closing(Cassette(Path(like))) as cassette:
            return learn(cassette.interactions(), like)
    except CassetteError as error:
        raise SettingsError(
            f"pace.like (--like): {error.message}", error.hint or "name a cassette that is there"
        ) from error
