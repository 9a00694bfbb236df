"""Heights of blocks and their running sums, summed up again only from where one changed."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate


class Heights:
    def __init__(self) -> None:
        self._heights: list[int] = []
        self._tops: list[int] = [0]
        """Top of each block and, last, the total; shorter where a change has made the sums invalid."""

    def __len__(self) -> int:
        return len(self._heights)

    def __getitem__(self, index: int) -> int:
        return self._heights[index]

    def __setitem__(self, index: int, height: int) -> None:
        if self._heights[index] != height:
            self._heights[index] = height
            del self._tops[index + 1 :]

    def append(self, height: int) -> None:
        if len(self._tops) > len(self._heights):
            self._tops.append(self._tops[-1] + height)
        self._heights.append(height)

    @property
    def total(self) -> int:
        return self._sums()[-1]

    def top(self, index: int) -> int:
        """Rows above this block; `len()` gives the total."""
        return self._sums()[index]

    def find(self, y: int) -> tuple[int, int]:
        """Block and row in it of row `y`, which must be below the total."""
        tops = self._sums()
        index = bisect_right(tops, y) - 1
        return index, y - tops[index]

    def _sums(self) -> list[int]:
        known = len(self._tops)
        if known <= len(self._heights):
            sums = accumulate(self._heights[known - 1 :], initial=self._tops[-1])
            next(sums)
            self._tops.extend(sums)
        return self._tops
