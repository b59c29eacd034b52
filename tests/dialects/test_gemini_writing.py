"""What Gemini's operations write, whole and as a stream."""

from __future__ import annotations

import json
import string

import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.examples.gemini.written_gemini import (
    HELLO,
    SHOWN,
    WRITTEN,
)
from dialects.gemini_asking import (
    ARRAY,
    BEFORE_3,
    CALL,
    SSE,
    STREAM,
    answer_of,
    chunks_of,
    frames_of,
    text_call,
    written_body,
)
from dialects.written import Written
from llmproxy.answer import Answer, Choice, Finish, Part, Reasoning, Refusal, Text, ToolCall, Usage
from llmproxy.dialects.gemini import GEMINI
from llmproxy.dialects.operation import (
    Frame,
    encode,
)
from llmproxy.interaction import Problem
from means import make_means, tokenizer

# Writing


def test_a_whole_reply_in_full() -> None:
    body = written_body(answer_of(Text("Hello there.")), target=BEFORE_3)
    assert body == {
        "candidates": [
            {
                "content": {"parts": [{"text": "Hello there."}], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 3,
            "totalTokenCount": 12,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": body["responseId"],
    }
    assert len(body["responseId"]) == 22
    assert set(body["responseId"]) <= set(string.ascii_letters + string.digits)


def test_a_streams_chunks_in_full() -> None:
    chunks = chunks_of(answer_of(Text("Hello there.")))
    texts = [chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks]
    assert texts == ["Hello", " there", "."]
    used = [chunk["usageMetadata"]["candidatesTokenCount"] for chunk in chunks]
    assert used == [1, 2, 3]
    assert [chunk["usageMetadata"]["totalTokenCount"] for chunk in chunks] == [10, 11, 12]
    finishes = [chunk["candidates"][0].get("finishReason") for chunk in chunks]
    assert finishes == [None, None, "STOP"]
    assert len({chunk["responseId"] for chunk in chunks}) == 1
    assert (
        chunks[-1]["usageMetadata"]
        == written_body(answer_of(Text("Hello there.")))["usageMetadata"]
    )
    for chunk in chunks:
        types.GenerateContentResponse.model_validate(chunk)


def test_events_end_with_carriage_returns_and_have_no_name_comment_or_done() -> None:
    frames = frames_of(answer_of(Text("line\r\n\r\nline")))
    for frame in frames:
        assert frame.data.startswith(b"data: {")
        assert frame.data.endswith(b"}\r\n\r\n")
        assert frame.data.count(b"\n") == 2
    assert b"[DONE]" not in b"".join(frame.data for frame in frames)


def test_without_alt_sse_the_stream_is_one_json_array_an_element_a_frame() -> None:
    answer = answer_of(Text("Hello there."))
    frames = frames_of(answer, target=ARRAY)
    events = chunks_of(answer)
    assert json.loads(b"".join(frame.data for frame in frames)) == events
    assert [json.loads(frame.data.strip(b"[,\r\n]")) for frame in frames] == events
    assert [frame.data[:1] for frame in frames] == [b"[", b",", b","]
    single = frames_of(answer_of(Text("x")), target=ARRAY)
    assert len(json.loads(single[0].data)) == len(single) == 1


@pytest.mark.parametrize(
    ("target", "type_"),
    [
        (STREAM, "text/event-stream"),
        (f"{ARRAY}?%24alt=sse", "text/event-stream"),
        (ARRAY, "application/json; charset=UTF-8"),
        (f"{ARRAY}?alt=json", "application/json; charset=UTF-8"),
    ],
)
def test_the_query_decides_on_the_streams_type(target: str, type_: str) -> None:
    operation, call = text_call(target, {"contents": HELLO})
    assert operation.stream_type(call) == type_


def test_thoughts_come_first_and_only_where_they_are_asked_for() -> None:
    answer = answer_of(Reasoning("Let me see."), Text("Yes."))
    asked = {"contents": HELLO, "generationConfig": SHOWN}
    shown = written_body(answer, asked)
    thought, text = shown["candidates"][0]["content"]["parts"]
    assert thought == {"text": "Let me see.", "thought": True}
    assert (text["text"], "thought" in text) == ("Yes.", False)
    hidden = written_body(answer, {"contents": HELLO})
    assert hidden["candidates"][0]["content"]["parts"] == [text]
    for body in (shown, hidden):
        assert body["usageMetadata"]["thoughtsTokenCount"] == 4
        assert body["usageMetadata"]["candidatesTokenCount"] == 2
        assert body["usageMetadata"]["totalTokenCount"] == 15


def test_hidden_thoughts_take_their_time_in_a_stream_and_are_counted() -> None:
    answer = answer_of(Reasoning("Let me see."), Text("Yes."))
    frames = frames_of(answer)
    assert frames[0] == Frame(b"", 4, len("Let me see."))
    first = chunks_of(answer)[0]["usageMetadata"]
    assert (first["thoughtsTokenCount"], first["candidatesTokenCount"]) == (4, 1)
    shown = chunks_of(answer, {"contents": HELLO, "generationConfig": SHOWN})
    thoughts = [chunk["candidates"][0]["content"]["parts"][0].get("thought") for chunk in shown]
    assert thoughts == [True] * 4 + [None] * 2
    assert [chunk["usageMetadata"].get("thoughtsTokenCount") for chunk in shown] == [
        1,
        2,
        3,
        4,
        4,
        4,
    ]


def test_calls_are_whole_in_one_part_and_one_chunk_each() -> None:
    answer = answer_of(Text("Look:"), CALL, ToolCall("g", ""), finish="tool_calls")
    parts = written_body(answer)["candidates"][0]["content"]["parts"]
    assert [part.get("functionCall", {}).get("name") for part in parts] == [None, "f", "g"]
    assert [part["functionCall"]["args"] for part in parts[1:]] == [{"a": "x"}, {}]
    chunks = chunks_of(answer)
    assert all(len(chunk["candidates"][0]["content"]["parts"]) == 1 for chunk in chunks)
    assert chunks[-2]["candidates"][0]["content"]["parts"][0]["functionCall"]["name"] == "g"
    tokens = tokenizer().count
    assert frames_of(answer)[-3].tokens == tokens("f") + tokens('{"a":"x"}')


def test_since_gemini_3_a_streams_finish_reason_comes_alone_behind_a_call() -> None:
    before, last = (chunk["candidates"][0] for chunk in chunks_of(answer_of(CALL)))
    assert "finishReason" not in before
    assert last == {
        "content": {"parts": [{"text": ""}], "role": "model"},
        "finishReason": "STOP",
        "index": 0,
    }
    (only,) = chunks_of(answer_of(CALL), target=f"{BEFORE_3.partition(':')[0]}:{SSE}")
    assert "functionCall" in only["candidates"][0]["content"]["parts"][0]
    assert only["candidates"][0]["finishReason"] == "STOP"


def test_a_whole_reply_that_ends_with_a_call_says_so_in_words() -> None:
    (called,) = written_body(answer_of(Text("Look:"), CALL))["candidates"]
    assert called["finishMessage"]
    types.Candidate.model_validate(called)
    (spoken,) = written_body(answer_of(Text("Look:")))["candidates"]
    assert "finishMessage" not in spoken


SIGNED = [
    # model, parts that are signed where the reply calls twice, and where it only speaks
    ("gemini-3-flash", [False, True, False], [True]),
    ("gemini-2.5-pro", [False, True, False], [False]),
    ("gemini-2.0-flash", [False, False, False], [False]),
]


@pytest.mark.parametrize(("model", "called", "spoken"), SIGNED)
def test_the_first_call_is_signed_or_since_gemini_3_the_text(
    model: str, called: list[bool], spoken: list[bool]
) -> None:
    path = f"/v1/models/{model}"
    for parts, signed in (
        ((Text("Look"), CALL, ToolCall("g", "")), called),
        ((Text("Look"),), spoken),
    ):
        answer = answer_of(*parts)
        whole = written_body(answer, target=f"{path}:generateContent")
        shown = whole["candidates"][0]["content"]["parts"]
        assert ["thoughtSignature" in part for part in shown] == signed
        for part in shown:
            types.Part.model_validate(part)
        chunks = chunks_of(answer, target=f"{path}:{SSE}")
        told = [chunk["candidates"][0]["content"]["parts"][0] for chunk in chunks]
        marks = [part["thoughtSignature"] for part in told if "thoughtSignature" in part]
        assert marks == [part["thoughtSignature"] for part in shown if "thoughtSignature" in part]


@pytest.mark.parametrize(
    ("model", "has_id"),
    [("gemini-3-flash", True), ("gemini-2.5-pro", False), ("gemini-1.5-flash", False)],
)
def test_calls_have_ids_since_gemini_3(model: str, has_id: bool) -> None:
    body = written_body(answer_of(CALL), target=f"/v1/models/{model}:generateContent")
    (part,) = body["candidates"][0]["content"]["parts"]
    assert ("id" in part["functionCall"]) is has_id


@pytest.mark.parametrize(
    ("finish", "word"), [("length", "MAX_TOKENS"), ("tool_calls", "MALFORMED_FUNCTION_CALL")]
)
def test_a_call_whose_arguments_are_cut_is_left_out(finish: Finish, word: str) -> None:
    answer = answer_of(ToolCall("f", '{"a":'), finish=finish)
    expected = {"content": {"role": "model"}, "finishReason": word, "index": 0}
    assert written_body(answer)["candidates"] == [expected]
    assert [chunk["candidates"] for chunk in chunks_of(answer)] == [[expected]]


def test_a_filter_leaves_a_candidate_without_content() -> None:
    expected = [{"finishReason": "SAFETY", "index": 0}]
    for answer in (answer_of(finish="content_filter"), answer_of(Refusal(""), finish="refusal")):
        assert written_body(answer)["candidates"] == expected
        assert [chunk["candidates"] for chunk in chunks_of(answer)] == [expected]
    spoken = written_body(answer_of(Refusal("I will not."), finish="refusal"))["candidates"][0]
    assert [part["text"] for part in spoken["content"]["parts"]] == ["I will not."]
    assert spoken["finishReason"] == "STOP"


def test_an_empty_reply_still_has_a_part() -> None:
    expected = [
        {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0}
    ]
    assert written_body(answer_of(Text("")))["candidates"] == expected
    assert [chunk["candidates"] for chunk in chunks_of(answer_of(Text("")))] == [expected]


def test_thoughts_that_took_all_tokens_leave_a_finish_reason() -> None:
    answer = answer_of(Reasoning("Let me"), finish="length")
    assert frames_of(answer)[0].data == b""
    (chunk,) = chunks_of(answer)
    assert chunk["candidates"] == written_body(answer)["candidates"]
    assert chunk["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_candidates_take_turns_and_each_ends_once() -> None:
    one = Choice((Text("Hello there."),))
    two = Choice((Text("Hi"),), "length")
    chunks = chunks_of(Answer((one, two), Usage(9, 4)))
    assert [chunk["candidates"][0]["index"] for chunk in chunks] == [0, 1, 0, 0]
    finishes = [chunk["candidates"][0].get("finishReason") for chunk in chunks]
    assert finishes == [None, "MAX_TOKENS", None, "STOP"]
    assert chunks[-1]["usageMetadata"]["candidatesTokenCount"] == 4


def test_an_enum_is_said_without_quotes_and_costs_only_its_own_tokens() -> None:
    config = {"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["red"]}}
    body = {"contents": HELLO, "generationConfig": config}
    whole = written_body(answer_of(Text('"red"')), body)
    assert [part["text"] for part in whole["candidates"][0]["content"]["parts"]] == ["red"]
    assert whole["usageMetadata"]["candidatesTokenCount"] == tokenizer().count("red")
    assert chunks_of(answer_of(Text('"red"')), body)[-1]["usageMetadata"] == whole["usageMetadata"]


PARTS = st.lists(
    st.one_of(
        st.builds(Reasoning, st.text(max_size=12)),
        st.builds(Text, st.text(max_size=30) | st.just("cut \ud83d\r\n\r\ndata: x")),
        st.builds(Refusal, st.text(min_size=1, max_size=12)),
        st.builds(
            ToolCall,
            st.sampled_from("fg"),
            st.sampled_from(["", "{}", '{"a":"é"}', '{"a":', "7", "NaN"]),
        ),
    ),
    max_size=4,
).map(tuple)
FINISHES = st.sampled_from(sorted(WRITTEN[0].finishes))


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.operation)
@settings(deadline=None, max_examples=60)
@given(parts=PARTS, finish=FINISHES, count=st.integers(1, 3))
def test_a_stream_tells_the_same_as_the_whole_reply(
    written: Written, parts: tuple[Part, ...], finish: Finish, count: int
) -> None:
    answer = answer_of(*parts, finish=finish, count=count)
    whole = written.read(encode(written_body(answer, written.body, written.target)))
    frames = frames_of(answer, written.body, written.stream_target)
    streamed = written.read_stream(b"".join(frame.data for frame in frames))
    assert streamed == whole
    assert whole.output_tokens == answer.usage.output
    assert len(whole.choices) == count
    said = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
    assert whole.choices[0].text == said
    thought = answer.first.reasoning if written.shows_reasoning else ""
    assert whole.choices[0].reasoning == thought


def test_an_error_ends_a_stream_in_the_form_that_it_has() -> None:
    answer = answer_of(Text("Hello there."))
    problem = Problem(503, "gone")
    error = {"error": {"code": 503, "message": "gone", "status": "UNAVAILABLE"}}
    for target, sent in ((ARRAY, 2), (ARRAY, 0)):
        operation, call = text_call(target, {"contents": HELLO})
        frames = tuple(frames_of(answer, target=target)[:sent])
        assert operation.fail_stream is not None
        end = operation.fail_stream(problem, frames, make_means(call))
        whole = b"".join(frame.data for frame in frames) + end
        assert json.loads(whole)[sent:] == [error]
        assert GEMINI.stream_failed("application/json", whole)
    operation, call = text_call(STREAM, {"contents": HELLO})
    assert operation.fail_stream is not None
    end = operation.fail_stream(problem, (), make_means(call))
    assert end == GEMINI.write_stream_error(problem)


def test_hidden_thoughts_before_the_error_do_not_open_the_array_twice() -> None:
    operation, call = text_call(ARRAY, {"contents": HELLO})
    assert operation.fail_stream is not None
    silence = (Frame(b"", 4, 11),)
    end = operation.fail_stream(Problem(500, "x"), silence, make_means(call))
    assert len(json.loads(end)) == 1
