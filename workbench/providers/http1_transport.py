"""HTTP/1.1 by httpx's own pool, with stamps: the plainest transport, for networks where the faster ones misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from workbench.core.clock import Clock
from workbench.core.sending import Sending
from workbench.providers.exchange import EXTENSION, WATCHED, Exchange, IteratedSource, Traffic
from workbench.providers.network import Destination, keepalive_options


class Http1Source(IteratedSource, httpx.AsyncByteStream):
    """A response body, which httpx iterates as well when somebody else reads it."""

    def __init__(self, body: httpx.AsyncByteStream, clock: Clock) -> None:
        super().__init__(aiter(body), body.aclose, clock)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks


class _Stamps:
    """Listens to one request's trace for how far it has come."""

    __slots__ = ("clock", "fresh", "sending")

    def __init__(self, clock: Clock, sending: Sending) -> None:
        self.clock = clock
        self.sending = sending
        self.fresh = False

    async def __call__(self, event: str, _: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            self.sending.connected_ns = self.clock.monotonic_ns()
        elif event == "http11.send_request_body.complete":
            self.sending.sent_ns = self.clock.monotonic_ns()
        elif event == "connection.connect_tcp.started":
            self.fresh = True
            # Again after a kept connection that had gone stale.
            self.sending.dial(self.clock.monotonic_ns())


class Http1Transport(httpx.AsyncBaseTransport):
    def __init__(self, to: Destination) -> None:
        self.traffic = Traffic()
        self._origin = to.origin
        self._clock = to.clock
        self._inner = httpx.AsyncHTTPTransport(
            verify=to.tls.offering("http/1.1"),
            trust_env=False,
            limits=httpx.Limits(
                max_connections=to.max_connections,
                max_keepalive_connections=to.max_connections,
                keepalive_expiry=to.keepalive_s,
            ),
            proxy=None if to.proxy is None else httpx.Proxy(to.proxy.url, headers=to.proxy.headers),
            socket_options=keepalive_options(),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        stamps = request.extensions["trace"] = _Stamps(self._clock, WATCHED.get() or Sending())
        stamps.sending.dial(self._clock.monotonic_ns())
        self.traffic.requests += 1
        response = await self._inner.handle_async_request(request)
        self.traffic.connections_opened += stamps.fresh
        headers_ns = self._clock.monotonic_ns()
        assert isinstance(response.stream, httpx.AsyncByteStream)
        source = Http1Source(response.stream, self._clock)
        exchange = Exchange(source, stamps.sending.sent_ns or headers_ns, headers_ns, stamps.fresh, "HTTP/1.1")
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=source,
            extensions={**response.extensions, EXTENSION: exchange},
        )

    async def prewarm(self, connections: int) -> int:
        """Always 0: httpx's pool opens a connection only to send a request on it."""
        return 0

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __repr__(self) -> str:
        return f"Http1Transport({self._origin})"
