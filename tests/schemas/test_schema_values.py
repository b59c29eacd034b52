"""Made-up values validate against their schema, or there is an ``Impossible`` in bounded steps."""

from __future__ import annotations

import copy
import json
import random
import re
import sys
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Literal, Optional

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft7Validator

from llmproxy.schemas.bounds import Budget, Dead
from llmproxy.schemas.checking import Checker
from llmproxy.schemas.formats import has_format, is_known, write_format
from llmproxy.schemas.pattern_texts import Patterns
from llmproxy.schemas.references import References
from llmproxy.schemas.values import Impossible, make, normalise
from schemas.schema_strategies import (
    CHECKED_FORMATS,
    FORMATS,
    SUBSCHEMAS_CLOSED,
    VALUES,
    any_schemas,
    is_valid,
    satisfiable,
)

SEEDS = range(12)


def made(schema: Any, seed: int = 0, hint: str = "") -> Any:
    return make(schema, random.Random(seed), hint=hint)


def all_made(schema: Any) -> list[Any]:
    """A value for each seed; every one of them validates."""
    values = [made(schema, seed) for seed in SEEDS]
    for value in values:
        assert is_valid(value, schema), value
    return values


# --- any schema ---


@settings(max_examples=150)
@given(any_schemas(), st.integers(0, 3))
def test_a_made_value_validates_or_it_is_impossible(schema: Any, seed: int) -> None:
    try:
        value = made(schema, seed)
    except Impossible as impossible:
        assert impossible.__cause__ is None, "a slip of ours"  # noqa: PT017
        return
    assert is_valid(value, schema)
    json.dumps(value, allow_nan=False).encode()


@settings(max_examples=150, derandomize=True)  # about 1 in 10,000 of these is given up
@given(satisfiable())
def test_a_satisfiable_schema_gets_a_value(schema: Any) -> None:
    assert is_valid(made(schema), schema)


@settings(max_examples=200)
@given(VALUES, SUBSCHEMAS_CLOSED)
def test_our_checker_agrees_with_jsonschema(value: Any, schema: Any) -> None:
    budget = Budget()
    checker = Checker(References(schema), Patterns(budget), budget)
    assert checker.valid(value, normalise(schema)) == is_valid(value, schema)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["type", "items", "$ref", "enum", "not", "x"]), VALUES))
def test_what_is_no_schema_is_impossible_and_nothing_worse(junk: Any) -> None:
    place = "$"
    try:
        made(junk)
    except Impossible as impossible:
        place = str(impossible)[0]
    assert place in "#$"


@settings(max_examples=60)
@given(any_schemas())
def test_normalising_twice_is_normalising_once_and_changes_nothing(schema: Any) -> None:
    before = copy.deepcopy(schema)
    once = normalise(schema)
    assert normalise(once) == once
    assert schema == before


@settings(max_examples=60)
@given(satisfiable(), st.integers(0, 5))
def test_the_same_seed_makes_the_same_value(schema: Any, seed: int) -> None:
    assert json.dumps(made(schema, seed)) == json.dumps(made(schema, seed))


def test_other_seeds_make_other_values() -> None:
    assert len(set(map(str, all_made(WEATHER)))) > 6


# --- each keyword ---

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "email": {"type": "string", "format": "email"},
        "options": {
            "type": "object",
            "properties": {
                "detailed": {"type": "boolean"},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["detailed"],
            "additionalProperties": False,
        },
    },
    "required": ["city"],
    "additionalProperties": False,
}

OBJECT = {"type": "object"}
ARRAY = {"type": "array"}
TEXT = {"type": "string"}

