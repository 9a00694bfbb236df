"""The Batches screen: every batch job, how far it is, everything about one of them, and what can be done with it.

Thin: jobs come from the app's batch room, which also carries out what is asked; rows and answers have screens of their
own. Drawn again when the board changed, and once a second for what counts down; not at all behind another area.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from workbench.core.errors import WorkbenchError
from workbench.jobs.job import Job
from workbench.tui.aside import aside
from workbench.tui.batch_room import can_cancel, can_retry
from workbench.tui.desk import Desk
from workbench.tui.screens.area import BAR_PERIOD_S, AreaScreen
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.job_detail import JobFacts, job_detail
from workbench.tui.widgets.job_table import JobTable
from workbench.tui.widgets.key_bar import KeyBar
from workbench.tui.widgets.line_list import LineList

_HOW_TO = """\
A batch answers many prompts at half the price, within a day: results are kept here.

 1  In Compare, write a prompt. {{variables}} in it are filled from a file of rows.
 2  Choose models with F2, then press B in the answers, ctrl+b, or the palette's Batch.
 3  Close the program or not: jobs run at the provider, and are looked after here.

From the shell: llm-workbench batch submit rows.jsonl -m gpt-5.4-mini
A batch that was made elsewhere: i takes it up by its id."""


class BatchesScreen(AreaScreen):
    HELP = """
    # Batches

    Prompts that can wait cost about half. A job is one list of rows for one model; jobs that were submitted together
    stand together. Enter opens a job's rows with their prompts and answers, and Enter on a row shows what every model
    of the same submission made of it, side by side.

    **x** asks the provider to cancel; what is done by then is kept, and paid. **r** sends the rows that have no answer
    once more, as a job of its own. **p** asks the provider now instead of when it is due.
    """

    CSS_PATH = "../styles/batches.tcss"
    AUTO_FOCUS = "#jobs"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "retry_failed", "Retry failed", id="batches.retry", tooltip="Send rows without an answer again"),
        Binding("x", "cancel", "Cancel", id="batches.cancel", tooltip="Ask the provider to stop this job"),
        Binding("p", "poll_now", "Ask now", id="batches.poll", tooltip="Ask the provider how far it is"),
        Binding("e", "export", "Export", id="batches.export", tooltip="Rows as JSONL, CSV or Markdown"),
        Binding("i", "take_up", "Import", id="batches.import", tooltip="Take up a batch that was made elsewhere"),
        Binding("c", "copy_command", "Copy command", id="batches.copy-command", tooltip="This job as a shell command"),
        Binding("y", "copy_id", "Copy id", id="batches.copy-id", show=False, tooltip="Copy the job's id"),
        Binding("delete,D", "forget", "Forget", id="batches.forget", show=False, tooltip="Delete an ended job here"),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, id="batches")
        self.table = JobTable(desk.glyphs)
        self._heading = Bar(id="jobs-heading")
        self._facts = Static(id="job-facts", markup=False)
        self._empty = Static(id="jobs-empty", markup=False)
        self._errors: dict[tuple[str, int], tuple[tuple[str, int], ...]] = {}
        """Kinds of errors by job and number of failed rows: asked for once, and again when there are more."""
        self._asked_for: set[tuple[str, int]] = set()
        self._support: tuple[str, ...] | None = None
        self._drawn: object = None
        """What the screen shows, so that the same is not drawn twice."""

    def compose(self) -> ComposeResult:
        yield self.app_bar
        with Container(id="batches-body"):
            with Vertical(id="jobs-side"):
                yield self._heading
                yield self.table
            with VerticalScroll(id="job-side", can_focus=True):
                yield self._facts
        with VerticalScroll(id="no-jobs", can_focus=False):
            yield self._empty
        yield self.status
        yield KeyBar(self.desk.glyphs)
        yield Static("The terminal is too small: 40 by 12 cells at least.", id="too-small", markup=False)

    def on_mount(self) -> None:
        self.query_one("#jobs-side").border_title = "Jobs"
        self.query_one("#job-side").border_title = "Job"
        self.query_one("#no-jobs").border_title = "Batch jobs"
        self._refresh()
        self.set_interval(BAR_PERIOD_S, self._refresh, name="batches")

    def on_screen_resume(self) -> None:
        self._refresh()

    @property
    def job(self) -> Job | None:
        """The one that keys act on."""
        return self.table.job

    def show_newest(self) -> None:
        """Put the cursor on the job that was submitted last."""
        self._refresh()
        self.table.cursor = 0

    # Drawing

    def _refresh(self) -> None:
        if not self.is_in_front:
            return
        self.refresh_chrome()
        now_s = self.desk.clock.wall().timestamp()
        room = self.app.batches
        self._heading.show(self.table.heading(self.table.scrollable_content_region.width))
        drawn = room.revision, int(now_s), self._facts.size.width
        if drawn == self._drawn:
            return
        self._drawn = drawn
        jobs = room.board.jobs
        self.set_class(not jobs, "-no-jobs")
        self.table.show_jobs(jobs, now_s)
        if jobs:
            self.draw_detail()
        else:
            self._draw_empty()
        self.refresh_bindings()

    def draw_detail(self) -> None:
        job = self.job
        if job is None:
            return
        board = self.app.batches.board
        self._ask_for_errors(job)
        facts = JobFacts(
            errors=self._errors.get((job.id, job.counts.failed), ()), peers=board.peers(job), log=board.log(job.id)
        )
        self._facts.update(job_detail(job, facts, self.table.now_s, self._facts.size.width, self.desk.glyphs))

    def _draw_empty(self) -> None:
        room = self.app.batches
        if room.desk is not None and self._support is None:
            self._support = ()
            aside(self, self._read_support)
        said = Content(room.trouble or ("Rows are on their way to their providers." if room.is_submitting else _HOW_TO))
        if self._support:
            said = Content("\n").join([said, Content(), *(Content(line) for line in self._support)])
        if self.desk.engine.is_demo:
            note = "This is the demo: its providers are simulated, and its jobs end when the program does."
            said = Content("\n").join([said, Content(), Content.styled(note, "$text-warning")])
        self._empty.update(said)

    async def _read_support(self) -> None:
        """What each provider offers, for somebody who has no job yet."""
        desk = self.app.batches.desk
        if desk is None:
            return
        found = await desk.supported()
        self._support = tuple(one.sentence for one in found)
        self._drawn = None

    def _ask_for_errors(self, job: Job) -> None:
        key = (job.id, job.counts.failed)
        if job.state.is_ended and job.counts.failed and key not in self._asked_for:
            self._asked_for.add(key)
            aside(self, partial(self._read_errors, job))

    async def _read_errors(self, job: Job) -> None:
        desk = self.app.batches.desk
        if desk is None:
            return
        try:
            self._errors[job.id, job.counts.failed] = await desk.error_counts(job.id)
        except WorkbenchError:
            # Forgotten meanwhile, or the engine is being opened anew: the counts stand above.
            self._asked_for.discard((job.id, job.counts.failed))
        self._drawn = None

    @on(LineList.Moved, "#jobs")
    def _moved(self) -> None:
        self.draw_detail()
        self.query_one("#job-side").scroll_home(animate=False)
        self.refresh_bindings()

    # Acting

    @on(LineList.Chosen, "#jobs")
    def _chosen(self) -> None:
        job = self.job
        if job is not None:
            from workbench.tui.screens.batch_rows import BatchRowsScreen

            self.app.push_screen(BatchRowsScreen(self.desk, job.id))

    def action_retry_failed(self) -> None:
        if self.job is not None:
            self.app.batches.retry_failed(self.job)

    def action_cancel(self) -> None:
        if self.job is not None:
            self.app.batches.cancel(self.job)

    def action_poll_now(self) -> None:
        if self.job is not None:
            self.app.batches.poll_now(self.job)

    def action_export(self) -> None:
        if self.job is not None:
            self.app.batches.export(self.job)

    def action_take_up(self) -> None:
        self.app.batches.take_up()

    def action_copy_command(self) -> None:
        if self.job is not None:
            self.app.batches.copy_command(self.job)

    def action_copy_id(self) -> None:
        if self.job is not None:
            self.app.errands.copy_text(self.job.handle, "id")

    def action_forget(self) -> None:
        if self.job is not None:
            self.app.batches.forget(self.job)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing now are not offered."""
        job = self.job
        match action:
            case "retry_failed":
                return job is not None and can_retry(job)
            case "cancel":
                return job is not None and can_cancel(job)
            case "poll_now":
                return job is not None and not job.state.is_ended
            case "forget":
                return job is not None and job.state.is_ended
            case "export" | "copy_command" | "copy_id":
                return job is not None
            case _:
                return True
