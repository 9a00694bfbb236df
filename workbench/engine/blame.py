"""Which limit a refusal was about, when it does not say.

What held us back when the call was sent is the best guess. A full window means too many calls at once, and guesses of
that kind are checked: a cap is the same the next time, whereas a spent rate refuses at any number of calls in flight.
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
CONTRADICTIONS: Final = 2
"""Caps in a row that turned out to be none before a rate is suspected. One may be a cap that was raised."""
SAME_CAP: Final = 1.25
FULL: Final = 0.95


class Blame(Stateful):
    COUNTS = ("lowest", "contradictions")

    def __init__(self) -> None:
        self.lowest: int | None = None
        """Fewest calls in flight with which we were refused in the last episode that looked like a cap."""
        self.contradictions = 0
        """Episodes in a row that began well above where the one before had ended."""

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
            return kind
        if any(reading.remaining is not None for reading in readings):
            for reading in readings:
                if reading.remaining is not None and reading.remaining < flight.costs[KINDS.index(reading.kind)]:
                    return reading.kind
            return LimitKind.CONCURRENCY
        if hint_s is not None or (flight.paced and flight.in_flight < flight.window):
            return LimitKind.UNKNOWN
        if flight.in_flight < FULL * flight.window:
            return LimitKind.CONCURRENCY if stale and window.unanswered > 0 else LimitKind.UNKNOWN
        return self._guess(flight.in_flight, window)

    def _guess(self, in_flight: int, window: Window) -> LimitKind:
        """The window was full: too many at once, unless that has proved wrong before."""
        if window.unanswered == 0:
            self._begin_episode(in_flight)
            window.before_guessing = window.size
        if window.unanswered >= GUESSES or self.contradictions >= CONTRADICTIONS:
            self.contradictions = 0
            window.forget_guesses()
            return LimitKind.UNKNOWN
        self.lowest = in_flight if self.lowest is None else min(self.lowest, in_flight)
        return LimitKind.CONCURRENCY

    def _begin_episode(self, in_flight: int) -> None:
        if self.lowest is not None:
            self.contradictions = self.contradictions + 1 if in_flight >= SAME_CAP * self.lowest else 0
        self.lowest = None
