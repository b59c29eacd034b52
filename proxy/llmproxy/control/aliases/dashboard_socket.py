"""The WebSocket of mock-llm-server's dashboard, ``/ws``: numbers, configuration and events.

The server pushes messages of ``type`` and ``data``; a client may ask for some of them and change
the configuration. What it asks for wrongly is answered with a message of type ``error``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from llmproxy.control import metrics
from llmproxy.control.aliases.mock_llm_server import Dashboard, known
from llmproxy.control.reading import read_json
from llmproxy.control.route import Refused
from llmproxy.control.sockets import Conversation
from llmproxy.entry import Entry
from llmproxy.metrics import dashboard

METRICS_EVERY = 0.1
DETAILED_EVERY = 10
"""So often ``metrics`` are told for each ``detailed_metrics``: once a second."""


class DashboardSocket:
    """The protocol; one for all conversations."""

    def __init__(self, config: Dashboard) -> None:
        self._config = config

    async def __call__(self, conversation: Conversation) -> None:
        talk = _Talk(conversation, self._config)
        served = conversation.served
        # before anything is awaited: what happens from now on shall be told
        ends = (served.journal.subscribe(talk.hear), served.live.subscribe(talk.tell_config))
        ticking: asyncio.Task[None] | None = None
        try:
            await talk.tell_metrics()
            await talk.tell_detailed()
            talk.tell_config()
            ticking = asyncio.create_task(talk.tick())
            await conversation.listen(talk.answer)
        finally:
            if ticking is not None:
                ticking.cancel()
            for end in ends:
                end()


class _Talk:
    """One conversation."""

    def __init__(self, conversation: Conversation, config: Dashboard) -> None:
        self._conversation = conversation
        self._served = conversation.served
        self._config = config

    async def tell_metrics(self) -> None:
        told = await metrics.told(self._served, dashboard.snapshot)
        self._conversation.say_encoded("metrics", told)

    async def tell_detailed(self) -> None:
        told = await metrics.told(self._served, dashboard.detailed)
        self._conversation.say_encoded("detailed_metrics", told)

    def tell_config(self) -> None:
        self._say("config", self._config.told(self._served))

    def hear(self, event: str, entry: Entry) -> None:
        for data in dashboard.events(event, entry, self._served.now().timestamp()):
            self._say("event", data)

    async def tick(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(METRICS_EVERY)
            number += 1
            if not self._conversation.waits("metrics"):
                await self.tell_metrics()
            if number % DETAILED_EVERY == 0 and not self._conversation.waits("detailed_metrics"):
                await self.tell_detailed()

    async def answer(self, text: str) -> None:
        """Do what a message asks for."""
        try:
            message = read_json(text.encode(errors="surrogatepass"))
        except Refused:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            self._say("error", "Invalid message format")
            return
        act = _ACTS.get(message["type"])
        if act is None:
            self._say("error", f"Unknown message type: {message['type']}"[:200])
            return
        try:
            await act(self, message)
        except Refused as refused:
            self._say("error", refused.message)

    async def get_metrics(self, _message: Mapping[str, Any]) -> None:
        await self.tell_metrics()

    async def get_detailed(self, _message: Mapping[str, Any]) -> None:
        await self.tell_detailed()

    async def get_config(self, _message: Mapping[str, Any]) -> None:
        self.tell_config()

    async def update_global(self, message: Mapping[str, Any]) -> None:
        await self._config.change(self._served, _said(message))

    async def update_endpoint(self, message: Mapping[str, Any]) -> None:
        said = _said(message)
        given = message if "endpoint" in message else said
        endpoint = known(str(given.get("endpoint", "")))
        await self._config.change(self._served, given.get("config", {}), endpoint)

    async def reset_config(self, _message: Mapping[str, Any]) -> None:
        await self._config.reset(self._served)

    async def reset_metrics(self, _message: Mapping[str, Any]) -> None:
        metrics.forget(self._served)
        await self.tell_metrics()

    async def reset_detailed(self, _message: Mapping[str, Any]) -> None:
        metrics.forget(self._served)
        await self.tell_detailed()

    async def reset_limiters(self, _message: Mapping[str, Any]) -> None:
        self._config.reset_limits(self._served)
        self.tell_config()

    def _say(self, kind: str, data: object) -> None:
        self._conversation.say(kind, data)


def _said(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a message carries: under ``data``, else under ``config``."""
    said = message.get("data", message.get("config"))
    if not isinstance(said, Mapping):
        if "endpoint" in message:
            return {}
        raise Refused(400, "Request body must be an object")
    return said


_ACTS: Mapping[str, Callable[[_Talk, Mapping[str, Any]], Awaitable[None]]] = {
    "get_metrics": _Talk.get_metrics,
    "get_config": _Talk.get_config,
    "get_detailed_metrics": _Talk.get_detailed,
    "update_global_config": _Talk.update_global,
    "update_endpoint_config": _Talk.update_endpoint,
    "reset_config": _Talk.reset_config,
    "reset_metrics": _Talk.reset_metrics,
    "reset_rate_limiters": _Talk.reset_limiters,
    "reset_detailed_metrics": _Talk.reset_detailed,
}
