"""The server: read a request, choose a reply, dress it, play it.

Every request walks this one line, whatever the mode; the mode is in the tuple of
responders. What HTTP itself asks of us (preflights, upgrades, odd targets, sizes) is
settled here, and here alone an error becomes an answer.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic
from urllib.parse import unquote

from aiohttp import web

from llmproxy import dialects
from llmproxy.addressing import cut_absolute, split_session
from llmproxy.asked import ASIDE_ABOVE, Asked
from llmproxy.control import PREFIX, Control
from llmproxy.dresser import Dresser
from llmproxy.errors import BadRequest, LlmproxyError, RequestTooLarge
from llmproxy.interaction import Headers, Problem, Reply, Request
from llmproxy.journal import Entry, Journal
from llmproxy.noting import Noting, echoing, note_facts, note_final, note_id, said
from llmproxy.player import play
from llmproxy.redacted import Redacted, Redacting
from llmproxy.responders import Responder, error_reply
from llmproxy.sessions import DEFAULT
from llmproxy.wheel import Wheel

log = logging.getLogger("llmproxy")

SESSION_HEADER = "x-llmproxy-session"


@dataclass(frozen=True, slots=True)
class Proxy:
    """What a running server is made of."""

    responders: tuple[Responder, ...]
    dresser: Dresser
    redacting: Redacting
    control: Control
    journal: Journal
    max_request: int
    aside: ThreadPoolExecutor
    wheel: Wheel
    noting: Noting = field(default_factory=Noting)

    async def handle(self, web_request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; aiohttp's handler."""
        target = cut_absolute(web_request.raw_path)
        if self.control.owns(web_request.method, target.partition("?")[0]):
            return await self._controlled(web_request, target)
        entry = self.journal.open(web_request.method)
        reply: Reply | None = None
        try:
            reply, received_at = await self._reply(web_request, target, entry)
            entry.source, entry.miss, entry.rule = reply.source, reply.miss, reply.rule
            if reply.match is not None:
                entry.match = reply.match.level + ("*" if reply.match.generated else "")
                entry.interaction = f"#{reply.match.interaction}"
                entry.repeated = reply.match.turn > reply.match.turns
            if "Origin" in web_request.headers:
                reply = _for_browsers(reply)
            if entry.named:
                reply = echoing(reply, entry)
            return await play(reply, web_request, received_at, entry, self.wheel)
        finally:
            if reply is not None:
                _end(reply, entry)
            self.journal.close(entry)

    async def _controlled(self, web_request: web.BaseRequest, target: str) -> web.StreamResponse:
        """Answer what is ours: no traffic, in no journal, open to no other origin."""
        path = target.partition("?")[0]
        reply: web.StreamResponse | Reply
        received_at = monotonic()
        if self.control.is_socket(path) and _upgrades(web_request):
            reply = await self.control.socket(web_request, path)
            if not isinstance(reply, Reply):
                return reply
        else:
            headers = tuple(web_request.headers.items())
            request = Request(web_request.method, target, headers, b"", "", received_at)
            reply = await self.control.answer(request, partial(_read_body, web_request))
        entry = Entry(method=web_request.method, path=path, began=received_at)
        return await play(reply, web_request, received_at, entry, self.wheel)

    async def _reply(
        self, web_request: web.BaseRequest, target: str, entry: Entry
    ) -> tuple[Reply, float]:
        redactor = self.redacting.redactor
        headers = tuple(web_request.headers.items())
        try:
            named, prefix, target = split_session(target)
            path, _, query = target.partition("?")
            credentials = redactor.credentials(headers, query)
            entry.path = redactor.path(path, credentials)
            note_id(entry, web_request.headers, redactor, credentials)
            entry.session = named or _session(web_request)
            entry.dialect, entry.endpoint = self.noting.endpoint(
                web_request.method, target, web_request.headers, headers
            )
            self.journal.begin(entry)
            if refused := _refused_by_http(web_request) or _strayed(path):
                return refused, monotonic()
            body = await _read_body(web_request, self.max_request)
            request = Request(
                method=web_request.method,
                target=target,
                headers=headers,
                body=body,
                session=entry.session,
                received_at=monotonic(),
            )
            ours = f"http://{web_request.headers.get('Host', 'localhost')}{prefix}"
            asked = Asked(request, await self._redacted(request, credentials), ours)
            entry.received = len(body)
            if self.journal.prompts:
                entry.prompt = said(asked)
            asked.gone = partial(_is_gone, web_request)
            reply = await self.dresser(asked, entry, self._choose)
            try:
                await note_facts(entry, reply, asked, redactor, self.aside)
            except BaseException:
                _end(reply, entry)
                raise
            return reply, asked.request.received_at
        except LlmproxyError as error:
            return _problem_reply(error, _dialect(web_request, target, headers)), monotonic()
        except Exception as error:  # noqa: BLE001  # a fault of ours is told in the client's shape too
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
            log.error("llmproxy has a fault: %s", what)  # noqa: TRY400  # a message may quote a body
            fault = LlmproxyError(f"this is a fault of llmproxy: {what}", "please report it")
            return _problem_reply(fault, _dialect(web_request, target, headers)), monotonic()

    async def _redacted(self, request: Request, credentials: tuple[str, ...]) -> Redacted:
        redacted = self.redacting(request, credentials)
        if len(request.body) > ASIDE_ABOVE or request.content_encoding:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self.aside, lambda: redacted.body)
        return redacted

    async def _choose(self, asked: Asked) -> Reply:
        for responder in self.responders:
            reply = await responder(asked)
            if reply is not None:
                return reply
        raise LlmproxyError("nothing answers here")  # pragma: no cover  # the last one always does


