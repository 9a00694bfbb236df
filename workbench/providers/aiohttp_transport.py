"""HTTP/1.1 by aiohttp under httpx's interface: a C parser and a pool that costs the same at 1 and at 500 connections.

Exceptions leave as aiohttp raised them; `transport_errors` knows their names. A connection that the server closed
between two requests is not an error: a request that died on a reused one before any answer is sent again at once.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from aiohttp.tracing import Trace
from yarl import URL

from workbench.core.clock import Clock
from workbench.core.sending import Sending
from workbench.providers.exchange import EXTENSION, WATCHED, Exchange, Traffic
from workbench.providers.network import Destination, keepalive_options

_OWN_HEADERS = frozenset({"host", "transfer-encoding"})
"""aiohttp writes these itself from the URL and the body."""

_STALE = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
"""How a kept connection fails when the server closed it in the same moment in which a request went out on it."""

_PIECE_BYTES = 64 * 1024
"""Of a long body; as much as a socket's buffer in the event loop holds before it asks to wait."""

_RESENDS = 4
"""Several kept connections may have gone stale together; each of them is met once."""


class AiohttpSource(httpx.AsyncByteStream):
    """A response body; a `ByteSource`, and what httpx iterates when somebody else reads it."""

    def __init__(self, response: aiohttp.ClientResponse, clock: Clock) -> None:
        self._response = response
        self._clock = clock
        self.arrived_ns = clock.monotonic_ns()

    async def read(self) -> bytes:
        chunk = await self._response.content.readany()
        self.arrived_ns = self._clock.monotonic_ns()
        return chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read():
            yield chunk

    async def aclose(self) -> None:
        # A response that has been read to its end has already given its connection back; this closes any other.
        self._response.close()


class _Stamps:
    """One request's trace context: how far it has come, and on what kind of connection."""

    __slots__ = ("in_bytes", "reused", "sending")

    def __init__(self, sending: Sending, *, in_bytes: bool = False) -> None:
        self.sending = sending
        self.in_bytes = in_bytes
        self.reused = False


class _Body(aiohttp.Payload):
    """A body that notes when the socket has taken it: aiohttp's own hooks are called before a piece is written."""

    def __init__(self, body: bytes, stamps: _Stamps, clock: Clock) -> None:
        super().__init__(body)
        self._body = body
        self._stamps = stamps
        self._clock = clock

    @property
    def size(self) -> int:
        return len(self._body)

    @property
    def autoclose(self) -> bool:
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._body.decode(encoding, errors)

    async def write(self, writer: aiohttp.abc.AbstractStreamWriter) -> None:
        if len(self._body) <= _PIECE_BYTES:
            await writer.write(self._body)
        else:
            # In one piece the rest of it would wait in a buffer of the event loop, and count as written.
            for start in range(0, len(self._body), _PIECE_BYTES):
                await writer.write(memoryview(self._body)[start : start + _PIECE_BYTES])
        self._stamps.sending.sent_ns = self._clock.monotonic_ns()


