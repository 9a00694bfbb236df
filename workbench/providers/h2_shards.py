"""Several HTTP/2 connections to one origin: which of them takes the next request, and when another one is opened.

A request takes the least loaded connection at once whenever one has room. Only those that found none wait; while more
connections are being opened they are dealt out `STREAMS_EACH` to a connection, so that a cold burst spreads instead of
crowding onto the first handshake to finish. A draining connection counts as gone and lives until its last stream ends.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque

from workbench.core.clock import NS_PER_S
from workbench.providers.dialling import ConnectTimeout, dial
from workbench.providers.exchange import Traffic
from workbench.providers.h2_connection import H2Connection
from workbench.providers.h2_session import GoingAway
from workbench.providers.network import Destination

STREAMS_EACH = 8
"""How many streams a connection gets before another one is opened. All streams of a connection share one congestion
window: with 64 of them on one, a cold burst waits several round trips until its prompts are out."""

SOFT_MAX = 32
"""Beyond `STREAMS_EACH` times this many, streams are packed closer, as far as the server's own cap allows."""


_HOLD_OFF_NS = 1 * NS_PER_S
"""After a failed dial, make do with what is open for so long before trying again."""


_CLOSED = "the engine's connections were closed"


class NoHttp2(Exception):
    """The server chose another protocol in the TLS handshake."""


class H2Shards:
    """Belongs to one event loop. Dials in tasks of its own, because several requests wait for one handshake."""

    def __init__(self, to: Destination, traffic: Traffic) -> None:
        self._to = to
        self._clock = to.clock
        self._traffic = traffic
        self._connections: list[H2Connection] = []
        self._dialling: set[asyncio.Task[Exception | None]] = set()
        self._waiters: deque[asyncio.Future[H2Connection]] = deque()
        self._sweeping: asyncio.TimerHandle | None = None
        self._hold_off_until_ns = 0
        self._each = STREAMS_EACH
        """Less than `STREAMS_EACH` towards a server that goes away after fewer."""
        self._closed = False

    async def acquire(self, timeout_s: float | None) -> tuple[H2Connection, bool]:
        """A connection with a place reserved on it, and whether this request had to wait for it to open.

        Raises `NoHttp2`, `ConnectTimeout`, and whatever connecting raised when no connection could be opened.
        """
        if self._closed:
            raise ConnectionAbortedError(_CLOSED)
        if not self._waiters and (best := self._least_loaded(self._limit(dealing=False))) is not None:
            best.reserve()
            self._dial_more()
            return best, False
        waiter: asyncio.Future[H2Connection] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._dial_more()
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter, True
        except BaseException as exc:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().give_up()
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            if isinstance(exc, TimeoutError) and not isinstance(exc, ConnectTimeout):
                raise ConnectTimeout(f"no connection to {self._to.origin} became free") from exc
            raise

    async def prewarm(self, requests: int) -> int:
        """Open what so many requests at once would open; how many connections there are then."""
        wanted = min(SOFT_MAX, math.ceil(requests / self._streams_each()))
        self._dial(wanted - len(self._open()) - len(self._dialling))
        if self._dialling:
            done, _ = await asyncio.wait(self._dialling)
            failures = [error for task in done if not task.cancelled() and (error := task.result()) is not None]
            if failures and not self._open():
                raise failures[0]
        return len(self._open())

    async def aclose(self) -> None:
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for task in self._dialling:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        self._fail_waiters(ConnectionAbortedError(_CLOSED))
        await asyncio.gather(*(connection.abort() for connection in self._connections))

    def _open(self) -> list[H2Connection]:
        return [connection for connection in self._connections if connection.is_open]

    def _streams_each(self) -> int:
        """The share of one connection, which a server's cap can make smaller."""
        return max(1, min([self._each, *(connection.max_streams for connection in self._open())]))

    def _limit(self, *, dealing: bool = True) -> int | None:
        """How far a connection is filled as long as there are others to come; None is up to the server's cap.

        `dealing` is for those who wait. A request that finds room at once does not wait for a handshake.
        """
        if self._is_holding_off:
            return None
        return self._streams_each() if self._each < STREAMS_EACH or (dealing and self._dialling) else None

    @property
    def _is_holding_off(self) -> bool:
        return self._clock.monotonic_ns() < self._hold_off_until_ns

    def _least_loaded(self, limit: int | None = None) -> H2Connection | None:
        best: H2Connection | None = None
        for connection in self._connections:
            if connection.has_room and (best is None or connection.load < best.load):
                best = connection
        return None if best is None or (limit is not None and best.load >= limit) else best

    def _dial_more(self) -> None:
        opened = self._open()
        if opened and self._is_holding_off:
            return
        load = sum(connection.load for connection in opened) + len(self._waiters)
        wanted = math.ceil(load / self._streams_each())
        packed = self._waiters and self._least_loaded(self._limit()) is None
        ceiling = self._to.max_connections if packed else min(SOFT_MAX, self._to.max_connections)
        self._dial(min(wanted, ceiling) - len(opened) - len(self._dialling))

    def _dial(self, connections: int) -> None:
        for _ in range(connections):
            task = asyncio.get_running_loop().create_task(self._connect())
            self._dialling.add(task)

    async def _connect(self) -> Exception | None:
        """Open one connection and give it out. Returns what went wrong, after those who waited have been told."""
        task = asyncio.current_task()
        error: Exception | None = None
        try:
            await self._connect_once()
        except Exception as exc:
            error = exc
        finally:
            assert task is not None
            self._dialling.discard(task)
        if error is not None:
            self._hold_off_until_ns = self._clock.monotonic_ns() + _HOLD_OFF_NS
        if error is not None and (isinstance(error, NoHttp2) or not (self._dialling or self._open())):
            self._fail_waiters(error)
        self._serve()
        return error

    async def _connect_once(self) -> None:
        tls = self._to.tls.offering("h2", "http/1.1")
        connection = await dial(
            self._to.origin,
            tls,
            self._to.proxy,
            lambda: H2Connection(self._clock, self._on_room, self._on_goaway, str(self._to.origin)),
        )
        if connection.protocol != "h2":
            await connection.abort()
            raise NoHttp2(f"{self._to.origin} speaks {connection.protocol}")
        self._traffic.connections_opened += 1
        self._connections.append(connection)
        self._sweep_later()

    def _on_room(self) -> None:
        self._connections = [connection for connection in self._connections if not connection.is_lost]
        if self._each < STREAMS_EACH and any(c.is_open and c.opened > 2 * self._each for c in self._connections):
            self._each *= 2
        self._serve()

    def _on_goaway(self, event: GoingAway) -> None:
        """Where connections end early, what does not fit into one any more goes onto others from the start."""
        if event.left_out:
            self._each = max(1, min(self._each, event.served))

    def _serve(self) -> None:
        """Give places to those who wait, first come first served."""
        while self._waiters:
            best = self._least_loaded(self._limit())
            if best is None:
                if not self._closed:
                    self._dial_more()
                return
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(best.reserve())

    def _fail_waiters(self, error: Exception) -> None:
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)

    def _sweep_later(self) -> None:
        if self._sweeping is None and not self._closed:
            self._sweeping = asyncio.get_running_loop().call_later(self._to.keepalive_s, self._sweep)

    def _sweep(self) -> None:
        """Close what nobody has used for the keep-alive time."""
        self._sweeping = None
        horizon = self._clock.monotonic_ns() - round(self._to.keepalive_s * NS_PER_S)
        for connection in self._connections:
            if connection.load == 0 and connection.idle_since_ns <= horizon:
                connection.close()
        if self._open():
            self._sweep_later()
