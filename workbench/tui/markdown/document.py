"""A growing Markdown text with its rows: which row is where, what of it is laid out, what changed.

Blocks that closed keep their rows; only the open end is laid out again. A block that nobody has looked at has an
estimated height, which becomes exact when it is laid out: because it came into view, or in idle time (`fill`). So the
cost of a change follows what is visible, not what is there.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from workbench.tui.markdown.blocks import Block, Container, Kind
from workbench.tui.markdown.code_book import CodeBook, code_blocks
from workbench.tui.markdown.code_colours import Spawn
from workbench.tui.markdown.guess import guessing, is_certain, is_undecided
from workbench.tui.markdown.heights import Heights
from workbench.tui.markdown.layout import Setting, estimated_height, lay_out, table_columns
from workbench.tui.markdown.notes import Notes
from workbench.tui.markdown.references import References, uses_of
from workbench.tui.markdown.rows import Glyphs, Row
from workbench.tui.markdown.source import SourceSplitter
from workbench.tui.markdown.splitter import BlockSplitter
from workbench.tui.markdown.table_layout import ColumnWidths

KEPT_BLOCKS = 400
"""Blocks whose rows stay in memory: several screens of the smallest ones. Heights of all others are kept."""

FEED = 4096
"""Characters split between two looks at the clock: about a millisecond."""

_NOWHERE = 1 << 60


class Place(NamedTuple):
    """A row that stays the same one while heights elsewhere change. The open end counts as one block."""

    block: int
    row: int


class Document:
    """Text in, rows out. Rows are numbered from 0 at the top, offsets are into `text`."""

    def __init__(self, glyphs: Glyphs, spawn: Spawn, *, raw: bool = False) -> None:
        """
        Args:
            spawn: See `CodeColours`.
            raw: Show the source as it is.
        """
        self.text = ""
        self._splitter: BlockSplitter | SourceSplitter = SourceSplitter() if raw else BlockSplitter()
        self._unfed = ""
        self._finished = False
        self._references = References()
        self._setting = Setting(80, self._references.parser().parse, glyphs)
        self._starts: list[int] = []
        self._heights = Heights()
        self._exact: list[bool] = []
        self._next_inexact = 0
        self._rows: OrderedDict[int, list[Row]] = OrderedDict()
        self._tail: list[Row] = []
        self._tail_blocks: list[Block] = []
        self._tail_rows: dict[Block, list[Row]] = {}
        self._guessed: Block | None = None
        """The block at the open end whose rows show unfinished markup as if it were complete."""
        self._columns = ColumnWidths(lambda block: table_columns(block, self.text, self._setting))
        self._notes = Notes(glyphs)
        self._code = CodeBook(spawn)
        self._stale_from = _NOWHERE
        """First row that has to be drawn again although no text came."""

    # -- text --------------------------------------------------------------------------------------------------------

    def append(self, piece: str) -> None:
        """Take more text; `update` makes it visible."""
        self.text += piece
        self._unfed += piece

    def finish(self) -> None:
        """No more text: nothing is held back any longer."""
        self._finished = True

    def add_note(self, note: str) -> None:
        """Put a row with a remark below the row that the text has reached."""
        self._notes.add(len(self.text), note)
        index = bisect_left(self._starts, len(self.text)) - 1
        if index == len(self._starts) - 1 and not self._tail_blocks:
            self._forget(max(0, index))

    def take_over(self, other: Document) -> None:
        """Show the text and notes of another document, from the beginning."""
        self.append(other.text)
        self._notes.take_over(other._notes)
        self._finished = other._finished

    @property
    def has_unfed(self) -> bool:
        return bool(self._unfed)

    # -- rows --------------------------------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        return self._heights.total + len(self._tail)

    def row(self, y: int) -> Row:
        """Row `y`, laid out now if it has to be."""
        if (below := y - self._heights.total) >= 0:
            return self._tail[below]
        index, row = self._heights.find(y)
        rows = self._rows_of(index)
        return rows[min(row, len(rows) - 1)]

    def rows(self, top: int, bottom: int) -> list[Row]:
        """Rows `top` to `bottom`, as far as there are any."""
        found: list[Row] = []
        total = self._heights.total
        if top < total:
            index, row = self._heights.find(top)
            while len(found) < min(bottom, total) - top:
                rows = self._rows_of(index)
                # An estimate may have promised more rows than there are.
                found += rows[row : self._heights[index]] + rows[-1:] * (self._heights[index] - len(rows))
                index, row = index + 1, 0
        found += self._tail[max(0, top - total) : max(0, bottom - total)]
        return found[: bottom - top]

    def set_width(self, width: int) -> None:
        """Everything is laid out anew, when it is looked at."""
        if width == self._setting.width:
            return
        self._setting = Setting(width, self._setting.parse, self._setting.glyphs)
        self._rows.clear()
        self._columns.clear()
        self._tail_rows.clear()
        self._heights = Heights()
        for index, block in enumerate(self._splitter.blocks[: len(self._starts)]):
            self._heights.append(estimated_height(block, width, is_first=index == 0))
        self._exact = [False] * len(self._starts)
        self._next_inexact = 0
        self._lay_out_tail()

    def update(self, deadline_s: float) -> int:
        """Split what has been appended, until the deadline; lay out the open end. The first row that changed."""
        self._feed(deadline_s)
        top, before = self._heights.total, self._tail
        now: list[Row] = []
        comparable = True
        for index in range(len(self._starts), len(self._splitter.blocks)):
            rows = self._close(index)
            comparable = comparable and rows is not None
            if comparable and rows is not None:
                now += rows
        self._lay_out_tail()
        if not self._unfed:
            growing = self._tail_blocks[0].first if self._tail_blocks else -1
            self._code.colour_finished(growing, self._splitter.blocks, self.text)
        if comparable:
            now += self._tail
        same = 0
        for old, new in zip(before, now, strict=False):
            if old is not new and old != new:
                break
            same += 1
        stale, self._stale_from = self._stale_from, _NOWHERE
        return min(top + same, stale)

    def lay_out_rows(self, top: int, bottom: int) -> None:
        """Make the heights of the blocks between these rows exact."""
        if top >= self._heights.total:
            return
        index, row = self._heights.find(max(0, top))
        y = top - row
        while index < len(self._heights) and y < bottom:
            self._make_exact(index)
            y += self._heights[index]
            index += 1

    def lay_out_end(self, rows: int) -> None:
        """Make the heights of the last blocks exact, as many as fill so many rows."""
        rows -= len(self._tail)
        index = len(self._heights) - 1
        while rows > 0 and index >= 0:
            self._make_exact(index)
            rows -= self._heights[index]
            index -= 1

    @property
    def is_exact(self) -> bool:
        """No height is a mere estimate."""
        return self._next_inexact >= len(self._heights)

    def fill(self, deadline_s: float) -> bool:
        """Make heights exact from the top on, until the deadline. True while some are not."""
        count = len(self._heights)
        while self._next_inexact < count:
            if time.perf_counter() >= deadline_s:
                return True
            self._make_exact(self._next_inexact)
            self._next_inexact += 1
        return False

    @property
    def wants_colours(self) -> bool:
        return self._code.is_busy

    def colour(self, deadline_s: float) -> bool:
        """Go on colouring code until the deadline. True when rows have changed."""
        changed = self._code.step(deadline_s)
        for index in changed:
            self._rows.pop(index, None)
        return bool(changed)

    # -- places ------------------------------------------------------------------------------------------------------

    def place(self, y: int) -> Place:
        total = self._heights.total
        return Place(len(self._heights), y - total) if y >= total else Place(*self._heights.find(y))

    def position(self, place: Place) -> int:
        """Where that row is now."""
        block = min(place.block, len(self._heights))
        return min(self._heights.top(block) + place.row, max(0, self.height - 1))

    def source_at(self, y: int) -> int:
        """Offset of the text that row `y` begins with."""
        return self.row(y).start if 0 <= y < self.height else 0

    def find_source(self, offset: int) -> int:
        """The row that shows the character at `offset`; its block is laid out for that."""
        index = bisect_right(self._starts, offset) - 1
        tail_start = self._tail_blocks[0].start if self._tail_blocks else len(self.text) + 1
        if offset >= tail_start or index < 0:
            top, rows = self._heights.total, self._tail
        else:
            self._make_exact(index)
            top, rows = self._heights.top(index), self._rows_of(index)
        best = 0
        for number, row in enumerate(rows):
            if row.pieces and any(piece.length for piece in row.pieces) and row.start <= offset:
                best = number
        return top + best

    def block_tops(self) -> list[int]:
        """First content row of every block that is not a further part of one, blank rows above not counted."""
        tops = []
        for index, block in enumerate(self._splitter.blocks[: len(self._starts)]):
            if not block.is_part and block.kind is not Kind.RAW:
                tops.append(self._heights.top(index) + _gap(block, index == 0))
        y = self._heights.total
        for block in self._tail_blocks:
            if not block.is_part:
                tops.append(y + _gap(block, not self._starts and block is self._tail_blocks[0]))
            y += len(self._tail_rows.get(block, ()))
        return tops

    def code_blocks(self) -> Iterator[tuple[int, str, str]]:
        """Start, language and code of each code block, an unfinished one included."""
        self._feed(float("inf"))
        return code_blocks(self._splitter.blocks + self._splitter.tail(), self.text)

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _feed(self, deadline_s: float) -> None:
        if not self._unfed:
            if self._finished and self._splitter.unfinished:
                self._splitter.finish()
            return
        at = 0
        while at < len(self._unfed):
            self._splitter.feed(self._unfed[at : at + FEED])
            at += FEED
            if time.perf_counter() >= deadline_s:
                break
        self._unfed = self._unfed[at:]
        if not self._unfed and self._finished:
            self._splitter.finish()

    def _block(self, index: int) -> Block:
        return self._splitter.blocks[index]

    def _above(self, index: int) -> tuple[Container, ...] | None:
        return self._block(index - 1).containers if index else None

    def _close(self, index: int) -> list[Row] | None:
        """Take block `index` among the closed ones. Its rows, if they are what the open end showed."""
        block = self._block(index)
        if index and self._notes.last > block.start:
            self._forget(index - 1)
        rows = self._tail_rows.get(block) if block.kind is not Kind.TABLE and block != self._guessed else None
        self._starts.append(block.start)
        if block.kind is Kind.CODE:
            self._code.close(index, self._splitter.blocks)
        elif block.kind is Kind.DEFINITION:
            self._define(block)
        if rows is None:
            self._heights.append(estimated_height(block, self._setting.width, is_first=index == 0))
            self._exact.append(False)
            return None
        rows = self._notes.insert(rows, block.start, self._start_after(index))
        self._heights.append(len(rows))
        self._exact.append(True)
        self._next_inexact += self._next_inexact == index
        self._keep(index, rows)
        return rows

    def _start_after(self, index: int) -> int:
        """Where the block after this one starts; far beyond the end, when there is none yet."""
        if index + 1 < len(self._splitter.blocks):
            return self._block(index + 1).start
        return self._tail_blocks[0].start if self._tail_blocks else len(self.text) + 1

    def _lay_out_tail(self) -> None:
        held = 0
        unfinished = self._splitter.unfinished
        if not self._finished and is_undecided(unfinished):
            held = len(unfinished)
        blocks = self._splitter.tail(held)
        above = self._above(len(self._splitter.blocks))
        known, self._tail_rows = self._tail_rows, {}
        self._tail_blocks = blocks
        self._tail = []
        for number, block in enumerate(blocks):
            rows = known.get(block)
            if rows is None or block == self._guessed:
                rows = self._lay_out_open(block, above, is_last=number == len(blocks) - 1)
            self._tail_rows[block] = rows
            above = block.containers
            if self._notes:
                after = blocks[number + 1].start if number + 1 < len(blocks) else len(self.text) + 1
                rows = self._notes.insert(rows, block.start, after)
            self._tail += rows
        if not blocks and not self._splitter.blocks:
            self._tail = self._notes.rows()

    def _lay_out_open(self, block: Block, above: tuple[Container, ...] | None, *, is_last: bool) -> list[Row]:
        setting = self._setting
        self._guessed = None
        is_prose = block.kind in (Kind.PARAGRAPH, Kind.HEADING)
        if is_prose and is_last and not self._finished and not is_certain(block.content(self.text)):
            self._guessed = block
            setting = Setting(setting.width, guessing(setting.parse), setting.glyphs)
        widths = None
        if block.kind is Kind.TABLE:
            widths = self._columns.growing(block, self._first_part(block))
        return lay_out(block, self.text, setting, above, widths=widths)

    def _first_part(self, block: Block) -> Block:
        return self._block(bisect_left(self._starts, block.first)) if block.is_part else block

    def _rows_of(self, index: int) -> list[Row]:
        if (rows := self._rows.get(index)) is not None:
            self._rows.move_to_end(index)
            return rows
        block = self._block(index)
        colours = widths = None
        if block.kind is Kind.CODE:
            colours = self._code.colours(index, block)
        elif block.kind is Kind.TABLE and block.is_part:
            widths = self._columns.settled(self._first_part(block))
        rows = lay_out(block, self.text, self._setting, self._above(index), colours=colours, widths=widths)
        rows = self._notes.insert(rows, block.start, self._start_after(index))
        self._keep(index, rows)
        return rows

    def _keep(self, index: int, rows: list[Row]) -> None:
        self._rows[index] = rows
        if len(self._rows) > KEPT_BLOCKS:
            self._rows.popitem(last=False)

    def _forget(self, index: int) -> None:
        """Lay this block out anew when it is next looked at."""
        self._rows.pop(index, None)
        if index < len(self._exact):
            self._stale_from = min(self._stale_from, self._heights.top(index))
            self._exact[index] = False
            self._next_inexact = min(self._next_inexact, index)

    def _make_exact(self, index: int) -> None:
        if not self._exact[index]:
            self._heights[index] = len(self._rows_of(index))
            self._exact[index] = True

    def _define(self, block: Block) -> None:
        """Learn link references; blocks that were waiting for them are laid out again."""
        if not (labels := self._references.learn(block, self.text)):
            return
        self._setting = Setting(self._setting.width, self._references.parser().parse, self._setting.glyphs)
        self._tail_rows.clear()
        for start in uses_of(labels, self.text):
            self._forget(max(0, bisect_right(self._starts, start) - 1))


def _gap(block: Block, is_first: bool) -> int:
    return int(block.blank_before and not is_first)
