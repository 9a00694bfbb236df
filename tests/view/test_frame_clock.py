from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.app import App
from textual.pilot import Pilot

from workbench.tui.frame import BUSY, CALM, DIVISORS, MOST_DRAWN, PATIENCE, FrameClock, FramePace


class View:
    """Counts its frames; has work left for the first few of them."""

    def __init__(self, frames_of_work: int = 1, cost: Callable[[], None] = lambda: None) -> None:
        self.work = frames_of_work
        self.budgets: list[float] = []
        self.wake: Callable[[], None] | None = None
        self._cost = cost

    def connect(self, wake: Callable[[], None] | None) -> None:
        self.wake = wake

    def flush(self, budget_s: float) -> bool:
        self.budgets.append(budget_s)
        self._cost()
        self.work -= 1
        return self.work > 0

    @property
    def frames(self) -> int:
        return len(self.budgets)


def spend_a_little() -> None:
    sum(range(20_000))


async def stopped(clock: FrameClock, pilot: Pilot[None]) -> None:
    """Wait until there is nothing left to draw."""
    while clock.statistics().hz:
        await pilot.pause()


async def test_a_view_is_flushed_until_it_has_no_work_left_and_the_clock_stops():
    app: App[None] = App()
    async with app.run_test() as pilot:
        clock, view = FrameClock(app, hz=200), View(frames_of_work=3)
        clock.add(view)
        await stopped(clock, pilot)

        assert view.frames == 3
        assert clock.statistics().hz == 0


async def test_waking_the_clock_starts_it_again():
    app: App[None] = App()
    async with app.run_test() as pilot:
        clock, view = FrameClock(app, hz=200), View()
        clock.add(view)
        await stopped(clock, pilot)

        assert view.wake is not None
        view.wake()
        await stopped(clock, pilot)

        assert view.frames == 2


async def test_a_removed_view_is_let_go():
    app: App[None] = App()
    async with app.run_test() as pilot:
        clock, view, other = FrameClock(app, hz=200), View(), View()
        clock.add(view)
        clock.add(other)
        clock.remove(view)
        await stopped(clock, pilot)

        assert view.frames == 0
        assert view.wake is None
        assert other.frames == 1


async def test_views_share_the_budget_of_a_tick():
    app: App[None] = App()
    async with app.run_test() as pilot:
        clock, views = FrameClock(app, hz=200, budget_s=0.008), [View(), View()]
        for view in views:
            clock.add(view)
        await stopped(clock, pilot)

        assert views[0].budgets[0] == pytest.approx(0.004, abs=0.001)
        assert views[1].budgets[0] == pytest.approx(0.008, abs=0.001)


async def test_more_views_than_a_tick_can_draw_take_turns():
    app: App[None] = App()
    async with app.run_test() as pilot:
        clock = FrameClock(app, hz=200)
        views = [View(frames_of_work=6, cost=spend_a_little) for _ in range(2 * MOST_DRAWN)]
        for view in views:
            clock.add(view)
        await stopped(clock, pilot)

        assert {view.frames for view in views} <= {6, 7}
        assert clock.statistics().frames >= 12


async def test_adding_a_view_twice_flushes_it_once():
    app: App[None] = App()
    async with app.run_test() as pilot:
        clock, view = FrameClock(app, hz=200), View()
        clock.add(view)
        clock.add(view)
        await stopped(clock, pilot)

        assert view.frames == 1


def test_the_pace_slows_down_under_load_and_recovers():
    pace = FramePace()
    for _ in range(PATIENCE):
        pace.observe(BUSY + 0.1, over_budget=False)
    assert pace.divisor == DIVISORS[1]

    for _ in range(PATIENCE):
        pace.observe(CALM - 0.1, over_budget=False)
    assert pace.divisor == DIVISORS[0]


def test_one_slow_frame_is_not_a_trend():
    pace = FramePace()
    for _ in range(20):
        pace.observe(0.95, over_budget=True)
        pace.observe(0.5, over_budget=False)

    assert pace.divisor == DIVISORS[0]


def test_frames_over_budget_slow_it_down_whatever_the_load():
    pace = FramePace()
    for _ in range(PATIENCE):
        pace.observe(0.2, over_budget=True)

    assert pace.divisor == DIVISORS[1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=200))
def test_the_pace_stays_within_its_steps(periods):
    pace = FramePace()
    for load, over_budget in periods:
        pace.observe(load, over_budget)

        assert pace.divisor in DIVISORS