def _session(web_request: web.BaseRequest) -> str:
    """The session that the header names.

    Raises:
        BadRequest: it cannot be a name.
    """
    name = web_request.headers.get(SESSION_HEADER)
    if not name:
        return DEFAULT
    return split_session(f"/s/{name.replace('/', '%2f')}/")[0] or DEFAULT


async def _read_body(web_request: web.BaseRequest, limit: int) -> bytes:
    """The body, whole.

    Raises:
        RequestTooLarge: above ``limit`` bytes; 0 reads and forgets.
        BadRequest: it broke off.
    """
    announced = web_request.content_length
    if limit and announced is not None and announced > limit:
        raise _too_large(limit)
    if not web_request.body_exists:
        return b""
    content = web_request.content
    if web_request.headers.get("Expect", "").lower() == "100-continue" and web_request.transport:
        web_request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    parts = []
    size = 0
    try:
        while part := await content.readany():
            size += len(part)
            if limit and size > limit:
                raise _too_large(limit)
            if limit:
                parts.append(part)
    except (web.RequestPayloadError, ConnectionError, ValueError) as error:
        raise BadRequest("the request's body broke off or is not well framed") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(
        f"the request's body is larger than {limit} bytes", "raise max_request in proxy.yml"
    )


def _dialect(
    web_request: web.BaseRequest, target: str, headers: Headers
) -> dialects.Dialect | None:
    path, _, query = target.partition("?")
    return dialects.of(web_request.method, path, headers, query)


def _refused_by_http(web_request: web.BaseRequest) -> Reply | None:
    """The answer to what is no request for a provider."""
    headers = web_request.headers
    if web_request.method == "CONNECT":
        problem = Problem(
            405,
            "llmproxy is no HTTP proxy: set the SDK's base URL to it (OPENAI_BASE_URL, …),"
            " not HTTP_PROXY",
            code="llmproxy_connect",
        )
        return error_reply(problem, None, (("Allow", "GET, POST, PUT, PATCH, DELETE, HEAD"),))
    if _upgrades(web_request):
        problem = Problem(426, "llmproxy does not speak WebSocket yet", code="llmproxy_upgrade")
        return error_reply(problem, None, (("Upgrade", "HTTP/1.1"),))
    if (
        web_request.method == "OPTIONS"
        and "Origin" in headers
        and "Access-Control-Request-Method" in headers
    ):
        return _preflight(headers.get("Access-Control-Request-Headers", "*"))
    return None


def _upgrades(web_request: web.BaseRequest) -> bool:
    return web_request.headers.get("Upgrade", "").lower() == "websocket"


def _end(reply: Reply, entry: Entry) -> None:
    """A reply has left, or never will: tell what is known of it by now."""
    facts = reply.facts
    if reply.final is not None:
        facts = reply.final()
        note_final(entry, facts)
    if reply.done is not None:
        reply.done(facts)


def _is_gone(web_request: web.BaseRequest) -> bool:
    return web_request.transport is None or web_request.transport.is_closing()


def _strayed(path: str) -> Reply | None:
    """The answer to a control route under a prefix: no provider shall see it, or its token."""
    if "%" not in path and "llmproxy" not in path.lower():
        return None
    if PREFIX.strip("/") not in unquote(path).lower().split("/"):
        return None
    message = f"llmproxy's own routes stand at {PREFIX}, without a prefix before it"
    return error_reply(Problem(404, message, code="llmproxy_control"), None)


def _preflight(wanted: str) -> Reply:
    return Reply(
        source="control",
        status=204,
        reason="No Content",
        headers=(
            ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            ("Access-Control-Allow-Headers", wanted),
            ("Access-Control-Max-Age", "86400"),
        ),
        head_at=0.0,
        chunks=(),
    )


def _for_browsers(reply: Reply) -> Reply:
    """The reply, open to pages of any origin where the provider did not say who may read it."""
    if any(name.lower() == "access-control-allow-origin" for name, _ in reply.headers):
        return reply
    opened = (("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "*"))
    return replace(reply, labels=reply.labels + opened, head=b"")


def _problem_reply(error: LlmproxyError, dialect: dialects.Dialect | None) -> Reply:
    kind = "invalid_request_error" if error.status < 500 else "api_error"
    problem = Problem(error.status, f"llmproxy: {error}", kind=kind, code=error.code)
    return error_reply(problem, dialect)
