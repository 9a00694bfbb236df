"""The app's dealings with batch jobs: keeps the board current, tells when a job ends, and carries out what is asked.

The desk that does the work belongs to the open engine and changes with it; the room belongs to the app. Whatever goes
wrong becomes a notification: nothing here ends anything else.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import UsageError, WorkbenchError
from workbench.jobs.job import Job, JobChange, JobRow, JobState, RowFilter
from workbench.session import job_words
from workbench.session.batch_order import BatchOrder
from workbench.session.draft import Draft
from workbench.session.job_board import JobBoard
from workbench.session.job_export import export_rows
from workbench.session.job_lanes import fill, line_up_of
from workbench.session.job_words import LOOKS, Tone
from workbench.session.targets import Target
from workbench.store.ids import new_id
from workbench.tui.areas import BATCHES, COMPARE
from workbench.tui.aside import aside

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from workbench.engine.budget import Reservation
    from workbench.jobs.desk import JobDesk
    from workbench.tui.app import WorkbenchApp

_SEVERITIES: dict[Tone, SeverityLevel] = {Tone.CARE: "warning", Tone.BAD: "error"}


class BatchRoom:
    def __init__(self, app: WorkbenchApp) -> None:
        self._app = app
        self._unsubscribe: Callable[[], None] | None = None
        self.board = JobBoard()
        self.desk: JobDesk | None = None
        """None until an engine is open, and when the store cannot be."""
        self._aside: dict[str, Reservation] = {}
        """Money for the jobs that were submitted from here and are not over."""
        self.is_submitting = False
        """Rows are on their way that no job on the board stands for yet."""
        self.trouble = ""
        """Why there is no desk, once that is known."""

    @property
    def revision(self) -> tuple[int, bool, str]:
        """Another one when there is something else to draw."""
        return self.board.revision, self.is_submitting, self.trouble

    # The desk

    async def enter(self, desk: JobDesk | None, trouble: str = "") -> None:
        """Another engine is open, and this is its desk."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self.desk, self.trouble = desk, trouble
        if desk is None:
            self.board.load(())
            return
        # What changes while the list is being read is told after it, or the list would take it back.
        early: list[JobChange] = []
        stop = desk.subscribe(early.append)
        try:
            self.board.load(await desk.jobs())
        finally:
            stop()
        self._unsubscribe = desk.subscribe(self._changed)
        for change in early:
            self._changed(change)

    def _changed(self, change: JobChange) -> None:
        self.board.apply(change, self._now_s())
        self._settle(change.job)
        if change.just_ended:
            self._tell_end(change.job)

    def _tell_end(self, job: Job) -> None:
        """In a line where jobs are looked at, as a notification elsewhere."""
        look = LOOKS[job.state]
        said = f"{job_words.clean(job.model)}: {job_words.ended_words(job)}."
        title = f"Batch {job.state}: {job_words.name_of(job)}"
        front = self._app.front
        if front is not None and front.id == BATCHES.mode:
            self._app.flash(f"{title}, {said}")
            return
        self._app.notify(
            f"{said} ctrl+t 2 shows it.",
            title=title,
            severity=_SEVERITIES.get(look.tone, "information"),
            markup=False,
            timeout=10,
        )

    def _now_s(self) -> float:
        return self._app.desk.clock.wall().timestamp()

    def farewell(self) -> str:
        """What somebody who leaves should know; empty when there is nothing."""
        count = self.board.open_count
        if not count or self._app.desk.engine.is_demo:
            return ""
        jobs = "1 batch job goes" if count == 1 else f"{count} batch jobs go"
        it = "it" if count == 1 else "them"
        return (
            f"{jobs} on at the provider. The workbench looks after {it} again when it is started; "
            "so does: llm-workbench batch watch"
        )

    # Submitting

    def propose(self, draft: Draft, targets: tuple[Target, ...], note: str = "") -> None:
        """What a draft would cost as a batch, beside its price live; submitted when a person says so."""
        from workbench.tui.screens.batch_submit import BatchSubmit

        def ordered(order: BatchOrder | None) -> None:
            if order is not None:
                self._app.action_go_to(BATCHES.mode)
                self._later(partial(self._submit_all, order))

        if self.desk is None:
            self._app.flash(self.trouble or "The engine is still being opened: one moment.")
        else:
            left_usd = self._app.spend_cap.spending.left_usd
            self._app.push_screen(BatchSubmit(self.desk, draft, targets, left_usd=left_usd, note=note), ordered)

    async def _submit_all(self, order: BatchOrder) -> None:
        group = new_id(self._now_s()) if len(order.targets) > 1 else None
        self.is_submitting = True
        try:
            async with asyncio.TaskGroup() as tasks:
                jobs = [
                    tasks.create_task(self._submit(order, target, expected_usd or 0.0, group))
                    for target, expected_usd in zip(order.targets, order.expected_usd, strict=True)
                ]
        finally:
            self.is_submitting = False
        if not order.draft.is_empty:
            self._app.desk.memory.remember_prompt(order.draft.prompt)
        submitted = sum(job.result() for job in jobs)
        if submitted:
            what = "1 job is" if submitted == 1 else f"{submitted} jobs are"
            self._app.flash(f"{what} at the provider: {job_words.rows(order.survey.rows)} each.")
            self._show_newest()

    def _show_newest(self) -> None:
        from workbench.tui.screens.batches import BatchesScreen

        if isinstance(front := self._app.front, BatchesScreen):
            front.show_newest()

    async def _submit(self, order: BatchOrder, target: Target, expected_usd: float, group: str | None) -> bool:
        """One target's job, if there is money for it; what it may cost is set aside until it is known."""
        title = f"Not submitted: {target.name}"
        aside_usd = self._app.spend_cap.spending.set_aside(expected_usd)
        if aside_usd is None:
            over = UsageError("It may cost more than is left of the spend cap.", hint="The palette has Spend cap.")
            self._complain(over, title)
            return False
        try:
            job = await self._desk().submit(
                target.model, order.rows(target), name=order.said_name, group=group, skip_bad=True
            )
        except (WorkbenchError, NotImplementedError) as error:
            aside_usd.release()
            self._complain(error, title)
            return False
        except BaseException:
            aside_usd.release()
            raise
        self._aside[job.id] = aside_usd
        self._settle(self.board.find(job.id) or job)
        return True

    def _settle(self, job: Job) -> None:
        """Money that was set aside for a job is spent, or free again, when it is over."""
        if job.state.is_ended and (reservation := self._aside.pop(job.id, None)) is not None:
            reservation.settle(job.cost_usd)

    # What can be done with a job

    def cancel(self, job: Job) -> None:
        counts = job.counts
        kept = f" {counts.finished:,} of {job_words.rows(counts.total)} are done and paid." if counts.finished else ""
        self._ask(f"Cancel {job_words.name_of(job)} at {job.provider}?{kept}", "cancel it", partial(self._cancel, job))

    async def _cancel(self, job: Job) -> None:
        cancelled = await self._desk().cancel(job.id)
        self._app.flash(f"{job_words.name_of(job)}: {cancelled.state}.")

    def retry_failed(self, job: Job) -> None:
        self._later(partial(self._retry_failed, job))

    async def _retry_failed(self, job: Job) -> None:
        again = await self._desk().retry_failed(job.id)
        self._app.flash(f"{job_words.rows(again.counts.total)} of {job_words.name_of(job)} are on their way again.")

    def forget(self, job: Job) -> None:
        question = f"Forget {job_words.name_of(job)}? Its rows and answers are deleted here."
        self._ask(question, "forget it", partial(self._forget, job))

    async def _forget(self, job: Job) -> None:
        await self._desk().forget(job.id)
        self._app.flash(f"Forgot {job_words.name_of(job)}.")

    def poll_now(self, job: Job | None = None) -> None:
        self._later(partial(self._poll_now, job))

    async def _poll_now(self, job: Job | None) -> None:
        await self._desk().poll_now(job.id if job is not None else None)
        self._app.flash("Asked.")

    def take_up(self) -> None:
        """A batch that was made elsewhere, by its id."""
        from workbench.tui.screens.batch_import import BatchImport

        def told(answer: tuple[str, str] | None) -> None:
            if answer is not None:
                self._later(partial(self._take_up, *answer))

        if self.desk is None:
            self._app.flash(self.trouble or "The engine is still being opened: one moment.")
        else:
            self._app.push_screen(BatchImport(self.desk), told)

    async def _take_up(self, job_id: str, model: str) -> None:
        job = await self._desk().import_(job_id, model=model or None)
        self._app.flash(f"{job_words.name_of(job)}: {job.state}.")

    def export(self, job: Job, only: RowFilter = RowFilter.ALL) -> None:
        from workbench.tui.screens.name_dialog import NameDialog

        def named(path: str | None) -> None:
            if path:
                self._later(partial(self._export, job, only, Path(path).expanduser()))

        which = "" if only is RowFilter.ALL else f"{only} "
        hint = "a .jsonl, .csv or .md file · enter writes it · esc leaves it"
        self._app.push_screen(NameDialog(f"Export {which}rows", f"{_file_name(job)}.jsonl", hint=hint), named)

    async def _export(self, job: Job, only: RowFilter, path: Path) -> None:
        if await asyncio.to_thread(path.exists):
            raise UsageError(f"{path} exists already: choose another name.")
        count = await export_rows(job, self._desk().all_rows(job.id, only=only), path)
        self._app.flash(f"{job_words.rows(count)} in {path}.")

    def copy_command(self, job: Job) -> None:
        """The job as a line for the shell: fetch it when it is over, watch it until then."""
        name = shlex.quote(job.id)
        if job.state.is_ended:
            command = f"llm-workbench batch retrieve {name} --output {shlex.quote(_file_name(job) + '.jsonl')}"
        else:
            command = f"llm-workbench batch watch {name}"
        self._app.errands.copy_text(command, "command")

    def go_on_in_compare(self, found: Sequence[tuple[Job, JobRow]]) -> None:
        """A row as Compare's conversation, with the models that answered it."""
        comparison = self._app.desk.comparison
        if comparison.is_running:
            self._app.flash("Compare is still answering: F8 there stops it.")
            return
        comparison.start_over()
        self._app.choices.change_line_up(line_up_of(found))
        fill(comparison.lanes, found)
        self._app.action_go_to(COMPARE.mode)

    # Running things

    def _desk(self) -> JobDesk:
        if self.desk is None:
            raise UsageError(self.trouble or "The engine is still being opened.")
        return self.desk

    def _ask(self, question: str, verb: str, work: Callable[[], Awaitable[None]]) -> None:
        from workbench.tui.screens.confirm_bar import ConfirmBar

        def answered(go_ahead: bool | None) -> None:
            if go_ahead:
                self._later(work)

        self._app.push_screen(ConfirmBar(question, verb), answered)

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        aside(self._app, partial(self._guarded, work), group="batches")

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (WorkbenchError, NotImplementedError) as error:
            self._complain(error, "Not done")

    def _complain(self, error: WorkbenchError | NotImplementedError, title: str) -> None:
        kind = f": {error.title}" if isinstance(error, WorkbenchError) else ""
        self._app.notify(str(error), title=f"{title}{kind}", severity="error", markup=False, timeout=10)


def can_retry(job: Job) -> bool:
    """It is over, and some of its rows have no answer."""
    return job.state.is_ended and not job.imported and job.counts.succeeded < job.counts.total


def can_cancel(job: Job) -> bool:
    return not job.state.is_ended and not job.cancel_asked and job.state is not JobState.COLLECTING


def _file_name(job: Job) -> str:
    """A name that every file system takes."""
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in job_words.name_of(job))
    return kept.strip("-")[:60] or job.id
