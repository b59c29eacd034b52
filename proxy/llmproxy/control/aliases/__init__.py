"""The routes of other mock servers, for clients and scripts that were written for them.

Each is an exact method and path, and a translation to the same changes of the same settings and
to the same numbers. They stand in ``mock`` and ``replay``; where a provider is recorded, every
path is the provider's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmproxy.control import metrics
from llmproxy.control.aliases import openai_stream_mocker
from llmproxy.control.aliases.dashboard_socket import DashboardSocket
from llmproxy.control.aliases.mock_llm_server import Dashboard
from llmproxy.control.route import JSON, TEXT, Call, Route
from llmproxy.control.served import Served
from llmproxy.control.sockets import Protocol
from llmproxy.interaction import Reply


@dataclass(frozen=True, slots=True)
class Others:
    """Routes, and WebSockets by path."""

    routes: tuple[Route, ...]
    sockets: Mapping[str, Protocol]


async def _metrics(served: Served, call: Call) -> object | Reply:
    """Prometheus' by default; as JSON for who accepts that and no text."""
    accepts = call.accept.lower()
    if JSON in accepts and "text/plain" not in accepts:
        return await metrics.numbers(served, call)
    return await metrics.prometheus(served, call)


_METRICS = Route(
    "GET", "/metrics", _metrics, "All numbers", TEXT, open=True, media="text/plain", strict=False
)


def aliases() -> Others:
    """All of them, for one server."""
    dashboard = Dashboard()
    routes = (_METRICS, *openai_stream_mocker.ROUTES, *dashboard.routes())
    return Others(routes, {"/ws": DashboardSocket(dashboard)})
