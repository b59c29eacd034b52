"""``llmproxy explain``: which rule or recording answers a request, and why the others do not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from llmproxy import dialects, misslog
from llmproxy.cassette import Cassette, Fingerprint
from llmproxy.configuration import Configuration
from llmproxy.errors import LlmproxyError, SettingsError
from llmproxy.inquiry import Inquiry
from llmproxy.interaction import Headers, RecordedRequest, Request
from llmproxy.keeping import keeper_for
from llmproxy.live import Live
from llmproxy.matching.canonical import Canonicaliser
from llmproxy.misses import nearest, tell
from llmproxy.rules.deciding import unfit
from llmproxy.rules.rule import Recorded, Rule
from llmproxy.sessions import DEFAULT, Sessions
from llmproxy.settings import Settings
from llmproxy.units import quote

MOST_PLACES = 50

CHAT = "/v1/chat/completions"
"""Where a body is taken to go that says nothing else."""

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


def last(configuration: Configuration, cassettes: Sequence[Path]) -> str:
    """The last miss of a server that ran in this folder, judged under the settings of now."""
    missed = misslog.last(configuration.settings.state_folder)
    paths = cassettes or [Path(path) for path in missed.cassettes]
    request = missed.request
    subject = replace(request, path=missed.asked or request.path)
    parts = [f"{missed.at}, session {missed.session}"]
    parts += _rules(configuration, subject, missed.session)
    parts.append(_cassettes(configuration.settings, request, paths))
    return "\n".join(parts)


def body(
    configuration: Configuration,
    file: Path,
    cassettes: Sequence[Path],
    path: str | None,
    headers: Headers = (),
    session: str = DEFAULT,
) -> str:
    """A request body from a file; without ``path`` that of the most similar recording."""
    if not cassettes and not configuration.rules:
        raise SettingsError(
            "explain wants rules, or a cassette to compare with", "add --rules or --cassette FILE"
        )
    try:
        content = file.read_bytes()
    except OSError as error:
        raise LlmproxyError(f"{file}: cannot be read: {error.strerror}") from error
    settings = configuration.settings
    redactor = keeper_for(settings, os.environ).redacting.redactor
    redacted = redactor.request_body(content, "application/json")
    request = RecordedRequest("", "POST", path or "", "", (), redacted)
    parts = []
    if configuration.rules:
        subject = request
        if not path:
            subject = replace(request, path=CHAT)
            parts.append(f"rules: read as POST {CHAT}; --path names another")
        if not headers:
            parts.append("rules: read without headers; --header NAME:VALUE adds one")
        subject = replace(subject, headers=headers)
        parts += _rules(configuration, subject, session)
    if cassettes:
        parts.append(_cassettes(settings, request, cassettes))
    return "\n".join(parts)


def _rules(configuration: Configuration, request: RecordedRequest, session: str) -> list[str]:
    """A line for each rule up to the first that answers, and one for it."""
    subject = _inquiry(configuration, request, session)
    lines = []
    may_answer = False
    for rule in configuration.rules:
        named = f"rule {quote(rule.name)} ({rule.place})"
        if why := rule.when.why_not(subject) or unfit(rule, subject):
            lines.append(f"{named} does not: {why}")
            continue
        may_answer, limits = True, _limits(rule)
        lines.append(f"{named} answers{limits}")
        if not limits:
            return lines
    if lines:
        lines.append(f"no {'other ' * may_answer}rule answers")
    return lines


def _limits(rule: Rule) -> str:
    """What of a session decides whether a rule answers."""
    only_recorded = all(isinstance(r, Recorded) and r.cassette is None for r in rule.replies)
    limits = " where a cassette holds the request" if only_recorded else ""
    if rule.times is not None:
        often = "once" if rule.times == 1 else f"{rule.times} times"
        return f"{limits} until it has answered {often} in a session"
    if rule.after == "next":
        return f"{limits} until its replies are used up in a session"
    return limits


def _inquiry(configuration: Configuration, request: RecordedRequest, session: str) -> Inquiry:
    target = request.path + (f"?{request.query}" if request.query else "")
    live = Request(request.method, target, request.headers, request.body, session, 0.0)
    speaks = dialects.of(request.method, request.path, request.headers, request.query)
    current = Live(configuration).current
    stored = Sessions().stored(session)
    limit = configuration.settings.max_request
    return Inquiry(live, lambda: speaks, current, stored, limit, trusting=True)


def _cassettes(settings: Settings, request: RecordedRequest, paths: Sequence[Path]) -> str:
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
