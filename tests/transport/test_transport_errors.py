"""Every exception that a transport can raise has a name of ours: by class, and as it really happens on a socket."""

from __future__ import annotations

import asyncio
import errno
import inspect
import socket
import ssl
import struct
from collections.abc import Callable

import aiohttp
import httpx
import httpx2
import pytest
from scripted_servers import STREAM_HEAD, chunk, raw_server, read_request, server_context

from workbench.core.clock import SystemClock
from workbench.core.errors import (
    BadRequest,
    ConnectionFailed,
    IncompleteStream,
    MalformedResponse,
    OutOfFiles,
    ProviderError,
    TimedOut,
    TimeoutKind,
    TLSFailed,
)
from workbench.core.types import KeyAlias
from workbench.providers.base import Deadlines, ProviderSpec, Transport
from workbench.providers.http import Connections
from workbench.providers.reading import Watch, read_events
from workbench.providers.transport_errors import Place, translate, translated
from workbench.simulator.certificate import Certificate

MakeSpec = Callable[[str, Transport], ProviderSpec]
PLACE = Place("Acme", "https://api.acme.test/v1", "m-1", KeyAlias("acme#2"))

MISUSE = {
    # Raised for what the caller did, not for what the wire did: a bug should show as itself.
    "StreamError", "StreamConsumed", "StreamClosed", "ResponseNotRead", "RequestNotRead", "CookieConflict",
    # A status is what a server said, and is translated where statuses are.
    "HTTPStatusError", "HTTPError",
    "HTTPXDeprecationWarning",
}  # fmt: skip


def exceptions_of(module: object) -> list[type[BaseException]]:
    return [cls for _, cls in inspect.getmembers(module, inspect.isclass) if issubclass(cls, Exception)]


@pytest.mark.parametrize(
    "cls", [*exceptions_of(httpx), *exceptions_of(httpx2)], ids=lambda c: f"{c.__module__}.{c.__name__}"
)
def test_every_exception_of_both_httpx_generations_is_mapped_or_known_as_misuse(cls: type[BaseException]):
    exc = cls.__new__(cls)
    exc.args = ("something happened",)

    translation = translate(exc, PLACE)

    assert (translation is None) == (cls.__name__ in MISUSE)


@pytest.mark.parametrize(
    "cls", [cls for cls in exceptions_of(aiohttp) if issubclass(cls, aiohttp.ClientError)], ids=lambda c: c.__name__
)
def test_every_client_error_of_aiohttp_is_mapped(cls: type[BaseException]):
    exc = type("Bare", (cls,), {"__init__": lambda self: None, "__str__": lambda self: "something happened"})()

    assert isinstance(translate(exc, PLACE), ProviderError)


@pytest.mark.parametrize(
    ("exc", "reading", "expected"),
    [
        pytest.param(httpx.ConnectTimeout("x"), False, TimedOut, id="connect timeout"),
        pytest.param(httpx.ReadTimeout("x"), True, TimedOut, id="read timeout"),
        pytest.param(httpx.ReadError("x"), False, ConnectionFailed, id="read error before the answer"),
        pytest.param(httpx.ReadError("x"), True, IncompleteStream, id="read error in the answer"),
        pytest.param(httpx2.RemoteProtocolError("Server disconnected."), False, ConnectionFailed, id="hung up"),
        pytest.param(httpx2.RemoteProtocolError("illegal status line"), False, MalformedResponse, id="nonsense"),
        pytest.param(aiohttp.ServerDisconnectedError(), False, ConnectionFailed, id="disconnected"),
        pytest.param(aiohttp.ClientPayloadError("x"), True, IncompleteStream, id="payload"),
        pytest.param(httpx.UnsupportedProtocol("x"), False, BadRequest, id="protocol"),
        pytest.param(ssl.SSLCertVerificationError(1, "x"), False, TLSFailed, id="certificate"),
        pytest.param(ssl.SSLEOFError(8, "x"), False, ConnectionFailed, id="peer hung up in the handshake"),
        pytest.param(socket.gaierror(-2, "Name or service not known"), False, ConnectionFailed, id="DNS"),
        pytest.param(BrokenPipeError(32, "x"), False, ConnectionFailed, id="broken pipe"),
        pytest.param(OSError(errno.EMFILE, "Too many open files"), False, OutOfFiles, id="no more files"),
        pytest.param(OSError(errno.ENFILE, "x"), False, OutOfFiles, id="no more files in the system"),
        pytest.param(TimeoutError(), False, TimedOut, id="timeout"),
        pytest.param(asyncio.IncompleteReadError(b"", 5), True, IncompleteStream, id="incomplete read"),
    ],
)  # fmt: skip
def test_a_failure_becomes_what_it_is(exc: BaseException, reading: bool, expected: type[ProviderError]):
    translation = translate(exc, PLACE, reading=reading)

    assert type(translation) is expected
    assert isinstance(translation, ProviderError)
    assert (translation.provider, translation.model, translation.key_alias) == ("Acme", "m-1", "acme#2")
    assert "api.acme.test" in translation.message or "x" in translation.message


