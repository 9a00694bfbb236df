"""Batch jobs as the shell shows them: a table, one job in full, a JSON object, and the exit code they come to.

What providers say and what people call their jobs is cleaned of control codes here, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from workbench.cli.table import cells, columns
from workbench.core.clock import SystemClock
from workbench.core.redact import redact
from workbench.core.text import strip_control
from workbench.core.types import Json
from workbench.jobs.job import JobState
from workbench.session import figures, job_words
from workbench.session.job_words import span

if TYPE_CHECKING:
    from workbench.jobs.job import Job, JobCounts, JobPart

ALL_ANSWERED, SOME_FAILED, NOT_ENDED = 0, 1, 3
"""Exit codes; 2 is wrong usage, as everywhere."""

_HEADERS = ("JOB", "MODEL", "STATE", "DONE", "FAILED", "AGE", "COST", "NAME")
_RIGHT = ("DONE", "FAILED", "AGE", "COST")
_FIRST_TO_GO = ("COST", "NAME", "FAILED", "AGE", "MODEL")
"""Columns that are left out, in this order, where the terminal is too narrow for all."""


def exit_code(jobs: Iterable[Job]) -> int:
    """Of all of them together: one that has not ended outweighs failed rows."""
    codes = [_exit_code(job) for job in jobs]
    return NOT_ENDED if NOT_ENDED in codes else max(codes, default=ALL_ANSWERED)


def _exit_code(job: Job) -> int:
    if not job.state.is_ended:
        return NOT_ENDED
    return ALL_ANSWERED if job.state is JobState.COMPLETED else SOME_FAILED


def table(jobs: Sequence[Job], now_s: float, width: int | None = None) -> str:
    """One line per job under a header; no wider than `width` cells, as far as leaving out columns can do that."""
    rows = [dict(zip(_HEADERS, _HEADERS, strict=True)), *(_cells_of(job, now_s) for job in jobs)]
    shown = list(_HEADERS)
    for gone in (None, *_FIRST_TO_GO):
        if gone is not None:
            shown.remove(gone)
        if width is None or sum(max(cells(row[name]) for row in rows) + 2 for name in shown) - 2 <= width:
            break
    right = frozenset(index for index, name in enumerate(shown) if name in _RIGHT)
    return columns([[row[name] for name in shown] for row in rows], right=right)


def _cells_of(job: Job, now_s: float) -> dict[str, str]:
    return {
        "JOB": job.id,
        "MODEL": _model(job),
        "STATE": job.state.value,
        "DONE": job_words.done_of(job.counts),
        "FAILED": _failed(job.counts),
        "AGE": span(job.age_s(now_s)),
        "COST": job_words.price(job),
        "NAME": clean(job.name),
    }


def details(job: Job, now_s: float, errors: Sequence[tuple[str, int]] = ()) -> str:
    """One job, as `status` shows it; `errors` are its failed rows by kind."""
    key = f", key {job.key_alias}" if job.key_alias else ""
    failed = f", {job.counts.failed:,} failed" if job.counts.failed else ""
    rows = [("job", job.id)]
    if job.handle != job.id:
        rows.append(("at provider", clean(job.handle)))
    rows.append(("state", f"{job.state.value}, {job_words.done_of(job.counts)} rows done{failed}"))
    rows.append(("model", f"{_model(job)} ({job.provider}{key})"))
    if job.name:
        rows.append(("name", clean(job.name)))
    if job.retry_of:
        rows.append(("again", f"the failed rows of {job.retry_of}"))
    rows.append(("submitted", f"{when(job.created_s)}, {span(now_s - job.created_s)} ago"))
    if job.ended_s is not None:
        rows.append(("ended", f"{when(job.ended_s)}, after {span(job.age_s(now_s))}"))
    elif job.last_poll_s is not None:
        rows.append(("asked", f"{span(now_s - job.last_poll_s)} ago"))
    if job.expires_s is not None:
        rows.append(("expires", job_words.in_words(job.expires_s - now_s)))
    rows.append(("cost", job_words.money(job)))
    if errors:
        rows.append(("errors", ", ".join(f"{count:,} {clean(title)}" for title, count in errors)))
    rows += [("note", clean(note)) for note in job.notes]
    if job.problem:
        rows.append(("problem", clean(job.problem)))
    text = columns(rows)
    return f"{text}\n\n{_parts(job.parts)}" if len(job.parts) > 1 else text


def _parts(parts: Sequence[JobPart]) -> str:
    rows = [("PART", "BATCH", "STATE", "DONE", "FAILED", "PROBLEM")]
    for part in parts:
        batch = clean(part.batch_id or "not submitted yet")
        done = job_words.done_of(part.counts)
        rows.append((str(part.index + 1), batch, part.state.value, done, _failed(part.counts), clean(part.problem)))
    return columns(rows, right=frozenset({0, 3, 4}))


def _model(job: Job) -> str:
    return clean(job.model) or figures.UNKNOWN


def _failed(counts: JobCounts) -> str:
    return f"{counts.failed:,}" if counts.failed else figures.UNKNOWN


def job_as_json(job: Job) -> dict[str, Json]:
    """The object of one `--json` line. Times are epoch seconds; null is unknown."""
    return {
        "id": job.id,
        "handle": job.handle,
        "name": job.name,
        "group": job.group,
        "model": job.model or None,
        "provider": job.provider,
        "key": job.key_alias,
        "state": job.state.value,
        "ended": job.state.is_ended,
        "counts": _counts_as_json(job.counts),
        "created_s": job.created_s,
        "ended_s": job.ended_s,
        "expires_s": job.expires_s,
        "last_poll_s": job.last_poll_s,
        "next_poll_s": job.next_poll_s,
        "results_until_s": job.results_until_s,
        "cost_usd": job.cost_usd,
        "saved_usd": job.saved_usd,
        "estimate_usd": job.estimate_usd,
        "imported": job.imported,
        "retry_of": job.retry_of,
        "problem": redact(job.problem) or None,
        "notes": list(job.notes),
        "batches": [
            {
                "id": part.batch_id,
                "state": part.state.value,
                "counts": _counts_as_json(part.counts),
                "problem": redact(part.problem) or None,
            }
            for part in job.parts
        ],
    }


def _counts_as_json(counts: JobCounts) -> dict[str, Json]:
    return {"total": counts.total, "succeeded": counts.succeeded, "failed": counts.failed}


def clean(text: str) -> str:
    """On one line, without control codes and keys."""
    return " ".join(redact(strip_control(text)).split())


def when(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s).astimezone().strftime("%Y-%m-%d %H:%M")


def now_s() -> float:
    return SystemClock().wall().timestamp()
