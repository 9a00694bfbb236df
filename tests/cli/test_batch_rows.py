"""Rows as they are given out: JSON lines and text, with nothing in them that a terminal would obey."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator

import pytest
from batch_values import Terminal, job

from workbench.cli.batch_rows import write_lines, write_texts
from workbench.core.types import FinishReason, Params, Usage
from workbench.jobs.job import JobRow, JobState, RowAnswer, RowError

HOSTILE = "\x1b]0;owned\x07red \x9b31m\u202egreen"
JOB = job(JobState.PARTIAL, done=3, failed=1, total=3)
ANSWERED = JobRow(
    0, "a", (), Params(), RowAnswer(HOSTILE, "Hm.", "", FinishReason.STOP, Usage(input=12, output=5)), 0.25, 0.25
)
FAILED = JobRow(1, "b", (), Params(), RowAnswer(error=RowError("rate limit", f"Too many. {HOSTILE}", "429")))
OPEN = JobRow(2, "c", (), Params())


async def rows(*found: JobRow) -> AsyncIterator[JobRow]:
    for row in found:
        yield row


async def test_a_pipe_gets_what_the_model_wrote_and_a_terminal_nothing_that_it_would_obey(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipe, terminal = io.StringIO(), Terminal()

    for stream in (pipe, terminal):
        monkeypatch.setattr("sys.stdout", stream)
        await write_lines(JOB, rows(ANSWERED))

    assert json.loads(pipe.getvalue())["text"] == HOSTILE
    assert "\x9b" not in terminal.getvalue()
    assert "\u202e" not in terminal.getvalue()


async def test_text_goes_out_under_its_row_s_name_and_failures_go_to_standard_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, err = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)

    await write_texts(rows(ANSWERED, FAILED, OPEN))

    assert out.getvalue() == "── a · 5 tok · $0.250\n\nred green\n\n"
    assert err.getvalue() == "b: rate limit: Too many. red green\nc: open: no result yet\n"
