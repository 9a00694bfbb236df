"""The Monitor's events: what a row has no room for."""

from __future__ import annotations

from monitor_world import NAME, busy, lane, world
from test_monitor_screen import stage
from tui_stage import at_the_monitor, until

from workbench.engine.lane_values import Change
from workbench.engine.timeline import Span

LONG = (
    "refused with 16 in flight, and the provider went on to say at some length why it had to do so, [b]in its words[/b]"
)


async def test_enter_shows_the_whole_of_an_entry_that_is_longer_than_its_row() -> None:
    seen = world(lane(), history=(Change(90.0, NAME, "window", 16, 8, LONG),))
    on = stage(seen)
    async with on.app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await at_the_monitor(pilot, on)
        await pilot.press("6")
        await until(pilot, lambda: screen.log_view.has_focus and screen.log_view.count)
        assert LONG not in str(screen.log_view.render_line(0).text)

        await pilot.press("enter")

        await until(pilot, lambda: list(on.app._notifications))
        (told,) = on.app._notifications
        assert told.message == f"{NAME}\nin-flight limit 16 → 8: {LONG}"
        assert told.title.endswith("limit")
        assert told.markup is False


async def test_enter_on_no_event_does_nothing() -> None:
    on = stage(busy())
    on.engine.seen = world(lane())
    async with on.app.run_test(size=(80, 24)) as pilot:
        screen = await at_the_monitor(pilot, on)
        await pilot.press("6")
        await until(pilot, lambda: screen.log_view.has_focus)

        await pilot.press("enter", "s")
        await until(pilot, lambda: screen.span is not Span.MINUTE)

        assert not list(on.app._notifications)
