"""What `llm-workbench batch` shows of the jobs that are stored: the list, one in full, their rows."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from workbench.cli.answers import Output
from workbench.cli.batch_rows import check_output, write_rows
from workbench.cli.batch_watch import display_on, left_running, watch
from workbench.cli.batch_words import ALL_ANSWERED, NOT_ENDED, clean, details, exit_code, job_as_json, now_s, table
from workbench.core.text import strip_control
from workbench.session import job_words

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.cli.invocation import Invocation
    from workbench.jobs.desk import JobDesk
    from workbench.jobs.job import BatchSupport, Job, RowFilter


def show_json(jobs: Sequence[Job]) -> None:
    for job in jobs:
        line = json.dumps(job_as_json(job), ensure_ascii=False)
        click.echo(strip_control(line) if sys.stdout.isatty() else line)


async def show_none(invoked: Invocation, *, as_json: bool) -> int:
    """Where nothing was ever stored: how to begin. Makes no store."""
    from workbench.engine.engine import Engine
    from workbench.jobs.accounts import Accounts

    if not as_json:
        async with Engine(invoked.settings(), environ=invoked.environ) as engine:
            _say_how_to_begin(await Accounts(engine.batching()).supported())
    return ALL_ANSWERED


def _say_how_to_begin(offers: Sequence[BatchSupport]) -> None:
    click.echo("There are no batch jobs yet. Make one: llm-workbench batch submit prompts.jsonl -m MODEL\n")
    for offer in offers:
        click.echo(f"  {offer.sentence}")


async def asked_after(desk: JobDesk, job_id: str) -> Job:
    """The job as it is now; one that has ended at its provider is collected. Raises UsageError for an unknown one."""
    job = await desk.job(job_id)
    if job.state.is_ended:
        return job
    await _ask(desk, job.id)
    return await desk.job(job.id)


async def _ask(desk: JobDesk, job_id: str | None = None) -> None:
    """After one job or all open ones. A large one is fetched here when it has ended, which takes its time."""
    output = Output()
    output.status("asking …" if job_id is None else f"asking after {job_id} …")
    try:
        await desk.poll_now(job_id)
    finally:
        output.status("")


async def show_list(desk: JobDesk, *, only_open: bool, stored: bool, limit: int, as_json: bool) -> int:
    if not stored:
        await _ask(desk)
    jobs = [job for job in await desk.jobs() if not (only_open and job.state.is_ended)]
    if as_json:
        show_json(jobs[:limit])
    elif jobs:
        click.echo(table(jobs[:limit], now_s(), _width()))
        for job in jobs[:limit]:
            if job.problem:
                click.echo(f"{job.id}: {clean(job.problem)}", err=True)
        if len(jobs) > limit:
            click.echo(f"… and {len(jobs) - limit} older; --limit shows more.", err=True)
    elif only_open:
        click.echo("No job is open.")
    else:
        _say_how_to_begin(await desk.supported())
    return ALL_ANSWERED


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


async def show_status(desk: JobDesk, job_id: str, *, as_json: bool) -> int:
    job = await asked_after(desk, job_id)
    if as_json:
        show_json([job])
    else:
        errors = await desk.error_counts(job.id) if job.counts.failed else ()
        click.echo(details(job, now_s(), errors))
    return exit_code([job])


async def show_watch(desk: JobDesk, job_ids: Sequence[str], *, timeout_s: float | None, as_json: bool) -> int:
    ids = [(await desk.job(job_id)).id for job_id in job_ids]
    with left_running():
        jobs = await watch(desk, ids, display_on(sys.stdout, as_json=as_json), now_s, timeout_s=timeout_s)
    if not jobs:
        click.echo("No job is open.", err=True)
    return exit_code(jobs)


async def give_out(
    desk: JobDesk, job_id: str, *, only: RowFilter, output: Path | None, overwrite: bool, as_json: bool
) -> int:
    """The exit code. Rows of a job that has not ended are not given out: nobody should take a part for the whole."""
    if output is not None:
        check_output(output, overwrite=overwrite)
    job = await asked_after(desk, job_id)
    if not job.state.is_ended:
        problem = f" {clean(job.problem)}" if job.problem else ""
        click.echo(
            f"{job.id} is {job.state.value}, {job_words.done_of(job.counts)} rows done.{problem} "
            f"Wait for it: llm-workbench batch watch {job.id}",
            err=True,
        )
        return NOT_ENDED
    await write_rows(job, desk.all_rows(job.id, only=only), output, as_json=as_json)
    return exit_code([job])
