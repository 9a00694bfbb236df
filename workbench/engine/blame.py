"""Which limit a refusal was about, when it does not say.

What held us back when the call was sent is the best guess. A full window means too many calls at once, and guesses of
that kind are checked: a cap refuses only what goes beyond all that it has let in, and is found again where it was,
whereas a spent rate refuses at any number of calls in flight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workbench.core.errors import LimitKind
from workbench.engine.admitted_log import KINDS
from workbench.engine.lane_state import Stateful
from workbench.engine.lane_values import Flight
from workbench.engine.limit_headers import Reading
from workbench.engine.window import Window

GUESSES: Final = 8
"""Refusals in a row that are put down to calls in flight before a rate is suspected."""
CONTRADICTIONS: Final = 3
"""Caps in a row that turned out to be none before a rate is suspected. One may be a cap that has changed, two the time
that a server takes to notice the end of a call: with 2, a cap of 48 that lags by milliseconds was used to 83 %."""
ESTABLISHED: Final = 3
"""Times that a cap has to be found again just where it was before it is believed to have fallen. Slow calls make a rate
look like a cap, but like another one each time."""
SAME_CAP: Final = 0.25
"""Part by which a cap may seem to have grown from one episode to the next, and be the same; two calls at least."""
FULL: Final = 0.95
"""Part of the window that was in flight when it counts as having been full."""


class Blame(Stateful):
    COUNTS = ("lowest", "most_accepted", "contradictions", "confirmations")
    FLAGS = ("established",)

    def __init__(self) -> None:
        self.lowest: int | None = None
        """Fewest calls in flight with which we were refused in the last episode that looked like a cap."""
        self.most_accepted = 0
        """Most calls in flight with which one was accepted after that episode began."""
        self.contradictions = 0
        """Episodes in a row at a number of calls that no cap explains."""
        self.confirmations = 0
        """Episodes in a row in which a cap was found where it had been."""
        self.established = False
        """There is a cap: somebody said so, or it had been there for some time before this episode. A refusal of fewer
        calls means that it has fallen."""

    def accepted(self, in_flight: int) -> None:
        if in_flight > self.most_accepted:
            self.most_accepted = in_flight

    def of(
        self,
        flight: Flight,
        window: Window,
        kind: LimitKind,
        hint_s: float | None,
        readings: Sequence[Reading],
        *,
        stale: bool,
    ) -> LimitKind:
        """The limit that was reached; UNKNOWN means some rate. `kind` is what the refusal says."""
        if kind is not LimitKind.UNKNOWN:
            self.established = kind is LimitKind.CONCURRENCY
            return kind
        if any(reading.remaining is not None for reading in readings):
            for reading in readings:
                if reading.remaining is not None and reading.remaining < flight.costs[KINDS.index(reading.kind)]:
                    return reading.kind
            return LimitKind.CONCURRENCY
        if hint_s is not None or (flight.paced and flight.in_flight < flight.window):
            return LimitKind.UNKNOWN
        if flight.in_flight == 1 and not self.established:
            return LimitKind.UNKNOWN  # fewer is none at all
        beyond = 0 < self.most_accepted < flight.in_flight  # a window that has just grown is not full at once
        fallen = self.established and window.unanswered > 0 and not stale
        if fallen or beyond or flight.in_flight >= FULL * flight.window:
            return self._guess(flight.in_flight, window)
        return LimitKind.CONCURRENCY if stale and window.unanswered > 0 else LimitKind.UNKNOWN

    def _guess(self, in_flight: int, window: Window) -> LimitKind:
        """Too many at once, unless that has proved wrong before."""
        if window.unanswered == 0:
            self._begin_episode(in_flight)
            # A chain of wrong guesses is undone as a whole.
            window.before_guessing = max(window.size, window.before_guessing if self.contradictions else 0.0)
        if window.unanswered >= GUESSES or self.contradictions >= CONTRADICTIONS:
            self.contradictions, self.lowest = 0, None
            window.forget_guesses()
            return LimitKind.UNKNOWN
        self.lowest = in_flight if self.lowest is None else min(self.lowest, in_flight)
        return LimitKind.CONCURRENCY

    def _begin_episode(self, in_flight: int) -> None:
        was_let_in = in_flight <= self.most_accepted
        higher = self.lowest is not None and in_flight - self.lowest >= max(2, SAME_CAP * self.lowest)
        self.established = self.confirmations >= ESTABLISHED
        same = self.lowest is not None and abs(in_flight - self.lowest) <= 1 and not was_let_in
        self.contradictions = self.contradictions + 1 if was_let_in or higher else 0
        self.confirmations = self.confirmations + 1 if same else 0
        self.lowest, self.most_accepted = None, 0
