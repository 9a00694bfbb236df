"""A place in a line while its container prefixes are taken off: in characters and in columns, because of tabs."""

from __future__ import annotations

from workbench.tui.markdown.blocks import Line


class Cursor:
    """Walks one line. A tab that is only partly consumed leaves `pad` columns of it to come."""

    __slots__ = ("column", "line", "offset", "pad", "position", "text_at")

    def __init__(self, line: str, offset: int) -> None:
        self.line = line
        self.offset = offset
        """Where the line begins in the source."""
        self.position = 0
        self.column = 0
        self.pad = 0
        self.text_at = 0
        """Position of the next character that is not white space, as of the last `indent`."""

    def indent(self) -> int:
        """Columns of white space from here to `text_at`, which it sets."""
        line, column, index = self.line, self.column + self.pad, self.position
        length = len(line)
        while index < length:
            if line[index] == " ":
                column += 1
            elif line[index] == "\t":
                column += 4 - column % 4
            else:
                break
            index += 1
        self.text_at = index
        return column - self.column

    def is_blank(self) -> bool:
        return not self.line[self.position :].strip(" \t")

    def skip_indent(self) -> None:
        self.column += self.indent()
        self.pad = 0
        self.position = self.text_at

    def skip(self, columns: int) -> None:
        """Go past this many columns of white space, less if there are fewer."""
        taken = min(self.pad, columns)
        self.pad -= taken
        self.column += taken
        columns -= taken
        while columns > 0 and self.position < len(self.line):
            match self.line[self.position]:
                case " ":
                    width = 1
                case "\t":
                    width = 4 - self.column % 4
                case _:
                    return
            self.position += 1
            self.pad = max(0, width - columns)
            self.column += width - self.pad
            columns -= width

    def pass_marker(self, length: int) -> None:
        """Go past the indentation and a container's marker of this many characters."""
        self.skip_indent()
        self.position += length
        self.column += length

    def rest(self) -> str:
        return self.line[self.position :]

    def text(self) -> str:
        """What follows the indentation that `indent` has just measured."""
        return self.line[self.text_at :]

    def content(self) -> Line:
        return Line(self.pad, self.offset + self.position, self.offset + len(self.line))

    def span(self, start: int, end: int) -> Line:
        """Part of `text()` as a line of content."""
        base = self.offset + self.text_at
        return Line(0, base + start, base + end)
