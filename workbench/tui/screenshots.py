"""`python -m workbench.tui.screenshots [DIRECTORY [NAME …]]`: the README's pictures, made by driving the real app.

The app runs in demo mode: a seeded simulator in a process of its own, real SDKs, real sockets. Nothing is staged but
the keys that are pressed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from textual.pilot import Pilot
from textual.widgets import Input

from workbench.core.paths import CACHE_DIR_VARIABLE, CONFIG_DIR_VARIABLE, DATA_DIR_VARIABLE, STATE_DIR_VARIABLE
from workbench.core.settings import Settings
from workbench.session.diagnosis import Cause
from workbench.session.draft import Draft
from workbench.tui.app import WorkbenchApp
from workbench.tui.screens.batch_row import BatchRowScreen
from workbench.tui.screens.batch_rows import BatchRowsScreen
from workbench.tui.screens.batch_submit import BatchSubmit
from workbench.tui.screens.monitor import MonitorScreen

PATIENCE_S = 60.0
PROMPT = "Write a Python function that merges overlapping intervals."


async def _until(pilot: Pilot[object], condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await pilot.pause(0.05)


def _app(pilot: Pilot[object]) -> WorkbenchApp:
    app = pilot.app
    assert isinstance(app, WorkbenchApp)
    return app


async def _ready(pilot: Pilot[object]) -> None:
    app = _app(pilot)
    await _until(pilot, lambda: app.desk.engine.directory is not None)
    # The cursor would be in one picture and not in the next.
    app.compare.editor.prompt_area.cursor_blink = False


async def _streaming(pilot: Pilot[object]) -> None:
    """Everybody answers, the quickest has written a good deal, nobody has finished."""
    await _ready(pilot)
    app = _app(pilot)
    app.compare.editor.insert_typed(PROMPT)
    await pilot.press("enter")
    lanes = app.desk.comparison.lanes
    await _until(pilot, lambda: all(lane.turns and lane.turns[-1].has_text for lane in lanes))
    await _until(pilot, lambda: any(len(lane.turns[-1].text()) > 420 or lane.state.is_final for lane in lanes))


async def _answered(pilot: Pilot[object]) -> None:
    await _streaming(pilot)
    comparison = _app(pilot).desk.comparison
    await _until(pilot, lambda: not comparison.is_running)
    await pilot.press("escape")
    await pilot.pause(0.5)


async def _choosing(pilot: Pilot[object]) -> None:
    await _ready(pilot)
    app = _app(pilot)
    await pilot.press("f2")
    await _until(pilot, lambda: len(app.screen_stack) > 1 and app.screen.query("#models"))
    app.screen.query_one("#search", Input).cursor_blink = False
    await pilot.press(*"sonnet")
    await pilot.pause(0.5)


async def _starting(pilot: Pilot[object]) -> None:
    await _ready(pilot)
    await pilot.pause(0.5)


_BRIEF = (Cause.SLOW_CONNECTION, Cause.OWN_SCREEN)
"""Over within seconds: the picture is taken as soon as they are on the screen."""


def _explaining(cause: Cause) -> Callable[[Pilot[object]], Awaitable[None]]:
    """The monitor, some seconds into a slow day, saying why."""

    async def scene(pilot: Pilot[object]) -> None:
        await _ready(pilot)
        app = _app(pilot)
        await pilot.press("ctrl+t", "3")
        await _until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        monitor = app.screen
        assert isinstance(monitor, MonitorScreen)
        app.desk.comparison.send(Draft(PROMPT))
        await _until(pilot, lambda: monitor.seen is not None and monitor.seen.diagnosis.cause is cause)
        if cause in _BRIEF:
            return
        # Long enough for the charts to have something to show.
        await pilot.pause(3.0)
        await _until(pilot, lambda: monitor.seen is not None and monitor.seen.diagnosis.cause is cause)

    return scene


async def _submitted(pilot: Pilot[object], name: str, rows: int) -> None:
    """Jobs of these many rows at every provider of the line-up that has batches."""
    app = _app(pilot)
    before = len(app.batches.board.jobs)
    with TemporaryDirectory(prefix="llm-workbench-rows-") as root:
        source = Path(root) / f"{name}.csv"
        source.write_text("\n".join(["place", *(f"place number {number}" for number in range(1, rows + 1))]))
        app.compare.editor.insert_typed("What is {{place}} known for?")
        await pilot.press("ctrl+b")
        await _until(pilot, lambda: isinstance(app.screen, BatchSubmit))
        dialog = app.screen
        assert isinstance(dialog, BatchSubmit)
        dialog.query_one("#submit-rows", Input).value = str(source)
        await _until(pilot, lambda: dialog.said.startswith(f"{rows} rows"))
        await pilot.press("enter")
        await _until(pilot, lambda: len(app.batches.board.jobs) == before + 3 and not app.batches.is_submitting)
    app.compare.editor.clear_prompt()


async def _batching(pilot: Pilot[object]) -> None:
    """Jobs that have ended, and others that are half way."""
    await _ready(pilot)
    app = _app(pilot)
    await _until(pilot, lambda: app.batches.desk is not None)
    await _submitted(pilot, "a few places", 6)
    await _until(pilot, lambda: app.batches.board.open_count == 0)
    await pilot.press("ctrl+t", "1")
    await _until(pilot, lambda: app.screen is app.compare)
    await _submitted(pilot, "places of the world", 60)
    await _until(pilot, lambda: sum(job.counts.finished > 0 for job in app.batches.board.jobs) >= 5)
    app.clear_notifications()
    await pilot.press("down")
    await pilot.pause(1.2)


async def _reading_a_row(pilot: Pilot[object]) -> None:
    """What three models made of one row."""
    await _ready(pilot)
    app = _app(pilot)
    await _until(pilot, lambda: app.batches.desk is not None)
    await _submitted(pilot, "a few places", 6)
    await _until(pilot, lambda: app.batches.board.open_count == 0)
    app.clear_notifications()
    await pilot.press("enter")
    await _until(pilot, lambda: isinstance(app.screen, BatchRowsScreen) and app.screen.table.row is not None)
    await pilot.press("enter")
    await _until(pilot, lambda: isinstance(app.screen, BatchRowScreen) and len(app.screen.deck.panes) == 3)
    await pilot.pause(1.0)


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    size: tuple[int, int]
    scene: Callable[[Pilot[object]], Awaitable[None]]
    theme: str = "workbench-dark"
    demo: bool = True
    day: str | None = None
    """What the demo's providers are having."""


