"""Servers on loopback sockets that do exactly what a test tells them to. The HTTP/2 one speaks through the h2 package,
which our client does not use: two writings of one protocol check each other."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from workbench.simulator.certificate import Certificate

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def server_context(certificate: Certificate, *alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain_file, certificate.key_file)
    context.set_alpn_protocols(list(alpn))
    return context


@contextlib.asynccontextmanager
async def raw_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run `handler` for every connection; the port. Connections are cut when the block ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await handler(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Aborted transports say goodbye in the loop's next turns.
        for _ in range(3):
            await asyncio.sleep(0)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """One HTTP/1.1 request: its head, and its body by content-length. Raises IncompleteReadError at the end."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head, await reader.readexactly(length)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything on, until it ends; then raise, so that the other direction ends too."""
    while data := await reader.read(65_536):
        writer.write(data)
    raise ConnectionResetError


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def plain_answer(body: bytes = b"{}", *, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n%s" % (
        len(body),
        extra,
        body,
    )


@dataclass
class H2Peer:
    """The server's end of one HTTP/2 connection, driven by a script."""

    server: H2Server
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    h2: h2.connection.H2Connection
    number: int
    opened: list[int] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)
    resets: list[int] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """The client has closed the connection."""

    async def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    async def respond(self, stream_id: int, body: bytes = b"{}", *, ended: bool = True, status: int = 200) -> None:
        self.h2.send_headers(stream_id, [(":status", str(status)), ("content-type", "text/event-stream")])
        await self.send(stream_id, body, ended=ended)

    async def send(self, stream_id: int, body: bytes, *, ended: bool) -> None:
        self.h2.send_data(stream_id, body, end_stream=ended)
        await self.flush()

    async def refuse(self, stream_id: int, code: ErrorCodes = ErrorCodes.REFUSED_STREAM) -> None:
        self.h2.reset_stream(stream_id, code)
        await self.flush()

    async def go_away(self, last_stream_id: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """As bytes of our own: after its own GOAWAY h2 would refuse to answer the streams it has promised to finish."""
        payload = last_stream_id.to_bytes(4, "big") + int(code).to_bytes(4, "big")
        await self.flush()
        self.writer.write(len(payload).to_bytes(3, "big") + b"\x07\x00" + bytes(4) + payload)
        await self.writer.drain()


Script = Callable[[H2Peer, int], Coroutine[None, None, None]]


async def answer_at_once(peer: H2Peer, stream_id: int) -> None:
    await peer.respond(stream_id, b"data: %d\n\n" % stream_id)


class H2Server:
    """`script(peer, stream_id)` runs as a task for every request once its body is complete."""

    def __init__(self, script: Script = answer_at_once, *, max_streams: int | None = None) -> None:
        self.script = script
        self.max_streams = max_streams
        self.peers: list[H2Peer] = []

    @contextlib.asynccontextmanager
    async def run(self, certificate: Certificate, host: str = "localhost") -> AsyncIterator[str]:
        """The base URL."""
        async with raw_server(self._serve, server_context(certificate, "h2")) as port:
            yield f"https://{host}:{port}/v1"

    @property
    def requests(self) -> int:
        return sum(len(peer.opened) for peer in self.peers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        peer = H2Peer(self, reader, writer, connection, len(self.peers))
        self.peers.append(peer)
        connection.initiate_connection()
        await peer.flush()
        if self.max_streams is not None:
            # Told, and enforced below, past h2: it would end the connection over a stream that was opened too early.
            payload = int(SettingCodes.MAX_CONCURRENT_STREAMS).to_bytes(2, "big") + self.max_streams.to_bytes(4, "big")
            writer.write(len(payload).to_bytes(3, "big") + b"\x04\x00" + bytes(4) + payload)
        async with asyncio.TaskGroup() as scripts:
            while data := await reader.read(65_536):
                for event in connection.receive_data(data):
                    match event:
                        case h2.events.RequestReceived(stream_id=stream_id):
                            assert stream_id is not None
                            peer.opened.append(stream_id)
                            peer.bodies[stream_id] = b""
                        case h2.events.DataReceived(stream_id=stream_id):
                            peer.bodies[stream_id] += event.data
                            connection.acknowledge_received_data(event.flow_controlled_length, stream_id)
                        case h2.events.StreamReset(stream_id=stream_id):
                            peer.resets.append(stream_id)
                        case h2.events.StreamEnded(stream_id=stream_id):
                            if self.max_streams is not None and connection.open_inbound_streams > self.max_streams:
                                connection.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
                                continue
                            scripts.create_task(self._run(peer, stream_id))
                await peer.flush()
            peer.gone.set()
            raise asyncio.CancelledError

    async def _run(self, peer: H2Peer, stream_id: int) -> None:
        # A script that answers a stream which the client has given up, or a connection that it has itself closed.
        with contextlib.suppress(h2.exceptions.StreamClosedError, h2.exceptions.ProtocolError, ConnectionError):
            await self.script(peer, stream_id)
