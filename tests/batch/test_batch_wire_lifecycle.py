"""A batch's way through every provider: the same story, told over four wires."""

from __future__ import annotations

import time

import pytest
from batch_wire_kit import Desk, Place, each_place, questions

from workbench.core.errors import BadRequest, BatchNotFound, ProviderError
from workbench.core.types import FinishReason, Message, Params
from workbench.providers.batch import BatchRow, BatchState
from workbench.simulator.batch_book import BatchPace
from workbench.simulator.server import SimulatorThread

SLOW = BatchPace(
    validate_s=1_000.0, rows_per_s=0.01, finalize_s=1_000.0, cancel_s=500.0, expires_s=86_400.0, brief=True
)
"""So slow that the time a test takes, on whatever machine, counts for less than a row."""


@each_place
async def test_every_row_comes_back_with_its_answer(desk: Desk) -> None:
    rows = questions(40, Params(max_tokens=200))

    made = await desk.submit(rows)
    results = await desk.results(made.id)

    assert sorted(result.custom_id for result in results) == [row.custom_id for row in rows]
    assert all(result.text and result.error is None for result in results)
    assert {result.finish_reason for result in results} == {FinishReason.STOP}
    assert all(result.usage and result.usage.output > 0 for result in results)


@each_place
async def test_a_batch_goes_through_its_states_and_says_how_far_it_is(desk: Desk, simulator: SimulatorThread) -> None:
    simulator.set_batch_pace(SLOW)
    made = await desk.submit(questions(20))
    states = [made.state]
    counts = []

    for seconds in (1_500.0, 2_000.0, 600.0):
        simulator.skip_batch_time(seconds)
        status = await desk.status(made.id)
        states.append(status.state)
        counts.append(status.counts.succeeded)

    assert not any(state.is_terminal for state in states[:-1])
    assert states[-1] is BatchState.COMPLETED
    assert counts[-1] in (20, 0), "all of them, or a provider that does not count"
    assert status.ended_s == pytest.approx(time.time(), abs=600)


@each_place
async def test_rows_that_fail_are_errors_and_never_empty_answers(desk: Desk) -> None:
    good, bad = questions(6), questions(3, mark=" [sim:context-overflow]")
    bad = [BatchRow(f"bad-{row.custom_id}", row.messages, row.params) for row in bad]

    made = await desk.submit([*good, *bad])
    status = await desk.status(made.id)
    results = {result.custom_id: result for result in await desk.results(made.id)}

    assert status.state is BatchState.COMPLETED
    assert all(isinstance(results[row.custom_id].error, BadRequest) for row in bad)
    assert all(results[row.custom_id].text and not results[row.custom_id].error for row in good)


@each_place
async def test_results_come_in_an_order_of_their_own(desk: Desk, simulator: SimulatorThread) -> None:
    rows = questions(60)
    made = await desk.submit(rows)

    names = [result.custom_id for result in await desk.results(made.id)]

    assert names != sorted(names)
    assert names == [result.custom_id for result in await desk.results(made.id)], "twice the same"


@each_place
async def test_an_expired_batch_gives_what_it_has(desk: Desk, simulator: SimulatorThread) -> None:
    simulator.set_batch_pace(BatchPace(validate_s=0.0, rows_per_s=1.0, expires_s=10.0, brief=True))
    made = await desk.submit(questions(30))
    simulator.skip_batch_time(11.0)

    status = await desk.status(made.id)
    results = await desk.results(made.id)

    assert status.state is BatchState.EXPIRED
    assert sum(result.error is None for result in results) == 10
    assert all(isinstance(result.error, ProviderError) for result in results if not result.text)


@each_place
async def test_a_cancelled_batch_gives_what_it_has(desk: Desk, simulator: SimulatorThread) -> None:
    simulator.set_batch_pace(SLOW)
    made = await desk.submit(questions(30))
    simulator.skip_batch_time(2_000.0)

    cancelling = await desk.adapter.cancel(desk.account, made.id)
    simulator.skip_batch_time(600.0)
    status = await desk.status(made.id)
    results = await desk.results(made.id)

    assert cancelling.state in (BatchState.CANCELLING, BatchState.CANCELLED)
    assert status.state is BatchState.CANCELLED
    assert sum(result.error is None for result in results) == 10


@each_place
async def test_another_account_does_not_see_the_batch(desk: Desk) -> None:
    made = await desk.submit(questions(2))

    with pytest.raises(BatchNotFound) as caught:
        await desk.adapter.status(desk.account_of("sim-key-2"), made.id)

    assert made.id in str(caught.value)
    assert "sim-key-2" not in str(caught.value)


@each_place
async def test_results_are_gone_after_the_time_that_the_provider_keeps_them(
    desk: Desk, simulator: SimulatorThread
) -> None:
    made = await desk.submit(questions(2))
    simulator.skip_batch_time(60 * 86_400)

    with pytest.raises(BatchNotFound):
        await desk.results(made.id)


@each_place
async def test_an_upload_and_a_batch_are_found_again(desk: Desk) -> None:
    since_s = time.time()
    lines = desk.lines(questions(3))
    file_id = await desk.adapter.upload(desk.account, "job-7-part-1.jsonl", lines)
    made = await desk.adapter.create(desk.account, desk.place.model, tag="job-7", file_id=file_id, lines=lines)

    found = await desk.adapter.find_batch(
        desk.account, tag="job-7", file_id=file_id, custom_id="row-0001", rows=3, since_s=since_s
    )

    assert found is not None
    assert found.id == made.id
    assert await desk.adapter.find_upload(desk.account, "job-7-part-1.jsonl") == file_id
    assert await desk.adapter.find_upload(desk.account, "job-8-part-1.jsonl") is None


@each_place
async def test_what_was_never_created_is_not_found(desk: Desk) -> None:
    await desk.submit(questions(3), tag="job-1")

    found = await desk.adapter.find_batch(
        desk.account, tag="job-2", file_id="file-other", custom_id="row-x", rows=5, since_s=time.time()
    )

    assert found is None


@each_place
async def test_a_row_with_half_a_character_is_refused_before_anything_is_sent(desk: Desk) -> None:
    with pytest.raises(BadRequest):
        desk.adapter.encode(desk.account, desk.place.model, BatchRow("r", (Message.user("\ud83d"),), Params()))


async def test_other_providers_say_who_has_batches(simulator: SimulatorThread) -> None:
    with pytest.raises(NotImplementedError, match="openai"):
        Desk(Place("sambanova", "x"), simulator.base_urls)
