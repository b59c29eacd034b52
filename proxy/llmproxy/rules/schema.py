"""JSON Schema (draft 2020-12) of ``rules:``, for editors.

What a schema can say of a rule: names, types, bounds, what excludes what. Regexes, templates
and JSON paths are judged when the file is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from llmproxy.answer import Finish
from llmproxy.conditions.reading import when_schema
from llmproxy.faults.schema import effect_schema
from llmproxy.kinds import UPSTREAM_NAME
from llmproxy.members import object_schema, ref
from llmproxy.rules import scripts
from llmproxy.rules.paces import pace_schema
from llmproxy.rules.reading import LONGEST_NAME, MOST_REPLIES, MOST_RULES, MOST_TIMES
from llmproxy.rules.replies import LONGEST_FILE_NAME, MOST_INTERACTIONS
from llmproxy.rules.rule import After, Count
from llmproxy.rules.templates import LONGEST

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_FILE: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_FILE_NAME}
_TEMPLATE: Schema = {
    "type": "string",
    "maxLength": LONGEST,
    "description": "a text with places such as {{ model }}, filled in from the request",
}
_HEADERS: Schema = {"type": "object", "additionalProperties": _TEXT}
_FAILURE: Schema = {
    "status": {"type": "integer", "minimum": 400, "maximum": 599},
    "message": _TEXT,
    "type": _TEXT,
    "code": _TEXT,
    "param": _TEXT,
    "headers": _HEADERS,
    "retry_after": {"type": "number", "minimum": 0, "exclusiveMaximum": 10**9},
    "times": {**_WHOLE, "description": "how many equal requests it answers"},
}


def rules_schema() -> tuple[Schema, dict[str, Schema]]:
    """What stands at ``rules:``, and the definitions that it refers to."""
    when, definitions = when_schema()
    item = {"anyOf": [ref("rule"), {**_FILE, "description": "a file of rules"}]}
    node = {
        "description": "who gets which answer: tried in order, the first that holds answers",
        "type": ["array", "null"],
        "items": item,
        "maxItems": MOST_RULES,
    }
    own = {
        "rule": _rule(when),
        "rule_reply": {
            "description": "a text, or what the reply is",
            "anyOf": [
                _TEXT,
                *map(ref, ("rule_said", "rule_raw", "rule_recorded", "rule_forward")),
            ],
        },
        "rule_said": _said(),
        "rule_raw": object_schema({"raw": _raw()}, ("raw",)),
        "rule_recorded": _recorded(),
        "rule_forward": object_schema({"forward": dict(UPSTREAM_NAME.schema)}, ("forward",)),
        "rule_pace": pace_schema(),
        "rule_error": _failure(scripts.ERROR),
        "rule_stream_error": _failure(scripts.STREAM_ERROR),
    }
    return node, {**own, **definitions, **effect_schema()}


def _rule(when: Schema) -> Schema:
    replies = {"type": "array", "items": ref("rule_reply"), "minItems": 1}
    properties = {
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_NAME,
            "description": "stands in the journal and in x-llmproxy-rule",
        },
        "when": {**when, "description": "all of it must hold; without it the rule always answers"},
        "reply": ref("rule_reply"),
        "replies": {
            **replies,
            "maxItems": MOST_REPLIES,
            "description": "given one after another",
        },
        "count": {
            **_words(get_args(Count)),
            "default": "rule",
            "description": "what moves the replies on: answers of this rule, to an equal prompt, "
            "or of all rules that count by session",
        },
        "after": {
            **_words(get_args(After)),
            "default": "last",
            "description": "what follows the last reply: itself, the first, or the next rule",
        },
        "times": {
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_TIMES,
            "description": "how often the rule answers in a session",
        },
        "pace": {**ref("rule_pace"), "description": "when the chunks of its replies leave"},
        "fault": {**ref("fault_effect"), "description": "what its replies suffer on their way"},
    }
    either = {"oneOf": [{"required": ["reply"]}, {"required": ["replies"]}]}
    return {**object_schema(properties), **either}


def _said() -> Schema:
    call = object_schema(
        {"name": _TEXT, "arguments": {}, "id": _TEXT, "custom": {"type": "boolean"}}, ("name",)
    )
    properties = {
        "text": {**_TEXT, "description": "what is said, byte for byte"},
        "template": _TEMPLATE,
        "reasoning": _TEXT,
        "refusal": _TEXT,
        "tool_calls": {"type": "array", "items": call},
        "finish": _words(get_args(Finish)),
        "usage": object_schema(dict.fromkeys(scripts.USAGE, _WHOLE)),
        "error": ref("rule_error"),
        "stream_error": ref("rule_stream_error"),
        "after_chunks": {**_WHOLE, "description": "of a stream, before stream_error"},
        "echo": {"type": "boolean", "description": "say what the user said"},
        "json_schema": {
            "description": "say JSON that fits this schema, or that of the request",
            "anyOf": [{"const": "request"}, {"type": "object"}],
        },
    }
    excluded = [{"required": ["template", name]} for name in scripts.BESIDE_TEMPLATE]
    return {
        **object_schema(properties),
        "minProperties": 1,
        "not": {"anyOf": excluded},
        "dependentRequired": {"after_chunks": ["stream_error"]},
    }


def _raw() -> Schema:
    properties = {
        "status": {"type": "integer", "minimum": 200, "maximum": 599, "default": 200},
        "headers": _HEADERS,
        "body": {"not": {"type": "null"}, "description": "a text, or a value that is sent as JSON"},
        "template": _TEMPLATE,
    }
    return {**object_schema(properties), "not": {"required": ["body", "template"]}}


def _recorded() -> Schema:
    properties = {
        "cassette": _FILE,
        "interaction": {"type": "integer", "minimum": 1, "maximum": MOST_INTERACTIONS},
        "recorded": {"const": True, "description": "what the cassettes answer"},
        "stream_error": ref("rule_stream_error"),
        "after_chunks": _WHOLE,
    }
    known: list[Schema] = [
        {"required": ["recorded"], "properties": {"cassette": False, "interaction": False}},
        {"required": ["cassette", "interaction"], "properties": {"recorded": False}},
    ]
    needs = {"dependentRequired": {"after_chunks": ["stream_error"]}}
    return {**object_schema(properties), "oneOf": known, **needs}


def _failure(names: Iterable[str]) -> Schema:
    members = {name: _FAILURE.get(name, _WHOLE) for name in names}
    return {"anyOf": [_FAILURE["status"], _TEXT, object_schema(members)]}


def _words(words: Iterable[str]) -> Schema:
    return {"enum": list(words)}
