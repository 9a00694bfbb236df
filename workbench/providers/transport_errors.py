"""Everything that can go wrong between a request and the last byte of its answer, in our own words.

Recognised by name and never by class: the same failure comes as httpx's, httpx2's, httpcore's or aiohttp's exception,
wrapped by an SDK or not, and the packages come in versions of their own. Only the standard library's classes are
compared as classes. What a server *said* (a status, an error body) is not translated here.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workbench.core.errors import (
    BadRequest,
    ConnectionFailed,
    IncompleteStream,
    MalformedResponse,
    OutOfFiles,
    ProviderDetails,
    ProviderError,
    TimedOut,
    TimeoutKind,
    TLSFailed,
    WorkbenchError,
)
from workbench.core.types import KeyAlias
from workbench.providers.base import Call


@dataclass(frozen=True, slots=True)
class Place:
    """Whom a request was for; what every message names."""

    provider: str
    base_url: str
    model: str = ""
    key_alias: KeyAlias | None = None

    @classmethod
    def of(cls, call: Call) -> Place:
        return cls(call.spec.title or call.spec.name, call.route.base_url, call.route.wire_model, call.key_alias)

    @property
    def host(self) -> str:
        return host_of(self.base_url)

    def details(self, hint: str = "") -> ProviderDetails:
        """`ProviderError`'s keywords, as far as the place knows them."""
        return {"provider": self.provider, "model": self.model, "key_alias": self.key_alias, "hint": hint}


def host_of(base_url: str) -> str:
    """With its port, if it says one, and without anybody's name and password."""
    return base_url.partition("://")[2].partition("/")[0].rpartition("@")[2] or base_url


@contextmanager
def translated(place: Place, *, reading: bool = False) -> Iterator[None]:
    """Raise what goes wrong inside as a `ProviderError`; what is no failure of the wire passes as it is.

    `reading` says that the answer had begun: a connection that breaks then leaves an `IncompleteStream` behind.
    """
    try:
        yield
    except Exception as exc:
        translation = translate(exc, place, reading=reading)
        if translation is None:
            raise
        if translation is exc:
            raise
        raise translation from exc


def translate(exc: BaseException, place: Place, *, reading: bool = False) -> WorkbenchError | None:
    """The error that this exception, or one that it was raised from, stands for; None when none of ours fits."""
    links = _chain(exc)
    for link in links:
        if isinstance(link, WorkbenchError):
            return _located(link, place)
    # The most specific rule wins, and among what it recognises the innermost: httpx wraps a bad certificate in a
    # ConnectError, and a refused connection in "all connection attempts failed".
    for recognises, build in _RULES:
        for link in reversed(links):
            if recognises(link):
                return build(link, place, reading)
    return None


_TURNS = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)
"""How non-blocking sockets say "later"; in a chain only because something else happened meanwhile."""


