"""Makes rules of YAML texts, for tests."""

from __future__ import annotations

from typing import Any

from llmproxy import yamlfile
from llmproxy.findings import Finding
from llmproxy.rules.reading import Include, read_file
from llmproxy.rules.rule import Rule
from llmproxy.rules.schema import rules_schema

NAME = "rules.yml"


def schema() -> dict[str, Any]:
    """The JSON Schema of a file of rules."""
    node, definitions = rules_schema()
    return {"properties": {"rules": node}, "required": ["rules"], "$defs": definitions}


def read(text: str) -> tuple[tuple[Rule | Include, ...], list[str]]:
    """What a file holds, and what is wrong with it, in the order of places."""
    document = yamlfile.parse(text, NAME)
    found: list[Finding] = []
    rules = read_file(document.data, lambda path: f"{NAME}:{document.mark(path)[0]}", found)
    placed = [(document.mark(each.path, key=each.key), each) for each in found]
    placed.sort(key=lambda pair: pair[0])
    return rules, [f"{yamlfile.place(NAME, mark)}: {each}" for mark, each in placed]


def rules(text: str) -> list[Rule]:
    """The rules of a file without mistakes."""
    read_rules, said = read(text)
    assert said == []
    return [each for each in read_rules if isinstance(each, Rule)]


def problems(text: str) -> list[str]:
    """What is wrong with a file; a rule with a mistake is left out."""
    return read(text)[1]
