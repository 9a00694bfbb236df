from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from workbench.cli.config import TEMPLATE
from workbench.cli.entry import run
from workbench.core.settings import Settings, load_settings


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "config" / "config.toml"
    monkeypatch.setenv("LLM_WORKBENCH_CONFIG", str(file))
    return file


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def rows(shown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in shown.splitlines()[2:]]


def test_path_says_where_the_file_is_or_would_be(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "path"]) == 0
    assert capsys.readouterr().out == f"{config_file}\n"


def test_show_tells_where_each_setting_comes_from_and_hides_secrets(
    config_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        config_file,
        '[providers.openai]\nkeys = ["sk-one"]\nheaders = { X-Token = "hush" }\nbase_url = "https://file.example"\n'
        "[limits]\nmax_concurrent = 4\n",
    )
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LLM_GLOBAL_CONCURRENCY", "7")

    assert run(["config", "show"]) == 0

    shown = capsys.readouterr().out
    assert rows(shown) == [
        ["providers.openai.keys", "(hidden)", "config.toml:2"],
        ["providers.openai.headers", "X-Token: (hidden)", "config.toml:3"],
        ["limits.max_concurrent", "4", "config.toml:6"],
        ["limits.global_concurrency", "7", "LLM_GLOBAL_CONCURRENCY"],
        ["providers.openai.base_url", "http://127.0.0.1:9", "OPENAI_BASE_URL"],
    ]


def test_show_without_a_file_lists_the_defaults_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show"]) == 0
    assert "not there; defaults hold" in capsys.readouterr().out

    assert run(["config", "show", "--all"]) == 0
    assert ["retry.max_retries", "3", "default"] in rows(capsys.readouterr().out)


def test_edit_starts_a_private_file_with_examples_that_are_valid(
    config_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", "true")

    assert run(["config", "edit"]) == 0

    assert config_file.read_text() == TEMPLATE
    assert stat.S_IMODE(config_file.stat().st_mode) == 0o600
    # The comments' own contents must hold, too, once somebody takes the marks away.
    config_file.write_text(
        "\n".join(
            line.removeprefix("# ") if "=" in line or line.startswith("# [") else "" for line in TEMPLATE.splitlines()
        )
    )
    assert load_settings(config_file, {}) != Settings()


def test_edit_checks_what_was_written(
    config_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text("import sys; open(sys.argv[1], 'w').write('[uii]\\n')")
    monkeypatch.setenv("VISUAL", f"{sys.executable} {editor}")

    assert run(["config", "edit"]) == 2
    assert "config.toml:1: uii: unknown key.\nDid you mean ui?" in capsys.readouterr().err