KEYWORDS: dict[str, Any] = {
    "types in a list": {"type": ["integer", "null"]},
    "enum of mixed values": {"enum": [1, "a", None, {"b": [2]}]},
    "const object": {"const": {"a": [1, {"b": None}]}},
    "const null": {"const": None},
    "minLength": {**TEXT, "minLength": 60},
    "maxLength": {**TEXT, "maxLength": 2},
    "empty text": {**TEXT, "maxLength": 0},
    "exact length": {**TEXT, "minLength": 5, "maxLength": 5},
    "pattern": {**TEXT, "pattern": "^[A-Z]{3}-[0-9]{4}$"},
    "pattern unanchored with a length": {**TEXT, "pattern": "b+c", "minLength": 30},
    "pattern with a length": {**TEXT, "pattern": "^[a-z]+[0-9]?$", "minLength": 20, "maxLength": 21},
    "pattern of a password": {
        **TEXT,
        "pattern": r"^(?=.*[A-Z])(?=.*[a-z])(?=.*\d)(?=.*[@$!%*?&])[A-Za-z\d@$!%*?&]{8,}$",
    },
    "pattern of a slug": {**TEXT, "pattern": "^(?!-)[a-z0-9-]+(?<!-)$", "maxLength": 12},
    "two patterns": {"allOf": [{**TEXT, "pattern": "^[a-z]+$"}, {"pattern": "x"}]},
    "format and maxLength": {**TEXT, "format": "email", "maxLength": 8},
    "format and minLength": {**TEXT, "format": "uri", "minLength": 50},
    "unknown format": {**TEXT, "format": "unheard-of"},
    "minimum": {"type": "integer", "minimum": 10**17},
    "maximum": {"type": "integer", "maximum": -1000},
    "exclusive on both sides": {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 3},
    "int64": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "narrow number": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e-7},
    "large number": {"type": "number", "minimum": 1e300},
    "large steps": {"type": "number", "multipleOf": 1e305, "minimum": 1},
    "large steps of integers": {"type": "integer", "multipleOf": 1e305, "minimum": 1},
    "multipleOf": {"type": "integer", "multipleOf": 7, "minimum": 50, "maximum": 60},
    "multipleOf of decimals": {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 1},
    "multipleOf of both": {"allOf": [{"multipleOf": 4}, {"multipleOf": 6}], "type": "integer"},
    "multipleOf of halves": {"type": "integer", "multipleOf": 1.5, "minimum": 1},
    "items": {**ARRAY, "items": {"type": "integer"}},
    "minItems": {**ARRAY, "items": TEXT, "minItems": 7},
    "maxItems 0": {**ARRAY, "items": TEXT, "maxItems": 0},
    "items false": {**ARRAY, "items": False},
    "uniqueItems of an enum": {
        **ARRAY, "items": {"enum": ["a", "b", "c", "d"]}, "minItems": 4, "uniqueItems": True,
    },
    "uniqueItems of booleans": {**ARRAY, "items": {"type": "boolean"}, "uniqueItems": True},
    "uniqueItems of a small range": {
        **ARRAY, "minItems": 3, "uniqueItems": True,
        "items": {"type": "integer", "minimum": 1, "maximum": 3},
    },
    "uniqueItems of texts": {**ARRAY, "items": TEXT, "minItems": 60, "uniqueItems": True},
    "prefixItems": {**ARRAY, "prefixItems": [TEXT, {"type": "integer"}], "items": False},
    "prefixItems and minItems": {**ARRAY, "prefixItems": [TEXT], "minItems": 3, "items": {"const": 1}},
    "contains": {**ARRAY, "items": {"type": "integer"}, "contains": {"minimum": 500}},
    "minContains": {**ARRAY, "contains": {"const": "x"}, "minContains": 3},
    "maxContains": {
        **ARRAY, "items": {"enum": ["x", "y"]}, "contains": {"const": "x"}, "minItems": 3,
        "maxContains": 1,
    },
    "unevaluatedItems": {**ARRAY, "prefixItems": [TEXT], "unevaluatedItems": False},
    "required without properties": {**OBJECT, "required": ["city", "count"]},
    "additionalProperties": {**OBJECT, "additionalProperties": {"type": "integer"}},
    "minProperties": {**OBJECT, "minProperties": 4},
    "maxProperties": {
        **OBJECT, "properties": {"a": TEXT, "b": TEXT, "c": TEXT}, "required": ["c"],
        "maxProperties": 2,
    },
    "patternProperties": {
        **OBJECT, "patternProperties": {"^x_[a-z]+$": {"type": "integer"}},
        "additionalProperties": False, "minProperties": 2,
    },
    "propertyNames": {**OBJECT, "propertyNames": {"enum": ["p", "q"]}, "minProperties": 2},
    "propertyNames by pattern": {**OBJECT, "propertyNames": {"pattern": "^k[0-9]$"}, "minProperties": 3},
    "dependentRequired": {
        **OBJECT, "properties": {"card": TEXT}, "dependentRequired": {"card": ["address"]},
    },
    "dependentRequired in vain": {
        **OBJECT, "properties": {"card": TEXT, "address": False},
        "dependentRequired": {"card": ["address"]},
    },
    "dependentSchemas": {
        **OBJECT, "properties": {"card": TEXT},
        "dependentSchemas": {"card": {"required": ["zip"], "properties": {"zip": TEXT}}},
    },
    "dependentSchemas in vain": {
        **OBJECT, "properties": {"card": TEXT}, "dependentSchemas": {"card": False},
    },
    "unevaluatedProperties": {
        "allOf": [{**OBJECT, "properties": {"a": TEXT}}], "properties": {"b": TEXT},
        "unevaluatedProperties": False, "required": ["a", "b"],
    },
    "anyOf": {"anyOf": [TEXT, {"type": "integer"}]},
    "anyOf beside properties": {
        **OBJECT, "properties": {"a": TEXT, "b": TEXT},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "oneOf that overlaps": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    "oneOf of lengths": {"oneOf": [TEXT, {**TEXT, "maxLength": 40}]},
    "oneOf required": {
        **OBJECT, "properties": {"a": TEXT, "b": TEXT},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "oneOf with a discriminator": {
        **OBJECT, "required": ["kind"], "properties": {"kind": {"const": "k37"}},
        "oneOf": [
            {"properties": {"kind": {"const": f"k{number}"}, f"v{number}": TEXT},
             "required": [f"v{number}"]}
            for number in range(40)
        ],
    },
    "allOf": {
        "allOf": [
            {**OBJECT, "properties": {"a": TEXT}, "required": ["a"]},
            {"properties": {"a": {"minLength": 9}, "b": {"type": "integer"}}, "required": ["b"]},
        ]
    },
    "allOf narrows types": {"allOf": [{"type": ["number", "null"]}, {"type": ["integer", "string"]}]},
    "if then": {
        **OBJECT, "properties": {"kind": {"enum": ["card", "cash"]}}, "required": ["kind"],
        "if": {"properties": {"kind": {"const": "card"}}},
        "then": {"required": ["number"]}, "else": {"properties": {"number": False}},
    },
    "if then, in a row": {
        **OBJECT, "properties": {"country": {"enum": ["fr", "jp", "ca"]}}, "required": ["country"],
        "allOf": [
            {
                "if": {"properties": {"country": {"const": name}}, "required": ["country"]},
                "then": {"properties": {"zip": {"pattern": pattern}}, "required": ["zip"]},
            }
            for name, pattern in (("fr", "^[0-9]{5}$"), ("jp", "^[0-9]{3}-[0-9]{4}$"))
        ],
    },
    "not a type": {"not": {"type": ["string", "object", "null"]}},
    "not a value": {"type": "boolean", "not": {"const": True}},
    "not required": {**OBJECT, "properties": {"a": TEXT, "b": TEXT}, "not": {"required": ["a"]}},
    "not a bound": {"type": "number", "not": {"minimum": 3}},
    "not two": {**OBJECT, "not": {"properties": {"a": TEXT}, "required": ["a"]}, "required": ["a"]},
    "true": True,
    "nothing said": {},
    "no type but bounds": {"minimum": 4},
    "$ref": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": TEXT}, "properties": {"x": {"$ref": "#/$defs/a"}}},
    "$ref with escapes": {"$defs": {"a/b~ c": TEXT}, "$ref": "#/$defs/a~1b~0%20c"},
    "$ref and siblings": {"$defs": {"a": TEXT}, "$ref": "#/$defs/a", "minLength": 20},
    "$ref by anchor": {"$defs": {"a": {**TEXT, "$anchor": "here"}}, "$ref": "#here"},
    "$ref by the root's id": {
        "$id": "https://example.com/s", "$defs": {"a": TEXT},
        "properties": {"x": {"$ref": "https://example.com/s#/$defs/a"}},
    },
}  # fmt: skip


@pytest.mark.parametrize("schema", KEYWORDS.values(), ids=KEYWORDS)
def test_each_keyword_is_kept(schema: Any) -> None:
    all_made(schema)


def test_every_optional_property_is_filled() -> None:
    for value in all_made(WEATHER):
        assert set(value) == {"city", "unit", "days", "email", "options"}
        assert set(value["options"]) == {"detailed", "tags"}
        assert 1 <= len(value["options"]["tags"]) <= 3


def test_an_optional_property_that_cannot_be_is_left_out() -> None:
    assert made({"properties": {"a": False, "b": {"const": 1}}}) == {"b": 1}


def test_examples_and_defaults_are_taken_when_they_validate() -> None:
    assert {made({**TEXT, "examples": ["x", "y"]}, seed) for seed in SEEDS} == {"x", "y"}
    assert made({**TEXT, "default": "z"}) == "z"
    assert made({**TEXT, "default": "zz", "maxLength": 1}) != "zz"
    assert made({**TEXT, "examples": [4], "default": None}) != 4


def test_null_is_the_last_resort() -> None:
    for schema in ({"type": ["null", "string"]}, {"anyOf": [{"type": "null"}, TEXT]}):
        assert all(isinstance(value, str) for value in all_made(schema))
    assert all(value == "a" for value in all_made({"enum": [None, "a"]}))
    assert made({"type": ["null", "string"], "minLength": 10**9}) is None


def test_what_is_made_suits_the_name_of_its_property() -> None:
    value = made(
        {
            "properties": {
                "startDate": TEXT, "user_email": TEXT, "homepage_url": TEXT, "city_name": TEXT,
                "year": {"type": "integer"}, "price": {"type": "number"}, "tags": {**ARRAY, "items": TEXT},
            }
        }
    )  # fmt: skip
    assert has_format("date", value["startDate"])
    assert has_format("email", value["user_email"])
    assert has_format("uri", value["homepage_url"])
    assert value["city_name"][0].isupper()
    assert 2020 <= value["year"] <= 2026
    assert 5 <= value["price"] <= 200
    assert value["price"] == round(value["price"], 2)
    assert has_format("email", made(TEXT, hint="email"))


def test_no_schema_is_a_tool_without_parameters() -> None:
    assert made(None) == {}
    assert made({"type": "object", "properties": {}}) == {}


def test_what_is_made_shares_nothing_with_the_schema() -> None:
    schema = {"const": {"a": [1]}}
    made(schema)["a"].append(2)
    assert schema == {"const": {"a": [1]}}


def test_any_mapping_is_a_schema() -> None:
    inner = MappingProxyType({"type": "string"})
    schema = MappingProxyType({"properties": MappingProxyType({"city": inner})})
    assert isinstance(made(schema)["city"], str)


def test_half_of_a_surrogate_pair_is_never_made() -> None:
    assert made({"enum": ["\ud800", "a"]}) == "a"
    assert made({"properties": {"\ud800": TEXT, "a": {"const": 1}}}) == {"a": 1}
    with pytest.raises(Impossible):
        made({"const": ["\udfff"]})
    assert json.dumps(made({**TEXT, "pattern": "^[\ud7ff-\ue000]$"})).isascii()


# --- formats and patterns ---


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_made_and_checked(name: str) -> None:
    schema = {"type": "string", "format": name}
    assert all(has_format(name, value) for value in all_made(schema))
    assert not has_format(name, "no such thing!")


@pytest.mark.parametrize("name", ["duration", "json-pointer", "regex", "iri", "uri-reference"])
def test_rarer_formats_are_made_too(name: str) -> None:
    assert is_known(name)
    for seed in SEEDS:
        assert has_format(name, write_format(name, random.Random(seed), 0, 99, Budget()))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("date", "2024-02-30"),
        ("date", "2023-02-29"),
        ("time", "10:30:00"),
        ("time", "24:00:00Z"),
        ("date-time", "2024-05-01 10:30:00Z"),
        ("duration", "P1DT"),
        ("duration", "PT"),
        ("ipv4", "1.2.3.256"),
        ("ipv6", "fe80::1%eth0"),
        ("hostname", "-a.example"),
        ("uuid", "12345678123456781234567812345678"),
        ("regex", "(a"),
    ],
)
def test_what_is_not_of_a_format_is_refused(name: str, text: str) -> None:
    assert not has_format(name, text)


