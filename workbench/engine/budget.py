"""A cap on money that pauses instead of failing: at the cap nothing more is sent until somebody raises it.

What is under way is counted at its expected price until its real one is known, so that thirty requests which start
together cannot each see the same last dollar. A request whose price is unknown costs nothing here, and is counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BudgetStats:
    limit_usd: float | None
    """None: no cap."""
    spent_usd: float
    reserved_usd: float
    """Expected cost of what is under way."""
    unpriced: int
    """Answers whose price is unknown and which are therefore not in `spent_usd`."""
    waiting: int

    @property
    def is_spent(self) -> bool:
        return self.limit_usd is not None and self.spent_usd >= self.limit_usd


class Reservation:
    """Room for one request. Settled once with what it cost, or released if it was never sent."""

    def __init__(self, budget: Budget, expected_usd: float) -> None:
        self._budget = budget
        self._expected_usd: float | None = expected_usd

    def settle(self, cost_usd: float | None) -> None:
        """None when the price is unknown. A second call changes nothing."""
        if self._expected_usd is not None:
            expected, self._expected_usd = self._expected_usd, None
            self._budget._settled(expected, cost_usd, sent=True)

    def release(self) -> None:
        if self._expected_usd is not None:
            expected, self._expected_usd = self._expected_usd, None
            self._budget._settled(expected, 0.0, sent=False)


class Budget:
    """Belongs to one event loop. First come, first served."""

    def __init__(self, limit_usd: float | None = None) -> None:
        _check(limit_usd)
        self._limit_usd = limit_usd
        self._spent_usd = self._reserved_usd = 0.0
        self._unpriced = 0
        self._waiting: deque[tuple[float, asyncio.Future[Reservation]]] = deque()
        self._change: asyncio.Future[None] | None = None

    def try_reserve(self, expected_usd: float) -> Reservation | None:
        """Room at once, or None when this one would go over the cap or others wait already."""
        if self._waiting or not self._fits(expected_usd):
            return None
        return self._take(expected_usd)

    async def reserve(self, expected_usd: float) -> Reservation:
        """Wait for room. Cancelling leaves the queue and gives back what may have been granted meanwhile."""
        if (at_once := self.try_reserve(expected_usd)) is not None:
            return at_once
        future: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        self._waiting.append((expected_usd, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                future.result().release()
            raise
        finally:
            self._waiting = deque(item for item in self._waiting if item[1] is not future)
            self._wake()

    async def changed(self) -> None:
        """Wait until something was settled or the cap was moved, for callers who decide themselves what to do then."""
        if self._change is None:
            self._change = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._change)

    def raise_to(self, limit_usd: float | None) -> None:
        """A new cap, in either direction; None takes it away."""
        _check(limit_usd)
        self._limit_usd = limit_usd
        self._wake()

    def statistics(self) -> BudgetStats:
        return BudgetStats(self._limit_usd, self._spent_usd, self._reserved_usd, self._unpriced, len(self._waiting))

    def _fits(self, expected_usd: float) -> bool:
        if self._limit_usd is None:
            return True
        if self._spent_usd >= self._limit_usd:
            return False
        # A request that is expected to cost more than all that is left may still go, alone: estimates are upper bounds.
        return self._reserved_usd == 0.0 or self._spent_usd + self._reserved_usd + expected_usd <= self._limit_usd

    def _take(self, expected_usd: float) -> Reservation:
        self._reserved_usd += expected_usd
        return Reservation(self, expected_usd)

    def _settled(self, expected_usd: float, cost_usd: float | None, *, sent: bool) -> None:
        # Sums of floats drift; what is reserved by nobody is exactly nothing.
        self._reserved_usd = max(0.0, self._reserved_usd - expected_usd)
        if self._reserved_usd < 1e-12:
            self._reserved_usd = 0.0
        self._spent_usd += cost_usd or 0.0
        self._unpriced += sent and cost_usd is None
        self._wake()

    def _wake(self) -> None:
        if self._change is not None:
            self._change.set_result(None)
            self._change = None
        while self._waiting and self._fits(self._waiting[0][0]):
            expected_usd, future = self._waiting.popleft()
            if not future.done():
                future.set_result(self._take(expected_usd))


def _check(limit_usd: float | None) -> None:
    if limit_usd is not None and not limit_usd >= 0:
        raise ValueError(f"a cap on money is zero or more, not {limit_usd!r}")
