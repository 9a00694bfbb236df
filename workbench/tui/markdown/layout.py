"""From a block to rows: one function per kind of block, containers drawn as prefixes.

Pure: what is needed beyond the block (width, references, colours of code, widths of a table's columns) comes in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, assert_never

from workbench.tui.markdown.blocks import Block, Container, Item, Kind, Line, Quote
from workbench.tui.markdown.flow import break_source, cells, chop_line, flow
from workbench.tui.markdown.inline import Run
from workbench.tui.markdown.maths import readable
from workbench.tui.markdown.rows import Glyphs, Piece, Roles, Row
from workbench.tui.markdown.starts import definition
from workbench.tui.markdown.table_layout import column_widths, read_table, table_rows

NARROWEST = 8
"""Cells that content keeps at least, however deep it is nested."""
TAB = 4

Colours: TypeAlias = Callable[[int], Sequence[tuple[str, str]] | None]
"""From the index of a line of code in its block to its tokens (text, role); None while they are not known."""

_TASK = re.compile(r"\[([ xX])\][ \t]")
_UNSHOWN = re.compile("[\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a layout depends on beyond the block itself."""

    width: int
    parse: Callable[[str], tuple[Run, ...]]
    glyphs: Glyphs


def lay_out(
    block: Block,
    text: str,
    setting: Setting,
    above: tuple[Container, ...] | None,
    *,
    colours: Colours | None = None,
    widths: tuple[int, ...] | None = None,
) -> list[Row]:
    """The rows of a block, the blank row above it included.

    Args:
        above: Containers of the block before; None for the first block.
        colours: Tokens of a code block's lines, once they are known.
        widths: Column widths to use for a table, rather than those that fit this part of it.
    """
    task = _task(block, text, setting.glyphs)
    first, rest, used = _prefixes(block, setting.glyphs, task)
    width = max(NARROWEST, setting.width - used)
    fill: Roles = ()
    code = -1
    match block.kind:
        case Kind.PARAGRAPH:
            pieces = _text_pieces(block, text, setting, _paragraph_roles(block))
            lines = flow(_without(pieces, len("[x] ")) if task else pieces, width)
        case Kind.HEADING:
            lines = flow(_text_pieces(block, text, setting, (f"heading-{block.level}",)), width)
            if block.level == 1 and lines:
                rule = setting.glyphs.heavy_rule * max(size for _, size in lines)
                lines.append(([Piece(rule, ("heading-rule",), block.end, 0)], len(rule)))
        case Kind.CODE:
            lines = _code(block, text, width, setting.glyphs, colours)
            fill = ("code",)
            code = -1 if block.is_part else block.first
        case Kind.TABLE:
            table = read_table(block, text, partial(_cell, text, setting))
            lines = table_rows(
                table, column_widths(table, width) if widths is None else widths, width, block.start, setting.glyphs
            )
        case Kind.MATHS:
            lines = _maths(block, text, width)
        case Kind.RULE:
            lines = [([Piece(setting.glyphs.rule * width, ("rule",), block.start, 0)], width)]
        case Kind.HTML:
            lines = _source_lines(block.lines, text, width, ("html",))
        case Kind.RAW:
            lines = _source_lines(block.lines, text, width, ())
        case Kind.DEFINITION:
            lines = _definitions(block.lines, text, width)
        case Kind.EMPTY:
            lines = []
        case _:
            assert_never(block.kind)
    rows = _gap(block, above, setting.glyphs)
    for index, (row, size) in enumerate(lines or [([], 0)]):
        prefix = rest if index else first
        start = next((piece.start for piece in row if piece.length), row[0].start if row else block.start)
        header = code if index == 0 else -1
        rows.append(Row((*prefix, *row), used + size, start, ("code-header",) if header >= 0 else fill, header))
    return rows


def table_columns(block: Block, text: str, setting: Setting) -> tuple[int, ...]:
    """The column widths that fit this part of a table; empty if it is shown as records."""
    used = _prefixes(block, setting.glyphs, "")[2]
    return column_widths(read_table(block, text, partial(_cell, text, setting)), max(NARROWEST, setting.width - used))


