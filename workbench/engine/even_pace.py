"""The even pace at which a limit is spent that is given back in steps: nearly all of it, and less where that overruns.

What calls in flight hold in reserve counts on top of what has been used, so how much fits into a minute depends on the
work. A refusal at the end of a window that we filled ourselves takes a little off the pace. Time puts it back, ever
more slowly where that is refused again: each refusal's pause leaves a hole that a sliding window gives back as one.
"""

from __future__ import annotations

from typing import Final

from workbench.engine.lane_state import Stateful

FASTEST: Final = 0.98
"""Part of the limit: the rest is for what calls in flight hold in reserve at a window's end."""
SLOWEST: Final = 0.9
"""Part of the limit, however often that overruns: then it is somebody else who spends it too, and the rate is cut."""
STEP: Final = 0.01
"""Part of the limit that one overrun takes off, and that time puts back."""
REGAIN_S: Final = 600.0
"""Until a step is put back, times the overruns so far: at 600 requests a minute one more refusal is one in 6,000."""


class EvenPace(Stateful):
    FLOATS = ("share", "since_s", "due_s")
    COUNTS = ("overruns",)
    __slots__ = (*FLOATS, *COUNTS)

    def __init__(self) -> None:
        self.share = FASTEST
        """Part of the limit that is spent."""
        self.since_s = float("-inf")
        """Since when the server has been known to refill in steps."""
        self.due_s = float("inf")
        """When to try a step more."""
        self.overruns = 0

    def restart(self) -> None:
        """Another limit is stated now."""
        self.share, self.due_s, self.overruns = FASTEST, float("inf"), 0

    def overrun(self, now_s: float) -> None:
        self.share = max(SLOWEST, self.share - STEP)
        self.overruns += 1
        self.due_s = now_s + REGAIN_S * self.overruns

    def regain(self, now_s: float) -> bool:
        """Whether time has made the pace faster."""
        if now_s < self.due_s:
            return False
        self.share = min(FASTEST, self.share + STEP)
        self.due_s = now_s + REGAIN_S * self.overruns if self.share < FASTEST else float("inf")
        return True
