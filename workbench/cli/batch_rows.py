"""A job's rows as the shell gives them out: JSON lines, answers as text, or a file; in input order each time."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from workbench.cli.batch_words import clean
from workbench.core.errors import UsageError
from workbench.core.text import strip_control
from workbench.session import figures, job_words
from workbench.session.job_export import ExportFormat, error_text, export_rows, row_as_json

if TYPE_CHECKING:
    from workbench.jobs.job import Job, JobRow

_SLICE = 500
"""Rows between two writes: one row is far less than what a write costs."""


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raises UsageError when its ending means no format, or something is there already."""
    ExportFormat.of(path)
    if not overwrite and path.exists() and path.stat().st_size:
        raise UsageError(f"{path} exists already.", hint="Add --overwrite, or name another --output.")


async def write_rows(job: Job, rows: AsyncIterable[JobRow], output: Path | None, *, as_json: bool) -> None:
    """To a file in the format of its ending, else to standard output."""
    if output is not None:
        count = await export_rows(job, rows, output)
        click.echo(f"{job_words.rows(count)} in {output}", err=True)
    elif as_json:
        await write_lines(job, rows)
    else:
        await write_texts(rows)


async def write_lines(job: Job, rows: AsyncIterable[JobRow]) -> None:
    """One JSON object per line."""
    lines: list[bytes] = []
    async for row in rows:
        lines += (msgspec.json.encode(row_as_json(job, row)), b"\n")
        if len(lines) >= 2 * _SLICE:
            _put(b"".join(lines))
            lines.clear()
    _put(b"".join(lines))


def _put(lines: bytes) -> None:
    """To a terminal without the control codes that JSON leaves as they are."""
    text = lines.decode()
    sys.stdout.write(strip_control(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


async def write_texts(rows: AsyncIterable[JobRow]) -> None:
    """Answers under a line that says whose they are, to standard output; what failed, to standard error."""
    to_terminal = sys.stdout.isatty()
    async for row in rows:
        answer = row.answer
        if answer is None or answer.error is not None:
            click.echo(clean(f"{row.id}: {error_text(row)}"), err=True)
            continue
        tokens = [figures.tokens(answer.usage.output)] if answer.usage else []
        cost = f"cost {figures.UNKNOWN}" if row.cost_usd is None else figures.cost(row.cost_usd)
        text = answer.text.strip("\n")
        click.echo(" · ".join([f"── {clean(row.id)}", *tokens, cost]) + "\n")
        click.echo(f"{strip_control(text) if to_terminal else text}\n")
