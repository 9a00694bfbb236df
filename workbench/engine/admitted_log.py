"""What one lane has admitted lately, in every dimension that providers meter."""

from __future__ import annotations

from typing import Final, Protocol

from workbench.core.errors import LimitKind
from workbench.engine.lane_state import Stateful

KINDS: Final = (LimitKind.REQUESTS, LimitKind.TOKENS, LimitKind.INPUT_TOKENS, LimitKind.OUTPUT_TOKENS)
"""Metered dimensions, in the order of `Costs`."""

Costs = tuple[float, float, float, float]
"""What one request takes of each dimension: 1, input + output, input, output."""


class Cells(Protocol):
    def __getitem__(self, index: int, /) -> Costs: ...
    def __setitem__(self, index: int, totals: Costs, /) -> None: ...


class AdmittedLog(Stateful):
    """Units admitted by one lane in the last two minutes, one cell per second."""

    __slots__ = ("_cells", "input", "output", "requests", "second", "started_s")
    FLOATS = ("requests", "input", "output", "started_s")
    COUNTS = ("second",)
    SPAN_S: Final = 120
    CELLS: Final = 128

    def __init__(self) -> None:
        self.requests = 0.0
        self.input = 0.0
        self.output = 0.0
        self.started_s: float | None = None
        self.second = 0
        """The second whose cell was written last."""
        self._cells: Cells = [(0.0, 0.0, 0.0, 0.0)] * self.CELLS

    def keep_in(self, cells: Cells) -> None:
        """Keep the cells there from now on. The log must be new, or what it holds must be there already."""
        self._cells = cells

    def restart(self) -> None:
        self.requests = self.input = self.output = 0.0
        self.started_s = None

    def add(self, now_s: float, requests: float, input_tokens: float, output_tokens: float) -> Costs:
        """Returns what has been admitted in all."""
        if self.started_s is None:
            self.started_s = now_s
            self.second = int(now_s)
            for index in range(self.CELLS):
                self._cells[index] = self.totals()
        elif int(now_s) > self.second:
            self._roll(int(now_s))
        self.requests += requests
        self.input += input_tokens
        self.output += output_tokens
        return self.requests, self.input + self.output, self.input, self.output

    def totals(self) -> Costs:
        return self.requests, self.input + self.output, self.input, self.output

    def since(self, now_s: float, start_s: float, index: int) -> tuple[float, float]:
        """Units of dimension `index` admitted since `start_s`, at most two minutes back, and the seconds they took."""
        if self.started_s is None:
            return 0.0, 0.0
        start_s = max(start_s, now_s - self.SPAN_S, self.started_s)
        cell_s = int(start_s)
        # Reads only: whoever looks on, from another thread or at a lane of several processes, must not write.
        then = self._cells[cell_s % self.CELLS] if cell_s <= self.second else self.totals()
        return self.totals()[index] - then[index], now_s - max(float(cell_s), self.started_s)

    def at(self, at_s: float, index: int) -> float | None:
        """What the total of dimension `index` was at that time; None for what is too long ago to be known."""
        second = int(at_s)
        if self.started_s is None or second <= self.second - self.CELLS:
            return None
        if second >= self.second:
            return self.totals()[index]
        before, after = self._cells[second % self.CELLS][index], self._cells[(second + 1) % self.CELLS][index]
        return before + (at_s - second) * (after - before)

    def _roll(self, second: int) -> None:
        """Each cell holds the totals at the beginning of its second; cells that were skipped hold the same."""
        totals = self.totals()
        for passed in range(max(self.second + 1, second - self.CELLS + 1), second + 1):
            self._cells[passed % self.CELLS] = totals
        self.second = max(self.second, second)
