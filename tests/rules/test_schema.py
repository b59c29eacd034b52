"""The JSON Schema of rules: it takes what the reader takes, and refuses what it can refuse."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from llmproxy import yamlfile
from llmproxy.rules.reading import RULE
from llmproxy.rules.replies import MEMBERS
from llmproxy.rules.schema import rules_schema
from rules.made import schema
from rules.written import MISTAKES, VALID, Mistake

SCHEMA = Draft202012Validator(schema())


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


def test_every_reference_has_its_definition() -> None:
    node, definitions = rules_schema()

    def references(part: object) -> set[str]:
        if isinstance(part, dict):
            inner = set().union(*map(references, part.values()))
            return inner | {part["$ref"]} if isinstance(part.get("$ref"), str) else inner
        return set().union(*map(references, part)) if isinstance(part, list) else set()

    assert references([node, definitions]) <= {f"#/$defs/{name}" for name in definitions}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_what_the_reader_takes_the_schema_takes(text: str) -> None:
    data = yamlfile.parse(text, "rules.yml").data
    assert [error.message for error in SCHEMA.iter_errors(data)] == []


@pytest.mark.parametrize(
    "mistake", [each for each in MISTAKES if each.in_schema], ids=lambda each: each.yaml
)
def test_a_mistake_that_a_schema_can_tell_is_refused(mistake: Mistake) -> None:
    assert not SCHEMA.is_valid(yamlfile.parse(mistake.yaml, "rules.yml").data)


def test_all_members_stand_in_the_schema() -> None:
    _, definitions = rules_schema()
    assert tuple(definitions["rule"]["properties"]) == RULE
    kinds = ("rule_said", "rule_raw", "rule_recorded", "rule_forward")
    assert {name for kind in kinds for name in definitions[kind]["properties"]} == set(MEMBERS)
