"""One lane: what is known about the limits of one account for one family of models, and what follows from it.

A lane says when a request may go (`wait_s`) and learns from every answer (`succeeded`, `refused`, …). What it knows is
kept in parts: its window, its meters, what refusals have done, and the other processes that use it.

Pure: it takes `now_s` and waits for nothing. Time that runs backwards is taken as time standing still.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from random import Random
from threading import RLock
from typing import Final

from workbench.core.errors import LimitKind
from workbench.core.events import WaitReason
from workbench.core.types import Usage
from workbench.engine.admission import TokenCost
from workbench.engine.admitted_log import AdmittedLog, Costs
from workbench.engine.bucket import Mark
from workbench.engine.lane_company import Company
from workbench.engine.lane_meters import Meters
from workbench.engine.lane_refusals import Refusals
from workbench.engine.lane_state import Stateful
from workbench.engine.lane_values import GROWING, RATE_LIMIT, SPACED_OUT, Change, Counters, Flight, KeyState
from workbench.engine.limit_headers import Reading
from workbench.engine.window import Window

RECENT_S: Final = 2.0
"""A bucket that held something back this recently was what limited us."""
MANY: Final = 64
"""Calls in flight from which on answers that come close together are not all read."""
FRESH_S: Final = 0.05
"""After an answer was read, how long the next ones have nothing to add: so many are read twenty times a second."""
PLENTY: Final = 0.5
"""Part of what a bucket can hold that has to be left for that."""
YIELD_S: Final = 0.02
"""How long a request steps back at a time for another process, whose turn it is."""
RESUMES_S: Final = 0.2
"""From call to call, after refusals for a rate that could not be measured yet, until one is let in."""


class Lane(Stateful):
    FLOATS = ("pause_until_s", "refusals.last_cut_s", "refusals.overload_floor", "now_s")
    COUNTS = ("refusals.strikes", "refusals.doubts")
    FLAGS = ("refusals.accepted_since_cut",)

    def __init__(
        self,
        name: str,
        keys: Sequence[KeyState],
        window: Window,
        rng: Random,
        record: Callable[[Change], None],
    ) -> None:
        self.name = name
        """For people: `openai#1 · gpt-5.4`."""
        self.keys = list(keys)
        """More than one where keys share an account."""
        self.window = window
        self.flights: set[Flight] = set()
        self.parts: list[Lane] = []
        """Lanes that were merged into this one."""
        self.meters = Meters(self.note)
        self.log, self.buckets, self.paced = self.meters.log, self.meters.buckets, self.meters.paced
        self.refusals = Refusals(self, rng)
        # Nobody else ever wants it. It is entered in C: a null context costs as much as two of the methods below.
        self._own_books = RLock()
        self.books: AbstractContextManager[object] = self._own_books
        """Entered around everything that reads or changes this lane: other processes may be using it too."""
        self.company = Company(rng)
        self.mirrored_s = -math.inf
        """When an answer last said something about limits."""
        self.duration_s = 1.0
        """How long a call takes; a mean that follows."""
        self.pause_until_s = -math.inf
        self.pause_why = ""
        self.held = False
        """A person stopped this lane."""
        self.why = WaitReason.WINDOW
        """What made the last `wait_s` longer than zero."""
        self.counters = Counters()
        self.largest = 0
        """Tokens that the largest request may have taken of all that were let in."""
        self.promised = 0.0
        """Output reserved for calls of this process that are in flight."""
        self.asked = 0.0
        """The most output that they may have."""
        self.now_s = -math.inf
        self.record = record
        self._rng = rng

    # -- sending --------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Calls of this process."""
        return len(self.flights)

    @property
    def shared(self) -> bool:
        """Other processes may use it too."""
        return self.books is not self._own_books

    @property
    def usable(self) -> bool:
        """Has a key that has not been retired."""
        for key in self.keys:  # noqa: SIM110 - asked for every request: any() with a generator costs three times as much
            if not key.retired:
                return True
        return False

    def wait_s(self, now_s: float, costs: Costs, reserve: float) -> float:
        """Seconds until a request of this size may go; infinity while that depends on another one ending.

        `reserve` is the part of every limit that this request must leave alone.
        """
        if now_s > self.now_s:
            self.now_s = now_s
        else:
            now_s = self.now_s
        if self.held:
            self.why = WaitReason.PAUSED
            return math.inf
        if now_s < self.pause_until_s:
            self.why = WaitReason.COOLING
            return self.pause_until_s - now_s
        window = self.window
        allowed = window.allowed
        if reserve and allowed > 1:
            allowed -= max(1, int(reserve * allowed))
        if len(self.flights) + self.company.calls >= allowed:
            window.note_blocked()
            self.why, self.company.waited_s = WaitReason.WINDOW, now_s
            return math.inf
        longest_s = 0.0
        for bucket in self.paced:
            wait_s = bucket.wait_s(now_s, costs[bucket.index], reserve)
            if wait_s > longest_s:
                longest_s = wait_s
                self.why = WaitReason.REQUESTS if bucket.kind is LimitKind.REQUESTS else WaitReason.TOKENS
        if longest_s == 0.0 and self.company.served > self.company.least_served:
            longest_s = YIELD_S  # whoever has had least goes first; otherwise the busiest process would take it all
        if longest_s > 0.0:
            self.company.waited_s = now_s
        return longest_s

    def describe_wait(self) -> str:
        """The last `wait_s`, in the words of a status line."""
        match self.why:
            case WaitReason.WINDOW:
                return f"{len(self.flights) + self.company.calls} of {self.window.allowed} in flight"
            case WaitReason.COOLING:
                return self.pause_why
            case WaitReason.PAUSED:
                return "stopped by hand"
            case _:
                return ""

    def send(self, now_s: float, cost: TokenCost, costs: Costs, job: str) -> Flight:
        if now_s > self.now_s:
            self.now_s = now_s
        else:
            now_s = self.now_s
        key = self.keys[0] if len(self.keys) == 1 else self._least_loaded_key()
        key.sent += 1
        in_flight = len(self.flights) + self.company.calls + 1
        self.counters.sent += 1
        if in_flight > self.window.peak:
            self.window.note_sent(in_flight)
        if in_flight > self.window.most_let_in or self.window.unanswered or self.refusals.strikes:
            self._space_out(now_s, in_flight)
        marks: dict[LimitKind, Mark] = {}
        paced = False
        for bucket in self.paced:
            marks[bucket.kind] = bucket.take(now_s, costs[bucket.index])
            if now_s - bucket.blocked_s < RECENT_S:
                paced = True
        totals = self.log.add(now_s, 1.0, costs[2], costs[3])
        if self.company.rivals:
            shares = [costs[bucket.index] / bucket.rate for bucket in self.paced if bucket.rate]
            self.company.served += max(shares, default=1.0 / self.window.size)
        flight = Flight(
            lane=self,
            key=key,
            sent_s=now_s,
            cost=cost,
            costs=costs,
            job=job,
            in_flight=in_flight,
            window=self.window.allowed,
            epoch=self.window.epoch,
            totals=totals,
            promised=self.promised + costs[3] + self.company.owed[0],
            asked=self.asked + cost.max_output + self.company.owed[1],
            marks=marks,
            paced=paced,
        )
        self.own(flight)
        return flight

    def _space_out(self, now_s: float, in_flight: int) -> None:
        """Where the next call may be one too many, let it not go with all the others that wait."""
        spacing_s, why = self.window.spacing_s(in_flight), SPACED_OUT
        if self.window.unanswered and self.refusals.blame.established:
            spacing_s = self.duration_s / self.window.allowed  # no more than end in that time
        if self.refusals.strikes and not self.paced and in_flight > 1:
            # No rate is known: ask with one call, not with a windowful.
            spacing_s, why = max(spacing_s, RESUMES_S), RATE_LIMIT
        if spacing_s and now_s + spacing_s > self.pause_until_s:
            self.pause_until_s, self.pause_why = now_s + spacing_s, why

    def _least_loaded_key(self) -> KeyState:
        return min((key for key in self.keys if not key.retired), key=lambda key: (key.in_flight, key.sent))

    # -- with other processes -------------------------------------------------------------------------------------

    def keep_own_books(self) -> None:
        """This process is on its own from now on."""
        self.books = self._own_books
        self.log.keep_in([self.log.totals()] * AdmittedLog.CELLS)
        self.company.meet(0, 0, math.inf)

    def refresh(self) -> None:
        """The state was replaced from outside."""
        self.window.refresh()
        self.meters.refresh()

    def start_warm(self, now_s: float, part: float) -> None:
        """Begin with part of what was learned some time ago, and none of what has passed since."""
        self.restore(Lane(self.name, (), self.window, self._rng, self.record).export())
        self.now_s = now_s
        self.window.start_warm(now_s, part)
        self.meters.start_warm(now_s, part)

    def look_again_s(self) -> float:
        """Seconds after which another process may have made room, or ended a pause: it cannot tell us."""
        return self.company.look_again_s(self.duration_s if self.why is WaitReason.WINDOW else None)

    # -- by hand --------------------------------------------------------------------------------------------------

    def pin_window(self, size: int | None, now_s: float) -> None:
        before = self.window.allowed
        self.window.pin(size)
        why = "set by hand" if size is not None else "left to adapt"
        self.record(Change(self._advance(now_s), self.name, "window", before, self.window.allowed, why))

    def pin_limit(self, kind: LimitKind, per_minute: float | None, now_s: float) -> None:
        self.meters.pin(self._advance(now_s), kind, per_minute)
        for flight in self.flights:
            flight.marks.pop(kind, None)  # of a level that is no more

    def hold(self, held: bool, now_s: float) -> None:
        """Stop, or go on at once whatever the provider asked for."""
        now_s = self._advance(now_s)
        self.held = held
        if not held:
            self.pause_until_s, self.pause_why = -math.inf, ""
            for bucket in self.paced:
                bucket.at_s = min(bucket.at_s, now_s)
        self.record(Change(now_s, self.name, "pause", None, None, "stopped by hand" if held else "resumed by hand"))

    # -- what answers teach ---------------------------------------------------------------------------------------

    def news_due(self, now_s: float) -> bool:
        """Whether an answer's headers are worth reading. While plenty is left, of answers that come by the hundred a
        second one in a while will do: nobody else spends half a limit unseen. Where a limit is what holds us back, all
        of them count: reading one in 50 ms there had several times as many refused."""
        if len(self.flights) < MANY or not 0 <= now_s - self.mirrored_s < FRESH_S:
            return True
        for bucket in self.paced:  # noqa: SIM110 - asked for every answer
            if bucket.level < PLENTY * bucket.depth:
                return True
        return False

    def accepted(self, now_s: float, flight: Flight, readings: Sequence[Reading]) -> None:
        """The provider let this call in, and said this about its limits; the call may still be running."""
        self.refusals.accepted(flight)
        if readings:
            self.mirrored_s = now_s = self._advance(now_s)
            self.meters.mirror(now_s, flight, readings, refused=False)

    def succeeded(self, now_s: float, flight: Flight, usage: Usage | None) -> None:
        if now_s > self.now_s:
            self.now_s = now_s
        else:
            now_s = self.now_s
        self.disown(flight)
        self.duration_s += 0.1 * (now_s - flight.sent_s - self.duration_s)
        self.counters.accepted += 1
        cost = flight.cost
        if cost.input + cost.max_output > self.largest:
            self.largest = cost.input + cost.max_output
        self.meters.correct(now_s, flight, usage)
        if usage is not None:
            self.meters.outputs.learn(flight.job, usage.output)
        self.refusals.accepted(flight)
        self.refusals.overload_floor = None
        before = self.window.allowed
        self.window.timed(now_s - flight.sent_s, usage.output if usage is not None else None, flight.epoch)
        self.window.succeeded(now_s, len(self.flights) + self.company.calls, flight.epoch)
        if self.window.allowed != before:
            self.record(Change(now_s, self.name, "window", before, self.window.allowed, GROWING))

    def ended(self, now_s: float, flight: Flight, usage: Usage | None) -> None:
        """Cancelled, broken or failed for reasons that say nothing about limits."""
        now_s = self._advance(now_s)
        self.disown(flight)
        self.meters.correct(now_s, flight, usage or Usage(input=flight.cost.input))

    def unsent(self, now_s: float, flight: Flight) -> None:
        """As if it had never been: not put on the wire, or refused for reasons that are its own."""
        now_s = self._advance(now_s)
        self.disown(flight)
        self.meters.give_all_back(now_s, flight)

    def overloaded(self, now_s: float, flight: Flight, retry_after_s: float | None) -> None:
        """The provider has no room for anybody."""
        now_s = self._advance(now_s)
        self.disown(flight)
        self.meters.give_all_back(now_s, flight)
        self.counters.overloaded += 1
        self.refusals.overloaded(now_s, retry_after_s)

    def refused(
        self,
        now_s: float,
        flight: Flight,
        kind: LimitKind,
        retry_after_s: float | None,
        readings: Sequence[Reading],
    ) -> None:
        """A 429; `kind` is what it says it was about."""
        now_s = self._advance(now_s)
        self.disown(flight)
        self.meters.give_all_back(now_s, flight)
        self.counters.refused += 1
        flight.key.refused += 1
        self.meters.mirror(now_s, flight, readings, refused=True)
        self.refusals.refused(now_s, flight, kind, retry_after_s, readings)

    # -- the books ------------------------------------------------------------------------------------------------

    def own(self, flight: Flight) -> None:
        """This call is in flight over this lane now."""
        self.flights.add(flight)
        flight.key.in_flight += 1
        self.promised += flight.costs[3]
        self.asked += flight.cost.max_output

    def disown(self, flight: Flight) -> None:
        if flight not in self.flights:
            return
        self.flights.discard(flight)
        flight.key.in_flight -= 1
        self.promised -= flight.costs[3]
        self.asked -= flight.cost.max_output
        if not self.flights:
            self.promised = self.asked = 0.0  # sheds the rounding error of many additions

    def pause(self, now_s: float, until_s: float, why: str) -> None:
        if until_s > max(self.pause_until_s, now_s):
            self.record(Change(now_s, self.name, "pause", None, until_s - now_s, why))
            self.pause_until_s, self.pause_why = until_s, why

    def note(self, now_s: float, limit: str, old: float | None, new: float | None, why: str) -> None:
        self.record(Change(now_s, self.name, limit, old, new, why))

    def _advance(self, now_s: float) -> float:
        if now_s > self.now_s:
            self.now_s = now_s
        return self.now_s
