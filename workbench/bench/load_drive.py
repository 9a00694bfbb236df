"""Putting load on models through the whole engine, and keeping every request's record.

Closed loop: so many workers, each asking again as soon as it has been answered. Open loop: requests leave by a schedule
drawn beforehand, whatever became of the earlier ones, and their latency counts from that schedule: a client that falls
behind must not make the provider look fast.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from workbench.bench.load_plan import Ask, Duration, Load
from workbench.core.clock import NS_PER_S, Clock
from workbench.core.errors import WorkbenchError
from workbench.core.types import CacheMode, Priority, Request
from workbench.engine.engine import Engine
from workbench.engine.records import RequestRecord

_JOB = "load"


class Arrivals(StrEnum):
    POISSON = "poisson"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of a level."""

    record: RequestRecord
    scheduled_ns: int
    """When it should have been submitted; in a closed loop, when it was."""


@dataclass(slots=True)
class Level:
    """What one model did under one load. `samples` in the order in which they ended."""

    model: str
    load: Load
    samples: list[Sample] = field(default_factory=list)
    first_error: WorkbenchError | None = None


class Bookkeeper:
    """Finds the record of a request that has just ended. Give `keep` to the engine as `on_record`.

    A record and a result share their `timing`, the very object, which is what connects them.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, RequestRecord] = {}

    def keep(self, record: RequestRecord) -> None:
        self._waiting[id(record.timing)] = record

    async def ask(self, engine: Engine, request: Request) -> tuple[RequestRecord, WorkbenchError | None]:
        """Raises the error of a request that did not even become one."""
        error: WorkbenchError | None = None
        try:
            timing = (await engine.complete(request)).timing
        except WorkbenchError as exc:
            if exc.partial is None:
                raise
            error, timing = exc, exc.partial.timing
        return self._waiting.pop(id(timing)), error


class LoadDriver:
    """Runs levels one after the other. `tell` is called with a level whenever a request of it has ended."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        book: Bookkeeper,
        asks: Iterator[Ask],
        duration: Duration,
        *,
        arrivals: Arrivals = Arrivals.POISSON,
        seed: int = 0,
        max_cost_usd: float | None = None,
        tell: Callable[[Level], None] = lambda level: None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._book = book
        self._asks = asks
        self._duration = duration
        self._arrivals = arrivals
        self._seed = seed
        self._max_cost_usd = max_cost_usd
        self._spent_usd = 0.0
        self._tell = tell

    @property
    def is_spent(self) -> bool:
        """Nothing more is sent, for want of money."""
        return self._max_cost_usd is not None and self._spent_usd >= self._max_cost_usd

    async def run(self, level: Level) -> None:
        """Fill a level with its samples. Cancelled, it has those that had ended."""
        if level.load.concurrency is not None:
            await self._closed_loop(level, level.load.concurrency)
        else:
            await self._open_loop(level, level.load.rate_per_s or 1.0)

    async def _closed_loop(self, level: Level, workers: int) -> None:
        left = self._duration.requests_for(level.load)
        until_ns = self._until_ns()

        async def work() -> None:
            nonlocal left
            while (left is None or left > 0) and (now_ns := self._now_ns()) < until_ns and not self.is_spent:
                if left is not None:
                    left -= 1
                await self._one(level, now_ns)

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())

    async def _open_loop(self, level: Level, rate_per_s: float) -> None:
        left = self._duration.requests_for(level.load)
        until_ns = self._until_ns()
        # Python's own generator: arrivals are no secret, and a seed must give them again.
        rng = random.Random(self._seed)
        due_ns = self._now_ns()
        async with asyncio.TaskGroup() as group:
            while (left is None or left > 0) and due_ns < until_ns and not self.is_spent:
                if (wait_ns := due_ns - self._now_ns()) > 0:
                    await asyncio.sleep(wait_ns / NS_PER_S)
                group.create_task(self._one(level, due_ns))
                left = None if left is None else left - 1
                gap_s = rng.expovariate(rate_per_s) if self._arrivals is Arrivals.POISSON else 1.0 / rate_per_s
                due_ns += round(gap_s * NS_PER_S)

    async def _one(self, level: Level, scheduled_ns: int) -> None:
        ask = next(self._asks)
        # Off the cache, or the same words asked twice would be one call.
        request = Request(level.model, ask.messages, ask.params, cache=CacheMode.OFF, priority=Priority.BULK, job=_JOB)
        record, error = await self._book.ask(self._engine, request)
        level.samples.append(Sample(record, scheduled_ns))
        self._spent_usd += record.cost_usd or 0.0
        level.first_error = level.first_error or error
        self._tell(level)

    def _until_ns(self) -> int:
        seconds = self._duration.seconds
        return self._now_ns() + round(seconds * NS_PER_S) if seconds is not None else 1 << 62

    def _now_ns(self) -> int:
        return self._clock.monotonic_ns()
