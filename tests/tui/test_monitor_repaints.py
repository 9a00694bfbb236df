"""What the Monitor leaves undrawn: rows that did not change, times between two seconds, keys that stay the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from monitor_world import NAME, busy, lane, lane_traffic, times, world
from rich.cells import cell_len
from scripted_engine import ScriptedLanes
from textual.app import App, ComposeResult
from textual.content import Content
from textual.pilot import Pilot
from textual.strip import Strip
from tui_stage import Stage, at_the_monitor, until

from workbench.session.monitor import overview
from workbench.tui.areas import COMPARE, MONITOR
from workbench.tui.glyphs import Glyphs
from workbench.tui.monitor_words import run_strip
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.live_bar import LiveBar


def stage() -> Stage:
    on = Stage(("alpha",), areas=(COMPARE, MONITOR))
    on.engine.seen = busy()
    on.engine.limiter = ScriptedLanes()
    return on


async def monitored(pilot: Pilot[Any], on: Stage) -> Any:
    screen = await at_the_monitor(pilot, on)
    await pilot.pause()
    return screen


async def test_a_moved_cursor_draws_the_row_that_it_leaves_and_the_one_that_it_enters() -> None:
    on = stage()
    on.engine.seen = world(*(lane(f"openai#{number} · gpt-5.4") for number in range(1, 6)))
    async with on.app.run_test(size=(120, 50)) as pilot:
        screen = await monitored(pilot, on)
        drawn: set[int] = set()
        draw = screen.table.render_line

        def render_line(y: int) -> Strip:
            drawn.add(y)
            return draw(y)  # type: ignore[no-any-return]  # a screen of the app's is Any here

        screen.table.render_line = render_line

        await pilot.press("j")
        await until(pilot, lambda: len(drawn) >= 2)
        await pilot.pause()

        assert drawn == {0, 1}


async def test_times_in_rows_change_once_a_second_and_counters_at_once() -> None:
    on = stage()
    async with on.app.run_test(size=(200, 50)) as pilot:
        screen = await monitored(pilot, on)
        seen = busy()
        carried = dict(seen.traffic.by_lane)
        carried[NAME] = lane_traffic(ttft_s=times(0.99, p95=1.5), tokens_per_s=345.0, refusals_window=4)
        later = overview(replace(seen, traffic=replace(seen.traffic, by_lane=carried))).lanes

        screen.table.show_lanes(later, with_times=False)
        between = screen.table.render_line(0).text
        screen.table.show_lanes(later, with_times=True)
        after = screen.table.render_line(0).text

        assert "    4" in between
        assert "~345" in between
        assert "0.41s" in between
        assert "0.99s" in after


async def test_keys_are_offered_anew_only_when_there_begins_or_ceases_to_be_something_to_control() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        screen = await monitored(pilot, on)
        asked: list[bool] = []
        screen.refresh_bindings = lambda: asked.append(True)

        screen.look()
        screen.look()
        assert asked == []
        on.engine.limiter = None
        screen.look()
        assert asked == [True]


@pytest.mark.parametrize("width", range(40, 201, 7))
def test_the_run_strip_fits_its_width_to_the_cell(width: int) -> None:
    left, right = run_strip(overview(busy()), Glyphs(), width)

    assert len(left.plain) + len(right.plain) <= width
    assert left.plain.startswith(" running")


class Bars(App[None]):
    """The same words in both kinds of bar."""

    CSS = "Bar { background: $surface; color: $text-muted; padding: 0 1; }"

    def compose(self) -> ComposeResult:
        yield Bar(id="bar")
        yield LiveBar(id="live")


def cells(strip: Strip) -> list[tuple[str, object]]:
    """Each character with the looks that it has."""
    return [
        (sign, (style.color, style.bgcolor, style.bold, style.dim, style.italic))
        for text, style, _ in strip
        if style is not None
        for sign in text
    ]


WORDS = (
    Content.assemble(("in flight ", "$foreground-muted"), ("12", "bold $text-primary"), "  plain ", ("dim", "dim")),
    Content.assemble(Content.styled("over ", "$text-error").stylize("italic", 1, 3), "日本 ", ("wide", "bold")),
    Content("nothing but text"),
    Content(),
)


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words.plain[:9])
@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark"])
async def test_a_live_bar_looks_like_a_bar(words: Content, theme: str) -> None:
    app = Bars()
    app.theme = theme
    async with app.run_test(size=(60, 4)) as pilot:
        bar, live = app.query_one("#bar", Bar), app.query_one("#live", LiveBar)
        for each in (bar, live):
            each.show(words, Content.styled("right", "$text-accent"))
        await pilot.pause()

        assert cells(live.render_line(0)) == cells(bar.render_line(0))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left " * 20, "right"),
        ("left", "right " * 20),
        ("日本" * 20, "右"),
        ("a" + "日本" * 20, "r"),
        ("l", "日本" * 20),
    ],
)
@pytest.mark.parametrize("columns", [30, 31])
async def test_a_live_bar_is_as_wide_as_it_says_whatever_does_not_fit(left: str, right: str, columns: int) -> None:
    app = Bars()
    async with app.run_test(size=(columns, 4)) as pilot:
        live = app.query_one("#live", LiveBar)
        live.show(Content(left), Content(right))
        await pilot.pause()

        drawn = live.render_line(0)

        assert drawn.cell_length == cell_len(drawn.text) == live.size.width


async def test_a_live_bar_follows_the_theme() -> None:
    app = Bars()
    async with app.run_test(size=(60, 4)) as pilot:
        live = app.query_one("#live", LiveBar)
        live.show(WORDS[0])
        await pilot.pause()
        dark = cells(live.render_line(0))

        app.theme = "textual-light"
        await pilot.pause()

        assert cells(live.render_line(0)) != dark
