"""A bar whose words change several times a second: drawn by lines, with every style resolved once for each theme."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.content import Content
from textual.strip import Strip
from textual.style import Style

from workbench.tui.widgets.bar import Bar

_Styles = tuple[str | Style, ...]
"""What lies over one another in a piece of text, the uppermost last."""


class LiveBar(Bar):
    """Costs a third of a `Bar` to draw. Its text cannot be selected: it would be gone before the mouse is let go."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._known: dict[_Styles, RichStyle] = {}

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._known.clear()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return Strip.blank(width, self._resolved(()))
        segments = [Segment(text, self._resolved(styles)) for text, styles in _pieces(self.row())]
        # A row is as wide as the bar unless its right part alone is wider; measuring its pieces would cost more than
        # making them did.
        drawn = Strip(segments, max(width, self._right.cell_length))
        return drawn.adjust_cell_length(width, self._resolved(()))

    def _resolved(self, styles: _Styles) -> RichStyle:
        known = self._known.get(styles)
        if known is None:
            whole = self.visual_style
            for style in styles:
                whole += Style.parse(style) if isinstance(style, str) else style
            known = self._known[styles] = whole.rich_style
        return known


def _pieces(content: Content) -> Iterator[tuple[str, _Styles]]:
    text, spans = content.plain, content.spans
    edges = {0, len(text), *(span.start for span in spans), *(span.end for span in spans)}
    for start, end in pairwise(sorted(edges)):
        yield text[start:end], tuple(span.style for span in spans if span.start <= start and span.end >= end)
