"""One step of one part: submit it, ask after it, fetch it, or end it; and what follows when that goes wrong.

Whoever calls holds the job's lease. A step reads the store and writes to it, and keeps nothing in between: it may be
the first one of a new process. Errors that may pass leave the part as it is, with the reason and the time of the next
try; only what a provider says for certain, or says again and again, ends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from workbench.core.clock import Clock
from workbench.core.errors import (
    BatchNotFound,
    KeyRejected,
    MissingKey,
    ProviderError,
    QuotaSpent,
    RateLimited,
    UsageError,
    WorkbenchError,
)
from workbench.jobs.accounts import Accounts
from workbench.jobs.collect import Collector, part_state, unfinished
from workbench.jobs.job import JobState
from workbench.jobs.pace import Pace
from workbench.jobs.submit import REFUSALS, Errand, Step, Submitter
from workbench.providers.batch import BatchState, BatchStatus
from workbench.store.job_records import JobRecord, PartRecord
from workbench.store.jobs import JobStore

_STATES = {
    BatchState.VALIDATING: JobState.QUEUED,
    BatchState.PAUSED: JobState.QUEUED,
    BatchState.IN_PROGRESS: JobState.RUNNING,
    BatchState.FINALIZING: JobState.RUNNING,
    BatchState.CANCELLING: JobState.CANCELLING,
}
"""Every other one is an end, after which there is something to collect."""

_PATIENT = (KeyRejected, QuotaSpent, MissingKey, RateLimited)
"""Not about the batch: another key, a paid bill or some time may help, however long it takes."""


@dataclass(frozen=True, slots=True)
class Round:
    """How one step went."""

    ended: bool
    wait_s: float = 0.0
    """Until the next one."""
    error: WorkbenchError | None = None


class Rounds:
    """Takes parts forward, one step at a time."""

    def __init__(
        self,
        store: JobStore,
        accounts: Accounts,
        submitter: Submitter,
        collector: Collector,
        *,
        clock: Clock,
        rng: Random,
        pace: Pace,
        changed: Callable[[str], Awaitable[None]],
    ) -> None:
        """`changed` is told of a job when what is written of it has changed."""
        self._store = store
        self._accounts = accounts
        self._submitter = submitter
        self._collector = collector
        self._clock = clock
        self._rng = rng
        self._pace = pace
        self._changed = changed

    async def step(self, job_id: str, position: int, previous_s: float) -> Round:
        """`previous_s` is how long was waited for this one. Raises StoreError."""
        stored = await self._store.get(job_id)
        if stored is None or position >= len(stored[1]):
            return Round(ended=True)
        job, part = stored[0], stored[1][position]
        if part.over:
            return Round(ended=True)
        try:
            ended = await self._advance(job, part)
        except WorkbenchError as error:
            return await self._failed(job_id, position, error, previous_s)
        finally:
            await self._changed(job_id)
        return Round(ended=ended, wait_s=await self._schedule(job_id, position, previous_s) if not ended else 0.0)

    async def _advance(self, job: JobRecord, part: PartRecord) -> bool:
        """True when the part has ended."""
        state = JobState(part.state)
        if state is JobState.SUBMITTING and job.cancel_asked and part.step != Step.CREATING:
            await self._end(job, part, BatchState.CANCELLED, "")
            return True
        if state is JobState.COLLECTING:
            return await self._collect(job, part)
        status = await self._with_account(job, part, self._submit if state is JobState.SUBMITTING else self._ask)
        if status.is_queue_full and not (job.imported or job.cancel_asked):
            raise await self._line_up(job, part, status)
        await self._write_status(job, part, status)
        if not status.state.is_terminal:
            return False
        return await self._again(job.id, part.position)

    async def _again(self, job_id: str, position: int) -> bool:
        """The next step at once, on what has just been written."""
        stored = await self._store.get(job_id)
        if stored is None:
            return True
        await self._changed(job_id)
        return await self._collect(stored[0], stored[1][position])

    async def _line_up(self, job: JobRecord, part: PartRecord, status: BatchStatus) -> RateLimited:
        """Back to where the file is at the provider: a large job's parts may have to go one after the other."""
        back = {"state": JobState.SUBMITTING, "step": Step.UPLOADED, "batch_id": None, "raw_state": status.raw_state}
        await self._store.change_part(job.id, part.position, {**back, "polls": part.polls + 1})
        return RateLimited(
            f"Too much is waiting at the provider: {status.problem}",
            hint="None of it ran; it will be submitted again.",
            retry_after_s=self._pace.slow_s,
        )

    async def _submit(self, errand: Errand) -> BatchStatus:
        status = await self._submitter.submit(errand)
        if errand.job.cancel_asked:
            status = await errand.adapter.cancel(errand.account, status.id)
        return status

    async def _ask(self, errand: Errand) -> BatchStatus:
        batch_id = errand.part.batch_id
        assert batch_id is not None, "a part beyond its submission has an id"
        status = await errand.adapter.status(errand.account, batch_id)
        may_cancel = status.state in _STATES and status.state is not BatchState.CANCELLING
        if errand.job.cancel_asked and may_cancel and errand.part.state != JobState.CANCELLING:
            status = await errand.adapter.cancel(errand.account, batch_id)
        return status

    async def hand_in(self, job_id: str, position: int) -> None:
        """The first step of a part that has just been written down. Raises what went wrong; see `put_off`."""
        stored = await self._store.get(job_id)
        if stored is None:
            raise UsageError(f"The job {job_id} was forgotten while it was handed in.")
        job, part = stored[0], stored[1][position]
        status = await self._with_account(job, part, self._submit)
        if status.is_queue_full:
            raise await self._line_up(job, part, status)
        await self._write_status(job, part, status)
        await self._schedule(job_id, position, self._pace.first_s)

    async def put_off(self, job_id: str, position: int, error: WorkbenchError) -> None:
        """Note what went wrong: with the reason the part has ended, or waits for its next try."""
        await self._failed(job_id, position, error, self._pace.first_s)
        await self._changed(job_id)

    async def cancel(self, job: JobRecord, part: PartRecord) -> None:
        """Ask the provider to stop this part's batch. Raises what it answers."""

        async def ask(errand: Errand) -> BatchStatus:
            assert part.batch_id is not None, "only what exists can be cancelled"
            return await errand.adapter.cancel(errand.account, part.batch_id)

        await self._with_account(job, part, ask)
        values = {"state": JobState.CANCELLING}
        await self._store.change_part(job.id, part.position, values, only_in=(JobState.QUEUED, JobState.RUNNING))

    async def _with_account(
        self, job: JobRecord, part: PartRecord, act: Callable[[Errand], Awaitable[BatchStatus]]
    ) -> BatchStatus:
        """With the job's own key; a batch that exists may be seen with another one of its provider's too."""
        spec = self._accounts.spec(job.provider)
        adapter = await self._accounts.adapter(spec)
        candidates = await self._accounts.of_job(job, any_key=part.batch_id is not None)
        for place, (key, account) in enumerate(candidates):
            try:
                status = await act(Errand(job, part, adapter, account))
            except (BatchNotFound, KeyRejected):
                if place == len(candidates) - 1:
                    raise
                continue
            if key.fingerprint != job.fingerprint:
                await self._store.change_job(job.id, {"fingerprint": key.fingerprint, "key_alias": key.alias})
            return status
        raise AssertionError("there is at least one account")

    async def _write_status(self, job: JobRecord, part: PartRecord, status: BatchStatus) -> None:
        await self._store.change_part(
            job.id, part.position, status_values(status, part, self._clock.wall().timestamp())
        )
        if part.step != Step.CREATED:
            await self._submitter.drop(job.id, part.position)

    async def _collect(self, job: JobRecord, part: PartRecord) -> bool:
        way = BatchState(part.way)
        spec = self._accounts.spec(job.provider)
        adapter = await self._accounts.adapter(spec)
        _, account = (await self._accounts.of_job(job))[0]
        count = await self._collector.collect(Errand(job, part, adapter, account), self._accounts.target(job))
        expected = part.total if job.imported else part.rows
        if way is BatchState.COMPLETED and count < expected and part.misses + 1 < self._pace.misses:
            # A download that breaks off between two rows looks like a short one.
            raise ProviderError(f"{count:,} of {expected:,} results came; they will be fetched again.")
        await self._end(job, part, way, part.problem if way is BatchState.FAILED else "")
        return True

    async def _end(self, job: JobRecord, part: PartRecord, way: BatchState, problem: str) -> None:
        now_s = self._clock.wall().timestamp()

        def values(succeeded: int, failed: int) -> dict[str, Any]:
            return {
                "state": part_state(way, succeeded, failed),
                "over": True,
                "way": way.value,
                "ended_s": part.ended_s or now_s,
                "next_poll_s": None,
                "problem": problem,
            }

        await self._store.end_part(job.id, part.position, unfinished(way, problem, part.position, now_s), values)
        await self._submitter.drop(job.id, part.position)

    async def _failed(self, job_id: str, position: int, error: WorkbenchError, previous_s: float) -> Round:
        stored = await self._store.get(job_id)
        if stored is None:
            return Round(ended=True)
        job, part = stored[0], stored[1][position]
        submitting, problem = part.state == JobState.SUBMITTING, " ".join(str(error).split())
        is_final = isinstance(error, REFUSALS) and not isinstance(error, _PATIENT)
        if submitting and part.step != Step.CREATING and (is_final or isinstance(error, KeyRejected | QuotaSpent)):
            await self._end(job, part, BatchState.FAILED, problem)
            return Round(ended=True, error=error)
        may_pass = isinstance(error, _PATIENT) or not isinstance(error, ProviderError) or error.may_retry
        misses = part.misses if may_pass else part.misses + 1
        if not submitting and misses >= self._pace.misses:
            # What had arrived stays; the rest is named.
            way = BatchState(part.way) if part.way else BatchState.FAILED
            await self._end(job, part, way, problem)
            return Round(ended=True, error=error)
        await self._store.change_part(job_id, position, {"problem": problem, "misses": misses})
        hint_s = error.retry_after_s if isinstance(error, ProviderError) else None
        wait_s = await self._schedule(job_id, position, previous_s, hint_s=hint_s)
        return Round(ended=False, wait_s=wait_s, error=error)

    async def _schedule(self, job_id: str, position: int, previous_s: float, *, hint_s: float | None = None) -> float:
        stored = await self._store.get(job_id)
        now_s = self._clock.wall().timestamp()
        age_s = 0.0 if stored is None else now_s - stored[0].created_s
        wait_s = self._pace.next_s(previous_s, age_s, self._rng, hint_s=hint_s)
        await self._store.change_part(job_id, position, {"next_poll_s": now_s + wait_s})
        await self._changed(job_id)
        return wait_s


def status_values(status: BatchStatus, part: PartRecord, now_s: float) -> dict[str, Any]:
    """What a provider's word changes of a part."""
    state = _STATES.get(status.state, JobState.COLLECTING)
    if part.state == JobState.CANCELLING and state in (JobState.QUEUED, JobState.RUNNING):
        state = JobState.CANCELLING  # Gemini and Together have no word for it
    return {
        "state": state,
        "step": Step.CREATED,
        "batch_id": status.id,
        "way": status.state.value if status.state.is_terminal else "",
        "total": status.counts.total,
        "succeeded": status.counts.succeeded,
        "failed": status.counts.failed,
        "created_s": status.created_s or part.created_s or now_s,
        "ended_s": status.ended_s or (now_s if status.state.is_terminal else None),
        "expires_s": status.expires_s,
        "results_until_s": status.results_until_s,
        "last_poll_s": now_s,
        "polls": part.polls + 1,
        "misses": 0,
        "raw_state": status.raw_state,
        "problem": status.problem,
    }
