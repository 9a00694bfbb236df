"""Everything about one batch job: what its state means, its rows, times and money, what failed, and what happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from textual.content import Content

from workbench.jobs.job import Job, JobPart
from workbench.session import job_words
from workbench.session.job_board import LogLine
from workbench.session.job_words import LOOKS, clean
from workbench.session.targets import short_model_name
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.job_table import bar, state_content

_LABEL_WIDTH = 10
_LOG_LINES = 40


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What is known of a job besides itself."""

    errors: Sequence[tuple[str, int]] = ()
    """Kinds of errors and how many rows had each."""
    peers: Sequence[Job] = ()
    """Jobs submitted together with it, itself included."""
    log: Sequence[LogLine] = ()


def job_detail(job: Job, facts: JobFacts, now_s: float, width: int, glyphs: Glyphs) -> Content:
    """The detail pane's text; a line that is too long wraps."""
    look = LOOKS[job.state]
    lines = [
        Content.styled(job_words.name_of(job), "bold"),
        Content.assemble(state_content(job, glyphs), "  ", (look.says, "$foreground-muted")),
    ]
    if job_words.tells_progress(job.counts):
        lines.append(bar(job, max(10, min(60, width - 2)), glyphs))
    if job.problem:
        lines.append(Content.styled(clean(job.problem), "$text-warning"))
    lines.append(Content())
    lines += [_labelled(label, said) for label, said in _facts(job, facts, now_s)]
    if len(job.parts) > 1:
        lines += [Content(), _title("Batches at the provider")]
        lines += [_part(part, now_s, glyphs) for part in job.parts]
    if facts.errors:
        lines += [Content(), _title("Failed rows")]
        lines += [Content.assemble((f"{count:>8,}  ", "$text-error"), clean(kind)) for kind, count in facts.errors]
    if job.notes:
        lines += [Content(), _title("On the way to the provider")]
        lines += [Content(clean(note)) for note in job.notes]
    if facts.log:
        lines += [Content(), _title("While this was open")]
        lines += [_log_line(line) for line in facts.log[:_LOG_LINES]]
    return Content("\n").join(lines)


def _facts(job: Job, facts: JobFacts, now_s: float) -> Iterator[tuple[str, str]]:
    counts, state = job.counts, job.state
    key = f", key {job.key_alias}" if job.key_alias else ""
    yield "model", f"{clean(job.model) or 'not told'} ({job.provider}{key})"
    if len(facts.peers) > 1:
        others = ", ".join(short_model_name(clean(peer.model)) for peer in facts.peers if peer.id != job.id)
        yield "beside", others
    if job_words.tells_progress(counts) or state.is_ended:
        open_rows = f", {counts.open:,} open" if counts.open else ""
        said = f"{counts.succeeded:,} answered, {counts.failed:,} failed{open_rows} of {counts.total:,}"
        yield "rows", said
    else:
        yield "rows", f"{counts.total:,}; the provider tells no progress yet"
    age = job_words.span(job.age_s(now_s))
    if job.ended_s is not None:
        yield "took", f"{age}, from {when(job.created_s)} to {when(job.ended_s)}"
    else:
        yield "age", f"{age}, submitted {when(job.created_s)}"
        if job.expires_s is not None:
            yield "expires", f"{job_words.in_words(job.expires_s - now_s)}, {when(job.expires_s)}"
        yield "asked", asked(job.last_poll_s, job.next_poll_s, now_s)
    if (raw := _raw_states(job)) and not state.is_ended:
        yield "there", f'"{raw}" in the provider\'s word'
    if job.results_until_s is not None:
        yield "kept", f"there until {when(job.results_until_s)}"
    yield "cost", job_words.money(job) if job.cost_usd is not None else f"{job_words.price(job)} at batch price"
    if job.retry_of:
        yield "retries", f"the failed rows of {job.retry_of}"
    if job.imported:
        yield "imported", "made elsewhere: its prompts are not known here"
    yield "id", clean(job.handle)


def asked(last_s: float | None, next_s: float | None, now_s: float) -> str:
    """`12s ago, again in 48s`."""
    last = f"{job_words.span(now_s - last_s)} ago" if last_s is not None else "not yet"
    return f"{last}, again {job_words.in_words(next_s - now_s)}" if next_s is not None else last


def when(at_s: float) -> str:
    return datetime.fromtimestamp(at_s).astimezone().strftime("%Y-%m-%d %H:%M")


def _raw_states(job: Job) -> str:
    return ", ".join(dict.fromkeys(clean(part.raw_state) for part in job.parts if part.raw_state))


def _part(part: JobPart, now_s: float, glyphs: Glyphs) -> Content:
    look = LOOKS[part.state]
    facts = [part.batch_id or "no id yet", job_words.done_of(part.counts)]
    if part.counts.failed:
        facts.append(f"{part.counts.failed:,} failed")
    if not part.state.is_ended:
        facts.append(f"asked {asked(part.last_poll_s, part.next_poll_s, now_s)}")
    if part.problem:
        facts.append(clean(part.problem))
    glyph = look.ascii_glyph if glyphs.ascii_only else look.glyph
    head = f"{part.index + 1} {glyph} {part.state} "
    return Content.assemble((head, "bold"), (f" {glyphs.dot} ".join(clean(fact) for fact in facts), ""))


def _log_line(line: LogLine) -> Content:
    at = datetime.fromtimestamp(line.at_s).astimezone().strftime("%H:%M:%S")
    return Content.assemble((f"{at}  ", "$foreground-muted"), clean(line.text))


def _title(text: str) -> Content:
    return Content.styled(text, "bold $text-primary")


def _labelled(label: str, said: str) -> Content:
    return Content.assemble((f"{label:{_LABEL_WIDTH}}", "$foreground-muted"), said)
