"""Who goes next: interactive before retries before bulk, and within each a fair share of tokens per job.

Fair sharing is start-time fair queueing, the continuous form of a weighted deficit round-robin: each job carries the
tokens it has been served divided by its weight, and the one with the least goes first; a job that comes back from an
idle time starts level with the others and collects no arrears. A job at its own cap on calls in flight is set aside.
Cancelled claims are dropped when they reach the front, so a queue of 100,000 costs nothing per claim that waits in it.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from workbench.core.types import Priority
from workbench.engine.admission import Ticket

PATIENCE_S: Final = 10.0
PATIENCE_TURNS: Final = 9
"""A tier that waited this long *and* saw this many others go gets one turn: nobody starves, and nobody else notices."""


class ClaimState(Enum):
    WAITING = 0
    GRANTED = 1
    GONE = 2
    """Cancelled or failed."""


class Claim:
    """A request in the queue. Subclasses say what happens when it is granted or fails."""

    __slots__ = ("job", "parked", "place", "since_s", "state", "ticket", "tier")

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self.state = ClaimState.WAITING
        self.tier = Priority.RETRY if ticket.attempt > 1 and ticket.priority is Priority.BULK else ticket.priority
        self.job: JobQueue | None = None
        self.place = 0
        self.since_s = 0.0
        self.parked = False


class JobQueue:
    """The waiting requests of one job within one tier."""

    __slots__ = ("_first_place", "_next_place", "capped", "claims", "name", "ready", "served", "weight")

    def __init__(self, name: str, weight: float) -> None:
        self.name = name
        self.weight = weight
        self.claims: deque[Claim] = deque()
        self.served = 0.0
        """Tokens served, divided by the weight."""
        self.ready = False
        """Has an entry in its tier's heap."""
        self.capped = False
        self._next_place = 0
        self._first_place = 0

    def push(self, claim: Claim, *, front: bool) -> None:
        if front:
            self._first_place -= 1
            claim.place = self._first_place
            self.claims.appendleft(claim)
        else:
            claim.place = self._next_place
            self._next_place += 1
            self.claims.append(claim)

    def head(self) -> Claim | None:
        claims = self.claims
        while claims and claims[0].state is not ClaimState.WAITING:
            self._first_place = claims.popleft().place + 1
        return claims[0] if claims else None

    def pop(self) -> Claim:
        claim = self.claims.popleft()
        self._first_place = claim.place + 1
        return claim

    def before(self, claim: Claim) -> int:
        """Claims in front of this one, those cancelled meanwhile included."""
        return max(0, claim.place - self._first_place)


class _Tier:
    __slots__ = ("_order", "_virtual", "heap", "jobs", "passed_over", "waiting", "waiting_since_s")

    def __init__(self) -> None:
        self.jobs: dict[str, JobQueue] = {}
        self.heap: list[tuple[float, int, JobQueue]] = []
        self.waiting = 0
        self.waiting_since_s = 0.0
        self.passed_over = 0
        self._virtual = 0.0
        self._order = itertools.count()

    def push(self, claim: Claim, weight: float, *, front: bool) -> None:
        name = claim.ticket.job
        job = self.jobs.get(name)
        if job is None:
            job = self.jobs[name] = JobQueue(name, weight)
        claim.job = job
        job.push(claim, front=front)
        self.waiting += 1
        self.make_ready(job)

    def make_ready(self, job: JobQueue) -> None:
        if not job.ready and not job.capped:
            job.ready = True
            job.served = max(job.served, self._virtual)
            heapq.heappush(self.heap, (job.served, next(self._order), job))

    def head(self, in_flight: dict[str, int]) -> Claim | None:
        """The claim whose turn it is. Jobs that are empty or at their cap leave the heap on the way."""
        heap = self.heap
        while heap:
            job = heap[0][2]
            claim = job.head()
            if claim is None:
                heapq.heappop(heap)
                job.ready = False
                if not job.capped:
                    self.jobs.pop(job.name, None)
                continue
            cap = claim.ticket.max_in_flight
            if cap is not None and in_flight.get(job.name, 0) >= max(1, cap):
                heapq.heappop(heap)
                job.ready, job.capped = False, True
                continue
            return claim
        return None

    def pop(self) -> Claim:
        """Take the head of the job at the top of the heap, which `head` has just returned."""
        served, order, job = self.heap[0]
        claim = job.pop()
        self.waiting -= 1
        self._virtual = served
        cost = claim.ticket.cost
        job.served = served + (cost.input + cost.max_output + 1) / job.weight
        heapq.heapreplace(self.heap, (job.served, order, job))
        return claim