@given(st.sampled_from(CHECKED_FORMATS), st.text(alphabet="0123456789abcdef:.-@", max_size=40))
def test_no_format_is_laxer_than_jsonschema(name: str, text: str) -> None:
    if has_format(name, text):
        assert is_valid(text, {"format": name})


PIECES = st.sampled_from(
    ["a", "b", r"\d", r"\w", ".", "[ab]", "[^a]", r"\s", "^", "$", r"\b", "(?=a)", "(?!b)", "-"]
)
REGEXES = st.recursive(
    PIECES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join).map("(?:{})".format),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        inner.map("(?<!{})x?".format).filter(lambda text: len(text) == 8),
    ),
    max_leaves=6,
)


@settings(max_examples=200)
@given(REGEXES, st.text(alphabet="ab1 -\n", max_size=8))
def test_our_matching_agrees_with_re(pattern: str, text: str) -> None:
    assert Patterns(Budget()).found(pattern, text) == bool(re.search(pattern, text))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^\p{Lu}\p{L}*$", "Éa"),
        (r"^(?<year>\d{4})$", "2024"),
        (r"^(?P<year>\d{4})$", "2024"),
        (r"^\u00e9\x41\/$", "éA/"),
        (r"^[\w.-]+$", "a.b-c"),
        (r"^a{,2}$", "aa"),
        (r"^a{x}$", "a{x}"),
        (r"(?i)^abc[d-f]$", "ABCE"),
        (r"^(?:a(?i:b))c$", "aBc"),
        (r"^(?s:.)$", "\n"),
        (r"(?m)^b$", "a\nb"),
        (r"^[]a]+$", "]a"),
        (r"^[a\-z]$", "-"),
        (r"(?<=a)b", "ab"),
    ],
)
def test_spellings_of_ecma_and_python_are_understood(pattern: str, text: str) -> None:
    assert Patterns(Budget()).found(pattern, text)
    assert Patterns(Budget()).found(pattern, made({"type": "string", "pattern": pattern}))


