"""The few signs that the screens draw with, and what stands for them where a terminal has only ASCII."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.session.lane_state import LaneState


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of signs; states bring their own two."""

    ascii_only: bool = False

    def state(self, state: LaneState) -> str:
        return state.ascii_glyph if self.ascii_only else state.glyph

    @property
    def more(self) -> str:
        return ">" if self.ascii_only else "▸"

    @property
    def fewer(self) -> str:
        return "<" if self.ascii_only else "◂"

    @property
    def separator(self) -> str:
        return "|" if self.ascii_only else "│"

    @property
    def dot(self) -> str:
        return "-" if self.ascii_only else "·"

    @property
    def prompt(self) -> str:
        return ">" if self.ascii_only else "❯"

    @property
    def star(self) -> str:
        return "*" if self.ascii_only else "★"

    @property
    def chosen(self) -> str:
        return "+" if self.ascii_only else "✓"
