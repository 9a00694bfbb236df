"""A job from its rows to its answers, at four providers, and what a desk tells about it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from jobs_kit import A_WHILE_S, AT_ONCE, HASTE, MODELS, SLOW, WAIT_S, World, rows_in, rows_of

from workbench.core.errors import UsageError
from workbench.core.types import Message, Params
from workbench.engine.keyring import Key
from workbench.jobs.accounts import Accounts
from workbench.jobs.desk import JobDesk
from workbench.jobs.job import JobChange, JobCounts, JobState, RowFilter
from workbench.jobs.rows import Row
from workbench.providers.base import ProviderSpec

RESPONSES_MODEL = "gpt-5.4-mini"
"""Its batches give one answer a row, so a row that asks for more cannot be sent."""

each_provider = pytest.mark.parametrize("provider", MODELS)


@each_provider
async def test_every_row_gets_its_answer_in_the_order_of_the_rows(desk: JobDesk, provider: str):
    job = await desk.submit(MODELS[provider], rows_of(25), name="rivers", group="g1")

    job = await desk.wait(job.id, timeout_s=WAIT_S)
    rows = await rows_in(desk, job)

    assert (job.state, job.counts) == (JobState.COMPLETED, JobCounts(25, 25, 0))
    assert (job.name, job.group, job.key_alias) == ("rivers", "g1", f"{provider}#1")
    assert [row.id for row in rows] == [f"r{number}" for number in range(25)]
    assert all(row.answer and row.messages[0].text.rstrip(".")[-8:] in row.answer.text for row in rows)


async def test_answers_cost_the_batch_price_and_say_what_that_saved(desk: JobDesk):
    estimate = await desk.price(MODELS["openai"], rows_of(10))
    job = await desk.submit(MODELS["openai"], rows_of(10))

    job = await desk.wait(job.id, timeout_s=WAIT_S)
    rows = await rows_in(desk, job)

    assert job.cost_usd == pytest.approx(sum(row.cost_usd or 0.0 for row in rows))
    assert job.saved_usd == pytest.approx(job.cost_usd)
    assert estimate.batch_usd_high == pytest.approx((estimate.live_usd_high or 0.0) / 2)
    assert 0 < (job.cost_usd or 0.0) <= (job.estimate_usd or 0.0)


async def test_pages_and_filters_show_the_rows_that_pass(world: World, desk: JobDesk):
    world.pace(replace(AT_ONCE, failing=0.5))
    job = await desk.submit(MODELS["openai"], rows_of(40))
    job = await desk.wait(job.id, timeout_s=WAIT_S)

    failed = await desk.rows(job.id, only=RowFilter.FAILED)
    third = await desk.rows(job.id, only=RowFilter.FAILED, offset=2, limit=1)
    good = await desk.rows(job.id, only=RowFilter.SUCCEEDED)

    assert job.state is JobState.PARTIAL
    assert (len(failed), len(good)) == (job.counts.failed, job.counts.succeeded)
    assert third == failed[2:3]
    assert {row.error.title for row in failed if row.error} == {"server error"}
    assert await desk.error_counts(job.id) == (("server error", len(failed)),)
    assert await desk.rows(job.id, only=RowFilter.OPEN) == ()


async def test_failed_rows_are_submitted_again_once_and_alone(world: World, desk: JobDesk):
    world.pace(replace(AT_ONCE, failing=0.5))
    first = await desk.wait((await desk.submit(MODELS["openai"], rows_of(20), name="x")).id, timeout_s=WAIT_S)
    failed = [row.id for row in await desk.rows(first.id, only=RowFilter.FAILED)]
    world.pace(AT_ONCE)

    second = await desk.wait((await desk.retry_failed(first.id)).id, timeout_s=WAIT_S)

    assert (second.state, second.retry_of) == (JobState.COMPLETED, first.id)
    assert [row.id for row in await rows_in(desk, second)] == failed
    with pytest.raises(UsageError, match=f"submitted before, as {second.id}"):
        await desk.retry_failed(first.id)
    with pytest.raises(UsageError, match="None of the rows"):
        await desk.retry_failed(second.id)


async def test_an_expired_job_keeps_what_was_done_and_names_the_rest(world: World, desk: JobDesk):
    world.pace(replace(SLOW, validate_s=0.0, rows_per_s=0.1, expires_s=55.0))
    job = await desk.submit(MODELS["openai"], rows_of(10))

    world.skip(A_WHILE_S)
    job = await desk.wait(job.id, timeout_s=WAIT_S)

    assert (job.state, job.counts) == (JobState.EXPIRED, JobCounts(10, 5, 5))
    errors = {row.error.message for row in await desk.rows(job.id, only=RowFilter.FAILED) if row.error}
    assert len(errors) == 1
    assert "expire" in errors.pop()


@each_provider
async def test_a_cancelled_job_keeps_what_was_done_by_then(world: World, desk: JobDesk, provider: str):
    world.pace(replace(SLOW, validate_s=0.0, rows_per_s=0.001, cancel_s=250.0))
    job = await desk.submit(MODELS[provider], rows_of(10))
    world.skip(3_500.0)

    cancelling = await desk.cancel(job.id)
    world.skip(A_WHILE_S)
    job = await desk.wait(job.id, timeout_s=WAIT_S)

    assert cancelling.state is JobState.CANCELLING
    assert (job.state, job.counts) == (JobState.CANCELLED, JobCounts(10, 3, 7))


async def test_jobs_submitted_together_keep_their_order_however_long_their_keys_take(
    desk: JobDesk, monkeypatch: pytest.MonkeyPatch
):
    find_keys = Accounts.keys
    others_are_kept = asyncio.Event()

    async def last_first(self: Accounts, spec: ProviderSpec) -> tuple[Key, ...]:
        if spec.name == "openai":
            await others_are_kept.wait()
        return await find_keys(self, spec)

    monkeypatch.setattr(Accounts, "keys", last_first)
    first = asyncio.create_task(desk.submit(MODELS["openai"], rows_of(2)))
    second = asyncio.create_task(desk.submit(MODELS["gemini"], rows_of(2)))
    later = await second
    others_are_kept.set()
    sooner = await first

    assert [job.id for job in await desk.jobs()] == [later.id, sooner.id], "newest first"


async def test_every_change_is_told_up_to_the_end(desk: JobDesk):
    told: list[JobChange] = []
    stop = desk.subscribe(told.append)

    job = await desk.submit(MODELS["openai"], rows_of(3))
    await desk.wait(job.id, timeout_s=WAIT_S)
    stop()
    await desk.forget(job.id)

    assert told[0].was is None
    assert [change.job.state for change in told if change.just_ended] == [JobState.COMPLETED]
    assert not any(change.gone for change in told)


async def test_a_job_is_found_by_any_of_its_names(desk: JobDesk):
    job = await desk.submit(MODELS["openai"], rows_of(2), name="rivers")

    for name in (job.id, job.id[:12], job.handle, job.batch_ids[0], f" {job.id} "):
        assert (await desk.job(name)).id == job.id
    with pytest.raises(UsageError, match=f"Did you mean {job.id}"):
        await desk.job("river")
    with pytest.raises(UsageError, match="import it first"):
        await desk.job("openai:1:batch_unknown")
    with pytest.raises(UsageError, match="names none"):
        await desk.job("")


async def test_an_open_job_is_not_forgotten_and_an_ended_one_leaves_nothing(world: World, desk: JobDesk):
    world.pace(SLOW)
    job = await desk.submit(MODELS["openai"], rows_of(2))

    with pytest.raises(UsageError, match="Cancel it first"):
        await desk.forget(job.id)
    world.skip(A_WHILE_S)
    await desk.wait(job.id, timeout_s=WAIT_S)
    await desk.forget(job.id)

    assert await desk.jobs() == ()
    with pytest.raises(UsageError, match="No job"):
        await desk.rows(job.id)


async def test_a_restarted_desk_goes_on_where_the_last_one_stopped(world: World):
    world.pace(SLOW)
    async with world.desk() as desk:
        jobs = [await desk.submit(MODELS[provider], rows_of(3)) for provider in MODELS]

    world.skip(A_WHILE_S)
    async with world.desk() as desk:
        ended = [await desk.wait(job.id, timeout_s=WAIT_S) for job in jobs]

    assert [job.state for job in ended] == [JobState.COMPLETED] * 4
    assert [len(world.batches(provider)) for provider in MODELS] == [1] * 4


async def test_of_two_desks_on_one_store_one_follows_a_job_and_the_other_hears_of_it(world: World):
    world.pace(SLOW)
    async with world.desk() as follower, world.desk() as listener:
        heard: list[JobChange] = []
        ended = asyncio.Event()

        def hear(change: JobChange) -> None:
            heard.append(change)
            if change.just_ended:
                ended.set()

        listener.subscribe(hear)
        job = await follower.submit(MODELS["openai"], rows_of(5))
        world.skip(A_WHILE_S)
        async with asyncio.timeout(WAIT_S):
            await ended.wait()

    fetched = [entry for entry in world.simulator.simulation.journal.entries() if entry.endpoint.endswith("/content")]
    assert {change.job.id for change in heard} == {job.id}
    assert len(fetched) == 1


async def test_a_desk_that_follows_nothing_asks_when_it_is_told_to(world: World):
    world.pace(SLOW)
    async with world.desk(track=False) as desk:
        job = await desk.submit(MODELS["openai"], rows_of(3))
        before = await desk.job(job.id)
        world.skip(A_WHILE_S)
        await desk.poll_now()
        after = await desk.job(job.id)

    assert (before.state, after.state) == (JobState.QUEUED, JobState.COMPLETED)


async def test_waiting_ends_with_the_time_that_was_given_and_the_job_goes_on(world: World, desk: JobDesk):
    world.pace(SLOW)
    job = await desk.submit(MODELS["openai"], rows_of(3))

    with pytest.raises(TimeoutError):
        await desk.wait(job.id, timeout_s=0.05)

    assert not (await desk.job(job.id)).state.is_ended


async def test_polls_are_counted_and_say_when_the_next_one_is(world: World):
    world.pace(SLOW)
    async with world.desk(pace=replace(HASTE, first_s=600.0, slow_s=600.0)) as desk:
        job = await desk.submit(MODELS["openai"], rows_of(3))
        await desk.poll_now(job.id)
        job = await desk.job(job.id)

    part = job.parts[0]
    assert part.polls == 2
    assert part.last_poll_s is not None
    assert part.next_poll_s == pytest.approx(part.last_poll_s + 600.0, abs=30.0)


# -- bad input ---------------------------------------------------------------------------------------------------------


def row(number: int, text: str = "Hello.", **params: object) -> Row:
    return Row(number + 1, f"r{number}", (Message.user(text),), Params(**params))  # type: ignore[arg-type]  # a test's own


@pytest.mark.parametrize(
    ("model", "rows", "words"),
    [
        (MODELS["openai"], [], "There are no rows"),
        (MODELS["openai"], [row(0), row(1), row(0)], r"line 1 \(id r0\): its id 'r0' has been used before"),
        (RESPONSES_MODEL, [row(0), row(1, extra=(("n", 3),))], "1 of 2 rows cannot be sent: line 2"),
        (RESPONSES_MODEL, [row(0, extra=(("n", 3),))], "None of the 1 rows can be sent"),
        ("openrouter/meta-llama/llama-3.3-70b-instruct", [row(0)], "openai, anthropic, gemini, together"),
        ("gpt-4.1-nano | gpt-4.1", [row(0)], "a batch goes to one model"),
    ],
    ids=["no rows", "twice the same id", "a row that cannot be", "no row that can be", "no batches", "a chain"],
)
async def test_what_cannot_be_submitted_is_refused_and_nothing_is_kept(
    world: World, desk: JobDesk, model: str, rows: list[Row], words: str
):
    with pytest.raises(UsageError, match=words):
        await desk.submit(model, rows)

    assert await desk.jobs() == ()
    assert world.batches("openai") == []
    assert not list((world.database.parent / "batches").glob("*"))


async def test_a_row_over_the_providers_size_is_named(world: World, desk: JobDesk):
    with pytest.raises(UsageError, match=r"line 2 \(id r1\): 11,000,\d+ bytes; a row of a batch at Together"):
        await desk.submit(MODELS["together"], [row(0), row(1, "x" * 11_000_000)])


async def test_rows_that_cannot_be_sent_may_be_left_behind_as_failed_ones(world: World, desk: JobDesk):
    rows = [row(0), row(1, extra=(("n", 3),)), row(2)]

    job = await desk.submit(RESPONSES_MODEL, rows, skip_bad=True)
    job = await desk.wait(job.id, timeout_s=WAIT_S)
    found = await rows_in(desk, job)

    assert (job.state, job.counts) == (JobState.PARTIAL, JobCounts(3, 2, 1))
    assert [each.error.title if each.error else "" for each in found] == ["", "unsupported parameter", ""]
    assert len(world.paid_rows("openai")) == 2


async def test_rows_that_break_off_leave_no_job(desk: JobDesk):
    def broken():
        yield row(0)
        raise UsageError("line 2: not JSON.")

    with pytest.raises(UsageError, match="not JSON"):
        await desk.submit(MODELS["openai"], broken())

    assert await desk.jobs() == ()


async def test_each_provider_says_what_it_offers_and_whether_there_is_a_key(world: World):
    async with world.desk(ANTHROPIC="") as desk:
        offers = await desk.supported()

    assert [(offer.provider, offer.has_key) for offer in offers] == [
        ("openai", True),
        ("anthropic", False),
        ("gemini", True),
        ("together", True),
    ]
    assert "ANTHROPIC_API_KEY" in offers[1].sentence
