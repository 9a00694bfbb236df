"""An HTTP/2 edge with bad manners: stream caps, refused streams, GOAWAY in the middle of things, closed connections.

What load balancers do and ordinary test servers do not. It is a small ASGI server of its own, because the one behind
`SimulatorThread` behaves. Behind it stands the whole simulator, so every dialect and every SDK can be tried on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame
from starlette.types import ASGIApp, Message, Scope

log = logging.getLogger(__name__)
UNLIMITED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Manners:
    """How one edge treats its clients. Everything counts per connection."""

    max_concurrent_streams: int = 100
    """Advertised in SETTINGS; streams beyond it are refused with REFUSED_STREAM."""
    refuse_first: int = 0
    """So many streams are refused whatever the cap says."""
    goaway_after: int | None = None
    """With so many requests accepted it sends GOAWAY, naming the last of them; what comes later is never looked at."""
    goodbye_after: int | None = None
    """After so many answers it sends GOAWAY and closes, as soon as nothing is open: the polite way to end."""
    goaway_error: ErrorCodes = ErrorCodes.NO_ERROR
    shrink_to: int | None = None
    """After the first request SETTINGS lowers the cap to this."""
    close_after: int | None = None
    """After so many answers it closes the connection without a word, with other streams open or not."""
    reset_after: int | None = None
    """After so many answers it resets every stream that is still open."""


@dataclass(slots=True)
class EdgeStatistics:
    connections: int = 0
    open_connections: int = 0
    accepted: int = 0
    refused: int = 0
    unprocessed: int = 0
    """Requests that arrived behind a GOAWAY."""
    goaways: int = 0
    answered: int = 0
    peak_streams: int = 0
    """On any one connection."""


@dataclass(slots=True)
class _Stream:
    """One request: the queue that its application reads, and the task that runs it."""

    messages: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None


class _Connection(asyncio.Protocol):
    def __init__(self, app: ASGIApp, manners: Manners, statistics: EdgeStatistics, open_: set[_Connection]) -> None:
        self._app = app
        self._manners = manners
        self._statistics = statistics
        self._open = open_
        self._streams: dict[int, _Stream] = {}
        self._seen = self._answered = self._latest = 0
        self._last_accepted: int | None = None
        self._cap = manners.max_concurrent_streams
        self._window_opened = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    # --- the socket's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._open.add(self)
        self._statistics.connections += 1
        self._statistics.open_connections += 1
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        self._h2 = h2.connection.H2Connection(config)
        self._advertise(self._cap, first=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self._statistics.open_connections -= 1
        for stream in self._streams.values():
            stream.messages.put_nowait({"type": "http.disconnect"})
        self._streams.clear()
        self._window_opened.set()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.flush()
            self.transport.close()
            return
        for event in events:
            self._handle(event)
        self.flush()

    def flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def _advertise(self, cap: int, *, first: bool = False) -> None:
        code = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
        if first:
            self._h2.local_settings[code] = cap
            self._h2.local_settings.acknowledge()
            self._h2.initiate_connection()
        else:
            self._h2.update_settings({code: cap})
        self.flush()
        # The library would treat an excess stream as a broken client; this server refuses it politely, so the limit
        # that the library enforces has to lie above the one that it has just announced.
        self._h2.local_settings[code] = UNLIMITED
        # Once for each of the two values: what is pending until the client's own acknowledgement is not to count.
        self._h2.local_settings.acknowledge()
        self._h2.local_settings.acknowledge()

    # --- HTTP/2's side

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int() as number, headers=list() as headers):
                self._request(number, headers)
            case h2.events.DataReceived(stream_id=int() as number, data=bytes() as data):
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
                self._deliver(number, data, more=True)
            case h2.events.StreamEnded(stream_id=int() as number):
                self._deliver(number, b"", more=False)
            case h2.events.StreamReset(stream_id=int() as number):
                stream = self._streams.pop(number, None)
                if stream is not None:
                    stream.messages.put_nowait({"type": "http.disconnect"})
                self._window_opened.set()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._window_opened.set()
            case h2.events.ConnectionTerminated():
                self.transport.close()

    def _request(self, number: int, headers: list[Any]) -> None:
        manners, statistics = self._manners, self._statistics
        if self._last_accepted is not None:
            statistics.unprocessed += 1
            return
        self._seen += 1
        self._latest = number
        if self._seen <= manners.refuse_first or len(self._streams) >= self._cap:
            statistics.refused += 1
            self._h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
            return
        statistics.accepted += 1
        stream = self._streams[number] = _Stream()
        statistics.peak_streams = max(statistics.peak_streams, len(self._streams))
        stream.task = asyncio.get_running_loop().create_task(self._serve(number, stream, self._scope(headers)))
        self.tasks.add(stream.task)
        stream.task.add_done_callback(self.tasks.discard)
        if manners.shrink_to is not None and self._cap != manners.shrink_to:
            self._cap = manners.shrink_to
            self._advertise(self._cap)
        if manners.goaway_after is not None and self._seen - manners.refuse_first >= manners.goaway_after:
            self._say_goaway(number)

    def _say_goaway(self, last: int) -> None:
        """Written past the library, for which GOAWAY is the end: the accepted streams are still to be answered."""
        self._last_accepted = last
        self._statistics.goaways += 1
        frame = GoAwayFrame(0, last_stream_id=last, error_code=self._manners.goaway_error)
        # In one piece with what goes before it: a client that has read the end of an answer knows that it was the last.
        self.transport.write(self._h2.data_to_send() + frame.serialize())

    def _deliver(self, number: int, data: bytes, *, more: bool) -> None:
        stream = self._streams.get(number)
        if stream is not None:
            stream.messages.put_nowait({"type": "http.request", "body": data, "more_body": more})

    # --- the application's side

    def _scope(self, headers: list[tuple[str, str]]) -> Scope:
        pseudo = {name: value for name, value in headers if name.startswith(":")}
        path, _, query = pseudo[":path"].partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "http_version": "2",
            "method": pseudo[":method"],
            "scheme": pseudo.get(":scheme", "http"),
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers if not n.startswith(":")],
            "client": self.transport.get_extra_info("peername")[:2],
            "server": self.transport.get_extra_info("sockname")[:2],
            "state": {"transport": self.transport},
            "extensions": {},
        }

    async def _serve(self, number: int, stream: _Stream, scope: Scope) -> None:
        try:
            await self._app(scope, stream.messages.get, partial(self._send, number))
        except Exception:
            log.exception("the application behind the edge failed")
        self._streams.pop(number, None)  # still there when the application broke off

    async def _send(self, number: int, message: Message) -> None:
        if number not in self._streams or self.transport.is_closing():
            return
        if message["type"] == "http.response.start":
            head = [(b":status", str(message["status"]).encode()), *message.get("headers", ())]
            self._h2.send_headers(number, head)
            self.flush()
            return
        data = memoryview(message.get("body", b""))
        while data and number in self._streams:
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._window_opened.clear()
                await self._window_opened.wait()
                continue
            self._h2.send_data(number, bytes(data[:room]))
            self.flush()
            data = data[room:]
        if not message.get("more_body", False) and number in self._streams:
            self._h2.end_stream(number)
            del self._streams[number]
            self._after_answer()

    def _after_answer(self) -> None:
        self._answered += 1
        self._statistics.answered += 1
        manners = self._manners
        if manners.reset_after is not None and self._answered >= manners.reset_after:
            for number in list(self._streams):
                self._h2.reset_stream(number, ErrorCodes.INTERNAL_ERROR)
                self._streams.pop(number).messages.put_nowait({"type": "http.disconnect"})
        if manners.goodbye_after is not None and self._answered >= manners.goodbye_after and not self._streams:
            self._say_goaway(self._latest)
        self.flush()
        finished = self._last_accepted is not None and not self._streams
        if finished or (manners.close_after is not None and self._answered >= manners.close_after):
            self.transport.close()


@contextlib.asynccontextmanager
async def edge_listening(
    app: ASGIApp, manners: Manners, sock: Any, context: ssl.SSLContext | None, statistics: EdgeStatistics
) -> AsyncIterator[None]:
    """Serve inside the block; leaving it cuts whatever is still open."""
    loop = asyncio.get_running_loop()
    connections: set[_Connection] = set()
    server = await loop.create_server(
        lambda: _Connection(app, manners, statistics, connections), sock=sock, backlog=1024, ssl=context
    )
    try:
        yield
    finally:
        server.close()
        tasks = [task for connection in connections for task in connection.tasks]
        for connection in list(connections):
            connection.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
