"""A bar that says how much of something is used, in eighths of a cell, from calm to hot."""

from __future__ import annotations

from textual.content import Content

from workbench.tui.glyphs import Glyphs

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_STEPS = (0.5, 0.75, 0.9, 1.0)
"""Shares at which the next of the theme's five colours begins."""


def gauge(share: float, width: int, glyphs: Glyphs) -> Content:
    """`width` cells; a share beyond 0 … 1 is drawn at the end that it lies beyond."""
    share = min(1.0, max(0.0, share))
    style = f"$gauge-{1 + sum(share >= step for step in _STEPS)}"
    if glyphs.ascii_only:
        filled = round(share * width)
        return Content.assemble(("#" * filled, style), ("." * (width - filled), "$foreground-disabled"))
    eighths = round(share * width * 8)
    if share > 0:
        # Something is never drawn as nothing.
        eighths = max(1, eighths)
    whole, part = divmod(eighths, 8)
    bar = "█" * whole + (_EIGHTHS[part] if part else "")
    return Content.assemble((bar, style), ("·" * (width - len(bar)), "$foreground-disabled"))
