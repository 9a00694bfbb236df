"""A terminal with ASCII alone: everything that the app draws is ASCII, everything that was written stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from scripted_engine import End, Say
from textual.pilot import Pilot
from tui_stage import Stage, ready, until

from workbench.core.settings import Settings, UISettings
from workbench.tui.ascii_signs import in_ascii

WORDS = "naïve — “words” · 漢字…"


def stage(models: tuple[str, ...] = ("alpha", "beta", "gamma")) -> Stage:
    return Stage(models, {"alpha": (Say(WORDS), End())}, settings=Settings(ui=UISettings(ascii=True)))


def rows(pilot: Pilot[Any]) -> list[str]:
    return [strip.text for strip in pilot.app.screen._compositor.render_strips()]


def signs(pilot: Pilot[Any]) -> set[str]:
    return {sign for row in rows(pilot) for sign in row if not sign.isascii()}


@pytest.mark.parametrize("size", [(200, 50), (120, 35), (80, 24)])
async def test_no_screen_is_drawn_with_other_signs(size: tuple[int, int]) -> None:
    on = stage()
    async with on.app.run_test(size=size) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await until(pilot, lambda: "for 3 models" in str(on.compare.editor.border_subtitle))
        assert signs(pilot) == set()

        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["done"] * 3)
        for key, part in (("f2", "#models"), ("f1", "MarkdownBlock"), ("ctrl+p", "CommandList")):
            await pilot.press(key)
            await until(pilot, lambda part=part: on.app.screen.query(part))
            await pilot.pause()
            assert signs(pilot) <= set(WORDS)
            await pilot.press("escape")
            await until(pilot, lambda: on.app.screen is on.compare)


async def test_the_first_run_is_drawn_with_ascii() -> None:
    on = stage(models=())
    async with on.app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "no key in the environment" in on.compare.start_panel.plain)
        await pilot.pause()

        assert signs(pilot) == set()


async def test_what_people_and_models_write_is_shown_as_they_wrote_it() -> None:
    on = stage()
    async with on.app.run_test(size=(200, 50)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed(WORDS)
        await until(pilot, lambda: any(WORDS in row for row in rows(pilot)))

        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["done"] * 3)
        await until(pilot, lambda: not on.compare.editor.prompt_area.text)
        await until(pilot, lambda: any(WORDS in row for row in rows(pilot)))


@given(st.text(st.characters(categories=["P", "S", "L", "N"])))
def test_nothing_moves_and_no_word_is_lost(text: str) -> None:
    plain = in_ascii(text)

    assert cell_len(plain) == cell_len(text)
    assert [sign for sign in plain if sign.isalnum() and not sign.isascii()] == [
        sign for sign in text if sign.isalnum() and not sign.isascii()
    ]
