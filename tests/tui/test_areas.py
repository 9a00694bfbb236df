"""Going from one area to another: by key, by click and from the palette; work and focus stay where they were."""

from __future__ import annotations

from typing import Any

from scripted_engine import End, Hold, Say
from textual import events
from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input
from tui_stage import Stage, ready, until

from workbench.tui.app import WorkbenchApp
from workbench.tui.areas import COMPARE, Area
from workbench.tui.commands import commands
from workbench.tui.screens.area import AreaScreen


class Elsewhere(AreaScreen):
    def compose(self) -> ComposeResult:
        yield self.app_bar
        yield Input(id="here")
        yield self.status

    def on_mount(self) -> None:
        self.refresh_chrome()


def _elsewhere(app: WorkbenchApp) -> AreaScreen:
    return Elsewhere(app.desk, id="elsewhere")


TWO = (COMPARE, Area("2", "Elsewhere", "Nothing in particular", _elsewhere))
HELD = (Say("Once "), Hold(), Say("upon a time."), End())


def stage(**options: Any) -> Stage:
    return Stage(("alpha", "beta"), {"alpha": HELD}, areas=TWO, **options)


async def gone_to(pilot: Pilot[Any], on: Stage, name: str) -> None:
    await until(pilot, lambda: on.app.area_screen.id == name and on.app.screen is on.app.area_screen, name)


async def test_ctrl_t_and_a_digit_go_to_an_area_and_back() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)

        await pilot.press("ctrl+t", "2")
        await gone_to(pilot, on, "elsewhere")
        await pilot.press("ctrl+t", "1")
        await gone_to(pilot, on, "compare")


async def test_a_digit_typed_at_once_after_ctrl_t_is_not_put_into_the_prompt() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)

        on.app.post_message(events.Key("ctrl+t", None))
        on.app.post_message(events.Key("2", "2"))
        await gone_to(pilot, on, "elsewhere")

        assert on.app.compare.editor.prompt_area.text == ""


async def test_ctrl_t_twice_is_the_next_area_and_escape_stays() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)

        await pilot.press("ctrl+t", "ctrl+t")
        await gone_to(pilot, on, "elsewhere")
        await pilot.press("ctrl+t", "escape")
        await gone_to(pilot, on, "elsewhere")


async def test_draft_focus_and_streams_are_as_they_were_after_coming_back() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["streaming", "done"])
        on.compare.editor.insert_typed("Half a sentence")
        await until(pilot, lambda: on.compare.editor.has_focus_within)
        await pilot.press("escape", "2")
        focused = on.panes[1].view
        await until(pilot, lambda: on.compare.focused is focused)

        await pilot.press("ctrl+t", "2")
        await gone_to(pilot, on, "elsewhere")
        on.engine.release()
        await until(pilot, lambda: on.states() == ["done", "done"])
        await pilot.press("ctrl+t", "1")
        await gone_to(pilot, on, "compare")

        assert on.compare.focused is focused
        assert on.compare.editor.draft.prompt == "Half a sentence"
        await until(pilot, lambda: "Once upon a time." in on.panes[0].view.text)


async def test_nothing_of_an_area_out_of_sight_is_drawn() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["streaming", "done"])
        await until(pilot, lambda: on.panes[0].view.text)

        await pilot.press("ctrl+t", "2")
        await gone_to(pilot, on, "elsewhere")
        await until(pilot, lambda: not on.app.desk.frames.statistics().hz)
        before = on.app.desk.frames.statistics().frames
        on.engine.release()
        await until(pilot, lambda: on.states() == ["done", "done"])
        await pilot.pause()

        assert on.app.desk.frames.statistics().frames == before
        assert on.panes[0].view.text == "Once "


async def test_the_app_bar_names_the_areas_and_a_click_goes_there() -> None:
    on = stage()
    async with on.app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "Compare  Elsewhere" in on.compare.app_bar.plain)

        await pilot.click(on.compare.app_bar, offset=(on.compare.app_bar.plain.index("Elsewhere") + 1, 0))
        await gone_to(pilot, on, "elsewhere")


async def test_the_palette_goes_to_other_areas_and_offers_only_what_makes_sense_there() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        here = {command.title: command for command in commands(on.app)}
        assert "Go to Compare" not in here

        here["Go to Elsewhere"].callback()
        await gone_to(pilot, on, "elsewhere")

        there = {command.title for command in commands(on.app)}
        assert {"Go to Compare", "Theme"} <= there
        assert not {"Run", "System prompt", "Open file"} & there


async def test_with_one_area_there_is_nothing_to_choose() -> None:
    on = Stage(areas=(COMPARE,))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)

        await pilot.press("ctrl+t")
        await pilot.pause()

        assert len(on.app.screen_stack) == 1
        assert not any("Go to" in command.title for command in commands(on.app))
        assert on.compare.app_bar.plain.startswith("llm-workbench")
