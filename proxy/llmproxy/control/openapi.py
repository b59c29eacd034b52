"""The OpenAPI document of the control routes, made from their table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from llmproxy import __version__
from llmproxy.control.guard import TOKEN_HEADER
from llmproxy.control.route import JSON, TEXT, Parameter, Route, list_of

_VARIABLE = re.compile(r"\{(\w+)\}")
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": TEXT, "problems": list_of(TEXT), "routes": list_of(TEXT)},
}
_REFUSALS = {
    "400": "The request says something that cannot be; nothing is changed.",
    "401": "A token is wanted.",
    "403": "The Host or Origin is a foreign one.",
    "404": "There is no such thing.",
    "413": "The request's body is too large.",
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The document; OpenAPI 3.1.0."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    token = {"type": "apiKey", "in": "header", "name": TOKEN_HEADER}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "llmproxy control API",
            "version": __version__,
            "description": "What a running llmproxy does, and how to change it. The WebSocket"
            " /_llmproxy/events tells of requests and settings as they come.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"token": token, "bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    answer = {"description": "Done.", "content": {route.media: {"schema": dict(route.answer)}}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refusals = {
        status: {"description": said, "content": error} for status, said in _REFUSALS.items()
    }
    made: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "responses": {"200": answer, **refusals},
        "security": [{}] if route.open else [{}, {"token": []}, {"bearer": []}],
    }
    parameters = [_variable(name) for name in _VARIABLE.findall(route.path)]
    parameters += [_parameter(each) for each in route.query]
    if parameters:
        made["parameters"] = parameters
    if route.body is not None:
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": dict(route.body)}}}
    return made


def _operation_id(route: Route) -> str:
    parts = re.findall(r"\w+", route.path.replace("_llmproxy", "").replace(".", "_"))
    return "_".join([route.method.lower(), *parts])


def _variable(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = dict(TEXT)
    if parameter.most is not None:
        schema = {"type": "integer", "minimum": parameter.least, "maximum": parameter.most}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.about,
        "schema": schema,
    }
