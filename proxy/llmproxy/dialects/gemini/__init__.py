"""Google's Gemini API, on generativelanguage.googleapis.com and on Vertex AI.

Strategy: a request is Gemini's by its key (``x-goog-api-key`` or ``?key=``), by the verb
behind the last colon, or by a beta version in its path; what Google serves in OpenAI's
format below ``…/openai/`` is OpenAI's. Errors are ``{"error": {code, message, status,
details}}``. Streams are events without names, comments or ``[DONE]``, none of which
google-genai can read; their lines end with CR LF. Facts are from ``google-genai`` 3.4 and
Google's API reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from llmproxy import sse
from llmproxy.dialects import facts, failures
from llmproxy.dialects.dialect import Dialect, ErrorReply, header
from llmproxy.dialects.gemini import embed, errors, generate, models
from llmproxy.dialects.operation import IdMaker
from llmproxy.interaction import Facts, Headers, Problem

_VERB = re.compile(r"(?::|%3[Aa])(?!rawPredict$|streamRawPredict$)[a-z][A-Za-z]+$")
_VERSION = re.compile(r"(?:^|/)v1(?:alpha|beta)\d*/")
_IN_OPENAI_FORMAT = re.compile(r"/openai/|/chat/completions$")
_MODEL = re.compile(r"/(?:models|tunedModels)/([^/:%]+)")
_JSON_START = (b"{", b"[")
_WHOLE = 2**20
_USAGE_MARK = re.compile(rb'"usage(?:Metadata|_metadata)"\s*:\s*\{')


def claims(method: str, path: str, headers: Headers, query: str) -> bool:
    """Whether the request carries Google's key or asks for one of Google's verbs.

    A verb counts on POST only: ``GET /v1/models/llama3:latest`` names a model.
    """
    if _IN_OPENAI_FORMAT.search(path):
        return False
    return (
        (method == "POST" and _VERB.search(path) is not None)
        or _VERSION.search(path) is not None
        or header(headers, "x-goog-api-key") is not None
        or any(field.startswith("key=") for field in query.split("&"))
    )


def write_error(problem: Problem) -> ErrorReply:
    """The envelope; a wrong key is 400 here, whatever the problem's own status."""
    return failures.reply(errors.settled(problem), errors.envelope(problem))


def write_stream_error(problem: Problem, _path: str = "") -> bytes:
    """A ``data:`` line with the envelope: google-genai raises by the code inside."""
    return b"data: %b\r\n\r\n" % failures.encode(errors.envelope(problem))


def write_headers(_new_id: IdMaker, seconds: float) -> Headers:
    """What Google's front end adds; it names no request."""
    return (
        ("vary", "Origin"),
        ("vary", "X-Origin"),
        ("vary", "Referer"),
        ("x-content-type-options", "nosniff"),
        ("server-timing", f"gfet4t7; dur={round(seconds * 1000)}"),
    )


def stream_failed(content_type: str, body: bytes) -> str | None:
    """An error envelope at the end.

    It comes as an event, as bare JSON among events, or as an element of the array that is a
    stream without ``alt=sse``.
    """
    for record in _last_records(content_type, body):
        if reason := failures.words(record.get("error")):
            return reason
    return None


def read_facts(path: str, body: bytes, content_type: str, reply: bytes) -> Facts:
    """Model and stream from the path, usage from ``usageMetadata``."""
    named = _MODEL.search(path)
    model = named[1] if named else facts.request_members(body, "model").get("model")
    stream = ":streamGenerateContent" in path or sse.is_event_stream(content_type)
    entering, leaving = facts.usage(content_type, reply, _USAGE_MARK, _usage)
    return Facts(facts.model_name(model), stream, entering, leaving)


def _last_records(content_type: str, body: bytes) -> Iterator[dict[str, Any]]:
    values: list[Any] = []
    if sse.is_event_stream(content_type):
        values = [_value(block) for block in islice(sse.last_blocks(body), 4)]
    elif len(body) <= _WHOLE and body[:64].lstrip().startswith(b"["):
        values = [failures.parse(body)]
    for value in values:
        records = value[-1:] if isinstance(value, list) else [value]
        yield from (record for record in records if isinstance(record, dict))


def _value(block: bytes) -> Any:
    if block.lstrip().startswith(_JSON_START):
        return failures.parse(block)
    return [failures.parse(event.data) for event in sse.read_events(block)]


def _usage(record: dict[str, Any]) -> facts.Usage:
    """Google counts tools' results beside the prompt and thoughts beside the answer."""
    used = facts.member(record, "usageMetadata") or facts.member(record, "usage_metadata")
    entering = facts.total(used.get("promptTokenCount"), used.get("toolUsePromptTokenCount"))
    leaving = facts.total(used.get("candidatesTokenCount"), used.get("thoughtsTokenCount"))
    return entering, leaving


GEMINI = Dialect(
    name="gemini",
    claims=claims,
    write_error=write_error,
    write_stream_error=write_stream_error,
    stream_failed=stream_failed,
    read_facts=read_facts,
    operations=(
        generate.GENERATE,
        generate.STREAM,
        generate.COUNT_TOKENS,
        *embed.OPERATIONS,
        *models.OPERATIONS,
    ),
    write_headers=write_headers,
)
