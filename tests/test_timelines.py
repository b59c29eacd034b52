"""What recorded replies teach about rhythm: tokens arrive with the chunks that brought them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy import timelines
from llmproxy.errors import SettingsError
from llmproxy.interaction import End, Interaction, RecordedRequest
from llmproxy.timelines import Learnt, Timeline, learn, read_timeline
from make import JSON, interaction, request, response

SSE = (("Content-Type", "text/event-stream"),)
NDJSON = (("content-type", "application/x-ndjson"),)
VERSION = (("anthropic-version", "2023-06-01"),)
DONE = b"data: [DONE]\n\n"

CHAT = request(b'{"model":"gpt-4o","stream":true}', path="/chat/completions")
MESSAGES = request(b'{"model":"claude-4"}', path="/messages", headers=VERSION, upstream="anthropic")
RESPONSES = request(b'{"model":"gpt-5"}', path="/responses")
OLLAMA = request(b'{"model":"llama3"}', path="/api/chat", upstream="ollama")
GEMINI = request(b"{}", path="/v1beta/models/gemini-3:streamGenerateContent", upstream="gemini")


def data(value: object) -> bytes:
    return b"data: %b\n\n" % json.dumps(value).encode()


def named(value: dict[str, Any]) -> bytes:
    return b"event: %b\n" % value["type"].encode() + data(value)


def delta(text: str) -> bytes:
    return data({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


def usage(tokens: int) -> bytes:
    return data({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": tokens}})


ROLE = data({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})


def recorded(
    chunks: Iterable[tuple[float, bytes]],
    asked: RecordedRequest = CHAT,
    headers: tuple[tuple[str, str], ...] = SSE,
    *,
    status: int = 200,
    end: End = "eof",
) -> Interaction:
    answered = response(chunks, headers=headers, status=status, end=end)
    return interaction(asked, replace(answered, head_at=0.05))


def read(chunks: Iterable[tuple[float, bytes]], *more: Any, **options: Any) -> Timeline:
    _, timeline = read_timeline(recorded(chunks, *more, **options))
    assert timeline is not None
    return timeline


def chat(model: str, *moments: float) -> Interaction:
    """A stream of one token at each moment."""
    asked = request(json.dumps({"model": model}).encode())
    return recorded([*((moment, delta("word")) for moment in moments)], asked)


def line(*moments: float) -> Timeline:
    return Timeline(moments[0], moments[0], moments)


def test_each_token_arrives_with_the_chunk_that_brought_it() -> None:
    found = read(
        [(0.1, ROLE), (0.5, delta("One ")), (0.7, delta("two ")), (0.8, usage(2)), (0.9, DONE)]
    )
    assert found == Timeline(0.05, 0.1, (0.5, 0.7))


def test_lumps_stay_lumps() -> None:
    found = read([(0.5, delta("abcd") * 3), (2.0, delta("abcd") * 5 + usage(8) + DONE)])
    assert found.moments == (0.5, 0.5, 0.5, 2.0, 2.0, 2.0, 2.0, 2.0)


def test_tokens_are_spread_by_how_much_text_each_event_brings() -> None:
    found = read([(0.5, delta("abcd")), (1.0, delta("abcd" * 3)), (1.1, usage(4))])
    assert found.moments == (0.5, 1.0, 1.0, 1.0)


def test_without_usage_each_event_with_content_is_a_token() -> None:
    found = read([(0.1, ROLE), (0.5, delta("a longer piece")), (0.7, delta("b")), (0.9, DONE)])
    assert found.moments == (0.5, 0.7)


def test_reasoning_that_is_reported_but_not_streamed_makes_nothing_faster() -> None:
    words = [(1 + number / 10, delta("word")) for number in range(10)]
    found = read([*words, (2.5, usage(1_010))])
    assert found.moments == pytest.approx([moment for moment, _ in words])


def test_an_event_arrives_when_its_last_byte_does() -> None:
    event = delta("abcd")
    found = read([(0.2, event[:40]), (0.9, event[40:] + DONE)])
    assert found == Timeline(0.05, 0.2, (0.9,))


def test_escaped_quotes_and_other_members_are_no_content() -> None:
    noise = data({"id": "x", "note": '"content":"not this"', "choices": []})
    found = read([(0.1, noise), (0.5, delta('say \\"hi\\" \n')), (0.9, DONE)])
    assert found.moments == (0.5,)


def test_anthropics_blocks_are_read() -> None:
    text = {"type": "content_block_delta", "index": 0}
    found = read(
        [
            (0.1, named({"type": "message_start", "message": {"content": [], "usage": {}}})),
            (0.2, named({"type": "content_block_start", "content_block": {"type": "text", "text": ""}})),
            (0.3, named({"type": "ping"})),
            (0.5, named({**text, "delta": {"type": "thinking_delta", "thinking": "Hm"}})),
            (0.7, named({**text, "delta": {"type": "text_delta", "text": "Yes"}})),
            (0.8, named({**text, "delta": {"type": "input_json_delta", "partial_json": '{"a'}})),
            (0.9, named({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}})),
            (0.9, named({"type": "message_stop"})),
        ],
        MESSAGES,
    )  # fmt: skip
    assert found == Timeline(0.05, 0.1, (0.5, 0.7, 0.8))


def test_what_a_responses_stream_repeats_at_its_end_counts_once() -> None:
    full = {"output": [{"content": [{"type": "output_text", "text": "One two three"}]}]}
    done = {"type": "response.completed", "response": {**full, "usage": {"output_tokens": 3}}}
    found = read(
        [
            (0.1, named({"type": "response.created", "response": {"instructions": "Say it."}})),
            (0.4, named({"type": "response.output_text.delta", "delta": "One "})),
            (0.5, named({"type": "response.output_text.delta", "delta": "two "})),
            (0.6, named({"type": "response.output_text.delta", "delta": "three"})),
            (5.0, named({"type": "response.output_text.done", "text": "One two three"})),
            (9.0, named(done)),
        ],
        RESPONSES,
    )
    assert found == Timeline(0.05, 0.1, (0.4, 0.5, 0.6))


def test_ollamas_lines_are_read() -> None:
    def part(text: str, **more: object) -> bytes:
        return json.dumps({"message": {"content": text}, **more}).encode() + b"\n"

    chunks = [(0.3, part("One ")), (0.4, part("two ")), (0.5, part("", done=True, eval_count=2))]
    assert read(chunks, OLLAMA, NDJSON) == Timeline(0.05, 0.3, (0.3, 0.4))


def test_geminis_array_is_a_stream() -> None:
    def part(text: str) -> bytes:
        return json.dumps(
            {"candidates": [{"content": {"parts": [{"text": text}]}}]}, indent=1
        ).encode()

    chunks = [(0.3, b"[" + part("One ")), (0.6, b"\n,\r\n" + part("two ")), (0.7, b"\n]\n")]
    assert read(chunks, GEMINI, JSON) == Timeline(0.05, 0.3, (0.3, 0.6))


def test_a_stream_whose_content_is_unknown_counts_its_data_events() -> None:
    chunks = [(0.2, data({"x": 1})), (0.3, b": ping\n\n"), (0.4, data({"x": 2})), (0.5, DONE)]
    assert read(chunks).moments == (0.2, 0.4)


def test_a_reply_that_came_whole_gives_its_time_and_tokens() -> None:
    body = json.dumps({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 4}})
    found = read([(2.0, body.encode())], CHAT, JSON)
    assert found == Timeline(0.5, 0.5, (0.5, 1.0, 1.5, 2.0), whole=True)


@pytest.mark.parametrize(
    "bad",
    [
        recorded([(0.5, delta("word"))], status=500),
        recorded([(0.5, delta("word"))], status=429),
        recorded([(0.5, delta("word"))], end="reset"),
        recorded([(0.5, delta("word") + data({"error": {"message": "m", "code": 502}}))]),
        recorded([]),
        recorded([(0.5, DONE)]),
        recorded([(0.5, b"{}")], CHAT, JSON),
        recorded([(0.5, b'{"data":[],"usage":{"prompt_tokens":3}}')], CHAT, JSON),
        recorded([(0.5, delta("word"))], replace(CHAT, method="GET")),
    ],
)
def test_what_failed_or_has_no_tokens_is_not_learnt_from(bad: Interaction) -> None:
    assert read_timeline(bad)[1] is None
    with pytest.raises(SettingsError, match=r"run1\.db holds no reply") as error:
        learn([bad], "run1.db")
    assert error.value.hint


@given(
    st.lists(st.tuples(st.floats(-1, 50), st.binary(max_size=60) | st.just(delta("ab"))), max_size=20),
    st.sampled_from([SSE, NDJSON, JSON]),
    st.sampled_from([CHAT, MESSAGES, RESPONSES, OLLAMA, GEMINI]),
)  # fmt: skip
def test_any_recording_gives_moments_that_ascend_or_nothing(
    chunks: list[tuple[float, bytes]],
    headers: tuple[tuple[str, str], ...],
    asked: RecordedRequest,
) -> None:
    _, found = read_timeline(recorded(chunks, asked, headers))
    if found is not None:
        line = [0.0, found.head_at, found.opened_at, *found.moments]
        assert line == sorted(line)
        assert found.moments


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20).map(sorted), st.integers(0, 200))
def test_behind_its_end_a_timeline_goes_on_with_its_own_gaps(
    moments: list[float], token: int
) -> None:
    found = line(*moments)
    gaps = [later - before for before, later in itertools.pairwise(moments)] or [0.0]
    expected = moments[0] + sum(itertools.islice(itertools.cycle(gaps), token))
    assert found.at(token) == pytest.approx(expected)


def test_a_model_follows_its_own_recordings() -> None:
    learnt = learn([chat("a", 0.1, 0.2), chat("b", 5.0, 9.0), chat("b", 6.0, 7.0)])
    assert learnt.models == ("a", "b")
    picked = {learnt.pick("b", Random(seed), 2).moments for seed in range(20)}
    assert picked == {(5.0, 9.0), (6.0, 7.0)}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("gpt-4o-mini-2024-07-18", {"gpt-4o-mini"}),
        ("openai/gpt-4o", {"gpt-4o", "gpt-4o-mini"}),
        ("gpt-4o", {"gpt-4o"}),
        ("gpt-5", {"gpt-4o", "gpt-4o-mini"}),
        ("Claude-Opus", {"claude-sonnet"}),
        ("mistral", {"gpt-4o", "gpt-4o-mini", "claude-sonnet"}),
        ("", {"gpt-4o", "gpt-4o-mini", "claude-sonnet"}),
    ],
)
def test_a_model_never_recorded_follows_its_nearest_kin(asked: str, found: set[str]) -> None:
    names = {1.0: "gpt-4o", 2.0: "gpt-4o-mini", 3.0: "claude-sonnet"}
    learnt = Learnt({name: (line(moment),) for moment, name in names.items()})
    picked = {names[learnt.pick(asked, Random(seed)).moments[0]] for seed in range(40)}
    assert picked == found


def test_a_long_reply_does_not_follow_a_short_recording() -> None:
    short, long = line(0.1), line(*(number / 10 for number in range(1, 41)))
    learnt = Learnt({"m": (short, long)})
    assert {learnt.pick("m", Random(seed), 300) for seed in range(20)} == {long}
    assert {learnt.pick("m", Random(seed), 1) for seed in range(20)} == {short, long}


def test_streams_are_preferred_to_replies_that_came_whole() -> None:
    stream, came_whole = line(0.1, 0.2), replace(line(1.0, 2.0), whole=True)
    learnt = Learnt({"m": (came_whole, stream), "n": (came_whole,)})
    assert {learnt.pick("m", Random(seed)) for seed in range(20)} == {stream}
    assert learnt.pick("n", Random(1)) == came_whole


def test_the_same_seed_picks_the_same_timeline() -> None:
    learnt = Learnt({"m": tuple(line(float(number)) for number in range(30))})
    picked = [learnt.pick("m", Random(7)) for _ in range(5)]
    assert len(set(picked)) == 1


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timelines, "MOST_PER_MODEL", 2)
    monkeypatch.setattr(timelines, "MOST_TIMELINES", 3)
    monkeypatch.setattr(timelines, "MOST_READ", 5)
    monkeypatch.setattr(timelines, "MOST_TOKENS", 4)
    source = iter([*[chat("a", *range(1, 30))] * 3, chat("b", 1.0), chat("c", 1.0), chat("d", 1.0)])
    learnt = learn(source)
    assert learnt.models == ("a", "b")
    assert learnt.pick("a", Random(1)).moments == (1, 2, 3, 4)
    assert len(list(source)) == 1


def test_a_report_of_countless_tokens_costs_no_memory() -> None:
    body = json.dumps({"usage": {"prompt_tokens": 1, "completion_tokens": 2**62}}).encode()
    assert len(read([(2.0, body)], CHAT, JSON).moments) == timelines.MOST_TOKENS
    found = read([(0.5, data({"x": 1})), (0.6, usage(2**62))])
    assert len(found.moments) == timelines.MOST_TOKENS


def test_reading_takes_time_in_proportion_to_the_body() -> None:
    hostile = b'data: {"content":"' + b'\\"text":"' * 200_000
    assert read([(0.5, hostile)]).moments == (0.5,)
