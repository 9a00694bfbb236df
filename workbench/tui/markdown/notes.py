"""Remarks of our own between the rows of a text: `· stall 1.2s ·` where nothing came for a while."""

from __future__ import annotations

from workbench.tui.markdown.flow import cells
from workbench.tui.markdown.rows import Glyphs, Piece, Row


class Notes:
    """Each stands below the row that the text had reached when it was added, and stays there however the text flows."""

    def __init__(self, glyphs: Glyphs) -> None:
        self._mark = glyphs.note
        self._notes: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self._notes)

    @property
    def last(self) -> int:
        """Offset of the latest; -1 when there is none."""
        return self._notes[-1][0] if self._notes else -1

    def add(self, offset: int, text: str) -> None:
        self._notes.append((offset, text))

    def take_over(self, other: Notes) -> None:
        self._notes = other._notes.copy()

    def rows(self) -> list[Row]:
        """All of them, for a text that has no block yet."""
        return [self._row(offset, text) for offset, text in self._notes]

    def insert(self, rows: list[Row], start: int, after: int) -> list[Row]:
        """The rows of the block whose source goes from `start` to `after`, with its notes among them."""
        mine = [note for note in self._notes if start < note[0] <= after or (note[0] == 0 and not start)]
        if not mine:
            return rows
        rows = rows.copy()
        for offset, text in mine:
            place = len(rows)
            while place > 0 and rows[place - 1].start >= offset:
                place -= 1
            rows.insert(place, self._row(offset, text))
        return rows

    def _row(self, offset: int, text: str) -> Row:
        piece = Piece(f"{self._mark} {text} {self._mark}", ("note",), offset, 0)
        return Row((piece,), cells(piece.text), offset)
