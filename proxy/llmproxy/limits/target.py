"""Whom a limit is for: a condition on requests, and what each client of it has a count for.

In ``for:`` stand the conditions of a rule's ``when``, and ``endpoint``; the word ``any`` in place of
a value gives each value a count of its own: ``key: any`` one to each API key. Keys are told apart
by a digest, so nothing secret stands in a count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from llmproxy.conditions.condition import Condition
from llmproxy.conditions.subject import Subject
from llmproxy.conditions.whom import read_for
from llmproxy.findings import Finding, Path
from llmproxy.limits.limit import Limit
from llmproxy.limits.reading import read_limit
from llmproxy.members import NO_VALUE, Keys, note, read_list, read_mapping

ANY = "any"
MOST_LIMITS = 1_000
_EXAMPLE = "{model: gpt-4*, key: any}"


@dataclass(frozen=True, slots=True)
class ClientLimit:
    """A limit, and whom it is for: ``each`` are the names whose values are clients."""

    limit: Limit
    when: Condition
    each: tuple[str, ...] = ()

    def client(
        self, subject: Subject, credentials: Sequence[str], shown: Callable[[str], str]
    ) -> Hashable:
        """Whose count a request moves; ``shown`` takes secrets out of what is kept for it."""
        return tuple(shown(EACH[name](subject, credentials)) for name in self.each)


def key_digest(credentials: Sequence[str]) -> str:
    """What stands for the API key of a request: the same for the same key, and not the key."""
    if not credentials:
        return ""
    return hashlib.blake2b(
        "\n".join(credentials).encode("utf-8", "surrogatepass"), digest_size=6
    ).hexdigest()


def _model(subject: Subject, _credentials: Sequence[str]) -> str:
    if subject.prompt is not None:
        return subject.prompt.model
    body = subject.body
    model = body.get("model") if isinstance(body, Mapping) else None
    return model[:200] if isinstance(model, str) else ""


EACH: Mapping[str, Callable[[Subject, Sequence[str]], str]] = {
    "key": lambda _subject, credentials: key_digest(credentials),
    "model": _model,
    "session": lambda subject, _: subject.session,
    "endpoint": lambda subject, _: subject.operation,
    "dialect": lambda subject, _: subject.dialect,
    "path": lambda subject, _: subject.path[:500],
}
"""What may have a count for each of its values."""


def read_limits(data: object, path: Path, found: list[Finding]) -> tuple[ClientLimit, ...]:
    """The limits of a file; what is wrong in them is found.

    Args:
        data: what stands at ``limits:``.
        path: where that is.
        found: gets what is wrong.
    """
    items, keys = read_list(data, path, found, MOST_LIMITS, "limit"), Keys()
    read = (_read(item, (*path, number), found, keys) for number, item in enumerate(items))
    return tuple(each for each in read if each is not None)


def _read(data: object, path: Path, found: list[Finding], keys: Keys) -> ClientLimit | None:
    before = len(found)
    members = read_mapping(data, path, found, "{requests: 60 per minute}")
    if len(found) > before:
        return None
    limit = read_limit(members, path, found, keys=keys)
    when, each = read_target(members.get("for", {}), (*path, "for"), found)
    if limit is None or when is None or len(found) > before:
        return None
    return ClientLimit(limit, when, each)


def read_target(
    data: object, path: Path, found: list[Finding]
) -> tuple[Condition | None, tuple[str, ...]]:
    """The condition and the names with ``any``."""
    members = read_mapping(data, path, found, _EXAMPLE)
    each = tuple(name for name in EACH if members.get(name) == ANY)
    rest: dict[str, object] = {}
    for name, value in members.items():
        if name in each:
            continue
        if name == "key":
            said = NO_VALUE if value is None else "may only be any: keys stand in no file"
            note(found, (*path, name), said)
        else:
            rest[name] = value
    return read_for(rest, path, found), each
