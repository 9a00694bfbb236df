"""What a laid-out block is made of: rows of pieces, free of colours and of the terminal.

A piece names its roles (`("strong", "link")`), not its style: a change of theme needs new strips, but no new layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Roles: TypeAlias = tuple[str, ...]


class Piece(NamedTuple):
    """Text of one kind in a row.

    `length` characters of the source from `start` on are behind it: as many as `text` has when they are the same, any
    other number when the piece stands for them as a whole, none when it is decoration.
    """

    text: str
    roles: Roles
    start: int
    length: int
    link: str = ""

    @property
    def is_exact(self) -> bool:
        return len(self.text) == self.length


class Row(NamedTuple):
    """One line of the screen, as wide as its pieces; the rest is filled with `fill`'s background."""

    pieces: tuple[Piece, ...]
    cells: int
    start: int
    """The source position it is at; of decoration and blank rows, the nearest."""
    fill: Roles = ()
    code: int = -1
    """Start of the code block whose header this is; a click on its `code-button` copies that."""

    def has_role_at(self, role: str, x: int) -> bool:
        """Whether the first piece of that role covers character `x` of the row."""
        at = 0
        for piece in self.pieces:
            if role in piece.roles:
                return at <= x < at + len(piece.text)
            at += len(piece.text)
        return False


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Characters that are drawn around text."""

    bullets: tuple[str, ...] = ("•", "◦", "▪")
    quote: str = "▌"
    code: str = "▎"
    wrapped: str = "↪"
    rule: str = "─"
    heavy_rule: str = "━"
    column: str = "│"
    cross: str = "┼"
    todo: str = "☐"
    done: str = "☑"
    folded: str = "▸"
    unfolded: str = "▾"
    cursor: str = "▌"
    note: str = "·"


ASCII = Glyphs(
    bullets=("*", "-", "+"),
    quote="|",
    code="|",
    wrapped="\\",
    rule="-",
    heavy_rule="=",
    column="|",
    cross="+",
    todo="[ ]",
    done="[x]",
    folded=">",
    unfolded="v",
    cursor="_",
    note="-",
)
UNICODE = Glyphs()
