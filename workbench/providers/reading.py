"""The loop that reads an answer: bytes in, stamped events out, four deadlines held without a timer per read.

A deadline here ends an `await`, never a consumer: a watch cancels only while it is itself waiting for the wire, so an
adapter may yield between two reads for as long as it likes, and may be closed from another task. Time spent with the
consumer counts for the total and not for the silence of the provider.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TYPE_CHECKING, TypeVar

from workbench.core.clock import NS_PER_S, Clock
from workbench.core.errors import MalformedResponse, TimedOut, TimeoutKind
from workbench.providers.base import Deadlines
from workbench.providers.exchange import ByteSource, IteratedSource, exchange_of
from workbench.providers.sse import SSEDecoder, SSEEvent
from workbench.providers.transport_errors import Place, translate, translated

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

MAX_BODY_BYTES = 512 * 1024 * 1024
"""A batch's result file may be 200 MB; nothing that an API sends is larger than this."""

_DRAIN_S = 0.25
"""How long to wait, after the end mark, for the transfer's own end: a round trip or two."""


class Watch:
    """One attempt's deadlines. Everything that waits for the wire goes through `wait`.

    One timer per attempt: when it fires early, because bytes came since it was set, it is set again for the rest.
    """

    __slots__ = (
        "_begun",
        "_cancelling",
        "_clock",
        "_deadlines",
        "_fired",
        "_place",
        "_since",
        "_start",
        "_task",
        "_timer",
    )

    def __init__(self, deadlines: Deadlines, clock: Clock, place: Place) -> None:
        self._deadlines = deadlines
        self._clock = clock
        self._place = place
        self._start = self._since = clock.monotonic_ns()
        self._begun = False
        self._fired: TimeoutKind | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Await this, for as long as the deadlines allow. Raises `TimedOut`."""
        task = asyncio.current_task()
        assert task is not None, "a watch waits inside a task"
        self._since = self._clock.monotonic_ns()
        self._task = task
        if self._timer is None:
            self._set_timer()
        try:
            result = await awaitable
        except BaseException as exc:
            if self._fired is None:
                raise
            if task.uncancel() > self._cancelling and isinstance(exc, asyncio.CancelledError):
                raise  # Somebody else cancelled as well, and they come first.
            raise self._timed_out(self._fired) from None
        finally:
            self._task = None
        if self._fired is not None:
            task.uncancel()
            raise self._timed_out(self._fired)
        return result

    def output_began(self) -> None:
        """The first real output is here: from now on silence is what counts. Idempotent."""
        if not self._begun:
            self._begun = True
            self.close()

    def close(self) -> None:
        """Drop the timer; the next `wait` sets one again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> tuple[int, TimeoutKind]:
        """The deadline that comes first, as things stand."""
        total = self._start + round(self._deadlines.total_s * NS_PER_S)
        if self._begun:
            silence = self._since + round(self._deadlines.idle_s * NS_PER_S), TimeoutKind.IDLE
        else:
            silence = self._start + round(self._deadlines.first_token_s * NS_PER_S), TimeoutKind.FIRST_TOKEN
        return min(silence, (total, TimeoutKind.TOTAL))

    def _set_timer(self) -> None:
        due_ns, _ = self._next()
        delay_s = max(0, due_ns - self._clock.monotonic_ns()) / NS_PER_S
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return  # Nobody waits for the wire; the next `wait` looks again.
        due_ns, kind = self._next()
        if self._clock.monotonic_ns() < due_ns:
            self._set_timer()
            return
        self._fired = kind
        self._cancelling = self._task.cancelling()
        self._task.cancel()

    def _timed_out(self, kind: TimeoutKind) -> TimedOut:
        host, limits = self._place.host, self._deadlines
        match kind:
            case TimeoutKind.FIRST_TOKEN:
                message = f"{host} sent nothing of its answer within {limits.first_token_s:g} s."
            case TimeoutKind.IDLE:
                message = f"{host} fell silent in the middle of its answer for {limits.idle_s:g} s."
            case _:
                message = f"{host} did not finish within {limits.total_s:g} s."
        return TimedOut(message, kind=kind, **self._place.details())


