"""Single-flight: identical requests that are under way at the same time share one call.

A `Flight` is one call, run by a task of its own, and its transcript so far; a `Reader` is one caller's place in it.
Whoever joins late first gets what there was, with the original stamps, then what comes. Reading is apart from being
read, so a slow screen neither delays the socket nor falsifies its stamps.

Invariants: every reader gets the same characters in the same order and exactly one terminal event. A reader that
leaves disturbs no other; when the last one has left, the call is cancelled and `leave` returns once it is closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

from workbench.core.events import Delta, Failed, Finished, Queued, StreamEvent, WaitReason
from workbench.core.types import Channel

SHARED_NOTE = "answered together with an identical request"


class _Run:
    """Consecutive deltas of one channel, kept as pieces: what a late reader gets as a single Delta."""

    __slots__ = ("at_ns", "channel", "pieces")

    def __init__(self, first: Delta) -> None:
        self.channel = first.channel
        self.at_ns = first.at_ns
        self.pieces = [first.text]


class Flight:
    """One call under way: what it has said so far, and who is listening."""

    __slots__ = ("_last_ns", "_listeners", "_past", "_readers", "_run", "is_over", "key", "started_ns", "task")

    def __init__(self, key: str | None, started_ns: int) -> None:
        self.key = key
        """None: shared with nobody."""
        self.started_ns = started_ns
        self.is_over = False
        self.task: asyncio.Task[None] | None = None
        self._readers: list[Reader] = []
        self._listeners: list[Reader] = []
        """Those of the readers who want every piece."""
        self._past: list[StreamEvent | _Run] = []
        self._run: _Run | None = None
        self._last_ns = started_ns

    @property
    def has_output(self) -> bool:
        """True from the first visible character on: nothing may be retried any more."""
        return any(isinstance(entry, _Run) for entry in self._past)

    @property
    def readers(self) -> int:
        return len(self._readers)

    def text(self, channel: Channel) -> str:
        """Everything said on this channel so far."""
        runs = (entry for entry in self._past if isinstance(entry, _Run) and entry.channel is channel)
        return "".join(piece for run in runs for piece in run.pieces)

    def emit(self, event: StreamEvent) -> None:
        """Tell every reader. Stamps never run backwards, whatever clock made them."""
        if event.at_ns < self._last_ns:
            event = replace(event, at_ns=self._last_ns)
        else:
            self._last_ns = event.at_ns
        # Thousands of deltas pass here for each other event, and this is the engine's hot path.
        if type(event) is Delta:
            run = self._run
            if run is not None and run.channel is event.channel:
                run.pieces.append(event.text)
                run.at_ns = event.at_ns
            else:
                self._run = run = _Run(event)
                self._past.append(run)
            for reader in self._listeners:
                reader.put(event)
            return
        self._run = None
        self._past.append(event)
        if type(event) is Finished or type(event) is Failed:
            self._end(event)
            return
        for reader in self._readers:
            reader.put(event)

    def join(self, *, quiet: bool = False) -> Reader:
        """A new reader, with everything so far already in its queue. A quiet one gets no pieces, only the rest."""
        reader = Reader(self)
        if self.task is not None:
            reader.put(Queued(self.started_ns, WaitReason.SINGLE_FLIGHT, detail=SHARED_NOTE))
        for entry in self._past:
            if not isinstance(entry, _Run):
                reader.put(entry)
            elif not quiet:
                reader.put(Delta(entry.at_ns, entry.channel, "".join(entry.pieces)))
        self._readers.append(reader)
        if not quiet:
            self._listeners.append(reader)
        return reader

    def abandon(self) -> None:
        """The call's task is over. A flight that has not ended by then never will, and its readers must not wait."""
        self.is_over = True
        for reader in self._readers:
            reader.wake()

    def drop(self, reader: Reader) -> bool:
        """Remove a reader; True when nobody is left and the call is still under way."""
        for readers in (self._readers, self._listeners):
            if reader in readers:
                readers.remove(reader)
        return not self._readers and not self.is_over

    def _end(self, event: Finished | Failed) -> None:
        self.is_over = True
        # Whoever has waited longest bears the cost; totals would count it twice otherwise.
        for place, reader in enumerate(self._readers):
            reader.pays = place == 0
            reader.put(event if reader.pays else _shared(event))


