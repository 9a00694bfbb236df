from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from rich.segment import Segment
from rich_documents import ANSWER
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.pilot import Pilot

from workbench.core.clock import ManualClock
from workbench.core.text import strip_control
from workbench.core.types import Channel
from workbench.tui.widgets.stream_view import StreamView

FOREVER = 1e9
LONG = "\n\n".join(f"Paragraph {n} says *something* of its own." for n in range(200))
CODE = "Look:\n\n```sql\nselect 1;\n```\n\nand\n\n```python\nx = 1\ny = 2\n```\n\nend"


class ViewApp(App[None]):
    CSS = "StreamView { height: 1fr; padding-left: 1; }"

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.view = StreamView(clock=self.clock, **options)
        self.copied: list[tuple[str, str]] = []
        self.follows: list[bool] = []

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self.view

    def on_stream_view_copy_requested(self, event: StreamView.CopyRequested) -> None:
        self.copied.append((event.text, event.what))

    def on_stream_view_follow_changed(self, event: StreamView.FollowChanged) -> None:
        self.follows.append(event.follow)


@asynccontextmanager
async def running(size: tuple[int, int] = (60, 20), **options: object) -> AsyncIterator[tuple[ViewApp, Pilot[None]]]:
    app = ViewApp(**options)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


async def frame(app: ViewApp, pilot: Pilot[None]) -> None:
    """Draw until nothing is left to draw."""
    while app.view.flush(FOREVER) and not app.view.is_streaming:
        await pilot.pause()
    await pilot.pause()


def shown(app: ViewApp) -> list[str]:
    """The view's rows as they are on the screen."""
    region = app.view.region
    lines = [strip.text for strip in app.screen._compositor.render_strips()]
    # The last column is the scrollbar's.
    return [line[region.x : region.right - 1].strip() for line in lines[region.y : region.bottom]]


def feed(view: StreamView, text: str, channel: Channel = Channel.TEXT, step: int = 7) -> None:
    for start in range(0, len(text), step):
        view.append(channel, text[start : start + step])


async def test_appending_draws_nothing_until_a_frame_comes():
    async with running() as (app, pilot):
        woken: list[None] = []
        app.view.connect(lambda: woken.append(None))
        feed(app.view, "Some **bold** text")
        await pilot.pause()
        assert not any("Some" in row for row in shown(app))
        assert woken

        await frame(app, pilot)

        assert shown(app)[0] == "Some bold text▌"
        assert app.view.text == "Some **bold** text"


async def test_the_cursor_goes_when_the_stream_ends():
    async with running() as (app, pilot):
        feed(app.view, "Text")
        await frame(app, pilot)
        assert app.view.is_streaming

        app.view.finish()
        await frame(app, pilot)

        assert shown(app)[0] == "Text"
        assert not app.view.is_streaming


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_is_copied_is_what_arrived_minus_control_codes(seed):
    chance = random.Random(seed)
    bits = [
        "word ",
        "**",
        "`",
        "```\n",
        "\n",
        "\n\n",
        "- ",
        "> ",
        "| a | b |\n|---|---|\n",
        "# ",
        "漢字",
        "👩\u200d🔬",
        "\t",
    ]
    bits += [
        "\x1b[31m",
        "\x1b]0;t",
        "\x07",
        "\x1b",
        "\x9b",
        "\u202e",
        "\r\n",
        "\ud83d",
        "\ude00",
        "[x](http://y)",
        "$a$",
    ]
    async with running(size=(30, 8)) as (app, pilot):
        for _ in range(12):
            app.view.clear()
            source = "".join(chance.choice(bits) for _ in range(chance.randrange(40)))
            at = 0
            while at < len(source):
                step = chance.randrange(1, 9)
                app.view.append(Channel.TEXT, source[at : at + step])
                at += step
                if chance.random() < 0.15:
                    app.view.flush(FOREVER)
                    await pilot.pause()
            app.view.finish()
            await frame(app, pilot)
            app.view.text_select_all()

            assert app.view.text == strip_control(source)
            # Textual itself leaves out line ends at the end of what is copied.
            assert (app.screen.get_selected_text() or "") == strip_control(source).rstrip("\n")


async def test_the_end_stays_in_view_while_text_arrives():
    async with running() as (app, pilot):
        for number in range(40):
            app.view.append(Channel.TEXT, f"line {number}\n\n")
            await frame(app, pilot)

        assert app.view.follow
        assert shown(app)[-1] == "line 39▌"


