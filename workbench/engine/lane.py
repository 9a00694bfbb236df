"""One lane: what is known about the limits of one account for one family of models, and what follows from it.

A lane says when a request may go (`wait_s`) and learns from every answer (`succeeded`, `refused`, …). It keeps apart
when it may send again (`pause_until_s`) and which refusals belong to an episode that is over (`last_cut_s`): a long
pause never freezes what is learned after it.

Pure: it takes `now_s` and waits for nothing. Time that runs backwards is taken as time standing still.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from random import Random
from typing import Final

from workbench.core.errors import LimitKind
from workbench.core.events import WaitReason
from workbench.core.types import Usage
from workbench.engine.admission import TokenCost
from workbench.engine.admitted_log import KINDS, AdmittedLog, Costs
from workbench.engine.blame import Blame
from workbench.engine.bucket import OUTPUT_KINDS, Bucket
from workbench.engine.lane_state import Stateful
from workbench.engine.lane_values import GROWING, Change, Counters, Flight, KeyState, OutputEstimates
from workbench.engine.limit_headers import Reading
from workbench.engine.limit_refusals import sensible_hint
from workbench.engine.server_type import ServerType
from workbench.engine.window import Window

LONGEST_PAUSE_S: Final = 30.0
"""Without a hint."""
MOST_DOUBTS: Final = 4
RECENT_S: Final = 2.0
"""A bucket that held something back this recently was what limited us."""
LAG_S: Final = 2.0
YIELD_S: Final = 0.02
LOOK_S: Final = 0.3
LONE_LOOK_S: Final = 1.0
"""While no other process sends or waits: one may still begin to, or set the lane by hand."""
SHORTEST_LOOK_S: Final = 0.01
LONGEST_LOOK_S: Final = 0.1
OWN_BOOKS: Final = nullcontext()
SHARED_RATE: Final = (LimitKind.REQUESTS, LimitKind.TOKENS)
"""What to cut when a rate was refused and nobody said which."""


class Lane(Stateful):
    FLOATS = ("pause_until_s", "last_cut_s", "overload_floor", "now_s")
    COUNTS = ("strikes", "doubts")
    FLAGS = ("accepted_since_cut",)

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
        self.log = AdmittedLog()
        self.buckets = {kind: Bucket(kind, self.log) for kind in KINDS}
        self.paced: list[Bucket] = []
        """The buckets that are not free."""
        self.books: AbstractContextManager[None] = OWN_BOOKS
        """Entered around everything that reads or changes this lane: other processes may be using it too."""
        self.elsewhere = 0
        """Calls that other processes have in flight over this lane."""
        self.rivals = 0
        """Processes that use it at present besides this one."""
        self.least_served = math.inf
        """What the rival that has been served least, of those that wait, has had; infinity when none waits."""
        self.served = 0.0
        """What this process has had: seconds of the account's whole allowance."""
        self.waited_s = -math.inf
        """When something last held us back."""
        self.duration_s = 1.0
        """How long a call takes; a mean that follows."""
        self.pause_until_s = -math.inf
        self.pause_why = ""
        self.held = False
        """A person stopped this lane."""
        self.why = WaitReason.WINDOW
        """What made the last `wait_s` longer than zero."""
        self.counters = Counters()
        self.outputs = OutputEstimates()
        self.blame = Blame()
        self.strikes = 0
        """Refusals for a rate in a row."""
        self.doubts = 0
        """Cuts in a row that went less far than what was admitted before them would have had it."""
        self.last_cut_s = -math.inf
        self.accepted_since_cut = True
        """Something that was sent after the last cut has been accepted: the next refusal is a new episode."""
        self.overload_floor: float | None = None
        self.promised = 0.0
        """Output reserved for calls of this process that are in flight."""
        self.asked = 0.0
        """The most output that they may have."""
        self.owed_elsewhere = (0.0, 0.0)
        """The same two of all other processes."""
        self._charged_ahead = 0.0
        """Part of the output that a request allows which some stated limit is charged for when it is sent."""
        self.now_s = -math.inf
        self._rng = rng
        self._record = record

    # -- sending --------------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Calls of this process."""
        return len(self.flights)

    @property
    def shared(self) -> bool:
        """Other processes may use it too."""
        return self.books is not OWN_BOOKS

    @property
    def usable(self) -> bool:
        """Has a key that has not been retired."""
        for key in self.keys:  # noqa: SIM110 - asked for every request: any() with a generator costs three times as much
            if not key.retired:
                return True
        return False

    def price(self, cost: TokenCost, job: str) -> Costs:
        """What to reserve: what the job's answers have come to, but no less than what is charged up front. That is all
        that the answer may take, until a provider with stated limits turns out to charge output at the end."""
        output = max(self.outputs.expect(job, cost.max_output), self._charged_ahead * cost.max_output)
        return 1.0, cost.input + output, float(cost.input), output

    def too_large(self, costs: Costs) -> Bucket | None:
        """The bucket that can never hold this request, however long it waits."""
        for bucket in self.paced:
            # Output alone is clamped by providers rather than refused, so only what is sent can be too large there.
            if (
                bucket.kind is not LimitKind.OUTPUT_TOKENS
                and bucket.limit is not None
                and costs[bucket.index] > bucket.limit
            ):
                return bucket
        return None

    def wait_s(self, now_s: float, costs: Costs, reserve: float) -> float:
        """Seconds until a request of this size may go; infinity while that depends on another one ending.

        `reserve` is the part of every limit that this request must leave alone.
        """
        now_s = self._advance(now_s)
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
        if len(self.flights) + self.elsewhere >= allowed:
            window.note_blocked()
            self.why, self.waited_s = WaitReason.WINDOW, now_s
            return math.inf
        longest_s = 0.0
        for bucket in self.paced:
            wait_s = bucket.wait_s(now_s, costs[bucket.index], reserve)
            if wait_s > longest_s:
                longest_s = wait_s
                self.why = WaitReason.REQUESTS if bucket.kind is LimitKind.REQUESTS else WaitReason.TOKENS
        if longest_s == 0.0 and self.served > self.least_served:
            longest_s = YIELD_S  # whoever has had least goes first; otherwise the busiest process would take it all
        if longest_s > 0.0:
            self.waited_s = now_s
        return longest_s

    def describe_wait(self) -> str:
        """The last `wait_s`, in the words of a status line."""
        match self.why:
            case WaitReason.WINDOW:
                return f"{len(self.flights) + self.elsewhere} of {self.window.allowed} in flight"
            case WaitReason.COOLING:
                return self.pause_why
            case WaitReason.PAUSED:
                return "stopped by hand"
            case _:
                return ""

    def send(self, now_s: float, cost: TokenCost, costs: Costs, job: str) -> Flight:
        now_s = self._advance(now_s)
        key = self._least_loaded_key()
        key.in_flight += 1
        key.sent += 1
        in_flight = len(self.flights) + self.elsewhere + 1
        self.counters.sent += 1
        self.window.note_sent(in_flight)
        self.log.add(now_s, 1.0, costs[2], costs[3])
        if self.rivals:
            shares = [costs[bucket.index] / bucket.rate for bucket in self.paced if bucket.rate]
            self.served += max(shares, default=1.0 / self.window.size)
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
            totals=self.log.totals(),
            promised=self.promised + costs[3] + self.owed_elsewhere[0],
            asked=self.asked + cost.max_output + self.owed_elsewhere[1],
            marks={bucket.kind: bucket.take(now_s, costs[bucket.index]) for bucket in self.paced},
            paced=any(now_s - bucket.blocked_s < RECENT_S for bucket in self.paced),
        )
        self.own(flight)
        return flight

    def _least_loaded_key(self) -> KeyState:
        if len(self.keys) == 1:
            return self.keys[0]
        return min((key for key in self.keys if not key.retired), key=lambda key: (key.in_flight, key.sent))

    # -- with other processes -------------------------------------------------------------------------------------

    def meet(
        self,
        elsewhere: int,
        rivals: int,
        least_served: float,
        owed: tuple[float, float] = (0.0, 0.0),
        *,
        returning: bool = False,
    ) -> None:
        """What the other processes that use this lane are doing; `owed` is their promised and asked output. `returning`
        = this one had nothing to send before."""
        if math.isfinite(least_served):
            # Nobody saves up turns by having had nothing to send, or pays for long for having been alone at first.
            served = max(self.served, least_served) if returning else self.served
            self.served = min(served, least_served + LAG_S)
        self.elsewhere, self.rivals, self.least_served = elsewhere, rivals, least_served
        self.owed_elsewhere = owed

    def keep_own_books(self) -> None:
        """This process is on its own from now on."""
        self.books = OWN_BOOKS
        self.log.keep_in([self.log.totals()] * AdmittedLog.CELLS)
        self.meet(0, 0, math.inf)

    def refresh(self) -> None:
        """The state was replaced from outside."""
        self.window.refresh()
        self._refresh_paced()

    def start_warm(self, now_s: float, part: float) -> None:
        """Begin with part of what was learned some time ago, and none of what has passed since."""
        self.restore(Lane(self.name, (), self.window, self._rng, self._record).export())
        self.now_s = now_s
        self.log.restart()
        self.window.start_warm(now_s, part)
        for bucket in self.buckets.values():
            bucket.start_warm(now_s, part)
        self._refresh_paced()

    def look_again_s(self) -> float:
        """Seconds after which another process may have made room, or ended a pause: it cannot tell us."""
        longest_s = LOOK_S if self.rivals else LONE_LOOK_S
        if self.rivals and self.why is WaitReason.WINDOW:
            longest_s = min(max(self.duration_s / 100, SHORTEST_LOOK_S), LONGEST_LOOK_S)
        return longest_s * self._rng.uniform(0.5, 1.0)

    # -- by hand --------------------------------------------------------------------------------------------------

    def pin_window(self, size: int | None, now_s: float) -> None:
        before = self.window.allowed
        self.window.pin(size)
        why = "set by hand" if size is not None else "left to adapt"
        self._record(Change(self._advance(now_s), self.name, "window", before, self.window.allowed, why))

    def pin_limit(self, kind: LimitKind, per_minute: float | None, now_s: float) -> None:
        now_s = self._advance(now_s)
        bucket = self.buckets[kind]
        old = bucket.limit
        bucket.pin(now_s, per_minute)
        self._refresh_paced()
        why = "set by hand" if per_minute is not None else "left to the provider"
        self._note(now_s, kind, old, bucket.limit, why)

    def hold(self, held: bool, now_s: float) -> None:
        """Stop, or go on at once whatever the provider asked for."""
        now_s = self._advance(now_s)
        self.held = held
        if not held:
            self.pause_until_s, self.pause_why = -math.inf, ""
            for bucket in self.paced:
                bucket.at_s = min(bucket.at_s, now_s)
        self._record(Change(now_s, self.name, "pause", None, None, "stopped by hand" if held else "resumed by hand"))

    # -- what answers teach ---------------------------------------------------------------------------------------

    def mirror(self, now_s: float, flight: Flight, readings: Sequence[Reading], *, refused: bool = False) -> None:
        """Take over what the response to this call said about limits. A refused call has been given back already."""
        now_s = self._advance(now_s)
        totals = self.log.totals()
        changed = False
        for reading in readings:
            bucket = self.buckets[reading.kind]
            limit, server, rate, ahead = bucket.limit, bucket.server, bucket.rate, bucket.ahead
            index = bucket.index
            uncharged = flight.costs[index] if refused else 0.0
            owed = bucket.owed(flight.promised, flight.asked)
            if refused:
                owed -= bucket.owed(flight.costs[3], flight.cost.max_output)
            bucket.mirror(
                now_s,
                reading,
                flight.marks.get(reading.kind),
                uncharged=uncharged,
                owed=owed,
                admitted_since=totals[index] - flight.totals[index] + uncharged,
            )
            if reading.remaining is not None and not refused and not flight.moved:
                bucket.compare(flight.books(index), reading.remaining, reading.reset_s)
            changed = changed or bucket.limit != limit or bucket.rate != rate or bucket.ahead != ahead
            if bucket.limit != limit:
                self._note(now_s, reading.kind, limit, bucket.limit, "the provider's headers say so")
            elif bucket.server != server and bucket.server == ServerType.WINDOW:
                self._note(now_s, reading.kind, limit, limit, "refills in steps: sending at an even pace")
        if changed:
            self._refresh_paced()

    def accepted(self, flight: Flight) -> None:
        """The provider let this call in; it may still be running."""
        if flight.sent_s >= self.last_cut_s:
            self.accepted_since_cut = True
            self.strikes = 0
            self.window.unanswered = 0
            self.blame.accepted(flight.in_flight)

    def succeeded(self, now_s: float, flight: Flight, usage: Usage | None) -> None:
        now_s = self._advance(now_s)
        self._land(flight)
        self.duration_s += 0.1 * (now_s - flight.sent_s - self.duration_s)
        self.counters.accepted += 1
        self._correct(now_s, flight, usage)
        if usage is not None:
            self.outputs.learn(flight.job, usage.output)
        self.accepted(flight)
        self.overload_floor = None
        before = self.window.allowed
        self.window.timed(now_s - flight.sent_s, usage.output if usage is not None else None, flight.epoch)
        self.window.succeeded(now_s, len(self.flights) + self.elsewhere, flight.epoch)
        if self.window.allowed != before:
            self._record(Change(now_s, self.name, "window", before, self.window.allowed, GROWING))

    def ended(self, now_s: float, flight: Flight, usage: Usage | None) -> None:
        """Cancelled, broken or failed for reasons that say nothing about limits."""
        now_s = self._advance(now_s)
        self._land(flight)
        self._correct(now_s, flight, usage or Usage(input=flight.cost.input))

    def unsent(self, now_s: float, flight: Flight) -> None:
        """As if it had never been: not put on the wire, or refused for reasons that are its own."""
        now_s = self._advance(now_s)
        self._land(flight)
        self._give_all_back(now_s, flight)

    def overloaded(self, now_s: float, flight: Flight, retry_after_s: float | None) -> None:
        """The provider has no room for anybody: fewer calls at once, down to half, and no verdict on our limits."""
        now_s = self._advance(now_s)
        self._land(flight)
        self._give_all_back(now_s, flight)
        self.counters.overloaded += 1
        if self.overload_floor is None:
            self.overload_floor = self.window.size / 2
        before = self.window.allowed
        self.window.resize(max(self.overload_floor, 0.8 * self.window.size))
        self.window.rate_cut()
        if self.window.allowed != before:
            self._record(Change(now_s, self.name, "window", before, self.window.allowed, "the provider is overloaded"))
        hint_s = sensible_hint(retry_after_s)
        if hint_s is not None:
            self._pause(now_s, now_s + hint_s, "the provider is overloaded")

    def refused(
        self,
        now_s: float,
        flight: Flight,
        kind: LimitKind,
        retry_after_s: float | None,
        readings: Sequence[Reading],
    ) -> None:
        """A 429. At most one cut per episode: a refusal of something sent before the last cut, or with nothing accepted
        since, only prolongs the pause."""
        now_s = self._advance(now_s)
        self._land(flight)
        self._give_all_back(now_s, flight)
        self.counters.refused += 1
        flight.key.refused += 1
        self.mirror(now_s, flight, readings, refused=True)
        hint_s = sensible_hint(retry_after_s)
        stale = flight.sent_s < self.last_cut_s
        blamed = self.blame.of(flight, self.window, kind, hint_s, readings, stale=stale)
        if blamed is LimitKind.CONCURRENCY:
            self._refused_for_concurrency(now_s, flight, hint_s, stale=stale)
        else:
            self._refused_for_rate(now_s, flight, blamed, hint_s, stale=stale)

    def _refused_for_concurrency(self, now_s: float, flight: Flight, hint_s: float | None, *, stale: bool) -> None:
        before = self.window.allowed
        self.window.refused(now_s, flight.in_flight, after_s=now_s - flight.sent_s, stale=stale)
        if not stale:
            self.last_cut_s, self.accepted_since_cut = now_s, False
            self.counters.cuts += 1
        if self.window.allowed != before:
            why = f"refused with {flight.in_flight} in flight"
            self._record(Change(now_s, self.name, "window", before, self.window.allowed, why))
        until_s = now_s + 0.05 * 2 ** min(5, self.window.unanswered)
        if hint_s is not None:
            until_s = max(until_s, now_s + hint_s)
        self._pause(now_s, until_s, "too many calls at once")

    def _refused_for_rate(
        self, now_s: float, flight: Flight, blamed: LimitKind, hint_s: float | None, *, stale: bool
    ) -> None:
        kinds = SHARED_RATE if blamed is LimitKind.UNKNOWN else (blamed,)
        # What was sent before a stated limit was known says nothing against it.
        news = any(self.buckets[kind].told and kind not in flight.marks for kind in kinds)
        if not stale and not news:
            self.strikes += 1
            if self.accepted_since_cut or self.strikes == 1:
                self.last_cut_s, self.accepted_since_cut = now_s, False
                self.counters.cuts += 1
                self.window.rate_cut()
                self._cut_rates(now_s, kinds, hinted=hint_s is not None)
        # Where cuts had to stop short, coming back at once would only be refused: a window has to end, or a limit that
        # has fallen has to show for how far.
        doublings = min(6, max(0, self.strikes - 1, min(self.doubts, MOST_DOUBTS)))
        pause_s = min(LONGEST_PAUSE_S, 0.5 * 2**doublings) if hint_s is None else hint_s
        until_s = now_s + pause_s + self._rng.uniform(0, 0.1 * pause_s)
        self._pause(now_s, until_s, "rate limit" if blamed is LimitKind.UNKNOWN else f"{blamed} per minute")
        for bucket in self.paced:
            bucket.hold_until(self.pause_until_s)

    def _cut_rates(self, now_s: float, kinds: Sequence[LimitKind], *, hinted: bool) -> None:
        doubtful = False
        for kind in kinds:
            bucket = self.buckets[kind]
            if bucket.pinned:
                continue
            old = bucket.rate
            if bucket.cut(now_s, hinted=hinted):
                assert bucket.rate is not None
                doubtful = doubtful or bucket.cut_short
                self._note(now_s, kind, old and old * 60, bucket.rate * 60, "refused")
            else:
                before = self.window.allowed
                self.window.resize(self.window.size / 2)
                bucket.cut_s = None
                if self.window.allowed != before:
                    why = "refused before a rate could be measured"
                    self._record(Change(now_s, self.name, "window", before, self.window.allowed, why))
        self.doubts = self.doubts + 1 if doubtful else 0
        self._refresh_paced()

    # -- the books ------------------------------------------------------------------------------------------------

    def _land(self, flight: Flight) -> None:
        self.disown(flight)
        flight.key.in_flight -= 1

    def own(self, flight: Flight) -> None:
        """This call is in flight over this lane now."""
        self.flights.add(flight)
        self.promised += flight.costs[3]
        self.asked += flight.cost.max_output

    def disown(self, flight: Flight) -> None:
        if flight not in self.flights:
            return
        self.flights.discard(flight)
        self.promised -= flight.costs[3]
        self.asked -= flight.cost.max_output
        if not self.flights:
            self.promised = self.asked = 0.0  # sheds the rounding error of many additions

    def _correct(self, now_s: float, flight: Flight, usage: Usage | None) -> None:
        """Replace what was reserved by what was used; without usage, the reserve stands."""
        if usage is None:
            return
        _, total, prompt, output = flight.costs
        # Cached input is free of input limits where input is metered apart (Anthropic).
        fresh = usage.input - usage.cached_input
        surplus = (0.0, total - usage.input - usage.output, prompt - fresh, output - usage.output)
        self.log.add(now_s, 0.0, usage.input - prompt, usage.output - output)
        for bucket in self.paced:
            if bucket.index:
                bucket.give_back(now_s, surplus[bucket.index])

    def _give_all_back(self, now_s: float, flight: Flight) -> None:
        """What was refused is not charged."""
        self.log.add(now_s, -1.0, -flight.costs[2], -flight.costs[3])
        for bucket in self.paced:
            bucket.give_back(now_s, flight.costs[bucket.index])

    def _refresh_paced(self) -> None:
        self.paced = [bucket for bucket in self.buckets.values() if bucket.rate is not None]
        told = (bucket.ahead for bucket in self.paced if bucket.told and bucket.kind in OUTPUT_KINDS)
        self._charged_ahead = max(told, default=0.0)

    def _pause(self, now_s: float, until_s: float, why: str) -> None:
        if until_s > max(self.pause_until_s, now_s):
            self._record(Change(now_s, self.name, "pause", None, until_s - now_s, why))
            self.pause_until_s, self.pause_why = until_s, why

    def _note(self, now_s: float, kind: LimitKind, old: float | None, new: float | None, why: str) -> None:
        self._record(Change(now_s, self.name, f"{kind} per minute", old, new, why))

    def _advance(self, now_s: float) -> float:
        if now_s > self.now_s:
            self.now_s = now_s
        return self.now_s