def _chain(exc: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    seen: BaseException | None = exc
    while seen is not None and seen not in links:
        links.append(seen)
        # Also where `from None` hides it: httpcore does that to the certificate error behind its ConnectError.
        seen = seen.__cause__ or seen.__context__
    return [link for link in links if not isinstance(link, _TURNS)]


def _located(error: WorkbenchError, place: Place) -> WorkbenchError:
    """Fill in what the raiser, deep in a transport, did not know."""
    if isinstance(error, ProviderError):
        error.provider = error.provider or place.provider
        error.model = error.model or place.model
        error.key_alias = error.key_alias or place.key_alias
    return error


_Recognise = Callable[[BaseException], bool]
_Build = Callable[[BaseException, Place, bool], ProviderError]


def _named(*names: str) -> _Recognise:
    wanted = frozenset(names)
    return lambda exc: any(cls.__name__ in wanted for cls in type(exc).__mro__)


def _reason(exc: BaseException) -> str:
    """The exception in a few words, without the noise that libraries put around them."""
    if isinstance(exc, ConnectionRefusedError):
        return "connection refused"
    if isinstance(exc, ConnectionResetError):
        return "connection reset"
    if isinstance(exc, BrokenPipeError):
        return "the connection was closed"
    if isinstance(exc, OSError) and exc.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return "no route to it"
    # aiohttp draws the bytes it complains of below its words, with an arrow.
    text = " ".join(str(exc).split()).rstrip(".")
    return text or type(exc).__name__


def _is_tls(exc: BaseException) -> bool:
    if isinstance(exc, ssl.SSLError):
        # The peer hanging up is a broken connection, not a dispute about certificates.
        return not isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    return isinstance(exc, ssl.CertificateError) or _named(
        "ClientConnectorCertificateError", "ServerFingerprintMismatch"
    )(exc)


def _tls(exc: BaseException, place: Place, _: bool) -> ProviderError:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return TLSFailed(
            f"The certificate of {place.host} was not accepted: {getattr(exc, 'verify_message', '') or _reason(exc)}.",
            **place.details("Behind a company's proxy, set SSL_CERT_FILE to its certificate."),
        )
    return TLSFailed(f"No secure connection to {place.host}: {_reason(exc)}.", **place.details())


def _unresolved(exc: BaseException, place: Place, _: bool) -> ProviderError:
    return ConnectionFailed(
        f"There is no address for {place.host}: {getattr(exc, 'strerror', None) or _reason(exc)}.",
        **place.details("Check the base URL and the network."),
    )


def _proxy(exc: BaseException, place: Place, _: bool) -> ProviderError:
    return ConnectionFailed(
        f"The proxy on the way to {place.host} failed: {_reason(exc)}.",
        **place.details("It comes from HTTPS_PROXY, HTTP_PROXY or ALL_PROXY; NO_PROXY goes round it."),
    )


def _connect_timeout(_: BaseException, place: Place, __: bool) -> ProviderError:
    return TimedOut(f"{place.host} did not take a connection in time.", kind=TimeoutKind.CONNECT, **place.details())


def _pool_timeout(_: BaseException, place: Place, __: bool) -> ProviderError:
    return TimedOut(f"No connection to {place.host} became free.", kind=TimeoutKind.CONNECT, **place.details())


def _read_timeout(_: BaseException, place: Place, reading: bool) -> ProviderError:
    if reading:
        return TimedOut(f"{place.host} went silent mid-answer.", kind=TimeoutKind.IDLE, **place.details())
    return TimedOut(f"{place.host} did not begin to answer.", kind=TimeoutKind.FIRST_TOKEN, **place.details())


def _any_timeout(_: BaseException, place: Place, __: bool) -> ProviderError:
    return TimedOut(f"{place.host} took too long.", kind=TimeoutKind.TOTAL, **place.details())


def _bad_url(exc: BaseException, place: Place, _: bool) -> ProviderError:
    return BadRequest(
        f"{place.base_url} is not an address that can be asked: {_reason(exc)}.",
        **place.details("Check the provider's base URL."),
    )


def _no_file(_: BaseException, place: Place, __: bool) -> ProviderError:
    return OutOfFiles(
        f"This process has as many files open as it may, and a connection to {place.host} would be one more.",
        **place.details("Raise `ulimit -n`, or have fewer calls in flight: max_concurrent, --concurrency."),
    )


def _malformed(exc: BaseException, place: Place, _: bool) -> ProviderError:
    return MalformedResponse(
        f"{place.host} sent what HTTP does not allow: {_reason(exc)}.",
        **place.details("Is it an API's address, and not a web page's or a proxy's?"),
    )


def _broken(exc: BaseException, place: Place, reading: bool) -> ProviderError:
    if reading:
        return IncompleteStream(f"The answer from {place.host} broke off: {_reason(exc)}.", **place.details())
    hint = "Is the server running?" if isinstance(exc, ConnectionRefusedError) else ""
    return ConnectionFailed(f"Cannot reach {place.host}: {_reason(exc)}.", **place.details(hint))


def _hung_up(exc: BaseException) -> bool:
    """`RemoteProtocolError` stands both for a peer that hung up and for one that talks nonsense; so do aiohttp's."""
    text = str(exc)
    if _named("TransferEncodingError", "ContentLengthError")(exc):
        return "Not enough data" in text
    return _named("RemoteProtocolError")(exc) and any(
        words in text for words in ("disconnected", "closed connection", "ConnectionTerminated", "StreamReset")
    )


_RULES: tuple[tuple[_Recognise, _Build], ...] = (
    (lambda exc: isinstance(exc, OSError) and exc.errno in (errno.EMFILE, errno.ENFILE), _no_file),
    (_is_tls, _tls),
    (lambda exc: isinstance(exc, socket.gaierror) or _named("ClientConnectorDNSError")(exc), _unresolved),
    (_named("ProxyError", "ClientProxyConnectionError", "ClientHttpProxyError"), _proxy),
    (_named("PoolTimeout"), _pool_timeout),
    (_named("ConnectTimeout", "ConnectionTimeoutError"), _connect_timeout),
    (_named("ReadTimeout", "WriteTimeout", "SocketTimeoutError"), _read_timeout),
    (
        lambda exc: isinstance(exc, TimeoutError) or _named("TimeoutException", "ServerTimeoutError")(exc),
        _any_timeout,
    ),
    (_named("UnsupportedProtocol", "InvalidURL", "NonHttpUrlClientError"), _bad_url),
    (lambda exc: isinstance(exc, ConnectionError | EOFError | ssl.SSLError) or _hung_up(exc), _broken),
    (
        _named("ProtocolError", "DecodingError", "TooManyRedirects", "ClientResponseError", "HttpProcessingError"),
        _malformed,
    ),
    (
        lambda exc: isinstance(exc, OSError) or _named("NetworkError", "TransportError", "ClientConnectionError")(exc),
        _broken,
    ),
    (_named("ClientPayloadError", "ClientError"), _broken),
    (_named("RequestError"), _malformed),
)
