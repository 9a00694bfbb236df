"""Batch jobs, a line each: state, name, model, how far, what failed, how old, what it costs. Newest first."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from workbench.jobs.job import Job
from workbench.session import figures, job_words
from workbench.session.job_words import LOOKS, Tone
from workbench.session.targets import short_model_name
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.line_list import LineList

TONES: dict[Tone, str] = {
    Tone.CALM: "$foreground-muted",
    Tone.BUSY: "$text-primary",
    Tone.GOOD: "$text-success",
    Tone.CARE: "$text-warning",
    Tone.BAD: "$text-error",
}

STATE_WIDTH = 13
MODEL_WIDTH = 22
BAR_WIDTH = 16
LEAST_NAME = 14


class JobTable(LineList):
    HELP = """
    # Batch jobs

    A line per job and model, newest first. **done** counts rows that ended, answered or not; there is a bar only where
    the provider tells how far it is. **cost** is at batch price, with `~` while it is an estimate; **saved** is what
    the same tokens would have cost more if they had been asked for live.

    Jobs run at the provider: they go on when this program is closed, and are looked after again when it is started.
    """

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(glyphs.prompt, id="jobs")
        self._glyphs = glyphs
        self.jobs: tuple[Job, ...] = ()
        self.now_s = 0.0

    @property
    def job(self) -> Job | None:
        """The one that the cursor is on."""
        return self.jobs[self.cursor] if self.cursor < len(self.jobs) else None

    def show_jobs(self, jobs: Sequence[Job], now_s: float) -> None:
        """The cursor stays on the job that it is on, wherever that has gone."""
        held = self.job.id if self.job is not None else None
        self.jobs, self.now_s = tuple(jobs), now_s
        self.set_count(len(self.jobs))
        if held is not None:
            self.cursor = next((index for index, job in enumerate(self.jobs) if job.id == held), self.cursor)

    def entry(self, index: int, width: int) -> Content:
        return job_line(self.jobs[index], self.now_s, width, self._glyphs)

    def heading(self, width: int) -> Content:
        return Content.styled(" " + _Columns(width - 1).heading, "$foreground-muted")


def job_line(job: Job, now_s: float, width: int, glyphs: Glyphs) -> Content:
    """One job in so many cells; says less when there are fewer."""
    columns = _Columns(width)
    return columns.line(job, now_s, glyphs)


def state_content(job: Job, glyphs: Glyphs) -> Content:
    look = LOOKS[job.state]
    glyph = look.ascii_glyph if glyphs.ascii_only else look.glyph
    return Content.styled(f"{glyph} {job.state}", TONES[look.tone])


def bar(job: Job, cells: int, glyphs: Glyphs) -> Content:
    """How many rows have ended, the failed ones apart."""
    counts = job.counts
    total = max(1, counts.total)
    full, half, empty = ("#", "x", "-") if glyphs.ascii_only else ("━", "╍", "─")
    failed = min(cells, -(-cells * counts.failed // total)) if counts.failed else 0
    good = min(cells - failed, cells * counts.succeeded // total)
    return Content.assemble(
        (full * good, "$text-success" if job.state.is_ended else "$text-primary"),
        (half * failed, "$text-error"),
        (empty * (cells - good - failed), "$foreground-disabled"),
    )


class _Columns:
    """Which columns there are in a width; the name takes what is left."""

    def __init__(self, width: int) -> None:
        self.has_bar = width >= 100
        self.has_failed = width >= 74
        self.has_money = width >= 86
        self.has_saved = width >= 132
        self.model_width = MODEL_WIDTH if width >= 100 else 14
        rest = STATE_WIDTH + self.model_width + 2 + 14
        rest += (BAR_WIDTH + 1) * self.has_bar + 9 * self.has_failed + 9 + 10 * self.has_money + 10 * self.has_saved
        self.name_width = max(LEAST_NAME, width - rest)

    @property
    def heading(self) -> str:
        cells = [
            f"{'state':{STATE_WIDTH}}",
            f"{'name':{self.name_width}} ",
            f"{'model':{self.model_width}} ",
            " " * (BAR_WIDTH + 1) if self.has_bar else "",
            f"{'done':>13} ",
            f"{'failed':>8} " if self.has_failed else "",
            f"{'age':>8} ",
            f"{'cost':>9} " if self.has_money else "",
            f"{'saved':>9} " if self.has_saved else "",
        ]
        return "".join(cells)

    def line(self, job: Job, now_s: float, glyphs: Glyphs) -> Content:
        counts = job.counts
        name = Content(job_words.name_of(job)).truncate(self.name_width, ellipsis=True, pad=True)
        model = Content(short_model_name(job_words.clean(job.model))).truncate(
            self.model_width, ellipsis=True, pad=True
        )
        failed = f"{counts.failed:,}" if counts.failed else ""
        # Something stands in its way, the detail says what: not in colour alone.
        state = Content.assemble(state_content(job, glyphs), ("!" if job.problem else "", "bold $text-warning"))
        return Content.assemble(
            state.pad_right(max(0, STATE_WIDTH - state.cell_length)),
            name,
            " ",
            (model.plain, "$foreground-muted"),
            " ",
            self._progress(job, now_s, glyphs),
            " ",
            (f"{failed:>8} ", "$text-error") if self.has_failed else "",
            (f"{job_words.span(job.age_s(now_s)):>8} ", "$foreground-muted"),
            (f"{job_words.price(job):>9} ", "$text-accent") if self.has_money else "",
            (f"{_saved(job):>9} ", "$text-success") if self.has_saved else "",
        )

    def _progress(self, job: Job, now_s: float, glyphs: Glyphs) -> Content:
        width = 13 + (BAR_WIDTH + 1) * self.has_bar
        if not job_words.tells_progress(job.counts) and not job.state.is_ended:
            said = job_words.doing(job, now_s) if self.has_bar else f"of {job.counts.total:,}"
            return Content.styled(f"{said[:width]:>{width}}", "$foreground-muted")
        done = f"{job_words.done_of(job.counts):>13}"
        return Content.assemble(bar(job, BAR_WIDTH, glyphs), " ", done) if self.has_bar else Content(done)


def _saved(job: Job) -> str:
    return figures.cost(job.saved_usd) if job.saved_usd else ""
