"""What goes wrong between a job and its provider, and that it harms neither the job nor any other."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace

import pytest
from jobs_kit import A_WHILE_S, AT_ONCE, HASTE, MODELS, SLOW, WAIT_S, World, rows_in, rows_of

from workbench.core.errors import BatchNotFound, KeyRejected, MissingKey, UsageError
from workbench.jobs.desk import JobDesk
from workbench.jobs.job import JobCounts, JobState, RowFilter
from workbench.providers.batch import BatchAccount, BatchStatus
from workbench.providers.batch_anthropic import AnthropicBatches
from workbench.providers.batch_openai import OpenAIBatches
from workbench.simulator.faults import FaultRule, parse

each_provider = pytest.mark.parametrize("provider", MODELS)


def fault(spec: str, operation: str, *, count: int | None = 1, provider: str = "*") -> FaultRule:
    return FaultRule(parse(spec), provider=provider, operation=operation, count=count)


# -- on the way there --------------------------------------------------------------------------------------------------


@each_provider
async def test_a_creation_whose_answer_was_lost_is_found_and_not_made_again(world: World, desk: JobDesk, provider: str):
    world.simulator.set_faults(fault("lost-answer", "create"))

    job = await desk.submit(MODELS[provider], rows_of(4))
    job = await desk.wait(job.id, timeout_s=WAIT_S)

    assert (job.state, job.counts.succeeded) == (JobState.COMPLETED, 4)
    assert len(world.batches(provider)) == 1


async def test_a_creation_that_failed_for_certain_is_made_again_once_the_list_has_settled(world: World):
    world.simulator.set_faults(fault("reset", "create"))

    async with world.desk(track=False) as desk:
        waiting = await desk.submit(MODELS["openai"], rows_of(4))
        job = await desk.wait(waiting.id, timeout_s=WAIT_S)

    assert waiting.state is JobState.SUBMITTING
    assert (job.state, len(world.batches("openai"))) == (JobState.COMPLETED, 1)


async def test_an_upload_that_broke_off_is_made_again(world: World, desk: JobDesk):
    world.simulator.set_faults(fault("drop", "upload"))

    job = await desk.submit(MODELS["openai"], rows_of(4))
    job = await desk.wait(job.id, timeout_s=WAIT_S)

    assert (job.state, len(world.batches("openai"))) == (JobState.COMPLETED, 1)


async def test_while_the_person_waits_a_submission_is_tried_more_than_once(world: World):
    world.simulator.set_faults(fault("reset", "upload"))

    async with world.desk(pace=replace(HASTE, tries=3), track=False) as desk:
        job = await desk.submit(MODELS["openai"], rows_of(4))

    assert job.state is not JobState.SUBMITTING


async def test_a_refused_key_is_told_and_nothing_is_kept(world: World):
    # The refusal of an upload may be lost in the connection that it breaks; the second try asks before it sends.
    async with world.desk(pace=replace(HASTE, tries=3), OPENAI="sim-key-dead") as desk:
        with pytest.raises(KeyRejected):
            await desk.submit(MODELS["openai"], rows_of(2))

        assert await desk.jobs() == ()


async def test_the_next_key_is_taken_when_the_first_is_refused(world: World):
    async with world.desk(pace=replace(HASTE, tries=3), OPENAI="sim-key-dead,sim-key-2") as desk:
        job = await desk.submit(MODELS["openai"], rows_of(2))
        job = await desk.wait(job.id, timeout_s=WAIT_S)

    assert (job.state, job.key_alias) == (JobState.COMPLETED, "openai#2")
    assert len(world.paid_rows("openai", "sim-key-2")) == 2


async def test_without_a_key_nothing_is_kept_and_the_variable_is_named(world: World):
    async with world.desk(OPENAI="") as desk:
        with pytest.raises(MissingKey, match="OPENAI_API_KEY"):
            await desk.submit(MODELS["openai"], rows_of(2))

        assert await desk.jobs() == ()


@each_provider
async def test_a_full_queue_at_the_provider_is_waited_for(world: World, provider: str):
    world.pace(replace(AT_ONCE, enqueued_tokens=1))
    async with world.desk(track=False) as desk:
        job = await desk.submit(MODELS[provider], rows_of(4))
        await desk.poll_now(job.id)
        waiting = await desk.job(job.id)

        world.pace(AT_ONCE)
        job = await desk.wait(job.id, timeout_s=WAIT_S)

    accepted = [batch for batch in world.batches(provider) if not batch.problems]
    assert waiting.state is JobState.SUBMITTING
    assert "queue" in waiting.problem or "Too much is waiting" in waiting.problem
    assert (job.state, len(accepted)) == (JobState.COMPLETED, 1)


async def test_nothing_is_created_by_a_process_that_has_lost_its_job_to_another_one(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    upload = OpenAIBatches.upload

    async def slow_upload(self: OpenAIBatches, account: BatchAccount, name: str, lines: Sequence[bytes]) -> str:
        file_id = await upload(self, account, name, lines)
        with sqlite3.connect(world.database) as connection:
            connection.execute("UPDATE jobs SET owner = 'another machine|1|x', owner_until_s = 1e12")
        connection.close()
        return file_id

    monkeypatch.setattr(OpenAIBatches, "upload", slow_upload)
    async with world.desk(track=False) as desk:
        job = await desk.submit(MODELS["openai"], rows_of(2))

    assert job.state is JobState.SUBMITTING
    assert "Another process has taken this job over" in job.problem
    assert world.batches("openai") == []


# -- while it runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["reset", "unavailable", "html-error", "rate-requests;seconds=0.1"])
async def test_a_question_that_fails_is_asked_again(world: World, desk: JobDesk, spec: str):
    world.pace(SLOW)
    job = await desk.submit(MODELS["openai"], rows_of(3))
    world.simulator.set_faults(fault(spec, "status", count=2))
    world.skip(A_WHILE_S)

    job = await desk.wait(job.id, timeout_s=WAIT_S)

    assert (job.state, job.problem) == (JobState.COMPLETED, "")


async def test_a_provider_that_does_not_answer_delays_no_other(
    world: World, desk: JobDesk, monkeypatch: pytest.MonkeyPatch
):
    async def never(*_: object) -> BatchStatus:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    world.pace(SLOW)
    stuck = await desk.submit(MODELS["anthropic"], rows_of(3))
    job = await desk.submit(MODELS["openai"], rows_of(3))
    monkeypatch.setattr(AnthropicBatches, "status", never)
    world.skip(A_WHILE_S)

    job = await desk.wait(job.id, timeout_s=WAIT_S)

    assert job.state is JobState.COMPLETED
    assert not (await desk.job(stuck.id)).state.is_ended


@pytest.mark.parametrize("spec", ["drop;after=5", "truncated-json;after=5", "cut;after=5"])
@each_provider
async def test_a_download_that_broke_off_is_fetched_again(world: World, desk: JobDesk, provider: str, spec: str):
    world.simulator.set_faults(fault(spec, "results"))

    job = await desk.submit(MODELS[provider], rows_of(12))
    job = await desk.wait(job.id, timeout_s=WAIT_S)

    assert (job.state, job.counts) == (JobState.COMPLETED, JobCounts(12, 12, 0))


async def test_a_job_that_was_deleted_at_its_provider_fails_alone_and_says_so(world: World, desk: JobDesk):
    world.pace(SLOW)
    gone = await desk.submit(MODELS["openai"], rows_of(3))
    other = await desk.submit(MODELS["openai"], rows_of(3))
    book = world.simulator.simulation.batches
    book.remove(next(batch for batch in world.batches("openai") if batch.id in gone.batch_ids))
    world.skip(A_WHILE_S)

    gone = await desk.wait(gone.id, timeout_s=WAIT_S)
    other = await desk.wait(other.id, timeout_s=WAIT_S)

    assert (gone.state, other.state) == (JobState.FAILED, JobState.COMPLETED)
    assert "OpenAI shows openai#1 no batch" in gone.problem
    assert {row.error.title for row in await desk.rows(gone.id) if row.error} == {"not run"}


async def test_results_that_the_provider_has_deleted_are_missed_by_name(world: World, desk: JobDesk):
    world.pace(replace(SLOW, keep_s=10.0))
    job = await desk.submit(MODELS["anthropic"], rows_of(3))
    world.skip(A_WHILE_S)

    job = await desk.wait(job.id, timeout_s=WAIT_S)
    rows = await desk.rows(job.id, only=RowFilter.FAILED)

    assert (job.state, len(rows)) == (JobState.FAILED, 3)
    assert all(row.error and "has deleted its results" in row.error.message for row in rows)


async def test_a_key_that_cannot_see_the_job_says_whose_it_is_and_harms_no_other(world: World):
    world.pace(SLOW)
    async with world.desk() as desk:
        mine = await desk.submit(MODELS["openai"], rows_of(3))
        other = await desk.submit(MODELS["gemini"], rows_of(3))
    world.skip(A_WHILE_S)

    async with world.desk(OPENAI="sim-key-9") as desk:
        mine = await desk.wait(mine.id, timeout_s=WAIT_S)
        other = await desk.wait(other.id, timeout_s=WAIT_S)

    assert (mine.state, other.state) == (JobState.FAILED, JobState.COMPLETED)
    assert "Check the id and the account" in mine.problem


async def test_a_job_waits_for_its_key_to_come_back(world: World):
    world.pace(SLOW)
    async with world.desk() as desk:
        job = await desk.submit(MODELS["openai"], rows_of(3))
    world.skip(A_WHILE_S)

    async with world.desk(OPENAI="") as desk:
        await desk.poll_now(job.id)
        waiting = await desk.job(job.id)
    async with world.desk(OPENAI="sim-key-5,sim-key-1") as desk:
        job = await desk.wait(job.id, timeout_s=WAIT_S)

    assert not waiting.state.is_ended
    assert "OPENAI_API_KEY" in waiting.problem
    assert job.state is JobState.COMPLETED


async def test_a_batch_that_the_provider_does_not_accept_fails_with_its_words(world: World, desk: JobDesk):
    job = await desk.submit("gpt-4.1-pico", rows_of(4))
    job = await desk.wait(job.id, timeout_s=WAIT_S)
    rows = await rows_in(desk, job)

    assert (job.state, job.counts) == (JobState.FAILED, JobCounts(4, 0, 4))
    assert "'gpt-4.1-pico' does not exist" in job.problem
    assert all(row.error and "does not exist" in row.error.message for row in rows)


# -- from elsewhere ----------------------------------------------------------------------------------------------------


async def made_elsewhere(world: World, provider: str, count: int = 12) -> str:
    """A batch that another program submitted; the provider's id."""
    elsewhere = World(world.simulator, world.root / "elsewhere")
    async with elsewhere.desk(track=False) as desk:
        job = await desk.submit(MODELS[provider], rows_of(count))
    return job.batch_ids[0]


