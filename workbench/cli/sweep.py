"""`llm-workbench run --input`: a file of prompts into a file of results, resumable at any point."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.cli.answers import Answer, as_json
from workbench.cli.recording import recording
from workbench.cli.sweep_progress import ProgressStyle, SweepProgress
from workbench.cli.ticking import ticking
from workbench.core.errors import UsageError, WorkbenchError
from workbench.core.heap import settle_heap
from workbench.core.types import Json, Message, Params, Request, Result
from workbench.engine.budget import Budget, BudgetStats
from workbench.session.sheet import Sheet
from workbench.session.sweep import Sweep, SweepRun, SweepTally
from workbench.session.waiting import Waiting, waiting

if TYPE_CHECKING:
    from workbench.core.schema import OutputSchema
    from workbench.demo import World
    from workbench.jobs.rows import Row


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """What the shell adds to a sweep."""

    output: Path
    resume: bool = False
    retry_failed: bool = False
    skip_bad: bool = False
    max_cost_usd: float | None = None
    progress: ProgressStyle = ProgressStyle.AUTO


async def run_sweep(world: World, sweep: Sweep, options: SweepOptions) -> bool:
    """True when every row was answered. Raises UsageError before anything is sent."""
    from workbench.engine.engine import Engine

    survey = await asyncio.to_thread(sweep.survey, skip_bad=options.skip_bad)
    for bad in survey.bad:
        click.echo(f"{sweep.source}:{bad.line}: left out: {bad.reason}", err=True)
    resuming = options.resume or options.retry_failed
    with Sheet(options.output, resume=resuming, retry_failed=options.retry_failed) as sheet:
        if resuming:
            await asyncio.to_thread(sheet.forget_changed, sweep.keys())
        progress = SweepProgress(options.progress, options.output.name)
        # The whole file is one run in the history; each row stands in it by its line.
        prompt = Message.user(sweep.reader.template or f"(rows of {sweep.source.name})")
        async with (
            Engine(world.settings, environ=world.environ, on_notice=progress.tell) as engine,
            recording(
                world,
                (prompt,),
                sweep.reader.params,
                name=sweep.source.name,
                is_prompt=sweep.reader.template is not None,
            ) as history,
        ):

            def ended(tally: SweepTally, row: Row, request: Request, outcome: Result | WorkbenchError) -> None:
                if tally.done - tally.kept == 1:
                    # What the others need has been imported for the first.
                    settle_heap()
                if isinstance(outcome, Result):
                    history.add(row.line, request, outcome)
                else:
                    history.add(row.line, request, outcome.partial, outcome)
                progress.update(tally, waits)

            def waits() -> Waiting | None:
                return waiting(engine.statistics(times=False))

            run = SweepRun(
                sweep,
                sheet,
                engine.complete,
                total=survey.requests,
                as_json=_row_as_json,
                on_row=ended,
                budget=Budget(options.max_cost_usd),
                on_cap=lambda stats: _ask_for_more(stats, progress),
                room=history.room,
            )
            try:
                async with ticking(lambda: progress.update(run.tally, waits)):
                    await run.run()
            finally:
                progress.update(run.tally, last=True)
                progress.clear()
                _sum_up(run.tally, options.output)
    return run.tally.done == run.tally.total and not run.tally.failed


def _row_as_json(request: Request, outcome: Result | WorkbenchError) -> Mapping[str, Json]:
    if isinstance(outcome, Result):
        return as_json(Answer(request.model, outcome))
    return as_json(Answer(request.model, outcome.partial, outcome))


async def _ask_for_more(stats: BudgetStats, progress: SweepProgress) -> float | None:
    """A new cap from whoever is at the terminal. None, and so the end of this run, when nobody is."""
    spent = f"${stats.spent_usd:.4f} of ${stats.limit_usd:.4f} is spent"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        progress.clear()
        click.echo(f"{spent}: stopping.", err=True)
        return None
    with progress.held():
        answer = await asyncio.to_thread(input, f"{spent}. New cap in dollars, or Enter to stop here: ")
    try:
        cap = float(answer.strip().removeprefix("$"))
    except ValueError:
        return None
    return cap if cap > stats.spent_usd else None


def _sum_up(tally: SweepTally, output: Path) -> None:
    parts = [f"{tally.done} of {tally.total} rows in {output}"]
    if tally.kept:
        parts.append(f"{tally.kept} from before")
    if tally.cached:
        parts.append(f"{tally.cached} from the cache")
    if tally.failed:
        parts.append(f"{tally.failed} failed (ask them again with --retry-failed)")
    parts.append(f"${tally.cost_usd:.4f}{f' and {tally.unpriced} of unknown price' if tally.unpriced else ''}")
    click.echo(" · ".join(parts), err=True)
    if tally.done < tally.total:
        click.echo(f"Go on with --resume{' and a higher --max-cost' if tally.capped else ''}.", err=True)


def sweep_from(
    source: Path,
    *,
    template: str | None,
    system: str | None,
    params: Params,
    models: tuple[str, ...],
    samples: int,
    cached: bool,
    concurrency: int,
    schema: OutputSchema | None = None,
) -> Sweep:
    """Raises UsageError when no model is named or one is named twice: a row is told by its id, model and sample."""
    from workbench.core.types import CacheMode
    from workbench.jobs.rows import RowReader

    if not models:
        raise UsageError("No model was named.", hint="Add -m MODEL, set default_lineup in the settings, or try --demo.")
    if len(set(models)) < len(models):
        raise UsageError("A model is named twice.", hint="Use --samples for several answers to each row.")
    return Sweep(
        source=source,
        reader=RowReader(template=template, system=system or None, params=params),
        models=models,
        samples=samples,
        cache=CacheMode.USE if cached else CacheMode.OFF,
        in_flight=concurrency,
        schema=schema,
    )
