"""Questions in other words: off unless asked for, marked as such, and never across models, systems or samples."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workbench import LLM
from workbench.cli.answers import figures_of
from workbench.core.events import CacheHit
from workbench.core.paths import Paths
from workbench.loop_thread import close_shared_loop_thread, shared_loop_thread
from workbench.session.lane_state import LaneState
from workbench.session.numbers import Numbers
from workbench.simulator.faults import FaultRule, parse
from workbench.simulator.server import SimulatorThread
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.lane_header import header_figures

MODEL = "gpt-4.1-mini"
FIRST = "Which river runs through the old town of Passau in Bavaria"
AGAIN = "Which river runs through the old town of Passau in Bavaria please"
OTHER = "How do tulips survive a long winter"


@pytest.fixture
def semantic(simulator: SimulatorThread, own_environment: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatorThread:
    simulator.set_faults()
    config = own_environment / "semantic.toml"
    config.write_text("[cache]\nsemantic = true\nsemantic_threshold = 0.8\n")
    monkeypatch.setenv("LLM_WORKBENCH_CONFIG", str(config))
    return simulator


def test_it_is_off_unless_asked_for(simulator: SimulatorThread) -> None:
    llm = LLM(MODEL)
    llm.chat(FIRST)

    assert not llm.complete(AGAIN).cached
    assert not Paths.from_environment(os.environ).questions.exists()


def test_a_question_in_other_words_has_the_answer_of_the_first_and_says_so(semantic: SimulatorThread) -> None:
    llm = LLM(MODEL)
    first = llm.complete(FIRST)

    again, other, same = llm.complete(AGAIN), llm.complete(OTHER), llm.complete(FIRST)

    assert (again.text, again.cached, again.cost_usd) == (first.text, True, 0.0)
    assert again.similarity is not None
    assert 0.8 <= again.similarity < 1
    assert f"≈ {again.similarity:.2f}" in figures_of(again)
    assert not other.cached
    assert (same.cached, same.similarity) == (True, None)


async def test_the_event_says_how_alike(semantic: SimulatorThread) -> None:
    await LLM(MODEL).achat(FIRST)

    [hit] = [event async for event in LLM(MODEL).astream_events(AGAIN) if isinstance(event, CacheHit)]

    assert hit.similarity is not None


def test_nothing_else_may_differ(semantic: SimulatorThread) -> None:
    LLM(MODEL).chat(FIRST, "Be brief.")

    strangers = [
        LLM("gpt-4.1").complete(AGAIN, "Be brief."),
        LLM(MODEL).complete(AGAIN, "Be long."),
        LLM(MODEL).complete(AGAIN, "Be brief.", temperature=0.1),
    ]
    samples = LLM(MODEL).generate(AGAIN, "Be brief.", n=2, silent=True)

    assert [one.cached for one in strangers] == [False] * 3
    assert samples[0][0] != samples[0][1]


def test_without_the_cache_nobody_looks(semantic: SimulatorThread) -> None:
    LLM(MODEL).chat(FIRST)

    assert not LLM(MODEL).complete(AGAIN, cache=False).cached


def test_it_outlives_the_engine_readable_by_its_owner_alone(semantic: SimulatorThread) -> None:
    LLM(MODEL).chat(FIRST)
    close_shared_loop_thread()

    assert LLM(MODEL).complete(AGAIN).cached
    file = Paths.from_environment(os.environ).questions
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_database_fails_no_request(semantic: SimulatorThread) -> None:
    file = Paths.from_environment(os.environ).questions
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"not a database" * 100)

    assert LLM(MODEL).chat(FIRST)
    assert not LLM(MODEL).complete(AGAIN).cached


def test_embeddings_that_fail_fail_no_request(semantic: SimulatorThread) -> None:
    semantic.set_faults(FaultRule(parse("html-error"), model="text-embedding-*"))

    assert LLM(MODEL, max_retries=0).chat(FIRST)


def test_clearing_the_cache_forgets_the_questions_too(semantic: SimulatorThread) -> None:
    LLM(MODEL).chat(FIRST)

    shared_loop_thread().run(lambda host: host.engine.clear_cache())

    assert not LLM(MODEL).complete(AGAIN).cached


@pytest.mark.parametrize(("ascii_only", "shown"), [(False, "cached ≈ 0.97"), (True, "cached ~ 0.97")])
def test_the_pane_says_how_alike(ascii_only: bool, shown: str) -> None:
    numbers = Numbers(similarity=0.973, saved_usd=0.01)

    line = header_figures(numbers, LaneState.CACHED, lambda _: (), accent=1, glyphs=Glyphs(ascii_only), width=60)

    assert line.plain.startswith(shown)
