"""Admission: a window per key, strict priorities, one wake-up per send."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from workbench.core.clock import NS_PER_S, Clock, SystemClock
from workbench.core.errors import EngineClosed, MissingKey, ProviderError, TimedOut, TimeoutKind
from workbench.core.events import Queued, WaitReason
from workbench.core.types import KeyAlias, Priority, Route, Usage
from workbench.engine.admission import Lease, Outcome, Ticket, Waiter
from workbench.engine.keyring import Key
from workbench.providers.base import ProviderSpec


@dataclass(frozen=True, slots=True)
class LimiterOptions:
    initial_window: int = 8
    max_window: int = 512
    global_concurrency: int | None = None
    """Hard cap per provider over all processes (`LLM_GLOBAL_CONCURRENCY`); needs `state_dir`."""
    state_dir: Path | None = None
    """Where lanes are remembered and shared with other processes; None keeps everything in this process."""


class _Lane:
    def __init__(self, key: Key | None, window: int) -> None:
        self.key = key
        self.window = window
        self.in_flight = 0
        self.pause_until_ns = 0
        self.dead: ProviderError | None = None


class _Lease:
    def __init__(self, pool: _Pool, lane: _Lane, route: Route, admitted_ns: int) -> None:
        self._pool = pool
        self._lane = lane
        self.route = route
        self.admitted_ns = admitted_ns
        self._settled = False

    @property
    def key(self) -> str:
        return self._lane.key.secret if self._lane.key else ""

    @property
    def key_alias(self) -> KeyAlias | None:
        return self._lane.key.alias if self._lane.key else None

    def observe(self, headers: tuple[tuple[str, str], ...], at_ns: int) -> None:
        return None

    def settle(
        self, outcome: Outcome, at_ns: int, *, usage: Usage | None = None, error: ProviderError | None = None
    ) -> None:
        if self._settled:
            raise RuntimeError("this lease was settled before")
        self._settled = True
        self._lane.in_flight -= 1
        if outcome is Outcome.REFUSED:
            wait_s = (error.retry_after_s if error else None) or 0.5
            self._lane.pause_until_ns = max(self._lane.pause_until_ns, at_ns + round(wait_s * NS_PER_S))
        elif outcome is Outcome.KEY_DEAD and error is not None:
            self._lane.dead = error
        self._pool.pump()


class _Waiter:
    def __init__(self, pool: _Pool, ticket: Ticket) -> None:
        self.pool = pool
        self.ticket = ticket
        self.lease: _Lease | None = None
        self.error: Exception | None = None
        self.changed = asyncio.Event()
        self.cancelled = False
        self._told = False

    async def next(self) -> Lease | Queued:
        if self.lease is None and self.error is None and not self._told:
            self._told = True
            return self.pool.reason()
        remaining_s = (self.ticket.deadline_ns - self.pool.clock.monotonic_ns()) / NS_PER_S
        try:
            async with asyncio.timeout(max(0.0, remaining_s)):
                await self.changed.wait()
        except TimeoutError:
            self.cancel()
            message = "The request's time was over before it could be sent."
            raise TimedOut(message, kind=TimeoutKind.TOTAL, provider=self.ticket.route.provider) from None
        if self.error is not None:
            raise self.error
        assert self.lease is not None
        lease, self.lease = self.lease, None
        return lease

    def cancel(self) -> None:
        self.cancelled = True
        if self.lease is not None:
            lease, self.lease = self.lease, None
            lease.settle(Outcome.NEUTRAL, lease.admitted_ns)


class _Pool:
    def __init__(self, lanes: list[_Lane], clock: Clock) -> None:
        self.lanes = lanes
        self.clock = clock
        self.waiting: list[tuple[int, int, _Waiter]] = []
        self._timer: asyncio.TimerHandle | None = None

    def reason(self) -> Queued:
        now = self.clock.monotonic_ns()
        paused = [lane.pause_until_ns for lane in self.lanes if lane.pause_until_ns > now]
        if paused and len(paused) == len(self.lanes):
            return Queued(now, WaitReason.COOLING, min(paused), len(self.waiting) - 1)
        return Queued(now, WaitReason.WINDOW, None, len(self.waiting) - 1)

    def pump(self) -> None:
        while self.waiting:
            waiter = self.waiting[0][2]
            if waiter.cancelled:
                heapq.heappop(self.waiting)
                continue
            alive = [lane for lane in self.lanes if lane.dead is None]
            if not alive:
                waiter.error = self.lanes[0].dead
                heapq.heappop(self.waiting)
                waiter.changed.set()
                continue
            now = self.clock.monotonic_ns()
            ready = [lane for lane in alive if lane.in_flight < lane.window and lane.pause_until_ns <= now]
            if not ready:
                self._arm(min(lane.pause_until_ns for lane in alive), now)
                return
            lane = min(ready, key=lambda lane: lane.in_flight / lane.window)
            heapq.heappop(self.waiting)
            lane.in_flight += 1
            waiter.lease = _Lease(self, lane, waiter.ticket.route, now)
            waiter.changed.set()

    def _arm(self, until_ns: int, now_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if until_ns > now_ns:
            self._timer = asyncio.get_running_loop().call_later((until_ns - now_ns) / NS_PER_S, self.pump)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for _, _, waiter in self.waiting:
            waiter.error = EngineClosed("The engine was closed while this request was waiting.")
            waiter.changed.set()
        self.waiting.clear()


class Limiter:
    """Implements `Admission`. Belongs to one event loop."""

    def __init__(
        self,
        *,
        keys: Callable[[ProviderSpec], tuple[Key, ...]],
        clock: Clock | None = None,
        rng: Random | None = None,
        options: LimiterOptions | None = None,
    ) -> None:
        self._keys = keys
        self._clock = clock or SystemClock()
        self._rng = rng or Random()
        self._options = options or LimiterOptions()
        self._pools: dict[tuple[str, str, str], _Pool] = {}
        self._order = itertools.count()
        self._closed = False

    def enqueue(self, ticket: Ticket) -> Waiter:
        if self._closed:
            raise EngineClosed("The engine is closed.")
        pool = self._pool(ticket)
        waiter = _Waiter(pool, ticket)
        priority = Priority.RETRY if ticket.attempt > 1 and ticket.priority is Priority.BULK else ticket.priority
        heapq.heappush(pool.waiting, (priority, next(self._order), waiter))
        pool.pump()
        return waiter

    async def aclose(self) -> None:
        self._closed = True
        for pool in self._pools.values():
            pool.close()

    def _pool(self, ticket: Ticket) -> _Pool:
        route, spec = ticket.route, ticket.spec
        name = (route.provider, route.base_url, route.wire_model)
        if name not in self._pools:
            keys = self._keys(spec)
            if not keys and spec.needs_key:
                raise MissingKey(spec.name, spec.key_variables)
            lanes = [_Lane(key, self._options.max_window) for key in keys or (None,)]
            self._pools[name] = _Pool(lanes, self._clock)
        return self._pools[name]
