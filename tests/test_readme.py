"""What the README shows is checked here, so that it cannot quietly become untrue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workbench.cli.entry import COMMANDS
from workbench.core.pricing import PriceTable
from workbench.core.settings import load_settings
from workbench.providers.configured import configured_rows

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_it_opens_with_the_demo_and_the_tests() -> None:
    demo, tests = blocks("sh")[:2]

    assert demo.strip().endswith("pip install . && .venv/bin/llm-workbench --demo")
    assert "pip install -e '.[test]' && .venv/bin/pytest" in tests


def test_ci_runs_the_test_command_word_for_word() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert "pip install -e '.[test]'\" README.md" in script
    assert sum("pip install -e '.[test]'" in line for line in README.splitlines()) == 1


def test_the_settings_that_it_shows_are_valid(tmp_path: Path) -> None:
    settings_file, prices_file = tmp_path / "config.toml", tmp_path / "prices.toml"
    settings_file.write_text(blocks("toml")[0])
    prices_file.write_text(blocks("toml")[1])

    settings = load_settings(settings_file, {})

    assert configured_rows(settings, {})
    assert PriceTable.load(settings, prices_file)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"tui"}))
def test_it_names_every_command(command: str) -> None:
    assert f"llm-workbench {command}" in README
