"""The other policies behind the engine's own admission seam, so that `--live` sends their requests the same way."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.bench.limits_policies import Windowed
from workbench.core.clock import NS_PER_S, SystemClock
from workbench.core.errors import EngineClosed, ProviderError, RateLimited, WorkbenchError
from workbench.core.events import Queued, WaitReason
from workbench.core.types import KeyAlias, Route, Usage
from workbench.engine.admission import Lease, Outcome, Ticket, Waiter
from workbench.engine.keyring import Key
from workbench.simulator.quota import Dimension, Refusal


@dataclass(slots=True)
class _Time:
    """What the policies ask a world for."""

    clock: SystemClock

    @property
    def now_s(self) -> float:
        return self.clock.monotonic_ns() / NS_PER_S


class PeerAdmission:
    """A window and a back-off, keys in turn."""

    def __init__(self, policy: Windowed, keys: Sequence[Key]) -> None:
        self._policy = policy
        self._keys = keys
        self._clock = SystemClock()
        policy.time = _Time(self._clock)
        self._waiting: deque[_PeerWaiter] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._turn = 0

    def enqueue(self, ticket: Ticket) -> Waiter:
        waiter = _PeerWaiter(self, ticket)
        if self._policy.tries is not None and ticket.attempt > self._policy.tries:
            waiter.fail(RateLimited(f"Refused {self._policy.tries} times."))
        elif ticket.attempt > 1:
            self._later(waiter.pause_s(), waiter)
        else:
            self._waiting.append(waiter)
            self.pump()
        return waiter

    async def aclose(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for waiter in self._waiting:
            waiter.fail(EngineClosed("The engine was closed while this request was waiting."))
        self._waiting.clear()

    def pause_s(self, attempt: int, error: ProviderError | None) -> float:
        return self._policy.delay_s(_heard(error), attempt)

    def pump(self) -> None:
        policy = self._policy
        while self._waiting and policy.in_flight < policy.window():
            delay_s = policy.send_delay_s()
            if delay_s > 0:
                self._later(delay_s, None)
                return
            waiter = self._waiting.popleft()
            if waiter.gone:
                continue
            policy.in_flight += 1
            policy.sent()
            self._turn += 1
            waiter.grant(self._keys[self._turn % len(self._keys)], self._clock.monotonic_ns())

    def ended(self, outcome: Outcome, error: ProviderError | None) -> None:
        self._policy.in_flight -= 1
        if outcome is Outcome.REFUSED:
            self._policy.refused(_heard(error))
        elif outcome is Outcome.SUCCESS:
            self._policy.succeeded()
        self.pump()

    def _later(self, delay_s: float, waiter: _PeerWaiter | None) -> None:
        def come_back() -> None:
            self._timers.discard(timer)
            if waiter is not None:
                self._waiting.appendleft(waiter)
            self.pump()

        timer = asyncio.get_running_loop().call_later(delay_s, come_back)
        self._timers.add(timer)

    def now_ns(self) -> int:
        return self._clock.monotonic_ns()


class _PeerWaiter:
    def __init__(self, admission: PeerAdmission, ticket: Ticket) -> None:
        self.gone = False
        self._admission = admission
        self._ticket = ticket
        self._told = False
        self._ready = asyncio.Event()
        self._lease: _PeerLease | None = None
        self._error: WorkbenchError | None = None

    def pause_s(self) -> float:
        return self._admission.pause_s(self._ticket.attempt - 1, None)

    async def next(self) -> Lease | Queued:
        if not self._ready.is_set() and not self._told:
            self._told = True
            return Queued(self._admission.now_ns(), WaitReason.WINDOW)
        await self._ready.wait()
        if self._error is not None:
            raise self._error
        assert self._lease is not None
        return self._lease

    def cancel(self) -> None:
        self.gone = True

    def grant(self, key: Key, now_ns: int) -> None:
        self._lease = _PeerLease(self._admission, self._ticket.route, key, now_ns)
        self._ready.set()

    def fail(self, error: WorkbenchError) -> None:
        self._error = error
        self._ready.set()


class _PeerLease:
    def __init__(self, admission: PeerAdmission, route: Route, key: Key, admitted_ns: int) -> None:
        self._admission = admission
        self._key = key
        self.route = route
        self.admitted_ns = admitted_ns

    @property
    def key(self) -> str:
        return self._key.secret

    @property
    def key_alias(self) -> KeyAlias | None:
        return self._key.alias

    def observe(self, headers: tuple[tuple[str, str], ...], at_ns: int) -> None:
        return None

    def settle(
        self, outcome: Outcome, at_ns: int, *, usage: Usage | None = None, error: ProviderError | None = None
    ) -> None:
        self._admission.ended(outcome, error)


def _heard(error: ProviderError | None) -> Refusal:
    """A refusal as the policies know it: they look at the wait that it asks for, and at nothing else."""
    hint_s = error.retry_after_s if error is not None else None
    return Refusal(
        kind=Dimension.REQUESTS,
        limit=math.nan,
        requested=1,
        remaining=0,
        wait_s=math.nan,
        retry_after_s=math.ceil(hint_s) if hint_s is not None else None,
        too_large=False,
        named=False,
    )