class FairQueue:
    """All that waits for one group of lanes."""

    __slots__ = ("_tiers", "_weights", "in_flight", "size")

    def __init__(self) -> None:
        self.size = 0
        """Claims that wait in here."""
        self._tiers: Sequence[_Tier] = (_Tier(), _Tier(), _Tier())
        self._weights: dict[str, float] = {}
        self.in_flight: dict[str, int] = {}
        """Calls in flight per job, for jobs with a cap of their own."""

    def waiting(self, priority: Priority) -> int:
        return self._tiers[priority].waiting

    def weigh(self, job: str, weight: float) -> None:
        """Give a job that many times the share of one of weight 1."""
        if not 0 < weight < float("inf"):
            raise ValueError(f"a job's weight must be positive, not {weight!r}")
        self._weights[job] = weight
        for tier in self._tiers:
            if job in tier.jobs:
                tier.jobs[job].weight = weight

    def push(self, claim: Claim, now_s: float) -> None:
        """Queue a claim; one that has been tried before goes to the front of its job."""
        tier = self._tiers[claim.tier]
        if tier.waiting == 0:
            tier.waiting_since_s, tier.passed_over = now_s, 0
        claim.since_s = now_s
        self.size += 1
        tier.push(claim, self._weights.get(claim.ticket.job, 1.0), front=claim.ticket.attempt > 1)

    def withdrawn(self, claim: Claim) -> None:
        """A claim in here is gone; its place is cleared when it comes to the front."""
        claim.state = ClaimState.GONE
        if not claim.parked:
            self._tiers[claim.tier].waiting -= 1
            self.size -= 1

    def peek(self, now_s: float) -> tuple[Claim, bool] | None:
        """Whose turn it is, and whether it may use what is kept for interactive work (aged claims may)."""
        first: Claim | None = None
        for tier in self._tiers:
            if tier.waiting <= 0:
                continue
            if first is None:
                first = tier.head(self.in_flight)
            elif now_s - tier.waiting_since_s > PATIENCE_S and tier.passed_over >= PATIENCE_TURNS:
                aged = tier.head(self.in_flight)
                if aged is not None:
                    return aged, True
        return None if first is None else (first, first.tier is Priority.INTERACTIVE)

    def pop(self, claim: Claim, now_s: float) -> None:
        """Take out the claim that `peek` returned."""
        tier = self._tiers[claim.tier]
        popped = tier.pop()
        self.size -= 1
        assert popped is claim, "only the claim whose turn it is can be taken"
        tier.waiting_since_s, tier.passed_over = now_s, 0
        for other in self._tiers:
            if other is not tier:
                other.passed_over += 1

    def count_sent(self, ticket: Ticket) -> None:
        if ticket.max_in_flight is not None:
            name = ticket.job
            self.in_flight[name] = self.in_flight.get(name, 0) + 1

    def count_ended(self, ticket: Ticket) -> None:
        if ticket.max_in_flight is None:
            return
        left = self.in_flight.get(ticket.job, 0) - 1
        if left > 0:
            self.in_flight[ticket.job] = left
        else:
            self.in_flight.pop(ticket.job, None)
        for tier in self._tiers:
            job = tier.jobs.get(ticket.job)
            if job is not None and job.capped:
                job.capped = False
                tier.make_ready(job)

    def ahead_of(self, claim: Claim) -> int:
        """Requests before this one: those of tiers above it, and of its own job. Other jobs take turns with it."""
        above = sum(tier.waiting for tier in self._tiers[: claim.tier])
        return above + (claim.job.before(claim) if claim.job is not None else 0)

    def outranked(self, claim: Claim) -> bool:
        """Somebody of a higher tier goes first."""
        return any(tier.waiting > 0 for tier in self._tiers[: claim.tier])

    def front(self, count: int) -> Iterator[Claim]:
        """Up to `count` claims that are next in line, roughly in order."""
        for tier in self._tiers:
            for job in list(tier.jobs.values()):
                for claim in itertools.islice(job.claims, count):
                    if claim.state is ClaimState.WAITING:
                        count -= 1
                        yield claim
                    if count <= 0:
                        return

    def drain(self) -> list[Claim]:
        """Take out everything, in order of tiers."""
        drained = [
            claim
            for tier in self._tiers
            for job in tier.jobs.values()
            for claim in job.claims
            if claim.state is ClaimState.WAITING
        ]
        self._tiers = (_Tier(), _Tier(), _Tier())
        self.size = 0
        return drained
