"""What the README shows is checked here, so that it cannot quietly become untrue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workbench.cli.entry import COMMANDS
from workbench.core.pricing import PriceTable
from workbench.core.settings import Settings, load_settings
from workbench.engine.router import Router
from workbench.providers.configured import configured_rows
from workbench.simulator.models import ModelIndex, Provider, all_models

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


def test_every_model_that_it_asks_can_be_asked_in_the_demo() -> None:
    shown = "\n".join(blocks("sh") + blocks("python"))
    names = set(re.findall(r"\b(?:(?:gemini|anthropic|local)/|gpt-)[\w.-]*\w", shown))
    router, played = Router(Settings(), {}), ModelIndex(all_models())

    unknown = [
        name
        for name in names
        if (target := router.route(name)[0]) and not played.find(Provider(target.spec.name), target.route.wire_model)
    ]

    assert len(names) > 5
    assert unknown == []


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"tui"}))
def test_it_names_every_command(command: str) -> None:
    assert f"llm-workbench {command}" in README
