"""Jobs until they have ended: a table that is drawn again and again, lines, or JSON lines."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TextIO

import click

from workbench.cli.batch_words import clean, job_as_json, table
from workbench.cli.table import cells
from workbench.core.terminal import redraws
from workbench.core.text import strip_control
from workbench.session import job_words
from workbench.session.job_words import span

if TYPE_CHECKING:
    from workbench.jobs.desk import JobDesk
    from workbench.jobs.job import Job

REFRESH_S = 1.0
"""How often the table's times are drawn again."""

_COMPLAINTS = 3
"""Jobs whose trouble is told below the table."""


class Display(Protocol):
    def show(self, jobs: Sequence[Job], now_s: float) -> None: ...


async def watch(
    desk: JobDesk,
    ids: Collection[str],
    display: Display,
    now_s: Callable[[], float],
    *,
    timeout_s: float | None = None,
) -> tuple[Job, ...]:
    """The jobs as they were last seen: all ended, or the time is over.

    `ids` are the jobs to watch; when empty, those that have not ended, and what is submitted meanwhile.
    """
    changed = asyncio.Event()
    watched = list(ids)

    async def look() -> tuple[Job, ...]:
        changed.clear()
        found = await _watched(desk, watched, all_open=not ids)
        display.show(found, now_s())
        return found

    leave = desk.subscribe(lambda change: changed.set())
    # Beside the display, which must not wait for a slow provider.
    asking = asyncio.create_task(_ask_after(desk, watched))
    try:
        jobs = await look()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not all(job.state.is_ended for job in jobs):
                    await _happened(changed, REFRESH_S)
                    jobs = await look()
    finally:
        leave()
        asking.cancel()
        # What went wrong with it stands in the jobs' problems, or meets the look at the store that ends every round.
        await asyncio.gather(asking, return_exceptions=True)
    return jobs


async def _ask_after(desk: JobDesk, ids: Sequence[str]) -> None:
    """At once; later on the desk keeps its own pace."""
    await asyncio.gather(*(desk.poll_now(job_id) for job_id in tuple(ids) or (None,)))


async def _watched(desk: JobDesk, watched: list[str], *, all_open: bool) -> tuple[Job, ...]:
    found = await desk.jobs()
    if all_open:
        watched += [job.id for job in reversed(found) if not job.state.is_ended and job.id not in watched]
    by_id = {job.id: job for job in found}
    return tuple(by_id[id_] for id_ in watched if id_ in by_id)


async def _happened(changed: asyncio.Event, at_latest_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(at_latest_s):
            await changed.wait()


@contextmanager
def left_running() -> Iterator[None]:
    """Whoever breaks off inside is told that nothing is lost."""
    try:
        yield
    except asyncio.CancelledError:
        click.echo("The jobs go on at their providers. Look again: llm-workbench batch watch", err=True)
        raise


def display_on(stream: TextIO, *, as_json: bool) -> Display:
    if as_json:
        return JsonLines(stream)
    return LiveTable(stream) if redraws(stream) else Lines(stream)


class LiveTable:
    """Draws over what it drew before; what it drew last stays."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = 0

    def show(self, jobs: Sequence[Job], now_s: float) -> None:
        size = shutil.get_terminal_size()
        lines = frame(jobs, now_s, size.columns - 1, size.lines - 1)
        back = f"\x1b[{self._drawn}F" if self._drawn else ""
        self._stream.write(f"{back}\x1b[J" + "".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._drawn = len(lines)


def frame(jobs: Sequence[Job], now_s: float, width: int, height: int) -> list[str]:
    """What fits: open jobs before those that have ended, what stands in their way, and when it goes on."""
    if not jobs:
        return []
    still_open = [job for job in jobs if not job.state.is_ended]
    below = [f"{job.id}: {clean(job.problem)}" for job in still_open if job.problem][:_COMPLAINTS]
    below += [_footer(still_open, now_s)] if still_open else []
    order = sorted(jobs, key=lambda job: job.state.is_ended)
    room = max(1, height - 2 - len(below))
    lines = table(order[:room], now_s, width).splitlines()
    if len(order) > room:
        lines.append(f"… and {len(order) - room} more")
    return [_cut(line, width) for line in (*lines, *below)]


def _footer(still_open: Sequence[Job], now_s: float) -> str:
    asked = [job.last_poll_s for job in still_open if job.last_poll_s is not None]
    next_ = [job.next_poll_s for job in still_open if job.next_poll_s is not None]
    parts = [f"{len(still_open)} open"]
    if asked:
        parts.append(f"asked {span(now_s - max(asked))} ago")
    if next_:
        parts.append(f"again {job_words.in_words(min(next_) - now_s)}")
    return " · ".join([*parts, "Ctrl-C leaves them running"])


def _cut(line: str, width: int) -> str:
    """A line that wraps would make the table jump."""
    if cells(line) <= width:
        return line
    shown = ""
    for letter in line:
        if cells(shown + letter) >= width:
            break
        shown += letter
    return f"{shown}…"


class _Changes:
    """Tells what is new of a job from what has been shown; that it was asked after once more is not new."""

    def __init__(self) -> None:
        self._before: dict[str, str] = {}

    def __call__(self, jobs: Sequence[Job]) -> list[tuple[Job, str]]:
        new = [(job, line) for job in jobs if self._before.get(job.id) != (line := progress_of(job))]
        self._before |= {job.id: line for job, line in new}
        return new


class Lines:
    """One line for each change of a job, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._new = _Changes()

    def show(self, jobs: Sequence[Job], now_s: float) -> None:
        clock = datetime.fromtimestamp(now_s).astimezone().strftime("%H:%M:%S")
        for _, line in self._new(jobs):
            self._stream.write(f"{clock}  {line}\n")
        self._stream.flush()


def progress_of(job: Job) -> str:
    """`m4x2…  gpt-5.4  running  120/500, 2 failed  what went wrong`."""
    failed = f", {job.counts.failed:,} failed" if job.counts.failed else ""
    done = f"{job_words.done_of(job.counts)}{failed}"
    parts = (job.id, clean(job.model or job.provider), job.state.value, done, clean(job.problem))
    return "  ".join(part for part in parts if part)


class JsonLines:
    """One object for each change of a job."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._new = _Changes()

    def show(self, jobs: Sequence[Job], now_s: float) -> None:
        for job, _ in self._new(jobs):
            line = json.dumps(job_as_json(job), ensure_ascii=False)
            self._stream.write(f"{strip_control(line) if self._stream.isatty() else line}\n")
        self._stream.flush()
