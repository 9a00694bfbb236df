"""Curves as rows of characters: Braille dots, two by four to a cell, or plain ASCII. Pure; knows nothing of widgets.

The last column is now. Curves are drawn in the order given, and a cell takes the colour of the last one in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import groupby
from typing import Final

EMPTY: Final = -1
"""In a cell's place of the curve that it belongs to."""

_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_STACKS: Final = [
    [[sum(dots[dx] for dots in _DOTS[top : bottom + 1]) for bottom in range(4)] for top in range(4)] for dx in range(2)
]
"""Dots of one half of a cell, from the one row to the other, counted from the top."""

_SIGNS: Final = [chr(0x2800 | dots) for dots in range(256)]
"""Braille, by which dots are there."""

_LEAST: Final = 1e-300
"""What is smaller is drawn as nothing: powers of ten end soon below it."""


class Stroke(Enum):
    """How a curve is drawn, so that it can be told apart without colours; the value is its sign in ASCII."""

    AREA = ":"
    LINE = "*"
    DOTS = "o"
    DASHES = "-"
    BARS = "#"


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    values: Sequence[float | None]
    """Oldest first, one per step; None where nothing is known."""
    stroke: Stroke
    role: str
    """Whose colour it has: a name that the widget knows."""


Run = tuple[str, int]
"""Signs, and the index of the curve that they belong to."""


def nice_top(largest: float, *, whole: bool = False) -> float:
    """The end of an axis, not below `largest`: 1, 2, 4, 6, 8 or 10 times a power of ten, whose half is round as well.

    `whole` is for counts: at least 2, so that half of it is a count, too.
    """
    if not largest > _LEAST or math.isinf(largest):
        return 2.0 if whole else 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    top = next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= largest * 0.999_999)
    return max(2.0, top) if whole else top


def plot(
    curves: Sequence[Curve], *, steps: int, top: float, width: int, height: int, ascii_only: bool
) -> list[list[Run]]:
    """Rows from the top, each as runs of one curve.

    Args:
        steps: how many values the whole width stands for; curves with fewer begin later.
        top: the value at the upper edge; what lies above is drawn there.
        width, height: in cells.
    """
    canvas = _Canvas(width, height, 1 if ascii_only else 2, 1 if ascii_only else 4)
    for index, curve in enumerate(curves):
        _draw(canvas, curve, index, steps, top)
    return [list(canvas.runs(row, curves)) for row in range(height)]


class _Canvas:
    def __init__(self, width: int, height: int, across: int, down: int) -> None:
        self.columns, self.rows = width * across, height * down
        self._across, self._down = across, down
        self._bits = [[0] * width for _ in range(height)]
        self._owners = [[EMPTY] * width for _ in range(height)]

    def fill(self, x: int, low: int, high: int, owner: int) -> None:
        """Dots of one column, rows counted from the bottom, both ends included."""
        column, dx = divmod(x, self._across)
        first, above = divmod(self.rows - 1 - high, self._down)
        last, down_to = divmod(self.rows - 1 - low, self._down)
        # Cell by cell: an area of two hundred columns has thousands of dots.
        stacks, bits, owners = _STACKS[dx], self._bits, self._owners
        bits[first][column] |= stacks[above][down_to if first == last else self._down - 1]
        owners[first][column] = owner
        if first == last:
            return
        whole = stacks[0][self._down - 1]
        for row in range(first + 1, last):
            bits[row][column] |= whole
            owners[row][column] = owner
        bits[last][column] |= stacks[0][down_to]
        owners[last][column] = owner

    def runs(self, row: int, curves: Sequence[Curve]) -> Iterator[Run]:
        bits, start = self._bits[row], 0
        for owner, group in groupby(self._owners[row]):
            end = start + len(list(group))
            if owner == EMPTY:
                yield " " * (end - start), EMPTY
            elif self._down == 1:
                yield curves[owner].stroke.value * (end - start), owner
            else:
                yield "".join(map(_SIGNS.__getitem__, bits[start:end])), owner
            start = end


def _draw(canvas: _Canvas, curve: Curve, index: int, steps: int, top: float) -> None:
    before: int | None = None
    for x, value in enumerate(_shares(curve.values, canvas.columns, steps)):
        if value is None:
            before = None
            continue
        y = min(canvas.rows - 1, max(0, round(value / top * (canvas.rows - 1))))
        match curve.stroke:
            case Stroke.AREA:
                canvas.fill(x, 0, y, index)
            case Stroke.BARS:
                if value > 0:
                    canvas.fill(x, 0, max(0, y), index)
            case Stroke.LINE:
                low, high = (y, y) if before is None else (min(before, y), max(before, y))
                canvas.fill(x, low, high, index)
            case Stroke.DOTS:
                if x % 2 == 0:
                    canvas.fill(x, y, y, index)
            case Stroke.DASHES:
                if x % 4 < 3:
                    canvas.fill(x, y, y, index)
        before = y


def _shares(values: Sequence[float | None], columns: int, steps: int) -> Iterator[float | None]:
    """What stands in each column: the largest of the values that share it, None if nothing is known of any."""
    missing = steps - len(values)
    for first, last in _shared(columns, steps):
        known = [value for value in values[max(0, first - missing) : max(0, last - missing)] if value is not None]
        yield max(known) if known else None


@lru_cache(maxsize=16)
def _shared(columns: int, steps: int) -> tuple[tuple[int, int], ...]:
    """Of each column the steps that it stands for, from the one to before the other."""
    spans: list[tuple[int, int]] = []
    for x in range(columns):
        first = x * steps // columns
        last = max(first + 1, -(-(x + 1) * steps // columns))
        # A column that two steps share belongs to the one that has more of it.
        spans.append((first, first + 1 if last - first == 2 and columns > steps else last))
    return tuple(spans)
