"""How late a stamp can be: the longest time that the event loop went without looking at its sockets.

Bytes that arrive while a callback runs are seen when it ends. So the time between two polls bounds the error of every
stamp taken after it, whatever held the loop up: a frame, an import, a big answer being parsed. Measured on the loop's
own selector, exactly and for half a microsecond per turn; a heartbeat would miss what happens between its beats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from workbench.core.clock import NS_PER_S
from workbench.core.stats import Percentiles, Sketch

SLOT_NS = NS_PER_S // 4
SLOTS = 2_600
"""Ten minutes, which is as long as a request may take, and a little more."""

WINDOW_S = 60


class PollWatch:
    """Watches one loop, from `install` to `remove`. Reports 0 on loops without a selector of Python's own."""

    __slots__ = ("_now_ns", "_polled_ns", "_selector", "_slots", "_stamps")

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._polled_ns = 0
        self._selector: Any = None
        self._slots = [0] * SLOTS
        self._stamps = [-1] * SLOTS

    def install(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Begin to watch; False where that is not possible."""
        # Private, and the only place that knows: asyncio reports slow callbacks in debug mode alone. A loop without
        # this attribute, such as uvloop's or Windows' proactor, is simply not watched.
        selector = getattr(loop, "_selector", None)
        if selector is None or not hasattr(selector, "__dict__") or self._selector is not None:
            return False
        poll = selector.select
        now_ns = self._now_ns

        def select(timeout: float | None = None) -> Any:
            self._busy(now_ns())
            try:
                return poll(timeout)
            finally:
                self._polled_ns = now_ns()

        self._polled_ns = now_ns()
        self._selector = selector
        selector.select = select
        return True

    def remove(self) -> None:
        if self._selector is not None:
            del self._selector.select
            self._selector = None

    def _busy(self, at_ns: int) -> None:
        """A turn of the loop is over."""
        busy_ns = at_ns - self._polled_ns
        number = at_ns // SLOT_NS
        slot = number % SLOTS
        if self._stamps[slot] != number:
            self._stamps[slot] = number
            self._slots[slot] = busy_ns
        elif busy_ns > self._slots[slot]:
            self._slots[slot] = busy_ns

    def worst_ns(self, since_ns: int) -> int:
        """The longest time between two polls since then, the turn under way included; 0 when nothing is watched."""
        if self._selector is None:
            return 0
        now_ns = self._now_ns()
        first, last = since_ns // SLOT_NS, now_ns // SLOT_NS
        worst_ns = now_ns - self._polled_ns
        for number in range(max(first, last - SLOTS + 1), last + 1):
            slot = number % SLOTS
            if self._stamps[slot] == number and self._slots[slot] > worst_ns:
                worst_ns = self._slots[slot]
        return worst_ns

    def percentiles(self, now_ns: int) -> Percentiles:
        """Seconds without a poll, the worst of each quarter of a second, over the last minute."""
        last = now_ns // SLOT_NS
        sketch = Sketch()
        for number in range(max(0, last - WINDOW_S * NS_PER_S // SLOT_NS), last + 1):
            slot = number % SLOTS
            if self._stamps[slot] == number:
                sketch.add(self._slots[slot] / NS_PER_S)
        return sketch.percentiles()
