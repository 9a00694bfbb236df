"""What waits for one family of models at one provider: its claims, its lanes, and why the next one cannot go."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Protocol

from workbench.core.errors import LimitKind, RequestTooLarge, WorkbenchError
from workbench.core.events import WaitReason
from workbench.engine.admission import Ticket
from workbench.engine.lane import Lane
from workbench.engine.lane_queue import Claim, FairQueue
from workbench.engine.lane_suspects import Suspects
from workbench.engine.lane_values import Flight
from workbench.providers.base import ProviderSpec

WORTH_TELLING_S: Final = 0.25
"""An estimate that has moved by more than this is news."""


class Slot(Protocol):
    """A call in flight that other processes count too."""

    def release(self) -> None: ...


class Slots(Protocol):
    """The cap of one provider over all processes."""

    @property
    def retry_s(self) -> float:
        """After how many seconds to ask again when there was none."""

    def acquire(self) -> Slot | None:
        """A free slot, or None. Never waits."""

    def idle(self) -> None:
        """Nothing waits for a slot any more."""


class PendingClaim(Claim):
    """A claim that knows its group, and whose owner is told what becomes of it."""

    __slots__ = ("flight", "group", "slot")

    def __init__(self, ticket: Ticket) -> None:
        super().__init__(ticket)
        self.group: Group | None = None
        self.flight: Flight | None = None
        self.slot: Slot | None = None

    def granted(self) -> None:
        """`flight` says over which lane and with which key."""
        raise NotImplementedError

    def failed(self, error: WorkbenchError) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why the request whose turn it is cannot go."""

    reason: WaitReason
    until_s: float | None = None
    """None while that depends on other calls ending."""
    detail: str = ""

    def differs_from(self, other: Blocked | None) -> bool:
        """Enough to be worth telling a person."""
        if other is None or self.reason is not other.reason:
            return True
        if self.until_s is None or other.until_s is None:
            return self.until_s is not other.until_s
        return abs(self.until_s - other.until_s) > WORTH_TELLING_S


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one request stands."""

    reason: WaitReason
    until_s: float | None
    ahead: int
    detail: str


GroupName = tuple[str, str, str]
"""Provider, base URL, model family."""


@dataclass(slots=True, eq=False)
class Group:
    name: GroupName
    spec: ProviderSpec
    lanes: list[Lane]
    slots: Slots | None
    queue: FairQueue = field(default_factory=FairQueue)
    suspects: Suspects = field(default_factory=Suspects)
    parked: list[tuple[float, int, PendingClaim]] = field(default_factory=list)
    """A heap of requests that sit out a while, by the time at which they come back."""
    wake_s: float = math.inf
    blocked: Blocked | None = None
    """Why the next one cannot go; None when nothing waits."""
    told: Blocked | None = None
    """What those who wait were last told."""
    sent_s: float = 0.0
    interval_s: float | None = None
    """Seconds from one send to the next, while requests wait; a mean that follows."""

    def open_to(self, claim: PendingClaim, now_s: float) -> list[Lane]:
        """The lanes that this request may go over. One that it is too large for is left out while there are others;
        none at all means that no key is left."""
        usable = [lane for lane in self.lanes if lane.usable]
        roomy = [lane for lane in usable if not self._outgrown(claim, lane, now_s)]
        if not self.suspects.seen:
            return roomy or usable
        return [lane for lane in roomy if not self.suspects.avoids(claim.ticket, lane)] or roomy or usable

    def _outgrown(self, claim: PendingClaim, lane: Lane, now_s: float) -> bool:
        """Whether it is larger than what this lane allows, as was stated or found out."""
        if lane.meters.too_large(lane.meters.price(claim.ticket.cost, claim.ticket.job)) is not None:
            return True
        return bool(self.suspects.seen) and self.suspects.too_large(claim.ticket, lane, now_s)

    def hopeless(self, claim: PendingClaim, now_s: float) -> WorkbenchError | None:
        """Why this request can never go, by name; None if it can."""
        usable = [lane for lane in self.lanes if lane.usable]
        if not usable or not all(self._outgrown(claim, lane, now_s) for lane in usable):
            return None
        lane = usable[-1]
        costs = lane.meters.price(claim.ticket.cost, claim.ticket.job)
        bucket = lane.meters.too_large(costs)
        if bucket is None:
            return RequestTooLarge(
                f"{self.spec.name} refused this request {claim.ticket.attempt - 1} times while smaller ones passed, "
                "even when nothing else was asked of it: it is larger than this key's per-minute limit.",
                hint="Shorten the prompt or lower max_tokens.",
                provider=self.spec.name,
            )
        assert bucket.limit is not None
        return RequestTooLarge(
            f"The request needs {costs[bucket.index]:,.0f} {bucket.kind}, "
            f"but {lane.name} allows {bucket.limit:,.0f} {bucket.per}.",
            hint="Shorten the prompt or lower max_tokens.",
            provider=self.spec.name,
        )

    def rest_s(self, claim: PendingClaim) -> float:
        """For how long a request that has been refused should let others go first; 0.0 if it need not."""
        if claim.ticket.attempt == 1:
            return 0.0
        # Keys may turn out to share an account: then the pause of one lane says nothing to the others.
        others = self.queue.size + len(self.parked) > 0 or len(self.lanes) > 1
        return self.suspects.rest_s(claim.ticket, others=others)

    def trial_s(self, claim: PendingClaim, now_s: float) -> float | None:
        """When to look again whether a request that has rested may go; None if it may now."""
        lanes = [lane for lane in self.lanes if lane.usable and not self._outgrown(claim, lane, now_s)]
        return self.suspects.trial_s(claim.ticket, lanes, now_s) if lanes else None

    def quiet_s(self, claim: PendingClaim, lane: Lane, now_s: float) -> float:
        """Seconds for which a lane is kept quiet for another request."""
        wait_s = self.suspects.quiet_s(claim.ticket, lane, now_s)
        if wait_s:
            lane.why = WaitReason.TOKENS
        return wait_s

    def _allowed_interval_s(self, reason: WaitReason) -> float:
        """From one send to the next, as a limit on requests lets them go; 0 where it is not what is waited for."""
        if reason not in (WaitReason.REQUESTS, WaitReason.COOLING):
            return 0.0
        rates = [lane.buckets[LimitKind.REQUESTS].rate for lane in self.lanes if lane.usable]
        known = [rate for rate in rates if rate]
        return 1 / sum(known) if known and len(known) == len(rates) else 0.0

    def standing(self, claim: PendingClaim, now_s: float) -> Standing:
        """Why this request waits, how many are before it, and when it should go at the present speed."""
        if claim.parked:
            until_s = next((until for until, _, parked in self.parked if parked is claim), None)
            return Standing(WaitReason.BACKOFF, until_s, 0, "refused repeatedly: others go first")
        ahead = self.queue.ahead_of(claim)
        blocked = self.blocked or Blocked(WaitReason.WINDOW)
        until_s = blocked.until_s
        # What was seen may be a burst of what had been saved up, or nothing yet.
        interval_s = max(self.interval_s or 0.0, self._allowed_interval_s(blocked.reason))
        if ahead and interval_s:
            until_s = max(until_s or now_s, self.sent_s) + ahead * interval_s
        elif ahead:
            until_s = None
        if self.queue.outranked(claim):
            return Standing(WaitReason.PRIORITY, until_s, ahead, blocked.detail)
        return Standing(blocked.reason, until_s, ahead, blocked.detail)
