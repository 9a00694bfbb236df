"""Distributions and rates that cost next to nothing to feed and can be read at any moment.

Live figures come from a sketch with logarithmic bins: every quantile is within 1 % of a value that was really there,
whatever the distribution, and two sketches add up to the sketch of both. Final reports sort the values instead
(`quantile_linear`). A quantile that too few samples carry is None, because a tail of twelve values is noise.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from workbench.core.clock import NS_PER_S

RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_PER_LOG = 1 / math.log(_GAMMA)
_MIDDLE = 2 / (_GAMMA + 1)

SAMPLES_FOR_P95 = 20
SAMPLES_FOR_P99 = 100
SETTLED = SAMPLES_FOR_P95
"""Live percentiles of so many samples are read once a second and not oftener."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A distribution at a glance; None where there are too few samples to say."""

    n: int = 0
    p50: float | None = None
    p95: float | None = None
    """None below 20 samples."""
    p99: float | None = None
    """None below 100 samples."""
    max: float | None = None


NOTHING = Percentiles()


class Sketch:
    """Quantiles of non-negative numbers, each within 1 % of a value that was added."""

    __slots__ = ("_bins", "_count", "_max", "_zeros")

    def __init__(self) -> None:
        self._bins: dict[int, int] = {}
        self._zeros = 0
        self._count = 0
        self._max = 0.0

    def __len__(self) -> int:
        return self._count

    def add(self, value: float) -> None:
        """Count one value. Negative values and zero share a bin of their own; NaN and infinity are not counted."""
        if not math.isfinite(value):
            return
        self._count += 1
        if value > self._max:
            self._max = value
        if value <= 0.0:
            self._zeros += 1
            return
        index = math.ceil(math.log(value) * _PER_LOG)
        self._bins[index] = self._bins.get(index, 0) + 1

    def items(self) -> Iterable[tuple[int, int]]:
        """Bins and how many values each has."""
        return self._bins.items()

    def merge(self, other: Sketch | PutAway) -> None:
        """Add everything that the other one has counted."""
        bins = self._bins
        for index, count in other.items():
            bins[index] = bins.get(index, 0) + count
        self._zeros += other._zeros
        self._count += other._count
        self._max = max(self._max, other._max)

    def subtract(self, other: Sketch | PutAway) -> None:
        """Take away what `merge` has added; the maximum stays what it was, for `lower` to say."""
        bins = self._bins
        for index, count in other.items():
            left = bins[index] - count
            if left:
                bins[index] = left
            else:
                del bins[index]
        self._zeros -= other._zeros
        self._count -= other._count

    def lower(self, largest: float) -> None:
        """Nothing that is still counted was larger than this."""
        self._max = largest

    @property
    def max(self) -> float:
        """The largest value; 0 when nothing was added."""
        return self._max

    def copy(self) -> Sketch:
        twin = Sketch()
        twin._bins = self._bins.copy()
        twin._zeros, twin._count, twin._max = self._zeros, self._count, self._max
        return twin

    def clear(self) -> None:
        self._bins.clear()
        self._zeros = self._count = 0
        self._max = 0.0

    def quantile(self, q: float) -> float | None:
        """The value at rank q·(n−1), rounded down; None when nothing was added."""
        return self.quantiles((q,))[0]

    def quantiles(self, qs: Sequence[float]) -> list[float | None]:
        """Several quantiles at once."""
        if not self._count:
            return [None] * len(qs)
        if not self._zeros and len(self._bins) == 1:
            return [self._value(next(iter(self._bins)))] * len(qs)
        if not self._bins:
            return [0.0] * len(qs)
        # Counting up to each bin and searching there is done in C; a loop would take four times as long.
        indexes = sorted(self._bins)
        up_to = list(accumulate(map(self._bins.__getitem__, indexes), initial=self._zeros))
        found: list[float | None] = []
        for q in qs:
            # The first bin up to whose end there are more values than the rank says.
            position = bisect_right(up_to, q * (self._count - 1))
            found.append(self._value(indexes[position - 1]) if position else 0.0)
        return found

    def _value(self, index: int) -> float:
        """What a bin stands for."""
        return min(_MIDDLE * math.exp(index / _PER_LOG), self._max)

    def percentiles(self) -> Percentiles:
        n = self._count
        if n >= SAMPLES_FOR_P99:
            p50, p95, p99 = self.quantiles((0.5, 0.95, 0.99))
            return Percentiles(n, p50, p95, p99, self._max)
        if n >= SAMPLES_FOR_P95:
            p50, p95 = self.quantiles((0.5, 0.95))
            return Percentiles(n, p50, p95, None, self._max)
        return Percentiles(n, self.quantiles((0.5,))[0], None, None, self._max) if n else NOTHING


class PutAway:
    """What a sketch has counted, in a sixth of its memory: nothing is added to it any more."""

    __slots__ = ("_bins", "_count", "_max", "_zeros")

    def __init__(self, sketch: Sketch) -> None:
        # All indexes, then all counts.
        self._bins = array("i", [*sketch._bins, *sketch._bins.values()])
        self._zeros, self._count, self._max = sketch._zeros, sketch._count, sketch._max

    @property
    def max(self) -> float:
        return self._max

    def items(self) -> Iterable[tuple[int, int]]:
        half = len(self._bins) // 2
        return zip(self._bins[:half], self._bins[half:], strict=True)


