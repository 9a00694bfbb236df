"""Finding what a person sees in what a model wrote: markup and line ends between words do not stand in the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from workbench.tui.markdown.painter import Mark
from workbench.tui.markdown.rows import Row

_MARKUP = r"[*_~`]*"
_GAP = rf"{_MARKUP}[\s>]+{_MARKUP}"


class Match(NamedTuple):
    section: int
    """Of the sheet that was searched."""
    start: int
    end: int


def search_pattern(query: str) -> re.Pattern[str] | None:
    """Finds `query` in Markdown source; None if there is nothing to look for. Small letters match both cases."""
    words = query.split()
    if not words:
        return None
    flags = re.NOFLAG if query != query.lower() else re.IGNORECASE
    return re.compile(_GAP.join(map(re.escape, words)), flags)


def _find_nothing(query: str) -> list[Match]:
    return []


class Matches:
    """Occurrences of a query in order, and the one a person is at."""

    def __init__(self, query: str = "", search: Callable[[str], list[Match]] = _find_nothing) -> None:
        self._query = query
        self._search = search
        self.found = search(query)
        self.at = -1

    def look_again(self) -> None:
        """Find what has arrived since; the current one stays."""
        current = self.current
        self.found = self._search(self._query)
        if current is not None and current in self.found:
            self.at = self.found.index(current)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def current(self) -> Match | None:
        return self.found[self.at] if 0 <= self.at < len(self.found) else None

    @property
    def position(self) -> tuple[int, int]:
        """(Which, of how many), from 1; (0, 0) when there are none."""
        return (self.at + 1, len(self.found)) if self.found else (0, 0)

    def step(self, by: int) -> Match | None:
        """Go on by so many, around the ends."""
        if self.found:
            self.at = (self.at + by) % len(self.found)
        return self.current

    def go_below(self, section: int, offset: int) -> Match | None:
        """Go to the first one at or below a position; around to the first one if there is none."""
        below = (index for index, match in enumerate(self.found) if (match.section, match.start) >= (section, offset))
        self.at = next(below, 0 if self.found else -1)
        return self.current

    def within(self, section: int, start: int, end: int) -> list[Match]:
        """Those that touch a stretch of a section's source."""
        return [match for match in self.found if match.section == section and match.start < end and match.end > start]

    def marks(self, section: int, row: Row) -> list[Mark]:
        """How those in a row are to be drawn."""
        if not row.pieces:
            return []
        end = max(piece.start + piece.length for piece in row.pieces)
        current = self.current
        return [
            Mark(match.start, match.end, ("match-current",) if match == current else ("match",))
            for match in self.within(section, row.pieces[0].start, end)
        ]
