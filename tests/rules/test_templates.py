"""Templates: what each word gives, that nothing is parsed twice, and that there is an end."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions.subjects import Asked
from llmproxy.conditions.subject import Subject
from llmproxy.prompt import Message, Prompt
from llmproxy.rules import templates
from llmproxy.rules.templates import LONGEST, LONGEST_FILLED, Given, TemplateError, parse


def filled(text: str, asked: Asked | None = None, counter: int = 1, now: float = 0.0) -> str:
    subject: Subject = asked or Asked()
    return parse(text).render(subject, Given(counter, now, iter(["u1", "u2"]).__next__))


TALK = Prompt(
    "gpt-4o",
    (
        Message("system", "be kind"),
        Message("system", "be brief"),
        Message("user", "what is it?"),
        Message("assistant"),
        Message("tool", "18 degrees"),
        Message("tool", "rain"),
    ),
)
BODY = {
    "model": "m-1",
    "user": "ann",
    "n": 1,
    "t": 0.5,
    "deep": [{"id": 7}, {"id": 8, "last": None}],
    "yes": True,
    "wörd": {"ä": 1},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain } text }} { with % $ signs", "plain } text }} { with % $ signs"),
        ("You said {{ last_user_text }}!", "You said what is it?!"),
        ("{{last_user_text}}", "what is it?"),
        ("{{\n model\t}}", "gpt-4o"),
        ("{{ system }}", "be kind\nbe brief"),
        ("{{ tool_result }}", "rain"),
        ("{{ method }} {{ path }} {{ session }}", "POST /v1/chat/completions default"),
        ("{{ counter }}", "3"),
        ("{{ uuid }} {{ uuid }}", "u1 u2"),
        ("{{ now }}", "2023-11-14T22:13:20Z"),
        ("{{ now unix }}", "1700000000"),
        ('{{ "{{" }} model }}', "{{ model }}"),
        ("{{ '{{' }}{{ model }}", "{{gpt-4o"),
        ('{"a":{"b":"{{ model }}"}}', '{"a":{"b":"gpt-4o"}}'),
        ("{{ header X-Team }}", "search, ads"),
        ("{{ header absent }}", ""),
        ("{{ query q }}", "a b&c"),
        ("{{ query absent }}", ""),
        ("{{ json $.user }}", "ann"),
        ("{{ json $.n }} {{ json $.t }} {{ json $.yes }}", "1 0.5 true"),
        ("{{ json $.deep[1] }}", '{"id":8,"last":null}'),
        ("{{ json $.deep[1].last }}", "null"),
        ("{{ json $..id }}", "7"),
        ("{{ json $.deep[*].id }}", "7"),
        ("{{ json $['wörd'] }}", '{"ä":1}'),
        ("{{ json $['}}'] }}", ""),
        ("{{ json $.absent.at.all }}", ""),
        ("{{ json $.user.name }}", ""),
    ],
)
def test_each_word_gives_its_part_of_the_request(text: str, expected: str) -> None:
    headers = (("x-team", "search"), ("X-Team", "ads"))
    asked = Asked(query="q=a+b%26c&q=2", headers=headers, body=BODY, prompt=TALK)
    assert filled(text, asked, counter=3, now=1_700_000_000.9) == expected


def test_without_a_prompt_its_words_are_empty_and_the_model_is_that_of_the_body() -> None:
    text = "<{{ last_user_text }}{{ system }}{{ tool_result }}>{{ model }}"
    assert filled(text, Asked(body=BODY)) == "<>m-1"
    assert filled(text, Asked(body={"model": 3})) == filled(text, Asked(body=[])) == "<>"


def test_a_tool_result_from_before_the_user_spoke_is_not_the_last() -> None:
    again = Prompt("m", (*TALK.messages, Message("user", "and now?")))
    assert filled("{{ tool_result }}", Asked(prompt=again)) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ modle }}", 'at position 0: no such word: "modle"; did you mean model?'),
        ("ab {{ uid }}", 'at position 3: no such word: "uid"; did you mean uuid?'),
        (
            "{{ 1 + 1 }}",
            (
                'at position 0: no such word: "1"; there are last_user_text, system, tool_result,'
                " model, method, path, session, counter, uuid, now, json, header, query"
            ),
        ),
        ("{{ }}", "at position 0: nothing stands between {{ and }}"),
        ("{{}}", "at position 0: nothing stands between {{ and }}"),
        ("x {{ model", 'at position 2: {{ is never closed; {{ "{{" }} writes the braces'),
        ("{{ model }", 'at position 0: {{ is never closed; {{ "{{" }} writes the braces'),
        ("{{ model upper }}", "at position 0: nothing may stand after model"),
        ("{{ model | upper }}", "at position 0: nothing may stand after model"),
        ("{{ now local }}", "at position 0: nothing but unix may stand after now"),
        ("{{ json }}", "at position 0: json needs to know which; write json $.user"),
        ("{{ header }}", "at position 0: header needs to know which; write header x-team"),
        ("{{ query }}", "at position 0: query needs to know which; write query name"),
        (
            "{{ json user }}",
            'at position 0: JSON path "user" must start with $ (position 0), such as $.model',
        ),
        ("{{ json $. }}", 'at position 0: JSON path "$.": expected a name at position 2'),
        ("{{ header a b }}", 'at position 0: "a b" is not the name of a header'),
        ("{{ query a=b }}", 'at position 0: "a=b" is not the name of a query parameter'),
        (
            "{{ header Authorization }}",
            "at position 0: the header Authorization holds a credential, which no reply may tell",
        ),
        (
            "{{ query key }}",
            "at position 0: the query parameter key holds a credential, which no reply may tell",
        ),
        ("{{ uuid }}" * 101, "has more than 100 places"),
        ("a" * (LONGEST + 1), "has 262,145 characters; at most 262,144"),
    ],
)
def test_what_cannot_be_is_told_with_its_position(text: str, expected: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(text)
    assert str(caught.value) == expected


PIECES = st.sampled_from(
    ["{{", "}}", "{", "}", " ", "'", '"', "\\", "\n", "model", "json", "$.a", "$['", "']", "header", "x",
     "query", "now", "unix", "uuid", '{{ "{{" }}', "{{ model }}", "{{ json $..a }}"]
)  # fmt: skip
TEXTS = st.text(max_size=40) | st.lists(PIECES | st.text(max_size=3), max_size=20).map("".join)


@given(TEXTS)
def test_any_text_is_a_template_or_an_error_in_one_short_line(text: str) -> None:
    said, template = "", None
    try:
        template = parse(text)
    except TemplateError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 300
    if template is not None:
        rendered = template.render(Asked(body=BODY, prompt=TALK), Given(1, 0.0, lambda: "u"))
        assert ("{{" in text) or rendered == text


@given(TEXTS)
def test_what_is_filled_in_is_never_parsed_again(said: str) -> None:
    asked = Asked(prompt=Prompt("m", (Message("user", said),)), body={"a": said})
    shown = re.sub("[\ud800-\udfff]", "\ufffd", said)
    assert filled("<{{ last_user_text }}>", asked) == f"<{shown}>"
    assert filled("<{{ json $.a }}>", asked) == f"<{shown}>"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=4), lambda x: (
    st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3)
)))  # fmt: skip
def test_any_body_can_be_filled_in_and_sent(body: Any) -> None:
    text = filled("{{ json $ }}{{ json $..a }}{{ json $[*][*] }}{{ model }}", Asked(body=body))
    text.encode()


def test_a_place_and_the_whole_have_a_bound() -> None:
    prompt = Prompt("m", (Message("user", "x" * 1_000_000),))
    assert len(filled("{{ last_user_text }}", Asked(prompt=prompt))) == LONGEST_FILLED
    assert len(filled("{{ last_user_text }}" * 100, Asked(prompt=prompt))) == LONGEST


def test_equal_places_of_a_large_body_are_searched_once() -> None:
    class Counting(dict[str, object]):
        searched = 0

        def items(self) -> Any:
            Counting.searched += 1
            return super().items()

    filled("{{ json $..a }}" * 100, Asked(body=Counting(b=1)))
    assert Counting.searched == 1


def test_a_body_nested_deeper_than_can_be_written_is_empty() -> None:
    body: Any = []
    for _ in range(100_000):
        body = [body]
    assert filled("<{{ json $ }}>", Asked(body=body)) == "<>"


@pytest.mark.parametrize("text", ["{{ '" * 52_000, "{{" + "'a" * 120_000, '{{ "' + "'\"" * 120_000])
def test_quotes_without_an_end_take_no_quadratic_time(text: str) -> None:
    with pytest.raises(TemplateError):
        parse(text)


def test_the_first_node_is_that_of_the_text() -> None:
    body = json.loads('{"b": {"a": 1}, "a": 2, "c": [{"a": 3}]}')
    assert filled("{{ json $..a }} {{ json $.c..a }}", Asked(body=body)) == "1 3"


def test_every_word_is_tried_above() -> None:
    assert len(templates.WORDS) == 13