async def test_a_reader_who_scrolled_up_is_left_alone_until_he_comes_back_to_the_end():
    async with running() as (app, pilot):
        feed(app.view, LONG, step=400)
        await frame(app, pilot)
        app.view.scroll_relative(y=-30, animate=False)
        await pilot.pause()
        place, top = shown(app), app.view.scroll_offset.y
        assert not app.view.follow

        feed(app.view, "\n\n" + LONG, step=400)
        await frame(app, pilot)
        assert shown(app) == place
        assert app.view.scroll_offset.y == top

        app.view.scroll_end(animate=False)
        await pilot.pause()
        assert app.view.follow
        app.view.append(Channel.TEXT, " The very end.")
        await frame(app, pilot)
        assert shown(app)[-1] == "Paragraph 199 says something of its own. The very end.▌"
        assert app.follows == [False, True]


async def test_a_finished_text_opens_at_its_beginning_or_at_its_end():
    async with running() as (app, pilot):
        app.view.set_text(LONG)
        await frame(app, pilot)
        assert shown(app)[0] == "Paragraph 0 says something of its own."

        app.view.set_text(LONG, at_end=True)
        await frame(app, pilot)
        assert shown(app)[-1] == "Paragraph 199 says something of its own."


async def test_a_resize_keeps_the_reading_place():
    async with running(size=(60, 12)) as (app, pilot):
        app.view.set_text("\n\n".join(f"Paragraph {n}. " + "word " * 30 for n in range(100)))
        await frame(app, pilot)
        app.view.scroll_to(y=200, animate=False)
        await pilot.pause()
        first = next(row for row in shown(app) if row.startswith("Paragraph"))

        await pilot.resize_terminal(40, 12)
        await frame(app, pilot)

        assert first[:13] in " ".join(shown(app))


async def test_the_first_frame_after_a_resize_is_right():
    async with running(size=(60, 12)) as (app, pilot):
        app.view.set_text("word " * 400, at_end=True)
        await frame(app, pilot)

        frames: list[tuple[int, list[str]]] = []
        app.post_display_hook = lambda: frames.append((app.view.region.width, shown(app)))
        await pilot.resize_terminal(40, 12)

        first = next(rows for width, rows in frames if width == 40)
        assert all(row == "word " * 6 + "word" for row in first[:-1])


async def test_a_hidden_view_keeps_its_text_and_draws_it_when_shown():
    async with running() as (app, pilot):
        app.view.display = False
        await pilot.pause()
        feed(app.view, "Hidden *text*")
        assert app.view.flush(FOREVER) is False
        assert app.view.text == "Hidden *text*"

        app.view.display = True
        await pilot.pause()
        await frame(app, pilot)

        assert shown(app)[0] == "Hidden text▌"


async def test_space_unfolds_the_reasoning_and_folds_it_again():
    async with running() as (app, pilot):
        app.view.append(Channel.REASONING, "Let me think.")
        app.clock.advance(1.2)
        app.view.append(Channel.TEXT, "Done.")
        await frame(app, pilot)
        assert shown(app)[:3] == ["▸ thought 1.2s (~3 tok)", "", "Done.▌"]

        app.view.focus()
        await pilot.press("space")
        await frame(app, pilot)
        assert shown(app)[:4] == ["▾ thought 1.2s (~3 tok)", "Let me think.", "", "Done.▌"]

        await pilot.press("space")
        await frame(app, pilot)
        assert shown(app)[:3] == ["▸ thought 1.2s (~3 tok)", "", "Done.▌"]


async def test_a_click_on_the_headline_unfolds_the_reasoning():
    async with running() as (app, pilot):
        app.view.set_text("Done.", "Thinking.")
        await frame(app, pilot)

        await pilot.click(app.view, offset=(3, 0))

        assert app.view.reasoning_open


async def test_unfolding_keeps_the_reading_place():
    async with running() as (app, pilot):
        app.view.set_text(LONG, "thought\n\n" * 50)
        await frame(app, pilot)
        app.view.scroll_to(y=100, animate=False)
        await pilot.pause()
        place = shown(app)

        app.view.toggle_reasoning()
        await frame(app, pilot)

        assert shown(app) == place


async def test_the_source_can_be_shown_instead_at_the_same_place():
    async with running() as (app, pilot):
        app.view.set_text(LONG)
        await frame(app, pilot)
        app.view.scroll_to(y=100, animate=False)
        await pilot.pause()
        assert shown(app)[0] == "Paragraph 50 says something of its own."

        app.view.focus()
        await pilot.press("o")
        await frame(app, pilot)
        assert shown(app)[0] == "Paragraph 50 says *something* of its own."

        await pilot.press("o")
        await frame(app, pilot)
        assert shown(app)[0] == "Paragraph 50 says something of its own."


async def test_marks_of_our_own_stand_between_the_rows_and_are_not_copied():
    async with running() as (app, pilot):
        app.view.append(Channel.TEXT, "Before.\n\n")
        app.view.add_note("stall 1.2s")
        app.view.append(Channel.TEXT, "After.")
        await frame(app, pilot)

        assert shown(app)[:4] == ["Before.", "· stall 1.2s ·", "", "After.▌"]
        assert app.view.text == "Before.\n\nAfter."


