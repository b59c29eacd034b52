"""What is kept of an exchange, and whether: the judgement and the cleaning before the disk.

Runs in the writer's thread. Kept by default are answers that will be the same tomorrow:
successes and 400, 404, 413, 422. What passes (limits, outages, a broken stream, a bad key)
is kept only on request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

from llmproxy import cassette, cassette_rows, dialects
from llmproxy.cassette_schema import FINGERPRINTS
from llmproxy.compression import Decoder
from llmproxy.interaction import Chunk, Headers, Interaction, RecordedRequest, RecordedResponse
from llmproxy.matching.canonical import Canonicaliser
from llmproxy.recorder import Captured, Kept
from llmproxy.redacted import Redacting
from llmproxy.redaction import Redactor, secrets_in
from llmproxy.settings import Settings

TRANSIENT = frozenset({401, 402, 403, 407, 408, 409, 421, 423, 424, 425, 429})
"""Statuses below 500 that say something of the moment or of the key, not of the request."""


class Keeper:
    """Makes rows of captured exchanges.

    Args:
        redactor, canonicaliser: as matching uses them.
        keep_transient: keep everything.
        max_body: largest decoded body, in bytes.
    """

    def __init__(
        self,
        redactor: Redactor,
        canonicaliser: Canonicaliser,
        *,
        keep_transient: bool,
        max_body: int,
    ) -> None:
        self._redactor = redactor
        self.redacting = Redacting(redactor, max_body)
        self.canonicaliser = canonicaliser
        self._keep_transient = keep_transient
        self._max_body = max_body
        self.key = f"{canonicaliser.key}.{redactor.key}"

    def __call__(self, captured: Captured, run: int) -> Kept:
        """The row of ``captured`` for ``run``, or why it is not kept."""
        redacted = self.redacting(captured.request)
        asked = captured.request
        dialect = dialects.of(asked.method, captured.path, asked.headers, asked.query)
        dialect = dialect or dialects.DEFAULT
        headers, chunks, whole = _decoded(captured.headers, captured.chunks, self._max_body)
        content_type = _value(headers, "content-type")
        if not self._keep_transient:
            body = b"".join(data for _, data in chunks[-64:])
            if why_not := transient(captured, dialect, content_type, body):
                return Kept(None, why_not)
        clean = self._redactor.chunks(chunks, content_type, redacted.credentials)
        if not whole and clean == chunks:  # nothing to hide in it, so it is kept as it came
            headers = captured.headers
            clean = self._redactor.chunks(captured.chunks, "", redacted.credentials)
        request = redacted.at(captured.upstream, captured.path)
        interaction = Interaction(
            id=0,
            run=run,
            session=captured.request.session,
            recorded_at=captured.recorded_at,
            request=request,
            response=RecordedResponse(
                status=captured.status,
                reason=self._redactor.text(captured.reason, redacted.credentials),
                headers=self._redactor.headers(headers, redacted.credentials),
                head_at=captured.head_at,
                chunks=tuple(Chunk(offset, data) for offset, data in clean),
                ended_at=captured.ended_at,
                end=captured.end,
            ),
        )
        facts = dialect.read_facts(
            request.path, request.body, content_type, interaction.response.body
        )
        day = datetime.fromtimestamp(captured.recorded_at, UTC).date()
        return Kept(cassette_rows.encode(interaction, facts, self._digest(request, day)))

    def digest(self, request: RecordedRequest, day: date) -> cassette.Digests:
        """The fingerprints of a request from a cassette, under the settings of now.

        It is redacted anew: a secret that the settings of now name is one on both sides.
        """
        content_type = _value(request.headers, "content-type")
        again = replace(
            request,
            query=self._redactor.query(request.query),
            headers=self._redactor.headers(request.headers),
            body=self._redactor.request_body(request.body, content_type),
        )
        return self._digest(again, day)

    def _digest(self, request: RecordedRequest, day: date) -> cassette.Digests:
        made = self.canonicaliser.fingerprints(request, day)
        return {name: getattr(made, name) for name in FINGERPRINTS}


def keeper_for(settings: Settings, environment: Mapping[str, str]) -> Keeper:
    """The keeper that ``settings`` ask for; ``environment`` may hold secrets to look for."""
    secrets = secrets_in(environment) if settings.redact.environment else ()
    return Keeper(
        Redactor(settings.redact, secrets, frozenset(settings.match.count)),
        Canonicaliser(settings.match),
        keep_transient=settings.record.keep_transient,
        max_body=settings.max_request,
    )


def transient(captured: Captured, dialect: dialects.Dialect, content_type: str, tail: bytes) -> str:
    """Why an exchange is of the moment only, in a few words; empty where it is worth keeping.

    ``tail`` is the end of the decoded body.
    """
    if captured.end == "reset":
        return "the response broke off"
    if captured.status in TRANSIENT or captured.status >= 500:
        return f"status {captured.status}"
    if failed := dialect.stream_failed(content_type, tail):
        return f"the stream ended in an error ({failed})"
    return ""


def _decoded(
    headers: Headers, chunks: tuple[tuple[float, bytes], ...], limit: int
) -> tuple[Headers, list[tuple[float, bytes]], bool]:
    """A content-encoding that came unasked undone, chunk by chunk, and whether all of it was."""
    encoding = _value(headers, "content-encoding")
    if not encoding:
        return headers, list(chunks), True
    plain: list[tuple[float, bytes]] = []
    whole = True
    try:
        decoder = Decoder(encoding, limit)
        for offset, data in chunks:
            plain.append((offset, decoder.feed(data)))
        if rest := decoder.finish():
            plain.append((chunks[-1][0], rest))
    except ValueError:
        whole = False
    size = sum(len(data) for _, data in plain)
    kept = (
        (name, str(size) if name.lower() == "content-length" else value)
        for name, value in headers
        if name.lower() != "content-encoding"
    )
    return tuple(kept), plain, whole


def _value(headers: Headers, wanted: str) -> str:
    return ", ".join(value for name, value in headers if name.lower() == wanted)
