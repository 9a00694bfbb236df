"""Days on which answers are slow, each for one reason: the screen names it, over the real engine and real sockets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from workbench.cli.simulate import PROFILES, SLOW_DAYS
from workbench.core.settings import Settings
from workbench.demo import SLOW_DAYS as LINE_UPS
from workbench.session.diagnosis import Cause
from workbench.session.draft import Draft
from workbench.simulator.profiles import PROFILES as SERVER_PROFILES
from workbench.tui.app import WorkbenchApp
from workbench.tui.areas import COMPARE, MONITOR

PATIENCE_S = 90.0

DAYS = {
    "rate-limit": (Cause.RATE_LIMIT, "openai#1 · gpt-4.1-mini:"),
    "in-flight-cap": (Cause.IN_FLIGHT_CAP, "1 of 1 in flight, and the provider refuses more"),
    "slow-model": (Cause.SLOW_MODEL, "its first token takes"),
    "slow-connection": (Cause.SLOW_CONNECTION, "opening a connection takes"),
    "stalled-stream": (Cause.STALL, "silent in mid-sentence for"),
    "cold-start": (Cause.COLD_START, "a model that must be loaded takes so long"),
    "retries": (Cause.RETRIES, "attempts in the last minute failed and were repeated (server error, 500)"),
    "busy-screen": (Cause.OWN_SCREEN, "this program was busy for"),
}


async def eventually(pilot: Pilot[Any], condition: Callable[[], object], screen: Any = None) -> None:
    """Let the app work until `condition` holds; says what stood on the screen instead."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await pilot.pause(0.05)
    except TimeoutError:
        said = screen.why.plain if screen is not None else "nothing"
        raise AssertionError(f"never happened; the screen said: {said}") from None


def says(screen: Any, cause: Cause, sentence: str) -> bool:
    """Whether the cause and its sentence stand on the screen: in the second line, or in the row of a lane."""
    rows = [screen.table.render_line(index).text for index in range(len(screen.table.rows))]
    drawn = [screen.why.plain, *(f"{row.name}: {row.diagnosis.sentence}" for row in screen.table.rows)]
    return any(cause.value in line for line in [screen.why.plain, *rows]) and any(sentence in line for line in drawn)


@pytest.mark.parametrize("day", DAYS)
async def test_the_screen_says_why_a_slow_day_is_slow(day: str) -> None:
    cause, sentence = DAYS[day]
    app = WorkbenchApp(Settings(), environ=dict(os.environ), demo=True, day=day, areas=(COMPARE, MONITOR))
    # A fast machine has to be kept busy as well.
    async with app.run_test(size=(320, 100) if day == "busy-screen" else (200, 50)) as pilot:
        await eventually(pilot, lambda: app.desk.engine.directory is not None)
        await pilot.press("ctrl+t", "3")
        await eventually(pilot, lambda: app.screen.id == "monitor")
        screen: Any = app.area_screen

        app.desk.comparison.send(Draft("Explain how a B-tree works, with an example in Python."))
        await eventually(pilot, lambda: says(screen, cause, sentence), screen)

        app.desk.comparison.stop_all()


def test_every_slow_day_has_a_profile_models_to_ask_and_a_name_on_the_command_line() -> None:
    assert set(DAYS) == set(SLOW_DAYS) == set(LINE_UPS)
    assert set(PROFILES) == set(SERVER_PROFILES)
