"""Themes with a preview, keys of one's own, help that cannot go stale, and a palette that reaches everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_engine import End, Hold, Say
from textual.pilot import Pilot
from tui_stage import Stage, ready, until

from workbench.core.settings import Settings, UISettings
from workbench.tui.commands import commands
from workbench.tui.screens.help import known_bindings


async def opened(pilot: Pilot[Any], name: str) -> Any:
    await until(pilot, lambda: type(pilot.app.screen).__name__ == name and pilot.app.screen.is_mounted, name)
    return pilot.app.screen


def notices(on: Stage) -> list[str]:
    return [f"{note.title}: {note.message}" for note in on.app._notifications]


async def test_moving_through_themes_previews_them_and_escape_goes_back() -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        assert on.app.theme == "workbench-dark"
        on.app.action_change_theme()
        await opened(pilot, "ThemePicker")

        await pilot.press("down")
        await until(pilot, lambda: on.app.theme == "workbench-light")
        await pilot.press("escape")
        await until(pilot, lambda: on.app.theme == "workbench-dark")
        assert on.app.desk.memory.theme == ""


async def test_a_theme_that_is_kept_is_there_the_next_time() -> None:
    first = Stage(("alpha",))
    async with first.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        first.app.action_change_theme()
        await opened(pilot, "ThemePicker")
        await pilot.press("down", "enter")
        await until(pilot, lambda: first.app.desk.memory.theme == "workbench-light")

    again = Stage(("alpha",))
    async with again.app.run_test(size=(120, 35)):
        assert again.app.theme == "workbench-light"


async def test_a_persons_theme_is_offered_and_a_broken_one_is_named(own_environment: Path) -> None:
    folder = own_environment / "config" / "themes"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('primary = "#ff8800"')
    (folder / "broken.toml").write_text('primary = "nope"')
    on = Stage(("alpha",), theme="mine")
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)

        assert on.app.theme == "mine"
        await until(pilot, lambda: any("broken.toml" in notice and "primary" in notice for notice in notices(on)))


async def test_a_theme_that_does_not_exist_is_said_and_ours_is_used() -> None:
    on = Stage(("alpha",), settings=Settings(ui=UISettings(theme="solarised")))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)

        assert on.app.theme == "workbench-dark"
        await until(pilot, lambda: any("solarised" in notice for notice in notices(on)))


@pytest.mark.parametrize("theme", ["workbench-dark", "workbench-light", "ansi-dark", "ansi-light", "dracula"])
async def test_every_kind_of_theme_draws_a_whole_comparison(theme: str) -> None:
    on = Stage(("alpha", "beta"), theme=theme)
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["done", "done"])

        assert on.app.theme == theme


async def test_a_key_can_be_given_to_an_action_by_its_id() -> None:
    settings = Settings(ui=UISettings(keymap={"compare.run": "f9", "pane.stop": "s"}))
    on = Stage(("alpha",), {"alpha": (Say("So"), Hold(), End())}, settings=settings)
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("f9")
        await until(pilot, lambda: on.states() == ["streaming"])

        await pilot.press("escape", "s")
        assert on.states() == ["stopped"]


async def test_a_keymap_that_names_nothing_is_said_with_what_was_probably_meant() -> None:
    on = Stage(("alpha",), settings=Settings(ui=UISettings(keymap={"compare.rum": "f9"})))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)

        await until(pilot, lambda: any("Did you mean compare.run?" in notice for notice in notices(on)))


async def test_help_is_about_what_has_the_focus() -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await pilot.press("f1")
        screen = await opened(pilot, "HelpScreen")
        assert "$EDITOR" in screen._text
        await pilot.press("escape")

        await until(pilot, lambda: on.app.screen is on.compare)
        await pilot.press("escape", "f1")
        screen = await opened(pilot, "HelpScreen")
        assert "TTFT" in screen._text


async def test_the_cheat_sheet_lists_what_works_here() -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await pilot.press("escape", "question_mark")
        screen = await opened(pilot, "CheatSheet")

        listed = {said: keys for rows in screen._sections.values() for keys, said in rows}
        assert listed["Ask this model again"] == "r"
        assert "^r" in listed["Ask every model"]
        assert "F2" in listed["Choose models and line-ups"]


async def test_a_question_mark_in_the_prompt_is_a_question_mark() -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await pilot.press(*"xyz12?")

        assert on.compare.editor.draft.prompt == "xyz12?"


async def test_every_key_has_an_id_of_its_own_and_the_palette_reaches_every_action() -> None:
    on = Stage(("alpha", "beta"), {"alpha": (Say("So"), Hold(), End())})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["streaming", "done"])

        offered = {command.title.partition(" (")[0] for command in commands(on.app)}
        for action in (
            "Run",
            "Stop",
            "Models",
            "New",
            "Layout",
            "Find",
            "Zoom",
            "Copy",
            "Raw",
            "Theme",
            "Quit",
            "Help",
        ):
            assert action in offered
        assert {"compare.run", "pane.stop", "answer.raw", "models.star", "app.quit"} <= known_bindings()


async def test_an_action_chosen_in_the_palette_happens() -> None:
    on = Stage(("alpha",), {"alpha": (Say("So"), Hold(), End())})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["streaming"])

        await pilot.press("ctrl+p")
        await opened(pilot, "CommandPalette")
        await pilot.press(*"stop (al")
        # Until the search has come to its end, the list has what was offered before the first letter.
        offers: Any = on.app.screen.query_one("CommandList")
        await until(pilot, lambda: [str(offer.prompt).split("\n")[0] for offer in offers.options] == ["Stop (alpha)"])
        await until(pilot, lambda: offers.highlighted == 0)
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["stopped"])


async def test_ascii_only_draws_no_sign_that_is_not_ascii() -> None:
    on = Stage(("alpha", "beta"), settings=Settings(ui=UISettings(ascii=True)))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["done", "done"])
        await pilot.pause()

        assert on.compare.strip.plain.isascii()
        assert str(on.panes[0].border_title).isascii()
        assert on.compare.query_one("KeyBar").plain.isascii()
