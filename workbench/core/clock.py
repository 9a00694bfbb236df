"""Time as a dependency: monotonic nanoseconds for durations, wall time for dates.

Decision code never calls `time` itself; it takes `now` or a `Clock`, so tests run it in virtual time. The two scales
are never mixed: a wall clock may step, the monotonic one may not.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

NS_PER_S = 1_000_000_000


class Clock(Protocol):
    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never runs backwards."""

    def wall(self) -> datetime:
        """Now, in UTC; for dates that people and servers read, never for durations."""


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    monotonic_ns = staticmethod(time.monotonic_ns)

    def wall(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves when told to. For tests and for simulations in virtual time."""

    __slots__ = ("_ns", "_origin_s")

    def __init__(self, start_s: float = 0.0, wall_start: datetime | None = None) -> None:
        self._ns = round(start_s * NS_PER_S)
        self._origin_s = (wall_start or datetime(2026, 1, 1, tzinfo=UTC)).timestamp() - start_s

    def monotonic_ns(self) -> int:
        return self._ns

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self._origin_s + self._ns / NS_PER_S, UTC)

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"time does not run backwards: advance({seconds!r})")
        self._ns += round(seconds * NS_PER_S)
