"""A secret said in tokens is found across events."""

from __future__ import annotations

import json

import pytest

from llmproxy.redaction.edits import Edit, splice
from llmproxy.redaction.streams import find_across_events, join_events

SECRET = b"0a1b2c3d4e5f"


def find(data: bytes) -> list[Edit]:
    at = data.find(SECRET)
    return [Edit(at, at + len(SECRET))] if at >= 0 else []


def clean(body: str) -> str:
    raw = body.encode()
    return splice(raw, find_across_events(join_events(raw), find))[0].decode()


def sse(*documents: object) -> str:
    return "".join(f"data: {json.dumps(document)}\n\n" for document in documents)


CHAT = '{{"choices":[{{"index":0,"delta":{{"content":"{}"}}}}]}}'
FORMATS = {
    "OpenAI chat": "data: " + CHAT + "\n\n",
    "OpenAI responses": (
        "event: response.output_text.delta\r\n"
        'data: {{"type":"response.output_text.delta","output_index":0,"delta":"{}"}}\r\n\r\n'
    ),
    "Anthropic": (
        "event: content_block_delta\ndata: "
        '{{"type": "content_block_delta", "index": 1, "delta": {{"type": "input_json_delta", "partial_json": "{}"}}}}\n\n'
    ),
    "Gemini": 'data: {{"candidates":[{{"content":{{"parts":[{{"text" : "{}"}}]}},"index":0}}]}}\r\n\r\n',
    "Ollama": '{{"message":{{"role":"assistant","content":"{}"}},"done":false}}\n',
}


@pytest.mark.parametrize("event", FORMATS.values(), ids=FORMATS)
def test_the_first_piece_gets_the_placeholder_and_the_others_nothing(event: str) -> None:
    pieces = ["say: 0a1b", "2c", "", "3d4e5", "f. Done"]
    expected = ["say: <redacted>", "", "", "", ". Done"]
    body = "".join(map(event.format, pieces))
    assert clean(body) == "".join(map(event.format, expected))


def test_a_secret_is_found_wherever_it_is_cut() -> None:
    secret = SECRET.decode()
    event = FORMATS["OpenAI chat"]
    for cut in range(1, len(secret)):
        body = event.format("x" + secret[:cut]) + event.format(secret[cut:] + "y")
        assert clean(body) == event.format("x<redacted>") + event.format("y")


def test_choices_that_take_turns_are_told_apart() -> None:
    def event(index: int, text: str) -> dict[str, object]:
        return {"choices": [{"delta": {"content": text}, "index": index}]}

    body = sse(event(0, "0a1b2c"), event(1, "0a1b"), event(0, "3d4e5f"), event(1, "no more"))
    assert clean(body) == sse(
        event(0, "<redacted>"), event(1, "0a1b"), event(0, ""), event(1, "no more")
    )


def test_a_secret_whole_in_one_event_is_left_to_the_others() -> None:
    body = sse({"a": "x"}, {"a": SECRET.decode()})
    assert clean(body) == body


@pytest.mark.parametrize("name", ["signature", "encrypted_content", "id", "obfuscation", "data"])
def test_opaque_fields_are_not_joined(name: str) -> None:
    body = sse({name: "0a1b2c"}, {name: "3d4e5f"})
    assert clean(body) == body


def test_a_stream_that_breaks_off_gives_up_its_last_piece_too() -> None:
    body = 'data: {"a":"x0a1b2c"}\n\ndata: {"a":"3d4e5f'
    assert clean(body) == 'data: {"a":"x<redacted>"}\n\ndata: {"a":"'


def test_other_bytes_have_nothing_to_join() -> None:
    assert join_events(b"") == join_events(b": ping\n\ndata: [DONE]\n\n\xff\x00") == []
