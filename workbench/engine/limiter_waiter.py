"""One request's place in the limiter's queue, and the lease that comes of it."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from workbench.core.clock import NS_PER_S
from workbench.core.errors import ProviderError, TimedOut, TimeoutKind, WorkbenchError
from workbench.core.events import Queued
from workbench.core.types import KeyAlias, Route, Usage
from workbench.engine.admission import Lease, Outcome, Ticket
from workbench.engine.keyring import Key
from workbench.engine.lane_group import WORTH_TELLING_S, PendingClaim
from workbench.engine.lane_queue import ClaimState

if TYPE_CHECKING:
    from workbench.engine.lane import Lane
    from workbench.engine.limiter import Limiter


class LimiterWaiter(PendingClaim):
    """A claim with a future, for one task to await."""

    __slots__ = ("_deadline", "_error", "_future", "_limiter", "_news", "_taken", "_told")

    def __init__(self, ticket: Ticket, limiter: Limiter) -> None:
        super().__init__(ticket)
        self._limiter = limiter
        self._future: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._error: WorkbenchError | None = None
        self._told: Queued | None = None
        self._news: Queued | None = None
        self._taken = False

    async def next(self) -> Lease | Queued:
        while True:
            if self._error is not None:
                raise self._error
            if self.state is ClaimState.GRANTED and not self._taken:
                self._taken = True
                return LimiterLease(self, self._limiter)
            if self._taken or self.state is ClaimState.GONE:
                raise RuntimeError("this waiter has given its lease, or was cancelled")
            if self._news is not None:
                news, self._told, self._news = self._news, self._news, None
                return news
            if self._told is None:
                self._told = self._limiter.queued(self)
                return self._told
            await self._changed()

    async def _changed(self) -> None:
        loop = asyncio.get_running_loop()
        if self._deadline is None:
            left_s = self.ticket.deadline_ns / NS_PER_S - self._limiter.now_s
            self._deadline = loop.call_later(max(0.0, left_s), self._expire)
        self._future = loop.create_future()
        try:
            await self._future
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            self._future = None

    def cancel(self) -> None:
        self._stop_deadline()
        if not self._taken and self.state is not ClaimState.GONE:
            self._limiter.withdraw(self)

    def granted(self) -> None:
        if self._deadline is not None:
            self._stop_deadline()
        if self._future is not None:
            self._wake()

    def failed(self, error: WorkbenchError) -> None:
        self._stop_deadline()
        self._error = error
        self._wake()

    def look_again(self) -> None:
        """Something changed for this group; wake up only if that is news for this request."""
        if self._told is None:
            return
        now = self._limiter.queued(self)
        if (now.reason, now.ahead, now.detail) != (self._told.reason, self._told.ahead, self._told.detail) or (
            _apart_s(now.until_ns, self._told.until_ns) > WORTH_TELLING_S
        ):
            self._news = now
            self._wake()

    def _expire(self) -> None:
        self._deadline = None
        reason = self._limiter.queued(self).reason
        self._limiter.withdraw(self)
        provider = self.ticket.route.provider
        self.failed(
            TimedOut(
                f"The request's time was over before {provider} could be asked ({reason}).",
                hint="Raise the deadline, or lower how much runs at once.",
                kind=TimeoutKind.TOTAL,
                provider=provider,
                model=self.ticket.route.wire_model,
            )
        )

    def _wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class LimiterLease:
    """One call's permission to be sent. Settled exactly once."""

    __slots__ = ("_limiter", "_waiter", "admitted_ns")

    def __init__(self, waiter: LimiterWaiter, limiter: Limiter) -> None:
        self._waiter = waiter
        self._limiter = limiter
        assert waiter.flight is not None
        self.admitted_ns = round(waiter.flight.sent_s * NS_PER_S)

    @property
    def route(self) -> Route:
        return self._waiter.ticket.route

    @property
    def key(self) -> str:
        key = self._key
        return key.secret if key is not None else ""

    @property
    def key_alias(self) -> KeyAlias | None:
        key = self._key
        return key.alias if key is not None else None

    @property
    def lane(self) -> str:
        return self._lane.name

    @property
    def limit(self) -> int | None:
        return self._lane.window.allowed

    @property
    def _lane(self) -> Lane:
        flight = self._waiter.flight
        assert flight is not None
        return flight.lane

    @property
    def _key(self) -> Key | None:
        flight = self._waiter.flight
        assert flight is not None
        return flight.key.key

    def observe(self, headers: tuple[tuple[str, str], ...], at_ns: int) -> None:
        self._limiter.observe(self._waiter, headers)

    def settle(
        self, outcome: Outcome, at_ns: int, *, usage: Usage | None = None, error: ProviderError | None = None
    ) -> None:
        self._limiter.settle(self._waiter, outcome, usage, error)

    def __repr__(self) -> str:
        return f"<Lease {self.route.provider} {self.key_alias}>"


def _apart_s(one_ns: int | None, other_ns: int | None) -> float:
    if one_ns is None or other_ns is None:
        return 0.0 if one_ns is other_ns else math.inf
    return abs(one_ns - other_ns) / NS_PER_S
