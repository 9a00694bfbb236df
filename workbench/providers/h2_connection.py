"""One HTTP/2 connection on the event loop: a protocol that feeds the session, and a stream per request.

Bytes are stamped in `data_received`, before any task runs, so a stamp is late only by what the loop itself was late.
What is certain not to have been processed leaves as `NotProcessed`, which only the pool ever sees.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable

import httpx

from workbench.core.clock import Clock
from workbench.core.errors import ConnectionFailed, IncompleteStream, MalformedResponse, ProviderError, ServerError
from workbench.core.sending import Sending
from workbench.providers.h2_frames import ErrorCode, H2Violation, error_name
from workbench.providers.h2_session import (
    Data,
    Event,
    GoingAway,
    H2Session,
    ResponseHeaders,
    Room,
    StreamEnded,
)


class NotProcessed(ConnectionFailed):
    """The server has done nothing about this request, by its own word or because it never could have: send it again."""


class Http11Required(ConnectionFailed):
    """The server wants this request over HTTP/1.1 (RFC 9113 §7)."""


class H2Stream(httpx.AsyncByteStream):
    """One request's answer; a `ByteSource`, and what httpx iterates when somebody else reads it."""

    def __init__(self, connection: H2Connection, stream_id: int, arrived_ns: int) -> None:
        self._connection = connection
        self.stream_id = stream_id
        self.arrived_ns = arrived_ns
        self.headers: asyncio.Future[ResponseHeaders] = connection.loop.create_future()
        self._arrivals: deque[tuple[int, list[bytes]]] = deque()
        """(stamp, pieces): what came in one read of the socket leaves in one read of ours."""
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: ProviderError | None = None

    async def read(self) -> bytes:
        while not self._arrivals:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self.arrived_ns, pieces = self._arrivals.popleft()
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._connection.consumed(self.stream_id, len(data))
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data

    async def aclose(self) -> None:
        if not self._ended:
            self._ended = True
            self._connection.cancel(self.stream_id)

    def put(self, at_ns: int, data: bytes) -> None:
        if self._arrivals and self._arrivals[-1][0] == at_ns:
            self._arrivals[-1][1].append(data)
        else:
            self._arrivals.append((at_ns, [data]))
            self._wake()

    def end(self, error: ProviderError | None = None) -> None:
        """The last word, from the server or about it. Later ones are ignored."""
        if self._ended:
            return
        self._ended = True
        self._error = error
        if not self.headers.done():
            self.headers.set_exception(error or ConnectionFailed("The server ended a stream without an answer."))
            # Whoever waited may be gone; an exception that nobody fetches would be logged as lost.
            self.headers.exception()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class H2Connection(asyncio.Protocol):
    """Several streams on one socket. `on_room` is called whenever it may take more, or has gone; `on_goaway` when the
    server says that it takes no more."""

    def __init__(
        self, clock: Clock, on_room: Callable[[], None], on_goaway: Callable[[GoingAway], None], host: str
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._clock = clock
        self._on_room = on_room
        self._on_goaway = on_goaway
        self._host = host
        self._session = H2Session()
        self._streams: dict[int, H2Stream] = {}
        self._transport: asyncio.Transport | None = None
        self._room_waiters: list[asyncio.Future[None]] = []
        self._writable: asyncio.Future[None] | None = None
        self._lost: ProviderError | None = None
        self._heard = False
        """Has anything come in since the connection was last idle?"""
        self._kept = False
        """Did the connection work before it was last idle?"""
        self._reserved = 0
        self.protocol = ""
        """What the server chose in the handshake. Nothing is sent to one that did not choose h2."""
        self._closed = asyncio.Event()
        self.idle_since_ns = clock.monotonic_ns()

    @property
    def load(self) -> int:
        """Streams, and places that were promised to requests about to start."""
        return self._session.active + self._reserved

    @property
    def is_open(self) -> bool:
        """Not lost, and not told to go away."""
        return self._lost is None and not self._session.going_away

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    @property
    def max_streams(self) -> int:
        return self._session.max_streams

    @property
    def opened(self) -> int:
        """How many streams the connection has begun in its life."""
        return self._session.opened

    @property
    def has_room(self) -> bool:
        return self.is_open and self._session.can_open and self.load < self._session.max_streams

    def reserve(self) -> H2Connection:
        """Promise a place; `request` takes it, `give_up` returns it."""
        self._reserved += 1
        return self

    def give_up(self) -> None:
        self._reserved -= 1
        self._on_room()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        tls = transport.get_extra_info("ssl_object")
        self.protocol = (tls and tls.selected_alpn_protocol()) or "HTTP/1.1"
        self._transport = transport
        self._flush()

    def data_received(self, data: bytes) -> None:
        at_ns = self._clock.monotonic_ns()
        self._heard = True
        if self.protocol != "h2":
            return
        try:
            events = self._session.receive(data)
        except H2Violation as exc:
            self._session.say_goodbye(exc.h2_code)
            self._flush()
            self._lose(MalformedResponse(exc.message))
            self.close()
            return
        streams = self._streams
        for event in events:
            if type(event) is Data:
                if (stream := streams.get(event.stream_id)) is not None:
                    stream.put(at_ns, event.data)
            else:
                self._take(event, at_ns)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        reason = "the connection was closed" if exc is None else str(exc) or type(exc).__name__
        self._transport = None
        self._closed.set()
        self._lose(ConnectionFailed(f"Lost {self._host}: {reason}."))

    def pause_writing(self) -> None:
        self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    # What the pool calls.

    async def request(
        self, fields: Iterable[tuple[bytes, bytes]], body: bytes | AsyncIterable[bytes], sending: Sending
    ) -> tuple[H2Stream, ResponseHeaders]:
        """Send a request on a reserved place and wait for the head of its answer; notes when it was all handed over.

        Raises `NotProcessed` and `Http11Required` for the pool, other `ProviderError`s for everybody.
        """
        self._reserved -= 1
        if self._lost is not None or not self._session.can_open:
            raise NotProcessed(f"The connection to {self._host} went away.")
        if self._session.active == 0:
            self._kept, self._heard = self._kept or self._heard, False
        stream = H2Stream(self, self._session.open(fields, ended=body == b""), self._clock.monotonic_ns())
        self._streams[stream.stream_id] = stream
        try:
            if body == b"":
                self._flush()
            elif isinstance(body, bytes):
                await self._send(stream.stream_id, body, ended=True)
            else:
                async for piece in body:
                    await self._send(stream.stream_id, piece, ended=False)
                await self._send(stream.stream_id, b"", ended=True)
            if not (stream.headers.done() and stream.headers.exception()):
                sending.sent_ns = self._clock.monotonic_ns()
            return stream, await stream.headers
        except BaseException:
            await stream.aclose()
            raise

    def consumed(self, stream_id: int, size: int) -> None:
        self._session.consumed(stream_id, size)
        self._flush()

    def cancel(self, stream_id: int) -> None:
        self._session.cancel(stream_id)
        self._forget(stream_id)
        self._flush()

    def close(self) -> None:
        """Close the socket when its last stream has ended; at once when there is none."""
        self._session.going_away = True
        if self._transport is not None and (self._session.active == 0 or self._lost is not None):
            self._flush()
            # Asked a second time, asyncio's TLS transport forgets its protocol (3.11) and fails on the next write.
            if not self._transport.is_closing():
                self._transport.close()

    async def abort(self) -> None:
        """Close the socket now; streams under way fail."""
        self._session.going_away = True
        if self._transport is not None:
            self._transport.abort()
            await self._closed.wait()

    async def _send(self, stream_id: int, data: bytes, *, ended: bool) -> None:
        # A connection that was lost gives no window back for what is left to send.
        while self._lost is None:
            taken = self._session.send(stream_id, data, ended=ended)
            self._flush()
            if taken < 0 or taken == len(data):
                # Gone, or all out; either way the answer, or the error in its place, is what to wait for.
                break
            data = data[taken:]
            waiter = self.loop.create_future()
            self._room_waiters.append(waiter)
            await waiter
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def _take(self, event: Event, at_ns: int) -> None:
        match event:
            case ResponseHeaders(stream_id=stream_id):
                stream = self._streams.get(stream_id)
                if stream is not None and not stream.headers.done():
                    stream.arrived_ns = at_ns
                    stream.headers.set_result(event)
            case StreamEnded(stream_id=stream_id):
                stream = self._streams.get(stream_id)
                if stream is not None:
                    stream.end(self._ending(event, answered=stream.headers.done()))
                self._forget(stream_id)
            case GoingAway():
                self._on_goaway(event)
                if self._session.active == 0:
                    self.close()
                self._on_room()
            case Room():
                self._wake_senders()
                self._on_room()
            case Data():
                pass  # Handled where events are read; here only for the type checker's sake.

    def _ending(self, event: StreamEnded, *, answered: bool) -> ProviderError | None:
        if event.code is None:
            return None
        name = error_name(event.code)
        if answered:
            return IncompleteStream(f"{self._host} broke the answer off ({name}).")
        if not event.processed:
            return NotProcessed(f"{self._host} did not take the request ({name}).")
        if event.code == ErrorCode.HTTP_1_1_REQUIRED:
            return Http11Required(f"{self._host} wants HTTP/1.1 for this request.")
        if event.code == ErrorCode.ENHANCE_YOUR_CALM:
            return ServerError(f"{self._host} wants us to slow down ({name}).")
        return ConnectionFailed(f"{self._host} broke the request off ({name}).")

    def _forget(self, stream_id: int) -> None:
        if self._streams.pop(stream_id, None) is None:
            return
        if not self._streams:
            self.idle_since_ns = self._clock.monotonic_ns()
            if self._session.going_away:
                self.close()
        self._wake_senders()
        self._on_room()

    def _lose(self, error: ProviderError) -> None:
        if self._lost is not None:
            return
        self._lost = error
        streams, self._streams = list(self._streams.values()), {}
        # A kept connection on which nothing has come since it was taken up again: the server had closed it while it
        # was idle, before the request arrived.
        stale = self._kept and not self._heard
        for stream in streams:
            if stream.headers.done():
                stream.end(IncompleteStream(f"The answer from {self._host} broke off: {error.message}"))
            else:
                stream.end(NotProcessed(error.message) if stale else type(error)(error.message))
        self.resume_writing()
        self._wake_senders()
        self._on_room()

    def _wake_senders(self) -> None:
        waiters, self._room_waiters = self._room_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _flush(self) -> None:
        if self._transport is None or self.protocol != "h2" or self._transport.is_closing():
            return
        if output := self._session.take_output():
            self._transport.write(output)
