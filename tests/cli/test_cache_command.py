from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from workbench.cli.entry import run
from workbench.core.clock import ManualClock
from workbench.core.paths import Paths
from workbench.core.settings import CacheSettings
from workbench.core.types import FinishReason, Result, Route, Timing
from workbench.engine.cache import ResponseCache


@pytest.fixture
def stored() -> Path:
    """Three answers of two models, the first one old."""
    directory = Paths.from_environment(os.environ).responses
    clock = ManualClock()

    async def fill() -> None:
        cache = ResponseCache(directory, CacheSettings(), clock, lambda *_: None)
        await cache.open()
        for number, model in enumerate(["gpt-5.4", "gpt-5.4", "haiku"]):
            route = Route(model, "openai", model, "")
            cache.put(
                f"key{number}", Result(f"Answer\x1b[2J {number}", "", FinishReason.STOP, None, 0.25, Timing(0), route)
            )
            clock.advance(86_400)
        await cache.aclose()

    asyncio.run(fill())
    return directory


def keys(capsys: pytest.CaptureFixture[str]) -> set[str]:
    capsys.readouterr()
    assert run(["cache", "export"]) == 0
    return {json.loads(line)["key"] for line in capsys.readouterr().out.splitlines()}


def test_looking_makes_no_cache(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["stats"], ["list"], ["export"], ["clear"], ["prune", "--older-than", "1d"]):
        assert run(["cache", *words]) == 0

    assert not Paths.from_environment(os.environ).responses.exists()
    assert "Nothing is stored" in capsys.readouterr().out


def test_stats_tell_how_much_of_what(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "stats", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["entries"], found["unreadable"], found["worth_usd"]) == (3, 0, 0.75)
    assert found["by_model"] == {"openai/gpt-5.4": 2, "openai/haiku": 1}
    assert found["newest_s"] - found["oldest_s"] == 2 * 86_400


def test_the_list_is_newest_first_and_harmless(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "list", "--limit", "2"]) == 0

    _, first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("openai/haiku    $0.2500  Answer 2")
    assert second.endswith("Answer 1")


def test_prune_deletes_by_age_and_model(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", "prune", "--model", "haiku"]) == 0
    assert keys(capsys) == {"key0", "key1"}

    assert run(["cache", "prune", "--older-than", "1w"]) == 0
    assert keys(capsys) == set()


def test_clear_deletes_everything(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = Paths.from_environment(os.environ).questions
    questions.write_bytes(b"vectors")

    assert run(["cache", "clear"]) == 0

    assert capsys.readouterr().out == "3 deleted.\n"
    assert not questions.exists()
    assert keys(capsys) == set()


@pytest.mark.parametrize("words", [["prune"], ["prune", "--older-than", "soon"]])
def test_prune_wants_to_know_what(words: list[str], stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", *words]) == 2

    assert len(keys(capsys)) == 3
