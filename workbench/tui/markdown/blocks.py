"""The values a document is made of: leaf blocks with the containers they stand in.

A document is kept flat. A paragraph in a list item in a quote is one `Block` whose `containers` are the quote and the
item; nothing nests. That is what lets a streaming view draw, freeze, cache and slice one block at a time: every block
is bounded in size (long ones are cut into parts), and only the last one can still change.

All positions are offsets into the source text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class Kind(StrEnum):
    PARAGRAPH = "paragraph"
    HEADING = "heading"
    CODE = "code"
    TABLE = "table"
    HTML = "html"
    RULE = "rule"
    MATHS = "maths"
    DEFINITION = "definition"
    """Link reference definitions, `[label]: target "title"`."""
    EMPTY = "empty"
    """A list item without content."""
    RAW = "raw"
    """Source lines as they are, when Markdown is switched off."""


@dataclass(frozen=True, slots=True)
class Quote:
    start: int
    """Offset of its first `>`; names it."""


@dataclass(frozen=True, slots=True)
class Item:
    start: int
    """Offset of its marker; names it."""
    indent: int
    """Columns from the parent's content to this item's content."""
    marker: str
    """`-`, `*` or `+`; `.` or `)` for ordered lists."""
    number: int | None
    """As it is to be shown: counted from the first item's number. None in bullet lists."""
    first: int
    """Start of the list's first item; names the list."""


Container: TypeAlias = Quote | Item


class Line(NamedTuple):
    """A line of a block's content, its container prefixes and indentation taken off."""

    pad: int
    """Spaces to put before it: what is left of a tab that an indentation ended in."""
    start: int
    end: int
    """Before the newline."""


@dataclass(frozen=True, slots=True)
class Block:
    kind: Kind
    start: int
    """Its source goes from here to the next block's start (or the end of the text): blank lines after it included."""
    containers: tuple[Container, ...]
    lines: tuple[Line, ...]
    level: int = 0
    """Of a heading: 1 to 6."""
    info: str = ""
    """A fence's info string; a table's delimiter row; `\\[` or `$$` for maths."""
    first: int = 0
    """Start of the first part, when a long block was cut into parts; else its own start."""
    blank_before: bool = False
    """At least one blank line stands between the block before and this one."""

    @property
    def is_part(self) -> bool:
        """It goes on where the block before stopped."""
        return self.first != self.start

    @property
    def language(self) -> str:
        """Of code: the first word of the info string."""
        words = self.info.split(maxsplit=1)
        return words[0] if words else ""

    @property
    def end(self) -> int:
        """Where its content ends, blank lines after it not included."""
        return self.lines[-1].end if self.lines else self.start

    def content(self, text: str) -> str:
        """Its lines from `text`, joined by newlines."""
        return "\n".join([" " * line.pad + text[line.start : line.end] for line in self.lines])
