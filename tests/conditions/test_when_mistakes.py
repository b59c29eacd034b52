"""What is wrong in a ``when``, where, and what would do; the JSON Schema says the same."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions.holding import TABLE
from conditions.subjects import Asked
from conditions.whens import SUBJECTS, WHENS, complaints
from llmproxy.conditions.condition import Slow
from llmproxy.conditions.matcher_kinds import KINDS, MAKERS
from llmproxy.conditions.places import ROWS
from llmproxy.conditions.reading import describe, read_when, when_schema
from llmproxy.findings import Finding


def nested(depth: int) -> Any:
    data: Any = {"turn": 1}
    for _ in range(depth):
        data = {"not": data}
    return data


def nested_matcher(depth: int) -> Any:
    data: Any = "a"
    for _ in range(depth):
        data = {"not": data}
    return {"text": data}


CONDITIONS = ", ".join((*ROWS, "all", "any", "not"))

MISTAKES: list[tuple[object, str]] = [
    (None, "when: has no value; write one or remove the line"),
    ("hello", 'when: "hello" is no condition; write {text: hello}'),
    ([], "when: is a list; write all: or any: before it"),
    ({"txt": "a"}, "when.txt: no such condition; did you mean text?"),
    ({"colour": "a"}, f"when.colour: no such condition; there are {CONDITIONS}"),
    ({"text": None}, "when.text: has no value; write one or remove the line"),
    ({"text": True}, "when.text: true is no text; put it in quotes"),
    ({"text": 1.5}, "when.text: 1.5 is no text; put it in quotes"),
    ({"text": {}}, "when.text: says nothing to compare with; write a text"),
    (
        {"text": {"ignore_case": True}},
        "when.text: says nothing to compare with; write a text",
    ),
    (
        {"text": {"contain": "a"}},
        "when.text.contain: no such test of a text; did you mean contains?",
    ),
    (
        {"text": {"present": True}},
        (
            "when.text.present: no such test of a text; there are equals, contains, starts_with, "
            "ends_with, regex, glob, ignore_case, any_of, not"
        ),
    ),
    ({"text": {"contains": ["a"]}}, "when.text.contains: this list is no text; put it in quotes"),
    (
        {"text": {"contains": "a", "ignore_case": "yes"}},
        "when.text.ignore_case: takes true or false",
    ),
    ({"text": {"any_of": "a"}}, "when.text.any_of: takes a list; write [this, that]"),
    ({"text": []}, "when.text: is an empty list, which nothing fits; write [this, that]"),
    ({"text": ["a"] * 1_001}, "when.text: has 1,001 members; at most 1,000"),
    ({"text": ["a", ["b", None]]}, "when.text[1][1]: has no value; write one or remove the line"),
    (
        {"text": {"regex": "(a"}},
        "when.text.regex: the regex does not compile: missing ) at position 2",
    ),
    (
        {"text": {"regex": "a" * 2_001}},
        "when.text.regex: the regex has 2,001 characters; at most 2,000",
    ),
    ({"model": "*" * 2_001}, "when.model: the glob has 2,001 characters; at most 2,000"),
    (
        {"headers": {"x-a": {"present": False, "equals": "b"}}},
        "when.headers.x-a.present: false leaves nothing that could fit the others",
    ),
    ({"headers": None}, "when.headers: has no value; write one or remove the line"),
    ({"headers": "x-team"}, "when.headers: takes names; write {x-team: search}"),
    ({"headers": {}}, "when.headers: takes names; write {x-team: search}"),
    (
        {"headers": {"x team": "a"}},
        'when.headers."x team": is no name of a header; write it as x-team',
    ),
    ({"query": ["a"]}, "when.query: takes names; write {version: '2'}"),
    ({"query": {"a": False}}, "when.query.a: false is no text; put it in quotes"),
    (
        {"json": {"temperature": 1}},
        (
            "when.json.temperature: JSON path 'temperature' must start with $ (position 0), "
            "such as $.model"
        ),
    ),
    (
        {"json": {"$.a[x]": 1}},
        "when.json.\"$.a[x]\": JSON path '$.a[x]': expected an index, * or a quoted name at position 4",
    ),
    (
        {"json": {"$.a": {"type": "x"}}},
        (
            'when.json."$.a".type: no such test of a JSON value (write equals: for a whole object); '
            "there are equals, contains, starts_with, ends_with, regex, glob, ignore_case, any_of, "
            "not, lt, le, gt, ge, present"
        ),
    ),
    (
        {"json": {"$.a": {"lt": "0.5"}}},
        'when.json."$.a".lt: "0.5" is no number; write it as 2 or 0.5, without quotes',
    ),
    (
        {"json": {"$.a": {"equals": {"b": {1, 2}}}}},
        'when.json."$.a".equals: set is no JSON value',
    ),
    (
        {"dialect": "opneai"},
        'when.dialect: "opneai" is no dialect or operation; did you mean openai?',
    ),
    (
        {"dialect": ["OpenAI_Chat"]},
        'when.dialect[0]: "OpenAI_Chat" is no dialect or operation; did you mean openai_chat?',
    ),
    (
        {"dialect": {"not": "grpc"}},
        (
            'when.dialect.not: "grpc" is no dialect or operation; there are gemini, anthropic, ollama, '
            "openai, gemini_generate, gemini_stream, …"
        ),
    ),
    ({"stream": "true"}, 'when.stream: "true" is neither true nor false'),
    ({"stream": [True]}, "when.stream: takes true or false"),
    ({"turn": "2"}, 'when.turn: "2" is no number; write it as 2 or 0.5, without quotes'),
    (
        {"turn": {"contains": "1"}},
        (
            "when.turn.contains: no such test of a number; there are equals, lt, le, gt, ge, any_of, "
            "not"
        ),
    ),
    ({"format": "jsn"}, 'when.format: "jsn" is no format; did you mean json?'),
    (
        {"tool_choice": "any"},
        'when.tool_choice: "any" is no tool choice; there are auto, none, required',
    ),
    ({"all": {"turn": 1}}, "when.all: takes a list; write [{text: hello}]"),
    ({"any": []}, "when.any: is an empty list, which nothing fits; write [{text: hello}]"),
    ({"any": None}, "when.any: has no value; write one or remove the line"),
    ({"any": [{"turn": 1}, None]}, "when.any[1]: has no value; write one or remove the line"),
    ({"not": [{"turn": 1}]}, "when.not: is a list; write all: or any: before it"),
    (nested(21), f"when{'.not' * 21}: is more than 20 conditions deep"),
    (nested_matcher(21), f"when.text{'.not' * 21}: is more than 20 matchers deep"),
]
NOT_OF_A_SCHEMA = re.compile(
    "does not compile|false leaves|deep|JSON path|JSON value$|glob has|name of a header"
)
"""What JSON Schema cannot tell, by the words of the findings."""


@pytest.mark.parametrize(("data", "said"), MISTAKES, ids=lambda value: str(value)[:50])
def test_a_mistake_is_found_at_its_place(data: object, said: str) -> None:
    (found,) = complaints(data)
    assert found == said


def test_all_mistakes_are_found_at_once() -> None:
    data = {"txt": 1, "turn": "x", "any": [{"text": {"regex": "(", "lt": 1}}, 5], "json": {"a": 1}}
    places = [said.partition(": ")[0] for said in complaints(data)]
    assert places == [
        "when.txt", "when.turn", "when.any[0].text.regex", "when.any[0].text.lt", "when.any[1]",
        "when.json.a",
    ]  # fmt: skip


def test_a_wrong_name_is_marked_at_the_key_and_a_wrong_value_at_the_value() -> None:
    found: list[Finding] = []
    read_when({"txt": 1, "turn": "x", "headers": {" ": "a"}}, ("rules", 0, "when"), found)
    assert [(one.path, one.key) for one in found] == [
        (("rules", 0, "when", "txt"), True),
        (("rules", 0, "when", "turn"), False),
        (("rules", 0, "when", "headers", " "), True),
    ]


def test_the_deepest_that_is_allowed_is_read() -> None:
    assert complaints(nested(20)) == []
    assert complaints(nested_matcher(20)) == []


SCHEMA, DEFS = when_schema()
VALIDATOR = jsonschema.Draft202012Validator({**SCHEMA, "$defs": DEFS})


def accepts(data: object) -> bool:
    return bool(VALIDATOR.is_valid(json.loads(json.dumps(data, default=str))))


def test_the_schema_is_one_and_names_only_what_it_defines() -> None:
    jsonschema.Draft202012Validator.check_schema({**SCHEMA, "$defs": DEFS})
    assert DEFS.keys() == {"when", *(f"when_{kind.name}" for kind in KINDS)}
    assert all("description" in member for member in DEFS["when"]["properties"].values())


@pytest.mark.parametrize("data", [row[0] for row in TABLE], ids=lambda value: str(value)[:50])
def test_the_schema_accepts_what_is_read(data: object) -> None:
    assert accepts(data)


@pytest.mark.parametrize(
    "data",
    [data for data, said in MISTAKES if not NOT_OF_A_SCHEMA.search(said)],
    ids=lambda value: str(value)[:50],
)
def test_the_schema_refuses_what_it_can_tell(data: object) -> None:
    assert not accepts(data)


@settings(deadline=None)
@given(WHENS)
def test_the_schema_accepts_whatever_is_read(data: object) -> None:
    if not complaints(data):
        assert accepts(data)


_keys = st.sampled_from([*ROWS, "all", "any", "not", *MAKERS, "any_of", "ignore_case", "present"])
_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["openai", "auto", "json", "$.a", "$..a", "(", "*", "x-a", "(a+)+$"])
)  # fmt: skip
_anything = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_keys, inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["$.a", "x-a"]), inner, max_size=2)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(_anything, SUBJECTS)
def test_whatever_stands_in_a_file_is_read_or_found_wrong(data: object, subject: Asked) -> None:
    found: list[Finding] = []
    condition = read_when(data, ("when",), found)
    assert (condition is None) == bool(found)
    assert all(str(one) for one in found)
    if condition is not None:
        try:
            holds = condition.holds(subject, 0.05)
        except Slow:
            return
        assert (condition.why_not(subject) == "") == holds
        assert describe(condition)


def test_a_large_file_of_mistakes_is_read_in_linear_time() -> None:
    data = {"any": [{"text": ["a" * 900, {"nope" * 20: 1}], f"wrong{n}": 1} for n in range(1_000)]}
    found: list[Finding] = []
    started = time.perf_counter()
    read_when(data, ("when",), found)
    assert time.perf_counter() - started < 1
    assert len(found) == 2_000
