"""``llmproxy explain``: why a request matches no recording, or which one it matches."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from llmproxy import misslog
from llmproxy.cassette import Cassette, Fingerprint
from llmproxy.errors import LlmproxyError, SettingsError
from llmproxy.interaction import RecordedRequest
from llmproxy.keeping import keeper_for
from llmproxy.matching.canonical import Canonicaliser
from llmproxy.misses import nearest, tell
from llmproxy.settings import Settings

MOST_PLACES = 50

LEVELS: dict[str, tuple[Fingerprint, ...]] = {
    "exact": ("exact",),
    "canonical": ("exact", "canonical", "loose"),
    "transcript": ("exact", "canonical", "loose", "transcript"),
}
MEANING: dict[Fingerprint, str] = {
    "exact": "exact: the same bytes",
    "canonical": "canonical: the same content",
    "loose": "canonical: the same content but for generated values",
    "transcript": "transcript: the same but for what tools returned",
}


def last(settings: Settings, cassettes: Sequence[Path]) -> str:
    """The last miss of a server that ran in this folder, judged under the settings of now."""
    missed = misslog.last(settings.state_folder)
    paths = cassettes or [Path(path) for path in missed.cassettes]
    text = _explain(settings, missed.request, paths)
    return f"{missed.at}, session {missed.session}\n{text}"


def body(settings: Settings, file: Path, cassettes: Sequence[Path], path: str | None) -> str:
    """A request body from a file; without ``path`` that of the most similar recording."""
    if not cassettes:
        raise SettingsError("explain wants a cassette to compare with", "add --cassette FILE")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise LlmproxyError(f"{file}: cannot be read: {error.strerror}") from error
    redactor = keeper_for(settings, os.environ).redacting.redactor
    redacted = redactor.request_body(content, "application/json")
    request = RecordedRequest("", "POST", path or "", "", (), redacted)
    return _explain(settings, request, cassettes)


def _explain(settings: Settings, request: RecordedRequest, paths: Sequence[Path]) -> str:
    keeper = keeper_for(settings, os.environ)
    canonicaliser = keeper.canonicaliser
    with contextlib.ExitStack() as stack:
        cassettes = []
        for path in paths:
            cassettes.append(Cassette(path, keeper.key, keeper.digest))
            stack.callback(cassettes[-1].close)
        lives = [request] if request.path else _placed(request, cassettes)
        for live in lives:
            if found := _found(live, cassettes, canonicaliser, settings):
                return found
        best = max(
            (
                (nearest([live] * len(cassettes), cassettes, canonicaliser), live)
                for live in lives or [request]
            ),
            key=lambda each: max((candidate.score for candidate in each[0]), default=0.0),
        )
        return tell(best[1], best[0], cassettes).text


def _placed(request: RecordedRequest, cassettes: Sequence[Cassette]) -> list[RecordedRequest]:
    """The request at each place that the cassettes know, where it does not say its own."""
    places = {
        (each.upstream, each.method, each.path, each.query): None
        for cassette in cassettes
        for each in cassette.entries()
        if each.method == request.method
    }
    return [
        replace(request, upstream=upstream, method=method, path=path, query=query)
        for upstream, method, path, query in list(places)[:MOST_PLACES]
    ]


def _found(
    live: RecordedRequest,
    cassettes: Sequence[Cassette],
    canonicaliser: Canonicaliser,
    settings: Settings,
) -> str:
    prints = canonicaliser.fingerprints(live, datetime.now(UTC).date())
    levels = LEVELS[settings.match.level]
    for fingerprint in levels:
        for cassette in cassettes:
            found = cassette.find(fingerprint, getattr(prints, fingerprint))
            if found.ids:
                ids = ", ".join(f"#{id}" for id in found.ids[:10])
                return f"matches {cassette.path.name} {ids} ({MEANING[fingerprint]})"
    return ""
