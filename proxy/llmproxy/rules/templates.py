"""Templates: a text with places that are filled in from the request.

``{{ model }}`` is a place: a word, with some words a name or a JSON path after it. A template is
parsed once, into texts and places; rendering joins them. What is filled in is text and never
parsed again, nothing is computed, and the output has a bound: a template is no program. Knows
no clock and no counter; both are handed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from llmproxy.conditions.subject import Subject
from llmproxy.findings import nearest
from llmproxy.jsonpath import JsonPath, parse_json_path, select
from llmproxy.redaction.names import is_credential_header, is_credential_parameter
from llmproxy.units import quote

LONGEST = 262_144
"""Characters of a template, and of what comes out of it."""
LONGEST_FILLED = 65_536
"""Characters that one place is filled with; the rest is cut off."""
MOST_PLACES = 100
"""Places of a template: each may have to search a large body."""

_OPENING = re.compile(r"\{\{")
_INSIDE = re.compile(r"""(?:'[^']*'|"[^"]*"|(?!\}\}).)*+\}\}""", re.DOTALL)
"""Up to the end of a place; what is quoted in a JSON path may hold braces of its own."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_PARAMETER = re.compile(r"[^\s=&?]{1,200}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ABSENT = object()
_BRACES = ('"{{"', "'{{'")


MOST_SEARCHES = 10
"""Places of a template for which the whole body has to be searched."""


class TemplateError(ValueError):
    """A template that cannot be; the message says what is wrong, at which position (from 0)."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a template may use beside the request.

    ``counter`` is which answer of the rule in its session this is, from 1; ``now`` is seconds
    since the epoch; ``uuid`` makes another one at each call.
    """

    counter: int
    now: float
    uuid: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Place:
    """A place to fill in; ``about`` is the name or path after the word."""

    word: str
    about: str | JsonPath = ""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: ``text`` as written, ``pieces`` of it in order."""

    text: str
    pieces: tuple[str | Place, ...]

    def render(self, subject: Subject, given: Given) -> str:
        """The text with its places filled in, at most ``LONGEST`` characters of it."""
        filled: dict[Place, str] = {}
        parts: list[str] = []
        for piece in self.pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            if piece not in filled or piece.word == "uuid":
                filled[piece] = _fill(piece, subject, given)
            parts.append(filled[piece])
        return "".join(parts)[:LONGEST]


def parse(text: str) -> Template:
    """Read a template.

    Raises:
        TemplateError: a place of it cannot be, or there is too much of it.
    """
    if len(text) > LONGEST:
        raise TemplateError(f"has {len(text):,} characters; at most {LONGEST:,}")
    pieces: list[str | Place] = []
    end = places = 0
    while opening := _OPENING.search(text, end):
        start = opening.start()
        places += 1
        if places > MOST_PLACES:
            raise TemplateError(f"has more than {MOST_PLACES} places")
        inside = _INSIDE.match(text, start + 2)
        if inside is None:
            raise _error(start, '{{ is never closed; {{ "{{" }} writes the braces')
        pieces += [text[end:start], _place(inside[0][:-2].strip(), start)]
        end = inside.end()
    if sum(map(_searches, set(pieces))) > MOST_SEARCHES:
        raise TemplateError(f"has more than {MOST_SEARCHES} JSON paths with .. or *")
    return Template(text, tuple(piece for piece in (*pieces, text[end:]) if piece))


def _searches(piece: str | Place) -> bool:
    return not isinstance(piece, str) and isinstance(piece.about, JsonPath) and piece.about.searches


def _place(inside: str, position: int) -> str | Place:
    if inside in _BRACES:
        return "{{"
    if not inside:
        raise _error(position, "nothing stands between {{ and }}")
    word, about = (*inside.split(None, 1), "")[:2]
    if word in _FILLED_WITH_NAME:
        return Place(word, _read_about(word, about, position))
    if word not in _FILLED:
        close = nearest(word, (*_FILLED, *_FILLED_WITH_NAME))
        mend = f"did you mean {close}?" if close else f"there are {', '.join(WORDS)}"
        raise _error(position, f"no such word: {quote(word)}; {mend}")
    if about and (word, about) != ("now", "unix"):
        after = " but unix" if word == "now" else ""
        raise _error(position, f"nothing{after} may stand after {word}")
    return Place(word, about)


