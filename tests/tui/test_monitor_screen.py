"""The Monitor on a screen: what it says in every size, zoom, details, limits by hand, and rest while out of sight."""

from __future__ import annotations

from typing import Any

import pytest
from monitor_world import NAME, OTHER, busy, lane, lane_traffic, times, world
from scripted_engine import ScriptedLanes, ScriptedStatistics
from tui_stage import Stage, at_the_monitor, until

from workbench.core.clock import NS_PER_S
from workbench.core.settings import LimitSettings, Settings, UISettings
from workbench.engine.limiter_stats import LaneState
from workbench.engine.timeline import Timeline
from workbench.session.draft import Draft
from workbench.tui.areas import COMPARE, MONITOR
from workbench.tui.commands import commands


def stage(seen: ScriptedStatistics | None = None, **options: Any) -> Stage:
    on = Stage(("alpha",), areas=(COMPARE, MONITOR), **options)
    on.engine.seen = seen or busy()
    on.engine.limiter = ScriptedLanes()
    return on


def row_text(screen: Any, index: int) -> str:
    """A row as it stands on the screen."""
    return str(screen.table.render_line(index).text)


@pytest.mark.parametrize("size", [(200, 50), (120, 35), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_screen_answers_why_it_is_slow_in_every_size(size: tuple[int, int]) -> None:
    on = stage()
    async with on.app.run_test(size=size) as pilot:
        screen = await at_the_monitor(pilot, on)

        assert "in flight 10" in screen.run_bar.plain
        assert "queued 14" in screen.run_bar.plain
        assert screen.query_one("#events-heading").plain.endswith("(1)")
        assert screen.why.plain.startswith(f"Why slow? in-flight cap · {NAME}: 14 requests wait")
        first = row_text(screen, 0)
        assert "full" in first
        assert "8/8" in first
        assert "in-flight cap" in first
        assert "0.41s" in first
        assert screen.table.region.height >= 2
        assert screen.log_view.region.height >= 3
        assert sum(chart.region.height >= 6 for chart in screen.charts) >= 2


async def test_a_wide_row_has_everything_and_unknown_is_never_zero() -> None:
    on = stage()
    async with on.app.run_test(size=(200, 50)) as pilot:
        screen = await at_the_monitor(pilot, on)

        first, second = row_text(screen, 0), row_text(screen, 1)
        for said in ("provider's cap", "45/100", "11.9k/~30.0k", "    3", "0.88s", "12ms", "~212"):
            assert said in first, said
        # Five answers: no p95. Three tokens in each chunk: the time per token reads too low.
        assert "1.20s      —      —   ≥20ms     ~61" in second


async def test_the_cursor_stays_on_its_lane_when_rows_change_places() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        screen = await at_the_monitor(pilot, on)
        await pilot.press("j")
        await until(pilot, lambda: screen.table.row.name == OTHER)

        cooling = lane(OTHER, provider="anthropic", state=LaneState.HELD)
        on.engine.seen = world(lane(in_flight=0), cooling)
        screen.look()

        assert screen.table.row.name == OTHER
        assert screen.table.cursor == 0


async def test_enter_tells_all_about_a_lane_and_its_charts_and_escape_goes_back() -> None:
    on = stage()
    alone = Timeline()
    alone.stand(7, on.clock.monotonic_ns() - 2 * NS_PER_S, limit=8)
    on.engine.timelines = {NAME: alone}
    async with on.app.run_test(size=(200, 50)) as pilot:
        screen = await at_the_monitor(pilot, on)
        assert "no data" in screen.charts[0].plain

        await pilot.press("enter")
        await until(
            pilot, lambda: screen.detail.display and "What changed" in str(screen.query_one("#detail-text").content)
        )
        await until(pilot, lambda: "limit 8" in screen.charts[0].plain)
        assert "in-flight limit 16 → 8  refused with 16 in flight" in str(screen.query_one("#detail-text").content)

        await pilot.press("escape")
        await until(pilot, lambda: not screen.detail.display and screen.log_view.region.height)


@pytest.mark.parametrize("number", range(1, 7))
async def test_a_digit_makes_one_panel_as_large_as_the_screen_and_escape_restores(number: int) -> None:
    on = stage()
    async with on.app.run_test(size=(80, 24)) as pilot:
        screen = await at_the_monitor(pilot, on)
        panels = (screen.table, *screen.charts, screen.log_view)
        before = [panel.region.height for panel in panels]

        await pilot.press(str(number))
        await until(pilot, lambda: panels[number - 1].region.height >= 16)
        assert sum(panel.region.height > 0 for panel in panels) == 1

        await pilot.press("escape")
        await until(pilot, lambda: [panel.region.height for panel in panels] == before)


async def test_a_lane_is_set_by_hand() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        screen = await at_the_monitor(pilot, on)

        await pilot.press("plus", "minus", "f", "p")
        assert on.engine.limiter is not None
        assert on.engine.limiter.done == [("pin", NAME, 9), ("pin", NAME, 7), ("pin", NAME, 8), ("pause", NAME, None)]

        on.engine.seen = world(lane(state=LaneState.HELD, window_pinned=True))
        screen.look()
        await pilot.press("f", "p")
        assert on.engine.limiter.done[4:] == [("pin", NAME, None), ("resume", NAME, None)]


async def test_without_a_lane_there_is_nothing_to_set_and_a_sentence_says_so() -> None:
    on = stage(world())
    async with on.app.run_test(size=(120, 35)) as pilot:
        screen = await at_the_monitor(pilot, on)

        assert "No lane yet" in row_text(screen, 0)
        assert "nothing is asked" in screen.why.plain
        await pilot.press("plus", "p", "enter")
        assert on.engine.limiter is not None
        assert on.engine.limiter.done == []
        assert not {"More", "Pause"} & {command.title for command in commands(on.app)}


async def test_nothing_is_read_while_another_area_is_looked_at() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        screen = await at_the_monitor(pilot, on)
        await pilot.press("ctrl+t", "1")
        await until(pilot, lambda: on.app.screen is on.compare)
        seen = screen.seen

        on.engine.seen = world()
        looks = on.engine.looks
        # Compare's own line looks once in each of its ticks: when it has, the monitor has had its chance.
        await until(pilot, lambda: on.engine.looks >= looks + 3)
        assert screen.seen is seen

        await pilot.press("ctrl+t", "3")
        await until(pilot, lambda: screen.seen is not seen)


async def test_this_programs_own_lateness_is_on_show() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        screen = await at_the_monitor(pilot, on)

        assert "loop late 2 ms p95 6 ms max 11 ms" in screen.status.plain
        assert "frames" in screen.status.plain
        assert "dropped" in screen.status.plain


async def test_s_changes_how_far_back_the_charts_look() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        screen = await at_the_monitor(pilot, on)
        assert "-60s" in screen.charts[0].plain

        await pilot.press("s")
        await until(pilot, lambda: "-5m00s" in screen.charts[0].plain)
        await pilot.press("s")
        await until(pilot, lambda: "in run" in screen.charts[3].plain)


async def test_charts_and_signs_do_with_ascii() -> None:
    on = stage(settings=Settings(ui=UISettings(ascii=True)))
    everything = Timeline()
    everything.stand(7, on.clock.monotonic_ns() - 2 * NS_PER_S, limit=8)
    on.engine.timelines = {"": everything}
    async with on.app.run_test(size=(200, 50)) as pilot:
        screen = await at_the_monitor(pilot, on)
        await until(pilot, lambda: "limit 8" in screen.charts[0].plain)

        drawn = screen.charts[0].plain + row_text(screen, 0)
        assert not [sign for sign in drawn if ord(sign) > 0x7F and sign not in "·—…"]


async def test_a_thousand_lanes_are_drawn_no_slower_than_the_few_that_fit() -> None:
    many = [lane(f"openai#{number} · gpt-5.4", in_flight=1) for number in range(1000)]
    carried = {one.name: lane_traffic(ttft_s=times(0.4)) for one in many}
    on = stage(world(*many, carried=carried))
    async with on.app.run_test(size=(200, 50)) as pilot:
        screen = await at_the_monitor(pilot, on)
        made: list[int] = []
        pieces = screen.table.pieces

        def counted(index: int, width: int) -> Any:
            made.append(index)
            return pieces(index, width)

        screen.table.pieces = counted
        screen.look()

        assert screen.table.count == 1000
        assert 0 < len(made) <= 2 * screen.table.region.height


async def test_help_explains_the_numbers_of_what_has_the_focus() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        await at_the_monitor(pilot, on)
        await pilot.press("f1")
        await until(pilot, lambda: type(on.app.screen).__name__ == "HelpScreen")
        text = on.app.screen._text  # type: ignore[attr-defined]  # what it was given

        for said in ("**TPOT**", "**429**", "why slow", "p99 needs 100", "**loop late**"):
            assert said in text, said


async def test_its_own_looks_are_counted_among_the_frames_and_so_are_those_left_out() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        screen = await at_the_monitor(pilot, on)
        frames = on.app.desk.frames.statistics()

        screen.look()
        looked = on.app.desk.frames.statistics()
        await until(pilot, lambda: screen._ticked_ns == on.clock.monotonic_ns())
        waiting = on.app.desk.frames.statistics()
        on.clock.advance(1.0)
        screen._tick()
        late = on.app.desk.frames.statistics()

        assert looked.frames == frames.frames + 1
        assert looked.dropped == frames.dropped
        assert late.dropped == waiting.dropped + 3
        assert late.p95_ms > 0


async def test_a_rest_behind_another_area_is_no_frame_left_out() -> None:
    on = stage()
    async with on.app.run_test(size=(120, 35)) as pilot:
        screen = await at_the_monitor(pilot, on)
        await pilot.press("ctrl+t", "1")
        await until(pilot, lambda: on.app.screen is on.compare and screen._ticked_ns is None)
        on.clock.advance(3600.0)
        dropped = on.app.desk.frames.statistics().dropped

        await pilot.press("ctrl+t", "3")
        await until(pilot, lambda: screen._ticked_ns is not None)

        # An hour of it would be four a second; the few that there may be are of a busy machine.
        assert on.app.desk.frames.statistics().dropped - dropped < 3600


async def test_who_waits_for_money_is_told_so_though_no_lane_knows_of_it() -> None:
    on = stage(world(lane(in_flight=0)), settings=Settings(limits=LimitSettings(max_cost_usd=0)))
    async with on.app.run_test(size=(80, 24)) as pilot:
        screen = await at_the_monitor(pilot, on)

        on.app.desk.comparison.send(Draft("Hello"))

        await until(pilot, lambda: "Why slow? spend cap · 1 request waits" in screen.why.plain)
        assert "paused" in screen.run_bar.plain
        on.app.desk.comparison.stop_all()
