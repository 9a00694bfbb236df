"""A person looks after batch jobs: sees how far they are, cancels, retries, imports, exports, reads the rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_desk import START_S, ScriptedDesk, a_job, ended
from scripted_engine import End, Say
from textual.pilot import Pilot
from textual.widgets import Input
from tui_stage import Stage, ready, until

from workbench.core.errors import KeyRejected
from workbench.jobs.job import Job, JobCounts, JobState, RowFilter
from workbench.tui.areas import BATCHES, COMPARE, MONITOR
from workbench.tui.commands import commands
from workbench.tui.screens.batch_row import BatchRowScreen
from workbench.tui.screens.batch_rows import BatchRowsScreen
from workbench.tui.screens.confirm_bar import ConfirmBar

SIZE = (120, 35)


@asynccontextmanager
async def batches(
    desk: ScriptedDesk, *, size: tuple[int, int] = SIZE, **options: Any
) -> AsyncIterator[tuple[Stage, Pilot[Any]]]:
    """The app with its Batches area in front."""
    on = Stage(("alpha", "beta"), jobs=desk, areas=(COMPARE, BATCHES), **options)
    async with on.app.run_test(size=size) as pilot:
        await ready(pilot)
        await until(pilot, lambda: desk.listeners, "the desk is listened to")
        await pilot.press("ctrl+t", "2")
        await until(pilot, lambda: on.app.screen.id == "batches", "the batches are in front")
        yield on, pilot


def desk_with(*jobs: Any) -> ScriptedDesk:
    desk = ScriptedDesk()
    desk.put(*jobs)
    return desk


def lines(on: Stage) -> list[str]:
    table = on.app.screen.table  # type: ignore[attr-defined]  # a list of lines
    return [table.entry(index, 116).plain for index in range(table.count)]


def detail(on: Stage) -> str:
    return str(on.app.screen.query_one("#job-facts").content)  # type: ignore[attr-defined]  # a Static


def toasts(on: Stage) -> list[str]:
    return [f"{one.title}: {one.message}" for one in on.app._notifications]


# Looking


async def test_jobs_stand_newest_first_with_state_progress_and_price() -> None:
    older = ended(a_job("old", name="nightly eval", created_s=START_S - 500), failed=12)
    async with batches(desk_with(older, a_job("new"))) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count == 2)  # type: ignore[attr-defined]  # ours

        first, second = lines(on)
        for part in ("● running", "river names", "gpt-5.4-mini", "122/400", "~$0.840"):
            assert part in first, first
        for part in ("◑ partial", "nightly eval", "400/400", "12", "15m00s", "$0.420"):
            assert part in second, second


async def test_a_provider_that_tells_no_progress_gets_words_instead_of_a_bar() -> None:
    async with batches(desk_with(a_job(counts=JobCounts(400)))) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        assert "submitted, asked" in lines(on)[0]
        assert "400; the provider tells no progress yet" in detail(on)


async def test_the_detail_says_everything_about_the_job_under_the_cursor() -> None:
    beside = a_job("b", model="anthropic/claude-haiku-4-5", group="g")
    done = ended(a_job("a", group="g", created_s=START_S - 60), failed=3)
    async with batches(desk_with(beside, done)) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count == 2)  # type: ignore[attr-defined]  # ours

        for part in ("claude-haiku", "beside    gpt-5.4-mini", "asked ", "again in", "expires   in", "in_progress"):
            assert part in detail(on), detail(on)
        await pilot.press("down")
        await until(pilot, lambda: "blocked" in detail(on), "kinds of errors")

        for part in ("397 answered, 3 failed of 400", "$0.420, $0.420 less than live", "openai:1:batch_a"):
            assert part in detail(on), detail(on)


async def test_the_monitor_counts_jobs_and_what_they_may_cost() -> None:
    desk = desk_with(a_job("one"), a_job("two"))
    on = Stage(("alpha",), jobs=desk, areas=(COMPARE, BATCHES, MONITOR))
    async with on.app.run_test(size=SIZE) as pilot:
        await ready(pilot)
        await until(pilot, lambda: desk.listeners, "the desk is listened to")
        await pilot.press("ctrl+t", "3")
        bar: Any = on.app.area_screen.query_one("#run")

        await until(pilot, lambda: "2 batches" in bar.plain and "→ ≤ $1.68" in bar.plain, "two jobs of $0.84")


async def test_without_jobs_the_screen_says_how_to_make_one_and_what_providers_offer() -> None:
    async with batches(desk_with()) as (on, pilot):
        empty = on.app.screen.query_one("#jobs-empty")
        await until(pilot, lambda: "OpenAI: 50,000 rows" in str(empty.content), "support")  # type: ignore[attr-defined]  # a Static

        assert "press B in the answers" in str(empty.content)  # type: ignore[attr-defined]  # a Static
        assert on.app.screen.has_class("-no-jobs")


async def test_changes_are_drawn_as_they_come_and_the_cursor_stays_on_its_job() -> None:
    desk = desk_with(a_job("one"))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count == 1)  # type: ignore[attr-defined]  # ours

        desk.change(a_job("two", name="later", created_s=START_S + 5))
        await until(pilot, lambda: on.app.screen.table.count == 2)  # type: ignore[attr-defined]  # ours

        assert on.app.screen.job.id == "one"  # type: ignore[attr-defined]  # ours
        assert "later" in lines(on)[0]


async def test_a_job_in_trouble_is_marked_in_the_list_and_explained_below() -> None:
    troubled = replace(a_job(), problem="OpenAI cannot be reached: no network.")
    async with batches(desk_with(troubled)) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        assert "● running!" in lines(on)[0]
        assert "OpenAI cannot be reached: no network." in detail(on)


async def test_a_click_moves_the_cursor_and_a_second_one_opens() -> None:
    async with batches(desk_with(a_job("one"), ended(a_job("two", created_s=START_S - 5)))) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count == 2)  # type: ignore[attr-defined]  # ours

        await pilot.click("#jobs", offset=(20, 1))
        await until(pilot, lambda: on.app.screen.job.id == "two")  # type: ignore[attr-defined]  # ours
        await pilot.click("#jobs", offset=(20, 1))

        await until(pilot, lambda: isinstance(on.app.screen, BatchRowsScreen))


async def test_what_changes_while_the_list_is_read_is_not_taken_back() -> None:
    class Slow(ScriptedDesk):
        async def jobs(self) -> tuple[Job, ...]:
            found = await super().jobs()
            self.change(ended(a_job("one")))
            return found

    desk = Slow()
    desk.put(a_job("one"))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        assert on.app.screen.job.state is JobState.COMPLETED  # type: ignore[attr-defined]  # ours


async def test_control_codes_in_a_name_or_a_problem_reach_no_terminal() -> None:
    bad = replace(a_job(name="evil\x1b]0;title\x07 name\nnext"), problem="\x1b[31mred\x1b[0m")
    async with batches(desk_with(bad)) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        assert "evil name next" in lines(on)[0]
        assert "\x1b" not in lines(on)[0] + detail(on)
        assert "red" in detail(on)


async def test_the_area_counts_jobs_that_are_not_over_and_their_end_is_told() -> None:
    desk = desk_with(a_job("one"), a_job("two"))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: "Batches·2" in on.app.area_screen.app_bar.plain)
        await pilot.press("ctrl+t", "1")
        await until(pilot, lambda: on.app.screen is on.compare)

        desk.change(ended(a_job("one"), failed=2))
        await until(pilot, lambda: toasts(on), "a toast")

        said = "gpt-5.4-mini: 398 of 400 rows answered, 2 failed · $0.420, $0.420 less than live. ctrl+t 2 shows it."
        assert toasts(on) == [f"Batch partial: river names: {said}"]
        await until(pilot, lambda: "Batches·1" in on.compare.app_bar.plain)


async def test_a_terminal_of_80_by_24_shows_progress_and_age() -> None:
    async with batches(desk_with(a_job()), size=(80, 24)) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours
        table = on.app.screen.table  # type: ignore[attr-defined]  # ours

        line = table.entry(0, 77).plain
        assert len(line.rstrip()) <= 77
        assert "122/400" in line
        assert "0s" in line


# Acting


async def test_cancelling_asks_first_and_escape_leaves_the_job_alone() -> None:
    desk = desk_with(a_job())
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        await pilot.press("x")
        await until(pilot, lambda: isinstance(on.app.screen, ConfirmBar))
        await pilot.press("escape")
        await until(pilot, lambda: on.app.screen.id == "batches")
        assert desk.asked == []

        await pilot.press("x")
        await until(pilot, lambda: isinstance(on.app.screen, ConfirmBar))
        await pilot.press("enter")
        await until(pilot, lambda: desk.asked == [("cancel", "job-1")])
        await until(pilot, lambda: "cancelling" in lines(on)[0])


async def test_failed_rows_are_sent_again_as_a_job_of_their_own() -> None:
    desk = desk_with(ended(a_job(), failed=12))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        await pilot.press("r")
        await until(pilot, lambda: on.app.screen.table.count == 2)  # type: ignore[attr-defined]  # ours

        assert desk.asked == [("retry", "job-1")]
        await until(pilot, lambda: "12 rows of river names are on their way again" in on.app.screen.status.plain)  # type: ignore[attr-defined]  # ours


@pytest.mark.parametrize("key", ["r", "delete"], ids=["retry", "forget"])
async def test_what_only_an_ended_job_allows_does_nothing_to_a_running_one(key: str) -> None:
    desk = desk_with(a_job())
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        await pilot.press(key)
        await pilot.pause()

        assert desk.asked == []
        assert on.app.screen.id == "batches"


async def test_an_ended_job_is_forgotten_after_a_question() -> None:
    desk = desk_with(ended(a_job()))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        await pilot.press("D")
        await until(pilot, lambda: isinstance(on.app.screen, ConfirmBar))
        await pilot.press("y")
        await until(pilot, lambda: on.app.screen.has_class("-no-jobs"))

        assert desk.asked == [("forget", "job-1")]


async def test_the_provider_is_asked_now_when_a_person_wants_to_know() -> None:
    desk = desk_with(a_job())
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        await pilot.press("p")
        await until(pilot, lambda: desk.asked == [("poll", "job-1")])


async def test_a_batch_made_elsewhere_is_taken_up_by_its_id() -> None:
    desk = desk_with()
    async with batches(desk) as (on, pilot):
        await pilot.press("i")
        await until(pilot, lambda: on.app.screen.query("#import-id"))
        support = on.app.screen.query_one("#import-support")
        await until(pilot, lambda: "no key" in str(support.content), "support")  # type: ignore[attr-defined]  # a Static

        await pilot.press(*"openai:1:batch_x", "tab", *"gpt-5.4", "enter")
        await until(pilot, lambda: desk.asked == [("import", "openai:1:batch_x")])
        await until(pilot, lambda: not on.app.screen.has_class("-no-jobs"))

        assert "made elsewhere" in detail(on)


async def test_what_a_provider_refuses_is_told_and_changes_nothing() -> None:
    desk = desk_with(a_job())
    desk.refusal = KeyRejected("OpenAI does not know this key.", provider="openai", status=401, hint="Paste another.")
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        await pilot.press("p")
        await until(pilot, lambda: toasts(on), "a toast")

        assert "Not done: key rejected: OpenAI does not know this key." in toasts(on)[0]
        assert desk.held["job-1"].state is JobState.RUNNING


@pytest.mark.parametrize(
    ("job", "command"),
    [
        (ended(a_job(name="my rows!")), "llm-workbench batch retrieve job-1 --output my-rows.jsonl"),
        (a_job(), "llm-workbench batch watch job-1"),
    ],
    ids=["ended", "running"],
)
async def test_a_job_is_copied_as_a_command(job: Any, command: str) -> None:
    async with batches(desk_with(job)) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        await pilot.press("c")
        await until(pilot, lambda: on.app.clipboard == command)


async def test_rows_are_exported_to_a_file_and_an_existing_one_is_not_overwritten(tmp_path: Path) -> None:
    taken = tmp_path / "taken.csv"
    taken.write_text("mine")
    async with batches(desk_with(ended(a_job(), failed=1))) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        for path in (taken, tmp_path / "rows.csv"):
            await pilot.press("e")
            await until(pilot, lambda: on.app.screen.query("#name"))
            on.app.screen.query_one("#name", Input).value = str(path)
            await pilot.press("enter")
            await until(pilot, lambda: on.app.screen.id == "batches")
        await until(pilot, lambda: "400 rows in" in on.app.screen.status.plain)  # type: ignore[attr-defined]  # ours

        assert taken.read_text() == "mine"
        assert "exists already" in toasts(on)[0]
        head, first, *_, last = (tmp_path / "rows.csv").read_text().splitlines()
        assert head.startswith("index,id,model,prompt,text,error")
        assert first.startswith("0,row-1,gpt-5.4-mini,Name river number 1.")
        assert "blocked: The provider's filter stopped it." in last


# Rows


async def test_fifty_thousand_rows_are_read_by_the_page() -> None:
    counts = JobCounts(50_000)
    desk = desk_with(ended(a_job(counts=counts)))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours

        await pilot.press("enter")
        await until(pilot, lambda: isinstance(on.app.screen, BatchRowsScreen) and on.app.screen.table.row is not None)
        await pilot.press("end")
        await until(pilot, lambda: on.app.screen.table.row is not None and on.app.screen.table.row.index == 49_999)  # type: ignore[attr-defined]  # ours

        assert len(desk.pages) <= 4
        assert "row-50000" in on.app.screen.table.entry(49_999, 116).plain  # type: ignore[attr-defined]  # ours
        await until(pilot, lambda: "river 50000" in str(on.app.screen.query_one("#row-text").content))  # type: ignore[attr-defined]  # a Static


async def test_the_filter_shows_failed_rows_with_their_errors() -> None:
    desk = desk_with(ended(a_job(), failed=3))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(on.app.screen, BatchRowsScreen) and on.app.screen.table.row is not None)

        await pilot.press("f")
        await until(pilot, lambda: on.app.screen.table.count == 3 and on.app.screen.table.row is not None)  # type: ignore[attr-defined]  # ours

        assert on.app.screen.only is RowFilter.FAILED  # type: ignore[attr-defined]  # ours
        assert "blocked: The provider's filter" in lines(on)[0]
        assert "row-398" in lines(on)[0]


async def test_a_row_opens_side_by_side_with_the_answers_of_its_group() -> None:
    one = ended(a_job("one", group="g"))
    two = ended(a_job("two", model="anthropic/claude-haiku-4-5", group="g", created_s=START_S + 1), failed=400)
    async with batches(desk_with(one, two, a_job("other", created_s=START_S - 1))) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count == 3)  # type: ignore[attr-defined]  # ours
        await row_opened(pilot, on)

        panes = on.app.screen.deck.panes  # type: ignore[attr-defined]  # ours
        assert [pane.lane.target.model for pane in panes] == ["gpt-5.4-mini", "anthropic/claude-haiku-4-5"]
        await until(pilot, lambda: panes[0].view.text == "gpt-5.4-mini says: river 1 is the **Rhine**.")
        assert [str(pane.lane.state) for pane in panes] == ["done", "failed"]
        assert "9 tok" in str(panes[0].border_subtitle)
        assert "$0.0011" in str(panes[0].border_subtitle)
        await until(pilot, lambda: "blocked: The provider's filter" in panes[1].notice.plain)


async def row_opened(pilot: Pilot[Any], on: Stage) -> None:
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(on.app.screen, BatchRowsScreen) and on.app.screen.table.row is not None)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(on.app.screen, BatchRowScreen) and on.app.screen.deck.panes, "panes")


async def test_brackets_go_from_row_to_row_and_escape_leads_back_to_the_jobs() -> None:
    async with batches(desk_with(ended(a_job()))) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours
        await row_opened(pilot, on)
        deck = on.app.screen.deck  # type: ignore[attr-defined]  # ours

        await pilot.press("right_square_bracket")
        await until(pilot, lambda: deck.panes and "river 2 is" in deck.panes[0].view.text)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: deck.panes and "river 1 is" in deck.panes[0].view.text)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(on.app.screen, BatchRowsScreen))
        await pilot.press("escape")
        await until(pilot, lambda: on.app.screen.id == "batches")


async def test_a_failed_row_can_be_asked_again_live() -> None:
    desk = desk_with(ended(a_job(model="alpha"), failed=400))
    async with batches(desk, scripts={"alpha": (Say("Live answer."), End())}) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours
        await row_opened(pilot, on)
        await until(pilot, lambda: on.app.screen.deck.panes[0].remedies, "a fix is offered")  # type: ignore[attr-defined]  # ours

        await pilot.press("r")
        await until(pilot, lambda: on.app.screen.deck.panes[0].view.text == "Live answer.")  # type: ignore[attr-defined]  # ours

        assert [request.messages[-1].text for request in on.engine.requests] == ["Name river number 1."]


async def test_a_row_is_taken_to_compare_and_gone_on_with() -> None:
    desk = desk_with(ended(a_job(model="alpha")))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours
        await row_opened(pilot, on)

        await pilot.press("C")
        await until(pilot, lambda: on.app.screen is on.compare and len(on.panes) == 1)
        await until(pilot, lambda: on.panes[0].view.text == "alpha says: river 1 is the **Rhine**.")
        on.compare.editor.insert_typed("And the next one?")
        await pilot.press("enter")
        await until(pilot, lambda: on.engine.requests)

        assert [message.text for message in on.engine.requests[0].messages] == [
            "Name river number 1.",
            "alpha says: river 1 is the **Rhine**.",
            "And the next one?",
        ]


async def test_a_job_that_is_forgotten_closes_its_rows() -> None:
    desk = desk_with(ended(a_job()))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(on.app.screen, BatchRowsScreen))

        await desk.forget("job-1")
        await until(pilot, lambda: on.app.screen.id == "batches")


async def test_the_palette_offers_what_works_on_the_screen_below_it() -> None:
    desk = desk_with(ended(a_job(), failed=2))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours
        with_jobs = {command.title for command in commands(on.app)}
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(on.app.screen, BatchRowsScreen))
        with_rows = {command.title for command in commands(on.app)}

        assert {"Retry failed", "Export", "Import", "Copy command", "Forget"} <= with_jobs
        assert not {"Cancel", "Ask now", "Filter"} & with_jobs
        assert {"Filter", "Export", "Back"} <= with_rows
        assert "Retry failed" not in with_rows


async def test_the_program_ends_quietly_while_other_areas_still_tick() -> None:
    desk = desk_with(ended(a_job()))
    async with batches(desk) as (on, pilot):
        await until(pilot, lambda: on.app.screen.table.count)  # type: ignore[attr-defined]  # ours
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(on.app.screen, BatchRowsScreen))
        rows = on.app.screen
        await pilot.press("ctrl+t", "1")
        await until(pilot, lambda: on.app.screen is on.compare)
        below = on.app.get_screen_stack("batches")[0]

        gone = on.app._screen_stacks["compare"]
        on.app._screen_stacks["compare"] = []
        try:
            assert (rows.is_in_front, below.is_in_front) == (False, False)  # type: ignore[attr-defined]  # ours
            on.app.flash("Nobody sees this.")
        finally:
            on.app._screen_stacks["compare"] = gone
