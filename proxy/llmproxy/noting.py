"""What the journal is told of a request: its id, whose it is, what it asks for.

Whose a request is and which operation it asks for is found once for requests that are alike: on
replay nothing else wants to know it, and to look costs as much as to answer. Bodies are not
parsed for it. Nothing goes into an entry that the redactor has not seen.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

from llmproxy import dialects
from llmproxy.asked import ASIDE_ABOVE, Asked
from llmproxy.dialects.operation import Refused, find
from llmproxy.entry import Entry
from llmproxy.interaction import NO_FACTS, Facts, Headers, Reply
from llmproxy.redaction import Redactor

TELLING = ("anthropic-version", "x-goog-api-key")
"""The headers by which a dialect claims a request; a test holds the dialects to them."""

IDS = ("x-request-id", "x-client-request-id")
ECHO = "x-llmproxy-request-id"

REMEMBERED = 1_024
REMEMBERED_BELOW = 512
"""Length of a target whose endpoint is remembered."""

MOST_PROMPT = 4_096
"""Characters of a body, and of its headers, that are logged where prompts are."""

_ID = re.compile(r"[\x20-\x7e]{1,128}").fullmatch

Endpoint = tuple[str, str]
"""A dialect and its operation, each empty where there is none."""


class Noting:
    """Fills in entries."""

    def __init__(self) -> None:
        self._endpoints: dict[tuple[str, str, bool, bool], Endpoint] = {}

    def endpoint(
        self, method: str, target: str, given: Mapping[str, str], headers: Headers
    ) -> Endpoint:
        """Whose a request is; ``given`` are its headers by name, in any case."""
        anthropic, google = TELLING
        key = (method, target, anthropic in given, google in given)
        found = self._endpoints.get(key)
        if found is None:
            found = _endpoint(method, target, headers)
            if len(target) < REMEMBERED_BELOW:
                if len(self._endpoints) >= REMEMBERED:
                    self._endpoints.clear()
                self._endpoints[key] = found
        return found


def note_id(
    entry: Entry, given: Mapping[str, str], redactor: Redactor, credentials: tuple[str, ...]
) -> None:
    """Take the client's own id, unless it cannot be written or holds a secret."""
    for name in IDS:
        value = given.get(name)
        if value and _ID(value) and redactor.path(value, credentials) == value:
            entry.id, entry.named = value, True
            return


async def note_facts(
    entry: Entry, reply: Reply, asked: Asked, redactor: Redactor, aside: Executor
) -> None:
    """Note the reply's facts; where it has none yet, what the request says of itself."""
    if reply.facts is not NO_FACTS:
        entry.facts = reply.facts
        if reply.source != "replayed":  # what a cassette says is redacted
            entry.facts = _shown(reply.facts, redactor, asked.redacted.credentials)
        return
    if asked.dialect is None or not asked.request.body:
        return
    read = partial(_read, asked, redactor)
    if len(asked.request.body) <= ASIDE_ABOVE:
        entry.facts = read()
    else:
        entry.facts = await asyncio.get_running_loop().run_in_executor(aside, read)


def note_final(entry: Entry, facts: Facts) -> None:
    """Note the tokens that a live reply told of by its end."""
    known = entry.facts
    entry.facts = replace(
        known,
        input_tokens=facts.input_tokens if known.input_tokens is None else known.input_tokens,
        output_tokens=facts.output_tokens if known.output_tokens is None else known.output_tokens,
    )


def said(asked: Asked) -> tuple[tuple[str, str], ...]:
    """The request without its secrets, cut, for a log that may show prompts."""
    headers = json.dumps(dict(asked.redacted.headers), ensure_ascii=False)[:MOST_PROMPT]
    body = asked.redacted.body[:MOST_PROMPT].decode("utf-8", "replace")
    return (("headers", headers), ("body", body))


def echoing(reply: Reply, entry: Entry) -> Reply:
    """The reply, with the id by which its client finds it in the log."""
    line = f"{ECHO}: {entry.id}\r\n".encode()
    return replace(
        reply,
        labels=(*reply.labels, (ECHO, entry.id)),
        head=reply.head and reply.head + line,
    )


def _endpoint(method: str, target: str, headers: Headers) -> Endpoint:
    path, _, query = target.partition("?")
    dialect = dialects.of(method, path, headers, query)
    if dialect is None:
        return "", ""
    try:
        found = find(dialect.operations, method, path)
    except Refused:
        found = None
    return dialect.name, found[0].name if found else ""


def _read(asked: Asked, redactor: Redactor) -> Facts:
    request = asked.request
    assert asked.dialect is not None
    body = asked.redacted.body if request.content_encoding else request.body
    facts = asked.dialect.read_facts(request.path, body, "", b"")
    return _shown(facts, redactor, asked.redacted.credentials)


def _shown(facts: Facts, redactor: Redactor, credentials: tuple[str, ...]) -> Facts:
    model = redactor.path(facts.model, credentials) if facts.model else ""
    return facts if model == facts.model else replace(facts, model=model)
