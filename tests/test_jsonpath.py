"""What a JSON path names, and what is no JSON path."""

from __future__ import annotations

import copy
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmproxy.jsonpath import JsonPath, Keys, parse_json_path, remove, select


@pytest.mark.parametrize(
    ("text", "named", "not_named"),
    [
        ("$", [()], [("a",)]),
        ("$.model", [("model",)], [(), ("model", "x"), ("x", "model")]),
        ("$['a b']", [("a b",)], [("a",)]),
        ('$["a\'b"]', [("a'b",)], [("a",)]),
        (r"$['it\'s \\ here']", [("it's \\ here",)], []),
        ("$.a[2]", [("a", 2)], [("a", 1), ("a", "2"), ("a",)]),
        ("$.a[*].b", [("a", 0, "b"), ("a", 7, "b"), ("a", "x", "b")], [("a", "b")]),
        ("$.*.id", [("x", "id"), (3, "id")], [("id",), ("x", "y", "id")]),
        ("$..id", [("id",), ("a", "id"), ("a", 3, "b", "id")], [("a",), ("id", "x")]),
        ("$..['a b']", [("x", "a b")], [("x", "a")]),
        ("$..a..b", [("a", "b"), ("x", "a", "y", "b"), ("a", "a", "b", "b")], [("b", "a")]),
        ("$.a..b[0]", [("a", "b", 0), ("a", "x", 1, "b", 0)], [("b", 0), ("a", "b", 1)]),
        ("$.größe", [("größe",)], []),
        ("$.$defs.x-y", [("$defs", "x-y")], []),
    ],
)
def test_a_path_names_these_nodes_and_no_others(
    text: str, named: list[Keys], not_named: list[Keys]
) -> None:
    path = parse_json_path(text)
    assert [keys for keys in named if not path.matches(keys)] == []
    assert [keys for keys in not_named if path.matches(keys)] == []
    assert str(path) == text


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("model", 0),
        ("$model", 1),
        ("$.", 2),
        ("$..", 3),
        ("$...a", 3),
        ("$..*", 3),
        ("$..[0]", 4),
        ("$.a b", 3),
        ("$[", 2),
        ("$[-1]", 2),
        ("$[01]", 3),
        ("$[1", 3),
        ("$['a]", 2),
        ("$['a'", 5),
        ("$[a]", 2),
        ("$.a[?(@.b)]", 4),
    ],
)
def test_an_error_names_the_position(text: str, position: int) -> None:
    with pytest.raises(ValueError, match=rf"position {position}\b"):
        parse_json_path(text)


def test_an_index_does_not_name_a_key_and_a_name_no_index() -> None:
    assert not parse_json_path("$['0']").matches((0,))
    assert not parse_json_path("$[0]").matches(("0",))


def test_a_deep_path_over_a_hostile_node_takes_linear_time() -> None:
    path = parse_json_path("$" + "..a" * 20 + ".b")
    started = time.perf_counter()
    assert not path.matches(("a",) * 20_000)
    assert time.perf_counter() - started < 2


def _reading(text: str) -> JsonPath | str:
    try:
        return parse_json_path(text)
    except ValueError as error:
        return str(error)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_path_or_a_value_error(text: str) -> None:
    read = _reading(text)
    assert "position" in read if isinstance(read, str) else read.text == text


@settings(deadline=None)
@given(st.lists(st.text(max_size=5) | st.integers(0, 99), max_size=6))
def test_a_path_written_from_keys_names_just_that_node(keys: list[str | int]) -> None:
    def step(key: str | int) -> str:
        if isinstance(key, int):
            return f"[{key}]"
        escaped = key.replace("\\", "\\\\").replace("'", "\\'")
        return f"['{escaped}']"

    path = parse_json_path("$" + "".join(map(step, keys)))
    assert path.matches(tuple(keys))
    assert not path.matches((*keys, "more"))


def _removed(tree: object, *texts: str) -> object:
    tree = copy.deepcopy(tree)
    remove(tree, [parse_json_path(text) for text in texts])
    return tree


