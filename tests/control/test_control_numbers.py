"""Numbers that are told by a thread: the same JSON, in small steps, whatever is counted meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmproxy.control.numbers import SLICE, _parts, encoded
from llmproxy.metrics import Metrics

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(JSON, st.integers(0, 3 * SLICE))
def test_the_parts_are_the_json_of_the_whole(value: Any, count: int) -> None:
    for each in (value, [value] * count, {"a": [value] * count, "b": {}}):
        assert "".join(_parts(each)) == json.dumps(each)


@pytest.mark.parametrize("failures", [0, 1, 4])
async def test_it_begins_again_where_something_was_counted_meanwhile(failures: int) -> None:
    left = [RuntimeError("Set changed size during iteration")] * failures

    def make(_metrics: Metrics, now: float) -> Any:
        if left:
            raise left.pop()
        return {"now": now}

    assert await encoded(make, Metrics(0.0, 0.0), 3.0) == '{"now": 3.0}'
    assert not left
