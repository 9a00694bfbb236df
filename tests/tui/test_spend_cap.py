"""The session's cap on money in the app: it pauses, asks once, and is set from the line that asks or the palette."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_engine import End, Hold, Say
from textual.pilot import Pilot
from textual.widgets import Input
from tui_stage import Stage, ready, until

from workbench.core.settings import LimitSettings, Settings
from workbench.demo import demo_world
from workbench.engine.budget import BudgetStats
from workbench.tui.commands import commands
from workbench.tui.spend_cap import cap_of, proposal

COST_USD = 4e-5
"""Of one scripted answer: four tokens."""

PRICED = ("gpt-5.4", "gpt-5.4-mini")
"""Their prices are known, so that the second does not go while the first is under way."""


def capped(limit_usd: float | None) -> Stage:
    answer = (Say("Hello, world.xyz"), End())
    return Stage(PRICED, dict.fromkeys(PRICED, answer), settings=Settings(limits=LimitSettings(max_cost_usd=limit_usd)))


async def asked(on: Stage, pilot: Pilot[Any]) -> None:
    await ready(pilot)
    on.compare.editor.insert_typed("Go")
    await pilot.press("enter")
    await shown(on, pilot, "SpendBar")


async def shown(on: Stage, pilot: Pilot[Any], screen: str) -> None:
    await until(pilot, lambda: type(on.app.screen).__name__ == screen and on.app.screen.is_mounted, screen)


def bar_of(on: Stage) -> str:
    return str(on.app.screen.query_one("#spend-bar").render())


async def test_at_the_cap_the_rest_is_paused_and_one_line_asks() -> None:
    on = capped(COST_USD)
    async with on.app.run_test(size=(80, 24)) as pilot:
        await asked(on, pilot)

        assert on.states() == ["done", "queued"]
        assert "1 waiting" in bar_of(on)
        assert "keep paused" in bar_of(on)
        assert len(on.engine.requests) == 1
        assert "/ cap <$0.0001" in on.compare.app_bar.plain


async def test_raising_proposes_twice_the_cap_and_lets_the_rest_go() -> None:
    on = capped(COST_USD)
    async with on.app.run_test(size=(80, 24)) as pilot:
        await asked(on, pilot)

        await pilot.press("r")
        await shown(on, pilot, "NameDialog")
        assert on.app.screen.query_one(Input).value == "8e-05"
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["done", "done"])


async def test_another_amount_can_be_typed_and_nonsense_changes_nothing() -> None:
    on = capped(COST_USD)
    async with on.app.run_test(size=(80, 24)) as pilot:
        await asked(on, pilot)
        await pilot.press("r")
        await shown(on, pilot, "NameDialog")
        await pilot.press(*"much", "enter")
        await shown(on, pilot, "SpendBar")
        assert on.states() == ["done", "queued"]

        await pilot.press("r")
        await shown(on, pilot, "NameDialog")
        await pilot.press("2", "enter")
        await until(pilot, lambda: on.states() == ["done", "done"])
        on.compare.refresh_bars()
        assert "/ cap $2.00" in on.compare.app_bar.plain


async def test_kept_paused_it_is_not_asked_again_and_the_palette_raises_it() -> None:
    on = capped(COST_USD)
    async with on.app.run_test(size=(80, 24)) as pilot:
        await asked(on, pilot)
        await pilot.press("escape")
        await shown(on, pilot, "CompareScreen")
        on.compare.refresh_bars()
        assert on.app.screen.id == "compare"
        assert on.states() == ["done", "queued"]

        next(command for command in commands(on.app) if command.title == "Spend cap").callback()
        await shown(on, pilot, "NameDialog")
        await pilot.press(*"none", "enter")
        await until(pilot, lambda: on.states() == ["done", "done"])
        assert "cap" not in on.compare.app_bar.plain


async def test_a_cap_of_nothing_asks_before_the_first_request() -> None:
    on = capped(0.0)
    async with on.app.run_test(size=(80, 24)) as pilot:
        await asked(on, pilot)

        assert on.states() == ["queued", "queued"]
        assert on.engine.requests == []
        assert bar_of(on).startswith("$0 of $0 spent, 2 waiting.")


async def test_stop_all_stops_what_waits() -> None:
    on = capped(COST_USD)
    async with on.app.run_test(size=(80, 24)) as pilot:
        await asked(on, pilot)

        await pilot.press("x")
        await until(pilot, lambda: on.states() == ["done", "stopped"])
        await shown(on, pilot, "CompareScreen")
        assert len(on.engine.requests) == 1


async def test_nobody_is_asked_in_the_middle_of_a_sentence() -> None:
    on = capped(COST_USD)
    on.engine.scripts = {PRICED[0]: (Say("Hello, "), Hold(), Say("world."), End())}
    async with on.app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["streaming", "queued"])
        await pilot.press("r")
        on.engine.release()
        await until(pilot, lambda: on.states() == ["done", "queued"])
        on.compare.refresh_bars()
        assert on.app.screen.id == "compare"
        assert on.compare.editor.draft.prompt == "r"

        on.compare.editor.clear_prompt()
        await shown(on, pilot, "SpendBar")


async def test_simulated_money_is_not_counted_against_the_real_cap() -> None:
    on = capped(COST_USD)
    async with on.app.run_test(size=(80, 24)) as pilot:
        await asked(on, pilot)
        await pilot.press("x")
        await shown(on, pilot, "CompareScreen")

        on.app.choices.start_demo()
        in_demo = on.app.spend_cap.spending.statistics()
        on.app.choices.leave_demo()

        assert (in_demo.spent_usd, in_demo.limit_usd) == (0.0, COST_USD)
        assert on.app.spend_cap.spending.statistics().spent_usd == pytest.approx(COST_USD)


def test_a_demo_keeps_the_cap_and_no_other_limit(tmp_path: Path) -> None:
    simulator = SimpleNamespace(base_urls={}, api_key="simulated", ca_file=None)
    settings = Settings(limits=LimitSettings(max_cost_usd=0.002, max_concurrent=1))

    assert demo_world(simulator, settings, tmp_path).settings.limits == LimitSettings(max_cost_usd=0.002)


@pytest.mark.parametrize(("text", "usd"), [("5", 5.0), (" $0.25 ", 0.25), ("none", None), ("0", 0.0)])
def test_an_amount_is_read_as_people_write_it(text: str, usd: float | None) -> None:
    assert cap_of(text) == usd


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf", "$"])
def test_what_is_no_amount_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is no amount"):
        cap_of(text)


@pytest.mark.parametrize(
    ("limit_usd", "spent_usd", "proposed"),
    [(1.0, 1.1, 2.0), (1.0, 5.0, 8.0), (0.0, 0.0, 1.0), (0.5, 0.1, 0.5), (None, 3.0, 1.0)],
)
def test_the_proposal_leaves_room(limit_usd: float | None, spent_usd: float, proposed: float) -> None:
    assert proposal(BudgetStats(limit_usd, spent_usd, 0.0, 0, 0)) == proposed
