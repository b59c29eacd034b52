"""Anthropic's threads: conversations that the server holds, so that a turn sends only what is new.

Strategy: under the id of a reply a session's store holds the messages since the reply before it,
and that one's id; a conversation is the chain of them. The first of them also holds what a
thread keeps as it was created with. What the store has forgotten ends the chain: the thread is
not found then, upon which Anthropic's SDK sends the whole conversation anew. Facts are from
``anthropic`` 2.11, whose tool runner holds its conversations so.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from llmproxy.dialects.failures import parse_object
from llmproxy.dialects.operation import Call, Refused, encode
from llmproxy.dialects.reading import Fields
from llmproxy.interaction import Problem

_HELD = ("system", "tools")
"""What only the turn that creates a thread may say."""


def resumed(call: Call, fields: Fields) -> Fields:
    """The fields of the body, with the whole conversation where it goes on with a thread.

    Raises:
        Refused: the thread is not one, or is not held.
    """
    thread = fields.group("thread")
    if thread is None:
        return fields
    kind = thread.text("type", "create", "continue")
    if kind is None:
        thread.refuse_missing("type")
    if kind == "create":
        return fields
    held, messages = _history(call.stored, thread.required_text("previous_message_id"))
    whole = {**fields.members, **held, "messages": [*messages, *fields.items("messages")]}
    return Fields(whole, fields.wording)


def keep(call: Call, id: str, content: list[dict[str, Any]]) -> None:
    """Hold the turn of ``call``, whose reply has that id and content, if it is one of a thread."""
    thread = call.body.get("thread")
    if thread is None:
        return
    previous = thread.get("previous_message_id") if thread["type"] == "continue" else None
    reply = {"role": "assistant", "content": content}
    turn = {
        "previous": previous,
        "held": {} if previous else {name: call.body[name] for name in _HELD if name in call.body},
        "messages": [*(call.body.get("messages") or ()), reply],
    }
    call.stored[id] = encode(turn)


def _history(stored: Mapping[str, bytes], id: str) -> tuple[Mapping[str, Any], list[Any]]:
    """What the thread holds, and its messages up to the reply of that id, the oldest first."""
    turns: list[list[Any]] = []
    before: str | None = id
    held: Mapping[str, Any] = {}
    while before:
        turn = parse_object(stored.get(before, b""))
        if "previous" not in turn:
            message = f"thread.previous_message_id: no thread is held under message {id[:80]!r}"
            raise Refused(Problem(404, message, code="thread_not_found"))
        turns.append(turn["messages"])
        before, held = turn["previous"], turn["held"]
    return held, list(chain.from_iterable(reversed(turns)))
