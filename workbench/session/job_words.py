"""A batch job in words: state, progress, times and money, the same on the screen, in a notification and in an export.

Pure: a job and the time in, text out. Nothing here pretends to know more than the provider says: a job whose provider
tells no progress gets no bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from workbench.core.text import strip_control
from workbench.jobs.job import Job, JobCounts, JobState
from workbench.session import figures


class Tone(StrEnum):
    """What a state means to a person; a screen gives it a colour."""

    CALM = "calm"
    BUSY = "busy"
    GOOD = "good"
    CARE = "care"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class StateLook:
    glyph: str
    ascii_glyph: str
    tone: Tone
    says: str
    """What it means, as a sentence."""


LOOKS: dict[JobState, StateLook] = {
    JobState.PREPARING: StateLook("○", "o", Tone.CALM, "Rows are being read and put into the provider's shape."),
    JobState.SUBMITTING: StateLook("◌", ".", Tone.CALM, "Rows are on their way to the provider."),
    JobState.QUEUED: StateLook("◔", "q", Tone.CALM, "The provider has it and has not begun."),
    JobState.RUNNING: StateLook("●", "*", Tone.BUSY, "The provider is answering."),
    JobState.COLLECTING: StateLook("◐", "~", Tone.BUSY, "It has ended there; answers are being fetched."),
    JobState.COMPLETED: StateLook("✓", "+", Tone.GOOD, "Every row has its answer."),
    JobState.PARTIAL: StateLook("◑", "%", Tone.CARE, "Some rows have no answer: r sends those again."),
    JobState.FAILED: StateLook("✗", "!", Tone.BAD, "No row was answered."),
    JobState.EXPIRED: StateLook("◷", "t", Tone.CARE, "The provider's time was up; what it had answered is kept."),
    JobState.CANCELLING: StateLook("◌", ".", Tone.CARE, "The provider was asked to stop."),
    JobState.CANCELLED: StateLook("■", "x", Tone.CALM, "It was cancelled; what had been answered is kept."),
}


def span(seconds: float | None) -> str:
    """`42s`, `12m05s`, `3h04m`, `2d3h`; the past of what should be in the future is `0s`."""
    if seconds is None:
        return figures.UNKNOWN
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 172_800:
        return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3_600}h"


def tells_progress(counts: JobCounts) -> bool:
    """False while nothing is known to be finished: some providers say nothing before the end."""
    return counts.finished > 0


def done_of(counts: JobCounts) -> str:
    return f"{counts.finished:,}/{counts.total:,}"


def rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def doing(job: Job, now_s: float) -> str:
    """What stands where a bar would be while there is no progress to draw."""
    if job.state in (JobState.PREPARING, JobState.SUBMITTING):
        return "sending"
    if job.last_poll_s is None:
        return "submitted"
    return f"submitted, asked {span(now_s - job.last_poll_s)} ago"


def price(job: Job) -> str:
    """What it cost, or with a tilde what it is thought to."""
    return figures.cost(job.estimate_usd, estimated=True) if job.cost_usd is None else figures.cost(job.cost_usd)


def money(job: Job) -> str:
    """`$0.84, $0.84 less than live`, or the estimate with its tilde while it is running."""
    saved = f", {figures.cost(job.saved_usd)} less than live" if job.saved_usd else ""
    return price(job) + saved


def ended_words(job: Job) -> str:
    """How it came out, for a notification: `398 of 400 rows answered, 2 failed · $0.84, $0.84 less than live`."""
    counts = job.counts
    answered = f"{counts.succeeded:,} of {rows(counts.total)} answered"
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    cost = f" · {money(job)}" if job.cost_usd is not None else ""
    return f"{answered}{failed}{cost}"


def name_of(job: Job) -> str:
    """Its name, cleaned, or its id."""
    return clean(job.name) or job.id


def clean(text: str) -> str:
    """On one line, without control codes: names and problems may be anybody's words."""
    return " ".join(strip_control(text).split())


def in_words(seconds: float) -> str:
    """`in 48s`, or `now` when it is due."""
    return f"in {span(seconds)}" if seconds > 0 else "now"
