"""A sheet on the screen: scrolling, following the end, keeping the reading place, and handing rows to the compositor.

Knows rows and source positions, but not what they are rows of; `StreamView` makes an answer of it.
"""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from workbench.tui.markdown.painter import Mark, Painter
from workbench.tui.markdown.rows import Roles, Row
from workbench.tui.markdown.sheet import BLANK, Sheet, Spot

GAP = 1
"""Cells between text and scrollbar."""


class SheetView(ScrollView):
    """Draws a `Sheet` whose rows change and grow."""

    COMPONENT_PREFIX: ClassVar[str] = ""
    """What component classes begin with, before a role's name."""

    follow: reactive[bool] = reactive(True, init=False)
    """Whether new text keeps the end in view. A person scrolling up clears it, coming back to the end sets it."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, classes=classes)
        self._painter = Painter(self._style_of)
        self._painting = False
        self._own_scroll = False
        self._decorated_from = 0
        """Topmost row that was drawn with something beside its text, and has to be drawn again without."""
        self._spot: Spot | None = None
        """What is in the first row."""
        self.text_size = Size(0, 0)
        """Room for text that the rows are laid out for; without width until there is a screen."""

    # -- what a subclass says ----------------------------------------------------------------------------------------

    @property
    def sheet(self) -> Sheet:
        """What is shown."""
        raise NotImplementedError

    def lay_out(self, width: int) -> None:
        """Rows are to be this wide from now on."""
        raise NotImplementedError

    def base_roles(self, section: int) -> Roles:
        """Roles under those of every piece of a section."""
        return ()

    def decoration(self) -> tuple[int, str] | None:
        """A row and what to draw after its text, a streaming cursor say; None: nothing."""
        return None

    def marks(self, section: int, row: Row) -> list[Mark]:
        """Stretches of source that stand out, besides what is selected."""
        return []

    def scrolled_by_hand(self) -> None:
        """A person has moved the text."""

    # -- scrolling ---------------------------------------------------------------------------------------------------

    def settle(self, changed: int = 0) -> None:
        """Keep the end or the reading place where it is, and have the rows from `changed` on drawn again."""
        sheet, height = self.sheet, self.text_size.height
        if self.follow:
            sheet.lay_out_end(height)
            top = max(0, sheet.height - height)
        else:
            top = sheet.position(self._spot) if self._spot is not None else 0
            sheet.lay_out_rows(top, top + height)
            top = min(top, max(0, sheet.height - height))
        self._set_virtual_height()
        decorated = self.decoration()
        changed = min(changed, self._decorated_from)
        self._decorated_from = decorated[0] if decorated is not None else sheet.height
        if top != self.scroll_offset.y:
            self.move_to(top)
        elif changed < top + height:
            first = max(0, changed - top)
            self.refresh(Region(0, first, self.size.width, height - first))
        self._show_scroll()
        self.remember_place()

    def move_to(self, y: int) -> None:
        """Scroll without it counting as a person's doing."""
        self._own_scroll = True
        self.scroll_target_y = self.scroll_y = y
        self._own_scroll = False

    def bring_into_view(self, y: int) -> None:
        """Scroll row `y` to a third from the top, unless it is in view."""
        self._set_virtual_height()
        top, height = self.scroll_offset.y, self.text_size.height
        if not top <= y < top + height:
            self.scroll_to(y=max(0, y - height // 3), animate=False)

    def remember_place(self) -> None:
        """Whatever happens to other rows, the one that is first in view now stays there."""
        self._spot = self.sheet.spot(self.scroll_offset.y) if self.sheet.height else None

    def reading_place(self) -> tuple[int, int]:
        """Section and source offset of the first row in view: valid whatever the layout."""
        section, row = self.row_at(self.sheet.position(self._spot) if self._spot is not None else 0)
        return section, row.start

    def go_back(self, place: tuple[int, int]) -> None:
        """Make the row that shows this source the first one in view, when next settled."""
        section, offset = place
        if self.sheet.sections[section].body:
            document = self.sheet.sections[section].document
            self._spot = self.sheet.spot(self.sheet.top(section) + document.find_source(offset))

    def row_at(self, y: int) -> tuple[int, Row]:
        """Section and row; below the last one, a blank row at the end of its source."""
        sheet = self.sheet
        if y < sheet.height:
            return sheet.row(y)
        last = max((i for i, section in enumerate(sheet.sections) if section.body), default=0)
        return last, BLANK._replace(start=len(sheet.sections[last].document.text))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        # Not the parent's, which would draw the whole scrollbar each time.
        if round(old_value) != round(new_value):
            self.refresh(self.size.region)
        if self._own_scroll or self._room() != self.text_size:
            return
        top, height = round(new_value), self.text_size.height
        self.sheet.lay_out_rows(top, top + height)
        self._show_scroll()
        self.remember_place()
        self.follow = top >= self.max_scroll_y
        self.scrolled_by_hand()

    def _set_virtual_height(self) -> None:
        size = Size(self.text_size.width, self.sheet.height)
        if size == self.virtual_size:
            return
        overflows = size.height > self.text_size.height
        if overflows == self.show_vertical_scrollbar and not self.styles.auto_dimensions:
            # Nothing around the view depends on this, so nothing has to be arranged anew: that costs a millisecond,
            # and would be asked for by every new row of every pane.
            self.set_reactive(SheetView.virtual_size, size)
        else:
            self.virtual_size = size

    def _show_scroll(self, *, exact: bool = False) -> None:
        """Move the scrollbar's thumb, if that makes a visible difference: drawing it costs as much as the text."""
        if not self.show_vertical_scrollbar:
            return
        bar = self.vertical_scrollbar
        wanted = self.virtual_size.height, self.text_size.height, self.scroll_y
        # Whole cells while the end runs away from it, eighths under a person's hand.
        parts = 1 if self.follow else 8
        if exact or _thumb(*wanted, parts) != _thumb(bar.window_virtual_size, bar.window_size, bar.position, parts):
            bar.window_virtual_size, bar.window_size, bar.position = wanted

    def watch_show_vertical_scrollbar(self) -> None:
        """It comes a layout later than the text that asks for it, and knows nothing of what was scrolled before."""
        self._show_scroll(exact=True)

    def come_to_rest(self) -> None:
        """Nothing changes any more for now: what was left out to save time is made good."""
        if self.follow:
            self._show_scroll(exact=True)

    # -- size --------------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._follow_size()

    def _room(self) -> Size:
        """Room for text: all but padding, scrollbar, and the gap to the left of that."""
        width, height = self.scrollable_content_region.size
        return Size(max(0, width - GAP), height)

    def _follow_size(self) -> None:
        """Lay out anew what is in view, if the size has changed; the reading place stays.

        Also asked for by drawing, because Textual draws before it tells of a new size.
        """
        size = self._room()
        if size == self.text_size or not size.width:
            return
        moved = size.width != self.text_size.width and self._spot is not None and not self.follow
        place = self.reading_place() if moved else None
        self.text_size = size
        self.lay_out(size.width)
        if place is not None:
            self.go_back(place)
        self.settle()

    # -- drawing -----------------------------------------------------------------------------------------------------

    def render_lines(self, crop: Region) -> list[Strip]:
        """Strips for the compositor, padding included.

        They come from the painter as they are, so an unchanged row is the same strip wherever it has scrolled to, with
        all that Textual has cached on it. Borders and effects that need Textual's own way get it.
        """
        self._follow_size()
        if not self._is_plain():
            self._painting = True
            try:
                return super().render_lines(crop)
            finally:
                self._painting = False
        size, gutter = self.text_size, self.styles.gutter
        left, right = gutter.left, GAP + self.scrollbar_gutter.right + gutter.right
        self._painter.set_margins(left, right)
        first = max(0, crop.y - gutter.top)
        last = min(size.height, crop.bottom - gutter.top)
        blank = self._painter.strip(BLANK, (), size.width)
        strips = [blank] * (first + gutter.top - crop.y) + self._strips(first, last, size.width)
        strips += [blank] * (crop.height - len(strips))
        background = self.background_colors[1]
        for line_filter in self.get_line_filters():
            strips = [strip.apply_filter(line_filter, background) for strip in strips]
        if crop.column_span != (0, left + size.width + right):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips

    def render_line(self, y: int) -> Strip:
        """A row of the content. Asked for by the mouse rather than for drawing, it says what source it stands for."""
        if self._painting:
            self._painter.set_margins(0, 0)
            return self._strips(y, y + 1, self.size.width)[0]
        section, row = self.row_at(y + self.scroll_offset.y)
        return self._painter.target_strip(row, self.size.width, section)

    def _strips(self, first: int, last: int, width: int) -> list[Strip]:
        """Rows of the content as they look now."""
        top, painter = self.scroll_offset.y, self._painter
        rows = self.sheet.rows(first + top, last + top)
        decorated, glyph = self.decoration() or (-1, "")
        selection = self.text_selection
        strips = []
        for y, (section, row) in enumerate(rows, first + top):
            shown = painter.decorated(row, glyph) if y == decorated and row.cells < width else row
            marks = self.marks(section, row)
            if selection is not None and (span := selected_span(selection, section)) is not None:
                marks = [*marks, Mark(*span, ("selection",))]
            strips.append(painter.strip(shown, self.base_roles(section), width, marks))
        below = painter.decorated(BLANK, glyph) if decorated >= first + top + len(strips) else BLANK
        while len(strips) < last - first:
            strips.append(painter.strip(below, (), width))
            below = BLANK
        return strips

    def _is_plain(self) -> bool:
        """Nothing is drawn around or over the text but padding."""
        styles = self.styles
        return not (
            styles.border
            or styles.outline
            or styles.tint.a
            or styles.has_rule("hatch")
            or styles.text_opacity != 1
            or self.opacity != 1
        )

    def _style_of(self, roles: Roles) -> Style:
        names = (self.COMPONENT_PREFIX + role for role in roles)
        style = self.get_visual_style(*[name for name in names if name in self.COMPONENT_CLASSES])
        if "selection" in roles:
            style += self.screen.get_visual_style("screen--selection", partial=True)
        return style.rich_style

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._painter.reset()

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()


def _thumb(total: int, height: int, top: float, parts: int) -> tuple[int, int]:
    """Where the thumb of a scrollbar begins and how long it is, in so many parts of a cell."""
    length = max(1.0, height * height / max(1, total))
    start = (height - length) * top / max(1, total - height)
    return round(start * parts), round(length * parts)


def selected_span(selection: Selection, section: int) -> tuple[int, int] | None:
    """The part of a section's source that is selected; the offsets of a selection are (position, section)."""
    start, end = 0, 1 << 60
    if selection.start is not None:
        if section < selection.start.y:
            return None
        start = selection.start.x if section == selection.start.y else 0
    if selection.end is not None:
        if section > selection.end.y:
            return None
        end = selection.end.x if section == selection.end.y else end
    return start, end
