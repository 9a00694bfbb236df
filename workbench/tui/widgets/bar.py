"""A line that says something: the base of the app bar, the line-up strip, the status line and the key bar.

One row, something at the left, something at the right, no child widgets. Setting the same content again repaints
nothing, so a bar can be fed at 4 Hz for the price of a comparison.
"""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget


class Bar(Widget):
    """One row with a left and a right part; the right part wins when both do not fit."""

    DEFAULT_CSS = """
    Bar { height: 1; width: 1fr; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes, markup=False)
        # What can be clicked keeps the colours that it was given.
        self.auto_links = False
        self._left = Content()
        self._right = Content()

    def show(self, left: Content, right: Content | None = None) -> None:
        right = right if right is not None else Content()
        if left.is_same(self._left) and right.is_same(self._right):
            return
        self._left, self._right = left, right
        self.refresh()

    @property
    def plain(self) -> str:
        """What stands in the bar, as text."""
        return f"{self._left.plain} {self._right.plain}".strip()

    def render(self) -> RenderResult:
        return self.row()

    def row(self) -> Content:
        """The whole row, of the bar's width."""
        width = self.size.width
        room = max(0, width - self._right.cell_length)
        left = self._left
        if left.cell_length > room:
            left = left.truncate(room, ellipsis=True)
        gap = max(0, room - left.cell_length)
        return Content.assemble(left, " " * gap, self._right)
