"""What refusals do to a lane: whose fault it was, one cut per episode, and how long to stay away.

When a lane may send again and which refusals belong to an episode that is over are two questions: a long pause never
freezes what is learned after it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Final

from workbench.core.errors import LimitKind
from workbench.engine.blame import Blame
from workbench.engine.lane_values import OVERLOADED, RATE_LIMIT, TOO_MANY_CALLS, Change, Flight
from workbench.engine.limit_headers import Reading
from workbench.engine.limit_refusals import sensible_hint

if TYPE_CHECKING:
    from workbench.engine.lane import Lane

LONGEST_PAUSE_S: Final = 30.0
"""Without a hint."""
MOST_DOUBTS: Final = 4
"""Doublings of a pause that doubts alone may cause: eight seconds."""
SHARED_RATE: Final = (LimitKind.REQUESTS, LimitKind.TOKENS)
"""What to cut when a rate was refused and nobody said which."""


class Refusals:
    """The episodes of one lane. The call in question has landed, and has been given back, before it is judged here."""

    __slots__ = (
        "_lane",
        "_rng",
        "accepted_since_cut",
        "blame",
        "doubts",
        "last_cut_s",
        "overload_floor",
        "strikes",
    )

    def __init__(self, lane: Lane, rng: Random) -> None:
        self.blame = Blame()
        self.strikes = 0
        """Refusals for a rate in a row."""
        self.doubts = 0
        """Cuts in a row that went less far than what was admitted before them would have had it."""
        self.last_cut_s = -math.inf
        self.accepted_since_cut = True
        """Something that was sent after the last cut has been accepted: the next refusal is a new episode."""
        self.overload_floor: float | None = None
        self._lane = lane
        self._rng = rng

    def accepted(self, flight: Flight) -> None:
        """The provider let this call in."""
        if flight.sent_s >= self.last_cut_s:
            self.accepted_since_cut = True
            self.strikes = 0
            self._lane.window.unanswered = 0
            if flight.in_flight > self.blame.most_accepted:
                self.blame.accepted(flight.in_flight)

    def overloaded(self, now_s: float, retry_after_s: float | None) -> None:
        """The provider has no room for anybody: fewer calls at once, down to half, and no verdict on our limits."""
        lane, window = self._lane, self._lane.window
        if self.overload_floor is None:
            self.overload_floor = window.size / 2
        before = window.allowed
        window.resize(max(self.overload_floor, 0.8 * window.size))
        window.rate_cut()
        if window.allowed != before:
            lane.record(Change(now_s, lane.name, "window", before, window.allowed, OVERLOADED))
        hint_s = sensible_hint(retry_after_s)
        if hint_s is not None:
            lane.pause(now_s, now_s + hint_s, OVERLOADED)

    def refused(
        self, now_s: float, flight: Flight, kind: LimitKind, retry_after_s: float | None, readings: Sequence[Reading]
    ) -> None:
        """A 429. At most one cut per episode: a refusal of something sent before the last cut, or with nothing accepted
        since, only prolongs the pause."""
        hint_s = sensible_hint(retry_after_s)
        stale = flight.sent_s < self.last_cut_s
        blamed = self.blame.of(flight, self._lane.window, kind, hint_s, readings, stale=stale)
        if blamed is LimitKind.CONCURRENCY:
            self._for_concurrency(now_s, flight, hint_s, stale=stale)
        else:
            self._for_rate(now_s, flight, blamed, hint_s, stale=stale)

    def _for_concurrency(self, now_s: float, flight: Flight, hint_s: float | None, *, stale: bool) -> None:
        lane, window = self._lane, self._lane.window
        before = window.allowed
        window.refused(now_s, flight.in_flight, after_s=now_s - flight.sent_s, stale=stale)
        if not stale:
            self.last_cut_s, self.accepted_since_cut = now_s, False
            lane.counters.cuts += 1
        if window.allowed != before:
            why = f"refused with {flight.in_flight} in flight"
            lane.record(Change(now_s, lane.name, "window", before, window.allowed, why))
        until_s = now_s + 0.05 * 2 ** min(5, window.unanswered)
        if window.size <= 1:  # no fewer at once can be tried: only later
            until_s = now_s + min(LONGEST_PAUSE_S, 0.2 * 2**window.unanswered)
        if hint_s is not None:
            until_s = max(until_s, now_s + hint_s)
        lane.pause(now_s, until_s, TOO_MANY_CALLS)

    def _for_rate(self, now_s: float, flight: Flight, blamed: LimitKind, hint_s: float | None, *, stale: bool) -> None:
        lane = self._lane
        kinds = SHARED_RATE if blamed is LimitKind.UNKNOWN else (blamed,)
        # What was sent before a stated limit was known says nothing against it.
        news = any(lane.buckets[kind].told and kind not in flight.marks for kind in kinds)
        if not stale and not news:
            self.strikes += 1
            if self.accepted_since_cut or self.strikes == 1:
                self.last_cut_s, self.accepted_since_cut = now_s, False
                lane.counters.cuts += 1
                lane.window.rate_cut()
                if not lane.meters.cannot_hold(flight):
                    self._cut_rates(now_s, kinds, hinted=hint_s is not None)
        # Where cuts had to stop short, coming back at once would only be refused: a window has to end, or a limit that
        # has fallen has to show for how far.
        doublings = min(6, max(0, self.strikes - 1, min(self.doubts, MOST_DOUBTS)))
        pause_s = min(LONGEST_PAUSE_S, 0.5 * 2**doublings) if hint_s is None else hint_s
        until_s = now_s + pause_s + self._rng.uniform(0, 0.1 * pause_s)
        lane.pause(now_s, until_s, RATE_LIMIT if blamed is LimitKind.UNKNOWN else f"{blamed} per minute")
        for bucket in lane.paced:
            bucket.hold_until(lane.pause_until_s)

    def _cut_rates(self, now_s: float, kinds: Sequence[LimitKind], *, hinted: bool) -> None:
        lane, window = self._lane, self._lane.window
        doubtful = False
        for kind in kinds:
            bucket = lane.buckets[kind]
            if bucket.pinned:
                continue
            old = bucket.rate
            if bucket.cut(now_s, hinted=hinted):
                assert bucket.rate is not None
                doubtful = doubtful or bucket.search.cut_short
                lane.note(now_s, f"{kind} per minute", old and old * 60, bucket.rate * 60, "refused")
            else:
                before = window.allowed
                window.resize(window.size / 2)
                bucket.search.forget()
                if window.allowed != before:
                    why = "refused before a rate could be measured"
                    lane.record(Change(now_s, lane.name, "window", before, window.allowed, why))
        self.doubts = self.doubts + 1 if doubtful else 0
        lane.meters.refresh()
