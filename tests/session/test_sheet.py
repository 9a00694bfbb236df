"""A results file survives every way a run can end: each row stands in it exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.core.errors import UsageError
from workbench.session.sheet import Sheet


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def row(row_id: str, *, error: object = None, digest: str = "d") -> dict:
    return {"id": row_id, "model": "m", "sample": 0, "digest": digest, "text": f"answer {row_id}", "error": error}


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_finished_rows_are_known_again(path: Path):
    with Sheet(path) as sheet:
        sheet.append(row("a"))

    with Sheet(path, resume=True) as sheet:
        assert sheet.is_finished("a", "m", 0, "d")
        assert not sheet.is_finished("a", "m", 1, "d")
        assert not sheet.is_finished("b", "m", 0, "d")


def test_a_line_that_a_crash_cut_off_is_removed(path: Path):
    with Sheet(path) as sheet:
        sheet.append(row("a"))
        sheet.append(row("b"))
    path.write_bytes(path.read_bytes()[:-9])

    with Sheet(path, resume=True) as sheet:
        assert sheet.statistics().repaired
        assert not sheet.is_finished("b", "m", 0, "d")
        sheet.append(row("b"))

    assert ids(path) == ["a", "b"]


@pytest.mark.parametrize("cut", range(0, 140, 7))
def test_wherever_it_is_cut_the_rest_can_be_added_once(path: Path, cut: int):
    with Sheet(path) as sheet:
        for row_id in "abc":
            sheet.append(row(row_id))
    path.write_bytes(path.read_bytes()[:cut])

    with Sheet(path, resume=True) as sheet:
        for row_id in "abc":
            if not sheet.is_finished(row_id, "m", 0, "d"):
                sheet.append(row(row_id))

    assert sorted(ids(path)) == ["a", "b", "c"]


def test_failed_rows_can_be_asked_again_without_a_second_line(path: Path):
    with Sheet(path) as sheet:
        sheet.append(row("a", error={"type": "ServerError"}))
        sheet.append(row("b"))

    with Sheet(path, resume=True) as sheet:
        assert sheet.is_finished("a", "m", 0, "d")
    with Sheet(path, resume=True, retry_failed=True) as sheet:
        assert not sheet.is_finished("a", "m", 0, "d")
        assert sheet.statistics().dropped == 1
        sheet.append(row("a"))

    assert ids(path) == ["b", "a"]


def test_a_row_that_was_edited_is_asked_again(path: Path):
    with Sheet(path) as sheet:
        sheet.append(row("a", digest="old"))
        sheet.append(row("b"))

    with Sheet(path, resume=True) as sheet:
        sheet.forget_changed([("a", "m", 0, "new"), ("b", "m", 0, "d"), ("c", "m", 0, "d")])
        assert not sheet.is_finished("a", "m", 0, "new")
        sheet.append(row("a", digest="new"))

    assert ids(path) == ["b", "a"]


def test_results_are_not_written_over_by_mistake(path: Path):
    with Sheet(path) as sheet:
        sheet.append(row("a"))

    with pytest.raises(UsageError, match="already has results"):
        Sheet(path)


def test_two_runs_cannot_write_one_file(path: Path):
    with Sheet(path), pytest.raises(UsageError, match="Another run is writing"):
        Sheet(path, resume=True)


def test_a_file_of_something_else_is_left_alone(path: Path):
    path.write_text("dear diary\n")

    with pytest.raises(UsageError, match=r":1: not a line of results"):
        Sheet(path, resume=True)

    assert path.read_text() == "dear diary\n"


_KILLED = """
import os, signal, sys
from pathlib import Path
from workbench.session.sheet import Sheet
sheet = Sheet(Path(sys.argv[1]), resume=True)
for number in range(int(sys.argv[2])):
    if not sheet.is_finished(str(number), "m", 0, "d"):
        sheet.append({"id": str(number), "model": "m", "sample": 0, "digest": "d"})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_keeps_what_it_had_written(path: Path):
    for rows in (10, 25):
        subprocess.run([sys.executable, "-c", _KILLED, str(path), str(rows)], check=False)

    assert ids(path) == [str(number) for number in range(25)]