def test_the_cause_inside_an_sdks_wrapper_is_found():
    try:
        try:
            raise ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
        except ssl.SSLError as exc:
            raise httpx.ConnectError("connection failed") from exc
    except httpx.ConnectError as exc:
        wrapper = RuntimeError("Connection error.")
        wrapper.__cause__ = exc

    assert type(translate(wrapper, PLACE)) is TLSFailed


def test_an_error_of_ours_passes_with_its_blanks_filled_in():
    error = ConnectionFailed("Lost it.")

    with pytest.raises(ConnectionFailed) as caught, translated(PLACE):
        raise error

    assert caught.value is error
    assert (error.provider, error.key_alias) == ("Acme", "acme#2")


def test_a_bug_stays_a_bug():
    with pytest.raises(KeyError), translated(PLACE):
        {}["missing"]


async def events_of(connections: Connections, row: ProviderSpec, path: str = "/chat") -> list[bytes]:
    """What an adapter does, in short: send, read, and let failures be translated."""
    clock, place = SystemClock(), Place("Acme", row.base_url)
    watch = Watch(Deadlines(), clock, place)
    client = connections.client(row)
    with translated(place):
        response = await watch.wait(
            client.send(client.build_request("POST", row.base_url + path, content=b"{}"), stream=True)
        )
    try:
        return [event.data async for _, turn in read_events(response, watch, clock, place) for event in turn]
    finally:
        watch.close()
        await response.aclose()


@pytest.fixture(params=list(Transport))
def transport(request: pytest.FixtureRequest) -> Transport:
    return Transport(request.param)


async def test_a_refused_connection(connections: Connections, spec: MakeSpec, transport: Transport):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        with pytest.raises(ConnectionFailed, match=rf"Cannot reach 127.0.0.1:{port}: connection refused"):
            await events_of(connections, spec(f"https://127.0.0.1:{port}/v1", transport))


async def test_a_name_without_an_address(connections: Connections, spec: MakeSpec, transport: Transport):
    with pytest.raises(ConnectionFailed, match=r"There is no address for nowhere\.invalid"):
        await events_of(connections, spec("https://nowhere.invalid/v1", transport))


async def test_a_certificate_that_nobody_vouches_for(certificate: Certificate, spec: MakeSpec, transport: Transport):
    connections = Connections({})

    async def never(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        raise AssertionError("the handshake should have failed")

    async with raw_server(never, server_context(certificate, "h2", "http/1.1")) as port:
        with pytest.raises(TLSFailed, match="SSL_CERT_FILE"):
            await events_of(connections, spec(f"https://localhost:{port}/v1", transport))
    await connections.aclose()


async def test_a_server_that_does_not_speak_tls(connections: Connections, spec: MakeSpec, transport: Transport):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with raw_server(plain) as port:
        with pytest.raises(TLSFailed):
            await events_of(connections, spec(f"https://localhost:{port}/v1", transport))


async def test_a_server_that_hangs_up_before_it_answers(connections: Connections, spec: MakeSpec, transport: Transport):
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async with raw_server(hang_up) as port:
        with pytest.raises(ConnectionFailed, match="Cannot reach"):
            await events_of(connections, spec(f"http://127.0.0.1:{port}/v1", transport))


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_connection_that_breaks_in_mid_answer(
    connections: Connections, spec: MakeSpec, transport: Transport, how: str
):
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(STREAM_HEAD + chunk(b"data: half\n\n"))
        await writer.drain()
        if how == "reset":
            # Lingering for no time at all turns the close into a reset.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with raw_server(half) as port:
        with pytest.raises(IncompleteStream, match="broke off"):
            await events_of(connections, spec(f"http://127.0.0.1:{port}/v1", transport))


async def test_a_server_that_is_no_http_server(connections: Connections, spec: MakeSpec, transport: Transport):
    async def ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        await writer.drain()

    async with raw_server(ssh) as port:
        with pytest.raises(MalformedResponse, match="what HTTP does not allow"):
            await events_of(connections, spec(f"http://127.0.0.1:{port}/v1", transport))


async def test_what_is_wrong_with_a_head_is_said_in_one_line(
    connections: Connections, spec: MakeSpec, transport: Transport
):
    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nretry-after: \x1b[31m1\r\nfoo bar\r\n\r\n")
        await writer.drain()

    async with raw_server(odd) as port:
        with pytest.raises(MalformedResponse) as caught:
            await events_of(connections, spec(f"http://127.0.0.1:{port}/v1", transport))

    assert caught.value.message.isprintable()


async def test_a_connection_that_is_never_accepted_is_a_connect_timeout(
    connections: Connections, spec: MakeSpec, transport: Transport
):
    """TLS towards a server that says nothing: the connection is there, the handshake is not."""

    async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(mute) as port:
        row = spec(f"https://localhost:{port}/v1", transport)
        with pytest.raises(TimedOut) as caught, translated(Place("Acme", row.base_url)):
            await connections.client(row).post(f"{row.base_url}/chat", timeout=httpx.Timeout(None, connect=0.05))

    assert caught.value.kind is TimeoutKind.CONNECT