def _read_about(word: str, about: str, position: int) -> str | JsonPath:
    """The name or path that a word needs; what lets somebody in is never told."""
    if not about:
        example = {"json": "$.user", "header": "x-team", "query": "name"}[word]
        raise _error(position, f"{word} needs to know which; write {word} {example}")
    if word == "json":
        try:
            return parse_json_path(about)
        except ValueError as error:
            said = str(error).replace(repr(about), quote(about))
            raise _error(position, said) from None
    header = word == "header"
    if not (_NAME if header else _PARAMETER).fullmatch(about):
        raise _error(position, f"{quote(about)} is not the name of a {_CALLED[word]}")
    if (is_credential_header if header else is_credential_parameter)(about):
        said = f"the {_CALLED[word]} {about[:60]} holds a credential, which no reply may tell"
        raise _error(position, said)
    return about.lower() if header else about


def _error(position: int, said: str) -> TemplateError:
    return TemplateError(f"at position {position}: {said}")


def _fill(place: Place, subject: Subject, given: Given) -> str:
    if place.word in _FILLED:
        text = _FILLED[place.word](subject, given, place)
    else:
        text = _FILLED_WITH_NAME[place.word](subject, place.about)
    text = text[:LONGEST_FILLED]
    return text if text.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _model(subject: Subject) -> str:
    if subject.prompt is not None:
        return subject.prompt.model
    model = subject.body.get("model") if isinstance(subject.body, dict) else None
    return model if isinstance(model, str) else ""


def _tool_result(subject: Subject) -> str:
    """What a tool last answered since the user spoke."""
    for message in reversed(subject.prompt.messages if subject.prompt else ()):
        if message.role == "tool":
            return message.text
        if message.role == "user" and message.text:
            break
    return ""


def _now(given: Given, place: Place) -> str:
    if place.about:
        return str(int(given.now))
    return datetime.fromtimestamp(int(given.now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _header(subject: Subject, name: str) -> str:
    return ", ".join(value for key, value in subject.headers if key.lower() == name)


def _query(subject: Subject, name: str) -> str:
    pairs = parse_qsl(subject.query, keep_blank_values=True)
    return next((value for key, value in pairs if key == name), "")


def _json(subject: Subject, path: JsonPath) -> str:
    """A text as it is, anything else as compact JSON; empty where there is no such node."""
    if subject.body is None:
        return ""
    node = next(select(subject.body, path), _ABSENT)
    if isinstance(node, str):
        return node
    try:
        return (
            "" if node is _ABSENT else json.dumps(node, ensure_ascii=False, separators=(",", ":"))
        )
    except RecursionError:  # nested as deep as Python lets JSON be read
        return ""


_FILLED: Mapping[str, Callable[[Subject, Given, Place], str]] = MappingProxyType(
    {
        "last_user_text": lambda subject, *_: (
            subject.prompt.last_user_text if subject.prompt else ""
        ),
        "system": lambda subject, *_: subject.prompt.system if subject.prompt else "",
        "tool_result": lambda subject, *_: _tool_result(subject),
        "model": lambda subject, *_: _model(subject),
        "method": lambda subject, *_: subject.method,
        "path": lambda subject, *_: subject.path,
        "session": lambda subject, *_: subject.session,
        "counter": lambda _, given, __: str(given.counter),
        "uuid": lambda _, given, __: given.uuid(),
        "now": lambda _, given, place: _now(given, place),
    }
)
_FILLED_WITH_NAME: Mapping[str, Callable[[Subject, Any], str]] = MappingProxyType(
    {"json": _json, "header": _header, "query": _query}
)
_CALLED = {"header": "header", "query": "query parameter"}

WORDS = (*_FILLED, *_FILLED_WITH_NAME)
"""The words of places."""
