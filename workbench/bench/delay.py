"""A distance: a TCP relay that holds every byte for half a round trip, and a new connection's first bytes for one more.

The extra one stands for TCP's handshake, which loopback does without. Bandwidth and congestion windows are not
imitated, so what is measured through it is latency and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class _End(asyncio.Protocol):
    """One side of a relayed connection; what it reads goes to the other side, later."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._pending: list[bytes] = []
        self._not_before = 0.0
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def hold_until(self, when: float) -> None:
        """Pass nothing on before then."""
        self._not_before = when

    def data_received(self, data: bytes) -> None:
        self._loop.call_at(max(self._loop.time() + self._delay_s, self._not_before), self._pass_on, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._loop.call_later(self._delay_s, self._close_other)

    def deliver(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _pass_on(self, data: bytes) -> None:
        if self.other is None:
            self._pending.append(data)
        else:
            self.other.deliver(data)

    def connect(self, other: _End) -> None:
        self.other, other.other = other, self
        for data in self._pending:
            other.deliver(data)
        self._pending.clear()

    def _close_other(self) -> None:
        if self.other is not None:
            self.other.close()


class _Relay:
    def __init__(self, port: int, round_trip_s: float) -> None:
        self._target = port
        self._round_trip_s = round_trip_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: list[_End] = []

    def accept(self) -> _End:
        loop = asyncio.get_running_loop()
        near = self._end()
        near.hold_until(loop.time() + 1.5 * self._round_trip_s)
        task = loop.create_task(self._connect(near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return near

    async def _connect(self, near: _End) -> None:
        _, far = await asyncio.get_running_loop().create_connection(self._end, "127.0.0.1", self._target)
        near.connect(far)

    def _end(self) -> _End:
        end = _End(self._round_trip_s / 2)
        self._ends.append(end)
        return end

    async def aclose(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in self._ends:
            end.abort()
        await asyncio.sleep(0)  # what was aborted is told so in the loop's next turn


@contextlib.contextmanager
def delayed(port: int, round_trip_s: float) -> Iterator[int]:
    """A port that leads to `port` from so far away. The relay runs in a thread of its own."""
    if round_trip_s <= 0:
        yield port
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="delay", daemon=True)
    thread.start()
    relay = _Relay(port, round_trip_s)

    async def start() -> asyncio.Server:
        return await loop.create_server(relay.accept, "127.0.0.1", 0, backlog=1024)

    async def stop() -> None:
        server.close()
        await relay.aclose()

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