@pytest.mark.parametrize(
    "pattern", ["(", ")", "[a", "a**", "*", r"(a)\1", "(?>a)", "a{3,1}", "[b-a]", "\\", "(?P=x)"]
)
def test_a_pattern_that_cannot_be_read_is_impossible(pattern: str) -> None:
    with pytest.raises(Impossible, match="pattern"):
        made({"type": "string", "pattern": pattern})
    with pytest.raises(Dead):
        Patterns(Budget()).found(pattern, "a")


# --- dialects and drafts ---


def test_geminis_schema_is_understood() -> None:
    value = made(
        {
            "type": "OBJECT",
            "propertyOrdering": ["sizes", "unit"],
            "properties": {
                "unit": {"type": "STRING", "format": "enum", "enum": ["A", "B"], "nullable": True},
                "sizes": {"type": "ARRAY", "minItems": "2", "maxItems": "2", "items": {"type": "NUMBER"}},
                "count": {"type": "INTEGER", "format": "int32", "example": 7},
                "any": {"type": "TYPE_UNSPECIFIED"},
            },
        }
    )  # fmt: skip
    assert list(value) == ["sizes", "unit", "count", "any"]
    assert value["unit"] in ("A", "B")
    assert len(value["sizes"]) == 2
    assert value["count"] == 7


