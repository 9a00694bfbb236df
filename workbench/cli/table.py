"""Columns for a terminal or a pipe: no lines, no colours, nothing to strip out again."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import combining, east_asian_width


def columns(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset(), indent: int = 0) -> str:
    """The rows, aligned; columns in `right` are set against their right edge. Trailing blanks are left out."""
    if not rows:
        return ""
    widths = [max(cells(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        padded = [
            " " * (width - cells(cell)) + cell if i in right else cell + " " * (width - cells(cell))
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " * indent + "  ".join(padded)).rstrip())
    return "\n".join(lines)


def cells(text: str) -> int:
    """How many terminal cells a text takes."""
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)
