"""The progress line fits its terminal and says what it does not know."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.progress import ProgressBar, progress_line


def test_the_line_shows_done_rate_and_time_left():
    assert progress_line("m", 120, 400, 4.0, 60) == "m  " + "━" * 10 + "╌" * 22 + "  120/400  30/s  eta 0:09"


def test_without_progress_there_is_no_estimate():
    assert progress_line("m", 0, 10, 5.0, 40).endswith("0/10  0/s  eta —")


def test_the_end_is_no_nearer_than_what_waits_may_go():
    assert progress_line("m", 4, 6, 6.0, 60, not_before_s=14.0).endswith("0.667/s  eta 0:14")
    assert progress_line("m", 4, 60, 6.0, 60, not_before_s=14.0).endswith("0.667/s  eta 1:24")


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (70, "m  ━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  4/12  2/s  eta 0:04  $0.1  why it waits"),
        (40, "m  ━╌╌╌  4/12  eta 0:04  why it waits"),
        (30, "m  ━╌╌╌  4/12  why it waits"),
        (25, "━╌╌╌  4/12  why it waits"),
    ],
)
def test_a_note_stays_whole_where_there_is_little_room(columns: int, line: str):
    shown = progress_line("m", 4, 12, 2.0, columns, after="$0.1", note="why it waits")

    assert re.sub("[━╌]+", "━", shown) == re.sub("[━╌]+", "━", line)
    assert len(shown) <= columns


@given(st.text(max_size=60), st.integers(0, 10**6), st.floats(0, 10**6), st.integers(1, 300))
def test_the_line_never_exceeds_the_terminal(label: str, done: int, elapsed_s: float, columns: int):
    assert len(progress_line(label, done, 10**6, elapsed_s, columns)) <= columns


def test_nothing_is_drawn_where_there_is_no_terminal():
    stream = io.StringIO()

    with ProgressBar(100, "m", stream=stream) as bar:
        for done in range(1, 101):
            bar.update(done, 100)

    assert stream.getvalue() == ""
