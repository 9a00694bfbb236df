"""Batch jobs for the screens: the board that is kept current, pages of rows, words, and files to take away."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.errors import UsageError
from workbench.core.types import Channel, FinishReason, KeyAlias, Message, Params, Usage
from workbench.jobs.job import Job, JobChange, JobCounts, JobRow, JobState, RowAnswer, RowError
from workbench.session import job_words
from workbench.session.job_board import JobBoard
from workbench.session.job_export import export_rows
from workbench.session.job_lanes import fill, line_up_of, turn_of
from workbench.session.job_pages import KEPT, PAGE, RowPages
from workbench.session.job_words import LOOKS
from workbench.session.lane import Lane
from workbench.session.lane_state import LaneState
from workbench.session.monitor_outlook import BatchOutlook


def job(job_id: str = "a", state: JobState = JobState.RUNNING, *, created_s: float = 100.0, **changes: object) -> Job:
    base = Job(
        job_id, "rivers", "gpt-5.4-mini", "openai", KeyAlias("openai#1"), None, state, JobCounts(10), (), created_s
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # whatever a test wants to be different


def row(index: int, answer: RowAnswer | None) -> JobRow:
    return JobRow(index, f"r{index}", (Message.user(f"Question {index}?"),), Params(), answer, cost_usd=0.001)


ANSWERED = RowAnswer("Yes,\n\x1b[31mindeed", "Hm.", finish_reason=FinishReason.STOP, usage=Usage(input=5, output=3))
FAILED = RowAnswer(error=RowError("blocked", "The filter stopped it.", "content_filter"))


# The board


def test_the_board_keeps_jobs_newest_first_and_counts_those_that_are_open() -> None:
    board = JobBoard()
    board.load([job("old", JobState.COMPLETED, created_s=1.0), job("new", created_s=3.0)])

    board.apply(JobChange(job("mid", created_s=2.0), None), 10.0)

    assert [one.id for one in board.jobs] == ["new", "mid", "old"]
    assert board.open_count == 2


def test_what_happens_to_a_job_is_logged_once_and_newest_first() -> None:
    board = JobBoard()
    board.load([job(state=JobState.QUEUED)])
    running = job()

    board.apply(JobChange(running, JobState.QUEUED), 10.0)
    board.apply(JobChange(replace(running, counts=JobCounts(10, 3, 0)), JobState.RUNNING), 11.0)
    board.apply(JobChange(replace(running, problem="no network"), JobState.RUNNING), 12.0)
    board.apply(JobChange(running, JobState.RUNNING), 13.0)

    assert [(line.at_s, line.text) for line in board.log("a")] == [
        (13.0, "no longer in trouble"),
        (12.0, "no network"),
        (10.0, "running"),
    ]


def test_open_jobs_cost_at_most_what_was_estimated_and_what_is_collected_is_spent() -> None:
    board = JobBoard()
    board.load([job("a", estimate_usd=0.5), job("b", estimate_usd=0.25), job("old", JobState.COMPLETED, cost_usd=9.0)])
    before = board.outlook

    board.apply(JobChange(job("a", JobState.COLLECTING, estimate_usd=0.5, cost_usd=0.125), JobState.RUNNING), 1.0)
    part = board.outlook
    board.apply(JobChange(job("a", JobState.COMPLETED, estimate_usd=0.5, cost_usd=0.25), JobState.COLLECTING), 2.0)

    assert before == BatchOutlook(jobs=2, most_usd=0.75, spent_usd=0.0)
    assert part == BatchOutlook(jobs=2, most_usd=0.625, spent_usd=0.125)
    assert board.outlook == BatchOutlook(jobs=1, most_usd=0.25, spent_usd=0.25)


def test_a_job_without_an_estimate_may_cost_anything() -> None:
    board = JobBoard()

    board.load([job("a", estimate_usd=0.5), job("b")])

    assert board.outlook == BatchOutlook(jobs=2, most_usd=None)


def test_answers_of_a_job_without_a_price_are_not_taken_to_be_free() -> None:
    board = JobBoard()
    board.load([job("a"), job("b")])

    board.apply(JobChange(job("a", JobState.COMPLETED, counts=JobCounts(10, 10)), JobState.COLLECTING), 1.0)
    board.apply(JobChange(job("b", JobState.FAILED, counts=JobCounts(10, 0, 10)), JobState.RUNNING), 2.0)

    assert board.outlook == BatchOutlook(jobs=0, unpriced=1)


def test_a_forgotten_job_leaves_the_board() -> None:
    board = JobBoard()
    board.load([job("a"), job("b")])

    board.apply(JobChange(job("a"), JobState.RUNNING, gone=True), 1.0)

    assert [one.id for one in board.jobs] == ["b"]


def test_jobs_of_one_submission_stand_together_in_the_order_in_which_they_were_submitted() -> None:
    first, second = job("x1", group="g", created_s=1.0), job("x2", group="g", created_s=2.0)
    board = JobBoard()
    board.load([second, job("other"), first])

    assert board.peers(second) == (first, second)
    assert board.peers(board.jobs[0]) == (board.jobs[0],)


# Pages


async def test_pages_are_fetched_once_and_old_ones_are_let_go() -> None:
    fetched: list[int] = []

    async def fetch(offset: int, limit: int) -> tuple[JobRow, ...]:
        fetched.append(offset)
        return tuple(row(index, None) for index in range(offset, offset + limit))

    pages = RowPages(fetch, 100 * PAGE)
    for number in range(KEPT + 5):
        for missing in pages.missing(range(number * PAGE, number * PAGE + 30)):
            await pages.load(missing)

    assert fetched == [number * PAGE for number in range(KEPT + 5)]
    assert pages.get(0) is None
    assert (pages.get((KEPT + 4) * PAGE) or row(-1, None)).index == (KEPT + 4) * PAGE
    assert pages.missing(range(PAGE - 1, PAGE + 1)) == [0, 1]


async def test_a_page_that_comes_short_says_how_many_rows_there_are() -> None:
    async def fetch(offset: int, limit: int) -> tuple[JobRow, ...]:
        return tuple(row(index, None) for index in range(offset, min(250, offset + limit)))

    pages = RowPages(fetch, 1_000)
    await pages.load(1)

    assert pages.count == 250
    assert pages.get(249) is not None
    assert pages.get(250) is None


# Words


def test_every_state_has_a_look_of_its_own() -> None:
    assert set(LOOKS) == set(JobState)
    assert all(len(look.glyph) == len(look.ascii_glyph) == 1 and look.ascii_glyph.isascii() for look in LOOKS.values())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "—"), (-3, "0s"), (42, "42s"), (725, "12m05s"), (11_045, "3h04m"), (183_600, "2d3h")],
)
def test_spans_of_time_are_as_fine_as_a_person_cares(seconds: float | None, said: str) -> None:
    assert job_words.span(seconds) == said


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=200))
def test_nothing_that_a_terminal_obeys_is_left_of_a_name(text: str) -> None:
    said = job_words.name_of(job(name=text))

    assert not any(letter < " " or "\x7f" <= letter < "\xa0" for letter in said)


def test_a_price_is_an_estimate_until_it_is_known() -> None:
    assert job_words.money(job(estimate_usd=0.5)) == "~$0.500"
    assert job_words.money(job(estimate_usd=0.5, cost_usd=0.25, saved_usd=0.25)) == "$0.250, $0.250 less than live"
    assert job_words.money(job()) == "—"


# Lanes


def test_an_answered_row_is_a_finished_turn_with_its_tokens_and_cost() -> None:
    turn = turn_of(job(), row(0, ANSWERED))

    assert turn is not None
    assert turn.state is LaneState.DONE
    assert (turn.prompt, turn.text(), turn.text(Channel.REASONING)) == ("Question 0?", ANSWERED.text, "Hm.")
    numbers = turn.numbers(0)
    assert (numbers.output_tokens, numbers.tokens_estimated, numbers.cost_usd) == (3, False, 0.001)
    assert (numbers.ttft_s, numbers.rate_tps) == (None, None)


def test_a_failed_row_is_a_failed_turn_and_an_open_one_is_none_yet() -> None:
    failed = turn_of(job(), row(0, FAILED))

    assert failed is not None
    assert failed.state is LaneState.FAILED
    assert "blocked: The filter stopped it." in str(failed.error)
    assert turn_of(job(), row(0, None)) is None


def test_rows_of_several_jobs_become_lanes_of_their_models() -> None:
    found = [(job("a"), row(0, ANSWERED)), (job("b", model="gemini/gemini-2.5-flash"), row(0, None))]
    lanes = [Lane(target) for target in line_up_of(found)]

    fill(lanes, found)

    assert [lane.target.model for lane in lanes] == ["gpt-5.4-mini", "gemini/gemini-2.5-flash"]
    assert [lane.state for lane in lanes] == [LaneState.DONE, LaneState.READY]


# Files


async def rows() -> AsyncIterator[JobRow]:
    for one in (row(0, ANSWERED), row(1, FAILED), row(2, None)):
        yield one


async def test_jsonl_has_an_object_per_row_with_its_question_and_what_came_of_it(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"

    assert await export_rows(job(), rows(), path) == 3

    first, second, third = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["id"], first["text"], first["usage"]["output_tokens"]) == ("r0", ANSWERED.text, 3)
    assert first["messages"] == [{"role": "user", "content": "Question 0?"}]
    assert first["error"] is None
    assert second["error"] == {"title": "blocked", "message": "The filter stopped it.", "code": "content_filter"}
    assert third["error"]["title"] == "open"


async def test_csv_has_a_line_per_row_whatever_is_in_its_texts(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"

    await export_rows(job(), rows(), path)

    with path.open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [one["prompt"] for one in found] == ["Question 0?", "Question 1?", "Question 2?"]
    assert found[0]["text"] == ANSWERED.text
    assert found[1]["error"] == "blocked: The filter stopped it."


async def test_markdown_can_be_read_without_harm(tmp_path: Path) -> None:
    path = tmp_path / "out.md"

    await export_rows(job(), rows(), path)

    text = path.read_text()
    assert text.startswith("# rivers\n\ngpt-5.4-mini · running\n")
    assert "## r0\n\n### Prompt\n\nQuestion 0?\n\n### Reasoning\n\n> Hm.\n\n### Answer\n\nYes,\nindeed" in text
    assert "*(blocked: The filter stopped it.)*" in text
    assert "\x1b" not in text


def test_an_export_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[JobRow]:
        yield row(0, ANSWERED)
        raise UsageError("gone")

    with pytest.raises(UsageError, match="gone"):
        asyncio.run(export_rows(job(), broken(), tmp_path / "out.csv"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.xlsx", "out", "missing/out.csv"])
async def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        await export_rows(job(), rows(), tmp_path / name)
