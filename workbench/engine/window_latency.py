"""The window for servers that queue instead of refusing: local ones, that never say when they have had enough.

Such a server answers every request and only gets slower. While it has room, twice the calls give twice the tokens;
past its capacity each further call makes all others wait. So the window climbs as long as the work done per second
grows with it, and steps back when it does not; now and then it tries a smaller one, which is kept if it does as much.
Work done is the window divided by the time per token of calls that ran under it: no idle server has to be measured.
"""

from __future__ import annotations

from statistics import median
from typing import Final

from workbench.engine.window import SATURATED, Window

STEP_UP: Final = 0.25
STEP_DOWN: Final = 0.2
WORTH_IT: Final = 0.3
"""Part of the additional calls that must show as additional work for a larger window to be kept."""
AS_GOOD: Final = 0.95
"""Part of the work that a smaller window must do to be kept."""
REST_S: Final = 30.0
"""Between two trials, once a window has been found."""
FEWEST_SAMPLES: Final = 6


class LatencyWindow(Window):
    __slots__ = ("_durations", "_per_token", "_proven", "_rest_until_s", "_up_next")

    def __init__(self, size: float, largest: int) -> None:
        super().__init__(size, largest)
        self._per_token: list[float] = []
        self._durations: list[float] = []
        self._proven: tuple[float, float] | None = None
        """The window that was kept last, and the work per second that it did."""
        self._rest_until_s = 0.0
        self._up_next = True

    def timed(self, seconds: float, tokens: int | None, epoch: int) -> None:
        if epoch != self.epoch or seconds <= 0:
            return
        self._durations.append(seconds)
        if tokens:
            self._per_token.append(seconds / tokens)

    def succeeded(self, now_s: float, in_flight: int, epoch: int) -> None:
        if epoch != self.epoch or self.pinned:
            return
        self.round += 1
        # Servers that report no usage are judged by whole calls; with it, the length of answers does not matter.
        samples = self._per_token if len(self._per_token) > len(self._durations) / 2 else self._durations
        if self.round < max(FEWEST_SAMPLES, self.allowed) or len(samples) < FEWEST_SAMPLES:
            return
        saturated = self.blocked and self.peak >= SATURATED * self.allowed
        work = self.size / median(samples)
        self._new_round(in_flight)
        if saturated:
            self._decide(now_s, work)

    def refused(self, now_s: float, in_flight_at_send: int, *, after_s: float = 0.0, stale: bool) -> None:
        super().refused(now_s, in_flight_at_send, after_s=after_s, stale=stale)
        self._proven = None

    def _decide(self, now_s: float, work: float) -> None:
        if self._proven is None:
            self._keep(work)
            self._try(self.size * (1 + STEP_UP))
            return
        size, done = self._proven
        if self.size > size:
            if (work / done - 1) >= WORTH_IT * (self.size / size - 1):
                self._keep(work)
                self._try(self.size * (1 + STEP_UP))
            else:
                self._settle(now_s, size)
        elif self.size < size:
            if work >= AS_GOOD * done:
                self._keep(work)
                self._try(self.size * (1 - STEP_DOWN))
            else:
                self._settle(now_s, size)
        else:
            self._keep(work)
            if now_s >= self._rest_until_s:
                self._try(self.size * (1 + STEP_UP if self._up_next else 1 - STEP_DOWN))
                self._up_next = not self._up_next

    def _keep(self, work: float) -> None:
        self._proven = (self.size, work)

    def _settle(self, now_s: float, size: float) -> None:
        self._try(size)
        self._rest_until_s = now_s + REST_S

    def _try(self, size: float) -> None:
        """Only calls that are sent from now on tell something about the new size."""
        before = self.allowed
        self._set(max(size, self.size + 1) if size > self.size else size)
        if self.allowed != before:
            self.epoch += 1

    def _new_round(self, in_flight: int) -> None:
        super()._new_round(in_flight)
        self._per_token.clear()
        self._durations.clear()
