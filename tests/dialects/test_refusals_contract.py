"""One contract over every dialect: what a provider refuses is refused, and nothing breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.contract import (
    CALL,
    Asked,
    ask,
    by_operation,
    joined,
    merge,
    streamed,
)
from dialects.examples import REFUSED, WRITTEN
from dialects.written import RefusedRequest, Written
from llmproxy import dialects
from llmproxy.answer import Answer, Choice, Reasoning, Text, Usage
from llmproxy.dialects.operation import Plain, PlainReply, Refused, encode, find
from llmproxy.prompt import Prompt
from means import make_means

EACH = [pytest.param(written, id=by_operation(written)) for written in WRITTEN]


def refused_by(asked: Asked) -> Refused:
    with pytest.raises(Refused) as caught:
        take(asked)
    return caught.value


@pytest.mark.parametrize("request_", REFUSED, ids=lambda each: f"{each.target}-{each.field}")
def test_what_the_provider_refuses_is_refused_and_names_the_field(
    request_: RefusedRequest,
) -> None:
    path, _, query = request_.target.partition("?")
    dialect = dialects.of(request_.method, path, request_.headers, query)
    assert dialect is not None
    if request_.status == 405:
        with pytest.raises(Refused) as caught:
            find(dialect.operations, request_.method, path)
        problem = caught.value.problem
    else:
        problem = refused_by(ask(request_, request_.target, request_.body)).problem
    assert problem.status == request_.status
    assert request_.field in problem.message or request_.field == problem.param
    status, headers, body = dialect.write_error(problem)
    assert status == request_.status
    assert dict(headers)["content-type"].startswith("application/json")
    assert problem.message in texts_of(json.loads(body))


def texts_of(value: Any) -> list[str]:
    """All texts in a JSON value."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [text for each in inner for text in texts_of(each)]
    return [value] if isinstance(value, str) else []


NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -1, 0, 1, 2.0])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
GIVEN: list[tuple[str, str, Any]] = [
    *((each.operation, each.target, {**each.body, **(each.tools or {})}) for each in WRITTEN),
    *((each.operation, streamed(each), merge(dict(each.body), each.stream_body))
      for each in WRITTEN),
    *(("", each.target, each.body) for each in REFUSED if each.method == "POST"),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value[:4]):
            yield from places(inner, (*path, number))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with what stands at ``path`` replaced."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def take(asked: Asked) -> None:
    """Read the request and answer it, as a server would, or be refused."""
    means = make_means(asked.call, took=0.1)
    if isinstance(asked.operation, Plain):
        assert isinstance(asked.operation.answer(asked.call, means), PlainReply)
        return
    prompt = asked.operation.read_prompt(asked.call)
    assert isinstance(prompt, Prompt)
    choices = (Choice((Reasoning("Hm."), Text("Yes."))), Choice((CALL,), "tool_calls"))
    answer = Answer(choices[: prompt.count], Usage(means.count_prompt(prompt), 4))
    if prompt.stream:
        assert joined(list(asked.operation.write_stream(prompt, answer, means)))
    else:
        assert encode(asked.operation.write_body(prompt, answer, means))


@pytest.mark.parametrize("written", EACH)
@settings(max_examples=60, deadline=None)
@given(body=JSON_VALUES, lenient=st.booleans())
def test_any_body_is_answered_or_refused(written: Written, body: Any, lenient: bool) -> None:
    try:
        take(ask(written, written.target, body, lenient=lenient))
    except Refused as refused:
        assert 400 <= refused.problem.status < 500  # noqa: PT017


@pytest.mark.parametrize("written", EACH)
@settings(max_examples=60, deadline=None)
@given(pick=st.data(), value=JSON_VALUES, lenient=st.booleans())
def test_any_value_in_any_place_is_answered_or_refused(
    written: Written, pick: st.DataObject, value: Any, lenient: bool
) -> None:
    bodies = [(target, body) for name, target, body in GIVEN if name == written.operation]
    target, body = pick.draw(st.sampled_from(bodies))
    path = pick.draw(st.sampled_from(list(places(body))))
    try:
        take(ask(written, target, replaced(body, path, value), lenient=lenient))
    except Refused as refused:
        assert 400 <= refused.problem.status < 500  # noqa: PT017


OTHERS = [each for each in REFUSED if each.method == "POST" and each.status != 405]


@settings(max_examples=200, deadline=None)
@given(pick=st.data(), value=JSON_VALUES, lenient=st.booleans())
def test_whatever_else_stands_in_a_refused_request_it_is_answered_or_refused(
    pick: st.DataObject, value: Any, lenient: bool
) -> None:
    request = pick.draw(st.sampled_from(OTHERS))
    path = pick.draw(st.sampled_from(list(places(request.body))))
    try:
        take(ask(request, request.target, replaced(request.body, path, value), lenient=lenient))
    except Refused as refused:
        assert 400 <= refused.problem.status < 500  # noqa: PT017
