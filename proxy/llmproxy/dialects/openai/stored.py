"""The responses that OpenAI keeps: looking them up, going on from them, deleting them.

Strategy: a session's store holds a response under its id together with what it was asked, each
item of its output under the item's id, because a later request may refer to it, and the events
of a stream that ran in the background, because they can be asked for again. A conversation is
a chain: each response names the one before it. What the store has forgotten ends the chain.
Facts are from ``openai`` 3.52 and OpenAI's API reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from llmproxy.dialects.failures import parse_object
from llmproxy.dialects.openai import words
from llmproxy.dialects.openai.items import listed
from llmproxy.dialects.operation import (
    Call,
    Frame,
    Means,
    Plain,
    PlainReply,
    Refused,
    encode,
    event_stream,
)
from llmproxy.interaction import Problem

Item = Mapping[str, Any]

MOST_LISTED = 100
LISTED = 20
"""Items on a page where the request does not say how many."""

_NUMBER = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Record:
    """A stored response and the items that it was asked with."""

    response: Mapping[str, Any]
    input: tuple[Item, ...]

    @property
    def output(self) -> list[Item]:
        output: list[Item] = self.response["output"]
        return output


def is_kept(body: Mapping[str, Any]) -> bool:
    """Whether the request lets its response be stored, which is the default."""
    return body.get("store") is not False


def keep(call: Call, response: Mapping[str, Any]) -> None:
    """Store the response to ``call``, if it shall be."""
    if not is_kept(call.body):
        return
    call.stored[response["id"]] = encode({"response": response, "input": call.body.get("input")})
    for item in response["output"]:
        call.stored[item["id"]] = encode(item)


def keep_events(call: Call, id: str, frames: Iterable[Frame]) -> None:
    """Store the events of a background response's stream, if it shall be stored."""
    if is_kept(call.body):
        call.stored[_events_of(id)] = b"".join(frame.data for frame in frames)


def _events_of(id: str) -> str:
    return f"{id}/events"


def find(stored: Mapping[str, bytes], id: str) -> Record | None:
    """The response of that id; None where it is not stored."""
    kept = parse_object(stored.get(id, b""))
    response = kept.get("response")
    if not isinstance(response, dict):
        return None
    asked = kept.get("input")
    if isinstance(asked, str):
        asked = [{"type": "message", "role": "user", "content": asked}]
    return Record(response, tuple(asked or ()))


def find_item(stored: Mapping[str, bytes], id: str) -> Item | None:
    """An item of a stored response's output, by its own id."""
    item = parse_object(stored.get(id, b""))
    return item if item.get("id") == id else None


def earlier(stored: Mapping[str, bytes], id: str) -> tuple[list[Item], bool]:
    """All items up to the end of that response, the oldest first.

    The second value is False where they are not all there: the store has forgotten some, or a
    conversation holds them.
    """
    turns: list[list[Item]] = []
    seen: set[str] = set()
    whole = True
    while id and id not in seen:
        seen.add(id)
        record = find(stored, id)
        if record is None:
            whole = False
            break
        asked = (_resolved(stored, item) for item in record.input)
        turns.append([*filter(None, asked), *record.output])
        whole = whole and record.response.get("conversation") is None
        id = record.response.get("previous_response_id") or ""
    return list(chain.from_iterable(reversed(turns))), whole


def _resolved(stored: Mapping[str, bytes], item: Item) -> Item | None:
    """What a reference refers to; other items as they are."""
    kind = item.get("type")
    if kind == "item_reference" or (kind is None and item.get("role") is None):
        return find_item(stored, item.get("id") or "")
    return item


def not_found(id: str) -> Refused:
    """The refusal of an id that is not stored."""
    return Refused(Problem(404, f"Response with id '{id}' not found."))


def _found(call: Call) -> Record:
    record = find(call.stored, call.variables["id"])
    if record is None:
        raise not_found(call.variables["id"])
    return record


def retrieve(call: Call, _means: Means) -> PlainReply:
    """The response; with ``stream=true`` the events of its stream once more."""
    record = _found(call)
    if call.query.get("stream", "").lower() in ("true", "1"):
        return _replay(call)
    return PlainReply(record.response)


def _replay(call: Call) -> PlainReply:
    """Events are numbered from 0, so those behind number n begin at index n + 1."""
    events = call.stored.get(_events_of(call.variables["id"]))
    if events is None:
        why = "is only allowed for a response created with 'background' and 'stream' both true"
        raise Refused(words.WORDING.invalid("stream", why))
    start = _whole_number(call, "starting_after", -1) + 1
    rest = events.split(b"\n\n")[start:]
    return PlainReply(b"\n\n".join(rest), content_type=event_stream(call))


def delete(call: Call, _means: Means) -> PlainReply:
    """Forget a response, its items and its events."""
    id = call.variables["id"]
    record = find(call.stored, id)
    if record is None and not call.trusting:
        raise not_found(id)
    if record is not None:
        _forget(call.stored, id, _events_of(id), *(item["id"] for item in record.output))
    return PlainReply({"id": id, "object": "response", "deleted": True})


def _forget(stored: MutableMapping[str, bytes], *ids: str) -> None:
    for id in ids:
        stored.pop(id, None)


def cancel(call: Call, _means: Means) -> PlainReply:
    """A response in the background is complete at once, so it is shown as it is."""
    record = _found(call)
    if not record.response["background"]:
        raise Refused(Problem(400, "Cannot cancel a synchronous response."))
    return PlainReply(record.response)


def list_input(call: Call, _means: Means) -> PlainReply:
    """A page of the items that a response was asked with, the last one first by default."""
    record = _found(call)
    id = record.response["id"]
    asked = (_resolved(call.stored, item) for item in record.input)
    items = [listed(item, id, number) for number, item in enumerate(filter(None, asked))]
    order = call.query.get("order") or "desc"
    if order not in ("asc", "desc"):
        raise Refused(words.WORDING.invalid("order", "must be one of 'asc', 'desc'"))
    if order == "desc":
        items.reverse()
    start = _start(call, items)
    limit = _whole_number(call, "limit", LISTED)
    if not 1 <= limit <= MOST_LISTED:
        raise Refused(words.WORDING.invalid("limit", f"must be between 1 and {MOST_LISTED}"))
    page = items[start : start + limit]
    return PlainReply({
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(items),
    })  # fmt: skip


def _start(call: Call, items: list[dict[str, Any]]) -> int:
    after = call.query.get("after")
    if not after:
        return 0
    for number, item in enumerate(items):
        if item["id"] == after:
            return number + 1
    raise Refused(words.WORDING.invalid("after", f"names {after!r}, which is no item here"))


def _whole_number(call: Call, name: str, default: int) -> int:
    value = call.query.get(name)
    if not value:
        return default
    if not _NUMBER.fullmatch(value):
        raise Refused(words.WORDING.wrong(name, "an integer", "a string"))
    return int(value)


def _plain(
    name: str,
    method: Literal["GET", "POST", "DELETE"],
    tail: str,
    answer: Any,
) -> Plain:
    path = re.compile(rf"(?:^|/)responses/(?P<id>[^/]+){tail}/?$")
    return Plain(name=f"openai_responses_{name}", method=method, path=path, answer=answer)


STORED: tuple[Plain, ...] = (
    _plain("cancel", "POST", "/cancel", cancel),
    _plain("input_items", "GET", "/input_items", list_input),
    _plain("delete", "DELETE", "", delete),
    _plain("retrieve", "GET", "", retrieve),
)
