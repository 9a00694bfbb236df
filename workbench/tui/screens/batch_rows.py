"""The rows of one batch job: fifty thousand scroll as fifty do; what the cursor is on is shown in full below."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from workbench.core.errors import WorkbenchError
from workbench.core.text import strip_control
from workbench.jobs.job import Job, JobRow, RowFilter
from workbench.session import job_words
from workbench.session.job_export import error_text
from workbench.session.job_lanes import question
from workbench.session.job_pages import RowPages
from workbench.tui.aside import aside
from workbench.tui.desk import Desk
from workbench.tui.screens.area import BAR_PERIOD_S, AreaScreen
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.job_rows import RowTable
from workbench.tui.widgets.job_table import state_content
from workbench.tui.widgets.key_bar import KeyBar
from workbench.tui.widgets.line_list import LineList

_FILTERS = (RowFilter.ALL, RowFilter.FAILED, RowFilter.SUCCEEDED, RowFilter.OPEN)

_FILTER_NAMES = {
    RowFilter.ALL: "all",
    RowFilter.FAILED: "failed",
    RowFilter.SUCCEEDED: "answered",
    RowFilter.OPEN: "open",
}

_PREVIEW = 20_000
"""Characters of a prompt or an answer that are shown below the list; Enter shows the whole."""


class BatchRowsScreen(AreaScreen):
    CSS_PATH = "../styles/batches.tcss"
    AUTO_FOCUS = "#rows"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "next_filter(1)", "Filter", id="rows.filter", tooltip="All, failed, answered or open rows"),
        Binding("F", "next_filter(-1)", "Filter back", id="rows.filter-back", show=False),
        Binding("e", "export", "Export", id="rows.export", tooltip="The rows shown, as JSONL, CSV or Markdown"),
        Binding("y", "copy_answer", "Copy", id="rows.copy", tooltip="Copy the row's answer"),
        Binding("escape,q", "leave", "Back", id="rows.leave", tooltip="To the jobs"),
    ]

    def __init__(self, desk: Desk, job_id: str) -> None:
        super().__init__(desk, id="batch-rows")
        self.job_id = job_id
        self.only = RowFilter.ALL
        self.table = RowTable(desk.glyphs)
        self._title = Bar(id="rows-title")
        self._heading = Bar(id="rows-heading")
        self._text = Static(id="row-text", markup=False)
        self._shown: tuple[RowFilter, Job] | None = None
        self._previewed: JobRow | None = None

    @property
    def is_in_front(self) -> bool:
        return self.app.front is self

    @property
    def job(self) -> Job | None:
        """None once it has been forgotten."""
        return self.app.batches.board.find(self.job_id)

    def compose(self) -> ComposeResult:
        yield self.app_bar
        yield self._title
        with Vertical(id="rows-side"):
            yield self._heading
            yield self.table
        with VerticalScroll(id="row-side", can_focus=True):
            yield self._text
        yield self.status
        yield KeyBar(self.desk.glyphs)
        yield Static("The terminal is too small: 40 by 12 cells at least.", id="too-small", markup=False)

    def on_mount(self) -> None:
        self.query_one("#rows-side").border_title = "Rows"
        self.query_one("#row-side").border_title = "Row"
        self._refresh()
        self.set_interval(BAR_PERIOD_S, self._refresh, name="rows")

    def on_screen_resume(self) -> None:
        self._refresh()

    # Drawing

    def _refresh(self) -> None:
        if not self.is_in_front:
            return
        self.refresh_chrome()
        job = self.job
        if job is None:
            self.dismiss()
            return
        self._draw_title(job)
        if self._needs_rows(job):
            self._shown = (self.only, job)
            self._show_rows(job)
        self._heading.show(self.table.heading(self.table.scrollable_content_region.width))
        self._draw_row()

    def _needs_rows(self, job: Job) -> bool:
        """Another filter, or the answers are here now. What a provider says of its progress changes no row."""
        if self._shown is None:
            return True
        only, before = self._shown
        return only is not self.only or before.state is not job.state

    def _show_rows(self, job: Job) -> None:
        desk = self.app.batches.desk
        if desk is None:
            return

        async def fetch(offset: int, limit: int) -> tuple[JobRow, ...]:
            return await desk.rows(self.job_id, only=only, offset=offset, limit=limit)

        only, counts = self.only, job.counts
        count = {
            RowFilter.ALL: counts.total,
            RowFilter.FAILED: counts.failed,
            RowFilter.SUCCEEDED: counts.succeeded,
            # Until it has ended no row of it is here, whatever the provider says of its progress.
            RowFilter.OPEN: counts.open if job.state.is_ended else counts.total,
        }[only]
        self.table.show_pages(RowPages(fetch, count))

    def _draw_title(self, job: Job) -> None:
        counts = job.counts
        numbers = {
            RowFilter.ALL: counts.total,
            RowFilter.FAILED: counts.failed,
            RowFilter.SUCCEEDED: counts.succeeded,
            RowFilter.OPEN: counts.open,
        }
        left = Content.assemble(
            " ",
            (job_words.name_of(job), "bold"),
            "  ",
            (job_words.clean(job.model), "$foreground-muted"),
            "  ",
            state_content(job, self.desk.glyphs),
        )
        filters = [
            Content.styled(
                f"{_FILTER_NAMES[only]} {numbers[only]:,}",
                "bold underline $text-primary" if only is self.only else "$foreground-muted",
            )
            for only in _FILTERS
        ]
        self._title.show(left, Content.assemble("  ", Content("  ").join(filters), " "))

    def _draw_row(self) -> None:
        row = self.table.row
        if row is self._previewed:
            return
        self._previewed = row
        self._text.update(row_text(row) if row is not None else Content())

    @on(RowTable.Wanted)
    def _wanted(self, event: RowTable.Wanted) -> None:
        aside(self, partial(self._load, event.pages))

    async def _load(self, numbers: list[int]) -> None:
        pages = self.table.pages
        if pages is None:
            return
        try:
            for number in numbers:
                await pages.load(number)
        except WorkbenchError as error:
            self.status.flash(str(error), style="$text-error")
        if pages is self.table.pages:
            self.table.pages_came(numbers)
            self._draw_row()

    @on(LineList.Moved, "#rows")
    def _moved(self) -> None:
        self._draw_row()
        self.query_one("#row-side").scroll_home(animate=False)

    # Acting

    @on(LineList.Chosen, "#rows")
    def _chosen(self) -> None:
        job, row = self.job, self.table.row
        if job is not None and row is not None:
            from workbench.tui.screens.batch_row import BatchRowScreen

            self.app.push_screen(BatchRowScreen(self.desk, self.app.batches.board.peers(job), row.index))

    def action_next_filter(self, step: int) -> None:
        self.only = _FILTERS[(_FILTERS.index(self.only) + step) % len(_FILTERS)]
        self.table.cursor = 0
        self._refresh()

    def action_export(self) -> None:
        if self.job is not None:
            self.app.batches.export(self.job, self.only)

    def action_copy_answer(self) -> None:
        row = self.table.row
        self.app.errands.copy_text(row.answer.text if row is not None and row.answer is not None else "", "answer")

    def action_leave(self) -> None:
        self.dismiss()


def row_text(row: JobRow) -> Content:
    """A row in full, as far as a preview goes: what was asked, what came back."""
    parts: list[Content] = []
    asked = question(row)
    if asked:
        parts += [_title("Prompt"), _body(asked), Content()]
    answer = row.answer
    if said := error_text(row):
        parts += [_title("No answer"), Content.styled(strip_control(said), "$text-error"), Content()]
    if answer is not None and answer.reasoning:
        parts += [_title("Reasoning"), _body(answer.reasoning).stylize("$foreground-muted"), Content()]
    if answer is not None and (answer.text or answer.tool_calls):
        parts += [_title("Answer"), _body(answer.text or answer.tool_calls)]
    return Content("\n").join(parts)


def _title(text: str) -> Content:
    return Content.styled(text, "bold $text-primary")


def _body(text: str) -> Content:
    cut = text if len(text) <= _PREVIEW else f"{text[:_PREVIEW]}\n({len(text) - _PREVIEW:,} characters more)"
    return Content(strip_control(cut).strip())
