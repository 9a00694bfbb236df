"""One pool per provider, base URL and transport: shared, kept, found stale, opened ahead, sent through proxies."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import httpx
import pytest
from scripted_servers import H2Server, plain_answer, pump, raw_server, read_request, server_context

from workbench.core.errors import ConfigError, ConnectionFailed, EngineClosed
from workbench.providers.base import ProviderSpec, Transport
from workbench.providers.exchange import exchange_of
from workbench.providers.http import Connections
from workbench.providers.network import Origin, Proxy, proxy_for
from workbench.providers.transport_errors import Place, translated
from workbench.simulator.certificate import Certificate

MakeSpec = Callable[[str, Transport], ProviderSpec]


@pytest.fixture(params=list(Transport))
def transport(request: pytest.FixtureRequest) -> Transport:
    return Transport(request.param)


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await read_request(reader):
        writer.write(plain_answer())


async def test_one_client_serves_one_place(connections: Connections, spec: MakeSpec):
    row = spec("https://api.acme.test/v1", Transport.AIOHTTP)

    assert connections.client(row) is connections.client(row, "https://api.acme.test/v1/")
    assert connections.client(row) is not connections.client(row, "https://eu.acme.test/v1")
    assert connections.client(row) is not connections.client(spec("https://api.acme.test/v1", Transport.HTTP2))


async def test_requests_one_after_another_share_a_connection(
    connections: Connections, spec: MakeSpec, transport: Transport
):
    async with raw_server(answer_all) as port:
        client = connections.client(spec(f"http://127.0.0.1:{port}/v1", transport))
        exchanges = [exchange_of(await client.post(f"http://127.0.0.1:{port}/v1", content=b"{}")) for _ in range(3)]

    assert [exchange and exchange.fresh for exchange in exchanges] == [True, False, False]


async def test_a_kept_connection_that_died_with_the_next_request_on_it_is_replaced(
    connections: Connections, spec: MakeSpec
):
    """The server closes only when it sees the second request begin: no client could have known in time."""
    served: list[int] = []

    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(1)
        await read_request(reader)
        writer.write(plain_answer())
        await reader.read(1)

    async with raw_server(one_each) as port:
        client = connections.client(spec(f"http://127.0.0.1:{port}/v1", Transport.AIOHTTP))
        statuses = [(await client.post(f"http://127.0.0.1:{port}/v1", content=b"{}")).status_code for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert served == [1, 1, 1]
    assert connections.statistics()[0].resent == 2


async def test_a_fresh_connection_that_dies_is_not_tried_again(connections: Connections, spec: MakeSpec):
    served: list[int] = []

    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        served.append(1)
        await read_request(reader)

    async with raw_server(hang_up) as port:
        client = connections.client(spec(f"http://127.0.0.1:{port}/v1", Transport.AIOHTTP))
        with pytest.raises(ConnectionFailed), translated(Place("Acme", f"http://127.0.0.1:{port}")):
            await client.post(f"http://127.0.0.1:{port}/v1", content=b"{}")

    assert served == [1]


@pytest.mark.parametrize("requests", [1, 5])
async def test_connections_are_opened_ahead(connections: Connections, spec: MakeSpec, requests: int):
    async with raw_server(answer_all) as port:
        row = spec(f"http://127.0.0.1:{port}/v1", Transport.AIOHTTP)
        opened = await connections.prewarm(row, requests)
        responses = await asyncio.gather(
            *(connections.client(row).post(row.base_url, content=b"{}") for _ in range(requests))
        )

    assert opened == requests
    assert [exchange_of(response).fresh for response in responses] == [False] * requests  # type: ignore[union-attr]
    assert connections.statistics()[0].connections_opened == requests


async def test_connecting_ahead_to_nobody_says_so(connections: Connections, spec: MakeSpec):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        row = spec(f"http://127.0.0.1:{unused.getsockname()[1]}/v1", Transport.AIOHTTP)

        with pytest.raises(ConnectionFailed), translated(Place("Acme", row.base_url)):
            await connections.prewarm(row, 2)


async def test_a_stranger_host_with_a_body_that_streams(connections: Connections, spec: MakeSpec, transport: Transport):
    """Batch uploads come as an iterator; they arrive whole, though they could not be sent twice."""
    received: list[bytes] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append((await read_request(reader))[1])
        writer.write(plain_answer())
        await reader.read()

    async def pieces():
        for _ in range(10):
            yield b"0123456789"

    async with raw_server(keep) as port:
        client = connections.client(spec(f"http://127.0.0.1:{port}/v1", transport))
        await client.post(f"http://127.0.0.1:{port}/v1", content=pieces(), headers={"content-length": "100"})

    assert received == [b"0123456789" * 10]


async def test_cookies_of_one_request_do_not_travel_with_the_next(connections: Connections, spec: MakeSpec):
    heads: list[bytes] = []

    async def bake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await read_request(reader))[0])
            writer.write(plain_answer(extra=b"set-cookie: session=of-the-first-key; path=/\r\n"))

    async with raw_server(bake) as port:
        client = connections.client(spec(f"http://127.0.0.1:{port}/v1", Transport.AIOHTTP))
        for _ in range(2):
            await client.post(f"http://127.0.0.1:{port}/v1", content=b"{}")

    assert b"cookie" not in heads[1].lower()


async def test_a_closed_engine_opens_nothing(spec: MakeSpec):
    connections = Connections({})
    await connections.aclose()
    await connections.aclose()

    with pytest.raises(EngineClosed):
        connections.client(spec("https://api.acme.test", Transport.AIOHTTP))


async def test_whoever_is_cancelled_while_closing_leaves_nothing_open(certificate: Certificate, spec: MakeSpec):
    async with H2Server().run(certificate) as url:
        connections = Connections({"SSL_CERT_FILE": str(certificate.ca_file)})
        # A live HTTP/2 connection comes first: closing it takes a turn of the loop.
        assert await connections.prewarm(spec(url, Transport.HTTP2)) == 1
        others = [connections.client(spec(url, kind)) for kind in (Transport.HTTP1, Transport.AIOHTTP)]

        closing = asyncio.create_task(connections.aclose())
        await asyncio.sleep(0)
        closing.cancel()

        with pytest.raises(asyncio.CancelledError):
            await closing
        assert all(client.is_closed for client in others)


@pytest.mark.parametrize("url", ["api.acme.test/v1", "ftp://acme.test", "https://", "https://acme.test:99999/v1"])
async def test_a_base_url_that_is_none_is_named(connections: Connections, spec: MakeSpec, url: str):
    with pytest.raises(ConfigError):
        connections.client(spec(url, Transport.AIOHTTP))


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_certificates_that_cannot_be_read_are_named(spec: MakeSpec, tmp_path, variable: str):
    broken = tmp_path / "nothing.pem"
    if variable == "SSL_CERT_FILE":
        broken.write_text("not a certificate")
    connections = Connections({variable: str(broken)})

    if variable == "SSL_CERT_FILE":
        with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
            connections.warm(Transport.HTTP2)
    else:
        # OpenSSL looks into the directory only when it needs a certificate.
        connections.warm(Transport.HTTP2)


class ForwardProxy:
    """Tunnels and forwards everything to one port, and remembers what it was asked."""

    def __init__(self, target: int, *, refuses: bool = False) -> None:
        self.target = target
        self.refuses = refuses
        self.asked: list[bytes] = []
        self.credentials: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        self.asked.append(line)
        self.credentials += [f.partition(b": ")[2] for f in fields if f.lower().startswith(b"proxy-authorization")]
        if self.refuses:
            writer.write(b"HTTP/1.1 403 Forbidden by policy\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        if line.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            up_writer.write(head)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(pump(reader, up_writer))
                both.create_task(pump(up_reader, writer))
        finally:
            up_writer.transport.abort()


async def test_https_goes_through_the_proxys_tunnel(certificate: Certificate, spec: MakeSpec, transport: Transport):
    """The provider's name exists only for the proxy."""
    h2_server = H2Server()

    async def either(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            await h2_server._serve(reader, writer)
        await answer_all(reader, writer)

    async with raw_server(either, server_context(certificate, "h2", "http/1.1")) as target:
        proxy = ForwardProxy(target)
        async with raw_server(proxy) as port:
            environ = {"SSL_CERT_FILE": str(certificate.ca_file), "HTTPS_PROXY": f"http://me:p%40ss@127.0.0.1:{port}"}
            connections = Connections(environ)
            row = spec("https://provider.invalid/v1", transport)
            await connections.prewarm(row, 1)
            response = await connections.client(row).post(f"{row.base_url}/chat", content=b"{}")
            statistics = connections.statistics()
            await connections.aclose()

    assert response.http_version == ("HTTP/2" if transport is Transport.HTTP2 else "HTTP/1.1")
    assert proxy.asked == [b"CONNECT provider.invalid:443 HTTP/1.1"]
    assert proxy.credentials == [b"Basic bWU6cEBzcw=="]
    assert [pool.proxied for pool in statistics] == [True]


async def test_plain_http_is_forwarded_by_the_proxy(spec: MakeSpec, transport: Transport):
    async with raw_server(answer_all) as target:
        proxy = ForwardProxy(target)
        async with raw_server(proxy) as port:
            connections = Connections({"HTTP_PROXY": f"127.0.0.1:{port}"})
            row = spec("http://provider.invalid/v1", transport)
            response = await connections.client(row).post(f"{row.base_url}/chat", content=b"{}")
            await connections.aclose()

    assert response.status_code == 200
    assert proxy.asked == [b"POST http://provider.invalid/v1/chat HTTP/1.1"]


async def test_a_proxy_that_refuses_is_named(certificate: Certificate, spec: MakeSpec, transport: Transport):
    proxy = ForwardProxy(1, refuses=True)
    async with raw_server(proxy) as port:
        connections = Connections({"HTTPS_PROXY": f"http://127.0.0.1:{port}"})
        row = spec("https://provider.invalid/v1", transport)
        with (
            pytest.raises(ConnectionFailed, match=r"The proxy on the way to provider\.invalid failed.*403"),
            translated(Place("Acme", row.base_url)),
        ):
            await connections.client(row).post(f"{row.base_url}/chat", content=b"{}")
        await connections.aclose()


PROXY = Proxy(Origin("http", "proxy.test", 8080))


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://api.acme.test", {}, None),
        ("https://api.acme.test", {"HTTPS_PROXY": "http://proxy.test:8080"}, PROXY),
        ("https://api.acme.test", {"https_proxy": "proxy.test:8080", "HTTPS_PROXY": "http://other"}, PROXY),
        ("https://api.acme.test", {"HTTP_PROXY": "http://proxy.test:8080"}, None),
        ("http://api.acme.test", {"ALL_PROXY": "http://proxy.test:8080"}, PROXY),
        ("https://api.acme.test", {"ALL_PROXY": "http://proxy.test:8080", "NO_PROXY": "*"}, None),
        ("https://api.acme.test", {"ALL_PROXY": "http://proxy.test:8080", "NO_PROXY": "x, acme.test"}, None),
        ("https://api.acme.test", {"ALL_PROXY": "http://proxy.test:8080", "NO_PROXY": ".acme.test"}, None),
        ("https://api.acme.test", {"ALL_PROXY": "http://proxy.test:8080", "NO_PROXY": "*.acme.test:443"}, None),
        ("https://api.acme.test", {"ALL_PROXY": "http://proxy.test:8080", "NO_PROXY": "acme.test:444"}, PROXY),
        ("https://notacme.test", {"ALL_PROXY": "http://proxy.test:8080", "NO_PROXY": "acme.test"}, PROXY),
        ("https://10.1.2.3", {"ALL_PROXY": "http://proxy.test:8080", "NO_PROXY": "10.0.0.0/8"}, None),
        ("https://[fd00::1]", {"ALL_PROXY": "http://proxy.test:8080", "NO_PROXY": "fd00::/8"}, None),
        ("http://localhost:8000", {"ALL_PROXY": "http://proxy.test:8080"}, None),
        ("http://127.0.0.2:8000", {"ALL_PROXY": "http://proxy.test:8080"}, None),
        ("http://[::1]:8000", {"ALL_PROXY": "http://proxy.test:8080"}, None),
    ],
)
def test_the_environment_chooses_the_proxy(url: str, environ: dict[str, str], expected: Proxy | None):
    assert proxy_for(Origin.of(url), environ) == expected


