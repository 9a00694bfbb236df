"""A lane's limits set by hand: what stands in the lines, what is made of what is written, and the dialog."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monitor_world import NAME, dimension, lane, world
from scripted_engine import ScriptedLanes
from textual.pilot import Pilot
from textual.widgets import Input
from tui_stage import Stage, at_the_monitor, until

from workbench.core.errors import LimitKind, UsageError
from workbench.engine.limiter_stats import LaneStats
from workbench.session.monitor_limits import LimitChange, changes, limit_lines
from workbench.tui.areas import COMPARE, MONITOR

WINDOW = LimitKind.CONCURRENCY


def written(lane_: LaneStats, **texts: str) -> tuple[LimitChange, ...]:
    """What comes of filling in these lines, by kind, and leaving the others as they are."""
    lines = limit_lines(lane_)
    values = {line.name: texts.get(line.kind.name.lower(), line.value) for line in lines}
    return changes(lines, values)


def test_lines_say_what_holds_without_a_person() -> None:
    free = lane(dimensions=(dimension(pace=500.0, limit=500.0), dimension(LimitKind.TOKENS, pace=3e4, learned=True)))

    assert [(line.name, line.value, line.expected) for line in limit_lines(free)] == [
        ("in flight", "", "8 now, still growing"),
        ("requests/min", "", "500 now, stated by the provider"),
        ("tokens/min", "", "30.0k now, learned from refusals"),
    ]


def test_lines_have_what_a_person_has_set() -> None:
    kept = lane(window_pinned=True, dimensions=(dimension(pace=2.5, limit=2.5, pinned=True),))

    assert [line.value for line in limit_lines(kept)] == ["8", "2.5", ""]
    assert [line.expected for line in limit_lines(lane())][1:] == ["none stated, none learned"] * 2


def test_tokens_that_a_provider_counts_apart_have_a_line_each() -> None:
    apart = lane(dimensions=(dimension(LimitKind.INPUT_TOKENS), dimension(LimitKind.OUTPUT_TOKENS)))

    assert [line.kind for line in limit_lines(apart)][3:] == [LimitKind.INPUT_TOKENS, LimitKind.OUTPUT_TOKENS]


def test_nothing_written_changes_nothing() -> None:
    assert written(lane(window_pinned=True, dimensions=(dimension(pinned=True),))) == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [("500", 500), (" 30k ", 30_000), ("2M", 2e6), ("30,000", 30_000), ("1_000", 1_000), ("2.5", 2.5)],
)
def test_numbers_may_be_short(text: str, number: float) -> None:
    assert written(lane(), requests=text) == (LimitChange(LimitKind.REQUESTS, number),)


def test_an_emptied_line_leaves_its_limit_to_itself() -> None:
    kept = lane(window_pinned=True, dimensions=(dimension(LimitKind.TOKENS, pinned=True),))

    assert written(kept, concurrency="", tokens="") == (
        LimitChange(WINDOW, None),
        LimitChange(LimitKind.TOKENS, None),
    )


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        ("requests", "0", "requests/min: expected a number above 0, such as 500, 30k or 2M, or nothing, not '0'"),
        ("requests", "-3", "requests/min: expected a number above 0"),
        ("tokens", "nan", "tokens/min: expected a number above 0"),
        ("tokens", "1e999", "tokens/min: expected a number above 0"),
        ("tokens", "plenty", "tokens/min: expected a number above 0"),
        ("tokens", "k", "tokens/min: expected a number above 0"),
        ("concurrency", "2.5", "in flight: expected a whole number from 1 on, or nothing, not '2.5'"),
        ("concurrency", "0", "in flight: expected a whole number from 1 on"),
    ],
)
def test_what_is_no_limit_is_refused_by_the_name_of_its_line(kind: str, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        written(lane(), **{kind: text})

    assert caught.value.message.startswith(complaint)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12))
def test_whatever_is_written_is_a_positive_number_nothing_or_refused(text: str) -> None:
    try:
        found = written(lane(), requests=text)
    except UsageError:
        return
    assert all(change.to is not None and 0 < change.to < float("inf") for change in found)


# The dialog


def stage() -> Stage:
    on = Stage(("alpha",), areas=(COMPARE, MONITOR))
    on.engine.seen = world(lane(window_pinned=True, dimensions=(dimension(),)))
    on.engine.limiter = ScriptedLanes()
    return on


async def opened(pilot: Pilot[Any], on: Stage) -> Any:
    """The monitor under the dialog of its first lane."""
    screen = await at_the_monitor(pilot, on)
    await pilot.press("e")
    await until(pilot, lambda: on.app.screen is not screen and isinstance(on.app.focused, Input))
    return screen


async def test_e_sets_all_limits_of_a_lane_at_once() -> None:
    on = stage()
    async with on.app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, on)

        await pilot.press("delete", "backspace", "down", *"30", "down", *"20k", "enter")
        await until(pilot, lambda: on.app.screen is screen)

        assert on.engine.limiter is not None
        assert on.engine.limiter.done == [
            ("pin", NAME, None),
            ("pin requests", NAME, 30.0),
            ("pin tokens", NAME, 20_000.0),
        ]
        assert f"{NAME}: in flight left to itself, 30 requests/min, 20.0k tokens/min." in screen.status.plain


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        (("x",), "in flight: expected a whole number from 1 on, or nothing, not"),
        (("9", "9"), "Not changed: a window must lie between 1 and 32, not"),
    ],
    ids=["no number", "more than the settings allow"],
)
async def test_what_cannot_be_set_is_said_in_the_dialog_which_stays(keys: tuple[str, ...], complaint: str) -> None:
    on = stage()
    async with on.app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, on)
        error = on.app.screen.query_one("#fields-error")

        await pilot.press(*keys, "enter")
        await until(pilot, lambda: str(error.render()))

        assert complaint in str(error.render())
        assert on.engine.limiter is not None
        assert on.engine.limiter.done == []
        await pilot.press("escape")
        await until(pilot, lambda: on.app.screen is screen)
        assert on.engine.limiter.done == []
