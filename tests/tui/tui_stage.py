"""The app on a scripted engine, and waiting for what it shows instead of for time to pass."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from scripted_engine import Script, ScriptedEngine, opener_of
from textual.pilot import Pilot

from workbench.core.clock import ManualClock
from workbench.core.settings import Settings
from workbench.jobs.desk import JobDesk
from workbench.tui.app import WorkbenchApp

PATIENCE_S = 60.0
"""How long to wait for a condition before it counts as never coming; one that holds is seen within a few turns."""


class Stage:
    """An app with the engine and the clock behind it."""

    def __init__(
        self,
        models: Sequence[str] = ("alpha", "beta"),
        scripts: dict[str, Script] | None = None,
        *,
        settings: Settings | None = None,
        jobs: JobDesk | None = None,
        **options: Any,
    ) -> None:
        self.clock = ManualClock(start_s=1000.0)
        self.engine = ScriptedEngine(self.clock, scripts or {})
        settings = settings or Settings()
        self.app = WorkbenchApp(
            settings,
            environ=dict(os.environ),
            models=models,
            opener=opener_of(self.engine, dict(os.environ), settings, jobs),
            clock=self.clock,
            **options,
        )
        self.app.desk.engine.open_alone = lambda settings, environ: nullcontext(self.engine)

    @property
    def compare(self) -> Any:
        return self.app.compare

    @property
    def panes(self) -> Any:
        return self.app.compare.deck.panes

    def states(self) -> list[str]:
        return [str(lane.state) for lane in self.app.desk.comparison.lanes]


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str = "") -> None:
    """Let the app work until `condition` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what or condition}")
        await pilot.pause(0.01)


async def ready(pilot: Pilot[Any]) -> None:
    """The engine is open and the models are known."""
    app = pilot.app
    await until(pilot, lambda: app.desk.engine.directory is not None, "the app is ready")  # type: ignore[attr-defined]  # ours
    await pilot.pause()


async def at_the_monitor(pilot: Pilot[Any], on: Stage) -> Any:
    """The Monitor's screen, once it has been read for the first time."""
    await ready(pilot)
    await pilot.press("ctrl+t", "3")
    await until(pilot, lambda: on.app.area_screen.id == "monitor" and on.app.screen is on.app.area_screen)
    screen: Any = on.app.area_screen
    await until(pilot, lambda: screen.seen is not None and screen.query_one("#lanes-heading").plain)
    return screen
