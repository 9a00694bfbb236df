"""The batch jobs that a person's screens know of: newest first, kept current by the desk's changes, with a short log.

Read by whoever draws: `revision` grows with every change, so that a board that nobody looks at costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.jobs.job import Job, JobChange
from workbench.session import job_words
from workbench.session.monitor_outlook import BatchOutlook, batch_outlook

LOG_LINES = 500
"""Of all jobs together; a job has a dozen states at most."""


@dataclass(frozen=True, slots=True)
class LogLine:
    at_s: float
    job_id: str
    text: str


class JobBoard:
    def __init__(self) -> None:
        self.jobs: tuple[Job, ...] = ()
        self.revision = 0
        self.outlook = BatchOutlook()
        """What the open ones will cost, and what was spent on all of them since they were loaded."""
        self._log: deque[LogLine] = deque(maxlen=LOG_LINES)

    @property
    def open_count(self) -> int:
        """Jobs that are not over."""
        return sum(not job.state.is_ended for job in self.jobs)

    def load(self, jobs: Iterable[Job]) -> None:
        """These are all there are; what the log says about earlier ones goes with them."""
        self.jobs = _newest_first(jobs)
        known = {job.id for job in self.jobs}
        self._log = deque((line for line in self._log if line.job_id in known), maxlen=LOG_LINES)
        self.outlook = batch_outlook(self.jobs, spent_usd=0.0, unpriced=0)
        self.revision += 1

    def apply(self, change: JobChange, now_s: float) -> None:
        job = change.job
        before = self.find(job.id)
        others = [other for other in self.jobs if other.id != job.id]
        self.jobs = tuple(others) if change.gone else _newest_first([*others, job])
        if not change.gone and (text := _news(before, change)):
            self._log.append(LogLine(now_s, job.id, text))
        self._count(change, before)
        self.revision += 1

    def _count(self, change: JobChange, before: Job | None) -> None:
        job, spent_usd = change.job, self.outlook.spent_usd
        if before is not None and not change.gone:
            spent_usd += max(0.0, (job.cost_usd or 0.0) - (before.cost_usd or 0.0))
        free = change.just_ended and job.cost_usd is None and job.counts.succeeded > 0
        self.outlook = batch_outlook(self.jobs, spent_usd=spent_usd, unpriced=self.outlook.unpriced + free)

    def find(self, job_id: str) -> Job | None:
        return next((job for job in self.jobs if job.id == job_id), None)

    def peers(self, job: Job) -> tuple[Job, ...]:
        """The jobs that were submitted together with this one, itself included, in the order of their models' lanes."""
        if job.group is None:
            return (job,)
        # Newest first is last submitted first.
        return tuple(reversed([other for other in self.jobs if other.group == job.group])) or (job,)

    def log(self, job_id: str) -> Sequence[LogLine]:
        """What happened to one job while this program looked, newest first."""
        return [line for line in reversed(self._log) if line.job_id == job_id]


def _newest_first(jobs: Iterable[Job]) -> tuple[Job, ...]:
    return tuple(sorted(jobs, key=lambda job: (job.created_s, job.id), reverse=True))


def _news(before: Job | None, change: JobChange) -> str:
    """What is worth a line: another state, another problem; not that it was asked after once more."""
    job = change.job
    if before is None or before.state is not job.state:
        counts = f", {job_words.ended_words(job)}" if job.state.is_ended else ""
        return f"{job.state}{counts}"
    if job.problem != before.problem:
        return job.problem or "no longer in trouble"
    if job.cancel_asked and not before.cancel_asked:
        return "asked to cancel"
    return ""
