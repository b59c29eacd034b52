"""The routes of mock-llm-server's dashboard: configuration, numbers, limits, failures.

Its configuration is kept as it is told there and translated by ``dashboard_config``; its numbers
are those of ``metrics.dashboard``; its WebSocket is in ``dashboard_socket``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmproxy.control import config, metrics
from llmproxy.control.aliases import dashboard_config
from llmproxy.control.aliases.dashboard_config import FAILURES, LABELS, STRATEGIES, Changes
from llmproxy.control.route import JSON, Call, Refused, Route, text_reply
from llmproxy.control.served import Served
from llmproxy.interaction import Reply
from llmproxy.limits.limit import Limit
from llmproxy.metrics import dashboard
from llmproxy.metrics.dashboard import ENDPOINTS

_BODY = {"type": "object"}


class Dashboard:
    """What was changed through these routes, and their handlers."""

    def __init__(self) -> None:
        self.changes = Changes()

    # --- configuration ---

    def told(self, served: Served) -> dict[str, Any]:
        """The whole configuration."""
        settings = served.live.configuration.settings
        return {
            "global": dashboard_config.told(settings, self.changes.everywhere),
            "endpoints": {name: dict(said) for name, said in self.changes.endpoints.items()},
        }

    async def change(self, served: Served, data: object, endpoint: str | None = None) -> None:
        """Change the configuration of all endpoints, or of one.

        Raises:
            Refused: something in it cannot be; nothing is changed.
        """
        given, problems = dashboard_config.check(data)
        if problems:
            raise Refused(400, problems[0], {"problems": problems})
        await self._take(served, self.changes.merged(given, endpoint))

    async def clear(self, served: Served, endpoint: str) -> None:
        """Let an endpoint be like all others."""
        await self._take(served, self.changes.without(endpoint))

    async def reset(self, served: Served) -> None:
        """Undo all changes, those made by other routes too."""
        before, self.changes = self.changes, Changes()
        try:
            await config.undo(served)
        except Refused:
            self.changes = before
            raise

    async def _take(self, served: Served, changes: Changes) -> None:
        data = dashboard_config.settings_of(changes, served.live.base.settings)
        before, self.changes = self.changes, changes  # first: subscribers are told on the way
        try:
            await config.change(served, data)
        except Refused:
            self.changes = before
            raise

    async def read_config(self, served: Served, _call: Call) -> dict[str, Any]:
        return self.told(served)

    async def patch_config(self, served: Served, call: Call) -> dict[str, Any]:
        await self.change(served, call.body)
        return self.told(served)

    async def reset_config(self, served: Served, _call: Call) -> dict[str, Any]:
        await self.reset(served)
        return {**_done("Configuration reset to that of the start"), "config": self.told(served)}

    async def read_endpoints(self, served: Served, _call: Call) -> dict[str, Any]:
        return {name: self._endpoint(served, name) for name in ENDPOINTS}

    def _endpoint(self, served: Served, name: str) -> dict[str, Any]:
        return {
            "label": LABELS[name],
            "config": self._config(served, name),
            "rateLimiterState": self._limiter(served, name),
        }

    def _config(self, served: Served, name: str) -> dict[str, Any]:
        settings = served.live.configuration.settings
        return dashboard_config.told(settings, self.changes.at(name))

    async def patch_endpoint(self, served: Served, call: Call) -> dict[str, Any]:
        name = known(call.variables["endpoint"])
        await self.change(served, call.body, name)
        return {"endpoint": name, "config": self._config(served, name)}

    async def clear_endpoint(self, served: Served, call: Call) -> dict[str, Any]:
        name = known(call.variables["endpoint"])
        await self.clear(served, name)
        said = "Endpoint overrides cleared"
        return {"endpoint": name, "config": self._config(served, name), "message": said}

    # --- limits ---

    def _limit(self, served: Served, name: str) -> Limit | None:
        """The limit that an endpoint has through these routes."""
        names = list(dashboard_config.limits_of(self.changes))
        if name not in names:
            return None
        number = len(served.live.base.settings.limits) + names.index(name)
        limits = served.live.configuration.limits
        return limits[number].limit if number < len(limits) else None

    def _limiter(self, served: Served, name: str) -> dict[str, Any] | None:
        limit = self._limit(served, name)
        if limit is None or served.meters is None:
            return None
        bucket = served.meters.bucket(limit, ())
        standings = bucket.standings(served.now().timestamp())
        told: dict[str, Any] = {"strategy": limit.strategy}
        for _, standing in standings:
            if standing.limit is not None:
                told["maxCount"] = standing.limit
                told["currentCount"] = max(0, standing.limit - standing.remaining)
                told["remaining"] = standing.remaining
                told["resetMs"] = round(standing.reset * 1e3)
        return told

    def reset_limits(self, served: Served, name: str | None = None) -> None:
        """Begin the counts of all limits anew, or those of an endpoint's."""
        if served.meters is None:
            return
        if name is None:
            served.meters.reset()
        elif (limit := self._limit(served, name)) is not None:
            served.meters.reset(limit)

    async def reset_all_limits(self, served: Served, _call: Call) -> dict[str, Any]:
        self.reset_limits(served)
        return _done("All rate limiters reset")

    async def reset_limit(self, served: Served, call: Call) -> dict[str, Any]:
        name = known(call.variables["endpoint"])
        self.reset_limits(served, name)
        return _done(f"Rate limiter of {name} reset")

    def routes(self) -> tuple[Route, ...]:
        """All of them."""
        return (
            Route("GET", "/api/config", self.read_config, "Configuration", strict=False),
            Route("PATCH", "/api/config/global", self.patch_config, "Change it", {}, _BODY),
            Route("GET", "/api/config/endpoints", self.read_endpoints, "By endpoint", strict=False),
            Route("PATCH", _ENDPOINT, self.patch_endpoint, "Change an endpoint", {}, _BODY),
            Route("DELETE", _ENDPOINT, self.clear_endpoint, "Clear an endpoint", strict=False),
            Route("POST", "/api/config/reset", self.reset_config, "Reset", strict=False),
            Route("POST", "/api/rate-limit/reset", self.reset_all_limits, "Reset", strict=False),
            Route("POST", _LIMITER, self.reset_limit, "Reset a limiter", strict=False),
            *_NUMBERS,
        )


