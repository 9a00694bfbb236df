"""The real program in a terminal of its own, ended by somebody else."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

INTO_THE_SCREEN, OUT_OF_THE_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"


def read_some(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux: nobody has the other side open any more
        return b""


@pytest.mark.parametrize("told_by", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_terminal_is_given_back_to_whoever_comes_after(told_by: signal.Signals, own_environment: Path) -> None:
    terminal, other_side = pty.openpty()
    nobody = {"OPENAI_API_KEY": "sk-none-of-yours", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    environ = {**os.environ, **nobody, "TERM": "xterm-256color"}
    arguments = [sys.executable, "-m", "workbench", "-m", "gpt-4.1-mini"]
    with subprocess.Popen(arguments, stdin=other_side, stdout=other_side, stderr=other_side, env=environ) as program:
        os.close(other_side)
        shown = b""
        # The panes are drawn once everything is mounted.
        while b"gpt-4.1-mini" not in shown and (piece := read_some(terminal)):
            shown += piece
        program.send_signal(told_by)
        while piece := read_some(terminal):
            shown += piece
    os.close(terminal)

    assert program.returncode == 128 + told_by
    assert shown.count(INTO_THE_SCREEN) == shown.count(OUT_OF_THE_SCREEN) == 1