async def test_a_selection_with_the_mouse_is_source():
    async with running() as (app, pilot):
        app.view.set_text("# Title\n\nSome **bold** words in a row.\n\n- item")
        await frame(app, pilot)
        assert shown(app)[3] == "Some bold words in a row."

        await pilot.mouse_down(app.view, offset=(1 + 5, 3))
        await pilot.hover(app.view, offset=(1 + 14, 3))
        await pilot.mouse_up(app.view, offset=(1 + 14, 3))

        assert app.screen.get_selected_text() == "bold** words"


async def test_a_selection_over_several_lines_survives_more_text_and_a_resize():
    async with running() as (app, pilot):
        app.view.append(Channel.TEXT, "first line  \nsecond line\n\nthird\n\n")
        await frame(app, pilot)
        await pilot.mouse_down(app.view, offset=(1 + 6, 0))
        await pilot.hover(app.view, offset=(1 + 4, 3))
        await pilot.mouse_up(app.view, offset=(1 + 4, 3))
        selected = "line  \nsecond line\n\nthird"
        assert app.screen.get_selected_text() == selected

        app.view.append(Channel.TEXT, LONG)
        await frame(app, pilot)
        await pilot.resize_terminal(40, 12)
        await frame(app, pilot)

        assert app.screen.get_selected_text() == selected


async def test_c_asks_for_the_code_blocks_one_after_the_other():
    async with running(size=(60, 30)) as (app, pilot):
        app.view.set_text(CODE)
        await frame(app, pilot)
        app.view.focus()

        await pilot.press("c", "c", "c")

        assert app.copied == [
            ("select 1;", "sql, 1 line"),
            ("x = 1\ny = 2", "python, 2 lines"),
            ("select 1;", "sql, 1 line"),
        ]


async def test_c_begins_with_the_first_code_block_in_view():
    async with running(size=(60, 6)) as (app, pilot):
        app.view.set_text(CODE)
        await frame(app, pilot)
        app.view.scroll_end(animate=False)
        await pilot.pause()

        app.view.copy_code()
        await pilot.pause()

        assert app.copied == [("x = 1\ny = 2", "python, 2 lines")]


async def test_a_click_on_the_button_of_a_code_block_asks_for_that_one():
    async with running(size=(60, 30)) as (app, pilot):
        app.view.set_text(CODE)
        await frame(app, pilot)
        y = next(y for y, row in enumerate(shown(app)) if "python" in row)
        x = shown(app)[y].index("[c] copy") + 2

        await pilot.click(app.view, offset=(x, y))

        assert app.copied == [("x = 1\ny = 2", "python, 2 lines")]


async def test_finding_goes_to_the_next_occurrence_below_and_around():
    async with running() as (app, pilot):
        app.view.set_text(LONG)
        await frame(app, pilot)

        assert app.view.find("paragraph 15") == 11
        await frame(app, pilot)
        assert app.view.find_next() == (2, 11)
        assert app.view.find_next(-1) == (1, 11)
        assert app.view.find_next(-1) == (11, 11)
        await frame(app, pilot)

        assert any(row.startswith("Paragraph 159") for row in shown(app))
        assert app.view.find("nowhere") == 0
        assert app.view.find_next() == (0, 0)


async def test_finding_in_the_reasoning_unfolds_it():
    async with running() as (app, pilot):
        app.view.set_text("Answer.", "a hidden thought")
        await frame(app, pilot)

        assert app.view.find("hidden") == 1

        assert app.view.reasoning_open


async def test_blocks_are_stepped_through():
    async with running(size=(60, 8)) as (app, pilot):
        app.view.set_text("# One\n\n" + "a\n\n" * 10 + "## Two\n\n" + "b\n\n" * 20)
        await frame(app, pilot)
        app.view.focus()

        await pilot.press("J")
        assert shown(app)[0] == "a"
        await pilot.press("K")
        assert shown(app)[0] == "One"


async def test_rows_are_drawn_in_the_colours_of_the_theme():
    async with running() as (app, pilot):
        app.view.set_text("# Title")
        await frame(app, pilot)
        dark = app.view.render_lines(app.view.size.region)[0]

        app.theme = "textual-light"
        await pilot.pause()

        light = app.view.render_lines(app.view.size.region)[0]
        assert dark.text == light.text
        assert [s.style for s in dark] != [s.style for s in light]


async def test_text_of_a_model_is_never_markup():
    async with running() as (app, pilot):
        app.view.set_text("[red]not[/red] [@click=app.quit]markup[/]")
        await frame(app, pilot)

        assert shown(app)[0] == "[red]not[/red] [@click=app.quit]markup[/]"


