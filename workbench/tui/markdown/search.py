"""Finding what a person sees in what a model wrote: markup and line ends between words do not stand in the way."""

from __future__ import annotations

import re
from typing import NamedTuple

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


class Matches:
    """Occurrences in order, and the one a person is at."""

    def __init__(self, found: list[Match] | None = None) -> None:
        self.found = found or []
        self.at = -1

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
