"""The OpenAPI document: it is one, and the server keeps what it says."""

from __future__ import annotations

import re
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from control.calling import told
from llmproxy.background import running
from llmproxy.control.routes import OURS
from serve import mock_plan, mocking

OPENAPI = "/_llmproxy/openapi.json"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


async def test_the_document_has_every_route_and_no_name_twice() -> None:
    async with mocking() as service:
        found = await told(service, "GET", OPENAPI)
    rows = {(method.upper(), path) for path, each in found["paths"].items() for method in each}
    assert rows == {(route.method, route.path) for route in OURS} | {("GET", OPENAPI)}
    operations = [each for path in found["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)
    assert all(each["summary"] for each in operations)


async def test_routes_that_want_no_token_say_so() -> None:
    async with mocking() as service:
        paths = (await told(service, "GET", OPENAPI))["paths"]
    assert paths["/_llmproxy/health"]["get"]["security"] == [{}]
    assert {"token": []} in paths["/_llmproxy/config"]["get"]["security"]


def test_the_server_keeps_what_the_document_says() -> None:
    with running(mock_plan()) as service:
        schema = schemathesis.openapi.from_url(service.url + OPENAPI)
        for found in schema.get_all_operations():
            assert isinstance(found, Ok)
            _explore(found.ok(), service.url)


def _explore(operation: Any, url: str) -> None:
    @hypothesis.settings(
        max_examples=8,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def explore(case: Any) -> None:
        if (case.query or {}).get("follow"):
            return
        case.call_and_validate(base_url=url, checks=CHECKS, timeout=10)

    explore()


@pytest.mark.parametrize("path", ["/config", "/api/config"])
async def test_aliases_are_not_in_it(path: str) -> None:
    async with mocking() as service:
        assert path not in (await told(service, "GET", OPENAPI))["paths"]
