"""The configuration of mock-llm-server, checked and translated to settings of ours.

It has one set of fields for all endpoints and a partial one for each. What streams are like becomes
``pace`` and ``mock``, also at single endpoints; rate limits become ``limits`` and failures
``faults``, an entry for each endpoint, because there each endpoint counts for itself. What the
files say of limits and faults stays in front. The two versions of Gemini's API share their pace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmproxy.findings import nearest
from llmproxy.metrics.dashboard import ENDPOINTS
from llmproxy.settings import Settings
from llmproxy.units import quote

Data = Mapping[str, Any]

LABELS: Mapping[str, str] = dict(
    zip(
        ENDPOINTS,
        (
            "OpenAI Chat Completions",
            "OpenAI Responses",
            "Anthropic Messages",
            "Gemini generateContent (v1beta)",
            "Gemini streamGenerateContent (v1beta)",
            "Gemini generateContent (v1)",
            "Gemini streamGenerateContent (v1)",
        ),
        strict=True,
    )
)
STRATEGIES: Mapping[str, str] = {
    "none": "Nothing is limited",
    "fixed-window": "So many requests in each window of time",
    "sliding-window": "So many requests in any time as long as the window",
    "token-bucket": "Bursts up to the bucket's capacity, then the rate at which it is refilled",
    "leaky-bucket": "An even flow at the rate at which the bucket leaks",
    "after-n": "The first N requests pass, all others are answered 429",
    "random": "Each request is answered 429 with a probability",
    "always": "Every request is answered 429",
}
FAILURES: Mapping[str, str] = {
    "server_error": "500 in the provider's shape",
    "bad_request": "400 in the provider's shape",
    "authentication_error": "401 in the provider's shape",
    "permission_denied": "403 in the provider's shape",
    "timeout": "No answer; the request hangs",
    "slow_response": "The answer comes 5 to 10 seconds later",
    "connection_reset": "The connection is reset before the answer",
}
_UNSAFE = ("__proto__", "constructor", "prototype")
"""Dropped as that server drops them."""
_SECONDS_PER_RATE = 3600


# --- the fields, and what each may be ---


def _number(least: float, most: float) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        right = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if right and least <= value <= most else f"a number from {least:g} to {most:g}"

    return check


def _whole(least: int, most: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        right = type(value) is int and least <= value <= most
        return "" if right else f"a whole number from {least} to {most}"

    return check


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, str) else "text or null"


def _strategy(value: Any) -> str:
    return (
        "" if isinstance(value, str) and value in STRATEGIES else f"one of {', '.join(STRATEGIES)}"
    )


def _failures(value: Any) -> str:
    right = isinstance(value, list) and all(isinstance(v, str) and v in FAILURES for v in value)
    return "" if right else f"a list of {', '.join(FAILURES)}"


_MS = _number(0, 3_600_000)
RATE_LIMIT: Mapping[str, tuple[Any, Callable[[Any], str]]] = {
    "enabled": (False, _flag),
    "strategy": ("fixed-window", _strategy),
    "maxRequests": (100, _whole(1, 10**9)),
    "windowMs": (60_000, _whole(1, 86_400_000)),
    "bucketCapacity": (10, _whole(1, 10**9)),
    "refillRate": (1, _number(0.001, 10**6)),
    "failAfterN": (5, _whole(0, 10**9)),
    "failProbability": (0.3, _number(0, 1)),
}
"""Each with its default and what is said of a value that it cannot be."""
FIELDS: Mapping[str, tuple[Any, Callable[[Any], str]]] = {
    "enabled": (True, _flag),
    "streamInitialDelayMs": (0, _MS),
    "streamDelayMs": (0, _MS),
    "streamJitterMs": (0, _MS),
    "streamChunkSize": (1, _whole(1, 10_000)),
    "toolCallProbability": (0.75, _number(0, 1)),
    "defaultResponse": (None, _text),
    "errorRate": (0, _number(0, 1)),
    "errorTypes": (["server_error"], _failures),
    "streamInterruptRate": (0, _number(0, 1)),
    "loadDegradationEnabled": (False, _flag),
    "loadDegradationFactor": (2.0, _number(1, 1000)),
}


def check(data: Any) -> tuple[dict[str, Any], list[str]]:
    """The fields of a change, and all that is wrong in it."""
    if not isinstance(data, Mapping):
        return {}, ["Request body must be an object"]
    given = {name: value for name, value in data.items() if name not in _UNSAFE}
    limit = given.pop("rateLimit", None)
    problems = _wrong(given, FIELDS, "", (*FIELDS, "rateLimit"))
    if limit is not None:
        if not isinstance(limit, Mapping):
            return {}, [*problems, "rateLimit: must be an object"]
        given["rateLimit"] = {name: v for name, v in limit.items() if name not in _UNSAFE}
        problems += _wrong(given["rateLimit"], RATE_LIMIT, "rateLimit.", tuple(RATE_LIMIT))
    return given, problems


def _wrong(
    given: Data,
    fields: Mapping[str, tuple[Any, Callable[[Any], str]]],
    prefix: str,
    names: tuple[str, ...],
) -> list[str]:
    problems = []
    for name, value in given.items():
        if name not in fields:
            close = nearest(name, names)
            mend = f"did you mean {prefix}{close}?" if close else f"there are {', '.join(names)}"
            problems.append(f"{prefix}{quote(name)[1:-1]}: no such field; {mend}")
        elif said := fields[name][1](value):
            problems.append(f"{prefix}{name}: {quote(value)} is not {said}")
    return problems


# --- what was changed ---


@dataclass(frozen=True, slots=True)
class Changes:
    """What was changed through these routes: for all endpoints, and for some."""

    everywhere: Data = field(default_factory=dict)
    endpoints: Mapping[str, Data] = field(default_factory=dict)

    def merged(self, data: Data, endpoint: str | None = None) -> Changes:
        """With another change; ``rateLimit`` is merged field by field."""
        if endpoint is None:
            return Changes(_merge(self.everywhere, data), self.endpoints)
        own = _merge(self.endpoints.get(endpoint, {}), data)
        return Changes(self.everywhere, {**self.endpoints, endpoint: own})

    def without(self, endpoint: str) -> Changes:
        """Without those of one endpoint."""
        left = {name: said for name, said in self.endpoints.items() if name != endpoint}
        return Changes(self.everywhere, left)

    def at(self, endpoint: str) -> dict[str, Any]:
        """What was changed at one endpoint, by whichever of the two."""
        return _merge(self.everywhere, self.endpoints.get(endpoint, {}))


def _merge(before: Data, data: Data) -> dict[str, Any]:
    made = {**before, **data}
    if "rateLimit" in before and "rateLimit" in data:
        made["rateLimit"] = {**before["rateLimit"], **data["rateLimit"]}
    return made


# --- what it means ---


def told(settings: Settings, changed: Data) -> dict[str, Any]:
    """All fields: those changed, those that our settings say, the others at their defaults."""
    pace, mock = settings.pace, settings.mock
    ours = {
        "streamInitialDelayMs": round((pace.ttft or 0) * 1e3, 3),
        "streamDelayMs": round(pace.chunk_delay * 1e3, 3),
        "streamJitterMs": round(pace.chunk_jitter * 1e3, 3),
        "streamChunkSize": pace.chunk_size,
        "toolCallProbability": mock.tool_calls,
        "defaultResponse": mock.text,
        "loadDegradationEnabled": pace.degradation > 1,
        "loadDegradationFactor": pace.degradation if pace.degradation > 1 else 2.0,
    }
    limit = {name: default for name, (default, _) in RATE_LIMIT.items()}
    fields = {name: default for name, (default, _) in FIELDS.items()}
    return _merge({**fields, **ours, "rateLimit": limit}, changed)


def settings_of(changes: Changes, base: Settings) -> dict[str, Any]:
    """The change of our settings; ``base`` is what the files say."""
    made: dict[str, Any] = dict(_replies(changes.everywhere))
    endpoints: dict[str, Any] = {}
    for name, said in changes.endpoints.items():
        name = name.removesuffix("-v1")  # noqa: PLW2901  # they share their pace
        for group, values in _replies(_merge(changes.everywhere, said)).items():
            own = endpoints.setdefault(name, {})
            own[group] = {**own.get(group, {}), **values}
    made["endpoints"] = {**base.endpoints, **endpoints}
    made["limits"] = [*base.limits, *limits_of(changes).values()]
    made["faults"] = [*base.faults, *(f for name in ENDPOINTS for f in _faults(name, changes))]
    return made


def _replies(said: Data) -> dict[str, dict[str, Any]]:
    """What of ``pace`` and ``mock`` follows from the fields that were changed."""
    pace: dict[str, Any] = {}
    for name, member in (
        ("streamInitialDelayMs", "ttft"),
        ("streamDelayMs", "chunk_delay"),
        ("streamJitterMs", "chunk_jitter"),
    ):
        if name in said:
            pace[member] = said[name] / 1e3
    if "streamChunkSize" in said:
        pace |= {"chunk_unit": "char", "chunk_size": said["streamChunkSize"]}
    if "loadDegradationEnabled" in said or "loadDegradationFactor" in said:
        factor = said.get("loadDegradationFactor", FIELDS["loadDegradationFactor"][0])
        pace["degradation"] = factor if said.get("loadDegradationEnabled") else 1
    mock: dict[str, Any] = {}
    if "toolCallProbability" in said:
        mock["tool_calls"] = said["toolCallProbability"]
    if "defaultResponse" in said:
        mock["text"] = said["defaultResponse"]
    return {name: group for name, group in (("pace", pace), ("mock", mock)) if group}


def limits_of(changes: Changes) -> dict[str, dict[str, Any]]:
    """The limit of each endpoint that has one, in the order of ``ENDPOINTS``.

    A disabled endpoint has none: there it says so before anything is counted.
    """
    found = {}
    for name in ENDPOINTS:
        own = changes.at(name)
        said = {field: default for field, (default, _) in RATE_LIMIT.items()}
        said |= own.get("rateLimit", {})
        if own.get("enabled") is not False and said["enabled"] and said["strategy"] != "none":
            found[name] = {"for": _whom(name), **_limit(said)}
    return found


def _limit(said: Data) -> dict[str, Any]:
    strategy = said["strategy"]
    made: dict[str, Any] = {"strategy": strategy}
    if strategy in ("fixed-window", "sliding-window"):
        made["requests"] = {"limit": said["maxRequests"], "per": said["windowMs"] / 1e3}
    elif strategy in ("token-bucket", "leaky-bucket"):
        limit = max(1, round(said["refillRate"] * _SECONDS_PER_RATE))
        made["requests"] = {"limit": min(limit, 10**9), "per": _SECONDS_PER_RATE}
        made["burst"] = said["bucketCapacity"]
    elif strategy == "after-n":
        made["n"] = said["failAfterN"]
    elif strategy == "random":
        made["probability"] = said["failProbability"]
    return made


def _faults(endpoint: str, changes: Changes) -> list[dict[str, Any]]:
    """The faults of one endpoint, so that of all its error types one is drawn, each as often."""
    said = changes.at(endpoint)
    whom = _whom(endpoint)
    if said.get("enabled") is False:
        return [{"name": f"{endpoint} disabled", "for": whom, "disabled": True}]
    made = []
    types = list(dict.fromkeys(said.get("errorTypes", FIELDS["errorTypes"][0])))
    rate, errors = said.get("errorRate", 0), [name for name in types if name in _ERRORS]
    effects: list[tuple[int, dict[str, Any]]] = [(len(errors), {"error": errors})] if errors else []
    effects += [(1, _EFFECTS[name]) for name in types if name in _EFFECTS]
    left = 1.0
    for count, effect in effects if rate else ():
        share = rate * count / len(types)
        made.append(_fault(endpoint, whom, min(1.0, share / left) if left > 0 else 0.0, effect))
        left -= share
    if interrupt := said.get("streamInterruptRate", 0):
        cut = {"cut": {"before_chunk": [3, 7]}}
        made.append(_fault(endpoint, {**whom, "stream": True}, interrupt, cut))
    return made


_ERRORS = ("server_error", "bad_request", "authentication_error", "permission_denied")
_EFFECTS: Mapping[str, dict[str, Any]] = {
    "timeout": {"hang": True},
    "connection_reset": {"reset": True},
    "slow_response": {"slow": "5-10s"},
}


def _fault(endpoint: str, whom: Data, rate: float, effect: Data) -> dict[str, Any]:
    name = f"{endpoint} {next(iter(effect))}"
    return {"name": name, "for": dict(whom), "rate": round(rate, 9), **effect}


def _whom(endpoint: str) -> dict[str, Any]:
    if not endpoint.startswith("gemini"):
        return {"endpoint": endpoint}
    version = "/v1/*" if endpoint.endswith("-v1") else "/v1beta/*"
    return {"endpoint": endpoint.removesuffix("-v1"), "path": version}
