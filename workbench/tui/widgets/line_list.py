"""A list of one-line entries with a cursor, of which only those in view are made: fifty thousand cost what fifty do.

Knows nothing of what its entries are. A subclass says how many there are and what stands in one; `refresh_entries`
draws again what is in view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

_CURSOR = "line-list--cursor"


class LineList(ScrollView, can_focus=True):
    """One row per entry, its first cell the cursor's."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {_CURSOR}

    DEFAULT_CSS = """
    LineList {
        height: 1fr; background: $background; scrollbar-size: 1 1; overflow-x: hidden;
        & > .line-list--cursor { background: $block-cursor-blurred-background; }
        &:focus > .line-list--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", id="list.down", show=False),
        Binding("up,k", "move(-1)", "Up", id="list.up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "A page down", id="list.page-down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "A page up", id="list.page-up", show=False),
        Binding("home,g", "move_to(0)", "To the first", id="list.first", show=False),
        Binding("end,G", "move_to(-1)", "To the last", id="list.last", show=False),
        Binding("enter", "choose", "Open", id="list.open"),
    ]

    cursor: reactive[int] = reactive(0, init=False, repaint=False)
    """The entry that keys act on; 0 also when there is none. Only the rows that it leaves and enters are drawn."""

    @dataclass
    class Moved(Message):
        """The cursor is on another entry."""

        entries: LineList
        index: int

        @property
        def control(self) -> LineList:
            return self.entries

    @dataclass
    class Chosen(Message):
        """Enter was pressed on an entry, or it was clicked when it had the cursor."""

        entries: LineList
        index: int

        @property
        def control(self) -> LineList:
            return self.entries

    def __init__(self, mark: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        """`mark` is one cell, drawn before the entry that has the cursor."""
        super().__init__(id=id)
        self._mark = mark
        self._count = 0
        # What can be clicked keeps the colours that it was given.
        self.auto_links = False

    # What a subclass says

    def entry(self, index: int, width: int) -> Content:
        """What stands in a row of `width` cells. Asked for every row that is drawn, each time it is."""
        raise NotImplementedError

    # How many, and which

    @property
    def count(self) -> int:
        return self._count

    def set_count(self, count: int) -> None:
        """There are so many entries now; the cursor stays within them."""
        if count != self._count:
            self._count = count
            self.virtual_size = Size(self.size.width, count)
            self.cursor = self.validate_cursor(self.cursor)
        self.refresh_entries()

    def refresh_entries(self) -> None:
        self.refresh()

    def in_view(self) -> range:
        """Entries that have a row on the screen."""
        top = self.scroll_offset.y
        return range(min(top, self._count), min(self._count, top + max(1, self.scrollable_content_region.height)))

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(self._count - 1, cursor))

    def watch_cursor(self, old: int, new: int) -> None:
        self.refresh(self._row_region(old), self._row_region(new))
        self._bring_into_view(new)
        self.post_message(self.Moved(self, new))

    def _row_region(self, index: int) -> Region:
        return Region(0, index - self.scroll_offset.y, self.size.width, 1)

    def _bring_into_view(self, index: int) -> None:
        height = self.scrollable_content_region.height
        top = self.scroll_offset.y
        if height and not top <= index < top + height:
            self.scroll_to(y=index if index < top else index - height + 1, animate=False)

    # Moving

    def action_move(self, step: int) -> None:
        self.cursor += step

    def action_move_to(self, index: int) -> None:
        self.cursor = index if index >= 0 else self._count + index

    def action_page(self, pages: int) -> None:
        self.cursor += pages * max(1, self.scrollable_content_region.height - 1)

    def action_choose(self) -> None:
        if self._count:
            self.post_message(self.Chosen(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        index = self.scroll_offset.y + offset.y
        if index >= self._count:
            return
        if index == self.cursor:
            self.action_choose()
        self.cursor = index

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self._count)
        self._bring_into_view(self.cursor)

    # Drawing

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = y + self.scroll_offset.y
        if index >= self._count:
            return Strip.blank(width, self.visual_style.rich_style)
        here = index == self.cursor
        style = self.get_visual_style(_CURSOR) if here else self.visual_style
        # The cursor is a sign as well as a colour: there are terminals without colours.
        mark = Content.styled(self._mark if here else " ", "bold $text-accent")
        content = Content.assemble(mark, self.entry(index, width - 1)).truncate(width, ellipsis=True)
        return Visual.to_strips(self, content, width, 1, style, apply_selection=False, pad=True)[0]
