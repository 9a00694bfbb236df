"""The values of batch jobs: a job, the provider batches it became, its rows and what they came to.

A job is one list of rows for one model. A provider's limits may make several batches of it, its parts; whoever looks at
a job need not care. Nothing here waits, writes or asks; times are epoch seconds, `None` is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from workbench.core.types import FinishReason, KeyAlias, Message, Params, Usage


class JobState(StrEnum):
    """Where a job or one part of it stands, whatever its provider calls that."""

    PREPARING = "preparing"
    """Rows are being read and written down; nothing has been sent."""
    SUBMITTING = "submitting"
    """Written down as a whole; on its way to the provider, perhaps there already without our having heard so."""
    QUEUED = "queued"
    RUNNING = "running"
    COLLECTING = "collecting"
    """Over at the provider; results are being fetched."""
    COMPLETED = "completed"
    """Every row has its answer."""
    PARTIAL = "partial"
    """Over; some rows have answers and some have errors."""
    FAILED = "failed"
    """Over without one answer."""
    EXPIRED = "expired"
    """Over since the provider's time was up; the rows that it got to have their answers."""
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    """Over since somebody wanted it so; the rows that were done by then have their answers."""

    @property
    def is_ended(self) -> bool:
        """Nothing more will happen, and what the provider had is here."""
        return self in _ENDED


_ENDED = frozenset(
    {JobState.COMPLETED, JobState.PARTIAL, JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED},
)


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Rows. While a job runs these are the provider's figures; some tell nothing before the end."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    """Errors, refusals, expired and cancelled rows alike."""

    @property
    def finished(self) -> int:
        return self.succeeded + self.failed

    @property
    def open(self) -> int:
        return self.total - self.finished


@dataclass(frozen=True, slots=True)
class JobPart:
    """One provider batch."""

    index: int
    state: JobState
    batch_id: str | None
    """The provider's name for it; None until it has one."""
    rows: int
    counts: JobCounts
    created_s: float | None = None
    """At the provider."""
    ended_s: float | None = None
    expires_s: float | None = None
    """When the provider gives it up."""
    results_until_s: float | None = None
    """When the provider deletes what it has."""
    last_poll_s: float | None = None
    next_poll_s: float | None = None
    polls: int = 0
    raw_state: str = ""
    """In the provider's own word."""
    problem: str = ""
    """Why it failed, or what stands in the way just now; one line."""


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    """Our own: fourteen characters, sortable by time."""
    name: str
    model: str
    """As it was asked for; empty for an imported one that nobody said it of."""
    provider: str
    key_alias: KeyAlias | None
    group: str | None
    """Jobs of several models that were submitted together share it."""
    state: JobState
    counts: JobCounts
    parts: tuple[JobPart, ...]
    created_s: float
    ended_s: float | None = None
    cost_usd: float | None = None
    """Of the rows collected so far whose price is known, at batch prices; None while there is none."""
    saved_usd: float | None = None
    """What the same rows would have cost more live."""
    estimate_usd: float | None = None
    """What it was expected to cost at most when it was submitted."""
    problem: str = ""
    """One line; empty when all is well."""
    imported: bool = False
    """Made elsewhere: its prompts are not known here."""
    retry_of: str | None = None
    """The job whose failed rows these are."""
    cancel_asked: bool = False
    notes: tuple[str, ...] = ()
    """What was dropped, renamed or defaulted on the way to the wire, in words."""

    def age_s(self, now_s: float) -> float:
        """Since it was submitted, until it ended."""
        return max(0.0, (now_s if self.ended_s is None else self.ended_s) - self.created_s)

    @property
    def batch_ids(self) -> tuple[str, ...]:
        return tuple(part.batch_id for part in self.parts if part.batch_id is not None)

    @property
    def handle(self) -> str:
        """`openai:1:batch_abc123` (provider, number of the key, the provider's own id), if it is one batch; else `id`.

        Enough to find the job again without this store, with the same keys.
        """
        if len(self.parts) != 1 or self.parts[0].batch_id is None:
            return self.id
        number = (self.key_alias or "").rpartition("#")[2] or "1"
        return f"{self.provider}:{number}:{self.parts[0].batch_id}"

    @property
    def last_poll_s(self) -> float | None:
        return max((part.last_poll_s for part in self.parts if part.last_poll_s is not None), default=None)

    @property
    def next_poll_s(self) -> float | None:
        return min((part.next_poll_s for part in self.parts if part.next_poll_s is not None), default=None)

    @property
    def expires_s(self) -> float | None:
        """The first of its open parts'."""
        return min((part.expires_s for part in self.parts if part.expires_s and not part.state.is_ended), default=None)

    @property
    def results_until_s(self) -> float | None:
        return min((part.results_until_s for part in self.parts if part.results_until_s is not None), default=None)


@dataclass(frozen=True, slots=True)
class RowError:
    """What a failed row came to, in words."""

    title: str
    """As `WorkbenchError.title`: one or two words, by which errors can be counted."""
    message: str
    code: str = ""
    """The provider's own."""


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """Exactly one of `finish_reason` and `error` is set: a failed row is never an empty text."""

    text: str = ""
    reasoning: str = ""
    tool_calls: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    error: RowError | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobRow:
    index: int
    """In input order, from 0."""
    id: str
    """The row's own, unique in its job."""
    messages: tuple[Message, ...]
    """Empty in an imported job."""
    params: Params
    answer: RowAnswer | None = None
    """None while it is open."""
    cost_usd: float | None = None
    saved_usd: float | None = None

    @property
    def error(self) -> RowError | None:
        return None if self.answer is None else self.answer.error


class RowFilter(StrEnum):
    ALL = "all"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class JobChange:
    job: Job
    was: JobState | None
    """None for one that has just become known."""
    gone: bool = False
    """It has been forgotten."""

    @property
    def just_ended(self) -> bool:
        return self.was is not None and not self.was.is_ended and self.job.state.is_ended


@dataclass(frozen=True, slots=True)
class JobEstimate:
    """What rows may cost, before anything is sent. A price is None where none is known."""

    rows: int
    input_tokens: int
    """By length: four characters to a token."""
    parts: int
    """Provider batches that it would become, at least."""
    batch_usd_low: float | None = None
    """With short answers."""
    batch_usd_high: float | None = None
    """With answers as long as the rows' own limits allow, or long ones where there is none."""
    live_usd_low: float | None = None
    live_usd_high: float | None = None


@dataclass(frozen=True, slots=True)
class BatchSupport:
    """What one provider offers, for people."""

    provider: str
    title: str
    sentence: str
    has_key: bool


def state_of(states: Iterable[JobState], counts: JobCounts) -> JobState:
    """A job's state from its parts'."""
    found = frozenset(states)
    if not found:
        return JobState.PREPARING
    if all(state.is_ended for state in found):
        return ended_state(found, counts)
    for state in (JobState.PREPARING, JobState.SUBMITTING, JobState.CANCELLING, JobState.RUNNING, JobState.COLLECTING):
        if state in found:
            return state
    return JobState.QUEUED if found == {JobState.QUEUED} else JobState.RUNNING


def ended_state(ways: frozenset[JobState], counts: JobCounts) -> JobState:
    """How something ended whose parts ended in these ways."""
    if counts.total and counts.succeeded == counts.total:
        return JobState.COMPLETED
    for state in (JobState.CANCELLED, JobState.EXPIRED):
        if state in ways:
            return state
    return JobState.PARTIAL if counts.succeeded else JobState.FAILED
