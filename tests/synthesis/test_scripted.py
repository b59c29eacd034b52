"""A reply as somebody wrote it: what it may say, and how a mistake in it is named."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.answer import Reasoning, Refusal, Text, ToolCall
from llmproxy.synthesis.scripted import Script, ScriptError, read_script
from llmproxy.synthesis.wishes import read_wishes

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    ["text", "reasoning", "refusal", "tool_calls", "finish", "usage", "error", "stream_error",
     "after_chunks", "echo"]
)  # fmt: skip


def test_a_text_is_a_reply() -> None:
    assert read_script("Hi") == Script((Text("Hi"),))


def test_parts_stand_in_the_order_in_which_models_give_them() -> None:
    script = read_script(
        {
            "tool_calls": [{"name": "f", "arguments": {"a": "ä"}}, {"name": "g", "arguments": "{"}],
            "refusal": "no",
            "text": "t",
            "reasoning": "r",
            "finish": "length",
            "usage": {"output_tokens": 12},
        }
    )
    calls = ToolCall("f", '{"a": "ä"}'), ToolCall("g", "{")
    assert script.parts == (Reasoning("r"), Text("t"), Refusal("no"), *calls)
    assert (script.finish, script.input_tokens, script.output_tokens) == ("length", None, 12)


def test_an_error_has_what_its_status_wants_unless_it_says_more() -> None:
    script = read_script(
        {"error": {"status": 429, "headers": {"retry-after-ms": "150"}, "times": 2}}
    )
    assert script.error is not None
    assert (script.error.problem.status, script.error.problem.code) == (429, "rate_limit_exceeded")
    assert script.error.headers == (("retry-after-ms", "150"),)
    assert script.error.times == 2
    said = read_script({"error": {"status": 503, "message": "m", "type": "t", "code": "c"}}).error
    assert said is not None
    assert (said.problem.message, said.problem.kind, said.problem.code) == ("m", "t", "c")


def test_an_error_may_be_a_status_alone() -> None:
    script = read_script({"stream_error": 529, "after_chunks": 3})
    assert script.stream_error is not None
    assert (script.stream_error.problem.code, script.after_chunks) == ("overloaded", 3)


def test_how_much_comes_before_an_error_is_said_in_it_or_beside_it() -> None:
    assert read_script({"stream_error": {"after_chunks": 4}}).after_chunks == 4
    assert read_script({"stream_error": {}, "after_chunks": 5}).after_chunks == 5
    with pytest.raises(ScriptError, match=r"^error\.after_chunks: no such member"):
        read_script({"error": {"after_chunks": 4}})
    with pytest.raises(ScriptError, match=r"^stream_error\.after_chunks: must be a whole number"):
        read_script({"stream_error": {"after_chunks": -1}})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (7, "must be a text or an object"),
        ([], "must be a text or an object"),
        ({"texts": "x"}, "texts: no such member"),
        ({"text": 1}, "text: must be a text"),
        ({"tool_calls": {}}, "tool_calls: must be a list"),
        ({"tool_calls": ["f"]}, "tool_calls[0]: must be an object with name"),
        ({"tool_calls": [{"name": "f", "input": {}}]}, "tool_calls[0].input: no such member"),
        ({"tool_calls": [{"name": "f", "id": 1}]}, "tool_calls[0].id: must be a text"),
        ({"finish": "done"}, "finish: must be one of stop"),
        ({"usage": 3}, "usage: must be an object"),
        ({"usage": {"output_tokens": -1}}, "usage.output_tokens: must be a whole number"),
        ({"echo": "yes"}, "echo: must be true or false"),
        ({"after_chunks": 1.5}, "after_chunks: must be a whole number"),
        ({"error": []}, "error: must be an object with status and message"),
        ({"error": 200}, "error.status: must be a number from 400 to 599"),
        ({"error": {"status": True}}, "error.status: must be a number from 400 to 599"),
        ({"error": {"statu": 500}}, "error.statu: no such member"),
        ({"error": {"retry_after": "soon"}}, "error.retry_after: must be a number of seconds"),
        ({"error": {"retry_after": float("inf")}}, "error.retry_after: must be a number of seconds"),
        ({"error": {"headers": {"a b": "c"}}}, "error.headers: 'a b' cannot be set"),
        ({"error": {"headers": {"Content-Length": "1"}}}, "error.headers: 'Content-Length' cannot be"),
        ({"error": {"headers": {"Upgrade": "h2c"}}}, "error.headers: 'Upgrade' cannot be"),
        ({"error": {"headers": {"X-Llmproxy-Source": "x"}}}, "error.headers: 'X-Llmproxy-Source' ca"),
        ({"error": {"headers": {"x": "a\r\nb: c"}}}, "error.headers.x: must be one line"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(value: Any, said: str) -> None:
    with pytest.raises(ScriptError) as caught:
        read_script(value)
    assert str(caught.value).startswith(said)


@given(ANY_JSON | st.dictionaries(MEMBERS, ANY_JSON, max_size=3))
def test_nothing_but_a_script_or_its_error_comes_out(value: Any) -> None:
    with contextlib.suppress(ScriptError):
        assert isinstance(read_script(value), Script)


# Wishes


def test_the_aliases_of_mock_response_count_as_texts_only() -> None:
    assert read_wishes({"text": "a", "response": "b"}).script == Script((Text("a"),))
    assert read_wishes({"response": "b"}).script == Script((Text("b"),))
    assert read_wishes({"text": {"format": {"type": "text"}}}).script is None
    assert read_wishes({"mock_response": "m", "text": "a"}).script == Script((Text("m"),))


@pytest.mark.parametrize("length", ["auto", "short", "medium", "long", "very_long", "random", 12])
def test_a_length_is_a_word_or_a_number_of_tokens(length: str | int) -> None:
    assert read_wishes({"response_length": length}).length == length


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"mock_response": {"error": {"status": 1}}}, "mock_response.error.status: must be"),
        ({"response_length": "huge"}, "response_length: must be one of auto"),
        ({"response_length": 0}, "response_length: must be"),
        ({"response_length": []}, "response_length: must be"),
        ({"duration_seconds": 0}, "duration_seconds: must be above 0"),
        ({"duration_seconds": "3"}, "duration_seconds: must be a number"),
        ({"duration_seconds": 1e9}, "duration_seconds: must be above 0 and at most"),
    ],
)
def test_a_wish_that_cannot_be_is_named(body: dict[str, Any], said: str) -> None:
    with pytest.raises(ScriptError) as caught:
        read_wishes(body)
    assert str(caught.value).startswith(said)
