"""The whole story: jobs submitted from the app, which is closed and started again while they run at the providers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_stage import until

from workbench.core.paths import (
    CACHE_DIR_VARIABLE,
    CONFIG_DIR_VARIABLE,
    DATA_DIR_VARIABLE,
    STATE_DIR_VARIABLE,
    Paths,
)
from workbench.core.settings import Settings
from workbench.demo import World, demo_world
from workbench.engine.engine import Engine
from workbench.jobs.desk import JobDesk
from workbench.jobs.job import JobState
from workbench.jobs.pace import Pace
from workbench.simulator.batch_book import BatchPace
from workbench.simulator.server import SimulatorThread
from workbench.tui.app import WorkbenchApp
from workbench.tui.areas import BATCHES, COMPARE
from workbench.tui.host import OpenEngine, Opener
from workbench.tui.screens.batch_row import BatchRowScreen
from workbench.tui.screens.batch_rows import BatchRowsScreen
from workbench.tui.screens.batch_submit import BatchSubmit

MODELS = ("gpt-5.4-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash-lite")

AN_HOUR = BatchPace(validate_s=1_200.0, rows_per_s=1.0, finalize_s=1_200.0, brief=True)
"""Long enough for a person to go away; the simulator is told when it is over."""

OFTEN = Pace(first_s=0.05, slow_s=0.2, slowest_s=0.2, sweep_s=0.05)


@pytest.fixture
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread(profile="fast") as running:
        running.set_batch_pace(AN_HOUR)
        yield running


def opener(world: World) -> Opener:
    @asynccontextmanager
    async def open_engine(demo: bool) -> AsyncIterator[OpenEngine]:
        database = Paths.from_environment(world.environ).database
        engine = Engine(world.settings, environ=world.environ)
        async with engine, JobDesk(engine, database, pace=OFTEN) as jobs:
            yield OpenEngine(engine, world.settings, world.environ, demo, jobs)

    return open_engine


@asynccontextmanager
async def workbench(world: World) -> AsyncIterator[tuple[WorkbenchApp, Pilot[Any]]]:
    """A person's app, not the demo: what it knows outlives it."""
    app = WorkbenchApp(Settings(), environ=world.environ, models=MODELS, opener=opener(world), areas=(COMPARE, BATCHES))
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: app.batches.desk is not None and app.desk.engine.directory is not None)
        yield app, pilot


def states(app: WorkbenchApp) -> list[JobState]:
    return [job.state for job in app.batches.board.jobs]


async def test_three_jobs_outlive_the_app_and_are_found_finished_by_the_next_one(
    simulator: SimulatorThread, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = demo_world(simulator, Settings(), tmp_path)
    monkeypatch.chdir(tmp_path)
    rows = tmp_path / "rivers.csv"
    rows.write_text("id,river\na,Rhine\nb,Elbe\nc,Oder\n")

    async with workbench(world) as (app, pilot):
        app.compare.editor.insert_typed("How long is the {{river}}?")
        await pilot.press("ctrl+b")
        await until(pilot, lambda: isinstance(app.screen, BatchSubmit))
        dialog = app.screen
        assert isinstance(dialog, BatchSubmit)
        await pilot.press(*rows.name)
        await until(pilot, lambda: dialog.said == "3 rows each to 3 models.", "priced")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.id == "batches" and len(states(app)) == 3, "three jobs")
        await until(pilot, lambda: all(job.batch_ids for job in app.batches.board.jobs), "all were taken")
        assert not any(state.is_ended for state in states(app))
        await pilot.press("ctrl+q")
    assert "3 batch jobs go on at the provider" in capsys.readouterr().err

    simulator.skip_batch_time(7_200.0)

    async with workbench(world) as (app, pilot):
        await until(pilot, lambda: states(app) == [JobState.COMPLETED] * 3, "all three are collected")
        await pilot.press("ctrl+t", "2")
        await until(pilot, lambda: app.screen.id == "batches" and app.screen.table.count == 3)  # type: ignore[attr-defined]  # ours
        assert "3 of 3" in " ".join(f"{job.counts.succeeded} of {job.counts.total}" for job in app.batches.board.jobs)

        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, BatchRowsScreen) and app.screen.table.row is not None)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, BatchRowScreen) and len(app.screen.deck.panes) == 3)

        lanes = app.screen.comparison.lanes  # type: ignore[attr-defined]  # ours
        assert [lane.target.model for lane in lanes] == list(MODELS)
        assert {lane.turns[0].prompt for lane in lanes} == {"How long is the Rhine?"}
        assert all(lane.turns[0].text() for lane in lanes)
        assert all(job.cost_usd is not None and job.saved_usd for job in app.batches.board.jobs)


async def test_a_job_is_cancelled_at_its_provider(simulator: SimulatorThread, tmp_path: Path) -> None:
    simulator.set_batch_pace(replace(AN_HOUR, cancel_s=0.0))
    async with workbench(demo_world(simulator, Settings(), tmp_path)) as (app, pilot):
        app.compare.editor.insert_typed("Name a river.")
        await pilot.press("ctrl+b")
        await until(pilot, lambda: isinstance(app.screen, BatchSubmit) and app.screen.quotes)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.id == "batches" and len(states(app)) == 3, "three jobs")
        await until(pilot, lambda: app.screen.job is not None and app.screen.job.batch_ids)  # type: ignore[attr-defined]  # ours

        chosen = app.screen.job.id  # type: ignore[attr-defined]  # ours
        await pilot.press("x")
        await until(pilot, lambda: app.screen.id != "batches", "the question")
        await pilot.press("enter")
        await until(pilot, lambda: app.batches.board.find(chosen).state is JobState.CANCELLED)  # type: ignore[union-attr]  # it is there

        assert sum(state.is_ended for state in states(app)) == 1


async def test_without_a_place_for_jobs_models_can_be_asked_and_the_screen_says_why(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    environ = {
        CONFIG_DIR_VARIABLE: str(tmp_path / "config"),
        CACHE_DIR_VARIABLE: str(tmp_path / "cache"),
        STATE_DIR_VARIABLE: str(tmp_path / "state"),
        DATA_DIR_VARIABLE: str(taken),
    }
    app = WorkbenchApp(Settings(), environ=environ, models=MODELS)
    async with app.run_test(size=(120, 35)) as pilot:
        await until(pilot, lambda: app.desk.engine.directory is not None, "the engine is open all the same")
        await until(pilot, lambda: app.batches.trouble)
        await pilot.press("ctrl+t", "2")
        await until(pilot, lambda: app.screen.id == "batches")

        said = app.screen.query_one("#jobs-empty").content  # type: ignore[attr-defined]  # a Static
        assert "Batch jobs cannot be kept here: Cannot create the directory" in str(said)
