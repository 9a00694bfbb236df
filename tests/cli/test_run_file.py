"""`run --input` as a person types it, against the simulator: results, resuming after a kill, wrong usage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.cli.entry import run
from workbench.core.paths import Paths
from workbench.simulator.server import SimulatorThread


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorThread]:
    with SimulatorThread() as running:
        yield running


@pytest.fixture
def rows(server: SimulatorThread, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_urls["openai"])
    monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "cities.csv"
    file.write_text("id,city\n" + "".join(f"c{number},City{number}\n" for number in range(40)))
    return file


WORDS = ["run", "-m", "gpt-4.1-mini", "--input", "cities.csv", "--output", "out.jsonl", "Where is {{city}}?"]


def results() -> list[dict]:
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def test_every_row_becomes_one_line_of_results(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(WORDS) == 0

    found = results()
    assert sorted(row["id"] for row in found) == sorted(f"c{number}" for number in range(40))
    assert all(row["text"] and row["error"] is None and row["model"] == "gpt-4.1-mini" for row in found)
    assert "40 of 40 rows in out.jsonl" in capsys.readouterr().err


def test_a_run_is_one_entry_of_the_history(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(WORDS) == 0
    assert run(["history", "list", "--json"]) == 0

    (entry,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (entry["name"], entry["prompt"]) == ("cities.csv", "Where is {{city}}?")


def test_a_template_is_kept_with_its_versions_under_the_files_name(
    rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(WORDS) == 0
    assert run([*WORDS[:-2], "later.jsonl", "Where exactly is {{city}}?"]) == 0
    capsys.readouterr()

    assert run(["history", "prompts", "cities.csv", "--json"]) == 0

    kept = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["version"], one["text"]) for one in kept] == [
        (2, "Where exactly is {{city}}?"),
        (1, "Where is {{city}}?"),
    ]


@pytest.mark.parametrize("history", ["", "[history]\nkeep_text = false\n"], ids=["kept", "not kept"])
def test_words_are_kept_only_where_they_may_be(
    rows: Path,
    own_environment: Path,
    history: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    (own_environment / "config").mkdir(exist_ok=True)
    (own_environment / "config" / "config.toml").write_text(history)

    assert run(["run", "-m", "gpt-4.1-mini", "A prompt of mine."]) == 0
    capsys.readouterr()
    assert run(["history", "prompts", "--json"]) == 0

    assert ("A prompt of mine." in capsys.readouterr().out) is not bool(history)


@pytest.mark.parametrize("lines", [1, 9, 30])
def test_killed_at_any_moment_and_resumed_every_row_is_there_once(rows: Path, lines: int) -> None:
    words = [sys.executable, "-m", "workbench", *WORDS, "--concurrency", "2"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, env=os.environ)
    output = Path("out.jsonl")
    while process.poll() is None and (not output.exists() or output.read_bytes().count(b"\n") < lines):
        pass
    process.kill()
    process.wait()

    assert run([*WORDS, "--resume"]) == 0

    assert sorted(row["id"] for row in results()) == sorted(f"c{number}" for number in range(40))


def test_a_disk_that_fills_up_is_named_and_the_run_can_go_on(rows: Path) -> None:
    # Files of this process may not grow beyond so many bytes: what a full disk does, without one.
    program = (
        "import resource, sys\n"
        "from workbench.cli.entry import run\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, hard))\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    filled = subprocess.run(
        [sys.executable, "-c", program, *WORDS], capture_output=True, text=True, timeout=300, check=False
    )
    written = Path("out.jsonl").read_bytes()

    assert run([*WORDS, "--resume"]) == 0

    assert filled.returncode == 1
    assert "Cannot write out.jsonl: File too large." in filled.stderr
    assert "go on with --resume" in filled.stderr
    assert "Traceback" not in filled.stderr
    assert len(written) <= 6_000
    assert sorted(row["id"] for row in results()) == sorted(f"c{number}" for number in range(40))


def test_rows_that_cannot_be_read_are_named_and_left_out_on_request(
    rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rows.jsonl").write_text('{"id": "a", "prompt": "One?"}\n{"prompt": \n{"id": "b", "prompt": "Two?"}\n')
    words = ["run", "-m", "gpt-4.1-mini", "--input", "rows.jsonl", "--output", "out.jsonl"]

    assert run(words) == 2
    refused = capsys.readouterr().err
    assert run([*words, "--skip-bad"]) == 0

    assert "line 2: not JSON" in refused
    assert "--skip-bad" in refused
    assert "rows.jsonl:2: left out: not JSON" in capsys.readouterr().err
    assert sorted(row["id"] for row in results()) == ["a", "b"]


def test_progress_can_be_read_by_programs(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*WORDS, "--progress", "jsonl"]) == 0

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert lines[-1]["done"] == lines[-1]["total"] == 40
    assert lines[-1]["failed"] == 0
    assert [line["done"] for line in lines].count(40) == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "-m", "gpt-4.1-mini", "--input", "cities.csv", "x"], "--input needs --output"),
        (["run", "-m", "gpt-4.1-mini", "--resume", "x"], "--resume goes with --input"),
        (["run", "--input", "cities.csv", "--output", "o.jsonl", "x"], "No model was named"),
        ([*WORDS[:-1], "Where is {{town}}?"], "no value for {{town}}. It has city, id."),
        (["run", "-m", "a", "-m", "a", *WORDS[3:]], "Use --samples"),
        (["run", "-m", "a", "--input", "none.csv", "--output", "o.jsonl", "x"], "Cannot read none.csv"),
    ],
)
def test_wrong_usage_says_what_to_do(
    rows: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2

    assert complaint in capsys.readouterr().err
    assert not Paths.from_environment(os.environ).database.exists()


def test_a_cap_ends_the_run_and_says_once_how_to_go_on(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*WORDS, "--max-cost", "0.0001"]) == 1

    said = capsys.readouterr().err
    assert said.count("--resume") == 1
    assert "Go on with --resume and a higher --max-cost." in said
    # The one that said what they cost, of forty.
    assert len(results()) == 1


def test_results_are_not_written_over(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(WORDS) == 0
    assert run(WORDS) == 2

    assert "Add --resume" in capsys.readouterr().err


def test_one_prompt_to_two_models_is_one_run_with_two_answers(
    rows: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert run(["run", "-m", "gpt-4.1-mini", "-m", "gpt-4.1-nonesuch", "--json", "Hello?"]) == 1
    capsys.readouterr()

    assert run(["history", "export"]) == 0

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["position"], line["model"], line["prompt"]) for line in lines] == [
        (0, "gpt-4.1-mini", "Hello?"),
        (1, "gpt-4.1-nonesuch", "Hello?"),
    ]
    assert [bool(line["error_title"]) for line in lines] == [False, True]


@pytest.mark.parametrize("style", ["lines", "jsonl"])
def test_what_the_engine_has_to_say_stands_beside_the_progress(
    rows: Path, capsys: pytest.CaptureFixture[str], style: str
) -> None:
    rules = "Answer as the harbour master would, in short sentences. " * 120

    assert run([*WORDS[:-1], "--progress", style, "Where is {{city}}? " + rules]) == 0

    [line] = [line for line in capsys.readouterr().err.splitlines() if "layout: " in line]
    assert "Put what stays the same first" in (json.loads(line)["notice"] if style == "jsonl" else line)


def test_a_stored_answer_can_be_said_again_at_its_own_pace(
    rows: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    words = ["run", "-m", "gpt-4.1-mini", "--json", "Say it again?"]
    assert run(words) == 0
    first = json.loads(capsys.readouterr().out)

    assert run([*words, "--replay-speed", "1"]) == 0

    again = json.loads(capsys.readouterr().out)
    assert (again["text"], again["cached"]) == (first["text"], True)
    assert again["e2e_s"] >= first["ttft_s"]
