"""HTTP/2 spread over several connections, under httpx's interface.

Two things that servers do and that a bare HTTP/2 client passes on as failures are invisible here: a cap on streams per
connection (another connection is opened) and a GOAWAY, a refused stream or a connection that was closed while idle
(what the server has not processed is sent again at once). Where a server speaks no HTTP/2, aiohttp takes over.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping

import httpx

from workbench.core.errors import ConnectionFailed
from workbench.core.sending import Sending
from workbench.providers.aiohttp_transport import AiohttpTransport
from workbench.providers.exchange import EXTENSION, WATCHED, Exchange, Traffic
from workbench.providers.h2_connection import Http11Required, NotProcessed
from workbench.providers.h2_shards import H2Shards, NoHttp2
from workbench.providers.network import Destination

_RESENDS = 16
"""A server that refuses again and again is overloaded, and the engine should hear of it."""

_HOP_BY_HOP = frozenset({b"host", b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})


class Http2Transport(httpx.AsyncBaseTransport):
    def __init__(self, to: Destination) -> None:
        self.traffic = Traffic()
        self._origin = to.origin
        self._clock = to.clock
        self._shards = H2Shards(to, self.traffic)
        self._plain = AiohttpTransport(to)
        self._plain.traffic = self.traffic
        self._speaks_http2 = to.origin.scheme == "https"
        """Without TLS there is no handshake to agree on HTTP/2 in."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._speaks_http2:
            try:
                return await self._over_http2(request)
            except NoHttp2:
                self._speaks_http2 = False
            except Http11Required:
                pass  # This request only.
        return await self._plain.handle_async_request(request)

    async def prewarm(self, requests: int) -> int:
        """Open as many connections as so many requests would."""
        if self._speaks_http2:
            try:
                return await self._shards.prewarm(requests)
            except NoHttp2:
                self._speaks_http2 = False
        return await self._plain.prewarm(requests)

    async def aclose(self) -> None:
        await self._shards.aclose()
        await self._plain.aclose()

    async def _over_http2(self, request: httpx.Request) -> httpx.Response:
        fields = _fields(request)
        body = _body(request)
        timeouts: Mapping[str, float | None] = request.extensions.get("timeout", {})
        sending = WATCHED.get() or Sending()
        for _ in range(_RESENDS):
            sending.dial(self._clock.monotonic_ns())
            connection, fresh = await self._shards.acquire(timeouts.get("connect"))
            sending.connected_ns = self._clock.monotonic_ns()
            try:
                stream, answer = await connection.request(fields, body, sending)
            except (NotProcessed, Http11Required) as exc:
                if not isinstance(body, bytes):
                    raise ConnectionFailed(exc.message) from exc  # It has been read, and cannot be sent twice.
                if isinstance(exc, Http11Required):
                    raise
                self.traffic.resent += 1
                continue
            self.traffic.requests += 1
            sent_ns = sending.sent_ns or stream.arrived_ns
            exchange = Exchange(stream, sent_ns, stream.arrived_ns, fresh, "HTTP/2")
            return httpx.Response(
                answer.status,
                headers=answer.headers,
                stream=stream,
                extensions={"http_version": b"HTTP/2", EXTENSION: exchange},
            )
        raise ConnectionFailed(f"{self._origin} refused the request {_RESENDS} times without looking at it.")


def _fields(request: httpx.Request) -> list[tuple[bytes, bytes]]:
    """The request's head as HTTP/2 writes it: pseudo-headers first, names in lower case, nothing hop-by-hop."""
    url = request.url
    fields = [
        (b":method", request.method.encode("ascii")),
        (b":scheme", url.raw_scheme),
        (b":authority", url.netloc),
        (b":path", url.raw_path),
    ]
    for raw_name, value in request.headers.raw:
        name = raw_name.lower()
        if name not in _HOP_BY_HOP:
            fields.append((name, value))
    return fields


def _body(request: httpx.Request) -> bytes | AsyncIterable[bytes]:
    """Bytes where httpx has them, which can be sent twice; otherwise the stream, which cannot."""
    try:
        return request.content
    except httpx.RequestNotRead:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        return request.stream
