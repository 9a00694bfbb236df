"""What goes wrong between us and a provider's batches, and that nothing is lost or paid twice over it."""

from __future__ import annotations

import time

import pytest
from batch_wire_kit import Desk, Place, each_place, fault, questions

from workbench.core.errors import (
    BadRequest,
    Conflict,
    ConnectionFailed,
    IncompleteStream,
    KeyRejected,
    MalformedResponse,
    ProviderError,
    RateLimited,
    ServerError,
)
from workbench.providers.batch import BatchResult, BatchState
from workbench.simulator.batch_book import BatchPace
from workbench.simulator.server import SimulatorThread


async def _read(desk: Desk, batch_id: str) -> tuple[list[BatchResult], ProviderError | None]:
    """The results until they end or something goes wrong, and what that was."""
    found: list[BatchResult] = []
    try:
        async for result in desk.adapter.results(desk.account, batch_id):
            found.append(result)
    except ProviderError as error:
        return found, error
    return found, None


@each_place
async def test_a_batch_whose_creation_answered_500_is_found_again(desk: Desk, simulator: SimulatorThread) -> None:
    lines = desk.lines(questions(4))
    file_id = await desk.adapter.upload(desk.account, "rows.jsonl", lines)
    since_s = time.time()
    simulator.set_faults(fault("lost-answer", "create"))

    with pytest.raises(ServerError):
        await desk.adapter.create(desk.account, desk.place.model, tag="job-9", file_id=file_id, lines=lines)
    found = await desk.adapter.find_batch(
        desk.account, tag="job-9", file_id=file_id, custom_id="row-0000", rows=4, since_s=since_s
    )

    assert found is not None
    assert len(await desk.results(found.id)) == 4


@each_place
async def test_an_upload_that_was_cut_off_leaves_nothing_behind(desk: Desk, simulator: SimulatorThread) -> None:
    simulator.set_faults(fault("drop", "upload"), fault("reset", "create"))

    with pytest.raises(ConnectionFailed):
        await desk.submit(questions(4))

    assert await desk.adapter.find_upload(desk.account, "rows.jsonl") is None


@each_place
async def test_a_download_that_breaks_off_says_so_and_can_be_started_again(
    desk: Desk, simulator: SimulatorThread
) -> None:
    made = await desk.submit(questions(30))
    simulator.set_faults(fault("drop;after=10", "results"))

    before, error = await _read(desk, made.id)
    again, nothing = await _read(desk, made.id)

    assert isinstance(error, IncompleteStream)
    assert len(before) <= 10
    assert nothing is None
    assert len(again) == 30


@each_place
async def test_a_download_that_ends_within_a_row_is_no_result_of_that_row(
    desk: Desk, simulator: SimulatorThread
) -> None:
    made = await desk.submit(questions(30))
    simulator.set_faults(fault("truncated-json;after=10", "results"))

    before, error = await _read(desk, made.id)

    assert isinstance(error, MalformedResponse | IncompleteStream)
    assert len(before) <= 10


@each_place
async def test_limits_of_the_endpoints_are_rate_limits_with_their_wait(desk: Desk, simulator: SimulatorThread) -> None:
    made = await desk.submit(questions(2))
    simulator.set_faults(fault("rate-requests;retry_after=7", "status"))

    with pytest.raises(RateLimited) as caught:
        await desk.status(made.id)

    assert caught.value.retry_after_s == pytest.approx(7, abs=1)
    assert (await desk.status(made.id)).state is BatchState.COMPLETED


@each_place
async def test_a_dead_key_is_rejected_and_not_shown(desk: Desk) -> None:
    with pytest.raises(KeyRejected) as caught:
        await desk.adapter.status(desk.account_of("sim-key-dead"), "batch_x")

    assert "sim-key-dead" not in str(caught.value)


@each_place
async def test_a_file_of_too_many_waiting_tokens_says_which_limit(desk: Desk, simulator: SimulatorThread) -> None:
    simulator.set_batch_pace(BatchPace(rows_per_s=1.0, enqueued_tokens=300, brief=True))

    try:
        made = await desk.submit(questions(40))
        simulator.skip_batch_time(5.0)
        problem = (await desk.status(made.id)).problem
    except RateLimited as error:
        problem = str(error)

    assert "nqueued" in problem


@each_place
async def test_a_batch_with_the_same_row_twice_is_not_run(desk: Desk) -> None:
    try:
        made = await desk.submit_lines(desk.lines([*questions(3), *questions(1)]))
        status = await desk.status(made.id)
        problem = status.problem if status.state is BatchState.FAILED else ""
    except BadRequest as error:
        problem = str(error)

    assert "uplicate" in problem


@pytest.mark.parametrize("place", [Place("anthropic", "claude-haiku-4-5")])
async def test_a_batch_that_does_not_say_yet_what_it_holds_is_waited_for(
    desk: Desk, simulator: SimulatorThread
) -> None:
    simulator.set_batch_pace(BatchPace(validate_s=0.0, rows_per_s=0.01, brief=True))
    since_s = time.time()
    made = await desk.submit(questions(4))

    async def find(rows: int) -> str | None:
        found = await desk.adapter.find_batch(
            desk.account, tag="job-1", file_id=None, custom_id="row-0002", rows=rows, since_s=since_s
        )
        return found and found.id

    with pytest.raises(Conflict):
        await find(4)
    assert await find(5) is None, "another size is another batch"
    simulator.skip_batch_time(500.0)
    assert await find(4) == made.id