class AiohttpTransport(httpx.AsyncBaseTransport):
    def __init__(self, to: Destination) -> None:
        self.traffic = Traffic()
        self._to = to
        self._clock = to.clock
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.traffic.requests += 1
        response, stamps = await self._send(request)
        headers_ns = self._clock.monotonic_ns()
        source = AiohttpSource(response, self._clock)
        exchange = Exchange(source, stamps.sending.sent_ns or headers_ns, headers_ns, not stamps.reused, "HTTP/1.1")
        extensions: dict[str, object] = {"http_version": b"HTTP/1.1", EXTENSION: exchange}
        if response.reason:
            extensions["reason_phrase"] = response.reason.encode("ascii", "replace")
        return httpx.Response(response.status, headers=response.raw_headers, stream=source, extensions=extensions)

    async def _send(self, request: httpx.Request) -> tuple[aiohttp.ClientResponse, _Stamps]:
        body = _body(request)
        timeouts: Mapping[str, float | None] = request.extensions.get("timeout", {})
        sending = WATCHED.get() or Sending()
        for attempt in itertools.count(1):
            stamps = _Stamps(sending, in_bytes=isinstance(body, bytes))
            sending.dial(self._clock.monotonic_ns())
            try:
                response = await self._open_session().request(
                    request.method,
                    URL(str(request.url), encoded=True),
                    headers=[item for item in request.headers.multi_items() if item[0] not in _OWN_HEADERS],
                    data=_Body(body, stamps, self._clock) if isinstance(body, bytes) else body,
                    allow_redirects=False,
                    # Deadlines of the answer belong to its reader; a timer per read would cost more than the read.
                    timeout=aiohttp.ClientTimeout(sock_connect=timeouts.get("connect"), connect=timeouts.get("pool")),
                    server_hostname=request.extensions.get("sni_hostname"),
                    proxy_headers=None if self._to.proxy is None else self._to.proxy.headers,
                    trace_request_ctx=stamps,
                )
            except _STALE:
                if not stamps.reused or attempt > _RESENDS or not isinstance(body, bytes | None):
                    raise
                self.traffic.resent += 1
            else:
                return response, stamps
        raise AssertionError("the loop above ends by returning or raising")

    async def prewarm(self, connections: int) -> int:
        """Open connections that the next requests will find idle; how many were opened or found so."""
        session = self._open_session()
        connector = session.connector
        assert connector is not None
        url = URL.build(scheme=self._to.origin.scheme, host=self._to.origin.host, port=self._to.origin.port)
        proxy = None if self._to.proxy is None else URL(self._to.proxy.url)
        proxy_headers = None if self._to.proxy is None else self._to.proxy.headers
        timeout = aiohttp.ClientTimeout(sock_connect=10.0)
        hooks = _trace(self._clock, self.traffic)
        # A session freezes its own hooks; these come in beside it.
        hooks.freeze()
        trace = Trace(session, hooks, SimpleNamespace(trace_request_ctx=_Stamps(Sending())))

        async def connect() -> aiohttp.connector.Connection:
            request = aiohttp.ClientRequest(
                "GET", url, loop=asyncio.get_running_loop(), session=session, proxy=proxy, proxy_headers=proxy_headers
            )
            return await connector.connect(request, [trace], timeout)

        # Held all at once, so that the pool cannot hand out the same idle one twice.
        opened = await asyncio.gather(*(connect() for _ in range(connections)), return_exceptions=True)
        ready = [connection for connection in opened if isinstance(connection, aiohttp.connector.Connection)]
        for connection in ready:
            connection.release()
        failures = [error for error in opened if isinstance(error, BaseException)]
        if failures and not ready:
            raise failures[0]
        return len(ready)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._to.max_connections,
                    keepalive_timeout=self._to.keepalive_s,
                    ssl=self._to.tls.offering("http/1.1") if self._to.origin.scheme == "https" else False,
                    ttl_dns_cache=60,
                    socket_factory=_socket,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
                trace_configs=[_trace(self._clock, self.traffic)],
                proxy=None if self._to.proxy is None else self._to.proxy.url,
                # Providers send long rate-limit and policy headers.
                max_line_size=32 * 1024,
                max_field_size=32 * 1024,
            )
        return self._session


def _body(request: httpx.Request) -> bytes | httpx.AsyncByteStream | None:
    """Bytes where httpx has them, which can be sent twice; otherwise the stream, which cannot."""
    try:
        return request.content or None
    except httpx.RequestNotRead:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        return request.stream


def _trace(clock: Clock, traffic: Traffic) -> aiohttp.TraceConfig:
    """The hooks that fill a request's `_Stamps`; `SimpleNamespace` is aiohttp's own context type."""
    trace = aiohttp.TraceConfig()

    async def reused(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.reused = True
        context.trace_request_ctx.sending.connected_ns = clock.monotonic_ns()

    async def created(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        traffic.connections_opened += 1
        context.trace_request_ctx.sending.connected_ns = clock.monotonic_ns()

    async def written(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        # Of a body that is iterated every piece; of one in bytes it is `_Body` that knows.
        if not context.trace_request_ctx.in_bytes:
            context.trace_request_ctx.sending.sent_ns = clock.monotonic_ns()

    trace.on_connection_reuseconn.append(reused)
    trace.on_connection_create_end.append(created)
    trace.on_request_headers_sent.append(written)
    trace.on_request_chunk_sent.append(written)
    return trace


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    for option in keepalive_options():
        made.setsockopt(*option)
    return made
