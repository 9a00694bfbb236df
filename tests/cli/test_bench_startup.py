from __future__ import annotations

import json
import os
import sys

import pytest

from workbench.bench import startup
from workbench.bench.startup import Figure
from workbench.bench.terminal import NothingPainted, TerminalProgram, first_paint_s
from workbench.cli.entry import run

FIGURE = Figure("first paint", 0.5, "Textual, 12 widgets", 0.4, 1.25, "×", 1.3)


def test_a_text_on_the_screen_is_timed_and_the_program_is_left_by_its_own_key() -> None:
    program = "import sys, termios, tty; tty.setraw(0); print('ready', flush=True); sys.stdin.read(1)"

    assert 0 < first_paint_s([sys.executable, "-c", program], b"ready", os.environ) < 30


def test_a_program_that_ends_without_painting_is_reported_with_its_last_words() -> None:
    with (
        TerminalProgram(["/bin/sh", "-c", "echo went wrong"], os.environ) as program,
        pytest.raises(NothingPainted, match="went wrong"),
    ):
        program.wait_for(b"ready")


def test_every_row_says_what_it_was_compared_with(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "measure", lambda runs: iter([FIGURE]))

    assert run(["bench", "startup", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "measure": "first paint",
        "ours_s": 0.5,
        "peer": "Textual, 12 widgets",
        "peer_s": 0.4,
        "compared": 1.25,
        "unit": "×",
        "target": 1.3,
        "met": True,
    }

    assert run(["bench", "startup"]) == 0
    assert (
        "| first paint | 0.500 s | Textual, 12 widgets | 0.400 s |  1.250 × | met ≤ 1.3 × |" in capsys.readouterr().out
    )
