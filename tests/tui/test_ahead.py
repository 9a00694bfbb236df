"""What the app does beforehand, so that opening a screen for the first time does not hold up what streams."""

from __future__ import annotations

from typing import Any

import pytest
from monitor_world import busy
from scripted_engine import ScriptedLanes
from textual.css import stylesheet
from tui_stage import Stage, at_the_monitor, ready, until

from workbench.tui.areas import COMPARE, MONITOR


def stage() -> Stage:
    on = Stage(("alpha",), areas=(COMPARE, MONITOR))
    on.engine.seen = busy()
    on.engine.limiter = ScriptedLanes()
    return on


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that are parsed from now on: where they are from, and their rank among the same widget's."""
    seen: list[str] = []
    parse = stylesheet.parse  # type: ignore[attr-defined]  # imported there, and called under this name

    def watched(scope: str, css: str, read_from: tuple[str, str], **options: Any) -> Any:
        seen.append(f"{':'.join(read_from)} {options['tie_breaker']}")
        return parse(scope, css, read_from, **options)

    monkeypatch.setattr(stylesheet, "parse", watched)
    return seen


async def test_no_style_is_parsed_twice_for_the_same_colours(parsed: list[str]) -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        await at_the_monitor(pilot, on)
        await pilot.press("f1")
        await until(pilot, lambda: on.app.screen is not on.app.area_screen)

        assert len(parsed) == len(set(parsed))


async def test_no_style_sheet_is_left_to_be_read_when_a_screen_comes_on(parsed: list[str]) -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        assert any("monitor.tcss" in source for source in parsed)
        before = on.app._css_update_count, len(on.app.stylesheet.source)
        parsed.clear()

        screen = await at_the_monitor(pilot, on)

        assert not [source for source in parsed if ".tcss" in source]
        assert screen._css_update_count == before[0]


async def test_a_screen_that_was_away_when_the_theme_changed_has_the_new_colours() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        screen = await at_the_monitor(pilot, on)
        assert screen.run_bar.visual_style.background.brightness < 0.2
        await pilot.press("ctrl+t", "1")
        await until(pilot, lambda: on.app.area_screen.id == "compare")

        on.app.theme = "workbench-light"
        await pilot.press("ctrl+t", "3")
        await until(pilot, lambda: on.app.area_screen is screen)
        await pilot.pause()

        assert all(widget.visual_style.background.brightness > 0.8 for widget in (screen, screen.run_bar, screen.table))


async def test_a_screen_that_first_comes_on_after_the_theme_changed_has_the_new_colours() -> None:
    looks = []
    for theme_first in (True, False):
        on = stage()
        async with on.app.run_test(size=(120, 35)) as pilot:
            await ready(pilot)
            if theme_first:
                on.app.theme = "workbench-light"
                await pilot.pause()
            screen = await at_the_monitor(pilot, on)
            if not theme_first:
                on.app.theme = "workbench-light"
                await pilot.pause()
            looks.append([widget.visual_style for widget in screen.walk_children() if widget.display])

    assert looks[0] == looks[1]
