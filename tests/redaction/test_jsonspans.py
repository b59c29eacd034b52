"""Values are found in the bytes as they stand, also in broken and hostile JSON."""

from __future__ import annotations

import json
import operator
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.redaction.jsonspans import (
    MAX_DEPTH,
    Keys,
    backslashes_before,
    depth_change,
    find,
    read_string,
    scalars,
    strings,
)

Tree = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def nodes(tree: Any, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    yield path, tree
    children: Any = tree.items() if isinstance(tree, dict) else ()
    for key, child in enumerate(tree) if isinstance(tree, list) else children:
        yield from nodes(child, (*path, key))


def values(data: bytes) -> list[tuple[Keys, bytes]]:
    """Every value, however deep, one search for each path."""
    seen: list[Keys] = []

    def look(path: Keys) -> bool:
        seen.append(path)
        return False

    assert list(find(data, look)) == []
    return [
        (path, data[found.start : found.end])
        for path in seen
        for found in find(data, partial(operator.eq, path))
    ]


@given(Tree, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_every_value_is_found_at_its_path(tree: Any, indent: Any, ascii_only: bool) -> None:
    data = json.dumps(tree, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = [(path, json.loads(raw)) for path, raw in values(data)]
    assert found == list(nodes(tree))


def test_only_the_outermost_of_the_wanted_is_given() -> None:
    data = b'{"a": {"b": [1, {"c": 2}]}, "d": 3}'
    found = [data[value.start : value.end] for value in find(data, lambda path: path != ())]
    assert found == [b'{"b": [1, {"c": 2}]}', b"3"]


def test_documents_in_a_row_are_each_read_from_their_root() -> None:
    data = b'{"a": "x"}\n{"b": 1}\n{"a": "y"}\n'
    found = [data[value.start : value.end] for value in find(data, lambda path: path == ("a",))]
    assert found == [b'"x"', b'"y"']


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a": "brok', b'"brok'),
        (b'{"a": {"b": 1, "c', b'{"b": 1, "c'),
        (b'{"a": [1, 2', b"[1, 2"),
        (b'{"a": "x\\', b'"x\\'),
    ],
)
def test_a_value_that_breaks_off_reaches_to_the_end(data: bytes, expected: bytes) -> None:
    found = [data[value.start : value.end] for value in find(data, lambda path: path == ("a",))]
    assert found == [expected]


def test_a_key_with_escapes_is_read_as_json_reads_it() -> None:
    found = list(find(rb'{"caf\u00e9\/": 1}', lambda path: path == ("café/",)))
    assert len(found) == 1


def test_a_string_that_is_no_json_is_read_as_it_stands() -> None:
    assert read_string(rb'"a\qb"') == r"a\qb"
    assert read_string(b'"\xff"') == "\udcff"


def test_values_deeper_than_the_bound_are_passed_over() -> None:
    def count(depth: int) -> int:
        data = b"[" * depth + b"1" + b"]" * depth
        return len(list(find(data, lambda path: len(path) == depth)))

    assert (count(MAX_DEPTH), count(MAX_DEPTH + 1)) == (1, 0)


@pytest.mark.parametrize("unit", [b"[", b"]", b'{"a":', b"[1,", b'"', b"\\", b",", b"{", b'"a'])
def test_hostile_nesting_takes_linear_time_and_no_recursion(unit: bytes) -> None:
    began = time.process_time()
    list(find(unit * (300_000 // len(unit)), lambda path: path == ("x",)))
    assert time.process_time() - began < 2


@given(st.binary())
def test_any_bytes_can_be_read(data: bytes) -> None:
    for value in find(data, lambda path: len(path) == 1):
        assert 0 <= value.start <= value.end <= len(data)
    for span in [*strings(data), *scalars(data)]:
        assert 0 <= span.start <= span.end <= len(data)


def test_strings_are_given_without_their_quotes() -> None:
    data = rb'{"a": "b \" c", "d": 1}'
    assert [data[span.start : span.end] for span in strings(data)] == [b"a", rb"b \" c", b"d"]


def test_scalars_are_what_stands_outside_strings() -> None:
    data = b'{"a1": -1.5e3, "b": [true, "22", null]}'
    assert [data[a:b] for a, b in scalars(data)] == [b"-1.5e3", b"true", b"null"]


def test_brackets_in_strings_open_nothing() -> None:
    data = b'{"a": "}]{", "b": [{"c": 1'
    assert depth_change(data, 0, data.index(b'"b"')) == 1
    assert depth_change(data, data.index(b'"b"'), len(data)) == 2


@pytest.mark.parametrize(("data", "count"), [(b"n", 0), (rb"\n", 1), (rb"a\\\n", 3)])
def test_backslashes_are_counted_to_the_left(data: bytes, count: int) -> None:
    assert backslashes_before(data, len(data) - 1) == count
