"""The open end of a document: open containers, open leaf, and the judgement on the next line.

This is the block structure phase of CommonMark: match the prefixes of the open containers, see what the rest of the
line begins, or else add it to what is open.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.tui.markdown import starts, tables
from workbench.tui.markdown.blocks import Block, Container, Item, Kind, Line, Quote
from workbench.tui.markdown.cursor import Cursor
from workbench.tui.markdown.leaf import Leaf

PART_LINES = 48
"""Lines of code or rows of a table per part: about one screen, laid out in about a millisecond."""
PART_CHARS = 1500
"""A paragraph that is longer goes on as another part at its next line."""

_OUT_OF_REACH = 1_000_000
"""An indentation no line has."""


class OpenEnd:
    """What is open after the lines taken so far, and the blocks they have closed."""

    __slots__ = ("_blank", "_containers", "_leaf", "_started", "closed")

    def __init__(self, *, started: bool = False) -> None:
        self.closed: list[Block] = []
        self._containers: tuple[Container, ...] = ()
        self._leaf: Leaf | None = None
        self._blank = False
        self._started = started

    def copy(self) -> OpenEnd:
        other = OpenEnd(started=self._started)
        other._containers = self._containers
        other._leaf = self._leaf and self._leaf.copy()
        other._blank = self._blank
        return other

    def take(self, line: str, offset: int, inside_line: bool) -> None:
        """Judge one line that begins at `offset`; `inside_line`: a further part of a line that was too long."""
        if inside_line:
            self._go_on(line, offset)
            return
        cursor = Cursor(line, offset)
        matched = self._match_containers(cursor)
        leaf = self._leaf
        if leaf is not None and leaf.is_verbatim and matched == len(self._containers):
            self._go_on_verbatim(leaf, cursor)
        elif cursor.is_blank():
            self._take_blank(cursor, matched)
        elif not self._start_block(cursor, matched):
            self._take_text(cursor, matched)

    def close_leaf(self) -> None:
        if self._leaf is not None:
            self.closed.append(self._leaf.block())
            self._leaf = None

    # -- lines that go on with what is open --------------------------------------------------------------------------

    def _match_containers(self, cursor: Cursor) -> int:
        """Go past the prefixes of the open containers; how many of them this line goes on with."""
        for index, container in enumerate(self._containers):
            match container:
                case Quote():
                    if cursor.indent() > 3 or not cursor.text().startswith(">"):
                        return index
                    cursor.pass_marker(1)
                    cursor.skip(1)
                case Item(indent=indent):
                    if not cursor.is_blank() and cursor.indent() < indent:
                        return index
                    cursor.skip(indent)
        return len(self._containers)

    def _go_on_verbatim(self, leaf: Leaf, cursor: Cursor) -> None:
        if leaf.fence is not None:
            if cursor.indent() <= 3 and starts.closes_fence(cursor.text(), leaf.fence.char, leaf.fence.length):
                self.close_leaf()
            else:
                cursor.skip(leaf.fence_indent)
                self._add_line(cursor.content(), cursor)
        elif leaf.html_end is not None:
            ends = leaf.html_end.search(cursor.rest()) is not None
            self._blank = ends and cursor.is_blank()
            if not self._blank:
                self._add_line(cursor.content(), cursor)
            if ends:
                self.close_leaf()
        elif cursor.is_blank():
            # Display maths has no blank lines; whatever this was, it ends here.
            self.close_leaf()
            self._blank = True
        else:
            self._go_on_maths(leaf, cursor)

    def _go_on_maths(self, leaf: Leaf, cursor: Cursor) -> None:
        cursor.indent()
        text = cursor.text().rstrip()
        content = text.removesuffix(leaf.maths_end).rstrip()
        if content:
            self._add_line(cursor.span(0, len(content)), cursor)
        if text.endswith(leaf.maths_end):
            self.close_leaf()

    def _take_blank(self, cursor: Cursor, matched: int) -> None:
        leaf = self._leaf
        all_matched = matched == len(self._containers)
        if leaf is not None and leaf.is_indented_code and all_matched:
            cursor.skip(4)
            leaf.waiting.append((cursor.content(), cursor.offset))
        elif leaf is not None and leaf.kind is Kind.EMPTY and all_matched:
            self._seal_item()
        else:
            self.close_leaf()
        self._containers = self._containers[:matched]
        self._blank = True

    def _seal_item(self) -> None:
        """An item can begin with one blank line at most: nothing after this one belongs to it, but the list goes on."""
        if self._containers and isinstance(item := self._containers[-1], Item):
            self.close_leaf()
            self._containers = (*self._containers[:-1], replace(item, indent=_OUT_OF_REACH))

    def _take_text(self, cursor: Cursor, matched: int) -> None:
        """A line that begins nothing: it goes on with the paragraph or the table, or begins a paragraph."""
        leaf = self._leaf
        all_matched = matched == len(self._containers)
        if leaf is not None and leaf.kind is Kind.PARAGRAPH:
            is_row = all_matched and cursor.indent() < 4
            cursor.skip_indent()
            if not (is_row and self._becomes_table(leaf, cursor)):
                # Also where containers are missing: a lazy continuation line.
                self._add_line(cursor.content(), cursor).last_text = cursor.rest() if is_row else ""
        elif leaf is not None and leaf.kind is Kind.TABLE and all_matched:
            cursor.skip_indent()
            self._add_line(cursor.content(), cursor)
        else:
            self._start_text(cursor, self._containers[:matched])

    def _becomes_table(self, leaf: Leaf, cursor: Cursor) -> bool:
        """Turn the paragraph's last line into a table's header, if the line is a delimiter row that fits it."""
        rest = cursor.rest()
        if rest[0] not in "|:-" or "|" not in leaf.last_text:
            return False
        columns = len(tables.alignments(rest))
        if not columns or columns != len(tables.row_cells(leaf.last_text)):
            return False
        header, start = leaf.lines.pop(), leaf.line_starts.pop()
        if leaf.lines:
            self.closed.append(leaf.block())
            self._leaf = Leaf(Kind.TABLE, start, leaf.containers, False)
        else:
            self._leaf = Leaf(Kind.TABLE, leaf.start, leaf.containers, leaf.blank_before)
        self._leaf.info = rest
        self._leaf.lines += [header, cursor.content()]
        self._leaf.line_starts += [start, cursor.offset]
        return True

    def _go_on(self, line: str, offset: int) -> None:
        """A further piece of an over-long line: more of whatever its beginning became."""
        leaf = self._leaf
        if leaf is None:
            leaf = self._open(Kind.PARAGRAPH, offset, self._containers)
        elif leaf.lines:
            leaf = self._next_part(leaf, offset)
        leaf.lines.append(Line(0, offset, offset + len(line)))
        leaf.line_starts.append(offset)
        leaf.chars += len(line)

    # -- lines that begin something ----------------------------------------------------------------------------------

    def _start_block(self, cursor: Cursor, matched: int) -> bool:
        """Open whatever containers and leaf this line begins. False: it begins nothing, not even a container."""
        containers = self._containers[:matched]
        leaf = self._leaf
        opened = False
        while True:
            is_paragraph = leaf is not None and leaf.kind is Kind.PARAGRAPH and not opened
            in_paragraph = is_paragraph and matched == len(self._containers)
            indent = cursor.indent()
            if cursor.text_at == len(cursor.line):
                self._open(Kind.EMPTY, cursor.offset, containers)
                return True
            if indent >= 4:
                # Indented code cannot interrupt a paragraph.
                if not is_paragraph:
                    self._take_indented_code(cursor, containers, opened or matched < len(self._containers))
                return not is_paragraph
            if cursor.text()[0] == ">":
                containers = (*containers, Quote(cursor.offset + cursor.text_at))
                cursor.pass_marker(1)
                cursor.skip(1)
            elif item := self._item(cursor, indent, containers, in_paragraph, opened):
                containers = (*containers, item)
            else:
                if self._start_leaf(cursor, indent, containers, in_paragraph, opened):
                    return True
                if opened:
                    self._start_text(cursor, containers)
                return opened
            opened = True

    def _item(
        self, cursor: Cursor, indent: int, containers: tuple[Container, ...], in_paragraph: bool, opened: bool
    ) -> Item | None:
        """The list item that begins here, the cursor moved to its content; None if none does."""
        text = cursor.text()
        if text[0] not in "-+*0123456789" or (found := starts.marker(text)) is None or starts.is_rule(text):
            return None
        is_empty = not text[found.length :].strip(" \t")
        # In a paragraph, "-" alone is a setext underline and "1986. " a year.
        if in_paragraph and (is_empty or found.number not in (None, 1)):
            return None
        begin = cursor.offset + cursor.text_at
        cursor.pass_marker(found.length)
        spaces = cursor.indent()
        if is_empty or spaces >= 5:
            spaces = 1
        cursor.skip(spaces)
        sibling = None if opened else self._sibling(len(containers), found.char)
        number = found.number if sibling is None or sibling.number is None else sibling.number + 1
        first = begin if sibling is None else sibling.first
        return Item(begin, indent + found.length + spaces, found.char, number, first)

    def _sibling(self, depth: int, marker: str) -> Item | None:
        """The item at this depth that a new one with this marker follows in the same list."""
        if depth < len(self._containers):
            candidate = self._containers[depth]
            if isinstance(candidate, Item) and candidate.marker == marker:
                return candidate
        return None

    def _start_leaf(
        self, cursor: Cursor, indent: int, containers: tuple[Container, ...], in_paragraph: bool, opened: bool
    ) -> bool:
        text = cursor.text()
        first = text[0]
        if first.isalnum():
            return False
        if first == "#" and (heading := starts.heading(text)) is not None:
            self._open(Kind.HEADING, cursor.offset, containers).level = heading.level
            self._add_line(cursor.span(heading.start, heading.end), cursor)
            self.close_leaf()
        elif first in "`~" and (fence := starts.fence(text)) is not None:
            leaf = self._open(Kind.CODE, cursor.offset, containers)
            leaf.fence, leaf.fence_indent, leaf.info = fence, indent, fence.info
        elif first == "<" and (html_end := starts.html_end(text, self._has_text() and not opened)) is not None:
            self._open(Kind.HTML, cursor.offset, containers).html_end = html_end
            self._add_line(cursor.content(), cursor)
            if html_end.search(text):
                self.close_leaf()
        elif in_paragraph and first in "=-" and (level := starts.setext_level(text)) is not None:
            assert self._leaf is not None
            self._leaf.kind, self._leaf.level = Kind.HEADING, level
            self.close_leaf()
        elif first in "*-_" and starts.is_rule(text):
            self._open(Kind.RULE, cursor.offset, containers)
            self._add_line(cursor.span(0, len(text.rstrip())), cursor)
            self.close_leaf()
        elif first in "$\\" and (maths_end := starts.maths_end(text)) is not None:
            self._start_maths(cursor, maths_end, containers)
        else:
            return False
        return True

    def _has_text(self) -> bool:
        """Whether the open leaf is one that a mere tag does not interrupt."""
        return self._leaf is not None and self._leaf.kind in (Kind.PARAGRAPH, Kind.TABLE)

    def _start_maths(self, cursor: Cursor, end: str, containers: tuple[Container, ...]) -> None:
        text = cursor.text().rstrip()
        leaf = self._open(Kind.MATHS, cursor.offset, containers)
        leaf.maths_end, leaf.info = end, text[:2]
        if len(text) > 2:
            inner = text[2:-2]
            begin = 2 + len(inner) - len(inner.lstrip())
            self._add_line(cursor.span(begin, begin + len(inner.strip())), cursor)
            self.close_leaf()

    def _take_indented_code(self, cursor: Cursor, containers: tuple[Container, ...], changed: bool) -> None:
        leaf = self._leaf
        if leaf is None or not leaf.is_indented_code or changed:
            leaf = self._open(Kind.CODE, cursor.offset, containers)
        waiting, leaf.waiting = leaf.waiting, []
        for line, start in waiting:
            self._add_line(line, Cursor("", start))
        cursor.skip(4)
        self._add_line(cursor.content(), cursor)
        self._blank = False

    def _start_text(self, cursor: Cursor, containers: tuple[Container, ...]) -> None:
        cursor.skip_indent()
        leaf = self._leaf
        if cursor.line.startswith("[", cursor.position) and starts.definition(cursor.rest()):
            # Definitions in a row are one block.
            if leaf is None or leaf.kind is not Kind.DEFINITION or containers != self._containers:
                self._open(Kind.DEFINITION, cursor.offset, containers)
        else:
            self._open(Kind.PARAGRAPH, cursor.offset, containers)
        self._add_line(cursor.content(), cursor).last_text = cursor.rest()

    # -- the open leaf -----------------------------------------------------------------------------------------------

    def _open(self, kind: Kind, offset: int, containers: tuple[Container, ...]) -> Leaf:
        start, blank = offset, self._blank
        leaf = self._leaf
        if leaf is not None and leaf.kind is Kind.EMPTY and containers[: len(leaf.containers)] == leaf.containers:
            # The item's content begins a line below its marker: one block, marker included.
            start, blank = leaf.start, leaf.blank_before
        else:
            self.close_leaf()
        # Blank lines before the first block belong to it, so that the blocks' sources make up the text.
        start = start if self._started else 0
        self._started = True
        self._containers = containers
        self._leaf = Leaf(kind, start, containers, blank)
        self._blank = False
        return self._leaf

    def _add_line(self, line: Line, cursor: Cursor) -> Leaf:
        """Add a line to the open leaf, as its next part when it is full. The leaf it ended up in."""
        leaf = self._leaf
        assert leaf is not None
        if len(leaf.lines) >= PART_LINES or leaf.chars >= PART_CHARS:
            leaf = self._next_part(leaf, cursor.offset)
        leaf.lines.append(line)
        leaf.line_starts.append(cursor.offset)
        leaf.chars += line.end - line.start + 1
        return leaf

    def _next_part(self, leaf: Leaf, start: int) -> Leaf:
        self.closed.append(leaf.block())
        self._leaf = leaf.next_part(start)
        return self._leaf