async def test_ascii_marks_are_used_where_asked_for():
    async with running(ascii_only=True) as (app, pilot):
        app.view.append(Channel.REASONING, "hm")
        app.view.append(Channel.TEXT, "- item\n\n> quote")
        await frame(app, pilot)

        assert shown(app)[:5] == ["> thought 0.0s (~1 tok)", "", "* item", "", "| quote_"]


async def test_a_border_and_padding_of_the_view_itself_are_drawn_around_the_text():
    async with running(size=(20, 6)) as (app, pilot):
        app.view.styles.border = ("ascii", "white")
        await pilot.pause()
        app.view.set_text("word " * 5)
        await frame(app, pilot)

        assert shown(app)[:3] == ["+------------------", "| word word word", "| word word"]


async def test_clearing_forgets_everything_and_follows_again():
    async with running() as (app, pilot):
        app.view.set_text(LONG, "thoughts")
        await frame(app, pilot)

        app.view.clear()
        await frame(app, pilot)

        assert (app.view.text, app.view.reasoning, app.view.follow) == ("", "", True)
        assert set(shown(app)) == {""}


async def test_a_long_text_is_drawn_over_several_frames_the_visible_part_first():
    async with running() as (app, pilot):
        app.view.set_text(LONG * 10)

        assert app.view.flush(0.0) is True
        await pilot.pause()
        assert shown(app)[0] == "Paragraph 0 says something of its own."

        frames = 1
        while app.view.flush(0.001):
            frames += 1
        assert frames > 2
        assert app.view.virtual_size.height == 2 * 200 * 10 - 1 - 9


async def test_code_is_coloured_after_its_fence_has_closed():
    async with running() as (app, pilot):
        app.view.set_text("```python\nx = 1\n```")
        await frame(app, pilot)
        await app.workers.wait_for_complete()
        await frame(app, pilot)

        strip = app.view.render_lines(app.view.size.region)[1]
        number = next(segment for segment in strip if segment.text == "1")
        name = next(segment for segment in strip if segment.text == "x")
        assert number.style.color != name.style.color


def has_offset(app: ViewApp) -> Callable[[int, int], int]:
    """The source position under a cell, as Textual's selection asks for it."""

    def offset(x: int, y: int) -> int:
        _, found = app.screen.get_widget_and_offset_at(app.view.region.x + 1 + x, app.view.region.y + y)
        assert found is not None
        return found.x

    return offset


async def test_every_cell_knows_what_source_it_shows():
    text = "a **b** 漢字\n\n```\n\tx\n```\n\n$\\alpha$ z"
    async with running() as (app, pilot):
        app.view.set_text(text)
        await frame(app, pilot)
        offset = has_offset(app)

        assert [offset(x, 0) for x in range(4)] == [0, 1, 4, 7]
        assert text[offset(4, 0)] == "漢"
        assert text[offset(6, 0)] == "字"
        assert text[offset(6, 3)] == "x"
        assert offset(0, 5) == text.index("$")
        assert text[offset(2, 5)] == "z"


async def test_the_cursor_leaves_nothing_behind_in_the_row_it_was_in():
    async with running() as (app, pilot):
        app.view.append(Channel.TEXT, "One.")
        await frame(app, pilot)
        drawn_again: list[int] = []
        refresh = app.view.refresh
        app.view.refresh = lambda *regions, **options: (drawn_again.extend(r.y for r in regions), refresh(*regions))[1]

        app.view.append(Channel.TEXT, "\n\nTwo.")
        await frame(app, pilot)

        assert shown(app)[:3] == ["One.", "", "Two.▌"]
        assert min(drawn_again) == 0


def picture(app: ViewApp) -> list[list[Segment]]:
    """Everything on the screen, scrollbar and colours included."""
    return [list(strip) for strip in app.screen._compositor.render_strips()]


async def come_to_rest(app: ViewApp, pilot: Pilot[None]) -> None:
    """Lexers are loaded in threads, and what they bring is drawn after."""
    for _ in range(2):
        await frame(app, pilot)
        await app.workers.wait_for_complete()
    await frame(app, pilot)


@pytest.mark.parametrize("rows", [15, 40])
@pytest.mark.parametrize("text", [ANSWER, LONG[:600]], ids=["rich", "plain"])
async def test_at_rest_nothing_tells_in_how_many_frames_the_text_came(text, rows):
    pictures = []
    for step in (len(text), 211, 61):
        async with running((60, rows)) as (app, pilot):
            for start in range(0, len(text), step):
                app.view.append(Channel.TEXT, text[start : start + step])
                app.view.flush(FOREVER)
                await pilot.pause()
            app.view.finish()
            await come_to_rest(app, pilot)
            pictures.append(picture(app))

    assert pictures[0] == pictures[1] == pictures[2]
