"""One contract, run over every dialect's operations by itself: what is written reads back.

Each ``Written`` of the examples says how to ask an operation and how a client reads its reply. A
new dialect is tested by its folder.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.contract import (
    CASES,
    CUTS,
    Case,
    able,
    ask,
    ask_written,
    by_operation,
    events,
    expected,
    joined,
    merge,
    records,
    stream,
    stream_type,
    streamed,
    write,
)
from dialects.examples import WRITTEN
from dialects.written import Written
from llmproxy import dialects
from llmproxy.answer import Text, ToolCall
from llmproxy.dialects.operation import Text as TextOperation
from llmproxy.dialects.operation import encode
from llmproxy.sse import is_event_stream, is_ndjson

ABLE = [
    pytest.param(written, case, id=f"{by_operation(written)}-{name}")
    for written in WRITTEN
    for name, case in CASES.items()
    if able(written, case)
]
WITH_CALLS = [
    pytest.param(written, id=by_operation(written)) for written in WRITTEN if written.tools
]
EACH = [pytest.param(written, id=by_operation(written)) for written in WRITTEN]


# Where a request goes


@pytest.mark.parametrize("written", EACH)
def test_the_example_finds_its_operation_with_and_without_v1_and_below_a_prefix(
    written: Written,
) -> None:
    names = set()
    for target, live in ((written.target, False), (streamed(written), True)):
        bare = target.removeprefix("/v1beta").removeprefix("/v1")
        body = merge(dict(written.body), written.stream_body if live else {})
        for variant in {target, f"/prefix{target}", bare}:
            asked = ask(written, variant, body)
            names.add(asked.operation.name)
            assert asked.operation is ask(written, target, body).operation
            assert asked.text.read_prompt(asked.call).stream is live
    assert written.operation in names


def test_every_text_operation_has_an_example() -> None:
    operations = [operation for dialect in dialects.DIALECTS for operation in dialect.operations]
    names = [operation.name for operation in operations]
    assert len(set(names)) == len(names)
    texts = {each.name for each in operations if isinstance(each, TextOperation)}
    targets = [(each, target) for each in WRITTEN for target in (each.target, streamed(each))]
    assert texts == {ask(each, target, dict(each.body)).operation.name for each, target in targets}


# What is written


@pytest.mark.parametrize(("written", "case"), ABLE)
def test_a_whole_reply_reads_back(written: Written, case: Case) -> None:
    answer, body = write(ask_written(written, case, stream=False), case)
    assert written.read(encode(body)) == expected(written, case, answer)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("written", "case"), ABLE)
def test_a_stream_tells_the_same(written: Written, case: Case, cut: str) -> None:
    answer, frames = stream(ask_written(written, case, stream=True), case, cut)
    assert written.read_stream(joined(frames)) == expected(written, case, answer)


@pytest.mark.parametrize("written", WITH_CALLS)
def test_a_call_that_was_cut_off_is_told_whole_and_streamed(written: Written) -> None:
    """Its arguments may differ: a whole reply of Anthropic has an object, a stream any text."""
    case = Case((Text("Look:"), ToolCall("f", '{"a":"unfini')), "length")
    _, body = write(ask_written(written, case, stream=False), case)
    _, frames = stream(ask_written(written, case, stream=True), case)
    whole, streamed = written.read(encode(body)), written.read_stream(joined(frames))
    (one,), (other,) = whole.choices, streamed.choices
    assert (one.text, one.finish) == (other.text, other.finish)
    assert [call.name for call in one.calls] == [call.name for call in other.calls]
    assert one.finish == written.finishes["length"]


@pytest.mark.parametrize(("written", "case"), ABLE)
def test_each_frame_is_whole(written: Written, case: Case) -> None:
    asked = ask_written(written, case, stream=True)
    _, frames = stream(asked, case)
    for frame in frames:
        if not frame.data:
            assert frame.tokens or frame.characters, "a frame of nothing"
        elif is_event_stream(stream_type(asked)):
            assert events(frame.data)
        elif is_ndjson(stream_type(asked)):
            assert all(isinstance(json.loads(line), dict) for line in frame.data.splitlines())
            assert frame.data.endswith(b"\n")
        else:
            json.loads(frame.data.strip(b"[],\r\n ") or b"{}")
    assert records(asked, joined(frames))


@pytest.mark.parametrize(("written", "case"), ABLE)
def test_the_frames_tokens_add_up_to_the_usage(written: Written, case: Case) -> None:
    asked = ask_written(written, case, stream=True)
    answer, frames = stream(asked, case)
    assert sum(frame.tokens for frame in frames) == answer.usage.output
    _, coarse = stream(asked, case, "characters")
    assert sum(frame.tokens for frame in coarse) == answer.usage.output
    characters = sum(
        len(part.name) + len(part.arguments) if isinstance(part, ToolCall) else len(part.text)
        for choice in answer.choices
        for part in choice.parts
    )
    assert sum(frame.characters for frame in frames) == characters


@pytest.mark.parametrize(("written", "case"), ABLE)
def test_all_of_a_stream_has_one_id(written: Written, case: Case) -> None:
    asked = ask_written(written, case, stream=True)
    _, frames = stream(asked, case)
    for name in ("id", "responseId", "model", "created", "created_at"):
        for inner in ("", "response", "message"):
            rows = [row.get(inner) if inner else row for row in records(asked, joined(frames))]
            found = {row[name] for row in rows if isinstance(row, dict) and name in row}
            assert len(found) <= 1, (inner, name)


@pytest.mark.parametrize("written", EACH)
@settings(max_examples=20, deadline=None)
@given(pick=st.data())
def test_any_split_of_the_bytes_parses_the_same(written: Written, pick: st.DataObject) -> None:
    case = CASES["lines"]
    asked = ask_written(written, case, stream=True)
    if not is_event_stream(stream_type(asked)):
        return
    body = joined(stream(asked, case)[1])
    splits = pick.draw(st.lists(st.integers(0, len(body)), max_size=20))
    assert events(body, tuple(sorted(splits))) == events(body)


@pytest.mark.parametrize("written", EACH)
@settings(max_examples=30, deadline=None)
@given(text=st.text(st.characters(), max_size=60), cut=st.sampled_from(sorted(CUTS)))
def test_any_text_reads_back_from_a_stream(written: Written, text: str, cut: str) -> None:
    case = Case((Text(text),))
    answer, frames = stream(ask_written(written, case, stream=True), case, cut)
    assert written.read_stream(joined(frames)) == expected(written, case, answer)
