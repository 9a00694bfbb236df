"""Tables as rows of pieces: thin rules, columns that share the width fairly, cells that wrap.

Too narrow for columns, a table becomes a list of records, `header: value`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from workbench.tui.markdown.blocks import Block, Line
from workbench.tui.markdown.flow import cells, flow
from workbench.tui.markdown.rows import Glyphs, Piece
from workbench.tui.markdown.tables import Align, alignments, row_cells

NARROWEST_COLUMN = 6
"""Average cells per column below which a table is shown as records."""

SETTLED_LINES = 5
"""Lines of a growing table, delimiter row included, after which its columns stay as wide as they are."""

Cell: TypeAlias = list[Piece]
CellParser: TypeAlias = Callable[[int, int, str], Cell]
"""From a cell's start and end in the source and the role of its text to its pieces."""
RowPieces: TypeAlias = tuple[list[Piece], int]

_RULE = ("table-rule",)


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a further part of one, read."""

    header: list[Cell]
    """Empty in a further part."""
    rows: list[list[Cell]]
    aligns: tuple[Align | None, ...]
    starts: list[int]
    """Source position of each row."""
    rule_at: int
    """Source position of the delimiter row."""


def read_table(block: Block, text: str, parse: CellParser) -> Table:
    aligns = alignments(block.info)
    lines = block.lines

    def read(line: Line, role: str) -> list[Cell]:
        spans = row_cells(text[line.start : line.end])[: len(aligns)]
        found = [parse(line.start + start, line.start + end, role) for start, end in spans]
        return found + [[] for _ in range(len(aligns) - len(found))]

    if block.is_part:
        return Table([], [read(line, "") for line in lines], aligns, [line.start for line in lines], block.start)
    body = lines[2:]
    rows = [read(line, "") for line in body]
    return Table(read(lines[0], "table-header"), rows, aligns, [line.start for line in body], lines[1].start)


def column_widths(table: Table, width: int) -> tuple[int, ...]:
    """Cells for each column; empty when the table has to become records."""
    columns = len(table.aligns)
    available = width - 3 * (columns - 1)
    natural = [
        max([1, *(sum(cells(piece.text) for piece in row[column]) for row in [*table.rows, table.header] if row)])
        for column in range(columns)
    ]
    if sum(natural) <= available:
        return tuple(natural)
    if available < NARROWEST_COLUMN * columns:
        return ()
    return _shared(natural, available)


class ColumnWidths:
    """Remembers the columns of tables that grow, or that go on in further parts, so that they do not jump."""

    def __init__(self, measure: Callable[[Block], tuple[int, ...]]) -> None:
        """
        Args:
            measure: The widths that fit a block.
        """
        self._measure = measure
        self._growing: dict[int, tuple[int, ...]] = {}
        self._settled: dict[int, tuple[int, ...]] = {}

    def clear(self) -> None:
        self._growing.clear()
        self._settled.clear()

    def growing(self, block: Block, first: Block) -> tuple[int, ...] | None:
        """For a table at the open end: after a few rows they stay. None: those that fit what is there."""
        if block.is_part:
            return self.settled(first)
        if len(block.lines) < SETTLED_LINES:
            return None
        if block.start not in self._growing:
            self._growing[block.start] = self._measure(block)
        return self._growing[block.start]

    def settled(self, first: Block) -> tuple[int, ...]:
        """For further parts of a table: those of its first part."""
        if first.start not in self._settled:
            self._settled[first.start] = self._measure(first)
        return self._settled[first.start]


def _shared(natural: Sequence[int], available: int) -> tuple[int, ...]:
    """Columns that need less than an equal share get what they need, the others share the rest."""
    widths = [0] * len(natural)
    open_columns = set(range(len(natural)))
    while open_columns:
        share = available // len(open_columns)
        content = {column for column in open_columns if natural[column] <= share}
        if not content:
            break
        for column in content:
            widths[column] = natural[column]
            available -= natural[column]
        open_columns -= content
    for column in sorted(open_columns):
        widths[column] = available // len(open_columns)
    for column in sorted(open_columns)[: available % len(open_columns) if open_columns else 0]:
        widths[column] += 1
    return tuple(widths)


def table_rows(table: Table, widths: tuple[int, ...], width: int, start: int, glyphs: Glyphs) -> list[RowPieces]:
    """The table's rows, `start` being the source position of its first line."""
    if not widths:
        return _records(table, width, glyphs)
    rows: list[RowPieces] = []
    was_tall = False
    if table.header:
        rows += _columns(table.header, widths, table.aligns, start, glyphs)
        rows.append(_rule(widths, table.rule_at, glyphs))
    for index, (row, at) in enumerate(zip(table.rows, table.starts, strict=True)):
        lines = _columns(row, widths, table.aligns, at, glyphs)
        # Between rows of one line a rule would be noise, around taller ones it shows where they end.
        if index and (was_tall or len(lines) > 1):
            rows.append(_rule(widths, at, glyphs))
        was_tall = len(lines) > 1
        rows += lines
    return rows


def _columns(
    row: list[Cell], widths: tuple[int, ...], aligns: tuple[Align | None, ...], at: int, glyphs: Glyphs
) -> list[RowPieces]:
    flowed = [flow(cell, width) for cell, width in zip(row, widths, strict=True)]
    height = max([1, *map(len, flowed)])
    total = sum(widths) + 3 * (len(widths) - 1)
    lines: list[RowPieces] = []
    for y in range(height):
        pieces: list[Piece] = []
        for column, (cell, width) in enumerate(zip(flowed, widths, strict=True)):
            if column:
                pieces.append(Piece(f" {glyphs.column} ", _RULE, at, 0))
            content, used = cell[y] if y < len(cell) else ([], 0)
            left, right = _padding(width - used, aligns[column])
            if left:
                pieces.append(Piece(" " * left, (), content[0].start if content else at, 0))
            pieces += content
            if content:
                at = content[-1].start + content[-1].length
            if right:
                pieces.append(Piece(" " * right, (), at, 0))
        lines.append((pieces, total))
    return lines


def _padding(space: int, align: Align | None) -> tuple[int, int]:
    match align:
        case Align.RIGHT:
            return space, 0
        case Align.CENTER:
            return space // 2, space - space // 2
        case _:
            return 0, space


def _rule(widths: tuple[int, ...], at: int, glyphs: Glyphs) -> RowPieces:
    text = f"{glyphs.rule}{glyphs.cross}{glyphs.rule}".join(glyphs.rule * width for width in widths)
    return [Piece(text, _RULE, at, 0)], len(text)


def _records(table: Table, width: int, glyphs: Glyphs) -> list[RowPieces]:
    """A line per cell, a rule between rows. A further part has no header to name its cells by."""
    rows: list[RowPieces] = []
    for index, (row, at) in enumerate(zip(table.rows, table.starts, strict=True)):
        if index:
            rows.append(([Piece(glyphs.rule * width, _RULE, at, 0)], width))
        for column, cell in enumerate(row):
            name = table.header[column] if table.header else []
            label = [*name, Piece(": ", ("table-header",), name[-1].start, 0)] if name else []
            rows += flow([*label, *cell], width) or [([], 0)]
    if not table.rows:
        for cell in table.header:
            rows += flow(cell, width)
    return rows
