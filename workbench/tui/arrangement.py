"""Which panes are on screen and in what grid: the layout rules as a pure function.

A pane is never narrower than a readable column nor lower than a few lines; what does not fit is a page away. The
focused pane is always on screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MIN_WIDTH = 48
"""46 cells of text and two border columns."""

MIN_HEIGHT = 8
"""Two border lines and enough text to recognise a paragraph."""


READING_HEIGHT = 20
"""A row of panes below this shows too little of an answer to be chosen without being asked for."""


class PaneLayout(StrEnum):
    """What a person chose; `arrange` makes of it what fits."""

    AUTO = "auto"
    """Columns if all fit, else a grid if all fit in it at a readable height, else columns and pages."""
    COLUMNS = "columns"
    GRID = "grid"
    STACK = "stack"
    SINGLE = "single"

    @property
    def next(self) -> PaneLayout:
        order = list(PaneLayout)
        return order[(order.index(self) + 1) % len(order)]


@dataclass(frozen=True, slots=True)
class Arrangement:
    columns: int = 1
    rows: int = 1
    first: int = 0
    """Index of the first pane on screen."""
    shown: int = 0
    """How many from there."""
    total: int = 0

    @property
    def is_paged(self) -> bool:
        return self.shown < self.total

    def shows(self, index: int) -> bool:
        return self.first <= index < self.first + self.shown


def arrange(
    layout: PaneLayout, *, width: int, height: int, total: int, focused: int = 0, first: int = 0, zoomed: bool = False
) -> Arrangement:
    """The grid for `total` panes in a space of `width` by `height` cells.

    `first` is where the last arrangement began: the window moves only as far as it must to show the focused pane.
    """
    if total <= 0:
        return Arrangement()
    most_columns = max(1, width // MIN_WIDTH)
    most_rows = max(1, height // MIN_HEIGHT)
    columns, rows = 1, 1
    if not zoomed:
        match layout:
            case PaneLayout.AUTO:
                columns, rows = min(most_columns, total), 1
                if total > columns:
                    grid = _grid(total, most_columns, height // READING_HEIGHT)
                    columns, rows = grid if grid[0] * grid[1] >= total else (columns, 1)
            case PaneLayout.COLUMNS:
                columns = min(most_columns, total)
            case PaneLayout.STACK:
                rows = min(most_rows, total)
            case PaneLayout.GRID:
                columns, rows = _grid(total, most_columns, most_rows)
            case PaneLayout.SINGLE:
                pass
    shown = min(total, columns * rows)
    focused = max(0, min(total - 1, focused))
    first = max(0, min(first, total - shown))
    if focused < first:
        first = focused
    elif focused >= first + shown:
        first = focused - shown + 1
    return Arrangement(columns, rows, first, shown, total)


def _grid(total: int, most_columns: int, most_rows: int) -> tuple[int, int]:
    """As square as it gets, wider rather than taller, and no row that would stay empty."""
    columns = 1
    while columns * columns < total and columns < most_columns:
        columns += 1
    rows = min(most_rows, -(-total // columns))
    return min(columns, total), rows