CAUSES = {
    "rate-limit": Cause.RATE_LIMIT,
    "in-flight-cap": Cause.IN_FLIGHT_CAP,
    "slow-model": Cause.SLOW_MODEL,
    "slow-connection": Cause.SLOW_CONNECTION,
    "stalled-stream": Cause.STALL,
    "cold-start": Cause.COLD_START,
    "retries": Cause.RETRIES,
    "busy-screen": Cause.OWN_SCREEN,
}

PICTURES = (
    Picture("compare", (200, 50), _streaming),
    Picture("compare-120x35", (120, 35), _answered),
    Picture("compare-80x24", (80, 24), _answered),
    Picture("compare-light", (160, 45), _answered, theme="workbench-light"),
    Picture("models", (120, 35), _choosing),
    Picture("first-run", (100, 30), _starting, demo=False),
    Picture("batches", (200, 50), _batching),
    Picture("batches-80x24", (80, 24), _batching),
    Picture("batch-row", (160, 40), _reading_a_row),
    Picture("monitor", (200, 50), _explaining(Cause.STALL), day="stalled-stream"),
    Picture("monitor-80x24", (80, 24), _explaining(Cause.IN_FLIGHT_CAP), day="in-flight-cap"),
    *(Picture(f"monitor-{day}", (120, 35), _explaining(cause), day=day) for day, cause in CAUSES.items()),
)


def _environment(root: Path) -> Mapping[str, str]:
    """A person who has just installed it: no settings, no keys, no history."""
    names = (CONFIG_DIR_VARIABLE, CACHE_DIR_VARIABLE, STATE_DIR_VARIABLE, DATA_DIR_VARIABLE)
    return {name: str(root / name.lower()) for name in names}


async def take(picture: Picture, directory: Path) -> Path:
    """Run the app up to the picture's moment and write what is on its screen."""
    with TemporaryDirectory(prefix="llm-workbench-picture-") as root:
        app = WorkbenchApp(
            Settings(), environ=_environment(Path(root)), theme=picture.theme, demo=picture.demo, day=picture.day
        )
        async with app.run_test(size=picture.size) as pilot:
            await picture.scene(pilot)
            path = directory / f"{picture.name}.svg"
            path.write_text(app.export_screenshot(title="llm-workbench"), encoding="utf-8")
            app.desk.comparison.stop_all()
    return path


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("screenshots")
    directory.mkdir(parents=True, exist_ok=True)
    names = sys.argv[2:]
    for picture in PICTURES:
        if names and picture.name not in names:
            continue
        sys.stdout.write(f"{asyncio.run(take(picture, directory))}\n")


if __name__ == "__main__":
    main()
