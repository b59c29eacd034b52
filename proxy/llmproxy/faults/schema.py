"""JSON Schema (draft 2020-12) of ``faults:``, for editors.

What a schema can say of a fault: names, types, bounds, that it does one thing. Whether a span
begins before it ends is judged when the file is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmproxy.conditions.whom import for_schema
from llmproxy.faults.calls import CALLS_PATTERN, MOST, MOST_LISTED, SPAN_PATTERN
from llmproxy.faults.effects import LONGEST, MOST_BYTES, MOST_CHUNKS, READERS, TIMES_PATTERN
from llmproxy.faults.failures import ERROR, EVENT, STATUSES, WORDS
from llmproxy.faults.failures import MOST as MOST_ERRORS
from llmproxy.faults.fault import LONGEST_NAME, MOST_FAULTS
from llmproxy.faults.outputs import OUTPUTS
from llmproxy.members import object_schema, ref
from llmproxy.units import DURATION_PATTERN

FAULT = ("name", "for", "rate", "seed", "calls", *READERS)
"""All that may stand in a fault."""
LARGEST_SEED = 10**18 - 1

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TRUE: Schema = {"const": True}
_STATUS: Schema = {"type": "integer", "minimum": STATUSES[0], "maximum": STATUSES[1]}
_ERROR: Mapping[str, Schema] = {
    "status": {**_STATUS, "default": 500},
    "headers": {"type": "object", "additionalProperties": _TEXT},
    "retry_after": {"type": "number", "minimum": 0, "exclusiveMaximum": 10**9},
}


def faults_schema() -> tuple[Schema, dict[str, Schema]]:
    """What stands at ``faults:``, and the definitions that it refers to."""
    whom, definitions = for_schema()
    node = {
        "description": "a provider's bad days: each fault that strikes a call changes its reply",
        "type": ["array", "null"],
        "items": ref("fault"),
        "maxItems": MOST_FAULTS,
    }
    return node, {"fault": _fault(whom), **effect_schema(), **definitions}


def effect_schema() -> dict[str, Schema]:
    """The definition ``fault_effect``, a mapping with one effect, and those that it refers to."""
    one = {**object_schema(effect_schemas()), "minProperties": 1, "maxProperties": 1}
    return {
        "fault_effect": one,
        "fault_error": _error(ERROR),
        "fault_time": _time(),
        "fault_chunk": _chunk(1),
        "fault_after": _chunk(0),
    }


def effect_schemas() -> dict[str, Schema]:
    """What stands behind each effect."""
    errors = {"type": "array", "items": ref("fault_error"), "minItems": 1}
    at_chunk = object_schema({"chunk": ref("fault_chunk")}, ("chunk",))
    stall = object_schema({"after_chunk": ref("fault_after"), "time": ref("fault_time")}, ("time",))
    cut = {"before_chunk": ref("fault_chunk"), "at_byte": _whole(0, MOST_BYTES)}
    times = {"type": "string", "pattern": f"^{TIMES_PATTERN}$"}
    return {
        "error": {"anyOf": [ref("fault_error"), {**errors, "maxItems": MOST_ERRORS}]},
        "disabled": _TRUE,
        "hang": {"anyOf": [_TRUE, ref("fault_time")]},
        "slow": {"anyOf": [_TRUE, ref("fault_time"), times]},
        "reset": _TRUE,
        "cut": {**object_schema(cut), "minProperties": 1, "maxProperties": 1},
        "stall": {"anyOf": [ref("fault_time"), stall]},
        **dict.fromkeys(("garble", "drop", "duplicate"), at_chunk),
        "split": _whole(1, MOST_CHUNKS),
        "lump": _TRUE,
        "error_event": _error(EVENT, {"after_chunk": ref("fault_after")}),
        "output": {"enum": list(OUTPUTS)},
    }


_ABOUT: Mapping[str, str] = {
    "error": "an error instead of the reply; of several one is drawn",
    "disabled": "503, the endpoint is disabled",
    "hang": "no answer until the client leaves, at most so long",
    "slow": "the reply comes so much later",
    "reset": "the connection is reset before the head",
    "cut": "the connection is reset in the body",
    "stall": "nothing comes for so long, after the first chunk or another",
    "garble": "the payload of a chunk becomes junk of the same length",
    "drop": "a chunk does not come",
    "duplicate": "a chunk comes twice",
    "split": "chunks of so many bytes",
    "lump": "all chunks come at once, with the last",
    "error_event": "the provider's error in the stream, which then ends",
    "output": "what a made-up reply says wrongly",
}


def _fault(whom: Schema) -> Schema:
    listed = {"anyOf": [_whole(1, MOST), _pattern(SPAN_PATTERN)]}
    calls = {"type": "array", "items": listed, "minItems": 1, "maxItems": MOST_LISTED}
    name = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
    properties = {
        "name": {**name, "description": "stands in the journal"},
        "for": {**whom, "description": "whom it strikes; without it everybody"},
        "rate": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 1,
            "description": "the share of the calls that are struck",
        },
        "seed": {
            **_whole(0, LARGEST_SEED),
            "default": 0,
            "description": "what chance depends on",
        },
        "calls": {
            "anyOf": [_whole(1, MOST), _pattern(CALLS_PATTERN), calls],
            "description": "which calls of a session: first 2, every 5th, 2-4, [1, 3]",
        },
        **{
            name: {**schema, "description": _ABOUT[name]}
            for name, schema in effect_schemas().items()
        },
    }
    either = {"oneOf": [{"required": [name]} for name in READERS]}
    return {**object_schema(properties), **either}


def _error(names: Iterable[str], others: Mapping[str, Schema] | None = None) -> Schema:
    members = {name: _ERROR.get(name, _TEXT) for name in names}
    return {"anyOf": [_STATUS, {"enum": list(WORDS)}, object_schema({**members, **(others or {})})]}


def _time() -> Schema:
    number = {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST}
    bare = r"[0-9]+(\.[0-9]+)?"
    return {"anyOf": [_pattern(rf"\s*(?:{DURATION_PATTERN}|{bare})\s*"), number]}


def _chunk(least: int) -> Schema:
    pair = {"type": "array", "items": _whole(1, MOST_CHUNKS), "minItems": 2, "maxItems": 2}
    return {"anyOf": [_whole(least, MOST_CHUNKS), _pattern(SPAN_PATTERN), pair]}


def _whole(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _pattern(pattern: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern})$"}
