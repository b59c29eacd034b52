"""OpenAI's responses as a stream of named, numbered events.

Strategy: the output is made first, as a whole reply would show it; the stream then tells how each
item came to be. So the last event holds the very items that went before it. A delta is the part
of its event that never changes, made once, with its number and its text put in. Facts are from
``openai`` 3.52, its stream helper and OpenAI's API reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmproxy.answer import Answer
from llmproxy.dialects import failures
from llmproxy.dialects.openai import stored, words
from llmproxy.dialects.openai.responses_body import Item, ended, failed, opened, output_items
from llmproxy.dialects.operation import Frame, Means, encode
from llmproxy.interaction import Problem
from llmproxy.prompt import Prompt

_OBFUSCATED = 16
"""Characters to whose next multiple a delta is filled up, so that its length tells little."""

_CALLS = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}
_PARTS = {
    "output_text": ("text", "response.output_text"),
    "refusal": ("refusal", "response.refusal"),
}
_ITEM_DONE = b"event: response.output_item.done\n"


class _Events:
    """Writes the events of one stream and numbers them from 0."""

    def __init__(self, means: Means, *, obfuscated: bool = False, number: int = 0) -> None:
        self._means = means
        self._obfuscated = obfuscated
        self._number = number

    def write(
        self, kind: str, members: Mapping[str, Any], tokens: int = 0, characters: int = 0
    ) -> Frame:
        """One event; ``members`` follow its type and number."""
        data = encode({"type": kind, "sequence_number": self._number, **members})
        self._number += 1
        return Frame(b"event: %b\ndata: %b\n\n" % (kind.encode(), data), tokens, characters)

    def deltas(self, kind: str, members: Mapping[str, Any], text: str) -> Iterator[Frame]:
        """One event for each piece of the text."""
        same = encode({"type": kind, **members})[:-1]
        head = b'event: %b\ndata: %b,"sequence_number":' % (kind.encode(), same)
        for piece in self._means.cut(text):
            end = self._padding(piece.text) if self._obfuscated else b"}\n\n"
            data = b'%b%d,"delta":%b%b' % (head, self._number, encode(piece.text), end)
            self._number += 1
            yield Frame(data, piece.tokens, len(piece.text))

    def _padding(self, text: str) -> bytes:
        length = _OBFUSCATED - len(text) % _OBFUSCATED
        return b',"obfuscation":"%b"}\n\n' % self._means.new_id("", length).encode()


def write_stream(prompt: Prompt, answer: Answer, means: Means) -> Iterator[Frame]:
    """The events from ``response.created`` to the end; there is no ``[DONE]``.

    The response is stored before its last event leaves, so that whoever has read that can refer
    to it; one that runs in the background before its first, as it does not end with the stream.
    """
    response = opened(prompt, means)
    frames = _frames(response, prompt, answer, means)
    if response["background"]:
        told = list(frames)
        stored.keep_events(means.call, response["id"], told)
        frames = iter(told)
    yield from frames


def _frames(
    response: dict[str, Any], prompt: Prompt, answer: Answer, means: Means
) -> Iterator[Frame]:
    options = prompt.body.get("stream_options") or {}
    events = _Events(means, obfuscated=options.get("include_obfuscation") is True)
    yield events.write("response.created", {"response": response})
    if response["background"]:
        yield events.write("response.queued", {"response": response})
    running = {**response, "status": "in_progress"}
    yield events.write("response.in_progress", {"response": running})
    items = output_items(prompt, answer.first, means)
    for index, item in enumerate(items):
        yield from _item_frames(events, index, item, means)
    final = ended(response, answer, items, means)
    stored.keep(means.call, final)
    yield events.write(f"response.{final['status']}", {"response": final})


def _item_frames(events: _Events, index: int, item: Item, means: Means) -> Iterator[Frame]:
    """The item added, what it says, the item done.

    A call's name is in the first of these. Reasoning that is not shown takes its time between
    them.
    """
    members = item.members
    place = {"item_id": members["id"], "output_index": index}
    name = members.get("name", "")
    yield events.write(
        "response.output_item.added",
        {"output_index": index, "item": _empty(members)},
        means.count(name) if name else 0,
        len(name),
    )
    kind = members["type"]
    if kind == "message":
        yield from _message_frames(events, place, members)
    elif kind == "reasoning":
        yield from _reasoning_frames(events, place, members)
    else:
        said, event = _CALLS[kind]
        yield from events.deltas(f"{event}.delta", place, members[said])
        named = {"name": name} if kind == "function_call" else {}
        yield events.write(f"{event}.done", {**place, **named, said: members[said]})
    yield events.write(
        "response.output_item.done",
        {"output_index": index, "item": members},
        means.count(item.unseen) if item.unseen else 0,
        len(item.unseen),
    )


def _empty(members: Mapping[str, Any]) -> dict[str, Any]:
    """The item before anything was said."""
    kind = members["type"]
    if kind == "reasoning":
        return {**members, "summary": []}
    said: dict[str, Any] = {"content": []} if kind == "message" else {_CALLS[kind][0]: ""}
    return {**members, "status": "in_progress", **said}


def _message_frames(
    events: _Events, place: Mapping[str, Any], members: Mapping[str, Any]
) -> Iterator[Frame]:
    for index, part in enumerate(members["content"]):
        said, event = _PARTS[part["type"]]
        here = {**place, "content_index": index}
        more: dict[str, Any] = {"logprobs": []} if said == "text" else {}
        yield events.write("response.content_part.added", {**here, "part": {**part, said: ""}})
        yield from events.deltas(f"{event}.delta", {**here, **more}, part[said])
        yield events.write(f"{event}.done", {**here, said: part[said], **more})
        yield events.write("response.content_part.done", {**here, "part": part})


def _reasoning_frames(
    events: _Events, place: Mapping[str, Any], members: Mapping[str, Any]
) -> Iterator[Frame]:
    event = "response.reasoning_summary"
    for index, part in enumerate(members["summary"]):
        here = {**place, "summary_index": index}
        yield events.write(f"{event}_part.added", {**here, "part": {**part, "text": ""}})
        yield from events.deltas(f"{event}_text.delta", here, part["text"])
        yield events.write(f"{event}_text.done", {**here, "text": part["text"]})
        yield events.write(f"{event}_part.done", {**here, "part": part})


def fail_stream(problem: Problem, frames: tuple[Frame, ...], means: Means) -> bytes:
    """The events that end a running stream: an ``error``, then ``response.failed``.

    The error is nested, which makes the SDK raise; the flat one of the specification it would
    hand to the program as one event among others. The response is stored as it failed.
    """
    sent = b"".join(frame.data for frame in frames)
    events = _Events(means, number=sent.count(b"\n\n"))
    error = {
        "type": words.kind_of(problem),
        "code": problem.code,
        "message": problem.message,
        "param": problem.param,
    }
    said = [events.write("error", {"error": failures.with_detail(problem, error)})]
    response = _data(frames[0]).get("response") if frames else None
    if response is not None:
        done = [_data(frame)["item"] for frame in frames if frame.data.startswith(_ITEM_DONE)]
        final = failed(response, problem, done)
        said.append(events.write("response.failed", {"response": final}))
        stored.keep(means.call, final)
        if final["background"]:
            stored.keep_events(means.call, final["id"], (*frames, *said))
    return b"".join(frame.data for frame in said)


def _data(frame: Frame) -> dict[str, Any]:
    return failures.parse_object(frame.data.partition(b"\ndata: ")[2])
