"""Settings: what is in force and where it comes from, and changes that last until the next start.

Values that may be secret are not shown, only that they are set. A change is checked as a file is;
one with a mistake changes nothing and is answered with all its mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmproxy.control.route import MAP, TEXT, WHOLE, Call, Parameter, Refused, Route, list_of, shape
from llmproxy.control.served import Served
from llmproxy.errors import LlmproxyError
from llmproxy.live import Live
from llmproxy.settings import Settings, walk
from llmproxy.settings.catalogue import plain_values
from llmproxy.settings.endpoints import endpoint_names

HIDDEN = "(not shown)"
_SECRET = ("redact.", "control.token")
"""Settings, and beginnings of such, whose values may be secrets."""
_UNTOLD = ("rules",)
"""Rules are told by their names: what stands in them may be what an app says to a model."""


def in_force(live: Live) -> dict[str, Any]:
    """Everything that is in force, and what is wrong with what was read last."""
    lines = live.problem.split("\n") if live.problem else []
    since = live.loaded_at.isoformat(timespec="seconds")
    message = f"{lines[0]} (what was read at {since} stays)" if lines else ""
    configuration = live.configuration
    return {
        "version": live.version,
        "loaded_at": since,
        "files": [str(file) for file in configuration.files],
        "rules": rules_in_force(live),
        "problem": {"message": message, "lines": lines} if lines else None,
        "ignored": list(live.ignored),
        "settings": shown(configuration.settings),
        "origins": dict(configuration.origins),
        "changed": list(live.changed),
    }


def rules_in_force(live: Live) -> list[dict[str, Any]]:
    """Names and places of rules, in the order in which they are tried."""
    return [
        {"name": rule.name, "place": rule.place}
        | ({} if rule.times is None else {"times": rule.times})
        for rule in live.configuration.rules
    ]


def shown(settings: Settings) -> dict[str, Any]:
    """The settings as ``proxy.yml`` has them, without what may be secret."""
    plain = plain_values(settings)
    for each in walk(Settings()):
        group, _, member = each.name.rpartition(".")
        place = plain[group] if group else plain
        if each.name in _UNTOLD:
            del place[member]
        elif each.name.startswith(_SECRET) and place[member] not in (None, [], True, False):
            place[member] = HIDDEN
    return plain


async def change(served: Served, data: object) -> None:
    """Change settings as a client asks.

    Raises:
        Refused: they cannot be; nothing is changed.
    """
    if not isinstance(data, Mapping):
        raise Refused(400, "the request body is no object; write settings as in proxy.yml")
    try:
        await served.live.patch(data)
    except LlmproxyError as error:
        raise mistakes(error) from error


def mistakes(error: LlmproxyError) -> Refused:
    """All that is wrong with settings, as an answer."""
    lines = [f"{error.message}; {error.hint}" if error.hint else error.message]
    return Refused(400, "nothing was changed", {"problems": "\n".join(lines).split("\n")})


async def undo(served: Served, names: list[str] | None = None) -> None:
    """Undo changes, as ``Live.unpatch`` does.

    Raises:
        Refused: what stays changed cannot be without it.
    """
    try:
        await served.live.unpatch(names)
    except LlmproxyError as error:
        raise mistakes(error) from error


async def _read(served: Served, _call: Call) -> dict[str, Any]:
    return in_force(served.live)


async def _patch(served: Served, call: Call) -> dict[str, Any]:
    await change(served, call.body)
    return in_force(served.live)


async def _reset(served: Served, call: Call) -> dict[str, Any]:
    names = call.query["names"]
    await undo(served, names.split(",") if names else None)
    return in_force(served.live)


async def _rules(served: Served, _call: Call) -> dict[str, Any]:
    return {"rules": rules_in_force(served.live)}


async def _endpoints(served: Served, _call: Call) -> dict[str, Any]:
    said = served.live.configuration.settings.endpoints
    return {"endpoints": {name: said.get(name, {}) for name in endpoint_names()}}


def _endpoint(call: Call) -> str:
    name = call.variables["id"].replace("_", "-")
    if name not in endpoint_names():
        raise Refused(404, f"no such endpoint: {name}"[:200], {"endpoints": list(endpoint_names())})
    return name


def _at_endpoint(served: Served, name: str) -> dict[str, Any]:
    return {"endpoint": name, "changes": served.live.configuration.settings.endpoints.get(name, {})}


async def _read_endpoint(served: Served, call: Call) -> dict[str, Any]:
    return _at_endpoint(served, _endpoint(call))


async def _patch_endpoint(served: Served, call: Call) -> dict[str, Any]:
    name = _endpoint(call)
    await change_endpoint(served, name, call.body)
    return _at_endpoint(served, name)


async def change_endpoint(served: Served, name: str, data: object) -> None:
    """Change what is different at one endpoint: parts of the groups ``mock`` and ``pace``.

    Raises:
        Refused: it cannot be; nothing is changed.
    """
    if not isinstance(data, Mapping):
        raise Refused(400, "the request body is no object; write {pace: {...}, mock: {...}}")
    said: Mapping[str, Any] = served.live.configuration.settings.endpoints
    before = said.get(name, {})
    merged = {**before}
    for group, values in data.items():
        inside = isinstance(values, Mapping) and isinstance(before.get(group), Mapping)
        merged[group] = {**before[group], **values} if inside else values
    await change(served, {"endpoints": {**said, name: merged}})


async def clear_endpoint(served: Served, name: str) -> None:
    """Let nothing be different at an endpoint."""
    said: Mapping[str, Any] = served.live.configuration.settings.endpoints
    left = {each: value for each, value in said.items() if each != name}
    await change(served, {"endpoints": left})


async def _clear_endpoint(served: Served, call: Call) -> dict[str, Any]:
    name = _endpoint(call)
    await clear_endpoint(served, name)
    return _at_endpoint(served, name)


_CONFIG = shape(
    version=WHOLE,
    loaded_at=TEXT,
    files=list_of(TEXT),
    rules=list_of(MAP),
    problem={"type": ["object", "null"]},
    ignored=list_of(TEXT),
    settings=MAP,
    origins={"type": "object", "additionalProperties": TEXT},
    changed=list_of(TEXT),
)
_PATCH = {
    "type": "object",
    "description": "Settings, nested as in proxy.yml; llmproxy schema describes them.",
}
_AT_ENDPOINT = shape(endpoint=TEXT, changes=MAP)
_ENDPOINT_PATCH = {
    "type": "object",
    "properties": {"mock": MAP, "pace": MAP},
    "description": "Parts of the groups mock and pace of proxy.yml.",
}

_BASE = "/_llmproxy/config"
ROUTES = (
    Route("GET", _BASE, _read, "The settings in force, and where each comes from", _CONFIG),
    Route("PATCH", _BASE, _patch, "Change settings until the next start", _CONFIG, _PATCH),
    Route(
        "POST",
        f"{_BASE}/reset",
        _reset,
        "Undo what was changed since the start",
        _CONFIG,
        query=(Parameter("names", "settings or groups, by commas; absent: all"),),
    ),
    Route(
        "GET",
        f"{_BASE}/endpoints",
        _endpoints,
        "What is different at each endpoint",
        shape(endpoints=MAP),
    ),
    Route(
        "GET",
        f"{_BASE}/endpoints/{{id}}",
        _read_endpoint,
        "What is different at one endpoint",
        _AT_ENDPOINT,
    ),
    Route(
        "PATCH",
        f"{_BASE}/endpoints/{{id}}",
        _patch_endpoint,
        "Let something be different at one endpoint",
        _AT_ENDPOINT,
        _ENDPOINT_PATCH,
    ),
    Route(
        "DELETE",
        f"{_BASE}/endpoints/{{id}}",
        _clear_endpoint,
        "Let nothing be different at one endpoint",
        _AT_ENDPOINT,
    ),
    Route(
        "GET",
        "/_llmproxy/rules",
        _rules,
        "The rules, in the order in which they are tried",
        shape(rules=list_of(MAP)),
    ),
)
