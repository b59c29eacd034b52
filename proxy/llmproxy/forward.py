"""To the upstream and back: a request goes out as it came, its response comes in live.

A chunk is what one read gives, stamped as it arrives and passed on at once; the recorder
gets the whole after the last one, before anything dresses it. Dialect-blind: bytes in,
bytes out.
"""

from __future__ import annotations

import asyncio
import io
import time
import urllib.request
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import monotonic
from types import SimpleNamespace, TracebackType
from typing import Literal, Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from llmproxy import dialects
from llmproxy.addressing import Address, relative_path, rewrite_origin, target_url
from llmproxy.errors import StreamBroken, UpstreamFailed, UpstreamTimeout
from llmproxy.interaction import NO_FACTS, Chunk, End, Facts, Headers, Reply, Request
from llmproxy.recorder import Captured, Recorder
from llmproxy.wire import HOP_BY_HOP

MAX_LINE = 64 * 1024
"""Longest request line and header line, in bytes, that we read on either side."""

ONE_CHUNK_BELOW = 64 * 1024
"""A JSON body with a content-length below this many bytes is gathered and passed on as one chunk."""

LONGEST_TAIL = 32 * 1024
"""Bytes of a reply's end, at the least, out of which its tokens are read."""

NOT_FORWARDED = HOP_BY_HOP | {"host", "accept-encoding", "content-length", "expect"}
POINTS_BACK = frozenset({"location", "x-goog-upload-url", "operation-location"})
"""Response headers whose URL must lead through us, else clients walk past the proxy."""


@dataclass(frozen=True, slots=True)
class ForwardSettings:
    """Times in seconds, sizes in bytes."""

    connect: float
    first_byte: float
    idle: float
    max_kept: int
    on_disconnect: Literal["finish", "cancel"]
    disconnect_time: float
    disconnect_bytes: int


