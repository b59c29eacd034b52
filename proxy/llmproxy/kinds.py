"""The kinds of value that settings take beyond plain text: durations, ports, JSON paths.

A ``Kind`` stands inside ``Annotated[...]`` and says how such a value is read, written and
described to an editor. pydantic asks it for its schemas and is loaded only then, so that
``--help`` can read the settings without it. This module knows no setting by its name; it lies
low so that groups of settings can be defined beside what they steer.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmproxy.jsonpath import parse_json_path
from llmproxy.units import (
    DURATION_PATTERN,
    PACE_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_pace,
    format_size,
    parse_duration,
    parse_pace,
    parse_size,
    quote,
)

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

_HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER_NAME = r"[^\s=&?]+"
_UPSTREAM_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_TOKEN = r"[!-~]{8,200}"  # noqa: S105 - the shape of one
_HOST_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?"
RESPONSE_LENGTHS = ("auto", "short", "medium", "long", "very_long", "random")
_SESSION_SEGMENT = "s"
"""``/s/NAME/`` names a session, so no upstream has this name; nor does ``/_llmproxy/``."""


@dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """How the values of a setting are written.

    Args:
        name: for help texts.
        read: makes the value of what a file, variable or flag holds; raises ``ValueError``
            with a sentence for people.
        write: makes text that ``read`` understands.
        schema: JSON Schema of what may be written.
    """

    name: str
    read: Callable[[object], Any]
    write: Callable[[Any], str] = str
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        from pydantic_core import core_schema  # noqa: PLC0415 - help texts need no pydantic

        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, object]:
        return dict(self.schema)


def _text(value: object, meant: str) -> str:
    if not isinstance(value, str):
        said = f"{quote(value)} is not {meant}; put it in quotes"
        raise ValueError(said)  # noqa: TRY004 - one error for all that cannot be read
    return value


def _read_time_limit(value: object) -> float:
    seconds = parse_duration(value)
    if seconds == 0:
        raise ValueError(f"{quote(value)} leaves no time; write a duration above 0, such as 10s")
    return seconds


def _read_size(value: object) -> int:
    size = parse_size(value)
    if size < 1:
        raise ValueError(f"{quote(value)} leaves no room; write a size above 0, such as 64MB")
    return size


def _read_port(value: object) -> int:
    text = str(value)
    if isinstance(value, bool | float) or not re.fullmatch("[0-9]{1,5}", text):
        raise ValueError(f"{quote(value)} is not a port (0 to 65535)")
    if int(text) > 65535:
        raise ValueError(f"{quote(value)} is not a port (0 to 65535)")
    return int(text)


def _read_number(value: object) -> float:
    """A finite number, 0 or more; text as variables and flags have it."""
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", text):
        raise ValueError(f"{quote(value)} is no number of 0 or more; write one such as 20 or 2.5")
    return float(text)


def _read_positive(value: object) -> float:
    number = _read_number(value)
    if number == 0:
        raise ValueError(f"{quote(value)} must be above 0")
    return number


def _read_fraction(value: object) -> float:
    number = _read_number(value)
    if number > 1:
        raise ValueError(f"{quote(value)} is not between 0 and 1")
    return number


def _read_factor(value: object) -> float:
    number = _read_number(value)
    if number < 1:
        raise ValueError(f"{quote(value)} is not a factor; write 1 or more")
    return number


def _read_count(value: object) -> int:
    number = _read_number(value)
    if number < 1 or not number.is_integer():
        raise ValueError(f"{quote(value)} is not a whole number of 1 or more")
    return int(number)


def _read_seed(value: object) -> int | None:
    """A whole number, or None where ``random`` is said."""
    if value is None or value == "random":
        return None
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,18}", str(value)):
        raise ValueError(f"{quote(value)} is not a seed; write a whole number or random")
    return int(str(value))


def _read_response_length(value: object) -> str | int:
    if isinstance(value, str) and value in RESPONSE_LENGTHS:
        return value
    try:
        return _read_count(value)
    except ValueError:
        words = ", ".join(RESPONSE_LENGTHS)
        raise ValueError(f"{quote(value)} is no length; write {words} or tokens") from None


def _write_number(number: float) -> str:
    return f"{number:g}"


def _read_host(value: object) -> str:
    text = _text(value, "a host")
    if not re.fullmatch(_HOST_NAME, text):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            said = "is not a host; write a name or an address, such as 127.0.0.1"
            raise ValueError(f"{quote(value)} {said}") from None
    return text


def _read_folder(value: object) -> Path:
    text = str(value) if isinstance(value, Path) else _text(value, "a folder")
    if not text.strip() or "\0" in text:
        raise ValueError(f"{quote(value)} is not a folder")
    return Path(text)


def _read_upstream_name(value: object) -> str:
    text = _text(value, "a name")
    if not re.fullmatch(_UPSTREAM_NAME, text):
        said = "is not a name for an upstream; write letters, digits, - and _"
        raise ValueError(f"{quote(value)} {said}")
    if text.lower() == _SESSION_SEGMENT:
        raise ValueError(f"{quote(value)} is a path of llmproxy's own; choose another name")
    return text


def _read_upstream_url(value: object) -> str:
    """The URL is never quoted: it may hold a password or a key."""
    text = _text(value, "a URL")
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError("the host or port of the URL cannot be read") from None
    if url.scheme not in ("http", "https") or not host or not re.fullmatch(r"[!-~]+", text):
        raise ValueError("the URL is not complete; write one such as https://api.example.com/v1")
    if url.username is not None or url.password is not None:
        raise ValueError("the URL holds a user name or password; leave it out")
    if "?" in text or "#" in text:
        raise ValueError("the URL holds a query or fragment; end it with its path")
    return text


def _read_model_name(value: object) -> str:
    text = _text(value, "the name of a model")
    if not re.fullmatch(r"[!-~]{1,200}", text):
        raise ValueError(f"{quote(value)} is not the name of a model")
    return text


def _read_header_name(value: object) -> str:
    """Not quoted: who writes a whole header here writes its secret too."""
    text = _text(value, "a header name")
    if not re.fullmatch(_HEADER_NAME, text):
        raise ValueError("not the name of a header; write it without colon and value")
    return text


def _read_parameter_name(value: object) -> str:
    text = _text(value, "a parameter name")
    if not re.fullmatch(_PARAMETER_NAME, text):
        raise ValueError("not the name of a query parameter; write it without = and value")
    return text


def _read_json_path(value: object) -> str:
    text = _text(value, "a JSON path")
    try:
        parse_json_path(text)
    except ValueError as error:
        raise ValueError(str(error).replace(repr(text), quote(text))) from None
    return text


def _read_rules(value: object) -> tuple[object, ...]:
    """Rules and names of files as they were written: what a rule says is judged elsewhere."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        raise ValueError(f"{quote(value)} is not a list; begin each rule with a dash")  # noqa: TRY004 - one error for all that cannot be read
    return tuple(value)


