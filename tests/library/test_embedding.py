"""Vectors for texts: every family, the provider's sizes, the cache per text, refusals and money."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import LLM
from workbench.core.errors import ContextOverflow, ServerError, UsageError
from workbench.core.paths import Paths
from workbench.engine.embedding import MOST_CHARACTERS, parts_of
from workbench.loop_thread import close_shared_loop_thread
from workbench.simulator.faults import FaultRule, parse
from workbench.simulator.server import SimulatorThread
from workbench.store.database import Database
from workbench.store.usage import GroupBy, totals

pytestmark = pytest.mark.usefixtures("simulator")

MODEL = "text-embedding-3-small"


@pytest.fixture(autouse=True)
def no_faults(simulator: SimulatorThread) -> None:
    simulator.set_faults()


def asked(simulator: SimulatorThread) -> int:
    count: int = simulator.call(lambda simulation: simulation.journal.tally().requests)
    return count


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (MODEL, 1536),
        ("gemini/gemini-embedding-001", 3072),
        ("together_ai/BAAI/bge-base-en-v1.5", 768),
        ("local/nomic-embed-text", 768),
    ],
)
def test_texts_become_unit_vectors_in_their_order(model: str, size: int) -> None:
    texts = ["red apples", "a quiet harbour", "red apples and pears"]

    vectors = LLM(model).embed(texts)
    again = LLM(model).embed(texts[::-1], cache=False)

    assert [len(vector) for vector in vectors] == [size] * 3
    assert vectors == again[::-1]
    assert math.dist(vectors[0], vectors[2]) < math.dist(vectors[0], vectors[1])


async def test_the_async_twin_works_in_a_running_loop() -> None:
    assert len(await LLM(MODEL).aembed(["one", "two"], dimensions=8)) == 2


def test_a_long_list_goes_out_in_requests_of_the_providers_size(simulator: SimulatorThread) -> None:
    before = asked(simulator)

    vectors = LLM("local/nomic-embed-text").embed([f"text {number}" for number in range(200)])

    assert len(vectors) == 200
    assert asked(simulator) == before + 3


def test_only_what_is_new_is_asked_for(simulator: SimulatorThread) -> None:
    llm = LLM(MODEL)
    first = llm.embed(["kept", "kept too", "kept"], dimensions=16)
    before = asked(simulator)

    again = llm.embed(["kept too", "new", "kept"], dimensions=16)
    same = llm.embed(["kept", "new"], dimensions=16)

    assert [again[2], again[0]] == [first[0], first[1]]
    assert same == [again[2], again[1]]
    assert asked(simulator) == before + 1
    assert (llm.totals.requests, llm.totals.cache_hits) == (6, 4)


def test_vectors_of_another_size_are_other_vectors() -> None:
    llm = LLM(MODEL)

    assert [len(llm.embed("size?", dimensions=size)[0]) for size in (8, 16)] == [8, 16]


def test_the_cache_outlives_the_process_part_of_the_engine(simulator: SimulatorThread) -> None:
    first = LLM(MODEL).embed(["on disk"])
    close_shared_loop_thread()
    before = asked(simulator)

    assert LLM(MODEL).embed(["on disk"]) == first
    assert asked(simulator) == before


def test_usage_and_cost_are_counted(own_environment: Path) -> None:
    llm = LLM(MODEL)

    llm.embed([f"counted {number}" for number in range(10)])

    assert llm.total_input_tokens >= 20
    assert llm.total_output_tokens == 0
    assert 0 < llm.total_cost < 0.001


async def test_what_embeddings_cost_is_in_the_history() -> None:
    llm = LLM(MODEL)
    await llm.aembed(["recorded?"])
    close_shared_loop_thread()

    database = Database(Paths.from_environment(os.environ).database)
    (total,) = await totals(database, GroupBy.SESSION)
    await database.aclose()

    assert (total.requests, total.input_tokens) == (1, llm.total_input_tokens)


def test_what_breaks_off_is_sent_again_within_the_retries(simulator: SimulatorThread) -> None:
    simulator.set_faults(FaultRule(parse("reset"), count=1), FaultRule(parse("html-error"), count=1))
    before = asked(simulator)

    assert LLM(MODEL).embed(["after some trouble"], cache=False)
    assert asked(simulator) == before + 3
    simulator.set_faults(FaultRule(parse("html-error"), count=1))
    with pytest.raises(ServerError):
        LLM(MODEL, max_retries=0).embed(["no more tries"], cache=False)


def test_a_failed_part_leaves_the_others_in_the_cache(simulator: SimulatorThread) -> None:
    llm = LLM("local/nomic-embed-text")
    texts = [f"part {number}" for number in range(192)]
    with pytest.raises(ContextOverflow):
        llm.embed([*texts, "far too long " * 5_000])
    before = asked(simulator)

    assert len(llm.embed(texts)) == 192
    assert asked(simulator) == before


@pytest.mark.parametrize("texts", [[""], ["fine", None], ["fine", "  "]])
def test_nothing_is_not_embedded(texts: list[str]) -> None:
    with pytest.raises(UsageError, match=f"text {len(texts) - 1}: "):
        LLM(MODEL).embed(texts)


def test_no_texts_are_no_vectors() -> None:
    assert LLM(MODEL).embed([]) == []


def test_a_provider_without_embeddings_says_so() -> None:
    with pytest.raises(UsageError, match="no embeddings"):
        LLM("anthropic/claude-sonnet-4-6").embed(["x"])


def test_threads_share_one_account() -> None:
    found: list[list[list[float]]] = []
    threads = [threading.Thread(target=lambda: found.append(LLM(MODEL).embed(["threads"]))) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(vectors == found[0] for vectors in found)


@given(st.lists(st.integers(1, MOST_CHARACTERS + 5), max_size=12), st.integers(1, 4))
def test_parts_hold_every_text_once_and_keep_both_bounds(lengths: list[int], most: int) -> None:
    texts = ["x" * length for length in lengths]

    parts = list(parts_of(texts, most))

    assert [text for part in parts for text in part] == texts
    assert all(1 <= len(part) <= most for part in parts)
    assert all(len(part) == 1 or sum(map(len, part)) <= MOST_CHARACTERS for part in parts)
