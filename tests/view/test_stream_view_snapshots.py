"""What a rich answer looks like: three widths, dark, light and ANSI themes, and without colour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from rich_documents import ANSWER, REASONING
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.pilot import Pilot

from workbench.core.clock import ManualClock
from workbench.core.types import Channel
from workbench.tui.widgets.stream_view import StreamView

FOREVER = 1e9


class SnapshotApp(App[None]):
    CSS = """
    Vertical { border: round $primary; }
    StreamView { height: 1fr; padding-left: 1; }
    """

    def __init__(self, theme: str, **options: bool) -> None:
        super().__init__()
        self.view = StreamView(clock=ManualClock(), **options)
        self._first_theme = theme

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self.view

    def on_mount(self) -> None:
        self.theme = self._first_theme


async def drawn(pilot: Pilot[None]) -> None:
    """Draw until nothing is left to draw, the colours of code included: their lexers are loaded in a thread."""
    app = pilot.app
    assert isinstance(app, SnapshotApp)
    for _ in range(3):
        await pilot.pause()
        while app.view.flush(FOREVER) and not app.view.is_streaming:
            pass
        await app.workers.wait_for_complete()
    await pilot.pause()


def showing() -> Callable[[Pilot[None]], Awaitable[None]]:
    async def run(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, SnapshotApp)
        await pilot.pause()
        app.view.set_text(ANSWER, REASONING)
        app.view.set_reasoning_facts(seconds=2.3, tokens=412)
        await drawn(pilot)

    return run


@pytest.mark.parametrize(("columns", "theme"), [(60, "textual-dark"), (80, "textual-light"), (100, "ansi-dark")])
def test_a_rich_answer(snap_compare, theme, columns):
    assert snap_compare(SnapshotApp(theme), terminal_size=(columns, 76), run_before=showing())


def test_a_rich_answer_without_colour(snap_compare, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    assert snap_compare(SnapshotApp("textual-dark"), terminal_size=(60, 76), run_before=showing())


def test_a_rich_answer_in_ascii(snap_compare):
    assert snap_compare(SnapshotApp("textual-dark", ascii_only=True), terminal_size=(60, 76), run_before=showing())


def test_an_answer_while_it_streams(snap_compare):
    async def run(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, SnapshotApp)
        await pilot.pause()
        app.view.reasoning_open = True
        app.view.append(Channel.REASONING, REASONING)
        app.view.append(Channel.TEXT, "Use **one** pass:\n\n")
        app.view.add_note("stall 1.2s")
        app.view.append(Channel.TEXT, "\n```sql\nwith agg as (\n    select id from `orders")
        await drawn(pilot)

    assert snap_compare(SnapshotApp("textual-dark"), terminal_size=(60, 20), run_before=run)


def test_occurrences_and_a_selection(snap_compare):
    async def run(pilot: Pilot[None]) -> None:
        await showing()(pilot)
        app = pilot.app
        assert isinstance(app, SnapshotApp)
        app.view.find("hash")
        await pilot.mouse_down(app.view, offset=(5, 4))
        await pilot.hover(app.view, offset=(20, 6))
        await pilot.mouse_up(app.view, offset=(20, 6))
        await drawn(pilot)

    assert snap_compare(SnapshotApp("textual-dark"), terminal_size=(60, 30), run_before=run)