def _write_rules(rules: tuple[object, ...]) -> str:
    return "[" + ", ".join(each if isinstance(each, str) else "{…}" for each in rules) + "]"


def _read_list(value: object, member: str) -> tuple[object, ...]:
    """A list as it was written: what its members say is judged elsewhere."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ValueError(f"{quote(value)} is not a list; begin each {member} with a dash")  # noqa: TRY004 - one error for all that cannot be read
    return tuple(value)


def _write_list(written: tuple[object, ...]) -> str:
    return "[" + ", ".join("{…}" for _ in written) + "]"


def _read_endpoints(value: object) -> Mapping[str, object]:
    """Endpoints as they were written: what each says is judged elsewhere."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{quote(value)} is not a mapping; write name: {{...}}, indented below it")  # noqa: TRY004 - as above
    return dict(value)


def _write_endpoints(written: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{name}: {{…}}" for name in written) + "}"


def _read_token(value: object) -> str:
    """Never quoted: it is a secret."""
    text = _text(value, "a token") if isinstance(value, str) else ""
    if not re.fullmatch(_TOKEN, text):
        raise ValueError("not a token; write 8 to 200 letters, digits or signs without spaces")
    return text


def _read_regex(value: object) -> str:
    """The regex is never quoted: that of a secret tells much of it."""
    text = _text(value, "a regex")
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"the regex does not compile: {str(error)[:100]}") from None
    except Warning:  # where warnings are errors, one about style is no reason to refuse it
        pass
    return text


