"""What a made-up reply says: scripted, a tool call, JSON or text; and always the same."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from llmproxy.answer import Choice, Reasoning, Refusal, Text, ToolCall
from llmproxy.prompt import Format, Message, Prompt, Tool, ToolChoice
from llmproxy.synthesis.composing import Composer, SchemaRefused, answer_of
from llmproxy.synthesis.mock import MockSettings
from llmproxy.synthesis.scripted import read_script
from llmproxy.synthesis.wishes import Wishes
from means import tokenizer

ASKED = Prompt("gpt-4o", (Message("system", "Be brief."), Message("user", "What is it?")))
NONE = Wishes()
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (Tool("one", schema=CITY), Tool("two", schema=CITY), Tool("three", schema=CITY))


def compose(
    prompt: Prompt = ASKED,
    seed: int = 0,
    wishes: Wishes = NONE,
    speed: float | None = None,
    tool_calls: float = 1.0,
    **settings: Any,
) -> tuple[Choice, ...]:
    settings.setdefault("text_before_calls", 0.0)
    return Composer(
        prompt,
        wishes,
        MockSettings(**settings),
        tokenizer(),
        random.Random(seed),
        tool_calls,
        speed,
    ).choices()


def says(script: Any) -> Wishes:
    return Wishes(read_script(script))


def test_the_same_seed_says_the_same_and_another_seed_says_something_else() -> None:
    assert compose(seed=1) == compose(seed=1)
    assert len({compose(seed=seed)[0].text for seed in range(20)}) > 10


def test_a_script_is_said_as_it_stands_whatever_the_settings() -> None:
    prompt = replace(ASKED, tools=TOOLS, reasoning=True, format=Format(CITY))
    assert compose(prompt, wishes=says("Hi"), text="no") == (Choice((Text("Hi"),), "stop"),)
    refused = compose(prompt, wishes=says({"refusal": "No."}))
    assert refused == (Choice((Refusal("No."),), "refusal"),)


def test_echo_says_what_the_user_said() -> None:
    assert compose(wishes=says({"echo": True}))[0].text == "What is it?"
    assert compose(style="echo")[0].text == "What is it?"


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (ToolChoice("required"), {"one", "two", "three"}),
        (ToolChoice("required", ("two",)), {"two"}),
        (ToolChoice("auto", ("one", "two")), {"one", "two"}),
        (ToolChoice("none"), set()),
    ],
)
def test_the_tool_choice_is_honoured(choice: ToolChoice, names: set[str]) -> None:
    called = set()
    for seed in range(30):
        (made,) = compose(replace(ASKED, tools=TOOLS, choice=choice), seed)
        assert made.finish == ("tool_calls" if names else "stop")
        called |= {call.name for call in made.calls}
        assert all("city" in json.loads(call.arguments) for call in made.calls)
    assert called == names


def test_tools_are_called_as_often_as_is_set() -> None:
    prompt = replace(ASKED, tools=TOOLS)
    calls = [bool(compose(prompt, seed, tool_calls=0.75)[0].calls) for seed in range(400)]
    assert 260 < sum(calls) < 340
    assert not any(compose(prompt, seed, tool_calls=0.0)[0].calls for seed in range(20))


def test_many_choices_share_the_bounds_of_one_reply() -> None:
    few = replace(ASKED, count=3)
    assert [
        len(choice.text) for choice in compose(few, wishes=Wishes(length=900), longest=1500)
    ] == [pytest.approx(len(compose(wishes=Wishes(length=500))[0].text), rel=0.3)] * 3
    many = replace(ASKED, count=20)
    made = compose(many, wishes=Wishes(length=100_000), longest=20_000)
    assert {tokenizer().count(choice.text) for choice in made} == {1000}
    scripted = compose(replace(ASKED, count=2), wishes=says("word " * 5000), longest=3000)
    assert [choice.finish for choice in scripted] == ["length", "length"]


def test_many_choices_share_the_work_that_one_schema_may_cost() -> None:
    doubled: dict[str, Any] = {"type": "string"}
    for _ in range(9):
        doubled = {"type": "object", "properties": {"l": doubled, "r": doubled}}
        doubled["required"] = ["l", "r"]
    assert compose(replace(ASKED, format=Format(doubled)))
    with pytest.raises(SchemaRefused, match="steps"):
        compose(replace(ASKED, format=Format(doubled), count=128))


def test_a_forced_tool_is_called_even_where_none_would_be() -> None:
    prompt = replace(ASKED, tools=TOOLS, choice=ToolChoice("required"))
    assert compose(prompt, tool_calls=0.0)[0].calls


def test_after_a_tools_result_comes_text_so_that_an_agent_ends() -> None:
    called = Message("assistant", calls=(ToolCall("one", "{}", "c1"),))
    prompt = replace(ASKED, messages=(*ASKED.messages, called, Message("tool", "42", answers="c1")))
    prompt = replace(prompt, tools=TOOLS)
    assert not any(compose(prompt, seed)[0].calls for seed in range(20))
    assert compose(prompt, after_tool_result="any")[0].calls
    asked_again = replace(prompt, messages=(*prompt.messages, Message("user", "And then?")))
    assert compose(asked_again)[0].calls


def test_several_tools_at_once_only_where_the_request_allows_it() -> None:
    prompt = replace(ASKED, tools=TOOLS)
    assert len(compose(prompt, parallel_calls=2)[0].calls) == 2
    assert len({call.name for call in compose(prompt, parallel_calls=9)[0].calls}) == 3
    assert len(compose(replace(prompt, parallel=False), parallel_calls=2)[0].calls) == 1


def test_something_may_be_said_before_a_call() -> None:
    (made,) = compose(replace(ASKED, tools=TOOLS), text_before_calls=1.0)
    assert [type(part) for part in made.parts] == [Text, ToolCall]


def test_a_tool_whose_schema_nothing_fits_gives_text_unless_it_is_forced() -> None:
    impossible = (
        Tool("f", schema={"type": "object", "required": ["a"], "properties": {"a": False}}),
    )
    assert compose(replace(ASKED, tools=impossible))[0].finish == "stop"
    forced = compose(replace(ASKED, tools=impossible, choice=ToolChoice("required")))
    assert forced[0].calls[0].arguments == "{}"
    several = replace(ASKED, tools=(*impossible, TOOLS[0]), choice=ToolChoice("required"))
    assert {compose(several, seed)[0].calls[0].name for seed in range(10)} == {"one"}


def test_structured_output_fits_its_schema() -> None:
    (made,) = compose(replace(ASKED, format=Format(CITY)))
    assert isinstance(json.loads(made.text)["city"], str)
    (free,) = compose(replace(ASKED, format=Format()))
    assert isinstance(json.loads(free.text), dict)


@pytest.mark.parametrize("schema", [False, {"type": "object", "required": ["a"], "not": {}}])
def test_a_schema_that_nothing_fits_is_refused(schema: Mapping[str, Any] | bool) -> None:
    with pytest.raises(SchemaRefused):
        compose(replace(ASKED, format=Format(schema)))


def test_reasoning_comes_first_and_takes_no_more_than_half() -> None:
    (made,) = compose(replace(ASKED, reasoning=True, max_tokens=10))
    assert [type(part) for part in made.parts] == [Reasoning, Text]
    assert 0 < tokenizer().count(made.reasoning) <= 5
    assert made.finish == "length"


@pytest.mark.parametrize(
    ("wishes", "settings", "speed", "tokens"),
    [
        (Wishes(length="short"), {}, None, 25),
        (Wishes(length=77), {"response_length": "long"}, None, 77),
        (Wishes(), {"response_length": "long"}, None, 400),
        (Wishes(length="auto"), {}, 5.0, 25),
        (Wishes(length="auto"), {}, 50.0, 1500),
        (Wishes(seconds=3.0), {}, 20.0, 60),
        (Wishes(seconds=3.0), {}, None, 30),
        (Wishes(length=10**9), {"longest": 50}, None, 50),
        (Wishes(seconds=86_400.0), {"longest": 50}, 1e6, 50),
    ],
)
def test_a_reply_has_the_size_that_is_wished(
    wishes: Wishes, settings: dict[str, Any], speed: float | None, tokens: int
) -> None:
    (made,) = compose(wishes=wishes, speed=speed, **settings)
    assert tokenizer().count(made.text) == tokens
    assert made.finish == "stop"


def test_max_tokens_and_stop_sequences_bound_each_choice() -> None:
    prompt = replace(ASKED, count=3, max_tokens=4, stop=("qqq",))
    made = compose(prompt, wishes=says("one two three four five six"))
    assert [(choice.text, choice.finish) for choice in made] == [
        ("one two three four", "length")
    ] * 3
    stopped = compose(replace(prompt, stop=(" three",)), wishes=says("one two three four"))
    assert {(choice.finish, choice.stopped_by) for choice in stopped} == {
        ("stop_sequence", " three")
    }


def test_no_tokens_at_all_are_no_text() -> None:
    (made,) = compose(replace(ASKED, max_tokens=0))
    assert (made.text, made.finish) == ("", "length")


def test_several_choices_differ() -> None:
    made = compose(replace(ASKED, count=4), style="prose")
    assert len({choice.text for choice in made}) == 4


def test_usage_counts_every_part_unless_the_script_says_otherwise() -> None:
    count = tokenizer().count
    choice = Choice((Reasoning("think a bit"), Text("said"), ToolCall("f", '{"a": 1}')))
    usage = answer_of((choice, choice), 7, count, None).usage
    each = count("think a bit") + count("said") + count("f") + count('{"a": 1}')
    assert (usage.input, usage.output, usage.reasoning) == (7, 2 * each, 2 * count("think a bit"))
    script = read_script({"usage": {"input_tokens": 100, "output_tokens": 2}})
    usage = answer_of((choice,), 7, count, script).usage
    assert (usage.input, usage.output, usage.reasoning, usage.total) == (100, 2, 2, 102)