def test_remove_deletes_what_the_paths_name() -> None:
    tree = {"a": 1, "b": [{"id": 1, "x": 2}, {"id": 3}], "id": {"id": 4}}
    assert _removed(tree, "$.a") == {"b": tree["b"], "id": tree["id"]}
    assert _removed(tree, "$..id") == {"a": 1, "b": [{"x": 2}, {}]}
    assert _removed(tree, "$.b[*].x", "$.zzz") == {**tree, "b": [{"id": 1}, {"id": 3}]}
    assert _removed(tree, "$.b[0]", "$.b[1]") == {**tree, "b": []}
    assert _removed([1, 2, 3], "$[0]", "$[2]") == [2]
    assert _removed(tree, "$") == {}


def test_remove_takes_overlapping_paths() -> None:
    assert _removed({"a": {"b": {"c": 1}}}, "$.a.b.c", "$.a.b", "$..c", "$.a") == {}


_TREES = st.recursive(
    st.none() | st.integers(0, 3),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from("abc"), children)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(_TREES, st.sampled_from(["$.a", "$..a", "$[*]", "$.*.b", "$[1]", "$.a[0]", "$..a.b"]))
def test_remove_deletes_exactly_the_nodes_that_match(tree: object, text: str) -> None:
    path = parse_json_path(text)

    def expected(node: object, keys: Keys) -> object:
        if isinstance(node, dict):
            kept = {k: v for k, v in node.items() if not path.matches((*keys, k))}
            return {k: expected(v, (*keys, k)) for k, v in kept.items()}
        if isinstance(node, list):
            whole = enumerate(node)
            return [expected(v, (*keys, i)) for i, v in whole if not path.matches((*keys, i))]
        return node

    assert json.dumps(_removed(tree, text)) == json.dumps(expected(tree, ()))


def _selected(tree: object, text: str) -> list[object]:
    return list(select(tree, parse_json_path(text)))


def test_select_gives_what_a_path_names_in_the_order_of_the_document() -> None:
    tree = {"a": [{"id": 1, "x": None}, {"id": {"id": 2}}], "id": 3, "0": "zero"}
    assert _selected(tree, "$") == [tree]
    assert _selected(tree, "$.a[1].id.id") == [2]
    assert _selected(tree, "$.a[0].x") == [None]
    assert _selected(tree, "$.a[*].id") == [1, {"id": 2}]
    assert _selected(tree, "$..id") == [1, {"id": 2}, 2, 3]
    assert _selected(tree, "$.*") == [tree["a"], 3, "zero"]
    assert _selected(tree, "$['0']") == ["zero"]


@pytest.mark.parametrize("text", ["$[0]", "$.b", "$.a.b", "$.a[2]", "$.a['0']", "$.a.*.b", "$..b"])
def test_select_gives_nothing_where_nothing_is(text: str) -> None:
    assert _selected({"a": [1, "text"]}, text) == []
    assert _selected(None, text) == []


def test_select_goes_as_deep_as_a_tree_does() -> None:
    tree: object = {"b": 1}
    for _ in range(20_000):
        tree = {"a": tree}
    assert _selected(tree, "$..b") == [1]
    assert sum(1 for _ in select(tree, parse_json_path("$..a..a"))) == 19_999


@settings(deadline=None)
@given(_TREES, st.sampled_from(["$", "$.a", "$..a", "$[*]", "$.*.b", "$[1]", "$.a[0]", "$..a..b"]))
def test_select_gives_exactly_the_nodes_that_match(tree: object, text: str) -> None:
    path = parse_json_path(text)

    def expected(node: object, keys: Keys) -> list[object]:
        own = [node] if path.matches(keys) else []
        pairs = node.items() if isinstance(node, dict) else ()
        children = enumerate(node) if isinstance(node, list) else pairs
        return own + [each for key, child in children for each in expected(child, (*keys, key))]

    assert _selected(tree, text) == expected(tree, ())