class Forwarder:
    """Speaks to upstreams; hands what came to ``recorder`` where there is one."""

    def __init__(self, settings: ForwardSettings, recorder: Recorder | None) -> None:
        self.settings = settings
        self.recorder = recorder
        self._proxies: dict[tuple[str, str | None], str | None] = {}

    def _proxy(self, url: URL) -> str | None:
        place = (url.scheme, url.host)
        if place not in self._proxies:  # to read the environment costs more than to forward
            self._proxies[place] = _environment_proxy(url)
        return self._proxies[place]

    async def __aenter__(self) -> Self:
        self._pooled = self._session(force_close=False)
        self._fresh = self._session(force_close=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._pooled.close()
        await self._fresh.close()

    def _session(self, *, force_close: bool) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_mark_reused)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=force_close),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.settings.connect),
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            read_bufsize=2**18,
            trace_configs=[trace],
        )

    async def forward(self, request: Request, address: Address, ours: str) -> Reply:
        """Send ``request`` on and return its reply when the head has come.

        Args:
            request: as it came.
            address: where to.
            ours: the origin and prefix that lead back to ``address`` through us.

        Raises:
            UpstreamFailed: no answer began; ``UpstreamTimeout`` where it took too long.
        """
        if self.recorder is not None:
            await self.recorder.room()
        try:
            response = await self._send(request, address)
        except UpstreamFailed:
            if self.recorder is not None:
                self.recorder.skip("the upstream did not answer")
            raise
        exchange = Exchange(self, request, address, response)
        return Reply(
            source="forwarded" if self.recorder is None else "recorded",
            status=response.status,
            reason=response.reason or "",
            headers=_returned(exchange.headers, address, ours),
            head_at=exchange.head_at,
            chunks=exchange.chunks(),
            client_left=exchange.client_left,
            final=exchange.facts,
        )

    async def _send(self, request: Request, address: Address) -> aiohttp.ClientResponse:
        try:
            return await self._ask(self._pooled, request, address)
        except _StaleConnection:
            return await self._ask(self._fresh, request, address)

    async def _ask(
        self, session: aiohttp.ClientSession, request: Request, address: Address
    ) -> aiohttp.ClientResponse:
        url = URL(target_url(address.upstream, address.target), encoded=True)
        seen: dict[str, bool] = {}
        name = address.upstream.name
        try:
            async with asyncio.timeout(self.settings.first_byte):
                return await session.request(
                    request.method,
                    url,
                    headers=_forwarded(request.headers),
                    data=_body(request.body),
                    allow_redirects=False,
                    proxy=self._proxy(url),
                    trace_request_ctx=seen,
                )
        except (aiohttp.ServerTimeoutError, TimeoutError) as error:
            step = (
                "was not reached"
                if isinstance(error, aiohttp.ConnectionTimeoutError)
                else "did not answer"
            )
            raise UpstreamTimeout(
                f"upstream {name} ({url.host}) {step} in time", "see upstream_timeouts in proxy.yml"
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise UpstreamFailed(
                f"upstream {name}: cannot connect to {url.host}:{url.port}: {_reason(error)}",
                "check --upstream and the network",
            ) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if seen.get("reused") and session is self._pooled:
                raise _StaleConnection from error
            raise UpstreamFailed(
                f"upstream {name} ({url.host}) closed the connection before it answered"
            ) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise UpstreamFailed(
                f"upstream {name} ({url.host}) gave no HTTP answer: {type(error).__name__}"
            ) from error


class _StaleConnection(Exception):  # a signal between two functions
    """A kept connection had been closed by the upstream: nobody has seen the request."""


class Exchange:
    """One live exchange: its chunks as they come, and what is kept of it at the end."""

    def __init__(
        self,
        forwarder: Forwarder,
        request: Request,
        address: Address,
        response: aiohttp.ClientResponse,
    ) -> None:
        self._settings = forwarder.settings
        self._recorder = forwarder.recorder
        self._request = request
        self._address = address
        self._response = response
        self._began = time.time() - (monotonic() - request.received_at)
        self.head_at = monotonic() - request.received_at
        self.headers: Headers = tuple((_str(n), _str(v)) for n, v in response.raw_headers)
        self._kept: list[tuple[float, bytes]] = []
        self._kept_bytes = 0
        self._last: deque[bytes] = deque()
        self._last_bytes = 0
        self._give_up_at: float | None = None
        self._give_up_bytes = 0

    def client_left(self) -> None:
        """Nobody reads any more: read on within bounds, or not at all."""
        bounded = self._settings.on_disconnect == "finish"
        self._give_up_at = monotonic() + (self._settings.disconnect_time if bounded else 0.0)
        self._give_up_bytes = self._kept_bytes + self._settings.disconnect_bytes

    def facts(self) -> Facts:
        """What the reply told of model and tokens, as far as its end or a short body tells it."""
        request = self._request
        path, query = request.path, request.query
        dialect = dialects.of(request.method, path, request.headers, query) or dialects.DEFAULT
        kind = self._response.headers.get("content-type", "")
        whole = self._kept_bytes <= self._last_bytes
        if "content-encoding" in self._response.headers or not (whole or "stream" in kind):
            return NO_FACTS
        return dialect.read_facts(path, b"", kind, b"".join(self._last))

    async def chunks(self) -> AsyncIterator[Chunk]:
        """The body as it comes.

        Raises:
            StreamBroken: the upstream broke off or was silent for too long, or the client
                left and the rest is not worth its wait.
        """
        settled = False
        try:
            async for chunk in self._read():
                self._tap(chunk)
                yield chunk
                if why := self._given_up():
                    settled = True
                    self._skip(why)
                    raise StreamBroken(why)
            settled = True
            self._keep("eof")
        except StreamBroken:
            if not settled:
                settled = True
                if why := self._given_up():
                    self._skip(why)
                else:
                    self._keep("reset")
            raise
        finally:
            if not settled:
                self._skip("cut off by shutdown")
            self._response.close()

    async def _read(self) -> AsyncIterator[Chunk]:
        if not self._gathered():
            while data := await self._next():
                yield Chunk(monotonic() - self._request.received_at, data)
            return
        parts: list[bytes] = []
        broken: StreamBroken | None = None
        try:
            while data := await self._next():
                parts.append(data)
        except StreamBroken as error:
            broken = error
        if parts:
            yield Chunk(monotonic() - self._request.received_at, b"".join(parts))
        if broken is not None:
            raise broken

    def _gathered(self) -> bool:
        length = self._response.content_length
        return (
            length is not None
            and length < ONE_CHUNK_BELOW
            and self._response.content_type.endswith("json")
        )

    async def _next(self) -> bytes:
        patience = self._settings.idle
        if self._give_up_at is not None:
            patience = min(patience, max(0.0, self._give_up_at - monotonic()))
        try:
            async with asyncio.timeout(patience):
                return await self._response.content.readany()
        except TimeoutError as error:
            raise StreamBroken(
                self._given_up() or "the upstream was silent for too long"
            ) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise StreamBroken("the upstream broke off in the middle of its response") from error

    def _given_up(self) -> str:
        if self._give_up_at is None:
            return ""
        if self._settings.on_disconnect == "cancel":
            return "the client left"
        late = monotonic() >= self._give_up_at
        if late or self._kept_bytes > self._give_up_bytes:
            return "the client left and the rest took too long"
        return ""

    def _tap(self, chunk: Chunk) -> None:
        self._kept_bytes += len(chunk.data)
        self._last.append(chunk.data)
        self._last_bytes += len(chunk.data)
        while self._last_bytes - len(self._last[0]) >= LONGEST_TAIL:
            self._last_bytes -= len(self._last.popleft())
        if self._recorder is None:
            return
        if self._kept_bytes <= self._settings.max_kept:
            self._kept.append((chunk.offset, chunk.data))
        else:
            self._kept.clear()

    def _skip(self, why: str) -> None:
        if self._recorder is not None:
            self._recorder.skip(why)

    def _keep(self, end: End) -> None:
        if self._recorder is None:
            return
        if self._kept_bytes > self._settings.max_kept:
            self._recorder.skip("larger than record.max_kept")
            return
        self._recorder.keep(
            Captured(
                request=self._request,
                upstream=self._address.upstream.name,
                path=relative_path(self._address.upstream, self._address.target.partition("?")[0]),
                recorded_at=self._began,
                status=self._response.status,
                reason=self._response.reason or "",
                headers=self.headers,
                head_at=self.head_at,
                chunks=tuple(self._kept),
                ended_at=monotonic() - self._request.received_at,
                end=end,
            )
        )


async def _mark_reused(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: object
) -> None:
    context.trace_request_ctx["reused"] = True


def _forwarded(headers: Headers) -> CIMultiDict[str]:
    """The client's header lines as the upstream gets them."""
    named = {
        name.strip().lower()
        for key, value in headers
        if key.lower() == "connection"
        for name in value.split(",")
    }
    out: CIMultiDict[str] = CIMultiDict()
    for name, value in headers:
        low = name.lower()
        if low not in NOT_FORWARDED and low not in named and not low.startswith("x-llmproxy-"):
            out.add(name, _sendable(value))
    out["Accept-Encoding"] = "identity"
    return out


def _returned(headers: Headers, address: Address, ours: str) -> Headers:
    """The upstream's header lines as the client gets them."""
    return tuple(
        (name, rewrite_origin(value, address.upstream, ours) if low in POINTS_BACK else value)
        for name, value in headers
        if (low := name.lower()) not in HOP_BY_HOP
    )


def _sendable(value: str) -> str:
    """A header value for aiohttp, which writes UTF-8 and knows no stray bytes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def _str(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _body(body: bytes) -> bytes | io.BytesIO | None:
    """A body for aiohttp, which wants a large one as a file."""
    if len(body) > 2**19:
        return io.BytesIO(body)
    return body or None


def _environment_proxy(url: URL) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY say, as other clients understand them."""
    proxies = urllib.request.getproxies()
    if not proxies or urllib.request.proxy_bypass(url.host or ""):
        return None
    return proxies.get(url.scheme)


def _reason(error: aiohttp.ClientConnectorError) -> str:
    return str(error.os_error.strerror or error.os_error) if error.os_error else "refused"
