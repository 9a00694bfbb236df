"""The rows of a job, a page at a time: what is looked at is fetched, what was looked at before is forgotten."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from workbench.jobs.job import JobRow

PAGE = 200
KEPT = 12
"""Pages in memory: enough for any screen and for scrolling back a little."""

Fetch = Callable[[int, int], Awaitable[tuple[JobRow, ...]]]
"""Offset and limit in, rows out."""


class RowPages:
    def __init__(self, fetch: Fetch, count: int) -> None:
        """`count` is how many rows there should be; there are fewer when a page comes short."""
        self._fetch = fetch
        self._pages: OrderedDict[int, tuple[JobRow, ...]] = OrderedDict()
        self.count = count

    def get(self, index: int) -> JobRow | None:
        """None for a row that has not been fetched."""
        page = self._pages.get(index // PAGE)
        place = index % PAGE
        return page[place] if page is not None and place < len(page) else None

    def missing(self, wanted: range) -> list[int]:
        """Numbers of the pages that these rows are on and that are not here."""
        if not wanted:
            return []
        numbers = range(wanted[0] // PAGE, wanted[-1] // PAGE + 1)
        for number in numbers:
            if number in self._pages:
                self._pages.move_to_end(number)
        return [number for number in numbers if number not in self._pages]

    async def load(self, number: int) -> None:
        """Raises what the desk raises."""
        rows = await self._fetch(number * PAGE, PAGE)
        self._pages[number] = rows
        self._pages.move_to_end(number)
        while len(self._pages) > KEPT:
            self._pages.popitem(last=False)
        if len(rows) < PAGE:
            self.count = min(self.count, number * PAGE + len(rows))
