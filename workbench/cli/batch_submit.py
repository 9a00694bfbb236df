"""`llm-workbench batch submit`: a file of prompts becomes one job per model."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.cli.answers import error_as_json
from workbench.cli.batch_desk import opened_desk
from workbench.cli.batch_rows import check_output, write_rows
from workbench.cli.batch_watch import display_on, left_running, watch
from workbench.cli.batch_words import ALL_ANSWERED, NOT_ENDED, SOME_FAILED, clean, exit_code, job_as_json, now_s
from workbench.core.errors import UsageError, WorkbenchError
from workbench.core.params import params_from
from workbench.core.types import Json
from workbench.jobs.job import Job, JobEstimate, JobState
from workbench.jobs.rows import RowReader
from workbench.session import figures, job_words
from workbench.session.sweep import Sweep
from workbench.store.ids import new_id

if TYPE_CHECKING:
    from workbench.cli.invocation import Invocation
    from workbench.core.settings import Settings
    from workbench.demo import World
    from workbench.jobs.desk import JobDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What was written on the command line."""

    file: Path
    models: tuple[str, ...]
    values: dict[str, Json]
    system: str | None = None
    template: str | None = None
    name: str = ""
    skip_bad: bool = False
    estimate: bool = False
    wait: bool = False
    output: Path | None = None
    overwrite: bool = False
    as_json: bool = False
    demo: bool = False

    @property
    def stays(self) -> bool:
        """The demo's providers end with the command, so it cannot leave before its jobs have ended."""
        return self.wait or self.demo


def run_submit(invoked: Invocation, chosen: Submission) -> int:
    """The exit code. Raises UsageError and ConfigError before anything is sent."""
    return asyncio.run(_submit(invoked, chosen))


async def _submit(invoked: Invocation, chosen: Submission) -> int:
    async with _world(invoked, chosen) as world:
        sweep = _sweep(chosen, chosen.models or _line_up(world), world.settings)
        survey = await asyncio.to_thread(sweep.survey, skip_bad=chosen.skip_bad)
        for bad in survey.bad:
            click.echo(clean(f"{sweep.source}:{bad.line}: left out: {bad.reason}"), err=True)
        # Opened when the file is known to be right: a slip makes no store.
        async with opened_desk(world.settings, world.environ, track=chosen.stays) as desk:
            # Every model is priced before the first is sent to: what is wrong with one of them is said while nothing
            # has been paid for.
            prices = [await desk.price(model, sweep.rows()) for model in sweep.models]
            if chosen.estimate:
                _show_estimates(sweep.models, prices, as_json=chosen.as_json)
                return ALL_ANSWERED
            return await _hand_in(desk, sweep, prices, chosen)


@asynccontextmanager
async def _world(invoked: Invocation, chosen: Submission) -> AsyncIterator[World]:
    from workbench.demo import World
    from workbench.demo import demo as demo_world

    settings = invoked.settings()
    if chosen.demo:
        async with demo_world(settings) as world:
            yield world
    else:
        yield World(settings, invoked.environ)


def _line_up(world: World) -> tuple[str, ...]:
    """The default line-up without the models whose providers have no batches, which is said. Raises UsageError."""
    from workbench.engine.router import Router
    from workbench.providers.batch_adapters import supports_batches

    settings = world.settings
    router = Router(settings, world.environ)
    models = []
    for model in settings.lineups.get(settings.default_lineup or "", ()):
        spec = router.route(model)[0].spec
        if supports_batches(spec):
            models.append(model)
        else:
            click.echo(f"{model}: left out, as {spec.title or spec.name} has no batches.", err=True)
    if not models:
        raise UsageError("No model was named.", hint="Add -m MODEL, set default_lineup in the settings, or try --demo.")
    return tuple(models)


def _sweep(chosen: Submission, models: tuple[str, ...], settings: Settings) -> Sweep:
    if chosen.output is not None:
        check_output(chosen.output, overwrite=chosen.overwrite)
        if len(models) > 1:
            raise UsageError("--output takes the rows of one model.", hint="Leave it out, or name one -m MODEL.")
    if len(set(models)) < len(models):
        raise UsageError("A model is named twice.", hint="A job asks each row once; repeat the rows instead.")
    system = settings.defaults.system if chosen.system is None else chosen.system
    params = params_from({**settings.defaults.params, **chosen.values})
    return Sweep(chosen.file, RowReader(chosen.template, system or None, params), models)


