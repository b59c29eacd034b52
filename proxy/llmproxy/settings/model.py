"""All settings: each stands once, with type, default and help, and is read from everywhere.

Strategy: the dataclasses below are the model. ``walk`` lists them for the command line and
the docs, ``json_schema`` describes them to editors; ``loading`` fills them in.

pydantic and yaml are imported inside the functions that need them: ``--help`` does not.
This module knows no server and no command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from llmproxy.kinds import (
    DURATION,
    ENDPOINTS,
    FAULTS,
    FOLDER,
    HEADER_NAME,
    HOST,
    JSON_PATH,
    LIMITS,
    MODEL_NAME,
    PACE,
    PARAMETER_NAME,
    PORT,
    REGEX,
    RULES,
    SIZE,
    TIME_LIMIT,
    TOKEN,
    UPSTREAM_NAME,
    UPSTREAM_URL,
    Kind,
)
from llmproxy.matching.canonical import MatchSettings
from llmproxy.redaction import RedactSettings
from llmproxy.rhythm import PaceSettings
from llmproxy.setting import setting
from llmproxy.settings.catalogue import Setting, list_settings
from llmproxy.settings.checking import adapter
from llmproxy.speeds import ModelSettings
from llmproxy.synthesis.mock import MockSettings

Duration = Annotated[float, DURATION]
"""Seconds, 0 or more."""
TimeLimit = Annotated[float, TIME_LIMIT]
"""Seconds, more than 0."""
Size = Annotated[int, SIZE]
"""Bytes, 1 or more."""
Upstreams = Mapping[Annotated[str, UPSTREAM_NAME], Annotated[str, UPSTREAM_URL]]
"""Base URLs by name; no two names differ only in case."""

MB = 1000**2
UNQUOTED = ("redact", "control")
"""Groups whose values may be secrets that a person wrote in the wrong place."""
KINDS: Mapping[str, Kind] = {
    "match.ignore": JSON_PATH,
    "match.ignore_query": PARAMETER_NAME,
    "match.patterns.regex": REGEX,
    "match.headers": HEADER_NAME,
    "redact.headers": HEADER_NAME,
    "redact.query": PARAMETER_NAME,
    "redact.json": JSON_PATH,
    "redact.patterns": REGEX,
}
"""Kinds of the texts in groups that pure modules define, which cannot name kinds."""


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """The ``record:`` group."""

    mode: Literal["new_episodes", "all", "once"] = setting(
        "new_episodes", "what is recorded: what is missing, everything anew, or a new cassette only"
    )
    keep_transient: bool = setting(
        False, "also keep 401, 402, 403, 408, 409, 429, 5xx and streams that broke"
    )
    on_disconnect: Literal["finish", "cancel"] = setting(
        "finish", "whether to read a response to its end after the client has left"
    )
    disconnect_time: Duration = setting(60.0, "how long to read on after the client has left")
    disconnect_bytes: Size = setting(64 * MB, "how much to read on after the client has left")
    max_kept: Size = setting(256 * MB, "a response larger than this passes but is not kept")
    queue: Size = setting(
        64 * MB, "how much may wait for the disk before new requests have to wait"
    )


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """The ``replay:`` group."""

    on_miss: Literal["auto", "error", "forward", "synthesize"] = setting(
        "auto",
        "what answers a request that matches nothing; auto: error where CI is set, else synthesize",
    )
    pace: Annotated[float, PACE] = setting(
        1.0, "when chunks leave: as recorded, at once (instant), or so many times as fast (2x)"
    )
    repeat: Literal["last", "cycle", "miss"] = setting(
        "last", "what follows when all recordings of a request are used up"
    )


@dataclass(frozen=True, slots=True)
class ModelsSettings:
    """The ``models:`` group."""

    strict: bool = setting(False, "whether a model that is not known is answered 404", reload=True)
    known_speeds: bool = setting(
        False,
        "whether well-known models have a speed of their own, such as 5 tokens a second for gpt-4",
        reload=True,
    )
    table: Mapping[Annotated[str, MODEL_NAME], ModelSettings] = setting(
        {}, "models of your own, their speeds and what lists say of them", reload=True
    )


@dataclass(frozen=True, slots=True)
class TimeoutSettings:
    """The ``upstream_timeouts:`` group."""

    connect: TimeLimit = setting(10.0, "how long connecting to an upstream may take")
    first_byte: TimeLimit = setting(600.0, "how long an upstream may take to begin its answer")
    idle: TimeLimit = setting(600.0, "the longest silence inside an answer")


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The ``control:`` group."""

    allowed_hosts: tuple[Annotated[str, HOST], ...] = setting(
        (), "further names under which browsers may ask control routes, beside localhost"
    )
    token: Annotated[str, TOKEN] | None = setting(
        None,
        "what control routes want to be shown; null is none on a loopback address, else a new one",
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The ``log:`` group."""

    format: Literal["auto", "human", "json"] = setting(
        "auto", "how the log is written; auto: human in a terminal, else json"
    )
    prompts: bool = setting(
        False, "also log what was asked: headers and bodies without secrets, the first 4 KB of each"
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set; an instance made with no argument holds the defaults."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = {"extra": "forbid"}

    host: Annotated[str, HOST] = setting("127.0.0.1", "the address to listen on")
    port: Annotated[int, PORT] = setting(4555, "the port to listen on; 0 picks a free one")
    upstreams: Upstreams = setting(
        {}, "names for the base URLs of providers, for --upstream and rules", reload=True
    )
    max_request: Size = setting(256 * MB, "a request body larger than this is answered 413")
    max_pause: Duration | None = setting(
        None, "the longest pause between two chunks on replay; null leaves pauses as recorded"
    )
    state_folder: Annotated[Path, FOLDER] = setting(
        Path(".llmproxy"), "where missed requests are remembered for llmproxy explain --last"
    )
    record: RecordSettings = field(default_factory=RecordSettings)
    replay: ReplaySettings = field(default_factory=ReplaySettings)
    mock: MockSettings = field(default_factory=MockSettings)
    pace: PaceSettings = field(default_factory=PaceSettings)
    models: ModelsSettings = field(default_factory=ModelsSettings)
    upstream_timeouts: TimeoutSettings = field(default_factory=TimeoutSettings)
    shutdown_time: Duration = setting(10.0, "how long Ctrl-C waits for answers in flight")
    match: MatchSettings = field(default_factory=MatchSettings)
    redact: RedactSettings = field(default_factory=RedactSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    log: LogSettings = field(default_factory=LogSettings)
    endpoints: Annotated[Mapping[str, object], ENDPOINTS] = setting(
        {}, "what of mock and pace is different at single endpoints", reload=True
    )
    limits: Annotated[tuple[object, ...], LIMITS] = setting(
        (), "how many requests and tokens are let in, and of whom", reload=True
    )
    faults: Annotated[tuple[object, ...], FAULTS] = setting(
        (), "what goes wrong, how often and for whom", reload=True
    )
    rules: Annotated[tuple[object, ...], RULES] = setting(
        (), "who gets which answer, tried in order before cassettes", reload=True
    )


def walk(settings: Settings | type[Settings]) -> Iterator[Setting]:
    """Every setting in the order of ``proxy.yml``; an instance's values are the defaults."""
    instance = settings if isinstance(settings, Settings) else settings()
    return list_settings(instance, KINDS)


def json_schema() -> dict[str, object]:
    """JSON Schema (draft 2020-12) of ``proxy.yml``, for editors."""
    from llmproxy import yamlfile  # noqa: PLC0415 - help texts need no yaml

    schema: dict[str, Any] = adapter(Settings).json_schema()
    for definition in (schema, *schema["$defs"].values()):
        definition.pop("description", None)  # docstrings speak to programmers
        for node in definition["properties"].values():
            node.pop("title", None)
            node.pop("default", None)
            if "patternProperties" in node:
                node["additionalProperties"] = False
    for each in walk(Settings):
        default = yamlfile.parse(each.default_text, each.name).data
        _node(schema, each.name).update(description=each.help, default=default)
    for name, kind in KINDS.items():
        node = _node(schema, name)
        node.get("items", node).update(kind.schema)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "llmproxy"}
    return {**schema, **head}


def _node(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The part of the schema that describes a setting, through groups and lists of groups."""
    node = schema
    for part in name.split("."):
        node = node.get("items", node)
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        node = node["properties"][part]
    return node