def test_a_property_may_be_called_as_a_keyword() -> None:
    schema = {
        "type": "object",
        "properties": {"type": {"type": "STRING"}, "nullable": {"const": "STRING"}},
    }
    assert normalise(schema)["properties"] == {
        "type": {"type": "string"},
        "nullable": {"const": "STRING"},
    }


def test_nullable_adds_null_and_keeps_the_rest() -> None:
    assert normalise({"type": "STRING", "nullable": True}) == {"type": ["string", "null"]}
    assert normalise({"type": "string", "enum": ["a"], "nullable": True})["enum"] == ["a", None]
    wrapped = normalise({"$ref": "#/$defs/a", "nullable": True, "$defs": {"a": TEXT}})
    assert is_valid(None, wrapped)
    assert is_valid("x", wrapped)
    assert not is_valid(1, wrapped)


def test_older_drafts_are_understood() -> None:
    four = {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 4},
            "b": {"type": "array", "items": [{"type": "string"}], "additionalItems": False},
        },
        "required": ["a", "b"],
        "dependencies": {"a": ["c"], "b": {"required": ["d"]}},
        "definitions": {"x": {"type": "string"}},
    }
    seven: dict[str, Any] = {
        "properties": {"a": {"$ref": "#/definitions/x"}},
        "definitions": {"x": TEXT},
    }
    for seed in SEEDS:
        value = made(four, seed)
        assert Draft4Validator(four).is_valid(value)
        assert value["a"] == 4
        assert Draft7Validator(seven).is_valid(made(seven, seed))


