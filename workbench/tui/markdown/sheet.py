"""Documents one below the other, each under an optional heading row, as one run of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from workbench.tui.markdown.document import Document, Place
from workbench.tui.markdown.rows import Row

BLANK = Row((), 0, 0)


@dataclass(slots=True)
class Section:
    """A document with the rows around it."""

    name: str
    document: Document
    headline: Row | None = None
    """Drawn above the document, also when that is folded away."""
    is_open: bool = True

    @property
    def is_empty(self) -> bool:
        return self.headline is None and not self.document.height

    @property
    def body(self) -> int:
        """Rows of the document that are shown."""
        return self.document.height if self.is_open else 0


class Spot(NamedTuple):
    """A row of the sheet that stays the same one while heights elsewhere change."""

    section: int
    place: Place | None
    """None: the headline, or the blank row below the document."""
    row: int = 0
    """Row of the section, where `place` is None."""


@dataclass(slots=True)
class Sheet:
    sections: list[Section] = field(default_factory=list)

    @property
    def height(self) -> int:
        return sum([self._height(index) for index in range(len(self.sections))])

    def row(self, y: int) -> tuple[int, Row]:
        """Section number and row at `y`."""
        index, row = self._find(y)
        section = self.sections[index]
        if section.headline is not None:
            if row == 0:
                return index, section.headline
            row -= 1
        return index, section.document.row(row) if row < section.body else BLANK

    def rows(self, top: int, bottom: int) -> list[tuple[int, Row]]:
        """Section number and row for each of these rows; fewer, where the sheet ends."""
        found: list[tuple[int, Row]] = []
        start = 0
        for index, section in enumerate(self.sections):
            end = start + self._height(index)
            if start < bottom and top < end:
                rows = [] if section.headline is None else [section.headline]
                above = len(rows)
                first, last = max(0, top - start - above), bottom - start - above
                if section.body and last > 0:
                    rows = rows[max(0, top - start) :] + section.document.rows(first, last)
                else:
                    rows = rows[max(0, top - start) :]
                rows += [BLANK] * (min(end, bottom) - max(start, top) - len(rows))
                found += [(index, row) for row in rows]
            start = end
        return found

    def top(self, index: int) -> int:
        """First row of a section's document."""
        above = sum([self._height(number) for number in range(index)])
        return above + (self.sections[index].headline is not None)

    def spot(self, y: int) -> Spot:
        index, row = self._find(y)
        section = self.sections[index]
        inside = row - (section.headline is not None)
        if 0 <= inside < section.body:
            return Spot(index, section.document.place(inside))
        return Spot(index, None, row)

    def position(self, spot: Spot) -> int:
        """Where that row is now; the section's headline, if it has been folded away."""
        section = self.sections[spot.section]
        top = self.top(spot.section)
        if spot.place is None:
            headline = section.headline is not None
            return top - headline + min(spot.row, max(0, self._height(spot.section) - 1))
        return top + section.document.position(spot.place) if section.body else max(0, top - 1)

    def lay_out_rows(self, top: int, bottom: int) -> None:
        """Make the heights between these rows exact."""
        for index, section in enumerate(self.sections):
            start = self.top(index)
            if section.is_open and top < start + section.body and bottom > start:
                section.document.lay_out_rows(max(0, top - start), bottom - start)

    def lay_out_end(self, rows: int) -> None:
        """Make exact what the last `rows` rows show."""
        for index in range(len(self.sections) - 1, -1, -1):
            section = self.sections[index]
            if section.is_open:
                section.document.lay_out_end(rows)
            rows -= self._height(index)
            if rows <= 0:
                return

    @property
    def is_exact(self) -> bool:
        """No height is a mere estimate."""
        return all(section.document.is_exact for section in self.sections if section.is_open)

    def fill(self, deadline_s: float) -> bool:
        """Make all heights exact, until the deadline. True while some are not."""
        return any(section.is_open and section.document.fill(deadline_s) for section in self.sections)

    def _height(self, index: int) -> int:
        section = self.sections[index]
        rows = (section.headline is not None) + section.body
        # A blank row sets it apart from what follows.
        return rows + 1 if rows and any(not other.is_empty for other in self.sections[index + 1 :]) else rows

    def _find(self, y: int) -> tuple[int, int]:
        for index in range(len(self.sections)):
            height = self._height(index)
            if y < height or index == len(self.sections) - 1:
                return index, y
            y -= height
        raise IndexError(y)
