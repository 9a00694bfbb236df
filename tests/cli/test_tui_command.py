"""The bare command in a real pseudo-terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from workbench.bench.terminal import QUIT, TerminalProgram

WORKBENCH = (sys.executable, "-m", "workbench")


@pytest.fixture
def environ() -> Mapping[str, str]:
    return {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def test_the_bare_command_opens_the_workbench_and_ctrl_q_leaves_it(environ: Mapping[str, str]) -> None:
    with TerminalProgram(WORKBENCH, environ) as program:
        program.wait_for(b"llm-workbench")
        program.press(QUIT)

        assert program.finish() == 0


def test_a_prompt_and_a_pipe_come_into_the_editor_and_keys_still_work(environ: Mapping[str, str]) -> None:
    script = 'echo "piped in" | "$0" -m workbench --demo "Given"'

    with TerminalProgram(("/bin/sh", "-c", script, sys.executable), environ) as program:
        program.wait_for(b"Given")
        program.wait_for(b"piped in")
        program.press(QUIT)

        assert program.finish() == 0


def test_broken_settings_are_reported_in_plain_text_and_nothing_opens(environ: Mapping[str, str]) -> None:
    config = Path(environ["LLM_CONFIG_DIR"])
    config.mkdir(parents=True)
    (config / "config.toml").write_text("[uii]\n")

    with TerminalProgram(WORKBENCH, environ) as program:
        program.wait_for(b"uii: unknown key.")
        program.wait_for(b"Did you mean ui?")

        assert program.finish() == 2
