"""Panes, pages, zoom and sizes: what is on screen, where the focus is, and what a small terminal gets."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_engine import End, Hold, Say, Think
from textual.geometry import Size
from tui_stage import Stage, ready, until

FIVE = ("alpha", "beta", "gamma", "delta", "epsilon")
LONG = "A line of an answer.\n\n" * 60
HELD = (Say(LONG), Hold(), Say("The end."), End())


def on_screen(on: Stage) -> list[int]:
    return [pane.number for pane in on.panes if pane.region.width > 0 and pane.has_class("-on-screen")]


def focused(on: Stage) -> int | None:
    pane = on.compare.deck.focused_pane
    return None if pane is None else pane.number


@pytest.mark.parametrize(
    ("size", "shown", "where"),
    [((200, 50), [1, 2, 3, 4, 5], "left"), ((120, 35), [1, 2], "bottom"), ((80, 24), [1], "bottom")],
    ids=str,
)
async def test_a_terminal_shows_as_many_readable_panes_as_fit(
    size: tuple[int, int], shown: list[int], where: str
) -> None:
    on = Stage(FIVE)
    async with on.app.run_test(size=size) as pilot:
        await ready(pilot)
        await until(pilot, lambda: on_screen(on) == shown)

        widths = {pane.region.width for pane in on.panes if pane.number in shown}
        assert min(widths) >= 46
        editor, deck = on.compare.editor.region, on.compare.deck.region
        assert (editor.right <= deck.x) if where == "left" else (editor.y >= deck.bottom)
        assert ("of 5" in on.compare.strip.plain) == (len(shown) < 5)


async def test_the_window_follows_the_focus_and_the_strip_says_where_it_is() -> None:
    on = Stage(FIVE)
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await pilot.press("escape", "4")
        await until(pilot, lambda: on_screen(on) == [3, 4])
        assert focused(on) == 4
        assert "panes 3-4 of 5" in on.compare.strip.plain

        await pilot.press("l", "l", "l")
        await until(pilot, lambda: on_screen(on) == [4, 5])
        assert focused(on) == 5

        await pilot.press("h", "h", "h")
        await until(pilot, lambda: on_screen(on) == [2, 3])


async def test_zoom_shows_one_pane_and_escape_gives_the_others_back() -> None:
    on = Stage(FIVE)
    async with on.app.run_test(size=(200, 50)) as pilot:
        await ready(pilot)
        await pilot.press("escape", "3", "z")
        await until(pilot, lambda: on_screen(on) == [3])
        assert all(name in on.compare.strip.plain for name in FIVE)

        await pilot.press("l")
        await until(pilot, lambda: on_screen(on) == [4])
        await pilot.press("escape")
        await until(pilot, lambda: on_screen(on) == [1, 2, 3, 4, 5])
        assert focused(on) == 4


async def test_ctrl_g_walks_through_the_layouts_and_remembers_the_last() -> None:
    on = Stage(FIVE)
    async with on.app.run_test(size=(120, 46)) as pilot:
        await ready(pilot)
        seen = []
        for _ in range(5):
            await pilot.press("ctrl+g")
            await pilot.pause()
            seen.append((str(on.compare.deck.pane_layout), len(on_screen(on))))

        assert seen == [("columns", 2), ("grid", 5), ("stack", 4), ("single", 1), ("auto", 2)]
        await until(pilot, lambda: on.app.desk.memory.layout == "auto")


async def test_a_pane_that_was_off_screen_has_missed_nothing() -> None:
    on = Stage(FIVE, dict.fromkeys(FIVE, HELD))
    async with on.app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["streaming"] * 5)
        assert on.panes[4].view.text == ""

        await pilot.press("escape", "5")
        await until(pilot, lambda: on.panes[4].view.text == LONG)
        await pilot.press("1")
        on.engine.release()
        await until(pilot, lambda: on.states() == ["done"] * 5)
        await pilot.press("5")
        await until(pilot, lambda: on.panes[4].view.text == LONG + "The end.")


async def test_a_pane_that_was_off_screen_knows_how_long_its_model_thought() -> None:
    thinker = (Think("Hmm, let me see. "), Say("So. "), Hold(), End())
    on = Stage(("alpha", "beta"), {"beta": thinker})
    async with on.app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: on.states() == ["done", "streaming"])
        await pilot.press("escape", "2")
        await until(pilot, lambda: "So." in on.panes[1].view.text)

        # Five pieces of four characters, 12.5 ms apart, before the answer's first one.
        thinking = on.panes[1].view._answer.thinking
        assert (thinking.ended_ns - thinking.began_ns) / 1e9 == pytest.approx(5 * 0.0125)


async def test_a_resize_in_the_middle_of_an_answer_keeps_text_focus_and_running() -> None:
    on = Stage(("alpha", "beta", "gamma"), dict.fromkeys(("alpha", "beta", "gamma"), HELD))
    async with on.app.run_test(size=(200, 50)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: [pane.view.text for pane in on.panes] == [LONG] * 3)
        await pilot.press("escape", "3")

        for size in ((80, 24), (120, 35), (60, 20), (200, 50)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda size=size: on.app.size == Size(*size))  # type: ignore[misc]  # bound early
            assert focused(on) == 3
            await until(pilot, lambda: 3 in on_screen(on))
        on.engine.release()
        await until(pilot, lambda: [pane.view.text for pane in on.panes] == [LONG + "The end."] * 3)


async def test_sixty_by_twenty_is_still_usable() -> None:
    on = Stage(("alpha", "beta"))
    async with on.app.run_test(size=(60, 20)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["done", "done"])

        assert on_screen(on) == [1]
        assert on.panes[0].view.size.height >= 8
        assert "^p" in on.compare.query_one("KeyBar").plain


@pytest.mark.parametrize("size", [(39, 30), (100, 11)], ids=str)
async def test_a_terminal_that_is_too_small_says_so_and_recovers(size: tuple[int, int]) -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=size) as pilot:
        await ready(pilot)
        notice: Any = on.compare.query_one("#too-small")
        assert notice.region.size == Size(*size)
        assert "too small" in notice.content

        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: notice.region.width == 0)


async def test_the_strip_shares_its_room_among_names_that_do_not_fit() -> None:
    on = Stage(("gpt-4.1-mini",) * 6)
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "6 ○" in on.compare.strip.plain)

        assert on.compare.strip.plain.count("gpt-4.1-m") == 6


async def test_a_click_on_the_strip_goes_to_that_pane() -> None:
    on = Stage(FIVE)
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        where = on.compare.strip.plain.index("4 ")

        await pilot.click("LineUpStrip", offset=(where + 3, 0))
        await until(pilot, lambda: focused(on) == 4)


async def test_searching_counts_in_all_answers_and_walks_the_focused_one() -> None:
    on = Stage(("alpha", "beta"), {"alpha": (Say("needle and needle"), End()), "beta": (Say("hay, needle"), End())})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["done", "done"])
        await until(pilot, lambda: on.panes[1].view.text == "hay, needle")

        await pilot.press("ctrl+f", *"needle")
        await until(pilot, lambda: "3 found" in str(on.compare.query_one("#found").content))
        await pilot.press("enter")
        await until(pilot, lambda: focused(on) == 1)
        await pilot.press("n")
        await until(pilot, lambda: "of 2" in on.compare.status.plain)


async def test_without_anything_running_the_keys_that_need_it_are_not_offered() -> None:
    on = Stage(("alpha",), {"alpha": HELD})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        bar: Any = on.compare.query_one("KeyBar")
        assert "Stop" not in bar.plain

        on.compare.editor.insert_typed("Go")
        await pilot.press("enter")
        await until(pilot, lambda: "F8 Stop" in bar.plain)