def _show_estimates(models: Sequence[str], prices: Sequence[JobEstimate], *, as_json: bool) -> None:
    for model, price in zip(models, prices, strict=True):
        if as_json:
            click.echo(json.dumps({"model": model, **asdict(price)}))
        else:
            click.echo(f"{clean(model)}: {_in_words(price)}")


def _in_words(price: JobEstimate) -> str:
    """`400 rows, ~12,000 tok in, $0.01–0.04 (live $0.02–0.08)`."""
    batch = figures.cost_range(price.batch_usd_low, price.batch_usd_high)
    live = figures.cost_range(price.live_usd_low, price.live_usd_high)
    parts = f" in {price.parts} batches" if price.parts > 1 else ""
    return (
        f"{job_words.rows(price.rows)}{parts}, {figures.tokens(price.input_tokens, estimated=True)} in, "
        f"{batch} (live {live})"
    )


async def _hand_in(desk: JobDesk, sweep: Sweep, prices: Sequence[JobEstimate], chosen: Submission) -> int:
    group = new_id(now_s()) if len(sweep.models) > 1 else None
    name = chosen.name or chosen.file.stem

    async def hand_in(model: str) -> Job | WorkbenchError:
        try:
            return await desk.submit(model, sweep.rows(), name=name, group=group, skip_bad=chosen.skip_bad)
        except WorkbenchError as exc:
            return exc

    async with asyncio.TaskGroup() as tasks:
        submitted = [tasks.create_task(hand_in(model)) for model in sweep.models]
    jobs = []
    for model, price, task in zip(sweep.models, prices, submitted, strict=True):
        _report(model, price, task.result(), chosen)
        if isinstance(job := task.result(), Job):
            jobs.append(job)
    code = ALL_ANSWERED if len(jobs) == len(submitted) else SOME_FAILED
    if chosen.stays and jobs:
        return max(code, await _await_answers(desk, jobs, chosen))
    if not chosen.stays and jobs and sys.stderr.isatty():
        click.echo("The jobs go on without this program. Look after them: llm-workbench batch watch", err=True)
    return code or (NOT_ENDED if any(job.state is JobState.SUBMITTING for job in jobs) else ALL_ANSWERED)


def _report(model: str, price: JobEstimate, outcome: Job | WorkbenchError, chosen: Submission) -> None:
    if isinstance(outcome, WorkbenchError):
        if chosen.as_json and not chosen.stays:
            click.echo(json.dumps({"id": None, "model": model, "error": error_as_json(outcome)}, ensure_ascii=False))
        click.echo(clean(f"{model}: {outcome.title}: {outcome}"), err=True)
        return
    sentence = f"{outcome.id}  {clean(model)}: {_in_words(price)}"
    # The sentence begins with the id: where both streams end on one screen, it is not said twice.
    said_once = sys.stdout.isatty() and not chosen.as_json and not chosen.stays
    click.echo(sentence, err=not said_once)
    for remark in (*outcome.notes, *([outcome.problem] if outcome.problem else [])):
        click.echo(clean(f"{model}: {remark}"), err=True)
    if chosen.as_json and not chosen.stays:
        click.echo(json.dumps(job_as_json(outcome), ensure_ascii=False))
    elif not (said_once or chosen.stays):
        click.echo(outcome.id)


async def _await_answers(desk: JobDesk, jobs: Sequence[Job], chosen: Submission) -> int:
    """Standard output gets the answers and nothing else; how far they are stands on standard error."""
    display = display_on(sys.stderr, as_json=False)
    # The demo's providers end with this program, and so do its jobs.
    with nullcontext() if chosen.demo else left_running():
        ended = await watch(desk, [job.id for job in jobs], display, now_s)
    for job in ended:
        if len(ended) > 1 and not chosen.as_json:
            click.echo(f"━━ {clean(job.model)}\n")
        await write_rows(job, desk.all_rows(job.id), chosen.output, as_json=chosen.as_json)
    return exit_code(ended)
