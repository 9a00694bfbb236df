"""Opening one TLS connection for a protocol of ours, straight or through a proxy's CONNECT."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar

from workbench.providers.network import Origin, Proxy, keepalive_options

P = TypeVar("P", bound=asyncio.Protocol)

CONNECT_S = 10.0
_MAX_REPLY_BYTES = 64 * 1024


class ConnectTimeout(TimeoutError):
    """No connection within `CONNECT_S`."""


class ProxyError(OSError):
    """The proxy refused to pass anything on."""


async def dial(origin: Origin, tls: ssl.SSLContext, proxy: Proxy | None, protocol: Callable[[], P]) -> P:
    """Connect and shake hands; our protocol, connected.

    Raises what connecting raises (`OSError`, `ssl.SSLError`), `ProxyError` and `ConnectTimeout`.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            return await _dial(origin, tls, proxy, protocol)
    except TimeoutError as exc:
        raise ConnectTimeout(f"{origin} did not answer within {CONNECT_S:g} s") from exc


async def _dial(origin: Origin, tls: ssl.SSLContext, proxy: Proxy | None, protocol: Callable[[], P]) -> P:
    loop = asyncio.get_running_loop()
    if proxy is None:
        transport, connected = await loop.create_connection(
            protocol, origin.host, origin.port, ssl=tls, server_hostname=origin.host, happy_eyeballs_delay=0.25
        )
    else:
        tunnel = await _tunnel(origin, tls, proxy)
        connected = protocol()
        secured = await loop.start_tls(tunnel, connected, tls, server_hostname=origin.host)
        assert secured is not None
        transport = secured
        connected.connection_made(transport)
    socket = transport.get_extra_info("socket")
    for option in keepalive_options():
        socket.setsockopt(*option)
    return connected


async def _tunnel(origin: Origin, tls: ssl.SSLContext, proxy: Proxy) -> asyncio.Transport:
    """A connection to the proxy on which it has agreed to pass everything on."""
    loop = asyncio.get_running_loop()
    secure = tls if proxy.origin.scheme == "https" else None
    transport, reply = await loop.create_connection(_Reply, proxy.origin.host, proxy.origin.port, ssl=secure)
    try:
        authority = f"{_bracketed(origin.host)}:{origin.port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        lines += [f"{name}: {value}" for name, value in proxy.headers.items()]
        transport.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        status = await reply.status
    except BaseException:
        transport.abort()
        raise
    if not status.startswith("2"):
        transport.abort()
        raise ProxyError(f"{proxy.origin} says {status}")
    return transport


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Reply(asyncio.Protocol):
    """Collects the proxy's answer to CONNECT, and stops reading there: what comes next belongs to TLS."""

    def __init__(self) -> None:
        self.status: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self.status.done() or (b"\r\n\r\n" not in self._received and len(self._received) < _MAX_REPLY_BYTES):
            return
        assert self._transport is not None
        self._transport.pause_reading()
        line = self._received.partition(b"\r\n")[0].decode("latin-1")
        version, _, status = line.partition(" ")
        self.status.set_result(status.strip() if version.startswith("HTTP/") else f"not HTTP ({line[:60]!r})")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(exc or ConnectionResetError("the proxy closed the connection"))
