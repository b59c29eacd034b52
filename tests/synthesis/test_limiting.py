"""Where an answer ends: stop sequences, tokens, time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmproxy.answer import Choice, Part, Reasoning, Text, ToolCall
from llmproxy.synthesis.limiting import limit, part_tokens, stop_at
from means import tokenizer

TEXTS = st.text(max_size=40)
PARTS = st.one_of(
    TEXTS.map(Text), TEXTS.map(Reasoning), st.builds(ToolCall, st.just("name"), TEXTS)
)


def test_the_first_stop_sequence_ends_the_text_and_is_not_said() -> None:
    choice = Choice((Reasoning("one STOP"), Text("two HALT three STOP"), ToolCall("f", "{}")))
    assert stop_at(choice, ("STOP", "HALT")) == Choice(
        (Reasoning("one STOP"), Text("two ")), "stop_sequence", "HALT"
    )


def test_without_a_stop_sequence_nothing_changes() -> None:
    choice = Choice((Text("two"),))
    assert stop_at(choice, ()) is choice
    assert stop_at(choice, ("x",)) is choice


def test_a_call_is_cut_in_its_arguments_and_left_out_where_its_name_does_not_fit() -> None:
    count, head = tokenizer().count, tokenizer().head
    call = ToolCall("get_weather", '{"city": "Rome", "unit": "celsius"}')
    named = count("get_weather")
    cut = limit(Choice((call,), "tool_calls"), named + 3, count, head)
    assert cut.finish == "length"
    assert call.arguments.startswith(cut.calls[0].arguments)
    assert 0 < count(cut.calls[0].arguments) <= 3
    assert limit(Choice((call,), "tool_calls"), named, count, head).parts == ()


def test_an_ending_follows_what_was_cut() -> None:
    count, head = tokenizer().count, tokenizer().head
    choice = Choice((Text("one two three four five six"),))
    assert limit(choice, 2, count, head, " [cut]").text == "one two [cut]"
    assert limit(choice, 0, count, head, "[cut]").text == "[cut]"
    assert limit(choice, 6, count, head, "[cut]") is choice


@given(st.lists(PARTS, max_size=4), st.integers(0, 30))
def test_a_limited_answer_is_a_beginning_within_its_bound(parts: list[Part], most: int) -> None:
    count, head = tokenizer().count, tokenizer().head
    choice = Choice(tuple(parts))
    limited = limit(choice, most, count, head)
    assert sum(part_tokens(part, count) for part in limited.parts) <= most
    whole = sum(part_tokens(part, count) for part in parts)
    assert (limited is choice) == (whole <= most)
    assert choice.text.startswith(limited.text)
    assert choice.reasoning.startswith(limited.reasoning)