@pytest.mark.parametrize("value", ["socks5://proxy.test:1080", "http://", "http://proxy.test:port"])
def test_a_proxy_that_cannot_be_used_is_refused_and_not_gone_round(value: str):
    with pytest.raises(ConfigError, match=r"HTTPS_PROXY|proxy"):
        proxy_for(Origin.of("https://api.acme.test"), {"HTTPS_PROXY": value})


def test_a_proxys_password_is_not_shown():
    proxy = proxy_for(Origin.of("https://api.acme.test"), {"HTTPS_PROXY": "http://me:secret@proxy.test"})

    assert "secret" not in repr(proxy)


async def test_the_openai_sdk_takes_the_client(connections: Connections, spec: MakeSpec, transport: Transport):
    import openai

    message = b'{"role":"assistant","content":"hi"}'
    choices = b'[{"index":0,"finish_reason":"stop","message":%b}]' % message
    answer = b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":%b}' % choices

    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(plain_answer(answer))
        await reader.read()

    async with raw_server(chat) as port:
        url = f"http://127.0.0.1:{port}/v1"
        sdk = openai.AsyncOpenAI(api_key="k", base_url=url, http_client=connections.client(spec(url, transport)))
        completion = await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])

    assert completion.choices[0].message.content == "hi"


async def test_the_gemini_sdk_takes_the_client(connections: Connections, spec: MakeSpec, transport: Transport):
    from google import genai
    from google.genai import types

    answer = b'{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP"}]}'

    async def generate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(plain_answer(answer))
        await reader.read()

    async with raw_server(generate) as port:
        url = f"http://127.0.0.1:{port}"
        client: httpx.AsyncClient = connections.client(spec(url, transport))
        options = types.HttpOptions(base_url=url, httpx_async_client=client)
        sdk = genai.Client(api_key="k", http_options=options)
        response = await sdk.aio.models.generate_content(model="m", contents="?")

    assert response.text == "hi"