def test_null_for_a_keyword_says_nothing() -> None:
    assert normalise({"type": "string", "enum": None, "required": None}) == {"type": "string"}
    assert normalise({"const": None}) == {"const": None}


class Node(pydantic.BaseModel):
    value: int
    children: list[Node]
    next: Optional[Node] = None  # noqa: UP045 (as users write it)


class Order(pydantic.BaseModel):
    kind: Literal["a", "b"]
    quantity: int = pydantic.Field(ge=1, le=9)
    price: float = pydantic.Field(gt=0, le=10, multiple_of=0.01)
    code: str = pydantic.Field(pattern=r"^[A-Z]{3}-\d{4}$")
    note: str | None = None
    pair: tuple[int, str]
    labels: set[Literal[1, 2, 3]]
    limits: dict[str, int]
    named: dict[Literal["p", "q"], float]
    tree: Node
    either: Node | int


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pydantic_model_accepts_what_is_made_for_it(seed: int) -> None:
    order = Order.model_validate(made(Order.model_json_schema(), seed), strict=False)
    assert order.limits


ZOD_EMAIL = (
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@"
    r"([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
)
ZOD_UUID = (
    r"^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    r"|00000000-0000-0000-0000-000000000000)$"
)
ZOD_DATE_TIME = (
    r"^(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48])-02-29|\d{4}-(?:(?:0[13578]|1[02])-"
    r"(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:02)-(?:0[1-9]|1\d|2[0-8])))"
    r"T(?:(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:Z))$"
)


@pytest.mark.parametrize(
    ("format", "pattern"),
    [("email", ZOD_EMAIL), ("uuid", ZOD_UUID), ("date-time", ZOD_DATE_TIME)],
)
def test_what_zod_writes_beside_a_format_is_kept(format: str, pattern: str) -> None:
    all_made({"type": "string", "format": format, "pattern": pattern})
    all_made({"type": "string", "pattern": pattern})


