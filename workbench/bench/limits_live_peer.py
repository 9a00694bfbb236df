"""The other policies behind the engine's own admission seam, so that `--live` sends their requests the same way."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from workbench.bench.limits_policies import Windowed
from workbench.core.clock import NS_PER_S, Clock, SystemClock
from workbench.core.errors import EngineClosed, ProviderError, RateLimited, WorkbenchError
from workbench.core.events import Queued, WaitReason
from workbench.core.types import KeyAlias, Usage
from workbench.engine.admission import Lease, Outcome, Ticket, Waiter
from workbench.engine.keyring import Key
from workbench.simulator.quota import Dimension, Refusal


@dataclass(slots=True)
class _Time:
    """What the policies ask a world for."""

    clock: Clock
    start_ns: int

    @property
    def now_s(self) -> float:
        return (self.clock.monotonic_ns() - self.start_ns) / NS_PER_S


class PeerAdmission:
    """A window and a back-off, keys in turn. The attempts of a request all come from one task, by which it is known."""

    def __init__(self, policy: Windowed, keys: Sequence[Key], clock: Clock | None = None) -> None:
        self._policy = policy
        self._keys = keys
        self._clock = clock or SystemClock()
        policy.time = _Time(self._clock, self._clock.monotonic_ns())
        self._waiting: deque[_PeerWaiter] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._turn_is_due = False
        self._refusals: WeakKeyDictionary[asyncio.Task[Any], Refusal] = WeakKeyDictionary()
        """The last refusal of each request that is about to try again."""
        self._turn = 0

    def enqueue(self, ticket: Ticket) -> Waiter:
        waiter = _PeerWaiter(self, ticket)
        refusal = self._refusals.pop(_request(), None)
        if refusal is None:
            self._waiting.append(waiter)
            self.pump()
        elif self._is_last(ticket.attempt - 1):
            waiter.fail(RateLimited(f"Refused {ticket.attempt - 1} times."))
        else:
            waiter.has_place = self._policy.holds_while_waiting
            self._later(self._policy.delay_s(refusal, ticket.attempt - 1), lambda: self._again(waiter))
        return waiter

    async def aclose(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for waiter in self._waiting:
            waiter.fail(EngineClosed("The engine was closed while this request was waiting."))
        self._waiting.clear()

    def pump(self) -> None:
        policy = self._policy
        while self._waiting and policy.in_flight < policy.window():
            delay_s = policy.send_delay_s()
            if delay_s > 0:
                if not self._turn_is_due:
                    self._turn_is_due = True
                    self._later(delay_s, self._take_turn)
                return
            waiter = self._waiting.popleft()
            if not waiter.gone:
                policy.in_flight += 1
                self._send(waiter)

    def ended(self, outcome: Outcome, attempt: int, error: ProviderError | None) -> None:
        if outcome is Outcome.REFUSED:
            refusal = self._refusals[_request()] = _heard(error)
            self._policy.refused(refusal)
        elif outcome is Outcome.SUCCESS:
            self._policy.succeeded()
        if outcome is not Outcome.REFUSED or not self._policy.holds_while_waiting or self._is_last(attempt):
            self.give_up_place()

    def give_up_place(self) -> None:
        self._policy.in_flight -= 1
        self.pump()

    def now_ns(self) -> int:
        return self._clock.monotonic_ns()

    def _is_last(self, attempt: int) -> bool:
        return self._policy.tries is not None and attempt >= self._policy.tries

    def _again(self, waiter: _PeerWaiter) -> None:
        if waiter.gone:
            return
        if waiter.has_place:
            self._send(waiter)
        else:
            self._waiting.appendleft(waiter)
            self.pump()

    def _take_turn(self) -> None:
        self._turn_is_due = False
        self.pump()

    def _send(self, waiter: _PeerWaiter) -> None:
        self._policy.sent()
        self._turn += 1
        waiter.grant(self._keys[self._turn % len(self._keys)], self._clock.monotonic_ns())

    def _later(self, delay_s: float, then: Callable[[], None]) -> None:
        def come_back() -> None:
            self._timers.discard(timer)
            then()

        timer = asyncio.get_running_loop().call_later(delay_s, come_back)
        self._timers.add(timer)


def _request() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "requests are made by tasks"
    return task


class _PeerWaiter:
    def __init__(self, admission: PeerAdmission, ticket: Ticket) -> None:
        self.gone = False
        self.has_place = False
        """Its place in the window was kept while it backed off."""
        self._admission = admission
        self._ticket = ticket
        self._told = False
        self._ready = asyncio.Event()
        self._lease: _PeerLease | None = None
        self._error: WorkbenchError | None = None

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
        if self.gone:
            return
        self.gone = True
        if self.has_place or self._lease is not None:
            self._admission.give_up_place()

    def grant(self, key: Key, now_ns: int) -> None:
        self._lease = _PeerLease(self._admission, self._ticket, key, now_ns)
        self._ready.set()

    def fail(self, error: WorkbenchError) -> None:
        self._error = error
        self._ready.set()


class _PeerLease:
    def __init__(self, admission: PeerAdmission, ticket: Ticket, key: Key, admitted_ns: int) -> None:
        self._admission = admission
        self._attempt = ticket.attempt
        self._key = key
        self.route = ticket.route
        self.lane = ""
        self.limit = None
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
        self._admission.ended(outcome, self._attempt, error)


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
