"""What the two tables beside the prompt have in common: a heading line and the name that each row begins with."""

from __future__ import annotations

from textual.content import Content

NAME_WIDTH = 18


def heading(title: str, columns: str) -> Content:
    return Content.assemble((f"{title:{NAME_WIDTH + 2}}", "bold $text-primary"), (columns, "$foreground-muted"))


def target_name(number: int, name: str, accent: int) -> Content:
    shown = name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…"
    return Content.assemble((f"{number} ", f"bold $lane-{accent}"), (f"{shown:{NAME_WIDTH}}", "$foreground"))
