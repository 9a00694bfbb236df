"""Source text as blocks of plain lines: what a document shows when Markdown is switched off."""

from __future__ import annotations

from workbench.tui.markdown.blocks import Block, Kind, Line
from workbench.tui.markdown.open_end import PART_LINES
from workbench.tui.markdown.splitter import LONGEST_LINE


class SourceSplitter:
    """Stands in for `BlockSplitter`: the same calls, one block per `PART_LINES` lines, nothing interpreted."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._lines: list[Line] = []
        self._start = 0
        self._line = ""
        self._offset = 0

    def feed(self, piece: str) -> None:
        *lines, rest = piece.split("\n")
        for line in lines:
            self._line += line
            self._take_long_line()
            self._take(len(self._line))
            self._offset += 1
            self._line = ""
        self._line += rest
        self._take_long_line()

    def tail(self, without: int = 0) -> list[Block]:
        lines = self._lines.copy()
        if end := len(self._line) - without:
            lines.append(Line(0, self._offset, self._offset + end))
        return [self._block(lines)] if lines else []

    @property
    def unfinished(self) -> str:
        return self._line

    def finish(self) -> None:
        self.blocks.extend(self.tail())
        self._offset += len(self._line)
        self._lines = []
        self._start = self._offset
        self._line = ""

    def _take_long_line(self) -> None:
        while len(self._line) > LONGEST_LINE:
            self._take(LONGEST_LINE)
            self._line = self._line[LONGEST_LINE:]

    def _take(self, length: int) -> None:
        if len(self._lines) >= PART_LINES:
            self.blocks.append(self._block(self._lines))
            self._lines = []
            self._start = self._offset
        self._lines.append(Line(0, self._offset, self._offset + length))
        self._offset += length

    def _block(self, lines: list[Line]) -> Block:
        return Block(Kind.RAW, self._start, (), tuple(lines), first=self._start)
