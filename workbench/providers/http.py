"""Pooled connections, opened with the engine and closed with it: one client per provider, base URL and transport.

All keys of a provider share its client, because the key travels with the request. What a client gives is an ordinary
`httpx.AsyncClient`, for SDKs (`AsyncOpenAI(http_client=…)`, google-genai's `httpx_async_client`) and for direct use.
Retries, redirects, cookies and read timeouts are off: the engine retries, APIs do not redirect, and whoever reads an
answer holds its deadlines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, assert_never

from workbench.core.clock import Clock, SystemClock
from workbench.core.errors import EngineClosed
from workbench.providers.base import ProviderSpec, Transport
from workbench.providers.exchange import Traffic
from workbench.providers.lean_imports import import_httpx
from workbench.providers.network import KEEPALIVE_S, Destination, Origin, TLSContexts, proxy_for

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    import httpx

MAX_CONNECTIONS = 512
"""Per client. httpx's own default of 100 is a queue that nobody sees."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """One client's pool, for the monitor."""

    provider: str
    host: str
    transport: Transport
    proxied: bool
    requests: int
    connections_opened: int
    resent: int


class PooledTransport(Protocol):
    """What `Connections` needs of a transport beyond httpx's own interface."""

    traffic: Traffic

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response: ...

    async def prewarm(self, connections: int) -> int: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Pool:
    client: httpx.AsyncClient
    transport: PooledTransport
    origin: Origin
    proxied: bool


class Connections:
    """Every client of one engine. Belongs to one event loop.

    Making the first client imports httpx (0.2 s) and reads certificates (20 ms): call `warm` in a worker thread first
    where a frame must not wait for that.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        clock: Clock | None = None,
        keepalive_s: float = KEEPALIVE_S,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._environ = environ
        self._clock = clock or SystemClock()
        self._keepalive_s = keepalive_s
        self._max_connections = max_connections
        self._tls = TLSContexts(environ)
        self._pools: dict[tuple[str, str, Transport], _Pool] = {}
        self._closed = False

    def client(self, spec: ProviderSpec, base_url: str | None = None) -> httpx.AsyncClient:
        """The client for this provider at this base URL (`spec.base_url` by default), made on first use.

        Raises `ConfigError` for a base URL or a proxy that cannot be used, `EngineClosed` after `aclose`.
        """
        return self._pool(spec, base_url).client

    async def prewarm(self, spec: ProviderSpec, requests: int = 1, base_url: str | None = None) -> int:
        """Connect ahead for so many requests at once; how many connections that opened or found.

        Sends nothing that a provider could count. Raises what connecting raises; a caller that only guesses that a
        request will come may ignore it, because the request itself will meet the same error and report it.
        """
        return await self._pool(spec, base_url).transport.prewarm(requests)

    def warm(self, *transports: Transport) -> None:
        """Import what these transports need and load the certificates; safe in a worker thread."""
        for transport in transports:
            _transport_class(transport)
            self._tls.offering(*_ALPN[transport])

    def statistics(self) -> tuple[PoolStatistics, ...]:
        return tuple(
            PoolStatistics(
                provider=provider,
                host=str(pool.origin),
                transport=transport,
                proxied=pool.proxied,
                requests=pool.transport.traffic.requests,
                connections_opened=pool.transport.traffic.connections_opened,
                resent=pool.transport.traffic.resent,
            )
            for (provider, _, transport), pool in self._pools.items()
        )

    async def aclose(self) -> None:
        """Close every pool; requests still under way fail as broken connections. Idempotent.

        Whoever is cancelled in the middle of it leaves none open: all of them are closed before the cancellation goes
        on. Closing waits for nobody, so that takes no time.
        """
        self._closed = True
        pools, self._pools = list(self._pools.values()), {}
        closing = asyncio.create_task(_close(pools), name="close connections")
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing
            raise

    def _pool(self, spec: ProviderSpec, base_url: str | None) -> _Pool:
        if self._closed:
            raise EngineClosed("The engine's connections are closed.")
        url = (base_url or spec.base_url).rstrip("/")
        found = self._pools.get((spec.name, url, spec.transport))
        if found is None:
            found = self._pools[spec.name, url, spec.transport] = self._open(Origin.of(url), spec.transport)
        return found

    def _open(self, origin: Origin, kind: Transport) -> _Pool:
        import_httpx()
        import httpx

        proxy = proxy_for(origin, self._environ)
        transport = _transport_class(kind)(
            Destination(origin, self._tls, proxy, self._max_connections, self._keepalive_s, self._clock)
        )
        assert isinstance(transport, httpx.AsyncBaseTransport)
        client = httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=10.0),
            # A compressed event stream is held back by whatever compresses it.
            headers={"accept-encoding": "identity"},
        )
        client.cookies = _no_cookies()
        return _Pool(client, transport, origin, proxied=proxy is not None)


_ALPN = {
    Transport.HTTP1: ("http/1.1",),
    Transport.HTTP2: ("h2", "http/1.1"),
    Transport.AIOHTTP: ("http/1.1",),
}


async def _close(pools: Iterable[_Pool]) -> None:
    for pool in pools:
        await pool.client.aclose()


def _transport_class(kind: Transport) -> Callable[[Destination], PooledTransport]:
    """Imported here and not above: nothing that only looks at providers should wait for an HTTP library."""
    import_httpx()
    match kind:
        case Transport.HTTP1:
            from workbench.providers.http1_transport import Http1Transport

            return Http1Transport
        case Transport.HTTP2:
            from workbench.providers.h2_transport import Http2Transport

            return Http2Transport
        case Transport.AIOHTTP:
            from workbench.providers.aiohttp_transport import AiohttpTransport

            return AiohttpTransport
        case _:
            assert_never(kind)


def _no_cookies() -> CookieJar:
    """A jar that keeps nothing: requests of different keys must not carry one another's session."""
    from http.cookiejar import CookieJar

    class NoCookies(CookieJar):
        def extract_cookies(self, response: object, request: object) -> None: ...

        def add_cookie_header(self, request: object) -> None: ...

    return NoCookies()
