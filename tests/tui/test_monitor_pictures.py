"""What the Monitor looks like, sign by sign, in three sizes and in themes that leave it little to work with.

`pytest --snapshot-update tests/tui/test_monitor_pictures.py` takes new ones; look at them before they are committed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from monitor_world import NAME, OTHER, busy
from scripted_engine import ScriptedLanes
from textual.pilot import Pilot
from tui_stage import Stage, ready, until

from workbench.core.clock import NS_PER_S
from workbench.engine.timeline import Timeline
from workbench.tui.areas import COMPARE, MONITOR
from workbench.tui.frame import FrameStats

SIZES = [(200, 50), (120, 35), (80, 24)]

Scene = Callable[[Pilot[Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def greenwich(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The log has the time of day."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def minute(now_ns: int) -> Timeline:
    """A minute of work: waves in flight under a limit that was cut, refusals now and then."""
    timeline = Timeline()
    for second in range(58, 0, -1):
        at_ns = now_ns - second * NS_PER_S
        timeline.stand(round(6 + 4 * math.sin(second / 6)), at_ns, limit=16 if second > 30 else 10)
        timeline.add_tokens(180 + 90 * math.sin(second / 9), at_ns)
        timeline.first_token(0.4 + 0.2 * math.sin(second / 7), at_ns)
        if second % 13 == 0:
            timeline.refuse(at_ns)
    return timeline


def stage(theme: str = "workbench-dark") -> Stage:
    on = Stage(("gpt-5.4", "anthropic/claude-sonnet-4-6"), areas=(COMPARE, MONITOR), theme=theme)
    on.engine.seen = busy()
    on.engine.limiter = ScriptedLanes()
    now_ns = on.clock.monotonic_ns()
    on.engine.timelines = {"": minute(now_ns), NAME: minute(now_ns), OTHER: minute(now_ns)}
    # How often panes were drawn on the way here is nothing that a picture should depend on.
    frames: Any = on.app.desk.frames
    frames.statistics = lambda: FrameStats(frames=240, dropped=3, hz=0.0, p95_ms=4.2, load=0.1)
    return on


def watched(on: Stage, *keys: str) -> Scene:
    async def run(pilot: Pilot[Any]) -> None:
        await ready(pilot)
        await pilot.press("ctrl+t", "3")
        await until(pilot, lambda: on.app.area_screen.id == "monitor" and on.app.screen is on.app.area_screen)
        screen: Any = on.app.area_screen
        await until(pilot, lambda: "p50" in screen.charts[2].plain or not screen.charts[2].size.width)
        await pilot.press(*keys)
        # Two seconds of looks change nothing any more, whatever layout the keys have brought about.
        ticks = screen._ticks
        await until(pilot, lambda: screen._ticks >= ticks + 8)

    return run


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("theme", ["workbench-dark", "workbench-light"])
def test_the_monitor(snap_compare: Any, size: tuple[int, int], theme: str) -> None:
    on = stage(theme)

    assert snap_compare(on.app, terminal_size=size, run_before=watched(on))


def test_the_details_of_a_lane(snap_compare: Any) -> None:
    on = stage()

    assert snap_compare(on.app, terminal_size=(120, 35), run_before=watched(on, "enter"))


def test_the_monitor_without_colour(snap_compare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    on = stage()

    assert snap_compare(on.app, terminal_size=(120, 35), run_before=watched(on))


def test_the_monitor_in_the_terminals_own_colours(snap_compare: Any) -> None:
    on = stage("ansi-dark")

    assert snap_compare(on.app, terminal_size=(120, 35), run_before=watched(on))
