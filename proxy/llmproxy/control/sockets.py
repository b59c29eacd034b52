"""WebSockets: what happens, told as it happens.

Messages are JSON objects of ``type`` and ``data``. A client that does not read is cut off rather
than remembered without bound. ``Conversation`` carries any protocol; ``events`` is our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from llmproxy.control import config
from llmproxy.control.served import Served
from llmproxy.entry import Entry, members

log = logging.getLogger("llmproxy")

LARGEST_MESSAGE = 2**20
MOST_WAITING = 1_000
"""Messages that wait for a slow client before it is cut off."""
HEARTBEAT = 20.0

Message = tuple[str, str]
Protocol = Callable[["Conversation"], Awaitable[None]]
"""What is done with a conversation; it ends when this returns or the client leaves."""


class Conversation:
    """One open WebSocket; ``say`` never waits."""

    def __init__(self, served: Served, socket: web.WebSocketResponse) -> None:
        self.served = served
        self._socket = socket
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue(MOST_WAITING)
        self._kinds: Counter[str] = Counter()

    def say(self, kind: str, data: object) -> None:
        """Send a message when its turn has come."""
        self.say_encoded(kind, json.dumps(data))

    def say_encoded(self, kind: str, data: str) -> None:
        """The same of data that is JSON already."""
        try:
            self._waiting.put_nowait((kind, data))
            self._kinds[kind] += 1
        except asyncio.QueueFull:
            self.end()

    def waits(self, kind: str) -> bool:
        """Whether a message of this type is not sent yet: one who reads slowly needs no newer."""
        return self._kinds[kind] > 0

    def end(self) -> None:
        """Say nothing more."""
        while self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def send(self) -> None:
        """Send what is said, until the end."""
        with contextlib.suppress(ConnectionError):
            while (message := await self._waiting.get()) is not None:
                kind, data = message
                self._kinds[kind] -= 1
                await self._socket.send_str(f'{{"type": {json.dumps(kind)}, "data": {data}}}')

    async def listen(self, hear: Callable[[str], Awaitable[None]]) -> None:
        """Hand over each text that the client sends, until it leaves."""
        async for message in self._socket:
            if message.type == WSMsgType.TEXT:
                await hear(message.data)


async def speak(
    served: Served, web_request: web.BaseRequest, protocol: Protocol
) -> web.StreamResponse:
    """Carry a conversation from its beginning to its end."""
    socket = web.WebSocketResponse(
        heartbeat=HEARTBEAT, max_msg_size=LARGEST_MESSAGE, timeout=1.0, compress=False
    )
    await socket.prepare(web_request)
    conversation = Conversation(served, socket)
    served.followers.add(conversation)
    served.sockets += 1
    tasks = [asyncio.ensure_future(each) for each in (conversation.send(), protocol(conversation))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        served.followers.discard(conversation)
        served.sockets -= 1
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("llmproxy has a fault: %s in a WebSocket", type(ended).__name__)
        await socket.close()
    return socket


async def events(conversation: Conversation) -> None:
    """Our own: the settings at first and whenever they change; each request twice.

    Types: ``config``, ``opened``, ``closed``; the data of the last two is as in the journal.
    """
    served = conversation.served

    def hear(event: str, entry: Entry) -> None:
        conversation.say(event, members(entry))

    def changed() -> None:
        conversation.say("config", config.in_force(served.live))

    changed()
    ends = (served.journal.subscribe(hear), served.live.subscribe(changed))
    try:
        await conversation.listen(_ignore)
    finally:
        for end in ends:
            end()


async def _ignore(_text: str) -> None:
    pass