_ENDPOINT = "/api/config/endpoints/{endpoint}"
_LIMITER = "/api/rate-limit/reset/{endpoint}"


def known(endpoint: str) -> str:
    """The endpoint.

    Raises:
        Refused: there is none of that name.
    """
    if endpoint not in ENDPOINTS:
        raise Refused(400, f"Unknown endpoint: {endpoint}"[:200])
    return endpoint


def _done(message: str) -> dict[str, Any]:
    return {"status": "ok", "message": message}


def _described(choices: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"id": id, "description": about} for id, about in choices.items()]


def _timestamp(served: Served) -> str:
    return served.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _health(served: Served, _call: Call) -> dict[str, Any]:
    return {"status": "ok", "timestamp": _timestamp(served)}


async def _api_health(served: Served, _call: Call) -> dict[str, Any]:
    return {"status": "ok", "wsClients": served.sockets, "timestamp": _timestamp(served)}


async def _snapshot(served: Served, _call: Call) -> Reply:
    return text_reply(JSON, await metrics.told(served, dashboard.snapshot))


async def _latency(served: Served, call: Call) -> dict[str, Any]:
    name = call.variables["endpoint"]
    found = dashboard.latency(served.journal.metrics, name)
    if found is None:
        raise Refused(400, f"Unknown endpoint: {name}"[:200])
    return found


async def _reset_metrics(served: Served, _call: Call) -> dict[str, Any]:
    metrics.forget(served)
    return _done("Metrics reset")


async def _export_json(served: Served, _call: Call) -> Reply:
    text = await metrics.told(served, dashboard.detailed)
    return text_reply(JSON, text, _attached("json"))


async def _export_csv(served: Served, call: Call) -> Reply:
    reply = await metrics.table(served, call)
    return replace(reply, headers=(*reply.headers, *_attached("csv")))


def _attached(kind: str) -> tuple[tuple[str, str], ...]:
    return (("content-disposition", f'attachment; filename="metrics.{kind}"'),)


async def _strategies(_served: Served, _call: Call) -> list[dict[str, str]]:
    return _described(STRATEGIES)


async def _failure_modes(_served: Served, _call: Call) -> list[dict[str, str]]:
    return _described(FAILURES)


_NUMBERS = (
    Route("GET", "/health", _health, "Whether it lives", open=True, strict=False),
    Route("GET", "/api/health", _api_health, "Whether it lives", open=True, strict=False),
    Route("GET", "/api/metrics", _snapshot, "What is going on", open=True, strict=False),
    Route(
        "GET", "/api/metrics/latency/{endpoint}", _latency, "Percentiles", open=True, strict=False
    ),
    Route("POST", "/api/metrics/reset", _reset_metrics, "Reset", strict=False),
    Route("POST", "/api/detailed-metrics/reset", _reset_metrics, "Reset", strict=False),
    Route("GET", "/api/detailed-metrics", metrics.numbers, "Over time", open=True, strict=False),
    Route("GET", "/api/detailed-metrics/export/json", _export_json, "Export", strict=False),
    Route("GET", "/api/detailed-metrics/export/csv", _export_csv, "Export", strict=False),
    Route("GET", "/api/rate-limit/strategies", _strategies, "Strategies", strict=False),
    Route("GET", "/api/failure-modes", _failure_modes, "Failures", strict=False),
)
