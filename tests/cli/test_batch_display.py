"""How `batch watch` shows jobs: drawn over on a terminal, a line per change elsewhere."""

from __future__ import annotations

import io
import json
import os

import pytest
from batch_values import NOW_S, Terminal, job

from workbench.cli.batch_watch import JsonLines, Lines, LiveTable, display_on, frame
from workbench.cli.table import cells
from workbench.jobs.job import JobState


def test_a_frame_is_no_larger_than_the_terminal_and_shows_open_jobs_first() -> None:
    jobs = [job(JobState.COMPLETED, done=10, id=f"done{number:010}") for number in range(20)]
    jobs += [job(id="open0000000000", problem="The provider cannot be reached. " * 9)]

    lines = frame(jobs, NOW_S, width=60, height=10)

    assert len(lines) <= 10
    assert all(cells(line) <= 60 for line in lines)
    assert lines[1].startswith("open0000000000")
    assert lines[-3] == "… and 15 more"
    assert lines[-2].startswith("open0000000000: The provider cannot be reached. ")
    assert lines[-1] == "1 open · asked 12s ago · again in 48s · Ctrl-C leaves them …"


def test_a_frame_of_ended_jobs_announces_nothing() -> None:
    assert len(frame([job(JobState.COMPLETED, done=10)], NOW_S, width=100, height=20)) == 2


def test_a_live_table_is_drawn_over_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((100, 30)))
    terminal = Terminal()
    table = LiveTable(terminal)

    table.show([job()], NOW_S)
    table.show([job(JobState.COMPLETED, done=10)], NOW_S)

    first, again = terminal.getvalue().split("\x1b[3F")
    assert "running" in first
    assert again.startswith("\x1b[J")
    assert "completed" in again


@pytest.mark.parametrize(
    ("stream", "term", "kind"),
    [(Terminal(), "xterm", LiveTable), (Terminal(), "dumb", Lines), (io.StringIO(), "xterm", Lines)],
    ids=["terminal", "dumb terminal", "pipe"],
)
def test_only_a_terminal_gets_a_table(
    stream: io.StringIO, term: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)

    assert type(display_on(stream, as_json=False)) is kind
    assert type(display_on(stream, as_json=True)) is JsonLines


def test_lines_are_written_for_changes_only() -> None:
    stream = io.StringIO()
    lines = Lines(stream)

    for shown in (job(), job(), job(failed=1), job(JobState.COMPLETED, done=10)):
        lines.show([shown], NOW_S)

    assert [line.split("  ")[3:] for line in stream.getvalue().splitlines()] == [
        ["running", "3/10"],
        ["running", "3/10, 1 failed"],
        ["completed", "10/10"],
    ]


def test_json_lines_are_whole_jobs() -> None:
    stream = io.StringIO()
    lines = JsonLines(stream)

    for shown in (job(), job(), job(JobState.COMPLETED, done=10)):
        lines.show([shown], NOW_S)

    assert [json.loads(line)["state"] for line in stream.getvalue().splitlines()] == ["running", "completed"]