class Reader:
    """One caller's place in a flight."""

    __slots__ = ("_flight", "_wake", "pays", "queue")

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self.pays = False
        """Known at the end: the call's cost and record are this reader's."""
        self._wake: asyncio.Future[None] | None = None
        self.queue: deque[StreamEvent] = deque()

    @property
    def flight(self) -> Flight:
        return self._flight

    def put(self, event: StreamEvent) -> None:
        self.queue.append(event)
        if self._wake is not None:
            self.wake()

    def wake(self) -> None:
        wake = self._wake
        if wake is not None:
            self._wake = None
            if not wake.done():
                wake.set_result(None)

    async def more(self) -> None:
        """Wait until the queue is not empty. Raises RuntimeError when nothing more can come."""
        if not self.queue and not self._flight.is_over:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        if not self.queue:
            raise RuntimeError("the call ended without a terminal event")


class FlightBoard:
    """All flights of one engine; the owner of their tasks."""

    __slots__ = ("_by_key", "_tasks")

    def __init__(self) -> None:
        self._by_key: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def join(self, key: str, *, quiet: bool = False) -> Reader | None:
        """A place in the flight with this key, if there is one and it has not ended."""
        flight = self._by_key.get(key)
        return None if flight is None or flight.is_over else flight.join(quiet=quiet)

    def launch(
        self, key: str | None, started_ns: int, run: Callable[[Flight], Awaitable[None]], *, quiet: bool = False
    ) -> Reader:
        """Start a flight; `run` emits its events, ending with the terminal one."""
        flight = Flight(key, started_ns)
        reader = flight.join(quiet=quiet)
        if key is not None:
            self._by_key[key] = flight
        flight.task = asyncio.create_task(self._fly(flight, run), name=f"flight {key or 'unshared'}")
        self._tasks.add(flight.task)
        flight.task.add_done_callback(self._tasks.discard)
        return reader

    async def leave(self, reader: Reader) -> bool:
        """Give up a place. True when it was the last one, and then the call has been cancelled and is closed."""
        flight = reader.flight
        if not flight.drop(reader) or flight.task is None:
            return False
        self._forget(flight)
        flight.task.cancel()
        await asyncio.wait({flight.task})
        return True

    async def aclose(self) -> None:
        """Cancel every flight and wait until all are closed."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _fly(self, flight: Flight, run: Callable[[Flight], Awaitable[None]]) -> None:
        try:
            await run(flight)
        finally:
            self._forget(flight)
            flight.abandon()

    def _forget(self, flight: Flight) -> None:
        if flight.key is not None and self._by_key.get(flight.key) is flight:
            del self._by_key[flight.key]


async def follow(
    board: FlightBoard, begin: Callable[[], Reader], on_spare: Callable[[Finished | Failed | None], None]
) -> AsyncGenerator[StreamEvent, None]:
    """The events of one reader, up to the terminal one.

    `begin` runs when the first event is asked for. `on_spare` is called at the end for a reader whom the call itself
    does not account for: with the ending that it shared, or with None when it left a call that goes on.
    """
    reader = begin()
    queue = reader.queue
    ending: Finished | Failed | None = None
    try:
        while True:
            while queue:
                event = queue.popleft()
                # Before the yield: a caller may well stop at the terminal event and never come back.
                if type(event) is Finished or type(event) is Failed:
                    ending = event
                yield event
                if ending is not None:
                    return
            await reader.more()
    finally:
        was_last = await board.leave(reader)
        if not (was_last or reader.pays):
            on_spare(ending)


def _shared(event: Finished | Failed) -> Finished | Failed:
    """The same ending for a reader that did not pay for it."""
    if isinstance(event, Failed):
        return replace(event, partial=replace(event.partial, cost_usd=None, usage=None))
    result = event.result
    shared = replace(
        result,
        cached=True,
        cost_usd=0.0,
        saved_usd=result.cost_usd,
        prefix_saved_usd=None,
        notes=(*result.notes, f"{SHARED_NOTE}."),
    )
    return replace(event, result=shared)
