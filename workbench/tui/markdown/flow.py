"""Breaking text into rows by terminal cells: Latin at spaces, CJK between characters, never inside a grapheme."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from rich.cells import cell_len, split_graphemes

from workbench.tui.markdown.rows import Piece

Breaker: TypeAlias = Callable[[str, int], list[tuple[int, int, int]]]
"""From text and width to (start, end, cells) of each row."""

_WIDE = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff01-\uff60"
)
_MARKS = "\u0300-\u036f\u3099\u309a\ufe00-\ufe0f"
_OPENERS = "（［｛「『【〈《〔"
_CLOSERS = "、。，．！？：；）］｝」』】〉》〕ー々"

# Every character of these is one cell wide, alone and beside any other of them.
_NARROW = re.compile(
    "[\n\x20-\x7e\xa0-\xac\xae-\u02ff\u0370-\u0373\u0376\u0377\u037b-\u037e\u0384-\u038a\u0391-\u03a1\u03a3-\u0482"
    "\u2010-\u2027\u2030-\u205e\u2070\u2071\u2074-\u208e\u2190-\u21ff\u2200-\u22ff\u2500-\u25fc]*\\Z"
)
# What joins on to the character before it; a zero-width joiner takes whatever follows it along.
_JOINED = rf"\u200d[^\n]?|[{_CLOSERS}{_MARKS}]"
_UNIT = re.compile(
    rf"\n| +|[{_OPENERS}]*[{_WIDE}](?:{_JOINED})*|(?:\u200d[^\n]?|[^ \n{_WIDE}])+|[{_OPENERS}]+(?:{_JOINED})*|.",
    re.DOTALL,
)


def cells(text: str) -> int:
    """How many cells a terminal needs for `text`."""
    return len(text) if text.isascii() else cell_len(text)


def chop(text: str, width: int, start: int = 0, first: int | None = None) -> list[tuple[int, int, int]]:
    """Cut between graphemes wherever a row is full; (start, end, cells) of each row. At least one grapheme per row.

    Args:
        start: Where `text` begins in what the positions refer to.
        first: Room in the first row, if that differs.
    """
    room = width if first is None else first
    rows: list[tuple[int, int, int]] = []
    begin, used = 0, 0
    for at, end, size in split_graphemes(text)[0]:
        if used + size > room and at > begin:
            rows.append((start + begin, start + at, used))
            begin, used, room = at, 0, width
        used += size
        last = end
    if text:
        rows.append((start + begin, start + last, used))
    return rows


def chop_line(line: str, width: int) -> list[tuple[int, int, int]]:
    """Like `chop`, quick for ordinary code."""
    if _NARROW.match(line):
        length = len(line)
        return [(at, min(at + width, length), min(width, length - at)) for at in range(0, length or 1, width)]
    return chop(line, width)


def break_lines(text: str, width: int) -> list[tuple[int, int, int]]:
    """Where rows of at most `width` cells begin and end in `text`, and their cells.

    Spaces at either end of a row belong to no row. "\\n" is a forced break. A word longer than a row is cut.
    """
    if _NARROW.match(text):
        return _break_narrow(text, width)
    rows = _break_any(text, width)
    if "\u200d" in text or "\ufe0f" in text:
        # Stray joiners can join what was measured apart.
        rows = [(start, end, cell_len(text[start:end])) for start, end, _ in rows]
    return rows


def _break_narrow(text: str, width: int) -> list[tuple[int, int, int]]:
    rows: list[tuple[int, int, int]] = []
    at = 0
    for line in text.split("\n"):
        stop = at + len(line)
        at += len(line) - len(line.lstrip(" "))
        while stop - at > width:
            # A space right after the last cell still ends this row.
            space = text.rfind(" ", at, at + width + 1)
            if space <= at:
                rows.append((at, at + width, width))
                at += width
            else:
                end = space
                while end > at and text[end - 1] == " ":
                    end -= 1
                rows.append((at, end, end - at))
                at = space + 1
            while at < stop and text[at] == " ":
                at += 1
        end = at + len(text[at:stop].rstrip(" "))
        if end > at or not line.strip(" "):
            rows.append((at, end, end - at))
        at = stop + 1
    return rows


def _break_any(text: str, width: int) -> list[tuple[int, int, int]]:
    rows: list[tuple[int, int, int]] = []
    begin = end = used = 0
    gap = 0
    for found in _UNIT.finditer(text):
        unit, at, stop = found[0], found.start(), found.end()
        if unit == "\n":
            rows.append((begin, end, used))
            begin = end = stop
            used = gap = 0
            continue
        if unit[0] == " ":
            if end > begin:
                gap += len(unit)
            else:
                begin = end = stop
            continue
        size = cells(unit)
        if used + gap + size > width and end > begin:
            rows.append((begin, end, used))
            begin, used, gap = at, 0, 0
        if size > width:
            *full, (begin, end, used) = chop(unit, width, at, width - gap if gap < width else None)
            rows += full
        else:
            used += gap + size
            end = stop
        gap = 0
    rows.append((begin, end, used))
    return rows


def break_source(text: str, width: int) -> list[tuple[int, int, int]]:
    """Like `break_lines`, for one line whose indentation counts."""
    indent = len(text) - len(text.lstrip(" "))
    return break_lines("\xa0" * indent + text[indent:], width)


def flow(pieces: Sequence[Piece], width: int, breaker: Breaker = break_lines) -> list[tuple[list[Piece], int]]:
    """Pieces broken into rows of at most `width` cells, with the cells each row takes."""
    text = "".join([piece.text for piece in pieces])
    if not text:
        return []
    rows: list[tuple[list[Piece], int]] = []
    index, base = 0, 0
    for start, end, size in breaker(text, width):
        row: list[Piece] = []
        while index < len(pieces) and base < end:
            piece = pieces[index]
            length = len(piece.text)
            if base + length > start:
                row.append(cut(piece, max(0, start - base), min(length, end - base)))
            if base + length > end:
                break
            base += length
            index += 1
        rows.append((row, size))
    return rows


def cut(piece: Piece, start: int, end: int) -> Piece:
    """Characters `start` to `end` of a piece. Parts of an inexact piece all stand for its whole source."""
    if start == 0 and end == len(piece.text):
        return piece
    if piece.is_exact:
        return Piece(piece.text[start:end], piece.roles, piece.start + start, end - start, piece.link)
    return Piece(piece.text[start:end], piece.roles, piece.start, piece.length, piece.link)
