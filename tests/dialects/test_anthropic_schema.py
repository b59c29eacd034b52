"""What Anthropic's SDK moved into a schema's descriptions is read from there."""

from __future__ import annotations

import random
from typing import Annotated, Any, Literal

import pytest
from anthropic import transform_schema
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from llmproxy.dialects.anthropic.schema import followed
from llmproxy.schemas.values import make


class Inner(BaseModel):
    code: str = Field(pattern=r"^[a-z]{3}, \d$")


class Outer(BaseModel):
    """Has constraints {of all kinds}."""

    number: int = Field(ge=1, lt=5, description="Small")
    share: Annotated[float, Field(gt=0.5, le=0.75)]
    several: list[int] = Field(min_length=3, max_length=4)
    word: str = Field(min_length=5, max_length=8)
    maybe: Annotated[str, Field(max_length=3)] | None
    inner: Inner | int
    kind: Literal["x"] = "x"


@pytest.mark.parametrize("seed", range(20))
def test_values_fit_the_model_that_the_sdk_was_given(seed: int) -> None:
    schema = followed(transform_schema(Outer))
    Outer.model_validate(make(schema, random.Random(seed)))


def test_what_the_schema_says_itself_stands() -> None:
    schema = {"type": "integer", "minimum": 3, "description": "N\n\n{minimum: 1, maximum: 9}"}
    assert followed(schema) == {**schema, "maximum": 9}


@pytest.mark.parametrize(
    "description",
    [
        "{}",
        "}",
        "{minimum}",
        "{minimum: }",
        "{minimum: many}",
        "{minimum: nan}",
        "{pattern: (}",
        "{uniqueItems: yes}",
        "{default: 7}",
        "See {minimum: 1}",
        7,
        None,
    ],
)
def test_other_words_are_words(description: Any) -> None:
    schema = {"type": "integer", "description": description}
    assert followed(schema) == schema


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda v: (
            st.lists(v)
            | st.dictionaries(
                st.sampled_from(["$defs", "properties", "items", "anyOf", "description"]), v
            )
        ),
    )
)
def test_what_is_no_schema_raises_nothing(value: Any) -> None:
    followed({"properties": value, "items": value, "anyOf": value, "description": value})
