"""A bar that says how much of something is used, in eighths of a cell, from calm to hot."""

from __future__ import annotations

from workbench.tui.glyphs import Glyphs

FAINT = "$foreground-muted dim"
"""For what is not there. Themes in the terminal's own colours have no colour for it."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_STEPS = (0.5, 0.75, 0.9, 1.0)
"""Shares at which the next of the theme's five colours begins."""


def gauge(share: float, width: int, glyphs: Glyphs) -> tuple[tuple[str, str], ...]:
    """`width` cells, as words with their styles; a share beyond 0 … 1 is drawn at the end that it lies beyond."""
    share = min(1.0, max(0.0, share))
    style = f"$gauge-{1 + sum(share >= step for step in _STEPS)}"
    if glyphs.ascii_only:
        filled = round(share * width)
        return ("#" * filled, style), ("." * (width - filled), FAINT)
    eighths = round(share * width * 8)
    if share > 0:
        # Something is never drawn as nothing.
        eighths = max(1, eighths)
    whole, part = divmod(eighths, 8)
    bar = "█" * whole + (_EIGHTHS[part] if part else "")
    return (bar, style), ("·" * (width - len(bar)), FAINT)