def estimated_height(block: Block, width: int, *, is_first: bool) -> int:
    """About how many rows `lay_out` will make, without looking at the text."""
    width = max(NARROWEST, width - 2 * len(block.containers))
    gap = int(not is_first and needs_gap(block))
    match block.kind:
        case Kind.PARAGRAPH | Kind.HEADING:
            body = sum(line.end - line.start + 1 for line in block.lines) // width + 1 + (block.level == 1)
        case Kind.CODE | Kind.RAW | Kind.HTML | Kind.DEFINITION | Kind.MATHS:
            header = block.kind is Kind.CODE and not block.is_part
            body = header + sum((line.end - line.start) // width + 1 for line in block.lines)
        case _:
            body = max(1, len(block.lines))
    return gap + body


# -- containers ------------------------------------------------------------------------------------------------------


def _prefixes(block: Block, glyphs: Glyphs, task: str) -> tuple[list[Piece], list[Piece], int]:
    """What stands before a block's first row and before its other rows, and the cells that takes.

    Args:
        task: Stands in for the last item's marker.
    """
    first: list[Piece] = []
    rest: list[Piece] = []
    used = depth = 0
    for container in block.containers:
        match container:
            case Quote():
                piece = Piece(f"{glyphs.quote} ", ("quote-bar",), block.start, 0)
                first.append(piece)
                rest.append(piece)
                used += 2
            case Item(number=None):
                mark = f"{glyphs.bullets[depth % len(glyphs.bullets)]} "
                depth += 1
                if task and container is block.containers[-1]:
                    mark = f"{task} "
                used += _item_prefix(container, block, mark, first, rest)
            case Item(number=number, marker=marker):
                used += _item_prefix(container, block, f"{number}{marker} ", first, rest)
    return first, rest, used


def _item_prefix(item: Item, block: Block, mark: str, first: list[Piece], rest: list[Piece]) -> int:
    width = len(mark)
    # An item that begins in this block's source shows its marker here; later blocks of it are only indented.
    begins = item.start >= block.start
    first.append(Piece(mark if begins else " " * width, ("list-marker",) if begins else (), block.start, 0))
    rest.append(Piece(" " * width, (), block.start, 0))
    return width


def _gap(block: Block, above: tuple[Container, ...] | None, glyphs: Glyphs) -> list[Row]:
    """The blank row above a block, where its writer left one or a heading needs one; quote bars run through it."""
    if above is None or not needs_gap(block):
        return []
    shared = 0
    for mine, theirs in zip(block.containers, above, strict=False):
        if not isinstance(mine, Quote) or mine != theirs:
            break
        shared += 1
    bars = tuple(Piece(f"{glyphs.quote} ", ("quote-bar",), block.start, 0) for _ in range(shared))
    return [Row(bars, 2 * shared, block.start)]


def needs_gap(block: Block) -> bool:
    return block.blank_before or (block.kind is Kind.HEADING and not block.containers)


def _paragraph_roles(block: Block) -> Roles:
    return ("quote",) if any(isinstance(container, Quote) for container in block.containers) else ()


# -- text ------------------------------------------------------------------------------------------------------------


def _text_pieces(block: Block, text: str, setting: Setting, roles: Roles) -> list[Piece]:
    """A block's inline content, its runs tied to the source across the prefixes of its lines."""
    return _pieces(setting.parse(block.content(text).rstrip(" \t")), block.lines, roles)


def _task(block: Block, text: str, glyphs: Glyphs) -> str:
    """The box to draw for an item that begins `[ ]` or `[x]`; empty for any other block."""
    if block.kind is not Kind.PARAGRAPH or not block.containers or not block.lines:
        return ""
    match block.containers[-1]:
        case Item(number=None, start=start) if start >= block.start:
            line = block.lines[0]
            if found := _TASK.match(text, line.start, line.end):
                return glyphs.todo if found[1] == " " else glyphs.done
    return ""


def _without(pieces: list[Piece], characters: int) -> list[Piece]:
    """The pieces after so many characters of text."""
    kept: list[Piece] = []
    for piece in pieces:
        if characters >= len(piece.text):
            characters -= len(piece.text)
            continue
        kept.append(
            Piece(piece.text[characters:], piece.roles, piece.start + characters, piece.length - characters, piece.link)
        )
        characters = 0
    return kept


def _pieces(runs: Sequence[Run], lines: Sequence[Line], roles: Roles) -> list[Piece]:
    begins: list[int] = []
    offset = 0
    for line in lines:
        begins.append(offset)
        offset += line.pad + line.end - line.start + 1
    pieces: list[Piece] = []
    index = 0
    last = len(lines) - 1
    for run in runs:
        while index < last and run.start >= begins[index + 1]:
            index += 1
        start = lines[index].start + max(0, run.start - begins[index] - lines[index].pad)
        length = run.end - run.start
        if len(run.text) != length:
            length = _source_position(run.end, begins, lines) - start
        pieces.append(Piece(_shown(run.text), (*roles, *run.roles) if run.roles else roles, start, length, run.link))
    return pieces


def _source_position(offset: int, begins: Sequence[int], lines: Sequence[Line]) -> int:
    index = 0
    while index < len(lines) - 1 and offset >= begins[index + 1]:
        index += 1
    return lines[index].start + max(0, offset - begins[index] - lines[index].pad)


def _shown(text: str) -> str:
    """Characters that a terminal would move its cursor for, as a space each."""
    if "\t" in text:
        text = text.replace("\t", " ")
    return text if text.isascii() else _UNSHOWN.sub(" ", text)


def _cell(text: str, setting: Setting, start: int, end: int, role: str) -> list[Piece]:
    roles = (role,) if role else ()
    pieces = _pieces(setting.parse(text[start:end]), (Line(0, start, end),), roles)
    # Inside a code span of a table, and only there, "\|" is still escaped after the inline rules.
    return [
        piece._replace(text=piece.text.replace("\\|", "|")) if "code-inline" in piece.roles else piece
        for piece in pieces
    ]


# -- lines as they are -----------------------------------------------------------------------------------------------


def _line_pieces(line: Line, text: str, roles: Roles, tokens: Sequence[tuple[str, str]] | None = None) -> list[Piece]:
    """A line of source, tabs expanded, in the colours of its tokens."""
    source = text[line.start : line.end]
    pieces = [Piece(" " * line.pad, roles, line.start, 0)] if line.pad else []
    at = line.start
    for token, role in tokens or ((source, ""),):
        token_roles = (*roles, role) if role else roles
        if "\t" not in token:
            if token:
                pieces.append(Piece(_shown(token), token_roles, at, len(token)))
            at += len(token)
            continue
        for part in re.split(r"(\t)", token):
            if part == "\t":
                column = sum(cells(piece.text) for piece in pieces)
                pieces.append(Piece(" " * (TAB - column % TAB), token_roles, at, 1))
            elif part:
                pieces.append(Piece(_shown(part), token_roles, at, len(part)))
            at += len(part)
    return pieces


def _source_lines(lines: Sequence[Line], text: str, width: int, roles: Roles) -> list[tuple[list[Piece], int]]:
    rows: list[tuple[list[Piece], int]] = []
    for line in lines:
        rows += _wrapped(_line_pieces(line, text, roles), width, line)
    return rows


def _wrapped(pieces: list[Piece], width: int, line: Line) -> list[tuple[list[Piece], int]]:
    return flow(pieces, width, break_source) or [([Piece("", (), line.start, 0)], 0)]


def _code(
    block: Block, text: str, width: int, glyphs: Glyphs, colours: Colours | None
) -> list[tuple[list[Piece], int]]:
    rows: list[tuple[list[Piece], int]] = []
    bar = ("code-bar",)
    if not block.is_part:
        rows.append(_code_header(block, width, glyphs))
    for index, line in enumerate(block.lines):
        mark = f"{glyphs.code} "
        tokens = colours(index) if colours is not None else None
        for pieces, size in _wrapped(_line_pieces(line, text, ("code",), tokens), width - 2, line):
            rows.append(([Piece(mark, bar, pieces[0].start, 0), *pieces], size + 2))
            mark = f"{glyphs.code}{glyphs.wrapped}"
    return rows


def _code_header(block: Block, width: int, glyphs: Glyphs) -> tuple[list[Piece], int]:
    """Language on the left, `[c] copy` on the right where both fit."""
    language = block.language
    button = "[c] copy"
    room = width - 3
    if cells(language) > room:
        language = language[: chop_line(language, room)[0][1]]
    pieces = [
        Piece(f"{glyphs.code} ", ("code-bar",), block.start, 0),
        Piece(language, ("code-language",), block.start, 0),
    ]
    used = 2 + cells(language)
    space = width - used - len(button) - 1
    if space >= 2:
        pieces += [
            Piece(" " * space, ("code-header",), block.start, 0),
            Piece(button, ("code-button",), block.start, 0),
            Piece(" ", ("code-header",), block.start, 0),
        ]
        used = width
    return pieces, used


def _maths(block: Block, text: str, width: int) -> list[tuple[list[Piece], int]]:
    """Display maths, indented; its rows stand for the block as a whole."""
    if not block.lines:
        return []
    start, length = block.lines[0].start, block.end - block.lines[0].start
    rows: list[tuple[list[Piece], int]] = []
    indent = Piece("  ", (), start, 0)
    for line in readable(block.content(text)).split("\n"):
        if line.strip():
            piece = Piece(line.strip(), ("maths",), start, length)
            rows += [([indent, *pieces], size + 2) for pieces, size in flow([piece], width - 2)]
    return rows


def _definitions(lines: Sequence[Line], text: str, width: int) -> list[tuple[list[Piece], int]]:
    rows: list[tuple[list[Piece], int]] = []
    for line in lines:
        found = definition(text[line.start : line.end])
        target = found.target if found else ""
        rows += flow([piece._replace(link=target) for piece in _line_pieces(line, text, ("definition",))], width)
    return rows
