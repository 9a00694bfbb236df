"""What happened, newest first: refusals, cuts, pauses, failures, stalls, breakers, changes by hand, with reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from textual import on
from textual.content import Content

from workbench.core.text import strip_control
from workbench.session.monitor_log import BAD, Entry, Kind
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.line_list import LineList

_STYLES: Final = {Kind.PAUSE: "$text-warning", Kind.LIMIT: "$text-accent", Kind.BREAKER: "$text-error"}
_WHERE: Final = 40
_READING_S: Final = 12.0


class EventLog(LineList):
    HELP = """
    # Events

    Newest first, with the time of day, what it was, the lane, and the reason in words. **429** is a refusal for a
    limit; **error** and **cut off** are attempts that failed before and after output had begun. They are told when they
    happen, and many alike in a row as one entry, at the time of the first. **stall** is an answer that was silent for
    more than a second; **pause**, **limit** and **key** are what the limiter made of it, or what was done by hand;
    **breaker** stops asking a provider that keeps failing. Enter shows the whole of an entry that is longer than its
    row.
    """

    def __init__(self, glyphs: Glyphs, time_of_day: Callable[[int], str]) -> None:
        """`time_of_day` turns a monotonic stamp into words."""
        super().__init__(glyphs.more, id="events")
        self._time_of_day = time_of_day
        self._entries: Sequence[Entry] = ()

    def show_entries(self, entries: Sequence[Entry]) -> None:
        """A reader who has moved down keeps the entry that the cursor is on."""
        held = self._entries[self.cursor] if self.cursor and self.cursor < len(self._entries) else None
        self._entries = entries
        self.set_count(len(entries))
        if held is not None:
            self.cursor = next((index for index, entry in enumerate(entries) if entry.continues(held)), 0)

    @on(LineList.Chosen)
    def _tell_whole(self, chosen: LineList.Chosen) -> None:
        """At eighty columns a row has room for a third of what a provider says."""
        entry = self._entries[chosen.index]
        title = f"{self._time_of_day(entry.at_ns)} {entry.kind.value}"
        said = f"{strip_control(entry.where)}\n{strip_control(entry.text)}"
        self.app.notify(said, title=title, markup=False, timeout=_READING_S)

    def entry(self, index: int, width: int) -> Content:
        entry = self._entries[index]
        style = "$text-error" if entry.kind in BAD else _STYLES.get(entry.kind, "$foreground-muted")
        where = Content(strip_control(entry.where)).truncate(min(_WHERE, width // 4), ellipsis=True, pad=True)
        return Content.assemble(
            (f"{self._time_of_day(entry.at_ns)} ", "$foreground-muted"),
            (f"{entry.kind.value:8}", style),
            where,
            "  ",
            # Providers' own words are among these.
            strip_control(entry.text),
        )