class EventReader:
    """An answer's events: `async for at_ns, events in reader`, one turn per read that brought something.

    `at_ns` is when the bytes arrived. A turn may have no events when all that came were comments: a sign of life.
    Holds nothing that needs closing; the response belongs to whoever opened it.
    """

    __slots__ = ("_decoder", "_ended", "_place", "_source", "_watch")

    def __init__(self, source: ByteSource, watch: Watch, place: Place) -> None:
        self._source = source
        self._watch = watch
        self._place = place
        self._decoder = SSEDecoder()
        self._ended = False

    def __aiter__(self) -> AsyncIterator[tuple[int, list[SSEEvent]]]:
        return self

    @property
    def ended(self) -> bool:
        """The bytes are over; what came last may be half an event."""
        return self._ended

    async def __anext__(self) -> tuple[int, list[SSEEvent]]:
        decoder, source = self._decoder, self._source
        while not self._ended:
            chunk = await self._read()
            comments = decoder.comments
            self._ended = not chunk
            try:
                events = decoder.feed(chunk) if chunk else decoder.close()
            except MalformedResponse as exc:
                translate(exc, self._place)  # fills in who sent it
                raise
            if events or decoder.comments != comments:
                return source.arrived_ns, events
        raise StopAsyncIteration

    async def _read(self) -> bytes:
        try:
            return await self._watch.wait(self._source.read())
        except Exception as exc:
            translation = translate(exc, self._place, reading=True)
            if translation is None or translation is exc:
                raise
            raise translation from exc

    async def finish(self) -> None:
        """Read past the end mark to the end of the transfer, if it comes soon.

        An HTTP/1.1 connection that is closed after `[DONE]` and before its last chunk line cannot be used again.
        """
        try:
            async with asyncio.timeout(_DRAIN_S):
                while not self._ended:
                    self._ended = not await self._source.read()
        except Exception:
            # The answer is complete; whatever is wrong with the connection now, closing it is all there is to do.
            self._ended = True


def read_events(response: httpx.Response, watch: Watch, clock: Clock, place: Place) -> EventReader:
    """Decode a streamed response's body. Raises, while iterating, `TimedOut`, `IncompleteStream`, `MalformedResponse`.

    An end without an end mark is no error here: only the wire format knows what its end mark is.
    """
    return EventReader(_source_of(response, clock), watch, place)


async def read_body(response: httpx.Response, watch: Watch, clock: Clock, place: Place) -> tuple[int, bytes]:
    """A whole body, and when its last byte arrived. Raises as `read_events` does."""
    source = _source_of(response, clock)
    parts: list[bytes] = []
    size = 0
    with translated(place, reading=True):
        while chunk := await watch.wait(source.read()):
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise MalformedResponse(f"{place.host} sent more than {MAX_BODY_BYTES:,} bytes.", **place.details())
    return source.arrived_ns, b"".join(parts)


async def read_lines(response: httpx.Response, watch: Watch, clock: Clock, place: Place) -> AsyncGenerator[bytes, None]:
    """A body line by line, without line ends; no more of it is held than one read and one line. Raises as above."""
    source = _source_of(response, clock)
    waiting = bytearray()
    while True:
        with translated(place, reading=True):
            chunk = await watch.wait(source.read())
        watch.output_began()
        if not chunk:
            break
        end = chunk.rfind(b"\n")
        if end < 0:
            waiting += chunk
            if len(waiting) > MAX_BODY_BYTES:
                raise MalformedResponse(f"{place.host} sent a line that does not end.", **place.details())
            continue
        waiting += chunk[:end]
        lines = bytes(waiting).split(b"\n")
        waiting = bytearray(chunk[end + 1 :])
        for line in lines:
            if line.strip():
                yield line
    if waiting.strip():
        yield bytes(waiting)


def _source_of(response: httpx.Response, clock: Clock) -> ByteSource:
    exchange = exchange_of(response)
    if exchange is not None and response.headers.get("content-encoding", "identity") == "identity":
        return exchange.source
    # Another transport's response, or one that came compressed.
    return IteratedSource(response.aiter_bytes(), response.aclose, clock)
