"""A desk whose jobs do what a test tells them to, with rows that are made when they are looked at."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.core.errors import UsageError
from workbench.core.types import FinishReason, KeyAlias, Message, Params, Usage
from workbench.jobs.desk import JobDesk
from workbench.jobs.job import (
    BatchSupport,
    Job,
    JobChange,
    JobCounts,
    JobEstimate,
    JobPart,
    JobRow,
    JobState,
    RowAnswer,
    RowError,
    RowFilter,
)
from workbench.jobs.rows import Row

START_S = 1_767_225_600.0 + 0


def a_job(
    job_id: str = "job-1",
    *,
    name: str = "river names",
    model: str = "gpt-5.4-mini",
    state: JobState = JobState.RUNNING,
    counts: JobCounts | None = None,
    created_s: float = START_S,
    **changes: Any,
) -> Job:
    counts = counts or JobCounts(400, 120, 2)
    parts = (
        JobPart(
            0,
            state,
            f"batch_{job_id}",
            counts.total,
            counts,
            created_s=created_s,
            expires_s=created_s + 86_400,
            last_poll_s=created_s + 50,
            next_poll_s=created_s + 110,
            polls=3,
            raw_state="in_progress",
        ),
    )
    values: dict[str, Any] = {
        "provider": "openai",
        "key_alias": KeyAlias("openai#1"),
        "group": None,
        "parts": parts,
        "estimate_usd": 0.84,
    }
    return Job(id=job_id, name=name, model=model, state=state, counts=counts, created_s=created_s, **(values | changes))


def ended(job: Job, failed: int = 0, **changes: Any) -> Job:
    """The job when it is over, with so many failed rows."""
    total = job.counts.total
    counts = JobCounts(total, total - failed, failed)
    state = JobState.PARTIAL if failed else JobState.COMPLETED
    parts = tuple(replace(part, state=state, counts=counts, next_poll_s=None) for part in job.parts)
    values: dict[str, Any] = {"cost_usd": 0.42, "saved_usd": 0.42, "ended_s": job.created_s + 900}
    return replace(job, state=state, counts=counts, parts=parts, **(values | changes))


def a_row(job: Job, index: int) -> JobRow:
    """Answered, unless it is one of the failed rows, which are the last ones."""
    messages = (Message.user(f"Name river number {index + 1}."),)
    if not job.state.is_ended:
        return JobRow(index, f"row-{index + 1}", messages, Params())
    if index >= job.counts.succeeded:
        error = RowError("blocked", "The provider's filter stopped it.", "content_filter")
        return JobRow(index, f"row-{index + 1}", messages, Params(), RowAnswer(error=error))
    answer = RowAnswer(
        f"{job.model} says: river {index + 1} is the **Rhine**.",
        finish_reason=FinishReason.STOP,
        usage=Usage(input=12, output=9),
    )
    return JobRow(index, f"row-{index + 1}", messages, Params(), answer, cost_usd=0.0011, saved_usd=0.0011)


@dataclass
class ScriptedDesk(JobDesk):
    """Holds jobs; `change` is what a provider would have done to one."""

    held: dict[str, Job] = field(default_factory=dict)
    listeners: list[Callable[[JobChange], None]] = field(default_factory=list)
    submitted: list[tuple[str, list[Row], str, str | None]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """What was asked for, and of which job."""
    without_batches: frozenset[str] = frozenset()
    refusal: Exception | None = None
    """What the next thing that is asked comes to."""
    pages: list[tuple[str, RowFilter, int]] = field(default_factory=list)

    def put(self, *jobs: Job) -> None:
        for job in jobs:
            self.held[job.id] = job

    def change(self, job: Job) -> None:
        was = self.held.get(job.id)
        self.held[job.id] = job
        self.tell(JobChange(job, was.state if was is not None else None))

    def tell(self, change: JobChange) -> None:
        for listener in list(self.listeners):
            listener(change)

    async def submit(
        self, model: str, rows: Iterable[Row], *, name: str = "", group: str | None = None, skip_bad: bool = False
    ) -> Job:
        self._refuse("submit", model)
        taken = list(rows)
        self.submitted.append((model, taken, name, group))
        counts = JobCounts(len(taken))
        made = a_job(f"new-{len(self.submitted)}", name=name, model=model, state=JobState.QUEUED, counts=counts)
        self.change(replace(made, group=group))
        return made

    async def jobs(self) -> tuple[Job, ...]:
        return tuple(self.held.values())

    async def job(self, job_id: str) -> Job:
        return self.held[job_id]

    async def rows(
        self, job_id: str, *, only: RowFilter = RowFilter.ALL, offset: int = 0, limit: int = 200
    ) -> tuple[JobRow, ...]:
        self.pages.append((job_id, only, offset))
        chosen = self._chosen(self.held[job_id], only)
        return tuple(a_row(self.held[job_id], index) for index in chosen[offset : offset + limit])

    async def all_rows(self, job_id: str, *, only: RowFilter = RowFilter.ALL) -> AsyncGenerator[JobRow, None]:
        for index in self._chosen(self.held[job_id], only):
            yield a_row(self.held[job_id], index)

    @staticmethod
    def _chosen(job: Job, only: RowFilter) -> range:
        every, done = range(job.counts.total), job.counts.succeeded if job.state.is_ended else 0
        return {
            RowFilter.ALL: every,
            RowFilter.SUCCEEDED: every[:done],
            RowFilter.FAILED: every[done:] if job.state.is_ended else every[:0],
            RowFilter.OPEN: every[:0] if job.state.is_ended else every,
        }[only]

    async def error_counts(self, job_id: str) -> tuple[tuple[str, int], ...]:
        return (("blocked", self.held[job_id].counts.failed),)

    async def cancel(self, job_id: str) -> Job:
        self._refuse("cancel", job_id)
        self.change(replace(self.held[job_id], state=JobState.CANCELLING, cancel_asked=True))
        return self.held[job_id]

    async def retry_failed(self, job_id: str) -> Job:
        self._refuse("retry", job_id)
        job = self.held[job_id]
        again = a_job("again", name=job.name, state=JobState.QUEUED, counts=JobCounts(job.counts.failed))
        self.change(replace(again, retry_of=job_id, created_s=job.created_s + 1))
        return again

    async def import_(self, job_id: str, *, model: str | None = None, name: str = "") -> Job:
        self._refuse("import", job_id)
        made = a_job("imported", name=job_id, model=model or "", imported=True)
        self.change(made)
        return made

    async def forget(self, job_id: str) -> None:
        self._refuse("forget", job_id)
        self.tell(JobChange(self.held.pop(job_id), None, gone=True))

    async def poll_now(self, job_id: str | None = None) -> None:
        self._refuse("poll", job_id or "all")

    def subscribe(self, listener: Callable[[JobChange], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    async def price(self, model: str, rows: Iterable[Row]) -> JobEstimate:
        if model in self.without_batches:
            raise NotImplementedError("Local servers have no batches here.")
        count = len(list(rows))
        return JobEstimate(count, 20 * count, 1, 0.001 * count, 0.01 * count, 0.002 * count, 0.02 * count)

    async def supported(self) -> tuple[BatchSupport, ...]:
        return (
            BatchSupport("openai", "OpenAI", "OpenAI: 50,000 rows and 200 MB a batch, done within 24 hours.", True),
            BatchSupport(
                "anthropic", "Anthropic", "Anthropic: 100,000 rows and 256 MB a batch, done within 24 hours.", False
            ),
        )

    def _refuse(self, what: str, job_id: str) -> None:
        self.asked.append((what, job_id))
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal


def no_such_job(job_id: str) -> UsageError:
    return UsageError(f"There is no job {job_id}.")