class SketchWindow:
    """The sketch of the last `seconds`: one sketch per second that had a value, and the sum of those that are over.

    Empty it is a few words in memory, so a thousand lanes may each have several. Asked again while nothing was added
    and nothing fell out, or within a second in which twenty values were there already, it says the same as before.
    """

    __slots__ = ("_closed", "_filling", "_latest", "_past", "_said", "_said_at", "_seconds", "_stale")

    def __init__(self, seconds: int = 60) -> None:
        self._seconds = seconds
        self._latest = -1
        self._filling: Sketch | None = None
        """The latest second's."""
        self._past: dict[int, PutAway] = {}
        """Those of the seconds before it, oldest first, all within the window when it was last fed or read."""
        self._closed: Sketch | None = None
        """The sum of all but the latest second."""
        self._said = NOTHING
        self._said_at = -1
        self._stale = False

    def add(self, value: float, now_ns: int) -> None:
        second = now_ns // NS_PER_S
        # A stamp that is a little older than its predecessor belongs to the second that is being filled.
        if second > self._latest:
            self._turn(second)
        sketch = self._filling
        if sketch is None:
            sketch = self._filling = Sketch()
        sketch.add(value)
        self._stale = True

    def _turn(self, second: int) -> None:
        """A new second begins: the one before it changes no more."""
        self._forget(second)
        over = self._filling
        if over is not None:
            if self._closed is None:
                self._closed = Sketch()
            self._closed.merge(over)
            self._past[self._latest] = PutAway(over)
            self._filling = None
        self._latest = second

    def _forget(self, second: int) -> None:
        oldest = second - self._seconds
        if self._filling is not None and self._latest <= oldest:
            self._filling = None
            self._stale = True
        past, closed = self._past, self._closed
        if closed is None or not past or next(iter(past)) > oldest:
            return
        self._stale = True
        for stamp in [stamp for stamp in past if stamp <= oldest]:
            closed.subtract(past.pop(stamp))
        closed.lower(max((sketch.max for sketch in past.values()), default=0.0))

    @property
    def changes_at_s(self) -> float:
        """The second in which what is remembered last will have fallen out next; infinity when there is nothing."""
        if self._past:
            return next(iter(self._past)) + self._seconds
        return math.inf if self._filling is None else self._latest + self._seconds

    def percentiles(self, now_ns: int) -> Percentiles:
        second = now_ns // NS_PER_S
        if second != self._said_at:
            self._forget(second)
        elif self._said.n >= SETTLED:
            # Among so many values one more changes nothing that could be read: a second later is soon enough.
            return self._said
        if self._stale:
            self._said = self._percentiles()
            self._stale = False
        self._said_at = second
        return self._said

    def glance(self, now_ns: int) -> Percentiles:
        """What was answered last, however long ago that is; among few values each one counts, and is looked at."""
        return self._said if self._said.n >= SETTLED else self.percentiles(now_ns)

    def _percentiles(self) -> Percentiles:
        latest = self._filling
        if self._closed is None or not len(self._closed):
            return NOTHING if latest is None else latest.percentiles()
        if latest is None:
            return self._closed.percentiles()
        both = self._closed.copy()
        both.merge(latest)
        return both.percentiles()


class RateWindow:
    """How much of something happened in the last `seconds`, in one-second slots."""

    __slots__ = ("_amounts", "_first", "_latest", "_seconds", "_stamps")

    def __init__(self, seconds: int = 60) -> None:
        self._seconds = seconds
        self._amounts = [0.0] * seconds
        self._stamps = [-1] * seconds
        self._first: int | None = None
        self._latest = -seconds

    def add(self, amount: float, now_ns: int) -> None:
        second = now_ns // NS_PER_S
        if self._first is None:
            self._first = second
        if second > self._latest:
            self._latest = second
        slot = second % self._seconds
        if self._stamps[slot] == second:
            self._amounts[slot] += amount
        else:
            self._stamps[slot] = second
            self._amounts[slot] = amount

    def total(self, now_ns: int) -> float:
        oldest = now_ns // NS_PER_S - self._seconds
        if self._latest <= oldest:
            return 0.0
        return sum(amount for stamp, amount in zip(self._stamps, self._amounts, strict=True) if stamp > oldest)

    def is_empty(self, now_ns: int) -> bool:
        """Nothing was added in the last `seconds`, so that time alone changes nothing."""
        return self._latest <= now_ns // NS_PER_S - self._seconds

    def per_second(self, now_ns: int) -> float:
        """Mean rate over the wall time of the window, idle seconds included; a young window counts from its start."""
        if self._first is None:
            return 0.0
        age = now_ns // NS_PER_S - self._first + 1
        return self.total(now_ns) / max(1, min(self._seconds, age))


def quantile_linear(ordered: Sequence[float], q: float) -> float | None:
    """The exact quantile of sorted values, interpolated linearly as numpy does by default; None when there are none."""
    if not ordered:
        return None
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
