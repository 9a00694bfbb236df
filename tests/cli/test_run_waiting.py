"""`run` says why it does not go on, and counts down: on a real terminal, against a simulated provider's limit."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.cli.entry import run
from workbench.cli.sweep_progress import ProgressStyle, SweepProgress
from workbench.core.clock import NS_PER_S, ManualClock
from workbench.core.events import WaitReason
from workbench.session.sweep import SweepTally
from workbench.session.waiting import Waiting
from workbench.simulator.quota import QuotaSpec
from workbench.simulator.server import SimulatorThread

RUN = [sys.executable, "-m", "workbench", "run", "-m", "gpt-4.1-mini"]
FILE = ["--input", "cities.csv", "--output", "out.jsonl"]


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SimulatorThread]:
    """Six requests a minute, of which eight are about to be asked: two wait ten seconds and more."""
    with SimulatorThread() as server:
        server.set_quota(QuotaSpec(rpm=6), provider="openai")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_urls["openai"])
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "cities.csv").write_text("id,city\n" + "".join(f"c{n},City{n}\n" for n in range(8)))
        yield server


def shown_until(words: list[str], pattern: str) -> list[str]:
    """What a person at a terminal has seen by the time that all of it matches; the program is stopped there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while re.search(pattern, shown.decode(errors="replace"), re.DOTALL) is None:
            shown += os.read(ours, 4_096)
    except OSError:
        pytest.fail(f"it ended without a match: {shown.decode(errors='replace')}")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return [line for line in re.split(r"[\r\n]+|\x1b\[K", shown.decode(errors="replace")) if line]


def countdowns(lines: list[str]) -> list[int]:
    return [int(found[1]) for line in lines if (found := re.search(r"(?:next|goes) in (\d+) s", line))]


def test_a_run_over_a_file_says_what_it_waits_for_and_counts_down(limited: SimulatorThread) -> None:
    lines = shown_until([*RUN, *FILE, "Where is {{city}}?"], r"next in (\d+) s.*next in (?!\1 s)\d+ s")

    waiting = [line for line in lines if " waiting: " in line]
    assert any(re.search(r"━+╌*  \d/8  .*\d waiting: [a-z ]+, next in \d+ s$", line) for line in waiting)
    assert len(set(countdowns(waiting))) > 1
    assert all(len(line) < 80 for line in lines)


def test_several_answers_to_come_say_what_they_wait_for(limited: SimulatorThread) -> None:
    seen = r"\d of 8 answers to come · \d waiting: .*, next in \d+ s"

    assert countdowns(shown_until([*RUN, *RUN[-2:] * 7, "Where is Rome?"], seen))


def test_the_one_answer_says_what_it_waits_for(limited: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    limited.set_quota(QuotaSpec(rpm=1), provider="openai")
    assert run([*RUN[3:], "Where is Rome?"]) == 0

    lines = shown_until([*RUN, "Where is Oslo?"], r"waiting: .* goes in \d+ s")

    assert countdowns(lines)[0] > 1


TALLY = SweepTally(total=100, done=50)


def test_programs_are_told_reason_and_deadline(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock(100.0)
    progress = SweepProgress(ProgressStyle.JSONL, "out", clock)

    progress.update(TALLY, lambda: Waiting(3, WaitReason.REQUESTS, 112 * NS_PER_S))

    assert json.loads(capsys.readouterr().err)["waiting"] == {
        "requests": 3,
        "reason": "requests per minute",
        "next_in_s": 12.0,
        "next_at_s": clock.wall().timestamp() + 12.0,
    }


def test_the_rate_is_that_of_the_last_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    progress = SweepProgress(ProgressStyle.JSONL, "out", clock)
    kept = SweepTally(total=200, done=20, kept=20)

    # Eighty at once, as a limit's first minute goes, then one every two seconds.
    for second in range(0, 91, 10):
        progress.update(replace(kept, done=100 + second // 2))
        clock.advance(10.0)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[1]["rows_per_s"] == pytest.approx(8.5)
    assert (lines[-1]["done"], lines[-1]["rows_per_s"], lines[-1]["eta_s"]) == (145, 0.5, 110.0)


def test_while_nothing_ends_no_end_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    progress = SweepProgress(ProgressStyle.BAR, "out", clock)

    for _ in range(5):
        clock.advance(10.0)
        progress.update(TALLY, lambda: Waiting(50, WaitReason.COOLING, 60 * NS_PER_S))

    assert "eta —" in capsys.readouterr().err.split("\r")[-1]


def test_programs_are_told_that_nothing_waits_and_that_nobody_knows_how_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    SweepProgress(ProgressStyle.JSONL, "out").update(TALLY)
    SweepProgress(ProgressStyle.JSONL, "out").update(TALLY, lambda: Waiting(3, WaitReason.WINDOW))

    free, full = [json.loads(line)["waiting"] for line in capsys.readouterr().err.splitlines()]
    assert free is None
    assert full == {"requests": 3, "reason": "in-flight limit", "next_in_s": None, "next_at_s": None}


def test_a_log_is_told_the_reason_too(capsys: pytest.CaptureFixture[str]) -> None:
    SweepProgress(ProgressStyle.LINES, "out").update(TALLY, lambda: Waiting(3, WaitReason.WINDOW))

    assert capsys.readouterr().err == "50/100 after 0:00 · $0.0000 · 3 waiting: in-flight limit\n"


def test_what_waits_is_not_asked_for_when_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def ask() -> Waiting | None:
        raise AssertionError("asked for nothing")

    progress = SweepProgress(ProgressStyle.JSONL, "out")
    progress.update(SweepTally(total=100, done=1), ask)
    with progress.held():
        progress.update(TALLY, ask, last=True)

    assert capsys.readouterr().err == ""


def test_a_question_is_not_drawn_over(capsys: pytest.CaptureFixture[str]) -> None:
    progress = SweepProgress(ProgressStyle.BAR, "out")
    progress.update(TALLY, last=True)

    with progress.held():
        progress.update(TALLY, last=True)

    # Its line is taken away, and none follows.
    assert capsys.readouterr().err.endswith("\r\x1b[K")
