"""What every benchmark prints: where it ran, and a table of figures beside a named peer."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence


def environment() -> str:
    """One line that says on what kind of machine the figures below were taken."""
    return (
        f"Python {platform.python_version()} · {platform.system()} {platform.machine()} · {os.cpu_count()} cores · "
        f"{'optimised' if sys.flags.optimize else 'plain'} bytecode"
    )


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table that is also aligned for a terminal; the first `left` columns are left-aligned."""
    widths = [max(len(column), *(len(row[i]) for row in rows), 3) for i, column in enumerate(columns)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (w + 2) if i < left else "-" * (w + 1) + ":" for i, w in enumerate(widths))
    return "\n".join([line(columns), f"|{rule}|", *(line(row) for row in rows)])
