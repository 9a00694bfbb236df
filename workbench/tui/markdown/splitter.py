"""Splits streaming Markdown into leaf blocks, line by line, with nothing but the line and a small state in hand.

Feeding is linear in what is fed, never in what is there already: a complete line is judged once and its block, once
closed, never changes. The unfinished last line is judged on a copy of the state, so that `tail` can always say what the
open end looks like now. However the text is cut into pieces, the blocks are the same.

Follows CommonMark 0.31 with GFM tables, and adds display maths. Differences on purpose: link reference definitions
stand on one line, and no block grows without bound: past `PART_LINES` lines or `PART_CHARS` characters it goes on as a
further part, and so does a line past `LONGEST_LINE`.
"""

from __future__ import annotations

import re

from workbench.tui.markdown.blocks import Block
from workbench.tui.markdown.open_end import OpenEnd

LONGEST_LINE = 2000
"""A longer line is cut after a sentence, or else a word, in its second half."""

_SENTENCE_END = re.compile(r"[.!?:;]\s|[。！？；]")


class BlockSplitter:
    """Takes text in pieces, gives blocks.

    `blocks` only grows, and what is in it is final. `tail()` is what follows those at this moment.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._state = OpenEnd()
        self._line = ""
        self._offset = 0
        self._inside_line = False

    def feed(self, piece: str) -> None:
        begin = 0
        while (newline := piece.find("\n", begin)) >= 0:
            self._line += piece[begin:newline]
            self._take_long_line()
            self._take(self._line)
            self._offset += len(self._line) + 1
            self._line = ""
            self._inside_line = False
            begin = newline + 1
        self._line += piece[begin:]
        self._take_long_line()

    def tail(self, without: int = 0) -> list[Block]:
        """The blocks after `blocks` if the text ended here: usually one, none when all is closed.

        Args:
            without: Leave out so many characters at the end of `unfinished`.
        """
        state = self._state.copy()
        if line := self._line[: len(self._line) - without]:
            state.take(line, self._offset, self._inside_line)
        state.close_leaf()
        return state.closed

    @property
    def unfinished(self) -> str:
        """The last line while no newline has come (of a very long one, its last part)."""
        return self._line

    def finish(self) -> None:
        """The text ends here: everything becomes final."""
        self.blocks.extend(self.tail())
        self._offset += len(self._line)
        self._line = ""
        self._state = OpenEnd(started=bool(self.blocks))

    def _take(self, line: str) -> None:
        self._state.take(line, self._offset, self._inside_line)
        if self._state.closed:
            self.blocks.extend(self._state.closed)
            self._state.closed.clear()

    def _take_long_line(self) -> None:
        """Hand over the beginning of a line that is too long to be judged again at every frame."""
        while len(self._line) > LONGEST_LINE:
            cut = _cut(self._line)
            self._take(self._line[:cut])
            self._offset += cut
            self._line = self._line[cut:]
            self._inside_line = True


def _cut(line: str) -> int:
    """Where to cut a line of more than `LONGEST_LINE` characters. Depends on no character after those."""
    half = LONGEST_LINE // 2
    sentences = [found.end() for found in _SENTENCE_END.finditer(line, half, LONGEST_LINE)]
    if sentences:
        return sentences[-1]
    space = line.rfind(" ", half, LONGEST_LINE)
    return space + 1 if space >= 0 else LONGEST_LINE
