"""One clock for everything that repaints while models stream.

Panes take text at any rate and draw nothing; the clock asks each of them to `flush` a few dozen times a second, all in
the same tick, so that Textual composes one screen update for all. What a tick may cost is bounded: the budget is shared
among the views, and whoever has work left gets the next tick. When the app's thread is busy for most of a period the
rate is lowered in steps, and raised again when there is room: a late frame is invisible, a late time stamp is not.

With nothing to draw the clock stops completely; `wake` starts it again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from textual.app import App
    from textual.timer import Timer

FIRST_FRAME_S = 0.05
"""What the first frame may take from being drawn to being on the screen: the terminal's writer is a thread, and imports
that begin meanwhile hold it up for as long as they last."""

DIVISORS = (1, 2, 3, 4, 6)
"""The rate is the base rate divided by one of these: 24, 12, 8, 6 and 4 Hz."""

BUSY = 0.70
"""Share of a period the app's thread may work before the rate is lowered."""

CALM = 0.35
"""Raised again below this share. At twice the rate a load of 0.35 becomes 0.70 at most, so it cannot swing."""

PATIENCE = 6
"""Periods in a row that must agree before the rate changes: one slow frame (a resize, a theme) is not a trend."""


MOST_DRAWN = 4
"""Views that draw in one tick. Composing a screen in which eight panes changed takes twice as long as one with four, so
more than four take turns: half the rate, half the time that a frame holds up everything else."""

NOTHING_S = 0.000_1
"""A view that was done so quickly has drawn nothing."""

MINIMUM_S = 0.000_5
"""A view may use so much even when others have used up the budget, so that none starves."""


class FrameView(Protocol):
    """Something that collects changes cheaply and draws them when asked."""

    def flush(self, budget_s: float) -> bool:
        """Draw what has changed, for at most about `budget_s` seconds. True if a later tick should go on."""

    def connect(self, wake: Callable[[], None] | None) -> None:
        """Take the function to call when there is something to draw, or None when the clock lets go."""


@dataclass(frozen=True, slots=True)
class FrameStats:
    frames: int
    """Ticks in which something was drawn, looks of the monitor included."""
    dropped: int
    """Ticks left out because the thread was busy or the tick came late."""
    hz: float
    """The present rate; 0 while there is nothing to draw."""
    p95_ms: float
    """Of the time spent in the views per tick, over the last few hundred."""
    load: float
    """Share of the last period in which the app's thread was working, whatever at: 0 to 1."""


@dataclass(slots=True)
class FramePace:
    """Decides the rate from the load alone; no clock inside."""

    step: int = 0
    _agreeing: int = 0

    @property
    def divisor(self) -> int:
        return DIVISORS[self.step]

    def observe(self, load: float, over_budget: bool) -> None:
        """Take one period's load (0 to 1) and whether the views' part ran over its budget."""
        if (load > BUSY or over_budget) and self.step < len(DIVISORS) - 1:
            trend = 1
        elif load < CALM and not over_budget and self.step > 0:
            trend = -1
        else:
            self._agreeing = 0
            return
        self._agreeing = self._agreeing + trend if self._agreeing * trend >= 0 else trend
        if abs(self._agreeing) >= PATIENCE:
            self.step += trend
            self._agreeing = 0


class FrameClock:
    """Ticks for views, from the app's own loop. `add` and `remove` views at any time; the app's exit ends it."""

    def __init__(self, app: App[Any], *, hz: float = 24.0, budget_s: float = 0.008) -> None:
        self._app = app
        self._period_s = 1.0 / hz
        self._budget_s = budget_s
        self._views: list[FrameView] = []
        self._pace = FramePace()
        self._timer: Timer | None = None
        self._running = False
        self._woken = False
        self._waiting: list[FrameView] = []
        """Views to be flushed, those that have waited longest first."""
        self._ticks = 0
        self._frames = 0
        self._dropped = 0
        self._costs_s: deque[float] = deque(maxlen=240)
        self._load = 0.0
        self._last_tick_s = 0.0
        self._last_frame_s = 0.0
        self._last_cpu_s = 0.0

    def add(self, view: FrameView) -> None:
        """Flush this view from now on. Adding it again changes nothing."""
        if view not in self._views:
            self._views.append(view)
            view.connect(self.wake)
            self.wake()

    def remove(self, view: FrameView) -> None:
        """Let go of this view; unknown ones are fine."""
        if view in self._views:
            self._views.remove(view)
            if view in self._waiting:
                self._waiting.remove(view)
            view.connect(None)

    def wake(self) -> None:
        """Something wants drawing. Cheap enough to call for every chunk of every stream."""
        self._woken = True
        if self._running:
            return
        self._running = True
        self._last_tick_s = 0.0
        if self._timer is None:
            self._timer = self._app.set_interval(self._period_s, self._tick, name="frame clock")
        else:
            self._timer.resume()

    def count(self, cost_s: float, *, left_out: int = 0) -> None:
        """A screen that draws at a pace of its own has drawn for so long, after it left out so many of its turns."""
        self._frames += 1
        self._dropped += left_out
        self._costs_s.append(cost_s)

    def statistics(self) -> FrameStats:
        costs = sorted(self._costs_s)
        return FrameStats(
            frames=self._frames,
            dropped=self._dropped,
            hz=1.0 / (self._period_s * self._pace.divisor) if self._running else 0.0,
            p95_ms=costs[int(len(costs) * 0.95)] * 1e3 if costs else 0.0,
            load=self._load,
        )

    def _tick(self) -> None:
        now = time.perf_counter()
        self._ticks += 1
        if self._last_tick_s:
            # Ticks that the timer left out because the loop was busy.
            self._dropped += max(0, round((now - self._last_tick_s) / self._period_s) - 1)
        self._last_tick_s = now
        if self._ticks % self._pace.divisor:
            self._dropped += 1
            return
        if self._woken:
            self._woken = False
            self._waiting += [view for view in self._views if view not in self._waiting]
        self._draw(now)
        self._observe(now)
        if not self._waiting and not self._woken:
            self._running = False
            self._last_frame_s = 0.0
            if self._timer is not None:
                self._timer.pause()

    def _draw(self, now: float) -> None:
        """One frame: the views that wait for one, as many as a tick takes. Those with work left wait again."""
        deadline = now + self._budget_s
        order, unfinished = self._waiting, list[FrameView]()
        drawn = 0
        while order and drawn < MOST_DRAWN:
            view = order.pop(0)
            began = time.perf_counter()
            if view.flush(max(MINIMUM_S, (deadline - began) / (len(order) + 1))):
                unfinished.append(view)
            drawn += time.perf_counter() - began > NOTHING_S
        self._waiting = order + unfinished
        self._costs_s.append(time.perf_counter() - now)
        self._frames += drawn > 0

    def _observe(self, now: float) -> None:
        """Adapt the rate to what the thread did since the last frame, drawing it on the screen included."""
        cpu = time.thread_time()
        if self._last_frame_s:
            self._load = min(1.0, (cpu - self._last_cpu_s) / max(now - self._last_frame_s, 1e-6))
            self._pace.observe(self._load, self._costs_s[-1] > 2 * self._budget_s)
        self._last_frame_s = now
        self._last_cpu_s = cpu
