"""Keeps an engine open for as long as the app needs one, and swaps it when a person goes over to the demo or back.

One task, owned by the app, opens and closes; everybody else waits for `engine()`. Opening happens after the first
paint: whoever asks before sees its lane say "starting", and a failure to open is the answer that each lane gets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from workbench.core.errors import LimitKind, WorkbenchError
from workbench.core.settings import Settings
from workbench.session.comparison import Streams, Unexpected

if TYPE_CHECKING:
    from workbench.core.stats import Percentiles
    from workbench.engine.breaker import CircuitStats
    from workbench.engine.limiter_stats import LimiterStats
    from workbench.engine.notices import Notice
    from workbench.engine.records import AttemptRecord, RequestRecord, Traffic
    from workbench.engine.timeline import Series, Span
    from workbench.jobs.desk import JobDesk


class LaneControl(Protocol):
    """A limiter's lanes, set by hand. All raise KeyError for a lane that is no more."""

    def pin_window(self, lane: str, size: int | None) -> None:
        """None lets it adapt again. Raises ValueError for more than the settings allow."""

    def pin_limit(self, lane: str, kind: LimitKind, per_minute: float | None) -> None:
        """None goes back to what the provider says, or to what had been learned. Raises ValueError."""

    def pause(self, lane: str) -> None: ...

    def resume(self, lane: str) -> None: ...

    def revive(self, alias: str) -> None:
        """Use a retired key again. Raises KeyError for one that nobody has."""


class HostedEngine(Streams, Protocol):
    """What the app needs of an engine beyond its streams."""

    @property
    def limiter(self) -> LaneControl | None:
        """None with a limiter of somebody else's."""

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The requests that ended last, oldest first."""

    @property
    def failures(self) -> tuple[AttemptRecord, ...]:
        """The attempts that failed last, oldest first."""

    def series(self, span: Span, lane: str = "", points: int = 120) -> Series:
        """What a lane, or everything, did over time."""

    def statistics(self, *, times: bool = True) -> Snapshot:
        """A frozen snapshot. Without `times` its settled percentiles are of the last one with them: cheap at 4 Hz."""

    async def warm(self, models: Sequence[str]) -> object:
        """Import what these models need, off the loop, and open connections ahead."""

    async def add_key(self, provider: str, secret: str) -> None:
        """Send with this key as well, from now on."""


class Snapshot(Protocol):
    """The parts of an engine's statistics that a screen shows."""

    @property
    def traffic(self) -> Traffic: ...

    @property
    def stamp_error_s(self) -> Percentiles:
        """How long the loop went without looking at its sockets."""

    @property
    def limits(self) -> LimiterStats | None:
        """None with a limiter of somebody else's."""

    @property
    def circuits(self) -> tuple[CircuitStats, ...]: ...

    @property
    def notices(self) -> tuple[Notice, ...]: ...


@dataclass(frozen=True, slots=True)
class OpenEngine:
    """An engine with what it was opened with."""

    engine: HostedEngine
    settings: Settings
    environ: Mapping[str, str]
    demo: bool
    jobs: JobDesk | None = None
    """Where batch jobs are handed in; None where there is no store to write them down in."""


Opener = Callable[[bool], AbstractAsyncContextManager[OpenEngine]]
"""Opens the person's engine, or the simulated one when given True."""


class EngineHost:
    def __init__(self, opener: Opener, *, demo: bool) -> None:
        self._opener = opener
        self.demo = demo
        self._opened: asyncio.Future[OpenEngine] | None = None
        self._change = asyncio.Event()
        self._closing = False
        self.on_open: Callable[[OpenEngine | WorkbenchError], None] | None = None
        """Told of every engine that was opened, and of every one that could not be."""

    async def run(self) -> None:
        """Open engines until told to close. An engine that cannot be opened waits for another choice."""
        while not self._closing:
            self._change.clear()
            opened = self._waiting()
            try:
                async with self._opener(self.demo) as engine:
                    opened.set_result(engine)
                    self._tell(engine)
                    await self._change.wait()
            except WorkbenchError as error:
                await self._failed(opened, error)
            except Exception as error:
                # Whatever it is: a lane that waits for an engine must hear that there will be none.
                await self._failed(opened, Unexpected.wrap(error))

    async def engine(self) -> Streams:
        """The engine, as soon as it is open. Raises what kept it from opening."""
        return (await asyncio.shield(self._waiting())).engine

    @property
    def present(self) -> HostedEngine | None:
        """The engine that is open at this moment, for whoever watches it or sets its limits by hand."""
        opened = self._opened
        if opened is None or not opened.done() or opened.exception() is not None:
            return None
        return opened.result().engine

    def use(self, *, demo: bool) -> None:
        """Close the present engine and open the other kind, unless that is the one in use."""
        if demo != self.demo:
            self.demo = demo
            self.reopen()

    def reopen(self) -> None:
        """Open the same kind anew, as after a key was added."""
        self._opened = None
        self._change.set()

    def close(self) -> None:
        self._closing = True
        self._change.set()

    def _waiting(self) -> asyncio.Future[OpenEngine]:
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        return self._opened

    async def _failed(self, opened: asyncio.Future[OpenEngine], error: WorkbenchError) -> None:
        if not opened.done():
            opened.set_exception(error)
            # Retrieved here so that nobody waiting for it is not itself reported as a fault.
            opened.exception()
        self._tell(error)
        await self._change.wait()

    def _tell(self, what: OpenEngine | WorkbenchError) -> None:
        if self.on_open is not None:
            self.on_open(what)
