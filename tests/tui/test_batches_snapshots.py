"""What the Batches screens look like, sign by sign, in three sizes.

`pytest --snapshot-update tests/tui/test_batches_snapshots.py` takes new pictures; look at them before they are
committed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from scripted_desk import START_S, ScriptedDesk, a_job, ended
from textual.pilot import Pilot
from textual.widgets import Input
from tui_stage import Stage, ready, until

from workbench.jobs.job import JobCounts, JobState
from workbench.tui.areas import BATCHES, COMPARE
from workbench.tui.screens.batch_row import BatchRowScreen
from workbench.tui.screens.batch_rows import BatchRowsScreen
from workbench.tui.screens.batch_submit import BatchSubmit

SIZES = [(200, 50), (120, 35), (80, 24)]

CLAUDE = "anthropic/claude-haiku-4-5"

Scene = Callable[[Pilot[Any], Stage], Awaitable[None]]


@pytest.fixture(autouse=True)
def _in_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day are shown as the person's own."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def busy_desk() -> ScriptedDesk:
    """A job in every kind of state that a person comes to see."""
    now_s = START_S
    running = a_job("run-1", group="g", created_s=now_s - 55)
    silent = a_job("run-2", model=CLAUDE, provider="anthropic", group="g", counts=JobCounts(400), created_s=now_s - 54)
    evening = ended(a_job("eve-1", name="nightly eval", created_s=now_s - 40_000, group="h"), failed=12)
    other = ended(a_job("eve-2", name="nightly eval", model=CLAUDE, created_s=now_s - 39_999, group="h"))
    expired = replace(
        ended(a_job("old-1", name="summaries of every issue", model="gemini/gemini-2.5-flash-lite"), failed=250),
        state=JobState.EXPIRED,
        created_s=now_s - 300_000,
    )
    desk = ScriptedDesk()
    desk.put(running, silent, evening, other, expired)
    return desk


async def at_rest(pilot: Pilot[Any]) -> None:
    """Until there is nothing left to draw; what the app would do in its own time is done now."""
    before, same = "", 0
    async with asyncio.timeout(120):
        while same < 4:
            screen = pilot.app.screen
            panes = screen.deck.panes if isinstance(screen, BatchRowScreen) else []
            for pane in panes:
                pane.flush(1e9)
            busy = any(pane.view.flush(1e9) for pane in panes)
            if not isinstance(screen, BatchSubmit):
                screen._refresh()  # type: ignore[attr-defined]  # ours
            await pilot.pause(0.05)
            now = pilot.app.export_screenshot(simplify=True)
            before, same = now, same + 1 if now == before and not busy else 0


def shown(scene: Scene, on: Stage) -> Callable[[Pilot[Any]], Awaitable[None]]:
    async def run(pilot: Pilot[Any]) -> None:
        await ready(pilot)
        await until(pilot, lambda: on.app.batches.desk is not None)
        on.compare.editor.prompt_area.cursor_blink = False
        await scene(pilot, on)
        await at_rest(pilot)

    return run


async def jobs(pilot: Pilot[Any], on: Stage) -> None:
    await pilot.press("ctrl+t", "2")
    await until(pilot, lambda: on.app.screen.id == "batches")


async def ended_job(pilot: Pilot[Any], on: Stage) -> None:
    await jobs(pilot, on)
    await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours
    await pilot.press("down", "down", "down")
    await until(pilot, lambda: "blocked" in str(on.app.screen.query_one("#job-facts").content))  # type: ignore[attr-defined]  # a Static


async def nothing(pilot: Pilot[Any], on: Stage) -> None:
    await jobs(pilot, on)
    await until(pilot, lambda: "OpenAI: 50,000" in str(on.app.screen.query_one("#jobs-empty").content))  # type: ignore[attr-defined]  # a Static


async def rows(pilot: Pilot[Any], on: Stage) -> None:
    await ended_job(pilot, on)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(on.app.screen, BatchRowsScreen) and on.app.screen.table.row is not None)


async def failed_rows(pilot: Pilot[Any], on: Stage) -> None:
    await rows(pilot, on)
    await pilot.press("f")
    await until(pilot, lambda: on.app.screen.table.count == 12 and on.app.screen.table.row is not None)  # type: ignore[attr-defined]  # ours


async def one_row(pilot: Pilot[Any], on: Stage) -> None:
    await rows(pilot, on)
    await pilot.press("end")
    await until(pilot, lambda: on.app.screen.table.row is not None)  # type: ignore[attr-defined]  # ours
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(on.app.screen, BatchRowScreen) and len(on.app.screen.deck.panes) == 2)


async def proposed(pilot: Pilot[Any], on: Stage) -> None:
    on.compare.editor.insert_typed("Name the river.")
    await pilot.press("ctrl+b")
    await until(pilot, lambda: isinstance(on.app.screen, BatchSubmit) and on.app.screen.quotes)
    for box in on.app.screen.query(Input):
        box.cursor_blink = False


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", [jobs, ended_job, rows, one_row])
def test_batch_jobs(snap_compare: Any, scene: Scene, size: tuple[int, int]) -> None:
    on = Stage(("gpt-5.4-mini", CLAUDE), jobs=busy_desk(), areas=(COMPARE, BATCHES))

    assert snap_compare(on.app, terminal_size=size, run_before=shown(scene, on))


@pytest.mark.parametrize("scene", [failed_rows, proposed])
def test_around_batch_jobs(snap_compare: Any, scene: Scene) -> None:
    desk = busy_desk()
    desk.without_batches = frozenset({"local/qwen3-8b"})
    on = Stage(("gpt-5.4-mini", CLAUDE, "local/qwen3-8b"), jobs=desk, areas=(COMPARE, BATCHES))

    assert snap_compare(on.app, terminal_size=(120, 35), run_before=shown(scene, on))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_before_the_first_job(snap_compare: Any, size: tuple[int, int]) -> None:
    on = Stage(("gpt-5.4-mini",), jobs=ScriptedDesk(), areas=(COMPARE, BATCHES))

    assert snap_compare(on.app, terminal_size=size, run_before=shown(nothing, on))


@pytest.mark.parametrize("theme", ["workbench-light", "ansi-dark"])
def test_in_other_themes(snap_compare: Any, theme: str) -> None:
    on = Stage(("gpt-5.4-mini",), jobs=busy_desk(), areas=(COMPARE, BATCHES), theme=theme)

    assert snap_compare(on.app, terminal_size=(120, 35), run_before=shown(ended_job, on))


def test_without_colour(snap_compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    on = Stage(("gpt-5.4-mini",), jobs=busy_desk(), areas=(COMPARE, BATCHES))

    assert snap_compare(on.app, terminal_size=(120, 35), run_before=shown(jobs, on))
