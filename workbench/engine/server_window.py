"""What a server has counted that refills in steps: all that was used in some stretch of time, up to now.

A fixed window begins and ends with the server's clock, a sliding one is always the last minute. Which of the two it is,
and so which of our own requests it has counted, is read off when it says that the whole limit will be free again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WHOLE: Final = 0.95
"""Part of a period that counts as all of it."""
SAME_S: Final = 1.0
"""Ends of a window that differ by no more than this are one: some servers state them in whole seconds."""
SURE_AFTER_S: Final = 4.5
"""Longer than a fixed window of a minute can be a whole one from its end."""


class WindowClock:
    """Tells sliding windows from fixed ones."""

    __slots__ = ("_ends_s", "_fixed_from_s", "_slides_from_s")

    def __init__(self) -> None:
        self._ends_s: float | None = None
        self._fixed_from_s = 0.0
        self._slides_from_s: float | None = None

    def counts_from(self, sent_s: float, reset_s: float, period_s: float) -> float | None:
        """Since when the server has counted what it says it has; None while that is not known.

        `reset_s` was said of a request that was let in, at `sent_s`.
        """
        if reset_s < WHOLE * period_s:
            self._slides_from_s = None
        elif self._slides_from_s is None:
            self._slides_from_s = sent_s
        ends_s = sent_s + reset_s
        if self._ends_s is None or not _whole_periods(ends_s - self._ends_s, period_s):
            self._ends_s, self._fixed_from_s = ends_s, sent_s
        if self._slides_from_s is not None and sent_s - self._slides_from_s > SURE_AFTER_S:
            return sent_s - period_s
        return ends_s - period_s if sent_s - self._fixed_from_s > SURE_AFTER_S else None


def _whole_periods(gap_s: float, period_s: float) -> bool:
    return abs(gap_s - round(gap_s / period_s) * period_s) <= min(SAME_S, 0.1 * period_s)


@dataclass(slots=True)
class Holdings:
    """What such a server has counted, beside what we had admitted in the same stretch: sums over all answers."""

    answers: int = 0
    used: float = 0.0
    own: float = 0.0
    promised: float = 0.0
    """Part of `own` that may not have been charged yet."""
    unknown: float = 0.0
    """What had been used before we came, and may still be counted. Not a sum."""
    since_s: float | None = None
    """When we came."""

    def begin(self, at_s: float, unknown: float) -> None:
        self.since_s, self.unknown = at_s, max(0.0, unknown)

    def look(self, from_s: float, used: float, own: float, promised: float) -> None:
        """`from_s` = since when the server has counted."""
        self.answers += 1
        self.used += used
        self.own += own
        self.promised += promised
        if self.since_s is not None and from_s >= self.since_s:
            self.unknown = 0.0
