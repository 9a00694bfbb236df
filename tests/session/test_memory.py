"""What is remembered survives a restart, stays private, and never keeps the program from starting."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.core.errors import UsageError
from workbench.core.types import Params
from workbench.session.draft import Draft, read_prompt
from workbench.session.memory import HISTORY_LIMIT, Memory
from workbench.session.targets import LineUp, Target


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_everything_comes_back_after_a_restart(directory: Path) -> None:
    line_up = LineUp().add(Target("alpha", Params(temperature=0.2, stop=("END",), extra=(("top_k", 40),)), "cold"))
    memory = Memory(directory)
    memory.save_draft(Draft("Why?\n\nBecause ☃", "be brief"))
    memory.remember_prompt("first")
    memory.toggle_star("alpha")
    memory.remember_models(["beta", "alpha"])
    memory.save_line_up("mine", line_up)
    memory.remember_line_up(line_up)
    memory.remember_looks(theme="nord", layout="grid")

    again = Memory(directory)

    assert again.draft == Draft("Why?\n\nBecause ☃", "be brief")
    assert again.history == ["first"]
    assert (again.stars, again.recent) == ({"alpha"}, ["beta", "alpha"])
    assert again.line_ups["mine"].targets == line_up.targets
    assert again.last_line_up.targets == line_up.targets
    assert (again.theme, again.layout) == ("nord", "grid")
    assert again.problems == []


def test_the_files_are_readable_by_their_owner_alone(directory: Path) -> None:
    Memory(directory).save_draft(Draft("secret plans"))

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [directory, *directory.iterdir()]}

    assert modes == {"state": 0o700, "draft.json": 0o600}


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b'{"prompt": 3}', b""])
def test_a_file_that_makes_no_sense_is_set_aside_and_reported(directory: Path, content: bytes) -> None:
    directory.mkdir()
    (directory / "draft.json").write_bytes(content)

    memory = Memory(directory)

    assert memory.draft == Draft()
    if content != b'{"prompt": 3}':
        assert len(memory.problems) == 1
        assert (directory / "draft.broken").read_bytes() == content
    memory.save_draft(Draft("new"))
    assert Memory(directory).draft == Draft("new")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_cannot_be_written_is_said_once(directory: Path) -> None:
    directory.mkdir(mode=0o500)
    memory = Memory(directory)

    memory.save_draft(Draft("a"))
    memory.save_draft(Draft("b"))

    assert len(memory.problems) == 1


def test_a_file_in_the_directorys_place_is_said_and_survived(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")
    memory = Memory(tmp_path / "state")

    memory.save_draft(Draft("a"))

    assert memory.draft == Draft("a")
    assert memory.problems


def test_nothing_is_written_without_a_directory() -> None:
    memory = Memory(None)

    memory.save_draft(Draft("a"))

    assert memory.draft == Draft("a")
    assert memory.problems == []


def test_a_repeated_prompt_moves_to_the_end_of_the_history(directory: Path) -> None:
    memory = Memory(directory)
    for prompt in ("one", "two", "one"):
        memory.remember_prompt(prompt)

    assert memory.history == ["two", "one"]


def test_the_history_forgets_the_oldest(directory: Path) -> None:
    memory = Memory(None)
    for number in range(HISTORY_LIMIT + 5):
        memory.remember_prompt(str(number))

    assert (len(memory.history), memory.history[0]) == (HISTORY_LIMIT, "5")


def test_a_line_up_with_a_parameter_that_makes_no_sense_loses_only_the_parameter(directory: Path) -> None:
    directory.mkdir()
    (directory / "line-ups.json").write_text('{"last": [{"model": "a", "params": {"temperature": "hot"}}, {}, 3]}')

    assert Memory(directory).last_line_up.targets == (Target("a", slot=1),)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "cannot be read"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: path.write_bytes(b"\xff\x00\xfe"), "not a text file"),
        (lambda path: path.write_bytes(b" " * 2_000_001), "too large"),
    ],
    ids=["missing", "directory", "binary", "huge"],
)
def test_a_file_that_cannot_be_a_prompt_says_why(tmp_path: Path, make: object, said: str) -> None:
    path = tmp_path / "prompt.md"
    make(path)  # type: ignore[operator]  # one of the lambdas above

    with pytest.raises(UsageError, match=said):
        read_prompt(path)


def test_the_locale_decides_nothing_about_what_is_kept(directory: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from workbench.session.draft import Draft; "
        "from workbench.session.memory import Memory; "
        "Memory(Path(sys.argv[1])).save_draft(Draft(chr(0x2603), ''))"
    )
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    subprocess.run([sys.executable, "-c", code, str(directory)], env=plain, check=True)

    assert Memory(directory).draft.prompt == "☃"


def test_half_a_character_costs_nothing_but_itself(directory: Path) -> None:
    Memory(directory).save_draft(Draft("a \ud800 b", ""))

    assert Memory(directory).draft.prompt == "a ? b"
