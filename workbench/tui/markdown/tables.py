"""Rows of a GFM table, read as positions in the line so that cells stay tied to the source."""

from __future__ import annotations

import re
from enum import StrEnum

_DELIMITER = re.compile(r"[|:-][-:|\s]+\Z")
_DELIMITER_CELL = re.compile(r":?-+:?\Z")


class Align(StrEnum):
    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"


def row_cells(line: str) -> list[tuple[int, int]]:
    """Start and end of each cell's content in `line`, outer pipes and spaces taken off. `\\|` does not divide."""
    bounds = [-1]
    position = line.find("|")
    while position >= 0:
        if position == 0 or line[position - 1] != "\\":
            bounds.append(position)
        position = line.find("|", position + 1)
    bounds.append(len(line))
    cells = []
    last = len(bounds) - 2
    for index in range(last + 1):
        start, end = bounds[index] + 1, bounds[index + 1]
        text = line[start:end]
        if not text.strip():
            # Nothing before the first or after the last pipe is no cell at all; an empty one in between is.
            if index not in (0, last):
                cells.append((start, start))
            continue
        start += len(text) - len(text.lstrip())
        cells.append((start, start + len(text.strip())))
    return cells


def alignments(line: str) -> tuple[Align | None, ...]:
    """What a delimiter row says about each column; empty if `line` is not a delimiter row."""
    line = line.strip()
    # "- " begins a list item, so a delimiter row cannot.
    if not _DELIMITER.match(line) or (line[0] == "-" and line[1].isspace()):
        return ()
    found: list[Align | None] = []
    columns = line.split("|")
    for index, column in enumerate(columns):
        cell = column.strip()
        if not cell and index in (0, len(columns) - 1):
            continue
        if not _DELIMITER_CELL.match(cell):
            return ()
        match cell[0] == ":", cell[-1] == ":":
            case True, True:
                found.append(Align.CENTER)
            case False, True:
                found.append(Align.RIGHT)
            case True, False:
                found.append(Align.LEFT)
            case _:
                found.append(None)
    return tuple(found)