@each_provider
async def test_a_batch_made_elsewhere_is_taken_up_with_its_results_in_order(world: World, desk: JobDesk, provider: str):
    batch_id = await made_elsewhere(world, provider)

    job = await desk.import_(f"{provider}:2:{batch_id}", model=MODELS[provider])
    job = await desk.wait(job.id, timeout_s=WAIT_S)
    rows = await rows_in(desk, job)

    assert (job.state, job.counts, job.imported) == (JobState.COMPLETED, JobCounts(12, 12, 0), True)
    assert [f"river number {number}." in row.answer.text for number, row in enumerate(rows) if row.answer] == [
        True
    ] * 12


async def test_a_batch_is_taken_up_once(world: World, desk: JobDesk):
    batch_id = await made_elsewhere(world, "openai")

    first = await desk.import_(batch_id)
    second = await desk.import_(f"openai:1:{batch_id}")

    assert first.id == second.id


async def test_failed_rows_of_a_batch_made_elsewhere_cannot_be_submitted_again(world: World, desk: JobDesk):
    world.pace(replace(AT_ONCE, failing=1.0))
    job = await desk.import_(await made_elsewhere(world, "openai"))
    job = await desk.wait(job.id, timeout_s=WAIT_S)

    with pytest.raises(UsageError, match="was imported"):
        await desk.retry_failed(job.id)


async def test_a_batch_of_another_account_is_refused_and_not_kept(world: World):
    batch_id = await made_elsewhere(world, "openai")

    async with world.desk(OPENAI="sim-key-2,sim-key-3") as desk:
        with pytest.raises(BatchNotFound, match="Check the id and the account"):
            await desk.import_(batch_id)

        assert await desk.jobs() == ()


async def test_a_batch_may_be_taken_up_before_there_is_a_key(world: World):
    batch_id = await made_elsewhere(world, "openai")

    async with world.desk(OPENAI="", ANTHROPIC="", GEMINI="", TOGETHER="") as desk:
        waiting = await desk.import_(batch_id)
    async with world.desk() as desk:
        job = await desk.wait(waiting.id, timeout_s=WAIT_S)

    assert "No key for OpenAI" in waiting.problem
    assert (job.state, job.counts.succeeded) == (JobState.COMPLETED, 12)
