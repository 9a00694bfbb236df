"""What stands between this machine and a provider: proxies, certificates, socket options.

All of it is read from the environment once, when connections are opened, and passed on as values; no library further
down looks at the environment by itself, so one rule holds for every transport. Loopback is never sent through a proxy:
a local model server behind a company's proxy settings is the commonest way to see "502 Bad Gateway" from nowhere.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from workbench.core.clock import Clock
from workbench.core.errors import ConfigError

KEEPALIVE_S = 90.0
"""How long an idle connection is kept. The SDKs' 5 s cost a handshake (85 ms at 40 ms round trip) after every pause."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what a connection belongs to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Raises `ConfigError` when the URL is not one that can be asked."""
        parts = _split(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is not a base URL.", hint="It must look like https://host/v1.")
        return cls(parts.scheme, parts.hostname, _port(parts, url) or (443 if parts.scheme == "https" else 80))

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == default else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """An HTTP proxy; its password, if any, stays out of every repr."""

    origin: Origin
    user: str | None = None
    password: str = ""

    @property
    def url(self) -> str:
        return f"{self.origin.scheme}://{self.origin}"

    @property
    def headers(self) -> dict[str, str]:
        """`Proxy-Authorization`, where the proxy's URL carries credentials."""
        if self.user is None:
            return {}
        pair = b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {pair}"}

    def __repr__(self) -> str:
        return f"Proxy({self.url!r})"


def proxy_for(origin: Origin, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` names for this origin, unless `NO_PROXY` excludes it.

    Lower-case names win, as in curl. Raises `ConfigError` for a proxy that is not an HTTP proxy: quietly going round it
    would leak traffic that somebody wanted to be seen.
    """
    if origin.is_loopback or _excluded(origin, _variable(environ, "no_proxy")[1]):
        return None
    for name in (f"{origin.scheme}_proxy", "all_proxy"):
        found, value = _variable(environ, name)
        if value:
            return _parse_proxy(value, found)
    return None


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    for spelling in (name, name.upper()):
        if value := environ.get(spelling, "").strip():
            return spelling, value
    return name, ""


def _parse_proxy(value: str, variable: str) -> Proxy:
    parts = _split(value if "://" in value else f"http://{value}")
    if parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"{variable} names a {parts.scheme} proxy, and only http and https proxies are supported.",
            hint=f"Set {variable} to an http:// address, or list the provider's host in NO_PROXY.",
        )
    if not parts.hostname:
        raise ConfigError(f"{variable} has no host name in it.")
    port = _port(parts, variable) or (443 if parts.scheme == "https" else 80)
    user = None if parts.username is None else unquote(parts.username)
    return Proxy(Origin(parts.scheme, parts.hostname, port), user, unquote(parts.password or ""))


def _excluded(origin: Origin, no_proxy: str) -> bool:
    """Names match themselves and their subdomains, addresses may be networks, a port narrows, `*` is everything."""
    for entry in no_proxy.replace(",", " ").split():
        if entry == "*":
            return True
        host, port = _entry(entry)
        if port is not None and port != origin.port:
            continue
        if host == origin.host or origin.host.endswith(f".{host}"):
            return True
        try:
            if ipaddress.ip_address(origin.host) in ipaddress.ip_network(host, strict=False):
                return True
        except ValueError:
            continue
    return False


def _entry(entry: str) -> tuple[str, int | None]:
    text = entry.lower().removeprefix("*").removeprefix(".")
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    return host, int(port) if port.isdecimal() else None


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as exc:
        raise ConfigError(f"{url!r} is not a URL: {exc}.") from exc


def _port(parts: SplitResult, where: str) -> int | None:
    try:
        return parts.port
    except ValueError as exc:
        raise ConfigError(f"The port in {where!r} is not a number from 0 to 65535.") from exc


class TLSContexts:
    """Verifying client contexts, one per list of application protocols (ALPN), shared by all connections.

    Apart because the list belongs to the context and not to the connection; few because loading the roots takes
    10–20 ms and 1 MB each time.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._made: dict[tuple[str, ...], ssl.SSLContext] = {}

    def offering(self, *protocols: str) -> ssl.SSLContext:
        found = self._made.get(protocols)
        if found is None:
            found = self._made[protocols] = _tls_context(self._environ)
            found.set_alpn_protocols(list(protocols))
        return found


def _tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Trusts `SSL_CERT_FILE` or `SSL_CERT_DIR`, or else certifi's roots, as the SDKs do."""
    import certifi

    cafile, capath = environ.get("SSL_CERT_FILE") or None, environ.get("SSL_CERT_DIR") or None
    try:
        return ssl.create_default_context(cafile=cafile or (None if capath else certifi.where()), capath=capath)
    except (OSError, ssl.SSLError) as exc:
        variable = "SSL_CERT_FILE" if cafile else "SSL_CERT_DIR"
        raise ConfigError(
            f"{variable}={cafile or capath} cannot be read as certificates: {exc}.",
            hint="It must name a PEM file (SSL_CERT_FILE) or a directory of hashed ones (SSL_CERT_DIR).",
        ) from exc


@dataclass(frozen=True, slots=True)
class Destination:
    """One origin and how it is reached: what every transport is told."""

    origin: Origin
    tls: TLSContexts
    proxy: Proxy | None
    max_connections: int
    keepalive_s: float
    """How long an idle connection is kept."""
    clock: Clock


def keepalive_options() -> list[tuple[int, int, int]]:
    """Socket options that find out about a dead peer in about a minute, and keep a NAT's entry alive until then."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    # Not every system has these three; the connection only lasts longer than it should there.
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if (option := getattr(socket, name, None)) is not None:
            options.append((socket.IPPROTO_TCP, option, value))
    return options