def test_an_openai_strict_schema_is_filled_to_its_leaves() -> None:
    step = {
        "type": "object",
        "properties": {"explanation": TEXT, "output": TEXT},
        "required": ["explanation", "output"],
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
            "final_answer": {"type": ["string", "null"]},
        },
        "$defs": {"step": step},
        "required": ["steps", "final_answer"],
        "additionalProperties": False,
    }
    for value in all_made(schema):
        assert value["steps"]
        assert value["final_answer"] is not None


# --- recursion ---


def test_a_recursive_schema_ends() -> None:
    schema = {
        "properties": {"value": TEXT, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["value", "children"],
    }
    for value in all_made(schema):
        assert len(json.dumps(value)) < 5_000
        assert value["children"], "one level is filled"


def test_recursive_schemas_that_call_each_other_end() -> None:
    expression = {"oneOf": [{"$ref": "#/$defs/sum"}, {"$ref": "#/$defs/leaf"}]}
    operands = {"type": "array", "items": {"$ref": "#/$defs/expression"}, "minItems": 2}
    leaf = {"type": "object", "properties": {"leaf": {"type": "integer"}}, "required": ["leaf"]}
    schema = {
        "$ref": "#/$defs/expression",
        "$defs": {
            "expression": expression,
            "sum": {"type": "object", "properties": {"sum": operands}, "required": ["sum"]},
            "leaf": {**leaf, "additionalProperties": False},
        },
    }
    all_made(schema)


# --- hostile schemas: bounded by the budget of steps, whatever the clock says ---


def deep(levels: int, wrap: Callable[[Any], Any], core: Any = True) -> Any:
    for _ in range(levels):
        core = wrap(core)
    return core


def chain(levels: int, link: Callable[[dict[str, str]], Any], end: Any = True) -> Any:
    """Definitions each of which refers to the next one, as ``link`` says."""
    links = {f"a{n}": link({"$ref": f"#/$defs/a{n + 1}"}) for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**links, f"a{levels}": end}}


LOOP: list[Any] = []
LOOP.append(LOOP)

