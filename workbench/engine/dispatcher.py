"""Which request goes next, over which lane: the limiter without its event loop.

Requests for one family of models at one provider form a *group*: one queue, and one lane per account. A request takes
the lane that can send it earliest, and of several such the emptiest. Everything here is synchronous and takes `now_s`:
a claim is told of its fate by a method call, and `wake_s` says when to look again. So a test or a benchmark runs a day
in seconds, and the asyncio shell in `limiter.py` is thin.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Final, Literal, assert_never

from workbench.core.errors import (
    LimitKind,
    ProviderError,
    RateLimited,
    WorkbenchError,
)
from workbench.core.events import WaitReason
from workbench.core.types import Priority, Usage
from workbench.engine.admission import Outcome, Ticket
from workbench.engine.admitted_log import Costs
from workbench.engine.group_board import GroupBoard
from workbench.engine.lane import Lane
from workbench.engine.lane_board import LaneBoard, nothing_usable
from workbench.engine.lane_group import Blocked, Group, GroupName, PendingClaim, Slots
from workbench.engine.lane_queue import ClaimState
from workbench.engine.lane_values import Flight
from workbench.engine.limit_headers import Headers, Reading, layout_of
from workbench.engine.limit_refusals import hint_of, readings_of

INTERACTIVE_SHARE: Final = 0.1
"""Part of every limit that bulk work leaves alone while a person is at the screen."""
ATTENTION_S: Final = 120.0
"""An interactive request means that somebody will be there for this long."""
SHORTEST_WAIT_S: Final = 0.001
"""A timer is never set to less, or rounding could have the loop run round and round for one request."""
ONE_BY_ONE: Final = nullcontext()
"""Of several lanes the books are opened one after the other; those of one, as of most groups, once for all it takes."""
TIMER_ERROR_S: Final = 0.0001
"""A timer that goes off this much too early is on time; else it would be set again for nothing, over and over."""

Setback = Literal[Outcome.REFUSED, Outcome.OVERLOADED, Outcome.KEY_DEAD, Outcome.NEUTRAL]


class Dispatcher:
    def __init__(
        self,
        board: LaneBoard,
        *,
        family: Callable[[Ticket], str],
        wall_s: Callable[[], float],
        slots: Callable[[str], Slots | None] = lambda provider: None,
        blocked: Callable[[Group], None] = lambda group: None,
    ) -> None:
        self.board = board
        self._group_board = GroupBoard(board, family, slots)
        self.groups: Mapping[GroupName, Group] = self._group_board.groups
        self.wake_s = math.inf
        """When to call `pump_due`, or earlier; infinity while only the end of a call can change anything."""
        self.person_present = False
        """Somebody said that a person is at the screen; interactive requests say so by themselves for two minutes."""
        self._wall_s = wall_s
        self._blocked = blocked
        self._attended_until_s = -math.inf
        self._order = itertools.count()

    # -- the life of a claim --------------------------------------------------------------------------------------

    def enqueue(self, claim: PendingClaim, now_s: float) -> None:
        """Queue a claim and send what can go. It may have been granted, or have failed, when this returns."""
        try:
            group = self._group_board.of(claim.ticket)
        except WorkbenchError as error:
            self._fail(claim, error)
            return
        claim.group, claim.since_s = group, now_s
        if claim.tier is Priority.INTERACTIVE:
            self._attended_until_s = now_s + ATTENTION_S
        if self._goes_at_once(group, claim, now_s):
            claim.granted()
            return
        if (hopeless := group.hopeless(claim, now_s)) is not None:
            self._fail(claim, hopeless)
            return
        rest_s = group.rest_s(claim)
        if rest_s:
            self._park(group, claim, now_s + rest_s)
        else:
            group.queue.push(claim, now_s)
        self.pump(group, now_s)

    def withdraw(self, claim: PendingClaim, now_s: float) -> None:
        """The owner lost interest. A grant that was never used is given back whole."""
        state, claim.state = claim.state, ClaimState.GONE
        if state is ClaimState.GRANTED:
            flight = self._land(claim)
            if flight is not None:
                lane = flight.lane
                with lane.books:
                    lane.unsent(now_s, flight)
                assert claim.group is not None
                self._go_on(claim.group, lane, now_s)
        elif state is ClaimState.WAITING and claim.group is not None:
            claim.group.queue.withdrawn(claim)
            claim.group.suspects.over(claim.ticket)
            self.pump(claim.group, now_s)

    def observe(self, claim: PendingClaim, headers: Headers, now_s: float) -> None:
        """A success has begun: its headers are there."""
        group, flight = claim.group, claim.flight
        assert group is not None
        assert flight is not None
        lane = flight.lane
        readings: tuple[Reading, ...] = ()
        if lane.news_due(now_s):
            layout = layout_of(headers)
            lane.counters.heard(layout.excerpt(headers), now_s)
            readings = layout.readings(headers, self._wall_s())
        if group.suspects.seen and not flight.heard:
            group.suspects.accepted(claim.ticket, flight, now_s)
        flight.heard = True
        with lane.books:
            lane.accepted(now_s, flight, readings)
        if readings:
            self._group_board.look_for_twins(group, now_s)
            self._go_on(group, flight.lane, now_s)

    def settle(
        self,
        claim: PendingClaim,
        outcome: Outcome,
        now_s: float,
        *,
        usage: Usage | None = None,
        error: ProviderError | None = None,
    ) -> None:
        """The call is over: learn from it, and send what its end has made room for.

        Raises RuntimeError when it was settled before.
        """
        group, flight = claim.group, self._land(claim)
        if group is None or flight is None:
            raise RuntimeError("this lease was settled before")
        lane = flight.lane
        if error is not None:
            lane.counters.failed(error, now_s)
        with lane.books:
            if outcome is Outcome.SUCCESS:
                if group.suspects.seen and not flight.heard:
                    group.suspects.accepted(claim.ticket, flight, now_s)
                lane.succeeded(now_s, flight, usage)
            else:
                self._take_back(group, lane, claim, flight, outcome, now_s, usage, error)
        if outcome is Outcome.KEY_DEAD:
            self.board.retire(flight.key, lane, error, now_s)
            for other in self.groups.values():
                self.pump(other, now_s)
        self._go_on(group, lane, now_s)

    def _take_back(
        self,
        group: Group,
        lane: Lane,
        claim: PendingClaim,
        flight: Flight,
        outcome: Setback,
        now_s: float,
        usage: Usage | None,
        error: ProviderError | None,
    ) -> None:
        kind = error.limit if isinstance(error, RateLimited) else LimitKind.UNKNOWN
        match outcome:
            case Outcome.REFUSED if group.suspects.refused(claim.ticket, flight, now_s, kind):
                lane.unsent(now_s, flight)  # smaller ones pass: its size was refused, not our rate
            case Outcome.REFUSED:
                lane.refused(now_s, flight, kind, hint_of(error), readings_of(error, self._wall_s()))
            case Outcome.OVERLOADED:
                lane.overloaded(now_s, flight, hint_of(error))
            case Outcome.KEY_DEAD:
                lane.unsent(now_s, flight)
            case Outcome.NEUTRAL:
                lane.ended(now_s, flight, usage)
            case _:
                assert_never(outcome)

    def _land(self, claim: PendingClaim) -> Flight | None:
        """Give back the claim's places; None if that has been done before."""
        flight = claim.flight
        if claim.group is None or flight is None or flight.settled:
            return None
        flight.settled = True
        if claim.ticket.max_in_flight is not None:
            claim.group.queue.count_ended(claim.ticket)
        if claim.slot is not None:
            self._return_slot(claim)
        return flight

    # -- sending --------------------------------------------------------------------------------------------------

    def _goes_at_once(self, group: Group, claim: PendingClaim, now_s: float) -> bool:
        """Send a claim that need not queue, since nothing else waits here. It goes as it would have from the queue, at
        half the cost; whatever is out of the ordinary takes that way."""
        ticket = claim.ticket
        if group.queue.size or group.parked or group.slots is not None:
            return False
        if ticket.attempt > 1 or ticket.max_in_flight is not None:
            return False
        reserve = 0.0 if claim.tier is Priority.INTERACTIVE else self._reserve(now_s)
        with group.lanes[0].books if len(group.lanes) == 1 else ONE_BY_ONE:
            best, wait_s = self._best_lane(group, claim, now_s, reserve)
            if best is None or wait_s > 0:
                return False
            lane, costs = best
            return lane.meters.too_large(costs) is None and self._send(group, lane, claim, costs, now_s, reserve)

    def pump_due(self, now_s: float) -> None:
        for group in list(self.groups.values()):
            if group.wake_s <= now_s + TIMER_ERROR_S:
                self.pump(group, now_s)
        self.wake_s = min((group.wake_s for group in self.groups.values()), default=math.inf)

    def pump(self, group: Group, now_s: float) -> None:
        """Send everything that may go now; note why the next one may not."""
        group.blocked, group.wake_s = None, math.inf
        if not group.queue.size and not group.parked:
            if group.slots is not None and not self._waiting_for(group.slots):
                group.slots.idle()
            return
        if group.parked:
            self._unpark(group, now_s)
        while (turn := group.queue.peek(now_s)) is not None:
            claim, privileged = turn
            assert isinstance(claim, PendingClaim)
            reserve = 0.0 if privileged else self._reserve(now_s)
            with group.lanes[0].books if len(group.lanes) == 1 else ONE_BY_ONE:
                may_go_on = self._take_turn(group, claim, now_s, reserve)
            if claim.state is ClaimState.GRANTED:
                claim.granted()
            if not may_go_on:
                return
        if group.queue.size:
            self._block(group, Blocked(WaitReason.WINDOW, detail="the job's own cap on calls at once"), math.inf)

    def _take_turn(self, group: Group, claim: PendingClaim, now_s: float, reserve: float) -> bool:
        """Send this claim, fail it, or note what it waits for; False if those behind it must wait as well."""
        best, wait_s = self._best_lane(group, claim, now_s, reserve)
        if best is None:
            self._fail_all(group)
            return False
        lane, costs = best
        if wait_s > 0:
            if (hopeless := group.hopeless(claim, now_s)) is not None:
                group.queue.withdrawn(claim)
                self._fail(claim, hopeless)
                return True
            until_s = now_s + max(wait_s, SHORTEST_WAIT_S)
            until = until_s if math.isfinite(until_s) else None
            if lane.shared:
                until_s = min(until_s, now_s + lane.look_again_s())
            self._block(group, Blocked(lane.why, until, lane.describe_wait()), until_s)
            return False
        if group.slots is not None and not self._take_slot(group.slots, group, claim, now_s):
            return False
        if self._send(group, lane, claim, costs, now_s, reserve):
            group.queue.pop(claim, now_s)
            group.queue.count_sent(claim.ticket)
        else:
            self._return_slot(claim)
        return True

    def _send(self, group: Group, lane: Lane, claim: PendingClaim, costs: Costs, now_s: float, reserve: float) -> bool:
        """Commit a claim to a lane. False if another process got there first."""
        ticket = claim.ticket
        with lane.books:
            if lane.company.rivals and lane.wait_s(now_s, costs, reserve) > 0:
                return False
            claim.flight = lane.send(now_s, ticket.cost, costs, ticket.job)
        claim.state = ClaimState.GRANTED
        if group.suspects.seen:
            group.suspects.over(ticket)
        if group.told is not None:
            interval_s = now_s - group.sent_s
            group.interval_s = interval_s if group.interval_s is None else 0.9 * group.interval_s + 0.1 * interval_s
        group.sent_s = now_s
        return True

    def _best_lane(
        self, group: Group, claim: PendingClaim, now_s: float, reserve: float
    ) -> tuple[tuple[Lane, Costs] | None, float]:
        """The lane that can send this earliest, then the emptiest, and what it charges; None when no lane has a usable
        key."""
        ticket = claim.ticket
        if len(group.lanes) == 1:  # as nearly always; then its books are open already
            lane = group.lanes[0]
            if not lane.usable:
                return None, math.inf
            costs = lane.meters.price(ticket.cost, ticket.job)
            wait_s = lane.wait_s(now_s, costs, reserve)
            return (lane, costs), max(wait_s, group.quiet_s(claim, lane, now_s)) if group.suspects.seen else wait_s
        best: tuple[Lane, Costs] | None = None
        best_wait_s = best_load = math.inf
        for lane in group.open_to(claim, now_s):
            with lane.books:
                costs = lane.meters.price(ticket.cost, ticket.job)
                wait_s = lane.wait_s(now_s, costs, reserve)
            if group.suspects.seen:
                wait_s = max(wait_s, group.quiet_s(claim, lane, now_s))
            load = (lane.in_flight + lane.company.calls) / lane.window.allowed
            if group.suspects.seen:
                load += group.suspects.refusals(ticket, lane)  # more than any load
            if best is None or (wait_s, load) < (best_wait_s, best_load):
                best, best_wait_s, best_load = (lane, costs), wait_s, load
        return best, best_wait_s

    def _block(self, group: Group, blocked: Blocked, wake_s: float) -> None:
        group.blocked = blocked
        if wake_s < group.wake_s:
            group.wake_s = wake_s
        if group.wake_s < self.wake_s:
            self.wake_s = group.wake_s
        if blocked.differs_from(group.told):
            self._blocked(group)

    def _take_slot(self, slots: Slots, group: Group, claim: PendingClaim, now_s: float) -> bool:
        """Last of all, so that nobody holds a shared slot while waiting for something of his own."""
        claim.slot = slots.acquire()
        if claim.slot is None:
            self._block(group, Blocked(WaitReason.GLOBAL_CAP), now_s + slots.retry_s)
        return claim.slot is not None

    def _return_slot(self, claim: PendingClaim) -> None:
        if claim.slot is not None:
            claim.slot.release()
            claim.slot = None

    def _go_on(self, group: Group, lane: Lane, now_s: float) -> None:
        """A call of this group over this lane has ended, or told us something: see who can go now."""
        for served in self._group_board.by_lane.get(lane, ()):
            if served.queue.size or served.parked or served.slots is not None:
                self.pump(served, now_s)
        if group.slots is not None:
            for other in self.groups.values():
                if other.slots is group.slots and other.blocked == Blocked(WaitReason.GLOBAL_CAP):
                    self.pump(other, now_s)

    def _waiting_for(self, slots: Slots) -> bool:
        return any(group.slots is slots and group.queue.size for group in self.groups.values())

    def _park(self, group: Group, claim: PendingClaim, until_s: float) -> None:
        claim.parked = True
        heapq.heappush(group.parked, (until_s, next(self._order), claim))

    def _unpark(self, group: Group, now_s: float) -> None:
        parked = group.parked
        while parked and (parked[0][0] <= now_s or parked[0][2].state is not ClaimState.WAITING):
            _, _, claim = heapq.heappop(parked)
            if claim.state is not ClaimState.WAITING:
                continue
            claim.parked = False
            if (hopeless := group.hopeless(claim, now_s)) is not None:
                self._fail(claim, hopeless)
            elif (until_s := group.trial_s(claim, now_s)) is not None:
                self._park(group, claim, until_s)
            else:
                group.queue.push(claim, now_s)
        if parked:
            group.wake_s = parked[0][0]
            self.wake_s = min(self.wake_s, group.wake_s)

    def _reserve(self, now_s: float) -> float:
        return INTERACTIVE_SHARE if self.person_present or now_s < self._attended_until_s else 0.0

    def reload_keys(self, now_s: float) -> None:
        """Ask for the keys again: new ones get lanes, those that are gone send no more."""
        self._group_board.reload_keys()
        for group in self.groups.values():
            self.pump(group, now_s)

    # -- the end --------------------------------------------------------------------------------------------------

    def _fail(self, claim: PendingClaim, error: WorkbenchError) -> None:
        claim.state = ClaimState.GONE
        claim.failed(error)

    def _fail_all(self, group: Group) -> None:
        for claim in self.drain(group):
            self._fail(claim, nothing_usable(group.spec, group.lanes))

    def drain(self, group: Group) -> list[PendingClaim]:
        """Take everything out of the queue, parked claims included."""
        waiting = [claim for claim in group.queue.drain() if isinstance(claim, PendingClaim)]
        waiting += [claim for _, _, claim in group.parked if claim.state is ClaimState.WAITING]
        group.parked.clear()
        return waiting
