"""A library call whose cache or history is unusable: the answer comes, and what is wrong is said once."""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from workbench import LLM
from workbench.core.paths import Paths
from workbench.loop_thread import close_shared_loop_thread
from workbench.store.database import Database
from workbench.store.migrations import STEPS

pytestmark = pytest.mark.usefixtures("simulator")

MODEL = "gpt-4.1-mini"


@pytest.fixture
def store(own_environment: Path) -> Iterator[Path]:
    """A history that has been used before."""
    path = Paths.from_environment(os.environ).database
    Database(path).close()
    yield path
    close_shared_loop_thread()


def answers_and_warnings() -> tuple[list[str], list[str]]:
    """What two calls give, and what was said until the engine was closed."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        answers = [LLM(MODEL).chat("One?"), LLM(MODEL).chat("Two?")]
        close_shared_loop_thread()
    return answers, [str(one.message) for one in said if "history" in str(one.message)]


def test_a_history_from_a_newer_version_costs_no_answer(store: Path) -> None:
    with closing(sqlite3.connect(store)) as newer:
        newer.execute(f"PRAGMA user_version = {len(STEPS) + 1}")

    answers, said = answers_and_warnings()

    assert all(answers)
    assert len(said) == 1
    assert "was written by a newer version" in said[0]


def test_a_history_that_another_program_has_locked_costs_no_answer(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.store.database.BUSY_S", 0.02)
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        answers, said = answers_and_warnings()

        other.execute("ROLLBACK")

    assert all(answers)
    assert len(said) == 1
    assert "is locked by another program" in said[0]


def test_a_history_that_is_no_database_costs_no_answer(store: Path) -> None:
    store.write_bytes(b"not a database at all, and long enough to be taken for one" * 100)

    answers, said = answers_and_warnings()

    assert all(answers)
    assert len(said) == 1
    assert "is damaged" in said[0]


def test_a_cache_directory_that_is_none_costs_no_answer(own_environment: Path) -> None:
    place = Paths.from_environment(os.environ).responses
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("in its place")

    answers, said = answers_and_warnings()

    assert all(answers)
    assert said == []


def test_a_shard_of_the_cache_that_is_no_database_costs_no_answer(own_environment: Path) -> None:
    LLM(MODEL).chat("One?")
    close_shared_loop_thread()
    shards = sorted(Paths.from_environment(os.environ).responses.glob("*/cache.db"))
    for shard in shards:
        shard.write_bytes(b"no database" * 1000)

    answers, _ = answers_and_warnings()

    assert shards
    assert all(answers)
