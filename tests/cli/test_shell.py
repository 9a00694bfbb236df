from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from workbench.cli.bench import BENCHMARKS
from workbench.cli.entry import COMMANDS, run

SECRET = "sk-abcdefghij0123456789"


@pytest.fixture(autouse=True)
def nothing_piped_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())


def test_help_names_every_command_without_importing_any() -> None:
    code = "import sys; from workbench.cli.entry import run; run(['--help']); print(*sorted(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    shown, _, modules = done.stdout.rpartition("\n\n")
    assert all(
        name in shown
        for name in ("run", "models", "keys", "doctor", "config", "themes", "simulate", "bench", "--demo", "--theme")
    )
    loaded = set(modules.split())
    assert loaded.isdisjoint({"textual", "openai", "litellm", "httpx", "msgspec", "workbench.cli.run"})


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    import workbench

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"llm-workbench {workbench.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["modles"], "No command is called 'modles'. Did you mean models?"),
        (["config", "shwo"], "No command is called 'shwo'. Did you mean show?"),
        (["bench", "nothing"], "No command is called 'nothing'."),
        (["models", "--jsn"], "--jsn"),
        (["--thme", "x"], "--thme"),
        (["run", "-m", "gpt-5.4"], "The prompt is empty."),
        (["run", "--json", "--plain", "-m", "gpt-5.4", "hi"], "--json and --plain exclude each other."),
        (["run", "-m", "gpt-5.4", "-p", "temperature", "hi"], "expected key=value, got 'temperature'"),
        (["run", "-m", "gpt-5.4", "-p", "temperature=hot", "hi"], "Parameter temperature: expected a number"),
        (["run", "-m", "gpt-5.4", "-p", "temperature=NaN", "hi"], "Parameter temperature: expected a number"),
        (["run", "-m", "gpt-5.4", "-p", "max_tokens=0", "hi"], "Parameter max_tokens: expected a whole number >= 1"),
        (["run", "-m", "gpt-5.4", "--replay-speed", "inf", "hi"], "'inf' is not a finite number."),
        (["bench", "load", "-m", "gpt-5.4", "--max-cost", "nan"], "'nan' is not a finite number."),
        (["bench", "load", "-m", "gpt-5.4", "--duration", "inf"], "'inf' is not a finite number."),
        (["bench", "limits", "--minutes", "nan"], "'nan' is not a finite number."),
        (["bench", "limits", "--cost", "--live"], "--cost goes alone"),
        (["bench", "routes", "--round-trips", "40,-5"], "no round trip takes less than no time"),
        (["bench", "routes", "--clients", ","], "name one at least of raw"),
        (["simulate", "--time-scale", "nan"], "'nan' is not a finite number."),
        (["run", "hi"], "No model was named."),
        (["run", "-m", "gpt-5.4", "--keys", "2", "hi"], "--keys goes with --demo."),
        (["run", "-m", "gpt-5.4", "--profile", "saturated", "hi"], "--profile goes with --demo."),
        (["tui", "hi"], "The workbench needs a terminal."),
        (["--config", "/nonexistent/config.toml", "keys"], "Cannot read /nonexistent/config.toml"),
    ],
)
def test_wrong_usage_is_explained_and_ends_with_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(arguments)

    assert code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("wrapped", ["BrokenPipeError()", "ExceptionGroup('', [BrokenPipeError()])"])
def test_a_reader_that_has_seen_enough_ends_it_without_a_word(wrapped: str) -> None:
    code = f"""
from workbench.cli.ending import exit_code_of
def action():
    print("something")
    raise {wrapped}
raise SystemExit(exit_code_of(action))
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to be had")
@pytest.mark.parametrize("arguments", [["keys"], ["models", "gpt-5.4"], ["run", "--demo", "-m", "gpt-4.1-mini", "hi"]])
def test_a_full_disk_is_said_in_one_line(arguments: list[str], tmp_path: Path) -> None:
    environ = {**os.environ, **dict.fromkeys(("LLM_CACHE_DIR", "LLM_STATE_DIR", "LLM_DATA_DIR"), str(tmp_path))}

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "workbench", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=environ
        )

    assert (done.returncode, done.stderr) == (1, "llm-workbench: Cannot write the output: No space left on device.\n")


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_a_closed_stream_is_stood_in_for(fd: int, tmp_path: Path) -> None:
    environ = {**os.environ, **dict.fromkeys(("LLM_CACHE_DIR", "LLM_STATE_DIR", "LLM_DATA_DIR"), str(tmp_path))}
    arguments = [sys.executable, "-m", "workbench", "run", "--demo", "-m", "gpt-4.1-mini", "hi"]

    closed = ["sh", "-c", f'exec "$@" {fd}{"<" if fd == 0 else ">"}&-', "sh", *arguments]
    done = subprocess.run(closed, capture_output=True, text=True, env=environ)

    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) is (fd != 1)


def test_a_broken_settings_file_stops_every_command_that_needs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[limits]\nmax_concurent = 1\n")

    for arguments in (["keys"], ["models"], ["config", "show"], ["run", "-m", "gpt-5.4", "hi"]):
        assert run([*arguments, "--config", str(file)]) == 2
        assert f"{file}:2: limits.max_concurent: unknown key.\nDid you mean max_concurrent?" in capsys.readouterr().err


def test_keys_are_listed_by_alias_and_source_and_never_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{SECRET},{SECRET}2")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # demos that others have open now have keys, too

    assert run(["keys"]) == 0
    shown = capsys.readouterr().out
    assert run(["keys", "--json"]) == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert "openai#2  OPENAI_API_KEY" in shown
    assert "ANTHROPIC_API_KEY" in shown.split("Without a key")[1]
    assert [(entry["alias"], entry["source"]) for entry in objects] == [
        ("openai#1", "OPENAI_API_KEY"),
        ("openai#2", "OPENAI_API_KEY"),
    ]
    assert SECRET not in shown + json.dumps(objects)


def test_models_say_what_they_cost_and_why_they_cannot_be_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    assert run(["models", "--json"]) == 0

    models = {entry["model"]: entry for entry in map(json.loads, capsys.readouterr().out.splitlines())}
    assert models["gpt-5"]["available"] is True
    assert models["gpt-5"]["output_usd_per_million"] > models["gpt-5"]["input_usd_per_million"] > 0
    claude = next(entry for name, entry in models.items() if name.startswith("anthropic/"))
    assert claude["available"] is False
    assert claude["why_not"] == "no key: set ANTHROPIC_API_KEY or ANTHROPIC_KEYS"


def test_models_can_be_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "GEMINI-2.5"]) == 0

    shown = capsys.readouterr().out
    assert "gemini/gemini-2.5-pro" in shown
    assert "gpt-5" not in shown


def test_themes_list_ours_and_a_person_s_own_and_report_a_broken_one(
    capsys: pytest.CaptureFixture[str], own_environment: Path
) -> None:
    themes = own_environment / "config" / "themes"
    themes.mkdir(parents=True)
    (themes / "mine.toml").write_text('name = "mine"\nprimary = "#ff0000"\n')
    (themes / "broken.toml").write_text("primary = \n")

    assert run(["themes"]) == 0

    shown = capsys.readouterr()
    assert "workbench-dark" in shown.out
    assert "mine" in shown.out
    assert "tokyo-night" in shown.out
    assert "broken.toml" in shown.err


@pytest.mark.parametrize("name", [*COMMANDS, *(f"bench {name}" for name in BENCHMARKS)])
def test_every_command_that_help_names_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*name.split(), "--help"]) == 0

    assert f"Usage: llm-workbench {name}" in capsys.readouterr().out
