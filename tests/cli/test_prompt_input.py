"""Standard input as a real file descriptor: pipes that speak, pipes that stay silent, files."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from workbench.cli import prompt_input
from workbench.cli.prompt_input import whole_prompt


@pytest.fixture
def pipe() -> Iterator[tuple[IO[str], IO[str]]]:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as reader, os.fdopen(write_end, "w") as writer:
        yield reader, writer


def test_a_pipe_that_speaks_is_appended(pipe: tuple[IO[str], IO[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = pipe
    monkeypatch.setattr("sys.stdin", reader)
    writer.write("the report\n")
    writer.close()

    assert whole_prompt(["Summarise:"]) == "Summarise:\n\nthe report"


def test_a_pipe_that_stays_silent_is_not_waited_for_and_that_is_said(
    pipe: tuple[IO[str], IO[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, _ = pipe
    monkeypatch.setattr("sys.stdin", reader)
    monkeypatch.setattr(prompt_input, "SILENT_PIPE_S", 0.0)

    assert whole_prompt(["Hello."]) == "Hello."
    assert "Standard input stayed silent" in capsys.readouterr().err


def test_a_file_is_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.md"
    file.write_text("the report")
    with file.open() as opened:
        monkeypatch.setattr("sys.stdin", opened)

        assert whole_prompt(["Summarise:"]) == "Summarise:\n\nthe report"


@pytest.mark.parametrize(
    ("came_as", "prompt"),
    [("\udcc3\udca4 and \udce2\udc82\udcac", "ä and €"), ("caf\udce9", "caf\ufffd"), ("\ud800 odd", "\ud800 odd")],
    ids=["another locale", "another encoding", "neither"],
)
def test_bytes_that_the_locale_does_not_know_are_read_as_utf_8(
    came_as: str, prompt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(came_as))

    assert whole_prompt([]) == prompt
    assert whole_prompt([came_as]) == prompt


def test_the_null_device_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)

        assert whole_prompt(["Hello."]) == "Hello."
        assert whole_prompt([]) == ""
