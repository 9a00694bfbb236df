"""From rows to strips: the only place where roles become colours.

Strips are kept while the theme stays; a change of theme drops them and costs one screenful.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.strip import Strip

from workbench.tui.markdown.flow import cells, cut
from workbench.tui.markdown.rows import Piece, Roles, Row

KEPT_STRIPS = 1024


class Mark(NamedTuple):
    """A stretch of source to be shown in another style: a selection, an occurrence."""

    start: int
    end: int
    roles: Roles


class Painter:
    def __init__(self, style_of: Callable[[Roles], Style]) -> None:
        """
        Args:
            style_of: The complete style of text with these roles, background included.
        """
        self._style_of = style_of
        self._margins = (0, 0)
        self._styles: dict[tuple[Roles, str], Style] = {}
        self._strips: LRUCache[tuple[Row, Roles, int], Strip] = LRUCache(KEPT_STRIPS)

    def reset(self) -> None:
        """The theme, or something else in the style sheet, has changed."""
        self._styles.clear()
        self._strips.clear()

    def set_margins(self, left: int, right: int) -> None:
        """Cells to leave on either side of every row from now on."""
        if self._margins != (left, right):
            self._margins = (left, right)
            self._strips.clear()

    def decorated(self, row: Row, glyph: str) -> Row:
        """The row with the streaming cursor after its text."""
        at = row.pieces[-1].start + row.pieces[-1].length if row.pieces else row.start
        cursor = Piece(glyph, (*row.fill, "cursor"), at, 0)
        return row._replace(pieces=(*row.pieces, cursor), cells=row.cells + cells(glyph))

    def strip(self, row: Row, base: Roles, width: int, marks: Sequence[Mark] = ()) -> Strip:
        """`row` with `base` under its pieces' roles, filled up to `width` cells, between the margins.

        Args:
            marks: Later ones lie on top.
        """
        if marks:
            pieces = list(row.pieces)
            for mark in marks:
                pieces = [part for piece in pieces for part in _marked(piece, mark)]
            row = row._replace(pieces=tuple(pieces))
        key = (row, base, width)
        if (strip := self._strips.get(key)) is None:
            left, right = self._margins
            segments = [Segment(piece.text, self._style(base + piece.roles, piece.link)) for piece in row.pieces]
            if row.cells < width:
                segments.append(Segment(" " * (width - row.cells), self._style(base + row.fill)))
            if left:
                segments.insert(0, Segment(" " * left, self._style(())))
            if right:
                segments.append(Segment(" " * right, self._style(())))
            strip = self._strips[key] = Strip(segments, left + max(row.cells, width) + right)
        return strip

    def target_strip(self, row: Row, width: int, section: int) -> Strip:
        """Uncoloured, but every character says which one of the source it is: what a mouse selection asks for.

        Textual adds to a segment's offset the number of characters before the pointer; where characters do not stand
        one for one for the source, each is a segment of its own.
        """
        segments: list[Segment] = []
        end = row.start
        for piece in row.pieces:
            if piece.is_exact and piece.length:
                segments.append(Segment(piece.text, _offset(piece.start, section)))
            elif piece.text:
                first = _offset(piece.start, section)
                later = _offset(piece.start + max(0, piece.length - 1), section)
                segments += [
                    Segment(character, later if index else first) for index, character in enumerate(piece.text)
                ]
            end = piece.start + piece.length
        if row.cells < width:
            beyond = _offset(end, section)
            segments += [Segment(" ", beyond)] * (width - row.cells)
        return Strip(segments, max(row.cells, width))

    def _style(self, roles: Roles, link: str = "") -> Style:
        key = (roles, link)
        if (style := self._styles.get(key)) is None:
            style = self._style_of(roles)
            if link:
                style += Style(link=link)
            self._styles[key] = style
        return style


def _offset(start: int, section: int) -> Style:
    return Style.from_meta({"offset": (start, section)})


def _marked(piece: Piece, mark: Mark) -> Iterator[Piece]:
    """The piece, the marked part of it apart."""
    start, end = mark.start - piece.start, mark.end - piece.start
    if end <= 0 or start >= piece.length:
        yield piece
        return
    roles = piece.roles + mark.roles
    if not piece.is_exact:
        yield piece._replace(roles=roles)
        return
    start, end = max(0, start), min(piece.length, end)
    if start:
        yield cut(piece, 0, start)
    yield cut(piece, start, end)._replace(roles=roles)
    if end < piece.length:
        yield cut(piece, end, piece.length)
