"""Reading ``when`` in tests, and strategies that make conditions and requests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from conditions.subjects import Asked
from llmproxy.answer import ToolCall
from llmproxy.conditions.condition import Condition
from llmproxy.conditions.reading import read_when
from llmproxy.findings import Finding
from llmproxy.prompt import Format, Message, Prompt, Tool

WORDS = ["", "a", "b", "ab", "AB", "abc", "gpt-4", "gpt-4o", "ß", "search"]
TEXT_KEYS = ["equals", "contains", "starts_with", "ends_with"]


def when(data: object) -> Condition:
    """The condition; the data must be right."""
    found: list[Finding] = []
    condition = read_when(data, ("when",), found)
    assert condition is not None, [str(one) for one in found]
    return condition


def complaints(data: object) -> list[str]:
    """Everything that is found wrong."""
    found: list[Finding] = []
    assert (read_when(data, ("when",), found) is None) == bool(found)
    return [str(one) for one in found]


_word = st.sampled_from(WORDS)
_number = st.sampled_from([0, 1, 1.0, 2, -1, 0.5])
_glob = st.sampled_from(["*", "a*", "*b", "a?", "?", "gpt-4*", "gpt-*", "*p*-4*", "a*b*c", "A*"])
_regex = st.sampled_from(["a", "^a", "b$", "[ab]+c?", "(?i)AB", "gpt-\\d"])


def _mappings(tests: dict[str, st.SearchStrategy[Any]], plain: Any) -> st.SearchStrategy[Any]:
    """Matchers of one kind: plain values, lists, and mappings of these tests."""

    def more(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        joined = {"not": inner, "any_of": st.lists(inner, min_size=1, max_size=2)}
        keys = st.dictionaries(
            st.sampled_from([*tests, *joined]), st.none(), min_size=1, max_size=3
        )
        made = keys.flatmap(lambda k: st.fixed_dictionaries({n: {**tests, **joined}[n] for n in k}))
        return st.lists(inner, min_size=1, max_size=3) | made

    return st.recursive(plain, more, max_leaves=5)


_of_text = {**dict.fromkeys(TEXT_KEYS, _word), "glob": _glob, "regex": _regex}
TEXTS = _mappings({**_of_text, "ignore_case": st.booleans()}, _word)
_names = _mappings({**_of_text, "ignore_case": st.booleans()}, _word | _glob)
_numbers = _mappings(dict.fromkeys(("equals", "lt", "le", "gt", "ge"), _number), _number)
_plain_json = _word | _number | st.booleans() | st.none()
JSONS = _mappings(
    {
        **_of_text,
        **dict.fromkeys(("lt", "le", "gt", "ge"), _number),
        "equals": _plain_json | st.lists(_number, max_size=2),
        "present": st.booleans(),
    },
    _plain_json,
)
VALUES = _mappings({**_of_text, "present": st.booleans()}, _word)

LEAVES = st.one_of(
    st.fixed_dictionaries({}),
    st.fixed_dictionaries({"text": TEXTS}),
    st.fixed_dictionaries({"system": TEXTS}),
    st.fixed_dictionaries({"message": TEXTS}),
    st.fixed_dictionaries({"tools": _names}),
    st.fixed_dictionaries({"model": _names}),
    st.fixed_dictionaries({"method": _names}),
    st.fixed_dictionaries({"turn": _numbers}),
    st.fixed_dictionaries({"stream": st.booleans()}),
    st.fixed_dictionaries({"format": st.sampled_from(["text", "json", ["text", "json_schema"]])}),
    st.fixed_dictionaries({"headers": st.dictionaries(st.just("x-a"), VALUES, min_size=1)}),
    st.fixed_dictionaries({"query": st.dictionaries(st.just("a"), VALUES, min_size=1)}),
    st.fixed_dictionaries(
        {"json": st.dictionaries(st.sampled_from(["$.a", "$..a", "$.a[*]"]), JSONS, min_size=1)}
    ),
)
"""Conditions that may be wrong only where a mapping says nothing or contradicts itself."""

WHENS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
        st.tuples(inner, inner).map(lambda pair: {**pair[0], **pair[1]}),
    ),
    max_leaves=4,
)

_messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    text=_word,
    calls=st.lists(st.builds(ToolCall, name=_word, arguments=st.just("{}")), max_size=1).map(tuple),
    media=st.integers(0, 2),
)
_prompts = st.builds(
    Prompt,
    model=_word,
    messages=st.lists(_messages, max_size=4).map(tuple),
    stream=st.booleans(),
    tools=st.lists(st.builds(Tool, name=_word), max_size=2).map(tuple),
    format=st.none() | st.just(Format()) | st.just(Format({})),
    max_tokens=st.none() | st.integers(0, 3),
    count=st.integers(1, 3),
)
_bodies = st.recursive(
    _plain_json,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("a"), inner, max_size=1),
    max_leaves=6,
)
SUBJECTS = st.builds(
    Asked,
    method=st.sampled_from(["GET", "POST", "a"]),
    path=_word,
    query=st.sampled_from(["", "a=b", "a=ab&a=c", "%61=a+b", "x"]),
    headers=st.lists(st.tuples(st.sampled_from(["X-A", "x-a", "b"]), _word), max_size=3).map(tuple),
    session=_word,
    dialect=st.sampled_from(["", "openai"]),
    operation=st.sampled_from(["", "openai_chat"]),
    body=_bodies,
    prompt=st.none() | _prompts,
    refused=_word,
)