HOSTILE: dict[str, Any] = {
    "many items": {**ARRAY, "minItems": 10**9},
    "many items of many items": {**ARRAY, "minItems": 999, "items": {**ARRAY, "minItems": 999}},
    "long text": {**TEXT, "minLength": 10**9},
    "many properties": {**OBJECT, "minProperties": 10**9},
    "much contained": {**ARRAY, "contains": TEXT, "minContains": 10**9},
    "huge numbers": {"type": "integer", "minimum": 10**400},
    "infinite numbers": {"type": "number", "minimum": float("inf")},
    "no numbers": {"type": "number", "maximum": float("nan")},
    "deep properties": deep(5_000, lambda inner: {"properties": {"a": inner}, "required": ["a"]}),
    "deep allOf": deep(5_000, lambda inner: {"allOf": [inner]}),
    "deep not": deep(5_000, lambda inner: {"not": inner}),
    "deep const": {"const": deep(5_000, lambda inner: [inner])},
    "a value in itself": {"enum": LOOP},
    "wide and deep": deep(31, lambda inner: {"required": ["a", "b"], "properties": {"a": inner, "b": inner}}),
    "allOf doubles": chain(40, lambda ref: {"allOf": [ref, ref]}),
    "anyOf triples": chain(40, lambda ref: {"anyOf": [ref, ref, ref]}, end=False),
    "oneOf doubles": chain(40, lambda ref: {"oneOf": [ref, ref]}),
    "not doubles": chain(40, lambda ref: {"not": {"allOf": [ref, ref]}}),
    "properties double": chain(40, lambda ref: {"required": ["l", "r"], "properties": {"l": ref, "r": ref}, **OBJECT}),
    "a long chain": chain(3_000, lambda ref: ref),
    "a reference to itself": {"$ref": "#"},
    "references in a circle": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "a circle through anyOf": {"anyOf": [{"$ref": "#"}]},
    "endless objects": {**OBJECT, "required": ["x"], "properties": {"x": {"$ref": "#"}}},
    "endless arrays": {**ARRAY, "minItems": 2, "items": {"$ref": "#"}},
    "many unknown anchors": {"anyOf": [{"$ref": f"#x{number}"} for number in range(3_000)]},
    "a large const, many times": {**ARRAY, "minItems": 900, "items": {"const": ["x" * 999] * 500}},
    "a repeated repeat": {**TEXT, "pattern": "^((a{1000}){1000}){1000}$"},
    "nested groups": {**TEXT, "pattern": "(" * 1_500 + ")" * 1_500},
    "a long pattern": {**TEXT, "pattern": "a" * 100_000},
    "many looks": {**TEXT, "pattern": "^" + "(?=.*a)" * 300 + ".{5000,}$"},
    "a backtracking pattern": {"const": "a" * 5_000, "pattern": "^(a|a|aa|[a-z]?)+(a*)*!$"},
    "many backtracking patterns": {
        **OBJECT, "patternProperties": {f"^(a+)+{n}$": True for n in range(500)}, "minProperties": 300,
    },
    "a remote reference": {"$ref": "https://example.com/schema.json"},
    "a file": {"$ref": "file:///etc/hosts"},
    "a reference to no schema": {"$ref": "#/x", "x": 5},
    "an empty enum": {"enum": []},
    "an unknown type": {"type": "dict"},
    "a contradiction": {"allOf": [{"type": "string"}, {"type": "integer"}]},
    "branches that overlap everywhere": {"maximum": 1e-9, "oneOf": [{"minimum": -144.0}, {"type": "number"}, {}]},
    "bounds that cross": {"type": "integer", "minimum": 3, "maximum": 2},
    "false": False,
}  # fmt: skip


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_schema_is_impossible_within_the_budget(schema: Any) -> None:
    depth = len_of_stack()
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 700)
    try:
        with pytest.raises(Impossible) as raised:
            made(schema)
    finally:
        sys.setrecursionlimit(before)
    assert len(str(raised.value)) < 1_000


def len_of_stack() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


@pytest.mark.parametrize(
    "schema",
    [
        {**TEXT, "pattern": "^(a+)+$", "minLength": 1_000},
        {**TEXT, "pattern": r"^(([a-z])+.)+[A-Z]([a-z])+$", "maxLength": 30},
        chain(40, lambda ref: {"properties": {"l": ref, "r": ref}}),
        {"properties": {f"p{number}": TEXT for number in range(2_000)}},
        {**ARRAY, "items": TEXT, "minItems": 500, "uniqueItems": True},
    ],
    ids=["nested repeats", "more repeats", "doubling", "wide", "many unique"],
)
def test_what_looks_hostile_but_is_not_gets_a_value(schema: Any) -> None:
    value = made(schema)
    assert is_valid(value, schema)
    assert len(json.dumps(value)) < 100_000


def test_a_pattern_that_re_would_hang_on_gets_a_value() -> None:
    assert set(made({**TEXT, "pattern": "^((a?){1000000}){1000000}$"})) <= {"a"}


def test_an_impossible_schema_says_where() -> None:
    text = {**TEXT, "minLength": 5, "maxLength": 4}
    inner = {**OBJECT, "required": ["b"], "properties": {"b": text}}
    with pytest.raises(Impossible, match=r"^\$\.a\.b: no text has at least 5"):
        made({**OBJECT, "required": ["a"], "properties": {"a": inner}})
    with pytest.raises(Impossible, match=r"^#/properties/a/type: 'dict' is no type"):
        made({"properties": {"a": {"type": "dict"}}})
    with pytest.raises(Impossible, match=r"^#/required: must be a list, not str"):
        made({"required": "a"})
    with pytest.raises(Impossible, match="a schema is an object or a boolean, not str"):
        made("string")
