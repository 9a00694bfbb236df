"""Pictures of the screen: every word at the cell where it begins, whatever a viewer makes of blanks and lengths."""

from __future__ import annotations

import re
from html import unescape

from textual.app import App, ComposeResult
from textual.content import Content
from textual.widgets import Static

from workbench.tui.picture import aligned

CELL = 12.2
"""Width of a cell in Rich's pictures."""


def texts(svg: str) -> list[tuple[float, float, str]]:
    """Where each text begins, how long it is told to be (both in cells), and what it says."""
    found = re.findall(r'<text class="[^"]*r\d+" x="([\d.]+)"[^>]*textLength="([\d.]+)"[^>]*>([^<\n]+)</text>', svg)
    return [(round(float(x) / CELL, 2), round(float(length) / CELL, 2), unescape(said)) for x, length, said in found]


class Page(App[None]):
    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content

    def compose(self) -> ComposeResult:
        yield Static(self._content)


async def picture(content: Content) -> str:
    app = Page(content)
    async with app.run_test(size=(40, 1)) as pilot:
        await pilot.pause()
        return app.export_screenshot()


async def test_blanks_become_places() -> None:
    svg = await picture(Content.assemble("  one two   three", ("  four ", "bold")))

    assert texts(aligned(svg)) == [(2, 7, "one\xa0two"), (12, 5, "three"), (19, 4, "four")]


async def test_wide_signs_have_the_room_that_they_take() -> None:
    svg = await picture(Content("日本  x"))

    assert texts(aligned(svg)) == [(0, 4, "日本"), (6, 1, "x")]


async def test_lines_come_in_pieces_and_join() -> None:
    svg = await picture(Content("─" * 20 + "┐"))

    assert texts(aligned(svg)) == [(0, 8, "─" * 8), (8, 8, "─" * 8), (16, 5, "────┐")]


async def test_what_looks_like_a_mark_stays_text() -> None:
    svg = aligned(await picture(Content("a <b> & c")))

    assert texts(svg) == [(0, 9, "a\xa0<b>\xa0&\xa0c")]
    assert "<b>" not in svg
