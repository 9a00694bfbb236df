"""How late a stamp can be: how long the event loop had not looked at its sockets when it was taken.

Bytes that arrive while a callback runs are seen when it ends. So the time since the poll before bounds the error of
every stamp, whatever held the loop up: a frame, an import, a big answer being parsed. Measured on the loop's own
selector, exactly and for less than a microsecond per turn; a heartbeat would miss what happens between its beats.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from workbench.core.clock import NS_PER_S
from workbench.core.stats import Percentiles, Sketch

SLOT_NS = NS_PER_S // 4
SLOTS = 2_600
"""Ten minutes, which is as long as a request may take, and a little more."""

WINDOW_S = 60

TURNS = 32
"""Of the loop that are remembered one by one. From the socket to whoever asks a stamp goes through two or three."""

RESTED_NS = 50_000
"""A poll that took so long has waited: whatever made it return came at that moment."""


class PollWatch:
    """Watches one loop, from `install` to `remove`. Reports 0 on loops without a selector of Python's own."""

    __slots__ = ("_before", "_now_ns", "_polled_ns", "_select", "_selector", "_slots", "_stamps", "_turns")

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._polled_ns: Callable[[], int] = now_ns
        self._selector: Any = None
        self._select: Callable[[float | None], Any] | None = None
        self._before: Callable[[float | None], Any] | None = None
        self._slots = [0] * SLOTS
        self._stamps = [-1] * SLOTS
        self._turns: deque[tuple[int, int]] = deque(maxlen=TURNS)
        """When each began, and since when its bytes may have lain there."""

    def install(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Begin to watch; False where that is not possible."""
        # Private, and the only place that knows: asyncio reports slow callbacks in debug mode alone. A loop without
        # this attribute, such as uvloop's or Windows' proactor, is simply not watched.
        selector = getattr(loop, "_selector", None)
        if selector is None or not hasattr(selector, "__dict__") or self._selector is not None:
            return False
        poll = selector.select
        now_ns, busy, remember = self._now_ns, self._busy, self._turns.append
        polled_ns, slot_ends_ns, worst_ns = now_ns(), 0, 0
        since_ns = polled_ns

        def select(timeout: float | None = None) -> Any:
            # Runs at every turn of the loop, so only what is new goes further than two comparisons.
            nonlocal polled_ns, since_ns, slot_ends_ns, worst_ns
            at_ns = now_ns()
            busy_ns = at_ns - polled_ns
            if at_ns >= slot_ends_ns or busy_ns > worst_ns:
                slot_ends_ns, worst_ns = busy(at_ns, busy_ns)
            ready = poll(timeout)
            before_ns, polled_ns = polled_ns, now_ns()
            if timeout != 0 and polled_ns - at_ns > RESTED_NS:
                before_ns = since_ns = polled_ns
            # A reader that is woken by the bytes' own callback stamps them one turn after that: hence two turns back.
            remember((polled_ns, since_ns))
            since_ns = before_ns
            return ready

        self._polled_ns = lambda: polled_ns
        self._selector = selector
        self._before = vars(selector).get("select")
        self._select = selector.select = select
        return True

    def remove(self) -> None:
        selector, self._selector = self._selector, None
        # Another engine on this loop may have come after; its watch then keeps calling ours, which costs nothing.
        if selector is not None and vars(selector).get("select") is self._select:
            if self._before is None:
                del selector.select
            else:
                selector.select = self._before

    def _busy(self, at_ns: int, busy_ns: int) -> tuple[int, int]:
        """Note the longest turn of this slot; returns when the slot ends, and what a longer one has to exceed."""
        number = at_ns // SLOT_NS
        slot = number % SLOTS
        if self._stamps[slot] != number:
            self._stamps[slot] = number
            self._slots[slot] = 0
        self._slots[slot] = max(self._slots[slot], busy_ns)
        return (number + 1) * SLOT_NS, self._slots[slot]

    def worst_ns(self, since_ns: int) -> int:
        """The longest time between two polls since then, the turn under way included; 0 when nothing is watched."""
        if self._selector is None:
            return 0
        now_ns = self._now_ns()
        first, last = since_ns // SLOT_NS, now_ns // SLOT_NS
        worst_ns = now_ns - self._polled_ns()
        for number in range(max(first, last - SLOTS + 1), last + 1):
            slot = number % SLOTS
            if self._stamps[slot] == number and self._slots[slot] > worst_ns:
                worst_ns = self._slots[slot]
        return worst_ns

    def late_ns(self, at_ns: int) -> int:
        """How long what was stamped at this moment, a few turns ago at the most, may have lain in its socket."""
        if self._selector is None:
            return 0
        for began_ns, since_ns in reversed(self._turns):
            if began_ns <= at_ns:
                return at_ns - since_ns
        # Too long ago to be told apart: as late as the latest of its quarter of a second.
        slot = at_ns // SLOT_NS
        return self._slots[slot % SLOTS] if self._stamps[slot % SLOTS] == slot else 0

    def percentiles(self, now_ns: int) -> Percentiles:
        """Seconds without a poll, the worst of each quarter of a second, over the last minute."""
        last = now_ns // SLOT_NS
        sketch = Sketch()
        for number in range(max(0, last - WINDOW_S * NS_PER_S // SLOT_NS), last + 1):
            slot = number % SLOTS
            if self._stamps[slot] == number:
                sketch.add(self._slots[slot] / NS_PER_S)
        return sketch.percentiles()
