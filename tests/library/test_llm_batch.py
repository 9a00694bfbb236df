"""`LLM`'s batches, as a script uses them."""

from __future__ import annotations

import pytest

from workbench import LLM
from workbench.core.errors import ProviderError, SomeFailed, UsageError
from workbench.loop_thread import close_shared_loop_thread
from workbench.simulator.batch_book import BatchPace
from workbench.simulator.server import SimulatorThread

SLOW = BatchPace(validate_s=5.0, rows_per_s=0.01)
FAILING = BatchPace(validate_s=0.0, rows_per_s=float("inf"), finalize_s=0.0, failing=1.0, brief=True)

PROMPTS = ["Name a river.", "Name a mountain.", "Name a lake."]


@pytest.fixture(autouse=True)
def as_at_the_start(server: SimulatorThread) -> None:
    server.reset()


def test_a_batch_returns_an_answer_for_each_prompt_in_order(simulator: SimulatorThread):
    llm = LLM("gpt-4.1-nano")

    answers = llm.batch(PROMPTS, "Be brief.", poll_interval=0.05, timeout=200)

    assert len(answers) == 3
    assert ["river" in answers[0], "mountain" in answers[1], "lake" in answers[2]] == [True] * 3
    assert llm.totals.requests == 3
    assert llm.total_cost > 0


async def test_the_async_twin_does_the_same(simulator: SimulatorThread):
    answers = await LLM("anthropic/claude-haiku-4-5").abatch(PROMPTS, poll_interval=0.05, timeout=200)

    assert [bool(answer) for answer in answers] == [True] * 3


def test_an_id_says_provider_key_and_batch_and_survives_the_process(simulator: SimulatorThread):
    batch_id = LLM("gpt-4.1-nano").batch_submit(PROMPTS)
    close_shared_loop_thread()

    later = LLM("gpt-4.1-nano")
    status = later.batch_status(batch_id)

    assert batch_id.startswith("openai:1:batch_")
    assert status == {"status": "completed", "counts": {"total": 3, "succeeded": 3, "failed": 0}}
    assert len(later.batch_retrieve(batch_id) or []) == 3


def test_what_has_not_ended_is_none(simulator: SimulatorThread):
    simulator.simulation.batches.pace = SLOW
    llm = LLM("gpt-4.1-nano")

    batch_id = llm.batch_submit(PROMPTS)

    assert llm.batch_retrieve(batch_id) is None
    assert llm.batch_status(batch_id)["status"] in ("queued", "running")


def test_a_batch_that_is_not_waited_for_says_how_to_find_it_again(simulator: SimulatorThread):
    simulator.simulation.batches.pace = SLOW

    with pytest.raises(TimeoutError, match=r"openai:1:batch_\w+ has not ended"):
        LLM("gpt-4.1-nano").batch(PROMPTS, poll_interval=0.05, timeout=0.2)


def test_a_cancelled_batch_has_errors_for_what_was_not_done(simulator: SimulatorThread):
    simulator.simulation.batches.pace = SLOW
    llm = LLM("gpt-4.1-nano")
    batch_id = llm.batch_submit(PROMPTS)

    llm.batch_cancel(batch_id)
    simulator.simulation.batches.skip(3600)
    answers = llm.batch_retrieve(batch_id, errors="return")

    assert answers is not None
    assert [isinstance(answer, ProviderError) for answer in answers] == [True] * 3
    assert llm.batch_status(batch_id)["status"] == "cancelled"


def test_failed_rows_are_errors_and_never_empty_texts(simulator: SimulatorThread):
    simulator.simulation.batches.pace = FAILING

    with pytest.raises(SomeFailed) as caught:
        LLM("gpt-4.1-nano").batch(PROMPTS, poll_interval=0.05, timeout=200)

    assert len(caught.value.results) == 3  # type: ignore[arg-type]  # a list, as the call returns
    assert "" not in caught.value.results  # type: ignore[operator]  # as above


def test_an_id_that_another_program_wrote_can_be_retrieved(
    simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    batch_id = LLM("gpt-4.1-nano").batch_submit(PROMPTS).rpartition(":")[2]
    close_shared_loop_thread()
    monkeypatch.setenv("LLM_DATA_DIR", str(tmp_path / "another"))

    # As llm-provider writes it: the number is its own affair.
    answers = LLM("gpt-4.1-nano").batch_retrieve(f"openai:2:{batch_id}")

    assert answers is not None
    assert ["river" in answers[0], "mountain" in answers[1], "lake" in answers[2]] == [True] * 3


def test_the_same_question_asked_live_afterwards_costs_nothing(simulator: SimulatorThread):
    llm = LLM("gpt-4.1-nano")
    [batched] = llm.batch(PROMPTS[:1], poll_interval=0.05, timeout=200)

    live = llm.chat(PROMPTS[0])

    assert live == batched
    assert llm.totals.cache_hits == 1


def test_a_provider_without_batches_names_those_that_have_them(simulator: SimulatorThread):
    with pytest.raises(NotImplementedError, match="openai, anthropic, gemini, together"):
        LLM("openrouter/meta-llama/llama-3.3-70b-instruct").batch_submit(PROMPTS)


def test_an_empty_list_sends_nothing(simulator: SimulatorThread):
    with pytest.raises(UsageError, match="no rows"):
        LLM("gpt-4.1-nano").batch_submit([])