_NOT_ZERO = {"pattern": "^[0.]+[A-Za-z]"}
_HEADER_SCHEMA = {"type": "string", "pattern": f"^{_HEADER_NAME}$"}
_PARAMETER_SCHEMA = {"type": "string", "pattern": f"^{_PARAMETER_NAME}$"}
_PORT_SCHEMA = {"type": "integer", "minimum": 0, "maximum": 65535}
_NAME_SCHEMA = {"type": "string", "pattern": f"^(?![sS]$){_UPSTREAM_NAME}$"}
_URL_SCHEMA = {
    "type": "string",
    "pattern": r"^https?://([^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?(/[^\s?#]*)?$",
}
_DURATION_SCHEMA: Mapping[str, object] = {
    "type": ["string", "number"],
    "pattern": f"^({DURATION_PATTERN})$",
    "minimum": 0,
}
_TIME_LIMIT_SCHEMA = {**_DURATION_SCHEMA, "exclusiveMinimum": 0, "not": _NOT_ZERO}
_SIZE_SCHEMA = {
    "type": ["string", "integer"],
    "pattern": f"^({SIZE_PATTERN})$",
    "minimum": 1,
    "not": _NOT_ZERO,
}
_PACE_SCHEMA = {"type": "string", "pattern": f"^({PACE_PATTERN})$", "not": _NOT_ZERO}

DURATION = Kind("duration", parse_duration, format_duration, _DURATION_SCHEMA)
TIME_LIMIT = Kind("duration", _read_time_limit, format_duration, _TIME_LIMIT_SCHEMA)
SIZE = Kind("size", _read_size, format_size, _SIZE_SCHEMA)
PACE = Kind("pace", parse_pace, format_pace, _PACE_SCHEMA)
PORT = Kind("port", _read_port, str, _PORT_SCHEMA)
_NUMBER_SCHEMA: Mapping[str, object] = {"type": "number", "minimum": 0}
_SEED_SCHEMA: Mapping[str, object] = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"const": "random"}]
}
NUMBER = Kind("number", _read_number, _write_number, _NUMBER_SCHEMA)
POSITIVE = Kind("number", _read_positive, _write_number, {"type": "number", "exclusiveMinimum": 0})
FRACTION = Kind("0 to 1", _read_fraction, _write_number, {**_NUMBER_SCHEMA, "maximum": 1})
FACTOR = Kind("factor", _read_factor, _write_number, {"type": "number", "minimum": 1})
COUNT = Kind("number", _read_count, str, {"type": "integer", "minimum": 1})
SEED = Kind(
    "number | random",
    _read_seed,
    lambda seed: "random" if seed is None else str(seed),
    _SEED_SCHEMA,
)
RESPONSE_LENGTH = Kind(
    "auto | short | medium | long | very_long | random | tokens",
    _read_response_length,
    schema={
        "anyOf": [
            {"enum": list(RESPONSE_LENGTHS)},
            {"type": "integer", "minimum": 1},
        ]
    },
)
HOST = Kind("host", _read_host)
FOLDER = Kind("folder", _read_folder, str, {"type": "string", "minLength": 1})
UPSTREAM_NAME = Kind("name", _read_upstream_name, str, _NAME_SCHEMA)
UPSTREAM_URL = Kind("URL", _read_upstream_url, str, _URL_SCHEMA)
MODEL_NAME = Kind("model", _read_model_name, str, {"type": "string", "pattern": "^[!-~]+$"})
HEADER_NAME = Kind("header", _read_header_name, str, _HEADER_SCHEMA)
PARAMETER_NAME = Kind("parameter", _read_parameter_name, str, _PARAMETER_SCHEMA)
JSON_PATH = Kind("JSON path", _read_json_path, str, {"type": "string", "pattern": r"^\$"})
REGEX = Kind("regex", _read_regex, str, {"type": "string", "format": "regex"})
RULES = Kind(
    "[rule | file, …]",
    _read_rules,
    _write_rules,
    {"type": ["array", "string", "null"], "items": {"type": ["object", "string"]}},
)
LIMITS = Kind(
    "[limit, …]",
    lambda value: _read_list(value, "limit"),
    _write_list,
    {"type": ["array", "null"], "items": {"type": "object"}},
)
FAULTS = Kind(
    "[fault, …]",
    lambda value: _read_list(value, "fault"),
    _write_list,
    {"type": ["array", "null"], "items": {"type": "object"}},
)
ENDPOINTS = Kind(
    "{endpoint: {mock: …, pace: …}, …}",
    _read_endpoints,
    _write_endpoints,
    {"type": ["object", "null"], "additionalProperties": {"type": "object"}},
)
TOKEN = Kind("token", _read_token, lambda _: "…", {"type": "string", "pattern": f"^{_TOKEN}$"})
